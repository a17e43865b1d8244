"""The words of the scenario language, in Python.

They build the same records as a file does: ``contains("x")`` is ``{contains: x}``, and
``tool_call("f", {"x": 1})`` is ``tool_call: {name: f, arguments: {x: 1}}``. What cannot be one is
a `TypeError` at once.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypedDict, Unpack

import msgspec
from msgspec import UNSET

from fakellm.faults.shorthand import parse_fault
from fakellm.faults.spec import AfterSpec, FaultItem, FaultSpec, HoldItem, HoldSpec
from fakellm.model.prompt import Role
from fakellm.model.reply import FinishReason
from fakellm.scenarios import schema
from fakellm.scenarios.matching import Test
from fakellm.scenarios.mistakes import did_you_mean
from fakellm.scenarios.places import is_template
from fakellm.scenarios.replies import as_reply
from fakellm.scenarios.rules import ReplyFunction
from fakellm.timing.pace import TimingSpec

__all__ = [
    "Add",
    "Beside",
    "Conditions",
    "OfRule",
    "RuleMaker",
    "Test",
    "all_of",
    "any_of",
    "checked",
    "contains",
    "echo",
    "ends_with",
    "error",
    "fault",
    "from_schema",
    "hold",
    "hosted",
    "json",
    "like",
    "lorem",
    "matches",
    "not_",
    "reasoning",
    "refusal",
    "reply",
    "starts_with",
    "text",
    "tool_call",
]

Add = Callable[[schema.Rule, Test | None, Mapping[int, ReplyFunction]], Callable[[], None]]
"""Takes a rule, its test and its functions by the index of their reply; gives what removes it."""


class Conditions(TypedDict, total=False):
    """The conditions of a rule, as `schema.When` has them."""

    user: schema.TextRule
    last: schema.TextRule
    system: schema.TextRule
    any_message: schema.TextRule
    last_role: Role | Sequence[Role]
    model: schema.TextRule
    dialect: schema.TextRule
    endpoint: schema.TextRule
    stream: bool
    turn: schema.NumberRule
    step: schema.NumberRule
    attempt: schema.NumberRule
    tool: schema.TextRule
    tool_choice: Literal["none", "auto", "required", "allowed"]
    tool_result: schema.ToolResultTest | Mapping[str, schema.TextRule]
    has: schema.ContentKind | Sequence[schema.ContentKind]
    response_format: Literal["text", "json_object", "json_schema"]
    header: Mapping[str, schema.TextRule]
    query: Mapping[str, schema.TextRule]
    api_key: schema.TextRule
    json: Mapping[str, Any]
    state: schema.TextRule


class Beside(TypedDict, total=False):
    """What goes beside the parts of a reply, as `schema.ReplySpec` has it."""

    finish_reason: FinishReason
    usage: schema.UsageSpec | Mapping[str, int]
    model: str
    id: str
    headers: Mapping[str, str]
    system_fingerprint: str
    chunks: Literal["token", "word", "character"] | int | Sequence[str]


class OfRule(TypedDict, total=False):
    """What a rule has beside its conditions and replies, as `schema.Rule` has it."""

    name: str
    priority: int
    times: int
    set_state: str
    then: schema.Then
    timing: TimingSpec | Mapping[str, Any] | str
    faults: FaultItem | Mapping[str, Any] | Sequence[FaultItem | Mapping[str, Any]]
    hold: HoldItem | Mapping[str, Any] | Sequence[HoldItem | Mapping[str, Any]]


class BesideAndOfRule(Beside, OfRule, total=False):
    """What `RuleMaker.reply` takes by name."""


def contains(text: str) -> schema.TextTest:
    """The text has this in it."""
    return _test("contains", text)


def matches(pattern: str) -> schema.TextTest:
    """A regular expression is found in the text; its named groups are ``match.NAME``."""
    return _test("matches", pattern)


def starts_with(text: str) -> schema.TextTest:
    """The text begins with this."""
    return _test("starts_with", text)


def ends_with(text: str) -> schema.TextTest:
    """The text ends with this."""
    return _test("ends_with", text)


def like(text: str) -> schema.TextTest:
    """The text is this, whatever the case and the white space."""
    return _test("like", text)


def any_of(*tests: schema.TextRule) -> schema.TextTest:
    """At least one of the tests holds."""
    return _test("any", tests)


def all_of(*tests: schema.TextRule) -> schema.TextTest:
    """All of the tests hold."""
    return _test("all", tests)


def not_(test: schema.TextRule) -> schema.TextTest:
    """The test does not hold."""
    return _test("not", test)


def _test(name: str, value: Any) -> schema.TextTest:
    test: schema.TextTest = checked({name: value}, schema.TextTest, "a test of a text")
    return test


def text(words: str) -> schema.PartSpec:
    """Words; a template."""
    return _part(text=words)


def reasoning(words: str = "", *, tokens: int | str = 0) -> schema.PartSpec:
    """Reasoning: shown words, hidden tokens, or both."""
    return _part(reasoning={"text": words, "tokens": tokens})


def tool_call(
    name: str,
    arguments: Any = UNSET,
    *,
    id: str | None = None,  # noqa: A002 -- what it is called in a file
    kind: Literal["function", "custom"] = "function",
) -> schema.PartSpec:
    """A tool call.

    Args:
        name: the tool's.
        arguments: a value, sent as JSON; a text, sent as it is, whatever it is; or, left out, valid
            ones are made from the tool's own schema.
        id: else, the dialect makes one.
        kind: of the tool.
    """
    given = {} if arguments is UNSET else {"arguments": arguments}
    return _part(tool_call={"name": name, "id": id, "kind": kind, **given})


def hosted(type: str, **fields: Any) -> schema.PartSpec:  # noqa: A002 -- its name in a file
    """What a tool on the vendor's side did, such as ``hosted("web_search_call", action={...})``."""
    return _part(hosted={"type": type, **fields})


def refusal(words: str) -> schema.PartSpec:
    """The model's words for not answering."""
    return _part(refusal=words)


def json(value: Any) -> schema.PartSpec:
    """Any value, sent as JSON text."""
    return _part(json=value)


def from_schema() -> schema.PartSpec:
    """What the request demands, made from its schema."""
    return _part(from_schema=True)


def echo() -> schema.PartSpec:
    """The last user message, said back."""
    return _part(echo=True)


def lorem(tokens: int | str) -> schema.PartSpec:
    """Filler of exactly so many tokens."""
    return _part(lorem={"tokens": tokens})


def error(
    status: int | str,
    message: str | None = None,
    *,
    type: str | None = None,  # noqa: A002 -- what it is called in a file
    code: str | None = None,
    param: str | None = None,
    headers: Mapping[str, str] | None = None,
) -> schema.PartSpec:
    """An error; what is left out is worded as the vendor words that status."""
    return _part(
        error={
            "status": status,
            "message": message,
            "type": type,
            "code": code,
            "param": param,
            "headers": headers or {},
        }
    )


def fault(short: str | None = None, /, **named: Any) -> FaultItem:
    """A fault for a rule's ``faults``: in short, or by name as in a file.

    ``fault("reset after 3", on_attempt=1)`` is ``fault(reset={"after": 3}, on_attempt=1)``. A text
    that is a template stands alone.

    Raises:
        TypeError: a name is none of a fault's, or a value is not what it has to be.
        BadFault: the text is no fault.
    """
    if short is None:
        spec: FaultSpec = checked(named, FaultSpec, "a fault")
        return spec
    if is_template(short):
        if named:
            raise TypeError("a fault that is a template stands alone")
        return short
    said: FaultSpec = checked({**_said_in(parse_fault(short)), **named}, FaultSpec, "a fault")
    return said


def _said_in(spec: FaultSpec) -> dict[str, Any]:
    given = {name: getattr(spec, name) for name in spec.__struct_fields__}
    return {name: value for name, value in given.items() if value is not None}


def hold(
    gate: str,
    *,
    after: AfterSpec | Mapping[str, Any] | None = None,
    before: Literal["head", "end"] | None = None,
) -> HoldSpec:
    """A gate for a rule's ``hold``; before the head, unless it says where.

    Raises:
        TypeError: something is not what it has to be.
    """
    given = {"gate": gate, "after": after, "before": before}
    spec: HoldSpec = checked(given, HoldSpec, "a gate")
    return spec


def _part(**given: Any) -> schema.PartSpec:
    part: schema.PartSpec = checked(given, schema.PartSpec, "a part")
    return part


def reply(*parts: str | schema.PartSpec, **beside: Unpack[Beside]) -> schema.ReplySpec:
    """A reply: texts and parts, and by name what goes beside them.

    Raises:
        TypeError: a name is none of those, or something is not what it has to be.
        BadReply: there is a reply among the parts.
    """
    said = as_reply(parts)
    if not said and not isinstance(beside.get("chunks"), list | tuple):
        raise TypeError("a reply needs a part, such as a text")
    given: dict[str, Any] = {"parts": said, **beside} if said else dict(beside)
    spec: schema.ReplySpec = checked(given, schema.ReplySpec, "a reply")
    return spec


def checked(given: Mapping[str, Any], record: type[Any], what: str) -> Any:
    """A record made of Python values.

    Args:
        given: its fields.
        record: its type.
        what: what it is, for messages.

    Raises:
        TypeError: a name is none of the record's, or a value is not what it has to be.
    """
    names = record.__struct_encode_fields__
    for name in given:
        if name not in names:
            raise TypeError(f"{what} has no {name!r}{did_you_mean(name, names)}")
    try:
        return msgspec.convert(given, record)
    except msgspec.ValidationError as problem:
        raise TypeError(f"{what}: {problem}") from None


class RuleMaker:
    """A rule whose conditions are said and whose reply is yet to be.

    Args:
        add: takes the rule.
        when: the conditions.
        test: a function of the prompt that has to hold as well.
    """

    def __init__(self, add: Add, when: schema.When, test: Test | None) -> None:
        self._add = add
        self._when = when
        self._test = test

    def reply(
        self, *parts: str | schema.PartSpec | ReplyFunction, **named: Unpack[BesideAndOfRule]
    ) -> Callable[[], None]:
        """Answer with this: texts and parts, a whole `reply`, or one function of the prompt.

        By name come what goes beside the parts (``finish_reason``, ``headers``, ...) and what a
        rule has (``name``, ``priority``, ``times``, ``set_state``, ``timing``, ``faults``,
        ``hold``).

        Returns:
            What removes the rule again.

        Raises:
            TypeError: a name is unknown, or something is not what it has to be.
            ValueError: a reply cannot be given, a template or a regular expression is none.
        """
        beside, of_rule = _sorted_out(named)
        whole = parts[0] if parts else None
        if not (callable(whole) or isinstance(whole, schema.ReplySpec)):
            return self._made({**of_rule, "reply": reply(*_said(parts), **beside)})
        if len(parts) > 1 or beside:
            what = "function" if callable(whole) else "reply(...)"
            raise TypeError(f"a {what} gives the whole reply: nothing goes with it")
        if callable(whole):
            return self._made({**of_rule, "reply": ""}, {0: whole})
        return self._made({**of_rule, "reply": whole})

    def replies(
        self,
        *replies: schema.Reply | schema.PartSpec | Sequence[str | schema.PartSpec] | ReplyFunction,
        **named: Unpack[OfRule],
    ) -> Callable[[], None]:
        """Answer with these in turn; ``then`` says what comes after the last.

        Each is a text, a part, a list of both, a whole `reply`, or a function of the prompt.

        Returns:
            What removes the rule again.

        Raises:
            TypeError: a name is unknown, or something is not what it has to be.
            ValueError: a reply cannot be given, a template or a regular expression is none.
        """
        beside, of_rule = _sorted_out(named)
        if beside:
            raise TypeError(f"say {', '.join(beside)} in each reply(...)")
        if not replies:
            raise TypeError("replies needs at least one")
        functions = {index: each for index, each in enumerate(replies) if callable(each)}
        written = ["" if callable(each) else as_reply(each) for each in replies]
        return self._made({**of_rule, "replies": tuple(written)}, functions)

    def _made(
        self, fields: Mapping[str, Any], functions: Mapping[int, ReplyFunction] | None = None
    ) -> Callable[[], None]:
        rule = checked({**fields, "when": self._when}, schema.Rule, "a rule")
        return self._add(rule, self._test, functions or {})


def _said(parts: Sequence[Any]) -> Sequence[Any]:
    if any(callable(part) for part in parts):
        raise TypeError("a function gives the whole reply: nothing goes with it")
    return parts


def _sorted_out(named: Mapping[str, Any]) -> tuple[Any, dict[str, Any]]:
    """What goes beside the parts, and what a rule has."""
    beside = {name: value for name, value in named.items() if name not in OfRule.__annotations__}
    return beside, {name: value for name, value in named.items() if name in OfRule.__annotations__}
