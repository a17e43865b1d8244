"""``fakellm.running``: a server in a process that ends with the one that started it."""

import os
import re
import select
import signal
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

import fakellm
from fakellm.config import BadSetting
from fakellm.testing import NotStarted
from fakellm.testing.processes import ServerProcess, command_line, token_among
from tests import fronts
from tests.processes import FAKELLM, TIMEOUT, Process, environment, get, taken_port

HOLDER = """
import os, sys, time
import fakellm
with fakellm.running() as llm:
    print("pid", llm.pid, flush=True)
    {then}
"""
"""A program that runs a server."""


@contextmanager
def end_of(pid: int) -> Iterator[int]:
    """A file descriptor that can be read once a process has ended; also if nobody waits for it."""
    descriptor = os.pidfd_open(pid)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


class ProcessTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        if not hasattr(os, "pidfd_open"):
            self.skipTest("the end of a process that is no child can be seen on Linux only")

    def assert_ends(self, descriptor: int) -> None:
        self.assertTrue(select.select([descriptor], [], [], TIMEOUT)[0], "the server still runs")


class RunningTests(ProcessTestCase):
    def test_it_serves_as_long_as_the_with_lasts(self) -> None:
        with fakellm.running(  # noqa: SIM117
            answer="It is sunny.", model=["sunny-1", "sunny-2"], http=fronts.HTTP
        ) as llm:
            with end_of(llm.pid) as ended:
                with urllib.request.urlopen(f"{llm.openai_url}/models") as answer:  # noqa: S310
                    self.assertIn(b"sunny-2", answer.read())
                self.assertEqual(select.select([ended], [], [], 0), ([], [], []))
        with self.assertRaises(ConnectionRefusedError):
            get(llm.url)

    def test_settings_are_those_of_the_server(self) -> None:
        words = command_line(answer="-x", model=["a", "b"], echo_model=True, watch=False)
        expected = ["--model=a", "--model=b", "--answer=-x", "--echo-model", "--no-watch"]
        self.assertEqual(words, expected)
        words = command_line(
            ttft={"uniform": [1, 2]}, scenario="a.yml", echo_model="no", queue=None
        )
        expected = ["--no-echo-model", "--scenario=a.yml", '--ttft={"uniform":[1,2]}']
        self.assertEqual(words, expected)

    def test_the_token_among_options(self) -> None:
        """However it is written, the last counts; no option is acted on."""
        for words, token in (
            ((), None),
            (("--port", "0", "--log-level=debug"), None),
            (("--control-token", "a"), "a"),
            (("--reactor=nonesuch", "--control-token=a", "--answer", "--control-token"), "a"),
            (("--control-t", "a", "--echo-model", "--control-token= b "), "b"),
            (command_line(control_token="c"), "c"),
        ):
            self.assertEqual(token_among(words), token, words)

    def test_a_wrong_setting_is_told_before_anything_starts(self) -> None:
        with self.assertRaisesRegex(BadSetting, "ttft: expected a duration"):
            fakellm.running(ttft="soon").__enter__()
        with self.assertRaisesRegex(TypeError, "did you mean 'answer'|did you mean answer"):
            fakellm.running(anser="x").__enter__()
        with self.assertRaisesRegex(TypeError, "info or debug"):
            fakellm.running(log_level="error").__enter__()

    def test_a_server_that_cannot_listen_says_why(self) -> None:
        with (
            taken_port() as port,
            self.assertRaisesRegex(NotStarted, "status 1: .* in use"),
        ):
            fakellm.running(port=port).__enter__()

    def test_a_server_that_takes_too_long_is_ended(self) -> None:
        with self.assertRaisesRegex(NotStarted, "after 0 s it did not listen"):
            fakellm.running(timeout=0.0).__enter__()

    def test_what_configures_a_server_here_does_not_configure_this_one(self) -> None:
        with mock.patch.dict(os.environ, FAKELLM_ANSWER="other", PORT="1", FAKELLM_BOGUS="x"):  # noqa: SIM117
            with fakellm.running() as llm:
                self.assertIn("fakellm is listening on", llm.log)
                self.assertNotIn("BOGUS", llm.log)

    def test_it_is_the_same_fakellm(self) -> None:
        """Whatever this process has on its path and wherever it is."""
        script = "import fakellm\nwith fakellm.running() as llm: print(llm.log)"
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "fakellm.py").write_text("raise SystemExit('the wrong one')")
        root = str(Path(fakellm.__file__).parents[1])
        ended = subprocess.run(
            [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {root!r})\n{script}"],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertIn("fakellm is listening on", ended.stdout, ended.stderr)

    def test_variables_lead_SDKs_to_it(self) -> None:
        secret = {"ANTHROPIC_AUTH_TOKEN": "real", "OPENAI_API_KEY": "real"}
        with mock.patch.dict(os.environ, secret):
            with fakellm.running(set_environ=True) as llm:
                self.assertEqual(os.environ["OPENAI_BASE_URL"], f"{llm.url}/v1")
                self.assertEqual(os.environ["OPENAI_API_KEY"], "session-default")
                self.assertEqual(os.environ["ANTHROPIC_BASE_URL"], llm.url)
                self.assertNotIn("ANTHROPIC_AUTH_TOKEN", os.environ)
            self.assertEqual(os.environ["OPENAI_API_KEY"], "real")
            self.assertEqual(os.environ["ANTHROPIC_AUTH_TOKEN"], "real")
            self.assertNotIn("OPENAI_BASE_URL", os.environ)

    def test_requests_to_it_go_past_proxies(self) -> None:
        proxied = {"HTTP_PROXY": "http://proxy.example", "NO_PROXY": "a.example", "no_proxy": ""}
        with mock.patch.dict(os.environ, proxied), fakellm.running(set_environ=True):
            self.assertEqual(os.environ["NO_PROXY"], "a.example,127.0.0.1,::1,localhost")
            self.assertEqual(os.environ["no_proxy"], "127.0.0.1,::1,localhost")

    def test_a_fork_leaves_it_alone(self) -> None:
        script = (
            "import os, fakellm\n"
            "with fakellm.running() as llm:\n"
            "    child = os.fork()\n"
            "    if child:\n"
            "        os.waitpid(child, 0)\n"
            "        print(len(llm.sessions))\n"
        )
        ended = subprocess.run(
            [sys.executable, "-c", script],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertEqual((ended.stdout, ended.stderr), ("0\n", ""))

    def test_one_that_does_not_end_is_killed(self) -> None:
        process = ServerProcess()
        process.url()
        os.kill(process.pid, signal.SIGSTOP)
        with (
            mock.patch("fakellm.testing.processes._ENDS_IN_SECONDS", 0.1),
            end_of(process.pid) as ended,
        ):
            process.stop()
            self.assert_ends(ended)


class EndingTests(ProcessTestCase):
    """However the process that holds a server ends, the server ends as well."""

    def server_of(self, holder: Process) -> int:
        return int(holder.line(re.compile(r"pid (\d+)"))[1])

    def hold(self, then: str) -> Process:
        return Process([sys.executable, "-c", HOLDER.format(then=then)])

    def test_killed(self) -> None:
        with self.hold("time.sleep(600)") as holder, end_of(self.server_of(holder)) as ended:
            holder.send(signal.SIGKILL)
            self.assert_ends(ended)

    def test_killed_while_a_fork_of_it_lives_on(self) -> None:
        then = "print('fork', os.fork(), flush=True); time.sleep(600)"
        with self.hold(then) as holder, end_of(self.server_of(holder)) as ended:
            forks = {int(holder.line(re.compile(r"fork (\d+)"))[1]) for _ in range(2)}
            holder.send(signal.SIGKILL)
            self.assert_ends(ended)
            for fork in forks - {0}:
                os.kill(fork, signal.SIGKILL)

    def test_interrupted(self) -> None:
        with self.hold("time.sleep(600)") as holder, end_of(self.server_of(holder)) as ended:
            holder.send(signal.SIGINT)
            self.assert_ends(ended)

    def test_without_any_cleaning_up(self) -> None:
        with self.hold("os._exit(0)") as holder, end_of(self.server_of(holder)) as ended:
            self.assert_ends(ended)


class UntilEofTests(SynchronousTestCase):
    """The option behind it: ``fakellm --until-eof``."""

    def test_it_ends_when_standard_input_does(self) -> None:
        for reactor in ("--reactor=poll", "--reactor=asyncio", "--reactor=select"):
            served = subprocess.Popen(
                [*FAKELLM, "--port=0", "--until-eof", reactor],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                env=environment(),
                text=True,
            )
            with served:
                assert served.stdin is not None
                assert served.stdout is not None
                self.assertIn("fakellm is listening", served.stdout.readline())
                served.stdin.write("what comes in is not heeded")
                served.stdin.flush()
                served.stdin.close()
                said = served.stdout.read()
            self.assertIn("standard input has ended", said)
            self.assertEqual(served.returncode, 0)

    def test_a_standard_input_that_has_nothing_ends_it_at_once(self) -> None:
        with Process([*FAKELLM, "--port=0", "--until-eof"]) as process:
            self.assertEqual(process.wait().status, 0)
