"""Pydantic AI against a live server: its OpenAI models, by both APIs, and its Anthropic model."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from tests.frameworks.case import FrameworkTestCase, Report, framework, get_weather


class PydanticAITestCase(FrameworkTestCase):
    """Tests of agents, each run on an event loop of its own.

    Attributes:
        vendor: the module of the vendor's SDK, and the vendor's part of Pydantic AI.
        spelling: the vendor, as names of classes have it.
        kind: the class of the model.
        name: the name of the model.
        path: what comes after the server's URL.
    """

    needs = "pydantic_ai"
    vendor: ClassVar[str]
    spelling: ClassVar[str]
    kind: ClassVar[str]
    name: ClassVar[str]
    path: ClassVar[str]

    def setUp(self) -> None:
        super().setUp()
        self.sdk = framework(self.vendor)
        self.models = framework(f"pydantic_ai.models.{self.vendor}")
        self.providers = framework(f"pydantic_ai.providers.{self.vendor}")

    def agent(self, tools: Any = (), **options: Any) -> Any:
        """An agent whose provider is made of these options; further ones are the agent's."""
        provider = getattr(self.providers, f"{self.spelling}Provider")(**options.pop("provider"))
        model = getattr(self.models, self.kind)(self.name, provider=provider)
        return self.framework.Agent(model, tools=tools, **options)

    def run_agent(self, content: str = "Say something", **options: Any) -> Deferred[Any]:
        """Have an agent answer: the run's result."""
        return self.with_agent(lambda agent: agent.run(content), **options)

    def stream_agent(self, content: str = "Say something", **options: Any) -> Deferred[Any]:
        """Have an agent answer in a stream: the texts, and the output."""

        async def work(agent: Any) -> Any:
            async with agent.run_stream(content) as result:
                texts = [text async for text in result.stream_text(delta=True, debounce_by=None)]
                return texts, await result.get_output()

        return self.with_agent(work, **options)

    def events(self, content: str, **options: Any) -> Deferred[list[Any]]:
        """Have an agent answer in a stream: its events, of which the last has the result."""

        async def work(agent: Any) -> list[Any]:
            async with agent.run_stream_events(content) as events:
                return [event async for event in events]

        return self.with_agent(work, **options)

    def with_agent(
        self, use: Callable[[Any], Coroutine[Any, Any, Any]], *, retries: int = 0, **options: Any
    ) -> Deferred[Any]:
        """Use an agent that knows the tool, in a thread."""

        async def work() -> Any:
            async with getattr(self.sdk, f"Async{self.spelling}")(
                base_url=f"{self.url}{self.path}", api_key="sk-any", max_retries=retries
            ) as client:
                provider = {f"{self.vendor}_client": client}
                return await use(self.agent([get_weather], provider=provider, **options))

        return self.in_thread(lambda: asyncio.run(work()))


def kinds_of(result: Any) -> list[str]:
    """What the messages of a run are made of."""
    return [part.part_kind for message in result.all_messages() for part in message.parts]


class ChatTests(PydanticAITestCase):
    vendor = "openai"
    spelling = "OpenAI"
    kind = "OpenAIChatModel"
    name = "gpt-5"
    path = "/v1"

    async def test_text(self) -> None:
        result = await self.run_agent()
        self.assertEqual(result.output, "hello world")
        self.assertEqual(result.usage.output_tokens, 2)

    async def test_a_client_of_pydantic_ais_own(self) -> None:
        async def work() -> Any:
            provider = {"base_url": f"{self.url}{self.path}", "api_key": "sk-any"}
            async with self.agent(provider=provider) as agent:
                return await agent.run("Say something")

        result = await self.in_thread(lambda: asyncio.run(work()))
        self.assertEqual(result.output, "hello world")

    async def test_a_stream(self) -> None:
        texts, output = await self.stream_agent()
        self.assertEqual((texts, output), (["hello", " world"], "hello world"))

    async def test_a_tool_loop(self) -> None:
        result = await self.run_agent("weather in Oslo")
        self.assertEqual(result.output, "It is 4 °C in Oslo.")
        self.assertEqual(
            kinds_of(result), ["user-prompt", "text", "tool-call", "tool-return", "text"]
        )

    async def test_a_tool_loop_streamed(self) -> None:
        events = await self.events("compare Oslo and Paris")
        kinds = [event.event_kind for event in events]
        self.assertEqual(kinds.count("function_tool_result"), 2)
        self.assertEqual(events[-1].result.output, "It is 4 °C in Oslo. It is 17 °C in Paris.")

    async def test_structured_output_by_a_tool(self) -> None:
        wanted = self.framework.ToolOutput(Report, name="Report")
        result = await self.run_agent("weather in Oslo", output_type=wanted)
        self.assertEqual(result.output, Report(city="Oslo", celsius=4))

    async def test_structured_output_by_the_models_format(self) -> None:
        wanted = self.framework.NativeOutput(Report)
        result = await self.run_agent("weather in Oslo", output_type=wanted)
        self.assertEqual(result.output, Report(city="Oslo", celsius=4))

    async def test_structured_output_streamed(self) -> None:
        async def work(agent: Any) -> Any:
            # a text before the calls would be taken for the output
            async with agent.run_stream("compare Oslo and Paris") as result:
                return [each async for each in result.stream_output(debounce_by=None)]

        for wanted in (
            self.framework.ToolOutput(Report, name="Report"),
            self.framework.NativeOutput(Report),
        ):
            reports = await self.with_agent(work, output_type=wanted)
            self.assertEqual(reports[-1], Report(city="Oslo", celsius=4))

    async def test_errors(self) -> None:
        for status, name in (
            (400, "ModelRequestRejectedError"),
            (401, "ModelAuthenticationError"),
            (404, "ModelNotFoundError"),
            (429, "ModelRateLimitError"),
            (500, "ModelServerError"),
            (503, "ModelUnavailableError"),
        ):
            for run in (self.run_agent, self.stream_agent):
                error = await self.fails(getattr(self.framework, name), run(f"[{status}]"))
                self.assertEqual(error.status_code, status)

    async def test_a_prompt_that_is_too_long(self) -> None:
        self.serve(context_length=20)
        asked = self.run_agent("too long " * 20)
        await self.fails(self.framework.ModelContextWindowExceededError, asked)

    async def test_a_stream_that_breaks(self) -> None:
        error = await self.fails(self.framework.ModelAPIError, self.stream_agent("break"))
        self.assertIn("Ouch.", str(error))

    async def test_a_second_try(self) -> None:
        result = await self.run_agent("flaky", retries=1)
        self.assertEqual(result.output, "Second time lucky")


class ResponsesTests(ChatTests):
    kind = "OpenAIResponsesModel"
    thinking: ClassVar[dict[str, Any]] = {
        "openai_reasoning_effort": "low",
        "openai_reasoning_summary": "auto",
    }

    async def test_a_tool_loop_with_thought(self) -> None:
        """What was thought is sent back with what the tool gave."""
        options = {"model_settings": self.thinking}
        whole = await self.run_agent("think of rain in Oslo", **options)
        *_, last = await self.events("think of rain in Oslo", **options)
        for result in (whole, last.result):
            self.assertEqual(result.output, "It is 4 °C in Oslo.")
            kinds = kinds_of(result)
            self.assertEqual(kinds[:4], ["user-prompt", "thinking", "tool-call", "tool-return"])
            thought = result.all_messages()[1].parts[0]
            self.assertEqual(thought.content, "Let me see.")
            self.assertTrue(thought.signature)


class AnthropicTests(ResponsesTests):
    vendor = "anthropic"
    spelling = "Anthropic"
    kind = "AnthropicModel"
    name = "claude-sonnet-4-5"
    path = ""
    thinking: ClassVar[dict[str, Any]] = {
        "anthropic_thinking": {"type": "enabled", "budget_tokens": 1024}
    }

    async def test_an_overloaded_server(self) -> None:
        error = await self.fails(self.framework.ModelOverloadedError, self.run_agent("[529]"))
        self.assertEqual(error.status_code, 529)
