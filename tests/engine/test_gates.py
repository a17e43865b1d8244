"""Gates, with what waits at them made up; tests/engine/test_player.py has real answers there."""

from unittest import mock

from twisted.internet.defer import CancelledError
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine import gates as gates_module
from fakellm.engine.gates import Gates
from fakellm.journal.noted import Noted
from fakellm.scenarios.sessions import StartedAfresh
from tests.journal.entries import noted


class Held:
    """Something that waits, and notes what is done to it."""

    def __init__(self, noted: Noted | None = None) -> None:
        self.done: list[object] = []
        self.noted = noted

    def go_on(self, chunks: int | None = None) -> None:
        self.done.append(chunks or "released")

    def abort(self) -> None:
        self.done.append("aborted")


class GateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.gates = Gates()
        self.gate = self.gates.gate("g")
        self.held = [Held() for _ in range(3)]
        for held in self.held:
            self.gate.arrive(held)

    def done(self) -> list[list[object]]:
        return [held.done for held in self.held]

    def test_all_that_wait_are_released_in_order_or_the_first_of_them(self) -> None:
        self.assertEqual((self.gate.release(1), self.gate.waiting), (1, 2))
        self.assertEqual(self.done(), [["released"], [], []])
        self.assertEqual((self.gate.release(), self.gate.waiting), (2, 0))
        self.assertEqual((self.gate.release(), self.gate.released), (0, 3))

    def test_a_step_is_everybodys(self) -> None:
        self.assertEqual(self.gate.step(2), 3)
        self.assertEqual(self.done(), [[2], [2], [2]])
        self.assertEqual((self.gate.waiting, self.gate.released), (0, 0))

    def test_all_are_broken_off(self) -> None:
        self.assertEqual((self.gate.abort(), self.gate.aborted, self.gate.waiting), (3, 3, 0))
        self.assertEqual(self.done(), [["aborted"]] * 3)

    def test_who_leaves_is_counted_once(self) -> None:
        self.gate.leave(self.held[0])
        self.gate.leave(self.held[0])
        self.assertEqual((self.gate.left, self.gate.waiting), (1, 2))

    def test_one_can_wait_until_enough_wait(self) -> None:
        self.successResultOf(self.gate.when_waiting(3))
        four = self.gate.when_waiting(4)
        five = self.gate.when_waiting(5)
        self.gate.arrive(Held())
        self.successResultOf(four)
        self.assertNoResult(five)
        five.cancel()
        self.failureResultOf(five, CancelledError)
        self.gate.arrive(Held())

    def test_nobody_waits_for_those_of_a_session_that_is_forgotten(self) -> None:
        other = self.gates.gate("g", "s").when_waiting()
        one, two = self.gate.when_waiting(8), self.gate.when_waiting(9)

        def give_up(failure: Failure) -> Failure:
            two.cancel()  # before its turn comes: it is told once
            return failure

        one.addErrback(give_up)
        self.gates.forget("default")
        self.failureResultOf(one, StartedAfresh)
        self.failureResultOf(two, CancelledError)
        self.assertNoResult(other)
        self.assertFalse(self.gate.awaited)

    def test_who_comes_and_goes_on_is_told_of(self) -> None:
        """By the request that the answer is for, if there is one."""
        told: list[object] = []
        gates = Gates(
            lambda request, gate: told.append(("held", request.number, gate)),
            lambda request, gate: told.append(("let_go", request.number, gate)),
        )
        gate = gates.gate("g")
        for number in range(1, 4):
            gate.arrive(Held(noted(number)))
        gate.arrive(Held())
        self.assertEqual(told, [("held", number, "g") for number in range(1, 4)])
        del told[:]
        gate.release(1)
        gate.step()
        self.assertEqual(told, [("let_go", number, "g") for number in range(1, 4)])
        gate.arrive(Held(noted(4)))
        del told[:]
        gate.abort()
        self.assertEqual(told, [])

    def test_gates_are_remembered_but_not_without_bound(self) -> None:
        self.assertEqual(self.gates.names(), ["g"])
        with mock.patch.object(gates_module, "GATES_AT_MOST", 3):
            self.gates.gate("a")
            self.gates.gate("b")
            self.gates.gate("c")
            self.gates.gate("d")
        self.assertEqual(self.gates.names(), ["g", "c", "d"])
        self.assertEqual([gate.name for gate in self.gates.all()], ["g", "c", "d"])

    def test_gates_where_somebody_waits_are_never_forgotten(self) -> None:
        with mock.patch.object(gates_module, "GATES_AT_MOST", 1):
            self.gates.gate("a").arrive(Held())
            self.gates.gate("b").when_waiting()
            self.gates.gate("c")
            self.gates.gate("d")
        self.assertEqual(self.gates.names(), ["g", "a", "b", "d"])
