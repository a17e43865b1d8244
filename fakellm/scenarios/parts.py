"""The parts of replies, compiled: each becomes a function of the choice being put together.

Texts are compiled once; whatever cannot be filled in later is blamed on the place where it is
written.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path as FilePath
from typing import Any

import msgspec
from msgspec import UNSET

from fakellm.model.content import HostedCall, Reasoning, Refusal, SaidPart, Text, ToolCall
from fakellm.model.reply import Failure
from fakellm.scenarios import schema
from fakellm.scenarios.files import SUFFIXES
from fakellm.scenarios.lorem import lorem
from fakellm.scenarios.made import made_arguments, made_demand
from fakellm.scenarios.speaking import Speaking
from fakellm.scenarios.templates import TemplateFailed, compile_template, compile_value

LOWEST_ERROR, HIGHEST_ERROR = 400, 599

Path = tuple[str | int, ...]
Fill = Callable[[Speaking], str]
"""A text, compiled: what is said in the end."""
Part = Callable[[Speaking], Sequence[SaidPart | Failure]]
"""A part of a reply, compiled."""
Number = Callable[[Speaking], int]
_ANSWER = re.compile(r"\{\{ *answer *\}\}")
"""The template of the default reply, which says the same each time."""
ReadFile = Callable[[str], schema.Reply]
"""Gives the reply that a ``file`` part names."""


class BadReply(ValueError):
    """A reply made in Python that cannot be given; a file is checked before it comes here."""


class Texts:
    """Compiles texts, and knows where they are.

    Args:
        verbatim: texts are said as they are: what is in braces is no template.
        of_file: the file they are in, where that is one that a ``file`` part names.
        blamed: the place that is to blame for all of them, where they are in such a file.

    Attributes:
        filled: what has something to fill in, as it is written; what else may say another thing
            each time is there by the name of its part.
    """

    def __init__(
        self, *, verbatim: bool = False, of_file: str | None = None, blamed: Path = ()
    ) -> None:
        self.filled: list[str] = []
        self._verbatim = verbatim
        self._of_file = of_file
        self._blamed = blamed

    def within(self, file: str, path: Path) -> "Texts":
        """A compiler of the texts of a file that is named at a path."""
        at = path if self._of_file is None else self._blamed
        texts = Texts(verbatim=self._verbatim, of_file=file, blamed=at)
        texts.filled = self.filled
        return texts

    def text(self, text: str, path: Path) -> Fill:
        """Compile a text that stands at a path.

        Raises:
            BadTemplate: it has a mistake in it.
        """
        if self._verbatim:
            return lambda _: text
        template = compile_template(text)
        if template.constant:
            return lambda _: text
        if _ANSWER.fullmatch(text):
            return lambda speaking: speaking.surroundings.answer
        self.filled.append(text)

        def fill(speaking: Speaking) -> str:
            try:
                return template.render(speaking.names)
            except TemplateFailed as error:
                raise self.failed(error.reason, path, error.line) from None

        return fill

    def optional(self, text: str | None, path: Path) -> Fill | None:
        """Compile a text, if there is one."""
        return None if text is None else self.text(text, path)

    def value(self, value: Any, path: Path) -> Callable[[Speaking], Any]:
        """Compile a value as JSON has it, with texts in it.

        Raises:
            BadTemplate: a text in it has a mistake in it.
        """
        if self._verbatim:
            return lambda _: value
        template = compile_value(value)
        if template.constant:
            return lambda _: value
        self.filled.append(repr(value))

        def fill(speaking: Speaking) -> Any:
            try:
                return template.value(speaking.names)
            except TemplateFailed as error:
                raise self.failed(error.reason, (*path, *error.path), error.line) from None

        return fill

    def number(self, written: int | str, path: Path, check: Callable[[int], object]) -> Number:
        """Compile a whole number; ``check`` raises ValueError for one that will not do.

        Raises:
            BadReply: it will not do.
            BadTemplate: it is a template, and has a mistake in it.
        """
        if isinstance(written, int):
            try:
                check(written)
            except ValueError as error:
                raise BadReply(str(error)) from None
            return lambda _: written
        fill = self.text(written, path)

        def number(speaking: Speaking) -> int:
            number = self._whole(fill(speaking), path)
            try:
                check(number)
            except ValueError as error:
                raise self.failed(str(error), path) from None
            return number

        return number

    def failed(self, reason: str, path: Path, line: int | None = None) -> TemplateFailed:
        """What to raise where something at a path cannot be filled in."""
        if self._of_file is None:
            return TemplateFailed(reason, line, path)
        # Of a file that is one text, the line is the file's; of another, that is not known here.
        one_text = FilePath(self._of_file).suffix not in SUFFIXES
        where = f"{self._of_file}:{line}" if one_text and line is not None else self._of_file
        return TemplateFailed(f"{where}: {reason}", None, self._blamed)

    def _whole(self, text: str, path: Path) -> int:
        try:
            return int(text)
        except ValueError:
            raise self.failed(f"expected a whole number, not {text!r}", path) from None


def _error_status(status: int) -> None:
    if not LOWEST_ERROR <= status <= HIGHEST_ERROR:
        raise ValueError(f"expected a status from {LOWEST_ERROR} to {HIGHEST_ERROR}, not {status}")


def _not_negative(tokens: int) -> None:
    if tokens < 0:
        raise ValueError(f"expected at least 0 tokens, not {tokens}")


class PartCompiler:
    """Compiles parts, but those that are a file's.

    Args:
        texts: compiles what is in them.
    """

    def __init__(self, texts: Texts) -> None:
        self._texts = texts
        self._kinds: Mapping[str, Callable[[Any, Path], Part]] = {
            "text": self._text,
            "reasoning": self._reasoning,
            "tool_call": self._tool_call,
            "hosted": self._hosted,
            "refusal": self._refusal,
            "from_schema": lambda _given, _path: self._varying("from_schema", _from_schema),
            "echo": lambda _given, _path: self._varying("echo", _echo),
            "lorem": self._lorem,
            "error": self._error,
        }

    def part(self, part: str | schema.PartSpec, path: Path) -> Part:
        """One part, which stands at a path.

        Raises:
            BadReply: it is none, or more than one.
            BadTemplate: a text in it has a mistake in it.
        """
        if isinstance(part, str):
            return self._text(part, path)
        given = kinds_of(part)
        if len(given) != 1:
            raise BadReply(f"a part is one thing, and this is {' and '.join(given) or 'none'}")
        (kind,) = given
        if kind == "json":
            return self._json(part.json, (*path, kind))
        return self._kinds[kind](getattr(part, kind), (*path, kind))

    def _varying(self, name: str, part: Part) -> Part:
        self._texts.filled.append(name)
        return part

    def _text(self, written: str, path: Path) -> Part:
        fill = self._texts.text(written, path)
        return lambda speaking: (Text(text=fill(speaking)),)

    def _refusal(self, written: str, path: Path) -> Part:
        fill = self._texts.text(written, path)
        return lambda speaking: (Refusal(text=fill(speaking)),)

    def _hosted(self, written: Mapping[str, Any], path: Path) -> Part:
        wrong = wrong_hosted(written)
        if wrong is not None:
            raise BadReply(wrong)
        kind: str = written["type"]
        rest = {name: value for name, value in written.items() if name != "type"}
        fill = self._texts.value(rest, path)
        return lambda speaking: (HostedCall(kind=kind, fields=fill(speaking)),)

    def _json(self, written: Any, path: Path) -> Part:
        fill = self._texts.value(written, path)
        return lambda speaking: (Text(text=_encoded(fill(speaking))),)

    def _reasoning(self, written: str | schema.ReasoningSpec, path: Path) -> Part:
        if isinstance(written, str):
            fill, tokens = self._texts.text(written, path), 0
            return lambda speaking: (Reasoning(text=fill(speaking), tokens=tokens),)
        fill = self._texts.text(written.text, (*path, "text"))
        hidden = self._texts.number(written.tokens, (*path, "tokens"), _not_negative)
        return lambda speaking: (Reasoning(text=fill(speaking), tokens=hidden(speaking)),)

    def _tool_call(self, written: schema.ToolCallSpec, path: Path) -> Part:
        name = self._texts.text(written.name, (*path, "name"))
        call_id = self._texts.text(written.id or "", (*path, "id"))
        arguments = self._arguments(written.arguments, (*path, "arguments"))

        def call(speaking: Speaking) -> Sequence[ToolCall]:
            called = name(speaking)
            return (
                ToolCall(
                    name=called,
                    id=call_id(speaking),
                    arguments=arguments(speaking, called),
                    kind=written.kind,
                ),
            )

        return call

    def _arguments(self, written: Any, path: Path) -> Callable[[Speaking, str], str]:
        if written is UNSET:
            self._texts.filled.append("arguments")
            return _made_arguments
        if isinstance(written, str):
            # as it is: so that it can be anything but JSON
            raw = self._texts.text(written, path)
            return lambda speaking, _: raw(speaking)
        fill = self._texts.value(written, path)
        return lambda speaking, _: _encoded(fill(speaking))

    def _lorem(self, written: schema.LoremSpec, path: Path) -> Part:
        at = (*path, "tokens")
        tokens = self._texts.number(written.tokens, at, _not_negative)

        def fill(speaking: Speaking) -> Sequence[Text]:
            try:
                text = lorem(tokens(speaking), speaking.surroundings.tokenizer)
            except ValueError as error:
                raise self._texts.failed(str(error), at) from None
            return (Text(text=text),)

        return fill

    def _error(self, written: int | str | schema.ErrorSpec, path: Path) -> Part:
        if not isinstance(written, schema.ErrorSpec):
            status = self._texts.number(written, path, _error_status)
            return lambda speaking: (Failure(status=status(speaking)),)
        status = self._texts.number(written.status, (*path, "status"), _error_status)
        worded = {
            name: self._texts.text(text, (*path, name))
            for name in ("message", "type", "code", "param")
            if (text := getattr(written, name)) is not None
        }
        headers = compile_headers(self._texts, written.headers, (*path, "headers"))

        def fail(speaking: Speaking) -> Sequence[Failure]:
            words = {name: fill(speaking) for name, fill in worded.items()}
            sent = tuple((name, fill(speaking)) for name, fill in headers)
            return (Failure(status=status(speaking), headers=sent, **words),)

        return fail


def compile_headers(
    texts: Texts, headers: Mapping[str, str] | None, path: Path
) -> list[tuple[str, Fill]]:
    """Compile headers; a name that cannot go over the wire fails when it is about to."""
    return [
        (name, texts.text(text, (*path, name)) if _is_name(name) else _misnamed(texts, name, path))
        for name, text in (headers or {}).items()
    ]


def _is_name(name: str) -> bool:
    # RFC 9110, 5.6.2: a token
    return name.isascii() and name.replace("-", "").replace("_", "").replace(".", "").isalnum()


def _misnamed(texts: Texts, name: str, path: Path) -> Fill:
    def fail(_: Speaking) -> str:
        raise texts.failed(f"no header can be named {name!r}", (*path, name))

    return fail


_SAID_OTHERWISE = frozenset(
    {
        "message",
        "reasoning",
        "function_call",
        "function_call_output",
        "custom_tool_call",
        "custom_tool_call_output",
    }
)


def wrong_hosted(written: Mapping[str, Any]) -> str | None:
    """What is wrong with a hosted part, if anything is."""
    kind = written.get("type")
    if not isinstance(kind, str):
        return "a hosted part needs a `type`, as a text"
    if kind in _SAID_OTHERWISE:
        return f"a `{kind}` is not hosted: it is said by a part of another sort"
    return None


def kinds_of(part: schema.PartSpec) -> list[str]:
    """What a part is, by its keys: one of them, if it is in order."""
    return [
        name
        for name in schema.PartSpec.__struct_fields__
        if getattr(part, name) is not (UNSET if name == "json" else None)
    ]


def _encoded(value: Any) -> str:
    return msgspec.json.encode(value).decode()


def _made_arguments(speaking: Speaking, name: str) -> str:
    return made_arguments(speaking.prompt, name, speaking.surroundings.answer, speaking.made())


def _from_schema(speaking: Speaking) -> Sequence[SaidPart]:
    return made_demand(speaking.prompt, speaking.surroundings.answer, speaking.made())


def _echo(speaking: Speaking) -> Sequence[SaidPart]:
    return (Text(text=speaking.occasion.facts.user),)
