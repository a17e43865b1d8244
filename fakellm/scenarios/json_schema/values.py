"""JSON values compared and weighed as JSON Schema does: 1 is 1.0, but true is not 1.

Pure functions; nothing here may know a schema.
"""

from collections.abc import Callable, Hashable
from typing import Any

from fakellm.scenarios.json_schema.limits import MAX_NODES, MAX_TOTAL_CHARACTERS, UnusableSchema

TYPES = ("string", "number", "integer", "boolean", "null", "object", "array")
"""The values of ``type``."""


def is_number(value: Any) -> bool:
    """Whether a value is a number, which booleans are not."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return is_number(value) and (isinstance(value, int) or value.is_integer())


IS_TYPE: dict[str, Callable[[Any], bool]] = {
    "string": lambda value: isinstance(value, str),
    "number": is_number,
    "integer": _is_integer,
    "boolean": lambda value: isinstance(value, bool),
    "null": lambda value: value is None,
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "any": lambda _value: True,
}
"""Whether a value is of a type, by the type's name; ``any`` is of all."""


def identity(value: Any) -> Hashable:
    """A stand-in for a value: two are equal where the values are equal as JSON."""
    match value:
        case bool():
            return ("boolean", value)
        case dict():
            return ("object", frozenset((name, identity(child)) for name, child in value.items()))
        case list():
            return ("array", tuple(map(identity, value)))
        case _:
            return value  # type: ignore[no-any-return]  # str, int, float, None


def weigh(value: Any) -> tuple[int, int]:
    """How many values there are in a value, itself included, and how many characters in all."""
    nodes = characters = 0
    waiting = [value]
    while waiting:
        each = waiting.pop()
        nodes += 1
        match each:
            case str():
                characters += len(each)
            case list():
                waiting.extend(each)
            case dict():
                waiting.extend(each.values())
                characters += sum(map(len, each))
    return nodes, characters


def refuse_huge(value: Any) -> None:
    """Bound the whole of a made value.

    Raises:
        UnusableSchema: it has more than `MAX_NODES` values or `MAX_TOTAL_CHARACTERS` characters.
    """
    nodes, characters = weigh(value)
    if nodes > MAX_NODES:
        raise UnusableSchema("", f"the value would have more than {MAX_NODES} values in it")
    if characters > MAX_TOTAL_CHARACTERS:
        raise UnusableSchema(
            "", f"the value would have more than {MAX_TOTAL_CHARACTERS} characters"
        )
