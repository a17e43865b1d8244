"""Requests that the API does not take, and how it says so."""

import json
from typing import Any

from anthropic._constants import ANTHROPIC_API_VERSION
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.anthropic.request import CountRequest, MessagesRequest
from fakellm.dialects.anthropic.versions import VERSIONS
from fakellm.model.reply import Failure
from tests.dialects.anthropic.requests import (
    HELLO,
    VERSION,
    anything,
    nearly_valid_requests,
    received,
    refusal_of,
    tool_result,
    tool_use,
    valid_requests,
)

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)
USER: dict[str, Any] = {"role": "user", "content": "Hello"}
TOOL = {"name": "f", "input_schema": {"type": "object"}}


def _only(name: str, value: Any) -> dict[str, Any]:
    return {name: value}


def text(words: str = "x", **more: Any) -> dict[str, Any]:
    return {"type": "text", "text": words, **more}


class RefusedTests(SynchronousTestCase):
    def assert_refused(self, message: str, *, strict: bool = False, **fields: Any) -> None:
        body = {k: v for k, v in {**HELLO, **fields}.items() if v != "missing"}
        expected = Failure(status=400, message=message, type="invalid_request_error")
        self.assertEqual(refusal_of(body, strict=strict), expected)

    def assert_messages_refused(self, said: str, *messages: Any) -> None:
        self.assert_refused(said, messages=[*messages])

    def assert_content_refused(self, said: str, *blocks: Any) -> None:
        self.assert_messages_refused(said, {"role": "user", "content": [*blocks]})

    def test_no_json(self) -> None:
        for body in (b"", b"{", b"\xff", b'{"model": "\xff"}'):
            failure = refusal_of(body)
            assert failure is not None
            self.assertEqual(failure.message, "The request body is not valid JSON.")

    def test_no_object(self) -> None:
        for body in (b"[]", b"1", b"null", b'"x"'):
            failure = refusal_of(body)
            assert failure is not None
            self.assertEqual(failure.message, "Input should be an object")

    def test_a_missing_field(self) -> None:
        for name in HELLO:
            self.assert_refused(f"{name}: Field required", **_only(name, "missing"))
        self.assert_messages_refused("messages.0.content: Field required", {"role": "user"})
        self.assert_messages_refused("messages.0.role: Field required", {"content": "x"})
        self.assert_content_refused(
            "messages.0.content.0.text.text: Field required", {"type": "text"}
        )
        self.assert_content_refused("messages.0.content.0.type: Field required", {"text": "x"})
        self.assert_content_refused(
            "messages.0.content.0.image.source.base64.data: Field required",
            {"type": "image", "source": {"type": "base64", "media_type": "image/png"}},
        )

    def test_another_type(self) -> None:
        for name, value, expected in (
            ("model", 1, "a valid string"),
            ("max_tokens", "1", "a valid integer"),
            ("stream", "x", "a valid boolean"),
            ("temperature", "x", "a valid number"),
            ("messages", "x", "a valid list"),
            ("metadata", 1, "a valid dictionary"),
            ("system", 1, "a valid list"),
        ):
            self.assert_refused(f"{name}: Input should be {expected}", **_only(name, value))
        self.assert_refused(
            "output_config.format.schema: Input should be a valid dictionary",
            output_config={"format": {"type": "json_schema", "schema": None}},
        )

    def test_another_value(self) -> None:
        self.assert_messages_refused(
            "messages.0.role: Input should be 'assistant', 'system' or 'user'",
            {"role": "tool", "content": "x"},
        )
        self.assert_refused(
            "service_tier: Input should be 'auto' or 'standard_only'", service_tier="x"
        )
        self.assert_refused(
            "cache_control.type: Input should be 'ephemeral'", cache_control={"type": "x"}
        )
        self.assert_refused(
            "tool_choice: Input tag 'x' found using 'type' does not match any of the expected "
            "tags: 'any', 'auto', 'none', 'tool'",
            tool_choice={"type": "x"},
        )
        self.assert_content_refused(
            "messages.0.content.0.image.source: Input tag 'x' found using 'type' does not match "
            "any of the expected tags: 'base64', 'file', 'url'",
            {"type": "image", "source": {"type": "x"}},
        )

    def test_bounds(self) -> None:
        for name, value, said in (
            ("max_tokens", -1, "Input should be greater than or equal to 0"),
            ("temperature", 1.5, "Input should be less than or equal to 1"),
            ("model", "", "String should have at least 1 character"),
        ):
            self.assert_refused(f"{name}: {said}", **_only(name, value))
        self.assert_refused(
            "metadata.user_id: String should have at most 512 characters",
            metadata={"user_id": "x" * 513},
        )
        self.assert_refused(
            "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
            thinking={"type": "enabled", "budget_tokens": 1},
        )

    def test_numbers_that_no_computer_holds(self) -> None:
        digits = b"9" * 5000
        for body in (
            b'{"model": "m", "max_tokens": %b}' % digits,
            b'{"model": "m", "max_tokens": 1e999}',
            b'{"model": "m", "system": [%b]}' % digits,
        ):
            failure = refusal_of(body)
            assert failure is not None
            self.assertIn("Input should be", str(failure.message))

    def test_messages_that_say_nothing(self) -> None:
        self.assert_messages_refused("messages: at least one message is required")
        contents: tuple[Any, ...] = ("", [])
        for content in contents:
            self.assert_messages_refused(
                "messages.0: all messages must have non-empty content except for the optional "
                "final assistant message",
                {"role": "user", "content": content},
            )
        self.assert_content_refused("messages: text content blocks must be non-empty", text(""))
        self.assert_refused("system: text content blocks must be non-empty", system=[text("")])

    def test_white_space(self) -> None:
        said = "messages: text content blocks must contain non-whitespace text"
        self.assert_content_refused(said, text(" \n"))
        self.assert_messages_refused(said, {"role": "user", "content": " "})
        said = "messages: final assistant content cannot end with trailing whitespace"
        for content in ("Yes ", [text("Yes\n")]):
            self.assert_messages_refused(said, USER, {"role": "assistant", "content": content})
        thought = {"type": "thinking", "thinking": "x ", "signature": "s"}
        messages = [USER, {"role": "assistant", "content": [text("a "), thought]}]
        self.assertIsNone(refusal_of({**HELLO, "messages": messages}))

    def test_calls_without_results(self) -> None:
        said = (
            "messages.1: `tool_use` ids were found without `tool_result` blocks immediately "
            "after: {}. Each `tool_use` block must have a corresponding `tool_result` block in "
            "the next message."
        )
        calls = {"role": "assistant", "content": [tool_use("1"), tool_use("2")]}
        self.assert_messages_refused(said.format("1, 2"), USER, calls)
        self.assert_messages_refused(said.format("1, 2"), USER, calls, USER)
        one = {"role": "user", "content": [tool_result("1")]}
        self.assert_messages_refused(said.format("2"), USER, calls, one)
        many = {"role": "assistant", "content": [tool_use(str(i)) for i in range(12)]}
        self.assert_messages_refused(said.format("0, 1, 2, 3, 4, 5, 6, 7, 8, 9, ..."), USER, many)

    def test_results_without_calls(self) -> None:
        said = (
            "messages.{}: unexpected `tool_use_id` found in `tool_result` blocks: 1. Each "
            "`tool_result` block must have a corresponding `tool_use` block in the previous "
            "message."
        )
        result = {"role": "user", "content": [text(), tool_result("1")]}
        self.assert_messages_refused(said.format("0.content.1"), result)
        call = {"role": "assistant", "content": [tool_use("1")]}
        again = [USER, call, result, {"role": "assistant", "content": "x"}, result]
        self.assert_messages_refused(said.format("4.content.1"), *again)
        twice = {"role": "user", "content": [tool_result("1"), tool_result("1")]}
        self.assert_messages_refused(
            "messages.2.content.1: each tool_use must have a single result. Found multiple "
            "`tool_result` blocks with id: 1",
            *(USER, call, twice),
        )

    def test_ids_of_calls_are_unique(self) -> None:
        call = {"role": "assistant", "content": [tool_use("1")]}
        result = {"role": "user", "content": [tool_result("1")]}
        self.assert_messages_refused(
            "messages: `tool_use` ids must be unique", USER, call, result, call, result
        )

    def test_blocks_in_the_mouth_of_the_other(self) -> None:
        self.assert_content_refused(
            "messages.0.content.0: `tool_use` blocks can only be in `assistant` messages",
            tool_use("1"),
        )
        self.assert_messages_refused(
            "messages.1.content.0: `tool_result` blocks can only be in `user` messages",
            USER,
            {"role": "assistant", "content": [tool_result("1")]},
        )

    def test_too_many_cache_marks(self) -> None:
        marked: dict[str, Any] = {"cache_control": {"type": "ephemeral"}}
        self.assert_refused(
            "A maximum of 4 blocks with cache_control may be provided. Found 5.",
            system=[text(**marked)],
            tools=[{**TOOL, **marked}],
            messages=[{"role": "user", "content": [text(**marked)] * 3}],
        )

    def test_tools(self) -> None:
        for tool, said in (
            ({"name": "f"}, "tools.0.custom.input_schema: Field required"),
            ({"input_schema": {}}, "tools.0.custom.name: Field required"),
            ({**TOOL, "name": 1}, "tools.0.custom.name: Input should be a valid string"),
            (
                {**TOOL, "name": "a b"},
                "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
            ),
            ({"type": "bash_20250124"}, "tools.0.bash_20250124.name: Field required"),
            ({"type": "mcp_toolset"}, "tools.0.mcp_toolset.mcp_server_name: Field required"),
            (
                {"type": "bash_20250124", "name": 1},
                "tools.0.bash_20250124.name: Input should be a valid string",
            ),
        ):
            self.assert_refused(said, tools=[tool])
        for kind in ("nonesuch", "bash_2025", ""):
            failure = refusal_of({**HELLO, "tools": [{"type": kind}]})
            assert failure is not None
            said = f"tools.0: Input tag '{kind}' found using 'type' does not match any of"
            self.assertTrue(str(failure.message).startswith(said), failure.message)
        self.assert_refused("tools: Tool names must be unique.", tools=[TOOL, TOOL])

    def test_the_choice_of_a_tool(self) -> None:
        self.assert_refused(
            "Tool 'g' not found in provided tools",
            tools=[TOOL],
            tool_choice={"type": "tool", "name": "g"},
        )
        self.assert_refused(
            "tool_choice: tool_choice may only be specified while providing tools",
            tool_choice={"type": "any"},
        )

    def test_thinking(self) -> None:
        thinking = {"type": "enabled", "budget_tokens": 1024}
        for fields, said in (
            ({}, "`max_tokens` must be greater than `thinking.budget_tokens`."),
            ({"max_tokens": 2000, "temperature": 0.5}, "`temperature` may only be set to 1"),
            (
                {"max_tokens": 2000, "tools": [TOOL], "tool_choice": {"type": "any"}},
                "Thinking may not be enabled when tool_choice forces tool use.",
            ),
        ):
            failure = refusal_of({**HELLO, "thinking": thinking, **fields})
            assert failure is not None
            self.assertTrue(str(failure.message).startswith(said), failure.message)
        headers = {**VERSION, "anthropic-beta": "x,interleaved-thinking-2025-05-14"}
        asked = received({**HELLO, "thinking": thinking}, headers=headers)
        self.assertIsNone(refusal_of(asked))
        count = {"model": "m", "messages": [USER], "thinking": thinking}
        self.assertIsNone(refusal_of(count, CountRequest))

    def test_stop_sequences_of_nothing(self) -> None:
        self.assert_refused(
            "stop_sequences.1: each stop sequence must contain non-whitespace",
            stop_sequences=["x", " "],
        )

    def test_what_only_the_strict_refuse(self) -> None:
        first = [{"role": "assistant", "content": "Hi"}, USER]
        for fields, said in (
            ({"x": 1}, "x: Extra inputs are not permitted"),
            ({"x" * 999: 1}, f"{'x' * 100}...: Extra inputs are not permitted"),
            ({"messages": first}, 'messages: first message must use the "user" role'),
        ):
            self.assert_refused(said, strict=True, **fields)
            self.assertIsNone(refusal_of({**HELLO, **fields}))
        self.assert_refused("messages: at least one message is required", strict=True, messages=[])

    def test_the_version(self) -> None:
        failure = refusal_of(received(HELLO, headers={}))
        assert failure is not None
        self.assertEqual(failure.message, "anthropic-version: header is required")
        odd = received(HELLO, headers={"anthropic-version": "2020-01-01"})
        self.assertIsNone(refusal_of(odd))
        failure = refusal_of(odd, strict=True)
        assert failure is not None
        self.assertEqual(failure.message, 'anthropic-version: "2020-01-01" is not a valid version')

    def test_the_versions_that_there_have_been(self) -> None:
        self.assertIn(ANTHROPIC_API_VERSION, VERSIONS)
        for version in VERSIONS:
            asked = received(HELLO, headers={"anthropic-version": version})
            self.assertIsNone(refusal_of(asked, strict=True))

    def test_what_the_newest_version_has_no_more(self) -> None:
        cited = [{"type": "char_location", "cited_text": "x"}]
        found = {"type": "search_result", "source": "s", "title": "t"}
        document = {
            "type": "document",
            "source": {"type": "text", "media_type": "text/plain", "data": "x"},
        }
        extra = "Extra inputs are not permitted"
        asked: list[tuple[str, dict[str, Any]]] = [
            (f"{name}: {extra}", {name: value})
            for name, value in (("temperature", 1.0), ("top_p", None), ("top_k", 5))
        ]
        asked += [
            (said, {"messages": [USER, {"role": role, "content": [text(), block]}, USER]})
            for role, block, said in (
                (
                    "assistant",
                    document,
                    "messages.1.content.1: `document` blocks can only be in `user` messages",
                ),
                ("user", text(citations=cited), f"messages.1.content.1.text.citations: {extra}"),
                (
                    "user",
                    {**found, "content": [text(citations=cited)]},
                    f"messages.1.content.1.search_result.content.0.text.citations: {extra}",
                ),
            )
        ]
        for said, fields in asked:
            body = {**HELLO, **fields}
            self.assertIsNone(refusal_of(body, strict=True))
            failure = refusal_of(received(body, headers={"anthropic-version": "2026-10-21"}))
            assert failure is not None
            self.assertEqual(failure.message, said)

    def test_what_the_newest_version_still_has(self) -> None:
        cited = text(citations=[{"type": "char_location", "cited_text": "x"}])
        found = {"type": "search_result", "source": "s", "title": "t", "content": [text()]}
        messages = [
            {"role": "user", "content": [text(citations=[]), found]},
            {"role": "assistant", "content": [cited]},
            {"role": "system", "content": [text()]},
            USER,
        ]
        body = {**HELLO, "messages": messages}
        asked = received(body, headers={"anthropic-version": "2026-10-21"})
        self.assertIsNone(refusal_of(asked, strict=True))


class AnythingTests(SynchronousTestCase):
    @few
    @given(valid_requests(), st.booleans())
    def test_what_is_valid_is_taken(self, request: dict[str, Any], stream: bool) -> None:
        self.assertIsNone(refusal_of({**request, "stream": stream}, strict=True))

    @few
    @given(nearly_valid_requests(), st.booleans())
    def test_what_is_nearly_valid_is_at_most_refused(self, request: Any, strict: bool) -> None:
        self.assert_worded(refusal_of(json.dumps(request).encode(), strict=strict))

    @few
    @given(anything, st.sampled_from([MessagesRequest, CountRequest]))
    def test_any_json_is_at_most_refused(self, value: Any, record: Any) -> None:
        self.assert_worded(refusal_of(json.dumps(value).encode(), record))

    @few
    @given(st.binary(max_size=40))
    def test_any_bytes_are_at_most_refused(self, body: bytes) -> None:
        self.assert_worded(refusal_of(body))

    def assert_worded(self, failure: Failure | None) -> None:
        if failure is not None:
            self.assertEqual((failure.status, failure.type), (400, "invalid_request_error"))
            self.assertTrue(failure.message)
