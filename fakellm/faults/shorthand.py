"""Faults in short, as prompts and headers say them: ``reset after 3``, ``stall 10s``, ``hang``.

Pure: text in, records out. What a fault needs beyond its words is checked by `compile_fault`.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, cast

import msgspec
import yaml

from fakellm.faults.spec import (
    FAULTS,
    After,
    AfterSpec,
    BadFault,
    CommentsFault,
    DoorFault,
    ErrorFault,
    FaultSpec,
    GapFault,
    LengthFault,
    MalformedFault,
    OversizedFault,
    PointFault,
    SplitFault,
    StallFault,
)
from fakellm.spelling import nearest

_COUNT = re.compile(r"[0-9]{1,15}")
_WHOLE = re.compile(r"[+-]?[0-9]{1,15}")
_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,15})?")
_UNITS = {"token": "tokens", "chunk": "chunks", "byte": "bytes"}
_SHOWN_AT_MOST = 60
_MOST_TEXT = 10_000
_MOST_FAULTS = 100


class _Words:
    """What is said of a fault: its value, and what follows each keyword. Each is taken once."""

    def __init__(self, name: str, words: list[str], keywords: tuple[str, ...]) -> None:
        self.name = name
        self._said: dict[str, list[str]] = {"": []}
        current = self._said[""]
        for word in words:
            if word.lower() in keywords:
                if word.lower() in self._said:
                    raise BadFault((), f"{name}: {word} is said twice")
                current = self._said[word.lower()] = []
            else:
                current.append(word)

    def text(self, *keywords: str) -> str | None:
        """The words behind the first of the keywords that was said; the value's is empty."""
        found = [each for each in keywords if self._said.get(each) or (each and each in self._said)]
        if not found:
            return None
        if len(found) > 1:
            raise BadFault((), f"{self.name}: says one thing twice")
        text = " ".join(self._said[found[0]])
        if not text:
            raise BadFault((), f"{self.name}: something must follow {found[0]}")
        return text

    def needed(self, what: str) -> str:
        """The value, which must be there."""
        text = self.text("")
        if text is None:
            raise BadFault((), f"{self.name}: say {what}, such as {_EXAMPLES[self.name]}")
        return text

    def whole(self, *keywords: str) -> int | None:
        """The whole number there."""
        text = self.text(*keywords)
        if text is None:
            return None
        if not _WHOLE.fullmatch(text):
            raise BadFault((), f"{self.name}: {_shown(text)} is no whole number")
        return int(text)

    def after(self) -> AfterSpec | None:
        """The position."""
        text = self.text("after")
        if text is None:
            return None
        if _COUNT.fullmatch(text):
            return int(text)
        amount, _, unit = text.partition(" ")
        plural = _UNITS.get(unit.lower().removesuffix("s"))
        if plural is None:
            return text
        if not _COUNT.fullmatch(amount):
            raise BadFault((), f"{self.name}: {_shown(amount)} is no number of {plural}")
        return After(**{plural: int(amount)})


def parse_fault(text: str) -> FaultSpec:
    """A fault in short: ``NAME [VALUE] [after POSITION]``.

    Raises:
        BadFault: it is no such thing.
    """
    name, *words = text.split() or [""]
    name = name.lower().replace("-", "_")
    if name not in FAULTS:
        near = nearest(name, FAULTS)
        hint = f"; did you mean {near}?" if near else f": there are {', '.join(FAULTS)}"
        raise BadFault((), f"{_shown(name)} is no fault{hint}")
    keywords, has_value, read = _FORMS[name]
    said = _Words(name, words, keywords)
    value = None if has_value else said.text("")
    if value is not None:
        raise BadFault((), f"{name}: does not know what to do with {_shown(value)}")
    return FaultSpec(**{name: read(said)})


def parse_faults(text: str) -> tuple[FaultSpec, ...]:
    """The faults of a header: in short, separated by ``;``, or records in YAML's flow style.

    Raises:
        BadFault: it is neither.
    """
    text = text.strip()
    if len(text) > _MOST_TEXT:
        raise BadFault((), f"is longer than the {_MOST_TEXT} characters there may be")
    if text.startswith(("{", "[")):
        faults = _records(text)
    else:
        faults = tuple(parse_fault(each) for each in text.split(";") if each.strip())
    if len(faults) > _MOST_FAULTS:
        raise BadFault((), f"has more than the {_MOST_FAULTS} faults there may be")
    return faults


def _records(text: str) -> tuple[FaultSpec, ...]:
    try:
        value = yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "cannot be read"
        raise BadFault((), f"is no YAML: {' '.join(str(problem).split())}") from None
    items = value if isinstance(value, list) else [value]
    faults = []
    for number, item in enumerate(items):
        path = (number,) if isinstance(value, list) else ()
        if isinstance(item, str):
            faults.append(_at(path, parse_fault, item))
        else:
            faults.append(_at(path, _record, item))
    return tuple(faults)


def _at(path: tuple[int, ...], read: Callable[[Any], FaultSpec], item: Any) -> FaultSpec:
    try:
        return read(item)
    except BadFault as error:
        raise BadFault((*path, *error.path), error.reason) from None


def _record(item: Any) -> FaultSpec:
    if isinstance(item, dict):
        fields = FaultSpec.__struct_fields__
        unknown = next((str(key) for key in item if key not in fields), None)
        if unknown is not None:
            near = nearest(unknown, fields)
            hint = f"; did you mean {near}?" if near else ""
            raise BadFault((), f"{_shown(unknown)} is no fault{hint}")
    try:
        return msgspec.convert(item, FaultSpec)
    except (msgspec.ValidationError, RecursionError) as error:
        wrong, _, where = " ".join(str(error).split()).partition(" - at `$")
        keys = tuple(key for key in where.rstrip("`").split(".") if key)
        raise BadFault(keys, wrong.replace("`", "")) from None


def _shown(text: str) -> str:
    return text if len(text) <= _SHOWN_AT_MOST else f"{text[: _SHOWN_AT_MOST - 3]}..."


def _flag(_said: _Words) -> bool:
    return True


def _status(said: _Words) -> int:
    said.needed("a status")
    return cast(int, said.whole(""))


def _error(said: _Words) -> int | ErrorFault:
    status = _status(said)
    after, wait = said.after(), said.text("retry_after")
    if after is None and wait is None:
        return status
    return ErrorFault(status=status, after=after, retry_after=wait)


def _duration(said: _Words) -> str:
    return said.needed("how long")


def _door(said: _Words) -> bool | DoorFault:
    lasts, connections = said.text("", "for"), said.whole("connections")
    if lasts is None and connections is None:
        return True
    return DoorFault(for_=1.0 if lasts is None else lasts, connections=connections)


def _stall(said: _Words) -> bool | StallFault:
    lasts, after = said.text("", "for"), said.after()
    return True if lasts is None and after is None else StallFault(after=after, for_=lasts)


def _point(said: _Words) -> bool | PointFault:
    after = said.after()
    return True if after is None else PointFault(after=after)


def _malformed(said: _Words) -> bool | MalformedFault:
    value, after = said.text(""), said.after()
    if value not in (None, "all"):
        raise BadFault((), f"malformed: does not know what to do with {_shown(value or '')}")
    return True if value is None and after is None else MalformedFault(after=after, all=bool(value))


def _split(said: _Words) -> bool | SplitFault:
    at, gap, after = said.whole("", "at"), said.text("gap"), said.after()
    if at is None and gap is None and after is None:
        return True
    return SplitFault(after=after, at=at, gap=0 if gap is None else gap)


def _gap(said: _Words) -> bool | GapFault:
    gap = said.text("", "gap")
    return True if gap is None else GapFault(gap=gap)


def _comments(said: _Words) -> bool | CommentsFault:
    text, every = said.text(""), said.text("every")
    if text is None:
        return True if every is None else CommentsFault(every=every)
    return CommentsFault(text=text, every=every)


def _line_ends(said: _Words) -> Any:
    value = said.needed("which").lower()
    if value not in ("crlf", "cr"):
        raise BadFault((), f"line_ends: must be crlf or cr, not {_shown(value)}")
    return value


def _content_type(said: _Words) -> str:
    return said.needed("which")


def _length(said: _Words) -> Any:
    value = said.needed("how wrong").lower()
    if value in ("long", "short"):
        return value
    return LengthFault(by=cast(int, said.whole("")))


def _throttle(said: _Words) -> float:
    value = said.needed("bytes a second")
    if not _NUMBER.fullmatch(value):
        raise BadFault((), f"throttle: {_shown(value)} is no number of bytes a second")
    return float(value)


def _oversized(said: _Words) -> bool | OversizedFault:
    tokens = said.whole("")
    return True if tokens is None else OversizedFault(tokens=tokens)


_EXAMPLES = {
    "error": "error 503",
    "html_error": "html_error 502",
    "delay": "delay 2s",
    "slow_head": "slow_head 2s",
    "line_ends": "line_ends crlf",
    "content_type": "content_type text/plain",
    "content_length": "content_length short",
    "throttle": "throttle 100",
}

_FLAG = ((), False, _flag)
_POINT = (("after",), False, _point)

_FORMS: Mapping[str, tuple[tuple[str, ...], bool, Callable[[_Words], Any]]] = {
    "error": (("after", "retry_after"), True, _error),
    "html_error": ((), True, _status),
    "hang": _FLAG,
    "delay": ((), True, _duration),
    "slow_head": ((), True, _duration),
    "hang_up": (("for", "connections"), True, _door),
    "refuse": (("for",), True, _door),
    "stall": (("for", "after"), True, _stall),
    "close": _POINT,
    "reset": _POINT,
    "no_finish_reason": _FLAG,
    "no_end": _FLAG,
    "missing": _POINT,
    "doubled": _POINT,
    "swapped": _POINT,
    "content_filter": _POINT,
    "malformed": (("after",), True, _malformed),
    "split": (("at", "gap", "after"), True, _split),
    "byte_by_byte": (("gap",), True, _gap),
    "split_characters": (("gap",), True, _gap),
    "line_ends": ((), True, _line_ends),
    "comments": (("every",), True, _comments),
    "no_space": _FLAG,
    "multi_line": _FLAG,
    "unknown_fields": _FLAG,
    "bom": _FLAG,
    "content_type": ((), True, _content_type),
    "content_length": ((), True, _length),
    "broken_chunks": _POINT,
    "bad_gzip": _FLAG,
    "throttle": ((), True, _throttle),
    "oversized": ((), True, _oversized),
}
"""Of each fault: its keywords, whether it has a value, and how its words are read."""
