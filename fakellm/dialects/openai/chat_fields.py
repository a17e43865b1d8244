"""The objects inside chat completion answers, streamed or whole.

Source: ``CreateChatCompletionResponse`` and ``CreateChatCompletionStreamResponse`` of OpenAI's
published schema; the order of fields is the API's own.
"""

import base64
from typing import Any

from fakellm.dialects.openai.chat_request import ChatRequest
from fakellm.model.content import Refusal, SaidPart, ToolCall
from fakellm.model.events import Logprob
from fakellm.model.reply import FinishReason, Usage

SPEECH_LASTS_SECONDS = 3600
"""For how long after an answer its speech can be referred to by its id."""

_TIERS = {"flex": "flex", "scale": "scale", "priority": "priority", "fast": "priority"}


def service_tier(request: ChatRequest) -> str:
    """The tier an answer says it was served at: never ``auto``, and ``fast`` is ``priority``."""
    return _TIERS.get(request.service_tier or "auto", "default")


def usage_object(usage: Usage) -> dict[str, Any]:
    """``CompletionUsage``, with all details."""
    return {
        "prompt_tokens": usage.prompt,
        "completion_tokens": usage.completion,
        "total_tokens": usage.prompt + usage.completion,
        "prompt_tokens_details": {"cached_tokens": usage.cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": usage.reasoning,
            "audio_tokens": usage.audio,
            "accepted_prediction_tokens": usage.prediction_accepted,
            "rejected_prediction_tokens": usage.prediction_rejected,
        },
    }


def logprob_entry(text: str, logprob: Logprob) -> dict[str, Any]:
    """``ChatCompletionTokenLogprob``."""
    return {
        **_likelihood(text, logprob.value),
        "top_logprobs": [_likelihood(other, value) for other, value in logprob.top],
    }


def _likelihood(text: str, value: float) -> dict[str, Any]:
    return {
        "token": text,
        "logprob": value,
        "bytes": list(text.encode("utf-8", "surrogatepass")),
    }


def logprobs_kind(content: SaidPart) -> str:
    """Which list of the ``logprobs`` of a choice the tokens of a part are in."""
    return "refusal" if isinstance(content, Refusal) else "content"


def tool_call_object(call: ToolCall, call_id: str, arguments: str) -> dict[str, Any]:
    """``ChatCompletionMessageToolCall`` or its custom form."""
    if call.kind == "custom":
        return {
            "id": call_id,
            "type": "custom",
            "custom": {"name": call.name, "input": arguments},
        }
    return {
        "id": call_id,
        "type": "function",
        "function": {"name": call.name, "arguments": arguments},
    }


def wire_finish_reason(reason: FinishReason, request: ChatRequest) -> str:
    """``function_call`` stands for ``tool_calls`` where the deprecated functions were offered."""
    return "function_call" if reason == "tool_calls" and request.functions else reason


def sound_data(sound: bytes) -> str:
    """Sound as base64."""
    return base64.b64encode(sound).decode("ascii")
