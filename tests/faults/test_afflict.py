"""Each fault, in a stream and in a whole answer, as cues."""

import gzip
import json
import zlib
from math import inf

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.framing import SseParser
from fakellm.dialects.openai.errors import failure_acts
from fakellm.faults.afflict import instead
from fakellm.faults.compile import compile_hold
from fakellm.faults.pages import html_page
from fakellm.faults.spec import HoldSpec
from fakellm.model.content import Reasoning, Refusal, Speech, Text
from fakellm.model.events import Failed, Token
from fakellm.model.framing import Framing
from fakellm.model.reply import Failure, Usage
from fakellm.model.timeline import Abort, Close, Finish, Head, Hold, Nothing, Raw, Shut, Write
from tests.dialects.openai.answering import answer, choice, chunks_of, reassembled, stamp
from tests.faults.answers import WORDS, faults_of, said, told, told_acts

PLAIN = told("")
WHOLE = told("", stream=False)
FRAMES = PLAIN.writes
DOCUMENT = WHOLE.body


class PositionTests(SynchronousTestCase):
    """The role, five tokens, the finish reason, usage, the end: 9 chunks; a token a second."""

    def assert_reset(self, faults: str, chunks: int, at: float) -> None:
        reset = told(faults)
        self.assertEqual((reset.ended_at, reset.end), (at, Abort()))
        self.assertEqual(reset.writes, FRAMES[:chunks])

    def test_chunks(self) -> None:
        self.assert_reset("reset after 0", 0, 0.0)
        self.assert_reset("reset after 3", 3, 2.0)
        self.assert_reset("reset after 9", 9, 5.0)

    def test_tokens(self) -> None:
        self.assert_reset("reset after 0 tokens", 0, 0.0)
        self.assert_reset("reset after 3 tokens", 4, 3.0)

    def test_bytes_are_exact(self) -> None:
        for size in (1, 500, len(PLAIN.body) - 1, len(PLAIN.body)):
            self.assertEqual(told(f"reset after {size} bytes").body, PLAIN.body[:size])

    def test_seconds(self) -> None:
        self.assert_reset("reset after 2.5s", 3, 2.5)
        self.assert_reset("reset after 0s", 0, 0.0)

    def test_no_position_is_before_the_head(self) -> None:
        self.assertEqual(told("reset").cues, [(0.0, Abort())])

    def test_an_answer_that_ends_sooner_has_it_before_its_last_chunk(self) -> None:
        for where in ("10", "6 tokens", "9999 bytes", "99s"):
            self.assert_reset(f"reset after {where}", 8, 5.0)
            whole = told(f"reset after {where}", stream=False)
            self.assertEqual([kind for kind in whole.kinds if kind != "Nothing"], ["Head", "Abort"])

    def test_a_whole_answer_is_one_chunk_but_tokens_and_time_count_as_in_its_stream(self) -> None:
        reset = told("reset after 3 tokens", stream=False)
        self.assertEqual((reset.ended_at, set(reset.kinds)), (3.0, {"Nothing", "Abort"}))
        self.assertEqual(told("reset after 2.5s", stream=False).cues, [(2.5, Abort())])
        self.assertEqual(told("reset after 1", stream=False).body, DOCUMENT)
        self.assertEqual(told("reset after 7 bytes", stream=False).body, DOCUMENT[:7])

    def test_speed_divides_time(self) -> None:
        self.assertEqual(told("reset after 5s", speed=2).ended_at, 2.5)
        late = told("stall; reset after 5s", speed=0)
        self.assertEqual((late.kinds, round(late.ended_at)), (["Abort"], 0))
        self.assertEqual(told("delay 1s; hang").noted, ["delay", "hang"])

    def test_an_empty_body_has_no_last_chunk(self) -> None:
        empty = told_acts([Head(204, ()), Finish()], "reset after 3")
        self.assertEqual(empty.kinds, ["Head", "Abort"])

    def test_an_answer_that_broke_off_cannot_again(self) -> None:
        self.assertEqual(told("close after 2; reset after 5").end, Close())


class BreakTests(SynchronousTestCase):
    def test_a_stall_makes_all_that_follows_later(self) -> None:
        stalled = told("stall 10s after 3")
        self.assertEqual(stalled.body, PLAIN.body)
        times = [at + (10 if number > 3 else 0) for number, (at, _) in enumerate(PLAIN.cues)]
        self.assertEqual([at for at, _ in stalled.cues], times)
        self.assertEqual(told("stall 10s after 3", speed=0).ended_at, PLAIN.ended_at)

    def test_a_stall_for_ever(self) -> None:
        stalled = told("stall after 3")
        self.assertEqual((stalled.writes, stalled.cues[-1]), (FRAMES[:3], (inf, Nothing())))
        self.assertEqual(told("stall", speed=0).cues, [(inf, Nothing())])

    def test_a_stall_then_a_reset(self) -> None:
        reset = told("stall after 2; reset after 30s")
        self.assertEqual((reset.writes, reset.cues[-1]), (FRAMES[:2], (30.0, Abort())))
        self.assertEqual(reset.noted, ["stall", "reset"])

    def test_a_delay(self) -> None:
        late = told("delay 2s")
        self.assertEqual(late.cues, [(at + 2, act) for at, act in PLAIN.cues])
        closed = told("delay 2s; close")
        self.assertEqual((closed.cues, closed.noted), ([(2.0, Close())], ["delay", "close"]))

    def test_no_answer_at_all(self) -> None:
        hung = told("hang; close")
        self.assertEqual((hung.cues, hung.noted), ([(inf, Nothing())], ["hang"]))
        self.assertEqual(told("hang; hang").noted, ["hang"])
        self.assertEqual(told("hang; reset after 5s").cues, [(5.0, Abort())])

    def test_a_slow_head(self) -> None:
        slow = told("slow_head 3s")
        self.assertEqual((slow.head.over, slow.ended_at), (3.0, 8.0))
        self.assertEqual(told("delay 1s; slow_head 3s").ended_at, 9.0)
        self.assertEqual(told("close; slow_head 3s").kinds, ["Close"])

    def test_doors(self) -> None:
        self.assertEqual(told("hang_up 5s connections 2").acts, [Shut(5.0, False, 2), Close()])
        self.assertEqual(told("refuse 5s").acts, [Shut(5.0, True), Abort()])

    def test_gates(self) -> None:
        before = told([compile_hold("g")])
        self.assertEqual(before.acts, [Hold("g"), *PLAIN.acts])
        middle = told([compile_hold(HoldSpec(gate="g", after=2))])
        self.assertEqual(middle.acts, [*PLAIN.acts[:3], Hold("g"), *PLAIN.acts[3:]])
        end = told([compile_hold(HoldSpec(gate="g", before="end"))])
        self.assertEqual(end.acts, [*PLAIN.acts[:-2], Hold("g"), *PLAIN.acts[-2:]])

    def test_broken_chunks(self) -> None:
        broken = told("broken_chunks after 2")
        self.assertEqual((broken.writes, broken.kinds[-2:]), (FRAMES[:2], ["Raw", "Close"]))
        whole = told("broken_chunks", stream=False)
        self.assertEqual(whole.kinds, ["Head", "Raw", "Close"])
        self.assertNotIn("content-length", whole.headers)
        self.assertIsInstance(whole.acts[1], Raw)

    def test_broken_chunks_are_behind_the_head_whenever_they_are_due(self) -> None:
        for where in ("2s", "1 token"):
            whole = told(f"broken_chunks after {where}", stream=False)
            sent = [kind for kind in whole.kinds if kind != "Nothing"]
            self.assertEqual((sent, whole.ended_at), (["Head", "Raw", "Close"], 5.0))
            self.assertEqual(whole.noted, ["broken_chunks"])
        late = told("delay 3s; broken_chunks after 1s")
        self.assertEqual((late.kinds, late.ended_at), (["Head", "Raw", "Close"], 3.0))
        closed = told("close after 1s; broken_chunks after 500ms", stream=False)
        self.assertEqual((closed.kinds, closed.noted), (["Close"], ["close"]))


class SaidTests(SynchronousTestCase):
    def test_an_error_in_the_middle_is_in_the_vendors_words(self) -> None:
        failed = told("error 503 after 2 tokens")
        self.assertEqual(failed.writes[:3], FRAMES[:3])
        (*_, last) = SseParser().feed(failed.body)
        self.assertEqual(json.loads(last.data)["error"]["code"], "service_unavailable")
        self.assertEqual(failed.noted, ["error"])
        whole = told("error 503 after 2 tokens", stream=False)
        self.assertEqual((whole.head.status, whole.ended_at), (503, 2.0))

    def test_an_error_at_any_position(self) -> None:
        self.assertEqual(told("error 503 after 3").writes[:-1], FRAMES[:3])
        self.assertEqual(told("error 503 after 400 bytes").writes[:-1], FRAMES[:2])
        self.assertEqual(told("error 503 after 2.5s").ended_at, 2.5)
        self.assertEqual(told("error 503 after 99").writes[:-1], FRAMES[:-2])
        self.assertEqual(told("error 503 after 0s").head.status, 503)

    def test_an_answer_that_fails_anyway(self) -> None:
        failing = [*said()[:4], Failed(failure=Failure(status=500))]
        for faults in ("error 503 after 99", "content_filter after 99"):
            self.assertIsInstance(told(faults, events=failing).end, Finish)
        self.assertEqual(told("content_filter after 99", events=failing).noted, [])

    def test_events_that_stop_are_left_so(self) -> None:
        for faults in ("error 503 after 99", "content_filter after 99", "swapped after 2"):
            self.assertEqual(told(faults, events=said()[:5]).noted, [])

    def test_a_content_filter(self) -> None:
        cut = told("content_filter after 2 tokens")
        heard = reassembled(chunks_of(cut.body))
        (only,) = heard["choices"]
        self.assertEqual(only["finish_reason"], "content_filter")
        self.assertEqual(only["message"]["content"], "".join(WORDS[:2]))
        self.assertEqual(heard["usage"]["completion_tokens"], 2)
        self.assertEqual(cut.ended_at, 2.0)
        whole = json.loads(told("content_filter after 2 tokens", stream=False).body)
        self.assertEqual(whole["choices"][0]["finish_reason"], "content_filter")
        self.assertEqual(whole["usage"]["completion_tokens"], 2)

    def test_a_content_filter_before_and_after_all(self) -> None:
        none = json.loads(told("content_filter", stream=False).body)
        self.assertEqual(none["usage"]["completion_tokens"], 0)
        late = json.loads(told("content_filter after 99", stream=False).body)
        self.assertEqual(late["choices"][0]["finish_reason"], "content_filter")
        self.assertEqual(late["choices"][0]["message"]["content"], "".join(WORDS))
        self.assertEqual(told("content_filter after 2.5s").ended_at, 2.5)

    def test_a_content_filter_cuts_every_choice_that_is_open(self) -> None:
        one = choice((Text(text="ab"), ["a", "b"]))
        other = choice((Text(text="cd"), ["c", "d"]), index=1)
        events = answer(one[:-1], other, one[-1:])
        for where, reasons in (("2 tokens", {0: "content_filter"}), ("99", {1: "stop"})):
            cut = reassembled(chunks_of(told(f"content_filter after {where}", events=events).body))
            found = {each["index"]: each["finish_reason"] for each in cut["choices"]}
            self.assertEqual(found, {0: "content_filter", **reasons})

    def test_a_content_filter_counts_each_sort_of_token(self) -> None:
        events = answer(
            choice((Reasoning(text="x"), ["x"]), (Speech(transcript="yz"), ["y", "z"])),
            usage=Usage(prompt=9, cached=4),
        )
        usage = json.loads(told("content_filter after 99", stream=False, events=events).body)[
            "usage"
        ]
        self.assertEqual(usage["completion_tokens"], 3)
        self.assertEqual(usage["completion_tokens_details"]["reasoning_tokens"], 1)
        self.assertEqual(usage["completion_tokens_details"]["audio_tokens"], 2)
        self.assertEqual(usage["prompt_tokens_details"]["cached_tokens"], 4)

    def test_no_finish_reason(self) -> None:
        chunks = chunks_of(told("no_finish_reason").body)
        self.assertEqual(
            {each["finish_reason"] for chunk in chunks for each in chunk["choices"]}, {None}
        )
        whole = json.loads(told("no_finish_reason", stream=False).body)
        self.assertIsNone(whole["choices"][0]["finish_reason"])

    def test_a_finish_reason_that_comes_with_the_last_token_is_no_other(self) -> None:
        """It is not told before it is sure."""
        events = said()
        at = max(index for index, event in enumerate(events) if isinstance(event, Token))
        events[at] = structs.replace(events[at], last="stop")
        framing = Framing(finish_alone=False)
        for faults, reason in [
            ("stall after 1 tokens for 1s", "stop"),
            ("no_finish_reason", None),
            ("content_filter after 99", "content_filter"),
            ("oversized 10", "stop"),
        ]:
            chunks = chunks_of(told(faults, events=events, framing=framing).body)
            (only,) = reassembled(chunks)["choices"]  # which has nothing after the reason
            self.assertEqual(only["finish_reason"], reason, faults)
            self.assertTrue(only["message"]["content"].startswith("".join(WORDS)), faults)

    def test_oversized(self) -> None:
        grown = told("oversized 1000")
        heard = reassembled(chunks_of(grown.body))
        self.assertEqual(heard["usage"]["completion_tokens"], 1002)
        self.assertTrue(heard["choices"][0]["message"]["content"].startswith("".join(WORDS)))
        self.assertEqual(len(grown.writes), 1009)
        self.assertEqual(grown.ended_at, 1005.0)
        other = told("oversized 1000", seed=1)
        self.assertNotEqual(other.body, grown.body)

    def test_oversized_and_cut(self) -> None:
        cut = told("oversized 1000; content_filter after 10 tokens", stream=False)
        self.assertEqual(json.loads(cut.body)["usage"]["completion_tokens"], 10)

    def test_only_text_grows(self) -> None:
        refused = answer(choice((Refusal(text="no"), ["no"])))
        self.assertEqual(told("oversized", events=refused).noted, [])
        short = answer(choice((Text(text="a"), ["a"])))
        self.assertEqual(told("oversized 3", events=short).ended_at, 1.0)


class ChunkTests(SynchronousTestCase):
    def test_missing_doubled_and_swapped(self) -> None:
        self.assertEqual(told("missing after 2").writes, FRAMES[:2] + FRAMES[3:])
        self.assertEqual(told("doubled after 2").writes, FRAMES[:3] + FRAMES[2:])
        swapped = [*FRAMES[:2], FRAMES[3], FRAMES[2], *FRAMES[4:]]
        self.assertEqual(told("swapped after 2").writes, swapped)
        self.assertEqual(told("missing").writes, FRAMES[1:])
        self.assertEqual(told("missing after 99").writes, FRAMES[:-1])
        self.assertEqual(told("missing after 2 tokens").writes, FRAMES[:3] + FRAMES[4:])
        self.assertEqual(told("missing after 400 bytes").writes, FRAMES[:2] + FRAMES[3:])

    def test_a_whole_answer_is_one_chunk(self) -> None:
        for name, body in (("missing", b""), ("doubled", DOCUMENT * 2), ("swapped", DOCUMENT)):
            whole = told(name, stream=False)
            self.assertEqual((whole.body, whole.headers["content-length"]), (body, str(len(body))))
        self.assertEqual(told("swapped", stream=False).noted, [])

    def test_nothing_to_pick_where_nothing_comes(self) -> None:
        for name in ("missing", "doubled", "swapped", "malformed", "split"):
            self.assertEqual(told(f"close; {name}").noted, ["close"])
        self.assertEqual(told("stall after 1; swapped").writes, FRAMES[:1])

    def test_no_end(self) -> None:
        ended = told("no_end")
        self.assertEqual((ended.writes, ended.end), (FRAMES[:-1], Finish()))
        whole = told("no_end", stream=False)
        self.assertEqual(whole.body, DOCUMENT[:-1])
        self.assertEqual(whole.headers["content-length"], str(len(DOCUMENT) - 1))

    def test_malformed_json_in_sound_frames(self) -> None:
        for faults, wrong in (("malformed after 2", {2}), ("malformed all after 7", {7, 8})):
            events = SseParser().feed(told(faults).body)
            self.assertEqual(len(events), 9)
            found = set()
            for number, event in enumerate(events[:-1]):
                try:
                    json.loads(event.data)
                except ValueError:
                    found.add(number)
            self.assertEqual(found, wrong - {8})
        self.assertEqual(told("malformed after 8").writes[-1], b"data: [DO\n\n")
        self.assertRaises(ValueError, json.loads, told("malformed", stream=False).body)
        self.assertEqual(told("comments; malformed").writes[0], b": keep-alive\n\n")

    def test_split(self) -> None:
        at = told("split at 7 after 2")
        frame = FRAMES[2]
        self.assertEqual(at.acts[3:5], [Write(frame[:7], True), Write(frame[7:], True)])
        ended = told("split -1 gap 5ms after 2")
        self.assertEqual([len(act) for act in ended.writes[2:4]], [len(frame) - 1, 1])
        self.assertAlmostEqual(ended.ended_at, 5.005)
        self.assertEqual(len(told("split").writes), 18)
        self.assertEqual(told("split at 9999").acts, PLAIN.acts)

    def test_byte_by_byte(self) -> None:
        bytewise = told("byte_by_byte 1ms", stream=False)
        self.assertEqual(len(bytewise.writes), len(DOCUMENT))
        self.assertEqual(bytewise.body, DOCUMENT)
        self.assertAlmostEqual(bytewise.ended_at, 5 + (len(DOCUMENT) - 1) / 1000)

    def test_split_characters(self) -> None:
        character = told("split_characters")
        self.assertEqual(len(character.writes), len(FRAMES) + 1)
        self.assertEqual(character.body, PLAIN.body)
        cut = next(data for data in character.writes if not data.endswith(b"\n\n"))
        self.assertRaises(UnicodeDecodeError, cut.decode)


class EventStreamTests(SynchronousTestCase):
    def test_line_ends(self) -> None:
        self.assertEqual(told("line_ends crlf").body, PLAIN.body.replace(b"\n", b"\r\n"))
        self.assertEqual(told("line_ends cr").body, PLAIN.body.replace(b"\n", b"\r"))
        twice = told("line_ends crlf; byte_by_byte; line_ends cr")
        self.assertEqual(twice.body, told("line_ends cr").body)

    def test_comments_before_each_event(self) -> None:
        self.assertEqual(told("comments hi").body, b"".join(b": hi\n\n" + data for data in FRAMES))

    def test_comments_in_silences(self) -> None:
        comment = Write(b": keep-alive\n\n")
        quiet = told("comments every 400ms")
        times = [round(at, 3) for at, act in quiet.cues if act == comment]
        self.assertEqual(times[:4], [0.4, 0.8, 1.4, 1.8])
        self.assertEqual(told("comments every 400ms", speed=0).noted, [])
        ever = told("stall after 2; comments every 1s")
        self.assertEqual(ever.acts[-1], comment)

    def test_fields(self) -> None:
        self.assertTrue(told("no_space").writes[0].startswith(b"data:{"))
        self.assertTrue(told("multi_line").writes[0].startswith(b'data: {\ndata: "id"'))
        self.assertTrue(told("no_space; multi_line").writes[0].startswith(b'data:{\ndata:"id"'))
        self.assertTrue(told("unknown_fields").writes[0].startswith(b"fakellm: "))
        both = told("unknown_fields; no_space").writes[0]
        self.assertIn(b"\ndata:{", both)

    def test_a_document_is_left_as_it_is(self) -> None:
        for name in ("line_ends cr", "comments", "comments every 1ms", "no_space", "multi_line"):
            self.assertEqual(told(name, stream=False).body, DOCUMENT)

    def test_a_byte_order_mark(self) -> None:
        for faults in ("bom", "bom; bom", "bom; comments every 100ms"):
            self.assertTrue(told(faults).body.startswith(b"\xef\xbb\xbf"))
        whole = told("bom", stream=False)
        self.assertEqual(whole.headers["content-length"], str(len(DOCUMENT) + 3))


class HeadTests(SynchronousTestCase):
    def test_content_type(self) -> None:
        self.assertEqual(told("content_type text/plain").headers["content-type"], "text/plain")

    def test_content_length(self) -> None:
        for faults, off in (("long", 10), ("short", -10), ("-3", -3)):
            for stream, body in ((True, PLAIN.body), (False, DOCUMENT)):
                wrong = told(f"content_length {faults}", stream=stream)
                self.assertEqual(int(wrong.headers["content-length"]), len(body) + off)
                self.assertEqual((wrong.body, wrong.end), (body, Close()))
        self.assertEqual(told("content_length -9999").headers["content-length"], "0")
        self.assertEqual(told("delay 1s; close; content_length long").end, Close())
        held = told([compile_hold("g"), *faults_of("content_length long")])
        self.assertEqual(held.acts[0], Hold("g"))

    def test_what_breaks_off_keeps_its_length(self) -> None:
        cut = told("close after 9 bytes; bom", stream=False)
        self.assertEqual(cut.headers["content-length"], str(len(DOCUMENT)))

    def test_bad_gzip(self) -> None:
        for stream in (True, False):
            bad = told("bad_gzip", stream=stream)
            self.assertEqual(bad.headers["content-encoding"], "gzip")
            self.assertRaises((zlib.error, OSError, EOFError), gzip.decompress, bad.body)
        self.assertEqual(told_acts([Write(b"x"), Finish()], "bad_gzip").body, b"x")

    def test_throttle(self) -> None:
        slow = told("throttle 100", stream=False)
        self.assertAlmostEqual(slow.ended_at, 5 + len(DOCUMENT) / 100)
        self.assertEqual({len(data) for data in slow.writes[:-1]}, {5})
        self.assertEqual(slow.body, DOCUMENT)
        self.assertEqual(told("throttle 100", speed=0).cues, PLAIN.cues)
        self.assertEqual(told("throttle 1; stall after 3").ended_at, inf)
        self.assertEqual(told("hang; throttle 1").cues, [(inf, Nothing())])


class InsteadTests(SynchronousTestCase):
    def test_an_error_is_for_the_dialect_to_word(self) -> None:
        noted: list[str] = []
        failure = instead(faults_of("delay 1s; error 429 retry_after 1.5s"), noted.append)
        assert isinstance(failure, Failure)
        self.assertEqual(failure.status, 429)
        self.assertEqual(dict(failure.headers), {"Retry-After": "2", "retry-after-ms": "1500"})
        self.assertEqual(noted, ["error"])

    def test_a_page_of_a_proxy(self) -> None:
        acts = instead(faults_of("html_error 502"), list[str]().append)
        self.assertEqual(acts, html_page(502))
        head, body, _ = html_page(502)
        assert isinstance(head, Head)
        assert isinstance(body, Write)
        self.assertEqual(dict(head.headers)["Content-Type"], "text/html")
        self.assertIn(b"<h1>502 Bad Gateway</h1>", body.data)
        (_, body, _) = html_page(599)
        assert isinstance(body, Write)
        self.assertIn(b"<h1>599</h1>", body.data)

    def test_mostly_nothing(self) -> None:
        self.assertIsNone(instead(faults_of("error 503 after 2; hang"), list[str]().append))

    def test_faults_go_for_what_is_only_acts_too(self) -> None:
        acts = failure_acts(Failure(status=503), stamp())
        late = told_acts(acts, "error 503; delay 1s; content_length short", at=2.0)
        self.assertEqual([at for at, _ in late.cues], [3.0, 3.0, 3.0])
        self.assertEqual((late.head.status, late.end), (503, Close()))
        self.assertEqual(late.noted, ["delay", "content_length"])
