"""Looking at a journal: what fits, waiting for it, watching, and what nearly fits."""

from collections.abc import Callable
from typing import Any, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from fakellm.journal.journal import Bounds, Journal, Sink
from fakellm.journal.matches import Match, compile_match
from fakellm.journal.noted import Noted
from fakellm.journal.records import JournalEntry, JournalEvent
from fakellm.scenarios.schema import NumberTest
from fakellm.scenarios.sessions import StartedAfresh
from fakellm.scenarios.text_tests import BadRule
from fakellm.scenarios.words import contains, matches
from fakellm.timing.tokens import Splitter
from tests.journal.entries import ended, noted, received

T = TypeVar("T")


class JournalCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.journal = self.make()

    def make(self, **bounds: Any) -> Journal:
        return Journal(Splitter(), Bounds(**bounds))

    def add(self, *requests: Noted) -> None:
        """Requests come in and are answered."""
        for request in requests:
            self.journal.received(request)
            self.journal.ended(ended(request))

    def numbers(self, entries: list[JournalEntry]) -> list[int]:
        return [entry.number for entry in entries]


class LookingTests(JournalCase):
    def test_all_in_order_and_the_last_of_them(self) -> None:
        self.add(*map(noted, range(1, 5)))
        self.assertEqual(self.numbers(self.journal.all()), [1, 2, 3, 4])
        self.assertEqual(self.numbers(self.journal.all(last=2)), [3, 4])
        self.assertEqual(self.numbers(self.journal.all(last=0)), [])

    def test_one_by_its_id(self) -> None:
        self.add(noted(1), noted(2))
        entry = self.journal.one("req_2")
        assert entry is not None
        self.assertEqual(entry.number, 2)
        self.assertIsNone(self.journal.one("req_3"))
        self.assertIsNone(self.journal.snapshot("req_3"))

    def test_a_match_is_compiled_once_or_on_the_spot(self) -> None:
        self.add(noted(1, "a"), noted(2, "b"))
        match = Match(user="b")
        self.assertEqual(self.numbers(self.journal.all(match)), [2])
        self.assertEqual(self.numbers(self.journal.all(compile_match(match))), [2])
        self.assertEqual((self.journal.count(match), self.journal.count()), (1, 2))

    def test_an_impossible_match_says_where(self) -> None:
        bad = self.assertRaises(BadRule, self.journal.all, Match(path=matches("(")))
        self.assertEqual(bad.path, ("path", "matches"))

    def test_a_request_is_told_once(self) -> None:
        request = noted(1)
        self.journal.received(request)
        self.journal.received(request)
        self.assertEqual(self.journal.figures.entries, 1)


class BoundTests(JournalCase):
    def test_the_oldest_go_first(self) -> None:
        self.journal = self.make(entries=2)
        self.add(*map(noted, range(1, 6)))
        self.assertEqual(self.numbers(self.journal.all()), [4, 5])
        self.assertEqual(self.journal.figures.dropped, 3)

    def test_bytes_are_counted_down_to_nothing(self) -> None:
        self.add(*map(noted, range(1, 6)))
        self.assertTrue(self.journal.figures.bytes > 5000)
        self.assertEqual(self.journal.delete(), 5)
        self.assertEqual((self.journal.figures.bytes, self.journal.figures.entries), (0, 0))

    def test_an_entry_that_is_dropped_while_it_runs_is_not_counted_at_its_end(self) -> None:
        self.journal = self.make(entries=1)
        first, second = noted(1), noted(2)
        self.journal.received(first)
        self.journal.received(second)
        before = self.journal.figures.bytes
        self.journal.ended(ended(first))
        self.assertEqual(self.journal.figures.bytes, before)

    def test_the_only_one_may_be_as_large_as_it_is(self) -> None:
        self.journal = self.make(bytes=1)
        self.add(noted(1))
        self.assertEqual(self.numbers(self.journal.all()), [1])
        self.add(noted(2))
        self.assertEqual(self.numbers(self.journal.all()), [2])

    def test_without_entries_it_is_off(self) -> None:
        self.journal = self.make(entries=0)
        self.add(noted(1))
        self.assertEqual((self.journal.on, self.journal.all()), (False, []))

    def test_a_large_body_is_cut_and_all_that_was_made_of_it(self) -> None:
        self.journal = self.make(body=10)
        body = b"0123456789abcdef"
        self.add(noted(1, "0123456", "789abc", "def", received=received(body)))
        entry = self.journal.one("req_1")
        assert entry is not None
        assert entry.prompt is not None
        self.assertEqual((entry.body, entry.body_bytes), ("0123456789", 16))
        self.assertEqual([each.text for each in entry.prompt.messages], ["0123456", "789"])


class DeletingTests(JournalCase):
    def test_those_of_a_session_or_all(self) -> None:
        self.add(noted(1, session="a"), noted(2, session="b"), noted(3, session="a"))
        self.assertEqual(self.journal.delete("a"), 2)
        self.assertEqual(self.numbers(self.journal.all()), [2])
        self.assertEqual(self.journal.delete("a"), 0)
        self.assertEqual(self.journal.delete(), 1)
        self.assertEqual(self.journal.figures.dropped, 0)


class WaitingTests(JournalCase):
    def test_what_is_there_already_counts(self) -> None:
        self.add(*map(noted, range(1, 4)))
        waited = self.journal.wait(count=2)
        self.assertEqual(self.numbers(self.successResultOf(waited)), [1, 2])

    def test_it_fires_once_there_are_so_many(self) -> None:
        self.add(noted(1, "x"))
        waited = self.journal.wait(Match(user="x"), 2)
        self.add(noted(2, "y"))
        self.assertNoResult(waited)
        self.add(noted(3, "x"))
        self.assertEqual(self.numbers(self.successResultOf(waited)), [1, 3])

    def test_a_request_fits_as_soon_as_it_comes(self) -> None:
        waited = self.journal.wait(Match(session="a"))
        self.journal.received(noted(1, session="b"))
        self.assertNoResult(waited)
        self.journal.received(noted(2, session="a"))
        self.assertEqual(self.numbers(self.successResultOf(waited)), [2])

    def test_conditions_on_the_end_hold_at_the_end(self) -> None:
        waited = self.journal.wait(Match(ended="finished"))
        request = noted(1)
        self.journal.received(request)
        self.assertNoResult(waited)
        self.journal.ended(ended(request))
        self.assertEqual(self.numbers(self.successResultOf(waited)), [1])

    def test_conditions_on_a_fault_hold_when_it_strikes(self) -> None:
        """An answer that a fault has stall may never end."""
        waited = self.journal.wait(Match(fault="stall"))
        request = noted(1)
        self.journal.received(request)
        self.assertNoResult(waited)
        request.struck_by("stall")
        self.journal.struck(request, "stall")
        self.assertEqual(self.numbers(self.successResultOf(waited)), [1])

    def test_it_may_be_cancelled(self) -> None:
        waited = self.journal.wait()
        waited.cancel()
        self.failureResultOf(waited, CancelledError)
        self.add(noted(1))

    def test_nobody_waits_for_what_starts_afresh(self) -> None:
        """Of a session, or of all; who waits for requests of any goes on when it is but one."""
        self.add(noted(1, session="a"), noted(2, session="b"))
        of_a, of_b, of_any = (
            self.journal.wait(match, 2)
            for match in (Match(session="a"), Match(session="b"), Match(user="x"))
        )
        self.journal.start_afresh("a")
        self.failureResultOf(of_a, StartedAfresh)
        self.assertNoResult(of_b)
        self.assertEqual(self.numbers(self.journal.all()), [2])
        of_b.addBoth(self.cancelling(of_any))  # who gives up does so once
        self.journal.start_afresh()
        self.failureResultOf(of_b, StartedAfresh)
        self.failureResultOf(of_any, CancelledError)
        self.assertEqual(self.journal.all(), [])

    @staticmethod
    def cancelling(other: "Deferred[Any]") -> Callable[[T], T]:
        """What cancels another, and passes on what it gets."""

        def cancel(result: T) -> T:
            other.cancel()
            return result

        return cancel

    def test_deleting_requests_ends_no_waiting(self) -> None:
        self.add(noted(1, "x"))
        waited = self.journal.wait(Match(user="x"), 2)
        self.journal.delete()
        self.assertNoResult(waited)
        self.add(noted(2, "x"))
        self.assertEqual(self.numbers(self.successResultOf(waited)), [1, 2])

    def test_none_are_there_at_once(self) -> None:
        self.assertEqual(self.successResultOf(self.journal.wait(count=0)), [])


class WatchingTests(JournalCase):
    def test_both_ends_of_a_request_are_told(self) -> None:
        events: list[JournalEvent] = []
        leave = self.journal.subscribe(events.append)
        self.add(noted(1))
        self.assertEqual([event.kind for event in events], ["received", "ended"])
        self.assertEqual([event.entry.delivery.ended for event in events], [None, "finished"])
        leave()
        leave()
        self.add(noted(2))
        self.assertEqual(len(events), 2)

    def test_what_happens_between_them_is_told(self) -> None:
        """What strikes before a request is told of, as what decides on its answer, comes after."""
        events: list[JournalEvent] = []
        self.journal.subscribe(events.append)
        request = noted(1)
        request.struck_by("error")
        self.journal.struck(request, "error")
        self.journal.received(request)
        request.struck_by("stall")
        self.journal.struck(request, "stall")
        self.journal.held(request, "door")
        self.journal.let_go(request, "door")
        self.journal.ended(ended(request))
        told = [(event.kind, event.fault or event.gate) for event in events]
        self.assertEqual(
            told,
            [
                ("received", None),
                ("struck", "error"),
                ("struck", "stall"),
                ("held", "door"),
                ("let_go", "door"),
                ("ended", None),
            ],
        )
        self.assertEqual(events[1].entry.faults, ("error",))
        self.assertEqual(events[2].entry.faults, ("error", "stall"))

    def test_one_that_fails_is_told_no_more(self) -> None:
        def fail(_: JournalEvent) -> None:
            raise ZeroDivisionError

        events: list[JournalEvent] = []
        self.journal.subscribe(fail)
        self.journal.subscribe(events.append)
        self.add(noted(1))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(events), 2)


class NearTests(JournalCase):
    def test_those_first_of_which_most_holds(self) -> None:
        self.add(noted(1, "hello"), noted(2, "bye"), noted(3, "bye", model="other"))
        near = self.journal.near(Match(user=contains("hello"), model="other", status=200))
        self.assertEqual(
            [(miss.entry.number, miss.held) for miss in near], [(3, 2), (1, 2), (2, 1)]
        )
        self.assertEqual(
            (near[0].name, near[0].expected, near[0].found), ("user", "contains 'hello'", "'bye'")
        )
        self.assertEqual(
            (near[1].name, near[1].expected, near[1].found), ("model", "is 'other'", "'m'")
        )

    def test_what_fits_is_no_miss_and_others_sessions_are_not_looked_at(self) -> None:
        self.add(noted(1, "a", session="blue"), noted(2, "b", session="blue"), noted(3, "b"))
        near = self.journal.near(Match(user="a"), session="blue")
        self.assertEqual([miss.entry.number for miss in near], [2])
        near = self.journal.near(Match(user="a", session="blue"))
        self.assertEqual([miss.entry.number for miss in near], [2])

    def test_no_more_than_asked_for(self) -> None:
        self.add(*(noted(number, "x") for number in range(1, 10)))
        self.assertEqual(len(self.journal.near(Match(user="y"))), 3)
        self.assertEqual(len(self.journal.near(Match(user="y"), at_most=5)), 5)
        found = self.journal.near(Match(status=NumberTest(at_least=500)))
        self.assertEqual((found[0].expected, found[0].found), ("at least 500", "200"))


class SinkTests(JournalCase):
    def test_it_gets_every_entry_at_its_end_even_where_none_is_kept(self) -> None:
        class Lister(Sink):
            lost = 7
            entries: list[JournalEntry] = []  # noqa: RUF012 -- one is made

            def put(self, entry: Any) -> None:
                self.entries.append(entry())

        for entries in (0, 10):
            self.journal = self.make(entries=entries, body=3)
            sink = self.journal.sink = Lister()
            self.assertTrue(self.journal.on)
            self.add(noted(1, received=received(b"12345")))
            self.assertEqual(sink.entries.pop().body, "123")
            self.assertEqual(self.journal.figures.unwritten, 7)
