"""A server in a process of its own, which ends when the one that started it does.

The server watches its standard input: the other end of that pipe is held by us alone, so that the
server learns of our end however it comes, ``kill -9`` included.
"""

import contextlib
import getopt
import os
import re
import subprocess
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any, Self

import msgspec

from fakellm.config import SETTINGS, Config
from fakellm.testing.client import Client
from fakellm.testing.environment import UNSET, from_here, past_proxies
from fakellm.testing.errors import NotStarted

STARTS_IN_SECONDS = 60.0
"""How long a server may take to listen."""

_LISTENING = re.compile(rb"fakellm is listening on (\S+)")
_ENDS_IN_SECONDS = 5.0
_LOOKS_EVERY_SECONDS = 0.01
_OUTPUT_SHOWN_BYTES = 20_000

# With our own path, as multiprocessing does it, so that it is the same fakellm that runs.
_SCRIPT = (
    "import os, sys; sys.path[:] = sys.argv.pop(1).split(os.pathsep);"
    " from fakellm.cli import main; main()"
)

_held: "weakref.WeakSet[ServerProcess]" = weakref.WeakSet()


def _let_go_in_child() -> None:
    # A fork of ours must not keep a server alive that we have left.
    for server in _held:
        server.let_go()


os.register_at_fork(after_in_child=_let_go_in_child)


def command_line(**settings: Any) -> list[str]:
    """The options of the command ``fakellm`` that make these settings.

    Raises:
        BadSetting: a value is wrong, or a name is none of the settings.
    """
    Config.of(**settings)
    words: list[str] = []
    for setting in SETTINGS:
        if settings.get(setting.name) is None:
            continue
        value = settings[setting.name]
        if setting.kind.flag:
            on = setting.kind.take(value)
            words.append(setting.option if on else f"--no-{setting.option[2:]}")
            continue
        many = setting.kind.many and not isinstance(value, str)
        words += [f"{setting.option}={_written(each)}" for each in (value if many else [value])]
    return words


def _written(value: Any) -> str:
    return value if isinstance(value, str) else msgspec.json.encode(value).decode()


def token_among(options: Sequence[str]) -> str | None:
    """The ``--control-token`` among a server's options, which it has accepted; None without one."""
    from fakellm.cli import ServeOptions  # noqa: PLC0415 -- imports what few need

    # not parsed by it, as that would choose a reactor for this process
    known = ServeOptions()
    given, _ = getopt.gnu_getopt(options, known.shortOpt, known.longOpt)
    found = [value.strip() for name, value in given if name == "--control-token"]
    return found[-1] if found else None


class ServerProcess:
    """A server in a process of its own; a context manager that ends it.

    Args:
        lifeline: a file descriptor that the server reads, and at whose end it ends; it is closed
            here. Without one, the server ends with this process, or at `stop`.
        log: a file for the server's log; closed here. Without one, it is a temporary one.
        options: of the command ``fakellm``, beside the settings.
        cwd: the folder that it runs in; by default, ours.
        **settings: of the server, by the names of `Config`'s fields; by default it listens on a
            free port of the loopback interface, and breaks answers off when it ends.

    Raises:
        BadSetting: a setting is wrong.
    """

    def __init__(
        self,
        *,
        lifeline: int | None = None,
        log: IO[bytes] | None = None,
        options: Sequence[str] = (),
        cwd: Path | None = None,
        **settings: Any,
    ) -> None:
        if settings.get("log_level", "info") not in {"info", "debug"}:
            raise TypeError("the log says where the server listens: its level is info or debug")
        self._owner = os.getpid()
        words = command_line(**{"port": 0, "grace": 0, **settings})
        self._holding: int | None = None
        if lifeline is None:
            lifeline, self._holding = os.pipe()
            _held.add(self)
        self._log = tempfile.TemporaryFile() if log is None else log  # noqa: SIM115 -- stop closes it
        try:
            self._process = subprocess.Popen(  # noqa: S603 -- it is ourselves
                [sys.executable, "-P", "-c", _SCRIPT, _path(), "--until-eof", *words, *options],
                stdin=lifeline,
                stdout=self._log,
                stderr=self._log,
                env=_environment(),
                cwd=cwd,
                start_new_session=True,  # Ctrl-C is for the tests, which then end the server
            )
        except BaseException:
            self.let_go()
            self._log.close()
            raise
        finally:
            os.close(lifeline)

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._process.pid

    @property
    def output(self) -> str:
        """What it logged: the end of it, if it is long."""
        size = os.fstat(self._log.fileno()).st_size
        shown = min(size, _OUTPUT_SHOWN_BYTES)
        return os.pread(self._log.fileno(), shown, size - shown).decode("utf-8", "replace")

    def url(self, timeout: float = STARTS_IN_SECONDS) -> str:
        """Wait until it listens; its first URL for clients on this machine, without a path.

        Raises:
            NotStarted: it ended before that, or took longer than so many seconds.
        """
        give_up = time.monotonic() + timeout
        while True:
            ended = self._process.poll()  # before the log is read, so that all of it is
            if listening := _LISTENING.search(os.pread(self._log.fileno(), 65536, 0)):
                return from_here(listening[1].decode())
            if ended is not None:
                raise NotStarted(f"the server ended with status {ended}: {self.output.strip()}")
            if time.monotonic() > give_up:
                raise NotStarted(f"after {timeout:g} s it did not listen: {self.output.strip()}")
            time.sleep(_LOOKS_EVERY_SECONDS)

    def stop(self) -> None:
        """End it, and wait for that; in a fork of the process that started it, leave it alone."""
        self.let_go()
        if os.getpid() != self._owner:
            return
        if self._process.poll() is None:
            self._process.terminate()
        try:
            self._process.wait(_ENDS_IN_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._log.close()

    def disown(self) -> None:
        """Leave it to its lifeline when it ends."""
        self._process.returncode = 0  # so that nobody minds that it is not waited for
        self._log.close()

    def let_go(self) -> None:
        """Let it end: nobody here holds it any more."""
        if self._holding is not None:
            os.close(self._holding)
            self._holding = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()


def _path() -> str:
    return os.pathsep.join(each for each in sys.path if isinstance(each, str))


def _environment() -> dict[str, str]:
    """Ours, without what configures a server."""
    return {
        name: value
        for name, value in os.environ.items()
        if not name.startswith("FAKELLM_") and name != "PORT"
    }


class Running(Client):
    """A server in a process of its own, and what steers it; see `running`.

    Attributes:
        url: the server's, without a path.
        openai_url: what the SDKs of OpenAI take as their base URL.
        environ: the variables of the environment that lead SDKs to the server.
    """

    def __init__(self, process: ServerProcess, url: str, token: str | None) -> None:
        super().__init__(url, token=token)
        self._process = process

    @property
    def pid(self) -> int:
        """The number of the server's process."""
        return self._process.pid

    @property
    def log(self) -> str:
        """What the server logged: the end of it, if it is long."""
        return self._process.output


@contextlib.contextmanager
def running(
    *, set_environ: bool = False, timeout: float = STARTS_IN_SECONDS, **settings: Any
) -> Iterator[Running]:
    """Run a server in a process of its own for as long as the ``with`` lasts.

    ``with fakellm.running(answer="It is sunny.") as llm:`` gives what steers it; ``llm.openai_url``
    is the base URL for OpenAI's SDK, ``llm.url`` for all others. It ends with the ``with``, and
    also when this process is killed.

    Args:
        set_environ: let ``OPENAI_BASE_URL``, ``OPENAI_API_KEY``, ``ANTHROPIC_BASE_URL`` and their
            like lead to it meanwhile.
        timeout: seconds that it may take to start.
        **settings: single settings, by the names of `Config`'s fields, such as
            ``scenario="rules.yml"`` or ``clock="virtual"``.

    Raises:
        BadSetting: a setting is wrong.
        NotStarted: it did not come to listen; the text has what it said.
    """
    with ServerProcess(**settings) as process:
        url = process.url(timeout)
        llm = Running(process, url, settings.get("control_token"))
        with _environ_set(llm.environ) if set_environ else contextlib.nullcontext():
            yield llm


@contextlib.contextmanager
def _environ_set(found: Mapping[str, str]) -> Iterator[None]:
    found = {**found, **past_proxies(os.environ)}
    before = {name: os.environ.get(name) for name in (*found, *UNSET)}
    for name in UNSET:
        os.environ.pop(name, None)
    os.environ.update(found)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
