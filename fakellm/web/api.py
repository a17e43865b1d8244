"""The routes: what Klein dispatches, the registry names, and the engine answers."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from typing import Any, cast

import msgspec
from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from zope.interface import implementer

from fakellm.dialects import registry
from fakellm.dialects.operations import Operation
from fakellm.dialects.registry import Routing
from fakellm.engine.door import Door
from fakellm.engine.lingering import Lingering
from fakellm.engine.service import Engine
from fakellm.interfaces import IDialect, IWire
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure
from fakellm.web import control, cors, metrics
from fakellm.web.control import Control
from fakellm.web.front.exchange import Exchange
from fakellm.web.front.wire import FrontWire
from fakellm.web.prefixes import Prefixes
from fakellm.web.routes import Routes
from fakellm.web.wire import RequestWire, Surroundings
from fakellm.web.wire import received as received_by

_Handler = Callable[..., Any]
_Asked = Request | Exchange
_HEALTH = "health"
_KNOWN_AT_MOST = 4096
"""So many routes of requests are remembered."""


class Api:
    """One server's routes.

    Args:
        engine: answers.
        prefixes: what may stand before the paths of the API; ``*`` is anything.
        max_body: bytes that a request's body may have.
        about: what ``GET /`` tells of the server.
        lingering: waits until clients have got what was written.
        door: turns new connections away.
        control: the routes of the control API.
        routing: which codec answers at which path.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        prefixes: Sequence[str] = (),
        max_body: int,
        about: dict[str, Any],
        lingering: Lingering,
        door: Door,
        control: Control,
        routing: Routing = registry.ROUTING,
    ) -> None:
        self._routing = routing
        self._engine = engine
        self._around = Surroundings(lingering=lingering, door=door, extra=cors.HEADERS)
        self._control = control
        self._max_body = max_body
        self._about = about
        self._prefixes = Prefixes(
            prefixes,
            (*routing.roots(), _HEALTH),
            lambda path: path == f"/{_HEALTH}" or routing.is_path(path),
        )
        self._app = Routes()
        self._handlers: dict[str, _Handler] = {}
        self._known: dict[tuple[bytes, bytes, bytes | None], _Handler] = {}
        for endpoint in routing.endpoints:
            self._route(endpoint.path, "POST", partial(self._prompt, endpoint.dialect))
        for (path, method), operations in _by_route(routing.operations).items():
            self._route(path, method, partial(self._operate, operations))
        self._route(f"/{_HEALTH}", "GET", self._health)
        self._route("/metrics", "GET", self._metrics)
        self._route("/", "GET", self._root)
        self._app.handle_errors(HTTPException)(cast("Any", self._refused))

    def _route(self, path: str, method: str, handler: _Handler) -> None:
        # Two routes with one name answer for each other, hence endpoint=.
        def route(request: Request, **found: Any) -> Any:
            return handler(request, **found)

        endpoint = f"{method} {path}"
        self._handlers[endpoint] = handler
        self._app.route(path, methods=[method], endpoint=endpoint)(route)

    def resource(self) -> IResource:
        """The way in: a resource that can be mounted anywhere."""
        return ApiResource(self._app.resource(self._found), self._control.resource(), self)

    def handler(self, exchange: Exchange) -> _Handler | None:
        """What answers a request, if one like it was dispatched by Klein before."""
        head = exchange.head
        return self._known.get((head.method, head.path, head.host))

    def _found(self, request: Request, endpoint: str, found: Mapping[str, Any]) -> None:
        """Remember what Klein dispatched, the host included, as not all hosts pass."""
        exchange = getattr(request, "exchange", None)
        if exchange is not None:
            if len(self._known) >= _KNOWN_AT_MOST:
                self._known.clear()
            head = exchange.head
            handler = self._handlers[endpoint]
            self._known[head.method, head.path, head.host] = (
                partial(handler, **found) if found else handler
            )

    def refuse_exchange(self, exchange: Exchange, status: int, message: str) -> Deferred[None]:
        """Answer with an error what could not be understood."""
        return self.refuse(exchange, Failure(status=status, message=message or None))

    def step_over_prefix(self, request: Request) -> None:
        """Count what stands before the API's own path as where it is mounted."""
        path = request.postpath or []
        before = self._prefixes.length(path)
        if before:
            request.prepath = [*(request.prepath or ()), *path[:before]]
            request.postpath = path[before:]

    def refuse(self, request: _Asked, failure: Failure) -> Deferred[None]:
        """Answer with an error in the words of the dialect that the client speaks."""
        asked = received(request)
        return self._refuse(self._routing.dialect_at(asked), failure, request, asked)

    def _refuse(
        self, dialect: IDialect, failure: Failure, request: _Asked, asked: Received
    ) -> Deferred[None]:
        return _sent(
            request, self._around, lambda wire: self._engine.refuse(dialect, failure, wire, asked)
        )

    def _prompt(self, dialect: IDialect, request: _Asked, **_: str) -> Deferred[None]:
        asked = received(request)
        if len(asked.body) > self._max_body or getattr(request, "body_too_large", False):
            failure = dialect.errors.too_large(self._max_body)
            return self._refuse(dialect, failure, request, asked)
        arrived = getattr(request, "arrived", None)
        return _sent(
            request,
            self._around,
            lambda wire: self._engine.answer(dialect, asked, wire, arrived=arrived),
        )

    def _operate(
        self, operations: Sequence[Operation], request: _Asked, **found: str
    ) -> Deferred[None]:
        asked = received(request)
        operation = next(
            (each for each in operations if each.header is None or each.header in asked.headers),
            None,
        )
        if operation is None:
            return self.refuse(request, registry.spoken_by(asked).errors.not_found(asked))
        dialect = operation.dialect
        if len(asked.body) > self._max_body or getattr(request, "body_too_large", False):
            failure = dialect.errors.too_large(self._max_body)
            return self._refuse(dialect, failure, request, asked)
        return _sent(
            request,
            self._around,
            lambda wire: self._engine.operate(operation, found, asked, wire),
        )

    def _health(self, request: _Asked) -> Deferred[None]:
        return self._show(request, msgspec.json.encode(self._engine.health()))

    def _root(self, request: _Asked) -> Deferred[None]:
        return self._show(request, msgspec.json.encode(self._about))

    def _metrics(self, request: _Asked) -> Deferred[None]:
        body = metrics.scraped(self._engine)
        return _sent(
            request, self._around, lambda wire: self._engine.play(metrics.answer(body), wire)
        )

    def _show(self, request: _Asked, body: bytes) -> Deferred[None]:
        return _sent(
            request, self._around, lambda wire: self._engine.document(registry.DEFAULT, body, wire)
        )

    def _refused(self, request: Request, failure: TwistedFailure) -> Deferred[None]:
        self._refuse_unrouted(request, failure)
        # Where no route was found, Klein does not notice that the request is finished, and would
        # finish it again when this fires.
        return Deferred()

    def _refuse_unrouted(self, request: Request, failure: TwistedFailure) -> Deferred[None]:
        asked = received(request)
        errors = self._routing.dialect_at(asked).errors
        match failure.value:
            case MethodNotAllowed(valid_methods=methods):
                return self.refuse(request, errors.not_allowed(asked, sorted(methods or ())))
        return self.refuse(request, errors.not_found(asked))


def _by_route(
    operations: Iterable[Operation],
) -> Mapping[tuple[str, str], Sequence[Operation]]:
    """Operations by path and method."""
    found: dict[tuple[str, str], list[Operation]] = {}
    for each in operations:
        found.setdefault((each.path, each.method), []).append(each)
    return found


def received(request: _Asked) -> Received:
    """A request as a value."""
    exchange = _exchange_of(request)
    return received_by(cast("Request", request)) if exchange is None else exchange.received()


def _exchange_of(request: _Asked) -> Exchange | None:
    """The exchange that a request is or is of, where it came through the front."""
    return request if type(request) is Exchange else getattr(request, "exchange", None)


def _sent(
    request: _Asked, around: Surroundings, play: Callable[[IWire], Deferred[None]]
) -> Deferred[None]:
    """Play to a request; fires when it is finished, and stops the playing when it is cut off.

    Klein finishes a request whose route is done. One that was broken off must not be finished, so
    the request itself says when it is.
    """
    exchange = _exchange_of(request)
    if exchange is not None:
        answered = play(FrontWire(exchange, around))
        if not answered.called:
            if isinstance(request, Exchange):
                exchange.left = lambda _: answered.cancel()
            else:
                request.notifyFinish().addErrback(lambda _: answered.cancel())
        return answered
    request = cast("Request", request)
    playing: list[Deferred[None]] = []

    def stop() -> None:
        for answer in playing:
            answer.cancel()

    ended: Deferred[None] = Deferred(lambda _: stop())
    request.notifyFinish().addCallbacks(lambda _: ended.callback(None), lambda _: stop())
    playing.append(play(RequestWire(request, around)))
    return ended


@implementer(IResource)
class ApiResource(Resource):
    """The routes as a resource, with what has to be settled before a route is looked up."""

    isLeaf = True  # noqa: N815 -- IResource's name

    def __init__(self, routes: IResource, control: IResource, api: Api) -> None:
        Resource.__init__(self)
        self._log = Logger()
        self._routes = routes
        self._control = control
        self._api = api

    def render(self, request: Request) -> int:
        """Answer a preflight, refuse what is no text, and let Klein dispatch the rest."""
        if (request.postpath or [])[:1] == [control.PREFIX]:
            return cast("int", self._control.render(request))
        if request.method == b"OPTIONS":
            cors.answer_preflight(request)
            request.finish()
            return NOT_DONE_YET
        self._api.step_over_prefix(request)
        try:
            # all that Klein decodes, and answers in words of its own where it cannot
            names = [*(request.prepath or ()), *(request.postpath or ())]
            b"/".join([request.getRequestHostname(), *names]).decode()
            return cast("int", self._routes.render(request))
        except (UnicodeDecodeError, HTTPException):
            self._api.refuse(request, Failure(status=400))
        except Exception:  # noqa: BLE001 -- whatever broke, the client is told in the API's words
            self._log.failure("A request could not be dispatched.")
            self._api.refuse(request, Failure(status=500))
        return NOT_DONE_YET
