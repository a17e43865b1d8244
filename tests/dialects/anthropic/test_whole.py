"""A message as one JSON object."""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.anthropic.errors import answer_headers, failure_acts
from fakellm.model.content import Reasoning, Refusal, Text, ToolCall
from fakellm.model.events import Begin, Event, Failed
from fakellm.model.reply import Failure, Usage
from fakellm.model.timeline import Head
from tests.dialects.anthropic.answering import answer, body_of, choice, encoded, message, stamp
from tests.dialects.anthropic.requests import prompt_of


def whole(*events: Event, usage: Usage | None = None, **fields: Any) -> dict[str, Any]:
    body = body_of(encoded(prompt_of(**fields), answer(*events, usage=usage)))
    message(body)
    found: dict[str, Any] = json.loads(body)
    return found


class WholeTests(SynchronousTestCase):
    maxDiff = None

    def test_word_for_word(self) -> None:
        events = answer(*choice((Text(text="Hi all"), ["Hi", " all"])))
        body = body_of(encoded(prompt_of(), events))
        id_ = message(body).id
        self.assertRegex(id_, r"^msg_01[a-zA-Z0-9]{22}$")
        self.assertEqual(
            body.decode(),
            '{"id":"' + id_ + '","type":"message","role":"assistant","model":"fake",'
            '"content":[{"type":"text","text":"Hi all"}],"stop_reason":"end_turn",'
            '"stop_sequence":null,"stop_details":null,"usage":{"input_tokens":3,'
            '"cache_creation_input_tokens":0,"cache_read_input_tokens":0,"cache_creation":'
            '{"ephemeral_5m_input_tokens":0,"ephemeral_1h_input_tokens":0},"output_tokens":2,'
            '"output_tokens_details":{"thinking_tokens":0},"service_tier":"standard",'
            '"inference_geo":"global"}}',
        )

    def test_the_head(self) -> None:
        body = body_of(acts := encoded(prompt_of(), answer(*choice((Text(text="a"), ["a"])))))
        length = str(len(body))
        self.assertEqual(
            acts[0],
            Head(
                200,
                (
                    ("Content-Type", "application/json"),
                    ("Content-Length", length),
                    *answer_headers(stamp()),
                ),
            ),
        )

    def test_what_the_reply_says_of_itself(self) -> None:
        begun = Begin(model="m", prompt_tokens=1, id="msg_mine", headers=(("X-Mine", "1"),))
        acts = encoded(prompt_of(), [begun, *answer()[1:]])
        self.assertEqual(message(body_of(acts)).id, "msg_mine")
        assert isinstance(acts[0], Head)
        self.assertIn(("X-Mine", "1"), acts[0].headers)

    def test_every_sort_of_block(self) -> None:
        found = whole(
            *choice(
                (Reasoning(text="Hm"), ["Hm"]),
                (Reasoning(tokens=3), [""]),
                (Text(text="a"), ["a"]),
                (Text(text=""), []),
                (ToolCall(name="f", arguments='{"a": 1}', id="t"), ['{"a":', " 1}"]),
                (ToolCall(name="g", arguments="x", id="u", kind="custom"), ["x"]),
            ),
            thinking={"type": "adaptive", "display": "summarized"},
        )["content"]
        kinds = [block["type"] for block in found]
        self.assertEqual(kinds, ["thinking", "redacted_thinking", "text", "tool_use", "tool_use"])
        self.assertEqual((found[0]["thinking"], found[2]["text"]), ("Hm", "a"))
        self.assertEqual([found[3]["input"], found[4]["input"]], [{"a": 1}, {"input": "x"}])

    def test_thinking_that_is_omitted_or_disabled(self) -> None:
        said = (Reasoning(text="Hm"), ["Hm"])
        omitted = {"type": "adaptive", "display": "omitted"}
        (block,) = whole(*choice(said), thinking=omitted)["content"]
        self.assertEqual(block["thinking"], "")
        self.assertTrue(block["signature"])
        self.assertEqual(whole(*choice(said), thinking={"type": "disabled"})["content"], [])

    def test_a_refusal(self) -> None:
        found = whole(*choice((Refusal(text="No"), ["No"]), (Refusal(text="!"), ["!"])))
        self.assertEqual(found["stop_reason"], "refusal")
        self.assertEqual(found["stop_details"]["explanation"], "No!")
        self.assertEqual([block["text"] for block in found["content"]], ["No", "!"])

    def test_what_was_asked_of_the_service(self) -> None:
        found = whole(
            *choice(),
            usage=Usage(prompt=2, cached=5),
            speed="fast",
            inference_geo="us",
            diagnostics={"previous_message_id": None},
        )
        self.assertEqual((found["usage"]["speed"], found["usage"]["inference_geo"]), ("fast", "us"))
        self.assertEqual(found["usage"]["input_tokens"], 0)  # a cache that was told of as larger
        self.assertIsNone(found["diagnostics"])

    def test_a_failure_is_an_error(self) -> None:
        failure = Failure(status=500)
        said = answer(*choice((Text(text="a"), ["a"])))[:-1]
        acts = encoded(prompt_of(), [*said, Failed(failure=failure)])
        self.assertEqual(acts, [*failure_acts(failure, stamp())])
