"""The routes of gates: see who waits there, and let answers go on."""

from collections.abc import Awaitable, Callable
from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType
from twisted.internet.defer import Deferred

from fakellm.engine.gates import Gate, Gates
from fakellm.scenarios.sessions import StartedAfresh
from fakellm.web.control.problems import Problem, started_afresh
from fakellm.web.control.routes import Call, Empty, Route, SessionName

WAITED_AT_MOST_SECONDS = 60.0

InTime = Callable[[Deferred[None], float], Awaitable[bool]]
"""Waits for a Deferred, but no more than so many real seconds; whether it fired."""

Timeout = Annotated[
    float,
    Meta(ge=0, le=WAITED_AT_MOST_SECONDS, description="Wait so many seconds of real time."),
]


class OfGates(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose gates."""

    session: Annotated[SessionName | None, Meta(description="Only those of this session.")] = None


class WhoseGate(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose gate."""

    session: Annotated[SessionName, Meta(description="Whose gate it is.")] = "default"


class AwaitGate(WhoseGate, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose gate, and how many answers have to wait there."""

    waiting: Annotated[
        int, Meta(ge=0, description="Answer once so many answers wait at the gate.")
    ] = 0
    timeout: Timeout = 5.0


class Release(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which answers go on for good."""

    count: Annotated[
        Annotated[int, Meta(ge=1)] | UnsetType,
        Meta(description="The first so many; without it, all."),
    ] = UNSET


class Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far answers go on."""

    chunks: Annotated[int, Meta(ge=1, description="So many chunks of each.")] = 1


class GateState(Struct, frozen=True, kw_only=True):
    """A gate, and what became of the answers that came there."""

    name: str
    session: Annotated[str, Meta(description="Whose gate it is.")]
    waiting: Annotated[int, Meta(description="Answers that wait there.")]
    released: Annotated[int, Meta(description="Answers that were let through.")]
    left: Annotated[int, Meta(description="Clients that went while their answer waited.")]
    aborted: Annotated[int, Meta(description="Answers that were broken off at it.")]
    let_go: Annotated[
        int | UnsetType, Meta(description="How many answers were just let go or broken off.")
    ] = UNSET


class GateList(Struct, frozen=True, kw_only=True):
    """Gates."""

    gates: list[GateState]


class GateRoutes:
    """Routes of the gates of a server."""

    def __init__(self, gates: Gates, in_time: InTime) -> None:
        self._gates = gates
        self._in_time = in_time

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/gates",
                summary="List the gates that there have been.",
                handle=self._list,
                query=OfGates,
                answer=GateList,
            ),
            Route(
                method="GET",
                path="/gates/{name}",
                summary="Show a gate, at once or when so many answers wait there.",
                handle=self._show,
                query=AwaitGate,
                answer=GateState,
                problems=(408, 409),
            ),
            Route(
                method="POST",
                path="/gates/{name}/release",
                summary="Let the answers that wait at a gate go on for good.",
                handle=self._release,
                query=WhoseGate,
                body=Release,
                answer=GateState,
            ),
            Route(
                method="POST",
                path="/gates/{name}/step",
                summary="Let some chunks of each answer at a gate through.",
                handle=self._step,
                query=WhoseGate,
                body=Step,
                answer=GateState,
            ),
            Route(
                method="POST",
                path="/gates/{name}/abort",
                summary="Break off the connections of the answers that wait at a gate.",
                handle=self._abort,
                query=WhoseGate,
                body=Empty,
                answer=GateState,
            ),
        ]

    async def _list(self, call: Call) -> GateList:
        session = call.query.session
        found = [each for each in self._gates.all() if session in {None, each.session}]
        return GateList(gates=[_state(each) for each in found])

    async def _show(self, call: Call) -> GateState:
        asked: AwaitGate = call.query
        gate = self._gate(call)
        if gate.waiting < asked.waiting:
            try:
                there = await self._in_time(gate.when_waiting(asked.waiting), asked.timeout)
            except StartedAfresh as error:
                raise started_afresh(f"answers at the gate {gate.name!r}") from error
            if not there:
                raise Problem(
                    408,
                    f"after {asked.timeout:g} s, {gate.waiting} answers wait at the gate"
                    f" {gate.name!r}, not {asked.waiting}",
                )
            await call.written()
        return _state(gate)

    async def _release(self, call: Call) -> GateState:
        count = call.body.count
        return await self._opened(
            call, lambda gate: gate.release(None if count is UNSET else count)
        )

    async def _step(self, call: Call) -> GateState:
        return await self._opened(call, lambda gate: gate.step(call.body.chunks))

    async def _abort(self, call: Call) -> GateState:
        return await self._opened(call, Gate.abort)

    async def _opened(self, call: Call, how: Callable[[Gate], int]) -> GateState:
        gate = self._gate(call)
        let_go = how(gate)
        await call.written()
        return _state(gate, let_go)

    def _gate(self, call: Call) -> Gate:
        return self._gates.gate(call.names["name"], call.query.session)


def _state(gate: Gate, let_go: int | UnsetType = UNSET) -> GateState:
    return GateState(
        name=gate.name,
        session=gate.session,
        waiting=gate.waiting,
        released=gate.released,
        left=gate.left,
        aborted=gate.aborted,
        let_go=let_go,
    )
