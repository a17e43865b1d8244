"""The journal of a server: its requests in order, bounded, for whoever wants to look.

What is kept is cheap, and records are made when they are asked for. Entries that had to make room
for others are counted. It must never make an answer late or fail.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator

from msgspec import Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from fakellm.interfaces import ITokenizer
from fakellm.journal.delivery import WRITES_AT_MOST, Delivery
from fakellm.journal.matches import CompiledMatch, Match, Missed, compile_match
from fakellm.journal.noted import Noted
from fakellm.journal.records import (
    EventKind,
    Figures,
    JournalEntry,
    JournalEvent,
    NearMiss,
    Snapshot,
)
from fakellm.journal.rendering import entry_of
from fakellm.journal.snapshots import snapshot_of
from fakellm.scenarios.sessions import StartedAfresh

Subscriber = Callable[[JournalEvent], None]
Asked = Match | CompiledMatch

NEAR_AT_MOST = 3
_ANY = compile_match(Match())


class Bounds(Struct, frozen=True, kw_only=True):
    """How much is kept.

    ``entries`` and ``bytes`` of them all, about; 0 entries turn the journal off. ``body`` bytes of
    a request's body, and of what was made of it.
    """

    entries: int = 10_000
    bytes: int = 64 * 1024**2
    body: int = 64 * 1024


class Sink:
    """Takes entries whose answers have ended, such as a file."""

    lost = 0

    def put(self, entry: Callable[[], JournalEntry]) -> None:
        """Take one; it is made only where it is taken. Must neither wait nor raise."""


class _Waiter:
    """Somebody who waits for requests that fit."""

    def __init__(self, match: CompiledMatch, count: int) -> None:
        self.match = match
        self.count = count
        self.found: dict[str, Noted] = {}
        self.fires: Deferred[list[JournalEntry]]


class Journal:
    """Keeps requests.

    Args:
        tokenizer: cuts answers, as they were cut when they were given.
        bounds: how much is kept.

    Attributes:
        sink: gets every entry when its answer has ended.
        dropped: how many entries made room for others.
    """

    def __init__(self, tokenizer: ITokenizer, bounds: Bounds = Bounds()) -> None:  # noqa: B008
        self._log = Logger()
        self._tokenizer = tokenizer
        self._bounds = bounds
        self._entries: OrderedDict[str, Noted] = OrderedDict()  # in the order of their coming
        self._sessions: dict[str, dict[str, Noted]] = {}
        self._bytes = 0
        self._waiters: list[_Waiter] = []
        self._subscribers: list[Subscriber] = []
        self.sink: Sink | None = None
        self.dropped = 0

    # -- looking

    def all(self, match: Asked | None = None, *, last: int | None = None) -> list[JournalEntry]:
        """The requests that fit, the oldest first; of many, the last so many.

        Raises:
            fakellm.scenarios.text_tests.BadRule: a condition of the match is impossible.
        """
        fitting = list(self._fitting(_compiled(match)))
        if last is not None:
            fitting = fitting[max(0, len(fitting) - last) :]
        return [self._told(noted) for noted in fitting]

    def count(self, match: Asked | None = None) -> int:
        """How many requests fit; raises as `all` does."""
        return sum(1 for _ in self._fitting(_compiled(match)))

    def one(self, id: str) -> JournalEntry | None:  # noqa: A002 -- what it is called in the record
        """The request of this id."""
        noted = self._entries.get(id)
        return None if noted is None else self._told(noted)

    def near(
        self, match: Asked, *, session: str | None = None, at_most: int = NEAR_AT_MOST
    ) -> list[NearMiss]:
        """The requests that nearly fit: those first of which most conditions hold, then the latest.

        Args:
            match: that they do not fit; those that do are not told.
            session: look only at those of this session; else, at those of the match's, or at all.
            at_most: how many are told.

        Raises:
            fakellm.scenarios.text_tests.BadRule: a condition of the match is impossible.
        """
        compiled = _compiled(match)
        missed: list[tuple[Missed, Noted]] = []
        for noted in self._of(compiled.session if session is None else session):
            miss = compiled.missed(noted)
            if miss is not None:
                missed.append((miss, noted))
        missed.sort(key=lambda pair: (-pair[0].held, -pair[1].number))
        return [
            NearMiss(
                entry=self._told(noted),
                held=miss.held,
                name=miss.name,
                expected=miss.expected,
                found=miss.found,
            )
            for miss, noted in missed[:at_most]
        ]

    def snapshot(self, id: str) -> Snapshot | None:  # noqa: A002 -- as in `one`
        """The request of this id, with all that changes from run to run masked."""
        entry = self.one(id)
        return None if entry is None else snapshot_of(entry)

    def wait(self, match: Asked | None = None, count: int = 1) -> "Deferred[list[JournalEntry]]":
        """Fires with the first so many requests that fit, once there are so many.

        Those that are in the journal count. A request fits as soon as it does: conditions on its
        status or its end hold later than others. May be cancelled, and fails with `StartedAfresh`
        when what it waits for starts afresh.

        Raises:
            fakellm.scenarios.text_tests.BadRule: a condition of the match is impossible.
        """
        waiter = _Waiter(_compiled(match), count)
        waiter.fires = Deferred(lambda _: self._waiters.remove(waiter))
        for noted in self._fitting(waiter.match):
            waiter.found[noted.id] = noted
            if len(waiter.found) >= count:
                break
        if len(waiter.found) >= count:
            waiter.fires.callback([self._told(noted) for noted in waiter.found.values()])
        else:
            self._waiters.append(waiter)
        return waiter.fires

    def subscribe(self, callback: Subscriber) -> Callable[[], None]:
        """Have a callback told what happens from now on; gives what ends that.

        One that raises is told no more.
        """
        self._subscribers.append(callback)

        def unsubscribe() -> None:
            if callback in self._subscribers:
                self._subscribers.remove(callback)

        return unsubscribe

    @property
    def figures(self) -> Figures:
        """How full it is."""
        return Figures(
            entries=len(self._entries),
            bytes=self._bytes,
            dropped=self.dropped,
            unwritten=0 if self.sink is None else self.sink.lost,
        )

    # -- changing

    def delete(self, session: str | None = None) -> int:
        """Delete the requests of a session, or all; how many they were."""
        gone = list(self._of(session))
        for noted in gone:
            self._drop(noted)
        return len(gone)

    def start_afresh(self, session: str | None = None) -> None:
        """Delete the requests of a session, or all, and let nobody wait for more of them."""
        self.delete(session)
        for waiter in [each for each in self._waiters if session in {None, each.match.session}]:
            if waiter in self._waiters:  # and what was told before has not cancelled it
                self._waiters.remove(waiter)
                waiter.fires.errback(StartedAfresh())

    # -- the engine's

    @property
    def on(self) -> bool:
        """Whether anything is to be noted at all."""
        return self._bounds.entries > 0 or self.sink is not None

    @property
    def keeps(self) -> bool:
        """Whether requests are kept, to be looked at."""
        return self._bounds.entries > 0

    def delivery(self, arrived: float) -> Delivery:
        """What notes how an answer goes out."""
        return Delivery(arrived, WRITES_AT_MOST if self.on else 0)

    def received(self, noted: Noted) -> None:
        """A request has been understood, or never will be; only the first time counts."""
        if noted.told:
            return
        noted.told = True
        if self._bounds.entries:
            noted.bound(self._bounds.body)
            noted.kept = True
            self._entries[noted.id] = noted
            of_session = self._sessions.get(noted.session)
            if of_session is None:
                of_session = self._sessions[noted.session] = {}
            of_session[noted.id] = noted
            self._bytes += noted.weigh()
            self._make_room(but=noted)
        if self._waiters or self._subscribers:
            self._tell("received", noted)
            for fault in noted.faults or ():  # which decided that it gets no other answer
                self._tell("struck", noted, fault=fault)

    def struck(self, noted: Noted, fault: str) -> None:
        """A fault strikes the answer to a request; told once the request is received."""
        if noted.told and (self._waiters or self._subscribers):
            self._tell("struck", noted, fault=fault)

    def held(self, noted: Noted, gate: str) -> None:
        """The answer to a request waits at a gate."""
        if self._waiters or self._subscribers:
            self._tell("held", noted, gate=gate)

    def let_go(self, noted: Noted, gate: str) -> None:
        """It goes on, for good or for some chunks."""
        if self._waiters or self._subscribers:
            self._tell("let_go", noted, gate=gate)

    def ended(self, noted: Noted) -> None:
        """The answer to a request has ended, perhaps as soon as it was understood."""
        if not noted.told:
            self.received(noted)
        elif noted.kept:
            noted.settle()
            self._bytes += noted.weigh()
            self._make_room(but=noted)
        if self._waiters or self._subscribers:
            self._tell("ended", noted)
        if self.sink is not None:
            noted.bound(self._bounds.body)
            self.sink.put(lambda: self._told(noted))

    def _make_room(self, but: Noted) -> None:
        bounds = self._bounds
        while len(self._entries) > bounds.entries or self._bytes > bounds.bytes:
            oldest = next(iter(self._entries.values()))
            if oldest is but and len(self._entries) == 1:
                return  # the only one may be as large as it is: its own parts are bounded
            self._drop(oldest)
            self.dropped += 1

    def _drop(self, noted: Noted) -> None:
        noted.kept = False
        del self._entries[noted.id]
        of_session = self._sessions[noted.session]
        del of_session[noted.id]
        if not of_session:
            del self._sessions[noted.session]
        self._bytes -= noted.weight

    def _of(self, session: str | None) -> Iterable[Noted]:
        entries = self._entries if session is None else self._sessions.get(session, {})
        return entries.values()

    def _fitting(self, match: CompiledMatch) -> Iterator[Noted]:
        return filter(match.fits, self._of(match.session))

    def _told(self, noted: Noted) -> JournalEntry:
        return entry_of(noted, self._tokenizer)

    def _tell(
        self, kind: EventKind, noted: Noted, *, fault: str | None = None, gate: str | None = None
    ) -> None:
        for waiter in self._waiters.copy():
            if noted.id not in waiter.found and self._fits(waiter.match, noted):
                waiter.found[noted.id] = noted
                if len(waiter.found) >= waiter.count:
                    self._waiters.remove(waiter)
                    waiter.fires.callback([self._told(each) for each in waiter.found.values()])
        if not self._subscribers:
            return
        event = JournalEvent(kind=kind, entry=self._told(noted), fault=fault, gate=gate)
        for subscriber in self._subscribers.copy():
            try:
                subscriber(event)
            except Exception:  # noqa: BLE001 -- whatever broke, the answer goes on
                self._log.failure("Somebody who watches the journal failed, and is told no more.")
                if subscriber in self._subscribers:
                    self._subscribers.remove(subscriber)

    def _fits(self, match: CompiledMatch, noted: Noted) -> bool:
        return (match.session is None or match.session == noted.session) and match.fits(noted)


def _compiled(match: Asked | None) -> CompiledMatch:
    if match is None:
        return _ANY
    return compile_match(match) if isinstance(match, Match) else match
