"""Responses for tests: requests decoded, replies encoded, and strict checks of what came out."""

import json
from collections.abc import Iterable
from typing import Any

from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from fakellm.dialects.framing import SseParser
from fakellm.dialects.openai.responses.dialect import OpenAIResponses
from fakellm.dialects.openai.responses.operations import OPERATIONS
from fakellm.engine.shelf import Shelf
from fakellm.model.asked import Asked
from fakellm.model.content import SaidPart
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Choice, Failure, FinishReason, Refused, Reply
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Amend, Finish, Head, Keep, Nothing, Write
from fakellm.timing.tokens import tokenizer
from fakellm.timing.unfold import unfold
from tests.undeclared import undeclared

HELLO: dict[str, Any] = {"model": "m", "input": "Say something"}
CREATED = 1_700_000_000
DIALECT = OpenAIResponses()
_event: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)


def stamp(number: int = 1) -> Stamp:
    return Stamp(seed=0, number=number, created=CREATED, fingerprint="fp_test")


def received(body: bytes, method: str = "POST", query: dict[str, str] | None = None) -> Received:
    return Received(method=method, path="/v1/responses", body=body, query=query or {})


def prompt_of(*, strict: bool = False, kept: Shelf | None = None, **fields: Any) -> Prompt:
    """What `HELLO` with other or further fields asks; those that are ``None`` are left out."""
    body = {name: value for name, value in {**HELLO, **fields}.items() if value is not None}
    asked = received(json.dumps(body).encode())
    return DIALECT.decode(asked, strict=strict, kept=kept or Shelf())


def refusal_of(body: bytes | dict[str, Any], *, strict: bool = False) -> Failure | None:
    """Why a body is refused, if it is."""
    data = json.dumps(body).encode() if isinstance(body, dict) else body
    try:
        DIALECT.decode(received(data), strict=strict, kept=Shelf())
    except Refused as refused:
        return refused.failure
    return None


def reply(*parts: SaidPart, reason: FinishReason | None = None, **fields: Any) -> Reply:
    return Reply(
        choices=(Choice(parts=parts, finish_reason=reason),), **{"model": "fake", **fields}
    )


def encoded(
    prompt: Prompt,
    said: Reply,
    *,
    number: int = 1,
    framing: Framing = DEFAULT_FRAMING,
) -> list[Act]:
    """The acts of an answer."""
    encoder = DIALECT.encoder(prompt, stamp(number), framing)
    events = unfold(prompt, said, tokenizer("words")).events
    return [act for event in events for act in encoder.encode(event)]


def keep(acts: Iterable[Act], shelf: Shelf) -> list[Act]:
    """Keep what is to be kept; the acts that are left and do something."""
    left: list[Act] = []
    for act in acts:
        if isinstance(act, Keep | Amend):
            shelf.put(act)
        elif not isinstance(act, Nothing):
            left.append(act)
    return left


def body_of(acts: Iterable[Act]) -> bytes:
    """What is written between one head and one finish, keeping aside."""
    head, *writes, finish = keep(acts, Shelf())
    assert isinstance(head, Head), head
    assert isinstance(finish, Finish), finish
    data = [write.data for write in writes if isinstance(write, Write)]
    assert len(data) == len(writes), writes
    return b"".join(data)


def whole_of(acts: Iterable[Act]) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(body_of(acts))
    return found


def events_of(body: bytes) -> list[dict[str, Any]]:
    """The events of a stream, whose types are those of their frames."""
    events = []
    for each in SseParser().feed(body):
        data = json.loads(each.data)
        assert data["type"] == each.event, each
        events.append(data)
    return events


def operate(
    method: str,
    path: str,
    kept: Shelf,
    body: Any = None,
    *,
    query: dict[str, str] | None = None,
    number: int = 99,
) -> list[Act]:
    """The acts by which an operation answers, what is to be kept having been kept."""
    found: dict[str, str] = {}
    (operation,) = [each for each in OPERATIONS if _fits(each.method, each.path, method, path)]
    wanted = [name[1:-1] for name in operation.path.split("/") if name.startswith("<")]
    given = [
        value
        for name, value in zip(operation.path.split("/"), path.split("/"), strict=True)
        if name.startswith("<")
    ]
    found.update(zip(wanted, given, strict=True))
    asked = Asked(
        received=received(b"" if body is None else json.dumps(body).encode(), method, query),
        found=found,
        stamp=stamp(number),
        kept=kept,
        models=("m",),
        count=lambda prompt: len(prompt.messages),
    )
    return keep(operation.answer(asked), kept)


def _fits(declared: str, pattern: str, method: str, path: str) -> bool:
    names, values = pattern.split("/"), path.split("/")
    return (
        declared == method
        and len(names) == len(values)
        and all(
            n == v or (n.startswith("<") and v.startswith(_PREFIXES))
            for n, v in zip(names, values, strict=True)
        )
    )


_PREFIXES = ("resp_", "conv_", "msg_", "item_", "x")


def checked_response(value: dict[str, Any]) -> Response:
    """A response that is exactly what the SDK's type declares, but for `store` (see `_known`)."""
    found = Response.model_validate_json(json.dumps(_known(value)), strict=True)
    assert not [*undeclared(found)], [*undeclared(found)]
    return found


def checked_event(value: dict[str, Any]) -> Any:
    """An event that is exactly what the SDK's type declares, but for what `_known` takes out."""
    found = _event.validate_json(json.dumps(_known(value)), strict=True)
    assert not [*undeclared(found)], [*undeclared(found)]
    return found


def _known(value: dict[str, Any]) -> dict[str, Any]:
    """Without what the API has and the SDK's types forgot.

    That is ``store`` of a response, and what the published schema declares beside them: the
    ``name`` of ``response.function_call_arguments.done``. ``obfuscation`` is of any length.
    """
    value = dict(value)
    if value.get("object") == "response":
        assert isinstance(value.pop("store"), bool)
    if "response" in value:
        value["response"] = _known(value["response"])
    if value.get("type") == "response.function_call_arguments.done":
        assert isinstance(value.pop("name"), str)
    value.pop("obfuscation", None)
    return value
