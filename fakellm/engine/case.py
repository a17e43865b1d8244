"""One request on its way: what is known of it, and what it must give back when it ends."""

from collections.abc import Callable, Iterator

from fakellm.engine.admission import Place
from fakellm.engine.limits import Admitted
from fakellm.engine.player import Headers, Manner
from fakellm.interfaces import IDialect, IWire
from fakellm.journal.noted import Noted
from fakellm.model.events import End, Event, Token
from fakellm.model.stamp import Stamp
from fakellm.scenarios.course import Regime

QUEUE_PLACE_HEADER = "X-FakeLLM-Queue-Place"
QUEUE_TIME_HEADER = "X-FakeLLM-Queue-Time"


class Case:
    """A request that is being answered.

    Args:
        dialect: speaks to its client.
        stamp: its identity and chance.
        regime: how the server conducts itself at this time.
        wire: its client's.
        begins: when it arrived.

    Attributes:
        begins: when its time began to run: when it arrived, or had its turn.
        place: in the queue or a slot, once it has one.
        admitted: by the limits, once it is.
        noted: what the journal and the figures have of it.
        lasting: whether its answer goes on without its client.
    """

    __slots__ = (
        "_said", "_used", "admitted", "begins", "dialect", "lasting", "noted", "place", "regime",
        "stamp", "wire",
    )  # fmt: skip

    def __init__(
        self,
        *,
        dialect: IDialect,
        stamp: Stamp,
        regime: Regime,
        wire: IWire,
        begins: float,
        noted: Noted,
    ) -> None:
        self.dialect = dialect
        self.stamp = stamp
        self.regime = regime
        self.wire = wire
        self.begins = begins
        self.noted = noted
        self.lasting = False
        self.place: Place | None = None
        self.admitted: Admitted | None = None
        self._said = 0
        self._used: int | None = None

    def manner(self) -> Manner:
        """How the answer is played."""
        regime = self.regime
        headers: Headers = ()
        delivery = self.noted.delivery
        if self.admitted is not None and self.admitted.standings:
            headers = tuple(self.dialect.limit_headers(self.admitted.standings, self.stamp))
        if self.place is not None and self.place.position:
            delivery.queued = self.place.waited
        if self.place is not None and regime.load.slots is not None:
            headers = (
                *headers,
                (QUEUE_PLACE_HEADER, str(self.place.position)),
                (QUEUE_TIME_HEADER, f"{self.place.waited:.3f}"),
            )
        return Manner(
            headers=headers,
            head_at_once=regime.framing.head_at_once,
            late=regime.late,
            lasting=self.lasting,
            session=self.noted.session,
            delivery=delivery,
            noted=self.noted,
        )

    def counted(self, events: Iterator[Event], prompt_tokens: int) -> Iterator[Event]:
        """The same events, and the tokens that are said of them counted for the limits."""
        self._said = prompt_tokens
        for event in events:
            if isinstance(event, Token):
                self._said += event.tokens
            elif isinstance(event, End):
                self._used = event.usage.prompt + event.usage.completion
            yield event

    def end(self, seconds: Callable[[], float]) -> None:
        """Give back what it holds: its slot, its place in the queue, tokens it did not use."""
        place, self.place = self.place, None
        admitted, self.admitted = self.admitted, None
        if admitted is not None:
            admitted.end(self._said if self._used is None else self._used, seconds())
        if place is not None:
            place.leave()
