"""From what is kept of a request to the record that is told; only when somebody asks."""

from collections.abc import Mapping
from typing import Any

import msgspec

from fakellm.interfaces import ITokenizer
from fakellm.journal.masking import masked_headers, masked_query
from fakellm.journal.noted import Noted
from fakellm.journal.records import (
    AnswerRecord,
    ChoiceRecord,
    ErrorRecord,
    JournalEntry,
    MessageRecord,
    PartRecord,
    PromptRecord,
    RuleRecord,
    UsageRecord,
)
from fakellm.model.content import (
    Audio,
    File,
    HostedCall,
    Image,
    Part,
    Reasoning,
    Refusal,
    Speech,
    Text,
    ToolCall,
    ToolResult,
)
from fakellm.model.events import ChoiceBegin, ChoiceEnd, PartBegin, Token
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Failure, Reply, Usage
from fakellm.scenarios.book import Decision
from fakellm.timing.unfold import unfold

_TYPES: Mapping[type, str] = {
    Text: "text",
    Image: "image",
    Audio: "audio",
    File: "file",
    Refusal: "refusal",
    Reasoning: "reasoning",
    ToolCall: "tool_call",
    ToolResult: "tool_result",
    Speech: "speech",
    HostedCall: "hosted_call",
}
_WORDS: Mapping[type, str] = {ToolCall: "arguments", Speech: "transcript"}
"""Which field of a part its tokens make up, where it is not ``text``."""


def entry_of(noted: Noted, tokenizer: ITokenizer) -> JournalEntry:
    """The record of a request."""
    received, prompt = noted.received, noted.prompt
    return JournalEntry(
        id=noted.id,
        number=noted.number,
        at=round(noted.at, 6),
        session=noted.session,
        client=received.client,
        method=received.method,
        path=received.path,
        query=masked_query(received.query),
        headers=masked_headers(received.headers),
        body=received.body.decode("utf-8", "replace"),
        body_bytes=noted.body_bytes,
        dialect=noted.dialect,
        endpoint="" if prompt is None else prompt.endpoint,
        model="" if prompt is None else prompt.model,
        stream=prompt is not None and prompt.stream,
        attempt=1 if noted.decision is None else noted.decision.attempt,
        prompt=None if prompt is None else _prompt(prompt),
        rule=None if noted.decision is None else _rule(noted.decision),
        faults=tuple(noted.faults or ()),
        status=noted.delivery.status,
        answer=answer_of(noted, tokenizer),
        usage=None if noted.usage is None else _usage(noted.usage),
        delivery=noted.delivery.told(),
    )


def answer_of(noted: Noted, tokenizer: ITokenizer) -> AnswerRecord | None:
    """What was answered: said once more, as saying it is the same each time."""
    match noted.answer:
        case Failure() as failure:
            return AnswerRecord(error=_error(failure))
        case Reply() as reply if noted.prompt is not None:
            error = None if reply.failure is None else _error(reply.failure)
            choices = _choices(noted.prompt, reply, tokenizer)
            return AnswerRecord(model=reply.model, choices=choices, error=error)
    return None


def _choices(prompt: Prompt, reply: Reply, tokenizer: ITokenizer) -> tuple[ChoiceRecord, ...]:
    contents: dict[int, list[Any]] = {}
    texts: dict[tuple[int, int], list[str]] = {}
    reasons: dict[int, str] = {}
    for event in unfold(prompt, reply, tokenizer).events:
        match event:
            case Token():
                texts[event.choice, event.part].append(event.text)
            case ChoiceBegin():
                contents[event.choice] = []
            case PartBegin():
                contents[event.choice].append(event.content)
                texts[event.choice, event.part] = []
            case ChoiceEnd():
                reasons[event.choice] = event.finish_reason
    return tuple(
        _choice(
            [_said(content, "".join(texts[choice, part])) for part, content in enumerate(parts)],
            reasons.get(choice, ""),
        )
        for choice, parts in contents.items()
    )


def _choice(parts: list[PartRecord], finish_reason: str) -> ChoiceRecord:
    text = "".join(part["text"] for part in parts if part["type"] in {"text", "refusal"})
    return ChoiceRecord(text=text, finish_reason=finish_reason, parts=tuple(parts))


def _said(content: Any, words: str) -> PartRecord:
    part = _part(content)
    if not isinstance(content, HostedCall):
        part[_WORDS.get(type(content), "text")] = words
    return part


def _part(part: Part) -> dict[str, Any]:
    fields = msgspec.to_builtins(part, builtin_types=(bytes,))
    return {"type": _TYPES[type(part)], **fields}


def _prompt(prompt: Prompt) -> PromptRecord:
    return PromptRecord(
        messages=tuple(
            MessageRecord(
                role=message.role,
                text=message.text,
                parts=tuple(map(_part, message.parts)),
                name=message.name,
            )
            for message in prompt.messages
        ),
        tools=tuple(tool.name for tool in prompt.tools),
        tool_choice=prompt.tool_choice.mode,
        response_format=prompt.format.kind,
        n=prompt.n,
        max_tokens=prompt.max_tokens,
        stop=prompt.stop,
        seed=prompt.seed,
        reasoning_effort=prompt.reasoning_effort,
    )


def _rule(decision: Decision) -> RuleRecord | None:
    rule = decision.by
    if rule is None:
        return None
    return RuleRecord(title=rule.title, id=rule.id, why=rule.matcher.words, written=rule.written)


def _error(failure: Failure) -> ErrorRecord:
    return ErrorRecord(
        status=failure.status,
        message=failure.message,
        type=failure.type,
        code=failure.code,
        param=failure.param,
    )


def _usage(usage: Usage) -> UsageRecord:
    return UsageRecord(
        prompt=usage.prompt,
        completion=usage.completion,
        cached=usage.cached,
        reasoning=usage.reasoning,
        total=usage.prompt + usage.completion,
    )
