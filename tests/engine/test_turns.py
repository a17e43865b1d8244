"""What comes in one turn of the reactor is dealt with together."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.turns import Turns


class Thing:
    def __init__(self, name: str, done: list[str], fails: str = "") -> None:
        self._name = name
        self._done = done
        self._fails = fails

    def _do(self, what: str) -> None:
        self._done.append(f"{self._name} {what}")
        if self._fails == what:
            raise ValueError(what)

    def deal(self) -> None:
        self._do("deals")

    def release(self) -> None:
        self._do("sends")


class TurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = Turns(self.clock)
        self.done: list[str] = []

    def test_all_deal_before_any_sends(self) -> None:
        self.turns.add(Thing("a", self.done))
        self.turns.add(Thing("b", self.done))
        self.assertEqual(self.done, [])
        self.clock.advance(0)
        self.assertEqual(self.done, ["a deals", "b deals", "a sends", "b sends"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_comes_meanwhile_has_the_next_turn(self) -> None:
        class Again(Thing):
            def release(inner) -> None:  # noqa: N805 -- the test is the other one
                super().release()
                self.turns.add(Thing("b", self.done))

        self.turns.add(Again("a", self.done))
        self.turns.add(Thing("c", self.done))
        self.clock.advance(0)
        self.assertEqual(
            self.done, ["a deals", "c deals", "a sends", "c sends", "b deals", "b sends"]
        )

    def test_one_that_fails_keeps_nobody_waiting(self) -> None:
        self.turns.add(Thing("a", self.done, fails="deals"))
        self.turns.add(Thing("b", self.done, fails="sends"))
        self.turns.add(Thing("c", self.done))
        self.clock.advance(0)
        self.assertEqual(self.done[:3], ["a deals", "b deals", "c deals"])
        self.assertEqual(self.done[3:], ["a sends", "b sends", "c sends"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)
