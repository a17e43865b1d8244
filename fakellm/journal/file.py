"""The journal on disk: JSON lines, appended by a thread of their own.

Nobody waits for the disk: what it cannot take in time, or at all, is dropped and counted, and one
line of the log says so. A line is either there as a whole, or torn and followed by a line break.
"""

import os
import threading
from collections import deque
from collections.abc import Callable
from pathlib import Path

import msgspec
from twisted.logger import Logger

from fakellm.journal.journal import Sink
from fakellm.journal.records import JournalEntry

WAITING_AT_MOST_BYTES = 8 * 1024**2
"""Bytes that wait to be written; what comes beyond them is dropped."""

BATCH_AT_MOST_BYTES = 256 * 1024
"""Bytes that are written at once."""

STOPPED_AFTER_SECONDS = 1.0
"""How long the end of the server waits for what is still to be written."""

CallFromThread = Callable[[Callable[[], object]], object]

_FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | getattr(os, "O_CLOEXEC", 0)
_encode = msgspec.json.Encoder().encode


class JournalFile(Sink):
    """Appends entries to a file, from `start` to `stop`.

    Args:
        path: of the file; it is made if it is not there.
        call_from_thread: has something done by the reactor.

    Raises:
        ValueError: there can be no such file.

    Attributes:
        lost: how many entries could not be written.
    """

    def __init__(self, path: str, call_from_thread: CallFromThread) -> None:
        self._log = Logger()
        self._path = Path(path).absolute()
        why = _why_not(self._path)
        if why is not None:
            raise ValueError(f"the journal {path} cannot be written: {why}")
        self._call_from_thread = call_from_thread
        self._lines: deque[bytes] = deque()
        self._waiting = 0  # bytes in `_lines`, and in the batch that is being written
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._stopping = False
        self._torn = False
        self._warned = False
        self.lost = 0

    def start(self) -> None:
        """Begin to write; not before the process has become a daemon, which threads do not live."""
        self._stopping = False
        # a daemon, so that a disk that hangs does not keep the process from ending
        self._thread = threading.Thread(target=self._run, name="journal", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """Write what there still is, as long as that takes no more than a moment."""
        with self._changed:
            self._stopping = True
            self._changed.notify()
        thread, self._thread = self._thread, None
        if thread is not None:
            thread.join(STOPPED_AFTER_SECONDS)
        if self.lost:
            self._log.warn(
                "the journal {path} lacks {lost} entries", path=str(self._path), lost=self.lost
            )

    def put(self, entry: Callable[[], JournalEntry]) -> None:
        """See `Sink`: made here, so that the thread does not compete for the interpreter."""
        if self._thread is None:
            return
        if self._waiting >= WAITING_AT_MOST_BYTES:
            self._lose(1, "its disk is too slow")
            return
        try:
            line = _encode(entry()) + b"\n"
        except Exception:  # noqa: BLE001 -- whatever broke, the answer goes on
            self._log.failure("An entry of the journal could not be made.")
            self.lost += 1
            return
        with self._changed:
            self._lines.append(line)
            self._waiting += len(line)
            self._changed.notify()

    def _lose(self, entries: int, why: str) -> None:
        self.lost += entries
        if not self._warned:
            self._warned = True
            self._log.warn(
                "the journal {path} misses entries: {why} (said once; the rest is counted)",
                path=str(self._path),
                why=why,
            )

    # -- in the thread

    def _run(self) -> None:
        file: int | None = None
        while batch := self._batch():
            try:
                if file is None:
                    file = os.open(self._path, _FLAGS, 0o600)
                self._write(file, b"".join(batch))
            except OSError as error:
                self._tell_lost(len(batch), error.strerror or str(error))
            with self._changed:
                self._waiting -= sum(map(len, batch))
                self._changed.notify_all()
        if file is not None:
            os.close(file)

    def _batch(self) -> list[bytes]:
        """The next lines, as soon as there are some; none at the end."""
        with self._changed:
            while not self._lines and not self._stopping:
                self._changed.wait()
            batch: list[bytes] = []
            size = 0
            while self._lines and size < BATCH_AT_MOST_BYTES:
                batch.append(self._lines.popleft())
                size += len(batch[-1])
            return batch

    def _write(self, file: int, data: bytes) -> None:
        if self._torn:
            data = b"\n" + data
        view = memoryview(data)
        written = 0
        try:
            while written < len(view):
                written += os.write(file, view[written:])
                self._torn = True
            self._torn = False
        except OSError:
            self._torn = self._torn and not data[:written].endswith(b"\n")
            raise

    def _tell_lost(self, entries: int, why: str) -> None:
        try:
            self._call_from_thread(lambda: self._lose(entries, why))
        except Exception:  # noqa: BLE001 -- the reactor has ended, and nobody listens any more
            self.lost += entries


def _why_not(path: Path) -> str | None:
    """Why a file cannot be appended to, if that can be known beforehand."""
    if path.is_dir():
        return "it is a folder"
    if not path.parent.is_dir():
        return f"there is no folder {path.parent}"
    place = path if path.exists() else path.parent
    return None if os.access(place, os.W_OK) else "it may not be written to"
