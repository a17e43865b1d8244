"""Chat completions as server-sent events."""

import base64
import json
from typing import Any

from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai.chat_fields import SPEECH_LASTS_SECONDS
from fakellm.dialects.speech import speak
from fakellm.model.content import Reasoning, Refusal, SaidPart, Speech, Text, ToolCall
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    Failed,
    Logprob,
    PartBegin,
    PartEnd,
    Token,
)
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.reply import Failure, FinishReason, Usage
from fakellm.model.timeline import Finish, Head, Write
from tests.dialects.openai.answering import (
    CREATED,
    answer,
    body_of,
    choice,
    chunks_of,
    encoded,
    stamp,
)
from tests.dialects.openai.requests import prompt_of

HELLO = choice((Text(text="hello world"), ["hello", " world"]))
SPOKEN: dict[str, Any] = {
    "modalities": ["text", "audio"],
    "audio": {"voice": "alloy", "format": "pcm16"},
}


class StreamTestCase(SynchronousTestCase):
    def chunks(self, events: list[Event], **fields: Any) -> list[dict[str, Any]]:
        """The chunks of an answer to a request with these fields."""
        return chunks_of(body_of(encoded(prompt_of(stream=True, **fields), events)))

    def deltas(self, events: list[Event], index: int = 0, **fields: Any) -> list[dict[str, Any]]:
        """What is said of one choice, chunk by chunk."""
        return [
            each["delta"]
            for chunk in self.chunks(events, **fields)
            for each in chunk["choices"]
            if each["index"] == index
        ]


class TextTests(StreamTestCase):
    def test_the_bytes_of_a_stream(self) -> None:
        acts = encoded(prompt_of(stream=True), answer(HELLO))
        self.assertEqual(
            acts[0],
            Head(
                200,
                (
                    ("Content-Type", "text/event-stream"),
                    ("Cache-Control", "no-cache"),
                    ("X-Accel-Buffering", "no"),
                    ("openai-version", "2020-10-01"),
                    ("x-request-id", stamp().request_id),
                ),
            ),
        )
        common = (
            f'data: {{"id":"{stamp().unique("chatcmpl-", 29)}","object":"chat.completion.chunk",'
            f'"created":{CREATED},"model":"fake","service_tier":"default",'
            '"system_fingerprint":"fp_test","choices":[{"index":0,"delta":'
        )
        self.assertEqual(
            body_of(acts).decode(),
            f'{common}{{"role":"assistant","content":"","refusal":null}},'
            '"logprobs":null,"finish_reason":null}]}\n\n'
            f'{common}{{"content":"hello"}},"logprobs":null,"finish_reason":null}}]}}\n\n'
            f'{common}{{"content":" world"}},"logprobs":null,"finish_reason":null}}]}}\n\n'
            f'{common}{{}},"logprobs":null,"finish_reason":"stop"}}]}}\n\n'
            "data: [DONE]\n\n",
        )

    def test_what_a_reply_says_of_itself(self) -> None:
        begin = Begin(
            model="m",
            prompt_tokens=1,
            id="chatcmpl-1",
            headers=(("X-Mine", "1"), ("cache-control", "no-store")),
            system_fingerprint="fp_1",
        )
        acts = encoded(prompt_of(stream=True), [begin, *answer(HELLO)[1:]])
        assert isinstance(acts[0], Head)
        self.assertEqual(
            [value for name, value in acts[0].headers if name.lower() == "cache-control"],
            ["no-store"],
        )
        self.assertIn(("X-Mine", "1"), acts[0].headers)
        for chunk in chunks_of(body_of(acts)):
            self.assertEqual((chunk["id"], chunk["system_fingerprint"]), ("chatcmpl-1", "fp_1"))

    def test_a_token_is_a_write(self) -> None:
        """So that each can have its own time."""
        acts = encoded(prompt_of(stream=True), answer(HELLO))
        self.assertEqual([type(act) for act in acts], [Head, *[Write] * 5, Finish])

    def test_text_that_json_and_events_have_to_escape(self) -> None:
        text = '"\\\n\r\n\t\0\x7f\u2028ü😀</script>data: [DONE]\n\n'
        events = answer(choice((Text(text=text), [text])))
        self.assertEqual(self.deltas(events)[1], {"content": text})

    def test_the_tier_is_the_one_served(self) -> None:
        for asked, served in [
            (None, "default"), ("auto", "default"), ("default", "default"), ("flex", "flex"),
            ("scale", "scale"), ("priority", "priority"), ("fast", "priority"),
        ]:  # fmt: skip
            (first, *_) = self.chunks(answer(HELLO), service_tier=asked)
            self.assertEqual(first["service_tier"], served)

    def test_reasons_to_finish(self) -> None:
        for reason in ("stop", "length", "content_filter", "tool_calls"):
            chunks = self.chunks(answer(choice((Text(text=""), []), reason=reason)))
            self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], reason)

    def test_choices_interleave(self) -> None:
        one, other = choice((Text(text="ab"), ["a", "b"])), choice((Text(text="c"), ["c"]), index=1)
        mixed = [
            event for pair in zip(one, [*other, None], strict=False) for event in pair if event
        ]
        mixed += one[len(other) + 1 :]
        chunks = self.chunks(answer(mixed))
        self.assertEqual(
            [(c["index"], c["delta"].get("content")) for chunk in chunks for c in chunk["choices"]],
            [(0, ""), (1, ""), (0, "a"), (1, "c"), (0, "b"), (1, None), (0, None)],
        )
        self.assertEqual(len({chunk["id"] for chunk in chunks}), 1)

    def test_two_texts_are_said_one_after_the_other(self) -> None:
        events = answer(choice((Text(text="a"), ["a"]), (Text(text="b"), ["b"])))
        self.assertEqual([d.get("content") for d in self.deltas(events)], ["", "a", "b", None])

    def test_a_refusal(self) -> None:
        self.assertEqual(
            self.deltas(answer(choice((Refusal(text="I won't"), ["I", " won't"])))),
            [
                {"role": "assistant", "content": None, "refusal": None},
                {"refusal": "I"},
                {"refusal": " won't"},
                {},
            ],
        )

    def test_reasoning_is_hidden(self) -> None:
        events = choice(
            (Reasoning(text="Hm", tokens=5), ["", "Hm"]), (Text(text="hello"), ["hello"])
        )
        self.assertEqual(
            [d.get("content") for d in self.deltas(answer(events))], ["", "hello", None]
        )


class ToolCallTests(StreamTestCase):
    def test_calls_have_indices_ids_and_arguments_bit_by_bit(self) -> None:
        events = choice(
            (ToolCall(name="f", arguments='{"a":1}', id="call_7"), ['{"a"', ":1}"]),
            (ToolCall(name="g", arguments="{}"), ["{}"]),
            reason="tool_calls",
        )
        first, *rest = self.deltas(answer(events))
        self.assertEqual(first, {"role": "assistant", "content": None, "refusal": None})
        made = rest[3]["tool_calls"][0]["id"]
        self.assertRegex(made, r"^call_\w{24}$")
        f = {"name": "f", "arguments": ""}
        self.assertEqual(
            [delta.get("tool_calls") for delta in rest],
            [
                [{"index": 0, "id": "call_7", "type": "function", "function": f}],
                [{"index": 0, "function": {"arguments": '{"a"'}}],
                [{"index": 0, "function": {"arguments": ":1}"}}],
                [
                    {
                        "index": 1,
                        "id": made,
                        "type": "function",
                        "function": {"name": "g", "arguments": ""},
                    }
                ],
                [{"index": 1, "function": {"arguments": "{}"}}],
                None,
            ],
        )

    def test_custom_tools_have_input(self) -> None:
        call = ToolCall(name="note", arguments="x y", id="call_1", kind="custom")
        self.assertEqual(
            [d["tool_calls"] for d in self.deltas(answer(choice((call, ["x", " y"]))))[1:-1]],
            [
                [
                    {
                        "index": 0,
                        "id": "call_1",
                        "type": "custom",
                        "custom": {"name": "note", "input": ""},
                    }
                ],
                [{"index": 0, "custom": {"input": "x"}}],
                [{"index": 0, "custom": {"input": " y"}}],
            ],
        )

    def test_every_choice_counts_its_own_calls(self) -> None:
        call = (ToolCall(name="f", arguments="{}"), ["{}"])
        events = answer(choice(call), choice((Text(text=""), []), call, index=1))
        ids = set()
        for index in (0, 1):
            begun = self.deltas(events, index)[1]["tool_calls"][0]
            self.assertEqual(begun["index"], 0)
            ids.add(begun["id"])
        self.assertEqual(len(ids), 2)

    def test_where_functions_are_offered_one_is_called(self) -> None:
        events = choice(
            (ToolCall(name="f", arguments="{}"), ["{", "}"]),
            (ToolCall(name="g", arguments="{}"), ["{}"]),
            reason="tool_calls",
        )
        chunks = self.chunks(answer(events), functions=[{"name": "f"}, {"name": "g"}])
        self.assertEqual(
            [chunk["choices"][0]["delta"] for chunk in chunks[1:]],
            [
                {"function_call": {"name": "f", "arguments": ""}},
                {"function_call": {"arguments": "{"}},
                {"function_call": {"arguments": "}"}},
                {},
            ],
        )
        self.assertEqual(chunks[-1]["choices"][0]["finish_reason"], "function_call")


class LogprobsTests(StreamTestCase):
    def scored(self, content: Any) -> list[Event]:
        scores = [Logprob(value=-0.5), Logprob(value=-0.1, top=(("é", -0.1), ("x", -2.5)))]
        return [
            Begin(model="m", prompt_tokens=1),
            ChoiceBegin(choice=0, parts=(content,)),
            PartBegin(choice=0, part=0, content=content),
            Token(0, 0, "caf", 1, scores[0]),
            Token(0, 0, "é", 1, scores[1]),
            PartEnd(choice=0, part=0),
            ChoiceEnd(choice=0, finish_reason="stop"),
            End(usage=Usage()),
        ]

    ENTRIES: tuple[dict[str, Any], ...] = (
        {"token": "caf", "logprob": -0.5, "bytes": [99, 97, 102], "top_logprobs": []},
        {
            "token": "é",
            "logprob": -0.1,
            "bytes": [195, 169],
            "top_logprobs": [
                {"token": "é", "logprob": -0.1, "bytes": [195, 169]},
                {"token": "x", "logprob": -2.5, "bytes": [120]},
            ],
        },
    )

    def test_an_entry_comes_with_its_token(self) -> None:
        for content, kind, other in [
            (Text(text="café"), "content", "refusal"),
            (Refusal(text="café"), "refusal", "content"),
        ]:
            chunks = self.chunks(self.scored(content), logprobs=True)
            self.assertEqual(
                [(c["choices"][0]["delta"], c["choices"][0]["logprobs"]) for c in chunks[1:]],
                [
                    ({kind: "caf"}, {kind: [self.ENTRIES[0]], other: None}),
                    ({kind: "é"}, {kind: [self.ENTRIES[1]], other: None}),
                    ({}, None),
                ],
            )
            self.assertEqual({c["choices"][0]["finish_reason"] for c in chunks[:-1]}, {None})

    def test_usage_and_obfuscation_go_with_them(self) -> None:
        options = {"include_usage": True, "include_obfuscation": True}
        chunks = self.chunks(self.scored(Text(text="")), logprobs=True, stream_options=options)
        self.assertEqual(chunks[1]["choices"][0]["logprobs"]["content"], [self.ENTRIES[0]])
        self.assertEqual(chunks[1]["usage"], None)
        self.assertIn("obfuscation", chunks[1])


class SpeechTests(StreamTestCase):
    def test_words_come_first_and_then_their_sound(self) -> None:
        events = answer(choice((Speech(transcript="hello"), ["hel", "lo"])))
        first, *rest, last = [d["audio"] for d in self.deltas(events, **SPOKEN)[1:-1]]
        voice = first["id"]
        self.assertEqual(first, {"id": voice, "transcript": ""})
        self.assertRegex(voice, r"^audio_\w{24}$")
        self.assertEqual(rest[:2], [{"transcript": "hel"}, {"transcript": "lo"}])
        self.assertEqual({each["id"] for each in rest[2:]}, {voice})
        sound = b"".join(base64.b64decode(each["data"], validate=True) for each in rest[2:])
        self.assertEqual(sound, speak("hello", "pcm16"))
        self.assertEqual(last, {"id": voice, "expires_at": CREATED + SPEECH_LASTS_SECONDS})

    def test_the_sound_is_of_the_words_that_were_said(self) -> None:
        """An answer may be cut off before all is said."""
        events = answer(choice((Speech(transcript="hello" * 9), ["hello"]), reason="length"))
        data = [d["audio"].get("data", "") for d in self.deltas(events, **SPOKEN)[1:-1]]
        self.assertEqual(b"".join(base64.b64decode(each) for each in data), speak("hello", "pcm16"))

    def test_a_choice_has_one_voice(self) -> None:
        said = [(Speech(transcript=text), [text]) for text in ("a", "b")]
        for index, other in ((0, 1), (1, 0)):
            events = answer(choice(*said), choice(*said, index=1))
            voices = {
                d["audio"]["id"]
                for d in self.deltas(events, index, **SPOKEN)
                if "id" in d.get("audio", {})
            }
            self.assertEqual(len(voices), 1)
            self.assertNotIn(
                voices.pop(),
                [
                    d["audio"].get("id")
                    for d in self.deltas(events, other, **SPOKEN)
                    if "audio" in d
                ],
            )

    def test_there_is_no_content(self) -> None:
        events = answer(choice((Speech(transcript="a"), ["a"])))
        self.assertEqual(self.deltas(events, **SPOKEN)[0]["content"], None)


class EndTests(StreamTestCase):
    USAGE = Usage(
        prompt=10,
        cached=5,
        completion=9,
        reasoning=4,
        audio=3,
        prediction_accepted=2,
        prediction_rejected=1,
    )

    def test_usage_comes_last_and_alone(self) -> None:
        chunks = self.chunks(
            answer(HELLO, usage=self.USAGE), stream_options={"include_usage": True}
        )
        self.assertEqual([chunk["usage"] for chunk in chunks[:-1]], [None] * 4)
        self.assertEqual(chunks[-1]["choices"], [])
        self.assertEqual(
            chunks[-1]["usage"],
            {
                "prompt_tokens": 10,
                "completion_tokens": 9,
                "total_tokens": 19,
                "prompt_tokens_details": {"cached_tokens": 5, "audio_tokens": 0},
                "completion_tokens_details": {
                    "reasoning_tokens": 4,
                    "audio_tokens": 3,
                    "accepted_prediction_tokens": 2,
                    "rejected_prediction_tokens": 1,
                },
            },
        )
        self.assertEqual(chunks[-1]["id"], chunks[0]["id"])

    def test_without_asking_there_is_no_usage(self) -> None:
        for options in (None, {}, {"include_usage": False}, {"include_usage": None}):
            for chunk in self.chunks(answer(HELLO), stream_options=options):
                self.assertNotIn("usage", chunk)
                self.assertNotEqual(chunk["choices"], [])

    def test_moderation_comes_before_usage(self) -> None:
        chunks = self.chunks(
            answer(HELLO),
            moderation={"model": "omni"},
            stream_options={"include_usage": True},
        )
        moderated, used = chunks[-2:]
        self.assertEqual((moderated["choices"], moderated["usage"]), ([], None))
        for side in ("input", "output"):
            verdict = moderated["moderation"][side]
            self.assertEqual((verdict["type"], verdict["model"]), ("moderation_results", "omni"))
            self.assertFalse(verdict["results"][0]["flagged"])
        self.assertNotIn("moderation", used)

    def test_moderation_without_usage(self) -> None:
        last = self.chunks(answer(HELLO), moderation={"model": "omni"})[-1]
        self.assertEqual(last["choices"], [])
        self.assertNotIn("usage", last)

    def test_obfuscation_hides_how_long_a_token_is(self) -> None:
        tokens = ["", "a", "hello", "x" * 15, "y" * 40]
        events = answer(choice((Text(text=""), tokens)))
        chunks = self.chunks(events, stream_options={"include_obfuscation": True})[1:-1]
        lengths = [
            len(token + chunk["obfuscation"]) for token, chunk in zip(tokens, chunks, strict=True)
        ]
        self.assertEqual(lengths, [16, 16, 16, 16, 41])
        self.assertNotEqual(chunks[0]["obfuscation"], "x" * 16)

    def test_obfuscation_is_the_same_every_time(self) -> None:
        options = {"include_obfuscation": True, "include_usage": False}
        one, other = (self.chunks(answer(HELLO), stream_options=options) for _ in "ab")
        self.assertEqual(one, other)
        self.assertGreater(len({chunk["obfuscation"] for chunk in one}), 1)


class FailedTests(StreamTestCase):
    FAILURE = Failure(status=503, message="No more", code="overloaded")

    def test_before_it_begins_a_stream_is_an_error_answer(self) -> None:
        head, write, finish = encoded(prompt_of(stream=True), [Failed(failure=self.FAILURE)])
        assert isinstance(head, Head)
        assert isinstance(write, Write)
        self.assertEqual(head.status, 503)
        self.assertIn(("Content-Type", "application/json"), head.headers)
        self.assertEqual(json.loads(write.data)["error"]["message"], "No more")
        self.assertEqual(finish, Finish())

    def test_in_mid_stream_the_error_is_the_last_event(self) -> None:
        events: list[Event] = [*answer(HELLO)[:4], Failed(failure=self.FAILURE)]
        body = body_of(encoded(prompt_of(stream=True), events))
        self.assertTrue(
            body.endswith(
                b'}\n\ndata: {"error":{"message":"No more","type":"service_unavailable_error",'
                b'"param":null,"code":"overloaded"}}\n\n'
            )
        )
        self.assertNotIn(b"[DONE]", body)
        self.assertIn(b'"content":"hello"', body)


ROLE: dict[str, Any] = {"role": "assistant", "content": "", "refusal": None}
NO_TEXT: dict[str, Any] = {"role": "assistant", "content": None, "refusal": None}
TOGETHER = Framing(role_alone=False, finish_alone=False)


def with_last(events: list[Event], reason: FinishReason = "stop") -> list[Event]:
    """The events of a choice, whose last token tells the reason for its end."""
    at = max(index for index, event in enumerate(events) if isinstance(event, Token))
    last = structs.replace(events[at], last=reason)
    return [*events[:at], last, *events[at + 1 :]]


class FramingTests(StreamTestCase):
    """Which chunks stand alone."""

    def framed(
        self, events: list[Event], framing: Framing = TOGETHER, **fields: Any
    ) -> list[tuple[dict[str, Any], str | None]]:
        """Delta and finish reason of each chunk."""
        acts = encoded(prompt_of(stream=True, **fields), answer(events), framing)
        return [
            (each["delta"], each["finish_reason"])
            for chunk in chunks_of(body_of(acts))
            for each in chunk["choices"]
        ]

    def test_the_role_with_the_first_token_and_the_finish_reason_with_the_last(self) -> None:
        text = with_last(choice((Text(text="abc"), ["a", "b", "c"])))
        role, first = ROLE, {**ROLE, "content": "a"}
        second, third = {"content": "b"}, {"content": "c"}
        nothing: dict[str, Any] = {}
        for role_alone, finish_alone, expected in [
            (True, True, [(role, None), ({"content": "a"}, None), (second, None), (third, None),
                          (nothing, "stop")]),
            (False, True, [(first, None), (second, None), (third, None), (nothing, "stop")]),
            (True, False, [(role, None), ({"content": "a"}, None), (second, None),
                           (third, "stop")]),
            (False, False, [(first, None), (second, None), (third, "stop")]),
        ]:  # fmt: skip
            framing = Framing(role_alone=role_alone, finish_alone=finish_alone)
            self.assertEqual(self.framed(text, framing), expected)

    def test_the_bytes_of_a_token_are_those_of_one_that_comes_alone(self) -> None:
        events = answer(with_last(choice((Text(text="abc"), ["a", "b", "c"]))))
        alone = body_of(encoded(prompt_of(stream=True), events)).split(b"\n\n")
        together = body_of(encoded(prompt_of(stream=True), events, TOGETHER)).split(b"\n\n")
        self.assertEqual(together[1], alone[2])
        self.assertEqual(
            together[0],
            alone[0].replace(b'"content":""', b'"content":"a"'),
        )
        self.assertEqual(
            together[2],
            alone[3].replace(b'"finish_reason":null', b'"finish_reason":"stop"'),
        )

    def test_many_tokens_are_exactly_so_many_chunks(self) -> None:
        for count in (1, 2, 50):
            events = with_last(choice((Text(text=""), ["x"] * count)))
            acts = encoded(
                prompt_of(stream=True, stream_options={"include_usage": True}),
                answer(events),
                TOGETHER,
            )
            chunks = chunks_of(body_of(acts))
            self.assertEqual(len(chunks), count + 1)
            self.assertEqual([bool(chunk["usage"]) for chunk in chunks], [False] * count + [True])
            self.assertEqual(len(acts), count + 4)  # head, usage, [DONE] and finish besides

    def test_one_token_has_both(self) -> None:
        events = with_last(choice((Refusal(text="No"), ["No"])))
        self.assertEqual(self.framed(events), [({**NO_TEXT, "refusal": "No"}, "stop")])

    def test_without_a_token_one_chunk_has_both(self) -> None:
        cases: list[tuple[list[tuple[SaidPart, list[str]]], dict[str, Any]]] = [
            ([], NO_TEXT),
            ([(Text(text=""), [])], ROLE),
            ([(Reasoning(tokens=3), [""])], NO_TEXT),
        ]
        for said, role in cases:
            events = choice(*said)
            self.assertEqual(self.framed(events), [(role, "stop")])
            alone = [(role, None), ({}, "stop")]
            for framing in (Framing(role_alone=False), Framing(finish_alone=False)):
                self.assertEqual(self.framed(events, framing), alone)

    def test_hidden_tokens_have_neither(self) -> None:
        thought = (Reasoning(text="Hm", tokens=5), ["", "Hm"])
        events = with_last(choice(thought, (Text(text="a"), ["a"])))
        self.assertEqual(self.framed(events), [({**ROLE, "content": "a"}, "stop")])
        events = with_last(choice((Text(text="a"), ["a"]), thought))
        self.assertEqual(self.framed(events), [({**ROLE, "content": "a"}, None), ({}, "stop")])

    def test_a_text_that_was_not_said_leaves_the_role_to_the_next(self) -> None:
        events = with_last(choice((Text(text=""), []), (Text(text="b"), ["b"])))
        self.assertEqual(self.framed(events), [({**ROLE, "content": "b"}, "stop")])

    def test_a_last_token_that_says_nothing_of_it_is_followed_by_the_finish_reason(self) -> None:
        events = choice((Text(text="a"), ["a"]))
        self.assertEqual(self.framed(events), [({**ROLE, "content": "a"}, None), ({}, "stop")])

    def test_a_call_begins_with_its_first_token(self) -> None:
        events = with_last(
            choice(
                (ToolCall(name='f"', arguments="{}", id="call_1"), ["{", "}"]),
                (ToolCall(name="g", arguments="xy", id="call_2", kind="custom"), ["x", "y"]),
                reason="tool_calls",
            ),
            "tool_calls",
        )
        f: dict[str, Any] = {"index": 0, "id": "call_1", "type": "function"}
        g: dict[str, Any] = {"index": 1, "id": "call_2", "type": "custom"}
        self.assertEqual(
            self.framed(events),
            [
                (
                    {
                        **NO_TEXT,
                        "tool_calls": [{**f, "function": {"name": 'f"', "arguments": "{"}}],
                    },
                    None,
                ),
                ({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}, None),
                ({"tool_calls": [{**g, "custom": {"name": "g", "input": "x"}}]}, None),
                ({"tool_calls": [{"index": 1, "custom": {"input": "y"}}]}, "tool_calls"),
            ],
        )

    def test_a_call_without_arguments_has_a_chunk_of_its_own(self) -> None:
        call = ToolCall(name="f", arguments="", id="call_1")
        begun = {"index": 0, "id": "call_1", "type": "function",
                 "function": {"name": "f", "arguments": ""}}  # fmt: skip
        other = {**begun, "index": 1}
        self.assertEqual(
            self.framed(choice((call, []), (call, []), reason="tool_calls")),
            [
                ({**NO_TEXT, "tool_calls": [begun]}, None),
                ({"tool_calls": [other]}, None),
                ({}, "tool_calls"),
            ],
        )

    def test_functions_too(self) -> None:
        said = (ToolCall(name="f", arguments="{}"), ["{", "}"])
        offered: dict[str, Any] = {"functions": [{"name": "f"}]}
        events = with_last(choice(said, reason="tool_calls"), "tool_calls")
        called = {"function_call": {"name": "f", "arguments": "{"}}
        rest = {"function_call": {"arguments": "}"}}
        self.assertEqual(
            self.framed(events, **offered),
            [({**NO_TEXT, **called}, None), (rest, "function_call")],
        )
        events = with_last(choice(said, said, reason="tool_calls"), "tool_calls")
        self.assertEqual(
            self.framed(events, **offered),
            [({**NO_TEXT, **called}, None), (rest, None), ({}, "function_call")],
        )

    def test_speech_begins_with_its_first_word_and_ends_after_its_sound(self) -> None:
        events = with_last(choice((Speech(transcript="hello"), ["hel", "lo"])))
        (first, _), (second, _), *sound, (end, reason) = self.framed(events, **SPOKEN)
        voice = first["audio"]["id"]
        self.assertEqual(first, {**NO_TEXT, "audio": {"id": voice, "transcript": "hel"}})
        self.assertEqual(second, {"audio": {"transcript": "lo"}})
        self.assertEqual({(each["audio"]["id"], told) for each, told in sound}, {(voice, None)})
        self.assertEqual((end, reason), ({}, "stop"))
        data = [each["audio"].get("data", "") for each, _ in sound]
        self.assertEqual(b"".join(map(base64.b64decode, data)), speak("hello", "pcm16"))

    def test_speech_without_a_word_begins_all_the_same(self) -> None:
        silent: tuple[SaidPart, list[str]] = (Speech(transcript=""), [])
        (first, _), *rest = self.framed(choice(silent, silent), **SPOKEN)
        self.assertEqual(first["audio"]["transcript"], "")
        self.assertEqual(first["role"], "assistant")
        self.assertNotIn("role", [name for delta, _ in rest for name in delta])

    def test_each_choice_has_its_own(self) -> None:
        one = with_last(choice((Text(text="ab"), ["a", "b"])))
        other = with_last(choice((Text(text="c"), ["c"]), index=1, reason="length"), "length")
        acts = encoded(
            prompt_of(stream=True), answer(one[:3], other[:3], one[3:], other[3:]), TOGETHER
        )
        self.assertEqual(
            [
                (c["index"], c["delta"]["content"], "role" in c["delta"], c["finish_reason"])
                for chunk in chunks_of(body_of(acts))
                for c in chunk["choices"]
            ],
            [(0, "a", True, None), (1, "c", True, "length"), (0, "b", False, "stop")],
        )

    def test_scores_usage_and_obfuscation_go_with_them(self) -> None:
        options = {"include_usage": True, "include_obfuscation": True}
        for content, kind in ((Text(text="ab"), "content"), (Refusal(text="ab"), "refusal")):
            said = with_last(choice((content, ["a", "b"])))
            scored = [
                structs.replace(event, logprob=Logprob(value=-0.5))
                if isinstance(event, Token)
                else event
                for event in said
            ]
            prompt = prompt_of(stream=True, logprobs=True, stream_options=options)
            chunks = chunks_of(body_of(encoded(prompt, answer(scored), TOGETHER)))
            self.assertEqual(len(chunks), 3)
            for chunk, token in zip(chunks, "ab", strict=False):
                (each,) = chunk["choices"]
                self.assertEqual(each["delta"][kind], token)
                self.assertEqual([e["token"] for e in each["logprobs"][kind]], [token])
                self.assertEqual(chunk["usage"], None)
                self.assertIn("obfuscation", chunk)
            self.assertEqual(chunks[1]["choices"][0]["finish_reason"], "stop")

    def test_an_answer_may_fail_before_its_role_is_told(self) -> None:
        events = [*answer(HELLO)[:3], Failed(failure=Failure(status=500))]
        acts = encoded(prompt_of(stream=True), events, TOGETHER)
        self.assertEqual([type(act) for act in acts], [Head, Write, Finish])


class LeftOutTests(StreamTestCase):
    """What a stream that has to keep up may leave out: tokens of text, and nothing else."""

    def marked(
        self,
        events: list[Event],
        framing: Framing = DEFAULT_FRAMING,
        **fields: Any,
    ) -> str:
        acts = encoded(prompt_of(stream=True, **fields), answer(events), framing)
        return "".join("t" if act.token else "." for act in acts if isinstance(act, Write))

    def test_tokens_of_text_are_marked(self) -> None:
        for part in (Text(text="abc"), Refusal(text="abc")):
            events = with_last(choice((part, ["a", "b", "c"])))
            self.assertEqual(self.marked(events), ".ttt..")
            self.assertEqual(self.marked(events, stream_options={"include_usage": True}), ".ttt...")
            noise = {"include_obfuscation": True}
            self.assertEqual(self.marked(events, stream_options=noise), ".ttt..")

    def test_what_bears_more_than_a_token_is_not(self) -> None:
        events = with_last(choice((Text(text="abc"), ["a", "b", "c"])))
        self.assertEqual(self.marked(events, TOGETHER), ".t..")

    def test_neither_are_arguments_and_speech(self) -> None:
        call = (ToolCall(name="f", arguments="{}"), ["{", "}"])
        self.assertEqual(set(self.marked(choice(call))), {"."})
        speech = (Speech(transcript="ab"), ["a", "b"])
        self.assertEqual(set(self.marked(choice(speech), **SPOKEN)), {"."})
