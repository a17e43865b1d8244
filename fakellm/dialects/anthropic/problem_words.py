"""Anthropic's words for a body that is not what its records say.

Source: the API's own answers, as they are quoted in bug reports of its clients: a path with dots,
in which the type of a block stands after its place, and the words of pydantic. A message must stay
short however long a value is.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec.inspect import StructType

from fakellm.dialects.anthropic.errors import refuse, shown
from fakellm.dialects.anthropic.request import ToolSpec
from fakellm.dialects.invalid import Problem
from fakellm.dialects.places import Place, root
from fakellm.model.reply import Refused

_NOT_JSON = "The request body is not valid JSON."
_STEP = re.compile(r"(?P<name>[^.\[\]]+)|\[(?P<index>\d+)\]")
_anything: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=float)


def problem_words(problem: Problem, body: bytes, record: type[Any]) -> Refused:
    """The API's answer to a mistake in a body that should be a record, to be raised."""
    if problem.kind == "not_json":
        return refuse(_NOT_JSON)
    if problem.kind == "not_object":
        return refuse("Input should be an object")
    place, where = _located(problem.path, body, record)
    said = _said(problem)
    if problem.kind == "value" and _is_tag(place, where[-1]):
        expected = ", ".join(f"'{value}'" for value in problem.expected)
        where.pop()
        said = (
            f"Input tag '{shown(str(problem.got))}' found using 'type' does not match any of the "
            f"expected tags: {expected}"
        )
    path = ".".join(where)
    return refuse(f"{path}: {said}" if path else said)


def _located(path: str, body: bytes, record: type[Any]) -> tuple[Place, list[str]]:
    """What the last step of a path is in, and the path as the API writes it."""
    try:
        place = root(_anything.decode(body), record)
    except msgspec.MsgspecError:  # a number of thousands of digits
        place = root(None, record)
    inner, where = place, []
    for step in _STEP.finditer(path):
        tag = _tag(place)
        if tag is not None and step["name"] != "type":
            where.append(tag)
        inner = place
        place = place.element(int(step["index"])) if step["index"] else place.step(step["name"])
        where.append(step["index"] or step["name"])
    return inner, where


def _tag(place: Place) -> str | None:
    """The type of what is there, where there are several."""
    records = [one for one in place.declared if isinstance(one, StructType)]
    kind = place.value.get("type") if isinstance(place.value, dict) else None
    if any(one.cls is ToolSpec for one in records):
        return shown(kind) if isinstance(kind, str) else "custom"
    tags = [one.tag for one in records if one.tag_field == "type"]
    return kind if len(tags) > 1 and isinstance(kind, str) and kind in tags else None


def _is_tag(place: Place, name: str) -> bool:
    return name == "type" and any(
        isinstance(one, StructType) and one.tag_field == name for one in place.declared
    )


def _said(problem: Problem) -> str:
    match problem.kind:
        case "missing":
            return "Field required"
        case "type":
            return f"Input should be {_type(problem.expected)}"
        case "value":
            return f"Input should be {_either(problem.expected)}"
        case "minimum":
            return f"Input should be greater than or equal to {problem.expected[0]}"
        case "maximum":
            return f"Input should be less than or equal to {problem.expected[0]}"
        case "pattern":
            return f"String should match pattern '{problem.expected[0]}'"
        case "short":
            return f"String should have at least {_characters(problem.expected[0])}"
        case "long":
            return f"String should have at most {_characters(problem.expected[0])}"
    return "Input should be a finite number"


_TYPES = {
    "array": "a valid list",
    "object": "a valid dictionary",
    "str": "a valid string",
    "bool": "a valid boolean",
    "int": "a valid integer",
    "float": "a valid number",
}
"""What the API calls a type; where several would do, it names the first of these."""


def _type(expected: Sequence[str]) -> str:
    names = {name.partition(" of ")[0] for name in expected}
    return next((words for name, words in _TYPES.items() if name in names), "null")


def _either(values: Sequence[str]) -> str:
    *most, last = (f"'{value}'" for value in values)
    return f"{', '.join(most)} or {last}" if most else last


def _characters(count: str) -> str:
    return f"{count} character" if count == "1" else f"{count} characters"
