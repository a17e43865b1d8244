"""Joins the routes of the control API."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from msgspec import Struct
from twisted.internet.interfaces import IReactorTime
from twisted.web.resource import IResource

from fakellm.engine.service import Engine
from fakellm.scenarios.library import Library
from fakellm.web.control.clock import ClockRoutes
from fakellm.web.control.events import EventRoutes, Every
from fakellm.web.control.faults import FaultRoutes
from fakellm.web.control.gates import GateRoutes, InTime
from fakellm.web.control.limits import LimitRoutes
from fakellm.web.control.openapi import OpenApiRoutes
from fakellm.web.control.requests import RequestRoutes
from fakellm.web.control.resource import Dispatcher
from fakellm.web.control.routes import Route
from fakellm.web.control.rules import RuleRoutes
from fakellm.web.control.safety import Safety
from fakellm.web.control.sessions import SessionRoutes
from fakellm.web.control.settings import SettingsRoutes
from fakellm.web.control.state import StateRoutes
from fakellm.web.control.verifying import VerifyRoutes


class Over(Struct, frozen=True, kw_only=True):
    """What is controlled.

    Attributes:
        settings: what the server was started with, secrets masked.
        clock: whose time answers are on; it is advanced if it is a `twisted.internet.task.Clock`.
        engine: answers.
        library: has the rules.
    """

    settings: Mapping[str, Any]
    clock: IReactorTime
    engine: Engine
    library: Library


class Control:
    """One server's control API.

    Args:
        over: what is controlled.
        token: what requests have to bear; empty where none is set.
        max_body: bytes that a request's body may have.
        turned: waits until the reactor has written what can be written now.
        in_time: waits for a Deferred, but no more than so many real seconds; whether it fired.
        every: does something every so many real seconds.
    """

    def __init__(
        self,
        over: Over,
        *,
        token: str,
        max_body: int,
        turned: Callable[[], Awaitable[None]],
        in_time: InTime,
        every: Every,
    ) -> None:
        engine = over.engine
        self._events = EventRoutes(engine.journal, every)
        routes: list[Route] = [
            *ClockRoutes(over.clock).routes(),
            *GateRoutes(engine.gates, in_time).routes(),
            *RuleRoutes(over.library).routes(),
            *StateRoutes(over.library.book).routes(),
            *FaultRoutes(engine.troubles).routes(),
            *LimitRoutes(lambda: engine.limits, over.clock).routes(),
            *RequestRoutes(engine.journal, in_time).routes(),
            *VerifyRoutes(engine.journal).routes(),
            *SessionRoutes(engine, over.library).routes(),
            *self._events.routes(),
            *SettingsRoutes(over.settings).routes(),
        ]
        routes += OpenApiRoutes(routes).routes()
        self._dispatcher = Dispatcher(
            routes,
            safety=Safety(token),
            turned=turned,
            touch=engine.sessions.touch,
            max_body=max_body,
        )

    def close(self) -> None:
        """End what would go on for ever."""
        self._events.close()

    def resource(self) -> IResource:
        """The way in, for all whose path begins with `PREFIX`."""
        return self._dispatcher.resource()
