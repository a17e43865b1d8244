"""The objects inside messages, streamed or whole.

Source: ``Message`` and the blocks of Anthropic's Python SDK; the order of fields is the API's own.
What it shows of thinking follows from the request's ``thinking``: a text that is shown is a
thinking block with a signature, or, where the client wants it ``omitted``, one without text. Hidden
tokens are in the usage only, unless thinking was asked for: then they are such a block without text
or, where the client wants to see it ``summarized``, a redacted one.
A refusal is text, and the reason why the message ends.
"""

import base64
from typing import Any, Literal

from fakellm.dialects.anthropic import request as wire
from fakellm.model.content import Reasoning, SaidPart, ToolCall
from fakellm.model.events import ChoiceEnd
from fakellm.model.reply import Usage
from fakellm.model.stamp import Stamp

Shape = Literal["text", "thinking", "omitted", "redacted", "tool_use"]
_SIGNATURE_BYTES = 120


def shape(content: SaidPart, request: wire.MessagesRequest) -> Shape | None:
    """What sort of block a part is; ``None`` where it is none."""
    if request.max_tokens == 0:
        return None  # the cache is filled, and nothing said
    match content:
        case ToolCall():
            return "tool_use"
        case Reasoning(text=text, tokens=tokens):
            return _thought(text, tokens, request)
    return "text"


def _thought(text: str, tokens: int, request: wire.MessagesRequest) -> Shape | None:
    thinking = request.thinking
    if isinstance(thinking, wire.DisabledThinking) or not (text or tokens):
        return None
    display = getattr(thinking, "display", None)
    if text:
        return "omitted" if display == "omitted" else "thinking"
    if thinking is None:
        return None
    return "redacted" if display == "summarized" else "omitted"


def new_block(kind: Shape, content: SaidPart, stamp: Stamp, index: int) -> dict[str, Any]:
    """A block of which nothing was said yet."""
    if isinstance(content, ToolCall):
        return {
            "type": "tool_use",
            "id": content.id or stamp.unique("toolu_01", 22),
            "name": content.name,
            "input": {},
            "caller": {"type": "direct"},
        }
    if kind == "text":
        return {"type": "text", "text": ""}
    if kind == "redacted":
        return {"type": "redacted_thinking", "data": signature(stamp, index)}
    return {"type": "thinking", "thinking": "", "signature": ""}


def signature(stamp: Stamp, index: int) -> str:
    """What proves that the model thought so: bytes that only the API can read."""
    noise = stamp.chance(f"signature {index}").randbytes(_SIGNATURE_BYTES)
    return base64.b64encode(noise).decode("ascii")


def message_id(stamp: Stamp) -> str:
    """A new id of a message."""
    return stamp.unique("msg_01", 22)


def usage_object(usage: Usage, request: wire.MessagesRequest) -> dict[str, Any]:
    """``Usage``, as a whole message has it."""
    given: dict[str, Any] = {
        **_input(usage),
        "cache_creation": {"ephemeral_5m_input_tokens": 0, "ephemeral_1h_input_tokens": 0},
        **_output(usage),
        "service_tier": "standard",
        "inference_geo": request.inference_geo or "global",
    }
    if request.speed is not None:
        given["speed"] = request.speed
    return given


def delta_usage_object(usage: Usage) -> dict[str, Any]:
    """``MessageDeltaUsage``: the totals at the end of a stream."""
    return {**_input(usage), **_output(usage)}


def _input(usage: Usage) -> dict[str, Any]:
    return {
        "input_tokens": max(usage.prompt - usage.cached, 0),
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": usage.cached,
    }


def _output(usage: Usage) -> dict[str, Any]:
    return {
        "output_tokens": usage.completion,
        "output_tokens_details": {"thinking_tokens": min(usage.reasoning, usage.completion)},
    }


def stop_fields(end: ChoiceEnd, refusal: str | None) -> dict[str, Any]:
    """Why a message ends; ``refusal`` are the words of refusing, if there were any."""
    reason, details = "end_turn", None
    if end.finish_reason == "length":
        reason = "max_tokens"
    elif end.stop is not None:
        reason = "stop_sequence"
    elif end.finish_reason == "content_filter" or refusal is not None:
        reason = "refusal"
        details = {"type": "refusal", "category": None, "explanation": refusal or None}
    elif end.finish_reason == "tool_calls":
        reason = "tool_use"
    return {
        "stop_reason": reason,
        "stop_sequence": end.stop,
        "stop_details": details,
    }


def message_object(
    *,
    id_: str,
    model: str,
    content: list[dict[str, Any]],
    stop: dict[str, Any],
    usage: dict[str, Any],
    request: wire.MessagesRequest,
) -> dict[str, Any]:
    """``Message``."""
    message = {
        "id": id_,
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": content,
        **stop,
        "usage": usage,
    }
    if request.diagnostics is not None:
        message["diagnostics"] = None
    return message


OPEN_STOP = {"stop_reason": None, "stop_sequence": None, "stop_details": None}
"""The reason for the end of a message that has not ended."""
