"""The conditions of rules: what each asks for, and what it says when it fails."""

from collections.abc import Sequence
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import Image, Text
from fakellm.model.prompt import AnswerFormat, Message, Prompt, Tool, ToolChoice
from fakellm.scenarios import matching
from fakellm.scenarios.facts import Facts
from fakellm.scenarios.index import RuleIndex
from fakellm.scenarios.matching import Matcher, compile_when
from fakellm.scenarios.schema import TextTest, When
from fakellm.scenarios.text_tests import BadRule
from tests.scenarios.test_facts import AGENT, called, facts_of, prompt_of, result, said

HELLO = said("user", "hello")


def when(**conditions: Any) -> When:
    """Conditions as a file has them."""
    return msgspec.convert(conditions, When)


class ConditionCase(SynchronousTestCase):
    def assert_condition(
        self, conditions: When, *, holds: Sequence[Facts], fails: Sequence[tuple[Facts, str]]
    ) -> None:
        """Hold the conditions against facts; failing ones come with the words for why."""
        matcher = compile_when(conditions)
        for facts in holds:
            self.assertEqual(str(matcher.failure(facts)), "None")
            self.assertIsNotNone(matcher.match(facts))
            self.assertEqual(matcher.score(facts), len(matcher.conditions))
        for facts, words in fails:
            self.assertIsNone(matcher.match(facts))
            self.assertEqual(str(matcher.failure(facts)), words)
            self.assertEqual(matcher.score(facts), len(matcher.conditions) - 1)


class ConditionTests(ConditionCase):
    def test_every_condition_of_the_language_is_known_in_its_order(self) -> None:
        self.assertEqual(tuple(matching._COMPILERS), When.__struct_fields__)

    def test_no_condition_always_holds(self) -> None:
        self.assert_condition(when(), holds=[facts_of(), facts_of(*AGENT)], fails=[])

    def test_user(self) -> None:
        self.assert_condition(
            when(user={"contains": "hell"}),
            holds=[facts_of(HELLO), facts_of(HELLO, called(), result("21"))],
            fails=[
                (facts_of(said("user", "bye")), "user: expected: contains 'hell', found: 'bye'"),
                (facts_of(), "user: expected: contains 'hell', found: ''"),
            ],
        )

    def test_last(self) -> None:
        self.assert_condition(
            when(last="21"),
            holds=[facts_of(*AGENT), facts_of(said("user", "21"))],
            fails=[
                (facts_of(HELLO), "last: expected: is '21', found: 'hello'"),
                (facts_of(said("user", "2", "1")), "last: expected: is '21', found: nothing"),
            ],
        )

    def test_system(self) -> None:
        self.assert_condition(
            when(system={"contains": "brief"}),
            holds=[facts_of(*AGENT), facts_of(said("developer", "in brief"))],
            fails=[(facts_of(HELLO), "system: expected: contains 'brief', found: ''")],
        )

    def test_any_message_asks_for_one_message_that_passes(self) -> None:
        self.assert_condition(
            when(any_message="21"),
            holds=[facts_of(*AGENT), facts_of(said("user", "21"), HELLO)],
            fails=[
                (
                    facts_of(HELLO, said("assistant", "hi")),
                    "any_message: expected: is '21', found: 'hello', 'hi'",
                ),
                (facts_of(), "any_message: expected: is '21', found: nothing"),
            ],
        )

    def test_last_role(self) -> None:
        self.assert_condition(
            when(last_role="tool"),
            holds=[facts_of(*AGENT)],
            fails=[
                (facts_of(HELLO), "last_role: expected: is tool, found: user"),
                (facts_of(), "last_role: expected: is tool, found: nothing"),
            ],
        )

    def test_last_role_may_be_one_of_several(self) -> None:
        self.assert_condition(
            when(last_role=["system", "tool"]),
            holds=[facts_of(*AGENT), facts_of(said("system", "x"))],
            fails=[(facts_of(HELLO), "last_role: expected: any of system, tool, found: user")],
        )

    def test_model(self) -> None:
        self.assert_condition(
            when(model={"starts_with": "gpt-"}),
            holds=[facts_of()],
            fails=[(facts_of(model="o3"), "model: expected: starts with 'gpt-', found: 'o3'")],
        )

    def test_dialect(self) -> None:
        self.assert_condition(
            when(dialect="openai"),
            holds=[facts_of()],
            fails=[(facts_of(dialect="ollama"), "dialect: expected: is 'openai', found: 'ollama'")],
        )

    def test_endpoint(self) -> None:
        self.assert_condition(
            when(endpoint="chat.completions"),
            holds=[facts_of()],
            fails=[
                (
                    facts_of(endpoint="responses"),
                    "endpoint: expected: is 'chat.completions', found: 'responses'",
                )
            ],
        )

    def test_stream(self) -> None:
        self.assert_condition(
            when(stream=True),
            holds=[facts_of(stream=True)],
            fails=[(facts_of(), "stream: expected: is true, found: false")],
        )
        self.assert_condition(
            when(stream=False),
            holds=[facts_of()],
            fails=[(facts_of(stream=True), "stream: expected: is false, found: true")],
        )

    def test_turn(self) -> None:
        self.assert_condition(
            when(turn=1),
            holds=[facts_of(HELLO)],
            fails=[(facts_of(*AGENT), "turn: expected: is 1, found: 3")],
        )

    def test_step(self) -> None:
        self.assert_condition(
            when(step={"at_most": 1}),
            holds=[facts_of(HELLO), facts_of(*AGENT, HELLO)],
            fails=[(facts_of(*AGENT), "step: expected: at most 1, found: 2")],
        )

    def test_attempt(self) -> None:
        self.assert_condition(
            when(attempt={"at_least": 2}),
            holds=[Facts(prompt_of(), attempt=2)],
            fails=[(Facts(prompt_of()), "attempt: expected: at least 2, found: 1")],
        )

    def test_tool_asks_for_any_tool_on_offer(self) -> None:
        tools = (Tool(name="get_time"), Tool(name="get_weather"))
        self.assert_condition(
            when(tool={"ends_with": "weather"}),
            holds=[facts_of(tools=tools)],
            fails=[
                (facts_of(), "tool: expected: ends with 'weather', found: nothing"),
                (
                    facts_of(tools=tools[:1]),
                    "tool: expected: ends with 'weather', found: 'get_time'",
                ),
            ],
        )

    def test_tool_choice(self) -> None:
        self.assert_condition(
            when(tool_choice="required"),
            holds=[facts_of(tool_choice=ToolChoice(mode="required"))],
            fails=[(facts_of(), "tool_choice: expected: is required, found: auto")],
        )

    def test_tool_result_asks_for_one_result_that_passes_all(self) -> None:
        self.assert_condition(
            when(tool_result={"name": "b", "id": {"ends_with": "2"}, "content": "ok"}),
            holds=[facts_of(result("no", name="a"), result("ok", name="b", call_id="call_2"))],
            fails=[
                (
                    facts_of(result("ok", name="a"), result("no", name="b", call_id="call_2")),
                    (
                        "tool_result: expected: name is 'b' and id ends with '2' and content is "
                        "'ok', found: a (call_1): 'ok', b (call_2): 'no'"
                    ),
                ),
            ],
        )

    def test_tool_result_of_nothing_asks_that_there_be_one(self) -> None:
        self.assert_condition(
            when(tool_result={}),
            holds=[facts_of(result("21"))],
            fails=[(facts_of(HELLO), "tool_result: expected: is there, found: nothing")],
        )

    def test_has_asks_for_all(self) -> None:
        image = Image(url="https://example.org/a.png")
        seen = Message(role="user", parts=(Text(text="See"), image))
        self.assert_condition(
            when(has="image"),
            holds=[facts_of(seen)],
            fails=[(facts_of(HELLO), "has: expected: image, found: nothing")],
        )
        self.assert_condition(
            when(has=["tool_results", "image"]),
            holds=[facts_of(seen, called(), result("21"))],
            fails=[(facts_of(seen), "has: expected: image and tool_results, found: image")],
        )

    def test_response_format(self) -> None:
        self.assert_condition(
            when(response_format="json_schema"),
            holds=[facts_of(format=AnswerFormat(kind="json_schema", schema={}))],
            fails=[(facts_of(), "response_format: expected: is json_schema, found: text")],
        )

    def test_header_names_have_no_case(self) -> None:
        self.assert_condition(
            when(header={"X-Team": {"starts_with": "a"}, "x-other": {"not": "b"}}),
            holds=[facts_of(headers={"x-team": "abc"})],
            fails=[
                (facts_of(), "header X-Team: expected: starts with 'a', found: nothing"),
                (
                    facts_of(headers={"x-team": "abc", "x-other": "b"}),
                    "header x-other: expected: not (is 'b'), found: 'b'",
                ),
            ],
        )

    def test_query(self) -> None:
        self.assert_condition(
            when(query={"api-version": "1"}),
            holds=[facts_of(query={"api-version": "1"})],
            fails=[
                (
                    facts_of(query={"API-version": "1"}),
                    "query api-version: expected: is '1', found: nothing",
                ),
            ],
        )

    def test_api_key_is_never_shown(self) -> None:
        secret = "found: something else, which is a secret"
        self.assert_condition(
            when(api_key="sk-a"),
            holds=[facts_of(api_key="sk-a")],
            fails=[
                (facts_of(), "api_key: expected: is 'sk-a', found: nothing"),
                (facts_of(api_key="sk-b"), f"api_key: expected: is 'sk-a', {secret}"),
            ],
        )
        self.assert_condition(
            when(header={"Authorization": "Bearer a"}),
            holds=[facts_of(headers={"authorization": "Bearer a"})],
            fails=[
                (
                    facts_of(headers={"authorization": "Bearer b"}),
                    f"header Authorization: expected: is 'Bearer a', {secret}",
                )
            ],
        )
        self.assert_condition(
            when(query={"key": "a"}),
            holds=[facts_of(query={"key": "a"})],
            fails=[(facts_of(query={"key": "b"}), f"query key: expected: is 'a', {secret}")],
        )

    def test_state(self) -> None:
        self.assert_condition(
            when(state="paid"),
            holds=[Facts(prompt_of(), state="paid")],
            fails=[(Facts(prompt_of()), "state: expected: is 'paid', found: 'start'")],
        )

    def test_long_texts_are_shortened_in_words(self) -> None:
        failed = compile_when(when(user="a")).failure(facts_of(said("user", "x" * 1000)))
        self.assertEqual(str(failed), f"user: expected: is 'a', found: '{'x' * 59}…'")
        failed = compile_when(when(any_message="a")).failure(facts_of(*[HELLO] * 100))
        self.assertTrue(str(failed).endswith("'hello', 'hell…"), failed)

    def test_a_list_of_nothing_is_refused(self) -> None:
        for name in ("last_role", "has"):
            error = self.assertRaises(BadRule, compile_when, when(**{name: []}))
            self.assertEqual((error.path, error.reason), (("when", name), "give at least one"))

    def test_what_is_wrong_is_told_with_its_place(self) -> None:
        wrong = {"matches": "("}
        for conditions, path in (
            (when(user=wrong), ("user", "matches")),
            (when(tool={"any": [wrong]}), ("tool", "any", 0, "matches")),
            (when(header={"X-A": wrong}), ("header", "X-A", "matches")),
            (when(tool_result={"content": wrong}), ("tool_result", "content", "matches")),
            (when(json={"a": wrong}), ("json", "a", "matches")),
            (when(step={"not": {}}), ("step", "not")),
        ):
            error = self.assertRaises(BadRule, compile_when, conditions)
            self.assertEqual(error.path, ("when", *path))


class JSONTests(ConditionCase):
    """JMESPath over the body of the request."""

    def assert_json(self, value: Any, *, holds: Sequence[Any], fails: Sequence[Any]) -> None:
        matcher = compile_when(when(json={"a": value}))
        for body in holds:
            self.assertIsNotNone(matcher.match(facts_of(body={"a": body})), body)
        for body in fails:
            self.assertIsNone(matcher.match(facts_of(body={"a": body})), body)

    def test_json(self) -> None:
        self.assert_condition(
            when(json={"messages[-1].content": "hi", "length(messages)": 1}),
            holds=[facts_of(body={"messages": [{"content": "hi"}]})],
            fails=[
                (
                    facts_of(body={"messages": [{"content": "ho"}]}),
                    "json messages[-1].content: expected: is 'hi', found: 'ho'",
                ),
                (
                    facts_of(body={"messages": [{}, {"content": "hi"}]}),
                    "json length(messages): expected: is 1, found: 2",
                ),
            ],
        )

    def test_values_are_compared_as_json(self) -> None:
        self.assert_json(1, holds=[1, 1.0], fails=[True, "1", 2, None, [1]])
        self.assert_json(True, holds=[True], fails=[1, "true", False])
        self.assert_json(False, holds=[False], fails=[0, None])
        self.assert_json("1", holds=["1"], fails=[1])
        self.assert_json(None, holds=[None], fails=[False, 0, ""])
        self.assert_json([1, {"b": 0}], holds=[[1.0, {"b": 0}]], fails=[[1], [1, {"b": False}]])
        self.assert_json({"b": [1]}, holds=[{"b": [1]}], fails=[{"b": [1], "c": 1}, {"b": 1}, {}])
        self.assert_json({}, holds=[{}], fails=[{"b": 1}, None, []])

    def test_what_is_absent_is_null(self) -> None:
        self.assert_condition(
            when(json={"seed": None}),
            holds=[facts_of(body={}), facts_of(body={"seed": None}), facts_of(raw=b"no json")],
            fails=[(facts_of(body={"seed": 1}), "json seed: expected: is null, found: 1")],
        )

    def test_a_mapping_of_the_words_of_a_text_test_is_one(self) -> None:
        self.assert_condition(
            when(json={"user": {"starts_with": "team-", "not": {"contains": "x"}}}),
            holds=[facts_of(body={"user": "team-a"})],
            fails=[
                (
                    facts_of(body={"user": "a"}),
                    "json user: expected: starts with 'team-' and not (contains 'x'), found: 'a'",
                ),
                (
                    facts_of(body={}),
                    (
                        "json user: expected: starts with 'team-' and not (contains 'x'), "
                        "found: nothing"
                    ),
                ),
            ],
        )

    def test_python_may_give_the_text_test_itself(self) -> None:
        matcher = compile_when(When(json={"user": TextTest(matches="(?P<team>a)")}))
        self.assertEqual(matcher.match(facts_of(body={"user": "a"})), {0: "a", "team": "a"})

    def test_a_text_test_of_what_is_no_text_looks_at_its_json(self) -> None:
        self.assert_json(
            {"matches": r"^\{\"b\":\[1,\"é\",true"}, holds=[{"b": [1, "é", True]}], fails=[]
        )
        self.assert_json({"equals": "1.5"}, holds=[1.5, "1.5"], fails=[1])
        self.assert_json({"not": {"contains": "a"}}, holds=[None, 1], fails=["a"])

    def test_json_nested_beyond_measure_is_no_text(self) -> None:
        deep: Any = []
        for _ in range(100_000):
            deep = [deep]
        self.assertIsNone(matching._json_text(deep))

    def test_what_looks_like_a_text_test_but_is_none_is_refused(self) -> None:
        error = self.assertRaises(BadRule, compile_when, when(json={"a": {"contains": 5}}))
        self.assertEqual(error.path, ("when", "json", "a"))
        self.assertEqual(
            error.reason,
            "this looks like a test of a text, but: Expected `str | null`, got `int` - at "
            "`$.contains`",
        )

    def test_an_expression_that_does_not_apply_to_the_body_gives_null(self) -> None:
        for expression in ("length(a)", "max(a)", "a[::0]", "ceil(`1e999`)", "&a"):
            condition = compile_when(when(json={expression: {"equals": "x"}}))
            failed = condition.failure(facts_of(body={"a": 1}))
            self.assertIn("found: ", str(failed))

    def test_what_is_no_expression_is_refused(self) -> None:
        for expression, reason in (
            (
                "a &&",
                "this is not a JMESPath expression: Incomplete expression",
            ),
            (
                "a b",
                (
                    "this is not a JMESPath expression: Unexpected token: b: Parse error at "
                    'column 2, token "b" (UNQUOTED_IDENTIFIER)'
                ),
            ),
            (
                "#",
                "this is not a JMESPath expression: Unknown token #",
            ),
            ("nope(@)", "this is not a JMESPath expression: Unknown function: nope()"),
            (
                "a && length(b, c)",
                (
                    "this is not a JMESPath expression: Expected 1 argument for function "
                    "length(), received 2"
                ),
            ),
            ("(" * 5000, "this JMESPath expression is nested too deeply"),
        ):
            error = self.assertRaises(BadRule, compile_when, when(json={expression: 1}))
            self.assertEqual((error.path, error.reason), (("when", "json", expression), reason))


class FunctionTests(ConditionCase):
    """A condition written in Python."""

    def test_it_is_asked_about_the_prompt(self) -> None:
        def is_short(prompt: Prompt) -> bool:
            return len(prompt.messages) == 1

        matcher = compile_when(when(user="hello"), is_short)
        self.assertEqual(matcher.match(facts_of(HELLO)), {})
        self.assertEqual(
            str(matcher.failure(facts_of(HELLO, HELLO))), "is_short: expected: true, found: false"
        )

    def test_a_thing_without_a_name_is_called_by_its_class(self) -> None:
        class Never:
            def __call__(self, _: Prompt) -> object:
                return None

        failed = compile_when(when(), Never()).failure(facts_of())
        self.assertEqual(str(failed), "Never: expected: true, found: false")

    def test_it_is_asked_last(self) -> None:
        matcher = compile_when(when(user={"matches": "x"}), lambda _: self.fail())
        self.assertIsNone(matcher.match(facts_of(HELLO)))

    def test_what_it_raises_is_raised(self) -> None:
        def broken(prompt: Prompt) -> bool:
            raise LookupError(prompt.model)

        self.assertRaises(LookupError, compile_when(when(), broken).match, facts_of())

    def test_a_coroutine_function_is_refused_as_it_would_always_seem_to_hold(self) -> None:
        async def holds(_: Prompt) -> bool:
            return True

        error = self.assertRaises(BadRule, compile_when, when(), holds)
        self.assertEqual(error.path, ("when",))


class MatcherTests(SynchronousTestCase):
    def test_all_conditions_must_hold(self) -> None:
        matcher = compile_when(when(user="hello", step=1, stream=True))
        self.assertIsNotNone(matcher.match(facts_of(HELLO, stream=True)))
        self.assertIsNone(matcher.match(facts_of(HELLO)))
        self.assertEqual(matcher.score(facts_of(HELLO)), 2)

    def test_cheap_conditions_are_tried_first_and_otherwise_in_the_order_of_the_language(
        self,
    ) -> None:
        matcher = compile_when(
            when(
                user={"matches": "a"},
                model="gpt-4o",
                json={"a": 1, "b": {"matches": "c"}},
                tool_result={"content": {"matches": "d"}},
                step=1,
                any_message={"matches": "e"},
            ),
            bool,
        )
        self.assertEqual(
            [condition.name for condition in matcher.conditions],
            ["model", "step", "json a", "user", "any_message", "tool_result", "json b", "bool"],
        )

    def test_groups_of_several_conditions_come_together_and_the_first_wins(self) -> None:
        matcher = compile_when(
            when(
                user={"matches": "(?P<x>h)(?P<y>e)"},
                tool={"matches": "(?P<x>w)(?P<z>e)"},
                model={"not": {"matches": "(?P<n>o9)"}},
            )
        )
        groups = matcher.match(facts_of(HELLO, tools=(Tool(name="get_weather"),)))
        self.assertEqual(groups, {0: "he", "x": "h", "y": "e", "z": "e"})

    def test_groups_of_a_tool_result_are_those_of_the_one_that_passes(self) -> None:
        matcher = compile_when(
            when(
                tool_result={
                    "name": {"matches": "(?P<what>wea)"},
                    "content": {"matches": r"(?P<what>\d+)(?P<unit>C)"},
                }
            )
        )
        facts = facts_of(result("1F", name="weather"), result("2C", name="weather"))
        self.assertEqual(matcher.match(facts), {0: "wea", "what": "wea", "unit": "C"})

    def test_the_tool_result_is_the_first_that_passes(self) -> None:
        matcher = compile_when(when(tool_result={"name": "b"}))
        facts = facts_of(result("1", name="a"), result("2", name="b"), result("3", name="b"))
        self.assertEqual(getattr(matcher.tool_result(facts), "content", None), "2")
        self.assertIsNone(matcher.tool_result(facts_of(HELLO)))

    def test_without_a_condition_on_it_the_tool_result_is_the_first_there_is(self) -> None:
        matcher = compile_when(when())
        facts = facts_of(result("1", name="a"), result("2", name="b"))
        self.assertEqual(getattr(matcher.tool_result(facts), "content", None), "1")
        self.assertIsNone(matcher.tool_result(facts_of(HELLO)))

    def test_equality_names_the_text_that_a_rule_needs(self) -> None:
        for conditions, equality in (
            (when(user="a"), ("user", "a")),
            (when(user={"equals": "a", "not": "b"}), ("user", "a")),
            (when(user={"contains": "a"}, last="b", model="c"), ("last", "b")),
            (when(model="c"), ("model", "c")),
            (when(system="a", user={"not": "b"}), None),
            (when(), None),
        ):
            self.assertEqual(compile_when(conditions).equality, equality)


texts = st.sampled_from(["a", "b", "ab", ""])
rules = st.sampled_from(
    ["a", "b", {"equals": "ab"}, {"contains": "a"}, {"matches": "b"}, {"not": "a"}]
)
conditions = st.fixed_dictionaries(
    {}, optional={"user": rules, "last": rules, "model": rules, "system": rules}
).map(lambda given: when(**given))
requests = st.builds(
    lambda system, user, model, more: facts_of(
        said("system", system), said("user", user, *more), model=model
    ),
    texts,
    texts,
    texts,
    st.lists(texts, max_size=1),
)


def first(matchers: Sequence[Matcher], positions: Any, facts: Facts) -> int | None:
    """The first of the positions whose rule holds."""
    return next((at for at in positions if matchers[at].match(facts) is not None), None)


class RuleIndexTests(SynchronousTestCase):
    def test_rules_for_another_text_are_skipped_and_the_others_come_in_order(self) -> None:
        matchers = [
            compile_when(each)
            for each in (
                when(user="a"),
                when(step=1),
                when(user="b"),
                when(model="gpt-4o"),
                when(last="b", user={"not": "c"}),
                when(model="o3"),
                when(),
            )
        ]
        index = RuleIndex(matchers)
        self.assertEqual(list(index.candidates(facts_of(said("user", "a")))), [0, 1, 3, 6])
        self.assertEqual(list(index.candidates(facts_of(said("user", "b")))), [1, 2, 3, 4, 6])
        self.assertEqual(list(index.candidates(facts_of(model="x"))), [1, 6])

    def test_no_rules_give_no_candidates(self) -> None:
        self.assertEqual(list(RuleIndex([]).candidates(facts_of(HELLO))), [])

    @settings(deadline=None, derandomize=True, max_examples=300, database=None)
    @given(st.lists(conditions, max_size=8), requests)
    def test_the_first_rule_is_the_one_a_plain_walk_finds(
        self, rules: list[When], facts: Facts
    ) -> None:
        matchers = [compile_when(each) for each in rules]
        index = RuleIndex(matchers)
        self.assertEqual(
            first(matchers, index.candidates(facts), facts),
            first(matchers, range(len(matchers)), facts),
        )
