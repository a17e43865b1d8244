"""The wire of a request where there is more than a socket: TLS, HTTP/2, and none at all."""

import socket
import ssl
import tempfile
from collections.abc import Callable
from contextlib import closing
from importlib import import_module
from typing import Any, ClassVar
from unittest import skipIf

from treq.testing import StubTreq
from twisted.internet.endpoints import serverFromString
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import ResponseFailed

from fakellm.engine.lingering import GIVE_UP_AFTER_SECONDS, LOOK_EVERY_SECONDS, Lingering
from fakellm.web.site import FakeSite
from fakellm.web.wire import RequestWire, Surroundings
from tests.connections import split, unchunked
from tests.processes import make_certificate
from tests.web.test_wire import (
    CLOSING,
    FIN,
    LARGE,
    PLAIN,
    RST,
    FrontWireTestCase,
    Noting,
    Scripted,
    WireTestCase,
    begin,
    do_everything,
    reactor,
)


def module(name: str) -> Any:
    """A module, if it is installed."""
    try:
        return import_module(name)
    except ImportError:
        return None


h2_config, h2_connection, h2_events, twisted_http2 = map(
    module, ("h2.config", "h2.connection", "h2.events", "twisted.web._http2")
)


class TlsTests(WireTestCase):
    """TLS is between the wire and the socket, and keeps small writes for the next turn."""

    def listen(self) -> Any:
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        key, certificate = make_certificate(folder.name)
        self.context = ssl.create_default_context(cafile=certificate)
        endpoint = serverFromString(
            reactor, f"ssl:0:privateKey={key}:certKey={certificate}:interface=127.0.0.1"
        )
        port = self.successResultOf(endpoint.listen(self.connections))
        self.flushWarnings()
        self.address = ("127.0.0.1", port.getHost().port)
        return port

    async def talk(self, *requests: bytes) -> tuple[bytes, str]:
        found: tuple[bytes, str] = await deferToThread(
            ask_secretly, self.context, self.client(), b"".join(requests)
        )
        return found

    async def test_it_carries_chunks_and_trailers(self) -> None:
        def script(wire: RequestWire) -> None:
            begin(wire)
            reactor.callLater(0, later, wire)

        def later(wire: RequestWire) -> None:
            wire.write(b"world")
            wire.write(b"x" * LARGE)
            wire.finish((("X-A", "1"),))

        answer, end = await self.answer(script, CLOSING)
        body = split(answer)[2].removesuffix(b"X-A: 1\r\n\r\n") + b"\r\n"
        self.assertEqual(unchunked(body), (b"helloworld" + b"x" * LARGE, b""))
        self.assertEqual(end, FIN)

    async def test_all_that_was_written_comes_before_the_reset(self) -> None:
        for size in (5, LARGE):

            def script(wire: RequestWire, size: int = size) -> None:
                begin(wire, b"x" * size)
                wire.abort()
                do_everything(self, wire)

            answer, end = await self.answer(script)
            self.assertEqual((split(answer)[2].count(b"x"), end), (size, RST))
            self.assertFalse(await self.scripted.ends[0])

    async def test_all_that_was_written_comes_before_the_close(self) -> None:
        def script(wire: RequestWire) -> None:
            begin(wire, b"x" * LARGE)
            wire.close()
            do_everything(self, wire)

        answer, _ = await self.answer(script)
        self.assertEqual(split(answer)[2].count(b"x"), LARGE)
        self.assertFalse(await self.scripted.ends[0])


class FrontTlsTests(FrontWireTestCase, TlsTests):
    """The front of our own leaves connections over TLS to Twisted's."""


def ask_secretly(context: ssl.SSLContext, sock: socket.socket, data: bytes) -> tuple[bytes, str]:
    """As `ask`; a socket of the module ssl would hide how the connection ended."""
    came, goes = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context.wrap_bio(came, goes, server_hostname="127.0.0.1")
    pieces: list[bytes] = []

    def go_on(step: Callable[[], object]) -> bool:
        try:
            step()
        except ssl.SSLWantReadError:
            return False
        return True

    with closing(sock):
        is_shaken = is_sent = False
        while True:
            is_shaken = is_shaken or go_on(secure.do_handshake)
            if is_shaken and not is_sent:
                is_sent = go_on(lambda: secure.write(data))
            if goes.pending:
                sock.sendall(goes.read())
            try:
                piece = sock.recv(64 * 1024)
            except ConnectionResetError:
                return b"".join(pieces), RST
            if not piece:
                return b"".join(pieces), FIN
            came.write(piece)
            while is_shaken and go_on(lambda: pieces.append(secure.read(64 * 1024))):
                if not pieces[-1]:
                    return b"".join(pieces), FIN


class MemoryTests(SynchronousTestCase):
    """As tests have it that ask a server without a socket."""

    def ask(self, script: Callable[[RequestWire], object]) -> tuple[Any, bytes]:
        """The result of a request, as far as there is one, and the body that came."""
        self.clock = Clock()
        self.lingering = Lingering(self.clock)
        self.scripted = Scripted(script, Surroundings(lingering=self.lingering))
        client: Any = StubTreq(self.scripted)
        asked = client.get("http://fakellm.example/", unbuffered=True)
        client.flush()
        received: list[bytes] = []
        results: list[Any] = []

        def read(response: Any) -> Any:
            ended = response.collect(received.append)
            ended.addBoth(results.append)

        asked.addCallbacks(read, results.append)
        for _ in range(5):
            client.flush()
        return results[0] if results else "pending", b"".join(received)

    def test_it_carries_an_answer(self) -> None:
        def script(wire: RequestWire) -> None:
            wire.register(Noting())
            begin(wire)
            wire.write(b"world")
            wire.unregister()
            wire.finish((("X-A", "1"),))
            do_everything(self, wire)

        self.assertEqual(self.ask(script), (None, b"helloworld"))
        self.assertIs(self.successResultOf(self.scripted.ends[0]), True)

    def test_it_breaks_off(self) -> None:
        for cut in (RequestWire.abort, RequestWire.close):

            def script(wire: RequestWire, cut: Callable[[RequestWire], object] = cut) -> None:
                begin(wire)
                cut(wire)
                do_everything(self, wire)

            result, body = self.ask(script)
            self.assertEqual(body, b"hello")
            result.trap(ResponseFailed)
            self.assertIs(self.successResultOf(self.scripted.ends[0]), False)
            self.clock.advance(GIVE_UP_AFTER_SECONDS)
            self.assertEqual((self.lingering.waiting, self.clock.getDelayedCalls()), (0, []))

    def test_a_head_is_sent_as_bytes(self) -> None:
        def script(wire: RequestWire) -> None:
            for byte in wire.head_bytes(200, PLAIN):
                wire.raw(bytes([byte]))
            wire.write(b"hello")
            wire.finish()

        self.assertEqual(self.ask(script), (None, b"hello"))


class Turns(Clock):
    """A clock that moves on by one turn of a reactor's.

    What is asked for at once waits for the next: Twisted asks for more turns as long as a client's
    window is shut.
    """

    def advance(self, amount: float) -> None:
        self.rightNow += amount
        for call in [each for each in self.calls if each.getTime() <= self.rightNow]:
            if call.active():
                self.calls.remove(call)
                call.called = 1
                call.func(*call.args, **call.kw)


@skipIf(twisted_http2 is None, "the packages for HTTP/2 are not installed")
class Http2Tests(SynchronousTestCase):
    """Streams of HTTP/2, which share a connection."""

    ASKING: ClassVar = (
        (":method", "GET"), (":path", "/"), (":scheme", "https"),
        (":authority", "fakellm.example"),
    )  # fmt: skip

    def setUp(self) -> None:
        self.clock = Turns()
        self.lingering = Lingering(self.clock)
        self.events: list[Any] = []
        self.client = h2_connection.H2Connection(
            h2_config.H2Configuration(client_side=True, header_encoding="utf-8")
        )

    def serve(self, script: Callable[[RequestWire], object]) -> None:
        self.scripted = Scripted(script, Surroundings(lingering=self.lingering))
        site = FakeSite(self.scripted, reactor=self.clock, max_body=100, seconds=self.clock.seconds)
        self.server = twisted_http2.H2Connection(reactor=self.clock)
        self.server.requestFactory = site.requestFactory
        self.server.site = self.server.factory = site
        self.transport = StringTransport()
        self.server.makeConnection(self.transport)
        self.client.initiate_connection()

    def send(self, stream: int, headers: Any = ASKING, body: bytes = b"") -> None:
        self.client.send_headers(stream, headers, end_stream=not body)
        if body:
            self.client.send_data(stream, body, end_stream=True)
        self.exchange()

    def exchange(self, seconds: float = LOOK_EVERY_SECONDS, *, reads: bool = True) -> None:
        """Carry bytes both ways, for a while."""
        for _ in range(50):
            self.server.dataReceived(self.client.data_to_send())
            self.clock.advance(seconds / 50)
            data = self.transport.value()
            self.transport.clear()
            for event in self.client.receive_data(data):
                self.events.append(event)
                if reads and isinstance(event, h2_events.DataReceived):
                    self.client.acknowledge_received_data(
                        event.flow_controlled_length, event.stream_id
                    )

    def body(self, stream: int) -> bytes:
        return b"".join(
            event.data
            for event in self.events
            if isinstance(event, h2_events.DataReceived) and event.stream_id == stream
        )

    def ends(self, stream: int) -> list[str]:
        """How a stream ended."""
        kinds = (h2_events.StreamEnded, h2_events.StreamReset, h2_events.ConnectionTerminated)
        return [
            type(event).__name__
            for event in self.events
            if isinstance(event, kinds) and getattr(event, "stream_id", stream) == stream
        ]

    def test_it_carries_an_answer(self) -> None:
        def script(wire: RequestWire) -> None:
            wire.register(Noting())
            self.assertEqual(wire.head_bytes(200, PLAIN), b"")
            wire.raw(b"no stream has bytes of its own")
            wire.flush()
            wire.write(b"hello")
            wire.write(b"world")
            wire.unregister()
            wire.finish((("X-A", "1"),))
            do_everything(self, wire)

        self.serve(script)
        self.send(1)
        self.assertEqual((self.body(1), self.ends(1)), (b"helloworld", ["StreamEnded"]))
        self.assertIs(self.successResultOf(self.scripted.ends[0]), True)

    def test_what_breaks_off_resets_its_stream_once_all_is_sent_and_no_other(self) -> None:
        for number, cut in enumerate((RequestWire.abort, RequestWire.close)):

            def script(wire: RequestWire, cut: Callable[[RequestWire], object] = cut) -> None:
                begin(wire, b"x" * 100_000)
                if len(self.scripted.wires) == 2:
                    cut(wire)
                    do_everything(self, wire)

            self.setUp()
            self.serve(script)
            self.send(1)
            self.send(3)
            self.exchange()
            self.assertEqual((self.body(3), self.ends(3)), (b"x" * 100_000, ["StreamReset"]))
            self.assertIs(self.successResultOf(self.scripted.ends[1]), False)
            self.scripted.wires[0].finish()
            self.exchange()
            self.assertEqual((self.body(1), self.ends(1)), (b"x" * 100_000, ["StreamEnded"]))
            self.assertEqual(self.lingering.waiting, 0, number)

    def test_a_stream_that_nobody_reads_is_given_up(self) -> None:
        def script(wire: RequestWire) -> None:
            begin(wire, b"x" * 200_000)
            wire.abort()

        self.serve(script)
        self.client.send_headers(1, self.ASKING, end_stream=True)
        self.exchange(reads=False)
        self.assertEqual((self.ends(1), self.lingering.waiting), ([], 1))
        self.exchange(2 * GIVE_UP_AFTER_SECONDS, reads=False)
        self.assertEqual((self.ends(1), self.lingering.waiting), (["StreamReset"], 0))
        self.assertLess(len(self.body(1)), 200_000)

    def test_a_client_that_resets_a_stream_ends_its_wire(self) -> None:
        self.serve(begin)
        self.send(1)
        self.client.reset_stream(1)
        self.exchange()
        self.assertIs(self.successResultOf(self.scripted.ends[0]), False)
        do_everything(self, self.scripted.wires[0])

    def test_the_producer_is_paused_while_the_client_does_not_read(self) -> None:
        def script(wire: RequestWire) -> None:
            self.producer = Noting()
            wire.register(self.producer)
            begin(wire, b"x" * 100_000)

        self.serve(script)
        self.client.send_headers(1, self.ASKING, end_stream=True)
        self.exchange(reads=False)
        self.assertEqual(self.producer.told, ["paused"])
        self.client.increment_flow_control_window(100_000)
        self.client.increment_flow_control_window(100_000, 1)
        self.exchange()
        self.assertEqual(self.producer.told, ["paused", "resumed"])
