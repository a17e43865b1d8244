"""The routes of limits: how clients stand with them, and to let them start afresh."""

from collections.abc import Callable
from typing import Annotated

from msgspec import Meta, Struct
from twisted.internet.interfaces import IReactorTime

from fakellm.engine.limits import Limits, LimitState
from fakellm.web.control.routes import Call, Deleted, OfSession, Route


class LimitList(Struct, frozen=True, kw_only=True):
    """How clients stand."""

    limits: Annotated[
        list[LimitState],
        Meta(description="For each limit, everybody who was counted; nobody else is listed."),
    ]


class LimitRoutes:
    """Routes of a server's limits.

    Args:
        limits: gives those that hold now.
        clock: that they count by.
    """

    def __init__(self, limits: Callable[[], Limits], clock: IReactorTime) -> None:
        self._limits = limits
        self._clock = clock

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/limits",
                summary="Show how clients stand with the limits of requests and tokens.",
                handle=self._list,
                query=OfSession,
                answer=LimitList,
            ),
            Route(
                method="DELETE",
                path="/limits",
                summary="Forget what was counted, of a session or of all.",
                handle=self._reset,
                query=OfSession,
                answer=Deleted,
            ),
        ]

    async def _list(self, call: Call) -> LimitList:
        return LimitList(limits=self._states(call))

    async def _reset(self, call: Call) -> Deleted:
        count, session = len(self._states(call)), call.query.session
        if session is None:
            self._limits().reset()
        else:
            self._limits().forget(session)
        return Deleted(deleted=count)

    def _states(self, call: Call) -> list[LimitState]:
        return self._limits().states(self._clock.seconds(), call.query.session)
