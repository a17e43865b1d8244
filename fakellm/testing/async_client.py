"""What steers a server and tells what it was asked: `AsyncClient`, whose methods are awaited.

It has the words of `fakellm.testing.client.Client`, for code that runs on Twisted's reactor. With
asyncio, await them on Twisted's reactor for it, or use `Client`, whose calls take a millisecond.
"""

import os
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from http import HTTPStatus
from pathlib import Path
from typing import Any, Literal, Self, Unpack

from treq.client import HTTPClient
from twisted.internet.defer import Deferred, DeferredQueue
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure
from twisted.web.client import Agent, HTTPConnectionPool
from twisted.web.http_headers import Headers

from fakellm.faults.spec import FaultItem
from fakellm.journal.records import Figures, JournalEntry, JournalEvent, Snapshot
from fakellm.scenarios import schema
from fakellm.scenarios.words import Conditions, Test
from fakellm.testing import calls
from fakellm.testing.calls import Call, T
from fakellm.testing.documents import (
    Faults,
    GateState,
    LimitState,
    OrderedFaults,
    RuleState,
    ScenarioPut,
    Session,
    Source,
    States,
    Time,
    Verified,
)
from fakellm.testing.environment import SESSION_KEY, variables
from fakellm.testing.errors import BadScenarioText, Unreachable
from fakellm.testing.events import Feed, Kind
from fakellm.testing.matching import Filters, Matching, match_of
from fakellm.testing.rulemaking import AsyncRemove, SendingRuleMaker, conditions_of
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
            ControlError: they did not come (408), or what they are awaited for was reset (409).
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


class AsyncEvents:
    """The live feed, while an ``async with`` lasts: an iterator that waits for the next event.

    Attributes:
        dropped: how many events were not told, as nobody read them in time.
    """

    def __init__(self, begin: Callable[[], Awaitable[Any]]) -> None:
        self._begin = begin
        self._feed = Feed()
        self._events: deque[JournalEvent] = deque()
        self._reader = _Reader()

    @property
    def dropped(self) -> int:  # noqa: D102 -- see the class
        return self._feed.dropped

    async def __aenter__(self) -> Self:
        response = await self._begin()
        if response.code != HTTPStatus.OK:
            raise Unreachable(f"there is no feed of events: {response.code}")
        response.deliverBody(self._reader)
        # a greeting: from now on, everything is told
        self._events.extend(self._feed.take(await self._reader.pieces.get()))
        return self

    async def __aexit__(self, *_: object) -> None:
        self._reader.leave()
        await self._reader.left

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> JournalEvent:
        while not self._events:
            piece = await self._reader.pieces.get()
            if not piece:
                raise StopAsyncIteration
            self._events.extend(self._feed.take(piece))
        return self._events.popleft()


class _Reader(Protocol):
    """Reads a body; an empty piece is its end."""

    def __init__(self) -> None:
        self.pieces: DeferredQueue[bytes] = DeferredQueue()
        self.left: Deferred[None] = Deferred()

    def dataReceived(self, data: bytes) -> None:  # noqa: N802 -- Twisted's name
        self.pieces.put(data)

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002, N802
        self.pieces.put(b"")
        if not self.left.called:
            self.left.callback(None)

    def leave(self) -> None:
        if self.transport is not None:
            self.transport.loseConnection()


def _headers(found: Mapping[str, str]) -> Headers:
    return Headers({name: [value] for name, value in found.items()})


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
        token: as given.
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
        self.token = token
        self._client = client

    async def call(self, call: Call[T]) -> T:
        """Make a call of `fakellm.testing.calls`.

        Raises:
            ControlError: the server did not do it; the text says why.
            NotVerified: what was to be verified does not hold.
        """
        response = await self._asking().request(
            call.method,
            self.url + call.path,
            data=call.body,
            headers=_headers(calls.headers(self.token, call.media_type if call.body else None)),
            timeout=call.waits + TAKES_AT_MOST_SECONDS,
        )
        content_type = response.headers.getRawHeaders("content-type", [""])[0]
        return calls.answer_of(call, response.code, content_type, await response.content())

    def _asking(self) -> HTTPClient:
        if self._client is None:
            self._client = http_client()
        return self._client

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

    def in_session(self, session: str | None) -> "AsyncClient":
        """The same server, for a session; ``None`` is the whole server."""
        return AsyncClient(self.url, session=session, token=self.token, client=self._client)

    # -- time and gates

    async def clock(self) -> Time:
        """The time of a virtual clock."""
        return await self.call(calls.clock())

    async def advance(
        self, seconds: float | None = None, *, to: Literal["next", "idle"] | None = None
    ) -> Time:
        """Let time pass on a virtual clock: ``advance(1.5)``, ``advance(to="idle")``."""
        return await self.call(calls.advance(seconds, to))

    def gate(self, name: str) -> AsyncGate:
        """A gate at which rules hold answers: see who waits there, and let them go on."""
        return AsyncGate(self, name)

    async def gates(self) -> list[GateState]:
        """The gates that there have been."""
        return await self.call(calls.gates(self.session))

    # -- rules

    def when(
        self, test: Test | None = None, /, **conditions: Unpack[Conditions]
    ) -> SendingRuleMaker[Coroutine[Any, Any, AsyncRemove]]:
        """Begin a rule: ``remove = await llm.when(user="hello").reply("Hi")``.

        What that gives removes the rule again: ``await remove()``.
        """

        async def send(rule: schema.Rule) -> AsyncRemove:
            added = await self.add(rule)
            return lambda: self.delete_rule(added.id)

        return SendingRuleMaker(send, conditions_of(test, conditions))

    async def add(self, rule: schema.Rule) -> RuleState:
        """Add a rule, after those added before it."""
        return await self.call(calls.add_rule(self.session, rule))

    async def rules(self, source: Source | None = None) -> list[RuleState]:
        """The rules in force, in the order of trying, and how often each has answered."""
        return await self.call(calls.rules(self.session, source))

    async def rule(self, id: str) -> RuleState:  # noqa: A002 -- its name
        """One rule."""
        return await self.call(calls.rule(self.session, id))

    async def replace_rule(self, id: str, rule: schema.Rule) -> RuleState:  # noqa: A002
        """Put a rule in the place of one that was added; its counts begin anew."""
        return await self.call(calls.replace_rule(id, rule))

    async def delete_rule(self, id: str) -> None:  # noqa: A002 -- its name
        """Delete a rule that was added."""
        await self.call(calls.delete_rule(id))

    async def delete_rules(self) -> int:
        """Delete all rules that were added; how many they were."""
        return await self.call(calls.delete_rules(self.session))

    async def put(self, scenario: str) -> ScenarioPut:
        """Put a scenario, a whole text of YAML, in the place of the one that was put before."""
        return await self.call(calls.put_scenario(self.session, scenario))

    async def load(self, path: str | os.PathLike[str]) -> ScenarioPut:
        """Put the scenario of a file."""
        try:
            return await self.put(Path(path).read_text(encoding="utf-8"))  # noqa: ASYNC240 -- small
        except BadScenarioText as bad:
            raise bad.of(str(path)) from None

    async def scenario(self) -> str:
        """The text of the scenario that was put."""
        return await self.call(calls.scenario(self.session))

    async def delete_scenario(self) -> int:
        """Delete the scenario that was put; how many there were: 0 or 1."""
        return await self.call(calls.delete_scenario(self.session))

    # -- faults, limits, states

    async def fault(self, *faults: FaultItem, requests: int | None = 1) -> OrderedFaults:
        """Have something go wrong in the next so many requests, or in all."""
        return await self.call(calls.order_faults(self.session, faults, requests))

    async def faults(self) -> Faults:
        """The faults that are to come, and how often each has struck."""
        return await self.call(calls.faults(self.session))

    async def delete_faults(self, id: str | None = None) -> int:  # noqa: A002 -- its name
        """Delete faults that are to come, or all of them; how many they were."""
        return await self.call(calls.delete_faults(self.session, id))

    async def limits(self) -> list[LimitState]:
        """How clients stand with the limits of requests and tokens."""
        return await self.call(calls.limits(self.session))

    async def reset_limits(self) -> int:
        """Forget what was counted; of how many clients, of each limit."""
        return await self.call(calls.reset_limits(self.session))

    async def state(self) -> str:
        """The state of the session, as rules with ``set_state`` and ``state`` know it."""
        return (await self.states()).state

    async def states(self) -> States:
        """The states of the session's conversations."""
        return await self.call(calls.states(self.session))

    async def set_state(self, state: str, conversation: str = "") -> States:
        """Set the state of a conversation, where the setting ``conversation`` names them."""
        return await self.call(calls.set_state(self.session, state, conversation))

    # -- requests

    async def requests(self) -> list[JournalEntry]:
        """What was asked, and what became of it, the oldest first; what the journal still has."""
        return (await self.call(calls.requests(self.session, calls.ALL, {}))).requests

    async def find(
        self, *, last: int = calls.ALL, **filters: Unpack[Filters]
    ) -> list[JournalEntry]:
        """The requests of a dialect, an endpoint, a model, a status, a rule, or with a text."""
        return (await self.call(calls.requests(self.session, last, filters))).requests

    async def request(self, id: str) -> JournalEntry:  # noqa: A002 -- its name
        """One request, by the id that its client was told (``x-request-id`` and its like)."""
        return await self.call(calls.request(id))

    async def wait_for(
        self,
        count: int = 1,
        *,
        timeout: float = 5.0,  # noqa: ASYNC109 -- the server's
        **match: Unpack[Matching],
    ) -> list[JournalEntry]:
        """Wait until so many requests match, for so many seconds of real time at most."""
        return await self.call(calls.wait_for(self.session, match_of(match), count, timeout))

    async def verify(
        self,
        *,
        count: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
        in_order: Sequence[Matching] = (),
        **match: Unpack[Matching],
    ) -> Verified:
        """See that requests have come: ``llm.verify(user=contains("hello"), count=2)``."""
        return await self.call(
            calls.verify(
                self.session,
                match,
                in_order,
                {"count": count, "at_least": at_least, "at_most": at_most},
            )
        )

    async def snapshot(self, id: str) -> Snapshot:  # noqa: A002 -- its name
        """A request with all that changes from run to run masked, for golden files."""
        return await self.call(calls.snapshot(id))

    async def snapshots(
        self, *, last: int = calls.ALL, **filters: Unpack[Filters]
    ) -> list[Snapshot]:
        """Requests with all that changes from run to run masked, the oldest first."""
        return await self.call(calls.snapshots(self.session, last, filters))

    async def delete_requests(self) -> int:
        """Delete what the journal has; how many there were."""
        return await self.call(calls.delete_requests(self.session))

    async def journal(self) -> Figures:
        """How full the server's journal is."""
        return await self.call(calls.journal())

    def events(self, kind: Kind | None = None) -> "AsyncEvents":
        """Follow what happens: ``async with llm.events() as events: async for event in events``."""
        path = calls.events_path(self.session, kind)
        return AsyncEvents(
            lambda: self._asking().get(
                self.url + path, headers=_headers(calls.headers(self.token)), unbuffered=True
            )
        )

    async def metrics(self) -> str:
        """The figures of the whole server, as Prometheus reads them."""
        return await self.call(calls.metrics())

    # -- sessions

    async def sessions(self) -> list[Session]:
        """The sessions that there are, those used last at the end."""
        return await self.call(calls.sessions())

    async def session_state(self, name: str) -> Session:
        """One session."""
        return await self.call(calls.session(name))

    async def drop(self) -> None:
        """Forget the client's session and all it has; what waits at its gates is broken off."""
        await self.call(calls.drop(self.session or "default"))

    async def reset(self) -> list[str]:
        """Let the session, or the whole server, start afresh; the sessions that do."""
        return await self.call(calls.reset(self.session))

    # -- the server

    async def settings(self) -> dict[str, Any]:
        """What the server was started with, secrets masked."""
        return await self.call(calls.settings())

    async def openapi(self) -> dict[str, Any]:
        """The description of the control API, of OpenAPI 3.1."""
        return await self.call(calls.openapi())
