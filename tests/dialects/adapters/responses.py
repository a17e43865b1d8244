"""OpenAI's responses, after the published format (``Response`` and ``ResponseStreamEvent``)."""

import json
from collections.abc import Mapping
from typing import Any

from openai.types.responses import Response

from fakellm.dialects.openai.responses.dialect import OpenAIResponses
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
from tests.dialects.adapters.openai import error_of

_ENDS = ("response.completed", "response.incomplete")


class ResponsesAdapter:
    """``POST /v1/responses``; why it ends is its status, and the reason where that is one."""

    path = "/v1/responses"
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    can = frozenset({"tools", "format", "refusal"})
    finish: Mapping[FinishReason, str] = {
        "stop": "completed",
        "length": "max_output_tokens",
        "tool_calls": "completed",
        "content_filter": "content_filter",
    }

    def __init__(self) -> None:
        self.dialect: IDialect = OpenAIResponses()

    def body(self, wanted: Wanted) -> dict[str, Any]:
        items: list[dict[str, Any]] = [{"role": "user", "content": wanted.text}]
        body: dict[str, Any] = {"model": "m", "input": items, "stream": wanted.stream}
        if wanted.max_tokens is not None:
            body["max_output_tokens"] = wanted.max_tokens
        if wanted.tools:
            body["tools"] = [
                {"type": "function", "name": name, "parameters": None, "strict": False}
                for name in wanted.tools
            ]
        if wanted.looped:
            called = {"name": wanted.tools[0], "arguments": ARGUMENTS, "call_id": CALL_ID}
            items += [
                {"type": "function_call", **called},
                {"type": "function_call_output", "call_id": CALL_ID, "output": RESULT},
            ]
        if wanted.schema is not None:
            declared = {"name": "answer", "schema": wanted.schema, "strict": True}
            body["text"] = {"format": {"type": "json_schema", **declared}}
        return body

    def whole(self, body: bytes) -> Said:
        Response.model_validate_json(body, strict=True)
        return _said(json.loads(body))

    def streamed(self, body: bytes) -> Said:
        text, error = "", None
        for number, event in enumerate(events_of(body)):
            told = json.loads(event.data)
            assert (told["type"], told["sequence_number"]) == (event.event, number)
            match event.event:
                case "response.output_text.delta":
                    text += told["delta"]
                case "response.failed":
                    error = told["response"]["error"]["message"]
                case "error":
                    error = told["message"]
                case end if end in _ENDS:
                    said = _said(told["response"])
                    assert said.text == text
                    return said
        assert error is not None, "it has no end"
        return Said(text=text, error=error)

    def error(self, head: Head, body: bytes) -> str:
        return error_of(head, body)


def _said(answer: Any) -> Said:
    output, usage = answer["output"], answer["usage"]
    parts = [part for item in output if item["type"] == "message" for part in item["content"]]
    reason = answer["incomplete_details"]
    return Said(
        text="".join(part["text"] for part in parts if part["type"] == "output_text"),
        refusal="".join(part["refusal"] for part in parts if part["type"] == "refusal"),
        calls=tuple(
            (item["name"], item["arguments"]) for item in output if item["type"] == "function_call"
        ),
        finish=reason["reason"] if reason else answer["status"],
        usage=(usage["input_tokens"], usage["output_tokens"]) if usage else None,
    )
