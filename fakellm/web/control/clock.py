"""The routes of the clock: tell the time, and let it pass where it is virtual."""

from typing import Annotated, Literal

from msgspec import UNSET, Meta, Struct, UnsetType
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import Clock

from fakellm.engine.clock import NeverIdle, to_idle, to_next
from fakellm.web.control.problems import Problem
from fakellm.web.control.routes import Call, Route

_ADVANCED_AT_MOST_SECONDS = 1e9


class Advance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How far to go: one of the two."""

    seconds: Annotated[
        Annotated[float, Meta(ge=0, le=_ADVANCED_AT_MOST_SECONDS)] | UnsetType,
        Meta(description="By so many seconds."),
    ] = UNSET
    to: Annotated[
        Literal["next", "idle"] | UnsetType,
        Meta(description="To the next call, or until there is nothing left to come."),
    ] = UNSET


class Time(Struct, frozen=True, kw_only=True):
    """The time of the server's clock."""

    now: Annotated[float, Meta(description="Seconds since its start.")]
    pending: Annotated[int, Meta(description="How many calls are to come.")]


class ClockRoutes:
    """Routes of a clock; it is advanced if it is a `twisted.internet.task.Clock`."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/clock",
                summary="Tell the time of a virtual clock.",
                handle=self._tell,
                answer=Time,
                problems=(409,),
            ),
            Route(
                method="POST",
                path="/clock/advance",
                summary="Let time pass; all that becomes due is written before the answer comes.",
                handle=self._advance,
                body=Advance,
                answer=Time,
                problems=(409,),
            ),
        ]

    async def _tell(self, _: Call) -> Time:
        return _time(self._virtual())

    async def _advance(self, call: Call) -> Time:
        asked: Advance = call.body
        if (asked.seconds is UNSET) == (asked.to is UNSET):
            raise Problem(400, 'the body needs one of "seconds" and "to"')
        clock = self._virtual()
        try:
            if asked.seconds is not UNSET:
                clock.advance(asked.seconds)
            elif asked.to == "next":
                to_next(clock)
            else:
                to_idle(clock)
        except NeverIdle as error:
            raise Problem(409, str(error)) from error
        await call.written()
        return _time(clock)

    def _virtual(self) -> Clock:
        if not isinstance(self._clock, Clock):
            raise Problem(409, "the server's clock is real; start it with --clock virtual")
        return self._clock


def _time(clock: Clock) -> Time:
    return Time(now=clock.seconds(), pending=len(clock.getDelayedCalls()))
