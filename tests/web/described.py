"""Tests of the control API: every answer that comes is held against the API's own description."""

import json
import re
from collections.abc import Mapping
from functools import cache
from typing import Any
from unittest import mock
from urllib.parse import urlsplit

from jsonschema import Draft202012Validator
from treq.testing import StubTreq

from fakellm import FakeLLM
from tests.servers import Answer, MemoryTestCase
from tests.timed import ScenarioTestCase

BASE = "/_fakellm"
_VARIABLE = re.compile(r"\\\{\w+\\\}")


@cache
def description() -> Any:
    """The description that a server serves."""
    case = MemoryTestCase()
    case.client = StubTreq(FakeLLM().resource)
    return case.request("GET", f"{BASE}/openapi.json").json


@cache
def _paths() -> list[tuple[re.Pattern[str], Mapping[str, Any]]]:
    return [
        (re.compile(_VARIABLE.sub("[^/]+", re.escape(path))), operations)
        for path, operations in description()["paths"].items()
    ]


def operation_of(method: str, path: str) -> Any:
    """The description of the operation that a request is for, if there is one."""
    plain = urlsplit(path).path
    for pattern, operations in _paths():
        if pattern.fullmatch(plain):
            return operations.get(method.lower())
    return None


def check(method: str, path: str, status: int, media_type: str, body: bytes) -> None:
    """Hold an answer against the description.

    Raises:
        AssertionError: it says something else.
        jsonschema.ValidationError: its body is not what is described.
    """
    operation = operation_of(method, path)
    if operation is None:
        return
    described = operation["responses"].get(str(status))
    assert described is not None, f"{method} {path}: nothing is said of {status}: {body!r}"
    assert media_type in described["content"], f"{method} {path}: {media_type} is not described"
    if media_type.endswith("json"):
        schema = described["content"][media_type]["schema"]
        root = {**schema, "components": description()["components"]}
        Draft202012Validator(root).validate(json.loads(body))


class ControlTestCase(ScenarioTestCase):
    """A server in memory, and its control API."""

    def request(self, method: str, path: str, body: bytes = b"", **kwargs: Any) -> Answer:
        answer = super().request(method, path, body, **kwargs)
        media_type = answer.header("Content-Type") or ""
        if path.startswith(f"{BASE}/") and method != "HEAD":
            check(method, path, answer.status, media_type, answer.body)
        return answer

    def patch_bound(self, name: str, value: int) -> None:
        """Have a bound be another for this test."""
        patched = mock.patch(name, value)
        patched.start()
        self.addCleanup(patched.stop)

    def get(self, path: str) -> Any:
        """The JSON there."""
        answer = self.request("GET", f"{BASE}{path}")
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json

    def send(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        """Send JSON, or a text as it is; the JSON that comes back."""
        sent = body if isinstance(body, str) else json.dumps(body) if body is not None else ""
        answer = self.request(method, f"{BASE}{path}", sent.encode())
        self.assertEqual(answer.status, status, answer.body)
        return answer.json

    def begin(self, method: str, path: str, body: Any = None) -> list[Answer]:
        """Ask for what comes later; a list that the answer comes to."""
        answers: list[Answer] = []
        client: Any = self.client
        asked = client.request(
            method,
            f"http://fakellm.example{BASE}{path}",
            data=json.dumps(body).encode() if body is not None else b"",
            unbuffered=True,
        )
        asked.addCallback(lambda response: answers.append(Answer(response)))
        self.flush()
        return answers

    def problem(self, method: str, path: str, body: Any = None, status: int = 400) -> Any:
        """Send what is refused; the problem."""
        problem = self.send(method, path, body, status)
        self.assertEqual(problem["status"], status)
        return problem

    def say(self, text: str, *, session: str | None = None, **fields: Any) -> Answer:
        """Ask the model something, in a session."""
        headers = {} if session is None else {"X-FakeLLM-Session": session}
        asked = {"model": "m", "messages": [{"role": "user", "content": text}], **fields}
        return self.request(
            "POST", "/v1/chat/completions", json.dumps(asked).encode(), headers=headers
        )

    def said(self, text: str, *, session: str | None = None) -> str:
        """What the model says, or the status of an error."""
        answer = self.say(text, session=session)
        if answer.status != 200:
            return str(answer.status)
        content: str = answer.json["choices"][0]["message"]["content"]
        return content
