"""``twistd fakellm``: its options, its log, its start and its end."""

import atexit
import io
import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.application.app import AppLogger
from twisted.application.service import Application, IServiceCollection, MultiService, Service
from twisted.internet.defer import Deferred, getDebugging, setDebugging
from twisted.internet.protocol import Factory
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver
from twisted.python import failure
from twisted.python.logfile import LogFile
from twisted.scripts.twistd import ServerOptions  # type: ignore[attr-defined]
from twisted.trial.unittest import SynchronousTestCase

from fakellm import __version__, tap
from fakellm.config import SETTINGS, Config
from fakellm.listening import CannotListen, Listening
from fakellm.tap import Options, Server
from tests.processes import FAKELLM, TWISTD, Process, get, lifeline, run, taken_port


class CapturedOptions(Options):
    """Options in an empty environment, whatever that of the tests is."""

    environ: dict[str, str] = {}  # noqa: RUF012 -- stands in for os.environ


class OptionsTests(SynchronousTestCase):
    """The options derive from the settings."""

    def parse(self, *argv: str, **environ: str) -> Config:
        options = CapturedOptions()
        options.environ = environ
        options.parseOptions(argv)
        return options.config

    def refused(self, *argv: str, **environ: str) -> str:
        error = self.assertRaises(SystemExit, self.parse, *argv, **environ)
        self.assertEqual(len(str(error.code).splitlines()), 1)
        return str(error.code)

    def printed(self, *argv: str) -> str:
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        error = self.assertRaises(SystemExit, self.parse, *argv)
        self.assertEqual(error.code, 0)
        return out.getvalue()

    def test_no_option_means_the_defaults(self) -> None:
        self.assertEqual(self.parse(), Config())

    def test_options_of_every_kind(self) -> None:
        config = self.parse(
            "--port=0",
            *("--model", "a", "--model", "b"),
            *("--echo-model", "--strict-requests", "--no-strict-requests"),
            *("--log-level", "debug", "--log-level", "warn"),
        )
        self.assertEqual(
            config, Config(port=0, model=("a", "b"), echo_model=True, log_level="warn")
        )

    def test_an_option_beats_a_variable_and_a_switch_can_be_switched_off(self) -> None:
        environ = {"FAKELLM_PORT": "1", "FAKELLM_ECHO_MODEL": "yes", "FAKELLM_MODEL": "a,b"}
        config = self.parse("--port", "2", "--no-echo-model", "--model", "c", **environ)
        self.assertEqual(config, Config(port=2, model=("c",)))
        self.assertEqual(self.parse(**environ), Config(port=1, model=("a", "b"), echo_model=True))

    def test_help_shows_each_setting_with_its_default_and_variable(self) -> None:
        with mock.patch.dict(os.environ, COLUMNS="1000"):
            shown = self.printed("--help")
        for setting in SETTINGS:
            option = setting.option if setting.kind.flag else f"{setting.option}="
            [line] = [line for line in shown.splitlines() if option in line.split()]
            self.assertIn(setting.description, line)

    def test_version(self) -> None:
        self.assertEqual(self.printed("--version"), f"fakellm {__version__}\n")

    def test_what_is_wrong_is_one_line(self) -> None:
        port = "expected a whole number from 0 to 65535, not 'banana'"
        for argv, environ, line in (
            (["--port", "banana"], {}, f"fakellm: --port: {port}"),
            ([], {"PORT": "banana"}, f"fakellm: PORT: {port}"),
            (
                ["--prot", "1"],
                {},
                "fakellm: option --prot not recognized; did you mean --port?",
            ),
            (["--zzzzzz"], {}, "fakellm: option --zzzzzz not recognized"),
            (["--port"], {}, "fakellm: option --port requires argument"),
            (["--log", "x"], {}, "fakellm: option --log not a unique prefix"),
            (["--echo-model=1"], {}, "fakellm: option --echo-model must not have an argument"),
            (["-x"], {}, "fakellm: option -x not recognized"),
            (["x", "--prot"], {}, "fakellm: option --prot not recognized; did you mean --port?"),
            (["serve"], {}, "fakellm: unexpected argument 'serve'"),
        ):
            with self.subTest(line):
                self.assertEqual(self.refused(*argv, **environ), line)


class FakeServer(MultiService):
    """Stands in for FakeLLM where only its children and its start matter."""

    def __init__(self, config: Config | None = None) -> None:
        super().__init__()
        self.config = config
        self.listening = Listening(MemoryReactorClock(), Factory(), ("tcp:1",), 0)
        self.listening.setServiceParent(self)
        self.reloads = 0

    def reload(self) -> None:
        self.reloads += 1

    def tidying(self) -> None:
        """There is nothing to tidy up."""


class MakeServiceTests(SynchronousTestCase):
    """`makeService` hands the settings to FakeLLM and watches over it."""

    def test_the_server_gets_the_settings_and_warns_of_unknown_variables(self) -> None:
        options = CapturedOptions()
        options.environ = {"FAKELLM_PROT": "1"}
        options.parseOptions(["--port", "7"])
        with mock.patch.dict(sys.modules, {"fakellm.assembly": mock.Mock(FakeLLM=FakeServer)}):
            server = tap.makeService(options)
        [fake] = list(server)
        self.assertEqual(fake.config, Config(port=7))
        logged = mock.Mock()
        self.patch(tap, "_log", logged)
        server.privilegedStartService()
        server.startService()
        [call] = logged.warn.mock_calls
        self.assertIn("did you mean FAKELLM_PORT?", call.kwargs["warning"])
        self.assertIsNone(server.failure)
        self.successResultOf(server.stopService())

    def test_SIGHUP_has_files_read_again_until_the_server_has_stopped(self) -> None:
        before = signal.getsignal(signal.SIGHUP)
        fake = FakeServer()
        ended: Deferred[None] = Deferred()
        server = Server(Config(), fake, reload=fake.reload)
        server.startService()
        reactor = mock.Mock(callFromThread=lambda reload: reload())
        self.patch(tap, "IReactorFromThreads", lambda _: reactor)
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(fake.reloads, 1)
        self.patch(fake, "stopService", lambda: ended)
        stopped = server.stopService()
        signal.raise_signal(signal.SIGHUP)  # while running answers end
        self.assertEqual(fake.reloads, 2)
        ended.callback(None)
        self.successResultOf(stopped)
        self.assertEqual(signal.getsignal(signal.SIGHUP), before)

    def test_scenario_files_that_are_wrong_are_a_line_for_each_mistake(self) -> None:
        path = Path(self.mktemp())
        path.write_text("rules:\n  - nam: x\n    reply: hi\n  - {}\n")
        options = CapturedOptions()
        options.parseOptions(["--scenario", str(path)])
        error = self.assertRaises(SystemExit, tap.makeService, options)
        first, second = str(error.code).splitlines()
        self.assertEqual(first, f"{path}:2:5: unknown key 'nam'; did you mean 'name'?")
        self.assertTrue(second.startswith(f"{path}:4:5: "), second)

    def test_scenario_files_are_still_found_when_twistd_changes_to_another_folder(self) -> None:
        for argv, scenario in (
            ([], "rules.yml"),
            (["--rundir", "x"], str(Path("rules.yml").absolute())),
        ):
            twistd = ServerOptions()
            with mock.patch.dict(sys.modules, {"fakellm.assembly": mock.Mock(FakeLLM=FakeServer)}):
                twistd.parseOptions([*argv, "fakellm", "--scenario", "rules.yml"])
                [fake] = list(tap.makeService(twistd.subOptions))
            self.assertEqual(fake.config.scenario, (scenario,))

    def test_a_setting_that_cannot_be_met_is_one_line(self) -> None:
        options = CapturedOptions()
        options.parseOptions([])
        assembly = mock.Mock(FakeLLM=mock.Mock(side_effect=ValueError("no such\npackage")))
        with mock.patch.dict(sys.modules, {"fakellm.assembly": assembly}):
            error = self.assertRaises(SystemExit, tap.makeService, options)
        self.assertEqual(error.code, "fakellm: no such package")

    def test_a_server_that_cannot_listen_says_so_once_on_standard_error(self) -> None:
        """Where the log goes elsewhere, or is read by a program, it says so too."""
        for settings, twistd, logged in (
            ({}, None, 0),
            ({}, {"nodaemon": True}, 0),
            ({"log_format": "json"}, {"nodaemon": True}, 1),
            ({}, {"nodaemon": False}, 1),
            ({}, {"nodaemon": True, "logfile": "x"}, 1),
            ({}, {"nodaemon": True, "syslog": True}, 1),
        ):
            with self.subTest(settings=settings, twistd=twistd):
                log = mock.Mock()
                self.patch(tap, "_log", log)
                self.patch(sys, "__stderr__", io.StringIO())
                service: Any = Service()
                service.privilegedStartService = mock.Mock(side_effect=CannotListen("no luck"))
                server = Server(Config.of(**settings), service, reload=print, twistd=twistd)
                error = self.assertRaises(CannotListen, server.privilegedStartService)
                self.assertEqual(error.code, 1)
                self.assertEqual(sys.__stderr__.getvalue(), "fakellm: no luck\n")  # type: ignore[union-attr]
                self.assertEqual(log.critical.call_count, logged)
                self.assertIsNone(server.failure)

    def test_without_a_standard_error_it_fails_all_the_same(self) -> None:
        self.patch(sys, "__stderr__", None)
        service: Any = Service()
        service.privilegedStartService = mock.Mock(side_effect=CannotListen("no luck"))
        server = Server(Config(), service, reload=print)
        self.assertRaises(CannotListen, server.privilegedStartService)

    def test_a_server_that_stopped_by_itself_ends_twistd_with_status_1(self) -> None:
        for twistd, times in ((None, 0), ({"nodaemon": True}, 1)):
            register = mock.Mock()
            self.patch(atexit, "register", register)
            fake = FakeServer()
            server = Server(Config(), fake, reload=fake.reload, twistd=twistd)
            fake.listening.failure = CannotListen("no luck")
            self.assertIs(server.failure, fake.listening.failure)
            self.successResultOf(server.stopService())
            self.assertEqual(register.call_count, times)
        ended = mock.Mock(side_effect=SystemExit)
        self.patch(os, "_exit", ended)
        self.patch(sys, "__stdout__", None)
        self.assertRaises(SystemExit, register.mock_calls[0].args[0])
        ended.assert_called_once_with(1)


class LogTests(SynchronousTestCase):
    """``--log-level`` and ``--log-format`` hold for twistd's log too."""

    def observer(self, *argv: str) -> Any:
        """The observer that the application gets from a command line of twistd."""
        twistd = ServerOptions()
        with mock.patch.dict(sys.modules, {"fakellm.assembly": mock.Mock(FakeLLM=FakeServer)}):
            twistd.parseOptions([*argv, "fakellm"])
            application = Application("fakellm")
            server = tap.makeService(twistd.subOptions)
            server.setServiceParent(application)
        self.assertIn(server, list(iter(IServiceCollection(application))))
        return application.getComponent(ILogObserver, None)

    def setUp(self) -> None:
        self.patch(signal, "signal", mock.Mock())
        self.patch(signal, "getsignal", mock.Mock(return_value=signal.SIG_DFL))
        self.patch(tap, "LogFile", mock.Mock(fromFullPath=self.log_file))
        folder = self.mktemp()
        Path(folder).mkdir()
        self.addCleanup(os.chdir, Path.cwd())
        os.chdir(folder)

    def log_file(self, name: str) -> LogFile:
        log_file: LogFile = LogFile.fromFullPath(name)
        self.addCleanup(log_file.close)
        return log_file

    def test_in_the_foreground_it_is_standard_output(self) -> None:
        # --debug would put every Failure of this process into the debugger
        self.patch(failure, "startDebugMode", mock.Mock())
        self.addCleanup(setDebugging, getDebugging())
        for argv in (["-n"], ["-n", "--logfile=-"], ["--debug", "-n"]):
            self.assertIsNotNone(self.observer(*argv))
        self.assertEqual(list(Path().iterdir()), [])

    def test_it_is_the_log_file_where_there_is_one(self) -> None:
        self.assertIsNotNone(self.observer("-n", "--logfile", "my.log"))
        self.assertTrue(Path("my.log").exists())

    def test_a_daemon_logs_to_twistd_log(self) -> None:
        self.assertIsNotNone(self.observer())
        self.assertTrue(Path("twistd.log").exists())

    def test_another_log_that_twistd_was_told_of_stays(self) -> None:
        self.assertIsNone(self.observer("-n", "--syslog"))
        self.assertIsNone(self.observer("-n", "--logger", "twisted.logger.textFileLogObserver"))

    def test_a_daemon_cannot_log_to_standard_output(self) -> None:
        error = self.assertRaises(SystemExit, self.observer, "--logfile=-")
        self.assertEqual(
            error.code,
            "fakellm: a daemon cannot log to standard output: give --nodaemon or another --logfile",
        )

    def test_a_log_file_that_cannot_be_written_is_one_line(self) -> None:
        error = self.assertRaises(SystemExit, self.observer, "--logfile=none/my.log")
        self.assertEqual(
            error.code, "fakellm: cannot write the log file none/my.log: No such file or directory"
        )

    def test_SIGUSR1_rotates_the_log_file_unless_it_is_taken(self) -> None:
        self.observer("--logfile=my.log")
        [call] = signal.signal.mock_calls  # type: ignore[attr-defined]
        number, handler = call.args
        self.assertEqual(number, signal.SIGUSR1)
        reactor = mock.Mock()
        reactor.callFromThread = lambda rotate: rotate()
        self.patch(tap, "IReactorFromThreads", lambda _: reactor)
        handler(signal.SIGUSR1, None)
        self.assertTrue(Path("my.log.1").exists())
        signal.getsignal.return_value = print  # type: ignore[attr-defined]
        self.observer("--logfile=my.log")
        self.assertEqual(len(signal.signal.mock_calls), 1)  # type: ignore[attr-defined]

    def test_a_parent_that_is_no_application_gets_no_log(self) -> None:
        parent = MultiService()
        server = Server(Config(), Service(), reload=print, twistd={"nodaemon": True})
        server.setServiceParent(parent)
        self.assertEqual(len(list(parent)), 1)

    def test_twistd_takes_the_observer(self) -> None:
        """The component that `AppLogger.start` looks for is the one that is set."""
        observer = self.observer("-n")
        begun: list[Any] = []
        self.patch(AppLogger, "_initialLog", lambda logger: begun.append(logger._observer))
        application = Application("fakellm")
        application.setComponent(ILogObserver, observer)
        with mock.patch("twisted.logger.globalLogBeginner.beginLoggingTo"):
            AppLogger({}).start(application)
        self.assertEqual(begun, [observer])


class TwistdTests(SynchronousTestCase):
    """twistd itself, as a process."""

    def setUp(self) -> None:
        # Short, for the path of a unix socket, and twistd's own: it writes twistd.pid there.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_it_serves_and_ends_when_told_to(self) -> None:
        with Process(
            [*TWISTD, "-n", "--reactor=asyncio", "fakellm", "--port", "0", "--log-format=json"],
            cwd=self.folder,
        ) as process:
            url = process.url()
            self.assertEqual(get(url)[0], 200)
            ended = process.stop()
        # Since Twisted 21.2 twistd ends itself with the signal that stopped it.
        self.assertEqual(ended.status, -signal.SIGTERM)
        self.assertEqual(ended.err, "")
        entries = [json.loads(line) for line in ended.out.splitlines()]
        self.assertEqual(entries[0]["urls"][0], url)
        self.assertEqual(list(Path(self.folder).iterdir()), [])

    def test_debug_shows_the_reactor_that_was_chosen(self) -> None:
        argv = ["-n", "--reactor=asyncio", "fakellm", "--port", "0", "--log-level=debug"]
        with Process([*TWISTD, *argv], cwd=self.folder) as process:
            process.url()
            ended = process.stop()
        self.assertIn("reactor class: twisted.internet.asyncioreactor", ended.out)

    def test_a_bad_value_is_one_line_and_no_usage(self) -> None:
        ended = run([*TWISTD, "-n", "fakellm", "--port", "banana"], cwd=self.folder)
        self.assertEqual(
            ended,
            (1, "", "fakellm: --port: expected a whole number from 0 to 65535, not 'banana'\n"),
        )

    def test_wrong_scenario_files_are_their_mistakes_in_the_foreground_and_as_a_daemon(
        self,
    ) -> None:
        Path(self.folder, "rules.yml").write_text("rules:\n  - nam: x\n    reply: hi\n")
        for argv in ([*TWISTD, "-n", "fakellm"], self.daemon(), FAKELLM):
            ended = run([*argv, "--scenario", "rules.yml"], cwd=self.folder)
            line = "rules.yml:2:5: unknown key 'nam'; did you mean 'name'?\n"
            self.assertEqual(ended, (1, "", line))
        self.assertEqual([path.name for path in Path(self.folder).iterdir()], ["rules.yml"])

    def test_help(self) -> None:
        ended = run([*TWISTD, "fakellm", "--help"], cwd=self.folder)
        self.assertEqual((ended.status, ended.err), (0, ""))
        self.assertIn("--log-format=", ended.out)
        self.assertIn("FAKELLM_LOG_FORMAT", ended.out)

    def test_a_taken_port_is_one_line(self) -> None:
        with taken_port() as port:
            ended = run([*TWISTD, "-n", "fakellm", "--port", str(port)], cwd=self.folder)
        self.assertEqual(
            (ended.status, ended.err),
            (1, f"fakellm: port {port} on 127.0.0.1 is already in use\n"),
        )
        self.assertNotIn("Traceback", ended.out)
        self.assertEqual(list(Path(self.folder).iterdir()), [])

    def daemon(self, *argv: str) -> list[str]:
        files = ["--pidfile", "fake.pid", "--logfile", "fake.log"]
        return [*TWISTD, *files, "fakellm", *argv]

    def kill_daemon(self) -> None:
        pidfile = Path(self.folder, "fake.pid")
        if pidfile.exists():
            os.kill(int(pidfile.read_text()), signal.SIGKILL)

    def test_a_daemon_serves_logs_to_its_file_and_removes_its_pid_file(self) -> None:
        self.addCleanup(self.kill_daemon)
        with lifeline() as (descriptor, wait):
            argv = self.daemon("--listen", "unix:fake.sock")
            ended = run(argv, cwd=self.folder, pass_fds=[descriptor])
            # The process that we started ends when the daemon it leaves behind listens.
            self.assertEqual(ended, (0, "", ""))
            self.assertEqual(get(f"unix:{self.folder}/fake.sock")[0], 200)
            os.kill(int(Path(self.folder, "fake.pid").read_text()), signal.SIGTERM)
            wait()
        self.assertFalse(Path(self.folder, "fake.pid").exists())
        log = Path(self.folder, "fake.log").read_text()
        self.assertIn("info fakellm is listening on unix:fake.sock\n", log)

    def test_a_daemon_that_cannot_listen_tells_its_parent(self) -> None:
        with taken_port() as port:
            ended = run(self.daemon("--port", str(port)), cwd=self.folder)
        line = f"port {port} on 127.0.0.1 is already in use"
        self.assertEqual(ended.status, 1)
        self.assertIn(line, ended.err)
        self.assertNotIn("Traceback", ended.err)
        self.assertFalse(Path(self.folder, "fake.pid").exists())
        log = Path(self.folder, "fake.log").read_text()
        self.assertTrue(log.endswith(f" critical {line}\n"), log)
