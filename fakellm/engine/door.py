"""The door of a server: for a while it can be shut to new connections.

What is open stays open. Two ways are known: new connections are let in and closed at once, which
whoever accepts them asks for (`Door.turns_away`), or the listening sockets are closed, so that the
system refuses them. This module knows times and no sockets.
"""

from math import inf, isfinite
from typing import Protocol

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

TRY_AGAIN_SECONDS = 1.0
"""How long after sockets could not be opened again the next try is, in real time."""


class Sockets(Protocol):
    """Listening sockets."""

    def pause(self) -> None:
        """Close them for a while."""

    def resume(self) -> Deferred[None]:
        """Open those again that are closed; fails if one of them cannot be."""


class _Spell:
    """A while in which connections are turned away; ``left`` is how many at the most."""

    def __init__(self, until: float, left: float) -> None:
        self.until = until
        self.left = left


class Door(Service):
    """Is open, unless it was told to be shut; it cannot be shut unless the service runs.

    Args:
        clock: whose time it is shut for.
        reactor: real time, in which sockets that do not open are tried again.
    """

    def __init__(self, clock: IReactorTime, reactor: IReactorTime) -> None:
        self._log = Logger()
        self._clock = clock
        self._reactor = reactor
        self._sockets: Sockets | None = None
        self._spells: list[_Spell] = []
        self._refused_until: float | None = None
        self._opening: IDelayedCall | None = None
        self._trying: IDelayedCall | None = None

    def stands_at(self, sockets: Sockets) -> None:
        """These are the sockets that it closes."""
        self._sockets = sockets

    def shut(self, seconds: float, *, refused: bool, connections: int | None) -> None:
        """Shut it for a while; of several that overlap, the longest wins.

        Args:
            seconds: for how long; may be infinite.
            refused: close the listening sockets; otherwise turn connections away.
            connections: turn away no more than so many; of those that are refused nobody knows.
        """
        if not self.running or seconds <= 0:
            return
        now = self._clock.seconds()
        most = inf if refused or connections is None else connections
        # Those that are refused as well: whoever still gets in is turned away.
        self._spells = [spell for spell in self._spells if spell.until > now]
        self._spells.append(_Spell(now + seconds, most))
        if refused:
            self._refuse(now + seconds)

    def turns_away(self) -> bool:
        """Whether the connection that has just come in is to be closed at once; asked once each."""
        if not self._spells:
            return False
        now = self._clock.seconds()
        self._spells = [spell for spell in self._spells if spell.until > now and spell.left > 0]
        for spell in self._spells:
            spell.left -= 1
        return bool(self._spells)

    def stopService(self) -> None:  # noqa: N802 -- IService's name
        """Let nothing be left to come; the sockets stay as they are."""
        Service.stopService(self)
        self._spells.clear()
        self._refused_until = None
        for call in (self._opening, self._trying):
            if call is not None:
                call.cancel()
        self._opening = self._trying = None

    def _refuse(self, until: float) -> None:
        if self._sockets is None or until <= (self._refused_until or 0.0):
            return
        for call in (self._opening, self._trying):
            if call is not None:
                call.cancel()
        self._opening = self._trying = None
        self._refused_until = until
        if isfinite(until):
            self._opening = self._clock.callLater(until - self._clock.seconds(), self._open)
        self._sockets.pause()

    def _open(self) -> None:
        self._opening = self._refused_until = None
        self._try()

    def _try(self) -> None:
        self._trying = None
        if self._sockets is not None:
            self._sockets.resume().addErrback(self._not_opened)

    def _not_opened(self, failure: Failure) -> None:
        self._log.error(
            "{reason}; the next try is in {seconds:g} s",
            reason=failure.getErrorMessage(),
            seconds=TRY_AGAIN_SECONDS,
        )
        if self.running and self._refused_until is None and self._trying is None:
            self._trying = self._reactor.callLater(TRY_AGAIN_SECONDS, self._try)
