"""Anthropic's endpoints that no model answers: counts, models and message batches."""

from collections.abc import Callable, Iterable

import msgspec
from msgspec import structs

from fakellm.dialects.anthropic import batches, models
from fakellm.dialects.anthropic.decode import decode_body, decode_messages_request
from fakellm.dialects.anthropic.errors import document_acts, refuse, shown
from fakellm.dialects.anthropic.messages import AnthropicMessages
from fakellm.dialects.anthropic.paging import page
from fakellm.dialects.anthropic.request import BatchRequest, CountRequest
from fakellm.dialects.anthropic.versions import check_version
from fakellm.dialects.operations import Operation
from fakellm.model.asked import Asked
from fakellm.model.reply import Failure, Refused
from fakellm.model.timeline import Act

DIALECT = AnthropicMessages()
_BATCHES = "/v1/messages/batches"
_JSON_LINES = "application/x-jsonl"


def count_tokens(asked: Asked) -> Iterable[Act]:
    """How many tokens a prompt has, as `Asked.count` tells."""
    prompt = decode_messages_request(
        asked.received,
        CountRequest,
        dialect=DIALECT.name,
        strict=asked.strict,
        api_key=DIALECT.api_key(asked.received),
    )
    return _document({"input_tokens": asked.count(prompt)}, asked)


def list_models(asked: Asked) -> Iterable[Act]:
    """A page of the models."""
    body = models.model_page(asked.models, asked.received.query)
    return document_acts(body, asked.stamp)


def show_model(asked: Asked) -> Iterable[Act]:
    """One model."""
    name = asked.found["name"]
    if name not in asked.models:
        raise Refused(DIALECT.errors.unknown_model(name))
    return document_acts(models.model_card(name), asked.stamp)


def create_batch(asked: Asked) -> Iterable[Act]:
    """Take requests to be answered; what is wrong with one of them is told in its result."""
    request = decode_body(asked.received, BatchRequest)
    items = request.requests
    if not items:
        raise refuse("requests: List should have at least 1 item after validation, not 0")
    if len(items) > batches.REQUESTS_AT_MOST:
        raise refuse(
            f"requests: List should have at most {batches.REQUESTS_AT_MOST} items after "
            f"validation, not {len(items)}"
        )
    ids = tuple(item.custom_id for item in items)
    if len(set(ids)) != len(ids):
        raise refuse("requests: custom_id must be unique for each request in the batch")
    batch = batches.Batch(
        id=asked.stamp.unique("msgbatch_01", 22), created=asked.stamp.created, custom_ids=ids
    )
    bodies = (
        (
            item.custom_id,
            msgspec.json.encode({k: v for k, v in item.params.items() if k != "stream"}),
        )
        for item in items
    )
    yield batch.keep
    yield from batches.asks(batch, bodies, asked.received)
    yield from _shown(batch, asked)


def list_batches(asked: Asked) -> Iterable[Act]:
    """A page of the batches, the newest first."""
    before = [batch for _, batch in reversed(asked.kept.all(batches.KIND))]
    now = [batches.settled(batch, asked.kept, asked.stamp.created) for batch in before]
    base = _base(asked)
    told = page([batches.batch_object(batch, base) for batch in now], asked.received.query)
    for one, other in zip(before, now, strict=True):
        if one is not other:
            yield other.keep
    yield from _document(told, asked)


def show_batch(asked: Asked) -> Iterable[Act]:
    """One batch."""
    batch = _batch(asked)
    yield batch.keep
    yield from _shown(batch, asked)


def cancel_batch(asked: Asked) -> Iterable[Act]:
    """Have no more of a batch's requests answered; one that has ended stays as it is."""
    batch = _batch(asked)
    if batch.ended is None and batch.cancelled is None:
        batch = batches.cancelled(batch, asked.kept, asked.stamp.created)
    yield batch.keep
    yield from _shown(batch, asked)


def delete_batch(asked: Asked) -> Iterable[Act]:
    """Forget a batch that has ended, and its results."""
    batch = _batch(asked)
    if batch.ended is None:
        raise refuse(
            f"Message Batch {batch.id} cannot be deleted while it is processing. Cancel it first, "
            "and wait until it has ended."
        )
    yield from batches.forgotten(batch)
    yield from _document({"id": batch.id, "type": "message_batch_deleted"}, asked)


def show_results(asked: Asked) -> Iterable[Act]:
    """The results of a batch that has ended, as lines of JSON."""
    batch = _batch(asked)
    if batch.ended is None:
        raise _not_found(f"Message Batch {batch.id} has no available results: it has not ended.")
    yield batch.keep
    lines = batches.result_lines(batch, asked.kept)
    yield from document_acts(lines, asked.stamp, media_type=_JSON_LINES)


def _batch(asked: Asked) -> batches.Batch:
    """The batch that the path names, as it is now.

    Raises:
        Refused: there is none.
    """
    name = asked.found["batch"]
    batch: batches.Batch | None = asked.kept.get(batches.KIND, name)
    if batch is None:
        raise _not_found(f"Message Batch with id {shown(name)} not found.")
    return batches.settled(batch, asked.kept, asked.stamp.created)


def _not_found(message: str) -> Refused:
    return Refused(Failure(status=404, message=message, type="not_found_error"))


def _base(asked: Asked) -> str:
    """The URL of all batches, as the client wrote it."""
    received = asked.received
    prefix = received.path.partition(_BATCHES)[0]
    host = received.headers.get("host")
    origin = f"{received.scheme}://{host}" if host else ""
    return f"{origin}{prefix}{_BATCHES}"


def _shown(batch: batches.Batch, asked: Asked) -> Iterable[Act]:
    return _document(batches.batch_object(batch, _base(asked)), asked)


def _document(content: object, asked: Asked) -> Iterable[Act]:
    return document_acts(msgspec.json.encode(content), asked.stamp)


def _operation(method: str, path: str, answer: Callable[[Asked], Iterable[Act]]) -> Operation:
    def checked(asked: Asked) -> Iterable[Act]:
        check_version(asked.received, strict=asked.strict)
        return tuple(answer(asked))  # at once, so that it is refused before anything is done

    return Operation(method=method, path=path, dialect=DIALECT, answer=checked)


OPERATIONS: tuple[Operation, ...] = (
    _operation("POST", "/v1/messages/count_tokens", count_tokens),
    _operation("POST", _BATCHES, create_batch),
    _operation("GET", _BATCHES, list_batches),
    _operation("GET", f"{_BATCHES}/<batch>", show_batch),
    _operation("DELETE", f"{_BATCHES}/<batch>", delete_batch),
    _operation("POST", f"{_BATCHES}/<batch>/cancel", cancel_batch),
    _operation("GET", f"{_BATCHES}/<batch>/results", show_results),
)
"""At paths that are Anthropic's alone."""

MODEL_OPERATIONS: tuple[Operation, ...] = tuple(
    structs.replace(each, header="anthropic-version")
    for each in (
        _operation("GET", "/v1/models", list_models),
        _operation("GET", "/v1/models/<path:name>", show_model),
    )
)
"""At paths that others have too."""
