"""Operators and the methods of texts, each refusing beforehand what would make too much.

Python's own would make a text of a thousand million characters in one step that nothing can stop.
"""

import operator
import re
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any

from jinja2.sandbox import SandboxedEnvironment, SandboxedFormatter

from fakellm.scenarios.templating.budget import budget, check_length, stepping
from fakellm.scenarios.templating.errors import TemplateFailed
from fakellm.scenarios.templating.values import MAX_WEIGHT, text_of, weigh

MAX_BITS = 10_000
"""Bits of a whole number that is multiplied: some 3,000 digits."""

_MAX_WIDTH = 999
_MAX_FORMAT = 200
_DIRECTIVE = re.compile(
    r"%(?:\((?P<key>[^()]*)\))?[#0\- +]*"
    r"(?P<width>\*|[0-9]*)(?:\.(?P<precision>\*|[0-9]*))?[hlL]?(?P<kind>.?)",
    re.DOTALL,
)
_WIDE = re.compile("[0-9]{4}")


def made(value: Any) -> Any:
    """The value, paid for if it is a list or mapping that was just made."""
    weigh(value)
    return value


def sliced(value: Any) -> Any:
    """The value, paid for as a part of another that was just copied."""
    budget().text(len(value) if isinstance(value, str) else 0)
    return value


def concatenated(values: Iterable[Any]) -> str:
    """The texts of the values, joined: what ``~`` gives."""
    return pieced(map(text_of, values))


def pieced(texts: Iterable[str], separator: str = "") -> str:
    """The texts, joined."""
    length = -len(separator)
    kept = []
    for text in texts:
        length += len(separator) + len(text)
        check_length(length)
        kept.append(text)
    budget().text(max(length, 0))
    return separator.join(kept)


def _add(left: Any, right: Any) -> Any:
    if isinstance(left, str) and isinstance(right, str):
        budget().text(len(left) + len(right))
        return left + right
    return made(left + right)


def _multiply(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() + right.bit_length())
    elif isinstance(left, int):
        _check_repeated(right, left)
    elif isinstance(right, int):
        _check_repeated(left, right)
    return left * right


def _check_repeated(value: Any, times: int) -> None:
    times = max(times, 0)
    if isinstance(value, str):
        budget().text(len(value) * times)
    elif weigh(value) * times > MAX_WEIGHT:
        raise TemplateFailed("a list with too much in it")


def _power(left: Any, right: Any) -> Any:
    if isinstance(left, int) and isinstance(right, int):
        _check_bits(left.bit_length() * right)
    return left**right


def _check_bits(bits: int) -> None:
    if bits > MAX_BITS:
        raise TemplateFailed("a number with too many digits")


def _modulo(left: Any, right: Any) -> Any:
    return percent_format(left, right) if isinstance(left, str) else left % right


OPERATORS: Mapping[str, Callable[[Any, Any], Any]] = {
    "+": _add,
    "*": _multiply,
    "**": _power,
    "%": _modulo,
}
"""The operators that could make too much."""


def percent_format(text: str, values: Any) -> str:
    """What ``text % values`` gives."""
    length = len(text)
    for directive in _DIRECTIVE.finditer(text):
        key, width, precision, kind = directive.group("key", "width", "precision", "kind")
        if kind == "(":
            raise TemplateFailed("a name in %(...) may not have brackets in it")
        length += _width(width) + _width(precision or "")
        if key is not None and isinstance(values, Mapping):
            length += len(text_of(values[key]))
    if not isinstance(values, Mapping):
        each = values if isinstance(values, tuple) else (values,)
        length += sum(len(text_of(value)) for value in each)
    budget().text(length)
    formatted: str = text % values
    return formatted


def _width(digits: str) -> int:
    if digits == "*" or len(digits.lstrip("0")) > len(str(_MAX_WIDTH)):
        raise TemplateFailed(f"a width in a format may be no more than {_MAX_WIDTH}")
    return int(digits or 0)


class _Formatter(SandboxedFormatter):
    """``str.format``, in the sandbox and within bounds."""

    def __init__(self, environment: SandboxedEnvironment) -> None:
        super().__init__(environment)
        self._length = 0

    def format_field(self, value: Any, format_spec: str) -> str:
        if len(format_spec) > _MAX_FORMAT or _WIDE.search(format_spec):
            raise TemplateFailed(f"a width in a format may be no more than {_MAX_WIDTH}")
        text = format(value, format_spec) if format_spec else text_of(value)
        self._length += len(text)
        check_length(self._length)
        return text

    def convert_field(self, value: Any, conversion: Any) -> Any:
        if conversion is not None:
            text_of(value)  # fails where the value is too large to be converted
        return super().convert_field(value, conversion)


def _format(environment: SandboxedEnvironment, text: str, *values: Any, **named: Any) -> str:
    formatted: str = _Formatter(environment).vformat(text, values, named)
    check_length(len(formatted))
    return formatted


def replaced(text: str, old: str, new: str, count: int = -1) -> str:
    """What ``text.replace(old, new, count)`` gives."""
    found = text.count(old)
    times = found if count < 0 else min(found, count)
    budget().text(len(text) + times * (len(new) - len(old)))
    return text.replace(old, new, count)


def padded(method: Callable[..., str], text: str, width: int, *fill: str) -> str:
    """What ``method``, one of ``str`` that takes a width, gives."""
    budget().text(operator.index(width))
    return method(text, width, *fill)


def _joined(separator: str, texts: Iterable[str]) -> str:
    return pieced(_texts_only(texts), separator)


def _texts_only(texts: Iterable[Any]) -> Iterable[str]:
    for text in stepping(texts):
        if not isinstance(text, str):
            raise TemplateFailed("join() takes texts; the filter `join` takes anything")
        yield text


def _split(method: Callable[..., list[str]], text: str, *args: Any, **named: Any) -> list[str]:
    check_length(len(text))
    pieces = method(text, *args, **named)
    made(pieces)
    return pieces


_BOUNDED_METHODS: Mapping[str, Callable[..., Any]] = {
    "join": _joined,
    "replace": replaced,
    **{name: partial(padded, getattr(str, name)) for name in ("center", "ljust", "rjust", "zfill")},
    **{name: partial(_split, getattr(str, name)) for name in ("split", "rsplit", "splitlines")},
}
_FREE_METHODS = frozenset(
    (
        *("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha"),
        *("isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric"),
        *("isprintable", "isspace", "istitle", "isupper", "lower", "lstrip", "partition"),
        *("removeprefix", "removesuffix", "rfind", "rindex", "rpartition", "rstrip"),
        *("startswith", "strip", "swapcase", "title", "upper"),
    )
)
TEXT_METHODS = frozenset((*_BOUNDED_METHODS, *_FREE_METHODS, "format", "format_map"))
"""The methods of texts that templates may call."""


def text_method(environment: SandboxedEnvironment, text: str, name: str) -> Callable[..., Any]:
    """The method of a text, one of `TEXT_METHODS`, kept within bounds."""
    if name in _FREE_METHODS:
        free: Callable[..., Any] = getattr(text, name)
        return free
    if name in _BOUNDED_METHODS:
        return partial(_BOUNDED_METHODS[name], text)
    if name == "format":
        return partial(_format, environment, text)
    return lambda values: _format(environment, text, **values)
