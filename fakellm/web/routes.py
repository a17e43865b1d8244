"""Klein's routes, dispatched so that a request that has ended is gone at once.

Klein's own way of dispatching leaves, of each request, a circle of functions that only Python's
garbage collector finds. Behind it hang the request, its headers and its connection; after a long
stream they are old, and the collector looks for old garbage hardly ever while anybody is served.
"""

from collections.abc import Callable, Mapping
from typing import Any, cast

from klein import Klein
from klein.interfaces import IKleinRequest
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.web.iweb import IRequest
from twisted.web.resource import Resource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.exceptions import HTTPException

Found = Callable[[Request, str, Mapping[str, Any]], None]


class Routes(Klein):
    """A Klein app whose routes finish their requests themselves.

    A route gives a Deferred, which is cancelled when the client leaves; what it fires with is
    passed over. Handlers of errors are those of `Klein.handle_errors`.
    """

    def resource(self, found: Found | None = None) -> "RoutesResource":  # type: ignore[override]
        """The way in; unlike Klein's it takes URLs only that are text.

        Args:
            found: is told of each request which endpoint it is for, and with which variables.
        """
        return RoutesResource(self, found)


class RoutesResource(Resource):
    """Dispatches requests to routes."""

    isLeaf = True  # noqa: N815 -- IResource's name

    def __init__(self, routes: Routes, found: Found | None = None) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._found = found
        self._log = Logger()
        self._routes = routes

    def render(self, request: Request) -> int:
        """See `IResource`.

        Raises:
            UnicodeDecodeError: the host or the path is no text.
        """
        mapper = self._routes.url_map.bind(
            request.getRequestHostname().decode(),
            _path(request.prepath),
            path_info=_path(request.postpath),
            default_method=request.method.decode(),
            url_scheme="https" if request.isSecure() else "http",
        )
        cast("Any", IKleinRequest(request)).mapper = mapper
        try:
            rule, found = cast("Any", mapper).match(return_rule=True)
        except HTTPException as refused:
            # without its frames, which know the request
            self._refuse(request, Failure(refused.with_traceback(None)))
            return NOT_DONE_YET
        if self._found is not None:
            self._found(request, rule.endpoint, found)
        answered = maybeDeferred(
            self._routes.execute_endpoint, rule.endpoint, cast("IRequest", request), **found
        )
        answered.addErrback(self._failed, request)
        request.notifyFinish().addErrback(_cancel, answered)
        return NOT_DONE_YET

    def _failed(self, failure: Failure, request: Request) -> None:
        if not (request.finished or request._disconnected):  # noqa: SLF001 -- none is public
            self._refuse(request, failure)

    def _refuse(self, request: Request, failure: Failure) -> None:
        for kinds, handler in self._routes._error_handlers:  # noqa: SLF001 -- none is public
            if failure.check(*kinds):
                handled = maybeDeferred(
                    self._routes.execute_error_handler,
                    cast("Any", handler),
                    cast("IRequest", request),
                    failure,
                )
                handled.addErrback(self._broke, request)
                return
        self._broke(failure, request)

    def _broke(self, failure: Failure, request: Request) -> None:
        if request.finished or request._disconnected:  # noqa: SLF001 -- none is public
            self._log.failure("A request could not be answered.", failure)
        else:
            request.processingFailed(failure)  # which logs it


def _path(segments: list[bytes] | None) -> str:
    """Segments of a path, with the slash that it begins with; empty without segments."""
    path = b"/".join(segments or ()).decode()
    return path if path.startswith("/") or not segments else f"/{path}"


def _cancel(_: Failure, answered: "Deferred[Any]") -> None:
    answered.cancel()
