"""LiteLLM against a live server: its OpenAI and Anthropic providers, and the Responses API."""

import asyncio
import json
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from tests.frameworks.case import FrameworkTestCase, Report, get_weather

TOOL: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather in a city.",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}},
            "required": ["city"],
        },
    },
}


class LiteLLMTestCase(FrameworkTestCase):
    """Tests of a provider of LiteLLM's.

    Attributes:
        model: the model's name, with its provider.
        path: what comes after the server's URL.
    """

    needs = "litellm"
    model = "openai/gpt-4.1"
    path = "/v1"

    def setUp(self) -> None:
        super().setUp()
        self.patch(self.framework, "suppress_debug_info", True)  # errors are not printed

    def options(self, content: str, **fields: Any) -> dict[str, Any]:
        """The arguments of a call."""
        return {
            "model": self.model,
            "api_base": f"{self.url}{self.path}",
            "api_key": "sk-any",
            "num_retries": 0,
            "max_retries": 0,
            "messages": [{"role": "user", "content": content}],
            **fields,
        }

    def complete(self, content: str = "Say something", **fields: Any) -> Deferred[Any]:
        """Ask for a completion."""
        return self.in_thread(self.framework.completion, **self.options(content, **fields))

    def stream(self, content: str = "Say something", **fields: Any) -> Deferred[Any]:
        """Ask for a stream: its chunks, and the completion that LiteLLM puts together."""

        def work() -> Any:
            options = self.options(content, stream=True, **fields)
            chunks = list(self.framework.completion(**options))
            return chunks, self.framework.stream_chunk_builder(chunks, messages=options["messages"])

        return self.in_thread(work)

    def loop(self, content: str, **fields: Any) -> Deferred[Any]:
        """Answer a question with the tool's help: all messages."""

        def work() -> list[Any]:
            messages: list[Any] = [{"role": "user", "content": content}]
            while True:
                wanted = {**fields, "messages": messages, "tools": [TOOL]}
                message = self.answer(self.options(content, **wanted))
                messages.append(message.model_dump(exclude_none=True))
                if not message.tool_calls:
                    return messages
                for call in message.tool_calls:
                    result = get_weather(**json.loads(call.function.arguments))
                    messages.append({"role": "tool", "tool_call_id": call.id, "content": result})

        return self.in_thread(work)

    def answer(self, options: dict[str, Any]) -> Any:
        """The message that answers."""
        if options.get("stream"):
            chunks = list(self.framework.completion(**options))
            whole = self.framework.stream_chunk_builder(chunks, messages=options["messages"])
        else:
            whole = self.framework.completion(**options)
        return whole.choices[0].message


class OpenAITests(LiteLLMTestCase):
    async def test_text(self) -> None:
        answer = await self.complete()
        self.assertEqual(answer.choices[0].message.content, "hello world")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual(answer.usage.completion_tokens, 2)
        self.assertGreater(answer.usage.prompt_tokens, 2)

    async def test_a_stream(self) -> None:
        chunks, answer = await self.stream(stream_options={"include_usage": True})
        contents = [chunk.choices[0].delta.content for chunk in chunks if chunk.choices]
        self.assertEqual([content for content in contents if content], ["hello", " world"])
        self.assertEqual(answer.choices[0].message.content, "hello world")
        self.assertEqual(answer.usage.completion_tokens, 2)

    async def test_a_tool_loop(self) -> None:
        for streamed in (False, True):
            _, call, result, last = await self.loop("weather in Oslo", stream=streamed)
            self.assertEqual(call["content"], "Let me look.")
            self.assertEqual(call["tool_calls"][0]["function"]["name"], "get_weather")
            self.assertEqual(json.loads(result["content"]), {"city": "Oslo", "celsius": 4})
            self.assertEqual(last["content"], "It is 4 °C in Oslo.")

    async def test_tools_called_at_once(self) -> None:
        for streamed in (False, True):
            *_, last = await self.loop("compare Oslo and Paris", stream=streamed)
            self.assertEqual(last["content"], "It is 4 °C in Oslo. It is 17 °C in Paris.")

    async def test_structured_output(self) -> None:
        for streamed in (False, True):
            *_, last = await self.loop("weather in Oslo", response_format=Report, stream=streamed)
            report = Report.model_validate_json(last["content"])
            self.assertEqual(report, Report(city="Oslo", celsius=4))

    async def test_errors(self) -> None:
        for status, name in (
            (400, "BadRequestError"),
            (401, "AuthenticationError"),
            (404, "NotFoundError"),
            (429, "RateLimitError"),
            (500, "InternalServerError"),
            (503, "ServiceUnavailableError"),
        ):
            for streamed in (False, True):
                kind = getattr(self.framework, name)
                error = await self.fails(kind, self.complete(f"[{status}]", stream=streamed))
                self.assertEqual((type(error), error.status_code), (kind, status))

    async def test_a_prompt_that_is_too_long(self) -> None:
        self.serve(context_length=20)
        asked = self.complete("too long " * 20)
        await self.fails(self.framework.ContextWindowExceededError, asked)

    async def test_a_stream_that_breaks(self) -> None:
        error = await self.fails(self.framework.ServiceUnavailableError, self.stream("break"))
        self.assertEqual(type(error).__name__, "MidStreamFallbackError")
        self.assertIn("Ouch.", str(error))

    async def test_a_second_try(self) -> None:
        answer = await self.complete("flaky", num_retries=1)
        self.assertEqual(answer.choices[0].message.content, "Second time lucky")

    async def test_many_at_once(self) -> None:
        async def work() -> list[Any]:
            options = self.options("weather in Oslo", tools=[TOOL])
            return await asyncio.gather(*[self.framework.acompletion(**options) for _ in range(5)])

        for answer in await self.in_thread(asyncio.run, work()):
            self.assertEqual(answer.choices[0].finish_reason, "tool_calls")


class AnthropicTests(OpenAITests):
    model = "anthropic/claude-sonnet-4-5"
    path = ""
    thinking: ClassVar[dict[str, Any]] = {"thinking": {"type": "enabled", "budget_tokens": 1024}}

    async def test_a_tool_loop_with_thought(self) -> None:
        """What was thought is sent back with what the tool gave."""
        for streamed in (False, True):
            asked = self.loop("think of rain in Oslo", stream=streamed, **self.thinking)
            _, call, _, last = await asked
            self.assertEqual(call["reasoning_content"], "Let me see.")
            self.assertTrue(call["thinking_blocks"][0]["signature"])
            self.assertEqual(last["content"], "It is 4 °C in Oslo.")

    async def test_an_overloaded_server(self) -> None:
        error = await self.fails(self.framework.InternalServerError, self.complete("[529]"))
        self.assertIn("Overloaded", str(error))


class RestTests(LiteLLMTestCase):
    """OpenAI's other endpoints."""

    def ask(self, function: str, **fields: Any) -> Deferred[Any]:
        """Call a function of LiteLLM's."""
        options = self.options("", **fields)
        del options["messages"]
        return self.in_thread(getattr(self.framework, function), **options)

    async def test_embeddings(self) -> None:
        model = "openai/text-embedding-3-small"
        answer = await self.ask("embedding", model=model, input=["Oslo", "Paris"])
        self.assertEqual([len(each["embedding"]) for each in answer.data], [1536, 1536])

    async def test_completions(self) -> None:
        model = "text-completion-openai/gpt-3.5-turbo-instruct"
        answer = await self.ask("text_completion", model=model, prompt="Say something")
        self.assertEqual(answer.choices[0].text, "hello world")

    async def test_moderations(self) -> None:
        answer = await self.ask("moderation", model="omni-moderation-latest", input="Good morning")
        self.assertFalse(answer.results[0].flagged)


class ResponsesTests(LiteLLMTestCase):
    """``litellm.responses``."""

    def respond(self, given: Any = "Say something", **fields: Any) -> Deferred[Any]:
        """Ask for a response, or for a stream of events."""
        options = self.options("", input=given, **fields)
        del options["messages"]

        def work() -> Any:
            answer = self.framework.responses(**options)
            return list(answer) if fields.get("stream") else answer

        return self.in_thread(work)

    async def test_text(self) -> None:
        answer = await self.respond()
        self.assertEqual(answer.output_text, "hello world")
        self.assertEqual((answer.status, answer.usage.output_tokens), ("completed", 2))

    async def test_a_stream(self) -> None:
        events = await self.respond(stream=True)
        kinds = [event.type for event in events]
        self.assertEqual((kinds[0], kinds[-1]), ("response.created", "response.completed"))
        deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
        self.assertEqual(deltas, ["hello", " world"])
        self.assertEqual(events[-1].response.output_text, "hello world")

    async def test_a_tool_loop(self) -> None:
        tool = {"type": "function", **TOOL["function"]}
        first = await self.respond("weather in Oslo", tools=[tool])
        (call,) = (item for item in first.output if item.type == "function_call")
        result = {
            "type": "function_call_output",
            "call_id": call.call_id,
            "output": get_weather(**json.loads(call.arguments)),
        }
        last = await self.respond([result], tools=[tool], previous_response_id=first.id)
        self.assertEqual(last.output_text, "It is 4 °C in Oslo.")

    async def test_structured_output(self) -> None:
        answer = await self.respond(text_format=Report)
        Report.model_validate_json(answer.output_text, strict=True)

    async def test_errors(self) -> None:
        await self.fails(self.framework.RateLimitError, self.respond("[429]"))
        wrong = self.respond(previous_response_id="resp_x")
        await self.fails(self.framework.BadRequestError, wrong)
