"""What is remembered between requests, for whom, and for how long."""

from collections import OrderedDict

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.prompt import Received
from fakellm.recent import Recent
from fakellm.scenarios.sessions import DEFAULT_SESSION, START, Memory, session_of

few = settings(deadline=None, derandomize=True, max_examples=200, database=None)


class NameTests(SynchronousTestCase):
    def named(self, *, header: str | None = None, key: str | None = None) -> str:
        headers = {} if header is None else {"x-fakellm-session": header}
        received = Received(method="POST", path="/", headers=headers)
        return session_of(received, key)

    def test_by_the_header(self) -> None:
        self.assertEqual(self.named(header="blue"), "blue")
        self.assertEqual(self.named(header="blue", key="session-red"), "blue")

    def test_by_the_key(self) -> None:
        self.assertEqual(self.named(key="session-red"), "red")
        self.assertEqual(self.named(header="", key="session-red"), "red")

    def test_all_else_is_one_session(self) -> None:
        for key in (None, "", "sk-session-red", "session", "session-"):
            self.assertEqual(self.named(key=key), DEFAULT_SESSION)


class RecentTests(SynchronousTestCase):
    def test_what_is_not_there_has_the_default_and_takes_no_room(self) -> None:
        recent: Recent[str, int] = Recent(7, 2)
        self.assertEqual((recent.get("s", "a"), len(recent)), (7, 0))

    def test_what_was_not_used_for_longest_goes_first(self) -> None:
        recent: Recent[str, int] = Recent(0, 2)
        recent.set("s", "a", 1)
        recent.set("s", "b", 2)
        recent.get("s", "a")
        recent.set("t", "a", 3)
        found = [recent.get("s", "a"), recent.get("s", "b"), recent.get("t", "a")]
        self.assertEqual((found, len(recent)), ([1, 0, 3], 2))

    @few
    @given(
        st.lists(
            st.tuples(st.sampled_from("st"), st.sampled_from("abcd"), st.integers() | st.none())
        ),
        st.integers(1, 5),
    )
    def test_it_is_a_mapping_that_never_grows_beyond_its_bound(
        self, steps: list[tuple[str, str, int | None]], at_most: int
    ) -> None:
        recent: Recent[str, int] = Recent(0, at_most)
        model: OrderedDict[tuple[str, str], int] = OrderedDict()
        for session, key, value in steps:
            if value is None:
                self.assertEqual(recent.get(session, key), model.get((session, key), 0))
            else:
                recent.set(session, key, value)
                model[session, key] = value
            if (session, key) in model:
                model.move_to_end((session, key))
            while len(model) > at_most:
                model.popitem(last=False)
            self.assertEqual(len(recent), len(model))


class MemoryTests(SynchronousTestCase):
    def test_a_session_that_is_forgotten_starts_afresh_and_others_go_on(self) -> None:
        memory = Memory()
        for session in ("s", "t"):
            memory.answered.set(session, ("rule",), 2)
            memory.attempts.set(session, b"asked", 3)
            memory.states.set(session, "", "known")
        memory.forget("s")
        memory.forget("nobody")
        for session, expected in (("s", (0, 0, START)), ("t", (2, 3, "known"))):
            found = (
                memory.answered.get(session, ("rule",)),
                memory.attempts.get(session, b"asked"),
                memory.states.get(session, ""),
            )
            self.assertEqual(found, expected)

    def test_all_of_it_is_bounded_for_all_sessions_together(self) -> None:
        memory = Memory(at_most=10)
        for number in range(100):
            memory.answered.set(f"{number}", ("rule",), 1)
            memory.attempts.set("s", b"%d" % number, 1)
            memory.states.set("s", f"{number}", "known")
        sizes = {len(each) for each in (memory.answered, memory.attempts, memory.states)}
        self.assertEqual(sizes, {10})
