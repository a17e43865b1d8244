"""The control API as a resource: requests are let in, read and handed to their route.

What a route does is its own; here is all that is the same for every one of them.
"""

import re
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast
from urllib.parse import quote, unquote

import msgspec
from klein import Klein
from msgspec import UNSET, Struct
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from zope.interface import implementer

from fakellm.web.control.problems import Problem, WrongPlace, set_head, told
from fakellm.web.control.routes import EVENTS, JSON, Call, NoQuery, Route
from fakellm.web.control.safety import Safety, over_socket

PREFIX = b"_fakellm"
_PREFIX = PREFIX.decode()
_VARIABLE = re.compile(r"\{(\w+)\}")


class Dispatcher:
    """Hands requests to routes.

    Args:
        routes: all of them.
        safety: lets requests in.
        turned: waits until the reactor has written what can be written now.
        touch: is told the session that something is given to.
        max_body: bytes that a request's body may have.
    """

    def __init__(
        self,
        routes: Sequence[Route],
        *,
        safety: Safety,
        turned: Callable[[], Awaitable[None]],
        touch: Callable[[str], object],
        max_body: int,
    ) -> None:
        self._safety = safety
        self._turned = turned
        self._touch = touch
        self._max_body = max_body
        self._log = Logger()
        self._app = Klein()
        self._app.url_map.merge_slashes = False  # which would redirect
        for route in routes:
            self._route(route)
        # Any's: Klein's types know no handler that returns bytes
        self._app.handle_errors(HTTPException)(cast("Any", self._unrouted))
        self._app.handle_errors(Exception)(cast("Any", self._failed))

    def resource(self) -> IResource:
        """The way in, for all whose path begins with `PREFIX`."""
        return _ControlResource(self._app.resource(), self._safety)

    def _route(self, route: Route) -> None:
        def handle(request: Request, **found: str) -> Deferred[bytes]:
            names = {key: unquote(value) for key, value in found.items()}
            return Deferred.fromCoroutine(self._answered(request, route, names))

        path = f"/{_PREFIX}" + _VARIABLE.sub(r"<\1>", route.path)
        endpoint = f"{route.method} {path}"
        self._app.route(path, methods=[route.method], endpoint=endpoint)(handle)

    async def _answered(self, request: Request, route: Route, names: dict[str, str]) -> bytes:
        # Klein writes it and finishes the request; it cancels this when the client leaves.
        try:
            call = Call(
                request=request,
                names=names,
                query=_query(request, route.query or NoQuery),
                body=self._body(request, route),
                written=lambda: self._written(request),
            )
            answer = await route.handle(call)
            session = getattr(call.query, "session", None)
            if route.makes and session is not None:
                self._touch(session)
        except Problem as problem:
            return told(request, problem)
        if route.gives == EVENTS:
            return b""
        body = _json(answer) if route.gives == JSON else answer.encode("utf-8")
        set_head(request, route.status, route.gives, body)
        return body

    def _body(self, request: Request, route: Route) -> Any:
        body = request.content.read() if request.content is not None else b""
        if len(body) > self._max_body or getattr(request, "body_too_large", False):
            raise Problem(413, f"the body is larger than {self._max_body} bytes")
        if route.body is None:
            return None
        try:
            if route.body is str:
                return body.decode("utf-8-sig")
            wanted = route.body if route.decoded is None else route.decoded
            return msgspec.json.decode(body or b"{}", type=wanted)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(
                400, f"the body is not what it has to be: {error}", errors=_places(error)
            ) from error

    async def _written(self, request: Request) -> None:
        """Wait until what is due has been written, where there are sockets to write it to."""
        if over_socket(request):
            await self._turned()

    def _unrouted(self, request: Request, failure: TwistedFailure) -> bytes:
        match failure.value:
            case MethodNotAllowed(valid_methods=methods):
                allowed = ", ".join(sorted(methods or ()))
                method = request.method.decode("latin-1")
                problem = Problem(405, f"{method} is not allowed here", Allow=allowed)
            case _:
                path = request.path.decode("latin-1")
                problem = Problem(404, f"the control API has no {path}")
        return told(request, problem)

    def _failed(self, request: Request, failure: TwistedFailure) -> bytes:
        self._log.failure("A request of the control API failed.", failure)
        return told(request, Problem(500, "the server failed; its log says more"))


def _places(error: Exception) -> list[WrongPlace]:
    """Where a mistake is, as far as it says so."""
    detail, _, path = str(error).partition(" - at `$")
    path = path.removesuffix("`").removeprefix(".")
    return [WrongPlace(detail=detail, path=path or UNSET)]


def _json(answer: Any) -> bytes:
    # a scenario may hold what JSON does not have, such as a date
    return msgspec.json.encode(answer, enc_hook=str)


def _query(request: Request, record: type[Struct]) -> Struct:
    """The request's query.

    Raises:
        Problem: it is not what it has to be.
    """
    given = {
        name.decode("utf-8", "replace"): values[-1].decode("utf-8", "replace")
        for name, values in (request.args or {}).items()
    }
    try:
        return msgspec.convert(given, type=record, strict=False)
    except msgspec.ValidationError as error:
        raise Problem(
            400, f"the query is not what it has to be: {error}", errors=_places(error)
        ) from error


@implementer(IResource)
class _ControlResource(Resource):
    """Its routes, behind what has to be settled before one is looked up."""

    isLeaf = True  # noqa: N815 -- IResource's name

    def __init__(self, routes: IResource, safety: Safety) -> None:
        Resource.__init__(self)
        self._routes = routes
        self._safety = safety

    def render(self, request: Request) -> int:
        """Refuse who may not ask, and let Klein dispatch the rest."""
        try:
            self._safety.let_in(request)
            # Quoted again, so that a name may hold slashes and is one part of the path all the same
            request.postpath = [
                quote(part.decode(), safe="").encode() for part in request.postpath or ()
            ]
            # all else that Klein decodes, and answers in words of its own where it cannot
            b"/".join([request.getRequestHostname(), *(request.prepath or ())]).decode()
            return cast("int", self._routes.render(request))
        except Problem as problem:
            request.write(told(request, problem))
        except (UnicodeDecodeError, HTTPException):
            request.write(told(request, Problem(400, "the path or the host is no text")))
        request.finish()
        return NOT_DONE_YET
