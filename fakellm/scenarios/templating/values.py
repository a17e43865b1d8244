"""Values that templates make: how heavy they are, their text, their JSON.

No walk over a value may be longer than its weight allows: lists that hold one list twice, which
holds one list twice, and so on, are small in memory and endless to print or to compare.
"""

from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import chain
from types import BuiltinFunctionType, FunctionType, MethodType
from typing import Any

from jinja2.runtime import Macro
from msgspec import Struct

from fakellm.scenarios.templating.budget import MAX_CHARACTERS, stepping
from fakellm.scenarios.templating.errors import TemplateFailed

MAX_WEIGHT = 20_000_000
"""Characters in a list or mapping that a template makes, on all levels together; an item of it
counts as `_ITEM` of them."""

MAX_NESTING = 64
"""Levels of a list or mapping that a template makes or prints."""

_ITEM = 200
_SEQUENCES = (list, tuple, set, frozenset)
_CONTAINERS = (*_SEQUENCES, dict, Mapping, Struct)
_PASSING = (Iterator, KeysView, ValuesView, ItemsView)
_FUNCTIONS = (FunctionType, BuiltinFunctionType, MethodType, Macro)


def weigh(value: Any, limit: int = MAX_WEIGHT, item: int = _ITEM) -> int:
    """Return the characters in a value, all levels together, and ``item`` for each thing in it.

    Raises:
        TemplateFailed: it weighs more than ``limit``, or goes deeper than `MAX_NESTING`.
    """
    return limit - _left(value, limit, item, MAX_NESTING)


def _left(value: Any, left: int, item: int, levels: int) -> int:
    left -= item
    if isinstance(value, (str, bytes)):
        left -= len(value)
    elif isinstance(value, int):
        left -= value.bit_length() // 3  # near enough its digits
    elif isinstance(value, _CONTAINERS):
        if not levels:
            raise TemplateFailed(f"a value with more than {MAX_NESTING} levels")
        for inner in _inner(value):
            left = _left(inner, left, item, levels - 1)
    if left < 0:
        raise TemplateFailed("a list or mapping with too much in it")
    return left


def _inner(value: Any) -> Iterable[Any]:
    if isinstance(value, Mapping):
        return chain.from_iterable(value.items())
    if isinstance(value, Struct):
        return [getattr(value, name) for name in value.__struct_fields__]
    items: Iterable[Any] = value
    return items


def text_of(value: Any) -> str:
    """The text a value is printed as.

    Raises:
        TemplateFailed: it is too long, or a function, which nobody means to print.
    """
    if isinstance(value, str):
        return str(value)
    if isinstance(value, _PASSING):
        value = list(stepping(value))
    if isinstance(value, _CONTAINERS):
        weigh(value, MAX_CHARACTERS, 1)
    elif isinstance(value, _FUNCTIONS):
        name = getattr(value, "__name__", None) or getattr(value, "name", None)
        raise TemplateFailed(f"{name!r} is a function: call it, with parentheses")
    return str(value)


def plain(value: Any) -> Any:
    """The value as JSON has it: what is no mapping, list, number or the like becomes its text.

    Raises:
        TemplateFailed: it is too large.
    """
    if isinstance(value, (*_PASSING, range)):
        value = list(stepping(value))
    if isinstance(value, _CONTAINERS):
        weigh(value, MAX_CHARACTERS, 1)
    return _plain(value)


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, (bool, int, float)):
        return value
    if isinstance(value, Mapping):
        return {text_of(key): _plain(inner) for key, inner in value.items()}
    if isinstance(value, Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, (*_SEQUENCES, *_PASSING, range)):
        return [_plain(inner) for inner in stepping(value)]
    return text_of(value)


def kind_of(value: Any) -> str:
    """What a value is, in words."""
    match value:
        case None:
            return "none"
        case bool():
            return str(value).lower()
        case int() | float():
            return "a number"
        case str():
            return "a text"
        case list() | tuple():
            return f"a list of {len(value)}"
        case Mapping():
            return "a mapping"
        case _:
            return type(value).__name__.lstrip("_")
