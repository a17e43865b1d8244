"""The scenario of an agent: a real loop with the vendor's SDK, which calls tools and retries."""

import json
from pathlib import Path
from typing import Any

import openai
from twisted.internet.defer import Deferred

from tests.questions import WEATHER
from tests.scenarios.libraries import AGENT
from tests.sdk import AsyncSdk, SdkTestCase

CELSIUS = {"Paris": 21, "Oslo": -3}


def get_weather(city: str) -> dict[str, Any]:
    """The agent's tool."""
    return {"celsius": CELSIUS[city], "city": city}


class AgentTests(SdkTestCase):
    def setUp(self) -> None:
        super().setUp()
        path = Path(self.mktemp())
        path.write_text(AGENT, encoding="utf-8")
        self.serve(scenario=[str(path)])

    async def turn(self, talk: list[Any]) -> Any:
        """Ask for the next message of the assistant."""
        completion = await self.create(messages=talk, tools=[WEATHER])
        return completion.choices[0].message

    async def converse(self, *asked: str) -> list[Any]:
        """Run the loop for each message of the user; the whole conversation."""
        talk: list[Any] = []
        for text in asked:
            talk.append({"role": "user", "content": text})
            for _ in range(5):
                said = await self.turn(talk)
                talk.append(said.model_dump(exclude_none=True))
                if not said.tool_calls:
                    break
                for call in said.tool_calls:
                    found = get_weather(**json.loads(call.function.arguments))
                    result = {"role": "tool", "tool_call_id": call.id, "content": json.dumps(found)}
                    talk.append(result)
        return talk

    async def test_the_tool_is_called_and_its_result_answered_with(self) -> None:
        talk = await self.converse("What is the weather in Paris?")
        self.assertEqual(
            [each["role"] for each in talk], ["user", "assistant", "tool", "assistant"]
        )
        self.assertEqual(talk[1]["content"], "Let me look.")
        self.assertEqual(talk[3]["content"], "It is 21 °C in Paris.")

    async def test_the_next_question_begins_a_new_step(self) -> None:
        talk = await self.converse("weather in Paris", "And the weather in Oslo?", "Thanks!")
        said = [each["content"] for each in talk if each["role"] == "assistant"]
        self.assertEqual(
            said,
            [
                "Let me look.",
                "It is 21 °C in Paris.",
                "Let me look.",
                "It is -3 °C in Oslo.",
                "hello world",
            ],
        )

    def flaky(self) -> Deferred[Any]:
        return self.create(messages=[{"role": "user", "content": "flaky"}])

    async def test_the_sdk_retries_until_it_is_lucky(self) -> None:
        self.options["max_retries"] = 2
        completion = await self.flaky()
        self.assertEqual(completion.choices[0].message.content, "Third time lucky")
        self.assertEqual((len(self.sent), len(self.waits)), (3, 2))
        self.assertEqual(self.waits[0], 1.0)  # as the answer of status 429 asks

    async def test_an_agent_without_retries_sees_every_error(self) -> None:
        await self.assertFailure(self.flaky(), openai.RateLimitError)
        error = await self.assertFailure(self.flaky(), openai.InternalServerError)
        self.assertEqual((error.status_code, error.body["message"]), (503, "Try later"))
        for _ in range(2):  # the last reply stays
            completion = await self.flaky()
            self.assertEqual(completion.choices[0].message.content, "Third time lucky")

    async def test_sessions_are_flaky_each_for_itself(self) -> None:
        self.options["max_retries"] = 2
        for name in ("one", "two"):
            self.options["api_key"] = f"session-{name}"
            self.sent.clear()
            await self.flaky()
            self.assertEqual(len(self.sent), 3)


class StreamingAgentTests(AgentTests):
    """The same loop over streams, put together by the SDK."""

    async def turn(self, talk: list[Any]) -> Any:
        _, completion = await self.events(messages=talk, tools=[WEATHER])
        return completion.choices[0].message

    async def converse(self, *asked: str) -> list[Any]:
        talk = await super().converse(*asked)
        for message in talk:
            for call in message.get("tool_calls", ()):
                call["function"].pop("parsed_arguments", None)
        return talk


class AsyncAgentTests(AsyncSdk, AgentTests):
    pass
