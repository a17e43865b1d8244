"""The HTTP server: what it keeps of bodies, and that it keeps nothing of what has ended."""

import gc
import weakref
from typing import Any
from unittest import mock

from twisted.internet import reactor
from twisted.internet.task import deferLater
from twisted.trial.unittest import SynchronousTestCase

from fakellm.web import site
from fakellm.web.api import Api
from fakellm.web.front.exchange import Exchange
from fakellm.web.front.request import FrontRequest
from fakellm.web.site import BoundedRequest, FakeSite
from tests.connections import Connection, is_whole, request, split
from tests.fronts import FastFront, TwistedFront
from tests.test_connections import ConnectionTestCase


class CircleTests(TwistedFront, ConnectionTestCase):
    """Requests that have ended are gone without the garbage collector, which may come late."""

    kind: type[Any] = BoundedRequest

    def setUp(self) -> None:
        self.requests: list[weakref.ref[Any]] = []
        made = self.kind.__init__

        def noted(asked: Any, *args: Any, **kwargs: Any) -> None:
            made(asked, *args, **kwargs)
            self.requests.append(weakref.ref(asked))

        self.patch(self.kind, "__init__", noted)
        self.addCleanup(gc.enable)

    async def assert_gone(self, connection: Connection, *asked: bytes) -> None:
        gc.collect()
        gc.disable()
        for each in asked:
            connection.received = b""
            connection.send(each)
            await connection.until(is_whole)
        self.assertEqual([made() for made in self.requests], [None] * len(asked))

    async def test_on_a_connection_that_stays_open(self) -> None:
        connection = await self.connect()
        await self.assert_gone(
            connection,
            request(),
            request(stream=True),
            request(answer="x", n=0),
            request("GET", "/v1/models"),
            request("GET", "/nowhere"),
            request(stream=True),
        )

    async def test_on_one_that_ends_with_the_answer(self) -> None:
        for stream in (True, False):
            connection = await self.connect()
            self.requests.clear()
            await self.assert_gone(
                connection, request(stream=stream, headers="Connection: close\r\n")
            )
            await connection.closed
            gc.enable()

    async def test_of_a_client_that_leaves_in_mid_stream(self) -> None:
        connection = await self.connect(answer="word " * 20_000)
        gc.collect()
        gc.disable()
        connection.send(request(stream=True))
        await connection.until(lambda received: b"data: " in received)
        self.assertIsNotNone(self.requests[0]())
        await connection.close()
        await self.server._engine.drained()
        await deferLater(reactor, 0)  # what told so has to return first
        self.assertIsNone(self.requests[0]())


class FastCircleTests(FastFront, CircleTests):
    kind = Exchange


class FastRequestCircleTests(FastFront, CircleTests):
    """Those that go through Klein: all, as nothing is remembered."""

    kind = FrontRequest

    def setUp(self) -> None:
        super().setUp()
        self.patch(Api, "_found", lambda *_: None)


class BodyTests(TwistedFront, ConnectionTestCase):
    async def test_a_body_that_is_far_too_large_is_not_read_to_its_end(self) -> None:
        self.patch(site, "DRAINED_AT_MOST", 1000)
        connection = await self.connect(max_body=100)
        connection.send(b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(100):
            connection.send(b"64\r\n" + b"x" * 100 + b"\r\n")
        self.assertFalse(await connection.closed)
        self.assertEqual(connection.received, b"")

    async def test_one_that_is_somewhat_too_large_is_read_and_refused(self) -> None:
        connection = await self.connect(max_body=100)
        head = b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\n"
        connection.send(head + b"Transfer-Encoding: chunked\r\n\r\n")
        connection.send((b"64\r\n" + b"x" * 100 + b"\r\n") * 100 + b"0\r\n\r\n")
        status, *_ = split(await connection.until(is_whole))
        self.assertEqual(status, b"HTTP/1.1 413 Request Entity Too Large")


class FastBodyTests(FastFront, BodyTests):
    pass


class LogTests(SynchronousTestCase):
    def test_answers_are_logged_where_that_is_asked_for_without_their_query(self) -> None:
        answered = mock.Mock(method=b"GET", path=b"/a", uri=b"/a?key=b", code=200, sentLength=5)
        for verbose in (False, True):
            with mock.patch.object(FakeSite, "_said") as said:
                FakeSite(
                    mock.Mock(), reactor=mock.Mock(), max_body=1, seconds=float, verbose=verbose
                ).log(answered)
            self.assertEqual(said.debug.call_count, int(verbose))
        text, values = said.debug.call_args.args[0], said.debug.call_args.kwargs
        self.assertEqual(text.format(**values), "GET /a 200 5 bytes")
