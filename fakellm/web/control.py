"""The control API under ``/_fakellm/``: what a test does to the server from outside.

It tells and advances a virtual clock, and lists and opens gates. Answers are JSON; errors are
``application/problem+json`` (RFC 9457). It obeys nobody but who is on the same machine: web pages
of other origins, other machines, and names that only resolve to this one (DNS rebinding) are
refused, and no answer of it may be read from another origin.
"""

import re
from collections.abc import Awaitable, Callable, Coroutine
from http.client import responses
from ipaddress import ip_address
from typing import Annotated, Any, Literal, TypeVar, cast
from urllib.parse import quote, unquote, urlsplit

import msgspec
from klein import Klein
from msgspec import UNSET, Meta, Struct, UnsetType
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, ISystemHandle
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure
from twisted.web.resource import IResource, Resource
from twisted.web.server import NOT_DONE_YET, Request
from werkzeug.exceptions import HTTPException, MethodNotAllowed
from zope.interface import implementer

from fakellm.engine.clock import NeverIdle, to_idle, to_next
from fakellm.engine.gates import Gate, Gates

PREFIX = b"_fakellm"
_PREFIX = PREFIX.decode()

_ADVANCED_AT_MOST_SECONDS = 1e9
_WAITED_AT_MOST_SECONDS = 60.0
_PORT = re.compile(r":[0-9]*\Z")

_Record = TypeVar("_Record")


class _Advance(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    seconds: Annotated[float, Meta(ge=0, le=_ADVANCED_AT_MOST_SECONDS)] | UnsetType = UNSET
    to: Literal["next", "idle"] | UnsetType = UNSET


class _Release(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    count: Annotated[int, Meta(ge=1)] | UnsetType = UNSET


class _Step(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    chunks: Annotated[int, Meta(ge=1)] = 1


class _Abort(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    pass


class _Await(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    waiting: Annotated[int, Meta(ge=0)] = 0
    timeout: Annotated[float, Meta(ge=0, le=_WAITED_AT_MOST_SECONDS)] = 5.0


class _Time(Struct, frozen=True, kw_only=True):
    now: float
    pending: int


class _GateState(Struct, frozen=True, kw_only=True):
    name: str
    waiting: int
    released: int
    left: int
    aborted: int
    let_go: int | UnsetType = UNSET


class _GateList(Struct, frozen=True, kw_only=True):
    gates: list[_GateState]


class _ProblemDocument(Struct, frozen=True, kw_only=True):
    type: str
    title: str
    status: int
    detail: str


class Problem(Exception):
    """What is asked for is not done.

    Attributes:
        status: of HTTP.
        detail: why, in one sentence.
        headers: that go with the answer.
    """

    def __init__(self, status: int, detail: str, **headers: str) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers


class Control:
    """One server's control API.

    Args:
        clock: whose time answers are on; it is advanced if it is a `twisted.internet.task.Clock`.
        gates: where answers stand still.
        turned: waits until the reactor has written what can be written now.
        in_time: waits for a Deferred, but no more than so many real seconds; whether it fired.
        max_body: bytes that a request's body may have.
    """

    def __init__(
        self,
        *,
        clock: IReactorTime,
        gates: Gates,
        turned: Callable[[], Awaitable[None]],
        in_time: Callable[[Deferred[None], float], Awaitable[bool]],
        max_body: int,
    ) -> None:
        self._clock = clock
        self._gates = gates
        self._turned = turned
        self._in_time = in_time
        self._max_body = max_body
        self._log = Logger()
        self._app = Klein()
        self._app.url_map.merge_slashes = False  # which would redirect
        self._route("/clock", "GET", self._tell_time)
        self._route("/clock/advance", "POST", self._advance)
        self._route("/gates", "GET", self._list_gates)
        self._route("/gates/<name>", "GET", self._show_gate)
        self._route("/gates/<name>/release", "POST", self._release)
        self._route("/gates/<name>/step", "POST", self._step)
        self._route("/gates/<name>/abort", "POST", self._abort)
        # Any's: Klein's types know no handler that returns bytes
        self._app.handle_errors(HTTPException)(cast("Any", self._unrouted))
        self._app.handle_errors(Exception)(cast("Any", self._failed))

    def _route(
        self, path: str, method: str, handler: Callable[..., Coroutine[Any, Any, Struct]]
    ) -> None:
        def route(request: Request, **found: str) -> Deferred[bytes]:
            names = {key: unquote(value) for key, value in found.items()}
            return Deferred.fromCoroutine(self._answered(request, handler(request, **names)))

        path = f"/{_PREFIX}{path}"
        self._app.route(path, methods=[method], endpoint=f"{method} {path}")(route)

    def resource(self) -> IResource:
        """The way in, for all whose path begins with `PREFIX`."""
        return _ControlResource(self._app.resource())

    async def _answered(self, request: Request, work: Coroutine[Any, Any, Struct]) -> bytes:
        # Klein writes it and finishes the request; it cancels this when the client leaves.
        try:
            body = msgspec.json.encode(await work)
        except Problem as problem:
            return _told(request, problem)
        _set_head(request, 200, "application/json", body)
        return body

    # -- the clock

    async def _tell_time(self, request: Request) -> Struct:  # noqa: ARG002 -- as all routes
        return self._time(self._virtual())

    async def _advance(self, request: Request) -> Struct:
        asked = self._asked(request, _Advance)
        if (asked.seconds is UNSET) == (asked.to is UNSET):
            raise Problem(400, 'the body has to say one of "seconds" and "to"')
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
        await self._written(request)
        return self._time(clock)

    def _virtual(self) -> Clock:
        if not isinstance(self._clock, Clock):
            raise Problem(409, "the server's clock is real; start it with --clock virtual")
        return self._clock

    def _time(self, clock: Clock) -> _Time:
        return _Time(now=clock.seconds(), pending=len(clock.getDelayedCalls()))

    # -- gates

    async def _list_gates(self, request: Request) -> Struct:  # noqa: ARG002 -- as all routes
        return _GateList(gates=[_state(gate) for gate in self._gates.all()])

    async def _show_gate(self, request: Request, name: str) -> Struct:
        asked = _query(request, _Await)
        gate = self._gates.gate(name)
        if gate.waiting < asked.waiting:
            if not await self._in_time(gate.when_waiting(asked.waiting), asked.timeout):
                raise Problem(
                    408,
                    f"after {asked.timeout:g} s, {gate.waiting} answers wait at the gate {name!r},"
                    f" not {asked.waiting}",
                )
            await self._written(request)
        return _state(gate)

    async def _release(self, request: Request, name: str) -> Struct:
        count = self._asked(request, _Release).count
        return await self._opened(
            request, name, lambda gate: gate.release(None if count is UNSET else count)
        )

    async def _step(self, request: Request, name: str) -> Struct:
        chunks = self._asked(request, _Step).chunks
        return await self._opened(request, name, lambda gate: gate.step(chunks))

    async def _abort(self, request: Request, name: str) -> Struct:
        self._asked(request, _Abort)
        return await self._opened(request, name, Gate.abort)

    async def _opened(self, request: Request, name: str, how: Callable[[Gate], int]) -> Struct:
        gate = self._gates.gate(name)
        let_go = how(gate)
        await self._written(request)
        return _state(gate, let_go)

    # -- requests

    def _asked(self, request: Request, record: type[_Record]) -> _Record:
        """The request's body."""
        body = request.content.read() if request.content is not None else b""
        if len(body) > self._max_body or getattr(request, "body_too_large", False):
            raise Problem(413, f"the body is larger than {self._max_body} bytes")
        try:
            return msgspec.json.decode(body or b"{}", type=record)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise Problem(400, f"the body is not what it has to be: {error}") from error

    async def _written(self, request: Request) -> None:
        """Wait until what is due has been written, where there are sockets to write it to."""
        if _over_socket(request):
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
        return _told(request, problem)

    def _failed(self, request: Request, failure: TwistedFailure) -> bytes:
        self._log.failure("A request of the control API failed.", failure)
        return _told(request, Problem(500, "the server failed; its log says more"))


@implementer(IResource)
class _ControlResource(Resource):
    """Its routes, behind what has to be settled before one is looked up."""

    isLeaf = True  # noqa: N815 -- IResource's name

    def __init__(self, routes: IResource) -> None:
        Resource.__init__(self)
        self._routes = routes

    def render(self, request: Request) -> int:
        """Refuse who may not ask, and let Klein dispatch the rest."""
        try:
            _let_in(request)
            # Quoted again, so that a name may hold slashes and is one part of the path all the same
            request.postpath = [
                quote(part.decode(), safe="").encode() for part in request.postpath or ()
            ]
            # all else that Klein decodes, and answers in words of its own where it cannot
            b"/".join([request.getRequestHostname(), *(request.prepath or ())]).decode()
            return cast("int", self._routes.render(request))
        except Problem as problem:
            request.write(_told(request, problem))
        except (UnicodeDecodeError, HTTPException):
            request.write(_told(request, Problem(400, "the path or the host is no text")))
        request.finish()
        return NOT_DONE_YET


def _let_in(request: Request) -> None:
    """Let in who is on this machine and no web page of another origin.

    Raises:
        Problem: it is somebody else.
    """
    host = (request.getHeader("host") or "").lower()
    if _over_socket(request):
        match request.getHost():
            case UNIXAddress():
                pass
            case IPv4Address(host=address) | IPv6Address(host=address):
                if not _is_loopback(address):
                    raise Problem(403, "the control API is for clients on the same machine only")
                if not _names_loopback(host):
                    raise Problem(
                        403, f"the control API is for a loopback host only, not for {host!r}"
                    )
            case _:
                raise Problem(403, "the control API is not for connections of this kind")
    origin = request.getHeader("origin")
    if origin is not None and _place(origin) != host:
        raise Problem(403, f"the control API is not for pages of the origin {origin!r}")


def _place(origin: str) -> str | None:
    """The host and port of an origin, if it has one."""
    try:
        return urlsplit(origin.lower()).netloc or None
    except ValueError:
        return None


def _over_socket(request: Request) -> bool:
    transport: Any = request.transport
    # a stream of HTTP/2 has no transport of its own
    return transport is None or bool(ISystemHandle.providedBy(transport))


def _names_loopback(host: str) -> bool:
    """Whether a ``Host`` is this machine whatever a name server says."""
    name = _PORT.sub("", host)
    if name == "localhost":
        return True
    return _is_loopback(name[1:-1] if name.startswith("[") and name.endswith("]") else name)


def _is_loopback(address: str) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def _query(request: Request, record: type[_Record]) -> _Record:
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
        raise Problem(400, f"the query is not what it has to be: {error}") from error


def _state(gate: Gate, let_go: int | UnsetType = UNSET) -> _GateState:
    return _GateState(
        name=gate.name,
        waiting=gate.waiting,
        released=gate.released,
        left=gate.left,
        aborted=gate.aborted,
        let_go=let_go,
    )


def _told(request: Request, problem: Problem) -> bytes:
    """Set the head of a problem's answer; its body."""
    title = responses.get(problem.status, "Unknown")
    body = msgspec.json.encode(
        _ProblemDocument(
            type="about:blank", title=title, status=problem.status, detail=problem.detail
        )
    )
    _set_head(request, problem.status, "application/problem+json", body)
    for name, value in problem.headers.items():
        request.setHeader(name, value)
    return body


def _set_head(request: Request, status: int, content_type: str, body: bytes) -> None:
    # Twisted knows few of the phrases, and has "Unknown Status" for the rest
    request.setResponseCode(status, responses.get(status, "Unknown").encode("ascii"))
    request.setHeader("Content-Type", content_type)
    request.setHeader("Content-Length", str(len(body)))
    request.setHeader("Cache-Control", "no-store")
