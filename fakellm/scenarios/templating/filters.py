"""The filters that templates have: those of Jinja that make text or lists, kept within bounds.

Left out are Jinja's filters for HTML, and ``random``, which draws unseeded. JSON and base64 are
added.
"""

import base64
import json
import operator
from collections.abc import Callable, Mapping
from functools import wraps
from typing import Any

import msgspec
from jinja2 import pass_context, pass_environment
from jinja2.filters import FILTERS as DEFAULT_FILTERS
from jinja2.runtime import Context
from jinja2.sandbox import SandboxedEnvironment
from markupsafe import escape

from fakellm.scenarios.templating.budget import budget, check_length, stepping
from fakellm.scenarios.templating.errors import TemplateFailed
from fakellm.scenarios.templating.operations import (
    made,
    padded,
    percent_format,
    pieced,
    replaced,
)
from fakellm.scenarios.templating.values import plain, text_of

_MAX_COLUMNS = 1_000
_MAX_WRAPPED = 20_000
_MAX_DIGITS = 1_000
_MAX_PATH = 10
_NUMBERS = ("linecount", "slices")

Filter = Callable[..., Any]


def _around(inner: Filter, before: Callable[[Any], Any], after: Callable[[Any], Any]) -> Filter:
    """The filter, for a step, with something done to what goes in and to what comes out."""
    at = int(hasattr(inner, "jinja_pass_arg"))

    @wraps(inner)
    def around(*args: Any, **named: Any) -> Any:
        budget().step()
        return after(inner(*args[:at], before(args[at]), *args[at + 1 :], **named))

    return around


def _text(value: Any) -> str:
    text = text_of(value)
    check_length(len(text))
    return text


def _paid(value: Any) -> Any:
    if isinstance(value, str):
        budget().text(len(value))
    return value


def _on_text(inner: Filter) -> Filter:
    """A filter from text to text (or to a number)."""
    return _around(inner, _text, _paid)


def _on_items(inner: Filter) -> Filter:
    """A filter from items to items that come one by one."""
    return _around(inner, stepping, lambda items: items)


def _to_list(inner: Filter) -> Filter:
    """A filter from items to a list of them all."""
    return _around(inner, stepping, made)


def _with_short_path(inner: Filter) -> Filter:
    """A filter that looks at an attribute of every item at once, without a stop."""

    @wraps(inner)
    def checked(*args: Any, **named: Any) -> Any:
        for arg in (*args[2:], *named.values()):
            if isinstance(arg, str) and arg.count(".") + arg.count(",") > _MAX_PATH:
                raise TemplateFailed(f"an attribute with more than {_MAX_PATH} dots and commas")
        return inner(*args, **named)

    return checked


def _with_small_number(inner: Filter) -> Filter:
    """A filter whose first argument is a number of columns or rows."""
    at = 1 + int(hasattr(inner, "jinja_pass_arg"))

    @wraps(inner)
    def checked(*args: Any, **named: Any) -> Any:
        for number in (*args[at : at + 1], *(named.get(name, 0) for name in _NUMBERS)):
            if operator.index(number) > _MAX_COLUMNS:
                raise TemplateFailed(f"more than {_MAX_COLUMNS:,} columns")
        return inner(*args, **named)

    return checked


def _short_number(inner: Filter) -> Filter:
    """A filter that reads a number; long ones take very long."""

    def short(value: Any) -> Any:
        if isinstance(value, str) and len(value) > _MAX_DIGITS:
            raise TemplateFailed(f"a number of more than {_MAX_DIGITS:,} characters")
        return value

    return _around(inner, short, lambda number: number)


@pass_environment
def _attr(environment: SandboxedEnvironment, value: Any, name: str) -> Any:
    return environment.getattr(value, name)


@pass_context
def _join(context: Context, value: Any, d: Any = "", attribute: Any = None) -> str:
    if attribute is not None:
        named = {"attribute": attribute}
        value = context.environment.call_filter("map", value, (), named, context)
    return pieced(map(text_of, stepping(value)), text_of(d))


def _replace(text: str, old: Any, new: Any, count: int | None = None) -> str:
    return replaced(text, text_of(old), text_of(new), -1 if count is None else count)


def _center(text: str, width: int = 80) -> str:
    return padded(str.center, text, width)


def _indent(text: str, width: int | str = 4, *args: Any, **named: Any) -> str:
    columns = len(width) if isinstance(width, str) else operator.index(width)
    if columns > _MAX_COLUMNS:
        raise TemplateFailed(f"more than {_MAX_COLUMNS:,} columns")
    check_length(len(text) + (len(text.splitlines()) + 1) * columns)
    indented: str = DEFAULT_FILTERS["indent"](text, width, *args, **named)
    return indented


def _format(text: str, *values: Any, **named: Any) -> str:
    return percent_format(text, named or values)


@pass_environment
def _wordwrap(
    environment: SandboxedEnvironment,
    text: str,
    width: int = 79,
    break_long_words: bool = True,
    wrapstring: str = "\n",
    break_on_hyphens: bool = True,
) -> str:
    if len(text) > _MAX_WRAPPED or len(wrapstring) > _MAX_COLUMNS // 20:
        raise TemplateFailed(f"wordwrap takes texts of up to {_MAX_WRAPPED:,} characters")
    wrapped: str = DEFAULT_FILTERS["wordwrap"](
        environment, text, width, break_long_words, wrapstring, break_on_hyphens
    )
    return wrapped


def _round(value: Any, precision: int = 0, method: Any = "common") -> Any:
    if abs(operator.index(precision)) > _MAX_COLUMNS // 10:
        raise TemplateFailed(f"a precision of more than {_MAX_COLUMNS // 10}")
    return DEFAULT_FILTERS["round"](value, precision, method)


@pass_environment
def _sum(
    environment: SandboxedEnvironment, value: Any, attribute: Any = None, start: float = 0
) -> Any:
    if not isinstance(start, (int, float)):
        raise TemplateFailed("sum adds numbers")
    return DEFAULT_FILTERS["sum"](environment, value, attribute, start)


def _tojson(value: Any, indent: int | None = None) -> str:
    if indent is not None and not 0 <= operator.index(indent) <= _MAX_PATH:
        raise TemplateFailed(f"an indentation of more than {_MAX_PATH}")
    value = plain(value)
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False, indent=indent)
    except ValueError:
        raise TemplateFailed(
            "JSON has no infinite numbers, and none that are not numbers"
        ) from None


def _fromjson(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except RecursionError:
        raise TemplateFailed("JSON with too many levels") from None


def _b64encode(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _b64decode(text: str) -> str:
    try:
        return base64.b64decode(text, validate=True).decode()
    except ValueError:
        raise TemplateFailed("not the base64 of a text in UTF-8") from None


def _escape(text: str) -> str:
    return str(escape(text))


def _string(text: str) -> str:
    return text


def _jinja(names: str, wrap: Callable[[Filter], Filter]) -> dict[str, Filter]:
    return {name: wrap(DEFAULT_FILTERS[name]) for name in names.split()}


FILTERS: Mapping[str, Filter] = {
    **_jinja("abs count d default first items last length", lambda each: each),
    **_jinja("truncate", lambda each: _around(each, lambda text: text, _paid)),
    **_jinja("capitalize lower title trim upper wordcount", _on_text),
    **_jinja("map reject rejectattr select selectattr", _on_items),
    **_jinja("batch slice", lambda each: _on_items(_with_small_number(each))),
    **_jinja("max min unique", lambda each: _on_items(_with_short_path(each))),
    **_jinja("list", _to_list),
    **_jinja("groupby sort", lambda each: _to_list(_with_short_path(each))),
    **_jinja("dictsort reverse urlencode", lambda each: _around(each, lambda value: value, _paid)),
    **_jinja("filesizeformat float int", _short_number),
    "attr": _attr,
    "b64decode": _on_text(_b64decode),
    "b64encode": _on_text(_b64encode),
    "center": _on_text(_center),
    "e": _on_text(_escape),
    "escape": _on_text(_escape),
    "format": _on_text(_format),
    "fromjson": _on_text(_fromjson),
    "indent": _on_text(_indent),
    "join": _join,
    "replace": _on_text(_replace),
    "round": _round,
    "string": _on_text(_string),
    "sum": _on_items(_sum),
    "tojson": _around(_tojson, lambda value: value, _paid),
    "wordwrap": _on_text(_wordwrap),
}
"""The filters, by name."""
