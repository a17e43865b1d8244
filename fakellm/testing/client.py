"""What steers a server and tells what it was asked: `Client`, whose methods block."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, Self, TypeVar, Unpack

from fakellm.testing import calls
from fakellm.testing.calls import Call
from fakellm.testing.environment import SESSION_KEY, variables
from fakellm.testing.transports import HTTPTransport, Transport

T = TypeVar("T")


class Gate:
    """A gate at which rules hold answers.

    Attributes:
        name: of the gate.
    """

    def __init__(self, client: "Client", name: str) -> None:
        self._client = client
        self.name = name

    @property
    def state(self) -> calls.GateState:
        """Who waits there, and what became of those that came."""
        return self._client.call(calls.gate(self._client.session, self.name))

    @property
    def waiting(self) -> int:
        """How many answers wait there."""
        return self.state.waiting

    def wait(self, waiting: int = 1, *, timeout: float = 5.0) -> calls.GateState:
        """Wait until so many answers are there, for so many seconds of real time at most.

        Raises:
            ControlError: they did not come (408).
        """
        return self._client.call(
            calls.gate(self._client.session, self.name, waiting=waiting, timeout=timeout)
        )

    def release(self, count: int | None = None) -> calls.GateState:
        """Let the first so many answers go on for good, or all of them."""
        return self._client.call(calls.release(self._client.session, self.name, count))

    def step(self, chunks: int = 1) -> calls.GateState:
        """Let so many chunks of each answer through."""
        return self._client.call(calls.step(self._client.session, self.name, chunks))

    def abort(self) -> calls.GateState:
        """Break off the connections of the answers that wait there."""
        return self._client.call(calls.abort(self._client.session, self.name))


class Client:
    """Steers a server, and tells what it was asked.

    Everything is about one session, where there is one: its rules, requests, gates and states; a
    client without one is about the whole server.

    Args:
        url: the server's, without a path: ``http://127.0.0.1:3500``.
        session: the name of a session.
        token: the server's ``--control-token``, if it has one.
        transport: the way to the server; over a socket by default.

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
        transport: Transport | None = None,
    ) -> None:
        self.url = url.rstrip("/")
        self.session = session
        self._token = token
        self._transport = HTTPTransport(self.url) if transport is None else transport

    @property
    def openai_url(self) -> str:
        """What the SDKs of OpenAI take as their base URL."""
        return f"{self.url}/v1"

    @property
    def api_key(self) -> str:
        """What SDKs take as their API key; it names the session."""
        return SESSION_KEY + (self.session or "default")

    @property
    def environ(self) -> dict[str, str]:
        """The variables of the environment that lead the vendors' SDKs to the server."""
        return variables(self.url, self.api_key)

    def in_session(self, session: str | None) -> "Client":
        """The same server, for a session; ``None`` is the whole server."""
        return Client(self.url, session=session, token=self._token, transport=self._transport)

    def call(self, call: Call[T]) -> T:
        """Make a call of `fakellm.testing.calls`.

        Raises:
            ControlError: the server did not do it; the text says why.
            NotVerified: what was to be verified does not hold.
            Unreachable: there is no answer.
        """
        status, content_type, body = self._transport.send(
            call.method, call.path, calls.headers(self._token, call), call.body, call.waits
        )
        return calls.answer_of(call, status, content_type, body)

    # -- time and gates

    @property
    def clock(self) -> calls.Time:
        """The time of a virtual clock."""
        return self.call(calls.clock())

    def advance(
        self, seconds: float | None = None, *, to: Literal["next", "idle"] | None = None
    ) -> calls.Time:
        """Let time pass on a virtual clock: ``advance(1.5)``, ``advance(to="idle")``.

        Returns:
            The time, after everything that became due has been written.

        Raises:
            ControlError: the clock is real, or never comes to rest.
            TypeError: neither is given, or both.
        """
        return self.call(calls.advance(seconds, to))

    def gate(self, name: str) -> Gate:
        """A gate at which rules hold answers: see who waits there, and let them go on."""
        return Gate(self, name)

    @property
    def gates(self) -> list[calls.GateState]:
        """The gates that there have been."""
        return self.call(calls.gates(self.session))
