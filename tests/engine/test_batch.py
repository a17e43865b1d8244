"""What comes or is due in one turn of the reactor is answered together, and then sent together."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.batch import TOGETHER, Batch, Turns
from fakellm.engine.timer import Timer


class Thing:
    """Something that notes what it does, and holds back what it has to send."""

    def __init__(self, name: str, done: list[str], batch: Batch, fails: str = "") -> None:
        self._name = name
        self._done = done
        self._batch = batch
        self._fails = fails

    def _do(self, what: str) -> None:
        self._done.append(f"{self._name} {what}")
        if self._fails == what:
            raise ValueError(what)

    def deal(self) -> None:
        self._batch.hold(self)
        self._do("deals")

    def release(self) -> None:
        self._do("sends")


class BatchCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.batch = Batch()
        self.done: list[str] = []

    def thing(self, name: str, fails: str = "") -> Thing:
        return Thing(name, self.done, self.batch, fails)


class TurnsTests(BatchCase):
    def setUp(self) -> None:
        super().setUp()
        self.turns = Turns(self.clock, self.batch)

    def test_all_deal_before_any_sends(self) -> None:
        self.turns.add(self.thing("a"))
        self.turns.add(self.thing("b"))
        self.assertEqual(self.done, [])
        self.clock.advance(0)
        self.assertEqual(self.done, ["a deals", "b deals", "a sends", "b sends"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_what_comes_meanwhile_has_another_turn(self) -> None:
        again = self.thing("a")
        self.patch(again, "release", lambda: self.turns.add(self.thing("b")))
        self.turns.add(again)
        self.turns.add(self.thing("c"))
        self.clock.advance(0)
        self.assertEqual(self.done, ["a deals", "c deals", "c sends", "b deals", "b sends"])

    def test_one_that_fails_keeps_nobody_waiting(self) -> None:
        for name, fails in (("a", "deals"), ("b", "sends"), ("c", "")):
            self.turns.add(self.thing(name, fails))
        self.clock.advance(0)
        self.assertEqual(self.done[:3], ["a deals", "b deals", "c deals"])
        self.assertEqual(self.done[3:], ["a sends", "b sends", "c sends"])
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 2)


class BatchTests(BatchCase):
    def test_it_is_open_until_its_beginning_ends_it(self) -> None:
        with self.batch:
            with self.batch:
                self.thing("a").deal()
            self.assertTrue(self.batch.is_open)
            self.assertEqual(self.done, ["a deals"])
        self.assertFalse(self.batch.is_open)
        self.assertEqual(self.done, ["a deals", "a sends"])

    def test_it_ends_whatever_breaks_in_it(self) -> None:
        def broken() -> None:
            with self.batch:
                self.thing("a").deal()
                raise ValueError

        self.assertRaises(ValueError, broken)
        self.assertEqual((self.batch.is_open, self.done), (False, ["a deals", "a sends"]))

    def test_of_many_the_first_need_not_wait_for_the_last(self) -> None:
        with self.batch:
            for number in range(TOGETHER + 1):
                self.thing(f"{number}").deal()
            sent = [each for each in self.done if each.endswith("sends")]
            self.assertEqual(sent, [f"{number} sends" for number in range(TOGETHER)])
        self.assertEqual(self.done[-1], f"{TOGETHER} sends")

    def test_what_is_due_at_one_time_sends_together(self) -> None:
        timer = Timer(self.clock, batch=self.batch)
        for name in ("a", "b"):
            timer.at(1.0, self.thing(name).deal)
        timer.at(2.0, self.thing("c").deal)
        self.clock.pump([1.0, 1.0])
        expected = ["a deals", "b deals", "a sends", "b sends", "c deals", "c sends"]
        self.assertEqual(self.done, expected)
