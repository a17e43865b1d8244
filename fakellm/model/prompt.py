"""What a client asks, in words that no vendor owns.

Values that are never in a circle are kept from the garbage collector (``gc=False``), as a journal
has thousands of them.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct, field

from fakellm.model.content import Part, Text, ToolResult

Role = Literal["system", "developer", "user", "assistant", "tool"]


class Received(Struct, frozen=True, kw_only=True, gc=False):
    """A request as it came in.

    ``headers`` has lower-case names; values of a repeated header are joined with ``", "``.
    ``query`` keeps the last value of a repeated name. ``scheme`` is ``http`` or ``https``.
    ``client`` is the address and the port it came from, where there are such.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    scheme: str = "http"
    client: str = ""


class Message(Struct, frozen=True, kw_only=True, gc=False):
    """One turn of a conversation."""

    role: Role
    parts: tuple[Part, ...]
    name: str | None = None

    @property
    def text(self) -> str:
        """The text parts, joined."""
        parts = self.parts
        if len(parts) == 1 and type(parts[0]) is Text:  # as most are
            return parts[0].text
        return "".join(part.text for part in self.parts if isinstance(part, Text))

    @property
    def sole_text(self) -> str | None:
        """The only text part, or the only tool result; ``None`` where there are more or none."""
        if len(self.parts) == 1 and type(self.parts[0]) is Text:  # as most are
            return self.parts[0].text
        texts = [part.text for part in self.parts if isinstance(part, Text)]
        texts += [part.content for part in self.parts if isinstance(part, ToolResult)]
        return texts[0] if len(texts) == 1 else None


class Tool(Struct, frozen=True, kw_only=True):
    """A tool that the model may call; ``parameters`` is the JSON schema of a function."""

    name: str
    kind: Literal["function", "custom"] = "function"
    description: str | None = None
    parameters: Mapping[str, Any] | None = None
    strict: bool = False


class ToolChoice(Struct, frozen=True, kw_only=True):
    """Whether a tool must be called; ``names`` narrows the choice (empty: any tool offered)."""

    mode: Literal["none", "auto", "required"] = "auto"
    names: tuple[str, ...] = ()


class AnswerFormat(Struct, frozen=True, kw_only=True):
    """The shape the answer's text must have."""

    kind: Literal["text", "json_object", "json_schema"] = "text"
    name: str | None = None
    schema: Any = None


class Prompt(Struct, frozen=True, kw_only=True, gc=False):
    """A request, decoded.

    ``max_tokens`` bounds each choice, and ``min_tokens`` is how many it has at least, whatever the
    reply. ``plain`` says that the messages are texts by themselves and not turns, and
    ``given_tokens`` how many tokens they are where the client sent tokens and not words.
    ``logprobs`` is the number of alternatives asked for a token,
    or ``None`` where no log probabilities are. ``spoken`` says that the answer is wanted as sound.
    ``parallel_tool_calls`` is ``None`` where the client leaves it open.
    ``lasting`` says that the answer goes on when its client has gone, and after its ``Finish``.
    ``unknown`` names top-level arguments that the dialect does not know. ``wire`` is the dialect's
    own record of the request; nobody else looks inside. ``form`` is there where the dialect has
    seen another request of it.
    """

    dialect: str
    endpoint: str
    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice = ToolChoice()
    parallel_tool_calls: bool | None = None
    format: AnswerFormat = AnswerFormat()
    n: int = 1
    max_tokens: int | None = None
    min_tokens: int = 0
    plain: bool = False
    given_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    logprobs: int | None = None
    reasoning_effort: str | None = None
    prediction: str | None = None
    spoken: bool = False
    lasting: bool = False
    unknown: tuple[str, ...] = ()
    api_key: str | None = None
    received: Received
    wire: Any = None
    form: "Form | None" = None


class Form(Struct, frozen=True, eq=False):
    """What requests have in common that differ in their messages alone.

    It is one object for all of them, so that what was made for one can be found for the next: a
    dialect that gives its prompts one promises that its encoders look at no messages. ``prompt``
    has none, nor has its ``wire``; what came by HTTP is that of any of them.
    """

    prompt: Prompt
