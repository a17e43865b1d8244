"""Being called once, at a time: by the reactor, or, more exactly, by the kernel.

The reactor's own calls come up to a millisecond late, as epoll counts whole milliseconds and rounds
up. A timer of Linux's, which is a file descriptor, is exact to a tenth of that.
"""

import os
import time
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol

from twisted.internet.interfaces import (
    IDelayedCall,
    IReactorFDSet,
    IReactorTime,
    IReadDescriptor,
)
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

_SOONEST_NANOSECONDS = 1
"""A timer that is set to nothing is off."""

_TURNS_NANOSECONDS = 20_000
"""For what is due so soon after a ring, turns of the reactor cost less than setting the timer."""


class Alarm(Protocol):
    """Calls once, when it is set to."""

    def set(self, delay: float) -> None:
        """Call after so many seconds, and not when it was set to before."""

    def clear(self) -> None:
        """Do not call; nothing is left in the reactor."""


def make_alarm(clock: IReactorTime, ring: Callable[[], None]) -> Alarm:
    """The most exact alarm that there is for a clock.

    Args:
        clock: whose time.
        ring: is called.
    """
    is_real = IReactorFDSet.providedBy(clock) and not isinstance(clock, Clock)
    settime = timerfd_settime() if is_real else None
    if settime is None:
        return ReactorAlarm(clock, ring)
    return KernelAlarm(clock, ring, *settime)


class ReactorAlarm:
    """A delayed call of a clock's."""

    def __init__(self, clock: IReactorTime, ring: Callable[[], None]) -> None:
        self._clock = clock
        self._ring = ring
        self._call: IDelayedCall | None = None

    def set(self, delay: float) -> None:
        """See `Alarm`."""
        self.clear()
        self._call = self._clock.callLater(delay, self._rings)

    def clear(self) -> None:
        """See `Alarm`."""
        call, self._call = self._call, None
        if call is not None:
            call.cancel()

    def _rings(self) -> None:
        self._call = None
        self._ring()


Create = Callable[[], int]
Settime = Callable[[int, int], None]
"""Sets a timer (its descriptor) to ring in so many nanoseconds; 0 turns it off."""


@implementer(IReadDescriptor)
class KernelAlarm:
    """A timer of the kernel's, which the reactor looks at while it is set.

    A timer that has rung stays readable until it is set anew. So what is due at once after a ring
    needs no call of the system's, and no interrupt: under load that is most of what is due.
    """

    def __init__(
        self, reactor: Any, ring: Callable[[], None], create: Create, settime: Settime
    ) -> None:
        self._reactor = reactor
        self._ring = ring
        self._create = create
        self._settime = settime
        self._descriptor = -1
        self._instead: ReactorAlarm | None = None  # where there is no descriptor left for it
        self._due = 0  # in nanoseconds of the monotonic clock
        self._is_set = False
        self._is_readable = False  # as it has rung
        self._is_read = False  # by the reactor
        self._is_ringing = False

    def set(self, delay: float) -> None:
        """See `Alarm`."""
        if self._descriptor < 0 and not self._opened():
            self._instead = self._instead or ReactorAlarm(self._reactor, self._ring)
            self._instead.set(delay)
            return
        nanoseconds = max(_SOONEST_NANOSECONDS, int(delay * 1e9))
        self._due = time.monotonic_ns() + nanoseconds
        self._is_set = True
        if not self._is_readable or nanoseconds > _TURNS_NANOSECONDS:
            self._is_readable = False
            self._settime(self._descriptor, nanoseconds)
        if not self._is_read:
            self._is_read = True
            self._reactor.addReader(self)

    def clear(self) -> None:
        """See `Alarm`."""
        if self._instead is not None:
            self._instead.clear()
        if self._is_set or self._is_readable:
            self._is_set = self._is_readable = False
            self._settime(self._descriptor, 0)
        if self._is_read and not self._is_ringing:
            self._is_read = False
            self._reactor.removeReader(self)

    def _opened(self) -> bool:
        if self._instead is None:
            try:
                self._descriptor = self._create()
            except OSError:
                return False
            weakref.finalize(self, os.close, self._descriptor)
        return self._instead is None

    def fileno(self) -> int:
        """See `IReadDescriptor`."""
        return self._descriptor

    def doRead(self) -> None:  # noqa: N802 -- Twisted's name
        """See `IReadDescriptor`."""
        if not self._is_set or time.monotonic_ns() < self._due:
            return  # it was set anew since it rang
        self._is_set = False
        self._is_readable = True
        self._is_ringing = True  # what rings mostly sets it again: to be read all the same
        try:
            self._ring()
        finally:
            self._is_ringing = False
            if not self._is_set:
                self.clear()

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002, N802 -- Twisted's
        """See `IReadDescriptor`: what rang failed, and the reactor reads no more."""
        self._is_read = False
        if self._is_set:
            self._is_read = True
            self._reactor.addReader(self)

    def logPrefix(self) -> str:  # noqa: N802 -- Twisted's name
        """See `IReadDescriptor`."""
        return "fakellm.alarm"


@cache
def timerfd_settime() -> tuple[Create, Settime] | None:
    """Linux's timers: what makes one and what sets it; ``None`` where there are none."""
    if hasattr(os, "timerfd_create"):  # Python 3.13
        return _of_python()
    return _of_libc()


def _of_python() -> tuple[Create, Settime]:
    made: Any = os  # what Python 3.13 has is not known to those that check for older ones

    def create() -> int:
        descriptor: int = made.timerfd_create(
            time.CLOCK_MONOTONIC, flags=made.TFD_NONBLOCK | made.TFD_CLOEXEC
        )
        return descriptor

    def settime(descriptor: int, nanoseconds: int) -> None:
        made.timerfd_settime_ns(descriptor, initial=nanoseconds)

    return create, settime


def _of_libc() -> tuple[Create, Settime] | None:
    try:
        import ctypes  # noqa: PLC0415 -- for older Pythons only

        libc = ctypes.PyDLL(None, use_errno=True)  # for what takes no time the lock is kept
        libc_create, libc_settime = libc.timerfd_create, libc.timerfd_settime
    except (ImportError, OSError, AttributeError, TypeError):  # Windows has no such library
        return None
    times = (ctypes.c_long * 4)()  # struct itimerspec: the interval, and the first time
    pointer = ctypes.byref(times)

    def create() -> int:
        descriptor: int = libc_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK | os.O_CLOEXEC)
        if descriptor < 0:
            error = ctypes.get_errno()
            raise OSError(error, os.strerror(error))
        return descriptor

    def settime(descriptor: int, nanoseconds: int) -> None:
        times[2], times[3] = divmod(nanoseconds, 1_000_000_000)
        libc_settime(descriptor, 0, pointer, None)

    return create, settime
