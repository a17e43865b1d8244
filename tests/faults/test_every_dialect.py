"""Every fault through every dialect, streamed and whole."""

import json
from collections.abc import Iterator
from math import isinf
from random import Random
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.framing import SseParser
from fakellm.engine.shelf import Shelf
from fakellm.faults.afflict import afflicted
from fakellm.faults.compile import compile_fault
from fakellm.faults.shorthand import parse_fault
from fakellm.faults.spec import FAULTS
from fakellm.model.content import Reasoning, SaidPart, Text, ToolCall
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Choice, Reply
from fakellm.model.timeline import Abort, Act, Amend, Close, Finish, Head, Keep, Nothing, Write
from fakellm.timing.unfold import unfold
from tests.dialects.adapters.anthropic import AnthropicAdapter
from tests.dialects.adapters.base import Adapter, Wanted
from tests.dialects.adapters.openai import AzureAdapter, ChatAdapter, CompletionAdapter
from tests.dialects.adapters.responses import ResponsesAdapter
from tests.dialects.openai.texts import WORDS, sent, stamp
from tests.faults.answers import Told, paced
from tests.faults.test_shorthand import SHORT

DIALECTS: dict[str, Adapter] = {
    "chat": ChatAdapter(),
    "azure": AzureAdapter(),
    "completions": CompletionAdapter(),
    "responses": ResponsesAdapter(),
    "anthropic": AnthropicAdapter(),
}
BOTH = (False, True)
FRAMINGS = (
    DEFAULT_FRAMING,
    Framing(role_alone=False, finish_alone=False),
    Framing(head_at_once=False),
)
TEXT = "Hi é there 😀 you!"
# what strikes in a stream only, as whole answers have neither events nor a second chunk
OF_STREAMS = {"line_ends", "comments", "no_space", "multi_line", "unknown_fields", "swapped"}
# what strikes before there is an answer to afflict
INSTEAD = {"html_error 502", "error 503", "error 429 retry_after 2s"}
# whose types have no answer without a reason
NEEDS_A_REASON = {"chat", "azure", "completions"}
LATE = ("after 3", "after 1 token", "after 40 bytes", "after 2s")


def shorts() -> Iterator[str]:
    """Every fault, as it is and at places where it may be."""
    for short in SHORT:
        yield short.replace("oversized 5000", "oversized 50").replace("10000", "50")
    for name in ("error 500", "content_filter", "close", "reset", "stall 2s", "malformed"):
        for place in LATE:
            yield f"{name} {place}"


def told(
    name: str,
    faults: str,
    *parts: SaidPart,
    stream: bool,
    framing: Framing = DEFAULT_FRAMING,
    speed: float = 1.0,
    tools: tuple[str, ...] = (),
) -> Told:
    """What faults make of an answer through a dialect."""
    adapter = DIALECTS[name]
    prompt = _asked(adapter, Wanted(stream=stream, tools=tools))
    choice = Choice(parts=parts or (Text(text=TEXT),))
    events = unfold(prompt, Reply(choices=(choice,), model="fake"), WORDS).events
    noted: list[str] = []
    cues = afflicted(
        paced(events),
        adapter.dialect.encoder(prompt, stamp(), framing),
        [compile_fault(parse_fault(faults))] if faults else [],
        streamed=stream,
        chance=Random(0),
        speed=speed,
        noted=noted.append,
    )
    return Told(cues, noted, at_most=50_000)


def _asked(adapter: Adapter, wanted: Wanted) -> Prompt:
    received = Received(
        method="POST",
        path=adapter.path,
        query=adapter.query,
        headers=adapter.headers,
        body=json.dumps(adapter.body(wanted)).encode(),
    )
    prompt: Prompt = adapter.dialect.decode(received, strict=False, kept=Shelf())
    return prompt


def data_of(body: bytes) -> list[Any]:
    """What a standard parser sees, by the meaning of its JSON."""
    return [
        event.data if event.data == "[DONE]" else json.loads(event.data)
        for event in SseParser().feed(body)
    ]


def strikes(short: str, *, stream: bool) -> bool:
    """Whether a fault has something to strike."""
    if short in INSTEAD or " every " in short:  # there is no silence of more than a second
        return False
    return stream or short.split(maxsplit=1)[0] not in OF_STREAMS


def shown(answer: Told) -> list[Act]:
    """What a client is sent."""
    return [act for act in answer.acts if not isinstance(act, Amend | Nothing)]


def events_of(body: bytes) -> list[tuple[str, str]]:
    return [(event.event, event.data) for event in SseParser().feed(body)]


class EveryFaultTests(SynchronousTestCase):
    def test_all_are_here(self) -> None:
        names = {short.split()[0].lower().replace("-", "_") for short in shorts()}
        self.assertEqual(names, set(FAULTS))

    def test_answers_end_or_never_do_and_their_times_do_not_decrease(self) -> None:
        for name in DIALECTS:
            for short in shorts():
                for stream in BOTH:
                    for framing in FRAMINGS:
                        self.sound(name, short, stream=stream, framing=framing)

    def sound(self, name: str, short: str, *, stream: bool, framing: Framing) -> None:
        tools = ("f",) if "tools" in DIALECTS[name].can else ()
        parts: list[SaidPart] = [Reasoning(text="Let me think", tokens=3), Text(text=TEXT)]
        parts += [ToolCall(name=tool, arguments='{"a": "b"}') for tool in tools]
        answer = told(name, short, *parts, stream=stream, framing=framing, tools=tools)
        about = (name, short, stream, framing)
        times = [at for at, _ in answer.cues]
        self.assertEqual(times, sorted(times), about)
        self.assertTrue(answer.is_whole() or isinf(answer.ended_at), about)
        kinds = [type(act) for act in answer.acts]
        self.assertLessEqual(kinds.count(Head), 1, about)
        if Write in kinds:
            self.assertLess(kinds.index(Head), kinds.index(Write), about)
        ends = [act for act in answer.acts if isinstance(act, Finish | Close | Abort)]
        self.assertLessEqual(len(ends), 1, about)

    def test_each_strikes(self) -> None:
        for name in DIALECTS:
            for short in SHORT:
                fault = short.split()[0].lower().replace("-", "_")
                for stream in BOTH:
                    answer = told(name, short, stream=stream)
                    if strikes(short, stream=stream):
                        self.assertEqual(answer.noted, [fault], (name, short, stream))
                    else:
                        self.assertEqual(answer.noted, [], (name, short, stream))
                        self.assertEqual(
                            answer.body, told(name, "", stream=stream).body, (name, short)
                        )

    def test_speed_0_makes_them_take_no_time(self) -> None:
        for name in DIALECTS:
            for short in ("stall 10s after 3", "delay 2s", "throttle 100", "slow_head 3s"):
                answer = told(name, short, stream=True, speed=0)
                self.assertLess(answer.ended_at, 20, (name, short))

    def test_what_no_parser_should_mind_changes_no_event(self) -> None:
        for name in DIALECTS:
            plain = told(name, "", stream=True).body
            for short in (
                "split",
                "byte_by_byte",
                "split_characters",
                "line_ends crlf",
                "line_ends cr",
                "comments",
                "no_space",
                "multi_line",
                "unknown_fields",
                "bom",
                "throttle 1000",
                "delay 1s",
            ):
                answer = told(name, short, stream=True)
                self.assertEqual(data_of(answer.body), data_of(plain), (name, short))
                self.assertNotEqual((answer.writes, answer.ended_at), ([plain], 0), (name, short))

    def test_the_length_of_a_whole_answer_is_right(self) -> None:
        for name in DIALECTS:
            for short in ("malformed", "missing", "doubled", "no_end", "bom", "bad_gzip", "split"):
                answer = told(name, short, stream=False)
                self.assertEqual(int(answer.headers["content-length"]), len(answer.body))

    def test_the_same_again_is_the_same(self) -> None:
        for name in DIALECTS:
            for short in SHORT:
                one, other = (told(name, short, stream=True) for _ in BOTH)
                # what changes something kept is a function, and no other's equal
                self.assertEqual(
                    [cue for cue in one.cues if not isinstance(cue[1], Keep | Amend)],
                    [cue for cue in other.cues if not isinstance(cue[1], Keep | Amend)],
                )


class OwnWordsTests(SynchronousTestCase):
    """What a dialect words itself."""

    def test_an_error_in_mid_stream(self) -> None:
        for name, adapter in DIALECTS.items():
            for place in LATE:
                answer = told(name, f"error 500 {place}", stream=True)
                self.assertIsInstance(answer.end, Finish)
                said = adapter.streamed(self.body(answer))
                self.assertTrue(said.error, (name, place))
                self.assertTrue(TEXT.startswith(said.text), (name, said))
                self.assertNotEqual(said.text, TEXT)

    def test_its_last_event_has_the_vendors_shape(self) -> None:
        shapes = {
            "chat": ("message", {"error"}),
            "azure": ("message", {"error"}),
            "completions": ("message", {"error"}),
            "responses": ("response.failed", {"type", "sequence_number", "response"}),
            "anthropic": ("error", {"type", "error", "request_id"}),
        }
        for name, (kind, fields) in shapes.items():
            event, data = events_of(told(name, "error 529 after 3", stream=True).body)[-1]
            self.assertEqual((event, {*json.loads(data)}), (kind, fields), name)
        *_, (event, data), _ = events_of(told("responses", "error 500 after 5", stream=True).body)
        self.assertEqual(
            (event, [*json.loads(data)]),
            ("error", ["type", "sequence_number", "code", "message", "param"]),
        )

    def test_an_error_in_the_middle_of_a_whole_answer_is_one(self) -> None:
        for name, adapter in DIALECTS.items():
            answer = told(name, "error 503 after 2 tokens", stream=False)
            head, body = sent(shown(answer))
            self.assertEqual(head.status, 503, name)
            self.assertTrue(adapter.error(head, body))

    def test_an_answer_cut_off_by_a_filter(self) -> None:
        for name, adapter in DIALECTS.items():
            for stream in BOTH:
                for place in ("after 1 token", "after 3 tokens", "after 2s"):
                    answer = told(name, f"content_filter {place}", stream=stream)
                    said = self.read(adapter, answer, stream=stream)
                    about = name, stream, place
                    self.assertEqual(said.finish, adapter.finish["content_filter"], about)
                    self.assertTrue(TEXT.startswith(said.text) and said.text != TEXT, about)

    def test_azure_says_what_was_filtered(self) -> None:
        for stream in BOTH:
            body = told("azure", "content_filter after 2 tokens", stream=stream).body
            self.assertIn(b'"violence":{"filtered":true,"severity":"medium"}', body)

    def test_an_answer_without_a_finish_reason(self) -> None:
        for name, adapter in DIALECTS.items():
            for stream in BOTH:
                answer = told(name, "no_finish_reason", stream=stream)
                self.assertEqual(answer.noted, ["no_finish_reason"])
                if stream or name not in NEEDS_A_REASON:
                    said = self.read(adapter, answer, stream=stream)
                    # a response has no reason but its status, which is that it is not whole
                    reason = "incomplete" if name == "responses" else None
                    self.assertEqual((said.text, said.finish), (TEXT, reason), (name, stream))
                else:
                    (choice,) = json.loads(self.body(answer))["choices"]
                    self.assertIsNone(choice["finish_reason"], name)

    def test_a_response_without_one_closes_its_items(self) -> None:
        events = data_of(told("responses", "no_finish_reason", stream=True).body)
        kinds = [event["type"] for event in events]
        self.assertEqual(kinds[-2:], ["response.output_item.done", "response.incomplete"])
        self.assertEqual(events[-2]["item"]["status"], "incomplete")
        self.assertIsNone(events[-1]["response"]["incomplete_details"])

    def test_a_stream_without_its_last_event(self) -> None:
        last = {
            "chat": ("message", "[DONE]"),
            "azure": ("message", "[DONE]"),
            "completions": ("message", "[DONE]"),
            "responses": ("response.completed", None),
            "anthropic": ("message_stop", '{"type":"message_stop"}'),
        }
        for name, (kind, data) in last.items():
            for framing in FRAMINGS:
                plain = events_of(told(name, "", stream=True, framing=framing).body)
                self.assertEqual(plain[-1][0], kind)
                self.assertIn(data, (None, plain[-1][1]))
                answer = told(name, "no_end", stream=True, framing=framing)
                self.assertIsInstance(answer.end, Finish)
                self.assertEqual(events_of(answer.body), plain[:-1], name)

    def test_malformed_json(self) -> None:
        for name in DIALECTS:
            plain = events_of(told(name, "", stream=True).body)
            for place in (1, 3, 5):
                broken = events_of(told(name, f"malformed after {place}", stream=True).body)
                self.assertEqual([kind for kind, _ in broken], [kind for kind, _ in plain])
                unlike = [at for at, event in enumerate(broken) if event != plain[at]]
                self.assertEqual(len(unlike), 1, name)
                self.assertRaises(json.JSONDecodeError, json.loads, broken[unlike[0]][1])
            whole = told(name, "malformed", stream=False).body
            self.assertRaises(json.JSONDecodeError, json.loads, whole)

    def test_one_missing_one_twice_and_two_swapped(self) -> None:
        for name in DIALECTS:
            plain = events_of(told(name, "", stream=True).body)
            missing = events_of(told(name, "missing after 4", stream=True).body)
            doubled = events_of(told(name, "doubled after 4", stream=True).body)
            swapped = events_of(told(name, "swapped after 4", stream=True).body)
            self.assertEqual(missing, plain[:4] + plain[5:], name)
            self.assertEqual(doubled, plain[:5] + plain[4:], name)
            self.assertEqual(swapped, [*plain[:4], plain[5], plain[4], *plain[6:]], name)

    def test_more_than_was_asked_for(self) -> None:
        for name, adapter in DIALECTS.items():
            for stream in BOTH:
                answer = told(name, "oversized 50", stream=stream)
                said = self.read(adapter, answer, stream=stream)
                self.assertTrue(said.text.startswith(TEXT) and len(said.text) > len(TEXT) + 100)
                self.assertEqual(said.usage and said.usage[1], WORDS.count(TEXT) + 50)

    def read(self, adapter: Adapter, answer: Told, *, stream: bool) -> Any:
        body = self.body(answer)
        return adapter.streamed(body) if stream else adapter.whole(body)

    def body(self, answer: Told) -> bytes:
        return sent(shown(answer))[1]
