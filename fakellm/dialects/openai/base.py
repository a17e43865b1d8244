"""What OpenAI's endpoints have in common: the key, the errors, and how documents are sent."""

from collections.abc import Sequence
from functools import lru_cache

from fakellm.dialects.openai.errors import OpenAIErrors, document_acts, failure_acts
from fakellm.dialects.openai.flavour import PLAIN, Flavour
from fakellm.dialects.openai.limits import limit_headers
from fakellm.interfaces import IErrorWords
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Standing
from fakellm.model.timeline import Act

_BEARER = "bearer "


class OpenAIBase:
    """All of an `IDialect` but ``decode`` and ``encoder``.

    Args:
        flavour: whose ways the endpoint has.
    """

    errors: IErrorWords = OpenAIErrors()

    def __init__(self, flavour: Flavour = PLAIN) -> None:
        self.flavour = flavour
        self.name = flavour.name

    def api_key(self, received: Received) -> str | None:
        """The bearer token."""
        header = received.headers.get("authorization")
        return None if header is None else _bearer(header)

    def limit_headers(
        self,
        standings: Sequence[Standing],
        stamp: Stamp,  # noqa: ARG002 -- durations need no clock
    ) -> tuple[tuple[str, str], ...]:
        """See `IDialect`."""
        return limit_headers(standings)

    def failure(self, failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        return failure_acts(failure, stamp)

    def document(self, body: bytes, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        return document_acts(body, stamp)


@lru_cache(maxsize=256)
def _bearer(header: str) -> str | None:
    if not header.lower().startswith(_BEARER):
        return None
    return header[len(_BEARER) :].strip() or None
