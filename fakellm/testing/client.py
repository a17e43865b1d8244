"""What steers a server and tells what it was asked: `Client`, whose methods block."""

import os
from collections import deque
from collections.abc import Callable, Generator, Sequence
from pathlib import Path
from typing import Any, Literal, Self, TypeVar, Unpack

from fakellm.faults.spec import FaultItem
from fakellm.journal.records import Figures, JournalEntry, JournalEvent, Snapshot
from fakellm.scenarios import schema
from fakellm.scenarios.words import Conditions, Test
from fakellm.testing import calls
from fakellm.testing.calls import Call
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
from fakellm.testing.errors import BadScenarioText
from fakellm.testing.events import Feed, Kind
from fakellm.testing.matching import Filters, Matching, match_of
from fakellm.testing.rulemaking import Remove, SendingRuleMaker, conditions_of
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
    def state(self) -> GateState:
        """Who waits there, and what became of those that came."""
        return self._client.call(calls.gate(self._client.session, self.name))

    @property
    def waiting(self) -> int:
        """How many answers wait there."""
        return self.state.waiting

    def wait(self, waiting: int = 1, *, timeout: float = 5.0) -> GateState:
        """Wait until so many answers are there, for so many seconds of real time at most.

        Raises:
            ControlError: they did not come (408), or what they are awaited for was reset (409).
        """
        return self._client.call(
            calls.gate(self._client.session, self.name, waiting=waiting, timeout=timeout)
        )

    def release(self, count: int | None = None) -> GateState:
        """Let the first so many answers go on for good, or all of them."""
        return self._client.call(calls.release(self._client.session, self.name, count))

    def step(self, chunks: int = 1) -> GateState:
        """Let so many chunks of each answer through."""
        return self._client.call(calls.step(self._client.session, self.name, chunks))

    def abort(self) -> GateState:
        """Break off the connections of the answers that wait there."""
        return self._client.call(calls.abort(self._client.session, self.name))


class Events:
    """The live feed, while a ``with`` lasts: an iterator that waits for the next event.

    Attributes:
        dropped: how many events were not told, as nobody read them in time.
    """

    def __init__(self, pieces: Callable[[], Generator[bytes, None, None]]) -> None:
        self._begin = pieces
        self._feed = Feed()
        self._events: deque[JournalEvent] = deque()

    @property
    def dropped(self) -> int:  # noqa: D102 -- see the class
        return self._feed.dropped

    def __enter__(self) -> Self:
        self._pieces = self._begin()
        # a greeting: from now on, everything is told
        self._events.extend(self._feed.take(next(self._pieces)))
        return self

    def __exit__(self, *_: object) -> None:
        self._pieces.close()

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> JournalEvent:
        while not self._events:
            self._events.extend(self._feed.take(next(self._pieces)))
        return self._events.popleft()


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
        token: as given.
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
        self.token = token
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
        return Client(self.url, session=session, token=self.token, transport=self._transport)

    def call(self, call: Call[T]) -> T:
        """Make a call of `fakellm.testing.calls`.

        Raises:
            ControlError: the server did not do it; the text says why.
            NotVerified: what was to be verified does not hold.
            Unreachable: there is no answer.
        """
        status, content_type, body = self._transport.send(
            call.method,
            call.path,
            calls.headers(self.token, call.media_type if call.body else None),
            call.body,
            call.waits,
        )
        return calls.answer_of(call, status, content_type, body)

    # -- time and gates

    @property
    def clock(self) -> Time:
        """The time of a virtual clock."""
        return self.call(calls.clock())

    def advance(
        self, seconds: float | None = None, *, to: Literal["next", "idle"] | None = None
    ) -> Time:
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
    def gates(self) -> list[GateState]:
        """The gates that there have been."""
        return self.call(calls.gates(self.session))

    # -- rules

    def when(
        self, test: Test | None = None, /, **conditions: Unpack[Conditions]
    ) -> SendingRuleMaker[Remove]:
        """Begin a rule, which comes before those of files, with the words of `fakellm.FakeLLM`.

        ``llm.when(user=contains("hello"), step=1).reply(text("Hi"))``: by name the conditions that
        a scenario file has. What ``reply`` gives removes the rule again.

        Raises:
            TypeError: a condition has a name that none has, or a value that none takes, or is a
                function, which the server's process cannot call.
        """

        def send(rule: schema.Rule) -> Remove:
            added = self.add(rule)
            return lambda: self.delete_rule(added.id)

        return SendingRuleMaker(send, conditions_of(test, conditions))

    def add(self, rule: schema.Rule) -> RuleState:
        """Add a rule, after those added before it."""
        return self.call(calls.add_rule(self.session, rule))

    def rules(self, source: Source | None = None) -> list[RuleState]:
        """The rules in force, in the order of trying, and how often each has answered."""
        return self.call(calls.rules(self.session, source))

    def rule(self, id: str) -> RuleState:  # noqa: A002 -- its name
        """One rule.

        Raises:
            ControlError: there is none (404).
        """
        return self.call(calls.rule(self.session, id))

    def replace_rule(self, id: str, rule: schema.Rule) -> RuleState:  # noqa: A002 -- its name
        """Put a rule in the place of one that was added; its counts begin anew.

        Raises:
            ControlError: there is none (404), or it was not added by a client (409).
        """
        return self.call(calls.replace_rule(id, rule))

    def delete_rule(self, id: str) -> None:  # noqa: A002 -- its name
        """Delete a rule that was added.

        Raises:
            ControlError: there is none (404), or it was not added by a client (409).
        """
        self.call(calls.delete_rule(id))

    def delete_rules(self) -> int:
        """Delete all rules that were added; how many they were."""
        return self.call(calls.delete_rules(self.session))

    def put(self, scenario: str) -> ScenarioPut:
        """Put a scenario, a whole text of YAML, in the place of the one that was put before.

        Raises:
            BadScenarioText: it is wrong; all mistakes are told, with line and column.
        """
        return self.call(calls.put_scenario(self.session, scenario))

    def load(self, path: str | os.PathLike[str]) -> ScenarioPut:
        """Put the scenario of a file.

        Raises:
            BadScenarioText: it is wrong; all mistakes are told, as ``file:line:column: message``.
            OSError: it cannot be read.
        """
        try:
            return self.put(Path(path).read_text(encoding="utf-8"))
        except BadScenarioText as bad:
            raise bad.of(str(path)) from None

    @property
    def scenario(self) -> str:
        """The text of the scenario that was put.

        Raises:
            ControlError: none was (404).
        """
        return self.call(calls.scenario(self.session))

    def delete_scenario(self) -> int:
        """Delete the scenario that was put; how many there were: 0 or 1."""
        return self.call(calls.delete_scenario(self.session))

    # -- faults, limits, states

    def fault(self, *faults: FaultItem, requests: int | None = 1) -> OrderedFaults:
        """Have something go wrong in the next request: ``llm.fault("reset after 3")``.

        Args:
            *faults: in short, or made by `fakellm.fault`; they strike together.
            requests: for how many requests; ``None`` is all until it is deleted.

        Raises:
            BadScenarioText: one is no fault.
        """
        return self.call(calls.order_faults(self.session, faults, requests))

    @property
    def faults(self) -> Faults:
        """The faults that are to come, and how often each has struck."""
        return self.call(calls.faults(self.session))

    def delete_faults(self, id: str | None = None) -> int:  # noqa: A002 -- its name
        """Delete faults that are to come, or all of them; how many they were.

        Raises:
            ControlError: there are none of this id (404).
        """
        return self.call(calls.delete_faults(self.session, id))

    @property
    def limits(self) -> list[LimitState]:
        """How clients stand with the limits of requests and tokens."""
        return self.call(calls.limits(self.session))

    def reset_limits(self) -> int:
        """Forget what was counted; of how many clients, of each limit."""
        return self.call(calls.reset_limits(self.session))

    @property
    def state(self) -> str:
        """The state of the session, as rules with ``set_state`` and ``state`` know it."""
        return self.states.state

    @state.setter
    def state(self, state: str) -> None:
        self.set_state(state)

    @property
    def states(self) -> States:
        """The states of the session's conversations."""
        return self.call(calls.states(self.session))

    def set_state(self, state: str, conversation: str = "") -> States:
        """Set the state of a conversation, where the setting ``conversation`` names them."""
        return self.call(calls.set_state(self.session, state, conversation))

    # -- requests

    @property
    def requests(self) -> list[JournalEntry]:
        """What was asked, and what became of it, the oldest first; what the journal still has."""
        return self.call(calls.requests(self.session, calls.ALL, {})).requests

    def find(self, *, last: int = calls.ALL, **filters: Unpack[Filters]) -> list[JournalEntry]:
        """The requests of a dialect, an endpoint, a model, a status, a rule, or with a text."""
        return self.call(calls.requests(self.session, last, filters)).requests

    def request(self, id: str) -> JournalEntry:  # noqa: A002 -- its name
        """One request, by the id that its client was told (``x-request-id`` and its like).

        Raises:
            ControlError: there is none (404).
        """
        return self.call(calls.request(id))

    def wait_for(
        self, count: int = 1, *, timeout: float = 5.0, **match: Unpack[Matching]
    ) -> list[JournalEntry]:
        """Wait until so many requests match, for so many seconds of real time at most.

        Those that came before count. By name come the conditions of rules, and those of a match:
        ``status``, ``rule``, ``ended``, ...

        Raises:
            ControlError: they did not come (408), or what they are awaited for was reset (409).
        """
        return self.call(calls.wait_for(self.session, match_of(match), count, timeout))

    def verify(
        self,
        *,
        count: int | None = None,
        at_least: int | None = None,
        at_most: int | None = None,
        in_order: Sequence[Matching] = (),
        **match: Unpack[Matching],
    ) -> Verified:
        """See that requests have come: ``llm.verify(user=contains("hello"), count=2)``.

        By name come the conditions of rules, and those of a match: ``status``, ``rule``, ...

        Args:
            count: exactly so many; without any number, at least one.
            at_least: so many or more.
            at_most: so many or fewer.
            in_order: instead, a match for each of some requests in this order.
            **match: what the requests have to be.

        Raises:
            NotVerified: they have not; an `AssertionError` that tells the nearest ones.
        """
        return self.call(
            calls.verify(
                self.session,
                match,
                in_order,
                {"count": count, "at_least": at_least, "at_most": at_most},
            )
        )

    def snapshot(self, id: str) -> Snapshot:  # noqa: A002 -- its name
        """A request with all that changes from run to run masked, for golden files.

        Raises:
            ControlError: there is none (404).
        """
        return self.call(calls.snapshot(id))

    def snapshots(self, *, last: int = calls.ALL, **filters: Unpack[Filters]) -> list[Snapshot]:
        """Requests with all that changes from run to run masked, the oldest first."""
        return self.call(calls.snapshots(self.session, last, filters))

    def delete_requests(self) -> int:
        """Delete what the journal has; how many there were."""
        return self.call(calls.delete_requests(self.session))

    @property
    def journal(self) -> Figures:
        """How full the server's journal is."""
        return self.call(calls.journal())

    def events(self, kind: Kind | None = None) -> Events:
        """Follow what happens to requests: ``with llm.events() as events: for event in events``.

        Args:
            kind: only when a request has come (``received``), when a fault has ``struck`` its
                answer, when that is ``held`` at a gate or ``let_go``, or when it has ``ended``.
        """
        path = calls.events_path(self.session, kind)
        headers = calls.headers(self.token)
        return Events(lambda: self._transport.stream(path, headers))

    @property
    def metrics(self) -> str:
        """The figures of the whole server, as Prometheus reads them."""
        return self.call(calls.metrics())

    # -- sessions

    @property
    def sessions(self) -> list[Session]:
        """The sessions that there are, those used last at the end."""
        return self.call(calls.sessions())

    def session_state(self, name: str) -> Session:
        """One session.

        Raises:
            ControlError: there is none (404).
        """
        return self.call(calls.session(name))

    def drop(self) -> None:
        """Forget the client's session and all it has; what waits at its gates is broken off.

        Raises:
            ControlError: it has never been used (404).
        """
        self.call(calls.drop(self.session or "default"))

    def reset(self) -> list[str]:
        """Let the session, or the whole server, start afresh; the sessions that do."""
        return self.call(calls.reset(self.session))

    # -- the server

    @property
    def settings(self) -> dict[str, Any]:
        """What the server was started with, secrets masked."""
        return self.call(calls.settings())

    @property
    def openapi(self) -> dict[str, Any]:
        """The description of the control API, of OpenAPI 3.1."""
        return self.call(calls.openapi())
