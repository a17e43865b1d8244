"""Chat completions as one JSON object."""

import base64
import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai.chat_fields import SPEECH_LASTS_SECONDS
from fakellm.dialects.speech import FORMATS, speak
from fakellm.model.content import Reasoning, Refusal, Speech, Text, ToolCall
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    Failed,
    Logprob,
    PartBegin,
    Token,
)
from fakellm.model.reply import Failure, Usage
from fakellm.model.timeline import Finish, Head, Write
from tests.dialects.openai.answering import CREATED, answer, body_of, choice, encoded, stamp
from tests.dialects.openai.requests import prompt_of

HELLO = choice((Text(text="hello world"), ["hello", " world"]))


class WholeTestCase(SynchronousTestCase):
    def whole(self, events: list[Event], **fields: Any) -> dict[str, Any]:
        """The answer to a request with these fields."""
        whole: dict[str, Any] = json.loads(body_of(encoded(prompt_of(**fields), events)))
        return whole

    def message(self, *said: Any, **fields: Any) -> dict[str, Any]:
        """The message of an answer with one choice of these parts."""
        message: dict[str, Any] = self.whole(answer(choice(*said)), **fields)["choices"][0][
            "message"
        ]
        return message


class WholeTests(WholeTestCase):
    def test_the_bytes_of_an_answer(self) -> None:
        head, write, finish = encoded(prompt_of(), answer(HELLO))
        body = (
            f'{{"id":"{stamp().unique("chatcmpl-", 29)}","object":"chat.completion",'
            f'"created":{CREATED},"model":"fake","choices":[{{"index":0,"message":{{'
            '"role":"assistant","content":"hello world","refusal":null,"annotations":[]},'
            '"logprobs":null,"finish_reason":"stop"}],"usage":{"prompt_tokens":3,'
            '"completion_tokens":2,"total_tokens":5,"prompt_tokens_details":{"cached_tokens":0,'
            '"audio_tokens":0},"completion_tokens_details":{"reasoning_tokens":0,"audio_tokens":0,'
            '"accepted_prediction_tokens":0,"rejected_prediction_tokens":0}},'
            '"service_tier":"default","system_fingerprint":"fp_test"}'
        ).encode()
        self.assertEqual(
            head,
            Head(
                200,
                (
                    ("Content-Type", "application/json"),
                    ("Content-Length", str(len(body))),
                    ("openai-version", "2020-10-01"),
                    ("x-request-id", stamp().request_id),
                ),
            ),
        )
        self.assertEqual((write, finish), (Write(body), Finish()))

    def test_what_a_reply_says_of_itself(self) -> None:
        begin = Begin(
            model="m",
            prompt_tokens=1,
            id="chatcmpl-1",
            headers=(("X-Mine", "1"),),
            system_fingerprint="fp_1",
        )
        acts = encoded(prompt_of(), [begin, *answer(HELLO)[1:]])
        assert isinstance(acts[0], Head)
        self.assertIn(("X-Mine", "1"), acts[0].headers)
        whole = json.loads(body_of(acts))
        self.assertEqual((whole["id"], whole["system_fingerprint"]), ("chatcmpl-1", "fp_1"))

    def test_choices_are_in_order(self) -> None:
        events = answer(
            [ChoiceBegin(choice=0, parts=()), ChoiceBegin(choice=1, parts=())],
            [PartBegin(choice=1, part=0, content=Text(text="b")), Token(1, 0, "b")],
            [PartBegin(choice=0, part=0, content=Text(text="a")), Token(0, 0, "a")],
            [
                ChoiceEnd(choice=1, finish_reason="length"),
                ChoiceEnd(choice=0, finish_reason="stop"),
            ],
        )
        self.assertEqual(
            [
                (each["index"], each["message"]["content"], each["finish_reason"])
                for each in self.whole(events)["choices"]
            ],
            [(0, "a", "stop"), (1, "b", "length")],
        )

    def test_a_text_cut_to_nothing_is_still_a_text(self) -> None:
        self.assertEqual(self.message((Text(text="hello"), []))["content"], "")

    def test_texts_and_refusals_are_joined(self) -> None:
        message = self.message(
            (Text(text="a"), ["a"]), (Refusal(text="No"), ["N", "o"]),
            (Text(text="b"), ["b"]), (Refusal(text="pe"), ["pe"]),
        )  # fmt: skip
        self.assertEqual((message["content"], message["refusal"]), ("ab", "Nope"))

    def test_reasoning_is_hidden(self) -> None:
        message = self.message((Reasoning(text="Hm", tokens=5), ["Hm"]), (Text(text="a"), ["a"]))
        self.assertEqual(
            message, {"role": "assistant", "content": "a", "refusal": None, "annotations": []}
        )

    def test_tool_calls(self) -> None:
        message = self.message(
            (ToolCall(name="f", arguments='{"a":1}', id="call_7"), ['{"a"', ":1}"]),
            (ToolCall(name="note", arguments="x", kind="custom"), ["x"]),
        )
        made = message["tool_calls"][1]["id"]
        self.assertRegex(made, r"^call_\w{24}$")
        self.assertEqual(
            message["tool_calls"],
            [
                {
                    "id": "call_7",
                    "type": "function",
                    "function": {"name": "f", "arguments": '{"a":1}'},
                },
                {"id": made, "type": "custom", "custom": {"name": "note", "input": "x"}},
            ],
        )
        self.assertIs(message["content"], None)

    def test_where_functions_are_offered_one_is_called(self) -> None:
        calls = [(ToolCall(name=name, arguments="{}"), ["{}"]) for name in "fg"]
        whole = self.whole(
            answer(choice(*calls, reason="tool_calls")), functions=[{"name": "f"}, {"name": "g"}]
        )
        (only,) = whole["choices"]
        self.assertEqual(only["message"]["function_call"], {"name": "f", "arguments": "{}"})
        self.assertNotIn("tool_calls", only["message"])
        self.assertEqual(only["finish_reason"], "function_call")

    def test_where_functions_are_offered_none_need_be_called(self) -> None:
        whole = self.whole(answer(HELLO), functions=[{"name": "f"}])
        self.assertNotIn("function_call", whole["choices"][0]["message"])
        self.assertEqual(whole["choices"][0]["finish_reason"], "stop")

    def test_speech_in_every_format(self) -> None:
        for name in FORMATS:
            message = self.message(
                (Speech(transcript="hello"), ["hel", "lo"]),
                (Speech(transcript="!" * 9), ["!"]),
                modalities=["audio"],
                audio={"voice": "alloy", "format": name},
            )
            audio = message["audio"]
            self.assertRegex(audio.pop("id"), r"^audio_\w{24}$")
            self.assertEqual(base64.b64decode(audio.pop("data")), speak("hello!", name))
            self.assertEqual(
                audio, {"expires_at": CREATED + SPEECH_LASTS_SECONDS, "transcript": "hello!"}
            )
            self.assertIs(message["content"], None)

    def test_speech_nobody_asked_for_is_a_wav(self) -> None:
        audio = self.message((Speech(transcript="hello"), ["hello"]))["audio"]
        self.assertEqual(base64.b64decode(audio["data"]), speak("hello", "wav"))

    def test_log_probabilities(self) -> None:
        score = Logprob(value=-0.5, top=(("a", -0.5),))
        entry = {
            "token": "a",
            "logprob": -0.5,
            "bytes": [97],
            "top_logprobs": [{"token": "a", "logprob": -0.5, "bytes": [97]}],
        }
        events: list[Event] = [
            Begin(model="m", prompt_tokens=1),
            ChoiceBegin(choice=0, parts=()),
            PartBegin(choice=0, part=0, content=Text(text="ax")),
            Token(0, 0, "a", 1, score),
            Token(0, 0, "x"),
            PartBegin(choice=0, part=1, content=Text(text="a")),
            Token(0, 1, "a", 1, score),
            PartBegin(choice=0, part=2, content=Refusal(text="a")),
            Token(0, 2, "a", 1, score),
            ChoiceEnd(choice=0, finish_reason="stop"),
            End(usage=Usage()),
        ]
        (only,) = self.whole(events)["choices"]
        self.assertEqual(only["logprobs"], {"content": [entry, entry], "refusal": [entry]})
        (only,) = self.whole([*events[:4], *events[-2:]])["choices"]
        self.assertEqual(only["logprobs"], {"content": [entry], "refusal": None})

    def test_metadata_and_moderation_come_back_where_they_were_asked_for(self) -> None:
        whole = self.whole(answer(HELLO), metadata={"run": "7"}, moderation={"model": "omni"})
        self.assertEqual(whole["metadata"], {"run": "7"})
        self.assertEqual(whole["moderation"]["output"]["model"], "omni")
        whole = self.whole(answer(HELLO))
        self.assertNotIn("metadata", whole)
        self.assertNotIn("moderation", whole)

    def test_a_failure_is_an_error_answer_whenever_it_comes(self) -> None:
        failed = Failed(failure=Failure(status=500))
        for events in ([failed], [*answer(HELLO)[:4], failed]):
            head, write, finish = encoded(prompt_of(), events)
            assert isinstance(head, Head)
            assert isinstance(write, Write)
            self.assertEqual((head.status, finish), (500, Finish()))
            self.assertEqual(json.loads(write.data)["error"]["type"], "server_error")
