"""Azure's words for what goes wrong, and its error objects.

The gateway has an object of its own, with a code and a message only; behind it OpenAI's words are
passed on. Source: Azure's own answers, as they are quoted in bug reports of its clients.
"""

from collections.abc import Sequence

import msgspec
from zope.interface import implementer

from fakellm.dialects.openai.azure_filter import filter_results
from fakellm.dialects.openai.errors import (
    OpenAIErrors,
    failure_acts,
)
from fakellm.interfaces import IErrorWords
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Finish, Head, Write

_WORDS = {
    401: "Access denied due to invalid subscription key or wrong API endpoint. Make sure to "
    "provide a valid key for an active subscription and use a correct regional API endpoint for "
    "your resource.",
    403: "Access denied due to Virtual Network/Firewall rules.",
    404: "Resource not found",
    408: "The operation was timeout.",
    429: "Requests to the resource have exceeded the call rate limit of your current pricing tier. "
    "Please retry after 1 second.",
}
_FILTERED = "content_filter"
_BAD_REQUEST = 400
_GATEWAY_CODES = frozenset({"BadRequest", "DeploymentNotFound", *map(str, _WORDS)})


def resource_not_found() -> Failure:
    """The gateway knows nothing there, as where ``api-version`` is missing."""
    return Failure(status=404, message=_WORDS[404], code="404")


def bad_version() -> Failure:
    """There is no such ``api-version``."""
    return Failure(status=400, message="API version not supported", code="BadRequest")


def azure_failure_acts(failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
    """A whole answer that is an error."""
    if failure.status == _BAD_REQUEST and failure.code == _FILTERED:
        return _with_body(failure, _filtered(failure), stamp)
    if failure.message is None and failure.status in _WORDS:
        code = failure.code or str(failure.status)
        failure = Failure(
            status=failure.status,
            message=_WORDS[failure.status],
            code=code,
            headers=failure.headers,
        )
    elif failure.type is not None or failure.code not in _GATEWAY_CODES:
        return failure_acts(failure, stamp)
    return _with_body(failure, {"code": failure.code, "message": failure.message}, stamp)


def _filtered(failure: Failure) -> dict[str, object]:
    message = failure.message or (
        "The response was filtered due to the prompt triggering Azure OpenAI's content management "
        "policy. Please modify your prompt and retry. To learn more about our content filtering "
        "policies please read our documentation: https://go.microsoft.com/fwlink/?linkid=2198766"
    )
    return {
        "message": message,
        "type": failure.type,
        "param": failure.param or "prompt",
        "code": _FILTERED,
        "status": failure.status,
        "innererror": {
            "code": "ResponsibleAIPolicyViolation",
            "content_filter_result": filter_results(filtered=True),
        },
    }


def _with_body(failure: Failure, error: dict[str, object], stamp: Stamp) -> tuple[Act, ...]:
    """OpenAI's answer to a failure, but with another error object."""
    head, _, _ = failure_acts(failure, stamp)
    assert isinstance(head, Head)  # noqa: S101 -- what every whole answer begins with
    body = msgspec.json.encode({"error": error})
    headers = tuple(
        (name, str(len(body)) if name == "Content-Length" else value)
        for name, value in head.headers
    )
    return Head(head.status, headers), Write(body), Finish()


@implementer(IErrorWords)
class AzureErrors(OpenAIErrors):
    """OpenAI's words, but where the gateway has its own."""

    def not_found(self, received: Received) -> Failure:  # noqa: ARG002
        """Source: Azure's answer to any unknown path."""
        return resource_not_found()

    def not_allowed(self, received: Received, allowed: Sequence[str]) -> Failure:  # noqa: ARG002
        """Azure does not tell it from a path that is not there."""
        return resource_not_found()

    def unauthorized(self, key: str | None) -> Failure:  # noqa: ARG002 -- said of either
        """Source: Azure's answer to no key and to a wrong one."""
        return Failure(status=401, message=_WORDS[401], code="401")

    def unknown_model(self, name: str) -> Failure:  # noqa: ARG002
        """Source: Azure's answer to a deployment that is not there."""
        return Failure(
            status=404,
            message="The API deployment for this resource does not exist. If you created the "
            "deployment within the last 5 minutes, please wait a moment and try again.",
            code="DeploymentNotFound",
        )
