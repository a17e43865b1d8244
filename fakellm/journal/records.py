"""What the journal tells of a request: values for JSON, made when somebody asks for them.

Times are seconds; those of a delivery count from the request's arrival. No secret may be in here:
whoever makes these records masks it (`fakellm.journal.masking`).
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct

Ended = Literal["finished", "client_left", "reset", "closed", "aborted"]
"""Who ended an answer.

``finished``: the server, properly. ``client_left``: the client, before that. ``reset`` and
``closed``: a fault, with RST or FIN. ``aborted``: whoever opened its gate, or stopped the server.
"""

EventKind = Literal["received", "struck", "held", "let_go", "ended"]
"""What happens to a request.

``received``: it has been understood, or never will be. ``struck``: a fault strikes its answer.
``held``: its answer waits at a gate. ``let_go``: it goes on, for good or for some chunks.
``ended``: its answer has.
"""

PartRecord = Mapping[str, Any]
"""A part of a message or an answer, with its ``type``.

Types and their fields: ``text`` and ``refusal`` (``text``), ``reasoning`` (``text``, ``tokens``),
``tool_call`` (``id``, ``name``, ``arguments``, ``kind``), ``tool_result`` (``call_id``, ``name``,
``content``, ``is_error``), ``image`` (``url``, ``detail``), ``audio`` (``data``, ``format``),
``file`` (``name``, ``data``, ``id``), ``speech`` (``transcript``), ``hosted_call`` (``kind``,
``fields``).
"""


class MessageRecord(Struct, frozen=True, kw_only=True):
    """A message; ``text`` is that of its text parts, joined."""

    role: str
    text: str
    parts: tuple[PartRecord, ...] = ()
    name: str | None = None


class PromptRecord(Struct, frozen=True, kw_only=True):
    """What was asked, in words that no vendor owns; ``tools`` are the names of those on offer."""

    messages: tuple[MessageRecord, ...]
    tools: tuple[str, ...] = ()
    tool_choice: str = "auto"
    response_format: str = "text"
    n: int = 1
    max_tokens: int | None = None
    stop: tuple[str, ...] = ()
    seed: int | None = None
    reasoning_effort: str | None = None


class RuleRecord(Struct, frozen=True, kw_only=True):
    """The rule that answered, and why: the conditions that held."""

    title: str
    id: str = ""
    why: tuple[str, ...] = ()
    written: bool = True


class ChoiceRecord(Struct, frozen=True, kw_only=True):
    """An answer as it was said: within the prompt's bounds, before any fault."""

    text: str
    finish_reason: str
    parts: tuple[PartRecord, ...] = ()


class ErrorRecord(Struct, frozen=True, kw_only=True):
    """An error; what is ``None`` was worded by the dialect."""

    status: int
    message: str | None = None
    type: str | None = None
    code: str | None = None
    param: str | None = None


class AnswerRecord(Struct, frozen=True, kw_only=True):
    """What was answered: choices, an error, or choices that broke off with one."""

    model: str | None = None
    choices: tuple[ChoiceRecord, ...] = ()
    error: ErrorRecord | None = None


class UsageRecord(Struct, frozen=True, kw_only=True):
    """Tokens, as the client was told; see `fakellm.model.reply.Usage`."""

    prompt: int
    completion: int
    cached: int = 0
    reasoning: int = 0
    total: int = 0


class WriteRecord(Struct, frozen=True, kw_only=True):
    """A write: when it was due, when it was done, and its bytes."""

    planned: float
    at: float
    size: int


class DeliveryRecord(Struct, frozen=True, kw_only=True):
    """How an answer went out; times are seconds since the request arrived.

    Attributes:
        head: when the head was sent.
        first_token: when a stream's first token was.
        last_byte: when the last byte of the body was.
        duration: until it ended.
        ended: who ended it; ``None`` while it goes on.
        chunks: pieces of the body that were sent; a stream has one for each event.
        bytes: of the body.
        late: the greatest lateness of a write.
        queued: seconds in the queue for a slot.
        writes: the first of them, in order; chunks that are due together share one.
        more_writes: how many more there were.
    """

    head: float | None = None
    first_token: float | None = None
    last_byte: float | None = None
    duration: float | None = None
    ended: Ended | None = None
    chunks: int = 0
    bytes: int = 0
    late: float = 0.0
    queued: float = 0.0
    writes: tuple[WriteRecord, ...] = ()
    more_writes: int = 0


class JournalEntry(Struct, frozen=True, kw_only=True):
    """A request and what became of it.

    Attributes:
        id: the one that the client is told in the answer's head (``x-request-id`` and its like).
        number: counts the server's requests, from 1.
        at: when it came: seconds since the Unix epoch, on the server's clock.
        session: it belongs to.
        client: address and port it came from; empty where there is none.
        method: of HTTP.
        path: without the query.
        query: its parameters; keys are masked.
        headers: by lower-case name; credentials are masked.
        body: the beginning of the body, as text.
        body_bytes: bytes of the whole body.
        dialect: the vendor's wire format.
        endpoint: such as ``chat.completions``; empty where no prompt was understood.
        model: asked for; empty as well.
        stream: whether a stream was asked for.
        attempt: at this conversation, from 1, where any rule or fault counts them.
        prompt: what was asked; ``None`` where that was not understood.
        rule: that answered, if one did.
        faults: those that struck, in order.
        status: that was sent; ``None`` before the head.
        answer: what was decided; ``None`` while that is not.
        usage: tokens of an answer.
        delivery: how it went out.
    """

    id: str
    number: int
    at: float
    session: str
    client: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: str
    body_bytes: int
    dialect: str
    endpoint: str
    model: str
    stream: bool
    attempt: int = 1
    prompt: PromptRecord | None = None
    rule: RuleRecord | None = None
    faults: tuple[str, ...] = ()
    status: int | None = None
    answer: AnswerRecord | None = None
    usage: UsageRecord | None = None
    delivery: DeliveryRecord = DeliveryRecord()


class NearMiss(Struct, frozen=True, kw_only=True):
    """A request that a match does not fit.

    ``held`` conditions of it do; the first that does not, in words: its ``name``, what it
    ``expected``, and what was ``found``.
    """

    entry: JournalEntry
    held: int
    name: str
    expected: str
    found: str


class JournalEvent(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Something has happened to a request, which is told as it is by then.

    ``fault`` is the one that has ``struck``; ``gate`` is where an answer is ``held``, or was
    ``let_go``.
    """

    kind: EventKind
    entry: JournalEntry
    fault: str | None = None
    gate: str | None = None


class Figures(Struct, frozen=True, kw_only=True):
    """How full the journal is.

    ``dropped`` entries made room for others; ``unwritten`` ones never came to the file.
    """

    entries: int
    bytes: int
    dropped: int
    unwritten: int


class Snapshot(Struct, frozen=True, kw_only=True):
    """A request with all that changes from run to run masked, for golden files.

    Ids are numbered in the order in which they come up (``<id 1>``), times and keys are masked.
    ``headers`` are those that say something about the request and not about its client.
    """

    session: str
    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    dialect: str
    endpoint: str
    model: str
    stream: bool
    body: Any
    rule: str | None = None
    faults: tuple[str, ...] = ()
    status: int | None = None
    answer: AnswerRecord | None = None
    usage: UsageRecord | None = None
