"""Sequences of replies, times, priorities, states, and who each is counted for."""

from typing import Any

from fakellm import error, reply, starts_with, text
from tests.scenarios.cases import LanguageCase


class SequenceTests(LanguageCase):
    def several(self, number: int, **fields: Any) -> list[Any]:
        """What is answered again and again: the text, or the status of a failure."""
        found = []
        for _ in range(number):
            answer = self.say("a", **fields)
            told = answer.json
            whole = answer.status == 200
            found.append(told["choices"][0]["message"]["content"] if whole else answer.status)
        return found

    def test_replies_are_taken_in_turn_and_the_last_stays(self) -> None:
        self.given(
            "rules: [{replies: [one, {text: two}, [th, text: ree]]}]",
            lambda llm: llm.when().replies("one", text("two"), ["th", text("ree")]),
        )
        self.assertEqual(self.several(5), ["one", "two", "three", "three", "three"])

    def test_stay_can_be_said(self) -> None:
        self.given(
            "rules: [{replies: [one, two], then: stay}]",
            lambda llm: llm.when().replies("one", "two", then="stay"),
        )
        self.assertEqual(self.several(4), ["one", "two", "two", "two"])

    def test_loop(self) -> None:
        self.given(
            "rules: [{replies: [one, two], then: loop}]",
            lambda llm: llm.when().replies("one", "two", then="loop"),
        )
        self.assertEqual(self.several(5), ["one", "two", "one", "two", "one"])

    def test_next_rule(self) -> None:
        self.given(
            """
            rules:
              - {replies: [one, two], then: next_rule}
              - {reply: rest}
            """,
            lambda llm: (
                llm.when().replies("one", "two", then="next_rule"),
                llm.when().reply("rest"),
            ),
        )
        self.assertEqual(self.several(4), ["one", "two", "rest", "rest"])

    def test_error(self) -> None:
        self.given(
            "rules: [{name: short, replies: [one], then: error}]",
            lambda llm: llm.when().replies("one", then="error", name="short"),
        )
        self.assertEqual(self.several(3), ["one", 500, 500])
        message = self.failed("a")[1]["message"]
        self.assertIn("rule 'short'", message)
        self.assertTrue(message.endswith("all its replies have been given (then: error)"), message)
        self.flushLoggedErrors()

    def test_errors_then_success_as_retries_need_it(self) -> None:
        self.given(
            """
            rules:
              - replies:
                  - error: 429
                  - error: {status: 503, message: Try later}
                  - text: Third time lucky
            """,
            lambda llm: llm.when().replies(
                error(429), error(503, "Try later"), text("Third time lucky")
            ),
        )
        self.assertEqual(self.several(4), [429, 503, "Third time lucky", "Third time lucky"])

    def test_what_is_beside_the_parts_is_each_replys_own(self) -> None:
        self.given(
            "rules: [{replies: [{text: a, finish_reason: length}, {text: b, model: m}]}]",
            lambda llm: llm.when().replies(
                reply("a", finish_reason="length"), reply("b", model="m")
            ),
        )
        first, second = self.say("a").json, self.say("a").json
        self.assertEqual(first["choices"][0]["finish_reason"], "length")
        self.assertEqual((second["choices"][0]["finish_reason"], second["model"]), ("stop", "m"))

    def test_times_bounds_how_often_a_rule_answers(self) -> None:
        self.given(
            """
            rules:
              - {times: 2, reply: first}
              - {times: 1, replies: [second, never]}
            """,
            lambda llm: (
                llm.when().reply("first", times=2),
                llm.when().replies("second", "never", times=1),
            ),
        )
        self.assertEqual(self.several(4), ["first", "first", "second", "hello world"])

    def test_count_is_how_often_the_rule_has_answered(self) -> None:
        self.given(
            "rules: [{reply: 'no. {{ count }}'}]", lambda llm: llm.when().reply("no. {{ count }}")
        )
        self.assertEqual(self.several(3), ["no. 1", "no. 2", "no. 3"])

    def test_positions_are_those_of_a_session(self) -> None:
        self.given(
            "rules: [{replies: [one, two], times: 3}]",
            lambda llm: llm.when().replies("one", "two", times=3),
        )
        by_header = {"headers": {"X-FakeLLM-Session": "blue"}}
        by_key = {"headers": {"Authorization": "Bearer session-red"}}
        self.assertEqual(self.several(1), ["one"])
        self.assertEqual(self.several(2, **by_header), ["one", "two"])
        self.assertEqual(self.several(1, **by_key), ["one"])
        self.assertEqual(self.several(3), ["two", "two", "hello world"])
        self.assertEqual(self.several(2, **by_key), ["two", "two"])
        self.assertEqual(self.several(2, **by_header), ["two", "hello world"])

    def test_the_header_and_the_key_may_name_one_session(self) -> None:
        self.given("rules: [{replies: [one, two]}]", lambda llm: llm.when().replies("one", "two"))
        self.assertEqual(self.several(1, headers={"X-FakeLLM-Session": "s"}), ["one"])
        self.assertEqual(self.several(1, headers={"Authorization": "Bearer session-s"}), ["two"])


class OrderTests(LanguageCase):
    def test_the_first_that_matches_answers(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: a}, reply: equal}
              - {when: {user: {starts_with: a}}, reply: begins}
              - {when: {user: ab}, reply: never}
              - {reply: other}
            """,
            lambda llm: (
                llm.when(user="a").reply("equal"),
                llm.when(user=starts_with("a")).reply("begins"),
                llm.when(user="ab").reply("never"),
                llm.when().reply("other"),
            ),
        )
        said = [self.said(asked) for asked in ("a", "ab", "b")]
        self.assertEqual(said, ["equal", "begins", "other"])

    def test_higher_priorities_come_first_whatever_the_order(self) -> None:
        self.given(
            """
            rules:
              - {reply: none}
              - {when: {user: a}, priority: 1, reply: one}
              - {when: {user: {starts_with: a}}, priority: 2, reply: two}
              - {when: {user: b}, priority: -1, reply: never}
              - {when: {user: {starts_with: a}}, priority: 2, reply: second of two}
            """,
            lambda llm: (
                llm.when().reply("none"),
                llm.when(user="a").reply("one", priority=1),
                llm.when(user=starts_with("a")).reply("two", priority=2),
                llm.when(user="b").reply("never", priority=-1),
                llm.when(user=starts_with("a")).reply("second of two", priority=2),
            ),
        )
        self.assertEqual([self.said("a"), self.said("b")], ["two", "none"])

    def test_a_priority_above_1000_beats_prompt_commands(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: '[500]'}, priority: 999, reply: never}
              - {when: {user: '[503]'}, priority: 1001, reply: No outage here.}
            """,
            lambda llm: (
                llm.when(user="[500]").reply("never", priority=999),
                llm.when(user="[503]").reply("No outage here.", priority=1001),
            ),
        )
        self.assertEqual(self.failed("[500]")[0], 500)
        self.assertEqual(self.said("[503]"), "No outage here.")


class StateTests(LanguageCase):
    def machine(self, **settings: Any) -> None:
        conversation = settings.pop("conversation", "")
        self.given(
            f"""
            {conversation}
            rules:
              - {{when: {{user: login, state: start}}, reply: Welcome., set_state: known}}
              - {{when: {{user: login, state: known}}, reply: Again?}}
              - {{when: {{user: logout, state: known}}, reply: Bye., set_state: start}}
              - {{when: {{user: who}}, reply: "{{{{ state }}}}"}}
              - {{reply: What?}}
            """,
            lambda llm: (
                llm.when(user="login", state="start").reply("Welcome.", set_state="known"),
                llm.when(user="login", state="known").reply("Again?"),
                llm.when(user="logout", state="known").reply("Bye.", set_state="start"),
                llm.when(user="who").reply("{{ state }}"),
                llm.when().reply("What?"),
            ),
            **settings,
        )

    def test_a_small_state_machine(self) -> None:
        self.machine()
        said = [
            self.said(each)
            for each in ("logout", "who", "login", "who", "login", "logout", "logout", "login")
        ]
        self.assertEqual(
            said, ["What?", "start", "Welcome.", "known", "Again?", "Bye.", "What?", "Welcome."]
        )

    def test_each_session_has_its_own(self) -> None:
        self.machine()
        other = {"X-FakeLLM-Session": "other"}
        self.assertEqual(self.said("login"), "Welcome.")
        self.assertEqual(self.said("login", headers=other), "Welcome.")
        self.assertEqual(self.said("logout", headers=other), "Bye.")
        self.assertEqual(self.said("who"), "known")
