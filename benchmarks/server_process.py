"""A fakellm server as a process of its own, pinned to a core, and what the kernel says of it."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from time import monotonic
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

_LISTENING = re.compile(r"fakellm is listening on (http://127\.0\.0\.1:\d+)")
_ENDS_WITHIN = 30.0


class ServerProcess:
    """A server; a context manager that ends it.

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
        self._process: subprocess.Popen[str] | None = None
        if url is None:
            url = self._start([*python, "-m", "fakellm", "--port", "0", *options], core)
        parts = urlsplit(url)
        self.address = (parts.hostname or "127.0.0.1", parts.port or 80)
        self.host = f"{self.address[0]}:{self.address[1]}"

    def _start(self, argv: Sequence[str], core: int | None) -> str:
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith("FAKELLM_") and name != "PORT"
        }
        # what it says after it listens goes nowhere, so that it never waits for a reader
        self._process = subprocess.Popen(  # noqa: S603 -- our own command line
            argv,
            env={**environment, "PYTHONUNBUFFERED": "1"},
            stdout=subprocess.PIPE,
            stderr=None,
            text=True,
        )
        if core is not None:
            os.sched_setaffinity(self._process.pid, {core})
        stdout = self._process.stdout
        assert stdout is not None  # noqa: S101 -- as asked for
        for line in stdout:
            if found := _LISTENING.search(line):
                return found[1]
        raise SystemExit(f"{' '.join(argv)} ended before it listened")

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
