"""The routes of sessions, and of starting afresh."""

from typing import Annotated

from msgspec import Meta, Struct

from fakellm.engine.service import Engine
from fakellm.engine.sessions import SessionRecord
from fakellm.scenarios.library import Library
from fakellm.web.control.problems import Problem
from fakellm.web.control.routes import Call, Empty, OfSession, Route


class SessionList(Struct, frozen=True, kw_only=True):
    """Sessions."""

    sessions: Annotated[list[SessionRecord], Meta(description="Those used last at the end.")]


class Reset(Struct, frozen=True, kw_only=True):
    """What starts afresh."""

    sessions: Annotated[list[str], Meta(description="The sessions that do.")]


class SessionRoutes:
    """Routes of the sessions of a server."""

    def __init__(self, engine: Engine, library: Library) -> None:
        self._engine = engine
        self._library = library

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/sessions",
                summary="List the sessions that there are.",
                handle=self._list,
                answer=SessionList,
            ),
            Route(
                method="GET",
                path="/sessions/{name}",
                summary="Show a session.",
                handle=self._show,
                answer=SessionRecord,
                problems=(404,),
            ),
            Route(
                method="DELETE",
                path="/sessions/{name}",
                summary="Forget a session and all it has; what waits at its gates is broken off.",
                handle=self._delete,
                answer=Reset,
                problems=(404,),
            ),
            Route(
                method="POST",
                path="/reset",
                summary="Let a session, or the whole server, start afresh.",
                handle=self._reset,
                query=OfSession,
                body=Empty,
                answer=Reset,
            ),
        ]

    async def _list(self, _: Call) -> SessionList:
        return SessionList(sessions=self._engine.sessions.all())

    async def _show(self, call: Call) -> SessionRecord:
        name = call.names["name"]
        found = [each for each in self._engine.sessions.all() if each.name == name]
        if not found:
            raise Problem(404, f"there is no session {name!r}")
        return found[0]

    async def _delete(self, call: Call) -> Reset:
        name = call.names["name"]
        await self._show(call)
        return await self._forgotten(call, [name])

    async def _reset(self, call: Call) -> Reset:
        session = call.query.session
        if session is not None:
            return await self._forgotten(call, [session])
        sessions = dict.fromkeys(each.name for each in self._engine.sessions.all())
        sessions |= dict.fromkeys(self._library.sessions())
        sessions |= dict.fromkeys(gate.session for gate in self._engine.gates.all())
        reset = await self._forgotten(call, list(sessions))
        self._library.reset()
        self._engine.reset()
        return reset

    async def _forgotten(self, call: Call, sessions: list[str]) -> Reset:
        for name in sessions:
            self._engine.forget(name)
        await call.written()
        return Reset(sessions=sessions)
