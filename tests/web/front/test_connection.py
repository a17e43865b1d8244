"""A connection: requests in turn and in pieces, time limits, what ends it and how."""

from typing import Any

from twisted.internet.task import Clock

from fakellm.web.front.exchange import Exchange
from tests.web.front.serving import GET, LIMITS, FrontTestCase, answer, hold

POST = b"POST /a HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\n"
CHUNKED = b"POST /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"
EXPECT = b"Expect: 100-continue\r\n\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class RequestsTests(FrontTestCase):
    def test_bytes_may_come_in_any_pieces(self) -> None:
        stream = GET + POST + b"hello" + CHUNKED + b"2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n" + GET
        expected = [b"GET /a ", b"POST /a hello", b"POST /a hello", b"GET /a "]
        for size in (1, 2, 3, 7, 50, len(stream)):
            self.connect()
            self.send(*[stream[at : at + size] for at in range(0, len(stream), size)])
            self.assertEqual(self.bodies(), expected, size)

    def test_answers_to_what_came_at_once_go_out_at_once(self) -> None:
        writes: list[bytes] = []
        self.patch(self.transport, "write", writes.append)
        self.send(GET * 3)
        self.assertEqual([write.count(b"HTTP/1.1 200 OK") for write in writes], [3])

    def test_an_answer_larger_than_is_held_back_is_sent_as_it_comes(self) -> None:
        writes: list[bytes] = []
        self.patch(self.transport, "write", writes.append)

        def large(exchange: Exchange) -> None:
            exchange.begin(200, ())
            for _ in range(4):
                exchange.write(b"x" * 40_000)
            exchange.finish()

        self.handle = large
        self.send(GET)
        self.assertEqual(len(writes), 3)
        self.assertEqual(b"".join(writes).count(b"x"), 160_000)

    def test_one_is_answered_before_the_next_is_looked_at(self) -> None:
        self.handle = hold
        self.send(GET + POST + b"hello" + GET)
        self.assertEqual(len(self.asked), 1)
        answer(self.asked[0], b"first")
        self.assertEqual(len(self.asked), 2)
        answer(self.asked[1], b"second")
        answer(self.asked[2], b"third")
        self.assertEqual(self.bodies(), [b"first", b"second", b"third"])
        self.assertEqual(self.asked[1].body, b"hello")

    def test_many_at_once_need_no_deep_stack(self) -> None:
        self.send(GET * 5000)
        self.assertEqual(len(self.asked), 5000)

    def test_a_client_that_asks_on_and_on_meanwhile_is_read_from_no_more(self) -> None:
        self.handle = hold
        self.send(GET)
        while self.transport.producerState == "producing":
            self.send(GET)
        self.assertLessEqual(len(self.connection._buffer), LIMITS.ahead + len(GET))
        self.handle = lambda exchange: answer(exchange, b"x")
        answer(self.asked[0], b"x")
        self.assertEqual(self.transport.producerState, "producing")
        self.assertEqual(self.connection._buffer, b"")

    def test_what_comes_all_the_same_is_kept(self) -> None:
        """A transport may deliver what it has read already."""
        self.handle = hold
        self.send(GET, GET * 10, GET * 10)
        self.assertEqual(self.transport.producerState, "paused")
        self.handle = lambda exchange: answer(exchange, b"x")
        answer(self.asked[0], b"x")
        self.assertEqual(len(self.bodies()), 21)

    def test_one_that_has_left_is_not_read_from(self) -> None:
        self.send(GET)
        self.leave()
        self.connection.resumeProducing()
        self.send(GET)
        self.assertEqual(len(self.asked), 1)

    def test_a_client_that_reads_no_answers_gets_no_further_ones(self) -> None:
        self.connection.pauseProducing()
        self.send(GET, GET)
        self.assertEqual(self.asked, [])
        self.connection.resumeProducing()
        self.assertEqual(len(self.asked), 2)

    def test_one_empty_line_may_come_before_a_request(self) -> None:
        self.send(b"\r", b"\n" + GET, b"\r\n" + GET + b"\r\n")
        self.assertEqual(len(self.asked), 2)
        self.send(b"\r\n" + GET)
        self.assertEqual(self.refused, [(400, "the first line is no request line of HTTP")])

    def test_half_an_empty_line_is_none(self) -> None:
        self.send(b"\r" + GET)
        ((status, _),) = self.refused
        self.assertEqual((status, self.asked, self.transport.end), (400, [], "closed"))

    def test_it_is_known_when_a_request_began(self) -> None:
        self.send(POST[:9])
        self.clock.advance(1)
        self.send(POST[9:])
        self.clock.advance(1)
        self.send(b"hello")
        self.clock.advance(1)
        self.send(GET)
        self.assertEqual([each.arrived for each in self.asked], [0.0, 3.0])


class LeaveToSendTests(FrontTestCase):
    def test_who_waits_for_it_gets_it_once(self) -> None:
        self.assertEqual(self.send(POST[:-2] + EXPECT), CONTINUE)
        self.assertNotIn(CONTINUE, self.send(b"he", b"llo"))
        self.assertEqual(self.asked[0].body, b"hello")

    def test_who_sends_at_once_gets_none(self) -> None:
        self.assertNotIn(CONTINUE, self.send(POST[:-2] + EXPECT + b"hello"))
        self.assertNotIn(CONTINUE, self.send(POST[:-2] + EXPECT + b"he", b"llo"))

    def test_a_body_over_the_limit_is_refused_before_it_is_sent(self) -> None:
        sent = self.send(POST[:-2].replace(b"5", b"101") + EXPECT)
        self.assertNotIn(CONTINUE, sent)
        self.assertIn(b"\r\nConnection: close\r\n", sent)
        self.assertTrue(self.asked[0].body_too_large)
        self.assertEqual(self.transport.end, "closed")


class RefusalTests(FrontTestCase):
    def test_after_one_nothing_is_answered(self) -> None:
        for bad in [
            b"hello\r\n\r\n", b"hello\r\n", b"\n", POST.replace(b"5", b"x"), CHUNKED + b"zz\r\n",
            GET.replace(b"Host:", b"Host :"),
        ]:  # fmt: skip
            self.connect()
            self.asked.clear()
            self.refused.clear()
            self.send(GET + bad + GET, GET)
            self.assertEqual(len(self.asked), 1)
            ((status, _),) = self.refused
            self.assertEqual((status, self.transport.end), (400, "closed"), bad)
            self.assertIn(b"\r\nConnection: close\r\n", self.transport.value())

    def test_a_body_without_end_is_broken_off(self) -> None:
        self.send(POST.replace(b"5", b"99999") + b"x" * (LIMITS.body + LIMITS.drained))
        self.assertEqual(self.transport.end, "")
        self.send(b"x")
        self.assertEqual((self.transport.end, self.asked), ("reset", []))

    def test_whoever_fails_to_answer_is_excused(self) -> None:
        def fail(_: Exchange) -> None:
            raise ZeroDivisionError

        self.handle = fail
        self.send(GET)
        self.assertEqual((self.refused, self.transport.end), ([(500, "")], "closed"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_whoever_fails_in_the_middle_breaks_off(self) -> None:
        def fail(exchange: Exchange) -> None:
            exchange.begin(200, ())
            raise ZeroDivisionError

        self.handle = fail
        self.send(GET)
        self.assertEqual((self.refused, self.transport.end), ([], "reset"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class TimeTests(FrontTestCase):
    def test_a_connection_without_a_request_is_closed_without_a_word(self) -> None:
        self.pass_time(LIMITS.idle_seconds - 1)
        self.send(GET)
        sent = self.transport.value()
        self.pass_time(LIMITS.idle_seconds - 1)
        self.assertEqual(self.transport.end, "")
        self.pass_time(2)
        self.assertEqual((self.transport.end, self.transport.value()), ("closed", sent))

    def test_a_head_that_comes_byte_by_byte_does_not_come_in_time(self) -> None:
        head = b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 50
        for at in range(len(head)):
            self.pass_time(1)
            self.send(head[at : at + 1])
            if self.transport.end:
                break
        self.assertEqual(self.refused, [(408, "the head did not come in time")])
        self.assertLessEqual(self.clock.seconds(), LIMITS.head_seconds + 2)

    def test_the_head_of_a_later_request_has_its_own_time(self) -> None:
        self.send(GET)
        self.pass_time(LIMITS.idle_seconds - 2)
        self.send(GET[:9])
        self.pass_time(LIMITS.head_seconds - 1)
        self.send(GET[9:])
        self.assertEqual(len(self.asked), 2)

    def test_a_body_that_does_not_come_is_not_waited_for(self) -> None:
        self.send(POST + b"he")
        self.pass_time(LIMITS.body_seconds - 1)
        self.assertEqual(self.refused, [])
        self.pass_time(2)
        self.assertEqual(self.refused, [(408, "the body did not come in time")])
        self.assertEqual(self.transport.end, "closed")

    def test_a_body_that_trickles_in_does_not_come_in_time(self) -> None:
        for begun, piece in ((POST.replace(b"5", b"90"), b"x"), (CHUNKED, b"1\r\nx\r\n")):
            self.connect()
            self.refused.clear()
            self.send(begun)
            for _ in range(80):
                self.pass_time(1)
                self.send(piece)
            self.assertEqual(self.refused, [(408, "the body did not come in time")])

    def test_a_large_body_has_more_time(self) -> None:
        self.send(POST.replace(b"5", b"900"))
        rate = LIMITS.body_rate // 1024
        self.connection._body.received = 1024 * 100
        self.pass_time(LIMITS.body_seconds + 98 // rate)
        self.assertEqual(self.refused, [])
        self.pass_time(4)
        self.assertEqual(len(self.refused), 1)

    def test_an_answer_may_take_as_long_as_it_likes(self) -> None:
        self.handle = hold
        self.send(GET)
        self.pass_time(1000)
        answer(self.asked[0], b"late")
        self.assertEqual((self.bodies(), self.transport.end), ([b"late"], ""))

    def test_a_client_that_neither_reads_nor_asks_is_broken_off(self) -> None:
        self.connection.pauseProducing()
        self.pass_time(LIMITS.idle_seconds + 2)
        self.assertEqual(self.transport.end, "reset")

    def test_nothing_is_left_in_the_reactor(self) -> None:
        self.send(GET)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.leave()
        self.assertEqual(self.clock.getDelayedCalls(), [])


class LeavingTests(FrontTestCase):
    def left(self, *sent: bytes) -> list[Any]:
        """Why an exchange was told that its client has gone."""
        told: list[Any] = []

        def held(exchange: Exchange) -> None:
            exchange.left = told.append

        self.handle = held
        self.send(*sent)
        self.leave()
        return told

    def test_whoever_answers_is_told_once(self) -> None:
        (reason,) = self.left(GET)
        self.assertEqual(reason.type.__name__, "ConnectionDone")
        self.assertFalse(self.asked[0].is_open)

    def test_what_waited_is_not_answered(self) -> None:
        self.left(GET, GET)
        self.assertEqual(len(self.asked), 1)

    def test_a_request_that_is_not_whole_is_none(self) -> None:
        for begun in (b"", b"G", GET[:-1], POST, POST + b"hell", CHUNKED + b"5\r\nhell"):
            self.connect()
            self.assertEqual(self.left(begun), [])
        self.assertEqual(self.asked, [])

    def test_what_is_done_to_an_exchange_that_has_ended_does_nothing(self) -> None:
        self.handle = hold
        self.send(GET)
        self.leave()
        before = self.transport.value()
        exchange = self.asked[0]
        answer(exchange, b"late")
        exchange.flush()
        exchange.raw(b"late")
        exchange.lose()
        exchange.end()
        self.assertEqual((self.transport.value(), self.transport.end), (before, ""))

    def test_the_producer_is_told_what_the_client_does(self) -> None:
        told: list[str] = []

        class Producer:
            def pauseProducing(self) -> None:
                told.append("paused")

            def resumeProducing(self) -> None:
                told.append("resumed")

            def stopProducing(self) -> None:
                told.append("stopped")

        def held(exchange: Exchange) -> None:
            self.connection.register(exchange, Producer())

        self.handle = held
        self.send(GET)
        self.connection.pauseProducing()
        self.connection.resumeProducing()
        self.connection.stopProducing()
        self.assertEqual(told, ["paused", "resumed", "stopped"])
        self.assertIsInstance(self.clock, Clock)

    def test_a_producer_that_comes_while_the_client_does_not_read_is_paused(self) -> None:
        self.handle = hold
        self.send(GET)
        self.connection.pauseProducing()
        told: list[str] = []

        class Producer:
            def pauseProducing(self) -> None:
                told.append("paused")

        self.connection.register(self.asked[0], Producer())
        self.assertEqual(told, ["paused"])


class AnswersTests(FrontTestCase):
    """The bytes of answers."""

    def answered(self, sent: bytes, *headers: tuple[str, str], status: int = 200) -> bytes:
        def script(exchange: Exchange) -> None:
            exchange.begin(status, headers)
            exchange.write(b"abc")
            exchange.write(b"")
            exchange.finish()

        self.handle = script
        return self.send(sent)

    def test_the_head(self) -> None:
        self.front.dates._now = lambda: 0.0
        sent = self.answered(GET, ("X-A", "ü"), ("X-A", "2"))
        self.assertEqual(
            sent,
            b"HTTP/1.1 200 OK\r\nServer: fakellm\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n"
            b"X-A: \xc3\xbc\r\nX-A: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
            b"3\r\nabc\r\n0\r\n\r\n",
        )

    def test_the_date_is_that_of_the_second(self) -> None:
        times = iter((0.0, 0.9, 1.0))
        self.front.dates._now = lambda: next(times)
        dates = [self.answered(GET).partition(b"Date: ")[2][:25][-8:] for _ in range(3)]
        self.assertEqual(dates, [b"00:00:00", b"00:00:00", b"00:00:01"])

    def test_no_value_begins_another_line(self) -> None:
        for value in ("a\r\nX-B: b", "a\nX-B: b", "a\rX-B: b"):
            sent = self.answered(GET, ("X-A", value), ("Content-Length", "3"))
            self.assertIn(b"\r\nX-A: a X-B: b\r\n", sent)

    def test_what_has_no_body_has_no_framing_of_one(self) -> None:
        for status in (204, 304):
            sent = self.answered(GET, status=status)
            self.assertNotIn(b"Transfer-Encoding", sent)
            self.assertTrue(sent.endswith(b"\r\n\r\n"))

    def test_an_old_client_knows_the_end_by_that_of_the_connection(self) -> None:
        sent = self.answered(b"GET / HTTP/1.0\r\n\r\n")
        self.assertTrue(sent.startswith(b"HTTP/1.0 200 OK\r\n"))
        self.assertTrue(sent.endswith(b"\r\nConnection: close\r\n\r\nabc"))
        self.assertEqual(self.transport.end, "closed")

    def test_a_length_in_a_value_is_none(self) -> None:
        sent = self.answered(GET, ("X", "Content-Length: 3"))
        self.assertIn(b"\r\nTransfer-Encoding: chunked\r\n", sent)

    def test_nothing_at_all_is_an_empty_answer(self) -> None:
        self.handle = lambda exchange: exchange.finish()
        self.assertTrue(self.send(GET).endswith(b"\r\n\r\n0\r\n\r\n"))
