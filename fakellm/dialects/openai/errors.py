"""OpenAI's words for what goes wrong, and its error object.

Source: the API's own answers, and "Error codes" in its reference
(https://platform.openai.com/docs/guides/error-codes).
"""

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Struct
from zope.interface import implementer

from fakellm.dialects.openai.limits import named, spelled, waiting_headers
from fakellm.interfaces import IErrorWords
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure, Refused
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Exceeded
from fakellm.model.timeline import Act, Finish, Head, Write

INVALID = "invalid_request_error"
RETRY_AFTER_SECONDS = 1


class ErrorBody(Struct, frozen=True, kw_only=True):
    """The error object; every field is always there."""

    message: str
    type: str
    param: str | None
    code: str | None


class _Words(Struct, frozen=True):
    message: str
    type: str
    code: str | None = None


_BY_STATUS: Mapping[int, _Words] = {
    400: _Words("The request could not be understood.", INVALID),
    401: _Words("Incorrect API key provided.", INVALID, "invalid_api_key"),
    403: _Words(
        "You are not allowed to do this with this API key.", INVALID, "insufficient_permissions"
    ),
    404: _Words("The requested resource does not exist.", INVALID),
    409: _Words("The resource was changed by another request. Please try again.", INVALID),
    413: _Words("The request is too large.", INVALID, "request_too_large"),
    422: _Words("The request was well-formed but could not be processed.", INVALID),
    429: _Words(
        "Too many requests. Please try again later.", "rate_limit_error", "rate_limit_exceeded"
    ),
    500: _Words(
        "The server had an error while processing your request. Sorry about that!", "server_error"
    ),
    502: _Words("Bad gateway.", "server_error"),
    503: _Words(
        "The engine is currently overloaded, please try again later.",
        "service_unavailable_error",
        "service_unavailable",
    ),
    504: _Words("The server did not answer in time.", "server_error", "timeout"),
}
_OTHER_CLIENT_ERROR = _Words("The request was refused.", INVALID)
_OTHER_SERVER_ERROR = _BY_STATUS[500]


def error_body(failure: Failure) -> ErrorBody:
    """The error object of a failure; what it leaves open is worded by its status."""
    fallback = _OTHER_CLIENT_ERROR if failure.status < 500 else _OTHER_SERVER_ERROR  # noqa: PLR2004
    words = _BY_STATUS.get(failure.status, fallback)
    worded = failure.message is None
    return ErrorBody(
        message=words.message if failure.message is None else failure.message,
        type=failure.type or words.type,
        param=failure.param,
        # A code says which message it is: only ours goes with our message.
        code=words.code if worded and failure.code is None else failure.code,
    )


def error_json(failure: Failure) -> bytes:
    """``{"error": {...}}``."""
    return msgspec.json.encode({"error": error_body(failure)})


def answer_headers(stamp: Stamp) -> tuple[tuple[str, str], ...]:
    """The headers that every answer of the API bears."""
    return (("openai-version", "2020-10-01"), ("x-request-id", stamp.request_id))


def failure_acts(failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
    """A whole answer that is an error."""
    body = error_json(failure)
    headers = [*failure.headers]
    given = {name.lower(): value for name, value in headers}
    is_final = given.get("x-should-retry", "").lower() == "false"
    if failure.status == 429 and "retry-after" not in given and not is_final:  # noqa: PLR2004
        headers.append(("Retry-After", str(RETRY_AFTER_SECONDS)))
    if "content-type" not in given:
        headers.append(("Content-Type", "application/json"))
    headers.append(("Content-Length", str(len(body))))
    return Head(failure.status, (*headers, *answer_headers(stamp))), Write(body), Finish()


_Headers = tuple[tuple[str, str], ...]


def headed(ours: _Headers, theirs: _Headers) -> _Headers:
    """Headers that a reply sets, and of ours those that it does not."""
    if not theirs:
        return ours
    set_by_reply = {name.lower() for name, _ in theirs}
    return (*(each for each in ours if each[0].lower() not in set_by_reply), *theirs)


def document_acts(body: bytes, stamp: Stamp, headers: _Headers = ()) -> tuple[Act, ...]:
    """A whole answer that is a JSON document."""
    ours = (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        *answer_headers(stamp),
    )
    return Head(200, headed(ours, headers)), Write(body), Finish()


def refuse(message: str, *, param: str | None = None, code: str | None = None) -> Refused:
    """An ``invalid_request_error`` of status 400, to be raised."""
    return Refused(Failure(status=400, message=message, type=INVALID, param=param, code=code))


_CHALLENGE = (("WWW-Authenticate", "Bearer"),)
"""What an answer of status 401 has to bear (RFC 9110, 15.5.2)."""

_COME_AGAIN: _Headers = (("Retry-After", str(RETRY_AFTER_SECONDS)),)

_NEVER: _Headers = (("x-should-retry", "false"),)
"""What the vendor's clients go by: to ask again is of no use."""

_RATE_LIMITED = "rate_limit_exceeded"
_NO_QUOTA = "insufficient_quota"
_ORGANIZATION = "org-fakellm"
_LIMITS_PAGE = "https://platform.openai.com/account/rate-limits"

_SHOWN_AT_MOST = 100


def shown(text: str) -> str:
    """As much of a client's own words as a message may repeat."""
    return text if len(text) <= _SHOWN_AT_MOST else f"{text[:_SHOWN_AT_MOST]}..."


@implementer(IErrorWords)
class OpenAIErrors:
    """OpenAI's words for what goes wrong before a prompt is answered."""

    def not_found(self, received: Received) -> Failure:
        """Source: what the API answers to any unknown path."""
        return Failure(
            status=404,
            message=f"Invalid URL ({shown(received.method)} {shown(received.path)})",
            type=INVALID,
        )

    def not_allowed(self, received: Received, allowed: Sequence[str]) -> Failure:
        """Source: what the API answers to ``GET /v1/chat/completions`` and its like."""
        return Failure(
            status=405,
            message=f"Not allowed to {shown(received.method)} on {shown(received.path)}. "
            "(HINT: Perhaps you meant to use a different HTTP method?)",
            type=INVALID,
            code="method_not_supported",
            headers=(("Allow", ", ".join(allowed)),),
        )

    def too_large(self, limit: int) -> Failure:
        """The limit is the fake's own setting, so are the words."""
        return Failure(
            status=413,
            message=f"The request body is larger than the limit of {limit} bytes.",
            type=INVALID,
            code="request_too_large",
        )

    def unauthorized(self, key: str | None) -> Failure:
        """Source: the API's answers to no key and to a wrong one, which it shows in part."""
        if key is None:
            return Failure(
                status=401,
                message="You didn't provide an API key. You need to provide your API key in an "
                "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
                type=INVALID,
                headers=_CHALLENGE,
            )
        return Failure(
            status=401,
            message=f"Incorrect API key provided: {_masked(key)}. "
            "You can find your API key at https://platform.openai.com/account/api-keys.",
            type=INVALID,
            code="invalid_api_key",
            headers=_CHALLENGE,
        )

    def bad_schema(self, tool: str | None, reason: str) -> Failure:
        """Source: the API's answers to schemas it does not take."""
        if tool is None:
            return Failure(
                status=400,
                message=f"Invalid schema for response_format: {reason}",
                type=INVALID,
                param="response_format.json_schema.schema",
                code="invalid_schema",
            )
        return Failure(
            status=400,
            message=f"Invalid schema for function '{tool}': {reason}",
            type=INVALID,
            param="tools",
            code="invalid_function_parameters",
        )

    def unknown_model(self, name: str) -> Failure:
        """Source: the API's answer to ``GET /v1/models/nonesuch``."""
        return Failure(
            status=404,
            message=f"The model '{shown(name)}' does not exist",
            type=INVALID,
            param="model",
            code="model_not_found",
        )

    def internal(self) -> Failure:
        """The API's words for its own faults."""
        return Failure(status=500)

    def overloaded(self, status: int) -> Failure:
        """The API's words for that status."""
        return Failure(status=status, headers=_COME_AGAIN)

    def limited(self, over: Exceeded, model: str) -> Failure:
        """Source: the API's answers to a request over a rate limit, and to one too large for it."""
        of = f"{shown(model)} in organization {_ORGANIZATION} on {named(over)}"
        if over.retry_after is None:
            message = (
                f"Request too large for {of}: Limit {over.limit}, Requested {over.requested}. "
                "The input or output tokens must be reduced in order to run successfully."
            )
            headers = _NEVER
        else:
            message = (
                f"Rate limit reached for {of}: Limit {over.limit}, Used {over.used}, "
                f"Requested {over.requested}. Please try again in {spelled(over.retry_after)}."
            )
            headers = waiting_headers(over.retry_after)
        return Failure(
            status=429,
            message=f"{message} Visit {_LIMITS_PAGE} to learn more.",
            type=over.unit,
            code=_RATE_LIMITED,
            headers=headers,
        )

    def quota_used_up(self, model: str) -> Failure:  # noqa: ARG002 -- it is the account's
        """Source: the API's answer to an account without credit, and "Error codes"."""
        return Failure(
            status=429,
            message="You exceeded your current quota, please check your plan and billing details. "
            "For more information on this error, read the docs: "
            "https://platform.openai.com/docs/guides/error-codes/api-errors.",
            type=_NO_QUOTA,
            code=_NO_QUOTA,
            headers=_NEVER,
        )

    def too_many_running(self, limit: int, model: str) -> Failure:
        """The limit is the fake's own setting, so are the words."""
        return Failure(
            status=429,
            message=f"Too many concurrent requests for {shown(model)} in organization "
            f"{_ORGANIZATION}: Limit {limit}, Running {limit}. Please try again when one of them "
            "has ended.",
            type="requests",
            code=_RATE_LIMITED,
            headers=_COME_AGAIN,
        )

    def too_long(self, window: int, prompt: int, bound: int) -> Failure:
        """Source: the API's answers to a prompt that does not fit, with and without a bound."""
        if bound:
            however = (
                f"you requested {prompt + bound} tokens ({prompt} in the messages, "
                f"{bound} in the completion). Please reduce the length of the messages or "
                "completion."
            )
        else:
            however = (
                f"your messages resulted in {prompt} tokens. "
                "Please reduce the length of the messages."
            )
        return Failure(
            status=400,
            message=f"This model's maximum context length is {window} tokens. However, {however}",
            type=INVALID,
            param="messages",
            code="context_length_exceeded",
        )


_KEY_SHOWN = 4


def _masked(key: str) -> str:
    if len(key) <= 4 * _KEY_SHOWN:
        return "*" * len(key)
    return f"{key[:_KEY_SHOWN]}{'*' * 8}{key[-_KEY_SHOWN:]}"
