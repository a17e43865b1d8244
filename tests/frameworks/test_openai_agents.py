"""The OpenAI Agents SDK against a live server, by the Responses API and by chat completions."""

import asyncio
import json
import logging
from collections.abc import Callable, Coroutine
from typing import Any

import openai
from twisted.internet.defer import Deferred

from tests.frameworks.case import FrameworkTestCase, Report, get_weather


class AgentsTestCase(FrameworkTestCase):
    """Tests of agents, each run on an event loop of its own."""

    needs = "agents"
    kind = "OpenAIResponsesModel"

    def setUp(self) -> None:
        super().setUp()
        self.patch(logging.getLogger("openai.agents"), "disabled", True)  # errors are raised too

    def run_agent(self, content: Any = "Say something", **options: Any) -> Deferred[Any]:
        """Have an agent answer: the run's result."""

        async def work(agent: Any) -> Any:
            return await self.framework.Runner.run(agent, content)

        return self.with_agent(work, **options)

    def stream_agent(self, content: str = "Say something", **options: Any) -> Deferred[Any]:
        """Have an agent answer in a stream: its events, and the run's result."""

        async def work(agent: Any) -> Any:
            result = self.framework.Runner.run_streamed(agent, content)
            return [event async for event in result.stream_events()], result

        return self.with_agent(work, **options)

    def with_agent(
        self, use: Callable[[Any], Coroutine[Any, Any, Any]], *, retries: int = 0, **options: Any
    ) -> Deferred[Any]:
        """Use an agent that knows the tool, in a thread."""

        async def work() -> Any:
            async with openai.AsyncOpenAI(
                base_url=f"{self.url}/v1", api_key="sk-any", max_retries=retries
            ) as client:
                model = getattr(self.framework, self.kind)(model="gpt-4.1", openai_client=client)
                wanted = {"tools": [self.framework.function_tool(get_weather)], **options}
                return await use(self.framework.Agent(name="Clerk", model=model, **wanted))

        return self.in_thread(lambda: asyncio.run(work()))


class ResponsesTests(AgentsTestCase):
    async def test_text(self) -> None:
        result = await self.run_agent()
        self.assertEqual(result.final_output, "hello world")
        (response,) = result.raw_responses
        self.assertEqual(response.usage.output_tokens, 2)

    async def test_a_stream(self) -> None:
        events, result = await self.stream_agent()
        deltas = [
            event.data.delta
            for event in events
            if event.type == "raw_response_event"
            and event.data.type == "response.output_text.delta"
        ]
        self.assertEqual(deltas, ["hello", " world"])
        self.assertEqual(result.final_output, "hello world")

    async def test_a_tool_loop(self) -> None:
        _, streamed = await self.stream_agent("weather in Oslo")
        for result in (await self.run_agent("weather in Oslo"), streamed):
            self.assertEqual(result.final_output, "It is 4 °C in Oslo.")
            said, call, given, answer = result.new_items
            self.assertEqual([said.type, answer.type], ["message_output_item"] * 2)
            self.assertEqual(json.loads(call.raw_item.arguments), {"city": "Oslo"})
            self.assertEqual(given.output, get_weather("Oslo"))

    async def test_tools_called_at_once(self) -> None:
        _, streamed = await self.stream_agent("compare Oslo and Paris")
        for result in (await self.run_agent("compare Oslo and Paris"), streamed):
            self.assertEqual(result.final_output, "It is 4 °C in Oslo. It is 17 °C in Paris.")

    async def test_an_agent_hands_over_to_another(self) -> None:
        async def work(clerk: Any) -> Any:
            desk = self.framework.Agent(name="Desk", model=clerk.model, handoffs=[clerk])
            must = self.framework.ModelSettings(tool_choice="required")
            desk.model_settings = must
            return await self.framework.Runner.run(desk, "Good morning")

        result = await self.with_agent(work)
        self.assertEqual((result.last_agent.name, result.final_output), ("Clerk", "hello world"))

    async def test_structured_output(self) -> None:
        _, streamed = await self.stream_agent("weather in Oslo", output_type=Report)
        for result in (await self.run_agent("weather in Oslo", output_type=Report), streamed):
            self.assertEqual(result.final_output, Report(city="Oslo", celsius=4))

    async def test_errors(self) -> None:
        for status, kind in (
            (400, openai.BadRequestError),
            (401, openai.AuthenticationError),
            (404, openai.NotFoundError),
            (429, openai.RateLimitError),
            (500, openai.InternalServerError),
        ):
            for run in (self.run_agent, self.stream_agent):
                error = await self.fails(kind, run(f"[{status}]"))
                self.assertEqual(error.status_code, status)

    async def test_a_refusal(self) -> None:
        for run in (self.run_agent, self.stream_agent):
            error = await self.fails(
                self.framework.ModelRefusalError, run("refuse", output_type=Report)
            )
            self.assertIn("I will not.", str(error))

    async def test_a_stream_that_breaks(self) -> None:
        error = await self.fails(Exception, self.stream_agent("break"))
        self.assertIn("Ouch.", str(error))

    async def test_a_second_try(self) -> None:
        result = await self.run_agent("flaky", retries=1)
        self.assertEqual(result.final_output, "Second time lucky")

    async def test_too_many_turns(self) -> None:
        async def work(agent: Any) -> Any:
            return await self.framework.Runner.run(agent, "weather in Oslo", max_turns=1)

        await self.fails(self.framework.MaxTurnsExceeded, self.with_agent(work))


class ThinkingTests(AgentsTestCase):
    async def test_a_tool_loop_with_thought(self) -> None:
        """What was thought is sent back with what the tool gave."""
        settings = self.framework.ModelSettings(
            reasoning={"effort": "low", "summary": "auto"},
            response_include=["reasoning.encrypted_content"],
            store=False,
        )
        asked = "think of rain in Oslo"
        _, streamed = await self.stream_agent(asked, model_settings=settings)
        for result in (await self.run_agent(asked, model_settings=settings), streamed):
            thought, call, *_ = result.new_items
            self.assertEqual(thought.raw_item.summary[0].text, "Let me see.")
            self.assertTrue(thought.raw_item.encrypted_content)
            self.assertEqual(call.type, "tool_call_item")
            self.assertEqual(result.final_output, "It is 4 °C in Oslo.")


class KeptTests(AgentsTestCase):
    """What the server keeps of a conversation, instead of the agent."""

    async def test_a_tool_loop_by_the_previous_response(self) -> None:
        async def work(agent: Any) -> Any:
            first = await self.framework.Runner.run(
                agent, "weather in Oslo", auto_previous_response_id=True
            )
            second = await self.framework.Runner.run(
                agent, "weather in Paris", previous_response_id=first.last_response_id
            )
            return first, second

        first, second = await self.with_agent(work)
        self.assertEqual(first.final_output, "It is 4 °C in Oslo.")
        self.assertEqual(second.final_output, "It is 17 °C in Paris.")

    async def test_a_tool_loop_in_a_conversation(self) -> None:
        async def work(agent: Any) -> Any:
            client = agent.model._client
            session = self.framework.OpenAIConversationsSession(openai_client=client)
            for city in ("Oslo", "Paris"):
                result = await self.framework.Runner.run(
                    agent, f"weather in {city}", session=session
                )
            return result, await session.get_items()

        result, items = await self.with_agent(work)
        self.assertEqual(result.final_output, "It is 17 °C in Paris.")
        self.assertEqual(len(items), 10)


class ChatTests(ResponsesTests):
    kind = "OpenAIChatCompletionsModel"
