"""What exactly is wrong with a request body, from msgspec's one line about it.

Decoding straight into records is fast and says where a mistake is, but not all that a person wants
to hear. This looks again, on the way to an error only, at the body and at the declared type, and
gives facts; wording them is each dialect's.
"""

import re
from typing import Any, Literal, cast

import msgspec
from msgspec import Struct
from msgspec.inspect import (
    DictType,
    ListType,
    LiteralType,
    StructType,
    Type,
    UnionType,
    VarTupleType,
    type_info,
)

Kind = Literal[
    "not_json", "not_object", "missing", "type", "value", "minimum", "maximum", "short", "long",
    "pattern", "number",
]  # fmt: skip


class Problem(Struct, frozen=True, kw_only=True):
    """A mistake in a body.

    Attributes:
        kind: which sort; ``short`` and ``long`` are about lengths of strings and arrays.
        path: where, such as ``messages[0].role``; empty for the body itself.
        expected: the type, bound, pattern or (for ``value``) the values allowed.
        type: the JSON type expected, where a bound on it is broken.
        got: the value found, where there is one.
    """

    kind: Kind
    path: str = ""
    expected: str | tuple[str, ...] = ""
    type: str = ""
    got: Any = None


_AT = re.compile(r"(?P<what>.*?)(?: - at (?P<key>`key` in )?`\$(?P<path>.*)`)?", re.DOTALL)
_BOUND = re.compile(r"Expected `(?P<type>\w+)` (?P<op>>=|<=) (?P<bound>\S+)")
_LENGTH = re.compile(r"Expected `(?P<type>\w+)` of length (?P<op>>=|<=) (?P<bound>\d+)")
_PATTERN = re.compile(r"Expected `str` matching regex (?P<regex>'.*')", re.DOTALL)
_MISSING = re.compile(r"Object missing required field `(?P<name>.+)`", re.DOTALL)
_TYPE = re.compile(r"Expected `(?P<type>[^`]+)`(, got `\w+`)?")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]")


def decode(body: bytes, record: type[Any]) -> Any:
    """Decode a JSON body into a record.

    Args:
        body: the bytes as received.
        record: a `msgspec.Struct` type.

    Raises:
        Invalid: the body is not what the record says.
    """
    try:
        return _decoder(record).decode(body)
    except msgspec.ValidationError as error:
        raise Invalid(_problem(str(error), body, record)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid(Problem(kind="not_json")) from None


class Invalid(ValueError):
    """A body that is not what its record says; ``problem`` tells how."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def _decoder(record: type[Any]) -> msgspec.json.Decoder[Any]:
    # A pure cache: building a decoder costs far more than using it.
    if record not in _decoders:
        _decoders[record] = msgspec.json.Decoder(record)
    return _decoders[record]


def _problem(message: str, body: bytes, record: type[Any]) -> Problem:
    try:
        value = msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        # The mistake was found before the end of a body that is broken further on.
        return Problem(kind="not_json")
    if not isinstance(value, dict):
        return Problem(kind="not_object", got=value)
    found = cast("re.Match[str]", _AT.fullmatch(message))  # it matches any text
    what, path = found["what"], found["path"] or ""
    if "[...]" in path:  # inside a map, whose keys msgspec does not tell
        path = path[: path.index("[...]")]
    got = _value_at(value, path)
    where = path.lstrip(".")
    if match := _MISSING.fullmatch(what):
        return Problem(kind="missing", path=f"{where}.{match['name']}".lstrip("."))
    if match := _BOUND.fullmatch(what):
        kind: Kind = "minimum" if match["op"] == ">=" else "maximum"
        bound = match["bound"].removesuffix(".0")
        return Problem(kind=kind, path=where, expected=bound, type=match["type"], got=got)
    if match := _LENGTH.fullmatch(what):
        kind = "short" if match["op"] == ">=" else "long"
        return Problem(kind=kind, path=where, expected=match["bound"], type=match["type"], got=got)
    if match := _PATTERN.fullmatch(what):
        return Problem(kind="pattern", path=where, expected=match["regex"][1:-1], got=got)
    if what.startswith("Invalid "):
        allowed = tuple(sorted(_allowed(type_info(record), path)))
        return Problem(kind="value", path=where, expected=allowed, got=got)
    if match := _TYPE.fullmatch(what):
        return Problem(kind="type", path=where, expected=match["type"], got=got)
    return Problem(kind="number", path=where, got=got)


def _steps(path: str) -> list[str | int]:
    return [
        int(step["index"]) if step["index"] is not None else step["name"]
        for step in _STEP.finditer(path)
    ]


def _value_at(value: Any, path: str) -> Any:
    for step in _steps(path):
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return None
    return value


def _allowed(declared: Type, path: str) -> set[str]:
    """The values that the declared type allows at a path, as it reads: tags and literals."""
    current = _branches(declared)
    for step in _steps(path):
        if any(isinstance(b, StructType) and b.tag_field == step for b in current):
            return {str(b.tag) for b in current if isinstance(b, StructType)}
        current = [leaf for branch in current for leaf in _inside(branch, step)]
    return {str(v) for b in current if isinstance(b, LiteralType) for v in b.values}


def _branches(declared: Type) -> list[Type]:
    return list(declared.types) if isinstance(declared, UnionType) else [declared]


def _inside(declared: Type, step: str | int) -> list[Type]:
    match declared:
        case StructType(fields=fields):
            return [b for f in fields if f.encode_name == step for b in _branches(f.type)]
        case ListType(item_type=item) | VarTupleType(item_type=item) if isinstance(step, int):
            return _branches(item)
        case DictType(value_type=value):
            return _branches(value)
    return []
