"""Mistakes in chat completions requests, and what the API says of them.

The words are the API's own where it is known what it says; see `fakellm.dialects.openai.errors`.
"""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from tests.dialects.openai.requests import HELLO, refusal_of

Row = tuple[dict[str, Any], str | None, str | None, str]
"""Fields besides `HELLO`; ``param``, ``code`` and the message of the error."""

USER = {"role": "user", "content": "Hi"}
F = {"type": "function", "function": {"name": "f"}}
CUSTOM = {"type": "custom", "custom": {"name": "c"}}
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
CALLS = {"role": "assistant", "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "call_1", "content": "1"}
SCHEMA = {"name": "s", "schema": {"type": "object"}}
ROLES = "'assistant', 'developer', 'function', 'system', 'tool', and 'user'"
PARTS = "'file', 'image_url', 'input_audio', and 'text'"


def says(*messages: Any) -> dict[str, Any]:
    return {"messages": list(messages)}


def user(content: Any) -> dict[str, Any]:
    return says({"role": "user", "content": content})


def type_row(name: str, value: Any, expected: str, got: str, path: str = "") -> Row:
    path = path or name
    message = f"Invalid type for '{path}': expected {expected}, but got {got} instead."
    return {name: value}, path, "invalid_type", message


def value_row(name: str, value: Any, got: str, values: str, path: str = "") -> Row:
    message = f"Invalid value: '{got}'. Supported values are: {values}."
    return {name: value}, path or name, "invalid_value", message


def range_row(name: str, value: Any, kind: str, bound: str) -> Row:
    side, sign = ("below minimum", ">=") if bound[0] == "-" or value in (0, -0.1) else ("", "")
    if not side:
        side, sign = "above maximum", "<="
    code = f"{kind}_{'below_min' if sign == '>=' else 'above_max'}_value"
    message = (
        f"Invalid '{name}': {kind} {side} value. "
        f"Expected a value {sign} {bound}, but got {value} instead."
    )
    return {name: value}, name, code, message


def missing_row(fields: dict[str, Any], path: str) -> Row:
    message = f"Missing required parameter: '{path}'."
    return fields, path, "missing_required_parameter", message


def empty_row(fields: dict[str, Any], path: str, kind: str) -> Row:
    message = (
        f"Invalid '{path}': empty {kind}. Expected {'an' if kind == 'array' else 'a'} {kind} with "
        f"minimum length 1, but got an empty {kind} instead."
    )
    return fields, path, f"empty_{kind}", message


STRING_OR_PARTS = "one of a string or array of objects"
NAME_PATTERN = "^[a-zA-Z0-9_-]+$"

TYPES: list[Row] = [
    type_row("model", None, "a string", "null"),
    type_row("model", 5, "a string", "an integer"),
    type_row("messages", None, "an array of objects", "null"),
    type_row("messages", {}, "an array of objects", "an object"),
    type_row("messages", ["Hi"], "an object", "a string", "messages[0]"),
    type_row("messages", [USER, 5], "an object", "an integer", "messages[1]"),
    type_row("messages", [{"role": 5}], "a string", "an integer", "messages[0].role"),
    type_row(
        "messages", [{"role": "user", "content": 5}],
        STRING_OR_PARTS, "an integer", "messages[0].content",
    ),
    type_row(
        "messages", [{"role": "user", "content": None}],
        STRING_OR_PARTS, "null", "messages[0].content",
    ),
    type_row(
        "messages", [{"role": "user", "content": {"type": "text"}}],
        STRING_OR_PARTS, "an object", "messages[0].content",
    ),
    type_row(
        "messages", [{"role": "user", "content": ["Hi"]}],
        "an object", "a string", "messages[0].content[0]",
    ),
    type_row(
        "messages", [{"role": "function", "name": "f", "content": []}],
        "a string", "an array", "messages[0].content",
    ),
    type_row("stream", "true", "a boolean", "a string"),
    type_row("stream_options", True, "an object", "a boolean"),
    type_row("n", 1.5, "an integer", "a decimal number"),
    type_row("n", True, "an integer", "a boolean"),
    type_row("max_tokens", "5", "an integer", "a string"),
    type_row("temperature", "1", "a decimal", "a string"),
    type_row("logprobs", 5, "a boolean", "an integer"),
    type_row("stop", 5, "one of a string or array of strings", "an integer"),
    type_row("stop", ["a", 5], "a string", "an integer", "stop[1]"),
    type_row("seed", 0.5, "an integer", "a decimal number"),
    type_row("logit_bias", [], "an object", "an array"),
    type_row("logit_bias", {"5": "x"}, "an integer", "a string", "logit_bias.5"),
    type_row("metadata", {"a": "b", "c": 5}, "a string", "an integer", "metadata.c"),
    type_row("metadata", {"a": None}, "a string", "null", "metadata.a"),
    type_row("tools", "f", "an array of objects", "a string"),
    type_row("tools", ["f"], "an object", "a string", "tools[0]"),
    type_row("tool_choice", 5, "one of a string or object", "an integer"),
    type_row("modalities", "audio", "an array of strings", "a string"),
    type_row("response_format", "json_object", "an object", "a string"),
    type_row("user", {}, "a string", "an object"),
    type_row(
        "audio", {"voice": 5, "format": "mp3"},
        "one of a string or object", "an integer", "audio.voice",
    ),
]  # fmt: skip

VALUES: list[Row] = [
    value_row("messages", [{"role": "emperor"}], "emperor", ROLES, "messages[0].role"),
    value_row("messages", [USER, {"role": "User"}], "User", ROLES, "messages[1].role"),
    value_row(
        "messages", [{"role": "user", "content": [{"type": "video"}]}],
        "video", PARTS, "messages[0].content[0].type",
    ),
    value_row(
        "messages", [{"role": "user", "content": [{"type": "refusal", "refusal": ""}]}],
        "refusal", PARTS, "messages[0].content[0].type",
    ),
    value_row(
        "messages", [{"role": "assistant", "content": [{"type": "image_url"}]}],
        "image_url", "'refusal' and 'text'", "messages[0].content[0].type",
    ),
    value_row(
        "messages", [{"role": "system", "content": [{"type": "text", "text": ""}, {"type": "x"}]}],
        "x", "'text'", "messages[0].content[1].type",
    ),
    value_row(
        "messages", [{"role": "assistant", "tool_calls": [{**CALL, "type": "x"}]}],
        "x", "'custom' and 'function'", "messages[0].tool_calls[0].type",
    ),
    value_row(
        "tools", [F, {"type": "retrieval"}],
        "retrieval", "'custom' and 'function'", "tools[1].type",
    ),
    value_row("tool_choice", "any", "any", "'auto', 'none', and 'required'"),
    value_row(
        "tool_choice", {"type": "any"},
        "any", "'allowed_tools', 'custom', and 'function'", "tool_choice.type",
    ),
    value_row("function_call", "required", "required", "'auto' and 'none'"),
    value_row("modalities", ["text", "smell"], "smell", "'audio' and 'text'", "modalities[1]"),
    value_row(
        "response_format", {"type": "xml"},
        "xml", "'json_object', 'json_schema', and 'text'", "response_format.type",
    ),
    value_row("prediction", {"type": "x", "content": ""}, "x", "'content'", "prediction.type"),
    value_row(
        "reasoning_effort", "huge",
        "huge", "'high', 'low', 'max', 'medium', 'minimal', 'none', and 'xhigh'",
    ),
    value_row("verbosity", "none", "none", "'high', 'low', and 'medium'"),
    value_row(
        "service_tier", "x",
        "x", "'auto', 'default', 'fast', 'flex', 'priority', and 'scale'",
    ),
    value_row(
        "audio", {"voice": "alloy", "format": "midi"},
        "midi", "'aac', 'flac', 'mp3', 'opus', 'pcm16', and 'wav'", "audio.format",
    ),
]  # fmt: skip

RANGES: list[Row] = [
    range_row("temperature", -0.1, "decimal", "0"),
    range_row("temperature", 2.1, "decimal", "2"),
    range_row("temperature", 3, "decimal", "2"),
    range_row("top_p", -0.1, "decimal", "0"),
    range_row("top_p", 1.1, "decimal", "1"),
    range_row("presence_penalty", -2.5, "decimal", "-2"),
    range_row("frequency_penalty", 2.5, "decimal", "2"),
    range_row("n", 0, "integer", "1"),
    range_row("n", 129, "integer", "128"),
    range_row("max_tokens", 0, "integer", "1"),
    range_row("max_completion_tokens", 0, "integer", "1"),
    range_row("seed", 2**63, "integer", str(2**63 - 1)),
    range_row("seed", -(2**63) - 1, "integer", str(-(2**63))),
    (
        {"logprobs": True, "top_logprobs": 21},
        "top_logprobs",
        "integer_above_max_value",
        (
            "Invalid 'top_logprobs': integer above maximum value. Expected a value <= 20, but got "
            "21 instead."
        ),
    ),
    (
        {"logit_bias": {"7": 0, "8": 101}},
        "logit_bias.8",
        "integer_above_max_value",
        (
            "Invalid 'logit_bias.8': integer above maximum value. Expected a value <= 100, but got "
            "101 instead."
        ),
    ),
]

SIZES: list[Row] = [
    empty_row({"messages": []}, "messages", "array"),
    empty_row(user([]), "messages[0].content", "array"),
    empty_row(says({"role": "assistant", "tool_calls": []}), "messages[0].tool_calls", "array"),
    empty_row({"stop": []}, "stop", "array"),
    empty_row({"tools": []}, "tools", "array"),
    empty_row({"functions": []}, "functions", "array"),
    empty_row({"model": ""}, "model", "string"),
    empty_row(
        {"tools": [{"type": "function", "function": {"name": ""}}]},
        "tools[0].function.name",
        "string",
    ),
    (
        {"stop": ["a", "b", "c", "d", "e"]},
        "stop",
        "array_above_max_length",
        (
            "Invalid 'stop': array too long. Expected an array with maximum length 4, but got an "
            "array with length 5 instead."
        ),
    ),
    (
        {"tools": [F] * 129},
        "tools",
        "array_above_max_length",
        (
            "Invalid 'tools': array too long. Expected an array with maximum length 128, but got "
            "an array with length 129 instead."
        ),
    ),
    (
        {"tools": [{"type": "custom", "custom": {"name": "c" * 65}}]},
        "tools[0].custom.name",
        "string_above_max_length",
        (
            "Invalid 'tools[0].custom.name': string too long. Expected a string with maximum "
            "length 64, but got a string with length 65 instead."
        ),
    ),
    (
        {"metadata": {str(n): "" for n in range(17)}},
        "metadata",
        "object_above_max_properties",
        (
            "Invalid 'metadata': too many properties. Expected an object with at most 16 "
            "properties, but got an object with 17 properties instead."
        ),
    ),
    (
        {"metadata": {"run": "x" * 513}},
        "metadata.run",
        "string_above_max_length",
        (
            "Invalid 'metadata.run': string too long. Expected a string with maximum length 512, "
            "but got a string with length 513 instead."
        ),
    ),
    (
        {"metadata": {"x" * 65: ""}},
        "metadata",
        "property_name_above_max_length",
        (
            "Invalid 'metadata': property name too long. Expected a property name with maximum "
            "length 64, but got a property name with length 65 instead."
        ),
    ),
]

_MISNAMED: list[tuple[dict[str, Any], str, str]] = [
    (
        {"tools": [{"type": "function", "function": {"name": "get weather"}}]},
        "tools[0].function.name",
        NAME_PATTERN,
    ),
    ({"functions": [{"name": "f\n"}]}, "functions[0].name", NAME_PATTERN),
    (
        {"response_format": {"type": "json_schema", "json_schema": {**SCHEMA, "name": "ü"}}},
        "response_format.json_schema.name",
        NAME_PATTERN,
    ),
    (
        says(
            {
                "role": "assistant",
                "tool_calls": [{**CALL, "function": {"name": "a.b", "arguments": ""}}],
            }
        ),
        "messages[0].tool_calls[0].function.name",
        NAME_PATTERN,
    ),
    (says({**USER, "name": "Ada Lovelace"}), "messages[0].name", r"^[^\s<|\\/>]+$"),
]
PATTERNS: list[Row] = [
    (
        fields,
        path,
        "invalid_value",
        (
            f"Invalid '{path}': string does not match pattern. "
            f"Expected a string that matches the pattern '{pattern}'."
        ),
    )
    for fields, path, pattern in _MISNAMED
]

MISSING: list[Row] = [
    missing_row(says({"content": "Hi"}), "messages[0].role"),
    missing_row(says({"role": "user"}), "messages[0].content"),
    missing_row(says({"role": "tool", "content": ""}), "messages[0].tool_call_id"),
    missing_row(says({"role": "function", "content": ""}), "messages[0].name"),
    missing_row(user([{"text": "Hi"}]), "messages[0].content[0].type"),
    missing_row(user([{"type": "text"}]), "messages[0].content[0].text"),
    missing_row(
        user([{"type": "image_url", "image_url": {}}]), "messages[0].content[0].image_url.url"
    ),
    missing_row({"tools": [{"function": {"name": "f"}}]}, "tools[0].type"),
    missing_row({"tools": [{"type": "function"}]}, "tools[0].function"),
    missing_row({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
    missing_row({"tool_choice": {"function": {"name": "f"}}}, "tool_choice.type"),
    missing_row({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
    missing_row(
        {"response_format": {"type": "json_schema", "json_schema": {"name": "s"}}},
        "response_format.json_schema.schema",
    ),
    missing_row({"prediction": {"content": "x"}}, "prediction.type"),
    missing_row({"audio": {"voice": "alloy"}}, "audio.format"),
    (
        {"modalities": ["text", "audio"]},
        "audio",
        "missing_required_parameter",
        "Missing required parameter: 'audio'. It is required when 'modalities' has 'audio'.",
    ),
]

NO_CALL = (
    "Invalid parameter: messages with role 'tool' must be a response to a preceding message with "
    "'tool_calls'."
)
NO_RESULT = (
    "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
    "'tool_call_id'. The following tool_call_ids did not have response messages: "
)
SILENT = "Invalid value for 'messages[1].content': expected a string, got null."
ALONE = "Invalid value for '{0}': '{0}' is only allowed when '{1}' are specified."
UNKNOWN_TOOL = "Invalid value for '{}': no {} named '{}' was specified in the '{}' parameter."

TOGETHER: list[Row] = [
    (
        {"stream_options": {"include_usage": True}},
        "stream_options",
        None,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    ),
    (
        {"stream": False, "stream_options": {}},
        "stream_options",
        None,
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
    ),
    (
        {"top_logprobs": 0},
        "top_logprobs",
        None,
        "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
    ),
    (
        {"max_tokens": 1, "max_completion_tokens": 1},
        "max_tokens",
        "invalid_parameter_combination",
        "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
    ),
    (
        {"parallel_tool_calls": False},
        "parallel_tool_calls",
        None,
        ALONE.format("parallel_tool_calls", "tools"),
    ),
    ({"tool_choice": "auto"}, "tool_choice", None, ALONE.format("tool_choice", "tools")),
    (
        {"tool_choice": "required", "functions": [{"name": "f"}]},
        "tool_choice",
        None,
        ALONE.format("tool_choice", "tools"),
    ),
    ({"function_call": "auto"}, "function_call", None, ALONE.format("function_call", "functions")),
    (
        {"tools": [F], "functions": [{"name": "f"}]},
        "functions",
        None,
        "'tools' and 'functions' cannot be used together.",
    ),
    (
        {"tools": [F], "tool_choice": {"type": "function", "function": {"name": "g"}}},
        "tool_choice",
        None,
        UNKNOWN_TOOL.format("tool_choice", "function", "g", "tools"),
    ),
    (
        {"tools": [CUSTOM], "tool_choice": {"type": "function", "function": {"name": "c"}}},
        "tool_choice",
        None,
        UNKNOWN_TOOL.format("tool_choice", "function", "c", "tools"),
    ),
    (
        {
            "tools": [F],
            "tool_choice": {
                "type": "allowed_tools",
                "allowed_tools": {"mode": "auto", "tools": [F, CUSTOM]},
            },
        },
        "tool_choice.allowed_tools.tools",
        None,
        UNKNOWN_TOOL.format("tool_choice.allowed_tools.tools", "custom tool", "c", "tools"),
    ),
    (
        {"functions": [{"name": "f"}], "function_call": {"name": "g"}},
        "function_call",
        None,
        UNKNOWN_TOOL.format("function_call", "function", "g", "functions"),
    ),
    (
        {
            "modalities": ["audio"],
            "audio": {"voice": "alloy", "format": "mp3"},
            "stream": True,
        },
        "audio.format",
        "unsupported_value",
        (
            "Unsupported value: 'audio.format' does not support 'mp3' when stream=true. Supported "
            "values are: 'pcm16'."
        ),
    ),
    (says(RESULT), "messages[0].role", None, NO_CALL),
    (says(USER, RESULT), "messages[1].role", None, NO_CALL),
    (says(CALLS, RESULT, USER, RESULT), "messages[3].role", None, NO_CALL),
    (says(CALLS, {**RESULT, "tool_call_id": "call_2"}), "messages[1].role", None, NO_CALL),
    (says(CALLS), "messages[0].tool_calls", None, NO_RESULT + "call_1"),
    (says(USER, CALLS, USER), "messages[1].tool_calls", None, NO_RESULT + "call_1"),
    (
        says(
            {"role": "assistant", "tool_calls": [CALL, {**CALL, "id": "b"}, {**CALL, "id": "c"}]},
            {**RESULT, "tool_call_id": "b"},
        ),
        "messages[0].tool_calls",
        None,
        NO_RESULT + "call_1, c",
    ),
    (says(USER, {"role": "assistant"}), "messages[1].content", None, SILENT),
    (says(USER, {"role": "assistant", "content": None}), "messages[1].content", None, SILENT),
]


class RefusedTests(SynchronousTestCase):
    def check(self, rows: list[Row]) -> None:
        for fields, param, code, message in rows:
            with self.subTest(message):
                failure = refusal_of({**HELLO, **fields})
                assert failure is not None, fields
                self.assertEqual((failure.status, failure.type), (400, "invalid_request_error"))
                self.assertEqual(
                    (failure.message, failure.param, failure.code), (message, param, code)
                )

    def test_wrong_types(self) -> None:
        self.check(TYPES)

    def test_values_that_are_not_supported(self) -> None:
        self.check(VALUES)

    def test_numbers_out_of_range(self) -> None:
        self.check(RANGES)

    def test_too_short_and_too_long(self) -> None:
        self.check(SIZES)

    def test_names_with_characters_that_names_have_not(self) -> None:
        self.check(PATTERNS)

    def test_missing(self) -> None:
        self.check(MISSING)

    def test_what_does_not_go_together(self) -> None:
        self.check(TOGETHER)

    def test_bodies_without_what_has_to_be_there(self) -> None:
        bodies: list[tuple[dict[str, Any], str]] = [
            ({}, "messages"),
            ({"model": "m"}, "messages"),
            ({"messages": [USER]}, "model"),
        ]
        for body, path in bodies:
            failure = refusal_of(body)
            assert failure is not None
            self.assertEqual(
                (failure.message, failure.param, failure.code),
                (
                    f"Missing required parameter: '{path}'.",
                    path,
                    "missing_required_parameter",
                ),
            )

    def test_bodies_that_are_no_objects(self) -> None:
        for body, got in [
            ("[]", "an array"),
            ("null", "null"),
            ('"x"', "a string"),
            ("1.0", "a decimal number"),
        ]:
            failure = refusal_of(body.encode())
            assert failure is not None
            self.assertEqual(
                failure.message,
                f"Invalid request body: expected an object, but got {got} instead.",
            )
            self.assertEqual((failure.param, failure.code), (None, "invalid_type"))

    def test_bodies_that_are_not_json(self) -> None:
        for body in [b"", b"model=m", b"{", "{}".encode("utf-16"), b"[" * 100_000]:
            failure = refusal_of(body)
            assert failure is not None
            self.assertTrue(str(failure.message).startswith("We could not parse the JSON body"))
            self.assertEqual((failure.status, failure.param, failure.code), (400, None, None))


class StrictTests(SynchronousTestCase):
    def test_unknown_arguments(self) -> None:
        body = {**HELLO, "temprature": 1, "x": 2}
        self.assertIs(refusal_of(body), None)
        failure = refusal_of(body, strict=True)
        assert failure is not None
        self.assertEqual(
            (failure.status, failure.message, failure.param, failure.code),
            (400, "Unknown parameter: 'temprature'.", "temprature", "unknown_parameter"),
        )

    def test_json_objects_without_a_word_of_json(self) -> None:
        body = {**HELLO, "response_format": {"type": "json_object"}}
        self.assertIs(refusal_of(body), None)
        failure = refusal_of(body, strict=True)
        assert failure is not None
        self.assertEqual(
            (failure.status, failure.message, failure.param, failure.code),
            (
                400,
                (
                    "'messages' must contain the word 'json' in some form, to use "
                    "'response_format' of type 'json_object'."
                ),
                "messages",
                None,
            ),
        )


class LengthTests(SynchronousTestCase):
    """However much is wrong, a message stays short, and says where it was cut."""

    HUGE = "x" * 1_000_000

    def test_messages_are_short(self) -> None:
        call_ids = [f"{n}{self.HUGE}" for n in range(50)]
        calls = {"role": "assistant", "tool_calls": [{**CALL, "id": i} for i in call_ids]}
        for fields in [
            says({"role": self.HUGE}),
            says(calls),
            {"service_tier": self.HUGE},
            {"metadata": {self.HUGE: ""}},
            {"metadata": {self.HUGE: 5}},
            {"logit_bias": {self.HUGE: 101}},
            {"tools": [F], "tool_choice": {"type": "function", "function": {"name": self.HUGE}}},
            {"tools": [{"type": "function", "function": {"name": self.HUGE}}]},
            {"stop": [self.HUGE] * 5},
            {self.HUGE: 1},
        ]:
            failure = refusal_of({**HELLO, **fields}, strict=True)
            assert failure is not None, list(fields)
            self.assertLess(len(str(failure.message)), 1500)
            self.assertLess(len(str(failure.param)), 200)

    def test_what_is_cut_ends_in_dots(self) -> None:
        failure = refusal_of({**HELLO, "service_tier": self.HUGE})
        assert failure is not None
        self.assertIn(f"Invalid value: '{'x' * 100}...'.", str(failure.message))
        failure = refusal_of({**HELLO, "logit_bias": {self.HUGE: 101}})
        assert failure is not None
        self.assertEqual(failure.param, f"logit_bias.{'x' * 64}...")

    def test_of_many_calls_without_results_some_are_named(self) -> None:
        calls = [{**CALL, "id": f"call_{n}"} for n in range(20)]
        failure = refusal_of({**HELLO, **says({"role": "assistant", "tool_calls": calls})})
        assert failure is not None
        self.assertTrue(str(failure.message).endswith("call_8, call_9, ..."), failure.message)

    def test_numbers_of_many_digits_are_not_repeated(self) -> None:
        for digits, got in [(30, "9" * 30), (400, "a number of more than 40 digits")]:
            for sign, bound in [("", "<= 128"), ("-", ">= 1")]:
                body = json.dumps({**HELLO, "n": 0}).replace("0}", f"{sign}{'9' * digits}}}")
                failure = refusal_of(body.encode())
                assert failure is not None
                shown = got if digits > 40 else sign + got
                self.assertIn(f"{bound}, but got {shown} instead.", str(failure.message))
        body = json.dumps({**HELLO, "n": 0}).replace("0}", f"{'9' * 5000}}}")
        failure = refusal_of(body.encode())
        assert failure is not None
        self.assertEqual(
            (failure.message, failure.param), ("Invalid 'n': number out of range.", "n")
        )
        failure = refusal_of(f'{{"n":0,"x":{"9" * 5000}}}'.encode())
        assert failure is not None
        self.assertEqual(
            (failure.message, failure.param),
            ("Invalid request body: number out of range.", None),
        )

    def test_names_that_come_twice(self) -> None:
        """Which of them counts is nobody's business; that there is one clear answer is."""
        for body, message in [
            (
                b'{"service_tier":"x","service_tier":5}',
                (
                    "Invalid value. Supported values are: 'auto', 'default', 'fast', 'flex', "
                    "'priority', and 'scale'."
                ),
            ),
            (
                b'{"n":0,"n":"x"}',
                "Invalid 'n': integer below minimum value. Expected a value >= 1.",
            ),
            (
                b'{"stop":[],"stop":5}',
                "Invalid 'stop': array too short. Expected an array with minimum length 1.",
            ),
            (
                b'{"metadata":{%b},"metadata":5}' % b",".join(b'"%d":""' % n for n in range(17)),
                (
                    "Invalid 'metadata': too many properties. Expected an object with at most 16 "
                    "properties."
                ),
            ),
        ]:
            failure = refusal_of(body)
            assert failure is not None
            self.assertEqual(failure.message, message)
