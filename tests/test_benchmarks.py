"""The benchmark of streams still runs, and lets no wrong answer pass."""

import sys

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import fuzz_fronts
from benchmarks.answers import WrongAnswer, arrivals, words
from benchmarks.load import Answer, Lag
from benchmarks.streams import Row, quantile, table
from tests.processes import run

STREAMS = (sys.executable, "-m", "benchmarks.streams")
_HEAD = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def event(content: str, finish: str = "null") -> bytes:
    """An HTTP chunk with one chunk of a chat completion."""
    data = b'data: {"choices":[{"delta":{"content":"%b"},"finish_reason":%b}]}\n\n' % (
        content.encode(),
        finish.encode(),
    )
    return b"%x\r\n%b\r\n" % (len(data), data)


FINISHED = event("", '"stop"') + b"e\r\ndata: [DONE]\n\n\r\n"
LAST = b"0\r\n\r\n"


def answer(*pieces: bytes) -> Answer:
    """An answer that came in these pieces, a second each."""
    made = Answer(0.0)
    made.pieces = list(pieces)
    made.times = [float(second) for second in range(1, len(pieces) + 1)]
    return made


class StreamsTests(SynchronousTestCase):
    """The command."""

    def test_tiny(self) -> None:
        """A small version of each case: all answers are right, and each has its figures."""
        ended = run([*STREAMS, "all", "--tiny"])
        self.assertEqual((ended.status, ended.err), (0, ""))
        self.assertRegex(ended.out, r"(?m)^case +figure +asked +measured +bar +verdict$")
        for case, count in ("paced 20", 20), ("idle 100", 100), ("slow reader, itself", 1):
            self.assertRegex(
                ended.out, rf"(?m)^{case} +whole and right +{count} +{count} +all +met$"
            )
        self.assertRegex(ended.out, r"(?m)^paced 20 +too early +0 +0 of 200 +none +met$")
        self.assertRegex(ended.out, r"(?m)^paced 20 +lateness median .* ms +(met|missed by .* ms)$")
        self.assertRegex(ended.out, r"(?m)^decode 8 +mean decode time .* (met|missed by .* %)$")
        self.assertRegex(ended.out, r"(?m)^idle 100 +memory of a stream .* KB +<= 40.0 KB ")
        self.assertRegex(ended.out, r"(?m)^slow reader +memory for .* MiB unread ")
        self.assertEqual(ended.out.count("client: busy"), 4)

    def test_wrong_answers(self) -> None:
        """A server that says something else fails the command, in so many words."""
        ended = run([*STREAMS, "paced", "--tiny", "--server-option=--no-prompt-commands"])
        self.assertEqual(ended.status, 1)
        self.assertRegex(
            ended.err,
            "WRONG: paced 20: 20 of 20 answers wrong or lost, such as: 2 tokens instead of 10",
        )
        self.assertRegex(ended.out, r"whole and right +20 +0 +all +missed by 20")


class FuzzTests(SynchronousTestCase):
    """The fuzzing of both HTTP fronts; many more streams are for people to run."""

    def test_a_few_streams(self) -> None:
        count, kinds, wrong = fuzz_fronts.run(600.0, seed=1, at_most=300)
        self.assertEqual((count, wrong), (300, []))
        self.assertEqual(sorted(kinds), ["stricter", "the same"])

    def test_it_sees_what_is_wrong(self) -> None:
        def outcome(*statuses: int, asked: int = 0, **more: bool) -> fuzz_fronts.Outcome:
            flags = {"refused": False, "was_last": False, "is_closed": True, **more}
            return fuzz_fronts.Outcome(statuses=statuses, asked=tuple(range(asked)), **flags)

        wrong = fuzz_fronts.disagreement
        self.assertIsNone(wrong(outcome(200, 404), outcome(200, 404)))
        self.assertIsNone(wrong(outcome(200, 400, refused=True), outcome(200, 200, 200)))
        self.assertIsNone(wrong(outcome(200, was_last=True), outcome(200, 200)))
        self.assertIsNone(wrong(outcome(200, 408, refused=True), outcome(200)))
        for ours, twisteds, what in [
            (outcome(is_closed=False), outcome(), "we wait for ever"),
            (outcome(200), outcome(400), "we answer what Twisted does not"),
            (outcome(200, 200), outcome(200), "we answer what Twisted does not"),
            (outcome(200), outcome(200, 200), "we say nothing where Twisted answers"),
            (outcome(200, asked=1), outcome(200), "we understand something else"),
        ]:
            self.assertEqual(wrong(ours, twisteds), what)


class ArrivalsTests(SynchronousTestCase):
    """What is looked at in an answer."""

    def wrong(self, reason: str, *pieces: bytes) -> None:
        """The answer in these pieces is not two words said by a whole answer."""
        with self.assertRaisesRegex(WrongAnswer, reason):
            arrivals(answer(*pieces), 2, "alpha bravo")

    def test_times(self) -> None:
        """A token has arrived when the last byte of its event has."""
        one, two = event("alpha"), event(" bravo")
        whole = _HEAD + one + two + FINISHED + LAST
        self.assertEqual(arrivals(answer(whole), 2, "alpha bravo"), [1.0, 1.0])
        cut = len(_HEAD) + len(one) - 3  # its last byte comes later, and with the next event
        pieces = whole[:cut], whole[cut : cut + 9], whole[cut + 9 :]
        self.assertEqual(arrivals(answer(*pieces), 2, None), [2.0, 3.0])
        self.assertEqual(arrivals(answer(_HEAD, one, two + FINISHED, LAST), 2, None), [2.0, 3.0])

    def test_wrong(self) -> None:
        """Anything missing, doubled, swapped or broken is wrong."""
        one, two = event("alpha"), event(" bravo")
        self.wrong("begins with", b"HTTP/1.1 500 Oh\r\n\r\n")
        self.wrong("nothing came in time")
        self.wrong("closed unanswered", b"")
        self.wrong("not in chunked coding", b"HTTP/1.1 200 OK\r\n\r\n")
        self.wrong("1 tokens instead of 2", _HEAD, one, FINISHED, LAST)
        self.wrong("3 tokens instead of 2", _HEAD, one, two, two, FINISHED, LAST)
        self.wrong("the text is another", _HEAD, two, one, FINISHED, LAST)
        self.wrong("no finish_reason", _HEAD, one, two, LAST)
        self.wrong("no finish_reason", _HEAD, one, two, event("", '"stop"'), LAST)
        self.wrong("chunked coding is broken", _HEAD, one, two, FINISHED)
        self.wrong("chunked coding is broken", _HEAD, one, two[:-2], FINISHED, LAST)
        self.wrong("bytes after the end", _HEAD, one, two, FINISHED, LAST, LAST)
        self.wrong("not an event", _HEAD, one, two, FINISHED, one, LAST)
        self.wrong("not an event", _HEAD, b"2\r\nxx\r\n", LAST)
        self.wrong("not a chunk", _HEAD, b"a\r\ndata: {]\n\n\r\n", LAST)

    def test_words(self) -> None:
        """A text is as many words as asked for."""
        self.assertEqual(words(2), "alpha bravo")
        self.assertEqual(len(words(100).split()), 100)


class FiguresTests(SynchronousTestCase):
    """What is made of the figures."""

    def test_quantile(self) -> None:
        """The nearest rank, as percentiles of few values have it."""
        ordered = [float(each) for each in range(1, 101)]
        self.assertEqual([quantile(ordered, part) for part in (0.5, 0.99, 1)], [50, 99, 100])
        self.assertEqual(quantile([7.0], 0.01), 7.0)

    def test_lag(self) -> None:
        """A turn weighs as much as it had sockets to read from."""
        turns = [(0.001, 1000), (0.5, 1)]
        self.assertEqual((Lag(turns, 0.5, 0.4).p99, Lag(turns, 0.5, 0.4).longest), (0.001, 0.5))
        self.assertEqual(Lag([], 0, 0).p99, 0)

    def test_verdict(self) -> None:
        """A figure meets its bar, misses it by so much, or has none."""
        rows = [
            Row("a", "b", "1", "1", "<= 2"),
            Row("a", "b", "1", "3", "<= 2", "1"),
            Row("a", "b", "1", "3"),
        ]
        self.assertEqual([row.verdict for row in rows], ["met", "missed by 1", ""])
        self.assertEqual(table(rows[2:]).splitlines()[1].split(), ["a", "b", "1", "3"])
