"""Pydantic AI against a live server: its OpenAI models, by both APIs, and its Anthropic model."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from tests.frameworks.case import FrameworkTestCase, Report, framework, get_weather


class PydanticAITestCase(FrameworkTestCase):
    """Tests of agents, each run on an event loop of its own."""

    needs = "pydantic_ai"
    vendor: ClassVar[str]
    kind: ClassVar[str]
    path = "/v1"
    name = "gpt-4.1"

    def model(self, retries: int) -> Any:
        """The model, with a client of the vendor's."""
        raise NotImplementedError

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

    def with_agent(
        self, use: Callable[[Any], Coroutine[Any, Any, Any]], *, retries: int = 0, **options: Any
    ) -> Deferred[Any]:
        """Use an agent that knows the tool, in a thread."""

        async def work() -> Any:
            models = framework(f"pydantic_ai.models.{self.vendor}")
            providers = framework(f"pydantic_ai.providers.{self.vendor}")
            sdk = framework(self.vendor)
            client = getattr(sdk, f"Async{self.sdk}")
            async with client(
                base_url=f"{self.url}{self.path}", api_key="sk-any", max_retries=retries
            ) as made:
                provider = getattr(providers, f"{self.sdk}Provider")(
                    **{f"{self.vendor}_client": made}
                )
                model = getattr(models, self.kind)(self.name, provider=provider)
                return await use(self.framework.Agent(model, tools=[get_weather], **options))

        return self.in_thread(lambda: asyncio.run(work()))

    sdk: ClassVar[str]


class ChatTests(PydanticAITestCase):
    vendor = "openai"
    sdk = "OpenAI"
    kind = "OpenAIChatModel"

    async def test_text(self) -> None:
        result = await self.run_agent()
        self.assertEqual(result.output, "hello world")
        self.assertEqual(result.usage.output_tokens, 2)

    async def test_a_stream(self) -> None:
        texts, output = await self.stream_agent()
        self.assertEqual((texts, output), (["hello", " world"], "hello world"))

    async def test_a_tool_loop(self) -> None:
        result = await self.run_agent("weather in Oslo")
        self.assertEqual(result.output, "It is 4 °C in Oslo.")
        kinds = [part.part_kind for message in result.all_messages() for part in message.parts]
        self.assertEqual(kinds, ["user-prompt", "text", "tool-call", "tool-return", "text"])

    async def test_a_tool_loop_streamed(self) -> None:
        async def work(agent: Any) -> list[Any]:
            async with agent.run_stream_events("compare Oslo and Paris") as events:
                return [event async for event in events]

        events = await self.with_agent(work)
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


class AnthropicTests(ChatTests):
    vendor = "anthropic"
    sdk = "Anthropic"
    kind = "AnthropicModel"
    path = ""
    name = "claude-sonnet-4-5"
