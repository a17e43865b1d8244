"""A reply as events, token by token, within what the prompt allows.

Pure: bounds (``max_tokens``), stop sequences, choices in turn, log probabilities and usage are
settled here, before time is known. Texts are cut into tokens at once, equal ones once; events are
made as they are drawn, and must never be gathered.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import islice, takewhile

from msgspec import Struct, structs

from fakellm.interfaces import ITokenizer
from fakellm.model.content import (
    HostedCall,
    Reasoning,
    Refusal,
    SaidPart,
    Speech,
    Text,
    ToolCall,
)
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    Failed,
    PartBegin,
    PartEnd,
    Token,
)
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Choice, Chunks, FinishReason, Reply, Usage, UsageOverride
from fakellm.timing.chunks import cut, without
from fakellm.timing.counting import prompt_tokens
from fakellm.timing.logprobs import logprob_of

FILLED_UP_TO = 131_072
"""Tokens that a reply is made up to, however many are asked for: a model's context, about."""

_FILLER = "and so on"

_Split = Callable[[str], tuple[str, ...]]


class _Piece(Struct, frozen=True):
    """A part as it will be said: cut, and in tokens; ``hidden`` of them are not shown."""

    content: SaidPart
    tokens: tuple[str, ...]
    hidden: int = 0


class _Plan(Struct, frozen=True):
    """A choice as it will be said."""

    pieces: tuple[_Piece, ...]
    finish_reason: FinishReason
    stop: str | None
    chunks: Chunks = "token"


class Unfolded(Struct, frozen=True, kw_only=True):
    """A reply as events, and what its pace depends on.

    ``prompt_tokens`` is what the client is told; ``tokens`` are those of the longest choice, the
    hidden ones too; ``usage`` is what its end tells.
    """

    events: Iterator[Event]
    prompt_tokens: int
    tokens: int
    usage: Usage


def unfold(prompt: Prompt, reply: Reply, tokenizer: ITokenizer) -> Unfolded:
    """A reply to a prompt as events; choices take turns, a token each.

    All that can go wrong goes wrong here, and not as the events are drawn.

    Args:
        prompt: bounds the reply with ``max_tokens``, ``min_tokens`` and ``stop``, and wants
            ``logprobs`` of it.
        reply: what is said, all of it.
        tokenizer: cuts it, and counts the prompt.
    """
    split = cache(tokenizer.split)  # choices often say the same
    plans = [_plan(prompt, choice, split) for choice in reply.choices]
    counted = _usage(prompt, plans, prompt_tokens(prompt, tokenizer), split)
    usage = _reported(counted, reply.usage)
    return Unfolded(
        events=_events(prompt, reply, plans, usage),
        prompt_tokens=usage.prompt,
        tokens=max(map(_size, plans), default=0),
        usage=usage,
    )


def _size(plan: _Plan) -> int:
    return sum(len(piece.tokens) + piece.hidden for piece in plan.pieces)


def _events(prompt: Prompt, reply: Reply, plans: list[_Plan], usage: Usage) -> Iterator[Event]:
    yield Begin(
        model=reply.model,
        prompt_tokens=usage.prompt,
        cached_tokens=usage.cached,
        id=reply.id,
        headers=reply.headers,
        system_fingerprint=reply.system_fingerprint,
    )
    running = [
        _choice(prompt, index, plan, ends=reply.failure is None) for index, plan in enumerate(plans)
    ]
    if len(running) == 1:
        yield from running[0]
    else:
        yield from _in_turn(running)
    yield End(usage=usage) if reply.failure is None else Failed(failure=reply.failure)


def _in_turn(running: list[Iterator[Event]]) -> Iterator[Event]:
    """An event of each in turn, until all have ended."""
    while running:
        still = []
        for events in running:
            event = next(events, None)
            if event is not None:
                yield event
                still.append(events)
        running = still


def _choice(prompt: Prompt, index: int, plan: _Plan, *, ends: bool) -> Iterator[Event]:
    yield ChoiceBegin(choice=index, parts=tuple(piece.content for piece in plan.pieces))
    final = len(plan.pieces) - 1 if ends else -1
    position = 0
    chunks = plan.chunks
    for number, piece in enumerate(plan.pieces):
        yield PartBegin(choice=index, part=number, content=piece.content)
        tokens = piece.tokens
        reason = plan.finish_reason if number == final else None
        if piece.hidden:
            yield Token(index, number, "", piece.hidden, None, None if tokens else reason)
        if prompt.logprobs is not None and isinstance(piece.content, Text | Refusal):
            # log probabilities are of tokens, so that is how the text is cut
            scored = _scored(index, number, tokens, position, prompt.logprobs)
            yield from _with_last(scored, reason)
            position += len(tokens)
        elif chunks == "token" or _is_thought(piece, chunks):
            before_last = len(tokens) if reason is None else max(len(tokens) - 1, 0)
            for text in islice(tokens, before_last):
                yield Token(index, number, text)
            for text in tokens[before_last:]:
                yield Token(index, number, text, 1, None, reason)
        else:
            said = (Token(index, number, text, ended) for text, ended in cut(tokens, chunks))
            yield from _with_last(said, reason)
            if isinstance(chunks, tuple):
                chunks = without(chunks, sum(map(len, tokens)))
        yield PartEnd(choice=index, part=number)
    if ends:
        yield ChoiceEnd(choice=index, finish_reason=plan.finish_reason, stop=plan.stop)


def _scored(
    index: int, number: int, tokens: tuple[str, ...], position: int, top: int
) -> Iterator[Token]:
    for at, text in enumerate(tokens, position):
        yield Token(index, number, text, 1, logprob_of(text, at, top))


def _with_last(tokens: Iterator[Token], reason: FinishReason | None) -> Iterator[Token]:
    """The same, of which the last tells the reason, if there is one."""
    held = next(tokens, None)
    while held is not None:
        after = next(tokens, None)
        if after is None and reason is not None:
            held = structs.replace(held, last=reason)
        yield held
        held = after


def _is_thought(piece: _Piece, chunks: Chunks) -> bool:
    """Whether exact pieces do not go for it: they are those of what is said."""
    return isinstance(chunks, tuple) and isinstance(piece.content, Reasoning)


def _plan(prompt: Prompt, choice: Choice, split: _Split) -> _Plan:
    return structs.replace(_cut(prompt, choice, split), chunks=choice.chunks)


def _cut(prompt: Prompt, choice: Choice, split: _Split) -> _Plan:
    pieces: list[_Piece] = []
    left = prompt.max_tokens
    said = 0
    for part in choice.parts:
        words = _words(part)
        text, stop = _until_stop(words, prompt.stop if _is_stoppable(part) else ())
        tokens = split(text)
        if stop is not None and said + len(tokens) < prompt.min_tokens:
            stop, tokens = None, split(words)  # a model that has to go on does not stop there
        said += len(tokens)
        if left is not None:
            if len(tokens) > left:
                if left or not pieces:  # a part that nothing is left for is not begun
                    pieces.append(_Piece(part, tokens[:left]))
                return _Plan(_with_hidden(pieces, 0), "length", None)
            left -= len(tokens)
        pieces.append(_Piece(part, tokens))
        if stop is not None:
            return _Plan(_with_hidden(pieces, left), "stop", stop)
    reason = choice.finish_reason or _natural_reason(choice)
    lacking = min(prompt.min_tokens, FILLED_UP_TO) - said
    if prompt.min_tokens and _is_filled(pieces, lacking, split):
        if left is not None:
            left -= max(lacking, 0)
        reason = "length" if left == 0 else reason
    return _Plan(_with_hidden(pieces, left), reason, None)


def _is_filled(pieces: list[_Piece], lacking: int, split: _Split) -> bool:
    """Have a text go on for as many tokens as it is ``lacking``; whether there is one to do so.

    It says its own words again, as nothing else is sure to be what was wanted.
    """
    last = pieces[-1] if pieces else _Piece(Text(text=""), ())
    if not _is_stoppable(last.content):
        return False  # the arguments of a call cannot go on
    if lacking > 0:
        again = split(f" {''.join(last.tokens).strip() or _FILLER}")
        filled = (again * (lacking // len(again) + 1))[:lacking]
        pieces[-1:] = [_Piece(last.content, last.tokens + filled)]
    return True


def _with_hidden(pieces: list[_Piece], left: int | None) -> tuple[_Piece, ...]:
    """Hidden reasoning gets what the bound leaves, so that it never starves the answer."""
    planned = []
    for piece in pieces:
        hidden = piece.content.tokens if isinstance(piece.content, Reasoning) else 0
        if left is not None:
            hidden = min(hidden, left)
            left -= hidden
        planned.append(_Piece(piece.content, piece.tokens, hidden) if hidden else piece)
    return tuple(planned)


def _words(part: SaidPart) -> str:
    match part:
        case ToolCall(arguments=arguments):
            return arguments
        case Speech(transcript=transcript):
            return transcript
        case HostedCall():
            return ""
    return part.text


def _is_stoppable(part: SaidPart) -> bool:
    return isinstance(part, Text | Refusal)


def _until_stop(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    """A text up to the first stop sequence, which is not said itself.

    The first is the one that is complete first, as a model stops when it has just said one; of
    those that end together, the longest.
    """
    found = [(at + len(stop), at, stop) for stop in stops if (at := text.find(stop)) >= 0]
    if not found:
        return text, None
    _, at, stop = min(found)
    return text[:at], stop


def _natural_reason(choice: Choice) -> FinishReason:
    return "tool_calls" if any(isinstance(p, ToolCall) for p in choice.parts) else "stop"


def _usage(prompt: Prompt, plans: list[_Plan], counted: int, split: _Split) -> Usage:
    completion = reasoning = audio = 0
    for plan in plans:
        for piece in plan.pieces:
            size = len(piece.tokens) + piece.hidden
            completion += size
            if isinstance(piece.content, Reasoning):
                reasoning += size
            elif isinstance(piece.content, Speech):
                audio += size
    accepted, rejected = _prediction(prompt, plans, split)
    return Usage(
        prompt=counted,
        # rejected tokens are billed as if said (OpenAI's reference: completion_tokens_details)
        completion=completion + rejected,
        reasoning=reasoning,
        audio=audio,
        prediction_accepted=accepted,
        prediction_rejected=rejected,
    )


def _reported(usage: Usage, override: UsageOverride | None) -> Usage:
    """The usage that is told, which a reply may have its own idea of."""
    if override is None:
        return usage
    told = {name: value for name, value in structs.asdict(override).items() if value is not None}
    return structs.replace(usage, **told)


def _prediction(prompt: Prompt, plans: list[_Plan], split: _Split) -> tuple[int, int]:
    """How many predicted tokens the first choice says, before or after what it changes."""
    if prompt.prediction is None:
        return 0, 0
    predicted = split(prompt.prediction)
    pieces = plans[0].pieces
    said = [token for p in pieces if isinstance(p.content, Text) for token in p.tokens]
    before = _alike(said, predicted)
    after = _alike(reversed(said), reversed(predicted[before:]))
    accepted = min(before + after, len(said))
    return accepted, len(predicted) - accepted


def _alike(one: Iterable[str], other: Iterable[str]) -> int:
    """How many tokens two texts have in common before they differ."""
    pairs = zip(one, other, strict=False)
    return sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
