"""One path where models of several flavours answer: the codec is that of the model asked for.

It must never read more of a request than the name of its model.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from zope.interface import implementer

from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from fakellm.model.asked import Kept
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Standing
from fakellm.model.timeline import Act


class _Named(msgspec.Struct, frozen=True):
    model: Any = None


_named = msgspec.json.Decoder(_Named)


@implementer(IDialect)
class ByModel:
    """A codec for most models, and others for some; keys and errors are worded alike by all.

    Args:
        usual: the codec for most.
        others: those for some, by the names of the models.
    """

    def __init__(self, usual: IDialect, others: Mapping[str, IDialect]) -> None:
        self._usual = usual
        self._others = others
        self.name: str = usual.name
        self.errors: IErrorWords = usual.errors

    def _of(self, model: object) -> IDialect:
        return self._others.get(model, self._usual) if isinstance(model, str) else self._usual

    def api_key(self, received: Received) -> str | None:
        """See `IDialect`."""
        key: str | None = self._usual.api_key(received)
        return key

    def decode(self, received: Received, *, strict: bool, kept: Kept) -> Prompt:
        """See `IDialect`. What names no model is refused as it always is."""
        try:
            model = _named.decode(received.body).model
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            model = None
        prompt: Prompt = self._of(model).decode(received, strict=strict, kept=kept)
        return prompt

    def encoder(self, prompt: Prompt, stamp: Stamp, framing: Framing = DEFAULT_FRAMING) -> IEncoder:
        """See `IDialect`."""
        encoder: IEncoder = self._of(prompt.model).encoder(prompt, stamp, framing)
        return encoder

    def limit_headers(
        self, standings: Sequence[Standing], stamp: Stamp
    ) -> tuple[tuple[str, str], ...]:
        """See `IDialect`."""
        headers: tuple[tuple[str, str], ...] = self._usual.limit_headers(standings, stamp)
        return headers

    def failure(self, failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        acts: tuple[Act, ...] = self._usual.failure(failure, stamp)
        return acts

    def document(self, body: bytes, stamp: Stamp) -> tuple[Act, ...]:
        """See `IDialect`."""
        acts: tuple[Act, ...] = self._usual.document(body, stamp)
        return acts
