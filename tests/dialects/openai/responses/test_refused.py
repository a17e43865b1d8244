"""What is wrong with a request, in the API's words; and that nothing else ever comes of it."""

import contextlib
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai.responses.request import ResponsesRequest
from fakellm.dialects.openai.responses.stored import StoredResponse
from fakellm.engine.shelf import Shelf
from fakellm.model.reply import Failure, Refused
from fakellm.model.timeline import Keep
from tests.dialects.openai.requests import anything
from tests.dialects.openai.responses.answering import (
    DIALECT,
    HELLO,
    operate,
    prompt_of,
    received,
    refusal_of,
)

FUNCTION = {"type": "function", "name": "f"}
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"}

WRONG: list[tuple[dict[str, Any], str, str | None, str | None]] = [
    (
        {"model": None},
        "Missing required parameter: 'model'.",
        "model",
        "missing_required_parameter",
    ),
    (
        {"input": None},
        'One of "input" or "previous_response_id" or "prompt" or "conversation" must be provided.',
        "input",
        "missing_required_parameter",
    ),
    (
        {"max_output_tokens": 1},
        (
            "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, "
            "but got 1 instead."
        ),
        "max_output_tokens",
        "integer_below_min_value",
    ),
    (
        {"input": [{"type": "nonesuch"}]},
        "Invalid value: 'nonesuch'. Supported values are: ",
        "input[0].type",
        "invalid_value",
    ),
    (
        {"input": [{"text": "x"}]},
        "Missing required parameter: 'input[0].type'.",
        "input[0].type",
        "missing_required_parameter",
    ),
    (
        {"input": [{"role": "user", "content": [{"type": "input_text"}]}]},
        "Missing required parameter: 'input[0].content[0].text'.",
        "input[0].content[0].text",
        "missing_required_parameter",
    ),
    (
        {"stream_options": {"include_obfuscation": True}},
        "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
        "stream_options",
        None,
    ),
    (
        {"background": True, "store": False},
        "Background responses have to be stored: 'background' requires 'store' to be true.",
        "background",
        None,
    ),
    (
        {"previous_response_id": "resp_x", "conversation": "conv_x"},
        (
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you "
            "are only providing one of them."
        ),
        "conversation",
        "mutually_exclusive_parameters",
    ),
    (
        {"previous_response_id": "resp_x"},
        "Previous response with id 'resp_x' not found.",
        "previous_response_id",
        "previous_response_not_found",
    ),
    (
        {"input": [CALL]},
        "No tool output found for function call c1.",
        "input",
        None,
    ),
    (
        {"input": [{"type": "custom_tool_call_output", "call_id": "c1", "output": "x"}]},
        "No tool call found for custom tool call output with call_id c1.",
        "input",
        None,
    ),
    (
        {"tool_choice": "required"},
        "Tool choice must be 'auto' or 'none' when no 'tools' are specified.",
        "tool_choice",
        None,
    ),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function", "name": "g"}},
        "Tool choice 'g' not found in 'tools' parameter.",
        "tool_choice",
        None,
    ),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "function"}},
        "Missing required parameter: 'tool_choice.name'.",
        "tool_choice.name",
        "missing_required_parameter",
    ),
    (
        {"tools": [FUNCTION], "tool_choice": {"type": "file_search"}},
        "Tool choice 'file_search' not found in 'tools' parameter.",
        "tool_choice",
        None,
    ),
    (
        {"text": {"format": {"type": "json_schema", "name": "n"}}},
        "Missing required parameter: 'text.format.schema'.",
        "text.format.schema",
        "missing_required_parameter",
    ),
]


class RefusedTests(SynchronousTestCase):
    def failure(self, fields: dict[str, Any], *, strict: bool = False) -> Failure:
        body = {name: value for name, value in {**HELLO, **fields}.items() if value is not None}
        failure = refusal_of(body, strict=strict)
        assert failure is not None, fields
        return failure

    def test_in_the_apis_words(self) -> None:
        for fields, message, param, code in WRONG:
            failure = self.failure(fields)
            self.assertEqual(failure.status, 400)
            self.assertTrue((failure.message or "").startswith(message), failure.message)
            self.assertEqual((failure.param, failure.code), (param, code))

    def test_not_there(self) -> None:
        for fields, message, param in (
            ({"conversation": {"id": "conv_x"}}, "Conversation with id 'conv_x' not found.", None),
            ({"input": [{"id": "msg_x"}]}, "Item with id 'msg_x' not found. ", "input"),
        ):
            failure = self.failure(fields)
            self.assertEqual((failure.status, failure.param), (404, param))
            self.assertTrue((failure.message or "").startswith(message), failure.message)

    def test_no_json(self) -> None:
        for body in (b"", b"{", b"\xff", b'{"input":\xff}', b"[" * 9999):
            failure = refusal_of(body)
            assert failure is not None, body
            self.assertTrue((failure.message or "").startswith("We could not parse"), failure)

    def test_strictly(self) -> None:
        self.assertEqual(self.failure({"nonsense": 1}, strict=True).code, "unknown_parameter")
        asked = {"text": {"format": {"type": "json_object"}}}
        failure = self.failure(asked, strict=True)
        self.assertIn("must contain the word 'json'", failure.message or "")

    def test_a_response_that_is_not_done(self) -> None:
        shelf = Shelf()
        running = StoredResponse(response={"status": "in_progress", "output": []}, given=())
        shelf.put(Keep("openai.response", "resp_x", running))
        refused = self.assertRaises(Refused, prompt_of, previous_response_id="resp_x", kept=shelf)
        self.assertIn("still in progress", refused.failure.message or "")

    def test_bad_schemas(self) -> None:
        failure = DIALECT.errors.bad_schema(None, "no")
        self.assertEqual(
            (failure.param, failure.code), ("text.format.schema", "invalid_json_schema")
        )
        self.assertEqual(DIALECT.errors.bad_schema("f", "no").code, "invalid_function_parameters")

    def test_input_that_does_not_fit(self) -> None:
        for bound in (0, 500):
            self.assertEqual(
                DIALECT.errors.too_long(8192, 9000, bound),
                Failure(
                    status=400,
                    message="Your input exceeds the context window of this model. Please adjust "
                    "your input and try again.",
                    type="invalid_request_error",
                    param="input",
                    code="context_length_exceeded",
                ),
            )


few = settings(deadline=None, derandomize=True, max_examples=200, database=None)
_names = st.sampled_from([*ResponsesRequest.__struct_fields__, "items", "type"])
_items = st.lists(
    st.dictionaries(
        st.sampled_from(["type", "role", "content", "id", "call_id", "output", "summary", "tools"]),
        anything
        | st.sampled_from(["message", "user", "reasoning", "function_call_output", "compaction"]),
        max_size=4,
    ),
    max_size=3,
)
_values = anything | _items | st.sampled_from(["auto", True, 20, "resp_x"])


class AnythingTests(SynchronousTestCase):
    """Nothing but `Refused` is ever raised."""

    @few
    @given(anything)
    def test_any_json(self, value: Any) -> None:
        refusal_of(json.dumps(value).encode())

    @few
    @given(st.dictionaries(_names, _values, max_size=5))
    def test_any_fields(self, fields: dict[str, Any]) -> None:
        refusal_of({**HELLO, **fields})

    @few
    @given(
        st.sampled_from(
            ["responses/input_tokens", "responses/compact", "conversations", "conversations/conv_x"]
        ),
        st.dictionaries(_names, _values, max_size=4) | anything,
    )
    def test_any_body_to_any_operation(self, path: str, body: Any) -> None:
        shelf = Shelf()
        with contextlib.suppress(Refused):
            operate("POST", f"/v1/{path}", shelf, body)

    @few
    @given(st.binary(max_size=20))
    def test_any_bytes(self, body: bytes) -> None:
        refusal_of(body)
        self.assertIsNone(DIALECT.api_key(received(body)))
