"""What is legal in rules but surely meant otherwise: told as warnings, once all else is right.

It takes time in proportion to what is written: nothing here compares each rule with each.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec
from jinja2 import nodes

from fakellm.scenarios import schema
from fakellm.scenarios.likeness import Likenesses
from fakellm.scenarios.loaded import LoadedRule
from fakellm.scenarios.mistakes import Mistake, did_you_mean, shown
from fakellm.scenarios.places import Path, is_template
from fakellm.scenarios.templating.environment import parse

FIRST_STATE = "start"
"""The state of a conversation that no rule has set one for."""

_COUNTED = ("turn", "step", "attempt")
_NAMED = re.compile(r"\(\?P?<(\w+)>")
_LOOKS_USED = re.compile(r"""\bmatch\s*(?:\.\s*(\w+)|\[\s*(?:'(\w*)'|"(\w*)"))""")
_METHODS = frozenset(dir(dict))
_GUARDS = frozenset(("d", "default", "defined", "undefined"))
_TEXT_TESTS = schema.TextTest.__struct_encode_fields__


def lint(rules: Sequence[LoadedRule]) -> list[Mistake]:
    """What is surely meant otherwise in rules that are in order, in the order of reading."""
    return [
        *_unreachable(rules),
        *_tools(rules),
        *_states(rules),
        *(each for rule in rules for each in _of_one(rule)),
    ]


def _warning(loaded: LoadedRule, message: str, path: Path = ()) -> Mistake:
    return Mistake(loaded.file, *loaded.positions(path), message, "warning")


def _called(loaded: LoadedRule) -> str:
    name = f" {shown(loaded.rule.name)}" if loaded.rule.name is not None else ""
    return f"the rule{name} in {loaded.file}:{loaded.line}"


def _unreachable(rules: Sequence[LoadedRule]) -> Iterator[Mistake]:
    before: dict[bytes, LoadedRule] = {}
    always: LoadedRule | None = None
    for loaded in sorted(rules, key=lambda each: -each.rule.priority):
        rule = loaded.rule
        key = msgspec.json.encode(rule.when, order="sorted")
        if always is not None:
            yield _warning(
                loaded, f"this rule is never reached: {_called(always)} always answers before it"
            )
        elif key in before:
            yield _warning(
                loaded,
                f"this rule is never reached: {_called(before[key])} has the same conditions and "
                "answers before it",
            )
        elif rule.times is None and not (rule.replies is not None and rule.then == "next_rule"):
            before[key] = loaded
            if rule.when == schema.When():
                always = loaded


_Use = tuple[str, LoadedRule, Path]
"""A name, in which rule it is used, and where in it."""


def _tools(rules: Sequence[LoadedRule]) -> Iterator[Mistake]:
    uses = [use for loaded in rules for use in _tools_of(loaded)]
    times = Counter(name for name, _, _ in uses)
    # Of two names that are each used once, the later one is taken for the slip.
    order = sorted(times, key=lambda name: -times[name])
    rank = {name: number for number, name in enumerate(order)}
    alike = Likenesses(order)
    for name, loaded, path in uses:
        other = alike.like(name) if times[name] == 1 else None
        if other is not None and rank[other] < rank[name]:
            yield _warning(
                loaded,
                f"the tool {shown(name)} is named nowhere else; did you mean {shown(other)}?",
                path,
            )


def _tools_of(loaded: LoadedRule) -> Iterator[_Use]:
    when = loaded.rule.when
    for text, path in _exact_texts(when.tool, ("when", "tool")):
        yield text, loaded, path
    if when.tool_result is not None:
        for text, path in _exact_texts(when.tool_result.name, ("when", "tool_result", "name")):
            yield text, loaded, path
    for part, path in _parts(loaded.rule):
        if part.tool_call is not None and not is_template(part.tool_call.name):
            yield part.tool_call.name, loaded, (*path, "tool_call", "name")


def _states(rules: Sequence[LoadedRule]) -> Iterator[Mistake]:
    setting = {
        loaded.rule.set_state: loaded
        for loaded in reversed(rules)
        if loaded.rule.set_state is not None
    }
    reading: dict[str, tuple[LoadedRule, Path]] = {}
    read_otherwise = False
    for loaded in rules:
        test = loaded.rule.when.state
        read_otherwise = read_otherwise or not _is_exact(test)
        for text, path in _exact_texts(test, ("when", "state")):
            reading.setdefault(text, (loaded, path))
    known, read = Likenesses([*setting, FIRST_STATE]), Likenesses(reading)
    for name, (loaded, path) in reading.items():
        if name not in setting and name != FIRST_STATE:
            hint = _hint(known.like(name))
            yield _warning(loaded, f"no rule sets the state {shown(name)}{hint}", path)
    for name, loaded in setting.items():
        if name not in reading and name != FIRST_STATE and not read_otherwise:
            hint = _hint(read.like(name))
            yield _warning(
                loaded, f"no rule asks for the state {shown(name)}{hint}", ("set_state",)
            )


def _hint(near: str | None) -> str:
    return "" if near is None else f"; did you mean {shown(near)}?"


def _of_one(loaded: LoadedRule) -> Iterator[Mistake]:
    for name in _COUNTED:
        test = getattr(loaded.rule.when, name)
        for reason, path in _impossible(test, ("when", name)):
            yield _warning(loaded, f"this can never hold: {reason}", path)
    yield from _mistaken_values(loaded)
    yield from _unknown_groups(loaded)


def _impossible(test: schema.NumberRule | None, path: Path) -> Iterator[tuple[str, Path]]:
    """Why a test of a number that is at least 1 can never hold, and where that is written."""
    match test:
        case int() if test < 1:
            yield "it counts from 1 on", path
        case schema.NumberTest(at_least=low, at_most=high, any=choices):
            if high is not None and high < 1:
                yield "it counts from 1 on", (*path, "at_most")
            elif low is not None and high is not None and low > high:
                yield f"{low} is more than {high}", (*path, "at_least")
            if choices and max(choices) < 1:
                yield "it counts from 1 on", (*path, "any")


def _mistaken_values(loaded: LoadedRule) -> Iterator[Mistake]:
    """Mappings that the body is compared with, though they look like a text test with a slip."""
    for expression, value in (loaded.rule.when.json or {}).items():
        if isinstance(value, Mapping) and len(value) == 1:
            (key,) = value
            hint = "" if key in _TEXT_TESTS else did_you_mean(key, _TEXT_TESTS)
            if hint:
                yield _warning(
                    loaded,
                    f"{shown(key)} is no test of a text, so the whole mapping is the value{hint}",
                    ("when", "json", expression),
                )


def _unknown_groups(loaded: LoadedRule) -> Iterator[Mistake]:
    groups: set[str] | None = None
    for name in ("reply", "replies"):
        for text, path in _texts(loaded.place.value.get(name), (name,)):
            if not ("match" in text and is_template(text)):
                continue
            if groups is None:
                groups = set(_groups(loaded.place.value.get("when")))
            # Parsing takes long, and there is mostly no need to.
            if groups.issuperset("".join(names) for names in _LOOKS_USED.findall(text)):
                continue
            for group, line in _groups_used(text).items():
                if group not in groups:
                    hint = _hint(Likenesses(sorted(groups)).like(group))
                    yield Mistake(
                        loaded.file,
                        *loaded.place.at(path, line),
                        f"no `matches` of this rule has a group {shown(group)}{hint}",
                        "warning",
                    )


def _texts(value: Any, path: Path) -> Iterator[tuple[str, Path]]:
    """Every text in what is written, and where."""
    match value:
        case str():
            yield value, path
        case Mapping():
            for key, inside in value.items():
                yield from _texts(inside, (*path, key))
        case list():
            for index, inside in enumerate(value):
                yield from _texts(inside, (*path, index))


def _groups(when: Any) -> Iterator[str]:
    """The groups that regular expressions in conditions name."""
    for text, path in _texts(when, ()):
        if path[-1] == "matches":
            yield from _NAMED.findall(text)


def _groups_used(template: str) -> dict[str, int]:
    """The groups that a template needs, and the line that does first."""
    tree = parse(template)
    if any(name.name == "match" and name.ctx != "load" for name in tree.find_all(nodes.Name)):
        return {}
    used: dict[str, int] = {}
    for node in tree.find_all((nodes.Getattr, nodes.Getitem)):
        group = _group_of(node)
        if group is not None:
            used[group] = min(node.lineno, used.get(group, node.lineno))
    for guard in tree.find_all((nodes.Filter, nodes.Test)):
        if guard.name in _GUARDS:
            used.pop(_group_of(guard.node) or "", None)
    return used


def _group_of(node: nodes.Node | None) -> str | None:
    match node:
        case nodes.Getattr(node=nodes.Name(name="match"), attr=str() as name):
            return None if name in _METHODS else name
        case nodes.Getitem(node=nodes.Name(name="match"), arg=nodes.Const(value=str() as name)):
            return name
    return None


def _parts(rule: schema.Rule) -> Iterator[tuple[schema.PartSpec, Path]]:
    """Every part of a rule's replies, and where it is; a reply with parts is one itself."""
    replies: list[tuple[schema.Reply | None, Path]] = [(rule.reply, ("reply",))]
    replies += [(each, ("replies", index)) for index, each in enumerate(rule.replies or ())]
    for reply, path in replies:
        within = (*path, "parts") if isinstance(reply, schema.ReplySpec) else path
        parts = reply.parts or () if isinstance(reply, schema.ReplySpec) else reply
        if isinstance(reply, schema.ReplySpec):
            yield reply, path
        if isinstance(parts, tuple):
            for index, part in enumerate(parts):
                if isinstance(part, schema.PartSpec):
                    yield part, (*within, index)


def _exact_texts(test: schema.TextRule | None, path: Path) -> Iterator[tuple[str, Path]]:
    """The texts that a test asks for as they are, and where they are written."""
    match test:
        case str():
            yield test, path
        case schema.TextTest():
            if test.equals is not None:
                yield test.equals, (*path, "equals")
            for name in ("any", "all"):
                for index, each in enumerate(getattr(test, name) or ()):
                    yield from _exact_texts(each, (*path, name, index))
            yield from _exact_texts(test.not_, (*path, "not"))


def _is_exact(test: schema.TextRule | None) -> bool:
    """Whether it is about nothing but the texts that it asks for as they are."""
    if not isinstance(test, schema.TextTest):
        return True
    exact = schema.TextTest(equals=test.equals, any=test.any, all=test.all)
    return test == exact and all(map(_is_exact, (*(test.any or ()), *(test.all or ()))))
