"""Chat completions for tests: events encoded, and chunks put together again as clients do."""

import json
from collections.abc import Iterable
from typing import Any

from fakellm.dialects.framing import SseParser
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.model.content import SaidPart
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    PartBegin,
    PartEnd,
    Token,
)
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt
from fakellm.model.reply import FinishReason, Usage
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Finish, Head, Keep, Write

CREATED = 1_700_000_000


def stamp() -> Stamp:
    return Stamp(seed=0, number=1, created=CREATED, fingerprint="fp_test")


def encoded(
    prompt: Prompt, events: Iterable[Event], framing: Framing = DEFAULT_FRAMING
) -> list[Act]:
    """The acts of an answer."""
    encoder = OpenAIChat().encoder(prompt, stamp(), framing)
    return [act for event in events for act in encoder.encode(event)]


def body_of(acts: Iterable[Act]) -> bytes:
    """What is written between one head and one finish, whatever is kept beside it."""
    head, *writes, finish = [act for act in acts if not isinstance(act, Keep)]
    assert isinstance(head, Head), head
    assert isinstance(finish, Finish), finish
    data = [write.data for write in writes if isinstance(write, Write)]
    assert len(data) == len(writes), writes
    return b"".join(data)


def choice(
    *said: tuple[SaidPart, Iterable[str]], index: int = 0, reason: FinishReason = "stop"
) -> list[Event]:
    """The events of a choice: parts, and the tokens each is said in."""
    events: list[Event] = [ChoiceBegin(choice=index, parts=tuple(part for part, _ in said))]
    for number, (part, tokens) in enumerate(said):
        events.append(PartBegin(choice=index, part=number, content=part))
        events += [Token(index, number, text) for text in tokens]
        events.append(PartEnd(choice=index, part=number))
    return [*events, ChoiceEnd(choice=index, finish_reason=reason)]


def answer(*choices: Iterable[Event], usage: Usage | None = None) -> list[Event]:
    """The events of an answer, a choice after the other."""
    return [
        Begin(model="fake", prompt_tokens=3),
        *(event for events in choices for event in events),
        End(usage=usage or Usage(prompt=3, completion=2)),
    ]


def chunks_of(body: bytes) -> list[dict[str, Any]]:
    """The chunks of a streamed answer, which has to end with ``[DONE]``."""
    *chunks, last = SseParser().feed(body)
    assert last.data == "[DONE]", last
    return [json.loads(chunk.data) for chunk in chunks]


def reassembled(chunks: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """The answer that a client makes of chunks: the object that would have come unstreamed.

    What differs by nature is left as it is: ``object``, and a part of speech is its transcript.
    """
    whole: dict[str, Any] = {"choices": {}, "usage": None}
    for chunk in chunks:
        for name in ("id", "created", "model", "service_tier", "system_fingerprint"):
            assert whole.setdefault(name, chunk[name]) == chunk[name], name
        for name in ("usage", "moderation"):
            if chunk.get(name) is not None:
                assert not chunk["choices"], chunk
                whole[name] = chunk[name]
        for each in chunk["choices"]:
            _add(whole["choices"].setdefault(each["index"], _nothing()), each)
    whole["choices"] = [
        {"index": index, **each} for index, each in sorted(whole["choices"].items())
    ]
    for each in whole["choices"]:
        calls = each["message"].get("tool_calls")
        if calls is not None:
            assert [call.pop("index") for call in calls] == list(range(len(calls)))
    return whole


def _nothing() -> dict[str, Any]:
    return {"message": {"content": None, "refusal": None}, "logprobs": None, "finish_reason": None}


def _add(whole: dict[str, Any], part: dict[str, Any]) -> None:
    assert whole["finish_reason"] is None, part
    whole["finish_reason"] = part["finish_reason"]
    _merge(whole["message"], part["delta"])
    for kind, entries in (part["logprobs"] or {}).items():
        whole["logprobs"] = whole["logprobs"] or {"content": None, "refusal": None}
        if entries:
            whole["logprobs"][kind] = [*(whole["logprobs"][kind] or []), *entries]


def _merge(whole: dict[str, Any], delta: dict[str, Any]) -> None:
    for name, value in delta.items():
        so_far = whole.get(name)
        match value:
            case None:
                whole.setdefault(name, None)
            case list():
                calls = whole.setdefault(name, [])
                for call in value:
                    while len(calls) <= call["index"]:
                        calls.append({})
                    _merge(calls[call["index"]], call)
            case dict():
                _merge(whole.setdefault(name, {}), value)
            case str() if isinstance(so_far, str) and name not in ("id", "role", "type"):
                whole[name] = so_far + value
            case _:
                whole[name] = value
