"""Which faults apply to a request."""

from random import Random

from twisted.trial.unittest import SynchronousTestCase

from fakellm.faults.fault import Fault
from fakellm.faults.policy import Chooser


class ChooserTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.chooser = Chooser(at_most=2)

    def chosen(
        self,
        *faults: Fault,
        owner: str = "rule",
        session: str = "a",
        attempt: int = 1,
        chance: Random | None = None,
    ) -> list[str]:
        found = self.chooser.choose(
            faults, owner=owner, session=session, attempt=attempt, chance=chance or Random(0)
        )
        return [fault.name for fault in found]

    def test_all_apply_in_order_where_nothing_is_said(self) -> None:
        self.assertEqual(self.chosen(Fault(name="b"), Fault(name="a")), ["b", "a"])

    def test_times_are_counted_by_session_owner_and_place(self) -> None:
        fault = Fault(name="a", times=1)
        self.assertEqual(self.chosen(fault), ["a"])
        self.assertEqual(self.chosen(fault), [])
        self.assertEqual(self.chosen(fault, session="b"), ["a"])
        self.assertEqual(self.chosen(fault, owner="other"), ["a"])

    def test_what_was_not_used_for_longest_is_forgotten(self) -> None:
        fault = Fault(name="a", times=1)
        for session in "abca":
            self.assertEqual(self.chosen(fault, session=session), ["a"])

    def test_a_session_starts_afresh(self) -> None:
        fault = Fault(name="a", times=1)
        self.chosen(fault)
        self.chooser.forget("a")
        self.assertEqual(self.chosen(fault), ["a"])

    def test_attempts(self) -> None:
        fault = Fault(name="a", on_attempt=frozenset({2}))
        self.assertEqual([self.chosen(fault, attempt=each) for each in (1, 2, 3)], [[], ["a"], []])

    def test_chance_is_drawn_alike_whatever_else_applies(self) -> None:
        """What never applies draws all the same."""
        last = Fault(name="last", probability=0.5)
        never = Fault(name="never", probability=1, on_attempt=frozenset({9}))
        always = Fault(name="always", probability=1)
        for seed in range(20):
            with_never = self.chosen(never, last, chance=Random(seed))
            with_always = self.chosen(always, last, chance=Random(seed))
            self.assertEqual(with_never, with_always[1:])

    def test_chance_is_as_likely_as_said(self) -> None:
        chance = Random(1)
        fault = Fault(name="a", probability=0.25)
        happened = sum(bool(self.chosen(fault, chance=chance)) for _ in range(1000))
        self.assertTrue(200 < happened < 300, happened)
