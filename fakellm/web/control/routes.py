"""A route of the control API, declared once: its path, what it takes and gives, what it does.

Requests are read, answers written and the description of the API made from the declaration.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Annotated, Any

from msgspec import Meta, Struct
from twisted.web.server import Request

JSON = "application/json"
YAML = "application/yaml"
EVENTS = "text/event-stream"


class Call(Struct, frozen=True, kw_only=True):
    """One request to a route.

    Attributes:
        request: Twisted's.
        names: the variables of the path.
        query: a record of the route's type for it.
        body: likewise; a text where the route takes none of JSON.
        written: waits until what is due has been written to clients.
    """

    request: Request
    names: Mapping[str, str]
    query: Any
    body: Any
    written: Callable[[], Awaitable[None]]


class Route(Struct, frozen=True, kw_only=True):
    """A route.

    Attributes:
        method: of HTTP.
        path: below ``/_fakellm``, with variables as in ``/gates/{name}``.
        summary: what it does, in a line.
        handle: does it; gives what is answered: a value of the type ``answer``, or, where that is
            no JSON, a text; of a stream, nothing.
        answer: the type of what is answered.
        status: of the answer.
        gives: its media type.
        query: the record of the query's parameters.
        body: the type of the body, if there may be one; `str` is a text as it is.
        decoded: the type it is read as, where the route itself has to look what is in it.
        takes: its media type.
        makes: whether the session that the query names comes to be by it.
        problems: statuses of problems, beside those that every route has.
    """

    method: str
    path: str
    summary: str
    handle: Callable[[Call], Awaitable[Any]]
    answer: Any
    status: int = 200
    gives: str = JSON
    query: type[Struct] | None = None
    body: Any = None
    decoded: Any = None
    takes: str = JSON
    makes: bool = False
    problems: tuple[int, ...] = ()


class NoQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """No parameters."""


class Empty(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Nothing: no body, or an empty object."""


SessionName = Annotated[str, Meta(min_length=1, description="The name of a session.")]


class OfSession(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A session, or the server as a whole."""

    session: Annotated[
        SessionName | None, Meta(description="A session; without it, the server.")
    ] = None


class Deleted(Struct, frozen=True, kw_only=True):
    """What was deleted."""

    deleted: Annotated[int, Meta(description="How many there were.")]
