"""The benchmarks still run, and let no wrong answer pass."""

import re
import shlex
import shutil
import socket
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from benchmarks import endurance, fuzz_fronts, peers, profile, streams
from benchmarks.answers import WrongAnswer, arrivals, check_whole, varied, words
from benchmarks.load import Answer, Lag, is_whole
from benchmarks.measures import Rate, Start, json_rate
from benchmarks.peer_servers import (
    AIMOCK,
    FAST,
    HELLO,
    NODE,
    RULES,
    TWISTED,
    Aimock,
    BareNode,
    Fakellm,
    Said,
    installed,
    long,
)
from benchmarks.peers import RATES, Comparison, Figures, markdown_table, text_table
from benchmarks.profile import own_samples
from benchmarks.streams import Row, quantile, table
from tests.processes import ROOT, run
from tests.servers import MemoryTestCase

ENDURANCE = (sys.executable, "-m", "benchmarks.endurance")
PEERS = (sys.executable, "-m", "benchmarks.peers")
PROFILE = (sys.executable, "-m", "benchmarks.profile")
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


class EnduranceTests(SynchronousTestCase):
    """Many requests one after the other; a million are for people to run."""

    def test_tiny(self) -> None:
        ended = run([*ENDURANCE, "--requests=300", "--connections=8", "--samples"])
        self.assertEqual((ended.status, ended.err), (0, ""))
        self.assertRegex(ended.out, r"(?m)^requests +300$")
        self.assertRegex(ended.out, r"(?m)^rate +[1-9][0-9,]* a second$")
        for when in ("before", r"after 1\d\d", "at the end", "at most"):
            self.assertRegex(ended.out, rf"(?m)^memory {when} +[1-9][0-9.]* MiB$")
        self.assertRegex(
            ended.out, r"(?m)^slope in the second half +[+-][0-9,]+ bytes per 1,000 requests$"
        )
        samples = re.findall(r"(?m)^ +([0-9]+) +[0-9.]+ s +[0-9.]+ MiB$", ended.out)
        self.assertTrue(20 <= len(samples) <= 50, samples)
        self.assertEqual(samples[-1], "300")

    def test_wrong_answers(self) -> None:
        """A server that says something else fails the command, in so many words."""
        ended = run([*ENDURANCE, "--requests=30", "--server-option=--no-prompt-commands"])
        self.assertEqual(ended.status, 1)
        self.assertRegex(ended.err, r"WRONG: the answer to request \d+ is another: .*hello world")
        self.assertIn("30 of 30 answers were wrong or lost", ended.err)

    def test_requests_that_the_journal_has_not_noted(self) -> None:
        ended = run([*ENDURANCE, "--requests=30", "--server-option=--journal-size=0"])
        self.assertEqual(ended.status, 1)
        said = "by the server's figures, 0 requests were noted in the journal, not 30"
        self.assertEqual(ended.err, f"WRONG: {said}\n")

    def test_what_is_looked_at_in_an_answer(self) -> None:
        """Its status, its length, its model, and what it says, which no other one does."""
        body = (
            b'{"model":"endurance-1","choices":[{"message":{"content":"1 alpha bravo"},'
            b'"finish_reason":"stop"}],"usage":{"completion_tokens":3}}'
        )

        def whole(body: bytes, status: int = 200, more: int = 0) -> bytes:
            head = b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n" % (status, len(body) + more)
            return head + body

        right = whole(body)
        endurance.check(1, right)
        self.assertTrue(endurance.is_whole(right))
        self.assertFalse(any(endurance.is_whole(right[:end]) for end in range(len(right))))
        with self.assertRaisesRegex(WrongAnswer, "without a length"):
            endurance.is_whole(b"HTTP/1.1 200 OK\r\n\r\n")
        for number, data, reason in (
            (2, right, "request 2 is another"),
            (4, right, "request 4 is another"),
            (1, whole(body, 500), "request 1 is b'HTTP/1.1 500"),
            (1, whole(body, more=1), "request 1 is"),
            (1, right + b"x", "request 1 is"),
            (1, whole(body[:-1]), "no completion"),
            (1, whole(body.replace(b"stop", b"length")), "another"),
            (1, whole(body.replace(b"endurance-1", b"endurance-2")), "another"),
            (1, whole(body.replace(b":3", b":2")), "too few tokens"),
        ):
            with self.assertRaisesRegex(WrongAnswer, reason):
                endurance.check(number, data)

    def test_a_server_that_goes_away(self) -> None:
        """What it has not answered is lost, and nobody waits for it."""
        with socket.create_server(("127.0.0.1", 0)) as server:
            load = endurance.Load(server.getsockname(), "h", 100, 2)
            self.addCleanup(load.close)
            for _ in range(2):
                server.accept()[0].close()
            samples: list[int] = []
            load.run(1, samples.append)
        self.assertEqual((load.answered, load.count, samples), (0, 100, []))
        self.assertIn("98 requests were not asked, as no connection was left", load.wrong)

    def test_every_request_is_another_one(self) -> None:
        requests = [endurance.request(number, "h") for number in range(200)]
        self.assertEqual(len({each.partition(b"\r\n\r\n")[2] for each in requests}), 200)
        for part, count in ((rb"endurance-\d", 3), (rb"Session: s\d", 5)):
            found = {match for each in requests for match in re.findall(part, each)}
            self.assertEqual(len(found), count)

    def test_figures(self) -> None:
        """Memory that grows at first, and no more in the second half."""
        samples = [
            endurance.Sample(number, number / 100, min(number, 500) * 1024)
            for number in range(100, 1001, 100)
        ]
        self.assertEqual(round(endurance.slope(samples[5:])), 0)
        self.assertEqual(round(endurance.slope(samples[:5])), 1024 * 1000)
        self.assertEqual(endurance.slope(samples[:1]), 0.0)
        told = endurance.report(samples, before=0, most=2**20, filled=300)
        self.assertEqual(
            re.findall(r"(?m)^(.+?)  +(.+)$", told),
            [
                ("requests", "1,000"),
                ("rate", "100 a second"),
                ("memory before", "0.0 MiB"),
                ("memory after 300", "0.3 MiB"),
                ("memory after 500", "0.5 MiB"),
                ("memory at the end", "0.5 MiB"),
                ("memory at most", "1.0 MiB"),
                ("slope in the second half", "+0 bytes per 1,000 requests"),
            ],
        )
        self.assertNotIn("after 300", endurance.report(samples[:2], 0, 0, 300))


class PeersTests(SynchronousTestCase):
    """The comparison of servers."""

    def test_tiny(self) -> None:
        """A small version of all cases, of each server that there is: all answers are right."""
        tiny = ("--rounds=1", "--seconds=0.1", "--warm=0.1", "--requests=20", "--no-wrk")
        ended = run([*PEERS, *tiny])
        self.assertEqual((ended.status, "WRONG" in ended.err), (0, False), ended.err)
        servers = [FAST, TWISTED]
        for peer, command in (AIMOCK, "llmock"), (NODE, "node"):
            if shutil.which(command):
                servers.append(peer)
            else:
                self.assertIn(f"{peer} is left out: there is no {command} on the path", ended.err)
        for server in servers:
            for case in RATES:
                self.assertRegex(ended.out, rf"(?m)^{case} +{server}  +[\d,]+  +[\d,]+ ")
            for figure in (
                "latency +{} +[0-9.]+ ms",
                "start +{} +[0-9.]+ s",
                "memory +{} +[0-9.]+ MB",
            ):
                self.assertRegex(ended.out, f"(?m)^{figure.format(server)} ")
        self.assertRegex(ended.out, rf"(?m)^JSON answers / {TWISTED} +>= 1.0 x +[0-9.]+ x ")

    def test_by_wrk(self) -> None:
        """wrk's answers are counted, and are as long as one that was looked at."""
        if shutil.which("wrk") is None:
            self.skipTest("wrk is not installed")
        with Fakellm("fast").started(HELLO, None) as process:
            rate = json_rate(process, HELLO, 1.0, with_wrk=True)
        self.assertGreater(rate.each_second, 10)
        with Fakellm("fast").started(long(10), None) as process:
            self.assertRaises(WrongAnswer, json_rate, process, HELLO, 1.0, with_wrk=True)

    def test_a_peer_that_is_not_there(self) -> None:
        """Is named, and left out."""
        servers, missing = installed("/nowhere/llmock")
        self.assertNotIn(AIMOCK, [server.name for server in servers])
        self.assertIn("aimock is left out: there is no /nowhere/llmock", missing)

    def test_all_cut_alike(self) -> None:
        """Of the long text each server makes as many events."""
        said = long(25)
        self.assertEqual(said.text, "A1B2C3D4E5A1B2C3D4E5A1B2C")
        self.assertEqual(Fakellm("fast").pieces(said), 25)
        self.assertEqual(Aimock(Path("llmock")).pieces(said), 25)
        self.assertEqual(
            [Aimock(Path("llmock")).pieces(HELLO), Fakellm("fast").pieces(HELLO)], [1, 2]
        )
        if node := shutil.which("node"):
            self.assertEqual([BareNode(node).pieces(said), BareNode(node).pieces(HELLO)], [25, 2])

    def test_bars(self) -> None:
        """A round's ratio is of what was measured in it; the table says what is missed."""
        figures = Figures()
        for ours, theirs in (40, 10), (60, 10), (20, 10):
            figures.add_rate(RATES[0], FAST, Rate(ours, 2 * ours, 0.5))
            figures.add_rate(RATES[0], AIMOCK, Rate(theirs, theirs, 0.5))
            figures.add_rate(RATES[0], NODE, Rate(100, 100, 0.95))
        figures.add_alone(FAST, 0.0004, Start(0.9, 1.0, 70_000_000))
        head, *bars = figures.bar_lines()
        self.assertEqual(head, ("bar", "asked", "measured", "by CPU time", "verdict"))
        self.assertEqual(
            bars,
            [
                ("JSON answers / aimock", ">= 3.0 x", "4.00 x", "8.00 x", "met"),
                ("JSON answers / bare Node", ">= 0.6 x", "0.40 x", "0.80 x", "missed by 33%"),
                ("latency", "<= 0.500 ms", "0.400 ms", "", "met"),
                ("start", "<= 0.60 s", "0.90 s", "", "missed by 50%"),
                ("memory", "<= 80.0 MB", "70.0 MB", "", "met"),
            ],
        )
        self.assertEqual(
            figures.rate_lines()[-1],
            ("JSON answers", NODE, "100", "100", "100", "100", "95% (bottleneck?)"),
        )

    def test_wrong_answers(self) -> None:
        """A server that says something else is told of, and has no figures."""

        class Wrong(Fakellm):
            def options(self, said: Said) -> list[str]:
                return super().options(said._replace(text="good bye"))

        args = peers.parser().parse_args(["--rounds=1", "--warm=0.1", "--seconds=0.1", "--no-wrk"])
        comparison = Comparison(args, [Wrong("fast")])
        comparison.run()
        self.assertEqual(len(comparison.wrong), 4)
        self.assertRegex(comparison.wrong[0], "^JSON answers, fakellm: another answer: .*good bye")
        self.assertRegex(comparison.wrong[1], "^streams of .*, fakellm: the text is another: 'good")
        self.assertEqual((comparison.figures.rates, comparison.figures.alone), ({}, {}))

    def test_tables(self) -> None:
        """For a terminal, and for a page."""
        lines = [("a", "b"), ("long", "c")]
        self.assertEqual(text_table(lines), "a     b\nlong  c\n")
        self.assertEqual(markdown_table(lines), "| a | b |\n| --- | --- |\n| long | c |\n")


class RulesTests(MemoryTestCase):
    """The rules that the server is measured with."""

    def test_none_matches(self) -> None:
        """There are ten, all are tried, and the server's answer is said."""
        self.serve(scenario=[str(RULES)])
        self.assertEqual(RULES.read_text("utf-8").count("- when:"), 10)
        said = self.ask(messages=[{"role": "user", "content": "Question 1: is anybody there?"}])
        self.assertEqual(said.json["choices"][0]["message"]["content"], "hello world")


class ProfileTests(SynchronousTestCase):
    """The profile."""

    def test_tiny(self) -> None:
        """The functions that took most are told, without those of the start."""
        ended = run([*PROFILE, "stream", "--seconds=0.2", "--top=10"])
        self.assertEqual((ended.status, ended.err), (0, ""))
        self.assertRegex(ended.out, r"^[\d,]+ answers, under cProfile\n")
        self.assertRegex(ended.out, r"Ordered by: internal time\n +List reduced from \d+ to 10 ")
        self.assertNotIn("marshal.loads", ended.out)

    def test_samples(self) -> None:
        """A sample counts for the function that was at work."""
        self.assertEqual(own_samples("a;b 3\na;c 1\nb 2\n"), {"b": 5, "c": 1})


class PageTests(SynchronousTestCase):
    """The page on performance."""

    def test_its_commands_are_understood(self) -> None:
        page = (ROOT / "docs" / "performance.md").read_text("utf-8")
        found = re.findall(r"python -m benchmarks\.(\w+)([^`\n]*)", page)
        parsers = {"peers": peers.parser, "profile": profile.parser, "streams": streams.parser}
        self.assertEqual({name for name, _ in found}, {*parsers, "matching"})
        for name, options in found:
            if name in parsers:
                parsers[name]().parse_args(shlex.split(options))


class WholeTests(SynchronousTestCase):
    """What is looked at in an answer that is no stream, and in requests."""

    BODY = b'{"choices":[{"message":{"content":"hi"},"finish_reason":"stop"}]}'

    def response(self, body: bytes = BODY, status: str = "200 OK") -> bytes:
        return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body

    def ended(self, *pieces: bytes) -> Answer:
        made = answer(*pieces)
        made.ended = is_whole(b"".join(pieces))
        return made

    def test_right(self) -> None:
        whole = self.response()
        check_whole(self.ended(whole), "hi")
        check_whole(self.ended(whole[:9], whole[9:]), "hi")
        chunk = b"%x\r\n%b\r\n" % (len(self.BODY), self.BODY)
        check_whole(self.ended(_HEAD, chunk, LAST), "hi")

    def test_wrong(self) -> None:
        whole = self.response()
        for pieces in (
            (whole[:-1],),
            (whole[:20],),
            (_HEAD + b"5\r\nhello\r\n",),
            (self.response(b"{}"),),
            (self.response(status="500 Oh"),),
            (self.response(self.BODY.replace(b"hi", b"ho")),),
            (self.response(self.BODY.replace(b"stop", b"length")),),
        ):
            self.assertRaises(WrongAnswer, check_whole, self.ended(*pieces), "hi")

    def test_no_two_requests_are_alike(self) -> None:
        ask = varied("h", stream=False)
        made = [ask() for _ in range(20)]
        self.assertEqual(len({*made}), 20)
        self.assertEqual(len({len(each) for each in made}), 1)
        for number, each in enumerate(made, 1):
            head, _, body = each.partition(b"\r\n\r\n")
            self.assertIn(f"Question {number:09d}:".encode(), body)
            self.assertIn(b"Content-Length: %d" % len(body), head)


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
