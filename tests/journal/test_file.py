"""The journal on disk: lines for whoever reads, and nothing that an answer waits for."""

import errno
import json
import os
import threading
from pathlib import Path
from typing import Any
from unittest import mock

from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.logger import LogLevel, capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from fakellm import FakeLLM
from fakellm.journal import file as file_module
from fakellm.journal.file import JournalFile
from fakellm.journal.records import JournalEntry
from fakellm.journal.rendering import entry_of
from fakellm.timing.tokens import Splitter
from tests.journal.entries import ended, noted
from tests.servers import CHAT, MemoryTestCase, asking


def entry(number: int = 1) -> JournalEntry:
    return entry_of(ended(noted(number, "hello")), Splitter())


class FileCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())

    def make(self) -> JournalFile:
        file = JournalFile(str(self.path), lambda call: call())
        self.addCleanup(file.stop)
        file.start()
        return file

    def lines(self) -> list[Any]:
        return [json.loads(line) for line in self.path.read_text().splitlines() if line]


class FileTests(FileCase):
    def test_a_line_for_each_entry(self) -> None:
        file = self.make()
        for number in range(100):
            file.put(lambda number=number: entry(number))  # type: ignore[misc]
        file.stop()
        self.assertEqual([line["number"] for line in self.lines()], list(range(100)))
        self.assertEqual(file.lost, 0)

    def test_it_is_appended_to_and_for_its_owner_only(self) -> None:
        for number in (1, 2):
            file = self.make()
            file.put(lambda number=number: entry(number))  # type: ignore[misc]
            file.stop()
        self.assertEqual([line["number"] for line in self.lines()], [1, 2])
        self.assertEqual(self.path.stat().st_mode & 0o077, 0)

    def test_before_the_start_and_after_the_end_nothing_is_written(self) -> None:
        file = JournalFile(str(self.path), lambda call: call())
        file.put(entry)
        file.start()
        file.stop()
        file.stop()
        file.put(entry)
        self.assertFalse(self.path.exists())

    def test_an_entry_that_cannot_be_made_is_lost_and_said(self) -> None:
        def fail() -> JournalEntry:
            raise ZeroDivisionError

        file = self.make()
        file.put(fail)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(file.lost, 1)

    def test_where_no_file_can_be(self) -> None:
        self.path.mkdir()
        for path, why in (
            (self.path, "it is a folder"),
            (self.path / "a" / "b", f"there is no folder {self.path.absolute() / 'a'}"),
        ):
            error = self.assertRaises(ValueError, JournalFile, str(path), lambda call: call())
            self.assertEqual(str(error), f"the journal {path} cannot be written: {why}")


class TroubleTests(FileCase):
    def test_a_full_disk_is_one_warning_and_counted(self) -> None:
        with capturedLogs() as logs:
            with mock.patch.object(os, "write", side_effect=OSError(errno.ENOSPC, "it is full")):
                file = self.make()
                for _ in range(3):
                    file.put(entry)
                    self.wait_until_written(file)
            file.stop()
        warnings = [log for log in logs if log["log_level"] is LogLevel.warn]
        self.assertEqual([log.get("why") for log in warnings], ["it is full", None])
        self.assertEqual((file.lost, warnings[1]["lost"]), (3, 3))

    def wait_until_written(self, file: JournalFile) -> None:
        with file._changed:
            self.assertTrue(file._changed.wait_for(lambda: not file._waiting, 10))

    def test_after_a_torn_line_comes_a_line_break(self) -> None:
        write = os.write
        calls = iter((5, OSError(errno.ENOSPC, "full")))

        def some(number: int, data: bytes) -> int:
            call = next(calls, None)
            if isinstance(call, OSError):
                raise call
            return write(number, data if call is None else data[:call])

        with mock.patch.object(os, "write", some):
            file = self.make()
            file.put(lambda: entry(1))
            self.wait_until_written(file)
            file.put(lambda: entry(2))
            file.stop()
        torn, line = self.path.read_text().splitlines()
        self.assertEqual((torn, json.loads(line)["number"], file.lost), ('{"id"', 2, 1))

    def test_a_slow_disk_keeps_nobody_waiting(self) -> None:
        goes_on = threading.Event()
        write = os.write

        def slow(number: int, data: bytes) -> int:
            goes_on.wait(10)
            return write(number, data)

        self.patch(file_module, "WAITING_AT_MOST_BYTES", 3000)
        with mock.patch.object(os, "write", slow), capturedLogs() as logs:
            file = self.make()
            for number in range(10):
                file.put(lambda number=number: entry(number))  # type: ignore[misc]
            goes_on.set()
            file.stop()
        written = [line["number"] for line in self.lines()]
        self.assertEqual(written, list(range(len(written))))
        self.assertTrue(0 < len(written) < 10, written)
        self.assertEqual(file.lost, 10 - len(written))
        self.assertEqual(logs[0]["why"], "its disk is too slow")

    def test_a_disk_that_hangs_does_not_keep_the_server_from_ending(self) -> None:
        goes_on = threading.Event()
        self.addCleanup(goes_on.set)
        self.patch(file_module, "STOPPED_AFTER_SECONDS", 0.01)
        with mock.patch.object(os, "write", lambda _, data: goes_on.wait(10) and len(data)):
            file = self.make()
            file.put(entry)
            file.stop()

    def test_when_the_reactor_has_ended_nobody_is_told(self) -> None:
        def ended(_: object) -> None:
            raise RuntimeError

        with mock.patch.object(os, "write", side_effect=OSError(errno.ENOSPC, "it is full")):
            file = JournalFile(str(self.path), ended)
            file.start()
            file.put(entry)
            file.stop()
        self.assertEqual(file.lost, 1)


class ServerTests(MemoryTestCase):
    def test_a_server_writes_all_but_secrets(self) -> None:
        path = Path(self.mktemp())
        self.server = FakeLLM(clock=self.clock, reactor=Clock(), journal=path, journal_size=0)
        self.server._file.start()  # type: ignore[union-attr]
        self.addCleanup(self.server._file.stop)  # type: ignore[union-attr]
        self.client = StubTreq(self.server.resource)
        key = "sk-0123456789abcdefghij"
        self.request(
            "POST",
            f"{CHAT}?api_key={key}",
            json.dumps(asking()).encode(),
            headers={"Authorization": f"Bearer {key}"},
        )
        self.server._file.stop()  # type: ignore[union-attr]
        text = path.read_text()
        self.assertNotIn(key, text)
        line = json.loads(text)
        self.assertEqual((line["status"], line["delivery"]["ended"]), (200, "finished"))

    def test_a_place_that_cannot_be_is_refused_at_once(self) -> None:
        error = self.assertRaises(ValueError, FakeLLM, journal="/nonexistent/journal")
        self.assertIn("there is no folder /nonexistent", str(error))
