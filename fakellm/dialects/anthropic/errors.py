"""Anthropic's words for what goes wrong, and its error object.

Source: "Errors" and "Rate limits" in the reference (https://docs.claude.com/en/api/errors), and the
API's own answers as they are quoted in bug reports of its clients.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from zope.interface import implementer

from fakellm.interfaces import IErrorWords
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure, Refused
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Exceeded
from fakellm.model.timeline import Act, Finish, Head, Write

INVALID = "invalid_request_error"
RATE_LIMIT = "rate_limit_error"
OVERLOADED = 529
RETRY_AFTER_SECONDS = 1


class _Words(Struct, frozen=True):
    type: str
    message: str


_BY_STATUS: Mapping[int, _Words] = {
    400: _Words(INVALID, "Invalid request"),
    401: _Words("authentication_error", "invalid x-api-key"),
    402: _Words("billing_error", "There is an issue with your billing or payment information."),
    403: _Words(
        "permission_error",
        "Your API key does not have permission to use the specified resource.",
    ),
    404: _Words("not_found_error", "Not found"),
    409: _Words("conflict_error", "The resource was changed by another request."),
    413: _Words("request_too_large", "Request exceeds the maximum size"),
    429: _Words(
        RATE_LIMIT, "This request would exceed your account's rate limit. Please try again later."
    ),
    500: _Words("api_error", "Internal server error"),
    504: _Words("timeout_error", "Request timed out"),
    OVERLOADED: _Words("overloaded_error", "Overloaded"),
}
_OTHER_CLIENT_ERROR = _BY_STATUS[400]
_OTHER_SERVER_ERROR = _BY_STATUS[500]


def error_object(failure: Failure, stamp: Stamp) -> dict[str, Any]:
    """The error object of a failure; what it leaves open is worded by its status."""
    fallback = _OTHER_CLIENT_ERROR if failure.status < 500 else _OTHER_SERVER_ERROR  # noqa: PLR2004
    words = _BY_STATUS.get(failure.status, fallback)
    error: dict[str, Any] = {
        "type": failure.type or words.type,
        "message": words.message if failure.message is None else failure.message,
    }
    if failure.code is not None:
        error["details"] = {"error_code": failure.code}
    return {"type": "error", "error": error, "request_id": stamp.request_id}


def error_json(failure: Failure, stamp: Stamp) -> bytes:
    """``{"type": "error", "error": {...}, "request_id": ...}``."""
    return msgspec.json.encode(error_object(failure, stamp))


_Headers = tuple[tuple[str, str], ...]


def answer_headers(stamp: Stamp) -> _Headers:
    """The header that every answer of the API bears."""
    return (("request-id", stamp.request_id),)


def headed(ours: _Headers, theirs: _Headers) -> _Headers:
    """Headers that a reply sets, and of ours those that it does not."""
    set_by_reply = {name.lower() for name, _ in theirs}
    return (*(each for each in ours if each[0].lower() not in set_by_reply), *theirs)


def failure_acts(failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
    """A whole answer that is an error."""
    body = error_json(failure, stamp)
    ours = [("Content-Type", "application/json"), *answer_headers(stamp)]
    if failure.status == 429:  # noqa: PLR2004
        ours.append(("retry-after", str(RETRY_AFTER_SECONDS)))
    length = ("Content-Length", str(len(body)))
    return (
        Head(failure.status, (*headed(tuple(ours), failure.headers), length)),
        Write(body),
        Finish(),
    )


def document_acts(
    body: bytes, stamp: Stamp, headers: _Headers = (), *, media_type: str = "application/json"
) -> tuple[Act, ...]:
    """A whole answer that is a document, of JSON or of another ``media_type``."""
    ours = (
        ("Content-Type", media_type),
        ("Content-Length", str(len(body))),
        *answer_headers(stamp),
    )
    return Head(200, headed(ours, headers)), Write(body), Finish()


def refuse(message: str) -> Refused:
    """An ``invalid_request_error`` of status 400, to be raised."""
    return Refused(Failure(status=400, message=message, type=INVALID))


_SHOWN_AT_MOST = 100


def shown(text: str) -> str:
    """As much of a client's own words as a message may repeat."""
    return text if len(text) <= _SHOWN_AT_MOST else f"{text[:_SHOWN_AT_MOST]}..."


@implementer(IErrorWords)
class AnthropicErrors:
    """Anthropic's words for what goes wrong before a prompt is understood."""

    def not_found(self, received: Received) -> Failure:  # noqa: ARG002 -- the API does not repeat it
        """Source: what the API answers to any unknown path."""
        return Failure(status=404, message="Not Found", type="not_found_error")

    def not_allowed(self, received: Received, allowed: Sequence[str]) -> Failure:  # noqa: ARG002
        """Source: what the API answers to ``GET /v1/messages``."""
        return Failure(
            status=405,
            message="Method Not Allowed",
            type=INVALID,
            headers=(("Allow", ", ".join(allowed)),),
        )

    def too_large(self, limit: int) -> Failure:
        """The limit is the fake's own setting, so is its number."""
        return Failure(
            status=413,
            message=f"Request exceeds the maximum size of {limit} bytes",
            type="request_too_large",
        )

    def unauthorized(self, key: str | None) -> Failure:
        """Source: the API's answers to no key and to a wrong one."""
        message = "x-api-key header is required" if key is None else "invalid x-api-key"
        return Failure(status=401, message=message, type="authentication_error")

    def bad_schema(self, tool: str | None, reason: str) -> Failure:
        """Source: the API's answers to schemas it does not take."""
        where = "output_config.format.schema"
        if tool is not None:
            where = f"tools.{shown(tool)}.custom.input_schema"
        return Failure(
            status=400, message=f"{where}: JSON schema is invalid. {reason}", type=INVALID
        )

    def unknown_model(self, name: str) -> Failure:
        """Source: the API's answer to a model that is not on offer."""
        return Failure(status=404, message=f"model: {shown(name)}", type="not_found_error")

    def internal(self) -> Failure:
        """The API's words for its own faults."""
        return Failure(status=500)

    def overloaded(self, status: int) -> Failure:
        """The API's words: an overloaded server answers 529, and no 503."""
        return Failure(status=429 if status == 429 else OVERLOADED)  # noqa: PLR2004

    def limited(self, over: Exceeded, model: str) -> Failure:
        """Source: the API's answer to a request over a rate limit."""
        headers: _Headers = ()
        if over.retry_after is not None:
            headers = (("retry-after", str(max(1, math.ceil(over.retry_after)))),)
        return Failure(
            status=429,
            message="This request would exceed the rate limit for your organization of "
            f"{over.limit:,} {over.unit} per {_window(over.window)} (model: {shown(model)}). "
            "For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the "
            "response headers for current usage. Please reduce the prompt length or the maximum "
            "tokens requested, or try again later.",
            type=RATE_LIMIT,
            headers=headers,
        )

    def quota_used_up(self, model: str) -> Failure:  # noqa: ARG002 -- a balance is for all models
        """Source: the API's answer where credits are used up, which is no 402 and no 429."""
        return Failure(
            status=400,
            message="Your credit balance is too low to access the Anthropic API. "
            "Please go to Plans & Billing to upgrade or purchase credits.",
            type=INVALID,
        )

    def too_many_running(self, limit: int, model: str) -> Failure:  # noqa: ARG002
        """Source: the API's answer to too many connections at once."""
        return Failure(
            status=429,
            message="Number of concurrent connections has exceeded your rate limit. "
            "Please try again later.",
            type=RATE_LIMIT,
        )

    def too_long(self, window: int, prompt: int, bound: int) -> Failure:
        """Source: the API's answers to a prompt, and to a bound, that do not fit."""
        message = f"prompt is too long: {prompt} tokens > {window} maximum"
        if prompt <= window:
            message = (
                f"input length and `max_tokens` exceed context limit: {prompt} + {bound} > "
                f"{window}, decrease input length or `max_tokens` and try again"
            )
        return Failure(status=400, message=message, type=INVALID)


_SPANS = {1: "second", 60: "minute", 3600: "hour", 86_400: "day"}


def _window(seconds: float) -> str:
    return _SPANS.get(round(seconds), f"{seconds:g} seconds")
