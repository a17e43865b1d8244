"""Scenario files that change while the server runs."""

import json
import os
import pty
import re
import signal
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

import treq.testing
from twisted.internet.address import IPv4Address
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.logger import LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fakellm import FakeLLM
from fakellm.engine.watching import LOOK_EVERY_SECONDS
from fakellm.scenarios.mistakes import BadScenario
from fakellm.tap import Hangup
from tests.connections import request, split, unchunked
from tests.engine.test_watching import write
from tests.processes import FAKELLM, TWISTD, Process
from tests.servers import CHAT, HELLO, chunks_of


def saying(text: str) -> str:
    """A scenario file that says this, whatever is asked."""
    return json.dumps({"rules": [{"reply": text}]})


WRONG = "rules:\n  - repl: hello\n"


class ReloadTests(SynchronousTestCase):
    """The server in memory, on a clock."""

    def setUp(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        self.file = folder / "rules.yml"
        write(self.file, saying("old"))
        self.logged: list[tuple[str, str]] = []
        observer: Any = self.note
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)

    def note(self, event: LogEvent) -> None:
        if event.get("log_namespace") == "fakellm.assembly":
            self.logged.append((event["log_level"].name, formatEvent(event)))

    def serve(self, *paths: Path, **settings: Any) -> FakeLLM:
        self.reactor = MemoryReactorClock()
        scenario = [str(path) for path in paths or (self.file,)]
        llm = FakeLLM(reactor=self.reactor, scenario=scenario, listen=["tcp:80"], **settings)
        llm.startService()
        self.addCleanup(llm.stopService)
        self.client: Any = treq.testing.StubTreq(llm.resource)
        return llm

    def look(self) -> None:
        self.reactor.advance(LOOK_EVERY_SECONDS)

    def said(self) -> str:
        """What it answers now."""
        response = self.successResultOf(self.client.post(f"http://x{CHAT}", json=HELLO))
        body: Any = self.successResultOf(response.json())
        return str(body["choices"][0]["message"]["content"])

    def test_a_changed_file_is_read_again(self) -> None:
        self.serve()
        self.assertEqual(self.said(), "old")
        write(self.file, saying("new"))
        self.assertEqual(self.said(), "old")
        self.look()
        self.assertEqual(self.said(), "new")
        self.assertEqual(self.logged, [("info", "the scenario files were read again; rules: 1")])

    def test_a_wrong_file_leaves_the_rules_as_they_were_until_it_is_mended(self) -> None:
        self.serve()
        write(self.file, WRONG)
        self.look()
        self.look()
        self.assertEqual(self.said(), "old")
        *mistakes, last = self.logged
        self.assertEqual(
            last, ("error", "the scenario files are wrong: the rules stay as they were")
        )
        for level, line in mistakes:
            self.assertEqual(level, "error")
            self.assertTrue(line.startswith(f"{self.file}:2:"), line)
        write(self.file, saying("mended"))
        self.look()
        self.assertEqual(self.said(), "mended")

    def test_a_file_that_is_gone_leaves_the_rules_as_they_were_until_it_is_back(self) -> None:
        other = self.file.with_name("other.yml")
        write(other, "rules: []")
        self.serve(other, self.file)
        self.file.unlink()
        self.look()
        self.assertEqual(self.said(), "old")
        self.assertEqual(self.logged[0], ("error", f"{self.file}:1:1: there is no such file"))
        write(self.file, saying("back"))
        self.look()
        self.assertEqual(self.said(), "back")

    def test_a_file_that_is_included_or_new_in_a_folder_is_noticed(self) -> None:
        folder = self.file.with_name("folder")
        included = self.file.with_name("included.yml")
        write(included, saying("included"))
        write(folder / "b.yml", "include: ../included.yml")
        self.serve(folder)
        self.assertEqual(self.said(), "included")
        write(included, saying("included and changed"))
        self.look()
        self.assertEqual(self.said(), "included and changed")
        write(folder / "a.yml", saying("first of the folder"))
        self.look()
        self.assertEqual(self.said(), "first of the folder")

    def test_a_file_that_is_to_be_included_may_come_later(self) -> None:
        self.serve()
        late = self.file.with_name("late.yml")
        write(self.file, f"include: {late.name}")
        self.look()
        self.assertEqual(self.said(), "old")
        write(late, saying("late"))
        self.look()
        self.assertEqual(self.said(), "late")

    def test_warnings_are_told_at_the_start_and_at_each_reading(self) -> None:
        twice = json.dumps({"rules": [{"reply": "a"}, {"reply": "never"}]})
        write(self.file, twice)
        self.serve()
        [(level, warning)] = self.logged
        self.assertEqual(level, "warn")
        self.assertIn(f"{self.file}:1:", warning)
        self.assertIn(": warning: ", warning)
        write(self.file, twice + "\n")
        self.look()
        self.assertEqual(self.logged[1], (level, warning))

    def test_without_watching_a_file_is_read_again_only_when_that_is_asked_for(self) -> None:
        llm = self.serve(watch=False)
        self.assertEqual(self.reactor.getDelayedCalls(), [])
        write(self.file, saying("new"))
        self.look()
        self.assertEqual(self.said(), "old")
        self.assertTrue(llm.reload())
        self.assertEqual(self.said(), "new")
        write(self.file, WRONG)
        self.assertFalse(llm.reload())
        self.assertEqual(self.said(), "new")

    def test_what_was_read_when_asked_to_is_not_read_again_by_watching(self) -> None:
        llm = self.serve()
        write(self.file, saying("new"))
        llm.reload()
        self.look()
        self.assertEqual(len(self.logged), 1)

    def test_without_files_there_is_nothing_to_watch_and_reading_again_does_no_harm(self) -> None:
        reactor = MemoryReactorClock()
        llm = FakeLLM(reactor=reactor, listen=["tcp:80"])
        llm.startService()
        self.assertEqual(reactor.getDelayedCalls(), [])
        self.assertTrue(llm.reload())
        self.successResultOf(llm.stopService())

    def test_a_stopped_server_watches_no_more(self) -> None:
        llm = self.serve()
        self.assertNotEqual(self.reactor.getDelayedCalls(), [])
        self.successResultOf(llm.stopService())
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_rules_made_in_python_outlive_a_reading(self) -> None:
        llm = self.serve()
        llm.when(user=HELLO["messages"][0]["content"]).reply("made")
        write(self.file, saying("new"))
        self.look()
        self.assertEqual(self.said(), "made")

    def test_a_running_stream_goes_on_as_it_began(self) -> None:
        write(self.file, saying("old " * 20_000))
        self.serve()
        factory: Any = self.reactor.tcpServers[0][1]
        protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        transport: Any = StringTransportWithDisconnection()
        transport.protocol = protocol
        protocol.makeConnection(transport)
        protocol.dataReceived(request(stream=True))
        transport.producer.pauseProducing()
        write(self.file, saying("new"))
        self.look()
        self.assertEqual(self.said(), "new")
        transport.producer.resumeProducing()
        while not transport.value().endswith(b"\r\n0\r\n\r\n"):
            self.reactor.advance(0)
        chunks = chunks_of(unchunked(split(transport.value())[2])[0])
        deltas = (chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
        self.assertEqual("".join(deltas), "old " * 20_000)

    def test_a_server_is_not_made_of_wrong_files(self) -> None:
        write(self.file, WRONG)
        error = self.assertRaises(BadScenario, FakeLLM, scenario=[str(self.file)])
        self.assertTrue(str(error).startswith(f"{self.file}:2:"))


class HangupTests(SynchronousTestCase):
    """What a process does at SIGHUP; only the code of the process handles it."""

    def setUp(self) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
        self.addCleanup(signal.signal, signal.SIGHUP, before)
        self.called: list[Any] = []
        self.reactor = mock.Mock()
        self.patch(sys.modules["twisted.internet"], "reactor", self.reactor)
        self.patch(sys.modules["fakellm.tap"], "IReactorFromThreads", lambda reactor: reactor)
        self.patch(sys.modules["fakellm.tap"], "IReactorCore", lambda reactor: reactor)

    def terminal(self, *there: bool) -> None:
        """Whether there is a terminal, at each question."""
        answers = iter(there)
        self.patch(sys.modules["fakellm.tap"], "_has_terminal", lambda: next(answers))

    def hung_up(self) -> None:
        """Send the signal, and let the reactor do what it was given."""
        signal.raise_signal(signal.SIGHUP)
        [call] = self.reactor.callFromThread.mock_calls
        call.args[0]()

    def test_the_files_are_read_again_in_the_reactors_thread(self) -> None:
        self.terminal(False)
        hangup = Hangup(lambda: self.called.append("read"))
        hangup.heed()
        signal.raise_signal(signal.SIGHUP)
        self.assertEqual(self.called, [])
        self.reactor.callFromThread.mock_calls[0].args[0]()
        self.assertEqual(self.called, ["read"])

    def test_whoever_handled_it_before_does_so_again(self) -> None:
        for before in (signal.SIG_DFL, signal.SIG_IGN, lambda *_: None):
            signal.signal(signal.SIGHUP, before)
            hangup = Hangup(lambda: None)
            hangup.heed()
            self.assertNotEqual(signal.getsignal(signal.SIGHUP), before)
            self.assertEqual(hangup.leave("passed on"), "passed on")
            self.assertEqual(signal.getsignal(signal.SIGHUP), before)
            hangup.leave()

    def test_when_the_terminal_is_gone_it_stops(self) -> None:
        self.terminal(True, False)
        Hangup(lambda: self.called.append("read")).heed()
        self.hung_up()
        self.assertEqual(self.called, [])
        self.reactor.stop.assert_called_once_with()

    def test_while_the_terminal_is_there_the_files_are_read_again(self) -> None:
        self.terminal(True, True)
        Hangup(lambda: self.called.append("read")).heed()
        self.hung_up()
        self.assertEqual(self.called, ["read"])

    def test_under_nohup_it_goes_on_without_a_terminal(self) -> None:
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
        self.terminal(True, False)
        Hangup(lambda: self.called.append("read")).heed()
        self.hung_up()
        self.assertEqual(self.called, ["read"])

    def test_a_server_within_a_program_leaves_the_signal_alone(self) -> None:
        llm = FakeLLM(reactor=MemoryReactorClock(), listen=["tcp:80"])
        llm.startService()
        self.assertEqual(signal.getsignal(signal.SIGHUP), signal.SIG_DFL)
        self.successResultOf(llm.stopService())


class ProcessTests(SynchronousTestCase):
    """SIGHUP to real processes."""

    def setUp(self) -> None:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name
        self.file = Path(self.folder, "rules.yml")
        self.file.write_text('rules: [{reply: "a"}, {reply: "b"}]')

    def test_it_has_the_files_read_again_with_watching_and_without(self) -> None:
        for argv in ([*FAKELLM, "--no-watch"], [*TWISTD, "-n", "fakellm", "--no-watch"]):
            self.file.write_text('rules: [{reply: "a"}, {reply: "b"}]')
            argv += ["--port", "0", "--scenario", "rules.yml"]
            with Process(argv, cwd=self.folder) as process:
                process.line(re.compile(r" warn rules\.yml:1:\d+: warning: "))
                process.url()
                self.file.write_text("rules: [")
                process.send(signal.SIGHUP)
                process.line(re.compile(r" error rules\.yml:\d+:\d+: "))
                process.line(re.compile(r" error .*: the rules stay as they were$"))
                self.file.write_text(saying("mended"))
                process.send(signal.SIGHUP)
                process.line(re.compile(r" info the scenario files were read again; rules: 1$"))
                ended = process.stop()
            self.assertIn(ended.status, {0, -signal.SIGTERM})
            self.assertEqual(ended.err, "")

    def test_a_process_whose_terminal_is_closed_ends(self) -> None:
        """Or it would stay for ever, and keep its port."""
        terminal, its_end = pty.openpty()
        self.addCleanup(os.close, its_end)
        argv = [sys.executable, "-c", ON_TERMINAL, os.ttyname(its_end), *FAKELLM[1:]]
        with Process([*argv, "--port", "0", "--grace", "0"], cwd=self.folder) as process:
            process.url()
            os.close(terminal)
            process.line(re.compile(r" info the terminal is gone$"))
            self.assertEqual(process.wait().status, 0)


ON_TERMINAL = """
import fcntl, os, sys, termios
os.setsid()
fcntl.ioctl(os.open(sys.argv[1], os.O_RDWR), termios.TIOCSCTTY, 0)
os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""
"""Runs Python with a terminal of its own, as a shell in a window of its own would."""
