"""Whether the conditions of a rule hold, and, where they do not, which one fails and why.

Use `compile_when` once for each rule, and the `Matcher` it gives for each request. To compile finds
everything that is wrong with a condition; to match must never raise, but for what a Python function
of the user's raises.
"""

import inspect
import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from operator import attrgetter
from typing import Any

import jmespath
import msgspec
from jmespath.exceptions import JMESPathTypeError
from jmespath.functions import Functions
from msgspec import Struct

from fakellm.model.content import ToolResult
from fakellm.model.prompt import Prompt
from fakellm.scenarios.facts import Facts
from fakellm.scenarios.schema import NumberRule, TextRule, TextTest, ToolResultTest, When
from fakellm.scenarios.text_tests import (
    NOTHING,
    BadRule,
    Groups,
    Path,
    TextCheck,
    compile_number,
    compile_text,
    quoted,
    shortened,
)

EQUALITIES: Mapping[str, Callable[[Facts], str | None]] = {
    "user": attrgetter("user"),
    "last": attrgetter("last"),
    "model": attrgetter("prompt.model"),
    "endpoint": attrgetter("prompt.endpoint"),
    "dialect": attrgetter("prompt.dialect"),
    "tool_choice": attrgetter("tool_choice"),
    "response_format": attrgetter("prompt.format.kind"),
}
"""The texts whose tests for equality may be found by a dictionary, the most telling first."""

# How dear conditions are: the cheap ones are tried first.
_PLAIN, _JSON, _REGEX, _FUNCTION = range(4)
_SECRETS = frozenset({"api-key", "authorization", "cookie", "key", "x-api-key", "x-goog-api-key"})
_TEXT_KEYS = frozenset(TextTest.__struct_encode_fields__)

# What JMESPath says around its reason: an introduction, and lines that point to the place.
_JMESPATH_REASON = re.compile(
    r"\A(?:Bad|Invalid) jmespath expression: |(?:, for expression)?:?\n.*",
    re.DOTALL | re.IGNORECASE,
)

Test = Callable[[Prompt], object]
"""A condition written in Python: whether it holds for a prompt."""


class Condition(Struct, frozen=True, kw_only=True):
    """One condition of a rule, compiled.

    Attributes:
        name: what it looks at, such as ``user`` or ``header X-Team``.
        expected: what it asks for, in words, such as ``contains 'hello'``.
        match: the groups of regular expressions where it holds, else ``None``.
        found: what a request has instead, in words; at most a line.
        cost: how dear it is; only the order matters.
    """

    name: str
    expected: str
    match: Callable[[Facts], Groups | None]
    found: Callable[[Facts], str]
    cost: int = _PLAIN


class _ResultCondition(Condition, frozen=True, kw_only=True):
    """The condition on tool results; ``pick`` gives the result that passes, and its groups."""

    pick: Callable[[Facts], tuple[ToolResult, Groups] | None]


class Failed(Struct, frozen=True, kw_only=True):
    """A condition that fails, in words: what it looks at, what it asks for, what there is."""

    name: str
    expected: str
    found: str

    def __str__(self) -> str:
        return f"{self.name}: expected: {self.expected}, found: {self.found}"


class Matcher:
    """The conditions of a rule, compiled by `compile_when`.

    Attributes:
        conditions: the cheap ones first, and otherwise in the order of the language.
        equality: one of `EQUALITIES` and a text, where the rule can hold only for exactly that.
        match: gives the groups of its regular expressions if all conditions hold, else ``None``.
    """

    __slots__ = ("_matches", "_pick", "conditions", "equality", "match")

    def __init__(self, when: When, conditions: Sequence[Condition]) -> None:
        self.conditions = tuple(sorted(conditions, key=lambda condition: condition.cost))
        self.equality = _equality(when)
        self._matches = tuple(condition.match for condition in self.conditions)
        self._pick = next(
            (each.pick for each in conditions if isinstance(each, _ResultCondition)), _first_result
        )
        # as most rules have one condition
        self.match = self._matches[0] if len(self._matches) == 1 else self._match_all

    def _match_all(self, facts: Facts) -> Groups | None:
        groups = NOTHING
        for match in self._matches:
            found = match(facts)
            if found is None:
                return None
            if found:
                groups = {**found, **groups}
        return groups

    def failure(self, facts: Facts) -> Failed | None:
        """The first condition that fails, if one does."""
        for condition in self.conditions:
            if condition.match(facts) is None:
                return Failed(
                    name=condition.name,
                    expected=condition.expected,
                    found=condition.found(facts),
                )
        return None

    def score(self, facts: Facts) -> int:
        """How many of its conditions hold."""
        return sum(match(facts) is not None for match in self._matches)

    @property
    def words(self) -> tuple[str, ...]:
        """What it asks for, in words, such as ``user contains 'hello'``."""
        return tuple(f"{each.name} {each.expected}" for each in self.conditions)

    def tool_result(self, facts: Facts) -> ToolResult | None:
        """The tool result the rule is about: the first that passes its condition on results.

        Without such a condition it is the first of those that the conversation ends with.
        """
        picked = self._pick(facts)
        return None if picked is None else picked[0]


def _first_result(facts: Facts) -> tuple[ToolResult, Groups] | None:
    results = facts.tool_results
    return (results[0], NOTHING) if results else None


def compile_when(when: When, test: Test | None = None) -> Matcher:
    """Compile the conditions of a rule.

    Args:
        when: the conditions.
        test: one more, tried last; what it raises, matching raises.

    Raises:
        BadRule: a regular expression or a JMESPath expression is none, a list of tests is empty,
            or the function is a coroutine's; ``path`` begins with ``"when"``.
    """
    conditions: list[Condition] = []
    for name, make in _COMPILERS.items():
        wanted = getattr(when, name)
        if wanted is not None:
            conditions.extend(make(name, wanted, ("when", name)))
    if test is not None:
        conditions.append(_function(test))
    return Matcher(when, conditions)


def _equality(when: When) -> tuple[str, str] | None:
    for name in EQUALITIES:
        match getattr(when, name):
            case (str() as text) | TextTest(equals=str() as text):
                return name, text
    return None


_Compiler = Callable[[str, Any, Path], Iterator[Condition]]


def _text(get: Callable[[Facts], str | None], *, secret: bool = False) -> _Compiler:
    def make(name: str, rule: TextRule, path: Path) -> Iterator[Condition]:
        check = compile_text(rule, path)
        yield _text_condition(name, check, get, secret=secret)

    return make


def _text_condition(
    name: str,
    check: TextCheck,
    get: Callable[[Facts], str | None],
    *,
    secret: bool = False,
    cost: int = _PLAIN,
) -> Condition:
    match = check.match
    hide = _hidden if secret else quoted
    return Condition(
        name=name,
        expected=check.words,
        match=lambda facts: match(get(facts)),
        found=lambda facts: hide(get(facts)),
        cost=_REGEX if check.slow else cost,
    )


def _hidden(text: str | None) -> str:
    return "nothing" if text is None else "something else, which is a secret"


def _one_of_texts(get: Callable[[Facts], Sequence[str]]) -> _Compiler:
    def make(name: str, rule: TextRule, path: Path) -> Iterator[Condition]:
        check = compile_text(rule, path)
        match = check.match

        def match_any(facts: Facts) -> Groups | None:
            for text in get(facts):
                found = match(text)
                if found is not None:
                    return found
            return None

        yield Condition(
            name=name,
            expected=check.words,
            match=match_any,
            found=lambda facts: _listed(map(quoted, get(facts))),
            cost=_REGEX if check.slow else _PLAIN,
        )

    return make


def _listed(words: Iterator[str]) -> str:
    return shortened(", ".join(words)) or "nothing"


def _number(get: Callable[[Facts], int]) -> _Compiler:
    def make(name: str, rule: NumberRule, path: Path) -> Iterator[Condition]:
        check = compile_number(rule, path)
        test = check.test
        yield Condition(
            name=name,
            expected=check.words,
            match=lambda facts: NOTHING if test(get(facts)) else None,
            found=lambda facts: str(get(facts)),
        )

    return make


def _choice(get: Callable[[Facts], str | bool | None]) -> _Compiler:
    """Equality with one of the language's own words; any of several will do."""

    def make(name: str, wanted: Any, path: Path) -> Iterator[Condition]:
        choices = wanted if isinstance(wanted, tuple) else (wanted,)
        if not choices:
            raise BadRule(path, "give at least one")
        yield Condition(
            name=name,
            expected=("is " if len(choices) == 1 else "any of ") + ", ".join(map(_word, choices)),
            match=lambda facts: NOTHING if get(facts) in choices else None,
            found=lambda facts: _word(get(facts)),
        )

    return make


def _word(value: str | bool | None) -> str:
    return "nothing" if value is None else str(value).lower()


def _has(name: str, wanted: Any, path: Path) -> Iterator[Condition]:
    kinds = frozenset([wanted] if isinstance(wanted, str) else wanted)
    if not kinds:
        raise BadRule(path, "give at least one")
    yield Condition(
        name=name,
        expected=" and ".join(sorted(kinds)),
        match=lambda facts: NOTHING if kinds <= facts.has else None,
        found=lambda facts: _listed(iter(sorted(facts.has))),
    )


_RESULT_TEXTS: Mapping[str, Callable[[ToolResult], str | None]] = {
    "name": lambda result: result.name,
    "id": lambda result: result.call_id,
    "content": lambda result: result.content,
}


def _tool_result(name: str, wanted: ToolResultTest, path: Path) -> Iterator[Condition]:
    checks = [
        (key, get, compile_text(rule, (*path, key)))
        for key, get in _RESULT_TEXTS.items()
        if (rule := getattr(wanted, key)) is not None
    ]

    def passes(result: ToolResult) -> Groups | None:
        groups = NOTHING
        for _, get, check in checks:
            found = check.match(get(result))
            if found is None:
                return None
            groups = {**found, **groups}
        return groups

    def pick(facts: Facts) -> tuple[ToolResult, Groups] | None:
        for result in facts.tool_results:
            groups = passes(result)
            if groups is not None:
                return result, groups
        return None

    def match(facts: Facts) -> Groups | None:
        picked = pick(facts)
        return None if picked is None else picked[1]

    yield _ResultCondition(
        name=name,
        expected=" and ".join(f"{key} {check.words}" for key, _, check in checks) or "is there",
        match=match,
        found=lambda facts: _listed(map(_result_words, facts.tool_results)),
        cost=_REGEX if any(check.slow for _, _, check in checks) else _PLAIN,
        pick=pick,
    )


def _result_words(result: ToolResult) -> str:
    return f"{result.name or 'a tool'} ({result.call_id}): {quoted(result.content)}"


def _by_name(get: Callable[[Facts], Mapping[str, str]], spell: Callable[[str], str]) -> _Compiler:
    def make(name: str, rules: Mapping[str, TextRule], path: Path) -> Iterator[Condition]:
        for key, rule in rules.items():
            yield _text_condition(
                f"{name} {key}",
                compile_text(rule, (*path, key)),
                _item(get, spell(key)),
                secret=key.lower() in _SECRETS,
            )

    return make


def _item(get: Callable[[Facts], Mapping[str, str]], key: str) -> Callable[[Facts], str | None]:
    return lambda facts: get(facts).get(key)


def _json(name: str, wanted: Mapping[str, Any], path: Path) -> Iterator[Condition]:
    for expression, value in wanted.items():
        yield _json_condition(f"{name} {expression}", expression, value, (*path, expression))


def _json_condition(name: str, expression: str, value: Any, path: Path) -> Condition:
    search = _compile_jmespath(expression, path)
    rule = _text_rule(value, path)
    if rule is not None:
        return _text_condition(
            name,
            compile_text(rule, path),
            lambda facts: _json_text(search(facts.body)),
            cost=_JSON,
        )
    return Condition(
        name=name,
        expected=f"is {_json_words(value)}",
        match=lambda facts: NOTHING if _same(search(facts.body), value) else None,
        found=lambda facts: _json_words(search(facts.body)),
        cost=_JSON,
    )


def _compile_jmespath(expression: str, path: Path) -> Callable[[Any], Any]:
    try:
        compiled = jmespath.compile(expression)
        _check_functions(compiled.parsed)
    except ValueError as error:
        reason = _JMESPATH_REASON.sub("", str(error))
        raise BadRule(path, f"this is not a JMESPath expression: {reason}") from None
    except RecursionError:
        raise BadRule(path, "this JMESPath expression is nested too deeply") from None

    def search(body: Any) -> Any:
        """What the expression gives; ``None`` too where it does not apply to the body."""
        try:
            return compiled.search(body)
        except (ArithmeticError, RecursionError, TypeError, ValueError):
            return None

    return search


def _check_functions(node: Mapping[str, Any]) -> None:
    """Find calls of unknown functions and wrong numbers of arguments.

    JMESPath itself does so only when it comes to evaluate them.

    Raises:
        JMESPathError: there is one.
    """
    children = [child for child in node["children"] if isinstance(child, dict)]
    if node["type"] == "function_expression":
        with suppress(JMESPathTypeError):
            Functions().call_function(node["value"], [None] * len(children))
    for child in children:
        _check_functions(child)


def _text_rule(value: Any, path: Path) -> TextTest | None:
    """The test of a text that a value of a ``json`` condition is, if it is one."""
    if isinstance(value, TextTest):
        return value
    if not (isinstance(value, Mapping) and value and _TEXT_KEYS.issuperset(value)):
        return None
    try:
        return msgspec.convert(value, TextTest)
    except msgspec.ValidationError as error:
        raise BadRule(path, f"this looks like a test of a text, but: {error}") from None


def _json_text(value: Any) -> str | None:
    if value is None or isinstance(value, str):
        return value
    try:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    except RecursionError:
        return None


def _json_words(value: Any) -> str:
    if isinstance(value, str):
        return quoted(value)
    return shortened(_json_text(value) or "null")


def _same(left: Any, right: Any) -> bool:
    """Equality of JSON values: ``1`` is ``1.0``, but ``true`` is not ``1``."""
    if isinstance(left, bool) or isinstance(right, bool):
        return left is right
    if isinstance(left, Mapping) and isinstance(right, Mapping):
        return left.keys() == right.keys() and all(_same(left[key], right[key]) for key in left)
    if isinstance(left, list | tuple) and isinstance(right, list | tuple):
        return len(left) == len(right) and all(map(_same, left, right))
    return bool(left == right)


def _function(test: Test) -> Condition:
    if inspect.iscoroutinefunction(test):
        raise BadRule(
            ("when",), "a condition cannot be a coroutine function: it has no time to wait"
        )
    name = getattr(test, "__name__", type(test).__name__)
    return Condition(
        name=name,
        expected="true",
        match=lambda facts: NOTHING if test(facts.prompt) else None,
        found=lambda _: "false",
        cost=_FUNCTION,
    )


_COMPILERS: Mapping[str, _Compiler] = {
    "user": _text(attrgetter("user")),
    "last": _text(attrgetter("last")),
    "system": _text(attrgetter("system")),
    "any_message": _one_of_texts(attrgetter("texts")),
    "last_role": _choice(attrgetter("last_role")),
    "model": _text(attrgetter("prompt.model")),
    "dialect": _text(attrgetter("prompt.dialect")),
    "endpoint": _text(attrgetter("prompt.endpoint")),
    "stream": _choice(attrgetter("prompt.stream")),
    "turn": _number(attrgetter("turn")),
    "step": _number(attrgetter("step")),
    "attempt": _number(attrgetter("attempt")),
    "tool": _one_of_texts(attrgetter("tools")),
    "tool_choice": _choice(attrgetter("tool_choice")),
    "tool_result": _tool_result,
    "has": _has,
    "response_format": _choice(attrgetter("prompt.format.kind")),
    "header": _by_name(lambda facts: facts.headers, str.lower),
    "query": _by_name(lambda facts: facts.query, str),
    "api_key": _text(attrgetter("api_key"), secret=True),
    "json": _json,
    "state": _text(attrgetter("state")),
}
"""How each condition of the language is compiled, in the order of the language."""
