"""Noticing that scenario files have changed, by looking at them now and then.

Looking is cheap and never waits for anything; reading is for whoever is told.
"""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

from twisted.application.service import Service
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from fakellm.scenarios.files import Unreadable, is_folder, scenario_files

LOOK_EVERY_SECONDS = 0.5

_State = tuple[int, int, int]


class Watching(Service):
    """Looks at files while it runs, and has them read again when one of them is not what it was.

    Args:
        clock: real time.
        paths: gives the files to look at, and the folders whose scenario files are, at each look.
        read: reads the files again; says whether they were in order.
    """

    def __init__(
        self,
        clock: IReactorTime,
        paths: Callable[[], Iterable[Path]],
        read: Callable[[], bool],
    ) -> None:
        self._log = Logger()
        self._paths = paths
        self._read = read
        self._until_mended: tuple[Path, ...] = ()
        self._seen = self._sight()
        self._looking = LoopingCall(self.look)
        self._looking.clock = clock

    def startService(self) -> None:  # noqa: N802 -- IService's name
        """Begin to look."""
        Service.startService(self)
        self._looking.start(LOOK_EVERY_SECONDS, now=False)

    def stopService(self) -> None:  # noqa: N802 -- IService's name
        """Look no more."""
        Service.stopService(self)
        if self._looking.running:
            self._looking.stop()

    def look(self) -> None:
        """Look once."""
        try:
            if self._sight() != self._seen:
                self.read()
        except Exception:  # noqa: BLE001 -- whatever broke, the next look may fare better
            self._log.failure("Scenario files could not be read again.")

    def read(self) -> bool:
        """Have the files read again, changed or not; whether they were in order."""
        # before reading, so that what changes meanwhile is noticed
        before = self._sight()
        in_order = False
        try:
            in_order = self._read()
        finally:
            # A file that is missing for a moment is not among those that were read, and comes back.
            self._until_mended = () if in_order else tuple(before)
            self._seen = {path: before.get(path, now) for path, now in self._sight().items()}
        return in_order

    def _sight(self) -> dict[Path, _State | None]:
        return {path: _state(path) for path in (*self._files(), *self._until_mended)}

    def _files(self) -> Iterator[Path]:
        for path in self._paths():
            if not is_folder(path):
                yield path
                continue
            # not the folder's own time: an editor's swap file is no change
            try:
                yield from scenario_files(path)
            except Unreadable:
                continue


def _state(path: Path) -> _State | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino
