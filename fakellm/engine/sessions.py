"""The sessions that there are: made on first use, forgotten on request, when idle, or for room.

What a session has is kept elsewhere, by whoever it belongs to; here it is only known who is there.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterator

from msgspec import Struct

from fakellm.scenarios.sessions import DEFAULT_SESSION

SESSIONS_AT_MOST = 10_000
"""Sessions that are remembered; of those that have nothing to do the oldest go first."""

IDLE_SECONDS = 3600.0
"""A session that has asked nothing for so long is forgotten, unless it is the default one."""


class SessionRecord(Struct, frozen=True, kw_only=True):
    """A session: how many requests it has made, how many run, and for how long it has been idle."""

    name: str
    requests: int
    running: int
    idle: float


class _Session:
    __slots__ = ("name", "requests", "running", "used")

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.used = now
        self.requests = 0
        self.running = 0


class Sessions:
    """Who is there.

    Args:
        seconds: gives real time, whatever the time of answers.
        forget: drops all that a session has.
        at_most: how many are remembered.
        idle: seconds after which one is forgotten.
    """

    def __init__(
        self,
        seconds: Callable[[], float],
        forget: Callable[[str], object],
        *,
        at_most: int = SESSIONS_AT_MOST,
        idle: float = IDLE_SECONDS,
    ) -> None:
        self._seconds = seconds
        self._forget = forget
        self._at_most = at_most
        self._idle = idle
        self._sessions: OrderedDict[str, _Session] = OrderedDict()  # those used last come last
        self._none_idle_before = 0.0

    def __len__(self) -> int:
        return len(self._sessions)

    def all(self) -> list[SessionRecord]:
        """Every session, those used last at the end."""
        now = self._seconds()
        return [
            SessionRecord(
                name=each.name,
                requests=each.requests,
                running=each.running,
                idle=round(max(0.0, now - each.used), 3),
            )
            for each in self._sessions.values()
        ]

    def touch(self, name: str) -> None:
        """A session is used, though not for a request: it gets a rule, say."""
        self._used(name)

    def begin(self, name: str) -> None:
        """A request of a session begins to be answered."""
        session = self._used(name)
        session.requests += 1
        session.running += 1

    def _used(self, name: str) -> _Session:
        now = self._seconds()
        session = self._sessions.get(name)
        if session is None:
            session = self._sessions[name] = _Session(name, now)
            self._make_room(now, name)
        else:
            session.used = now
            self._sessions.move_to_end(name)
            if now >= self._none_idle_before:
                self._make_room(now, name)
        return session

    def end(self, name: str) -> None:
        """Its answer has ended."""
        session = self._sessions.get(name)
        if session is not None and session.running:
            session.running -= 1

    def drop(self, name: str) -> bool:
        """Remember it no more; whether it was there."""
        return self._sessions.pop(name, None) is not None

    def _oldest_first(self) -> Iterator[_Session]:
        """Each session once, if whoever is given one drops it or moves it to the end."""
        left = len(self._sessions)
        while left and self._sessions:
            left -= 1
            yield next(iter(self._sessions.values()))

    def _make_room(self, now: float, used: str) -> None:
        for session in self._oldest_first():
            if len(self._sessions) <= self._at_most and now - session.used < self._idle:
                break
            if session.running or session.name in {used, DEFAULT_SESSION}:
                session.used = now  # so that it is not looked at again for a while
                self._sessions.move_to_end(session.name)
                continue
            self._forget(session.name)
            self.drop(session.name)
        self._sessions.move_to_end(used)
        self._none_idle_before = next(iter(self._sessions.values())).used + self._idle
