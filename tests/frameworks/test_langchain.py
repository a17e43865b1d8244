"""LangChain against a live server: `ChatOpenAI`, by both of OpenAI's APIs, and `ChatAnthropic`."""

import asyncio
from functools import reduce
from operator import add
from typing import Any, ClassVar

from twisted.internet.defer import Deferred

from tests.frameworks.case import FrameworkTestCase, Report, framework, get_weather


def put_together(chunks: list[Any]) -> Any:
    """The message of a stream."""
    return reduce(add, chunks)


class LangChainTestCase(FrameworkTestCase):
    """Tests of a chat model of LangChain's."""

    needs = "langchain_core"

    def setUp(self) -> None:
        super().setUp()
        self.agents = framework("langchain.agents")
        self.errors = framework("langchain_core.exceptions")

    def model(self, **options: Any) -> Any:
        """The chat model, without retries."""
        raise NotImplementedError

    def invoke(self, content: str = "Say something", **options: Any) -> Deferred[Any]:
        """Ask for a message."""
        return self.in_thread(self.model(**options).invoke, content)

    def stream(self, content: str = "Say something", **options: Any) -> Deferred[list[Any]]:
        """Ask for a stream: its chunks."""
        model = self.model(**options)
        return self.in_thread(lambda: list(model.stream(content)))

    def agent(self, **options: Any) -> Any:
        """An agent that knows the tool."""
        return self.agents.create_agent(self.model(), [get_weather], **options)

    def run_agent(self, content: str, **options: Any) -> Deferred[Any]:
        """Have an agent answer: the state that it ends in."""
        given = {"messages": [{"role": "user", "content": content}]}
        return self.in_thread(self.agent(**options).invoke, given)


class ChatOpenAITests(LangChainTestCase):
    provider = "openai"

    def model(self, **options: Any) -> Any:
        openai = framework("langchain_openai")
        wanted = {"base_url": f"{self.url}/v1", "api_key": "sk-any", "max_retries": 0, **options}
        return openai.ChatOpenAI(model="gpt-4.1", **wanted)

    async def test_text(self) -> None:
        message = await self.invoke()
        self.assertEqual(message.text, "hello world")
        self.assertEqual(message.usage_metadata["output_tokens"], 2)
        self.assertEqual(message.response_metadata["model_provider"], self.provider)

    async def test_a_stream(self) -> None:
        chunks = await self.stream(stream_usage=True)
        texts = [chunk.text for chunk in chunks if chunk.text]
        self.assertEqual(texts, ["hello", " world"])
        whole = put_together(chunks)
        self.assertEqual((whole.text, whole.usage_metadata["output_tokens"]), ("hello world", 2))

    async def test_a_tool_loop(self) -> None:
        state = await self.run_agent("weather in Oslo")
        _, call, result, last = state["messages"]
        self.assertEqual(call.text, "Let me look.")
        (asked,) = call.tool_calls
        self.assertEqual((asked["name"], asked["args"]), ("get_weather", {"city": "Oslo"}))
        self.assertEqual(result.tool_call_id, asked["id"])
        self.assertEqual(last.text, "It is 4 °C in Oslo.")

    async def test_a_tool_loop_streamed(self) -> None:
        agent = self.agent()
        given = {"messages": [{"role": "user", "content": "compare Oslo and Paris"}]}

        async def work() -> list[tuple[str, str]]:
            return [
                (details["langgraph_node"], chunk.text)
                async for chunk, details in agent.astream(given, stream_mode="messages")
            ]

        told = await self.in_thread(asyncio.run, work())
        said = "".join(text for node, text in told if node == "model")
        self.assertEqual(said, "It is 4 °C in Oslo. It is 17 °C in Paris.")
        self.assertEqual([node for node, _ in told].count("tools"), 2)
        self.assertGreater(len(told), 10)

    async def test_structured_output_by_the_models_format(self) -> None:
        model = self.model().with_structured_output(Report, method="json_schema")
        self.assertIsInstance(await self.in_thread(model.invoke, "Which city?"), Report)

    async def test_structured_output_by_a_tool(self) -> None:
        model = self.model().with_structured_output(Report, method="function_calling")
        self.assertIsInstance(await self.in_thread(model.invoke, "Which city?"), Report)

    async def test_an_agents_structured_output(self) -> None:
        structured = framework("langchain.agents.structured_output")
        for strategy in (structured.ProviderStrategy, structured.ToolStrategy):
            state = await self.run_agent("weather in Oslo", response_format=strategy(Report))
            self.assertEqual(state["structured_response"], Report(city="Oslo", celsius=4))

    async def test_errors(self) -> None:
        for status, name in (
            (400, "ModelInvalidRequestError"),
            (401, "ModelAuthenticationError"),
            (403, "ModelPermissionDeniedError"),
            (404, "ModelNotFoundError"),
            (429, "ModelRateLimitError"),
            (500, "ModelAPIError"),
            (503, "ModelAPIError"),
        ):
            for ask in (self.invoke, self.stream):
                error = await self.fails(getattr(self.errors, name), ask(f"[{status}]"))
                self.assertEqual(error.status_code, status)

    async def test_a_prompt_that_is_too_long(self) -> None:
        self.serve(context_length=20)
        error = await self.fails(self.errors.ModelInvalidRequestError, self.invoke("long " * 20))
        self.assertEqual(error.code, "context_length_exceeded")  # LangChain reads the words only

    async def test_a_stream_that_breaks(self) -> None:
        error = await self.fails(Exception, self.stream("break"))
        self.assertIn("Ouch.", str(error))

    async def test_a_second_try(self) -> None:
        self.assertEqual((await self.invoke("flaky", max_retries=1)).text, "Second time lucky")

    async def test_why_it_ended(self) -> None:
        message = await self.invoke("go on")
        self.assertEqual(message.text, "Once upon a")
        self.assertEqual(self.reason(message), "length")

    def reason(self, message: Any) -> str:
        """Why a message ended, in the words of chat completions."""
        return str(message.response_metadata["finish_reason"])


class ChatOpenAIResponsesTests(ChatOpenAITests):
    thinking: ClassVar[dict[str, Any]] = {"reasoning": {"effort": "low", "summary": "auto"}}

    def model(self, **options: Any) -> Any:
        return super().model(use_responses_api=True, **options)

    def reason(self, message: Any) -> str:
        reason = message.response_metadata["incomplete_details"]["reason"]
        return {"max_output_tokens": "length"}[reason]

    async def test_thinking(self) -> None:
        for message in (
            await self.invoke("think", **self.thinking),
            put_together(await self.stream("think", **self.thinking)),
        ):
            thought, said = message.content_blocks
            self.assertEqual((thought["type"], thought["reasoning"]), ("reasoning", "Let me see."))
            self.assertEqual(said["text"], "Done.")

    async def test_a_tool_loop_with_thought(self) -> None:
        """What was thought is sent back with what the tool gave."""
        agent = self.agents.create_agent(self.model(**self.thinking), [get_weather])
        given = {"messages": [{"role": "user", "content": "think of rain in Oslo"}]}

        def work() -> Any:
            *_, state = agent.stream(given, stream_mode="values")
            return state

        for state in (await self.in_thread(agent.invoke, given), await self.in_thread(work)):
            _, call, _, last = state["messages"]
            self.assertEqual(
                [block["type"] for block in call.content_blocks], ["reasoning", "tool_call"]
            )
            self.assertEqual(last.text, "It is 4 °C in Oslo.")


class ChatAnthropicTests(ChatOpenAIResponsesTests):
    provider = "anthropic"
    thinking: ClassVar[dict[str, Any]] = {"thinking": {"type": "enabled", "budget_tokens": 1024}}

    def model(self, **options: Any) -> Any:
        anthropic = framework("langchain_anthropic")
        wanted = {"base_url": self.url, "api_key": "sk-ant-any", "max_retries": 0, **options}
        return anthropic.ChatAnthropic(model="claude-sonnet-4-5", **wanted)

    def reason(self, message: Any) -> str:
        return {"max_tokens": "length"}[message.response_metadata["stop_reason"]]

    async def test_a_prompt_that_is_too_long(self) -> None:
        self.serve(context_length=20)
        await self.fails(self.errors.ContextOverflowError, self.invoke("too long " * 20))


class KeptTests(LangChainTestCase):
    """What the server keeps of a conversation, instead of the app."""

    async def test_a_tool_loop_by_the_previous_response(self) -> None:
        openai = framework("langchain_openai")
        model = openai.ChatOpenAI(
            model="gpt-4.1",
            base_url=f"{self.url}/v1",
            api_key="sk-any",
            max_retries=0,
            use_previous_response_id=True,
        ).bind_tools([get_weather])

        def work() -> list[Any]:
            messages: list[Any] = [{"role": "user", "content": "weather in Oslo"}]
            messages.append(model.invoke(messages))
            (call,) = messages[-1].tool_calls
            content = get_weather(**call["args"])
            messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})
            return [*messages, model.invoke(messages)]

        self.assertEqual((await self.in_thread(work))[-1].text, "It is 4 °C in Oslo.")
