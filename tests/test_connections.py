"""What clients do to connections: old HTTP, two requests on one, not reading, going away."""

import json
import os
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from fakellm import FakeLLM
from fakellm.engine.player import WRITE_AT_MOST, Player
from fakellm.web.front.wire import FrontWire
from tests import fronts
from tests.connections import Connection, connect, is_whole, request, split, unchunked
from tests.fronts import FastFront, TwistedFront
from tests.servers import chunks_of

LONG = "word " * 20_000
"""As a stream it is more than the buffers of a system and of Twisted together take."""


STEADY_TURNS = 20
"""Turns of the reactor in which nothing has moved, after which nothing will."""


class ConnectionTestCase(TestCase):
    """Tests against a server that listens; ``server`` is the service itself."""

    http: str = fronts.HTTP

    def start(self, **settings: Any) -> str:
        self.server = FakeLLM(**fronts.settings(**{"http": self.http, **settings}))
        self.server.privilegedStartService()
        self.server.startService()
        self.addCleanup(self.server.stopService)
        return self.server.urls[0]

    async def connect(self, **settings: Any) -> Connection:
        """A connection to a new server, which is closed before that ends."""
        connection: Connection = await connect(self.start(**settings))
        self.addCleanup(lambda: Deferred.fromCoroutine(connection.close()))
        return connection


class HttpTests(TwistedFront, ConnectionTestCase):
    async def test_http_1_0_gets_a_stream_without_chunks_that_ends_with_the_connection(
        self,
    ) -> None:
        connection = await self.connect()
        connection.send(request(version="1.0", stream=True))
        self.assertTrue(await connection.closed)
        status, headers, body = split(connection.received)
        self.assertEqual(status, b"HTTP/1.0 200 OK")
        self.assertNotIn(b"transfer-encoding", headers)
        self.assertEqual(len(chunks_of(body)), 4)

    async def test_http_1_0_gets_a_whole_answer(self) -> None:
        connection = await self.connect()
        connection.send(request(version="1.0"))
        self.assertTrue(await connection.closed)
        status, headers, body = split(connection.received)
        self.assertEqual(status, b"HTTP/1.0 200 OK")
        self.assertEqual(int(headers[b"content-length"]), len(body))
        self.assertEqual(json.loads(body)["object"], "chat.completion")

    async def test_a_connection_serves_one_request_after_the_other(self) -> None:
        connection = await self.connect()
        for fields in ({}, {"stream": True}, {"n": 0}, {}):
            connection.received = b""
            connection.send(request(**fields))
            status, headers, body = split(await connection.until(is_whole))
            if fields.get("stream"):
                body, rest = unchunked(body)
                self.assertEqual((len(chunks_of(body)), rest), (4, b""))
            else:
                self.assertEqual(len(body), int(headers[b"content-length"]))
            self.assertIn(status, (b"HTTP/1.1 200 OK", b"HTTP/1.1 400 Bad Request"))

    async def test_requests_sent_at_once_are_answered_in_turn(self) -> None:
        connection = await self.connect()
        connection.send(
            request(stream=True)
            + request("GET", "/health")
            + request(headers="Connection: close\r\n")
        )
        self.assertTrue(await connection.closed)
        _, headers, rest = split(connection.received)
        self.assertEqual(headers[b"transfer-encoding"], b"chunked")
        body, rest = unchunked(rest)
        self.assertEqual(len(chunks_of(body)), 4)
        _, headers, rest = split(rest)
        size = int(headers[b"content-length"])
        self.assertEqual(json.loads(rest[:size])["status"], "ok")
        _, headers, body = split(rest[size:])
        self.assertEqual(len(body), int(headers[b"content-length"]))
        self.assertEqual(json.loads(body)["object"], "chat.completion")

    async def test_head_has_the_length_of_a_body_and_no_body(self) -> None:
        connection = await self.connect()
        closing = "Connection: close\r\n"
        connection.send(
            request("HEAD", "/v1/models") + request("GET", "/v1/models", headers=closing)
        )
        await connection.closed
        _, head, rest = split(connection.received)
        status, get, body = split(rest)
        self.assertEqual(status, b"HTTP/1.1 200 OK")
        self.assertEqual(head[b"content-length"], get[b"content-length"])
        self.assertEqual(int(get[b"content-length"]), len(body))

    async def test_head_of_an_error_has_no_body(self) -> None:
        connection = await self.connect()
        connection.send(request("HEAD", "/v1/embeddings", headers="Connection: close\r\n"))
        await connection.closed
        status, headers, body = split(connection.received)
        self.assertEqual((status, body), (b"HTTP/1.1 405 Method Not Allowed", b""))
        self.assertEqual(headers[b"allow"], b"POST")

    async def test_a_body_may_come_in_chunks_and_byte_by_byte(self) -> None:
        connection = await self.connect()
        head, _, body = request().partition(b"\r\n\r\n")
        head = head.replace(b"Content-Length: %d" % len(body), b"Transfer-Encoding: chunked")
        connection.send(head + b"\r\n\r\n")
        for byte in body:
            connection.send(b"1\r\n%c\r\n" % byte)
        connection.send(b"0\r\n\r\n")
        status, *_ = split(await connection.until(is_whole))
        self.assertEqual(status, b"HTTP/1.1 200 OK")

    async def test_a_client_that_waits_for_leave_to_send_gets_it(self) -> None:
        """As curl does with a body over a megabyte."""
        connection = await self.connect()
        head, _, body = request(headers="Expect: 100-continue\r\n").partition(b"\r\n\r\n")
        connection.send(head + b"\r\n\r\n")
        leave = b"HTTP/1.1 100 Continue\r\n\r\n"
        await connection.until(lambda received: received == leave)
        connection.send(body)
        await connection.until(lambda received: is_whole(received.removeprefix(leave)))

    async def test_what_is_no_http_is_refused_and_closed(self) -> None:
        for nonsense in (b"\x16\x03\x01\x02\0\x01\r\n\r\n", b"hello\r\n\r\n", b"\r\n" * 9):
            connection = await self.connect()
            connection.send(nonsense)
            await connection.closed
            self.assertTrue(connection.received.startswith(b"HTTP/1.1 400 Bad Request\r\n"))
            self.assertNotIn(b"<", connection.received)


class LeavingTests(TwistedFront, ConnectionTestCase):
    async def assert_nothing_runs(self) -> None:
        await self.server._engine.drained()
        self.assertEqual(self.server._engine.running, 0)

    async def test_a_client_that_breaks_off_in_mid_stream_leaves_nothing_running(self) -> None:
        connection = await self.connect(answer=LONG)
        connection.send(request(stream=True))
        await connection.until(lambda received: b"data: " in received)
        self.assertEqual(self.server._engine.running, 1)
        await connection.close()
        await self.assert_nothing_runs()

    async def test_a_client_that_closes_in_mid_stream_leaves_nothing_running(self) -> None:
        connection = await self.connect(answer=LONG)
        connection.send(request(stream=True))
        await connection.until(lambda received: b"data: " in received)
        connection.wire.loseConnection()
        await connection.closed
        await self.assert_nothing_runs()

    async def test_a_client_that_leaves_while_it_does_not_read_leaves_nothing_running(self) -> None:
        paused = paused_player(self)
        connection = await self.connect(answer=LONG)
        connection.wire.pauseProducing()
        connection.send(request(stream=True))
        await paused
        await connection.close()
        await self.assert_nothing_runs()

    async def test_a_client_that_leaves_before_its_body_is_sent_is_no_request(self) -> None:
        connection = await self.connect()
        connection.send(request()[:-5])
        await connection.close()
        await self.assert_nothing_runs()

    async def test_many_that_leave_do_no_harm_to_one_that_stays(self) -> None:
        stays = await self.connect(answer=LONG)
        stays.send(request(stream=True))
        for _ in range(10):
            leaves: Connection = await connect(self.server.urls[0])
            leaves.send(request(stream=True))
            await leaves.until(lambda received: b"data: " in received)
            await leaves.close()
        body, _ = unchunked(split(await stays.until(is_whole))[2])
        chunks = chunks_of(body)
        said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
        self.assertEqual("".join(said), LONG)
        await self.assert_nothing_runs()


class BackpressureTests(TwistedFront, ConnectionTestCase):
    async def test_a_client_that_does_not_read_is_not_written_to(self) -> None:
        """A socket of the file system has a small buffer, which is soon full."""
        paused = paused_player(self)
        connection = await self.connect(answer=LONG, listen=[f"unix:{socket_path(self)}"])
        connection.wire.pauseProducing()
        connection.send(request(stream=True))
        player = await paused
        transport = transport_of(player._wire)
        sizes = [buffered(transport)]
        while len(sizes) < STEADY_TURNS or len({*sizes[-STEADY_TURNS:]}) > 1:
            await deferLater(reactor, 0)
            sizes.append(buffered(transport))
        self.assertGreater(sizes[-1], 0)
        self.assertLessEqual(max(sizes), 2 * WRITE_AT_MOST)
        self.assertIsNone(player._call)
        self.assertEqual(self.server._engine.running, 1)

        connection.wire.resumeProducing()
        body, rest = unchunked(split(await connection.until(is_whole))[2])
        self.assertEqual(rest, b"")
        said = [each["choices"][0]["delta"].get("content", "") for each in chunks_of(body)]
        self.assertEqual("".join(said), LONG)
        self.assertEqual(self.server._engine.running, 0)


class FastHttpTests(FastFront, HttpTests):
    pass


class FastLeavingTests(FastFront, LeavingTests):
    pass


class FastBackpressureTests(FastFront, BackpressureTests):
    pass


def transport_of(wire: Any) -> Any:
    """The transport below a wire of either front."""
    if isinstance(wire, FrontWire):
        return wire._exchange.connection.transport
    return wire._request.channel.transport


def paused_player(case: TestCase) -> Deferred[Any]:
    """Fires with the first player that is paused during the test."""
    paused: Deferred[Any] = Deferred()
    pause = Player.pauseProducing

    def noted(player: Player) -> None:
        pause(player)
        if not paused.called:
            paused.callback(player)

    case.patch(Player, "pauseProducing", noted)
    return paused


def socket_path(case: TestCase) -> str:
    """Where a socket can be; relative, as an absolute path can be too long for one."""
    path: str = os.path.relpath(case.mktemp())
    return path


def buffered(transport: Any) -> int:
    """Bytes that a transport of Twisted's holds in memory."""
    size: int = len(transport.dataBuffer) - transport.offset + transport._tempDataLen
    return size
