"""The Responses API through the vendor's own SDK against a live server, sync and async."""

import json
from pathlib import Path
from typing import Any

import openai
from pydantic import BaseModel
from twisted.internet.defer import Deferred

from tests.sdk import AsyncSdk, SdkTestCase
from tests.servers import Answer, MemoryTestCase, events_of

WEATHER: dict[str, Any] = {
    "type": "function",
    "name": "get_weather",
    "parameters": {
        "type": "object",
        "properties": {"city": {"type": "string"}},
        "required": ["city"],
        "additionalProperties": False,
    },
    "strict": True,
}
ASKED: dict[str, Any] = {"model": "any-model", "input": "Say something"}


class Number(BaseModel):
    number: int


class ResponsesTestCase(SdkTestCase):
    """Tests that ask for responses."""

    def respond(self, **fields: Any) -> Deferred[Any]:
        """Ask for a response: `ASKED` with other or further fields."""
        return self.call("responses.create", **{**ASKED, **fields})

    def streamed(self, **fields: Any) -> Deferred[tuple[list[Any], Any]]:
        """Ask by the SDK's streaming helper: its events, and the response it puts together."""

        def use(client: Any) -> tuple[list[Any], Any]:
            with client.responses.stream(**{**ASKED, **fields}) as stream:
                return list(stream), stream.get_final_response()

        return self.run_with(use)

    def raw_events(self, **fields: Any) -> Deferred[list[Any]]:
        """Ask for a stream of events."""
        return self.run_with(
            lambda client: list(client.responses.create(**{**ASKED, **fields}, stream=True))
        )

    def resumed(self, response_id: str, starting_after: int | None = None) -> Deferred[list[Any]]:
        """The events of a response that is kept."""
        more = {} if starting_after is None else {"starting_after": starting_after}
        return self.run_with(
            lambda client: list(client.responses.retrieve(response_id, stream=True, **more))
        )


class AsyncResponses(AsyncSdk, ResponsesTestCase):
    """The same by the async client."""

    def streamed(self, **fields: Any) -> Deferred[tuple[list[Any], Any]]:
        async def use(client: Any) -> tuple[list[Any], Any]:
            async with client.responses.stream(**{**ASKED, **fields}) as stream:
                return [event async for event in stream], await stream.get_final_response()

        return self.run_with(use)

    def raw_events(self, **fields: Any) -> Deferred[list[Any]]:
        async def use(client: Any) -> list[Any]:
            stream = await client.responses.create(**{**ASKED, **fields}, stream=True)
            return [event async for event in stream]

        return self.run_with(use)

    def resumed(self, response_id: str, starting_after: int | None = None) -> Deferred[list[Any]]:
        more = {} if starting_after is None else {"starting_after": starting_after}

        async def use(client: Any) -> list[Any]:
            stream = await client.responses.retrieve(response_id, stream=True, **more)
            return [event async for event in stream]

        return self.run_with(use)


class AnswerTests(ResponsesTestCase):
    async def test_a_question_is_answered(self) -> None:
        answer = await self.respond()
        self.assertEqual(answer.output_text, "hello world")
        self.assertEqual(answer.status, "completed")
        self.assertEqual(answer.usage.output_tokens, 2)
        self.assertRegex(answer.id, "^resp_[A-Za-z0-9]{32}$")

    async def test_a_stream_is_put_together(self) -> None:
        events, answer = await self.streamed()
        self.assertEqual(answer.output_text, "hello world")
        self.assertEqual([e.sequence_number for e in events], list(range(len(events))))
        self.assertEqual(
            [e.type for e in events],
            [
                "response.created",
                "response.in_progress",
                "response.output_item.added",
                "response.content_part.added",
                "response.output_text.delta",
                "response.output_text.delta",
                "response.output_text.done",
                "response.content_part.done",
                "response.output_item.done",
                "response.completed",
            ],
        )

    async def test_parsed_into_a_model(self) -> None:
        answer = await self.call("responses.parse", **ASKED, text_format=Number)
        self.assertIsInstance(answer.output_parsed, Number)
        _, streamed = await self.streamed(text_format=Number)
        self.assertIsInstance(streamed.output_parsed, Number)

    async def test_a_tool_loop_by_the_previous_response(self) -> None:
        first = await self.respond(tools=[WEATHER], tool_choice="required")
        (call,) = first.output
        self.assertEqual((call.type, call.name), ("function_call", "get_weather"))
        self.assertIn("city", json.loads(call.arguments))
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        second = await self.respond(tools=[WEATHER], previous_response_id=first.id, input=[result])
        self.assertEqual(second.output_text, "hello world")
        self.assertEqual(second.previous_response_id, first.id)

    async def test_a_tool_loop_by_items(self) -> None:
        _, first = await self.streamed(tools=[WEATHER], tool_choice="required")
        (call,) = first.output
        result = {"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}
        given = [
            {"role": "user", "content": "The weather?"},
            call.model_dump(exclude={"parsed_arguments"}, exclude_none=True),
            result,
        ]
        second = await self.respond(tools=[WEATHER], input=given, store=False)
        self.assertEqual(second.output_text, "hello world")

    async def test_max_output_tokens_leave_it_incomplete(self) -> None:
        answer = await self.respond(max_output_tokens=16, reasoning={"effort": "low"})
        self.assertEqual(answer.status, "completed")  # as what is hidden takes what is left
        self.serve(answer="one two three four five " * 9)
        events = await self.raw_events(max_output_tokens=16)
        answer = events[-1].response
        self.assertEqual((events[-1].type, answer.status), ("response.incomplete", "incomplete"))
        self.assertEqual(answer.incomplete_details.reason, "max_output_tokens")
        self.assertEqual(answer.output[0].status, "incomplete")

    async def test_what_is_wrong_is_said(self) -> None:
        for wrong, param, code in (
            ({"max_output_tokens": 1}, "max_output_tokens", "integer_below_min_value"),
            ({"temperature": 7}, "temperature", "decimal_above_max_value"),
            ({"input": [{"role": "nobody", "content": ""}]}, "input[0].role", "invalid_value"),
            (
                {"previous_response_id": "resp_x"},
                "previous_response_id",
                "previous_response_not_found",
            ),
        ):
            error = await self.assertFailure(self.respond(**wrong), openai.BadRequestError)
            self.assertEqual((error.param, error.code), (param, code))
        await self.assertFailure(self.respond(conversation="conv_x"), openai.NotFoundError)
        await self.assertFailure(self.call("responses.retrieve", "resp_x"), openai.NotFoundError)


class SaidTests(ResponsesTestCase):
    """What scenarios have it say."""

    def say(self, reply: str) -> None:
        path = Path(self.mktemp()).with_suffix(".yml")
        path.write_text(f"rules: [{{reply: {reply}}}]")
        self.serve(scenario=(str(path),))

    async def test_a_refusal(self) -> None:
        self.say("{refusal: I will not.}")
        for answer in (await self.respond(), (await self.streamed())[1]):
            self.assertEqual(answer.output[0].content[0].refusal, "I will not.")
            self.assertEqual(answer.output_text, "")

    async def test_reasoning_is_summarized_if_that_is_asked_for(self) -> None:
        self.say("[{reasoning: Let me see.}, Done.]")
        answer = await self.respond()
        self.assertEqual([item.type for item in answer.output], ["reasoning", "message"])
        self.assertEqual(answer.output[0].summary, [])
        events, answer = await self.streamed(
            reasoning={"summary": "auto"}, include=["reasoning.encrypted_content"]
        )
        self.assertEqual(answer.output[0].summary[0].text, "Let me see.")
        self.assertTrue(answer.output[0].encrypted_content)
        deltas = [e.delta for e in events if e.type == "response.reasoning_summary_text.delta"]
        self.assertEqual("".join(deltas), "Let me see.")
        again = await self.respond(
            store=False,
            input=[
                {"role": "user", "content": "Again"},
                *[item.model_dump(exclude_none=True) for item in answer.output],
                {"role": "user", "content": "And again"},
            ],
        )
        self.assertEqual(again.output_text, "Done.")

    async def test_a_tool_of_the_vendors(self) -> None:
        self.say("[{hosted: {type: web_search_call, action: {type: search, query: q}}}, Found.]")
        events, answer = await self.streamed(tools=[{"type": "web_search"}])
        self.assertEqual([item.type for item in answer.output], ["web_search_call", "message"])
        self.assertIn("response.web_search_call.searching", [event.type for event in events])

    async def test_incomplete(self) -> None:
        self.say("{text: Half of, finish_reason: content_filter}")
        answer = await self.respond()
        self.assertEqual(answer.status, "incomplete")
        self.assertEqual(answer.incomplete_details.reason, "content_filter")

    async def test_an_error_in_the_middle(self) -> None:
        self.say("[So far, {error: {status: 500, message: Ouch.}}]")
        *_, error, failed = await self.raw_events()
        self.assertEqual((error.type, error.message), ("error", "Ouch."))
        self.assertEqual(failed.response.error.message, "Ouch.")
        self.assertEqual(failed.response.status, "failed")
        await self.assertFailure(self.respond(), openai.InternalServerError)

    async def test_a_custom_tool(self) -> None:
        self.say("{tool_call: {name: note, arguments: Buy milk., kind: custom}}")
        first = await self.respond(tools=[{"type": "custom", "name": "note"}])
        (call,) = first.output
        self.assertEqual((call.type, call.input), ("custom_tool_call", "Buy milk."))
        output = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "ok"}
        second = await self.respond(previous_response_id=first.id, input=[output])
        self.assertEqual(second.status, "completed")


class AsyncSaidTests(AsyncResponses, SaidTests):
    pass


class AsyncAnswerTests(AsyncResponses, AnswerTests):
    pass


class KeptTests(ResponsesTestCase):
    async def test_kept_until_deleted(self) -> None:
        made = await self.respond(metadata={"a": "b"})
        found = await self.call("responses.retrieve", made.id)
        self.assertEqual(found.to_dict(), made.to_dict())
        items = await self.call("responses.input_items.list", made.id)
        self.assertEqual([item.content[0].text for item in items.data], ["Say something"])
        await self.call("responses.delete", made.id)
        await self.assertFailure(self.call("responses.retrieve", made.id), openai.NotFoundError)

    async def test_not_kept_if_not_wanted(self) -> None:
        made = await self.respond(store=False)
        await self.assertFailure(self.call("responses.retrieve", made.id), openai.NotFoundError)

    async def test_a_stream_is_told_again(self) -> None:
        events = await self.raw_events()
        again = await self.resumed(events[0].response.id)
        self.assertEqual([e.to_dict() for e in again], [e.to_dict() for e in events])
        rest = await self.resumed(events[0].response.id, 4)
        self.assertEqual([e.sequence_number for e in rest], [5, 6, 7, 8, 9])

    async def test_in_the_background(self) -> None:
        made = await self.respond(background=True)
        self.assertEqual(made.status, "queued")
        events = await self.resumed(made.id)
        self.assertEqual(events[1].type, "response.queued")
        self.assertEqual(events[-1].type, "response.completed")
        found = await self.call("responses.retrieve", made.id)
        self.assertEqual((found.status, found.output_text), ("completed", "hello world"))
        again = await self.call("responses.cancel", made.id)
        self.assertEqual(again.status, "completed")

    async def test_a_background_stream_goes_on_without_its_client(self) -> None:
        self.serve(answer="one two three four five", tokens_per_second=20)

        def use(client: Any) -> list[Any]:
            asked = {**ASKED, "background": True, "stream": True}
            with client.responses.create(**asked) as stream:
                return [event for event, _ in zip(stream, range(6), strict=False)]

        async def use_async(client: Any) -> list[Any]:
            asked = {**ASKED, "background": True, "stream": True}
            async with await client.responses.create(**asked) as stream:
                return [await anext(stream) for _ in range(6)]

        chosen: Any = use_async if isinstance(self, AsyncSdk) else use
        first, *_, last = await self.run_with(chosen)
        response_id = first.response.id
        rest = await self.resumed(response_id, last.sequence_number)
        self.assertEqual(rest[0].sequence_number, last.sequence_number + 1)
        self.assertEqual(rest[-1].type, "response.completed")
        self.assertEqual(rest[-1].response.output_text, "one two three four five")

    async def test_cancelled_in_the_background(self) -> None:
        self.serve(answer="so many words " * 50, tokens_per_second=20)
        made = await self.respond(background=True)
        cancelled = await self.call("responses.cancel", made.id)
        self.assertEqual(cancelled.status, "cancelled")
        found = await self.call("responses.retrieve", made.id)
        self.assertEqual(found.status, "cancelled")

    async def test_a_conversation_grows(self) -> None:
        conversation = await self.call(
            "conversations.create",
            items=[{"type": "message", "role": "user", "content": "I am Ann."}],
            metadata={"topic": "demo"},
        )
        await self.respond(conversation=conversation.id)
        items = await self.call("conversations.items.list", conversation.id, order="asc")
        self.assertEqual(
            [item.content[0].text for item in items.data],
            ["I am Ann.", "Say something", "hello world"],
        )
        item = items.data[0].id
        await self.call("conversations.items.delete", item, conversation_id=conversation.id)
        await self.assertFailure(
            self.call("conversations.items.retrieve", item, conversation_id=conversation.id),
            openai.NotFoundError,
        )
        changed = await self.call(
            "conversations.update", conversation.id, metadata={"topic": "other"}
        )
        self.assertEqual(changed.metadata, {"topic": "other"})
        gone = await self.call("conversations.delete", conversation.id)
        self.assertTrue(gone.deleted)

    async def test_input_tokens_are_counted(self) -> None:
        counted = await self.call("responses.input_tokens.count", **ASKED)
        self.assertEqual(counted.input_tokens, (await self.respond()).usage.input_tokens)

    async def test_compacted(self) -> None:
        compacted = await self.call("responses.compact", **ASKED)
        self.assertEqual([item.type for item in compacted.output], ["message", "compaction"])


class AsyncKeptTests(AsyncResponses, KeptTests):
    pass


class TimeTests(MemoryTestCase):
    """Responses in the background take their time, on a clock of the test's own."""

    def begin(self, **fields: Any) -> Answer:
        self.serve(answer="one two three four", ttft="1s", itl="1s")
        body = json.dumps({**ASKED, "background": True, **fields})
        return self.request("POST", "/v1/responses", body.encode())

    def status(self, response_id: str) -> str:
        found: str = self.request("GET", f"/v1/responses/{response_id}").json["status"]
        return found

    def test_it_is_done_when_its_last_word_would_have_been_said(self) -> None:
        response_id = self.begin().json["id"]
        self.assertEqual(self.status(response_id), "in_progress")
        self.clock.advance(3.9)
        self.assertEqual(self.status(response_id), "in_progress")
        self.clock.advance(0.2)
        self.assertEqual(self.status(response_id), "completed")
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_can_be_followed_and_cancelled(self) -> None:
        path = f"/v1/responses/{self.begin().json['id']}"
        answer = self.request("GET", f"{path}?stream=true")
        self.clock.advance(2.1)
        self.clock.advance(0.01)  # who follows looks again a hundred times a second
        self.flush()
        deltas = [e for e in events_of(answer.body) if e.event == "response.output_text.delta"]
        self.assertIn(len(deltas), (2, 3))
        self.request("POST", f"{path}/cancel")
        self.clock.advance(0.1)
        self.flush()
        self.successResultOf(answer.ended)
        self.clock.advance(9)
        self.assertEqual(self.status(path.rpartition("/")[2]), "cancelled")
        self.assertEqual(self.clock.getDelayedCalls(), [])
