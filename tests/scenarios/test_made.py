"""Contracts kept: calls with valid arguments, JSON of the format asked for."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any

from jsonschema import Draft202012Validator
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import SaidPart, Text, ToolCall, ToolResult
from fakellm.model.prompt import AnswerFormat, Message, Prompt, Received, Tool, ToolChoice
from fakellm.scenarios.made import (
    PARALLEL_CALLS_AT_MOST,
    BadSchema,
    Chances,
    allowed_tools,
    made_arguments,
    made_calls,
    made_demand,
    made_json,
    must_call,
)

QUESTION = Message(role="user", parts=(Text(text="What is the weather?"),))
CALLED = Message(
    role="assistant", parts=(ToolCall(id="call_1", name="get_weather", arguments="{}"),)
)
RESULT = Message(role="tool", parts=(ToolResult(call_id="call_1", content="sunny"),))
PLACE = {
    "type": "object",
    "properties": {
        "city": {"type": "string"},
        "days": {"type": "integer", "minimum": 1, "maximum": 10_000},
    },
    "required": ["city", "days"],
    "additionalProperties": False,
}
IMPOSSIBLE = {"type": "object", "properties": {"x": {"enum": []}}, "required": ["x"]}


def tool(name: str, parameters: Mapping[str, Any] | None = None) -> Tool:
    return Tool(name=name, parameters=parameters)


def prompt(*messages: Message, **asked: Any) -> Prompt:
    return Prompt(
        dialect="test",
        endpoint="test",
        model=asked.pop("model", "fake-model"),
        messages=messages or (QUESTION,),
        received=asked.pop("received", Received(method="POST", path="/")),
        **asked,
    )


def calls(
    *tools: Tool,
    names: Sequence[str] = (),
    parallel: bool | None = None,
    answer: str = "hello world",
    seed: int = 0,
) -> tuple[ToolCall, ...]:
    """The calls made when one must be."""
    asked = prompt(
        tools=tools,
        tool_choice=ToolChoice(mode="required", names=tuple(names)),
        parallel_tool_calls=parallel,
    )
    return made_calls(asked, answer, Chances(asked, seed).of(0))


class MustCallTests(SynchronousTestCase):
    def test_a_required_call_is_made_again_and_again(self) -> None:
        for choice in (ToolChoice(mode="required"), ToolChoice(mode="required", names=("f",))):
            self.assertTrue(must_call(prompt(tool_choice=choice)))
            self.assertTrue(must_call(prompt(QUESTION, CALLED, RESULT, tool_choice=choice)))

    def test_the_model_is_free_not_to_call_and_does_not(self) -> None:
        for mode in ("none", "auto"):
            self.assertFalse(must_call(prompt(tool_choice=ToolChoice(mode=mode))))

    def test_an_allowed_set_is_called_from_until_there_is_a_result(self) -> None:
        """An agent that runs tools as long as they are called must come to an end."""
        choice = ToolChoice(mode="auto", names=("f", "g"))
        self.assertTrue(must_call(prompt(tool_choice=choice)))
        self.assertFalse(must_call(prompt(QUESTION, CALLED, RESULT, tool_choice=choice)))
        self.assertTrue(must_call(prompt(QUESTION, CALLED, RESULT, QUESTION, tool_choice=choice)))


class CallTests(SynchronousTestCase):
    def test_arguments_are_valid_for_the_tool(self) -> None:
        for seed in range(50):
            (call,) = calls(tool("get_weather", PLACE), seed=seed)
            self.assertEqual((call.name, call.kind), ("get_weather", "function"))
            Draft202012Validator(PLACE).validate(json.loads(call.arguments))

    def test_the_id_is_left_to_the_dialect(self) -> None:
        self.assertEqual(calls(tool("f"))[0].id, "")

    def test_any_tool_will_do_where_none_is_named(self) -> None:
        self.assertEqual([call.name for call in calls(tool("f"), tool("g"))], ["f"])

    def test_a_named_tool_is_the_one_that_is_called(self) -> None:
        tools = (tool("f"), tool("g"), tool("h"))
        for parallel in (True, False, None):
            called = calls(*tools, names=["g"], parallel=parallel)
            self.assertEqual([call.name for call in called], ["g"])

    def test_an_allowed_set_keeps_the_order_of_the_offer(self) -> None:
        asked = prompt(
            tools=(tool("f"), tool("g"), tool("h")), tool_choice=ToolChoice(names=("h", "g"))
        )
        self.assertEqual([each.name for each in allowed_tools(asked)], ["g", "h"])
        called = calls(tool("f"), tool("g"), tool("h"), names=["h", "g"])
        self.assertEqual([call.name for call in called], ["g"])

    def test_parallel_calls_are_one_a_tool_up_to_a_bound_and_only_when_asked_for(self) -> None:
        tools = [tool(f"f{number}") for number in range(PARALLEL_CALLS_AT_MOST + 1)]
        for parallel, expected in ((True, PARALLEL_CALLS_AT_MOST), (False, 1), (None, 1)):
            names = [call.name for call in calls(*tools, parallel=parallel)]
            self.assertEqual(names, [each.name for each in tools[:expected]], parallel)

    def test_a_custom_tool_is_given_the_answer_as_it_is(self) -> None:
        (call,) = calls(Tool(name="note", kind="custom"), answer='no "JSON"')
        self.assertEqual(call, ToolCall(name="note", arguments='no "JSON"', kind="custom"))

    def test_a_tool_without_parameters_is_given_an_empty_object(self) -> None:
        for parameters in (None, {}, {"type": "object", "properties": {}}):
            self.assertEqual(calls(tool("f", parameters))[0].arguments, "{}", parameters)

    def test_arguments_are_an_object_where_the_schema_does_not_say_so(self) -> None:
        loose = {"properties": PLACE["properties"], "required": ["days"]}
        referring = {"$ref": "#/$defs/place", "$defs": {"place": PLACE}}
        either = {"anyOf": [{"type": "string"}, {"properties": {"a": {"const": 1}}}]}
        nullable = {**PLACE, "type": ["null", "object"]}
        for schema in (loose, referring, either, nullable):
            for seed in range(20):
                arguments = json.loads(calls(tool("f", schema), seed=seed)[0].arguments)
                self.assertIsInstance(arguments, dict)
                Draft202012Validator(schema).validate(arguments)

    def test_parameters_that_are_no_object_are_refused_with_the_name_of_the_tool(self) -> None:
        for declared, shown in (
            ("string", '"string"'),
            (["array", "null"], '["array","null"]'),
            (None, "null"),
            ("x" * 1000, '"' + "x" * 59),
        ):
            error = self.assertRaises(BadSchema, calls, tool("f", {"type": declared}))
            self.assertEqual(error.tool, "f")
            self.assertEqual(error.reason, f"schema must be of type 'object', got {shown}")

    def test_parameters_that_cannot_be_met_are_refused_with_the_name_of_the_tool(self) -> None:
        error = self.assertRaises(BadSchema, calls, tool("f", IMPOSSIBLE))
        self.assertEqual(error.tool, "f")
        self.assertIn("properties.x", error.reason)
        self.assertEqual(str(error), error.reason)

    def test_a_tool_that_is_not_called_may_have_any_parameters(self) -> None:
        self.assertEqual(len(calls(tool("f"), tool("g", IMPOSSIBLE))), 1)


class JSONTests(SynchronousTestCase):
    def made(self, kind: Any, schema: Any = None, *, answer: str = "hi", seed: int = 0) -> Any:
        asked = prompt(format=AnswerFormat(kind=kind, name="made", schema=schema))
        return json.loads(made_json(asked, answer, random.Random(seed)))

    def test_it_is_valid_for_the_schema(self) -> None:
        for seed in range(50):
            Draft202012Validator(PLACE).validate(self.made("json_schema", PLACE, seed=seed))

    def test_it_may_be_any_json_where_the_schema_says_so(self) -> None:
        self.assertIsInstance(self.made("json_schema", {"type": "array"}), list)

    def test_a_schema_that_cannot_be_met_is_refused_without_a_tool(self) -> None:
        error = self.assertRaises(BadSchema, self.made, "json_schema", IMPOSSIBLE)
        self.assertIsNone(error.tool)
        self.assertIn("properties.x", error.reason)

    def test_an_object_without_a_schema_holds_the_answer(self) -> None:
        self.assertEqual(self.made("json_object", answer='say "hi"'), {"answer": 'say "hi"'})

    def test_an_answer_that_is_an_object_is_given_as_it_is(self) -> None:
        answer = ' {"city": "Lyon",\n "days": 3} '
        asked = prompt(format=AnswerFormat(kind="json_object"))
        self.assertEqual(made_json(asked, answer, random.Random(0)), answer)

    def test_json_that_is_no_object_is_no_such_answer(self) -> None:
        for answer in ("[1]", "7", '"{}"', "", "{", "[" * 100_000):
            self.assertEqual(self.made("json_object", answer=answer), {"answer": answer})


class ChanceTests(SynchronousTestCase):
    """What is made follows from the server's seed and from what is asked."""

    def draws(self, asked: Prompt, seed: int = 0) -> list[float]:
        return [Chances(asked, seed).of(choice).random() for choice in range(asked.n)]

    def test_there_is_a_generator_for_each_choice_and_they_differ(self) -> None:
        draws = self.draws(prompt(n=128))
        self.assertEqual(len(set(draws)), 128)

    def test_a_single_one_is_that_of_its_choice(self) -> None:
        asked = prompt(n=3)
        singles = [Chances(asked, 0).of(choice).random() for choice in range(3)]
        self.assertEqual(singles, self.draws(asked))

    def test_the_same_question_draws_the_same_however_it_is_put(self) -> None:
        """Streamed or not, with whichever headers, cut wherever."""
        draws = self.draws(prompt())
        other = Received(method="POST", path="/elsewhere", headers={"x-request": "2"})
        self.assertEqual(self.draws(prompt(stream=True, received=other)), draws)
        self.assertEqual(self.draws(prompt(max_tokens=3, logprobs=2)), draws)

    def test_a_choice_draws_the_same_however_many_there_are(self) -> None:
        self.assertEqual(self.draws(prompt(n=5))[:2], self.draws(prompt(n=2)))

    def test_another_seed_or_question_draws_otherwise(self) -> None:
        draws = self.draws(prompt())
        self.assertNotEqual(self.draws(prompt(), seed=1), draws)
        schema = AnswerFormat(kind="json_schema", name="n", schema=PLACE)
        for asked in (
            prompt(QUESTION, QUESTION),
            prompt(seed=1),
            prompt(seed=0),
            prompt(tools=(tool("f"),)),
            prompt(format=schema),
        ):
            self.assertNotEqual(self.draws(asked), draws)


class ArgumentsTests(SynchronousTestCase):
    """Arguments of a tool that is called by its name, whether it has to be or not."""

    def arguments(self, name: str, *tools: Tool) -> str:
        asked = prompt(tools=tools)
        return made_arguments(asked, name, "hello world", Chances(asked, 0).of(0))

    def test_of_one_that_is_offered_they_fit_its_schema(self) -> None:
        made = json.loads(self.arguments("place", tool("other"), tool("place", PLACE)))
        self.assertEqual(set(made), {"city", "days"})

    def test_of_a_custom_tool_they_are_the_answer(self) -> None:
        note = Tool(name="note", kind="custom")
        self.assertEqual(self.arguments("note", note), "hello world")

    def test_of_one_that_is_not_they_are_an_empty_object(self) -> None:
        self.assertEqual(self.arguments("nonesuch", tool("other", PLACE)), "{}")

    def test_of_one_that_nothing_fits_is_told(self) -> None:
        error = self.assertRaises(BadSchema, self.arguments, "f", tool("f", IMPOSSIBLE))
        self.assertEqual(error.tool, "f")


class DemandTests(SynchronousTestCase):
    """What is made where a request demands it, be it a call or a format."""

    def made(self, **asked: Any) -> tuple[SaidPart, ...]:
        wanted = prompt(**asked)
        return made_demand(wanted, "hello world", Chances(wanted, 0).of(0))

    def test_a_call_that_has_to_be_made(self) -> None:
        required = ToolChoice(mode="required")
        made = self.made(tools=(tool("f"),), tool_choice=required)
        self.assertEqual(made, (ToolCall(name="f", arguments="{}"),))
        both = self.made(
            tools=(tool("f"),), tool_choice=required, format=AnswerFormat(kind="json_object")
        )
        self.assertEqual(both, made)

    def test_json_of_the_format(self) -> None:
        (made,) = self.made(format=AnswerFormat(kind="json_schema", schema=PLACE))
        assert isinstance(made, Text)
        self.assertEqual(set(json.loads(made.text)), {"city", "days"})

    def test_where_nothing_is_demanded_it_is_the_answer(self) -> None:
        self.assertEqual(self.made(tools=(tool("f"),)), (Text(text="hello world"),))
