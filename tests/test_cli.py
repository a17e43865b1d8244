"""The command ``fakellm``, as a process."""

import json
import os
import signal
import sys
import tempfile
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

import fakellm
from fakellm import cli
from fakellm.config import SETTINGS
from tests.processes import (
    FAKELLM,
    LISTENING,
    TWISTD,
    Process,
    environment,
    get,
    has_ipv6,
    make_certificate,
    run,
    taken_port,
)


class CommandTests(SynchronousTestCase):
    """The first word chooses a command."""

    def refused(self, *argv: str) -> str:
        error = self.assertRaises(SystemExit, cli.main, argv)
        return str(error.code)

    def test_no_word_or_an_option_means_serve(self) -> None:
        for argv, rest in (([], []), (["--port", "1"], ["--port", "1"]), (["serve"], [])):
            ran = mock.Mock()
            with mock.patch.dict(cli.COMMANDS, serve=cli.Command(help="", run=ran)):
                cli.main(argv)
            ran.assert_called_once_with(rest)

    def test_another_command_is_one_entry_of_the_table(self) -> None:
        ran = mock.Mock()
        with mock.patch.dict(cli.COMMANDS, cook=cli.Command(help="Cook an egg.", run=ran)):
            cli.main(["cook", "x", "--strict"])
            self.assertIn("    cook     Cook an egg.\n", cli.ServeOptions().getUsage())
        ran.assert_called_once_with(["x", "--strict"])

    def test_without_words_of_its_own_it_takes_those_of_the_process(self) -> None:
        self.patch(sys, "argv", ["fakellm", "bogus"])
        self.assertRaises(SystemExit, cli.main)

    def test_a_word_that_is_no_command_is_one_line_with_a_hint(self) -> None:
        for word, line in (
            ("sevre", "fakellm: no command 'sevre'; did you mean serve?"),
            ("port", "fakellm: no command 'port'; did you mean --port?"),
            ("zzzz", "fakellm: no command 'zzzz'; fakellm --help shows the commands and options"),
        ):
            self.assertEqual(self.refused(word), line)

    def test_an_unknown_reactor_is_one_line(self) -> None:
        self.assertEqual(
            self.refused("--reactor", "nuclear"),
            "fakellm: The specified reactor does not exist: 'nuclear'. See the list of available"
            " reactors with --help-reactors",
        )


class FakeReactor:
    """Runs nothing; its end is at once."""

    def __init__(self) -> None:
        self.triggers: list[object] = []

    def addSystemEventTrigger(self, phase: str, event: str, what: object) -> None:
        assert (phase, event) == ("before", "shutdown")
        self.triggers.append(what)

    def run(self) -> None:
        self.triggers.append("ran")


class RunTests(SynchronousTestCase):
    """How the reactor is run."""

    def test_the_server_starts_before_the_reactor_and_stops_with_it(self) -> None:
        server = mock.Mock(failure=None)
        reactor = FakeReactor()
        cli._run(server, reactor)
        self.assertEqual(
            server.mock_calls, [mock.call.privilegedStartService(), mock.call.startService()]
        )
        self.assertEqual(reactor.triggers, [cli._on_shutdown, server.stopService, "ran"])

    def test_a_server_that_stopped_by_itself_ends_with_status_1(self) -> None:
        server = mock.Mock()
        error = self.assertRaises(SystemExit, cli._run, server, FakeReactor())
        self.assertEqual(error.code, 1)

    def test_a_second_interrupt_ends_it_at_once(self) -> None:
        changed = mock.Mock()
        self.patch(signal, "signal", changed)
        cli._on_shutdown()
        self.assertEqual(
            changed.mock_calls,
            [
                mock.call(signal.SIGINT, signal.SIG_DFL),
                mock.call(signal.SIGTERM, signal.SIG_IGN),
            ],
        )


class ProcessTests(SynchronousTestCase):
    """``python -m fakellm``."""

    def setUp(self) -> None:
        # Not mktemp(): the path of a unix socket may have about a hundred characters only.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def serve(self, *argv: str, **environ: str) -> Process:
        return Process([*FAKELLM, *argv], env=environment(**environ), cwd=self.folder)

    def refused(self, *argv: str, **environ: str) -> str:
        """Run a server that cannot start: one line on standard error, nothing else."""
        ended = run([*FAKELLM, *argv], env=environment(**environ), cwd=self.folder)
        self.assertEqual((ended.status, ended.out), (1, ""))
        self.assertEqual(ended.err.count("\n"), 1)
        return ended.err.rstrip("\n")

    def test_by_default_it_listens_on_the_loopback_addresses_only(self) -> None:
        with self.serve("--port", "0") as process:
            ipv4, ipv6 = process.line(LISTENING).groups()
            self.assertRegex(ipv4, r"^http://127\.0\.0\.1:[0-9]+$")
            self.assertEqual(get(ipv4)[0], 200)
            if has_ipv6():
                self.assertEqual(ipv6, ipv4.replace("127.0.0.1", "[::1]"))
                self.assertEqual(get(ipv6)[0], 200)
            # 127.0.0.2 is this machine too, and would be reached by a socket on all addresses.
            if sys.platform == "linux":
                elsewhere = ipv4.replace("127.0.0.1", "127.0.0.2")
                self.assertRaises(ConnectionRefusedError, get, elsewhere)
            ended = process.stop()
        self.assertEqual((ended.status, ended.err), (0, ""))
        self.assertTrue(ended.out.endswith(" info fakellm is stopping\n"), ended.out)
        self.assertEqual(list(Path(self.folder).iterdir()), [])  # no pid file, no log file

    def test_an_interrupt_ends_it_too(self) -> None:
        with self.serve("serve", "--port", "0", "--reactor", "asyncio") as process:
            process.url()
            process.send(signal.SIGINT)
            ended = process.wait()
        self.assertEqual((ended.status, ended.err), (0, ""))

    def test_the_port_is_that_of_the_option_then_FAKELLM_PORT_then_PORT(self) -> None:
        with taken_port() as port:
            line = f"fakellm: port {port} on 127.0.0.1 is already in use"
            taken = str(port)
            self.assertEqual(self.refused(PORT=taken), line)
            self.assertEqual(self.refused(FAKELLM_PORT=taken, PORT="0"), line)
            self.assertEqual(self.refused("--port", taken, FAKELLM_PORT="0", PORT="0"), line)

    def test_bad_values_are_one_line(self) -> None:
        self.assertEqual(
            self.refused("--port", "banana"),
            "fakellm: --port: expected a whole number from 0 to 65535, not 'banana'",
        )
        self.assertEqual(
            self.refused(FAKELLM_LOG_LEVEL="loud"),
            "fakellm: FAKELLM_LOG_LEVEL: expected one of debug, info, warn, error, critical,"
            " not 'loud'",
        )
        self.assertEqual(
            self.refused("--listen", "ssl:0:privateKey=none.pem"),
            "fakellm: cannot listen on 'ssl:0:privateKey=none.pem': "
            f"{Path(self.folder).resolve()}/none.pem: No such file or directory",
        )

    def test_help_and_version(self) -> None:
        ended = run([*FAKELLM, "--version"], cwd=self.folder)
        self.assertEqual(ended, (0, f"fakellm {fakellm.__version__}\n", ""))
        ended = run([*FAKELLM, "--help"], cwd=self.folder)
        self.assertEqual((ended.status, ended.err), (0, ""))
        self.assertTrue(ended.out.startswith("Usage: fakellm [serve] [options]\n"))
        for setting in SETTINGS:
            self.assertIn(setting.option, ended.out)
        self.assertIn("--reactor=", ended.out)
        self.assertIn("Commands:\n    serve    Run the server", ended.out)

    def test_a_unix_socket(self) -> None:
        with self.serve("--listen", f"unix:{self.folder}/s") as process:
            url = process.url()
            self.assertEqual(url, f"unix:{self.folder}/s")
            self.assertEqual(get(url)[0], 200)
            self.assertEqual(process.stop().status, 0)
        self.assertEqual(list(Path(self.folder).iterdir()), [])

    def test_a_TLS_socket_and_log_lines_in_JSON(self) -> None:
        key, certificate = make_certificate(self.folder)
        endpoint = f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"
        argv = ["--listen", endpoint, "--log-format", "json", "--log-level", "debug"]
        with self.serve(*argv, FAKELLM_API_KEY="sk-secret", FAKELLM_PROT="1") as process:
            url = process.url()
            self.assertTrue(url.startswith("https://127.0.0.1:"), url)
            self.assertEqual(get(url, certificate=certificate)[0], 200)
            ended = process.stop()
        self.assertEqual((ended.status, ended.err), (0, ""))
        entries = [json.loads(line) for line in ended.out.splitlines()]
        for entry in entries:
            self.assertTrue({"time", "level", "namespace", "message"} <= entry.keys())
        messages = [entry["message"] for entry in entries]
        self.assertIn(
            "FAKELLM_PROT is set, but is no setting of fakellm; did you mean FAKELLM_PORT?",
            messages,
        )
        self.assertNotIn("sk-secret", ended.out)

    def test_a_log_that_nobody_reads_any_more_does_not_end_it(self) -> None:
        argv = [*FAKELLM, "--listen", f"unix:{self.folder}/s", "--log-level", "debug"]
        with Process(argv, deaf_after=LISTENING) as process:
            self.assertEqual(get(process.url())[0], 200)
            ended = process.stop()
        self.assertEqual((ended.status, ended.err), (0, ""))
        self.assertNotIn("fakellm is stopping", ended.out)

    def test_an_endpoint_that_fails_late_ends_it_with_status_1(self) -> None:
        """A plugin's endpoint whose listen() fails when the server runs already."""
        plugins = Path(self.folder, "twisted", "plugins")
        plugins.mkdir(parents=True)
        Path(plugins, "late_plugin.py").write_text(LATE_PLUGIN)
        env = environment()
        env["PYTHONPATH"] += os.pathsep + self.folder
        line = "cannot listen on 'late:': not today"
        for argv in (FAKELLM, [*TWISTD, "-n", "fakellm"]):
            ended = run([*argv, "--listen", "tcp:0", "--listen", "late:"], env=env, cwd=self.folder)
            self.assertEqual((ended.status, ended.err), (1, ""))
            self.assertIn(f" critical {line}\n", ended.out)
            self.assertNotIn("Traceback", ended.out)

    def test_importing_it_installs_no_reactor_and_no_web_framework(self) -> None:
        code = (
            "import sys, fakellm.cli, fakellm.tap, fakellm.listening, fakellm.logs;"
            "print(sorted({'twisted.internet.reactor', 'klein'} & set(sys.modules)))"
        )
        self.assertEqual(run([sys.executable, "-c", code]), (0, "[]\n", ""))

    def test_without_the_package_of_a_tokenizer_it_says_what_to_install(self) -> None:
        code = (
            "import sys; sys.modules['bpe_openai'] = None;"
            "from fakellm.cli import main; main(['--tokenizer', 'o200k_base'])"
        )
        ended = run([sys.executable, "-c", code], cwd=self.folder)
        self.assertEqual((ended.status, ended.out, ended.err.count("\n")), (1, "", 1))
        self.assertIn("pip install 'twisted-fakellm[tokens]'", ended.err)

    def test_without_the_TLS_packages_it_runs_and_says_what_ssl_needs(self) -> None:
        code = (
            "import sys; sys.modules['OpenSSL'] = None;"
            "from fakellm.cli import main; main(['--listen', sys.argv[1]])"
        )
        for kind in ("ssl:0:privateKey=x", "tls:."):
            Path(self.folder, "x.pem").touch()
            ended = run([sys.executable, "-c", code, kind], cwd=self.folder)
            line = f"fakellm: cannot listen on '{kind}': TLS needs more packages:"
            self.assertEqual(ended, (1, "", f"{line} pip install 'twisted-fakellm[tls]'\n"))


LATE_PLUGIN = """
from twisted.internet.interfaces import IStreamServerEndpoint, IStreamServerEndpointStringParser
from twisted.internet.task import deferLater
from twisted.plugin import IPlugin
from zope.interface import implementer

def fail():
    raise RuntimeError("not today")

@implementer(IPlugin, IStreamServerEndpointStringParser)
class Parser:
    prefix = "late"
    def parseStreamServer(self, reactor, *args):
        self.reactor = reactor
        return self
    def listen(self, factory):
        return deferLater(self.reactor, 0, fail)

late = Parser()
"""
