"""Every body we send is what the vendor published: its SDK's types, strictly, and its schema.

Nothing that the types require is missing, nothing is of another type, and nothing is in it that
they do not declare. (`tests.sdk.declared` has the one exception and its reason.) The published
schema is checked where the environment variable FAKELLM_OPENAI_SPEC names a copy of it.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from openai.types import Model
from openai.types.chat import ChatCompletion
from openai.types.chat.completion_create_params import CompletionCreateParamsStreaming

from tests import sdk
from tests.questions import NOTE, NUMBER, SOUND_BEGINS, TIME, WEATHER, saying, spoken
from tests.sdk import published
from tests.servers import CHAT, MemoryTestCase, asking, chunks_of, events_of
from tests.undeclared import undeclared

KINDS: dict[str, dict[str, Any]] = {
    "text": {},
    "choices": {"n": 3},
    "cut": {"max_completion_tokens": 1},
    "stopped": {"stop": "wor"},
    "logprobs": {"logprobs": True},
    "alternatives": {"logprobs": True, "top_logprobs": 20},
    "reasoning": {"reasoning_effort": "high"},
    "prediction": {"prediction": {"type": "content", "content": "hello moon"}},
    "tool": {"tools": [WEATHER], "tool_choice": "required"},
    "tools": {"tools": [WEATHER, TIME], "tool_choice": "required", "parallel_tool_calls": True},
    "cut tool": {"tools": [WEATHER], "tool_choice": "required", "max_tokens": 2},
    "custom tool": {"tools": [NOTE], "tool_choice": "required"},
    "function": {
        "functions": [WEATHER["function"]],
        "function_call": {"name": "get_weather"},
    },
    "schema": {"response_format": NUMBER},
    "object": {"response_format": {"type": "json_object"}},
    "metadata": {"metadata": {"run": "7"}},
    "no metadata": {"metadata": {}},
    "moderation": {"moderation": {"model": "omni-moderation-latest"}},
    "everything": {
        "n": 2,
        "logprobs": True,
        "top_logprobs": 2,
        "reasoning_effort": "low",
        "moderation": {"model": "m"},
        "metadata": {"a": "b"},
    },
    **{f"tier {tier}": {"service_tier": tier} for tier in ("auto", "flex", "scale", "fast")},
    **{f"spoken {name}": spoken(name) for name in SOUND_BEGINS},
}
OPTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"stream_options": {"include_usage": True}},
    {"stream_options": {"include_usage": True, "include_obfuscation": True}},
)


class TypesTests(MemoryTestCase):
    def bodies(self) -> Iterator[bytes]:
        """Whole answers of every kind."""
        for kind, fields in KINDS.items():
            answer = self.ask(**fields)
            self.assertEqual(answer.status, 200, (kind, answer.body))
            yield answer.body

    def streamed(self) -> Iterator[str]:
        """The data of all chunks of streams of every kind."""
        for kind, fields in KINDS.items():
            if fields.get("audio", {}).get("format", "pcm16") != "pcm16":
                continue  # which cannot be streamed
            for options in OPTIONS:
                answer = self.ask(stream=True, **fields, **options)
                self.assertEqual(answer.status, 200, (kind, answer.body))
                *chunks, last = events_of(answer.body)
                self.assertEqual(last.data, "[DONE]")
                yield from (each.data for each in chunks)

    def errors(self) -> Iterator[bytes]:
        """Errors of every status."""
        self.serve(api_key=["sk-right"], max_body=1000)
        key = {"headers": {"Authorization": "Bearer sk-right"}}
        body = json.dumps(asking(**saying("[429]"))).encode()
        for status, method, path, sent, more in (
            (400, "POST", CHAT, b"{", key),
            (401, "POST", CHAT, b"{}", {}),
            (401, "GET", "/v1/models", b"", {}),
            (404, "GET", "/v1/models/x", b"", key),
            (404, "GET", "/nonesuch", b"", key),
            (405, "PUT", CHAT, b"", key),
            (413, "POST", CHAT, b" " * 1001, key),
            (429, "POST", CHAT, body, key),
        ):
            answer = self.request(method, path, sent, **more)
            self.assertEqual(answer.status, status)
            yield answer.body

    def test_whole_answers_are_completions(self) -> None:
        for body in self.bodies():
            sdk.completion(body)

    def test_streams_are_chunks(self) -> None:
        for data in self.streamed():
            sdk.chunk(data)

    def test_whole_answers_meet_the_published_schema(self) -> None:
        validator = published("CreateChatCompletionResponse")
        for body in self.bodies():
            validator.validate(json.loads(body))

    def test_streams_meet_the_published_schema(self) -> None:
        validator = published("CreateChatCompletionStreamResponse")
        for data in self.streamed():
            validator.validate(json.loads(sdk.declared(data)))

    def test_errors_meet_the_published_schema(self) -> None:
        validator = published("ErrorResponse")
        for body in self.errors():
            validator.validate(json.loads(body))

    def test_errors_have_four_fields(self) -> None:
        for body in self.errors():
            (error,) = json.loads(body).values()
            self.assertEqual([*error], ["message", "type", "param", "code"])
            self.assertIsInstance(error["message"], str)
            self.assertTrue(error["message"] and error["type"])

    def test_models_are_models(self) -> None:
        for model in self.request("GET", "/v1/models").json["data"]:
            self.assertEqual([*undeclared(Model.model_validate(model, strict=True))], [])

    def test_models_meet_the_published_schema(self) -> None:
        published("ListModelsResponse").validate(self.request("GET", "/v1/models").json)
        published("Model").validate(self.request("GET", "/v1/models/fake-model").json)


class ArgumentTests(MemoryTestCase):
    """A strict server knows every argument that there is."""

    def assert_known(self, names: Iterable[str]) -> None:
        self.serve(strict_requests=True)
        for name in names:
            field: dict[str, Any] = {name: None}
            answer = self.ask(**field)
            if answer.status != 200:  # null is not what every argument may be
                self.assertNotEqual(answer.json["error"]["code"], "unknown_parameter", name)

    def test_every_argument_of_the_sdk_is_known(self) -> None:
        names = CompletionCreateParamsStreaming.__annotations__
        self.assertIn("prompt_cache_key", names)
        self.assert_known(names)

    def test_every_argument_of_the_published_schema_is_known(self) -> None:
        document: Any = published("CreateChatCompletionRequest").schema
        schemas = document["components"]["schemas"]
        parts = schemas["CreateChatCompletionRequest"]["allOf"]
        names = [name for part in parts for name in part.get("properties", ())]
        self.assertIn("messages", names)
        self.assert_known(names)

    def test_what_is_no_argument_is_not_known(self) -> None:
        with self.assertRaises(self.failureException):
            self.assert_known(["nonesuch"])

    def test_a_strict_server_answers_whatever_the_others_do(self) -> None:
        self.serve(strict_requests=True)
        for kind, fields in KINDS.items():
            answer = self.ask(**{**saying("As JSON, please"), **fields})
            self.assertEqual(answer.status, 200, (kind, answer.body))


class CheckTests(MemoryTestCase):
    """The checks above can fail."""

    def test_a_field_that_is_not_declared_is_found_wherever_it_is(self) -> None:
        whole = self.ask(logprobs=True).json
        whole["extra"] = 1
        whole["choices"][0]["message"]["extra"] = 1
        whole["choices"][0]["logprobs"]["content"][0]["extra"] = 1
        found = ChatCompletion.model_validate(whole, strict=True)
        self.assertEqual(
            sorted(undeclared(found)),
            ["$.choices[0].logprobs.content[0].extra", "$.choices[0].message.extra", "$.extra"],
        )
        with self.assertRaises(AssertionError):
            sdk.completion(json.dumps(whole).encode())

    def test_a_field_that_is_missing_or_of_another_type_is_found(self) -> None:
        (first, *_) = chunks_of(self.ask(stream=True).body)
        sdk.chunk(json.dumps(first))
        for wrong in (
            {**first, "created": "now"},
            {**first, "created": 1.5},
            {name: value for name, value in first.items() if name != "model"},
        ):
            with self.assertRaises(ValueError):
                sdk.chunk(json.dumps(wrong))

    def test_the_published_schema_is_really_read(self) -> None:
        validator = published("CreateChatCompletionStreamResponse")
        (first, *_) = chunks_of(self.ask(stream=True).body)
        self.assertTrue(validator.is_valid(first))
        del first["choices"][0]["finish_reason"]
        self.assertFalse(validator.is_valid(first))
        whole = self.ask().json
        del whole["choices"][0]["logprobs"]
        self.assertFalse(published("CreateChatCompletionResponse").is_valid(whole))
