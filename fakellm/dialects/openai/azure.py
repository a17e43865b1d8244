"""Azure OpenAI: OpenAI's codecs, at its paths, with its key, its errors and its content filter.

Source: "Azure OpenAI in Microsoft Foundry Models REST API reference" and "Content filtering"
(learn.microsoft.com). This must never encode an answer itself: it adds to what the codecs say.
"""

import re
from collections.abc import Sequence
from urllib.parse import unquote

import msgspec
from msgspec import structs
from zope.interface import implementer

from fakellm.dialects.openai.azure_errors import (
    AzureErrors,
    azure_failure_acts,
    bad_version,
    resource_not_found,
)
from fakellm.dialects.openai.azure_filter import with_filter_results
from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from fakellm.model.asked import Kept
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure, Refused
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Standing
from fakellm.model.timeline import Act

_DEPLOYMENT = re.compile(r"/openai/deployments/(?P<name>[^/]+)/")
_VERSION = re.compile(r"\d{4}-\d\d-\d\d(-preview)?")
_VERSIONS_OF_V1 = frozenset({None, "v1", "preview", "latest"})
_FILTERED = frozenset({"chat.completions", "completions"})
_raw = msgspec.json.Decoder(dict[str, msgspec.Raw])


@implementer(IDialect)
class Azure:
    """A codec of OpenAI's as Azure serves it.

    Under ``/openai/deployments/{deployment}/`` the deployment is the model, whatever the body says,
    and ``api-version`` has to be told; under ``/openai/v1/`` the body names the model.

    Args:
        inner: the codec.
    """

    name = "azure"
    errors: IErrorWords = AzureErrors()

    def __init__(self, inner: IDialect) -> None:
        self._inner = inner

    def api_key(self, received: Received) -> str | None:
        """The header ``api-key``, or a bearer token, as of Entra ID."""
        key = received.headers.get("api-key", "").strip()
        if key:
            return key
        token: str | None = self._inner.api_key(received)
        return token

    def decode(self, received: Received, *, strict: bool, kept: Kept) -> Prompt:
        """See `IDialect`."""
        deployment = _DEPLOYMENT.search(received.path)
        _check_version(received.query.get("api-version"), deployed=deployment is not None)
        asked = received
        if deployment is not None:
            asked = structs.replace(received, body=_for(unquote(deployment["name"]), received.body))
        prompt: Prompt = self._inner.decode(asked, strict=strict, kept=kept)
        return structs.replace(
            prompt, dialect=self.name, api_key=self.api_key(received), received=received
        )

    def encoder(self, prompt: Prompt, stamp: Stamp, framing: Framing = DEFAULT_FRAMING) -> IEncoder:
        """See `IDialect`."""
        encoder: IEncoder = self._inner.encoder(prompt, stamp, framing)
        if prompt.endpoint not in _FILTERED:
            return encoder
        return with_filter_results(encoder, prompt, stamp)

    def limit_headers(
        self, standings: Sequence[Standing], stamp: Stamp
    ) -> tuple[tuple[str, str], ...]:
        """See `IDialect`."""
        headers: tuple[tuple[str, str], ...] = self._inner.limit_headers(standings, stamp)
        return headers

    def failure(self, failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        return azure_failure_acts(failure, stamp)

    def document(self, body: bytes, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        acts: tuple[Act, ...] = self._inner.document(body, stamp)
        return acts


def _check_version(version: str | None, *, deployed: bool) -> None:
    if deployed and not version:
        raise Refused(resource_not_found())
    if version in _VERSIONS_OF_V1 or (version and _VERSION.fullmatch(version)):
        return
    raise Refused(bad_version())


def _for(model: str, body: bytes) -> bytes:
    """A body that asks for a model; one that is no object is left to be refused as it is."""
    try:
        fields = _raw.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    return msgspec.json.encode({**fields, "model": model})
