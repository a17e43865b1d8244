"""What ``twistd fakellm`` needs: the options and the service, and no more.

`Options` derives every option from the settings' declarations; what a user gets wrong is one line
on standard error and exit status 1. Importing this module must install no reactor, or
``twistd --reactor=...`` would no longer work: `makeService` is where the reactor comes in.
"""

import atexit
import getopt
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from types import FrameType
from typing import Any, NoReturn

from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.logger import ILogObserver, Logger
from twisted.python import usage
from twisted.python.components import Componentized
from twisted.python.logfile import LogFile

from fakellm import __version__
from fakellm.config import (
    SETTINGS,
    BadSetting,
    Config,
    Setting,
    config_from,
    did_you_mean,
    unknown_variables,
)
from fakellm.listening import CannotListen, Listening
from fakellm.logs import Writable, log_observer, standard_output

_log = Logger()


def refuse(reason: object) -> NoReturn:
    """End the process with status 1 and one line on standard error."""
    raise SystemExit(f"fakellm: {' '.join(str(reason).split())}")


class Options(usage.Options):
    """The options of the server, one for each setting.

    Attributes:
        given: the options that were given, by the name of their setting.
        config: the settings that the options and the environment make, after `parseOptions`.
    """

    synopsis = "[options]"
    longdesc = (
        "A fake LLM server that speaks the OpenAI chat completions API. An option beats its"
        " environment variable; a variable that is empty counts as not set."
    )
    environ: Mapping[str, str] = os.environ

    def __init__(self) -> None:
        usage.Options.__init__(self)
        self.given: dict[str, Any] = {}
        self.config = Config()

    def opt_version(self) -> NoReturn:
        """Display the version of fakellm and exit."""
        sys.stdout.write(f"fakellm {__version__}\n")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:  # noqa: N802 -- Twisted's name
        """Parse a command line.

        Raises:
            SystemExit: an option is unknown or has a value it cannot have; one line says so.
        """
        try:
            usage.Options.parseOptions(self, options)
        except usage.UsageError as error:
            refuse(f"{error}{self._hint(error.__context__)}")
        except BadSetting as error:
            refuse(error)

    def parseArgs(self, *words: str) -> None:  # noqa: N802 -- Twisted's name
        """Refuse what is no option."""
        if words:
            raise usage.UsageError(f"unexpected argument {words[0]!r}")

    def postOptions(self) -> None:  # noqa: N802 -- Twisted's name
        """Check the values and add those of the environment."""
        self.config = config_from(self.given, self.environ)

    def _hint(self, cause: BaseException | None) -> str:
        known = [name.rstrip("=") for name in self.longOpt]
        if not isinstance(cause, getopt.GetoptError) or any(
            name.startswith(cause.opt) for name in known
        ):
            return ""
        return did_you_mean(f"--{cause.opt}", [f"--{name}" for name in known])


def _option(setting: Setting) -> Callable[[Options, str], None]:
    def option(self: Options, value: str) -> None:
        if setting.kind.many:
            self.given.setdefault(setting.name, []).append(value)
        else:
            self.given[setting.name] = value

    option.__doc__ = setting.description
    return option


def _switch(setting: Setting, value: bool) -> Callable[[Options], None]:
    def switch(self: Options) -> None:
        self.given[setting.name] = value

    switch.__doc__ = setting.description if value else f"The contrary of {setting.option}."
    return switch


def _declare_options() -> None:
    for setting in SETTINGS:
        if setting.kind.flag:
            setattr(Options, f"opt_{setting.name}", _switch(setting, value=True))
            setattr(Options, f"opt_no_{setting.name}", _switch(setting, value=False))
        else:
            setattr(Options, f"opt_{setting.name}", _option(setting))


_declare_options()


class Server(MultiService):
    """The server as a process runs it: with its log, and with a clear end when it cannot start.

    Args:
        config: the settings.
        server: the service behind it.
        warnings: lines to log at the start.
        twistd: twistd's own options when twistd runs it.
    """

    def __init__(
        self,
        config: Config,
        server: IService,
        *,
        warnings: Sequence[str] = (),
        twistd: Mapping[str, Any] | None = None,
    ) -> None:
        MultiService.__init__(self)
        self._config = config
        self._server = server
        self._warnings = warnings
        self._twistd = twistd
        server.setServiceParent(self)

    @property
    def failure(self) -> CannotListen | None:
        """Why the server stopped by itself after its start, if it did."""
        children = self._server if isinstance(self._server, MultiService) else ()
        failures = [child.failure for child in children if isinstance(child, Listening)]
        return next((failure for failure in failures if failure is not None), None)

    def setServiceParent(self, parent: Any) -> None:  # noqa: N802 -- Twisted's name
        """Join an application, and give it our log unless twistd was told of another one."""
        if isinstance(parent, Componentized) and self._twistd is not None:
            observer = twistd_observer(self._config, self._twistd)
            if observer is not None:
                parent.setComponent(ILogObserver, observer)
        MultiService.setServiceParent(self, parent)

    def privilegedStartService(self) -> None:  # noqa: N802 -- Twisted's name
        """Open the sockets; a failure is one line on standard error.

        Raises:
            CannotListen: a socket could not be opened.
        """
        try:
            MultiService.privilegedStartService(self)
        except CannotListen as error:
            if self._config.log_format == "json" or not _is_on_console(self._twistd):
                _log.critical("{reason}", reason=str(error))
            # sys.stderr goes to the log by now, and so would the line that SystemExit prints.
            if sys.__stderr__ is not None:
                sys.__stderr__.write(f"fakellm: {error}\n")
                sys.__stderr__.flush()
            error.code = 1
            raise

    def startService(self) -> None:  # noqa: N802 -- Twisted's name
        """Start what is behind the sockets."""
        for warning in self._warnings:
            _log.warn("{warning}", warning=warning)
        MultiService.startService(self)

    def stopService(self) -> Deferred[Any]:  # noqa: N802 -- Twisted's name
        """Stop the server; under twistd, see to the exit status of one that stopped by itself."""
        if self.failure is not None and self._twistd is not None:
            atexit.register(_exit_with_failure)
        stopped: Deferred[Any] = MultiService.stopService(self)
        return stopped


def _exit_with_failure() -> NoReturn:
    # twistd ends with status 0 after every orderly stop and offers no other way to change that.
    for stream in (sys.__stdout__, sys.__stderr__):
        if stream is not None:
            stream.flush()
    os._exit(1)


def twistd_observer(config: Config, twistd: Mapping[str, Any]) -> ILogObserver | None:
    """Make the log observer for twistd, which writes to where its own would.

    Args:
        config: the level and the format.
        twistd: twistd's own options: ``logfile``, ``nodaemon``, ``syslog``, ``logger``.

    Returns:
        The observer, or None where twistd was told of another log (``--syslog``, ``--logger``).

    Raises:
        SystemExit: the log file cannot be written; one line says so.
    """
    if twistd.get("logger") or twistd.get("syslog"):
        return None
    if _is_on_console(twistd):
        return log_observer(config, standard_output())
    name = twistd.get("logfile") or "twistd.log"
    if name == "-":
        refuse("a daemon cannot log to standard output: give --nodaemon or another --logfile")
    return log_observer(config, _rotating(name))


def _is_on_console(twistd: Mapping[str, Any] | None) -> bool:
    """Say whether the log goes to standard output, as it does unless twistd sends it elsewhere."""
    if twistd is None:
        return True
    if twistd.get("logger") or twistd.get("syslog") or not twistd.get("nodaemon"):
        return False
    return twistd.get("logfile") in {None, "", "-"}


def _rotating(name: str) -> Writable:
    try:
        log_file: LogFile = LogFile.fromFullPath(name)
    except OSError as error:
        refuse(f"cannot write the log file {name}: {error.strerror}")

    def rotate(_signal: int, _frame: FrameType | None) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 -- installs it, here not too early

        IReactorFromThreads(reactor).callFromThread(log_file.rotate)

    if signal.getsignal(signal.SIGUSR1) in {None, signal.SIG_DFL}:
        signal.signal(signal.SIGUSR1, rotate)
    return log_file


def makeService(options: Options) -> Server:  # noqa: N802 -- Twisted's name
    """Make the service of a parsed command line; it opens its sockets when it is started.

    Raises:
        SystemExit: a setting cannot be met, for want of a package say; one line says so.
    """
    from fakellm.assembly import FakeLLM  # noqa: PLC0415 -- imports the reactor

    try:
        server = FakeLLM(options.config)
    except ValueError as error:
        refuse(error)
    return Server(
        options.config,
        server,
        warnings=unknown_variables(options.environ),
        twistd=options.parent,
    )
