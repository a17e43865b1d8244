"""The wire of a request: what reaches a client, byte by byte, and how connections end."""

import contextlib
import os
import re
import socket
from collections.abc import Callable
from threading import Event
from typing import Any, TypeVar, cast

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.internet.task import Clock, deferLater
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from zope.interface import implementer

from fakellm.engine.lingering import GIVE_UP_AT_LAST_SECONDS, LOOK_EVERY_SECONDS, Lingering
from fakellm.web.arrival import left_to_send
from fakellm.web.connections import Connections
from fakellm.web.front.exchange import Exchange
from fakellm.web.front.factory import Front
from fakellm.web.front.limits import Limits
from fakellm.web.front.wire import FrontWire
from fakellm.web.site import FakeSite
from fakellm.web.wire import RequestWire, Surroundings
from tests.connections import split, unchunked
from tests.test_connections import transport_of

reactor: Any = installed_reactor
T = TypeVar("T")
Script = Callable[[RequestWire], object]

GET = b"GET / HTTP/1.1\r\nHost: fakellm.example\r\n\r\n"
CLOSING = GET[:-2] + b"Connection: close\r\n\r\n"
OLD = b"GET / HTTP/1.0\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: fakellm.example\r\nConnection: close\r\n\r\n"
LAST = b"0\r\n\r\n"
PLAIN = (("Content-Type", "text/plain"),)
SECONDS = 20.0
"""A client waits no longer than this for what has to come."""
LARGE = 4 * 1024**2
"""More than the buffers of a system and of Twisted together take, with a reader that does not."""
FIN, RST = "FIN", "RST"


class Scripted(Resource):
    """A resource whose answers are what a script does to their wire.

    Attributes:
        wires: of all requests that came.
        ends: of each request: fires with whether it ended as it should.
    """

    isLeaf = True  # noqa: N815 -- Twisted's name

    def __init__(self, script: Script, around: Surroundings) -> None:
        super().__init__()
        self._script = script
        self._around = around
        self.wires: list[RequestWire] = []
        self.ends: list[Deferred[bool]] = []

    def render(self, request: Request) -> int:
        ended: Deferred[bool] = Deferred()
        request.notifyFinish().addCallbacks(
            lambda _: ended.callback(True), lambda _: ended.callback(False)
        )
        wire = wire_of(request, self._around)
        self.wires.append(wire)
        self.ends.append(ended)
        self._script(wire)
        return NOT_DONE_YET


def wire_of(request: Request, around: Surroundings) -> RequestWire:
    """The wire of a request that came by either front."""
    exchange = getattr(request, "exchange", None)
    if exchange is None:
        return RequestWire(request, around)
    return cast("RequestWire", FrontWire(exchange, around))


@implementer(IPushProducer)
class Noting:
    """A producer that notes what it is told."""

    def __init__(self, resumed: Callable[[], object] = lambda: None) -> None:
        self.told: list[str] = []
        self._resumed = resumed

    def pauseProducing(self) -> None:
        self.told.append("paused")

    def resumeProducing(self) -> None:
        self.told.append("resumed")
        self._resumed()

    def stopProducing(self) -> None:
        self.told.append("stopped")


class WireTestCase(TestCase):
    """Tests against a server that listens, and whose answers are scripts."""

    def serve(self, script: Script, *, lingering: Lingering | None = None) -> None:
        self.lingering = lingering or Lingering(reactor)
        self.scripted = Scripted(script, Surroundings(lingering=self.lingering))
        site = FakeSite(self.scripted, reactor=reactor, max_body=100, seconds=reactor.seconds)
        self.connections = Connections(self.front(site), reactor, lambda: False)
        port = self.listen()
        self.addCleanup(self.connections.close)
        self.addCleanup(port.stopListening)
        self.addCleanup(self.lingering.hurry)

    def front(self, site: FakeSite) -> Any:
        """What makes protocols of connections."""
        return site

    def listen(self) -> Any:
        port = reactor.listenTCP(0, self.connections, interface="127.0.0.1")
        self.address: Any = ("127.0.0.1", port.getHost().port)
        return port

    def client(self, *, receive_buffer: int = 0) -> socket.socket:
        """A connected socket; with a bound on what the system receives for it, if given."""
        sock = socket.socket()
        self.addCleanup(sock.close)
        sock.settimeout(SECONDS)
        if receive_buffer:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        sock.connect(self.address)
        return sock

    async def talk(self, *requests: bytes) -> tuple[bytes, str]:
        """Send requests at once; all that came, and how it ended."""
        sock = self.client()
        return await deferToThread(ask, sock, b"".join(requests))

    async def answer(self, script: Script, *requests: bytes) -> tuple[bytes, str]:
        """All that comes of a script, and how it ends."""
        self.serve(script)
        return await self.talk(*(requests or (GET,)))


def ask(sock: socket.socket, data: bytes) -> tuple[bytes, str]:
    """Send, and read until the end; blocks."""
    with contextlib.closing(sock):
        sock.sendall(data)
        return read(sock)


def read(sock: socket.socket) -> tuple[bytes, str]:
    """What comes until the end, and how that is; blocks."""
    pieces: list[bytes] = []
    while True:
        try:
            piece = sock.recv(64 * 1024)
        except ConnectionResetError:
            return b"".join(pieces), RST
        if not piece:
            return b"".join(pieces), FIN
        pieces.append(piece)


def undated(answer: bytes) -> bytes:
    """An answer without what differs from second to second."""
    return re.sub(rb"Date: [^\r]*\r\n", b"", answer)


def begin(wire: RequestWire, body: bytes = b"hello") -> None:
    wire.head(200, PLAIN)
    wire.write(body)


class HeadTests(WireTestCase):
    async def test_flush_sends_the_head_and_nothing_else(self) -> None:
        def script(wire: RequestWire) -> None:
            wire.head(200, PLAIN)
            wire.flush()
            wire.flush()
            wire.close()

        answer, end = await self.answer(script)
        status, headers, body = split(answer)
        self.assertEqual((status, body, end), (b"HTTP/1.1 200 OK", b"", FIN))
        self.assertEqual(headers[b"content-type"], b"text/plain")

    async def test_statuses_have_their_phrases_and_headers_of_a_kind_stay_apart(self) -> None:
        def script(wire: RequestWire) -> None:
            wire.head(529, (("X-A", "1"), ("X-A", "2")))
            wire.finish()

        self.serve(script)
        answer, _ = await self.talk(CLOSING)
        self.assertTrue(answer.startswith(b"HTTP/1.1 529 Unknown\r\n"), answer)
        self.assertIn(b"X-A: 1\r\nX-A: 2\r\n", answer)

    async def test_a_head_sent_raw_in_pieces_is_byte_for_byte_the_one_Twisted_sends(self) -> None:
        def usual(wire: RequestWire) -> None:
            begin(wire)
            wire.write(b"world")
            wire.finish()

        def pieces(wire: RequestWire) -> None:
            head = wire.head_bytes(200, PLAIN)
            self.assertTrue(head.endswith(b"\r\n\r\n"))
            for start in range(0, len(head), 7):
                wire.raw(head[start : start + 7])
            self.assertEqual(wire.head_bytes(200, ()), b"")
            wire.flush()
            wire.write(b"hello")
            wire.write(b"world")
            wire.finish()

        scripts = iter((usual, pieces, usual))
        self.serve(lambda wire: next(scripts)(wire))  # noqa: PLW0108 -- the next each time
        answer, _ = await self.talk(GET, GET, GET.replace(b"1.1", b"1.0"))
        first, second, third = undated(answer).split(b" 200 OK\r\n")[1:]
        first, second = first.removesuffix(b"HTTP/1.1"), second.removesuffix(b"HTTP/1.0")
        self.assertEqual(first, second)
        self.assertTrue(first.endswith(b"5\r\nhello\r\n5\r\nworld\r\n" + LAST))
        self.assertTrue(third.endswith(b"\r\n\r\nhelloworld"))

    async def test_HEAD_has_a_head_only(self) -> None:
        def script(wire: RequestWire) -> None:
            begin(wire)
            wire.write(b"world")
            reactor.callLater(0, later, wire)

        def later(wire: RequestWire) -> None:
            wire.write(b"!")
            wire.finish((("X-A", "1"),))

        answer, end = await self.answer(script, HEAD)
        status, headers, body = split(answer)
        self.assertEqual((status, body, end), (b"HTTP/1.1 200 OK", b"", FIN))
        self.assertNotIn(b"transfer-encoding", headers)

    async def test_HTTP_1_0_has_no_chunks_and_its_body_ends_with_the_connection(self) -> None:
        def script(wire: RequestWire) -> None:
            begin(wire)
            reactor.callLater(0, later, wire)

        def later(wire: RequestWire) -> None:
            wire.write(b"world")
            wire.finish((("X-A", "1"),))

        answer, end = await self.answer(script, OLD)
        _, headers, body = split(answer)
        self.assertEqual((body, end), (b"helloworld", FIN))
        self.assertNotIn(b"transfer-encoding", headers)

    async def test_a_body_with_a_length_is_not_chunked(self) -> None:
        def script(wire: RequestWire) -> None:
            wire.head(200, (("Content-Length", "10"),))
            wire.write(b"hello")
            reactor.callLater(0, later, wire)

        def later(wire: RequestWire) -> None:
            wire.write(b"world")
            wire.finish((("X-A", "1"),))
            wire.close()

        self.serve(script)
        answer, end = await self.talk(CLOSING)
        self.assertEqual((split(answer)[2], end), (b"helloworld", FIN))


class WriteTests(WireTestCase):
    async def test_a_chunk_goes_to_the_socket_in_the_same_turn_once_the_head_is_out(self) -> None:
        self.serve(begin)
        sock = self.client()
        sock.sendall(GET)
        head, _ = await deferToThread(until, sock, b"5\r\nhello\r\n")
        self.assertTrue(head.startswith(b"HTTP/1.1 200 OK"))
        self.scripted.wires[0].write(b"now")
        self.assertEqual(sock.recv(100), b"3\r\nnow\r\n")  # the reactor had no turn meanwhile
        self.scripted.wires[0].write(b"")
        self.scripted.wires[0].finish()
        _, end = await deferToThread(until, sock, LAST)
        self.assertTrue(await self.scripted.ends[0])
        self.assertEqual(end, "found")

    async def test_what_the_socket_does_not_take_waits_and_nothing_overtakes_it(self) -> None:
        """A socket that is full takes a part of what is sent, and later the rest."""
        self.serve(begin)
        sock = self.client(receive_buffer=4096)
        sock.sendall(GET)
        received, _ = await deferToThread(until, sock, b"5\r\nhello\r\n")
        (wire,) = self.scripted.wires
        written = [b"%07d" % number * 60_000 for number in range(12)]
        for each in written:
            wire.write(each)
        self.assertGreater(left_to_send(transport_of(wire)), LARGE)
        sock.setblocking(False)
        for number in range(500):  # the client reads a little at a time, and more is written
            with contextlib.suppress(BlockingIOError):
                received += sock.recv(8192)
            await deferLater(reactor, 0)
            written.append(b"%d;" % number)
            wire.write(written[-1])
        self.assertGreater(left_to_send(transport_of(wire)), 0)
        wire.finish()
        sock.settimeout(SECONDS)
        rest, _ = await deferToThread(until, sock, b"4\r\n499;\r\n" + LAST)
        body, left = unchunked(split(received + rest)[2])
        self.assertEqual(left, b"")
        self.assertTrue(body == b"hello" + b"".join(written), "bytes are lost, or out of order")

    async def test_a_client_that_does_not_read_pauses_the_producer_until_it_does(self) -> None:
        paused = Event()

        def script(wire: RequestWire) -> None:
            self.producer = Noting(lambda: finish(wire))
            wire.register(self.producer)
            begin(wire, b"<")
            reactor.callLater(0, fill, wire)

        def finish(wire: RequestWire) -> None:
            wire.unregister()
            wire.finish()

        def fill(wire: RequestWire) -> None:
            while not self.producer.told:
                wire.write(b"x" * 10_000)
            paused.set()

        self.serve(script)
        sock = self.client(receive_buffer=4096)

        def client() -> bytes:
            sock.sendall(GET)
            paused.wait(SECONDS)
            return until(sock, LAST)[0]

        body, _ = unchunked(split(await deferToThread(client))[2])
        self.assertEqual(set(body), set(b"<x"))
        self.assertEqual(self.producer.told, ["paused", "resumed"])

    async def test_a_client_that_leaves_stops_the_producer_and_the_wire_does_nothing_more(
        self,
    ) -> None:
        def script(wire: RequestWire) -> None:
            self.producer = Noting()
            wire.register(self.producer)
            begin(wire)

        self.serve(script)
        sock = self.client()
        sock.sendall(GET)
        await deferToThread(until, sock, b"hello\r\n")
        sock.close()
        self.assertFalse(await self.scripted.ends[0])
        self.assertEqual(self.producer.told, ["stopped"])
        do_everything(self, self.scripted.wires[0])

    async def test_a_write_after_the_client_has_reset_is_no_error(self) -> None:
        """The socket says so before the reactor does."""
        self.serve(begin)
        sock = self.client()
        sock.sendall(GET)
        await deferToThread(until, sock, b"hello\r\n")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        sock.close()
        self.scripted.wires[0].write(b"nobody reads this")
        self.assertFalse(await self.scripted.ends[0])


def until(sock: socket.socket, last: bytes) -> tuple[bytes, str]:
    """What comes until these bytes have, and that they were found; blocks."""
    received = bytearray()
    while not received.endswith(last):
        piece = sock.recv(64 * 1024)
        if not piece:
            return bytes(received), FIN
        received += piece
    return bytes(received), "found"


def do_everything(case: TestCase | SynchronousTestCase, wire: RequestWire) -> None:
    """All that can be done to a wire, which has to do nothing."""
    wire.head(200, PLAIN)
    wire.flush()
    wire.write(b"late")
    wire.raw(b"late")
    case.assertEqual(wire.head_bytes(200, PLAIN), b"")
    wire.register(Noting())
    wire.unregister()
    wire.finish((("X-A", "1"),))
    wire.close()
    wire.abort()


class TrailerTests(WireTestCase):
    async def trailers(self, *trailers: tuple[str, str], write: bool = True) -> bytes:
        """What follows a body."""

        def script(wire: RequestWire) -> None:
            wire.head(200, PLAIN)
            if write:
                wire.write(b"hello")
            wire.finish(trailers)

        self.serve(script)
        answer, _ = await self.talk(CLOSING)
        body = split(answer)[2]
        return body.removeprefix(b"5\r\nhello\r\n") if write else body

    async def test_they_follow_the_last_chunk(self) -> None:
        self.assertEqual(
            await self.trailers(("X-A", "1"), ("X-B", "2")), b"0\r\nX-A: 1\r\nX-B: 2\r\n\r\n"
        )

    async def test_they_follow_a_body_without_a_byte(self) -> None:
        self.assertEqual(await self.trailers(("X-A", "1"), write=False), b"0\r\nX-A: 1\r\n\r\n")

    async def test_what_may_not_be_there_is_left_out(self) -> None:
        framing = ("Content-Length", "transfer-encoding", "Trailer")
        for name in (*framing, "", "a b", "a:b", "a\r\nb", "ä"):
            self.assertEqual(await self.trailers((name, "1")), LAST, name)

    async def test_a_value_stays_on_its_line(self) -> None:
        self.assertEqual(
            await self.trailers(("X-A", " one\r\n\r\ntwo\0three\n"), ("X-B", "ä")),
            b"0\r\nX-A: one two three\r\nX-B: " + "ä".encode() + b"\r\n\r\n",
        )


class CloseTests(WireTestCase):
    async def test_before_the_head_nothing_is_sent(self) -> None:
        self.assertEqual(await self.answer(lambda wire: wire.close()), (b"", FIN))

    async def test_in_mid_body_what_was_written_is_sent_first(self) -> None:
        def script(wire: RequestWire) -> None:
            begin(wire, b"x" * LARGE)
            wire.close()
            do_everything(self, wire)

        answer, end = await self.answer(script)
        self.assertEqual(end, FIN)
        self.assertTrue(answer.endswith(b"x" * LARGE + b"\r\n"))
        self.assertFalse(await self.scripted.ends[0])

    async def test_what_was_asked_after_it_is_not_answered(self) -> None:
        def script(wire: RequestWire) -> None:
            begin(wire)
            wire.close()

        answer, _ = await self.answer(script, GET, GET, GET)
        self.assertEqual(answer.count(b"HTTP/1.1 200 OK"), 1)
        self.assertEqual(len(self.scripted.wires), 1)

    async def test_a_client_that_never_reads_is_given_up(self) -> None:
        clock = Clock()
        written: Deferred[None] = Deferred()

        def script(wire: RequestWire) -> None:
            begin(wire, b"x" * LARGE)
            wire.close()
            reactor.callLater(0, written.callback, None)

        self.serve(script, lingering=Lingering(clock))
        self.client(receive_buffer=4096).sendall(GET)
        await written
        self.assertEqual(self.lingering.waiting, 1)
        wait_in_vain(clock)
        self.assertFalse(await self.scripted.ends[0])
        self.assertEqual((self.lingering.waiting, clock.getDelayedCalls()), (0, []))
        await until_none(self.connections)


def wait_in_vain(clock: Clock) -> None:
    """Let the time pass after which nobody is waited for."""
    clock.pump([LOOK_EVERY_SECONDS] * int(GIVE_UP_AT_LAST_SECONDS / LOOK_EVERY_SECONDS + 20))


async def until_none(connections: Connections) -> None:
    """Let the reactor turn until a server has no connection left."""
    while connections.protocols:
        await deferLater(reactor, 0)


class AbortTests(WireTestCase):
    async def test_before_the_head_it_is_a_reset_and_nothing_else(self) -> None:
        self.assertEqual(await self.answer(lambda wire: wire.abort()), (b"", RST))

    async def test_all_that_was_written_comes_before_the_reset(self) -> None:
        def script(wire: RequestWire) -> None:
            begin(wire)
            wire.raw(b"\xff\0")
            wire.abort()
            do_everything(self, wire)

        answer, end = await self.answer(script)
        self.assertEqual(end, RST)
        self.assertTrue(answer.endswith(b"\r\n\r\n5\r\nhello\r\n\xff\0"), answer)
        self.assertFalse(await self.scripted.ends[0])
        self.assertEqual(self.lingering.waiting, 0)

    async def test_a_large_body_comes_before_the_reset_though_the_client_reads_late(self) -> None:
        aborted = Event()

        def script(wire: RequestWire) -> None:
            begin(wire, b"x" * LARGE)
            wire.abort()
            self.assertEqual(self.lingering.waiting, 1)
            aborted.set()

        self.serve(script)
        sock = self.client(receive_buffer=8192)

        def client() -> tuple[bytes, str]:
            sock.sendall(GET)
            aborted.wait(SECONDS)
            return read(sock)

        answer, end = await deferToThread(client)
        self.assertEqual(end, RST)
        self.assertTrue(answer.endswith(b"x" * LARGE + b"\r\n"))

    async def test_what_was_asked_after_it_is_not_answered(self) -> None:
        def script(wire: RequestWire) -> None:
            begin(wire)
            wire.abort()

        answer, end = await self.answer(script, GET, GET)
        self.assertEqual((answer.count(b"HTTP/1.1 200 OK"), end), (1, RST))
        self.assertEqual(len(self.scripted.wires), 1)

    async def test_a_client_that_never_reads_is_given_up(self) -> None:
        clock = Clock()
        aborted: Deferred[None] = Deferred()

        def script(wire: RequestWire) -> None:
            begin(wire, b"x" * LARGE)
            wire.abort()
            do_everything(self, wire)
            reactor.callLater(0, aborted.callback, None)

        self.serve(script, lingering=Lingering(clock))
        self.client(receive_buffer=4096).sendall(GET)
        await aborted
        wait_in_vain(clock)
        self.assertFalse(await self.scripted.ends[0])
        self.assertEqual((self.lingering.waiting, clock.getDelayedCalls()), (0, []))
        await until_none(self.connections)

    async def test_a_client_that_leaves_first_is_waited_for_no_longer(self) -> None:
        clock = Clock()
        aborted: Deferred[None] = Deferred()

        def script(wire: RequestWire) -> None:
            begin(wire, b"x" * LARGE)
            wire.abort()
            reactor.callLater(0, aborted.callback, None)

        self.serve(script, lingering=Lingering(clock))
        sock = self.client(receive_buffer=4096)
        sock.sendall(GET)
        await aborted
        sock.close()
        self.assertFalse(await self.scripted.ends[0])
        clock.advance(1)
        self.assertEqual((self.lingering.waiting, clock.getDelayedCalls()), (0, []))

    async def test_a_second_answer_on_the_connection_is_broken_off_like_the_first_would_be(
        self,
    ) -> None:
        def script(wire: RequestWire) -> None:
            begin(wire)
            if len(self.scripted.wires) == 1:
                wire.finish()
            else:
                do_everything(self, self.scripted.wires[0])
                wire.abort()

        answer, end = await self.answer(script, GET, GET)
        self.assertEqual((answer.count(b"5\r\nhello\r\n"), answer.count(LAST), end), (2, 1, RST))


class UnixTests(WireTestCase):
    """A socket of the file system, which takes little at once."""

    def listen(self) -> Any:
        self.address = os.path.relpath(self.mktemp())
        return reactor.listenUNIX(self.address, self.connections)

    def client(self, *, receive_buffer: int = 0) -> socket.socket:  # noqa: ARG002
        sock = socket.socket(socket.AF_UNIX)
        self.addCleanup(sock.close)
        sock.settimeout(SECONDS)
        sock.connect(self.address)
        return sock

    async def test_all_that_was_written_comes_before_an_abort_and_before_a_close(self) -> None:
        cuts: list[Script] = [lambda wire: wire.abort(), lambda wire: wire.close()]
        for cut in cuts:

            def script(wire: RequestWire, cut: Script = cut) -> None:
                begin(wire, b"<")
                reactor.callLater(0, later, wire, cut)

            def later(wire: RequestWire, cut: Script) -> None:
                for _ in range(20):
                    wire.write(b"x" * 50_000)
                cut(wire)

            answer, end = await self.answer(script)
            body = split(answer)[2]
            self.assertEqual((body.count(b"x"), end), (1_000_000, FIN))


class _NoAnswers:
    """Nobody who answers before the resource of a site is asked."""

    def handler(self, exchange: Exchange) -> None:  # noqa: ARG002 -- as `Answers` has it
        return None

    def refuse_exchange(self, exchange: Exchange, status: int, message: str) -> object:
        raise AssertionError((exchange, status, message))


class FrontWireTestCase(WireTestCase):
    """The same over the front of our own, and its wire."""

    def front(self, site: FakeSite) -> Any:
        limits = Limits(body=100, drained=100)
        return Front(site, _NoAnswers(), reactor=reactor, limits=limits)


class FrontHeadTests(FrontWireTestCase, HeadTests):
    pass


class FrontWriteTests(FrontWireTestCase, WriteTests):
    pass


class FrontTrailerTests(FrontWireTestCase, TrailerTests):
    pass


class FrontCloseTests(FrontWireTestCase, CloseTests):
    pass


class FrontAbortTests(FrontWireTestCase, AbortTests):
    pass


class FrontUnixTests(FrontWireTestCase, UnixTests):
    pass
