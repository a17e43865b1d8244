"""A message as server-sent events, to the byte."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.anthropic.errors import answer_headers, error_json, failure_acts
from fakellm.model.content import Reasoning, Refusal, Speech, Text, ToolCall
from fakellm.model.events import Begin, ChoiceBegin, Event, Failed, PartBegin, Token
from fakellm.model.framing import Framing
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Failure, Usage
from fakellm.model.timeline import Act, Finish, Head, Write
from tests.dialects.anthropic.answering import (
    answer,
    body_of,
    choice,
    encoded,
    error,
    events_of,
    reassembled,
    stamp,
)
from tests.dialects.anthropic.requests import prompt_of

HEADERS = (
    ("Content-Type", "text/event-stream; charset=utf-8"),
    ("Cache-Control", "no-cache"),
    ("X-Accel-Buffering", "no"),
    *answer_headers(stamp()),
)


def prompt(**fields: Any) -> Prompt:
    return prompt_of(stream=True, **fields)


def streamed(*events: Event, usage: Usage | None = None, **fields: Any) -> bytes:
    return body_of(encoded(prompt(**fields), answer(*events, usage=usage)))


def data_of(body: bytes, name: str) -> list[dict[str, Any]]:
    return [data for event, data in events_of(body) if event == name]


class TextTests(SynchronousTestCase):
    def test_word_for_word(self) -> None:
        id_ = reassembled(body := streamed(*choice((Text(text="Hi all"), ["Hi", " all"]))))["id"]
        self.assertRegex(id_, r"^msg_01[a-zA-Z0-9]{22}$")
        self.assertEqual(
            body.decode(),
            "event: message_start\n"
            'data: {"type":"message_start","message":{"id":"' + id_ + '","type":"message",'
            '"role":"assistant","model":"fake","content":[],"stop_reason":null,'
            '"stop_sequence":null,"stop_details":null,"usage":{"input_tokens":3,'
            '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":'
            '{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":1,'
            '"output_tokens_details":{"thinking_tokens":0},"service_tier":"standard",'
            '"inference_geo":"global"}}}\n\n'
            "event: content_block_start\n"
            'data: {"type":"content_block_start","index":0,'
            '"content_block":{"type":"text","text":""}}\n\n'
            'event: ping\ndata: {"type":"ping"}\n\n'
            "event: content_block_delta\n"
            'data: {"type":"content_block_delta","index":0,'
            '"delta":{"type":"text_delta","text":"Hi"}}\n\n'
            "event: content_block_delta\n"
            'data: {"type":"content_block_delta","index":0,'
            '"delta":{"type":"text_delta","text":" all"}}\n\n'
            "event: content_block_stop\n"
            'data: {"type":"content_block_stop","index":0}\n\n'
            "event: message_delta\n"
            'data: {"type":"message_delta","delta":{"stop_reason":"end_turn",'
            '"stop_sequence":null,"stop_details":null},"usage":{"input_tokens":3,'
            '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"output_tokens":2,'
            '"output_tokens_details":{"thinking_tokens":0}}}\n\n'
            'event: message_stop\ndata: {"type":"message_stop"}\n\n',
        )

    def test_any_character(self) -> None:
        said = 'a"\\\n\r\t\0\u2028😀ü'
        body = streamed(*choice((Text(text=said), [*said])))
        self.assertEqual(reassembled(body)["content"], [{"type": "text", "text": said}])

    def test_only_deltas_of_content_are_tokens(self) -> None:
        acts = encoded(prompt(), answer(*choice((Text(text="Hi"), ["Hi"]))))
        tokens = [act.data for act in acts if isinstance(act, Write) and act.token]
        self.assertEqual(len(tokens), 1)
        self.assertIn(b"text_delta", tokens[0])

    def test_parts_are_blocks(self) -> None:
        body = streamed(
            *choice(
                (Text(text="a"), ["a"]),
                (Text(text=""), []),
                (Text(text=""), [""]),
                (Speech(transcript="b"), ["b"]),
            )
        )
        whole = reassembled(body)["content"]
        self.assertEqual(whole, [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}])
        starts = data_of(body, "content_block_start")
        self.assertEqual([start["index"] for start in starts], [0, 1])
        self.assertEqual(len(data_of(body, "ping")), 1)

    def test_what_the_reply_says_of_itself(self) -> None:
        begun = Begin(model="m", prompt_tokens=1, id="msg_mine", headers=(("request-id", "mine"),))
        head, start = encoded(prompt(), [begun])
        self.assertEqual(head, Head(200, (*HEADERS[:-1], ("request-id", "mine"))))
        assert isinstance(start, Write)
        self.assertIn(b'"id":"msg_mine"', start.data)

    def test_nothing_is_said_where_nothing_is_wanted(self) -> None:
        calls = (ToolCall(name="f", arguments="{}"), ["{}"])
        body = streamed(*choice((Text(text="a"), ["a"]), calls, reason="length"), max_tokens=0)
        whole = reassembled(body)
        self.assertEqual((whole["content"], whole["stop_reason"]), ([], "max_tokens"))
        (start,) = data_of(body, "message_start")
        self.assertEqual(start["message"]["usage"]["output_tokens"], 0)


class CallTests(SynchronousTestCase):
    def test_a_call(self) -> None:
        call = ToolCall(name="f", arguments='{"a":1}', id="toolu_1")
        body = streamed(*choice((call, ['{"a"', ":1}"]), reason="tool_calls"))
        (start,) = data_of(body, "content_block_start")
        self.assertEqual(
            start["content_block"],
            {
                "type": "tool_use",
                "id": "toolu_1",
                "name": "f",
                "input": {},
                "caller": {"type": "direct"},
            },
        )
        pieces = [delta["delta"] for delta in data_of(body, "content_block_delta")]
        self.assertEqual({piece["type"] for piece in pieces}, {"input_json_delta"})
        self.assertEqual([piece["partial_json"] for piece in pieces], ["", '{"a"', ":1}"])
        whole = reassembled(body)
        self.assertEqual(whole["content"][0]["input"], {"a": 1})
        self.assertEqual(whole["stop_reason"], "tool_use")

    def test_calls_have_ids_of_their_own(self) -> None:
        call = (ToolCall(name="f", arguments="{}"), ["{}"])
        content = reassembled(streamed(*choice(call, call)))["content"]
        ids = [block["id"] for block in content]
        self.assertEqual(len(set(ids)), 2)
        for id_ in ids:
            self.assertRegex(id_, r"^toolu_01[a-zA-Z0-9]{22}$")

    def test_free_text_for_a_tool_is_put_into_an_object(self) -> None:
        call = ToolCall(name="f", arguments='say "x"\n', kind="custom")
        body = streamed(*choice((call, ["say ", '"x"\n'])))
        self.assertEqual(reassembled(body)["content"][0]["input"], {"input": 'say "x"\n'})

    def test_arguments_that_are_no_json_go_out_as_they_are(self) -> None:
        body = streamed(*choice((ToolCall(name="f", arguments="nonsense"), ["nonsense"])))
        pieces = [delta["delta"]["partial_json"] for delta in data_of(body, "content_block_delta")]
        self.assertEqual("".join(pieces), "nonsense")


class ThinkingTests(SynchronousTestCase):
    shown = (Reasoning(text="Hm, so"), ["Hm,", " so"])
    hidden = (Reasoning(tokens=7), [""])

    def blocks(self, part: Any, thinking: dict[str, Any] | None) -> list[dict[str, Any]]:
        fields: dict[str, Any] = {} if thinking is None else {"thinking": thinking}
        fields["max_tokens"] = 2000
        body = streamed(*choice(part, (Text(text="a"), ["a"])), **fields)
        *blocks, last = reassembled(body)["content"]
        self.assertEqual(last, {"type": "text", "text": "a"})
        return list(blocks)

    def test_thinking_that_is_shown(self) -> None:
        body = streamed(*choice(self.shown))
        deltas = [delta["delta"] for delta in data_of(body, "content_block_delta")]
        self.assertEqual(
            [delta["type"] for delta in deltas],
            ["thinking_delta", "thinking_delta", "signature_delta"],
        )
        self.assertEqual([delta.get("thinking") for delta in deltas], ["Hm,", " so", None])
        for thinking in (None, {"type": "adaptive"}, {"type": "between_tools"}):
            (block,) = self.blocks(self.shown, thinking)
            self.assertEqual((block["type"], block["thinking"]), ("thinking", "Hm, so"))
            self.assertTrue(block["signature"])

    def test_thinking_that_is_omitted(self) -> None:
        omitted = {"type": "adaptive", "display": "omitted"}
        for part, thinking in (
            (self.shown, omitted),
            (self.hidden, omitted),
            (self.hidden, {"type": "enabled", "budget_tokens": 1024}),
        ):
            (block,) = self.blocks(part, thinking)
            self.assertEqual((block["type"], block["thinking"]), ("thinking", ""))
            self.assertTrue(block["signature"])

    def test_thinking_that_is_hidden_from_who_wants_to_see_it(self) -> None:
        (block,) = self.blocks(self.hidden, {"type": "adaptive", "display": "summarized"})
        self.assertEqual(block["type"], "redacted_thinking")
        self.assertTrue(block["data"])

    def test_thinking_that_nobody_asked_for(self) -> None:
        for part, thinking in (
            (self.hidden, None),
            (self.shown, {"type": "disabled"}),
            (self.hidden, {"type": "disabled"}),
            ((Reasoning(), []), {"type": "adaptive"}),
        ):
            self.assertEqual(self.blocks(part, thinking), [])

    def test_the_usage_tells_of_it(self) -> None:
        usage = Usage(prompt=9, cached=4, completion=8, reasoning=6)
        body = streamed(*choice(self.shown), usage=usage)
        (delta,) = data_of(body, "message_delta")
        self.assertEqual(
            delta["usage"],
            {
                "input_tokens": 5,
                "cache_creation_input_tokens": 0,
                "cache_read_input_tokens": 4,
                "output_tokens": 8,
                "output_tokens_details": {"thinking_tokens": 6},
            },
        )
        (start,) = data_of(body, "message_start")
        self.assertEqual(start["message"]["usage"]["cache_read_input_tokens"], 4)


class StopTests(SynchronousTestCase):
    def stop(self, *events: Event) -> tuple[Any, Any, Any]:
        (delta,) = data_of(streamed(*events), "message_delta")
        told = delta["delta"]
        return told["stop_reason"], told["stop_sequence"], told["stop_details"]

    def test_each_reason(self) -> None:
        said = (Text(text="a"), ["a"])
        for events, expected in (
            (choice(said), ("end_turn", None, None)),
            (choice(said, stop="x"), ("stop_sequence", "x", None)),
            (choice(said, reason="length"), ("max_tokens", None, None)),
            (choice(said, reason="tool_calls"), ("tool_use", None, None)),
        ):
            self.assertEqual(self.stop(*events), expected)

    def test_a_refusal(self) -> None:
        details = {"type": "refusal", "category": None, "explanation": None}
        filtered = choice((Text(text="a"), ["a"]), reason="content_filter")
        self.assertEqual(self.stop(*filtered), ("refusal", None, details))
        self.assertEqual(self.stop(*choice((Refusal(text=""), []))), ("refusal", None, details))
        refused = choice((Refusal(text="I won't"), ["I", " won't"]), (Refusal(text="!"), ["!"]))
        details = {**details, "explanation": "I won't!"}
        self.assertEqual(self.stop(*refused), ("refusal", None, details))
        self.assertEqual(
            reassembled(streamed(*refused))["content"],
            [{"type": "text", "text": "I won't"}, {"type": "text", "text": "!"}],
        )


class FailedTests(SynchronousTestCase):
    failure = Failure(status=529)

    def test_in_mid_stream(self) -> None:
        events = [
            *answer(*choice((Text(text="a"), ["a"])))[:4],
            Failed(failure=self.failure),
        ]
        body = body_of(encoded(prompt(), events))
        name, data = events_of(body)[-1]
        self.assertEqual(name, "error")
        self.assertEqual(data["error"], {"type": "overloaded_error", "message": "Overloaded"})
        self.assertTrue(body.endswith(b"data: " + error_json(self.failure, stamp()) + b"\n\n"))
        error(error_json(self.failure, stamp()))

    def test_before_anything_was_sent(self) -> None:
        alone = encoded(prompt(), [Failed(failure=self.failure)])
        self.assertEqual(alone, [*failure_acts(self.failure, stamp())])
        late = Framing(head_at_once=False)
        begun = encoded(prompt(), [*answer()[:1], Failed(failure=self.failure)], late)
        self.assertEqual(begun, alone)


class FramingTests(SynchronousTestCase):
    said: Any = (Text(text="ab"), ["a", "b"])

    def by_event(self, framing: Framing) -> list[list[Act]]:
        """The acts of the beginning, of the first token and of the rest."""
        events = answer(*choice(self.said))
        begin, *rest = events
        first = next(i for i, event in enumerate(rest) if isinstance(event, Token))
        acts = [encoded(prompt(), events[: 1 + n], framing) for n in (0, first, first + 1)]
        self.assertIsInstance(begin, Begin)
        whole = encoded(prompt(), events, framing)
        self.assertEqual(whole[: len(acts[2])], acts[2])
        self.assertEqual(whole, encoded(prompt(), events))  # the bytes are the same
        return acts

    def test_all_at_once(self) -> None:
        for begun in self.by_event(Framing())[:2]:
            self.assertEqual(len(begun), 2)
            self.assertEqual(begun[0], Head(200, HEADERS))

    def test_the_start_with_the_first_token(self) -> None:
        begun, before, said = self.by_event(Framing(role_alone=False))
        self.assertEqual((begun, before), ([Head(200, HEADERS)], [Head(200, HEADERS)]))
        self.assertEqual(len(said), 5)

    def test_the_head_with_the_first_token(self) -> None:
        for role_alone in (True, False):
            framing = Framing(head_at_once=False, role_alone=role_alone)
            begun, before, said = self.by_event(framing)
            self.assertEqual((begun, before), ([], []))
            self.assertEqual(said[0], Head(200, HEADERS))
            self.assertEqual(len(said), 5)

    def test_the_head_with_the_end_of_nothing(self) -> None:
        acts = encoded(prompt(), answer(*choice()), Framing(head_at_once=False))
        self.assertIsInstance(acts[0], Head)
        self.assertIsInstance(acts[-1], Finish)

    def test_tokens_of_no_part_are_nothing(self) -> None:
        begun: list[Event] = [ChoiceBegin(choice=0, parts=()), Token(0, 0, "a")]
        self.assertEqual(len(encoded(prompt(), [*answer()[:1], *begun])), 2)
        hidden = PartBegin(choice=0, part=0, content=Reasoning(tokens=3))
        acts = encoded(prompt(), [*answer()[:1], hidden, Token(0, 0, "a")])
        self.assertEqual(len(acts), 2)
