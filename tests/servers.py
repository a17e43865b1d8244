"""Servers for tests: one that really listens, and one in memory on a clock of the test's own."""

import json
from typing import Any

from treq.client import HTTPClient
from treq.testing import StubTreq
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.client import Agent, HTTPConnectionPool

from fakellm import FakeLLM
from fakellm.dialects.framing import SseEvent, SseParser
from tests import fronts

HELLO: dict[str, Any] = {
    "model": "any-model",
    "messages": [{"role": "user", "content": "Say something"}],
}
"""The smallest request there is."""

CHAT = "/v1/chat/completions"


def asking(**fields: Any) -> dict[str, Any]:
    """`HELLO` with other or further fields."""
    return {**HELLO, **fields}


def events_of(body: bytes) -> list[SseEvent]:
    """The server-sent events of a whole body."""
    return SseParser().feed(body)


def chunks_of(body: bytes) -> list[dict[str, Any]]:
    """The chunks of a streamed answer, which has to end with ``[DONE]``."""
    *chunks, last = events_of(body)
    assert last.data == "[DONE]", last
    return [json.loads(chunk.data) for chunk in chunks]


class LiveTestCase(TestCase):
    """Tests against a server that listens on a free port of the loopback interface.

    Attributes:
        server: the one that was started last.
    """

    server: FakeLLM

    http: str = fronts.HTTP

    def setUp(self) -> None:
        pool = HTTPConnectionPool(reactor, persistent=False)
        self.client = HTTPClient(Agent(reactor, pool=pool))

    def serve(self, **settings: Any) -> str:
        """Start a server that ends with the test; its URL."""
        self.server = server = FakeLLM(**fronts.settings(**{"http": self.http, **settings}))
        server.privilegedStartService()
        server.startService()
        self.addCleanup(server.stopService)
        return server.urls[0]


class Answer:
    """An answer in memory; ``body`` is what has come of it so far."""

    def __init__(self, response: Any) -> None:
        self.status: int = response.code
        self.headers = response.headers
        self.body = b""
        self.ended: Deferred[None] = response.collect(self._more)

    def _more(self, data: bytes) -> None:
        self.body += data

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    def header(self, name: str) -> str | None:
        values = self.headers.getRawHeaders(name)
        return values[0] if values else None


class MemoryTestCase(SynchronousTestCase):
    """Tests against a server without a socket, whose time is the test's `clock`."""

    def setUp(self) -> None:
        self.clock = Clock()

    def serve(self, **settings: Any) -> None:
        """Make the server that `ask` asks; without it, one with default settings is made."""
        self.server = FakeLLM(clock=self.clock, **settings)
        self.client = StubTreq(self.server.resource)

    def request(self, method: str, path: str, body: bytes = b"", **kwargs: Any) -> Answer:
        """Send a request; the answer as far as it comes without the clock being advanced."""
        if not hasattr(self, "client"):
            self.serve()
        client: Any = self.client  # StubTreq makes its methods at run time
        asked = client.request(
            method, f"http://fakellm.example{path}", data=body, unbuffered=True, **kwargs
        )
        self.flush()
        answer = Answer(self.successResultOf(asked))
        self.flush()
        return answer

    def flush(self) -> None:
        """Deliver what was written."""
        for _ in range(3):
            self.client.flush()

    def ask(self, *, path: str = CHAT, **fields: Any) -> Answer:
        """Post `HELLO` with these fields."""
        return self.request("POST", path, json.dumps(asking(**fields)).encode())
