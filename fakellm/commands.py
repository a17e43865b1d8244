"""The subcommands that serve nobody: ``check``, ``explain`` and ``schema``.

Each is a function of the words behind its name, prints to standard output, and ends with status 1
where something is wrong. They must never listen, and never write a file.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import msgspec
from twisted.internet.task import Clock
from twisted.python import usage
from zope.interface import implementer

from fakellm.config import SETTINGS
from fakellm.dialects import registry
from fakellm.engine.shelf import Shelf
from fakellm.interfaces import IDialect, IWire
from fakellm.logs import standard_output
from fakellm.model.prompt import Received
from fakellm.model.reply import Refused
from fakellm.model.timeline import Whole
from fakellm.scenarios.book import Explanation
from fakellm.scenarios.editor_schema import jsonschema_of_file
from fakellm.scenarios.load import load_paths
from fakellm.scenarios.mistakes import BadScenario
from fakellm.scenarios.rules import CompiledRule
from fakellm.scenarios.sessions import session_of
from fakellm.tap import (
    CommandOptions,
    SettingOptions,
    declare_options,
    refuse,
    refuse_scenario,
)
from fakellm.timing.tokens import tokenizer

_STDIN = "-"
_EXPLAINED_SECONDS = 3600.0
"""How far an answer is told: some faults have no end."""

_ENVELOPE = frozenset({"method", "path", "query", "headers", "body"})


class CheckOptions(CommandOptions):
    """The command line of ``check``.

    Attributes:
        paths: the files and folders to check.
    """

    synopsis = "Usage: fakellm check FILE..."
    longdesc = (
        "Tells every mistake in scenario files, and in those of folders, as"
        " file:line:column: message. The status is 1 where there is a mistake; warnings are none."
    )

    def parseArgs(self, *words: str) -> None:  # noqa: N802 -- Twisted's name
        """Take files and folders."""
        if not words or not all(words):
            raise usage.UsageError(
                "check: name scenario files, or folders of them: fakellm check FILE..."
            )
        self.paths = words


class ExplainOptions(SettingOptions):
    """The command line of ``explain``: what the answer depends on, as for the server.

    Attributes:
        request: the file of the request; ``-`` is standard input.
        path: where the request is sent to, unless it says so itself.
    """

    synopsis = "Usage: fakellm explain [options] FILE... REQUEST.json"
    longdesc = (
        "Tells which rule of the scenario files answers a request, for each rule before it the"
        " condition that failed, and the answer. The request is the body that a client sends (- is"
        " standard input), or an object with body and any of path, headers, query and method."
    )
    path = registry.ENDPOINTS[0].path

    def opt_path(self, path: str) -> None:
        """Send the request to this path, unless it names one."""
        self.path = path

    def parseArgs(self, *words: str) -> None:  # noqa: N802 -- Twisted's name
        """Take files and folders, and the request."""
        if len(words) < len(("FILE", "REQUEST.json")):
            raise usage.UsageError(
                "explain: name scenario files and a request: fakellm explain FILE... REQUEST.json"
            )
        *files, self.request = words
        self.given["scenario"] = files


_EXPLAINED_BY = {
    "model", "answer", "echo_model", "strict_requests", "strict", "prompt_commands", "tokenizer",
    "seed",
}  # fmt: skip
declare_options(ExplainOptions, (each for each in SETTINGS if each.name in _EXPLAINED_BY))


class SchemaOptions(CommandOptions):
    """The command line of ``schema``."""

    synopsis = "Usage: fakellm schema"
    longdesc = "Prints the JSON Schema of scenario files, which editors complete and check by."


def check(argv: Sequence[str]) -> None:
    """Print every mistake and every warning of files and folders, one a line.

    Raises:
        SystemExit: there is a mistake.
    """
    options = CheckOptions()
    options.parseOptions(argv)
    try:
        loaded = load_paths(options.paths)
    except BadScenario as bad:
        _print(str(bad))
        raise SystemExit(1) from None
    counts = [_count(len(loaded.files), "file"), _count(len(loaded.rules), "rule")]
    order = "in order"
    if loaded.warnings:
        order += f", with {_count(len(loaded.warnings), 'warning')}"
    _print("\n".join([*map(str, loaded.warnings), f"{', '.join(counts)}: {order}"]))


def schema(argv: Sequence[str]) -> None:
    """Print the JSON Schema of the file format."""
    SchemaOptions().parseOptions(argv)
    _print(_pretty(msgspec.json.encode(jsonschema_of_file())))


def explain(argv: Sequence[str]) -> None:
    """Print which rule answers a request, why none before it does, and the answer.

    Raises:
        SystemExit: the files or the request are wrong.
    """
    options = ExplainOptions()
    options.parseOptions(argv)
    config = msgspec.structs.replace(options.config, api_key=())  # whoever asks here is let in
    received = _received(options.request, options.path, config.max_body)
    dialect = _dialect_at(received.path)

    from fakellm import assembly  # noqa: PLC0415 -- imports the reactor

    try:
        counting = tokenizer(config.tokenizer)
        library = assembly.library_of(config, counting)
    except BadScenario as bad:
        refuse_scenario(bad)
    except ValueError as error:
        refuse(error)
    try:
        prompt = dialect.decode(received, strict=config.strict_requests, kept=Shelf())
    except Refused as refused:
        failure = refused.failure
        refuse(f"{options.request}: refused with status {failure.status}: {failure.message}")
    explained = library.book.explain(prompt, session=session_of(prompt.received, prompt.api_key))
    clock = Clock()
    engine = assembly.engine_of(
        config, library, counting, clock=clock, epoch=assembly.VIRTUAL_EPOCH
    )
    wire = _Answer()
    engine.answer(dialect, received, wire)
    while (calls := clock.getDelayedCalls()) and calls[0].getTime() <= _EXPLAINED_SECONDS:
        clock.advance(max(0.0, calls[0].getTime() - clock.seconds()))
    if calls:
        wire.write(b"(and so on: it is not at its end after an hour)")
    _print("\n".join([*_told(explained, wire.status), "", wire.text]))


def _told(explained: Explanation, status: int) -> Iterable[str]:
    for miss in explained.misses:
        yield f"not {_title(miss.rule)}: {miss}"
    who = "no rule" if explained.rule is None else _title(explained.rule)
    yield f"{who} answers, with status {status}:"


def _title(rule: CompiledRule) -> str:
    # where we are installed is nothing to anybody
    return rule.title if rule.written else rule.title.replace(rule.where, "built in")


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _pretty(document: bytes) -> str:
    return msgspec.json.format(document, indent=2).decode()


def _dialect_at(path: str) -> IDialect:
    dialect = registry.ROUTING.endpoint_at(path)
    if dialect is None:
        paths = ", ".join(endpoint.path for endpoint in registry.ENDPOINTS)
        refuse(f"no endpoint is at {path!r}, but at {paths}")
    return dialect


class _Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A request with what is around its body."""

    body: msgspec.Raw
    method: str = "POST"
    path: str | None = None
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}


def _received(name: str, path: str, max_body: int) -> Received:
    """The request in a file.

    Raises:
        SystemExit: it cannot be read, or is none.
    """
    data = _read(name, max_body)
    try:
        decoded = msgspec.json.decode(data)
        if isinstance(decoded, dict) and "body" in decoded and decoded.keys() <= _ENVELOPE:
            envelope = msgspec.json.decode(data, type=_Envelope)
        else:
            envelope = _Envelope(body=msgspec.Raw(data))
        body = bytes(envelope.body)
        if isinstance(decoded, dict) and isinstance(decoded.get("body"), str):
            body = decoded["body"].encode()
    except msgspec.ValidationError as error:
        refuse(f"{name}: this is no request: {error}")
    except RecursionError:
        refuse(f"{name}: this is nested too deeply")
    except ValueError as error:
        refuse(f"{name}: this is not JSON: {error}")
    target = urlsplit(envelope.path or path)
    return Received(
        method=envelope.method,
        path=unquote(target.path),
        query=dict(parse_qsl(target.query, keep_blank_values=True)) | dict(envelope.query),
        headers={name.lower(): value for name, value in envelope.headers.items()},
        body=body,
    )


def _read(name: str, at_most: int) -> bytes:
    try:
        if name == _STDIN:
            data = sys.stdin.buffer.read(at_most + 1)
        else:
            with Path(name).open("rb") as file:
                data = file.read(at_most + 1)
    except (OSError, ValueError) as error:
        refuse(f"{name}: cannot be read: {getattr(error, 'strerror', None) or error}")
    if len(data) > at_most:
        refuse(f"{name}: this is larger than the {at_most} bytes that a request may have")
    return data


@implementer(IWire)
class _Answer:
    """Collects an answer."""

    def __init__(self) -> None:
        self.status = 0
        self._headers: Mapping[str, str] = {}
        self._body = b""

    @property
    def text(self) -> str:
        """The answer, to be read by people."""
        if self._headers.get("content-type", "").startswith("application/json"):
            return _pretty(self._body)
        return self._body.decode(errors="backslashreplace").removesuffix("\n")

    def head(self, status: int, headers: Iterable[tuple[str, str]]) -> None:
        self.status = status
        self._headers = {name.lower(): value for name, value in headers}

    def head_bytes(self, status: int, headers: Iterable[tuple[str, str]]) -> bytes:
        self.head(status, headers)
        return b""

    def flush(self) -> None:
        """The head is not shown."""

    def write(self, data: bytes) -> None:
        self._body += data

    def raw(self, data: bytes) -> None:
        self._body += data

    def finish(self, trailers: Iterable[tuple[str, str]] = ()) -> None:
        """Nothing follows."""

    def whole(self, answer: Whole) -> None:
        self.head(answer.status, answer.headers)
        self.write(answer.body)

    def close(self) -> None:
        self._body += b"(here the connection is closed)"

    def abort(self) -> None:
        self._body += b"(here the connection breaks off)"

    def shut(self, seconds: float, *, refused: bool, connections: int | None) -> None:
        """There are no connections here."""

    def register(self, producer: object) -> None:
        """It reads everything."""

    def unregister(self) -> None:
        """It reads everything."""


def _print(text: str) -> None:
    """Print to standard output, in UTF-8 as the log is, whatever is in the text."""
    data = text.encode(errors="backslashreplace") + b"\n"
    out: Any = standard_output()
    try:
        while data:
            data = data[out.write(data) or len(data) :]
    except BrokenPipeError:
        raise SystemExit(1) from None  # as with `| head`: nobody is there to be told
    except OSError as error:
        refuse(f"cannot write to standard output: {error.strerror}")
