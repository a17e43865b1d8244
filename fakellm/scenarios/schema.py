"""The scenario file, declared: what `fakellm schema` prints and what a file is decoded into.

Python calls build the same records. A record says what may be written; what it means is for
`matching` and `replies`. Texts that replies send are templates (see `templates`).
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from msgspec import UNSET, Meta, Struct

from fakellm.faults.spec import FaultItem, FaultSpec, HoldItem, HoldSpec
from fakellm.model.prompt import Role
from fakellm.model.reply import FinishReason
from fakellm.timing.choice import Profile
from fakellm.timing.conduct import FramingSpec, Late, LimitSpec, LoadSpec
from fakellm.timing.distributions import ConstantSpec
from fakellm.timing.pace import TimingSpec


class TextTest(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"not_": "not"},
):
    """A test of a text; all that is given must hold."""

    equals: Annotated[str | None, Meta(description="The text is exactly this.")] = None
    contains: Annotated[str | None, Meta(description="The text has this in it.")] = None
    matches: Annotated[
        str | None,
        Meta(
            description="This regular expression is found in the text; its named groups are "
            "`match.NAME` in the reply."
        ),
    ] = None
    starts_with: Annotated[str | None, Meta(description="The text begins with this.")] = None
    ends_with: Annotated[str | None, Meta(description="The text ends with this.")] = None
    like: Annotated[
        str | None, Meta(description="The text is this, whatever the case and the white space.")
    ] = None
    any: Annotated[
        tuple["TextRule", ...] | None, Meta(description="At least one of these holds.")
    ] = None
    all: Annotated[tuple["TextRule", ...] | None, Meta(description="All of these hold.")] = None
    not_: Annotated["TextRule | None", Meta(description="This does not hold.")] = None


TextRule = str | TextTest
"""A bare text is a test for equality."""


class NumberTest(
    Struct,
    frozen=True,
    kw_only=True,
    forbid_unknown_fields=True,
    omit_defaults=True,
    rename={"not_": "not"},
):
    """A test of a whole number; all that is given must hold."""

    at_least: Annotated[int | None, Meta(description="It is this or more.")] = None
    at_most: Annotated[int | None, Meta(description="It is this or less.")] = None
    any: Annotated[tuple[int, ...] | None, Meta(description="It is one of these.")] = None
    not_: Annotated["NumberRule | None", Meta(description="This does not hold.")] = None


NumberRule = int | NumberTest
"""A bare number is a test for equality."""

ContentKind = Literal["image", "audio", "file", "tool_results"]


class ToolResultTest(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A test of the tool results that the conversation ends with; one of them passes all of it."""

    name: Annotated[TextRule | None, Meta(description="The name of the tool.")] = None
    id: Annotated[TextRule | None, Meta(description="The id of the call.")] = None
    content: Annotated[TextRule | None, Meta(description="What the tool gave.")] = None


class When(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """The conditions of a rule; all must hold, and none means always."""

    user: Annotated[
        TextRule | None, Meta(description="The text of the last user message, its parts joined.")
    ] = None
    last: Annotated[
        TextRule | None,
        Meta(description="The only text of the last message, whoever it is from."),
    ] = None
    system: Annotated[
        TextRule | None, Meta(description="The text of all system and developer messages.")
    ] = None
    any_message: Annotated[TextRule | None, Meta(description="The text of any message.")] = None
    last_role: Annotated[
        Role | tuple[Role, ...] | None, Meta(description="Who the last message is from.")
    ] = None
    model: Annotated[TextRule | None, Meta(description="The model asked for.")] = None
    dialect: Annotated[
        TextRule | None, Meta(description="The vendor's wire format, such as `openai`.")
    ] = None
    endpoint: Annotated[
        TextRule | None, Meta(description="The endpoint, such as `chat.completions`.")
    ] = None
    stream: Annotated[bool | None, Meta(description="Whether a stream is asked for.")] = None
    turn: Annotated[NumberRule | None, Meta(description="1 + the assistant messages so far.")] = (
        None
    )
    step: Annotated[
        NumberRule | None,
        Meta(description="1 + the assistant messages since the last real user message."),
    ] = None
    attempt: Annotated[
        NumberRule | None,
        Meta(description="How many times this same conversation has been asked, this one too."),
    ] = None
    tool: Annotated[TextRule | None, Meta(description="A tool of that name is offered.")] = None
    tool_choice: Annotated[
        Literal["none", "auto", "required", "allowed"] | None,
        Meta(
            description="Whether a tool has to be called; `allowed`, where it may be, and a set of "
            "allowed ones is given."
        ),
    ] = None
    tool_result: Annotated[
        ToolResultTest | None,
        Meta(description="The conversation ends with the result of a tool call."),
    ] = None
    has: Annotated[
        ContentKind | tuple[ContentKind, ...] | None,
        Meta(description="The conversation has all of these in it."),
    ] = None
    response_format: Annotated[
        Literal["text", "json_object", "json_schema"] | None,
        Meta(description="The format asked for."),
    ] = None
    header: Annotated[
        Mapping[str, TextRule] | None, Meta(description="Request headers, by name.")
    ] = None
    query: Annotated[
        Mapping[str, TextRule] | None, Meta(description="Query parameters, by name.")
    ] = None
    api_key: Annotated[TextRule | None, Meta(description="The API key of the request.")] = None
    json: Annotated[
        Mapping[str, Any] | None,
        Meta(
            description="JMESPath expressions over the request's body, each with the value it "
            "gives or a test of the text it gives."
        ),
    ] = None
    state: Annotated[
        TextRule | None,
        Meta(description="What `set_state` set last in this conversation; `start` at first."),
    ] = None


class ToolCallSpec(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """A tool call; without arguments, valid ones are made from the tool's own schema."""

    name: Annotated[str, Meta(description="The name of the tool.")]
    arguments: Annotated[
        Any, Meta(description="A value that is sent as JSON, or a text that is sent as it is.")
    ] = UNSET
    id: Annotated[
        str | None, Meta(description="The id of the call; one is made where none is given.")
    ] = None
    kind: Annotated[
        Literal["function", "custom"],
        Meta(description="A custom tool takes a text instead of JSON arguments."),
    ] = "function"


class ReasoningSpec(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Reasoning: text that may be shown, a number of hidden tokens, or both."""

    text: Annotated[str, Meta(description="Reasoning in words.")] = ""
    tokens: Annotated[int | str, Meta(description="How many hidden tokens it takes.")] = 0


class LoremSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Filler of exactly so many tokens, the same each time."""

    tokens: Annotated[
        int | str, Meta(description="How many; a number, or a template that gives one.")
    ]


class ErrorSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """An error; what is left out is worded as the vendor words that status."""

    status: Annotated[int | str, Meta(description="The HTTP status, from 400 to 599.")]
    message: Annotated[str | None, Meta(description="What went wrong, in words.")] = None
    type: Annotated[
        str | None, Meta(description="The sort of error, such as `rate_limit_error`.")
    ] = None
    code: Annotated[
        str | None, Meta(description="The code of the error, such as `rate_limit_exceeded`.")
    ] = None
    param: Annotated[str | None, Meta(description="The parameter that is to blame.")] = None
    headers: Annotated[
        Mapping[str, str], Meta(description="Headers of the answer, such as `Retry-After`.")
    ] = {}


Chunks = Literal["token", "word", "character"] | Annotated[int, Meta(ge=1)] | tuple[str, ...]


class UsageSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """Token counts to report instead of the true ones."""

    prompt_tokens: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Tokens of the prompt.")
    ] = None
    completion_tokens: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Tokens of the answer.")
    ] = None
    reasoning_tokens: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Those of them that were reasoning.")
    ] = None
    cached_tokens: Annotated[
        Annotated[int, Meta(ge=0)] | None, Meta(description="Those of the prompt that were cached.")
    ] = None


class PartSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One part of a reply: exactly one of these."""

    text: Annotated[str | None, Meta(description="Words.")] = None
    reasoning: Annotated[
        str | ReasoningSpec | None, Meta(description="Thinking before the answer.")
    ] = None
    tool_call: Annotated[
        ToolCallSpec | None, Meta(description="A tool call; several make parallel calls.")
    ] = None
    hosted: Annotated[
        Mapping[str, Any] | None,
        Meta(
            description="What a tool on the vendor's side did: its `type`, such as "
            "`web_search_call`, and its fields. Dialects that have no such thing leave it out."
        ),
    ] = None
    refusal: Annotated[str | None, Meta(description="The words of a refusal.")] = None
    json: Annotated[Any, Meta(description="Any value, sent as JSON text.")] = UNSET
    from_schema: Annotated[
        bool | None,
        Meta(description="What the request demands, made from its schema."),
    ] = None
    echo: Annotated[bool | None, Meta(description="The last user message, said back.")] = None
    lorem: Annotated[LoremSpec | None, Meta(description="Filler of exactly so many tokens.")] = None
    file: Annotated[
        str | None,
        Meta(
            description="A file beside this one: its text, or, of a .yml or .yaml file, the reply "
            "in it."
        ),
    ] = None
    error: Annotated[
        int | str | ErrorSpec | None,
        Meta(description="An error instead of an answer, or, after other parts, in its middle."),
    ] = None


class ReplySpec(PartSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A reply: one part, or a list of `parts`, and what goes beside them."""

    parts: Annotated[
        tuple["str | PartSpec", ...] | None, Meta(description="The parts, where there are several.")
    ] = None
    finish_reason: Annotated[
        FinishReason | None,
        Meta(description="Why the answer ends; else it follows from the parts."),
    ] = None
    usage: Annotated[
        UsageSpec | None, Meta(description="Token counts to report instead of the true ones.")
    ] = None
    model: Annotated[str | None, Meta(description="The model that answers.")] = None
    id: Annotated[str | None, Meta(description="The id of the answer.")] = None
    headers: Annotated[
        Mapping[str, str] | None, Meta(description="Headers of the answer, beside the usual ones.")
    ] = None
    system_fingerprint: Annotated[
        str | None, Meta(description="The fingerprint of the system that answers.")
    ] = None
    chunks: Annotated[
        Chunks | None,
        Meta(
            description="How a stream cuts the text: a token each, a word, a character, so many "
            "tokens, or exactly these pieces."
        ),
    ] = None


Reply = str | ReplySpec | tuple[str | PartSpec, ...]
"""A text, one part, or a list of parts."""

Then = Literal["stay", "loop", "next_rule", "error"]

RuleTiming = str | TimingSpec
"""The name of a profile, or a timing."""

Faults = str | FaultSpec | tuple[FaultItem, ...]
"""One fault, or a list of them."""

Holds = str | HoldSpec | tuple[HoldItem, ...]
"""One gate, or a list of them."""


class Rule(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A rule: when its conditions hold, it answers."""

    name: Annotated[str | None, Meta(description="How the rule is called in logs and errors.")] = (
        None
    )
    when: Annotated[
        When, Meta(description="The conditions, all of which must hold; none means always.")
    ] = When()
    reply: Annotated[Reply | None, Meta(description="What the rule answers.")] = None
    replies: Annotated[
        Annotated[tuple[Reply, ...], Meta(min_length=1)] | None,
        Meta(description="Given in turn."),
    ] = None
    then: Annotated[
        Then, Meta(description="What comes after the last of the replies; `stay` repeats it.")
    ] = "stay"
    priority: Annotated[int, Meta(description="Rules of a higher priority come first.")] = 0
    times: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="How often the rule answers, in a session."),
    ] = None
    set_state: Annotated[
        str | None, Meta(description="The state of the conversation from then on.")
    ] = None
    timing: Annotated[
        RuleTiming | None,
        Meta(description="How long the answer takes: a timing, or the name of a profile."),
    ] = None
    faults: Annotated[
        Faults | None,
        Meta(description="What goes wrong; an empty list: nothing, whatever the settings say."),
    ] = None
    hold: Annotated[Holds | None, Meta(description="Gates where the answer stands still.")] = None


class Phase(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What is otherwise than in the settings from some time on, until the next phase."""

    after: Annotated[
        ConstantSpec, Meta(description="When it begins: so long after the server's start.")
    ]
    timing: Annotated[
        TimingSpec | None, Meta(description="What is otherwise in the settings' timing.")
    ] = None
    profile: Annotated[
        str | None, Meta(description="The name of a profile that changes the settings' timing.")
    ] = None
    load: Annotated[LoadSpec | None, Meta(description="Instead of the settings' load.")] = None
    framing: Annotated[
        FramingSpec | None, Meta(description="Instead of the settings' framing.")
    ] = None
    late: Annotated[Late | None, Meta(description="Instead of the settings' `late`.")] = None
    limits: Annotated[
        tuple[LimitSpec, ...] | None, Meta(description="Instead of the settings' limits.")
    ] = None
    faults: Annotated[
        tuple[FaultItem, ...] | None, Meta(description="Instead of the settings' faults.")
    ] = None


Window = Annotated[int, Meta(ge=1)]


class Sections(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How the server conducts itself: at the top of a file, or in its settings."""

    timing: Annotated[TimingSpec | None, Meta(description="How long answers take.")] = None
    profiles: Annotated[
        Mapping[str, Profile] | None,
        Meta(description="Timings by name, which models, rules and requests choose."),
    ] = None
    load: Annotated[
        LoadSpec | None, Meta(description="How many answers run at once, and what then.")
    ] = None
    framing: Annotated[
        FramingSpec | None, Meta(description="Which chunks of a stream stand alone.")
    ] = None
    late: Annotated[
        Late | None, Meta(description="What a stream does that is behind its times.")
    ] = None
    limits: Annotated[
        tuple[LimitSpec, ...] | None, Meta(description="Limits of requests and tokens.")
    ] = None
    context_length: Annotated[
        Window | Mapping[str, Window] | None,
        Meta(
            description="Tokens that prompt and answer may have together: a number, or one for "
            "each model, and `*` for all others."
        ),
    ] = None
    faults: Annotated[
        tuple[FaultItem, ...] | None,
        Meta(description="What goes wrong, where a rule does not say otherwise."),
    ] = None
    phases: Annotated[
        tuple[Phase, ...] | None, Meta(description="What is otherwise from some time on.")
    ] = None


class Settings(Sections, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What holds for the whole server."""

    strict: Annotated[
        bool | None, Meta(description="Refuse requests that no written rule matches.")
    ] = None
    prompt_commands: Annotated[
        bool | None, Meta(description="Heed `[500]`, `[echo] ...` and their like.")
    ] = None
    conversation: Annotated[
        str | None,
        Meta(description="A template that names the conversation a state belongs to."),
    ] = None


class Defaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What the rules of this file have where they say nothing else."""

    priority: Annotated[int | None, Meta(description="See the rule's.")] = None
    then: Annotated[Then | None, Meta(description="See the rule's.")] = None
    times: Annotated[Annotated[int, Meta(ge=1)] | None, Meta(description="See the rule's.")] = None
    model: Annotated[str | None, Meta(description="See the reply's.")] = None
    headers: Annotated[
        Mapping[str, str] | None, Meta(description="See the reply's; both are sent.")
    ] = None
    system_fingerprint: Annotated[str | None, Meta(description="See the reply's.")] = None
    chunks: Annotated[Chunks | None, Meta(description="See the reply's.")] = None
    timing: Annotated[RuleTiming | None, Meta(description="See the rule's.")] = None
    faults: Annotated[Faults | None, Meta(description="See the rule's.")] = None
    hold: Annotated[Holds | None, Meta(description="See the rule's.")] = None


class Scenario(Sections, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """A scenario file."""

    settings: Annotated[Settings, Meta(description="What holds for the whole server.")] = Settings()
    defaults: Annotated[
        Defaults, Meta(description="What the rules of this file have where they say nothing else.")
    ] = Defaults()
    include: Annotated[
        str | tuple[str, ...], Meta(description="Files to read before this one's rules.")
    ] = ()
    rules: Annotated[
        tuple[Rule, ...], Meta(description="The first whose conditions all hold answers.")
    ] = ()
