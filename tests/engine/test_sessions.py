"""Which sessions there are, and when they are forgotten."""

from typing import Any

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.sessions import Sessions
from fakellm.scenarios.sessions import DEFAULT_SESSION


class SessionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.forgotten: list[str] = []
        self.sessions = self.make()

    def make(self, **bounds: Any) -> Sessions:
        return Sessions(self.clock.seconds, self.forgotten.append, **bounds)

    def names(self) -> list[str]:
        return [session.name for session in self.sessions.all()]

    def ask(self, name: str) -> None:
        self.sessions.begin(name)
        self.sessions.end(name)

    def test_they_come_to_be_on_first_use(self) -> None:
        self.assertEqual(len(self.sessions), 0)
        self.sessions.touch("a")
        self.ask("b")
        self.sessions.begin("b")
        self.clock.advance(2.5)
        a, b = self.sessions.all()
        self.assertEqual((a.name, a.requests, a.running, a.idle), ("a", 0, 0, 2.5))
        self.assertEqual((b.name, b.requests, b.running, b.idle), ("b", 2, 1, 2.5))

    def test_those_used_last_come_last(self) -> None:
        for name in "abca":
            self.ask(name)
        self.assertEqual(self.names(), ["b", "c", "a"])

    def test_idle_ones_are_forgotten_when_others_are_used(self) -> None:
        self.sessions = self.make(idle=10)
        self.ask("a")
        self.ask("b")
        self.clock.advance(5)
        self.ask("c")
        self.clock.advance(5)
        self.ask("c")
        self.assertEqual((self.forgotten, self.names()), (["a", "b"], ["c"]))

    def test_one_with_an_answer_that_runs_is_not_idle(self) -> None:
        self.sessions = self.make(idle=10)
        self.sessions.begin("a")
        self.clock.advance(60)
        self.ask("b")
        self.assertEqual((self.forgotten, self.names()), ([], ["a", "b"]))
        self.sessions.end("a")
        self.clock.advance(10)
        self.ask("b")
        self.assertEqual((self.forgotten, self.names()), (["a"], ["b"]))

    def test_the_default_one_stays(self) -> None:
        self.sessions = self.make(idle=10)
        self.ask(DEFAULT_SESSION)
        self.clock.advance(60)
        self.ask("b")
        self.assertEqual((self.forgotten, self.names()), ([], [DEFAULT_SESSION, "b"]))

    def test_of_too_many_the_oldest_go(self) -> None:
        self.sessions = self.make(at_most=2)
        for name in "abcd":
            self.ask(name)
        self.assertEqual((self.forgotten, self.names()), (["a", "b"], ["c", "d"]))

    def test_unless_all_of_them_run(self) -> None:
        self.sessions = self.make(at_most=2)
        for name in "abcd":
            self.sessions.begin(name)
        self.assertEqual((self.forgotten, len(self.sessions)), ([], 4))
        for name in "abcd":
            self.sessions.end(name)
        self.ask("e")
        self.assertEqual(len(self.sessions), 2)
        self.assertIn("e", self.names())

    def test_one_is_dropped_on_request(self) -> None:
        self.sessions.begin("a")
        self.assertTrue(self.sessions.drop("a"))
        self.assertFalse(self.sessions.drop("a"))
        self.sessions.end("a")
        self.assertEqual(self.forgotten, [])
