"""The command ``fakellm``, also ``python -m fakellm``: the server in the foreground.

Each subcommand is one entry of `COMMANDS`; without one the server runs. Importing this module must
install no reactor, so that ``--reactor`` can: only `_serve` imports it.
"""

import os
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import msgspec
from twisted.application.app import ReactorSelectionMixin
from twisted.internet.error import ConnectionDone, ReactorNotRunning
from twisted.internet.interfaces import IReactorFDSet, IReadDescriptor
from twisted.logger import Logger, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

from fakellm import commands
from fakellm.config import did_you_mean
from fakellm.logs import log_observer, standard_output
from fakellm.tap import Options, Server, makeService, refuse

_log = Logger()


class ServeOptions(Options, ReactorSelectionMixin):
    """The server's options as twistd has them, and which reactor to run it with."""

    synopsis = "Usage: fakellm [serve] [options]"

    def __init__(self) -> None:
        Options.__init__(self)
        self.until_eof = False

    def opt_until_eof(self) -> None:
        """Stop when standard input ends: the other end of that pipe lives no longer."""
        self.until_eof = True

    def getUsage(self, width: int | None = None) -> str:  # noqa: N802 -- Twisted's name
        """Add the commands to the options."""
        widest = max(map(len, COMMANDS))
        listed = (f"    {name:<{widest}}  {each.help}\n" for name, each in COMMANDS.items())
        return f"{Options.getUsage(self, width)}\nCommands:\n{''.join(listed)}"


def main(argv: Sequence[str] | None = None) -> None:
    """Run a command line.

    Args:
        argv: its words, without the program's name; None: those of the process.

    Raises:
        SystemExit: with status 1 and one line on standard error when something is wrong with the
            command line or the server cannot listen; with status 0 after ``--help`` and such.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0].startswith("-"):
        words.insert(0, "serve")
    name, *rest = words
    if name not in COMMANDS:
        refuse(
            f"no command {name!r}{_hint(name) or '; fakellm --help shows the commands and options'}"
        )
    COMMANDS[name].run(rest)


def _hint(word: str) -> str:
    options = [f"--{name.rstrip('=')}" for name in ServeOptions().longOpt]
    return did_you_mean(word, COMMANDS) or did_you_mean(f"--{word}", options)


def _serve(argv: Sequence[str]) -> None:
    options = ServeOptions()
    options.parseOptions(argv)
    server = makeService(options)

    from twisted.internet import reactor  # noqa: PLC0415 -- --reactor has chosen it by now

    # From here on standard error leads to the log, and so would a complaint about the options.
    globalLogBeginner.beginLoggingTo([log_observer(options.config, standard_output())])
    if options.until_eof:
        IReactorFDSet(reactor).addReader(_Lifeline(reactor))
    _run(server, reactor)


@implementer(IReadDescriptor)
class _Lifeline:
    """Standard input, whose end is the end of the server; what comes in by it is not heeded.

    Args:
        reactor: is stopped then.
    """

    def __init__(self, reactor: Any) -> None:
        self._reactor = reactor

    def fileno(self) -> int:
        """Standard input's."""
        return 0

    def doRead(self) -> Any:  # noqa: N802 -- the interface's name
        """Read on; what it returns says that there is no more."""
        return None if os.read(0, 65536) else ConnectionDone()

    def connectionLost(self, reason: Failure) -> None:  # noqa: ARG002, N802 -- the interface's name
        """Stop the server, unless it stops already."""
        with suppress(ReactorNotRunning):
            self._reactor.stop()
            _log.info("standard input has ended")

    def logPrefix(self) -> str:  # noqa: N802 -- the interface's name
        """Its name in the log."""
        return "standard input"


def _run(server: Server, reactor: Any) -> None:
    """Start a server, run the reactor until a signal stops it, and stop the server.

    Raises:
        CannotListen: the server could not start.
        SystemExit: it stopped by itself, because a socket failed later; the log says why.
    """
    server.privilegedStartService()
    server.startService()
    reactor.addSystemEventTrigger("before", "shutdown", _on_shutdown)
    reactor.addSystemEventTrigger("before", "shutdown", server.stopService)
    reactor.run()
    if server.failure is not None:
        raise SystemExit(1)


def _on_shutdown() -> None:
    _log.info("fakellm is stopping")
    # A second Ctrl-C ends the process at once; supervisors repeat SIGTERM and mean nothing by it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


class Command(msgspec.Struct, frozen=True, kw_only=True):
    """A subcommand: what ``--help`` says of it, and what runs it with the words after its name."""

    help: str
    run: Callable[[Sequence[str]], None]


COMMANDS = {
    "serve": Command(help="Run the server (what happens without a command).", run=_serve),
    "check": Command(help="Tell every mistake in scenario files.", run=commands.check),
    "explain": Command(help="Tell which rule answers a request, and what.", run=commands.explain),
    "schema": Command(help="Print the JSON Schema of scenario files.", run=commands.schema),
}
