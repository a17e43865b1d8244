"""Resources of Twisted's and Klein's behind the front: requests are what they are used to."""

import json
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.python.filepath import FilePath
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.static import Data, File

from fakellm.web.front.factory import Front
from fakellm.web.front.limits import Limits
from fakellm.web.site import FakeSite
from tests.connections import Connection, connect, is_whole, split
from tests.servers import CHAT, LiveTestCase, asking
from tests.web.front.serving import GET, FrontTestCase


class Telling(Resource):
    """Tells what it knows of a request."""

    isLeaf = True  # noqa: N815 -- Twisted's name

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []

    def render(self, request: Request) -> bytes:
        self.requests.append(request)
        request.setHeader("x-a", "1")
        request.addCookie(b"c", b"2")
        told = {
            "method": request.method.decode(),
            "uri": request.uri.decode(),
            "path": request.path.decode(),
            "prepath": [each.decode() for each in request.prepath or ()],
            "postpath": [each.decode() for each in request.postpath or ()],
            "args": {
                name.decode(): [value.decode() for value in values]
                for name, values in (request.args or {}).items()
            },
            "host": request.getRequestHostname().decode(),
            "header": request.getHeader("x-b"),
            "cookie": (request.getCookie(b"d") or b"").decode(),
            "body": (request.content.read() if request.content else b"").decode(),
            "secure": request.isSecure(),
            "user": request.getUser().decode(),
            "client": str(type(request.getClientAddress()).__name__),
        }
        return json.dumps(told).encode()


class Waiting(Resource):
    """Does not answer by itself."""

    isLeaf = True  # noqa: N815 -- Twisted's name

    def __init__(self) -> None:
        super().__init__()
        self.requests: list[Any] = []
        self.ends: list[Deferred[None]] = []

    def render(self, request: Request) -> int:
        self.requests.append(request)
        self.ends.append(request.notifyFinish())
        return NOT_DONE_YET


class RequestTests(FrontTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.handle = None

    def test_all_that_a_resource_asks_for(self) -> None:
        telling = Telling()
        self.root.putChild(b"a", telling)
        sent = self.send(
            b"POST /a/b%20c/?x=1&x=2 HTTP/1.1\r\nHost: h.example:80\r\nX-B: 3\r\nCookie: d=4\r\n"
            b"Authorization: Basic dTpw\r\nContent-Length: 5\r\n\r\nhello"
        )
        status, headers, body = split(sent)
        self.assertEqual(status, b"HTTP/1.1 200 OK")
        self.assertEqual((headers[b"x-a"], headers[b"set-cookie"]), (b"1", b"c=2"))
        self.assertEqual(headers[b"server"], b"fakellm")
        self.assertEqual(
            json.loads(body),
            {
                "method": "POST", "uri": "/a/b%20c/?x=1&x=2", "path": "/a/b%20c/",
                "prepath": ["a"], "postpath": ["b c", ""], "args": {"x": ["1", "2"]},
                "host": "h.example", "header": "3", "cookie": "4", "body": "hello",
                "secure": False, "user": "u", "client": "IPv4Address",
            },
        )  # fmt: skip

    def test_without_a_host_it_is_the_address(self) -> None:
        telling = Telling()
        self.root.putChild(b"a", telling)
        _, _, body = split(self.send(b"GET /a HTTP/1.0\r\n\r\n"))
        self.assertEqual(json.loads(body)["host"], "10.0.0.1")

    def test_HEAD_is_answered_by_what_answers_GET(self) -> None:
        self.root.putChild(b"a", Data(b"hello", "text/plain"))
        status, headers, body = split(self.send(GET.replace(b"GET", b"HEAD")))
        self.assertEqual((status, body), (b"HTTP/1.1 200 OK", b""))
        self.assertEqual(headers[b"content-length"], b"5")

    def test_what_is_not_there(self) -> None:
        self.assertTrue(self.send(GET).startswith(b"HTTP/1.1 404 Not Found\r\n"))

    def test_one_that_waits_is_told_of_the_end(self) -> None:
        waiting = Waiting()
        self.root.putChild(b"a", waiting)
        self.send(GET + GET)
        self.assertEqual(len(waiting.requests), 1)
        waiting.requests[0].write(b"hel")
        waiting.requests[0].write(b"lo")
        waiting.requests[0].finish()
        self.assertIsNone(self.successResultOf(waiting.ends[0]))
        self.assertTrue(self.transport.value().endswith(b"\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n"))
        self.assertEqual(len(waiting.requests), 2)
        self.assertNoResult(waiting.requests[0].notifyFinish())

    def test_one_that_waits_is_told_that_the_client_left(self) -> None:
        waiting = Waiting()
        self.root.putChild(b"a", waiting)
        self.send(GET)
        self.leave()
        self.failureResultOf(waiting.ends[0])
        self.assertNoResult(waiting.requests[0].notifyFinish())
        self.assertRaises(RuntimeError, waiting.requests[0].finish)

    def test_an_old_client_knows_the_end_by_that_of_the_connection(
        self,
    ) -> None:
        for headers, has_length in (((), False), (((b"Content-Length", b"5"),), True)):
            waiting = Waiting()
            self.root.putChild(b"a", waiting)
            self.connect()
            self.send(b"GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
            for name, value in headers:
                waiting.requests[0].setHeader(name, value)
            waiting.requests[0].write(b"hello")
            waiting.requests[0].finish()
            sent = self.transport.value()
            self.assertTrue(sent.startswith(b"HTTP/1.0 200 OK\r\n"))
            self.assertTrue(sent.endswith(b"\r\n\r\nhello"))
            self.assertEqual(b"Content-Length: 5\r\n" in sent, has_length)
            self.assertEqual(self.transport.end, "closed")  # HTTP/1.0 is never kept

    def test_a_producer_is_told_what_the_client_does(self) -> None:
        waiting = Waiting()
        self.root.putChild(b"a", waiting)
        told: list[str] = []

        class Producer:
            def pauseProducing(self) -> None:
                told.append("paused")

            def resumeProducing(self) -> None:
                told.append("resumed")

        self.send(GET)
        request = waiting.requests[0]
        request.registerProducer(Producer(), True)
        self.connection.pauseProducing()
        self.connection.resumeProducing()
        request.unregisterProducer()
        self.connection.pauseProducing()
        self.connection.resumeProducing()
        self.assertEqual(told, ["paused", "resumed"])
        request.finish()
        self.assertTrue(self.transport.value().endswith(b"\r\n0\r\n\r\n"))
        self.assertEqual(self.transport.end, "")

    def test_one_can_break_the_connection_off_or_close_it(self) -> None:
        for method, end in (("abortConnection", "reset"), ("loseConnection", "closed")):
            waiting = Waiting()
            self.root.putChild(b"a", waiting)
            self.connect()
            self.send(GET)
            getattr(waiting.requests[0].channel, method)()
            self.assertEqual(self.transport.end, end)

    def test_the_server_as_a_whole(self) -> None:
        sent = self.send(b"OPTIONS * HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertTrue(sent.startswith(b"HTTP/1.1 200 OK\r\n"))
        sent = self.send(b"GET * HTTP/1.1\r\nHost: h\r\n\r\n")
        self.assertTrue(sent.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n"))
        self.assertIn(b"\r\nAllow: OPTIONS\r\n", sent)


class LiveRequestTests(LiveTestCase):
    http = "fast"

    async def test_a_file_is_sent_piece_by_piece_as_the_client_reads(self) -> None:
        """By a producer that is pulled, which the transport asks for more."""
        path = FilePath(self.mktemp())
        content = bytes(range(256)) * 8000
        path.setContent(content)
        file: Any = File(path.path)
        file.isLeaf = True
        site = FakeSite(file, reactor=reactor, max_body=9, seconds=lambda: 0.0)
        limits = Limits(body=9, drained=9)
        front = Front(site, NoAnswers(), reactor=reactor, limits=limits)
        anywhere: Any = reactor
        port = anywhere.listenTCP(0, front, interface="127.0.0.1")
        self.addCleanup(port.stopListening)
        connection: Connection = await connect(f"http://127.0.0.1:{port.getHost().port}")
        for _ in range(2):
            connection.received = b""
            connection.send(b"GET /a HTTP/1.1\r\nHost: h\r\n\r\n")
            self.assertEqual(split(await connection.until(is_whole))[2], content)
        await connection.close()
        await until_closed(front)

    async def test_what_was_asked_before_is_answered_alike(self) -> None:
        """The first of a kind goes through Klein, and all others past it."""
        url = self.serve(prefix=["*"])
        for method, path, body in [
            ("POST", CHAT, asking()),
            ("POST", "/any/where" + CHAT, asking()),
            ("POST", CHAT, asking(n=0)),
            ("GET", "/v1/models", None),
            ("GET", "/v1/models/fake-model", None),
            ("GET", "/v1/models/other%2Fmodel", None),
            ("GET", "/health", None),
            ("GET", "/nonesuch", None),
            ("PUT", CHAT, None),
            ("OPTIONS", CHAT, None),
            ("GET", "/_fakellm/gates", None),
        ]:
            told = []
            for _ in range(3):
                response = await self.client.request(method, url + path, json=body)
                names = sorted(name.lower() for name, _ in response.headers.getAllRawHeaders())
                told.append((response.code, names, len(await response.content())))
            self.assertEqual(len({repr(each) for each in told}), 1, (path, told))


class NoAnswers:
    """Nobody who answers before the resource is asked."""

    def handler(self, exchange: Any) -> None:  # noqa: ARG002 -- as `Answers` has it
        return None

    def refuse_exchange(self, exchange: Any, status: int, message: str) -> object:
        raise AssertionError((exchange, status, message))


async def until_closed(front: Front) -> None:
    """Let the reactor turn until a front watches over no connection."""
    from twisted.internet.task import deferLater  # noqa: PLC0415

    anywhere: Any = reactor
    while front.overdue._watched:
        await deferLater(anywhere, 0)
