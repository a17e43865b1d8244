"""The seams: an interface only where two implementations stand."""

from collections.abc import Iterable, Sequence

from zope.interface import Attribute, Interface

from fakellm.model.asked import Kept
from fakellm.model.events import Event
from fakellm.model.framing import Framing
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Exceeded, Standing
from fakellm.model.timeline import Act, Whole


class IEncoder(Interface):
    """One answer's way from events to acts; an object per answer, as indices and ids are state."""

    def encode(event: Event) -> Iterable[Act]:
        """The acts, in order, that an event calls for; often none.

        An encoder that sent its head may be told ``Failed`` at any time, and words it in the body.
        """


class IErrorWords(Interface):
    """A vendor's words for what goes wrong before a prompt is understood."""

    def not_found(received: Received) -> Failure:
        """No endpoint has that path."""

    def not_allowed(received: Received, allowed: Sequence[str]) -> Failure:
        """The endpoint has other methods."""

    def too_large(limit: int) -> Failure:
        """The body has more than ``limit`` bytes."""

    def unauthorized(key: str | None) -> Failure:
        """The API key is missing (``None``) or wrong."""

    def bad_schema(tool: str | None, reason: str) -> Failure:
        """No value can meet the schema of a tool, or (``None``) of the answer's format."""

    def unknown_model(name: str) -> Failure:
        """No such model is configured."""

    def internal() -> Failure:
        """The fake itself is at fault."""

    def overloaded(status: int) -> Failure:
        """Too many answers wait already; ``status`` is 429 or 503."""

    def limited(over: Exceeded, model: str) -> Failure:
        """A limit on requests or tokens is reached, by a request for ``model``."""

    def quota_used_up(model: str) -> Failure:
        """A quota that does not refill is used up."""

    def too_many_running(limit: int, model: str) -> Failure:
        """``limit`` answers are running already."""

    def too_long(window: int, prompt: int, bound: int) -> Failure:
        """A prompt of so many tokens, with an answer's bound, is over the model's ``window``."""


class IDialect(Interface):
    """A vendor's wire format: a pure codec."""

    name = Attribute("How settings, logs and scenarios call it.")
    errors = Attribute("Its `IErrorWords`.")

    def api_key(received: Received) -> str | None:
        """The API key that a request bears."""

    def decode(received: Received, *, strict: bool, kept: Kept) -> Prompt:
        """What a request asks.

        Args:
            received: the request.
            strict: refuse what the vendor refuses but a fake need not mind.
            kept: what earlier requests left behind, which this one may be about.

        Raises:
            Refused: the request breaks the vendor's rules.
        """

    def encoder(prompt: Prompt, stamp: Stamp, framing: Framing) -> IEncoder:
        """A fresh encoder for one answer."""

    def limit_headers(standings: Sequence[Standing], stamp: Stamp) -> tuple[tuple[str, str], ...]:
        """How the client stands with its limits, at most one for each unit, in headers.

        ``stamp`` is that of the answer: some vendors tell points in time, not durations.
        """

    def failure(failure: Failure, stamp: Stamp) -> tuple[Act, ...]:
        """A whole answer that is an error."""

    def document(body: bytes, stamp: Stamp) -> tuple[Act, ...]:
        """A whole answer that is a JSON document."""


class ITokenizer(Interface):
    """Cuts text into tokens."""

    name: str = Attribute("""The name that `tokenizer` knows it by.""")

    def split(text: str) -> tuple[str, ...]:
        """Return the pieces of the text, one per token, that join to the text exactly."""

    def count(text: str) -> int:
        """Return `len(split(text))`, cheaper."""


class IWire(Interface):
    """A client's connection, as much of it as one answer may use."""

    def head(status: int, headers: Iterable[tuple[str, str]]) -> None:
        """Send status and headers, with what follows, or by `flush`."""

    def head_bytes(status: int, headers: Iterable[tuple[str, str]]) -> bytes:
        """Begin an answer like `head`, but give its bytes, for `raw` to send; empty if sent."""

    def flush() -> None:
        """Send the head now, if it was not."""

    def write(data: bytes) -> None:
        """Send bytes of the body."""

    def raw(data: bytes) -> None:
        """Send bytes outside HTTP's framing of the body, where there is a connection to break."""

    def finish(trailers: Iterable[tuple[str, str]] = ()) -> None:
        """End the body properly, and send trailers where that is possible; nothing may follow."""

    def whole(answer: Whole) -> None:
        """Send an answer, head and body, and end it; nothing may follow."""

    def close() -> None:
        """Close the connection once what was written is sent; nothing may follow."""

    def abort() -> None:
        """Reset the connection once what was written has reached the client; nothing may follow."""

    def shut(seconds: float, *, refused: bool, connections: int | None) -> None:
        """Turn new connections away; see `fakellm.model.timeline.Shut`."""

    def register(producer: object) -> None:
        """Let an `IPushProducer` know when the client does not read."""

    def unregister() -> None:
        """Forget the producer."""
