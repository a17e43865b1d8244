"""A clock that stands still until it is advanced."""

from math import isfinite

from twisted.internet.task import Clock

CALLS_AT_MOST = 1_000_000
"""Calls that one advance makes, so that a clock which never comes to rest is no hang."""


class NeverIdle(Exception):
    """There was always more to do; the clock has been advanced all the same."""


class VirtualClock(Clock):
    """A `Clock` on which each call sees the very time that it is due at.

    A plain `Clock` is at the end of an advance already when it makes the calls that are due in it,
    so what follows from one of them, such as the next answer in a queue, would come too late.
    """

    @property
    def pending(self) -> int:
        """How many calls are to come."""
        return len(self.calls)

    def advance(self, amount: float) -> None:
        """Let so many seconds pass, and make the calls that are due in them, each at its time.

        Raises:
            ValueError: it is negative or not finite.
            NeverIdle: too many calls were due in it.
        """
        if not (isfinite(amount) and amount >= 0):
            raise ValueError(f"a clock is advanced by a finite number from 0 on, not {amount}")
        until = self.rightNow + amount
        for _ in range(CALLS_AT_MOST):
            if not (self.calls and self.calls[0].getTime() <= until):
                self.rightNow = until
                return
            self._make_next_call()
        self.rightNow = until
        raise NeverIdle(f"more than {CALLS_AT_MOST} calls were due in {amount} s")

    def next(self) -> bool:
        """Advance to the next call, and make all that are due then; whether there was any."""
        if not self.calls:
            return False
        self.advance(max(0.0, self.calls[0].getTime() - self.rightNow))
        return True

    def idle(self) -> None:
        """Advance until there is nothing left to come.

        Raises:
            NeverIdle: there always was.
        """
        for _ in range(CALLS_AT_MOST):
            if not self.calls:
                return
            self._make_next_call()
        raise NeverIdle(f"there was still more to do after {CALLS_AT_MOST} calls")

    def _make_next_call(self) -> None:
        call = self.calls.pop(0)
        self.rightNow = max(self.rightNow, call.getTime())
        call.called = 1
        call.func(*call.args, **call.kw)
