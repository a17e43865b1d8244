from pathlib import Path
from time import perf_counter

from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios.likeness import Likenesses
from fakellm.scenarios.load import load_text


def warned(rules: str) -> list[str]:
    """What is told of rules, the first of which begins in line 1."""
    loaded = load_text(f"rules: [{rules}]", name="a", folder=Path())
    return [str(each).removeprefix("a:").replace(": warning", "") for each in loaded.warnings]


def warned_of_reply(when: str, reply: str) -> list[str]:
    """What is told of a reply, without the places."""
    return [line.partition(": ")[2] for line in warned(f"{{when: {{{when}}}, reply: {reply}}}")]


class ReachTests(SynchronousTestCase):
    def test_nothing_comes_after_a_rule_that_always_answers(self) -> None:
        self.assertEqual(
            warned("{name: all, reply: hi},\n{when: {user: x}, reply: ho},\n{reply: hu}"),
            [
                "2:1: this rule is never reached: the rule 'all' in a:1 always answers before it",
                "3:1: this rule is never reached: the rule 'all' in a:1 always answers before it",
            ],
        )

    def test_nothing_comes_after_a_rule_of_the_very_same_conditions(self) -> None:
        self.assertEqual(
            warned(
                "{when: {user: x, header: {a: b, c: d}}, reply: hi},\n"
                "{when: {header: {c: d, a: b}, user: x}, reply: ho},\n"
                "{when: {user: x}, reply: hu}"
            ),
            [
                (
                    "2:1: this rule is never reached: "
                    "the rule in a:1 has the same conditions and answers before it"
                )
            ],
        )

    def test_priority_decides_who_comes_first(self) -> None:
        self.assertEqual(
            warned("{name: a, reply: hi},\n{name: b, priority: 1, reply: ho}"),
            ["1:9: this rule is never reached: the rule 'b' in a:2 always answers before it"],
        )
        self.assertEqual(warned("{when: {user: x}, reply: hi, priority: 1}, {reply: ho}"), [])

    def test_a_rule_that_steps_aside_hides_nothing(self) -> None:
        self.assertEqual(
            warned(
                "{times: 1, reply: a}, {replies: [b, c], then: next_rule},"
                "{when: {user: x}, times: 2, reply: d}, {when: {user: x}, reply: e}, {reply: f}"
            ),
            [],
        )

    def test_a_single_reply_stays_whatever_then_says(self) -> None:
        self.assertEqual(len(warned("{reply: a, then: next_rule}, {reply: b}")), 1)


class ToolTests(SynchronousTestCase):
    def test_a_name_that_is_like_another_one_and_nowhere_else_is_told(self) -> None:
        self.assertEqual(
            warned(
                "{when: {tool: get_weather}, reply: {tool_call: {name: get_wether}}},\n"
                "{when: {tool_result: {name: {any: [getWeather, x]}}}, reply: [hi, {text: ho}]},\n"
                "{when: {tool_result: {id: x}}, "
                "replies: [{parts: [hi, {tool_call: {name: get_waether}}]}, ho]}"
            ),
            [
                "1:63: the tool 'get_wether' is named nowhere else; did you mean 'get_weather'?",
                "2:36: the tool 'getWeather' is named nowhere else; did you mean 'get_weather'?",
                "3:74: the tool 'get_waether' is named nowhere else; did you mean 'get_weather'?",
            ],
        )

    def test_a_name_that_is_used_twice_is_meant(self) -> None:
        self.assertEqual(
            warned(
                "{when: {tool: get_user}, reply: {tool_call: {name: get_user}}},"
                "{when: {tool: get_users}, reply: {tool_call: {name: get_users}}}"
            ),
            [],
        )

    def test_of_a_name_used_once_and_one_used_often_the_former_is_the_slip(self) -> None:
        self.assertEqual(
            warned(
                "{when: {tool: serch}, reply: x},\n"
                "{when: {tool: search}, reply: [{tool_call: {name: search}}]}"
            ),
            ["1:23: the tool 'serch' is named nowhere else; did you mean 'search'?"],
        )

    def test_numbers_and_templates_and_patterns_make_no_slips(self) -> None:
        self.assertEqual(
            warned(
                "{when: {tool: tool_1}, reply: {tool_call: {name: tool_2}}},"
                "{when: {tool: {contains: too}}, reply: {tool_call: {name: 'tool_{{ turn }}'}}}"
            ),
            [],
        )


class StateTests(SynchronousTestCase):
    def test_a_state_that_nothing_sets_and_one_that_nothing_asks_for_are_told(self) -> None:
        self.assertEqual(
            warned(
                "{when: {state: orderd}, reply: a},\n"
                "{when: {state: start}, reply: b, set_state: ordered}"
            ),
            [
                "1:24: no rule sets the state 'orderd'; did you mean 'ordered'?",
                "2:45: no rule asks for the state 'ordered'; did you mean 'orderd'?",
            ],
        )

    def test_without_anything_like_it_there_is_no_hint(self) -> None:
        self.assertEqual(
            warned(
                "{when: {state: {any: [paid, {equals: sent}]}}, reply: a},\n"
                "{reply: b, set_state: x}"
            ),
            [
                "1:31: no rule sets the state 'paid'",
                "1:46: no rule sets the state 'sent'",
                "2:23: no rule asks for the state 'x'",
            ],
        )

    def test_a_state_machine_in_order_is_silent(self) -> None:
        self.assertEqual(
            warned(
                "{when: {state: start}, reply: a, set_state: two},"
                "{when: {state: two}, reply: a, set_state: start}"
            ),
            [],
        )

    def test_a_test_of_another_kind_may_ask_for_any_state(self) -> None:
        for test in ("{contains: a}", "{not: two}", "{any: [{matches: x}]}", "{all: [{like: x}]}"):
            told = warned(f"{{when: {{state: {test}}}, reply: a, set_state: paid}}")
            self.assertEqual([line for line in told if "paid" in line], [], test)

    def test_what_is_asked_not_to_be_has_to_be_set_as_well(self) -> None:
        self.assertEqual(
            warned("{when: {state: {not: dne}}, reply: a, set_state: done}"),
            ["1:30: no rule sets the state 'dne'; did you mean 'done'?"],
        )


class NumberTests(SynchronousTestCase):
    def test_what_counts_from_one_on_is_never_less(self) -> None:
        for test, expected in {
            "0": "1:23: this can never hold: it counts from 1 on",
            "{at_most: 0}": "1:33: this can never hold: it counts from 1 on",
            "{at_least: 3, at_most: 2}": "1:34: this can never hold: 3 is more than 2",
            "{any: [0, -1]}": "1:29: this can never hold: it counts from 1 on",
        }.items():
            for name in ("turn", "step"):
                self.assertEqual(warned(f"{{when: {{{name}: {test}}}, reply: a}}"), [expected])
            self.assertEqual(len(warned(f"{{when: {{attempt: {test}}}, reply: a}}")), 1)

    def test_what_can_hold_is_silent(self) -> None:
        for test in (
            "1",
            "{at_least: 0}",
            "{at_most: 1}",
            "{any: [0, 1]}",
            "{not: 0}",
            "{at_least: 2, at_most: 2}",
        ):
            self.assertEqual(warned(f"{{when: {{turn: {test}}}, reply: a}}"), [])


class BodyTests(SynchronousTestCase):
    def test_a_mapping_that_looks_like_a_text_test_with_a_slip_is_told(self) -> None:
        self.assertEqual(
            warned("{when: {json: {model: {contain: x}}}, reply: a}"),
            [
                (
                    "1:31: 'contain' is no test of a text, so the whole mapping is the value; "
                    "did you mean 'contains'?"
                )
            ],
        )

    def test_what_is_a_test_or_nothing_like_one_is_silent(self) -> None:
        for value in ("{contains: x}", "{role: x}", "{contain: x, b: y}", "5"):
            self.assertEqual(warned(f"{{when: {{json: {{model: {value}}}}}, reply: a}}"), [])


class GroupTests(SynchronousTestCase):
    def test_a_group_that_no_pattern_has_is_told(self) -> None:
        self.assertEqual(
            warned_of_reply(
                "user: {matches: '(?P<city>x)'}", "'{{ match.citty }} {{ match.city }}'"
            ),
            ["no `matches` of this rule has a group 'citty'; did you mean 'city'?"],
        )
        self.assertEqual(
            warned_of_reply("user: x", "{json: [{a: \"{{ match['city'] }}\"}]}"),
            ["no `matches` of this rule has a group 'city'"],
        )
        self.assertEqual(
            warned_of_reply("", "'{{ match.a }}'"), ["no `matches` of this rule has a group 'a'"]
        )

    def test_each_template_of_a_rule_is_told(self) -> None:
        self.assertEqual(
            warned_of_reply("", "['{{ match.a }}', {refusal: '{{ match.b }}'}]"),
            [f"no `matches` of this rule has a group '{name}'" for name in "ab"],
        )

    def test_it_is_told_in_its_line(self) -> None:
        loaded = load_text(
            "rules:\n- replies:\n  - |\n    Hello\n      {{ match.x }} {{ match.x }}\n  - match\n",
            name="a",
            folder=Path(),
        )
        self.assertEqual(
            list(map(str, loaded.warnings)),
            ["a:5:7: warning: no `matches` of this rule has a group 'x'"],
        )

    def test_groups_come_from_any_pattern_of_the_rule(self) -> None:
        for when in (
            "system: {any: [{matches: '(?P<x>a)'}]}",
            "header: {a: {matches: '(?<x>a)'}}",
            "json: {a: {matches: '(?P<x>a)'}}",
        ):
            self.assertEqual(warned_of_reply(when, "\"{{ match.x }} {{ match['x'] }}\""), [])

    def test_what_asks_whether_there_is_a_group_is_silent(self) -> None:
        for template in (
            "{{ match.x | default('y') }}",
            "{{ match['x'] | d('y') }}",
            "{% if match.x is defined %}{{ match.x }}{% endif %}",
            "{{ match.get('x') }} {{ match[0] }} {{ match }}",
            "{% set match = {'x': 1} %}{{ match.x }}",
            "{{ user.match.x | upper }} match.x",
        ):
            self.assertEqual(warned_of_reply("", f'"{template}"'), [], template)

    def test_words_about_a_match_are_only_words(self) -> None:
        self.assertEqual(warned_of_reply("", "It is a match.x"), [])


class LikenessTests(SynchronousTestCase):
    def test_names_that_differ_by_a_slip_are_alike(self) -> None:
        for other in (
            "get_wether",
            "get_weatherr",
            "get_wexther",
            "get_waether",
            "GetWeather",
            "get-weather",
        ):
            self.assertEqual(Likenesses(["get_weather"]).like(other), "get_weather", other)

    def test_other_names_are_not(self) -> None:
        for name, other in (
            ("get_weather", "get_news"),
            ("get_weather", "get_weather"),
            ("a", "b"),
            ("ab", "ac"),
            ("tool_1", "tool_2"),
            ("tool_1", "tool_11"),
            ("_", "-"),
        ):
            self.assertIsNone(Likenesses([name]).like(other), (name, other))

    def test_thousands_of_names_take_no_time_to_speak_of(self) -> None:
        names = [f"the_tool_that_does_{chr(97 + n % 26)}{n // 26:x}_and_more" for n in range(5_000)]
        started = perf_counter()
        alike = Likenesses(names)
        for name in names:
            alike.like(name)
        self.assertLess(perf_counter() - started, 10)
