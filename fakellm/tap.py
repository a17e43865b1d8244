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
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

import msgspec
from twisted.application.service import IService, MultiService
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorCore, IReactorFromThreads
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
from fakellm.scenarios.mistakes import BadScenario

_log = Logger()


def refuse(reason: object) -> NoReturn:
    """End the process with status 1 and one line on standard error."""
    raise SystemExit(f"fakellm: {' '.join(str(reason).split())}")


def refuse_scenario(bad: BadScenario) -> NoReturn:
    """End the process with status 1 and a line on standard error for each mistake of the files."""
    # not more than their lines, which editors and CI systems know how to read
    raise SystemExit(str(bad))


class CommandOptions(usage.Options):
    """A command line of which whatever is wrong is one line on standard error, and status 1."""

    def __init__(self) -> None:
        usage.Options.__init__(self)

    def opt_version(self) -> NoReturn:
        """Display the version of fakellm and exit."""
        sys.stdout.write(f"fakellm {__version__}\n")
        raise SystemExit(0)

    def parseOptions(self, options: Sequence[str] | None = None) -> None:  # noqa: N802 -- Twisted's name
        """Parse a command line, whose options may also stand behind its other words.

        Raises:
            SystemExit: an option is unknown or has a value it cannot have; one line says so.
        """
        words = sys.argv[1:] if options is None else options
        try:
            usage.Options.parseOptions(self, self._options_first(words))
        except getopt.GetoptError as error:
            refuse(f"{error}{self._hint(error)}")
        except usage.UsageError as error:
            refuse(error)
        except BadSetting as error:
            refuse(error)

    def parseArgs(self, *words: str) -> None:  # noqa: N802 -- Twisted's name
        """Refuse what is no option."""
        if words:
            raise usage.UsageError(f"unexpected argument {words[0]!r}")

    def _options_first(self, words: Sequence[str]) -> list[str]:
        options, rest = getopt.gnu_getopt(words, self.shortOpt, self.longOpt)
        taking = {f"--{name.removesuffix('=')}" for name in self.longOpt if name.endswith("=")}
        first = [f"{name}={value}" if name in taking else name for name, value in options]
        return [*first, "--", *rest]

    def _hint(self, error: getopt.GetoptError) -> str:
        known = [name.rstrip("=") for name in self.longOpt]
        if any(name.startswith(error.opt) for name in known):
            return ""
        return did_you_mean(f"--{error.opt}", [f"--{name}" for name in known])


class SettingOptions(CommandOptions):
    """Options that are settings; see `declare_options`.

    Attributes:
        given: the options that were given, by the name of their setting.
        config: the settings that the options and the environment make, after `parseOptions`.
    """

    environ: Mapping[str, str] = os.environ

    def __init__(self) -> None:
        CommandOptions.__init__(self)
        self.given: dict[str, Any] = {}
        self.config = Config()

    def postOptions(self) -> None:  # noqa: N802 -- Twisted's name
        """Check the values and add those of the environment."""
        self.config = config_from(self.given, self.environ)


class Options(SettingOptions):
    """The options of the server, one for each setting."""

    synopsis = "[options]"
    longdesc = (
        "A fake LLM server that speaks the OpenAI chat completions API. An option beats its"
        " environment variable; a variable that is empty counts as not set."
    )


def _option(setting: Setting) -> Callable[[SettingOptions, str], None]:
    def option(self: SettingOptions, value: str) -> None:
        if setting.kind.many:
            self.given.setdefault(setting.name, []).append(value)
        else:
            self.given[setting.name] = value

    option.__doc__ = setting.description
    return option


def _switch(setting: Setting, value: bool) -> Callable[[SettingOptions], None]:
    def switch(self: SettingOptions) -> None:
        self.given[setting.name] = value

    switch.__doc__ = setting.description if value else f"The contrary of {setting.option}."
    return switch


def declare_options(options: type[SettingOptions], settings: Iterable[Setting]) -> None:
    """Give a class of options one for each of these settings, and two for a switch."""
    for setting in settings:
        if setting.kind.flag:
            setattr(options, f"opt_{setting.name}", _switch(setting, value=True))
            setattr(options, f"opt_no_{setting.name}", _switch(setting, value=False))
        else:
            setattr(options, f"opt_{setting.name}", _option(setting))


declare_options(Options, SETTINGS)


class Server(MultiService):
    """The server as a process runs it: with its log, and with a clear end when it cannot start.

    Args:
        config: the settings.
        server: the service behind it.
        reload: has its files read again, at SIGHUP.
        warnings: lines to log at the start.
        twistd: twistd's own options when twistd runs it.
        tidying: sees to garbage while it runs.
    """

    def __init__(
        self,
        config: Config,
        server: IService,
        *,
        reload: Callable[[], object],
        tidying: IService | None = None,
        warnings: Sequence[str] = (),
        twistd: Mapping[str, Any] | None = None,
    ) -> None:
        MultiService.__init__(self)
        self._config = config
        self._server = server
        self._hangup = Hangup(reload)
        self._warnings = warnings
        self._twistd = twistd
        server.setServiceParent(self)
        if tidying is not None:
            tidying.setServiceParent(self)

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
        self._hangup.heed()

    def stopService(self) -> Deferred[Any]:  # noqa: N802 -- Twisted's name
        """Stop the server; under twistd, see to the exit status of one that stopped by itself."""
        if self.failure is not None and self._twistd is not None:
            atexit.register(_exit_with_failure)
        stopped: Deferred[Any] = MultiService.stopService(self)
        # not sooner: while running answers end, SIGHUP must not end the process
        return stopped.addBoth(self._hangup.leave)


class Hangup:
    """What the process does at SIGHUP: read files again.

    When its terminal is gone, which is the other reason for that signal, it stops, as it would if
    nobody heeded the signal; unless it was told to ignore that, as ``nohup`` does.

    Args:
        reload: reads files again.
    """

    def __init__(self, reload: Callable[[], object]) -> None:
        self._reload = reload
        self._before: Any = None
        self._on_terminal = False

    def heed(self) -> None:
        """Handle the signal from now on."""
        self._before = signal.signal(signal.SIGHUP, self._hung_up)
        self._on_terminal = self._before is not signal.SIG_IGN and _has_terminal()

    def leave(self, result: Any = None) -> Any:
        """Leave the signal to who handled it before; passes its argument on."""
        if self._before is not None:
            signal.signal(signal.SIGHUP, self._before)
            self._before = None
        return result

    def _hung_up(self, _signal: int, _frame: FrameType | None) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 -- installs it, here not too early

        stop = self._on_terminal and not _has_terminal()
        IReactorFromThreads(reactor).callFromThread(self._stop if stop else self._reload)

    def _stop(self) -> None:
        from twisted.internet import reactor  # noqa: PLC0415 -- as above

        _log.info("the terminal is gone")
        IReactorCore(reactor).stop()


def _has_terminal() -> bool:
    try:
        os.close(os.open("/dev/tty", os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY))
    except OSError:
        return False
    return True


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
        SystemExit: a setting cannot be met, for want of a package say, or scenario files are wrong;
            one line says so, or one for each mistake.
    """
    from fakellm.assembly import FakeLLM  # noqa: PLC0415 -- imports the reactor

    try:
        server = FakeLLM(_in_place(options.config, options.parent or {}))
    except BadScenario as bad:
        refuse_scenario(bad)
    except ValueError as error:
        refuse(error)
    return Server(
        options.config,
        server,
        reload=server.reload,
        tidying=server.tidying(),
        warnings=unknown_variables(options.environ),
        twistd=options.parent,
    )


def _in_place(config: Config, twistd: Mapping[str, Any]) -> Config:
    """The settings, whose files are still found from the folder that twistd will change to."""
    if twistd.get("rundir", ".") == ".":
        return config
    paths = tuple(str(Path(path).absolute()) for path in config.scenario)
    return msgspec.structs.replace(config, scenario=paths)
