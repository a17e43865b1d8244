"""Turns Twisted's log events into lines, for people (text) or for programs (JSON).

Use `log_observer` to make the one observer of a process. An observer made here must never raise
because of where it writes (a closed pipe, a full disk), must never write an API key, and writes
exactly one line for each event, except that a failure brings its traceback at level debug.
"""

import io
import re
import sys
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from typing import Any, Protocol, TextIO

import msgspec
from twisted.logger import (
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    LogLevel,
    LogLevelFilterPredicate,
    PredicateResult,
    formatEvent,
)
from twisted.python.failure import Failure
from zope.interface import implementer

from fakellm.config import Config

# What Twisted says of itself at level info, such as "(TCP Port 3500 Closed)".
_CHATTER = ("twisted", "log_legacy", "klein")
# What it says of a factory, in the namespace of the factory's class.
_FACTORY_CHATTER = frozenset({"Starting factory {factory!r}", "Stopping factory {factory!r}"})
# The keys of an event of the older twisted.python.log; they repeat what the log_ keys say.
_LEGACY_KEYS = frozenset({"message", "time", "system", "isError", "failure", "why", "format"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_MASK = "***"

Render = Callable[[LogEvent], str]


class Writable(Protocol):
    """Where lines go: a raw file, or `twisted.python.logfile.LogFile`."""

    def write(self, data: bytes, /) -> object:
        """Take bytes."""
        ...


def standard_output() -> Writable:
    """Return the process's standard output as a file without a buffer.

    Without a buffer nothing is left over that Python would fail to write at exit when the reader
    is gone. Where there is no standard output at all, lines are dropped.
    """
    try:
        descriptor = sys.stdout.fileno()
    except (AttributeError, OSError, ValueError):
        return io.BytesIO() if sys.stdout is None else _Encoding(sys.stdout)
    return io.FileIO(descriptor, "w", closefd=False)


class _Encoding:
    """Gives a text stream that is no file (a test's, an interactive shell's) a write for bytes."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> None:
        self._stream.write(data.decode())


def log_observer(config: Config, out: Writable) -> ILogObserver:
    """Make the observer that the settings ask for.

    Args:
        config: log_level, log_format and the API keys, which are masked wherever they show up.
        out: takes one whole line at a time, as UTF-8.
    """
    verbose = config.log_level == "debug"
    mask = _Mask(config.api_key)
    render: Render = (
        JSONLines(mask=mask, tracebacks=verbose)
        if config.log_format == "json"
        else TextLines(mask=mask, tracebacks=verbose)
    )
    level = LogLevel.levelWithName(config.log_level)
    by_level = LogLevelFilterPredicate(defaultLogLevel=level)
    if level is LogLevel.info:
        for namespace in _CHATTER:
            by_level.setLogLevelForNamespace(namespace, LogLevel.warn)
    predicates = [by_level] if verbose else [by_level, _no_factory_chatter]
    return FilteringLogObserver(LineWriter(out, render), predicates)


@implementer(ILogFilterPredicate)
def _no_factory_chatter(event: LogEvent) -> Any:
    return (
        PredicateResult.no if event.get("log_format") in _FACTORY_CHATTER else PredicateResult.maybe
    )


@implementer(ILogObserver)
class LineWriter:
    """Writes each event as one line and shrugs when it cannot."""

    def __init__(self, out: Writable, render: Render) -> None:
        self._out = out
        self._render = render

    def __call__(self, event: LogEvent) -> None:
        """Write one event."""
        line = self._render(event)
        if not line:
            return
        data = line.encode() + b"\n"
        try:
            while data:
                written = self._out.write(data)
                # A raw file may take a part only, and None is its word for "not now".
                data = data[written:] if isinstance(written, int) and written else b""
        except (OSError, ValueError):
            # Nobody reads, the disk is full, the file is closed: the server is not the log's.
            return


class _Mask:
    """Replaces every secret in a text, the longest first, as one may contain another."""

    def __init__(self, secrets: Iterable[str]) -> None:
        longest_first = sorted(secrets, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(re.escape, longest_first)) or r"(?!)")

    def text(self, text: str) -> str:
        return self._pattern.sub(_MASK, text)

    def value(self, value: Any) -> Any:
        """Mask within what JSON decodes to."""
        match value:
            case str():
                return self.text(value)
            case list():
                return [self.value(each) for each in value]
            case dict():
                return {self.text(key): self.value(each) for key, each in value.items()}
            case _:
                return value


def _escaped(text: str) -> str:
    """Keep a text on its line: line ends and control characters become backslash escapes."""
    return _CONTROL.sub(lambda match: repr(match[0])[1:-1], text)


def _failure(event: LogEvent) -> Failure | None:
    # An event of log.err() has its Failure as "failure" and the traceback in its text.
    failure = event.get("log_failure", event.get("failure"))
    return failure if isinstance(failure, Failure) else None


def _message(event: LogEvent, failure: Failure | None) -> str:
    if failure is not None and "log_failure" not in event:
        return str(event.get("why") or "Unhandled Error")
    return formatEvent(event)


def _reason(failure: Failure) -> str:
    kind = failure.type.__name__ if failure.type is not None else "Failure"
    text = failure.getErrorMessage()
    return f"{kind}: {text}" if text else kind


def _time(event: LogEvent) -> str:
    when = datetime.fromtimestamp(event.get("log_time", 0.0), UTC).astimezone()
    return when.isoformat(timespec="milliseconds")


def _level(event: LogEvent) -> str:
    return str(event["log_level"].name)


class TextLines(msgspec.Struct, frozen=True, kw_only=True):
    """Renders an event as ``TIME LEVEL MESSAGE``; a failure adds ``: TYPE: TEXT``."""

    mask: _Mask
    tracebacks: bool

    def __call__(self, event: LogEvent) -> str:
        """Render one event; an event without a text gives no line."""
        failure = _failure(event)
        message = _message(event, failure)
        if failure is not None:
            message = f"{message.rstrip().rstrip(':')}: {_reason(failure)}"
        if not message:
            return ""
        line = f"{_time(event)} {_level(event)} {_escaped(self.mask.text(message))}"
        if failure is not None and self.tracebacks:
            trace = self.mask.text(failure.getTraceback()).rstrip().splitlines()
            line = "\n\t".join([line, *map(_escaped, trace)])
        return line


class JSONLines(msgspec.Struct, frozen=True, kw_only=True):
    """Renders an event as one JSON object.

    Its members are ``time`` (ISO 8601), ``level``, ``namespace``, ``message``; for a failure
    ``failure`` (``type``, ``message`` and, at level debug, ``traceback``); and the event's own
    fields that JSON can hold. An own field of one of those names gets a ``_`` at its end.
    """

    mask: _Mask
    tracebacks: bool

    def __call__(self, event: LogEvent) -> str:
        """Render one event; an event without a text and without a failure gives no line."""
        failure = _failure(event)
        message = _message(event, failure)
        if not message and failure is None:
            return ""
        line: dict[str, Any] = {
            "time": _time(event),
            "level": _level(event),
            "namespace": str(event.get("log_namespace", "")),
            "message": self._text(message),
        }
        if failure is not None:
            line["failure"] = {
                "type": failure.type.__name__ if failure.type is not None else "Failure",
                "message": self._text(failure.getErrorMessage()),
            }
            if self.tracebacks:
                line["failure"]["traceback"] = self._text(failure.getTraceback())
        for name, value in self._fields(event):
            line[f"{name}_" if name in line else name] = value
        return msgspec.json.encode(line).decode()

    def _text(self, text: str) -> str:
        return self.mask.text(text).encode(errors="backslashreplace").decode()

    def _fields(self, event: LogEvent) -> Iterable[tuple[str, Any]]:
        legacy = event.get("log_namespace") == "log_legacy"
        for name, value in event.items():
            if name.startswith("log_") or (legacy and name in _LEGACY_KEYS):
                continue
            try:
                plain = msgspec.json.decode(msgspec.json.encode(value))
            except (TypeError, ValueError, OverflowError, RecursionError):
                continue
            yield name, self.mask.value(plain)
