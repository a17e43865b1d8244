"""A dialect for tests that is as plain as can be, and goes wrong where it is told to.

A request's body is a JSON object of what is asked and of ``fail``, which names what is to raise;
what is streamed is the texts of the tokens.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from zope.interface import implementer

from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from fakellm.model.asked import Kept
from fakellm.model.content import Text
from fakellm.model.events import Begin, End, Event, Failed, Token
from fakellm.model.framing import Framing
from fakellm.model.prompt import AnswerFormat, Message, Prompt, Received, Tool, ToolChoice
from fakellm.model.reply import Failure, Refused
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Exceeded, Standing
from fakellm.model.timeline import Act, Finish, Head, Write


class BrokenError(Exception):
    """What goes wrong."""


@implementer(IErrorWords)
class PlainErrors:
    def not_found(self, received: Received) -> Failure:
        return Failure(status=404, message=received.path)

    def not_allowed(self, received: Received, allowed: Sequence[str]) -> Failure:
        return Failure(status=405, message=f"{received.method}, not {allowed}")

    def too_large(self, limit: int) -> Failure:
        return Failure(status=413, message=f"{limit}")

    def unauthorized(self, key: str | None) -> Failure:
        return Failure(status=401, message=f"key {key}")

    def bad_schema(self, tool: str | None, reason: str) -> Failure:
        return Failure(status=400, message=f"schema of {tool}: {reason}")

    def unknown_model(self, name: str) -> Failure:
        return Failure(status=404, message=name)

    def internal(self) -> Failure:
        return Failure(status=500, message="internal")

    def overloaded(self, status: int) -> Failure:
        return Failure(status=status, message="overloaded")

    def limited(self, over: Exceeded, model: str) -> Failure:
        return Failure(
            status=429, message=f"{model}: {over.unit}: {over.used} of {over.limit} used"
        )

    def quota_used_up(self, model: str) -> Failure:
        return Failure(status=429, message=f"{model}: quota")

    def too_many_running(self, limit: int, model: str) -> Failure:
        return Failure(status=429, message=f"{model}: {limit} running")

    def too_long(self, window: int, prompt: int, bound: int) -> Failure:
        return Failure(status=400, message=f"{prompt} and {bound} are over {window}")


@implementer(IDialect)
class PlainDialect:
    name = "plain"
    errors: IErrorWords = PlainErrors()

    def __init__(self) -> None:
        self.stamps: list[Stamp] = []
        self.framing: Framing | None = None

    def api_key(self, received: Received) -> str | None:
        return received.headers.get("key")

    def decode(self, received: Received, *, strict: bool, kept: Kept) -> Prompt:
        self.kept = kept
        asked: dict[str, Any] = msgspec.json.decode(received.body or b"{}")
        if asked.get("fail") == "decode":
            raise BrokenError
        unknown = tuple(asked.pop("unknown", ()))
        if strict and unknown:
            raise Refused(Failure(status=400, message=f"unknown {unknown[0]}"))
        return Prompt(
            dialect=self.name,
            endpoint="plain",
            model="fake-model",
            messages=(Message(role="user", parts=(Text(text=asked.get("say", "hi")),)),),
            tools=tuple(msgspec.convert(asked.get("tools", ()), tuple[Tool, ...])),
            tool_choice=msgspec.convert(asked.get("tool_choice", {}), ToolChoice),
            format=msgspec.convert(asked.get("format", {}), AnswerFormat),
            unknown=unknown,
            received=received,
            wire=asked.get("fail"),
        )

    def encoder(self, prompt: Prompt, stamp: Stamp, framing: Framing) -> IEncoder:
        self.stamps.append(stamp)
        self.framing = framing
        if prompt.wire == "encoder":
            raise BrokenError
        return PlainEncoder(prompt.wire)

    def limit_headers(
        self,
        standings: Sequence[Standing],
        stamp: Stamp,  # noqa: ARG002
    ) -> tuple[tuple[str, str], ...]:
        return tuple((each.unit, f"{each.remaining} of {each.limit}") for each in standings)

    def failure(self, failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
        self.stamps.append(stamp)
        return Head(failure.status, ()), Write(f"{failure.message}".encode()), Finish()

    def document(self, body: bytes, stamp: Stamp) -> tuple[Act, ...]:
        self.stamps.append(stamp)
        return Head(200, ()), Write(body), Finish()


@implementer(IEncoder)
class PlainEncoder:
    def __init__(self, fail: str | None) -> None:
        self._fail = fail

    def encode(self, event: Event) -> Iterator[Act]:
        match event:
            case Begin():
                yield Head(200, ())
            case Token(text=text):
                yield Write(text.encode())
                if self._fail in {"token", "error"}:
                    raise BrokenError
            case Failed(failure=failure):
                if self._fail == "error":
                    raise BrokenError
                yield Write(f"! {failure.status} {failure.message}".encode())
                yield Finish()
            case End() if self._fail != "end":
                yield Finish()
