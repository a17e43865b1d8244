"""Structured output through the vendor's own SDK: ``.parse()`` and ``.stream()`` with types."""

import enum
import json
from datetime import date
from typing import Annotated, Any, Literal

import openai
from pydantic import BaseModel, Field

from tests.questions import QUESTION
from tests.sdk import AsyncSdk, SdkTestCase


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Address(BaseModel):
    street: str
    number: Annotated[int, Field(ge=1, le=999)]
    since: date | None


class Circle(BaseModel):
    kind: Literal["circle"]
    radius: float


class Square(BaseModel):
    kind: Literal["square"]
    side: float


class Person(BaseModel):
    """Nested, optional, enumerated, listed, a choice of two: what people ask for."""

    name: str
    age: Annotated[int, Field(ge=0, le=120)]
    nick_name: str | None
    colours: list[Colour]
    addresses: Annotated[list[Address], Field(min_length=2, max_length=3)]
    home: Address
    shape: Circle | Square
    member: bool


class Tree(BaseModel):
    """It holds itself, in a list and as an option."""

    value: int
    children: list["Tree"]
    twin: "Tree | None"


class Folder(BaseModel):
    """It holds itself by way of another."""

    name: str
    files: list["Entry"]


class Entry(BaseModel):
    size: int
    target: Folder | None


class Weather(BaseModel):
    """The weather somewhere."""

    city: Annotated[str, Field(min_length=1)]
    days: list[int]
    unit: Literal["celsius", "fahrenheit"]


TYPES = (Person, Tree, Folder, Weather)


class ParseTests(SdkTestCase):
    async def test_an_answer_is_parsed_into_the_type_asked_for(self) -> None:
        for wanted in TYPES:
            answer = await self.parse(response_format=wanted)
            message = answer.choices[0].message
            self.assertIsInstance(message.parsed, wanted)
            self.assertEqual(message.parsed, wanted.model_validate_json(message.content))
            self.assertEqual(answer.choices[0].finish_reason, "stop")

    async def test_bounds_that_pydantic_checks_are_kept(self) -> None:
        for seed in range(20):
            answer = await self.parse(response_format=Person, seed=seed)
            person = answer.choices[0].message.parsed
            self.assertIn(len(person.addresses), (2, 3))
            self.assertTrue(0 <= person.age <= 120)

    async def test_every_choice_is_parsed(self) -> None:
        answer = await self.parse(response_format=Person, n=2)
        self.assertTrue(all(isinstance(c.message.parsed, Person) for c in answer.choices))

    async def test_a_streamed_answer_is_parsed(self) -> None:
        for wanted in TYPES:
            events, final = await self.events(response_format=wanted, seed=5)
            (done,) = [event for event in events if event.type == "content.done"]
            self.assertIsInstance(done.parsed, wanted)
            self.assertEqual(final.choices[0].message.parsed, done.parsed)
            whole = await self.parse(response_format=wanted, seed=5)
            self.assertEqual(whole.choices[0].message.parsed, done.parsed)

    async def test_a_streamed_answer_can_be_read_half_done(self) -> None:
        events, final = await self.events(response_format=Weather)
        grown = [event.parsed for event in events if event.type == "content.delta"]
        self.assertIn({}, grown)
        self.assertEqual(grown[-1], final.choices[0].message.parsed.model_dump())

    async def test_arguments_of_a_tool_are_parsed(self) -> None:
        tools = [openai.pydantic_function_tool(kind) for kind in (Weather, Person)]
        asked: dict[str, Any] = {
            "tools": tools, "tool_choice": "required", "parallel_tool_calls": True,
        }  # fmt: skip
        whole = await self.parse(**asked)
        _, final = await self.events(**asked)
        for answer in (whole, final):
            weather, person = answer.choices[0].message.tool_calls
            self.assertIsInstance(weather.function.parsed_arguments, Weather)
            self.assertIsInstance(person.function.parsed_arguments, Person)

    async def test_a_tool_loop_goes_on_with_what_was_parsed(self) -> None:
        """The SDK sends back its parsed message, with fields that the API never knew."""
        asked: dict[str, Any] = {"tools": [openai.pydantic_function_tool(Weather)]}
        first = await self.parse(tool_choice="required", **asked)
        message = first.choices[0].message
        result = {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "sunny"}
        second = await self.parse(messages=[QUESTION, message, result], **asked)
        self.assertEqual(second.choices[0].message.content, "hello world")

    async def test_an_answer_that_was_cut_cannot_be_parsed(self) -> None:
        with self.assertRaises(openai.LengthFinishReasonError) as caught:
            await self.parse(response_format=Person, max_tokens=3)
        self.assertEqual(caught.exception.completion.choices[0].finish_reason, "length")

    async def test_a_stream_that_was_cut_cannot_be_parsed(self) -> None:
        with self.assertRaises(openai.LengthFinishReasonError):
            await self.events(response_format=Person, max_tokens=3)

    async def test_without_a_type_nothing_is_parsed(self) -> None:
        message = (await self.parse()).choices[0].message
        self.assertEqual((message.content, message.parsed), ("hello world", None))


class AsyncParseTests(AsyncSdk, ParseTests):
    pass


class JsonObjectTests(SdkTestCase):
    async def said(self) -> Any:
        """What is said where an object is asked for."""
        answer = await self.create(response_format={"type": "json_object"})
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        return json.loads(answer.choices[0].message.content)

    async def test_an_answer_that_is_no_object_is_put_into_one(self) -> None:
        self.assertEqual(await self.said(), {"answer": "hello world"})

    async def test_an_answer_that_is_one_stays_as_it_is(self) -> None:
        self.serve(answer='{"a": [1, 2]}')
        self.assertEqual(await self.said(), {"a": [1, 2]})

    async def test_json_that_is_no_object_is_put_into_one(self) -> None:
        self.serve(answer="[1, 2]")
        self.assertEqual(await self.said(), {"answer": "[1, 2]"})


class AsyncJsonObjectTests(AsyncSdk, JsonObjectTests):
    pass
