"""Message batches: requests that are answered while nobody waits.

Source: ``MessageBatch`` and its like of Anthropic's Python SDK. Each request of a batch is asked as
any other is (`Ask`), and its line of the results is kept by itself; what state a batch is in
follows from which of them are there. A result that comes once the batch was cancelled is dropped.
"""

from collections.abc import Iterable
from functools import partial
from typing import Any

import msgspec
from msgspec import Struct, structs

from fakellm.dialects.anthropic.times import rfc3339
from fakellm.model.asked import Kept
from fakellm.model.prompt import Received
from fakellm.model.timeline import Amend, Ask, Keep

KIND = "anthropic.batch"
RESULT_KIND = "anthropic.batch_result"
EXPIRES_AFTER_SECONDS = 24 * 3600
REQUESTS_AT_MOST = 5_000
"""Of the API's 100,000: all results of a batch have to be kept at once, and some room left."""

_SUCCEEDED = 200
_NOT_COUNTED = {"processing": 0, "succeeded": 0, "errored": 0, "canceled": 0, "expired": 0}


class Result(Struct, frozen=True, kw_only=True):
    """A line of the results, and how the request ended: ``succeeded`` or ``errored``."""

    outcome: str
    line: bytes


class Batch(Struct, frozen=True, kw_only=True):
    """A batch as it is kept.

    Times are in Unix time. ``answered`` counts the requests that have been answered, whether their
    results are still there or not. ``cancelled`` is when it was, if it was; ``ended`` when it was
    first seen to have ended, and from then on ``counts`` stand.
    """

    id: str
    created: int
    custom_ids: tuple[str, ...]
    answered: int = 0
    cancelled: int | None = None
    unanswered: frozenset[str] = frozenset()
    ended: int | None = None
    counts: dict[str, int] = {}

    @property
    def expires(self) -> int:
        """When requests without an answer are given up."""
        return self.created + EXPIRES_AFTER_SECONDS

    @property
    def keep(self) -> Keep:
        """The act that keeps it."""
        return Keep(KIND, self.id, self)


def asks(batch: Batch, requests: Iterable[tuple[str, bytes]], received: Received) -> Iterable[Ask]:
    """The requests of a batch, by custom id and body, to be answered as any other.

    Args:
        batch: which they are of.
        requests: what is asked.
        received: what they came in, of which they have the headers and the path's prefix.
    """
    path = received.path.removesuffix("/batches")
    headers = {k: v for k, v in received.headers.items() if k != "content-length"}
    for custom_id, body in requests:
        yield Ask(
            structs.replace(received, path=path, headers=headers, body=body),
            partial(_keep_result, batch.id, custom_id),
        )


def _keep_result(batch_id: str, custom_id: str, status: int, body: bytes) -> Iterable[Keep | Amend]:
    """Keep an answer as the line of the results that it is."""
    outcome, result = _result(status, body)
    line = msgspec.json.encode({"custom_id": custom_id, "result": result})
    kept = Result(outcome=outcome, line=line)
    # the batch last, so that its own results do not drive it out
    return [
        Keep(RESULT_KIND, _key(batch_id, custom_id), kept),
        Amend(KIND, batch_id, _one_more),
    ]


def _one_more(batch: Batch | None) -> Batch | None:
    return None if batch is None else structs.replace(batch, answered=batch.answered + 1)


def _key(batch_id: str, custom_id: str) -> str:
    return f"{batch_id}/{custom_id}"


def _result(status: int, body: bytes) -> tuple[str, dict[str, Any]]:
    try:
        told = msgspec.json.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        told = None
    if status == _SUCCEEDED and isinstance(told, dict):
        if isinstance(told.get("usage"), dict):
            told["usage"]["service_tier"] = "batch"
        return "succeeded", {"type": "succeeded", "message": told}
    if not isinstance(told, dict) or "error" not in told:
        error = {"type": "api_error", "message": "Internal server error"}
        told = {"type": "error", "error": error, "request_id": None}
    return "errored", {"type": "errored", "error": told}


def settled(batch: Batch, kept: Kept, now: int) -> Batch:
    """The batch as it is now: one that has ended is marked so."""
    if batch.ended is not None:
        return batch
    counts = dict(_NOT_COUNTED)
    for custom_id in batch.custom_ids:
        counts[_outcome(batch, custom_id, kept, now)] += 1
    if counts["processing"]:
        return batch
    return structs.replace(batch, ended=now, counts=counts)


def _outcome(batch: Batch, custom_id: str, kept: Kept, now: int) -> str:
    if custom_id in batch.unanswered:
        return "canceled"
    result: Result | None = kept.get(RESULT_KIND, _key(batch.id, custom_id))
    if result is not None:
        return result.outcome
    # where there was no room for its result, it is as if there had been no time for it
    is_lost = batch.answered == len(batch.custom_ids)
    return "expired" if is_lost or now >= batch.expires else "processing"


def cancelled(batch: Batch, kept: Kept, now: int) -> Batch:
    """A batch that is still running, cancelled: what has no answer yet will have none."""
    unanswered = frozenset(
        custom_id
        for custom_id in batch.custom_ids
        if kept.get(RESULT_KIND, _key(batch.id, custom_id)) is None
    )
    return structs.replace(batch, cancelled=now, unanswered=unanswered)


def batch_object(batch: Batch, base: str) -> dict[str, Any]:
    """``MessageBatch``; ``base`` is the URL of all batches."""
    status = "in_progress" if batch.cancelled is None else "canceling"
    counts = {**_NOT_COUNTED, "processing": len(batch.custom_ids)}
    if batch.ended is not None:
        status, counts = "ended", batch.counts
    return {
        "id": batch.id,
        "type": "message_batch",
        "processing_status": status,
        "request_counts": counts,
        "created_at": rfc3339(batch.created),
        "expires_at": rfc3339(batch.expires),
        "ended_at": _time(batch.ended),
        "cancel_initiated_at": _time(batch.cancelled),
        "archived_at": None,
        "results_url": None if batch.ended is None else f"{base}/{batch.id}/results",
    }


def _time(seconds: int | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)


def result_lines(batch: Batch, kept: Kept) -> bytes:
    """The results of a batch that has ended, a line each; what is kept no more has expired."""
    return b"".join(_line(batch, custom_id, kept) + b"\n" for custom_id in batch.custom_ids)


def _line(batch: Batch, custom_id: str, kept: Kept) -> bytes:
    result: Result | None = kept.get(RESULT_KIND, _key(batch.id, custom_id))
    if result is not None and custom_id not in batch.unanswered:
        return result.line
    outcome = "canceled" if custom_id in batch.unanswered else "expired"
    return msgspec.json.encode({"custom_id": custom_id, "result": {"type": outcome}})


def forgotten(batch: Batch) -> Iterable[Keep]:
    """The acts that forget a batch and its results."""
    yield Keep(KIND, batch.id, None)
    for custom_id in batch.custom_ids:
        yield Keep(RESULT_KIND, _key(batch.id, custom_id), None)
