"""The server's listening sockets: opens them, says where they are, closes them, for a while too.

By default they are on the loopback addresses only, IPv4 and IPv6, with one port number. This module
knows sockets and nothing of what is served on them. A socket that cannot be opened is one clear
line (`CannotListen`), never a traceback, and leaves no other socket open.
"""

import errno
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, cast

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import CancelledError, Deferred, DeferredList, maybeDeferred
from twisted.internet.endpoints import (
    StandardIOEndpoint,
    TCP4ServerEndpoint,
    TCP6ServerEndpoint,
    serverFromString,
)
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IListeningPort,
    IProtocolFactory,
    IReactorCore,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

_log = Logger()

_IPV4 = "127.0.0.1"
_IPV6 = "::1"
_TLS = frozenset({"ssl", "tls", "le", "lets"})  # the last two: txacme's
_EXAMPLES = (
    "tcp:3500:interface=0.0.0.0, unix:/run/fakellm.sock or ssl:3500:privateKey=key.pem"
    ":certKey=cert.pem"
)
# How often to look for a port number that is free on both loopback addresses.
_TRIES = 20


class CannotListen(SystemExit, Exception):
    """A socket could not be opened; its text says which and why, in one line.

    It ends a process that does not catch it with status 1 and that line on standard error. As an
    Exception too, it is caught by who runs a server within a larger program, and by twistd, which
    then tells its waiting parent process and removes its pid file.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.code = f"fakellm: {reason}"


class Listening(Service):
    """Opens sockets when it is started and closes them when it is stopped.

    They are opened in `privilegedStartService` where that is called, so that twistd can take a port
    below 1024 before it gives up root's privileges, and in `startService` otherwise.

    Args:
        reactor: listens, and is stopped if a socket fails to open later (see ``failure``).
        factory: makes the protocol of each connection.
        listen: Twisted server endpoint descriptions; none of them: the loopback addresses.
        port: the TCP port of the loopback addresses, 0 for one that is free on both of them.

    Attributes:
        failure: why the server had to be stopped, when an endpoint that opens asynchronously failed
            after the start; the process is then to end with status 1.
    """

    def __init__(
        self, reactor: IReactorCore, factory: IProtocolFactory, listen: Sequence[str], port: int
    ) -> None:
        self._reactor = reactor
        self._factory = factory
        self._listen = tuple(listen)
        self._port = port
        self._begun = False
        self._paused = False
        self._opened: list[_Socket] = []
        self._opening: list[Deferred[None]] = []
        self._closing: list[Deferred[None]] = []
        self.failure: CannotListen | None = None

    @property
    def urls(self) -> tuple[str, ...]:
        """The base URL of every socket: ``http://127.0.0.1:3500``, ``unix:/path``."""
        return tuple(socket.url for socket in self._opened)

    def privilegedStartService(self) -> None:  # noqa: N802 -- Twisted's name
        """Open the sockets.

        Raises:
            CannotListen: one of them could not be opened; none is.
        """
        Service.privilegedStartService(self)
        self._begin()

    def startService(self) -> None:  # noqa: N802 -- Twisted's name
        """Open the sockets unless they are; raises as `privilegedStartService`."""
        Service.startService(self)
        self._begin()

    def stopService(self) -> Deferred[None]:  # noqa: N802 -- Twisted's name
        """Close the sockets; fires when they are closed."""
        Service.stopService(self)
        self._begun = False
        for opening in self._opening[:]:
            opening.cancel()
        self._close()
        closing, self._closing = self._closing, []
        return DeferredList(closing).addCallback(lambda _: None)

    def pause(self) -> None:
        """Close the sockets for a while, so that connections are refused; ``urls`` stay.

        What is connected stays so. A unix socket's file is gone meanwhile. A socket that was handed
        to this process, by systemd, stays open.
        """
        if self._begun and not self._paused:
            self._paused = True
            for socket in self._opened:
                self._pause(socket)

    def resume(self) -> Deferred[None]:
        """Open the sockets that are closed for a while, where they were; fires when they are open.

        It may be called again after it has failed.

        Raises:
            CannotListen: (in the Deferred) one of them could not be opened; the others are.
        """
        self._paused = False
        return DeferredList(self._closing).addCallback(lambda _: self._reopen())

    def _pause(self, socket: "_Socket") -> None:
        if socket.adopted:
            _log.warn(
                "{url} cannot be closed for a while: it was handed to this process", url=socket.url
            )
        elif socket.is_open:
            self._keep_closing(socket.close_for_a_while())

    def _reopen(self) -> None:
        self._closing = [closing for closing in self._closing if not closing.called]
        if self._paused or not self._begun:
            return
        failed: list[Exception] = []
        for socket in self._opened:
            if not socket.is_open:
                try:
                    socket.reopen()
                except (CannotListenError, OSError) as error:
                    failed.append(error)
        if failed:
            raise CannotListen(_why_not_open("", failed[0])) from failed[0]

    def _keep_closing(self, closing: Deferred[None] | None) -> None:
        if closing is not None:
            self._closing.append(closing)

    def _begin(self) -> None:
        if self._begun:
            return
        self._begun = True
        self._paused = False
        try:
            if self._listen:
                for description in self._listen:
                    self._open_described(description)
            else:
                self._open_loopback()
        except CannotListen:
            self._begun = False
            for opening in self._opening[:]:
                opening.cancel()
            self._close()
            raise
        self._announce_when_complete()

    def _open_loopback(self) -> None:
        for _ in range(_TRIES):
            self._open(TCP4ServerEndpoint(self._reactor, self._port, interface=_IPV4), "http", "")
            number = cast("IPv4Address", self._opened[0].port.getHost()).port
            try:
                ipv6 = TCP6ServerEndpoint(self._reactor, number, interface=_IPV6)
                self._open(ipv6, "http", "")
            except CannotListen as error:
                if not _in_use(error):
                    return  # a machine without IPv6
                if self._port:
                    raise
                # Keep it bound until the reactor closes it, so that the next try gets another one.
                self._close()
            else:
                return
        raise CannotListen(f"no port is free on both {_IPV4} and {_IPV6}")

    def _open_described(self, description: str) -> None:
        kind = description.partition(":")[0].lower()
        try:
            _check_certificates(kind, description)
            endpoint = serverFromString(self._reactor, description)
        except Exception as error:  # parsers, those of plugins too, raise all sorts
            raise CannotListen(_why_not_understood(description, kind, error)) from error
        if isinstance(endpoint, StandardIOEndpoint):
            raise CannotListen(f"cannot listen on {description!r}: it is no socket")
        self._open(endpoint, "https" if kind in _TLS else "http", description)

    def _open(self, endpoint: IStreamServerEndpoint, scheme: str, description: str) -> None:
        late = False
        early: list[Exception] = []

        def opened(port: IListeningPort) -> None:
            adopted = "systemd:" in description.lower()
            socket = _Socket(port, _url(scheme, port), adopted=adopted)
            self._opened.append(socket)
            if self._paused:
                self._pause(socket)

        def failed(failure: Failure) -> None:
            error = CannotListen(_why_not_open(description, failure.value))
            error.__cause__ = failure.value
            if late:
                self._give_up(failure, error)
            else:
                early.append(error)

        def ended(_: None) -> None:
            self._opening.remove(opening)
            if late:
                self._announce_when_complete()

        opening: Deferred[None] = maybeDeferred(endpoint.listen, self._factory).addCallbacks(
            opened, failed
        )
        self._opening.append(opening)
        opening.addCallback(ended)
        late = True
        if early:
            raise early[0]

    def _give_up(self, failure: Failure, error: CannotListen) -> None:
        if isinstance(failure.value, CancelledError) and not self._begun:
            return  # stopService cancelled it
        self.failure = error
        _log.critical("{reason}", reason=str(error))
        self._close()
        # At once when the reactor runs, as soon as it does otherwise.
        self._reactor.callWhenRunning(self._reactor.stop)

    def _close(self) -> None:
        opened, self._opened = self._opened, []
        for socket in opened:
            if socket.is_open:
                self._keep_closing(socket.port.stopListening())

    def _announce_when_complete(self) -> None:
        if not self._opening and self.failure is None:
            # Who waits for this line may signal us next, which only the running reactor handles.
            self._reactor.callWhenRunning(self._announce)

    def _announce(self) -> None:
        if not self.urls:
            return  # stopped meanwhile
        *most, last = self.urls
        where = f"{', '.join(most)} and {last}" if most else last
        web = next((url for url in self.urls if not url.startswith("unix:")), None)
        hint = f" (OpenAI base URL: {web}/v1)" if web else ""
        _log.info("fakellm is listening on {where}{hint}", where=where, hint=hint, urls=self.urls)


class _Socket:
    """One of them, which keeps its place while it is closed for a while.

    Attributes:
        port: what listens.
        url: where.
        adopted: whether it was handed to this process, which cannot make it again.
        is_open: whether it listens now.
    """

    def __init__(self, port: IListeningPort, url: str, *, adopted: bool) -> None:
        self.port = port
        self.url = url
        self.adopted = adopted
        self.is_open = True

    def close_for_a_while(self) -> Deferred[None] | None:
        """Close it; fires when it is closed."""
        address = self.port.getHost()
        if isinstance(address, (IPv4Address, IPv6Address)):
            # the number that is asked for next time, where any was good enough the first time
            cast("Any", self.port).port = address.port
        self.is_open = False
        return self.port.stopListening()

    def reopen(self) -> None:
        """Open it where it was.

        Raises:
            CannotListenError: it cannot be.
        """
        self.port.startListening()
        self.is_open = True


def _url(scheme: str, port: IListeningPort) -> str:
    match port.getHost():
        case IPv4Address() as address:
            return f"{scheme}://{address.host}:{address.port}"
        case IPv6Address() as address:
            return f"{scheme}://[{address.host}]:{address.port}"
        case UNIXAddress(name=name) if name:
            path = os.fsdecode(name)
            # An abstract socket's name begins with a NUL; "@" is how Linux's tools write it.
            return f"unix:@{path[1:]}" if path.startswith("\0") else f"unix:{path}"
        case address:
            return str(address)


def _in_use(error: CannotListen) -> bool:
    cause = error.__cause__
    return (
        isinstance(cause, CannotListenError)
        and getattr(cause.socketError, "errno", None) == errno.EADDRINUSE
    )


def _why_not_open(description: str, error: BaseException | None) -> str:
    """Say in one line why an endpoint that was understood could not be opened."""
    if not isinstance(error, CannotListenError):
        return f"cannot listen on {description!r}: {_detail(error)}"
    if error.interface is None:
        path = os.fsdecode(error.port)
        # The text is Twisted's, for a socket whose lock file another process holds.
        if error.socketError == "Cannot acquire lock":
            return f"the unix socket {path} is already in use"
        exists = _errno(error) == errno.EADDRINUSE
        detail = "the file exists already" if exists else _detail(error.socketError)
        return f"cannot listen on the unix socket {path}: {detail}"
    where = f"port {error.port} on {error.interface or 'all addresses'}"
    if _errno(error) == errno.EADDRINUSE:
        return f"{where} is already in use"
    return f"cannot listen on {where}: {_detail(error.socketError)}"


def _errno(error: CannotListenError) -> int | None:
    return getattr(error.socketError, "errno", None)


def _detail(error: object) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = " ".join(str(error).split())
    return text or type(error).__name__


def _why_not_understood(description: str, kind: str, error: Exception) -> str:
    """Say in one line what is wrong with a description, or with the files it names."""
    if isinstance(error, (ImportError, NameError)) and kind in _TLS:
        return (
            f"cannot listen on {description!r}: TLS needs more packages:"
            " pip install 'twisted-fakellm[tls]'"
        )
    if isinstance(error, OSError):
        of_file = f"{error.filename}: " if error.filename else ""
        return f"cannot listen on {description!r}: {of_file}{_detail(error)}"
    if type(error).__module__.partition(".")[0] == "OpenSSL":
        return f"cannot listen on {description!r}: the key or the certificate is not valid PEM"
    return (
        f"cannot listen on {description!r}: not a server endpoint ({_detail(error)});"
        f" expected for example {_EXAMPLES}"
    )


def _check_certificates(kind: str, description: str) -> None:
    # Twisted's "tls:" takes a directory, and where it holds no certificate every handshake fails.
    if kind != "tls":
        return
    given = re.match(r"tls:(?:path=)?((?:\\.|[^:\\])+)", description, re.IGNORECASE)
    directory = Path(re.sub(r"\\(.)", r"\1", given[1]) if given else "")
    if given and next(directory.rglob("*.pem"), None) is None:
        raise FileNotFoundError(errno.ENOENT, "no .pem file there", str(directory))
