r"""Regular expressions of JSON Schemas, read into a tree.

What is read is what Python's ``re`` and ECMA-262 have in common: literals, escapes, classes,
groups, alternation, quantifiers (lazy ones too), anchors, ``\b``, and assertions that look ahead or
behind. Whatever else is refused with a reason; nothing is ever handed to ``re`` itself, whose
matching can take for ever.
"""

import re
import string
from collections.abc import Sequence
from typing import NoReturn

from msgspec import Struct

UNBOUNDED = 1 << 40
"""The longest length and the highest count: "without end"."""

MAX_PATTERN = 2_000
"""Characters of a pattern."""

_MAX_GROUPS = 32  # groups inside one another: each costs a few frames of the stack
_MAX_COUNT = 1_000_000
_PRINTABLE = string.ascii_letters + string.digits + string.punctuation + " "
_ALPHANUMERIC = string.ascii_letters + string.digits
_BEYOND_ASCII = "éßñøłжшλקシ日本語한😀"  # for classes without a printable ASCII character
_RANGE_SAMPLE = 16
_BROAD = 80  # a class with more printable characters than this is "anything": letters and digits do
_BRACES = re.compile(r"\{([0-9]*)(,?)([0-9]*)\}")
_GROUP_NAME = re.compile(r"\?P?<[A-Za-z_][A-Za-z0-9_]*>")
_CONTROL = {"t": "\t", "n": "\n", "r": "\r", "f": "\f", "v": "\v", "0": "\0"}
_LOOKS = {"?=": (True, True), "?!": (True, False), "?<=": (False, True), "?<!": (False, False)}
_SURROGATES = range(0xD800, 0xE000)


class UnsupportedPattern(ValueError):
    """A regular expression that is malformed, or that asks for what is not supported."""


class Chars(Struct, frozen=True, kw_only=True):
    """One character of a class; ``drawn_from`` are those that are written."""

    ranges: tuple[tuple[int, int], ...] = ()
    kinds: str = ""
    negated: bool = False
    drawn_from: str = ""
    shortest: int = 1
    longest: int = 1

    def holds(self, character: str) -> bool:
        """Whether a character is of the class."""
        code = ord(character)
        found = any(low <= code <= high for low, high in self.ranges) or any(
            _is_of_kind(kind, character) for kind in self.kinds
        )
        return found is not self.negated


class Series(Struct, frozen=True, kw_only=True):
    """One item after the other."""

    items: "tuple[Node, ...]"
    shortest: int
    longest: int


class Choice(Struct, frozen=True, kw_only=True):
    """One of several."""

    options: "tuple[Node, ...]"
    shortest: int
    longest: int


class Repeat(Struct, frozen=True, kw_only=True):
    """The body from ``low`` to ``high`` times."""

    body: "Node"
    low: int
    high: int
    shortest: int
    longest: int


class Edge(Struct, frozen=True, kw_only=True):
    r"""A place between characters: ``^``, ``$``, ``\Z`` (written ``Z``), ``\b`` or ``\B``."""

    kind: str
    shortest: int = 0
    longest: int = 0


class Look(Struct, frozen=True, kw_only=True):
    """An assertion about what follows (``ahead``) or what went before."""

    body: "Node"
    ahead: bool
    wanted: bool
    shortest: int = 0
    longest: int = 0


Node = Chars | Series | Choice | Repeat | Edge | Look


def is_word(character: str) -> bool:
    r"""Whether ``\w`` matches a character."""
    return character.isalnum() or character == "_"


def _is_of_kind(kind: str, character: str) -> bool:
    match kind.lower():
        case "d":
            found = character.isdecimal()
        case "w":
            found = is_word(character)
        case _:
            found = character.isspace()
    return found is kind.islower()


def read(source: str) -> Node:
    """Read a regular expression.

    Raises:
        UnsupportedPattern: it is malformed or asks for what is not supported.
    """
    if len(source) > MAX_PATTERN:
        raise UnsupportedPattern(f"the pattern has more than {MAX_PATTERN} characters")
    return _Reader(source).whole()


class _Reader:
    def __init__(self, source: str) -> None:
        self._source = source
        self._at = 0
        self._groups = 0

    def whole(self) -> Node:
        node = self._choice()
        if self._at < len(self._source):
            self._refuse("a parenthesis that closes nothing")
        return node

    def _refuse(self, reason: str) -> NoReturn:
        raise UnsupportedPattern(f"{reason}, at character {self._at} of the pattern")

    def _next(self) -> str:
        return self._source[self._at : self._at + 1]

    def _take(self, text: str) -> bool:
        taken = self._source.startswith(text, self._at)
        self._at += len(text) * taken
        return taken

    def _choice(self) -> Node:
        options = [self._series()]
        while self._take("|"):
            options.append(self._series())
        if len(options) == 1:
            return options[0]
        return Choice(
            options=tuple(options),
            shortest=min(option.shortest for option in options),
            longest=max(option.longest for option in options),
        )

    def _series(self) -> Node:
        items: list[Node] = []
        while self._next() not in {"", "|", ")"}:
            is_group = self._next() == "("
            items.append(self._quantified(self._atom(), is_group=is_group))
        if len(items) == 1:
            return items[0]
        return Series(
            items=tuple(items),
            shortest=min(sum(item.shortest for item in items), UNBOUNDED),
            longest=min(sum(item.longest for item in items), UNBOUNDED),
        )

    def _quantified(self, body: Node, *, is_group: bool) -> Node:
        counts = self._counts()
        if counts is None:
            return body
        low, high = counts
        if isinstance(body, Edge) and not is_group:
            self._refuse("a quantifier after an anchor")
        if low > high:
            self._refuse("a quantifier whose bounds are the wrong way round")
        if _MAX_COUNT < high < UNBOUNDED or low > _MAX_COUNT:
            self._refuse(f"a quantifier above {_MAX_COUNT}")
        self._take("?")  # lazy: the same language
        if self._counts() is not None:
            self._refuse("a quantifier after a quantifier")
        return Repeat(
            body=body,
            low=low,
            high=high,
            shortest=min(body.shortest * low, UNBOUNDED),
            longest=min(body.longest * high, UNBOUNDED),
        )

    def _counts(self) -> tuple[int, int] | None:
        if self._take("*"):
            return 0, UNBOUNDED
        if self._take("+"):
            return 1, UNBOUNDED
        if self._take("?"):
            return 0, 1
        braces = _BRACES.match(self._source, self._at)
        if braces is None or braces[0] == "{}":
            return None  # a plain brace, as both standards have it
        self._at = braces.end()
        low = int(braces[1] or 0)
        if not braces[2]:
            return low, low
        return low, int(braces[3]) if braces[3] else UNBOUNDED

    def _atom(self) -> Node:
        at = self._at
        self._at += 1
        match character := self._source[at]:
            case "(":
                return self._group()
            case "[":
                return self._class()
            case "\\":
                return self._escape()
            case "^" | "$":
                return Edge(kind=character)
            case ".":
                return self._chars(((10, 10),), "", negated=True)
            case _:
                if self._quantifies(at):
                    self._refuse("a quantifier after nothing")
                return _literal(character)

    def _quantifies(self, at: int) -> bool:
        braces = _BRACES.match(self._source, at)
        return self._source[at] in "*+?" or (braces is not None and braces[0] != "{}")

    def _group(self) -> Node:
        self._groups += 1
        if self._groups > _MAX_GROUPS:
            self._refuse(f"more than {_MAX_GROUPS} groups inside one another")
        look = next((look for opening, look in _LOOKS.items() if self._take(opening)), None)
        name = _GROUP_NAME.match(self._source, self._at)
        if name is not None:
            self._at = name.end()
        elif look is None and not self._take("?:") and self._next() == "?":
            self._refuse("a group of an unsupported kind")
        body = self._choice()
        if not self._take(")"):
            self._refuse("a parenthesis that nothing closes")
        self._groups -= 1
        return body if look is None else Look(body=body, ahead=look[0], wanted=look[1])

    def _escape(self) -> Node:
        character = self._next()
        if character and character in "dDwWsS":
            self._at += 1
            return self._chars((), character)
        if character and character in "bBAZ":
            self._at += 1
            return Edge(kind="^" if character == "A" else character)
        return _literal(self._escaped())

    def _escaped(self) -> str:
        character = self._next()
        self._at += 1
        if character in {"x", "u"}:
            size = 2 if character == "x" else 4
            digits = self._source[self._at : self._at + size]
            if len(digits) < size or not all(digit in string.hexdigits for digit in digits):
                self._refuse(f"an escape \\{character} without {size} hexadecimal digits")
            self._at += size
            return chr(int(digits, 16))
        if character in _CONTROL and not (character == "0" and self._next().isdecimal()):
            return _CONTROL[character]
        if not character or character in _ALPHANUMERIC:
            what = "a backreference" if character.isdecimal() else f"an escape \\{character}"
            self._refuse(f"{what}, which is not supported")
        return character

    def _class(self) -> Node:
        negated = self._take("^")
        ranges: list[tuple[int, int]] = []
        kinds = ""
        first = True
        while first or self._next() != "]":
            first = False
            low = self._class_member()
            if self._next() == "-" and self._source[self._at + 1 : self._at + 2] not in {"]", ""}:
                self._at += 1
                high = self._class_member()
                if len(low) > 1 or len(high) > 1 or low > high:
                    self._refuse("a bad range in a class")
                ranges.append((ord(low), ord(high)))
            elif len(low) > 1:
                kinds += low[1]
            else:
                ranges.append((ord(low), ord(low)))
        self._at += 1
        return self._chars(tuple(ranges), kinds, negated=negated)

    def _class_member(self) -> str:
        r"""A character, or ``\`` and the letter of a kind of character."""
        character = self._next()
        if not character:
            self._refuse("a class that nothing closes")
        self._at += 1
        if character != "\\":
            return character
        letter = self._next()
        if letter and letter in "dDwWsS":
            self._at += 1
            return f"\\{letter}"
        if self._take("b"):
            return "\b"
        return self._escaped()

    def _chars(
        self, ranges: Sequence[tuple[int, int]], kinds: str, *, negated: bool = False
    ) -> Chars:
        chars = Chars(ranges=tuple(ranges), kinds=kinds, negated=negated)
        drawn_from = "".join(filter(chars.holds, _PRINTABLE))
        if len(drawn_from) > _BROAD:
            drawn_from = "".join(filter(chars.holds, _ALPHANUMERIC))
        if not drawn_from:
            in_ranges = (
                chr(code)
                for low, high in ranges
                for code in range(low, min(high + 1, low + _RANGE_SAMPLE))
                if code not in _SURROGATES
            )
            drawn_from = "".join(filter(chars.holds, [*_BEYOND_ASCII, "\n", *in_ranges]))
        if not drawn_from:
            self._refuse("a class without a character that can be written")
        return Chars(ranges=tuple(ranges), kinds=kinds, negated=negated, drawn_from=drawn_from)


def _literal(character: str) -> Chars:
    code = ord(character)
    if code in _SURROGATES:
        raise UnsupportedPattern("half a surrogate pair in the pattern")
    return Chars(ranges=((code, code),), drawn_from=character)
