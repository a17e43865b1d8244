"""Requests to the endpoints without turns, and their answers, for tests."""

import json
from collections.abc import Iterable
from typing import Any

from fakellm.dialects.framing import SseParser
from fakellm.engine.shelf import Shelf
from fakellm.interfaces import IDialect
from fakellm.model.asked import Asked
from fakellm.model.content import SaidPart, Text
from fakellm.model.framing import DEFAULT_FRAMING
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Choice, Failure, FinishReason, Refused, Reply
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Head, Keep, Write
from fakellm.timing.tokens import tokenizer
from fakellm.timing.unfold import unfold
from tests.dialects.openai.answering import CREATED
from tests.undeclared import undeclared

WORDS = tokenizer("words")


def stamp(number: int = 1) -> Stamp:
    return Stamp(seed=0, number=number, created=CREATED, fingerprint="fp_test")


def asked(
    dialect: IDialect,
    body: dict[str, Any] | bytes,
    *,
    path: str = "/v1/any",
    query: dict[str, str] | None = None,
    headers: dict[str, str] | None = None,
    strict: bool = False,
) -> Prompt:
    """What a request asks."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    received = Received(
        method="POST", path=path, body=data, query=query or {}, headers=headers or {}
    )
    prompt: Prompt = dialect.decode(received, strict=strict, kept=Shelf())
    return prompt


def refusal(dialect: IDialect, body: dict[str, Any] | bytes, **more: Any) -> Failure:
    """Why a request is refused."""
    try:
        asked(dialect, body, **more)
    except Refused as refused:
        return refused.failure
    raise AssertionError("it was not refused")


def said(
    *parts: SaidPart | str, n: int = 1, reason: FinishReason | None = None, **more: Any
) -> Reply:
    """A reply of the same parts in each choice."""
    made = tuple(Text(text=part) if isinstance(part, str) else part for part in parts)
    choice = Choice(parts=made, finish_reason=reason)
    return Reply(choices=(choice,) * n, model="fake", **more)


def acts(dialect: IDialect, prompt: Prompt, reply: Reply | None = None) -> list[Act]:
    """The acts of an answer; of so many choices as are asked for, unless the reply says so."""
    reply = reply or said("hello world", n=prompt.n)
    encoder = dialect.encoder(prompt, stamp(), DEFAULT_FRAMING)
    events = unfold(prompt, reply, WORDS).events
    return [act for event in events for act in encoder.encode(event)]


def sent(given: Iterable[Act]) -> tuple[Head, bytes]:
    """The head and the body of an answer."""
    kept = [act for act in given if not isinstance(act, Keep)]
    head = kept[0]
    assert isinstance(head, Head), head
    body = b"".join([act.data for act in kept if isinstance(act, Write)])
    told = dict(head.headers).get("Content-Length")
    assert told in (None, str(len(body))), told
    return head, body


def whole(dialect: IDialect, body: dict[str, Any], reply: Reply | None = None, **more: Any) -> Any:
    """The answer to a request, which has to be one."""
    head, data = sent(acts(dialect, asked(dialect, body, **more), reply))
    assert head.status == 200, data
    return json.loads(data)


def chunks(
    dialect: IDialect, body: dict[str, Any], reply: Reply | None = None, **more: Any
) -> list[Any]:
    """The chunks of the answer to a request."""
    prompt = asked(dialect, {**body, "stream": True}, **more)
    _, data = sent(acts(dialect, prompt, reply))
    *events, last = SseParser().feed(data)
    assert last.data == "[DONE]", last
    return [json.loads(event.data) for event in events]


def operated(
    answer: Any,
    shelf: Shelf,
    *,
    method: str = "GET",
    body: dict[str, Any] | bytes = b"",
    query: dict[str, str] | None = None,
    models: tuple[str, ...] = ("fake-model",),
    **found: str,
) -> Any:
    """What an operation answers; what it keeps is kept."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    received = Received(method=method, path="/v1/any", body=data, query=query or {})
    request = Asked(received=received, found=found, stamp=stamp(2), kept=shelf, models=models)
    given = list(answer(request))
    keep(given, shelf)
    _, told = sent(given)
    return json.loads(told) if told else None


def keep(given: Iterable[Act], shelf: Shelf) -> None:
    """Keep what acts say."""
    for act in given:
        if isinstance(act, Keep):
            shelf.put(act)


def strictly(record: Any, value: Any) -> None:
    """Check that a value is exactly what a type of the SDK's declares."""
    found = record.model_validate_json(json.dumps(value), strict=True)
    assert not [*undeclared(found)], [*undeclared(found)]
