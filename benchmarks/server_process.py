"""A server as a process of its own, pinned to a core, and what the kernel says of it."""

import os
import re
import signal
import socket
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic, sleep
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_LISTENING = re.compile(r"fakellm is listening on (http://127\.0\.0\.1:\d+)")
_ENDS_WITHIN = 30.0
_STARTS_WITHIN = 30.0


class Process:
    """A process that serves; a context manager that ends it.

    Args:
        argv: its command line; ``None`` to drive what is there already, and start nothing.
        core: the processor that it, with all its threads, is pinned to; ``None`` for any.
    """

    address: tuple[str, int]
    """Where it listens."""

    def __init__(self, argv: Sequence[str] | None, core: int | None = None) -> None:
        self._process: subprocess.Popen[str] | None = None
        if argv is not None:
            self._process = _started(argv, core)

    @property
    def host(self) -> str:
        """The address in a header."""
        return f"{self.address[0]}:{self.address[1]}"

    @property
    def is_ours(self) -> bool:
        """Whether it can be looked into."""
        return self._process is not None

    @property
    def pid(self) -> int:
        """The process's number; 0 for one that is not ours."""
        return self._process.pid if self._process else 0

    def memory(self, what: str = "VmRSS") -> int:
        """Bytes of memory in use, or with ``VmHWM`` the most there ever were."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{what}:\s+(\d+) kB", status, re.MULTILINE)
        return int(found[1]) * 1024 if found else 0

    def cpu(self) -> float:
        """Seconds that processors have worked for it."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process is None:
            return
        self._process.send_signal(signal.SIGINT if self._process.poll() is None else 0)
        began = monotonic()
        try:
            self._process.wait(_ENDS_WITHIN)
        except subprocess.TimeoutExpired:
            self._process.kill()
            print(f"the server did not end within {monotonic() - began:.0f} s", file=sys.stderr)  # noqa: T201
            self._process.wait()
        if self._process.stdout:
            self._process.stdout.close()


class ServerProcess(Process):
    """A fakellm server.

    Args:
        options: its options.
        core: the processor it is pinned to; ``None`` for any.
        url: drive what listens there, and start nothing.
        python: what it is started with: ``PYTHON -m fakellm``.
    """

    def __init__(
        self,
        options: Sequence[str] = (),
        *,
        core: int | None = None,
        url: str | None = None,
        python: Sequence[str] = (sys.executable,),
    ) -> None:
        if url is None:
            super().__init__([*python, "-m", "fakellm", "--port", "0", *options], core)
            url = self._listening()
        else:
            super().__init__(None)
        parts = urlsplit(url)
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)

    def _listening(self) -> str:
        # what it says after this goes nowhere, so that it never waits for a reader
        assert self._process is not None  # noqa: S101 -- as asked for
        assert self._process.stdout is not None  # noqa: S101 -- as asked for
        for line in self._process.stdout:
            if found := _LISTENING.search(line):
                return found[1]
        self._process.wait()
        raise SystemExit("fakellm ended before it listened")


class PeerProcess(Process):
    """A server of another make, which is told its port.

    Args:
        argv: its command line, in which ``{port}`` is replaced.
        core: the processor it is pinned to; ``None`` for any.
    """

    def __init__(self, argv: Sequence[str], core: int | None = None) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.address = free.getsockname()
        super().__init__([each.replace("{port}", str(self.address[1])) for each in argv], core)
        began = monotonic()
        while True:
            try:
                socket.create_connection(self.address).close()
            except OSError:
                ended = self._process is not None and self._process.poll() is not None
                if ended or monotonic() - began > _STARTS_WITHIN:
                    self.__exit__(None, None, None)
                    raise SystemExit(f"{argv[0]} does not listen") from None
                sleep(0.01)
            else:
                return


def _started(argv: Sequence[str], core: int | None) -> subprocess.Popen[str]:
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FAKELLM_") and name != "PORT"
    }
    before = os.sched_getaffinity(0)
    if core is not None:  # inherited, also by the threads that it starts at once
        os.sched_setaffinity(0, {core})
    try:
        return subprocess.Popen(  # noqa: S603 -- our own command line
            argv,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
        )
    finally:
        os.sched_setaffinity(0, before)
