"""Cases of the scenario language, to be run over both of its forms.

A case gives its rules twice: as the YAML of a file, and as calls in Python. `FromFile` and
`FromPython`, mixed in first, decide which of the two the server gets; what is asked and what has to
come is the same. Case classes are kept out of test modules, which would run them by themselves.
"""

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    formatEvent,
    globalLogPublisher,
)
from zope.interface import implementer

from fakellm import FakeLLM
from tests.servers import Answer, MemoryTestCase, chunks_of

Message = Mapping[str, Any]
Python = Callable[[FakeLLM], object]
"""Makes the rules by calls."""


def user(content: Any) -> Message:
    return {"role": "user", "content": content}


def assistant(content: str | None = None, **fields: Any) -> Message:
    return {"role": "assistant", "content": content, **fields}


def system(content: str) -> Message:
    return {"role": "system", "content": content}


def calling(name: str, *, call_id: str = "call_1", arguments: str = "{}") -> Message:
    """An assistant's message that calls a tool."""
    function = {"name": name, "arguments": arguments}
    return assistant(tool_calls=[{"id": call_id, "type": "function", "function": function}])


def result(content: str, *, call_id: str = "call_1") -> Message:
    """What came of a tool call."""
    return {"role": "tool", "tool_call_id": call_id, "content": content}


class LanguageCase(MemoryTestCase):
    """Rules in, answers out, through a whole server in memory."""

    def given(self, yaml: str, python: Python, **settings: Any) -> None:
        """Serve by rules: ``yaml`` are those of a file, ``python`` makes the same."""
        raise NotImplementedError

    def serve_file(self, yaml: str, **settings: Any) -> Path:
        """Serve by a file, which has the name ``scenario.yml``; its path."""
        path = Path(self.mktemp())
        path.mkdir()
        path /= "scenario.yml"
        path.write_text(yaml, encoding="utf-8")
        self.serve(scenario=[str(path)], **settings)
        return path

    def say(self, *messages: str | Message, headers: Any = None, **fields: Any) -> Answer:
        """Ask with these messages; a text is one of the user's."""
        asked = [user(each) if isinstance(each, str) else each for each in messages]
        path = fields.pop("path", "/v1/chat/completions")
        body = {"model": "any-model", "messages": asked, **fields}
        return self.request("POST", path, json.dumps(body).encode(), headers=headers)

    def message(self, *messages: str | Message, **fields: Any) -> Any:
        """The message that is answered."""
        answer = self.say(*messages, **fields)
        self.assertEqual(answer.status, 200, answer.body)
        return answer.json["choices"][0]["message"]

    def said(self, *messages: str | Message, **fields: Any) -> Any:
        """The text that is answered."""
        return self.message(*messages, **fields)["content"]

    def calls(self, *messages: str | Message, **fields: Any) -> list[tuple[str, str]]:
        """The tools that are called, each with its arguments as they are sent."""
        called = self.message(*messages, **fields)["tool_calls"]
        return [(call["function"]["name"], call["function"]["arguments"]) for call in called]

    def pieces(self, *messages: str | Message, **fields: Any) -> list[str]:
        """The deltas of the text of a stream, after the one that begins the message."""
        answer = self.say(*messages, stream=True, **fields)
        self.assertEqual(answer.status, 200, answer.body)
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks_of(answer.body)]
        return [delta["content"] for delta in deltas if set(delta) == {"content"}]

    def failed(self, *messages: str | Message, **fields: Any) -> tuple[int, Any]:
        """The status and the error object that are answered, whether streamed or not."""
        answer = self.say(*messages, **fields)
        self.assertEqual(answer.header("content-type"), "application/json")
        return answer.status, answer.json["error"]

    def logged_errors(self) -> list[str]:
        """A list that fills with the errors that the scenarios log."""
        errors: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            ours = event.get("log_namespace", "").startswith("fakellm.scenarios")
            if ours and event["log_level"] is LogLevel.error:
                errors.append(formatEvent(event))

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        return errors

    def assert_only(self, holds: list[Any], fails: list[Any], answer: str = "Yes.") -> None:
        """The rule answers these requests, each the fields of one, and not those."""
        for fields in holds:
            self.assertEqual(self._said_to(fields), answer, fields)
        for fields in fails:
            self.assertEqual(self._said_to(fields), "hello world", fields)

    def _said_to(self, asked: Any) -> Any:
        """What is answered to a text of the user's, a list of messages, or fields of a request."""
        if isinstance(asked, str):
            return self.said(asked)
        if isinstance(asked, list):
            return self.said(*asked)
        fields = {"messages": [user("hi")], **asked}
        return self.said(*fields.pop("messages"), **fields)


class FromFile(LanguageCase):
    """The rules are in a file."""

    def given(self, yaml: str, python: Python, **settings: Any) -> None:  # noqa: ARG002 -- the other
        self.serve_file(yaml, **settings)


class FromPython(LanguageCase):
    """The rules are made by calls."""

    def given(self, yaml: str, python: Python, **settings: Any) -> None:  # noqa: ARG002 -- the other
        self.serve(**settings)
        python(self.server)
