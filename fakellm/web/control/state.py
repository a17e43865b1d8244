"""The routes of states: what rules with ``set_state`` and ``state`` go by, in a session."""

from typing import Annotated

from msgspec import Meta, Struct

from fakellm.scenarios.book import Book
from fakellm.scenarios.sessions import START
from fakellm.web.control.routes import Call, Route, SessionName


class OfState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose states."""

    session: Annotated[SessionName, Meta(description="The session.")] = "default"


class SetState(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The state of a conversation from now on."""

    state: str
    conversation: Annotated[
        str, Meta(description="Its name, where the setting `conversation` names them.")
    ] = ""


class States(Struct, frozen=True, kw_only=True):
    """The states of a session."""

    session: str
    state: Annotated[str, Meta(description="Where conversations have no names.")]
    conversations: Annotated[
        dict[str, str], Meta(description="Of each conversation in which one was set, by its name.")
    ]


class StateRoutes:
    """Routes of the states that a book remembers."""

    def __init__(self, book: Book) -> None:
        self._book = book

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/state",
                summary="Show the states of a session.",
                handle=self._show,
                query=OfState,
                answer=States,
            ),
            Route(
                method="PUT",
                path="/state",
                summary="Set the state of a conversation.",
                handle=self._set,
                query=OfState,
                body=SetState,
                makes=True,
                answer=States,
            ),
        ]

    async def _show(self, call: Call) -> States:
        return self._states(call.query.session)

    async def _set(self, call: Call) -> States:
        asked: SetState = call.body
        self._book.set_state(call.query.session, asked.state, asked.conversation)
        return self._states(call.query.session)

    def _states(self, session: str) -> States:
        states = dict(self._book.states(session))
        return States(session=session, state=states.get("", START), conversations=states)
