"""Requests answered: who is let in, what goes wrong and how it is told, what is running."""

import hmac
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import msgspec
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.task import Clock
from twisted.logger import ILogObserver, LogEvent, LogLevel, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from fakellm.dialects.registry import ENDPOINTS
from fakellm.engine.service import Engine, Identity, Setup
from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure
from fakellm.model.timeline import Cue, Finish, Head, Write
from fakellm.scenarios.book import Book, Decision
from fakellm.timing.tokens import Splitter
from tests.engine.plain import BrokenError, PlainDialect, PlainEncoder
from tests.engine.wires import NotedWire, UnbreakableWire
from tests.scenarios import libraries

ASKED = Received(method="GET", path="/")


def slow(seconds: float = 10) -> Iterator[Cue]:
    """An answer that takes a while."""
    yield 0.0, Head(200, ())
    yield seconds, Write(b"late")
    yield seconds, Finish()


class EngineCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.dialect = PlainDialect()
        self.wire = NotedWire()
        self.engine = self.make()

    def make(self, **settings: Any) -> Engine:
        book = settings.pop("book", None) or libraries.book()
        identity = settings.pop("identity", Identity(seed=7, epoch=1000.0))
        return Engine(
            clock=self.clock,
            book=book,
            tokenizer=Splitter(),
            identity=identity,
            setup=Setup(**settings),
        )

    def answer(
        self, engine: Engine | None = None, *, key: str | None = None, **asked: Any
    ) -> list[object]:
        """Have a request answered, and return what its wire was told."""
        wire = NotedWire()
        headers = {} if key is None else {"key": key}
        body = msgspec.json.encode(asked)
        received = Received(method="POST", path="/plain", headers=headers, body=body)
        done = (engine or self.engine).answer(self.dialect, received, wire)
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        return wire.done

    def logged(self) -> list[LogEvent]:
        """A list that fills with what the engine logs."""
        events: list[LogEvent] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            if event.get("log_namespace", "").startswith("fakellm.engine"):
                events.append(event)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        return events


class AnswerTests(EngineCase):
    def test_a_request_is_decoded_decided_encoded_and_played(self) -> None:
        self.assertEqual(self.answer(), [(200,), b"hello world", "finished"])

    def test_the_plain_dialect_is_one(self) -> None:
        verifyObject(IDialect, self.dialect)
        verifyObject(IErrorWords, self.dialect.errors)
        verifyObject(IEncoder, PlainEncoder(None))

    def test_a_decision_to_fail_is_the_dialects_failure(self) -> None:
        words = b"Too many requests. Please try again later."
        self.assertEqual(self.answer(say="[429]"), [(429,), words, "finished"])

    def test_a_schema_that_cannot_be_met_is_a_failure_that_names_the_tool(self) -> None:
        tools = [{"name": "f", "parameters": {"type": "string"}}]
        self.assertEqual(
            self.answer(tools=tools, tool_choice={"mode": "required"}),
            [(400,), b"schema of f: schema must be of type 'object', got \"string\"", "finished"],
        )
        status, body, _ = self.answer(format={"kind": "json_schema", "schema": {"enum": []}})
        assert isinstance(body, bytes)
        self.assertEqual((status, body[:16]), ((400,), b"schema of None: "))

    def test_a_request_nested_too_deeply_is_told_so(self) -> None:
        """What can be decoded may still be too deep for what comes after."""
        book = mock.create_autospec(Book, instance=True)
        book.decide.side_effect = RecursionError
        self.assertEqual(
            self.answer(self.make(book=book)),
            [(400,), b"The request is nested too deeply.", "finished"],
        )

    def test_an_answer_that_takes_a_while_is_stopped_by_cancelling_it(self) -> None:
        done = self.engine.play(slow(), self.wire)
        self.assertNoResult(done)
        done.cancel()
        self.assertIsNone(self.successResultOf(done))
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.engine.running, 0)

    def test_a_refusal_is_the_dialects_failure(self) -> None:
        failure = Failure(status=404, message="no such path")
        done = self.engine.refuse(self.dialect, failure, self.wire, ASKED)
        self.successResultOf(done)
        self.assertEqual(self.wire.done, [(404,), b"no such path", "finished"])

    def test_a_document_is_the_dialects_too(self) -> None:
        self.successResultOf(self.engine.document(self.dialect, b"{}", self.wire))
        self.assertEqual(self.wire.done, [(200,), b"{}", "finished"])


class NestingTests(SynchronousTestCase):
    """No depth of nesting makes a request anybody's fault but the client's."""

    def test_every_depth_is_answered_and_none_with_a_500(self) -> None:
        (endpoint,) = (each for each in ENDPOINTS if each.path == "/v1/chat/completions")
        book = libraries.book()
        engine = Engine(clock=Clock(), book=book, tokenizer=Splitter(), identity=Identity())
        statuses = set()
        for depth in (*range(1, 2000, 37), *range(850, 1010)):
            for schema in ('{"items":%s}', '{"enum":[%s]}'):
                head, tail = schema.split("%s")
                nested = head * depth + "{}" + tail * depth
                body = (
                    '{"model":"m","messages":[{"role":"user","content":"hi"}],"tools":[{"type":'
                    '"function","function":{"name":"f","parameters":%s}}],"tool_choice":"%s"}'
                )
                for choice in ("required", "auto"):
                    wire = NotedWire()
                    asked = (body % (nested, choice)).encode()
                    received = Received(method="POST", path=endpoint.path, body=asked)
                    engine.answer(endpoint.dialect, received, wire)
                    head_sent = wire.done[0]
                    assert isinstance(head_sent, tuple)
                    statuses.add(head_sent[0])
                    self.assertEqual(wire.done[-1], "finished")
        self.assertEqual(statuses, {200, 400})


class FaultTests(EngineCase):
    """What breaks in the fake itself is told in the dialect's words, and logged once."""

    INTERNAL = [(500,), b"internal", "finished"]  # noqa: RUF012 -- never changed

    def assert_logged_once(self) -> None:
        self.assertEqual(len(self.flushLoggedErrors(BrokenError)), 1)

    def test_in_decoding(self) -> None:
        self.assertEqual(self.answer(fail="decode"), self.INTERNAL)
        self.assert_logged_once()

    def test_in_deciding(self) -> None:
        book = mock.create_autospec(Book, instance=True)
        book.decide.side_effect = BrokenError
        self.assertEqual(self.answer(self.make(book=book)), self.INTERNAL)
        self.assert_logged_once()

    def test_in_cutting_into_tokens(self) -> None:
        with mock.patch.object(Splitter, "split", side_effect=BrokenError):
            self.assertEqual(self.answer(), self.INTERNAL)
        self.assert_logged_once()

    def test_in_making_an_encoder(self) -> None:
        self.assertEqual(self.answer(fail="encoder"), self.INTERNAL)
        self.assert_logged_once()

    def test_in_mid_stream_where_it_becomes_an_event_and_a_proper_end(self) -> None:
        self.assertEqual(self.answer(fail="token"), [(200,), b"hello! 500 internal", "finished"])
        self.assert_logged_once()

    def test_in_telling_it_where_nothing_is_left_but_to_break_off(self) -> None:
        self.assertEqual(self.answer(fail="error"), [(200,), "aborted"])
        self.assertEqual(len(self.flushLoggedErrors(BrokenError)), 2)

    def test_in_forgetting_to_end(self) -> None:
        self.assertEqual(self.answer(fail="end"), [(200,), "aborted"])
        self.assertEqual(len(self.flushLoggedErrors(RuntimeError)), 1)

    def test_the_next_request_is_answered_as_ever(self) -> None:
        self.answer(fail="error")
        self.flushLoggedErrors(BrokenError)
        self.assertEqual(self.engine.running, 0)
        self.assertEqual(self.answer(), [(200,), b"hello world", "finished"])


class KeyTests(EngineCase):
    KEYS = ("sk-one", "sk-two", "schlüssel")

    def setUp(self) -> None:
        super().setUp()
        self.engine = self.make(api_keys=self.KEYS)

    def test_without_keys_everybody_is_let_in(self) -> None:
        for key in (None, "sk-any"):
            self.assertEqual(self.answer(self.make(), key=key)[0], (200,))

    def test_with_keys_those_who_have_one_are(self) -> None:
        for key in self.KEYS:
            self.assertEqual(self.answer(key=key)[0], (200,))

    def test_others_are_told_what_they_gave(self) -> None:
        for key in (None, "", "sk-on", "sk-one ", "sk-three", "\udcff", "\ud800"):
            failure = self.engine.barred(
                self.dialect,
                Received(method="POST", path="/", headers={} if key is None else {"key": key}),
            )
            self.assertEqual(failure, Failure(status=401, message=f"key {key}"))

    def test_nothing_is_decoded_for_them(self) -> None:
        self.assertEqual(self.answer(fail="decode"), [(401,), b"key None", "finished"])

    def test_a_key_that_is_no_utf_8_is_a_key_all_the_same(self) -> None:
        """As the command line and the environment may bear one."""
        engine = self.make(api_keys=["sk-\udcff"])
        received = Received(method="POST", path="/", headers={"key": "sk-\udcff"})
        self.assertIsNone(engine.barred(self.dialect, received))

    def test_all_keys_are_compared_in_constant_time(self) -> None:
        """So that the time tells neither how alike a key is nor which one it is."""
        with mock.patch.object(hmac, "compare_digest", wraps=hmac.compare_digest) as compare:
            self.answer(key="sk-one")
        self.assertEqual(compare.call_count, len(self.KEYS))


class UnknownArgumentTests(EngineCase):
    def noted(self, events: list[LogEvent]) -> list[str]:
        return [event["name"] for event in events if event["log_level"] is LogLevel.info]

    def test_each_is_noted_once(self) -> None:
        events = self.logged()
        for _ in range(3):
            self.assertEqual(self.answer(unknown=["top_k", "min_p"])[0], (200,))
        self.assertEqual(self.noted(events), ["top_k", "min_p"])
        self.assertEqual({event["dialect"] for event in events}, {"plain"})

    def test_each_server_notes_for_itself(self) -> None:
        events = self.logged()
        self.answer(self.make(), unknown=["top_k"])
        self.answer(self.make(), unknown=["top_k"])
        self.assertEqual(self.noted(events), ["top_k", "top_k"])

    def test_long_names_and_many_of_them_do_not_fill_memory_or_log(self) -> None:
        events = self.logged()
        self.answer(unknown=["x" * 10**6])
        self.assertEqual(self.noted(events), ["x" * 100])
        for batch in range(3):
            self.answer(unknown=[f"{batch}-{number}" for number in range(500)])
        self.assertEqual(len(events), 1000)

    def test_strictly_they_are_refused(self) -> None:
        self.assertEqual(
            self.answer(self.make(strict=True), unknown=["top_k"]),
            [(400,), b"unknown top_k", "finished"],
        )


class StampTests(EngineCase):
    def test_it_bears_the_time_of_the_servers_clock_and_its_fingerprint(self) -> None:
        self.clock.advance(2.9)
        engine = self.make(identity=Identity(epoch=1000.0, fingerprint="fp_x"))
        stamp = engine.stamp()
        self.assertEqual((stamp.created, stamp.fingerprint), (1002, "fp_x"))

    def test_each_answer_has_its_own_of_whichever_sort(self) -> None:
        self.answer()
        self.answer(say="[429]")
        self.engine.refuse(self.dialect, Failure(status=404), NotedWire(), ASKED)
        self.engine.document(self.dialect, b"{}", NotedWire())
        ids = [stamp.request_id for stamp in self.dialect.stamps]
        self.assertEqual((len(ids), len(set(ids))), (4, 4))

    def test_servers_of_the_same_seed_repeat_each_other(self) -> None:
        def ids(seed: int) -> list[str]:
            engine = self.make(identity=Identity(seed=seed))
            return [engine.stamp().unique("id_", 24) for _ in range(3)]

        self.assertEqual(ids(1), ids(1))
        self.assertNotEqual(ids(1), ids(2))


class RunningTests(EngineCase):
    def test_answers_are_counted_while_they_run(self) -> None:
        self.assertEqual(self.engine.running, 0)
        self.engine.play(slow(1), NotedWire())
        self.engine.play(slow(2), NotedWire())
        self.assertEqual(self.engine.running, 2)
        self.clock.advance(1)
        self.assertEqual(self.engine.running, 1)
        self.clock.advance(1)
        self.assertEqual(self.engine.running, 0)

    def test_one_whose_client_leaves_runs_no_more(self) -> None:
        self.engine.play(slow(), self.wire)
        assert self.wire.producer is not None
        self.wire.producer.stopProducing()
        self.assertEqual(self.engine.running, 0)

    def test_aborting_breaks_all_of_them_off(self) -> None:
        wires = [NotedWire() for _ in range(3)]
        ended = [self.engine.play(slow(), wire) for wire in wires]
        self.assertEqual(self.engine.abort(), 3)
        self.assertEqual([wire.done for wire in wires], [[(200,), "flushed", "aborted"]] * 3)
        for done in ended:
            self.successResultOf(done)
        self.assertEqual((self.engine.running, self.engine.abort()), (0, 0))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_it_is_drained_at_once_where_nothing_runs(self) -> None:
        self.assertIsNone(self.successResultOf(self.engine.drained()))

    def test_it_is_drained_when_the_last_has_ended(self) -> None:
        self.engine.play(slow(1), NotedWire())
        self.engine.play(slow(2), NotedWire())
        waiting: list[Deferred[None]] = [self.engine.drained() for _ in range(2)]
        self.clock.advance(1)
        for drained in waiting:
            self.assertNoResult(drained)
        self.clock.advance(1)
        for drained in waiting:
            self.assertIsNone(self.successResultOf(drained))

    def test_who_waits_no_more_is_not_told(self) -> None:
        self.engine.play(slow(1), NotedWire())
        self.engine.drained().addErrback(lambda _: None).cancel()
        self.clock.advance(1)
        self.assertEqual(self.engine.running, 0)


class LaterTests(EngineCase):
    """Answers that a rule's function decides, and takes its time to."""

    def setUp(self) -> None:
        super().setUp()
        self.cancelled: list[object] = []
        self.deciding: Deferred[Any] = Deferred(self.cancelled.append)
        self.decided_by(lambda _: self.deciding)
        self.done = self.start()

    def decided_by(self, function: Callable[[Any], object]) -> None:
        rules = libraries.library()
        rules.when().reply(function)
        self.engine = self.make(book=rules.book)

    def start(self) -> Deferred[None]:
        received = Received(method="POST", path="/plain", body=b"{}")
        return self.engine.answer(self.dialect, received, self.wire)

    def assert_over(self, *told: object) -> None:
        """The answer is over, and this was told."""
        self.assertIsNone(self.successResultOf(self.done))
        self.assertEqual(self.wire.done, [*told])
        self.assertEqual((self.engine.running, self.clock.getDelayedCalls()), (0, []))

    def test_they_are_played_once_they_are_decided(self) -> None:
        self.assertNoResult(self.done)
        self.assertEqual((self.engine.running, self.wire.done), (1, []))
        self.deciding.callback("At last.")
        self.assert_over((200,), b"At last.", "finished")
        self.assertEqual(self.cancelled, [])

    def test_what_goes_wrong_then_is_told_and_logged(self) -> None:
        self.deciding.errback(BrokenError("of all things"))
        message = b"rule 1: its function raised BrokenError: of all things"
        self.assert_over((500,), message, "finished")
        self.assertEqual(len(self.flushLoggedErrors(BrokenError)), 1)

    def test_what_breaks_after_the_decision_is_told_and_logged(self) -> None:
        with mock.patch.object(Splitter, "split", side_effect=BrokenError):
            self.deciding.callback("Hi")
        self.assert_over((500,), b"internal", "finished")
        self.assertEqual(len(self.flushLoggedErrors(BrokenError)), 1)

    def test_a_client_that_does_not_wait_stops_the_deciding(self) -> None:
        self.done.cancel()
        self.assert_over()
        self.assertEqual(self.cancelled, [self.deciding])
        self.done.cancel()  # once more changes nothing
        self.assertEqual(self.cancelled, [self.deciding])

    def test_nobody_waits_for_a_function_that_does_not_stop(self) -> None:
        waited: list[Deferred[str]] = []

        async def stubborn(_: object) -> str:
            while True:
                waited.append(Deferred())
                try:
                    return await waited[-1]
                except CancelledError:
                    continue

        self.decided_by(stubborn)
        self.done = self.start()
        self.done.cancel()
        self.assert_over()
        waited[-1].callback("Too late.")
        self.assert_over()

    def test_a_function_that_gives_up_by_itself_is_told_of(self) -> None:
        self.deciding.cancel()
        self.assert_over((500,), b"internal", "finished")
        self.assertEqual(len(self.flushLoggedErrors(CancelledError)), 1)

    def test_cancelled_while_they_are_played_they_stop(self) -> None:
        self.wire.pause_after_writes = 1
        self.deciding.callback("One.")
        self.assertEqual(self.engine.running, 1)
        self.done.cancel()
        self.assert_over((200,), b"One.")

    def test_a_server_that_ends_breaks_them_off(self) -> None:
        drained = self.engine.drained()
        self.assertEqual(self.engine.abort(), 1)
        self.assert_over("aborted")
        self.assertIsNone(self.successResultOf(drained))
        self.assertEqual((self.cancelled, self.engine.abort()), ([self.deciding], 0))

    def test_a_connection_that_cannot_be_broken_off_is_not_waited_for(self) -> None:
        self.done.cancel()
        self.deciding, self.wire = Deferred(), UnbreakableWire()
        self.done = self.start()
        self.assertEqual(self.engine.abort(), 1)
        self.assert_over()
        self.assertEqual(len(self.flushLoggedErrors(ConnectionError)), 1)

    def test_a_connection_may_say_that_it_is_gone_while_it_is_broken_off(self) -> None:
        with mock.patch.object(self.wire, "abort", side_effect=self.done.cancel):
            self.assertEqual(self.engine.abort(), 1)
        self.assert_over()
        self.assertEqual(self.cancelled, [self.deciding])

    def test_draining_waits_for_them_and_their_playing(self) -> None:
        drained = self.engine.drained()
        self.wire.pause_after_writes = 1
        self.deciding.callback("One.")
        self.assertNoResult(drained)
        assert self.wire.producer is not None
        self.wire.producer.resumeProducing()
        self.assertIsNone(self.successResultOf(drained))


class SessionTests(EngineCase):
    def test_the_book_is_told_the_time_and_the_session(self) -> None:
        book = mock.create_autospec(Book, instance=True)
        book.decide.return_value = Decision(answer=Failure(status=418))
        engine = self.make(book=book)
        self.clock.advance(2.5)
        received = Received(
            method="POST", path="/plain", headers={"x-fakellm-session": "blue"}, body=b"{}"
        )
        self.successResultOf(engine.answer(self.dialect, received, self.wire))
        told = book.decide.call_args.kwargs
        self.assertEqual((told["now"], told["session"]), (1002.5, "blue"))
