"""OpenAI's chat completions and text completions, and Azure's."""

import json
from collections.abc import Mapping
from typing import Any

from openai.types import Completion

from fakellm.dialects.openai.azure import Azure
from fakellm.dialects.openai.by_model import ByModel
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.completions import OpenAICompletions
from fakellm.dialects.openai.flavour import VLLM
from fakellm.interfaces import IDialect
from fakellm.model.reply import FinishReason
from fakellm.model.timeline import Head
from tests import sdk
from tests.dialects.adapters.base import ARGUMENTS, CALL_ID, RESULT, Said, Wanted, events_of
from tests.dialects.openai.answering import reassembled
from tests.dialects.openai.test_completions import ended, joined
from tests.dialects.openai.texts import strictly


def error_of(head: Head, body: bytes) -> str:
    """The message of OpenAI's error object."""
    assert ("Content-Type", "application/json") in head.headers
    (error,) = json.loads(body).values()
    assert [*error] == ["message", "type", "param", "code"], error
    assert error["type"]
    message: str = error["message"]
    return message


class ChatAdapter:
    """``POST /v1/chat/completions``."""

    dialect: IDialect = OpenAIChat()
    path = "/v1/chat/completions"
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    can = frozenset({"tools", "format", "refusal", "stop"})
    finish: Mapping[FinishReason, str] = {
        "stop": "stop",
        "length": "length",
        "tool_calls": "tool_calls",
        "content_filter": "content_filter",
    }

    def body(self, wanted: Wanted) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": "m",
            "messages": [{"role": "user", "content": wanted.text}],
            "stream": wanted.stream,
            "max_completion_tokens": wanted.max_tokens,
        }
        if wanted.stream:
            body["stream_options"] = {"include_usage": True}
        if wanted.stop:
            body["stop"] = [*wanted.stop]
        if wanted.tools:
            body["tools"] = [
                {"type": "function", "function": {"name": name}} for name in wanted.tools
            ]
        if wanted.looped:
            function = {"name": wanted.tools[0], "arguments": ARGUMENTS}
            call = {"id": CALL_ID, "type": "function", "function": function}
            body["messages"] += [
                {"role": "assistant", "tool_calls": [call]},
                {"role": "tool", "tool_call_id": CALL_ID, "content": RESULT},
            ]
        if wanted.schema is not None:
            declared = {"name": "answer", "schema": wanted.schema, "strict": True}
            body["response_format"] = {"type": "json_schema", "json_schema": declared}
        return body

    def whole(self, body: bytes) -> Said:
        sdk.completion(body)
        return _said(json.loads(body))

    def streamed(self, body: bytes) -> Said:
        *chunks, last = events_of(body)
        if last.data == "[DONE]":
            for chunk in chunks:
                sdk.chunk(chunk.data)
            return _said(reassembled([json.loads(chunk.data) for chunk in chunks]))
        return _broken_off(
            _said(reassembled([json.loads(each.data) for each in chunks])), last.data
        )

    def error(self, head: Head, body: bytes) -> str:
        return error_of(head, body)


def _broken_off(said: Said, error: str) -> Said:
    (told,) = json.loads(error).values()
    return Said(text=said.text, error=told["message"])


def _said(answer: Any) -> Said:
    (choice,) = answer["choices"]
    message, usage = choice["message"], answer["usage"]
    calls = [call["function"] for call in message.get("tool_calls") or ()]
    return Said(
        text=message["content"] or "",
        refusal=message["refusal"] or "",
        calls=tuple((call["name"], call["arguments"]) for call in calls),
        finish=choice["finish_reason"],
        usage=(usage["prompt_tokens"], usage["completion_tokens"]) if usage else None,
    )


class AzureAdapter(ChatAdapter):
    """Chat completions of a deployment, whose filter the types do not know."""

    dialect: IDialect = Azure(OpenAIChat())
    path = "/openai/deployments/m/chat/completions"
    query: Mapping[str, str] = {"api-version": "2024-10-21"}

    def whole(self, body: bytes) -> Said:
        answer = json.loads(body)
        assert answer.pop("prompt_filter_results")
        for choice in answer["choices"]:
            assert choice.pop("content_filter_results")
        return super().whole(json.dumps(answer).encode())

    def streamed(self, body: bytes) -> Said:
        (first, rest) = body.split(b"\n\n", 1)
        assert b'"prompt_filter_results"' in first
        kept = []
        for event in events_of(rest):
            data = event.data
            if data != "[DONE]":
                chunk = json.loads(data)
                for choice in chunk.get("choices", ()):
                    choice.pop("content_filter_results")
                data = json.dumps(chunk)
            kept.append(f"data: {data}\n\n")
        return super().streamed("".join(kept).encode())

    def error(self, head: Head, body: bytes) -> str:
        (error,) = json.loads(body).values()
        if [*error] == ["code", "message"]:
            assert error["code"]
            message: str = error["message"]
            return message
        return super().error(head, body)


class VllmAdapter(ChatAdapter):
    """vLLM's ways."""

    dialect: IDialect = OpenAIChat(VLLM)
    path = "/vllm/v1/chat/completions"


class ByModelAdapter(ChatAdapter):
    """Models of either flavour at one path."""

    dialect: IDialect = ByModel(OpenAIChat(), {"of vLLM": OpenAIChat(VLLM)})


class CompletionAdapter:
    """``POST /v1/completions``."""

    dialect: IDialect = OpenAICompletions()
    path = "/v1/completions"
    query: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    can = frozenset({"stop"})
    finish: Mapping[FinishReason, str] = {
        "stop": "stop",
        "length": "length",
        "content_filter": "content_filter",
    }

    def body(self, wanted: Wanted) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": "m",
            "prompt": wanted.text,
            "stream": wanted.stream,
            "max_tokens": wanted.max_tokens or 100_000,
            "stop": [*wanted.stop],
        }
        if wanted.stream:
            body["stream_options"] = {"include_usage": True}
        return body

    def whole(self, body: bytes) -> Said:
        answer = json.loads(body)
        strictly(Completion, answer)
        return self._said(answer, answer["usage"])

    def streamed(self, body: bytes) -> Said:
        *events, last = events_of(body)
        chunks = [json.loads(event.data) for event in events]
        if last.data != "[DONE]":
            return _broken_off(self._said(joined(chunks), None), last.data)
        usage = chunks[-1]["usage"]
        said = self._said(joined(chunks), usage)
        for chunk in chunks:
            strictly(Completion, ended(chunk))
        return said

    def error(self, head: Head, body: bytes) -> str:
        return error_of(head, body)

    def _said(self, answer: Any, usage: Any) -> Said:
        (choice,) = answer["choices"]
        return Said(
            text=choice["text"],
            finish=choice["finish_reason"],
            usage=(usage["prompt_tokens"], usage["completion_tokens"]) if usage else None,
        )
