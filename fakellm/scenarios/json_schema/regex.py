"""Regular expressions matched and written: texts that a pattern matches, of a wanted length.

Matching follows all ways at once (a set of positions, kept in the bits of an integer) instead of
backtracking, so it takes time that grows with text times pattern, whatever the pattern; what it
takes is spent from a budget. Neither half may ever use ``re``.
"""

import random
from collections.abc import Callable, Sequence
from itertools import pairwise

from fakellm.scenarios.json_schema.regex_syntax import (
    UNBOUNDED,
    Chars,
    Choice,
    Edge,
    Look,
    Node,
    Repeat,
    Series,
    is_word,
    read,
)

_NATURAL_ROOM = 8
_BITS_A_STEP = 512
_CHARACTERS_A_STEP = 8


class Regex:
    """A regular expression, read once.

    Args:
        source: the pattern; it may match anywhere in a text, as ``re.search`` has it.

    Raises:
        UnsupportedPattern: the source is malformed or asks for what is not supported.
    """

    def __init__(self, source: str) -> None:
        self._root = read(source)

    def is_in(self, text: str, spend: Callable[[int], None]) -> bool:
        """Whether the pattern matches somewhere in the text.

        Args:
            text: any text.
            spend: is told of the steps this takes, before they are taken, and may raise.
        """
        everywhere = (1 << len(text) + 1) - 1
        return _Matching(text, spend).ends(self._root, everywhere) != 0

    def write(self, chance: random.Random, low: int, high: int) -> str:
        """Write a text the pattern matches, assertions and anchors in odd places aside.

        The caller checks: only the length is promised, and only where the pattern admits one
        between ``low`` and ``high``.
        """
        root = self._root
        if low > root.longest:
            # Of a pattern without anchors a text may be longer than any match.
            gap = chance.choice(("", " "))
            parts = ["".join(chance.choices("abcdefghij", k=low - root.longest - len(gap)))]
            parts.insert(chance.randrange(2), _written(root, root.longest - root.shortest, chance))
            return gap.join(parts)
        first = max(low, root.shortest, 1)
        length = chance.randint(first, max(first, min(first + _NATURAL_ROOM, high, root.longest)))
        return _written(root, min(length, root.longest) - root.shortest, chance)

    @property
    def shortest(self) -> int:
        """The length of the shortest match, assertions aside."""
        return self._root.shortest


def _written(node: Node, room: int, chance: random.Random) -> str:
    """A text of ``node.shortest + room`` characters, or as near as the node comes."""
    match node:
        case Chars():
            return chance.choice(node.drawn_from)
        case Choice():
            length = node.shortest + room
            fitting = [option for option in node.options if option.shortest <= length]
            roomy = [option for option in fitting if option.longest >= length]
            option = chance.choice(roomy or fitting)
            return _written(option, length - option.shortest, chance)
        case Series():
            return _written_in_turn(node.items, room, chance)
        case Repeat():
            return _repeated(node, room, chance)
        case _:
            return ""


def _written_in_turn(items: Sequence[Node], room: int, chance: random.Random) -> str:
    slack = [item.longest - item.shortest for item in items]
    shares = _shared_out(room, slack, chance)
    return "".join(_written(item, share, chance) for item, share in zip(items, shares, strict=True))


def _repeated(node: Repeat, room: int, chance: random.Random) -> str:
    body = node.body
    if body.longest == 0:
        return ""
    most = min(node.high - node.low, room // max(body.shortest, 1))
    lacking = room - node.low * (body.longest - body.shortest)
    fewest = min(max(-(-lacking // body.longest), 0), most)
    more = most if body.longest == body.shortest else chance.randint(fewest, most)
    copies = node.low + more
    if body.shortest == 0:
        copies = min(copies, room)  # those without room would be empty
    return _written_in_turn([body] * copies, room - more * body.shortest, chance)


def _shared_out(room: int, slack: Sequence[int], chance: random.Random) -> list[int]:
    """Parts of ``room``, none above its slack, that use it up where they can."""
    shares = [0] * len(slack)
    order = [index for index, most in enumerate(slack) if most]
    chance.shuffle(order)
    for index in order:
        shares[index] = min(slack[index], chance.randint(0, room))
        room -= shares[index]
    for index in order:
        more = min(slack[index] - shares[index], room)
        shares[index] += more
        room -= more
    return shares


class _Matching:
    """One text being matched; bit ``i`` of a set of places is the place before character ``i``."""

    def __init__(self, text: str, spend: Callable[[int], None]) -> None:
        self._text = text
        self._spend = spend
        self._places: dict[Node, int] = {}
        self._steps = 1 + len(text) // _BITS_A_STEP

    def ends(self, node: Node, starts: int) -> int:
        """Where matches of the node end that begin at any of ``starts``."""
        self._spend(self._steps)
        if not starts:
            return 0
        match node:
            case Chars():
                return (starts & self._of_class(node)) << 1
            case Series():
                for item in node.items:
                    starts = self.ends(item, starts)
                return starts
            case Choice():
                ends = 0
                for option in node.options:
                    ends |= self.ends(option, starts)
                return ends
            case Repeat():
                return self._repeated(node, starts)
            case Edge():
                return starts & self._of_edge(node.kind)
            case _:
                return self._looking(node, starts)

    def _repeated(self, node: Repeat, starts: int) -> int:
        for _ in range(node.low):
            before = starts
            starts = self.ends(node.body, before)
            if starts == before:
                break  # empty, or nothing changes any more
        if node.high == UNBOUNDED and isinstance(node.body, Chars):
            # Along runs of the class the carry of an addition goes all the way at once.
            places = self._of_class(node.body)
            return (((starts & places) + places) ^ places) | starts
        reached = new = starts
        for _ in range(min(node.high - node.low, len(self._text) + 1)):
            new = self.ends(node.body, new) & ~reached
            if not new:
                break
            reached |= new
        return reached

    def _looking(self, node: Look, starts: int) -> int:
        ends = 0
        for place in range(len(self._text) + 1):
            here = 1 << place
            if starts & here:
                if node.ahead:
                    found = self.ends(node.body, here)
                else:
                    found = self.ends(node.body, (here << 1) - 1) & here
                ends |= here * ((found != 0) is node.wanted)
        return ends

    def _of_class(self, node: Chars) -> int:
        """The places before characters of a class."""
        places = self._places.get(node)
        if places is None:
            self._spend(len(self._text) // _CHARACTERS_A_STEP)
            places = self._places[node] = _bits([node.holds(each) for each in self._text])
        return places

    def _of_edge(self, kind: str) -> int:
        last = 1 << len(self._text)
        match kind:
            case "^":
                return 1
            case "Z":
                return last
            case "$":
                # Python lets it match before a last newline as well; ECMA-262 does not.
                return last | last >> 1 if self._text.endswith("\n") else last
            case _:
                return self._word_edges() if kind == "b" else (last * 2 - 1) & ~self._word_edges()

    def _word_edges(self) -> int:
        words = [False, *map(is_word, self._text), False]
        return _bits([before is not after for before, after in pairwise(words)])


def _bits(flags: Sequence[bool]) -> int:
    """An integer whose bit ``i`` is flag ``i``."""
    return int("".join("1" if flag else "0" for flag in reversed(flags)) or "0", 2)
