"""Anthropic's messages, after the published format (docs.anthropic.com: Messages, Streaming)."""

import json
from collections.abc import Mapping
from typing import Any

from fakellm.dialects.anthropic.messages import AnthropicMessages
from fakellm.interfaces import IDialect
from fakellm.model.reply import FinishReason
from fakellm.model.timeline import Head
from tests.dialects.adapters.base import (
    ARGUMENTS,
    CALL_ID,
    RESULT,
    Said,
    Wanted,
    events_of,
)

_TEXTS = {
    "text_delta": "text",
    "input_json_delta": "partial_json",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
}


class AnthropicAdapter:
    """``POST /v1/messages``."""

    path = "/v1/messages"
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {"anthropic-version": "2023-06-01", "x-api-key": "k"}
    can = frozenset({"tools", "stop", "reasoning"})
    finish: Mapping[FinishReason, str] = {
        "stop": "end_turn",
        "length": "max_tokens",
        "tool_calls": "tool_use",
        "content_filter": "refusal",
    }

    def __init__(self) -> None:
        self.dialect: IDialect = AnthropicMessages()

    def body(self, wanted: Wanted) -> dict[str, Any]:
        messages: list[dict[str, Any]] = [{"role": "user", "content": wanted.text}]
        body: dict[str, Any] = {
            "model": "m",
            "messages": messages,
            "max_tokens": wanted.max_tokens or 100_000,
            "stream": wanted.stream,
        }
        if wanted.max_tokens is None:
            body["thinking"] = {"type": "enabled", "budget_tokens": 1024}
        if wanted.stop:
            body["stop_sequences"] = [*wanted.stop]
        if wanted.tools:
            schema = {"type": "object"}
            body["tools"] = [{"name": name, "input_schema": schema} for name in wanted.tools]
        if wanted.looped:
            del body["thinking"]  # or the turn that calls had to begin with some
            called = {"type": "tool_use", "id": CALL_ID, "name": wanted.tools[0]}
            result = {"type": "tool_result", "tool_use_id": CALL_ID, "content": RESULT}
            messages += [
                {"role": "assistant", "content": [{**called, "input": json.loads(ARGUMENTS)}]},
                {"role": "user", "content": [result]},
            ]
        return body

    def whole(self, body: bytes) -> Said:
        answer = json.loads(body)
        assert (answer["type"], answer["role"]) == ("message", "assistant")
        assert answer["id"].startswith("msg_")
        return _said(answer)

    def streamed(self, body: bytes) -> Said:
        message: dict[str, Any] = {}
        blocks: list[dict[str, Any]] = []
        events = events_of(body)
        for event in events:
            told = json.loads(event.data)
            assert told["type"] == event.event
            match event.event:
                case "message_start":
                    message = told["message"]
                case "content_block_start":
                    assert told["index"] == len(blocks)
                    block = dict(told["content_block"])
                    if block["type"] == "tool_use":
                        block["partial_json"] = ""
                    blocks.append(block)
                case "content_block_delta":
                    delta = told["delta"]
                    name = _TEXTS[delta["type"]]
                    blocks[told["index"]][name] = blocks[told["index"]].get(name, "") + delta[name]
                case "message_delta":
                    message.update(told["delta"])
                    message["usage"].update(told["usage"])
                case "error":
                    return Said(
                        text=_said({**message, "content": blocks}).text,
                        error=told["error"]["message"],
                    )
                case other:
                    assert other in ("ping", "content_block_stop", "message_stop"), other
        assert events[-1].event == "message_stop"
        for block in blocks:
            if block["type"] == "tool_use":
                block["input"] = json.loads(block["partial_json"] or "{}")
        return _said({**message, "content": blocks})

    def error(self, head: Head, body: bytes) -> str:
        assert ("Content-Type", "application/json") in head.headers
        told = json.loads(body)
        assert told["type"] == "error"
        assert told["error"]["type"]
        message: str = told["error"]["message"]
        return message


def _said(answer: Any) -> Said:
    content, usage = answer["content"], answer["usage"]
    return Said(
        text="".join(block["text"] for block in content if block["type"] == "text"),
        reasoning="".join(block["thinking"] for block in content if block["type"] == "thinking"),
        calls=tuple(
            (block["name"], json.dumps(block.get("input", {})))
            for block in content
            if block["type"] == "tool_use"
        ),
        finish=answer["stop_reason"],
        usage=(usage["input_tokens"], usage["output_tokens"]),
    )
