"""The whole server under load: slots, the queue, slowdown, phases, on a clock of the test's own."""

from typing import Any

from fakellm.engine.clock import VirtualClock
from tests.timed import Asked, ScenarioTestCase

SLOW = """
timing: {ttft: 1s, itl: 1s}
load: {slots: 1, queue: 2}
"""


class QueueTests(ScenarioTestCase):
    """More requests than slots."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = VirtualClock()

    def ends(self, asked: list[Asked]) -> list[float]:
        return [each.end() for each in asked]

    def test_answers_wait_their_turn_and_the_wait_adds_to_the_ttft(self) -> None:
        self.scenario(SLOW)
        asked = [self.stream() for _ in range(3)]
        self.assertEqual([each.arrivals()[0] for each in asked], [1.0, 3.0, 5.0])

    def test_an_answer_tells_its_place_and_its_time_in_the_queue(self) -> None:
        self.scenario(SLOW)
        asked = [self.whole() for _ in range(3)]
        self.ends(asked)
        told = [
            (each.header("X-FakeLLM-Queue-Place"), each.header("X-FakeLLM-Queue-Time"))
            for each in asked
        ]
        self.assertEqual(told, [("0", "0.000"), ("1", "2.000"), ("2", "4.000")])

    def test_the_health_of_the_server_tells_of_the_queue(self) -> None:
        self.scenario(SLOW)
        asked = [self.whole() for _ in range(3)]
        self.clock.advance(0.5)
        health = self.health()
        told = {name: health[name] for name in ("running", "queued", "slots", "queue_time")}
        self.assertEqual(told, {"running": 3, "queued": 2, "slots": 1, "queue_time": 0.5})
        self.ends(asked)
        self.assertEqual(self.health()["queued"], 0)

    def test_a_full_queue_refuses_in_the_vendors_words(self) -> None:
        self.scenario(SLOW)
        for _ in range(3):
            self.whole()
        refused = self.whole()
        self.assertEqual(
            (refused.status, refused.json["error"]["code"]), (503, "service_unavailable")
        )

    def test_or_with_a_429(self) -> None:
        self.scenario("timing: {ttft: 1s}\nload: {slots: 1, queue: 0, full: 429}")
        self.whole()
        refused = self.whole()
        self.assertEqual(refused.status, 429)
        self.assertIsNotNone(refused.header("Retry-After"))

    def test_errors_take_no_slot(self) -> None:
        self.scenario("timing: {ttft: 1s}\nload: {slots: 1}")
        self.whole()
        self.assertEqual(self.whole(messages=[{"role": "user", "content": "[418]"}]).status, 418)

    def test_who_leaves_the_queue_or_a_slot_gives_it_back(self) -> None:
        self.scenario(SLOW)
        running, queued, last = [self.stream() for _ in range(3)]
        queued.leave()
        self.assertEqual(self.health()["queued"], 1)
        running.leave()
        self.assertEqual((self.health()["queued"], self.health()["running"]), (0, 1))
        self.assertEqual(last.arrivals()[0], 1.0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_the_more_slots_are_busy_the_slower_all_is(self) -> None:
        self.scenario("timing: {ttft: 1s, itl: 1s}\nload: {slots: 3, slowdown: 3}")
        asked = [self.whole() for _ in range(3)]
        self.assertEqual(sorted(self.ends(asked)), [2.0, 4.0, 6.0])


class PhaseTests(ScenarioTestCase):
    """Settings that change over the run."""

    def test_they_follow_each_other(self) -> None:
        self.scenario(
            """
            timing: {ttft: 1s}
            phases:
              - {after: 60s, timing: {ttft: 5s}, faults: ["error 503"]}
              - {after: 90s, timing: {ttft: 5s}, faults: []}
              - {after: 120s, timing: {ttft: 2s}}
            """
        )
        seen: list[Any] = []
        for at in (0, 60, 90, 120):
            self.clock.advance(at - self.clock.seconds())
            asked = self.whole()
            took = asked.end()
            seen.append((asked.status, took))
        self.assertEqual(seen, [(200, 1.0), (503, 0.0), (200, 5.0), (200, 2.0)])

    def test_slots_that_come_let_in_those_that_wait(self) -> None:
        self.scenario(
            "timing: {ttft: 10s}\nload: {slots: 1}\nphases: [{after: 5s, load: {slots: 2}}]"
        )
        self.stream()
        waiting = self.stream()
        self.clock.advance(5)
        self.health()  # whoever asks, it is noticed
        self.assertEqual(waiting.arrivals()[0], 15.0)


class SameTests(ScenarioTestCase):
    """The same seed gives the same bytes at the same times."""

    SCENARIO = """
        timing:
          ttft: {lognormal: {p50: 300ms, p99: 2s}}
          itl: {gamma: {mean: 50ms, sd: 30ms}}
        faults: [{stall: {after: 4, for: 1s}, probability: 0.5}]
        rules:
          - reply: {lorem: {tokens: 20}}
        """

    def run_with(self, seed: int, *, stream: bool) -> list[object]:
        self.clock = VirtualClock()
        self.scenario(self.SCENARIO, seed=seed)
        seen: list[object] = []
        for _ in range(5):
            asked = self.stream() if stream else self.whole()
            begun = self.clock.seconds()
            while not asked.ended:
                self.assertTrue(self.clock.next())
                self.flush()
                seen.append((self.clock.seconds() - begun, asked.body))
        return seen

    def test_streamed_and_not(self) -> None:
        for stream in (True, False):
            first = self.run_with(7, stream=stream)
            self.assertEqual(first, self.run_with(7, stream=stream))
            self.assertNotEqual(first, self.run_with(8, stream=stream))
