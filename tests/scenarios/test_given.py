"""Rules given as plain data: checked as those of files are, and blamed by their keys."""

import json
from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios import schema
from fakellm.scenarios.given import NO_FILES, BadData, read_rule


def wrong(value: Any, **profiles: object) -> dict[str, str]:
    """What is wrong with data, by where."""
    try:
        read_rule(value, profiles)
    except BadData as bad:
        return {".".join(map(str, each.path)): each.message for each in bad.mistakes}
    return {}


class RuleTests(SynchronousTestCase):
    def test_a_rule_is_what_it_would_be_in_a_file(self) -> None:
        rule = read_rule(
            {"when": {"user": {"contains": "a"}}, "replies": ["b", {"error": 429}], "times": 2}, {}
        )
        self.assertEqual(
            rule,
            schema.Rule(
                when=schema.When(user=schema.TextTest(contains="a")),
                replies=("b", schema.ReplySpec(error=429)),
                times=2,
            ),
        )

    def test_all_mistakes_are_told_at_once(self) -> None:
        found = wrong(
            {
                "when": {"user": {"matches": "("}, "modle": "m", "json": {"[": 1}},
                "replies": [{"text": "{{ x"}, {"tool_call": {"arguments": 1}}],
                "faults": ["hang", {"error": 200}],
                "hold": {"gate": " "},
            }
        )
        self.assertEqual(
            set(found),
            {
                "when.user.matches", "when.modle", "when.json.[", "replies.0.text",
                "replies.1.tool_call", "faults.1.error", "hold.gate",
            },
        )  # fmt: skip

    def test_they_are_told_in_one_line_too(self) -> None:
        bad = self.assertRaises(BadData, read_rule, {"reply": 1, "time": 2}, {})
        self.assertEqual(
            str(bad),
            "reply: expected a text, a mapping such as {text: ...} or a list of parts,"
            " not a number: quote it; "
            "time: unknown key 'time'; did you mean 'times'?",
        )
        self.assertIn(
            "expected a rule (a mapping", str(self.assertRaises(BadData, read_rule, "x", {}))
        )

    def test_nothing_at_all_is_left_of_it(self) -> None:
        self.assertEqual(
            set(wrong({"when": {"tool_result": 1}, "priority": "x"})),
            {"when.tool_result", "priority", ""},
        )

    def test_what_is_nested_too_deeply_is_not_looked_at(self) -> None:
        for levels, told in ((40, False), (60, True), (5000, True)):
            value: Any = 1
            for _ in range(levels):
                value = [value]
            found = wrong({"reply": {"json": value}})
            self.assertEqual("nested more than 50 levels" in str(found), told, levels)

    def test_files_are_not_named(self) -> None:
        found = wrong({"reply": {"file": "x"}, "timing": {"ttft": {"samples": "x"}}})
        self.assertEqual(found["reply.file"], NO_FILES)
        self.assertIn(NO_FILES, found["timing.ttft.samples"])

    def test_profiles_are_those_that_there_are(self) -> None:
        rule = {"reply": "a", "timing": "fast"}
        self.assertEqual(wrong(rule, fast=1), {})
        self.assertEqual(
            wrong(rule, faster=1),
            {"timing": "there is no profile 'fast'; did you mean 'faster'?"},
        )

    @given(
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
            lambda inside: (
                st.lists(inside)
                | st.dictionaries(
                    st.sampled_from([*schema.Rule.__struct_encode_fields__, "user", "text", "x"]),
                    inside,
                )
            ),
            max_leaves=12,
        )
    )
    def test_any_data_is_a_rule_or_told_why_it_is_none(self, value: Any) -> None:
        data = json.loads(json.dumps(value))
        try:
            rule = read_rule(data, {})
        except BadData as bad:
            self.assertTrue(bad.mistakes)
        else:
            self.assertEqual(msgspec.convert(msgspec.to_builtins(rule), schema.Rule), rule)
