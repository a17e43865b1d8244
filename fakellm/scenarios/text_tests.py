"""Tests of a text and of a number, compiled.

Use `compile_text` and `compile_number` to turn what a scenario says into a check that is quick to
apply and can say in words what it asks for. A check must never raise, and never run for long:

Regular expressions are those of the package `regex`, searched for anywhere in the text. One
search may take `TIMEOUT` seconds of processor time (somewhat more in texts of megabytes); one that
takes longer counts as not found, with a warning, and a pattern that has taken too long `STRIKES`
times is cut off: it is found no more until the scenario is read again, and an error is logged. So
even a file full of catastrophic patterns holds the server up for a bounded time in all. Patterns
whose counted repeats would make them huge when compiled are refused.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import regex
from msgspec import Struct
from twisted.logger import Logger

from fakellm.scenarios.schema import NumberRule, TextRule

TIMEOUT = 0.1
"""Seconds of processor time that one search may take."""
STRIKES = 3
"""How many times a pattern may take too long."""
MAX_UNROLLED = 100_000
"""How many pieces a pattern may have when its counted repeats are written out."""

Path = tuple[str | int, ...]
"""Keys that lead to a place in a rule, such as ``("when", "user", "matches")``."""
Groups = Mapping[Any, str]
"""What regular expressions found: the named groups, and at key 0 all that the first one matched.

A group that took no part is empty. Of groups of one name, the first in the order of the file wins.
"""
NOTHING: Groups = {}
"""The groups of a check that holds without a regular expression."""

_SHOWN = 60
_log = Logger()


class BadRule(ValueError):
    """A rule that says something impossible; `path` leads to it and `reason` is for people."""

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{'.'.join(map(str, path))}: {reason}")
        self.path = path
        self.reason = reason


class TextCheck(Struct, frozen=True, kw_only=True):
    """A compiled test of a text.

    ``match`` gives the groups where the text passes, else ``None``; no text at all (``None``)
    passes only a ``not``. ``words`` say what is asked for, such as ``contains 'hello'``. ``slow``
    says that there is a regular expression in it.
    """

    match: Callable[[str | None], Groups | None]
    words: str
    slow: bool = False

    def test(self, text: str | None) -> bool:
        """Whether the text passes."""
        return self.match(text) is not None


class NumberCheck(Struct, frozen=True, kw_only=True):
    """A compiled test of a number; ``words`` say what is asked for, such as ``at least 2``."""

    test: Callable[[int], bool]
    words: str


def shortened(text: str) -> str:
    """The text, or, of a long one, its beginning."""
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def quoted(text: str | None) -> str:
    """The text for people: short, on one line and in quotes; ``nothing`` where there is none."""
    return "nothing" if text is None else repr(shortened(text))


def compile_text(rule: TextRule, path: Path = ()) -> TextCheck:
    """Compile a test of a text.

    Args:
        rule: the test.
        path: where it stands in its rule.

    Raises:
        BadRule: it has a regular expression that is none, or an empty ``any`` or ``all``.
    """
    if isinstance(rule, str):
        return _equals(rule)
    checks = [
        make(wanted)
        for wanted, make in (
            (rule.equals, _equals),
            (rule.contains, _contains),
            (rule.starts_with, _starts_with),
            (rule.ends_with, _ends_with),
            (rule.like, _like),
        )
        if wanted is not None
    ]
    if rule.matches is not None:
        checks.append(_matches(rule.matches, (*path, "matches")))
    if rule.any is not None:
        checks.append(_any(_each(rule.any, (*path, "any"))))
    if rule.all is not None:
        checks.append(_all(_each(rule.all, (*path, "all"))))
    if rule.not_ is not None:
        checks.append(_not(compile_text(rule.not_, (*path, "not"))))
    match checks:
        case []:
            return _is_there()
        case [check]:
            return check
    return _all(checks)


def _each(rules: Sequence[TextRule], path: Path) -> list[TextCheck]:
    if not rules:
        raise BadRule(path, "give at least one test")
    return [compile_text(rule, (*path, index)) for index, rule in enumerate(rules)]


def _is_there() -> TextCheck:
    return TextCheck(match=lambda text: None if text is None else NOTHING, words="is there")


def _equals(wanted: str) -> TextCheck:
    def match(text: str | None) -> Groups | None:
        return NOTHING if text == wanted else None

    return TextCheck(match=match, words=f"is {quoted(wanted)}")


def _contains(wanted: str) -> TextCheck:
    def match(text: str | None) -> Groups | None:
        return NOTHING if text is not None and wanted in text else None

    return TextCheck(match=match, words=f"contains {quoted(wanted)}")


def _starts_with(wanted: str) -> TextCheck:
    def match(text: str | None) -> Groups | None:
        return NOTHING if text is not None and text.startswith(wanted) else None

    return TextCheck(match=match, words=f"starts with {quoted(wanted)}")


def _ends_with(wanted: str) -> TextCheck:
    def match(text: str | None) -> Groups | None:
        return NOTHING if text is not None and text.endswith(wanted) else None

    return TextCheck(match=match, words=f"ends with {quoted(wanted)}")


def _folded(text: str) -> str:
    return " ".join(text.split()).casefold()


def _like(wanted: str) -> TextCheck:
    folded = _folded(wanted)

    def match(text: str | None) -> Groups | None:
        return NOTHING if text is not None and _folded(text) == folded else None

    return TextCheck(match=match, words=f"is like {quoted(wanted)}")


def _matches(pattern: str, path: Path) -> TextCheck:
    return TextCheck(
        match=_Pattern(pattern, path).match, words=f"matches {quoted(pattern)}", slow=True
    )


def _all(checks: Sequence[TextCheck]) -> TextCheck:
    # Regular expressions go last, and keep their order, so that the first one's groups win.
    matches = [check.match for check in sorted(checks, key=lambda check: check.slow)]

    def match(text: str | None) -> Groups | None:
        groups = NOTHING
        for each in matches:
            found = each(text)
            if found is None:
                return None
            if found:
                groups = {**found, **groups}
        return groups

    words = " and ".join(check.words for check in checks)
    return TextCheck(match=match, words=words, slow=any(check.slow for check in checks))


def _any(checks: Sequence[TextCheck]) -> TextCheck:
    matches = [check.match for check in checks]

    def match(text: str | None) -> Groups | None:
        for each in matches:
            found = each(text)
            if found is not None:
                return found
        return None

    words = "any of (" + ", ".join(check.words for check in checks) + ")"
    return TextCheck(match=match, words=words, slow=any(check.slow for check in checks))


def _not(check: TextCheck) -> TextCheck:
    denied = check.match

    def match(text: str | None) -> Groups | None:
        return NOTHING if denied(text) is None else None

    return TextCheck(match=match, words=f"not ({check.words})", slow=check.slow)


def compile_number(rule: NumberRule, path: Path = ()) -> NumberCheck:
    """Compile a test of a whole number.

    Args:
        rule: the test.
        path: where it stands in its rule.

    Raises:
        BadRule: it asks for nothing, or has an empty ``any``.
    """
    if isinstance(rule, int):
        return NumberCheck(test=rule.__eq__, words=f"is {rule}")
    checks = []
    if rule.at_least is not None:
        checks.append(NumberCheck(test=rule.at_least.__le__, words=f"at least {rule.at_least}"))
    if rule.at_most is not None:
        checks.append(NumberCheck(test=rule.at_most.__ge__, words=f"at most {rule.at_most}"))
    if rule.any is not None:
        if not rule.any:
            raise BadRule((*path, "any"), "give at least one number")
        words = "any of " + ", ".join(map(str, rule.any))
        checks.append(NumberCheck(test=frozenset(rule.any).__contains__, words=words))
    if rule.not_ is not None:
        denied = compile_number(rule.not_, (*path, "not"))
        checks.append(
            NumberCheck(test=lambda number: not denied.test(number), words=f"not ({denied.words})")
        )
    if not checks:
        raise BadRule(path, "give at least one test, such as at_least: 2")
    if len(checks) == 1:
        return checks[0]
    return NumberCheck(
        test=lambda number: all(check.test(number) for check in checks),
        words=" and ".join(check.words for check in checks),
    )


class _Pattern:
    """A regular expression that cannot freeze the server.

    Raises:
        BadRule: it is none, or too large.
    """

    __slots__ = ("_is_quick", "_pattern", "_required", "_search", "_strikes")

    def __init__(self, pattern: str, path: Path) -> None:
        if _unrolled(pattern) > MAX_UNROLLED:
            raise BadRule(path, "this regular expression is too large: lower its repeat counts")
        try:
            self._search: Callable[..., regex.Match[str] | None] = regex.compile(pattern).search
        except regex.error as error:
            raise BadRule(path, f"this is not a regular expression: {error}") from None
        except RecursionError:
            raise BadRule(path, "this regular expression is nested too deeply") from None
        self._pattern = pattern
        self._required = _required(pattern)
        self._is_quick = _is_quick(pattern)
        self._strikes = 0

    def match(self, text: str | None) -> Groups | None:
        if text is None:
            return None
        for plain in self._required:
            if plain not in text:
                return None
        try:
            if self._is_quick and len(text) <= _SHORT:  # to watch the time takes ten times as long
                found = self._search(text)
            else:
                found = self._search(text, timeout=TIMEOUT)
        except (TimeoutError, MemoryError):
            self._strike()
            return None
        return None if found is None else {0: found[0], **found.groupdict("")}

    def _strike(self) -> None:
        self._strikes += 1
        if self._strikes == 1:
            _log.warn(
                "The regular expression {pattern} takes too long: it counts as not found",
                pattern=quoted(self._pattern),
            )
        if self._strikes == STRIKES:
            self._search = _never
            _log.error(
                "The regular expression {pattern} took too long {strikes} times: it is not "
                "searched for any more",
                pattern=quoted(self._pattern),
                strikes=STRIKES,
            )


def _never(*_args: object, **_options: object) -> None:
    """Stand in for the search of a pattern that is cut off."""


_PIECE = re.compile(r"\\.|\[\^?\]?(?:\\.|[^]\\])*\]|\{(\d+)(?:,\d*)?\}|.", re.DOTALL)


def _unrolled(pattern: str) -> int:
    """About how many pieces a pattern has once its counted repeats are written out.

    The compiler of `regex` does write them out, up to the least number of each: without a bound
    ``(?:(?:a{999}){999}){999}`` takes all the memory there is.
    """
    outer: list[int] = []
    total = last = 0
    for piece in _PIECE.finditer(pattern):
        if piece[0] == "(":
            outer.append(total)
            total = last = 0
        elif piece[0] == ")" and outer:
            last = total
            total += outer.pop()
        elif piece[1]:
            total += last * (int(piece[1]) - 1)
        else:
            last = 1
            total += 1
    return total + sum(outer)


_SHORT = 10_000
_FEW_PIECES = 500
_ODD_GROUP = re.compile(r"\(\?(?!P<|:|[ims]+\))")


def _is_quick(pattern: str) -> bool:
    """Whether no search in a short text can take long.

    It cannot where nothing is repeated but single pieces, and those a fixed number of times.
    """
    if _unrolled(pattern) > _FEW_PIECES or _ODD_GROUP.search(pattern):
        return False
    before = ""
    for piece in _PIECE.finditer(pattern):
        text = piece[0]
        if text in "*+{" or (text == "?" and before != "("):
            return False
        if piece[1] and (before == ")" or before[:1] == "{" or "," in text):
            return False
        before = text
    return True


# What changes the meaning of plain characters elsewhere (flags, classes in classes), or is written
# with characters that look plain (escapes with arguments).
_UNSURE = re.compile(r"\(\?(?!P<|[:=!<>])|\[[^]]*\[:|\\[^\WwWdDsSbBAZ]")
_SPECIAL = frozenset(".^$}[]\\")


def _required(pattern: str) -> tuple[str, ...]:
    """Plain texts without each of which the pattern is not found, as far as one can tell.

    To look for them first costs a tenth of what a search with a timeout does.
    """
    if _UNSURE.search(pattern):
        return ()
    runs = [""]
    depth = 0
    for piece in _PIECE.finditer(pattern):
        text = piece[0]
        if text in "()":
            depth += 1 if text == "(" else -1
            runs.append("")
        elif depth:
            continue
        elif text in "|{":
            return ()
        elif text in "*+?" or piece[1]:
            runs[-1] = runs[-1][:-1]
            runs.append("")
        elif text[0] == "\\" and not text[1].isalpha():
            runs[-1] += text[1]
        elif text[0] in _SPECIAL:
            runs.append("")
        else:
            runs[-1] += text
    return tuple(sorted(filter(None, runs), key=len, reverse=True))
