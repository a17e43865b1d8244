"""OpenAI's words for what goes wrong, and its error object.

Source: the API's own answers, and "Error codes" in its reference
(https://platform.openai.com/docs/guides/error-codes).
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Struct
from zope.interface import implementer

from fakellm.dialects.invalid import Problem
from fakellm.interfaces import IErrorWords
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure, Refused
from fakellm.model.stamp import Stamp
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
    given = {name.lower() for name, _ in headers}
    if failure.status == 429 and "retry-after" not in given:  # noqa: PLR2004
        headers.append(("Retry-After", str(RETRY_AFTER_SECONDS)))
    if "content-type" not in given:
        headers.append(("Content-Type", "application/json"))
    headers.append(("Content-Length", str(len(body))))
    return Head(failure.status, (*headers, *answer_headers(stamp))), Write(body), Finish()


def document_acts(body: bytes, stamp: Stamp) -> tuple[Act, ...]:
    """A whole answer that is a JSON document."""
    headers = (
        ("Content-Type", "application/json"),
        ("Content-Length", str(len(body))),
        *answer_headers(stamp),
    )
    return Head(200, headers), Write(body), Finish()


def refuse(
    message: str, *, param: str | None = None, code: str | None = None, status: int = 400
) -> Refused:
    """An ``invalid_request_error``, to be raised."""
    return Refused(Failure(status=status, message=message, type=INVALID, param=param, code=code))


_NOT_JSON = (
    "We could not parse the JSON body of your request. (HINT: This likely means you aren't using "
    "your HTTP library correctly. The OpenAI API expects a JSON payload, but what was sent was not "
    "valid JSON.)"
)
_JSON_NAMES = {
    "str": "a string",
    "int": "an integer",
    "float": "a decimal",
    "bool": "a boolean",
    "object": "an object",
    "array": "an array",
    "null": "null",
}
_BOUND_NAMES = {"int": "integer", "float": "decimal", "str": "string", "array": "array"}
_ORDERS = {
    "minimum": (">=", "below", "minimum", "min"),
    "maximum": ("<=", "above", "maximum", "max"),
}
_LENGTHS = {"short": ("minimum", "short", "below_min"), "long": ("maximum", "long", "above_max")}


def problem_words(problem: Problem) -> Refused:
    """The API's answer to a body that is not what its records say, to be raised."""
    path, got = problem.path, problem.got
    match problem.kind:
        case "not_json":
            return refuse(_NOT_JSON)
        case "not_object":
            return refuse(
                f"Invalid request body: expected an object, but got {_describe(got)} instead.",
                code="invalid_type",
            )
        case "missing":
            return refuse(
                f"Missing required parameter: '{path}'.",
                param=path,
                code="missing_required_parameter",
            )
        case "type":
            return refuse(
                f"Invalid type for '{path}': expected {_types(str(problem.expected))}, "
                f"but got {_describe(got)} instead.",
                param=path,
                code="invalid_type",
            )
        case "value":
            return refuse(
                f"Invalid value: {_quote(got)}. "
                f"Supported values are: {_listed([_quote(v) for v in problem.expected], 'and')}.",
                param=path,
                code="invalid_value",
            )
        case "minimum" | "maximum":
            sign, where, bound, short = _ORDERS[problem.kind]
            name = _BOUND_NAMES[problem.type]
            return refuse(
                f"Invalid '{path}': {name} {where} {bound} value. "
                f"Expected a value {sign} {problem.expected}, but got {got} instead.",
                param=path,
                code=f"{name}_{where}_{short}_value",
            )
        case "short" | "long":
            return _length_words(problem)
        case "pattern":
            return refuse(
                f"Invalid '{path}': string does not match pattern. "
                f"Expected a string that matches the pattern '{problem.expected}'.",
                param=path,
                code="invalid_value",
            )
        case "number":
            return refuse(
                f"Invalid '{path}': the number is out of range.", param=path, code="invalid_value"
            )


def _length_words(problem: Problem) -> Refused:
    name = _BOUND_NAMES[problem.type]
    bound, adjective, order = _LENGTHS[problem.kind]
    size = len(problem.got) if isinstance(problem.got, str | list) else "another"
    if size == 0:
        said, found, code = f"empty {name}", f"an empty {name}", f"empty_{name}"
    else:
        said, found = (
            f"{name} too {adjective}",
            f"{'an' if name == 'array' else 'a'} {name} with length {size}",
        )
        code = f"{name}_{order}_length"
    return refuse(
        f"Invalid '{problem.path}': {said}. Expected {'an' if name == 'array' else 'a'} {name} "
        f"with {bound} length {problem.expected}, but got {found} instead.",
        param=problem.path,
        code=code,
    )


def _listed(items: Sequence[str], word: str) -> str:
    if len(items) <= 2:  # noqa: PLR2004
        return f" {word} ".join(items)
    return ", ".join(items[:-1]) + f", {word} {items[-1]}"


def _types(declared: str) -> str:
    """``int | null`` as ``an integer``: that null will do is nothing a person has to be told."""
    names = declared.split(" | ")
    wanted = [name for name in names if name != "null"] or names
    return _listed([_JSON_NAMES.get(name, name) for name in wanted], "or")


def _describe(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "a boolean"
        case int():
            return "an integer"
        case float():
            return "a decimal"
        case str():
            return "a string"
        case list():
            return "an array"
    return "an object"


_QUOTED_AT_MOST = 100


def _quote(value: Any) -> str:
    text = value if isinstance(value, str) else msgspec.json.encode(value).decode()
    return f"'{text[:_QUOTED_AT_MOST]}{'...' if len(text) > _QUOTED_AT_MOST else ''}'"


@implementer(IErrorWords)
class OpenAIErrors:
    """OpenAI's words for what goes wrong before a prompt is understood."""

    def not_found(self, received: Received) -> Failure:
        """Source: what the API answers to any unknown path."""
        return Failure(
            status=404,
            message=f"Invalid URL ({received.method} {received.path})",
            type=INVALID,
        )

    def not_allowed(self, received: Received, allowed: Sequence[str]) -> Failure:
        """Source: what the API answers to ``GET /v1/chat/completions`` and its like."""
        return Failure(
            status=405,
            message=f"Not allowed to {received.method} on {received.path}. "
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
                headers=(("WWW-Authenticate", "Bearer"),),
            )
        return Failure(
            status=401,
            message=f"Incorrect API key provided: {_masked(key)}. "
            "You can find your API key at https://platform.openai.com/account/api-keys.",
            type=INVALID,
            code="invalid_api_key",
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
            message=f"The model '{name}' does not exist",
            type=INVALID,
            param="model",
            code="model_not_found",
        )

    def internal(self) -> Failure:
        """The API's words for its own faults."""
        return Failure(status=500)


_KEY_SHOWN = 4


def _masked(key: str) -> str:
    if len(key) <= 4 * _KEY_SHOWN:
        return "*" * len(key)
    return f"{key[:_KEY_SHOWN]}{'*' * 8}{key[-_KEY_SHOWN:]}"
