"""What the log looks like, what it leaves out, and what it survives."""

import io
import json
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, NoReturn
from unittest import mock

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.protocol import Factory
from twisted.logger import LogEvent, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.python.log import LogPublisher as LegacyPublisher
from twisted.python.logfile import LogFile
from twisted.trial.unittest import SynchronousTestCase

from fakellm.config import Config
from fakellm.logs import Writable, log_observer, standard_output

WHEN = 1_767_225_600.5


class LogTestCase(SynchronousTestCase):
    """Logs through an observer made of settings and reads what it wrote."""

    def log(self, out: Writable | None = None, **settings: Any) -> Logger:
        self.out = io.BytesIO()
        observer = log_observer(Config.of(**settings), self.out if out is None else out)
        self.publisher = LogPublisher(observer)
        return Logger(namespace="fakellm.test", observer=self.publisher)

    def lines(self) -> list[str]:
        text = self.out.getvalue().decode()
        self.assertTrue(not text or text.endswith("\n"))
        return text.split("\n")[:-1]

    def messages(self) -> list[str]:
        """The lines without the time."""
        return [line.partition(" ")[2] for line in self.lines()]

    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines()]


def event(log_format: str, **fields: Any) -> LogEvent:
    """An event of a known time."""
    return {
        "log_format": log_format,
        "log_level": LogLevel.info,
        "log_namespace": "fakellm.test",
        "log_time": WHEN,
        **fields,
    }


def failure(error: Exception) -> Failure:
    """A Failure with a traceback."""

    def fail() -> NoReturn:
        raise error

    try:
        fail()
    except Exception:  # noqa: BLE001 -- whichever it is
        return Failure()


class TextTests(LogTestCase):
    """``--log-format text``: time, level, message."""

    def test_a_line_is_time_level_message(self) -> None:
        self.log()
        self.publisher(event("hello {name}", name="you"))
        [line] = self.lines()
        time, _, rest = line.partition(" ")
        self.assertEqual(rest, "info hello you")
        self.assertEqual(datetime.fromisoformat(time).timestamp(), WHEN)
        self.assertIsNotNone(datetime.fromisoformat(time).tzinfo)

    def test_a_failure_is_one_line_without_its_traceback(self) -> None:
        self.log().failure("it broke:", failure=failure(ValueError("bad\nluck")))
        self.assertEqual(self.messages(), ["critical it broke: ValueError: bad\\nluck"])

    def test_a_failure_without_a_text_is_told_by_its_type(self) -> None:
        self.log().failure("it broke", failure=failure(KeyError()))
        self.assertEqual(self.messages(), ["critical it broke: KeyError"])

    def test_at_level_debug_a_failure_brings_its_traceback_indented(self) -> None:
        self.log(log_level="debug").failure("it broke", failure=failure(ValueError("bad")))
        first, *trace = self.lines()
        self.assertTrue(first.endswith("critical it broke: ValueError: bad"))
        self.assertEqual(trace[0], "\tTraceback (most recent call last):")
        self.assertTrue(all(line.startswith("\t") for line in trace))

    def test_log_err_of_the_older_interface_is_one_line_too(self) -> None:
        self.log()
        legacy = LegacyPublisher(observerPublisher=self.publisher, publishPublisher=self.publisher)
        legacy.msg(failure=failure(ValueError("bad")), why="it broke", isError=1)
        legacy.msg(failure=failure(ValueError("bad")), why=None, isError=1)
        self.assertEqual(
            self.messages(),
            ["critical it broke: ValueError: bad", "critical Unhandled Error: ValueError: bad"],
        )

    def test_an_event_without_a_text_writes_nothing(self) -> None:
        self.log().info()
        self.assertEqual(self.lines(), [])

    def test_a_message_cannot_forge_a_line(self) -> None:
        self.log().info("{text}", text="a\r\n2026 critical b\x1b[2J\x85\u2028\ud800")
        self.assertEqual(
            self.messages(),
            ["info a\\r\\n2026 critical b\\x1b[2J\\x85\\u2028\\ud800"],
        )

    @settings(deadline=None, derandomize=True, max_examples=100, database=None)
    @given(st.text(min_size=1))
    def test_any_message_is_one_line_of_UTF_8(self, text: str) -> None:
        for log_format in ("text", "json"):
            self.log(log_format=log_format).info("{text}", text=text)
            self.assertEqual(self.out.getvalue().decode().count("\n"), 1)


class JSONTests(LogTestCase):
    """``--log-format json``: one object a line."""

    def test_an_object_holds_the_message_and_the_fields(self) -> None:
        self.log(log_format="json")
        self.publisher(event("took {seconds} s", seconds=1.5, urls=("a", "b")))
        [entry] = self.objects()
        self.assertEqual(datetime.fromisoformat(entry.pop("time")).timestamp(), WHEN)
        self.assertEqual(
            entry,
            {
                "level": "info",
                "namespace": "fakellm.test",
                "message": "took 1.5 s",
                "seconds": 1.5,
                "urls": ["a", "b"],
            },
        )

    def test_fields_that_JSON_cannot_hold_are_left_out(self) -> None:
        loop: list[Any] = []
        loop.append(loop)
        self.log(log_format="json").info(
            "hi", a=object(), b=loop, c=1j, d="\ud800", e=float("nan"), f=LogLevel.info, g=1
        )
        [entry] = self.objects()
        self.assertEqual(
            {name: entry[name] for name in entry if name in "abcdefg"}, {"e": None, "g": 1}
        )

    def test_a_field_named_like_one_of_ours_gets_another_name(self) -> None:
        self.log(log_format="json")
        self.publisher(event("hi", level="high", time=1))
        [entry] = self.objects()
        self.assertEqual((entry["level"], entry["level_"], entry["time_"]), ("info", "high", 1))

    def test_records_are_written_out(self) -> None:
        class Place(msgspec.Struct):
            host: str
            port: int

        self.log(log_format="json").info("hi", place=Place("::1", 80))
        self.assertEqual(self.objects()[0]["place"], {"host": "::1", "port": 80})

    def test_a_failure_is_a_member_of_its_own(self) -> None:
        self.log(log_format="json").failure("it broke", failure=failure(ValueError("bad\nluck")))
        [entry] = self.objects()
        self.assertEqual(entry["message"], "it broke")
        self.assertEqual(entry["failure"], {"type": "ValueError", "message": "bad\nluck"})

    def test_at_level_debug_it_has_the_traceback(self) -> None:
        self.log(log_format="json", log_level="debug").failure("", failure=failure(ValueError("x")))
        [entry] = self.objects()
        self.assertIn("Traceback (most recent call last):\n", entry["failure"]["traceback"])

    def test_events_of_the_older_interface_keep_their_own_fields_only(self) -> None:
        self.log(log_format="json", log_level="debug")
        legacy = LegacyPublisher(observerPublisher=self.publisher, publishPublisher=self.publisher)
        legacy.msg("hello", x=1)
        [entry] = self.objects()
        del entry["time"]
        self.assertEqual(
            entry, {"level": "info", "namespace": "log_legacy", "message": "hello", "x": 1}
        )

    def test_an_event_without_a_text_writes_nothing(self) -> None:
        self.log(log_format="json").info()
        self.assertEqual(self.lines(), [])


class LevelTests(LogTestCase):
    """``--log-level``: that level and what is worse."""

    def test_each_level_shows_itself_and_what_is_worse(self) -> None:
        levels = ["debug", "info", "warn", "error", "critical"]
        for number, level in enumerate(levels):
            log = self.log(log_level=level)
            for each in levels:
                log.emit(LogLevel.levelWithName(each), "hi")
            self.assertEqual(self.messages(), [f"{each} hi" for each in levels[number:]])

    def test_what_Twisted_says_of_itself_is_shown_at_level_debug_only(self) -> None:
        chatter = ("twisted.internet.tcp.Port", "log_legacy", "twisted.scripts._twistd_unix")
        for level, expected in (("info", []), ("debug", ["info Starting factory"] * 3)):
            self.log(log_level=level)
            for namespace in chatter:
                Logger(namespace=namespace, observer=self.publisher).info("Starting factory")
            self.assertEqual(self.messages(), expected)

    def test_what_Twisted_says_of_our_factory_is_shown_at_level_debug_only(self) -> None:
        """It says so in the namespace of the factory's class."""

        class OurFactory(Factory):
            def __repr__(self) -> str:
                return "us"

        for level, expected in (("info", []), ("debug", ["info Starting factory us"])):
            self.log(log_level=level)
            with mock.patch("twisted.internet.protocol._loggerFor") as logger_for:
                logger_for.return_value = Logger(
                    namespace="fakellm.test.OurFactory", observer=self.publisher
                )
                OurFactory().doStart()
            self.assertEqual(self.messages(), expected)

    def test_what_Twisted_warns_of_is_shown(self) -> None:
        self.log()
        Logger(namespace="twisted.web", observer=self.publisher).warn("careful")
        self.assertEqual(self.messages(), ["warn careful"])


class SecretTests(LogTestCase):
    """API keys are in no line."""

    def test_keys_are_masked_wherever_they_are(self) -> None:
        keys = ("sk-one", "sk-one-two", 'q"uo\\te')
        for log_format in ("text", "json"):
            log = self.log(log_format=log_format, log_level="debug", api_key=keys)
            log.info(
                "{header} {other}",
                header="Bearer sk-one-two",
                other=keys[2],
                fields={"sk-one": ["sk-one", 1, None]},
                config=Config(api_key=keys),
            )
            log.failure("oh {key}", key="sk-one", failure=failure(ValueError("sk-one")))
            text = self.out.getvalue().decode()
            self.assertIn("Bearer ***", text)
            for key in ("sk-", "-two", "uo"):
                self.assertNotIn(key, text)

    def test_without_keys_nothing_is_masked(self) -> None:
        self.log().info("hello")
        self.assertEqual(self.messages(), ["info hello"])


class Broken:
    """Fails, or takes a few bytes at a time."""

    def __init__(self, *outcomes: int | Exception | None) -> None:
        self.outcomes = list(outcomes)
        self.data = b""

    def write(self, data: bytes) -> int | None:
        outcome = self.outcomes.pop(0) if self.outcomes else len(data)
        if isinstance(outcome, Exception):
            raise outcome
        self.data += data[:outcome] if outcome else b""
        return outcome


class WritingTests(LogTestCase):
    """Where lines go, and that the server outlives it."""

    def test_nothing_that_is_wrong_with_the_output_gets_out(self) -> None:
        for error in (BrokenPipeError(), OSError(28, "disk full"), ValueError("closed file")):
            out = Broken(error)
            log = self.log(out)
            log.info("one")
            log.info("two")
            self.assertTrue(out.data.endswith(b"info two\n"))
            self.assertNotIn(b"one", out.data)
            self.assertNotIn(b"Temporarily disabling observer", out.data)

    def test_a_line_is_written_in_as_many_parts_as_it_takes(self) -> None:
        out = Broken(3, 5)
        self.log(out).info("hello")
        self.assertTrue(out.data.endswith(b"info hello\n"))

    def test_an_output_that_would_block_loses_the_line_only(self) -> None:
        out = Broken(None)
        log = self.log(out)
        log.info("one")
        log.info("two")
        self.assertEqual(out.data.count(b"\n"), 1)

    def test_a_full_disk(self) -> None:
        if not Path("/dev/full").exists():
            self.skipTest("this system has no /dev/full")
        with io.FileIO("/dev/full", "w") as out:
            self.log(out).info("hello")

    def test_a_closed_pipe(self) -> None:
        reading, writing = os.pipe()
        os.close(reading)
        with io.FileIO(writing, "w") as out:
            self.log(out).info("hello")

    def test_standard_output_is_written_without_a_buffer(self) -> None:
        reading, writing = os.pipe()
        with io.FileIO(reading) as read, io.FileIO(writing, "w") as stdout:
            self.patch(sys, "stdout", io.TextIOWrapper(io.BufferedWriter(stdout), "ascii"))
            self.log(standard_output()).info("h\u00e9llo")
            self.assertTrue(read.read(1000).decode().endswith(" info h\u00e9llo\n"))

    def test_standard_output_may_be_no_file(self) -> None:
        out = io.StringIO()
        self.patch(sys, "stdout", out)
        self.log(standard_output()).info("hello")
        self.assertTrue(out.getvalue().endswith(" info hello\n"))

    def test_there_may_be_no_standard_output(self) -> None:
        self.patch(sys, "stdout", None)
        self.log(standard_output()).info("hello")

    def test_a_rotating_log_file(self) -> None:
        path = self.mktemp()
        log_file: LogFile = LogFile.fromFullPath(path)
        self.addCleanup(log_file.close)
        log = self.log(log_file)
        log.info("one")
        log_file.rotate()
        log.info("two")
        self.assertTrue(Path(f"{path}.1").read_text().endswith("info one\n"))
        self.assertTrue(Path(path).read_text().endswith("info two\n"))
