"""An answer that cannot begin yet: somebody has to decide first, or it waits for its turn."""

from typing import Any, Final

from twisted.internet.defer import Deferred
from twisted.logger import Logger

from fakellm.interfaces import IWire

GONE: Final = object()
"""What there is of an answer whose client did not wait."""


class Pending:
    """An answer that waits for something.

    Args:
        awaited: fires with it; cancelled when the client leaves. Whoever decides may go on, but
            nobody waits for it then.
        wire: the client's.

    Attributes:
        aborted: whether it was broken off.
        done: fires with what is awaited, fails as it does, or fires with `GONE`. Cancelling it is
            `stop`.
    """

    def __init__(self, awaited: "Deferred[Any]", wire: IWire) -> None:
        self._log = Logger()
        self._awaited = awaited
        self._wire = wire
        self._ended = False
        self.aborted = False
        self.done: Deferred[Any] = Deferred(lambda _: self.stop())
        awaited.addBoth(self._arrived)

    def stop(self) -> None:
        """Wait no more: the client has gone."""
        if not self._ended:
            self._end(GONE)
            self._awaited.cancel()

    def abort(self) -> None:
        """Break the connection off."""
        self.aborted = True
        try:
            self._wire.abort()
        except Exception:  # noqa: BLE001 -- whatever broke, nobody may wait for this answer
            self._log.failure("A connection could not be broken off.")
        self.stop()  # a connection may be gone, and say so, as soon as it is broken off

    def _arrived(self, result: Any) -> None:
        if not self._ended:
            self._end(result)

    def _end(self, result: Any) -> None:
        self._ended = True
        self.done.callback(result)
