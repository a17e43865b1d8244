"""A reply as events, token by token, within what the prompt allows.

Pure and lazy: bounds (``max_tokens``), stop sequences, choices in turn, log probabilities and usage
are settled here, before time is known.
"""

from collections.abc import Iterator

from msgspec import Struct

from fakellm.model.content import Reasoning, Refusal, SaidPart, Speech, Text, ToolCall
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    PartBegin,
    PartEnd,
    Token,
)
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Choice, FinishReason, Reply, Usage
from fakellm.timing.counting import prompt_tokens
from fakellm.timing.logprobs import logprob_of
from fakellm.timing.tokens import ITokenizer


class _Piece(Struct, frozen=True):
    """A part as it will be said: cut, and in tokens."""

    content: SaidPart
    tokens: tuple[str, ...]
    hidden: int = 0


class _Plan(Struct, frozen=True):
    """A choice as it will be said."""

    pieces: tuple[_Piece, ...]
    finish_reason: FinishReason
    stop: str | None


def unfold(prompt: Prompt, reply: Reply, tokenizer: ITokenizer) -> Iterator[Event]:
    """The events of a reply to a prompt; choices take turns, a token each."""
    plans = [_plan(prompt, choice, tokenizer) for choice in reply.choices]
    counted = prompt_tokens(prompt, tokenizer)
    yield Begin(model=reply.model, prompt_tokens=counted)
    running = [_choice(prompt, index, plan) for index, plan in enumerate(plans)]
    if len(running) == 1:
        yield from running[0]
    else:
        yield from _in_turn(running)
    yield End(usage=_usage(prompt, plans, counted, tokenizer))


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


def _choice(prompt: Prompt, index: int, plan: _Plan) -> Iterator[Event]:
    yield ChoiceBegin(choice=index, parts=tuple(piece.content for piece in plan.pieces))
    position = 0
    for number, piece in enumerate(plan.pieces):
        yield PartBegin(choice=index, part=number, content=piece.content)
        if piece.hidden:
            yield Token(index, number, "", piece.hidden)
        scored = prompt.logprobs is not None and isinstance(piece.content, Text | Refusal)
        for text in piece.tokens:
            if scored:
                logprob = logprob_of(text, position, prompt.logprobs or 0)
                yield Token(index, number, text, 1, logprob)
            else:
                yield Token(index, number, text)
            position += 1
        yield PartEnd(choice=index, part=number)
    yield ChoiceEnd(choice=index, finish_reason=plan.finish_reason, stop=plan.stop)


def _plan(prompt: Prompt, choice: Choice, tokenizer: ITokenizer) -> _Plan:
    pieces: list[_Piece] = []
    left = prompt.max_tokens
    for part in choice.parts:
        text, stop = _until_stop(part, prompt.stop)
        piece = _Piece(part, tokenizer.split(text))
        if left is not None and len(piece.tokens) > left:
            if left or not pieces:  # a part that nothing is left for is not begun
                pieces.append(_Piece(part, piece.tokens[:left]))
            return _Plan(_with_hidden(pieces, 0), "length", None)
        pieces.append(piece)
        if stop is not None:
            return _Plan(_with_hidden(pieces, left), "stop", stop)
        if left is not None:
            left -= len(piece.tokens)
    reason = choice.finish_reason or _natural_reason(choice)
    return _Plan(_with_hidden(pieces, left), reason, None)


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


def _until_stop(part: SaidPart, stops: tuple[str, ...]) -> tuple[str, str | None]:
    """The words of a part up to the first stop sequence, which is not said itself."""
    match part:
        case ToolCall(arguments=arguments):
            return arguments, None
        case Speech(transcript=transcript):
            return transcript, None
        case Text(text=text):
            found = [(at, stop) for stop in stops if (at := text.find(stop)) >= 0]
            if found:
                at, stop = min(found)
                return text[:at], stop
            return text, None
    return part.text, None


def _natural_reason(choice: Choice) -> FinishReason:
    return "tool_calls" if any(isinstance(p, ToolCall) for p in choice.parts) else "stop"


def _usage(prompt: Prompt, plans: list[_Plan], counted: int, tokenizer: ITokenizer) -> Usage:
    completion = reasoning = audio = 0
    for plan in plans:
        for piece in plan.pieces:
            size = len(piece.tokens) + piece.hidden
            completion += size
            if isinstance(piece.content, Reasoning):
                reasoning += size
            elif isinstance(piece.content, Speech):
                audio += size
    accepted, rejected = _prediction(prompt, plans, tokenizer)
    return Usage(
        prompt=counted,
        # predicted tokens that did not come are paid for all the same
        completion=completion + rejected,
        reasoning=reasoning,
        audio=audio,
        prediction_accepted=accepted,
        prediction_rejected=rejected,
    )


def _prediction(prompt: Prompt, plans: list[_Plan], tokenizer: ITokenizer) -> tuple[int, int]:
    """How many predicted tokens begin the first choice's text, and how many do not."""
    if prompt.prediction is None:
        return 0, 0
    predicted = tokenizer.split(prompt.prediction)
    texts = (piece.tokens for piece in plans[0].pieces if isinstance(piece.content, Text))
    accepted = 0
    for mine, theirs in zip(next(texts, ()), predicted, strict=False):
        if mine != theirs:
            break
        accepted += 1
    return accepted, len(predicted) - accepted
