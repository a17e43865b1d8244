"""What a whole server sends to Anthropic's clients is what their SDK's types declare, no more."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from tests.dialects.anthropic.answering import error, message, reassembled
from tests.dialects.anthropic.requests import (
    HELLO,
    VERSION,
    anything,
    nearly_valid_requests,
    tool_result,
    tool_use,
)
from tests.servers import Answer, MemoryTestCase

MESSAGES = "/v1/messages"
TOOL = {
    "name": "f",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}},
        "required": ["a"],
    },
}
FORMAT = {"type": "json_schema", "schema": TOOL["input_schema"]}

KINDS: dict[str, dict[str, Any]] = {
    "text": {},
    "cut": {"max_tokens": 1},
    "stopped": {"stop_sequences": ["world"]},
    "nothing": {"max_tokens": 0},
    "call": {"tools": [TOOL], "tool_choice": {"type": "any"}},
    "call of a built-in tool": {
        "tools": [{"type": "bash_20250124", "name": "bash"}],
        "tool_choice": {"type": "tool", "name": "bash"},
    },
    "cut call": {"tools": [TOOL], "tool_choice": {"type": "any"}, "max_tokens": 2},
    "structured": {"output_config": {"format": FORMAT}},
    "thinking": {"output_config": {"effort": "low"}, "thinking": {"type": "adaptive"}},
    "redacted": {
        "output_config": {"effort": "low"},
        "thinking": {"type": "adaptive", "display": "summarized"},
    },
    "result": {
        "messages": [
            {"role": "user", "content": "Hello"},
            {"role": "assistant", "content": [tool_use("1")]},
            {"role": "user", "content": [tool_result("1")]},
        ],
        "tools": [TOOL],
    },
}
"""A request for each sort of answer."""

few = settings(deadline=None, derandomize=True, max_examples=100, database=None)


class AskingTestCase(MemoryTestCase):
    def post(self, body: Any, path: str = MESSAGES, **headers: str) -> Answer:
        sent = body if isinstance(body, bytes) else json.dumps(body).encode()
        return self.request("POST", path, sent, headers={**VERSION, **headers})


class TypesTests(AskingTestCase):
    def test_whole_and_streamed_answers_are_messages_and_the_same(self) -> None:
        self.serve(strict_requests=True)
        for kind, fields in KINDS.items():
            whole = self.post({**HELLO, **fields})
            self.assertEqual(whole.status, 200, (kind, whole.body))
            streamed = self.post({**HELLO, **fields, "stream": True})
            self.assertEqual(streamed.status, 200, (kind, streamed.body))
            one, other = message(whole.body).to_dict(), reassembled(streamed.body)
            for each in (one, other):
                each.pop("id")
                for block in self.blocks(each):
                    block.pop("id", None)
                    block.pop("signature", None)
                    block.pop("data", None)
            self.assertEqual(one, other, kind)

    def blocks(self, told: dict[str, Any]) -> Iterator[dict[str, Any]]:
        yield from told["content"]

    def test_errors_of_every_status(self) -> None:
        self.serve(api_key=["right"])
        key = {"x-api-key": "right"}
        for status in (400, 401, 403, 404, 429, 500, 504, 529):
            said = {**HELLO, "messages": [{"role": "user", "content": f"[{status}]"}]}
            answer = self.post(said, **key)
            self.assertEqual(answer.status, status)
            told = answer.json
            told["error"].pop("details", None)  # a code, of which the types say nothing here
            found = error(json.dumps(told))
            self.assertEqual(found.request_id, answer.header("request-id"))
        for answer in (self.post(HELLO), self.post(HELLO, **{"x-api-key": "wrong"})):
            self.assertEqual(answer.status, 401)
            self.assertEqual(error(answer.body).error.type, "authentication_error")

    def test_the_query_changes_nothing(self) -> None:
        answer = self.post(HELLO, f"{MESSAGES}?beta=true", **{"anthropic-beta": "a,b"})
        self.assertEqual(message(answer.body).role, "assistant")


class AnythingTests(AskingTestCase, SynchronousTestCase):
    @few
    @given(nearly_valid_requests())
    def test_what_is_nearly_valid_is_no_fault_of_the_server(self, request: Any) -> None:
        self.assert_at_most_refused(self.post(request))

    @few
    @given(anything)
    def test_any_json_is_no_fault_of_the_server(self, value: Any) -> None:
        for path in (MESSAGES, f"{MESSAGES}/count_tokens", f"{MESSAGES}/batches"):
            self.assert_at_most_refused(self.post(value, path))

    def assert_at_most_refused(self, answer: Answer) -> None:
        self.assertIn(answer.status, (200, 400), answer.body)
        if answer.status == 400:
            self.assertEqual(error(answer.body).error.type, "invalid_request_error")
