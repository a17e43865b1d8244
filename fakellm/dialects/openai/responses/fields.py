"""The ``response`` object, streamed or whole, and what is inside it beside the output.

Source: ``Response`` of OpenAI's published schema; the order of fields is the API's own.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from fakellm.dialects.openai.moderation import CATEGORIES
from fakellm.dialects.openai.responses.decode import Asking
from fakellm.dialects.openai.responses.request import ResponsesRequest
from fakellm.model.events import Logprob
from fakellm.model.reply import Failure, FinishReason, Usage

_TIERS = {
    "flex": "flex",
    "scale": "scale",
    "priority": "priority",
    "fast": "priority",
    "ultrafast": "priority",
}
_UNLIKELY = 1e-6


def common_fields(asking: Asking, *, response_id: str, created: int, model: str) -> dict[str, Any]:
    """What a response says from its beginning to its end; the rest is `begun`'s."""
    request = asking.request
    common: dict[str, Any] = {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": bool(request.background),
        "completed_at": None,
        "error": None,
        "incomplete_details": None,
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "max_tool_calls": request.max_tool_calls,
        "model": model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": request.previous_response_id,
        "prompt_cache_key": request.prompt_cache_key,
        "reasoning": _reasoning(request),
        "safety_identifier": request.safety_identifier,
        "service_tier": _TIERS.get(request.service_tier or "auto", "default"),
        "store": asking.stored,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": _text(request),
        "tool_choice": "auto" if request.tool_choice is None else request.tool_choice,
        "tools": tools_echoed(request.tools or ()),
        "top_logprobs": request.top_logprobs or 0,
        "top_p": 1.0 if request.top_p is None else request.top_p,
        "truncation": request.truncation or "disabled",
        "usage": None,
        "user": request.user,
        "metadata": request.metadata or {},
    }
    if asking.conversation is not None:
        common["conversation"] = {"id": asking.conversation}
    if request.prompt is not None:
        common["prompt"] = {"version": None, "variables": None} | msgspec.to_builtins(
            request.prompt
        )
    if request.prompt_cache_retention is not None:
        retention = request.prompt_cache_retention.replace("-", "_")
        common["prompt_cache_retention"] = retention
    if request.moderation is not None:
        verdict = _moderation(request.moderation.model)
        common["moderation"] = {"input": verdict, "output": verdict}
    return msgspec.to_builtins(common)  # type: ignore[no-any-return]


def _reasoning(request: ResponsesRequest) -> dict[str, Any]:
    given = request.reasoning
    told: dict[str, Any] = {"effort": None, "summary": None}
    if given is not None:
        told.update(msgspec.to_builtins(given))
        told["summary"] = told["summary"] or told.pop("generate_summary", None)
    return told


def _text(request: ResponsesRequest) -> dict[str, Any]:
    given = request.text
    told: dict[str, Any] = {"format": {"type": "text"}, "verbosity": "medium"}
    if given is not None:
        told.update(msgspec.to_builtins(given))
    if told["format"]["type"] == "json_schema":
        told["format"] = {"description": None, "strict": False} | told["format"]
        if told["format"]["description"] is None:
            del told["format"]["description"]
    return told


def tools_echoed(tools: Any) -> list[dict[str, Any]]:
    """Tools as a response repeats them, with what the API fills in."""
    return [_tool(tool) for tool in msgspec.to_builtins(tools)]


def _tool(tool: dict[str, Any]) -> dict[str, Any]:
    match tool["type"]:
        case "function":
            return {"description": None, "parameters": None, "strict": True} | tool
        case "custom":
            return {"format": {"type": "text"}} | tool
        case "web_search" | "web_search_2025_08_26":
            return {"filters": None, "search_context_size": "medium", "user_location": None} | tool
        case "web_search_preview" | "web_search_preview_2025_03_11":
            return {"search_context_size": "medium", "user_location": None} | tool
    return tool


def _moderation(model: str) -> dict[str, Any]:
    return {
        "type": "moderation_result",
        "model": model,
        "flagged": False,
        "categories": dict.fromkeys(CATEGORIES, False),
        "category_scores": dict.fromkeys(CATEGORIES, _UNLIKELY),
        "category_applied_input_types": {name: ["text"] for name in CATEGORIES},
    }


def usage_object(usage: Usage) -> dict[str, Any]:
    """``ResponseUsage``, with all details."""
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached, "cache_write_tokens": 0},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }


_INCOMPLETE: Mapping[FinishReason, str] = {
    "length": "max_output_tokens",
    "content_filter": "content_filter",
}


def ended_fields(reason: FinishReason | None, usage: Usage, now: int) -> dict[str, Any]:
    """What changes in a response once it has ended, but for its output.

    One that ends for no ``reason`` that is told is incomplete, and does not tell why either.
    """
    why = None if reason is None else _INCOMPLETE.get(reason)
    whole = reason is not None and why is None
    return {
        "status": "completed" if whole else "incomplete",
        "completed_at": now if whole else None,
        "incomplete_details": None if why is None else {"reason": why},
        "usage": usage_object(usage),
    }


_CODES = frozenset(
    {
        "server_error",
        "rate_limit_exceeded",
        "invalid_prompt",
        "vector_store_timeout",
        "invalid_image",
        "invalid_image_format",
        "invalid_base64_image",
        "invalid_image_url",
        "image_too_large",
        "image_too_small",
        "image_parse_error",
        "image_content_policy_violation",
        "invalid_image_mode",
        "image_file_too_large",
        "unsupported_image_media_type",
        "empty_image_file",
        "failed_to_download_image",
        "image_file_not_found",
    }
)
_TOO_MANY_REQUESTS = 429


def failed_fields(failure: Failure, message: str) -> dict[str, Any]:
    """What changes in a response that fails; its codes are a few of its own."""
    code = failure.code
    if code not in _CODES:
        limited = failure.status == _TOO_MANY_REQUESTS
        code = "rate_limit_exceeded" if limited else "server_error"
    return {"status": "failed", "error": {"code": code, "message": message}}


def token_logprob(text: str, logprob: Logprob) -> dict[str, Any]:
    """A token's log probability, as events tell it."""
    return {
        "token": text,
        "logprob": logprob.value,
        "top_logprobs": [{"token": other, "logprob": value} for other, value in logprob.top],
    }


def with_bytes(entry: Mapping[str, Any]) -> dict[str, Any]:
    """A token's log probability, as the content of a message tells it."""
    return {
        **_spelled(entry),
        "top_logprobs": [_spelled(other) for other in entry["top_logprobs"]],
    }


def _spelled(entry: Mapping[str, Any]) -> dict[str, Any]:
    token: str = entry["token"]
    return {
        "token": token,
        "bytes": list(token.encode("utf-8", "surrogatepass")),
        "logprob": entry["logprob"],
    }
