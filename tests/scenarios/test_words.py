"""The words of the language in Python: the records they make, and what they refuse."""

from collections.abc import Callable
from typing import Any, get_type_hints

import msgspec
from twisted.trial.unittest import SynchronousTestCase

import fakellm
from fakellm import (
    all_of,
    any_of,
    contains,
    echo,
    ends_with,
    error,
    fault,
    from_schema,
    hold,
    like,
    lorem,
    matches,
    not_,
    reasoning,
    refusal,
    reply,
    starts_with,
    text,
    tool_call,
)
from fakellm import json as json_part
from fakellm.faults.compile import compile_fault
from fakellm.faults.spec import FAULTS, BadFault, FaultSpec, PointFault
from fakellm.model.prompt import Received
from fakellm.scenarios import schema
from fakellm.scenarios.course import Conducted
from fakellm.scenarios.parts import BadReply
from fakellm.scenarios.templates import BadTemplate
from fakellm.scenarios.text_tests import BadRule
from fakellm.scenarios.words import Beside, Conditions, OfRule
from fakellm.timing.durations import BadDuration
from tests.scenarios.libraries import decision, library, prompt, said


class RecordTests(SynchronousTestCase):
    """A word makes what a file would have: here, the file is JSON."""

    def test_tests_of_texts(self) -> None:
        for word, written in (
            (contains("a"), {"contains": "a"}),
            (matches("a+"), {"matches": "a+"}),
            (starts_with("a"), {"starts_with": "a"}),
            (ends_with("a"), {"ends_with": "a"}),
            (like("a"), {"like": "a"}),
            (any_of("a", contains("b")), {"any": ["a", {"contains": "b"}]}),
            (all_of("a", contains("b")), {"all": ["a", {"contains": "b"}]}),
            (not_("a"), {"not": "a"}),
        ):
            self.assertEqual(word, msgspec.convert(written, schema.TextTest))

    def test_parts(self) -> None:
        for word, written in (
            (text("a"), {"text": "a"}),
            (reasoning("a", tokens=5), {"reasoning": {"text": "a", "tokens": 5}}),
            (reasoning(tokens="{{ 1 }}"), {"reasoning": {"tokens": "{{ 1 }}"}}),
            (tool_call("f"), {"tool_call": {"name": "f"}}),
            (
                tool_call("f", {"x": 1}, id="c", kind="custom"),
                {"tool_call": {"name": "f", "arguments": {"x": 1}, "id": "c", "kind": "custom"}},
            ),
            (tool_call("f", None), {"tool_call": {"name": "f", "arguments": None}}),
            (refusal("a"), {"refusal": "a"}),
            (json_part([1, None]), {"json": [1, None]}),
            (json_part(None), {"json": None}),
            (from_schema(), {"from_schema": True}),
            (echo(), {"echo": True}),
            (lorem(5), {"lorem": {"tokens": 5}}),
            (error(429), {"error": {"status": 429}}),
            (
                error(400, "a", type="b", code="c", param="d", headers={"x": "y"}),
                {
                    "error": {
                        "status": 400,
                        "message": "a",
                        "type": "b",
                        "code": "c",
                        "param": "d",
                        "headers": {"x": "y"},
                    }
                },
            ),
        ):
            self.assertEqual(word, msgspec.convert(written, schema.PartSpec))

    def test_replies(self) -> None:
        usage = {"prompt_tokens": 3}
        self.assertEqual(
            reply("a", text("b"), finish_reason="length", usage=usage, chunks=["a", "b"]),
            msgspec.convert(
                {
                    "parts": ["a", {"text": "b"}],
                    "finish_reason": "length",
                    "usage": usage,
                    "chunks": ["a", "b"],
                },
                schema.ReplySpec,
            ),
        )
        pieces = msgspec.convert({"chunks": ["a", "b"]}, schema.ReplySpec)
        self.assertEqual(reply(chunks=["a", "b"]), pieces)

    def test_the_types_name_what_the_records_have(self) -> None:
        parts = set(schema.PartSpec.__struct_encode_fields__)
        self.assertEqual(set(get_type_hints(Conditions)), set(schema.When.__struct_fields__))
        self.assertEqual(
            set(get_type_hints(Beside)), set(schema.ReplySpec.__struct_fields__) - parts - {"parts"}
        )
        rest = {"when", "reply", "replies"}
        self.assertEqual(set(get_type_hints(OfRule)), set(schema.Rule.__struct_fields__) - rest)

    def test_every_word_is_public(self) -> None:
        words = {
            "all_of",
            "any_of",
            "contains",
            "echo",
            "ends_with",
            "error",
            "from_schema",
            "json",
        }
        words |= {"like", "lorem", "matches", "not_", "reasoning", "refusal", "reply", "text"}
        words |= {"starts_with", "tool_call"}
        self.assertLessEqual(words, set(fakellm.__all__))


class RefusedTests(SynchronousTestCase):
    def assert_refused(
        self, kind: type[Exception], message: str, made: Callable[[], object]
    ) -> None:
        error = self.assertRaises(kind, made)
        self.assertIn(message, str(error))

    def test_values_of_the_wrong_type(self) -> None:
        word: Any = contains
        several: Any = any_of
        part: Any = tool_call
        whole: Any = reply
        for message, made in (
            (
                "a test of a text: Expected `str | null`, got `int` - at `$.contains`",
                lambda: word(5),
            ),
            ("a test of a text: Expected `str | object`, got `int`", lambda: several("a", 5)),
            ("a part: Expected `str`, got `int` - at `$.tool_call.name`", lambda: part(5)),
            ("a part: Invalid enum value 'x'", lambda: part("f", kind="x")),
            ("a reply: Invalid enum value 'x'", lambda: whole("a", finish_reason="x")),
        ):
            self.assert_refused(TypeError, message, made)

    def test_unknown_names_with_a_hint(self) -> None:
        rules: Any = library()
        whole: Any = reply
        for message, made in (
            ("when has no 'usr'; did you mean 'user'?", lambda: rules.when(usr="a")),
            ("when has no 'xyzzy'", lambda: rules.when(xyzzy="a")),
            (
                "a reply has no 'chunk'; did you mean 'chunks'?",
                lambda: rules.when().reply("a", chunk=1),
            ),
            ("a reply has no 'nonesuch'", lambda: whole("a", nonesuch=1)),
        ):
            self.assert_refused(TypeError, message, made)

    def test_conditions_of_the_wrong_type(self) -> None:
        rules: Any = library()
        self.assert_refused(
            TypeError, "when: Expected `bool | null`, got `str`", lambda: rules.when(stream="yes")
        )
        self.assert_refused(TypeError, "when: ", lambda: rules.when(user=5))

    def test_rules_that_have_nothing_to_say(self) -> None:
        rules = library()
        self.assert_refused(TypeError, "a reply needs a part", lambda: rules.when().reply())
        self.assert_refused(TypeError, "a reply needs a part", reply)
        self.assert_refused(
            TypeError, "a reply needs a part", lambda: rules.when().reply(model="m")
        )
        self.assert_refused(TypeError, "needs at least one", lambda: rules.when().replies())

    def test_what_goes_with_nothing_else(self) -> None:
        rules = library()

        def function(_: object) -> str:
            return "a"

        whole = reply("a")
        alone = "a function gives the whole reply: nothing goes with it"
        for message, made in (
            (alone, lambda: rules.when().reply(function, "a")),
            (alone, lambda: rules.when().reply("a", function)),
            (alone, lambda: rules.when().reply(function, model="m")),
            (
                "a reply(...) gives the whole reply: nothing goes with it",
                lambda: rules.when().reply(whole, "a"),
            ),
            (
                "a reply(...) gives the whole reply: nothing goes with it",
                lambda: rules.when().reply(whole, model="m"),
            ),
        ):
            self.assert_refused(TypeError, message, made)
        self.assert_refused(
            BadReply, "a reply cannot be a part of another", lambda: reply("a", whole)
        )

    def test_what_goes_beside_one_of_several_replies_is_said_there(self) -> None:
        rules: Any = library()
        self.assert_refused(
            TypeError,
            "say model, id in each reply(...)",
            lambda: rules.when().replies("a", "b", model="m", id="i"),
        )

    def test_replies_that_cannot_be_given(self) -> None:
        rules: Any = library()
        two = schema.PartSpec(text="a", refusal="b")
        for message, part in (
            ("expected a status from 400 to 599, not 200", error(200)),
            ("expected at least 0 tokens, not -1", lorem(-1)),
            ("expected at least 0 tokens, not -1", reasoning(tokens=-1)),
            ("a part is one thing, and this is text and refusal", two),
            ("a part is one thing, and this is none", schema.PartSpec()),
            ("a hosted part needs a `type`, as a text", schema.PartSpec(hosted={"type": 7})),
            (
                "a `reasoning` is not hosted: it is said by a part of another sort",
                schema.PartSpec(hosted={"type": "reasoning"}),
            ),
            ("only a scenario file can reply with a file, such as x", schema.PartSpec(file="x")),
        ):
            self.assert_refused(BadReply, message, lambda part=part: rules.when().reply(part))  # type: ignore[misc]
        for message, whole in (
            (
                "a reply is one part or a list of parts, and this is text and refusal",
                schema.ReplySpec(text="a", refusal="b"),
            ),
            (
                "a reply is one part or a list of parts, and this is text and parts",
                schema.ReplySpec(text="a", parts=("b",)),
            ),
            ("a reply needs a part", schema.ReplySpec(model="m")),
        ):
            self.assert_refused(BadReply, message, lambda whole=whole: rules.when().reply(whole))  # type: ignore[misc]
        for given in (5, None, ["a", 5]):
            self.assert_refused(BadReply, "not ", lambda given=given: rules.when().replies(given))  # type: ignore[misc]

    def test_templates_and_expressions_that_are_none(self) -> None:
        rules = library()
        self.assert_refused(BadTemplate, "", lambda: rules.when().reply("{{ x"))
        self.assert_refused(BadTemplate, "", lambda: rules.when().reply(json_part(["{{ x"])))
        self.assert_refused(BadRule, "user", lambda: rules.when(user=matches("(")).reply("a"))

        async def condition(_: object) -> bool:
            return True

        self.assert_refused(BadRule, "coroutine", lambda: rules.when(condition).reply("a"))

    def test_a_rule_that_is_refused_is_not_there(self) -> None:
        rules = library()
        self.assertRaises(BadReply, lambda: rules.when().reply(error(200)))
        self.assertEqual(said(rules.book, "a"), "hello world")


class WholeTests(SynchronousTestCase):
    def test_a_single_part_and_a_whole_reply_alone_are_replies(self) -> None:
        rules = library()
        rules.when(user="part").reply(schema.ReplySpec(text="a"))
        rules.when(user="whole").reply(reply("a", model="m"), name="n", times=1)
        self.assertEqual([said(rules.book, each) for each in ("part", "whole")], ["a", "a"])
        self.assertEqual(said(rules.book, "whole"), "hello world")

    def test_chunks_that_are_listed_beside_parts_cut_them(self) -> None:
        rules = library()
        rules.when().reply("abcd", chunks=["a", "bc"])
        self.assertEqual(said(rules.book, "x"), "abcd")


class FaultTests(SynchronousTestCase):
    def test_a_fault_is_said_in_short_or_by_name(self) -> None:
        spec = FaultSpec(reset=PointFault(after=3), on_attempt=1)
        self.assertEqual(fault(reset={"after": 3}, on_attempt=1), spec)
        short = fault("reset after 3", on_attempt=1)
        assert isinstance(short, FaultSpec)
        self.assertEqual(compile_fault(short), compile_fault(spec))

    def test_one_that_is_a_template_stands_alone(self) -> None:
        self.assertEqual(fault("{{ user }}"), "{{ user }}")
        with self.assertRaisesRegex(TypeError, "stands alone"):
            fault("{{ user }}", times=1)

    def test_one_that_cannot_be_is_refused(self) -> None:
        rules = library()
        self.assertRaises(BadFault, fault, "rset")
        self.assertRaises(TypeError, fault, rset=True)
        self.assertRaises(BadFault, lambda: rules.when().reply("a", faults=fault(error=200)))
        self.assertRaises(BadFault, lambda: rules.when().reply("a", hold=hold("")))
        self.assertRaises(BadDuration, lambda: rules.when().reply("a", timing={"ttft": "soon"}))
        self.assertRaises(TypeError, hold, "a", before="noon")
        self.assertEqual(said(rules.book, "a"), "hello world")


class FaultCommandTests(SynchronousTestCase):
    def test_a_fault_in_brackets_is_a_command(self) -> None:
        rules = library()
        for words in ("[reset after 3]", "[hang]", "[delay 2s]", "[stall 10s after 2]"):
            decided = decision(rules.book, prompt(words))
            assert decided.conduct is not None
            assert decided.conduct.faults is not None
            self.assertEqual(decided.conduct.faults[0].name, words.strip("[]").split()[0])
            self.assertEqual(said(rules.book, words), "hello world")

    def test_every_fault_is_one(self) -> None:
        rules = library()
        for name in FAULTS:
            decided = decision(rules.book, prompt(f"[{name} oops oops]"))
            self.assertIn("[FAULT]", decided.rule or "", name)

    def test_one_that_cannot_be_read_is_refused(self) -> None:
        self.assertEqual(
            said(library().book, "[reset after]"),
            "400 This prompt command is none: reset: something must follow after",
        )

    def test_other_texts_are_none(self) -> None:
        for words in ("[resets]", "reset", "[reset after 3] please", "[x]"):
            self.assertIsNone(decision(library().book, prompt(words)).conduct)


class AttemptTests(SynchronousTestCase):
    def test_they_are_counted_where_a_fault_of_the_options_needs_them(self) -> None:
        hasty = Conducted(faults=(FaultSpec(hang=True, on_attempt=1),))
        for rules, attempts in ((library(conduct=hasty), [1, 2]), (library(), [1, 1])):
            found = [decision(rules.book, prompt("a")).attempt for _ in range(2)]
            self.assertEqual(found, attempts)

    def test_and_where_a_request_brings_its_fault(self) -> None:
        rules = library()
        received = Received(method="POST", path="/", headers={"x-fakellm-fault": "hang"})
        found = [decision(rules.book, prompt("a", received=received)).attempt for _ in range(2)]
        self.assertEqual(found, [1, 2])
