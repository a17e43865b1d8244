"""What can be done with responses that are kept, and with an input that is not to be answered."""

import copy
from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import structs

from fakellm.dialects.openai.errors import answer_headers, document_acts, refuse
from fakellm.dialects.openai.responses import request as wire
from fakellm.dialects.openai.responses.conversations import CONVERSATION_OPERATIONS
from fakellm.dialects.openai.responses.decode import decode_input, decoded
from fakellm.dialects.openai.responses.dialect import OpenAIResponses
from fakellm.dialects.openai.responses.fields import usage_object
from fakellm.dialects.openai.responses.input_items import ID_LENGTH, as_kept, new_id, plain
from fakellm.dialects.openai.responses.messages import messages_of
from fakellm.dialects.openai.responses.paging import page, whole_number
from fakellm.dialects.openai.responses.stored import (
    RESPONSE,
    Item,
    Live,
    Log,
    StoredResponse,
    earlier_items,
    find_response,
)
from fakellm.dialects.openai.responses.stream import HEADERS, ResponseStreamEncoder
from fakellm.dialects.operations import Operation
from fakellm.model.asked import Asked
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Usage
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Await, Finish, Head, Keep, Write

_DIALECT = OpenAIResponses()
_RUNNING = ("queued", "in_progress")
_json = msgspec.json.Encoder()


def _sent(asked: Asked, answer: Any) -> Iterable[Act]:
    return document_acts(_json.encode(answer), asked.stamp)


def _found(asked: Asked) -> StoredResponse:
    return find_response(asked.kept, asked.found["response_id"])


def retrieve(asked: Asked) -> Iterable[Act]:
    """``GET /v1/responses/{response_id}``: the object, or its events from some number on."""
    stored, query = _found(asked), asked.received.query
    if query.get("stream", "false").lower() != "true":
        return _sent(asked, stored.response)
    first = 0
    if "starting_after" in query:
        first = max(0, whole_number(query["starting_after"], "starting_after") + 1)
    if stored.log is not None:
        return _told(_frames(stored.log)[first:], asked.stamp)
    live = Live() if stored.live is None else stored.live
    return _followed(live, first, asked.stamp)


def _frames(log: Log) -> list[bytes]:
    """The events of a response that has ended, in the words they were first told in."""
    encoder = ResponseStreamEncoder(log.prompt, copy.copy(log.stamp))
    acts = [act for event in log.events() for act in encoder.encode(event)]
    return [act.data for act in acts if isinstance(act, Write)]


def _head(stamp: Stamp) -> Act:
    return Head(200, (*HEADERS, *answer_headers(stamp)))


def _told(frames: Iterable[bytes], stamp: Stamp) -> Iterator[Act]:
    yield _head(stamp)
    for frame in frames:
        yield Write(frame)
    yield Finish()


def _followed(live: Live, number: int, stamp: Stamp) -> Iterator[Act]:
    """The events of a response that is being made, as they come."""
    told = number

    def is_more() -> bool:
        return live.ended or live.cancelled or len(live.frames) > told

    yield _head(stamp)
    while True:
        while told < len(live.frames):
            told += 1
            yield Write(live.frames[told - 1])
        if live.ended or live.cancelled:
            break
        yield Await(is_more)
    yield Finish()


def delete(asked: Asked) -> Iterable[Act]:
    """``DELETE /v1/responses/{response_id}``."""
    stored = _found(asked)
    if stored.live is not None:
        stored.live.cancelled = True
    response_id = stored.response["id"]
    deleted = {"id": response_id, "object": "response", "deleted": True}
    return (Keep(RESPONSE, response_id, None), *_sent(asked, deleted))


def cancel(asked: Asked) -> Iterable[Act]:
    """``POST /v1/responses/{response_id}/cancel``: of one that has ended, nothing changes."""
    stored = _found(asked)
    if not stored.response["background"]:
        raise refuse("Cannot cancel a synchronous response.")
    if stored.live is None or stored.response["status"] not in _RUNNING:
        return _sent(asked, stored.response)
    stored.live.cancelled = True
    response = {**stored.response, "status": "cancelled"}
    kept = Keep(RESPONSE, response["id"], structs.replace(stored, response=response))
    return (kept, *_sent(asked, response))


def input_items(asked: Asked) -> Iterable[Act]:
    """``GET /v1/responses/{response_id}/input_items``: those of earlier turns, too."""
    items = as_kept(_found(asked).given, asked.stamp)
    return _sent(asked, page(items, asked.received.query))


def input_tokens(asked: Asked) -> Iterable[Act]:
    """``POST /v1/responses/input_tokens``."""
    request, _ = decoded(asked.received.body, wire.CountRequest)
    prompt = decode_input(request, asked.received, dialect=_DIALECT.name, kept=asked.kept)
    counted = {"object": "response.input_tokens", "input_tokens": asked.count(prompt)}
    return _sent(asked, counted)


def compact(asked: Asked) -> Iterable[Act]:
    """``POST /v1/responses/compact``: what users said, and an item that stands for the rest."""
    request, _ = decoded(asked.received.body, wire.CompactRequest)
    items: tuple[Item, ...] = (
        *earlier_items(asked.kept, request.previous_response_id, None),
        *plain(request.input, asked.kept),
    )
    said = [item for item in items if item.get("role") == "user"]
    pieces = "".join(asked.stamp.unique("", ID_LENGTH) for _ in range(4))
    compaction = {
        "id": new_id(asked.stamp, "compaction"),
        "type": "compaction",
        "encrypted_content": f"gAAAAAB{pieces}",
    }
    prompt = Prompt(
        dialect=_DIALECT.name,
        endpoint="responses.compact",
        model=request.model or "",
        messages=messages_of(request.instructions, items),
        received=asked.received,
    )
    compacted = {
        "id": asked.stamp.unique("resp_", ID_LENGTH),
        "object": "response.compaction",
        "created_at": asked.stamp.created,
        "output": [*as_kept(said, asked.stamp), compaction],
        "usage": usage_object(Usage(prompt=asked.count(prompt))),
    }
    return _sent(asked, compacted)


_ONE = "/v1/responses/<response_id>"

OPERATIONS: tuple[Operation, ...] = (
    *(
        Operation(method=method, path=path, dialect=_DIALECT, answer=answer)
        for method, path, answer in (
            ("POST", "/v1/responses/input_tokens", input_tokens),
            ("POST", "/v1/responses/compact", compact),
            ("GET", _ONE, retrieve),
            ("DELETE", _ONE, delete),
            ("POST", f"{_ONE}/cancel", cancel),
            ("GET", f"{_ONE}/input_items", input_items),
        )
    ),
    *CONVERSATION_OPERATIONS,
)
"""All of the Responses API and the Conversations API but answering."""
