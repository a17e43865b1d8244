"""Servers in the process of a test: in memory, or listening in the same reactor.

Both are steered with the words of `Client`, in memory, so that no test has to wait for itself.
"""

from typing import Any

from treq.client import HTTPClient
from treq.testing import StubTreq
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock

from fakellm.assembly import FakeLLM
from fakellm.engine.clock import VirtualClock
from fakellm.testing.async_client import AsyncClient, http_client
from fakellm.testing.calls import Call, T
from fakellm.testing.client import Client
from fakellm.testing.environment import from_here
from fakellm.testing.memory import MemoryTransport

IN_MEMORY_URL = "http://127.0.0.1"
"""Where servers in memory say they are."""


class MemoryLLM(Client):
    """A server without a socket, on a virtual clock.

    Nothing happens by itself: an answer that takes time goes on when `advance` lets time pass.

    Args:
        clock: to share with what is tested; by default, it is its own.
        **settings: of the server, by the names of `fakellm.Config`'s fields.

    Attributes:
        server: the `fakellm.FakeLLM`; its ``when`` takes functions as well.
        client: a treq client that asks it, whatever the host of a URL.
    """

    def __init__(self, *, clock: Clock | None = None, **settings: Any) -> None:
        self.server = FakeLLM(clock=VirtualClock() if clock is None else clock, **settings)
        self.client: Any = StubTreq(self.server.resource)  # which makes its methods at run time
        self._memory = MemoryTransport(self.client, IN_MEMORY_URL)
        token = settings.get("control_token")
        super().__init__(IN_MEMORY_URL, token=token, transport=self._memory)

    def call(self, call: Call[T]) -> T:
        """Make a call, and deliver what follows from it; see `Client.call`."""
        answer = super().call(call)
        self.flush()
        return answer

    def flush(self) -> None:
        """Deliver what was written, such as more of a stream; after `advance` it is done."""
        self._memory.flush()


class LiveLLM(Client):
    """A server that listens on a free port of the loopback interface, in a reactor of this process.

    Args:
        reactor: to listen on; Twisted's installed one by default.
        **settings: of the server, by the names of `fakellm.Config`'s fields.

    Attributes:
        server: the `fakellm.FakeLLM`; its ``when`` takes functions as well.
        client: a treq client that leaves no connection behind.
        later: the same words for what has to be waited for, such as a gate: an `AsyncClient`.
    """

    def __init__(self, *, reactor: Any = None, **settings: Any) -> None:
        self.server = FakeLLM(reactor=reactor, **{"port": 0, "grace": 0, **settings})
        self.server.privilegedStartService()
        self.server.startService()
        url = from_here(self.server.urls[0])
        memory = MemoryTransport(StubTreq(self.server.resource), url)
        token = settings.get("control_token")
        super().__init__(url, token=token, transport=memory)
        self.client: HTTPClient = http_client(reactor)
        self.later = AsyncClient(url, token=token, client=self.client)

    def stopped(self) -> Deferred[None]:
        """End it, and break off answers that still run; fires when it has ended."""
        return self.server.stopService()
