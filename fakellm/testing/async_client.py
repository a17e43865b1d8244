"""What steers a server and tells what it was asked: `AsyncClient`, whose methods are awaited.

It has the words of `fakellm.testing.client.Client`, for code that runs on Twisted's reactor. With
asyncio, await them on Twisted's reactor for it, or use `Client`, whose calls take a millisecond.
"""

from typing import Any

from treq.client import HTTPClient
from twisted.web.client import Agent, HTTPConnectionPool

from fakellm.testing import calls
from fakellm.testing.calls import Call, T
from fakellm.testing.documents import GateState
from fakellm.testing.transports import TAKES_AT_MOST_SECONDS


def http_client(reactor: Any = None) -> HTTPClient:
    """A treq client that leaves no connection behind.

    Args:
        reactor: its reactor; by default, the installed one.
    """
    if reactor is None:
        from twisted.internet import reactor  # noqa: PLC0415 -- importing it installs one
    return HTTPClient(Agent(reactor, pool=HTTPConnectionPool(reactor, persistent=False)))


class AsyncGate:
    """A gate at which rules hold answers; see `fakellm.testing.client.Gate`.

    Attributes:
        name: of the gate.
    """

    def __init__(self, client: "AsyncClient", name: str) -> None:
        self._client = client
        self.name = name

    async def state(self) -> GateState:
        """Who waits there, and what became of those that came."""
        return await self._client.call(calls.gate(self._client.session, self.name))

    async def waiting(self) -> int:
        """How many answers wait there."""
        return (await self.state()).waiting

    async def wait(self, waiting: int = 1, *, timeout: float = 5.0) -> GateState:  # noqa: ASYNC109
        """Wait until so many answers are there, for so many seconds of real time at most.

        Raises:
            ControlError: they did not come (408).
        """
        session = self._client.session
        return await self._client.call(
            calls.gate(session, self.name, waiting=waiting, timeout=timeout)
        )

    async def release(self, count: int | None = None) -> GateState:
        """Let the first so many answers go on for good, or all of them."""
        return await self._client.call(calls.release(self._client.session, self.name, count))

    async def step(self, chunks: int = 1) -> GateState:
        """Let so many chunks of each answer through."""
        return await self._client.call(calls.step(self._client.session, self.name, chunks))

    async def abort(self) -> GateState:
        """Break off the connections of the answers that wait there."""
        return await self._client.call(calls.abort(self._client.session, self.name))


class AsyncClient:
    """Steers a server, and tells what it was asked; see `fakellm.testing.client.Client`.

    Args:
        url: the server's, without a path.
        session: the name of a session.
        token: the server's ``--control-token``, if it has one.
        client: the treq client to ask with; by default one that leaves no connection behind, on the
            installed reactor.

    Attributes:
        url: as given.
        session: as given.
    """

    def __init__(
        self,
        url: str,
        *,
        session: str | None = None,
        token: str | None = None,
        client: HTTPClient | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.session = session
        self._token = token
        self._client = client

    async def call(self, call: Call[T]) -> T:
        """Make a call of `fakellm.testing.calls`.

        Raises:
            ControlError: the server did not do it; the text says why.
            NotVerified: what was to be verified does not hold.
        """
        if self._client is None:
            self._client = http_client()
        response = await self._client.request(
            call.method,
            self.url + call.path,
            data=call.body,
            headers=calls.headers(self._token, call),
            timeout=call.waits + TAKES_AT_MOST_SECONDS,
        )
        (content_type,) = response.headers.getRawHeaders("content-type", [""])[:1]
        return calls.answer_of(call, response.code, content_type, await response.content())
