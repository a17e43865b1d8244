"""What a rule says of how its answer is given: timing, faults, gates."""

from collections.abc import Sequence
from typing import Any

from fakellm import error, fault, hold, lorem, matches
from fakellm.faults.fault import Fault, Position
from fakellm.faults.spec import FaultSpec
from fakellm.model.reply import Failure, Reply
from fakellm.scenarios.book import Decision
from fakellm.timing.pace import TimingSpec
from tests.scenarios.cases import LanguageCase
from tests.scenarios.libraries import decision, prompt


def chunks(amount: float) -> Position:
    return Position(unit="chunks", amount=amount)


class ConductTests(LanguageCase):
    def decided(self, words: str = "a", **asked: Any) -> Decision:
        return decision(self.server._library.book, prompt(words, **asked))

    def faults(self, words: str = "a") -> Sequence[Fault] | None:
        conduct = self.decided(words).conduct
        return None if conduct is None else conduct.faults

    def test_a_rule_that_says_nothing_of_it_has_none(self) -> None:
        self.given("rules: [{name: r, reply: hi}]", lambda llm: llm.when().reply("hi", name="r"))
        decided = self.decided()
        self.assertIsInstance(decided.answer, Reply)
        self.assertIsNone(decided.conduct)
        self.assertEqual(decided.attempt, 1)
        self.assertIn("rule 'r'", decided.rule or "")

    def test_the_faults_of_the_issue(self) -> None:
        self.given(
            """
            timing: {ttft: 200ms, itl: {lognormal: {p50: 20ms, p99: 90ms}}}
            rules:
              - when: {user: flaky stream}
                reply: {lorem: {tokens: 100}}
                faults:
                  - reset: {after: {tokens: 5}}
                    on_attempt: 1
              - when: {user: stuck}
                reply: {lorem: {tokens: 100}}
                faults: [{stall: {after: {chunks: 3}, for: 10s}}, {close: {after: {bytes: 900}}}]
            """,
            lambda llm: (
                llm.when(user="flaky stream").reply(
                    lorem(100), faults=[fault(reset={"after": {"tokens": 5}}, on_attempt=1)]
                ),
                llm.when(user="stuck").reply(
                    lorem(100),
                    faults=[
                        {"stall": {"after": {"chunks": 3}, "for": "10s"}},
                        fault("close after 900 bytes"),
                    ],
                ),
            ),
        )
        five = Position(unit="tokens", amount=5)
        reset = Fault(name="reset", after=five, on_attempt=frozenset([1]))
        self.assertEqual(self.faults("flaky stream"), (reset,))
        self.assertEqual(self.decided("flaky stream").attempt, 2)
        stall, close = self.faults("stuck") or ()
        self.assertEqual((stall.after, stall.seconds), (chunks(3), 10.0))
        self.assertEqual(close.after, Position(unit="bytes", amount=900))

    def test_one_fault_alone_and_none_at_all(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: one}, reply: a, faults: hang}
              - {when: {user: record}, reply: a, faults: {delay: 2s, probability: 0.5}}
              - {when: {user: none}, reply: a, faults: []}
            """,
            lambda llm: (
                llm.when(user="one").reply("a", faults="hang"),
                llm.when(user="record").reply("a", faults=FaultSpec(delay="2s", probability=0.5)),
                llm.when(user="none").replies("a", faults=[]),
            ),
        )
        self.assertEqual(self.faults("one"), (Fault(name="hang"),))
        self.assertEqual(self.faults("record"), (Fault(name="delay", seconds=2, probability=0.5),))
        self.assertEqual(self.faults("none"), ())

    def test_timing_is_a_record_or_the_name_of_a_profile(self) -> None:
        self.given(
            """
            profiles: {slow: {ttft: 1s}}
            rules:
              - {when: {user: record}, reply: a, timing: {ttft: 2s}}
              - {when: {user: name}, reply: a, timing: slow}
            """,
            lambda llm: (
                llm.when(user="record").reply("a", timing={"ttft": "2s"}),
                llm.when(user="name").reply("a", timing="slow"),
            ),
        )
        found = [self.decided(each).conduct for each in ("record", "name")]
        self.assertEqual([each and each.timing for each in found], [TimingSpec(ttft="2s"), "slow"])
        self.assertEqual([each and each.faults for each in found], [None, None])

    def test_gates(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: one}, reply: a, hold: first}
              - when: {user: {matches: '(?P<who>t.*)'}}
                reply: a
                hold:
                  - "for {{ match.who }}"
                  - {gate: "{{ user }}", after: 3}
                  - {gate: c, before: end}
            """,
            lambda llm: (
                llm.when(user="one").reply("a", hold="first"),
                llm.when(user=matches("(?P<who>t.*)")).reply(
                    "a",
                    hold=[
                        "for {{ match.who }}",
                        hold("{{ user }}", after=3),
                        hold("c", before="end"),
                    ],
                ),
            ),
        )
        one, two = self.decided("one").conduct, self.decided("two").conduct
        assert one is not None
        assert two is not None
        self.assertEqual([each.text for each in one.holds], ["first"])
        self.assertEqual([each.text for each in two.holds], ["for two", "two", "c"])
        self.assertEqual(two.holds[1].after, chunks(3))
        self.assertTrue(two.holds[2].before_end)

    def test_templates_are_filled_in(self) -> None:
        self.given(
            """
            rules:
              - when: {user: {matches: 'do (?P<fault>.*)'}}
                reply: hi
                faults: ["{{ match.fault }}", {error: {status: 429, message: "No, {{ user }}."}}]
            """,
            lambda llm: llm.when(user=matches("do (?P<fault>.*)")).reply(
                "hi",
                faults=[
                    fault("{{ match.fault }}"),
                    fault(error={"status": 429, "message": "No, {{ user }}."}),
                ],
            ),
        )
        reset, refused = self.faults("do reset after 3") or ()
        self.assertEqual(reset, Fault(name="reset", after=chunks(3)))
        self.assertEqual(refused.failure, Failure(status=429, message="No, do reset after 3."))

    def test_what_a_template_makes_no_fault_of_is_the_failure_of_the_rule(self) -> None:
        self.given(
            "rules: [{name: r, reply: hi, faults: ['{{ user }}'], hold: '{{ user[9] }}'}]",
            lambda llm: llm.when().reply("hi", name="r", faults="{{ user }}", hold="{{ user[9] }}"),
        )
        for words in ("rset", "hang"):
            failure = self.decided(words).answer
            assert isinstance(failure, Failure)
            self.assertEqual((failure.status, failure.code), (500, "rule_failed"))
            self.assertIn("rule 'r'", failure.message or "")
        self.flushLoggedErrors()

    def test_an_empty_gate_that_a_template_makes_is_one_too(self) -> None:
        self.given(
            "rules: [{reply: hi, hold: ' {{ model }}'}]",
            lambda llm: llm.when().reply("hi", hold=" {{ model }}"),
        )
        failure = self.decided(model="").answer
        assert isinstance(failure, Failure)
        self.assertTrue((failure.message or "").endswith("must name a gate"), failure.message)

    def test_attempts_are_counted_where_a_template_asks_for_them(self) -> None:
        self.given(
            "rules: [{reply: hi, faults: ['reset after {{ attempt }}']}]",
            lambda llm: llm.when().reply("hi", faults=["reset after {{ attempt }}"]),
        )
        found = [self.faults() for _ in range(2)]
        self.assertEqual([each and each[0].after for each in found], [chunks(1), chunks(2)])

    def test_it_holds_for_errors_too(self) -> None:
        self.given(
            "rules: [{reply: {error: 503}, faults: hang}]",
            lambda llm: llm.when().reply(error(503), faults="hang"),
        )
        self.assertIsInstance(self.decided().answer, Failure)
        self.assertEqual(self.faults(), (Fault(name="hang"),))
