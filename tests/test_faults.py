"""Faults in the whole server, in memory: who asks for them, and how often they strike.

What each does is looked at in `tests.faults.test_on_the_wire` and `tests.test_openai_sdk_faults`.
"""

from typing import Any

from fakellm.engine.clock import VirtualClock
from fakellm.faults.spec import FAULTS
from tests.servers import chunks_of
from tests.timed import Asked, ScenarioTestCase

HEADER = "X-FakeLLM-Fault"

RULES = """
settings:
  faults: [error 503]
rules:
  - when: {user: settings}
    reply: hello world
  - when: {user: rule}
    reply: hello world
    faults: [error 500]
  - when: {user: sound}
    reply: hello world
    faults: []
"""


class FaultTestCase(ScenarioTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = VirtualClock()

    def ask_for(self, text: str, fault: str | None = None, **fields: Any) -> Asked:
        """Say this to the model; the header, if any, names a fault."""
        headers = {} if fault is None else {HEADER: fault}
        messages = [{"role": "user", "content": text}]
        return self.whole(headers=headers, messages=messages, **fields)

    def statuses(self, *texts: str) -> list[int | None]:
        return [self.ask_for(text).status for text in texts]

    def faults(self) -> Any:
        return self.health()["faults"]


class PrecedenceTests(FaultTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.scenario(RULES)

    def test_the_settings_faults_befall_what_no_rule_has_faults_for(self) -> None:
        self.assertEqual(self.statuses("settings", "whatever"), [503, 503])

    def test_a_rules_faults_stand_instead_of_them(self) -> None:
        self.assertEqual(self.statuses("rule"), [500])

    def test_a_rule_may_want_none_at_all(self) -> None:
        self.assertEqual(self.statuses("sound"), [200])

    def test_the_header_stands_instead_of_both(self) -> None:
        for text in ("settings", "rule", "sound"):
            self.assertEqual(self.ask_for(text, "html_error 504").status, 504)

    def test_an_empty_header_wants_none_at_all(self) -> None:
        for text in ("settings", "rule"):
            self.assertEqual(self.ask_for(text, "").status, 200)

    def test_the_header_takes_several_and_records(self) -> None:
        delayed = self.ask_for("rule", "delay 2s; error 429")
        self.assertEqual((delayed.end(), delayed.status), (2.0, 429))
        record = '{"error": {"status": 429, "message": "Not now."}}'
        told = self.ask_for("rule", record)
        self.assertEqual((told.status, told.json["error"]["message"]), (429, "Not now."))

    def test_a_header_that_cannot_be_is_refused(self) -> None:
        asked = self.ask_for("rule", "resett after 3")
        self.assertEqual(asked.status, 400)
        self.assertEqual(
            asked.json["error"]["message"],
            "X-FakeLLM-Fault: resett is no fault; did you mean reset?",
        )
        self.assertEqual(self.faults(), {})

    def test_an_options_faults_are_settings_too(self) -> None:
        self.serve(fault=["error 502"])
        self.assertEqual(self.statuses("whatever"), [502])
        self.assertEqual(self.ask_for("whatever", "error 500").status, 500)

    def test_the_header_leaves_a_rules_gates_shut(self) -> None:
        self.scenario("rules: [{reply: hello world, hold: gate, faults: error 500}]")
        asked = self.ask_for("whatever", "content_type text/plain")
        self.assertIsNone(asked.status)
        self.server.gate("gate").release()
        self.flush()
        self.assertEqual((asked.status, asked.header("content-type")), (200, "text/plain"))


COMMANDS = {
    "error": "[error 503]",
    "html_error": "[html_error 502]",
    "delay": "[delay 2s]",
    "slow_head": "[slow_head 2s]",
    "stall": "[stall 10s after 2]",
    "reset": "[reset after 3]",
    "malformed": "[malformed after 2]",
    "split": "[split at 7 after 2]",
    "line_ends": "[line_ends crlf]",
    "content_type": "[content_type text/plain]",
    "content_length": "[content_length short]",
    "throttle": "[throttle 100]",
    "oversized": "[oversized 3]",
}
"""Faults in a prompt, where more than the name has to be said, or is."""


class PromptCommandTests(FaultTestCase):
    def say(self, text: str, **fields: Any) -> Asked:
        return self.stream(messages=[{"role": "user", "content": text}], **fields)

    def test_reset_after_three_chunks(self) -> None:
        asked = self.say("[reset after 3]")
        self.assertEqual((asked.words, asked.ended), (["hello", " world"], True))
        self.assertNotIn(b"[DONE]", asked.body)

    def test_hang(self) -> None:
        asked = self.say("[hang]")
        self.clock.advance(1e6)
        self.flush()
        self.assertEqual((asked.status, self.health()["running"]), (None, 1))
        asked.leave()
        self.assertEqual((self.health()["running"], self.faults()), (0, {"hang": 1}))

    def test_delay(self) -> None:
        asked = self.say("[delay 2s]")
        self.assertEqual((asked.end(), len(chunks_of(asked.body))), (2.0, 4))

    def test_what_is_no_fault_is_refused(self) -> None:
        asked = self.say("[reset after lunch]")
        self.assertEqual(asked.status, 400)
        self.assertIn("lunch", asked.json["error"]["message"])

    def test_the_header_goes_before_them(self) -> None:
        self.assertEqual(self.ask_for("[hang]", "error 418").status, 418)

    def test_they_can_be_turned_off(self) -> None:
        self.serve(prompt_commands=False)
        self.assertEqual(self.ask_for("[hang]").status, 200)

    def test_every_fault_can_be_asked_for_and_is_counted_under_its_name(self) -> None:
        wanted = [name for name in FAULTS if name != "split_characters"]  # there are none to split
        for name in wanted:
            self.serve()
            asked = self.say(COMMANDS.get(name, f"[{name}]"))
            asked.asked.addErrback(lambda _: None)  # some leave no answer that can be read
            self.clock.advance(60)
            self.flush()
            health = self.health()
            self.assertEqual(health["faults"], {name: 1})
            self.assertEqual(health["running"], 1 if name == "hang" else 0, name)


class HowOftenTests(FaultTestCase):
    def rule(self, fault: str, **settings: Any) -> None:
        self.scenario(f"rules: [{{reply: hello world, faults: [{fault}]}}]", **settings)

    def test_a_probability_is_of_all_answers_and_follows_from_the_seed(self) -> None:
        def run(seed: int) -> list[int | None]:
            self.rule("{error: 503, probability: 0.25}", seed=seed)
            return self.statuses(*["again"] * 200)

        first = run(1)
        self.assertTrue(30 <= first.count(503) <= 70, first.count(503))
        self.assertEqual(run(1), first)
        self.assertNotEqual(run(2), first)

    def test_a_probability_of_one_is_always_and_of_none_never(self) -> None:
        self.rule("{error: 503, probability: 1}")
        self.assertEqual(self.statuses(*["again"] * 5), [503] * 5)
        self.rule("{error: 503, probability: 0}")
        self.assertEqual(self.statuses(*["again"] * 5), [200] * 5)
        self.assertEqual(self.faults(), {})

    def test_times_is_how_often(self) -> None:
        self.rule("{error: 503, times: 2}")
        self.assertEqual(self.statuses(*["again"] * 4), [503, 503, 200, 200])
        self.assertEqual(self.faults(), {"error": 2})

    def test_on_attempt_is_at_which_attempts_at_one_conversation(self) -> None:
        self.rule("{error: 503, on_attempt: [1, 3]}")
        self.assertEqual(self.statuses(*["again"] * 4), [503, 200, 503, 200])
        self.assertEqual(self.statuses("something else"), [503])

    def test_faults_of_one_rule_go_by_their_own_times(self) -> None:
        self.rule("{error: 503, on_attempt: 1}, {html_error: 502, on_attempt: 2}")
        self.assertEqual(self.statuses(*["again"] * 3), [503, 502, 200])

    def test_the_header_may_say_when_as_well(self) -> None:
        fault = "{error: 503, times: 1}"
        statuses = [self.ask_for("again", fault).status for _ in range(3)]
        self.assertEqual(statuses, [503, 200, 200])

    def test_only_what_has_struck_is_counted(self) -> None:
        self.scenario(
            "rules: [{reply: {lorem: {tokens: 60}}, timing: {itl: 1s},"
            " faults: [reset after 50 tokens]}]"
        )
        left = self.stream()
        self.clock.advance(10)
        self.flush()
        self.assertEqual(len(left.words), 11)
        left.leave()
        self.assertEqual(self.faults(), {})
        stayed = self.stream()
        self.clock.advance(100)
        self.flush()
        self.assertEqual((len(stayed.words), stayed.ended), (50, True))
        self.assertEqual(self.faults(), {"reset": 1})

    def test_each_counts_by_itself(self) -> None:
        for fault in ("error 429", "error 500", "comments; no_space", "comments"):
            self.stream(headers={HEADER: fault})
        self.assertEqual(self.faults(), {"error": 2, "comments": 2, "no_space": 1})


class SpeedTests(FaultTestCase):
    def test_durations_are_divided_by_the_speed_but_what_the_client_is_told(self) -> None:
        self.serve(speed=2)
        asked = self.ask_for("whatever", "delay 2s; error 429 retry_after 2s")
        self.assertEqual((asked.end(), asked.header("retry-after")), (1.0, "2"))

    def test_at_speed_none_there_is_no_waiting_but_for_ever(self) -> None:
        self.serve(speed=0)
        self.assertEqual(self.ask_for("whatever", "delay 2h; throttle 1").status, 200)
        asked = self.ask_for("whatever", "hang")
        self.clock.advance(1e6)
        self.flush()
        self.assertIsNone(asked.status)
        asked.leave()


class SameSeedTests(FaultTestCase):
    def test_two_runs_are_alike_byte_by_byte_and_at_the_same_times(self) -> None:
        fault = "stall 700ms after 5 tokens; oversized 20; throttle 300; comments every 300ms"

        def run() -> list[tuple[float, bytes]]:
            clock = self.clock = VirtualClock()
            self.scenario(
                "rules: [{reply: {lorem: {tokens: 20}}, timing: {itl: {exponential: 50ms}}}]",
                seed=7,
            )
            asked = self.stream(headers={HEADER: fault})
            seen: list[tuple[float, bytes]] = []
            while clock.next():
                self.flush()
                seen.append((clock.seconds(), asked.body))
            self.assertTrue(asked.ended)
            return seen

        first = run()
        self.assertGreater(len(first), 50)
        self.assertEqual(run(), first)
