"""What a chat completions request asks, in words that no vendor owns."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai.chat_decode import decode_chat
from fakellm.dialects.openai.errors import error_json
from fakellm.model.content import Audio, File, Image, Part, Refusal, Text, ToolCall, ToolResult
from fakellm.model.prompt import AnswerFormat, Message, Tool, ToolChoice
from tests.dialects.openai.requests import (
    anything,
    nearly_valid_requests,
    prompt_of,
    received,
    refusal_of,
    valid_requests,
)

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)


def user(content: Any, **more: Any) -> dict[str, Any]:
    return {"role": "user", "content": content, **more}


def call(name: str, arguments: str = "{}", call_id: str = "call_1") -> dict[str, Any]:
    return {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}


def function(name: str, **more: Any) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name, **more}}


class MessagesTests(SynchronousTestCase):
    def said(self, *messages: dict[str, Any]) -> tuple[Message, ...]:
        return prompt_of(messages=list(messages)).messages

    def test_every_role_says_text(self) -> None:
        for role in ("system", "developer", "user", "assistant"):
            message = {"role": role, "content": "Hi", "name": "Ada"}
            self.assertEqual(
                self.said(message), (Message(role=role, parts=(Text(text="Hi"),), name="Ada"),)
            )

    def test_the_only_text_part_is_like_a_string(self) -> None:
        (as_string,) = self.said(user("[429]"))
        (as_part,) = self.said(user([{"type": "text", "text": "[429]"}]))
        self.assertEqual(as_string, as_part)
        self.assertEqual(as_part.sole_text, "[429]")

    def test_a_user_says_parts_of_every_kind(self) -> None:
        cached = {"prompt_cache_breakpoint": {"mode": "explicit"}}
        parts: list[tuple[dict[str, Any], Part]] = [
            ({"type": "text", "text": "Hi"}, Text(text="Hi")),
            ({"type": "image_url", "image_url": {"url": "u"}}, Image(url="u")),
            (
                {"type": "image_url", "image_url": {"url": "u", "detail": "low"}},
                Image(url="u", detail="low"),
            ),
            (
                {"type": "input_audio", "input_audio": {"data": "AA", "format": "wav"}},
                Audio(data="AA", format="wav"),
            ),
            ({"type": "file", "file": {"file_id": "f"}}, File(id="f")),
            (
                {"type": "file", "file": {"filename": "n", "file_data": "AA"}},
                File(name="n", data="AA"),
            ),
        ]
        (message,) = self.said(user([{**part, **cached} for part, _ in parts]))
        self.assertEqual(message.parts, tuple(part for _, part in parts))

    def test_an_assistant_says_and_refuses(self) -> None:
        self.assertEqual(
            self.said(
                {"role": "assistant", "content": "Well", "refusal": "No"},
                {"role": "assistant", "content": [{"type": "refusal", "refusal": "No"}]},
                {"role": "assistant", "refusal": ""},
                {"role": "assistant", "content": "", "refusal": None, "tool_calls": None},
                {"role": "assistant", "audio": {"id": "audio_1"}},
            ),
            (
                Message(role="assistant", parts=(Text(text="Well"), Refusal(text="No"))),
                Message(role="assistant", parts=(Refusal(text="No"),)),
                Message(role="assistant", parts=(Refusal(text=""),)),
                Message(role="assistant", parts=(Text(text=""),)),
                Message(role="assistant", parts=()),
            ),
        )

    def test_calls_and_their_results_in_any_order(self) -> None:
        custom = {"id": "call_2", "type": "custom", "custom": {"name": "note", "input": "x"}}
        parts = [{"type": "text", "text": "fi"}, {"type": "text", "text": "ne"}]
        self.assertEqual(
            self.said(
                user("?"),
                {"role": "assistant", "content": None, "tool_calls": [call("weather"), custom]},
                {"role": "tool", "tool_call_id": "call_2", "content": parts},
                {"role": "tool", "tool_call_id": "call_1", "content": "dry"},
                {"role": "tool", "tool_call_id": "call_1", "content": "no: wet"},
            )[1:],
            (
                Message(
                    role="assistant",
                    parts=(
                        ToolCall(id="call_1", name="weather", arguments="{}"),
                        ToolCall(id="call_2", name="note", arguments="x", kind="custom"),
                    ),
                ),
                *(
                    Message(
                        role="tool",
                        parts=(ToolResult(call_id=call_id, content=content, name=name),),
                    )
                    for call_id, content, name in (
                        ("call_2", "fine", "note"),
                        ("call_1", "dry", "weather"),
                        ("call_1", "no: wet", "weather"),
                    )
                ),
            ),
        )

    def test_ids_of_calls_may_be_used_again(self) -> None:
        turn: list[dict[str, Any]] = [
            {"role": "assistant", "tool_calls": [call("weather")]},
            {"role": "tool", "tool_call_id": "call_1", "content": "dry"},
        ]
        self.assertEqual(len(self.said(*turn, *turn)), 4)

    def test_functions_as_they_were_before_tools(self) -> None:
        self.assertEqual(
            self.said(
                {"role": "assistant", "function_call": {"name": "f", "arguments": "{}"}},
                {"role": "function", "name": "f", "content": "1"},
                {"role": "function", "name": "f", "content": None},
            ),
            (
                Message(role="assistant", parts=(ToolCall(name="f", arguments="{}"),)),
                Message(role="tool", parts=(ToolResult(call_id="", content="1", name="f"),)),
                Message(role="tool", parts=(ToolResult(call_id="", content="", name="f"),)),
            ),
        )

    def test_what_the_api_answered_can_be_said_to_it_again(self) -> None:
        """Answers have fields that requests have not, and fields that are null."""
        answered: dict[str, Any] = {
            "role": "assistant",
            "content": "hello world",
            "refusal": None,
            "annotations": [],
            "audio": None,
            "function_call": None,
            "tool_calls": None,
            "parsed": {"x": 1},
        }
        (message,) = self.said(answered)
        self.assertEqual(message.text, "hello world")


class OptionsTests(SynchronousTestCase):
    def test_by_default_one_text_is_asked_for(self) -> None:
        prompt = prompt_of()
        self.assertEqual((prompt.dialect, prompt.endpoint), ("openai", "chat.completions"))
        self.assertEqual((prompt.model, prompt.n, prompt.stream), ("m", 1, False))
        self.assertEqual(
            (prompt.max_tokens, prompt.stop, prompt.seed, prompt.logprobs), (None, (), None, None)
        )
        self.assertEqual(
            (prompt.tools, prompt.tool_choice, prompt.parallel_tool_calls, prompt.format),
            ((), ToolChoice(), None, AnswerFormat()),
        )
        self.assertEqual(
            (prompt.reasoning_effort, prompt.prediction, prompt.spoken, prompt.unknown),
            (None, None, False, ()),
        )

    def test_null_is_like_nothing(self) -> None:
        names = [
            "stream", "stream_options", "n", "max_tokens", "max_completion_tokens", "stop", "seed",
            "tools", "tool_choice", "functions", "function_call", "response_format", "audio",
            "modalities", "metadata", "logprobs", "top_logprobs", "prediction", "user",
        ]  # fmt: skip
        fields: dict[str, Any] = dict.fromkeys(names)
        nulls = prompt_of(**fields)
        self.assertEqual(nulls.wire, prompt_of().wire)

    def test_what_is_asked_for_is_passed_on(self) -> None:
        rows: list[tuple[dict[str, Any], str, Any]] = [
            ({"stream": True}, "stream", True),
            ({"n": 128}, "n", 128),
            ({"max_tokens": 3}, "max_tokens", 3),
            ({"max_completion_tokens": 4}, "max_tokens", 4),
            ({"stop": "x"}, "stop", ("x",)),
            ({"stop": ["x", "", "y"]}, "stop", ("x", "y")),
            ({"stop": ""}, "stop", ()),
            ({"seed": -(2**63)}, "seed", -(2**63)),
            ({"seed": 2**63 - 1}, "seed", 2**63 - 1),
            ({"logprobs": True}, "logprobs", 0),
            ({"logprobs": True, "top_logprobs": 20}, "logprobs", 20),
            ({"logprobs": False}, "logprobs", None),
            ({"reasoning_effort": "xhigh"}, "reasoning_effort", "xhigh"),
            ({"prediction": {"type": "content", "content": "x"}}, "prediction", "x"),
            (
                {"prediction": {"type": "content", "content": [{"type": "text", "text": "x"}]}},
                "prediction",
                "x",
            ),
            ({"modalities": ["text"]}, "spoken", False),
            (
                {"modalities": ["audio"], "audio": {"voice": {"id": "v"}, "format": "mp3"}},
                "spoken",
                True,
            ),
            ({"audio": {"voice": "alloy", "format": "mp3"}}, "spoken", False),
            ({"response_format": {"type": "text"}}, "format", AnswerFormat()),
            (
                {"response_format": {"type": "json_object"}},
                "format",
                AnswerFormat(kind="json_object"),
            ),
            (
                {
                    "response_format": {
                        "type": "json_schema",
                        "json_schema": {"name": "s", "schema": {"type": "object"}, "strict": True},
                    }
                },
                "format",
                AnswerFormat(kind="json_schema", name="s", schema={"type": "object"}),
            ),
            ({"tools": [function("f")], "parallel_tool_calls": True}, "parallel_tool_calls", True),
            ({"nonesuch": 1, "user": "u", "füßchen": {}}, "unknown", ("nonesuch", "füßchen")),
        ]
        for fields, name, expected in rows:
            with self.subTest(fields):
                self.assertEqual(getattr(prompt_of(**fields), name), expected)

    def test_the_request_itself_comes_along(self) -> None:
        request = received(json.dumps({"model": "m", "messages": [user("x")]}).encode())
        prompt = decode_chat(request, dialect="openai", strict=False)
        self.assertIs(prompt.received, request)

    def test_bounds_include_their_ends(self) -> None:
        for name, values in {
            "temperature": (0, 2, 0.0, 2.0),
            "top_p": (0, 1),
            "presence_penalty": (-2, 2),
            "frequency_penalty": (-2, 2),
            "n": (1, 128),
            "logit_bias": ({"1": -100}, {"1": 100}, {}),
            "metadata": ({"k" * 64: "v" * 512}, {str(i): "" for i in range(16)}, {}),
            "stop": (["a"], ["a", "b", "c", "d"]),
            "safety_identifier": ("s" * 64,),
            "tools": ([function("f" * 64)] * 128,),
            "functions": ([{"name": "f"}] * 128,),
        }.items():
            for value in values:
                with self.subTest(name, value=value):
                    self.assertIs(
                        refusal_of({"model": "m", "messages": [user("")], name: value}), None
                    )


NOTE: dict[str, Any] = {"type": "custom", "custom": {"name": "note", "description": "d"}}


class ToolsTests(SynchronousTestCase):
    def test_tools_of_both_kinds(self) -> None:
        schema = {"type": "object", "properties": {}}
        prompt = prompt_of(
            tools=[function("f", description="d", parameters=schema, strict=True), NOTE]
        )
        self.assertEqual(
            prompt.tools,
            (
                Tool(name="f", description="d", parameters=schema, strict=True),
                Tool(name="note", kind="custom", description="d"),
            ),
        )

    def test_functions_are_tools(self) -> None:
        self.assertEqual(prompt_of(functions=[{"name": "f"}]).tools, (Tool(name="f"),))

    def test_choices(self) -> None:
        tools = [function("f"), function("g"), NOTE]
        one = {"type": "function", "function": {"name": "g"}}
        custom = {"type": "custom", "custom": {"name": "note"}}
        for choice, expected in [
            ("none", ToolChoice(mode="none")),
            ("auto", ToolChoice()),
            ("required", ToolChoice(mode="required")),
            (one, ToolChoice(mode="required", names=("g",))),
            (custom, ToolChoice(mode="required", names=("note",))),
            (
                {
                    "type": "allowed_tools",
                    "allowed_tools": {"mode": "auto", "tools": [one, custom]},
                },
                ToolChoice(mode="auto", names=("g", "note")),
            ),
            (
                {"type": "allowed_tools", "allowed_tools": {"mode": "required", "tools": [one]}},
                ToolChoice(mode="required", names=("g",)),
            ),
        ]:
            with self.subTest(choice):
                self.assertEqual(prompt_of(tools=tools, tool_choice=choice).tool_choice, expected)

    def test_none_of_no_tools_may_be_chosen(self) -> None:
        """``none`` is the documented default without tools."""
        self.assertEqual(prompt_of(tool_choice="none").tool_choice, ToolChoice(mode="none"))

    def test_choices_of_functions(self) -> None:
        for choice, expected in [
            ("none", ToolChoice(mode="none")),
            ("auto", ToolChoice()),
            ({"name": "f"}, ToolChoice(mode="required", names=("f",))),
        ]:
            prompt = prompt_of(functions=[{"name": "f"}], function_call=choice)
            self.assertEqual(prompt.tool_choice, expected)


class StrictTests(SynchronousTestCase):
    """What the vendor refuses but a fake need not mind."""

    def test_the_word_json_may_be_anywhere(self) -> None:
        for messages in [
            [user("as JSON")],
            [user("?"), {"role": "system", "content": [{"type": "text", "text": "json!"}]}],
            [
                {"role": "assistant", "tool_calls": [call("f")]},
                {"role": "tool", "tool_call_id": "call_1", "content": "Json"},
            ],
        ]:
            prompt = prompt_of(
                strict=True, messages=messages, response_format={"type": "json_object"}
            )
            self.assertEqual(prompt.format.kind, "json_object")

    def test_a_good_request_is_as_good(self) -> None:
        self.assertEqual(prompt_of(strict=True), prompt_of())


class AnyRequestTests(SynchronousTestCase):
    def assert_taken_or_refused(self, body: bytes) -> None:
        for strict in (False, True):
            failure = refusal_of(body, strict=strict)
            if failure is None:
                continue
            self.assertEqual(failure.status, 400)
            error = json.loads(error_json(failure))["error"]
            self.assertEqual(list(error), ["message", "type", "param", "code"])
            self.assertEqual(error["type"], "invalid_request_error")
            self.assertTrue(0 < len(error["message"]) < 1000, error["message"])
            self.assertTrue(len(error["param"] or "") < 300, error["param"])

    @few
    @given(valid_requests())
    def test_every_valid_request_is_understood(self, request: dict[str, Any]) -> None:
        self.assertIs(refusal_of(request), None)
        self.assertEqual(prompt_of(**request).unknown, ())

    @settings(few, max_examples=250)
    @given(nearly_valid_requests())
    def test_a_nearly_valid_request_is_taken_or_refused(self, request: Any) -> None:
        self.assert_taken_or_refused(json.dumps(request).encode())

    @few
    @given(anything)
    def test_any_json_is_taken_or_refused(self, body: Any) -> None:
        self.assert_taken_or_refused(json.dumps(body, ensure_ascii=False).encode())

    @few
    @given(st.binary(max_size=99))
    def test_any_bytes_are_taken_or_refused(self, body: bytes) -> None:
        self.assert_taken_or_refused(body)

    @few
    @given(valid_requests(), st.binary(max_size=4), st.integers(0, 10_000))
    def test_a_valid_request_with_bytes_spoilt_is_taken_or_refused(
        self, request: dict[str, Any], spoilt: bytes, at: int
    ) -> None:
        body = json.dumps(request, ensure_ascii=False).encode()
        at %= len(body)
        self.assert_taken_or_refused(body[:at] + spoilt + body[at + 1 :])
