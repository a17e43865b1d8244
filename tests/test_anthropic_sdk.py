"""Anthropic's own SDK against a live server, sync and async: what its users would see."""

import asyncio
from collections.abc import Awaitable, Callable
from operator import attrgetter
from pathlib import Path
from typing import Any

import anthropic
from pydantic import BaseModel
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread

from tests.servers import LiveTestCase
from tests.undeclared import undeclared

QUESTION: dict[str, Any] = {"role": "user", "content": "Say something"}
HELLO: dict[str, Any] = {"model": "any-model", "max_tokens": 1000, "messages": [QUESTION]}
WEATHER: dict[str, Any] = {
    "name": "get_weather",
    "description": "The weather somewhere.",
    "input_schema": {
        "type": "object",
        "properties": {"city": {"type": "string", "minLength": 3}},
        "required": ["city"],
        "additionalProperties": False,
    },
}
RULES = """
rules:
  - when: {user: think}
    reply:
      parts:
        - reasoning: {text: Let me see., tokens: 5}
        - text: Done.
  - when: {user: think in secret}
    reply:
      parts:
        - reasoning: {tokens: 5}
        - text: Done.
  - when: {user: refuse}
    reply: {refusal: "I won't."}
  - when: {user: break}
    reply: [Some words., error: 529]
  - when: {user: flaky}
    replies:
      - error: {status: 529, headers: {retry-after-ms: "1"}}
      - Second time lucky
  - when: {user: cached}
    reply:
      parts: [Known.]
      usage: {prompt_tokens: 100, cached_tokens: 90}
  - when: {tool_result: {content: {contains: sunny}}}
    reply: It is sunny in Oslo.
  - when: {user: weather, step: 1}
    reply:
      - I'll look.
      - tool_call: {name: get_weather, arguments: {city: Oslo}}
      - tool_call: {name: get_weather, arguments: {city: Paris}}
"""


def asking(content: Any = "Say something", **fields: Any) -> dict[str, Any]:
    """`HELLO` with other or further fields."""
    return {**HELLO, "messages": [{"role": "user", "content": content}], **fields}


class AnthropicTestCase(LiveTestCase):
    """Tests by the SDK, with no retries and a server with `RULES` unless a test wants others."""

    def setUp(self) -> None:
        super().setUp()
        self.options: dict[str, Any] = {"api_key": "sk-ant-any", "max_retries": 0}

    def serve(self, **settings: Any) -> str:
        """Start the server that the SDK asks."""
        rules = Path(self.mktemp()).with_suffix(".yml")
        rules.parent.mkdir(parents=True, exist_ok=True)
        rules.write_text(RULES, encoding="utf-8")
        url = super().serve(**{"scenario": [str(rules)], **settings})
        self.options["base_url"] = url
        return url

    def call(self, method: str, *args: Any, **fields: Any) -> Deferred[Any]:
        """Call a method by its dotted name, such as ``messages.create``."""
        return self.run_with(lambda client: attrgetter(method)(client)(*args, **fields))

    def create(self, content: Any = "Say something", **fields: Any) -> Deferred[Any]:
        """Ask for a message."""
        return self.call("messages.create", **asking(content, **fields))

    def events(self, **fields: Any) -> Deferred[list[Any]]:
        """Ask for a stream: its events, as they come."""
        wanted = asking(**fields, stream=True)
        return self.run_with(lambda client: list(client.messages.create(**wanted)))

    def streamed(self, **fields: Any) -> Deferred[tuple[list[Any], Any]]:
        """Ask by the SDK's streaming helper: its events, and the message it puts together."""

        def use(client: Any) -> tuple[list[Any], Any]:
            with client.messages.stream(**asking(**fields)) as stream:
                return list(stream), stream.get_final_message()

        return self.run_with(use)

    def listed(self, method: str, **fields: Any) -> Deferred[list[Any]]:
        """All things of a list, page by page, or of lines."""
        return self.run_with(lambda client: list(attrgetter(method)(client)(**fields)))

    def run_with(self, use: Callable[[Any], Any]) -> Deferred[Any]:
        """Use a client in a thread."""

        def work() -> Any:
            http = anthropic.DefaultHttpxClient(trust_env=False, verify=False)
            with anthropic.Anthropic(http_client=http, **self.options) as client:
                return use(client)

        return self.in_thread(work)

    def in_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        if "base_url" not in self.options:
            self.serve()
        return deferToThread(work)

    async def fails(self, kind: type[anthropic.APIStatusError], asked: Deferred[Any]) -> Any:
        """The error that a call ends with."""
        try:
            await asked
        except kind as error:
            return error
        raise self.failureException(f"no {kind.__name__}")


class AsyncAnthropic(AnthropicTestCase):
    """Mixed in first: the same tests by the async client."""

    def call(self, method: str, *args: Any, **fields: Any) -> Deferred[Any]:
        async def use(client: Any) -> Any:
            return await attrgetter(method)(client)(*args, **fields)

        return self.run_with(use)

    def events(self, **fields: Any) -> Deferred[list[Any]]:
        async def use(client: Any) -> list[Any]:
            stream = await client.messages.create(**asking(**fields, stream=True))
            return [event async for event in stream]

        return self.run_with(use)

    def streamed(self, **fields: Any) -> Deferred[tuple[list[Any], Any]]:
        async def use(client: Any) -> tuple[list[Any], Any]:
            async with client.messages.stream(**asking(**fields)) as stream:
                return [event async for event in stream], await stream.get_final_message()

        return self.run_with(use)

    def listed(self, method: str, **fields: Any) -> Deferred[list[Any]]:
        async def use(client: Any) -> list[Any]:
            found = attrgetter(method)(client)(**fields)
            if method.endswith("results"):
                found = await found
            return [each async for each in found]

        return self.run_with(use)

    def run_with(self, use: Callable[[Any], Awaitable[Any]]) -> Deferred[Any]:
        async def work() -> Any:
            http = anthropic.DefaultAsyncHttpxClient(trust_env=False, verify=False)
            async with anthropic.AsyncAnthropic(http_client=http, **self.options) as client:
                return await use(client)

        return self.in_thread(lambda: asyncio.run(work()))


class AnswerTests(AnthropicTestCase):
    async def test_any_question_is_answered_with_hello_world(self) -> None:
        message = await self.create()
        self.assertEqual([*undeclared(message)], [])
        (block,) = message.content
        self.assertEqual((block.type, block.text), ("text", "hello world"))
        self.assertEqual((message.role, message.stop_reason), ("assistant", "end_turn"))
        self.assertEqual(message.model, "fake-model")
        self.assertRegex(message.id, "^msg_01[A-Za-z0-9]{22}$")
        self.assertRegex(message._request_id, "^req_")

    async def test_usage(self) -> None:
        usage = (await self.create()).usage
        self.assertEqual(usage.output_tokens, 2)
        self.assertGreater(usage.input_tokens, 2)
        start, *_ = await self.events(content="cached")
        for cached in ((await self.create("cached")).usage, start.message.usage):
            self.assertEqual((cached.input_tokens, cached.cache_read_input_tokens), (10, 90))

    async def test_a_stream(self) -> None:
        events, message = await self.streamed()
        self.assertEqual([*undeclared(message)], [])
        self.assertEqual(message.content[0].text, "hello world")
        self.assertEqual(message.usage.output_tokens, 2)
        texts = [event.text for event in events if event.type == "text"]
        self.assertEqual("".join(texts), "hello world")
        self.assertGreater(len(texts), 1)

    async def test_the_raw_events_of_a_stream(self) -> None:
        kinds = [event.type for event in await self.events()]
        self.assertEqual(
            kinds,
            [
                "message_start",
                "content_block_start",
                "content_block_delta",
                "content_block_delta",
                "content_block_stop",
                "message_delta",
                "message_stop",
            ],
        )

    async def test_why_messages_end(self) -> None:
        for fields, reason, text in (
            ({"max_tokens": 1}, "max_tokens", "hello"),
            ({"stop_sequences": [" w"]}, "stop_sequence", "hello"),
        ):
            message = await self.create(**fields)
            self.assertEqual((message.stop_reason, message.content[0].text), (reason, text))
        self.assertEqual(message.stop_sequence, " w")
        self.assertEqual((await self.create(max_tokens=0)).content, [])

    async def test_a_refusal(self) -> None:
        for message in (await self.create("refuse"), (await self.streamed(content="refuse"))[1]):
            self.assertEqual(message.stop_reason, "refusal")
            self.assertEqual(message.stop_details.explanation, "I won't.")
            self.assertEqual(message.content[0].text, "I won't.")

    async def test_thinking(self) -> None:
        thinking = {"type": "adaptive"}
        whole = await self.create("think", thinking=thinking)
        events, streamed = await self.streamed(content="think", thinking=thinking)
        for message in (whole, streamed):
            thought, said = message.content
            self.assertEqual((thought.type, thought.thinking), ("thinking", "Let me see."))
            self.assertTrue(thought.signature)
            self.assertEqual(said.text, "Done.")
            self.assertGreater(message.usage.output_tokens_details.thinking_tokens, 5)
        self.assertIn("signature", [event.type for event in events])
        again = [
            {"role": "user", "content": "think"},
            {"role": "assistant", "content": whole.content},
            QUESTION,
        ]
        message = await self.call("messages.create", **{**HELLO, "messages": again})
        self.assertEqual(message.content[0].text, "hello world")

    async def test_thinking_in_secret(self) -> None:
        for thinking, kinds in (
            ({"type": "adaptive", "display": "summarized"}, ["redacted_thinking", "text"]),
            ({"type": "adaptive"}, ["thinking", "text"]),
            ({"type": "disabled"}, ["text"]),
        ):
            message = await self.create("think in secret", thinking=thinking)
            self.assertEqual([block.type for block in message.content], kinds)
            self.assertEqual(message.usage.output_tokens_details.thinking_tokens, 5)

    async def test_structured_output(self) -> None:
        class Number(BaseModel):
            number: int

        declared = {
            "type": "json_schema",
            "schema": {
                "type": "object",
                "properties": {"number": {"type": "integer"}},
                "required": ["number"],
                "additionalProperties": False,
            },
        }
        message = await self.create(output_config={"format": declared})
        Number.model_validate_json(message.content[0].text, strict=True)
        parsed = await self.call("messages.parse", **asking(output_format=Number))
        self.assertIsInstance(parsed.parsed_output, Number)

    async def test_the_beta_methods_are_the_same(self) -> None:
        message = await self.call(
            "beta.messages.create", **asking(betas=["context-management-2025-06-27"])
        )
        self.assertEqual(message.content[0].text, "hello world")


class ToolTests(AnthropicTestCase):
    async def test_a_tool_is_called_where_it_must_be(self) -> None:
        for choice in ({"type": "any"}, {"type": "tool", "name": "get_weather"}):
            message = await self.create(tools=[WEATHER], tool_choice=choice)
            (call,) = message.content
            self.assertEqual((call.type, call.name), ("tool_use", "get_weather"))
            self.assertEqual([*call.input], ["city"])
            self.assertEqual(message.stop_reason, "tool_use")

    async def test_a_tool_loop(self) -> None:
        messages: list[Any] = [{"role": "user", "content": "weather"}]
        first = await self.call(
            "messages.create", **{**HELLO, "messages": messages, "tools": [WEATHER]}
        )
        _, streamed = await self.streamed(content="weather", tools=[WEATHER])
        for message in (first, streamed):
            text, *calls = message.content
            self.assertEqual(text.text, "I'll look.")
            cities = [call.input for call in calls]
            self.assertEqual(cities, [{"city": "Oslo"}, {"city": "Paris"}])
        results = [
            {"type": "tool_result", "tool_use_id": call.id, "content": "sunny"} for call in calls
        ]
        messages += [
            {"role": "assistant", "content": streamed.content},
            {"role": "user", "content": results},
        ]
        last = await self.call(
            "messages.create", **{**HELLO, "messages": messages, "tools": [WEATHER]}
        )
        self.assertEqual(last.content[0].text, "It is sunny in Oslo.")
        self.assertEqual(last.stop_reason, "end_turn")


class ErrorTests(AnthropicTestCase):
    async def test_each_status_is_an_exception(self) -> None:
        for status, kind, type_ in (
            (400, anthropic.BadRequestError, "invalid_request_error"),
            (401, anthropic.AuthenticationError, "authentication_error"),
            (403, anthropic.PermissionDeniedError, "permission_error"),
            (404, anthropic.NotFoundError, "not_found_error"),
            (413, anthropic.APIStatusError, "request_too_large"),
            (429, anthropic.RateLimitError, "rate_limit_error"),
            (500, anthropic.InternalServerError, "api_error"),
            (504, anthropic.InternalServerError, "timeout_error"),
            (529, anthropic.InternalServerError, "overloaded_error"),
        ):
            error = await self.fails(kind, self.create(f"[{status}]"))
            self.assertEqual((error.status_code, error.type), (status, type_))
            self.assertRegex(error.request_id, "^req_")
            self.assertEqual(error.body["request_id"], error.request_id)

    async def test_an_invalid_request(self) -> None:
        error = await self.fails(
            anthropic.BadRequestError, self.create([{"type": "text", "text": 1}])
        )
        self.assertEqual(
            error.api_message, "messages.0.content.0.text.text: Input should be a valid string"
        )

    async def test_keys(self) -> None:
        self.serve(api_key=["sk-ant-right"])
        error = await self.fails(anthropic.AuthenticationError, self.create())
        self.assertEqual(error.api_message, "invalid x-api-key")
        error = await self.fails(anthropic.AuthenticationError, self.call("messages.batches.list"))
        for header in ("x-api-key", "authorization"):
            key = "sk-ant-right" if header == "x-api-key" else "Bearer sk-ant-right"
            self.options["default_headers"] = {header: key}
            self.assertEqual((await self.create()).content[0].text, "hello world")

    async def test_a_model_that_is_not_on_offer(self) -> None:
        error = await self.fails(anthropic.NotFoundError, self.call("models.retrieve", "nonesuch"))
        self.assertEqual(error.api_message, "model: nonesuch")

    async def test_an_error_in_mid_stream(self) -> None:
        error = await self.fails(anthropic.APIStatusError, self.events(content="break"))
        self.assertEqual(error.body["error"]["type"], "overloaded_error")

    async def test_an_overloaded_server_is_asked_again(self) -> None:
        self.options["max_retries"] = 1
        self.assertEqual((await self.create("flaky")).content[0].text, "Second time lucky")


class OperationTests(AnthropicTestCase):
    async def test_tokens_are_counted_as_for_an_answer(self) -> None:
        asked = {"model": "m", "messages": [QUESTION], "tools": [WEATHER], "system": "Be kind"}
        counted = await self.call("messages.count_tokens", **asked)
        message = await self.call("messages.create", **asked, max_tokens=10)
        self.assertEqual(counted.input_tokens, message.usage.input_tokens)

    async def test_models(self) -> None:
        self.serve(model=["one", "two", "three"])
        found = await self.listed("models.list", limit=2)
        self.assertEqual([model.id for model in found], ["one", "two", "three"])
        model = await self.call("models.retrieve", "two")
        self.assertEqual((model.id, model.type), ("two", "model"))

    async def test_a_batch(self) -> None:
        requests = [
            {"custom_id": "good", "params": asking("weather", tools=[WEATHER])},
            {"custom_id": "bad", "params": {"model": "m"}},
            {"custom_id": "worse", "params": asking("[529]")},
        ]
        batch = await self.call("messages.batches.create", requests=requests)
        self.assertEqual(batch.request_counts.processing, 3)
        while batch.processing_status != "ended":
            batch = await self.call("messages.batches.retrieve", batch.id)
        counts = batch.request_counts
        self.assertEqual((counts.succeeded, counts.errored), (1, 2))
        results = await self.listed("messages.batches.results", message_batch_id=batch.id)
        found = {each.custom_id: each.result for each in results}
        self.assertEqual(found["good"].message.content[0].text, "I'll look.")
        self.assertEqual(found["good"].message.usage.service_tier, "batch")
        self.assertEqual(found["bad"].error.error.message, "messages: Field required")
        self.assertEqual(found["worse"].error.error.type, "overloaded_error")
        listed = await self.listed("messages.batches.list")
        self.assertEqual([each.id for each in listed], [batch.id])
        cancelled = await self.call("messages.batches.cancel", batch.id)
        self.assertEqual(cancelled.processing_status, "ended")
        deleted = await self.call("messages.batches.delete", batch.id)
        self.assertEqual(deleted.type, "message_batch_deleted")
        await self.fails(anthropic.NotFoundError, self.call("messages.batches.retrieve", batch.id))


class AsyncAnswerTests(AsyncAnthropic, AnswerTests):
    pass


class AsyncToolTests(AsyncAnthropic, ToolTests):
    pass


class AsyncErrorTests(AsyncAnthropic, ErrorTests):
    pass


class AsyncOperationTests(AsyncAnthropic, OperationTests):
    pass
