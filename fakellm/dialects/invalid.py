"""What exactly is wrong with a request body, from msgspec's one line about it.

Decoding straight into records is fast and says where a mistake is, but not all that a person wants
to hear. This looks again, on the way to an error only, at the body and at the declared type, and
gives facts; wording them is each dialect's. It must never raise anything but `Invalid`, whatever
the bytes.
"""

import ast
import re
from typing import Any, Literal

import msgspec
from msgspec import Struct
from msgspec.inspect import ListType, LiteralType, StrType, StructType

from fakellm.dialects.places import Place, alternatives, root

Kind = Literal[
    "not_json", "not_object", "missing", "type", "value", "minimum", "maximum", "short", "long",
    "pattern", "number",
]  # fmt: skip


class Problem(Struct, frozen=True, kw_only=True):
    """A mistake in a body.

    Types go by msgspec's names: ``str``, ``int``, ``float``, ``bool``, ``null``, ``array``,
    ``object``; an array of one sort of thing is ``array of str`` or ``array of object``.

    Attributes:
        kind: which sort. ``short`` and ``long`` are about the number of characters, elements or
            fields; ``number`` is a number too large for a computer.
        path: where, such as ``messages[0].role`` or ``metadata.user``; empty for the body itself.
        key: whether the name of a field in the map at ``path`` is wrong, not a value.
        expected: what would do: types, values, or the one bound or pattern.
        type: the type of what has the wrong size.
        got: what is there instead: the type, value or size; ``None`` where that cannot be told, as
            for a name that comes twice in one object.
    """

    kind: Kind
    path: str = ""
    key: bool = False
    expected: tuple[str, ...] = ()
    type: str = ""
    got: Any = None


class Invalid(ValueError):
    """A body that is not what its record says; ``problem`` tells how."""

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self.problem = problem


def decode(body: bytes, record: type[Any]) -> Any:
    """Decode a JSON body into a record.

    Args:
        body: the bytes as received; JSON is UTF-8 without a byte order mark (RFC 8259, 8.1).
        record: a `msgspec.Struct` type, whose bounds are inclusive (``ge`` and ``le``).

    Raises:
        Invalid: the body is not what the record says.
    """
    try:
        if not body.isascii():
            body.decode()  # msgspec skips what no field is for without a look at it
        return _decoder(record).decode(body)
    except msgspec.ValidationError as error:
        raise Invalid(_problem(str(error), body, record)) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise Invalid(Problem(kind="not_json")) from None


_decoders: dict[type[Any], msgspec.json.Decoder[Any]] = {}


def _decoder(record: type[Any]) -> msgspec.json.Decoder[Any]:
    # A pure cache: building a decoder costs far more than using it.
    if record not in _decoders:
        _decoders[record] = msgspec.json.Decoder(record)
    return _decoders[record]


# Numbers that are too large become infinite, so that they do not hide what is wrong.
_anything: msgspec.json.Decoder[Any] = msgspec.json.Decoder(float_hook=float)


def _problem(message: str, body: bytes, record: type[Any]) -> Problem:
    # From the right: what is wrong may quote the body; where it is has only declared names.
    what, at, where = message.rpartition(" - at `")
    what = what if at else message
    in_key = where.startswith("key` in `")
    path, in_map, rest = where.removeprefix("key` in `")[1:-1].partition("[...]")
    try:
        value = _anything.decode(body)
    except msgspec.ValidationError:  # of no type, all that can be wrong is thousands of digits
        return Problem(kind="number", path=path.lstrip(".") if what in _NUMBERS else "")
    except (msgspec.DecodeError, RecursionError):
        # The mistake was found before the end of a body that is broken further on.
        return Problem(kind="not_json")
    if not isinstance(value, dict):
        return Problem(kind="not_object", got=_type_of(value))
    place = _walk(root(value, record), path if at else "")
    if not in_key and not in_map:
        return _told(what, place)
    key = place.key_refused_with(what)
    if key is not None and not in_key:
        return _told(what, _walk(place.step(key), rest))
    return _told(what, Place(path=place.path, value=key, declared=()), in_key=in_key)


_NUMBERS = ("Integer value out of range", "Number out of range")
_STEP = re.compile(r"\.(?P<name>[^.\[]+)|\[(?P<index>\d+)\]")


def _walk(place: Place, path: str) -> Place:
    for step in _STEP.finditer(path):
        name = step["name"]
        place = place.element(int(step["index"])) if name is None else place.step(name)
    return place


_MISSING = re.compile(r"Object missing required field `(?P<name>.+)`")
_BOUND = re.compile(r"Expected `(?P<type>\w+)` (?P<op>>=|<=) (?P<bound>\S+)")
_LENGTH = re.compile(r"Expected `(?P<type>\w+)` of length (?P<op>>=|<=) (?P<bound>\d+)")
_PATTERN = re.compile(r"Expected `str` matching regex (?P<regex>.+)")
_TYPE = re.compile(r"Expected `(?P<types>[^`]+)`(, got `(?P<got>\w+)`)?")


def _told(what: str, place: Place, *, in_key: bool = False) -> Problem:
    path, got = place.path, place.value
    if match := _MISSING.fullmatch(what):
        return Problem(kind="missing", path=f"{path}.{match['name']}".lstrip("."))
    if match := _BOUND.fullmatch(what):
        kind: Kind = "minimum" if match["op"] == ">=" else "maximum"
        bound = match["bound"].removesuffix(".0")
        number = got if isinstance(got, int | float) else None
        return Problem(kind=kind, path=path, expected=(bound,), type=match["type"], got=number)
    if match := _LENGTH.fullmatch(what):
        return Problem(
            kind="short" if match["op"] == ">=" else "long",
            path=path,
            key=in_key,
            expected=(match["bound"],),
            type=match["type"],
            got=len(got) if isinstance(got, str | list | dict) else None,
        )
    if match := _PATTERN.fullmatch(what):
        # A literal of Python's, in whose regular expressions "$" would let a line end pass.
        pattern = ast.literal_eval(match["regex"]).replace(r"\Z", "$")
        return Problem(kind="pattern", path=path, key=in_key, expected=(pattern,))
    if what.startswith("Invalid "):
        word = got if isinstance(got, str) else None
        return Problem(kind="value", path=path, expected=_literals(place), got=word)
    if match := _TYPE.fullmatch(what):
        expected = tuple(_declared(name, place) for name in match["types"].split(" | "))
        found = match["got"] or _type_of(got)
        return Problem(kind="type", path=path, expected=expected, got=found)
    return Problem(kind="number", path=path)


def _literals(place: Place) -> tuple[str, ...]:
    literals = [one for one in place.declared if isinstance(one, LiteralType)]
    return tuple(sorted(str(value) for one in literals for value in one.values))


def _declared(name: str, place: Place) -> str:
    """The name of a type, and for an array also what it is made of."""
    lists = [one for one in place.declared if isinstance(one, ListType)]
    items = {type(item) for one in lists for item in alternatives(one.item_type)}
    if name == "array" and items == {StructType}:
        return "array of object"
    if name == "array" and items in ({StrType}, {LiteralType}):
        return "array of str"
    return name


def _type_of(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "bool"
        case int():
            return "int"
        case float():
            return "float"
        case str():
            return "str"
        case list():
            return "array"
    return "object"
