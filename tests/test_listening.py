"""Where the server listens, and what it says when it cannot."""

import errno
import gc
import os
import socket
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast
from unittest import mock

import twisted.internet
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort, IStreamServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase, TestCase
from zope.interface import implementer

from fakellm import listening
from fakellm.listening import CannotListen, Listening
from tests.processes import has_ipv6, make_certificate, taken_port


class LogWatching(SynchronousTestCase):
    """Collects what is logged."""

    def watch_log(self) -> list[LogEvent]:
        events: list[LogEvent] = []
        observer = cast("ILogObserver", events.append)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return events

    def lines(self, events: list[LogEvent], level: Any = LogLevel.info) -> list[str]:
        return [
            formatEvent(event)
            for event in events
            if event["log_namespace"] == "fakellm.listening" and event["log_level"] is level
        ]


class SocketTests(TestCase, LogWatching):
    """Real sockets of this machine."""

    def listening(self, *listen: str, port: int = 0) -> Listening:
        from twisted.internet import reactor  # noqa: PLC0415 -- trial has installed it

        service = Listening(reactor, Factory(), listen, port)
        self.addCleanup(service.stopService)
        return service

    def forgive_warnings(self) -> None:
        """Drop what Twisted is warned of: sockets that it leaves to the garbage collector when they
        cannot be bound, and calls of pyOpenSSL that are on their way out.
        """
        gc.collect()
        self.flushWarnings()

    async def announced(self, service: Listening) -> tuple[str, ...]:
        """Start it and let the reactor run; return its URLs."""
        from twisted.internet import reactor  # noqa: PLC0415 -- trial has installed it

        service.privilegedStartService()
        await deferLater(reactor, 0)
        return service.urls

    def folder(self) -> str:
        # Not mktemp(): the path of a unix socket may have about a hundred characters only.
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        return folder.name

    def refused(self, service: Listening) -> str:
        error = self.assertRaises(CannotListen, service.privilegedStartService)
        self.assertEqual(service.urls, ())
        self.assertEqual(error.code, f"fakellm: {error}")
        self.assertEqual(len(str(error).splitlines()), 1)
        return str(error)

    async def test_by_default_only_on_the_loopback_addresses_with_one_port_number(self) -> None:
        events = self.watch_log()
        service = self.listening()
        self.assertEqual(service.urls, ())
        first = (await self.announced(service))[0]
        number = first.rpartition(":")[2]
        self.assertNotEqual(number, "0")
        expected = (f"http://127.0.0.1:{number}", f"http://[::1]:{number}")
        self.assertEqual(service.urls, expected if has_ipv6() else expected[:1])
        where = " and ".join(service.urls)
        self.assertEqual(
            self.lines(events),
            [f"fakellm is listening on {where} (OpenAI base URL: {first}/v1)"],
        )

    def test_startService_opens_too_but_not_twice(self) -> None:
        service = self.listening()
        service.startService()
        urls = service.urls
        self.assertTrue(urls)
        service.startService()
        service.privilegedStartService()
        self.assertEqual(service.urls, urls)

    async def test_it_can_be_stopped_and_started_again_on_the_same_port(self) -> None:
        service = self.listening()
        service.startService()
        number = int(service.urls[0].rpartition(":")[2])
        await service.stopService()
        self.assertEqual(service.urls, ())
        again = self.listening(port=number)
        again.startService()
        self.assertIn(f"http://127.0.0.1:{number}", again.urls)
        await again.stopService()
        again.startService()
        self.assertIn(f"http://127.0.0.1:{number}", again.urls)

    def test_a_taken_port_is_one_line(self) -> None:
        with taken_port() as number:
            line = self.refused(self.listening(port=number))
        self.assertEqual(line, f"port {number} on 127.0.0.1 is already in use")

    def test_a_port_taken_on_IPv6_only_is_refused_too(self) -> None:
        if not has_ipv6():
            self.skipTest("this machine has no IPv6")
        with socket.socket(socket.AF_INET6) as holder:
            holder.bind(("::1", 0))
            holder.listen()
            number = holder.getsockname()[1]
            line = self.refused(self.listening(port=number))
        self.assertEqual(line, f"port {number} on ::1 is already in use")

    async def test_endpoints_replace_the_loopback_addresses(self) -> None:
        events = self.watch_log()
        service = self.listening("tcp:0:interface=127.0.0.1", "tcp:0", port=1)
        one, two = await self.announced(service)
        self.assertRegex(one, r"^http://127\.0\.0\.1:[0-9]+$")
        self.assertRegex(two, r"^http://0\.0\.0\.0:[0-9]+$")
        self.assertEqual(
            self.lines(events),
            [f"fakellm is listening on {one} and {two} (OpenAI base URL: {one}/v1)"],
        )

    async def test_three_endpoints_are_told_as_a_list(self) -> None:
        events = self.watch_log()
        service = self.listening(*["tcp:0:interface=127.0.0.1"] * 3)
        one, two, three = await self.announced(service)
        self.assertIn(f"listening on {one}, {two} and {three} (", self.lines(events)[0])

    async def test_a_unix_socket(self) -> None:
        events = self.watch_log()
        path = f"{self.folder()}/fakellm.sock"
        service = self.listening(f"unix:{path}")
        self.assertEqual(await self.announced(service), (f"unix:{path}",))
        self.assertEqual(self.lines(events), [f"fakellm is listening on unix:{path}"])

    def test_an_abstract_unix_socket(self) -> None:
        if sys.platform != "linux":
            self.skipTest("only Linux has abstract sockets")
        name = f"fakellm-test-{os.getpid()}"
        service = self.listening(f"unix:\0{name}:lockfile=0")
        service.startService()
        self.assertEqual(service.urls, (f"unix:@{name}",))

    def test_what_is_wrong_with_a_unix_socket_is_one_line(self) -> None:
        self.addCleanup(self.forgive_warnings)
        folder = self.folder()
        held = self.listening(f"unix:{folder}/held.sock")
        held.startService()
        Path(folder, "file").touch()
        for path, line in (
            (f"{folder}/held.sock", f"the unix socket {folder}/held.sock is already in use"),
            (
                f"{folder}/none/x.sock",
                f"cannot listen on 'unix:{folder}/none/x.sock': No such file or directory",
            ),
            (
                f"{folder}/file",
                f"cannot listen on the unix socket {folder}/file: the file exists already",
            ),
        ):
            with self.subTest(path):
                self.assertEqual(self.refused(self.listening(f"unix:{path}")), line)
        line = self.refused(self.listening(f"unix:{folder}/none/x.sock:lockfile=0"))
        self.assertEqual(
            line,
            f"cannot listen on the unix socket {folder}/none/x.sock: No such file or directory",
        )

    def test_a_later_endpoint_that_fails_closes_the_earlier_ones(self) -> None:
        service = self.listening("tcp:0:interface=127.0.0.1", "tcp:banana")
        self.refused(service)
        self.assertEqual(len(service._closing), 1)
        return service.stopService().addCallback(  # type: ignore[return-value]
            lambda _: self.assertEqual(service._closing, [])
        )

    def test_a_malformed_endpoint_is_one_line_with_examples(self) -> None:
        for description, line in (
            ("", "not a server endpoint (Unknown endpoint type: '')"),
            ("banana:80", "not a server endpoint (Unknown endpoint type: 'banana')"),
            ("tcp", "missing 1 required positional argument: 'port'"),
            ("tcp:banana", "invalid literal for int() with base 10: 'banana'"),
            ("tcp:80:colour=red", "unexpected keyword argument 'colour'"),
            ("tcp:80\\", "not a server endpoint"),
            ("systemd:domain=INET:index=7", "not a server endpoint"),
            ("systemd:domain=INET:name=web", "not a server endpoint"),
        ):
            with self.subTest(description):
                refused = self.refused(self.listening(description))
                self.assertTrue(
                    refused.startswith(f"cannot listen on {description!r}: not a server endpoint")
                )
                self.assertIn(line, refused)
                self.assertIn("expected for example tcp:3500:interface=0.0.0.0, unix:", refused)

    def test_an_endpoint_that_cannot_be_opened_is_one_line(self) -> None:
        self.addCleanup(self.forgive_warnings)
        line = self.refused(self.listening("tcp:99999"))
        self.assertTrue(line.startswith("cannot listen on 'tcp:99999': "), line)
        line = self.refused(self.listening("tcp:0:interface=192.0.2.1"))  # TEST-NET-1: nobody's
        self.assertTrue(line.startswith("cannot listen on port 0 on 192.0.2.1: "), line)

    def test_standard_input_is_no_socket(self) -> None:
        line = self.refused(self.listening("stdio:"))
        self.assertEqual(line, "cannot listen on 'stdio:': it is no socket")

    def test_TLS(self) -> None:
        self.addCleanup(self.forgive_warnings)
        folder = self.folder()
        key, certificate = make_certificate(folder)
        both = Path(folder, "localhost.pem")
        both.write_text(Path(key).read_text() + Path(certificate).read_text())
        service = self.listening(
            f"ssl:0:privateKey={key}:certKey={certificate}:interface=127.0.0.1",
            f"tls:{folder}:port=0:interface=127.0.0.1",
        )
        service.startService()
        for url in service.urls:
            self.assertRegex(url, r"^https://127\.0\.0\.1:[0-9]+$")

    def test_what_is_wrong_with_certificates_is_one_line(self) -> None:
        folder = self.folder()
        Path(folder, "bad.pem").write_text("-----BEGIN NOTHING-----\n")
        Path(folder, "empty").mkdir()
        for description, line in (
            (
                f"ssl:0:privateKey={folder}/no.pem",
                f"{folder}/no.pem: No such file or directory",
            ),
            (f"ssl:0:privateKey={folder}/bad.pem", "the key or the certificate is not valid PEM"),
            (f"tls:{folder}/none", f"{folder}/none: no .pem file there"),
            (f"tls:path={folder}/empty:port=0", f"{folder}/empty: no .pem file there"),
            (f"TLS:{folder}/a\\:b", f"{folder}/a:b: no .pem file there"),
        ):
            with self.subTest(description):
                self.assertEqual(
                    self.refused(self.listening(description)),
                    f"cannot listen on {description!r}: {line}",
                )
        self.assertIn("not a server endpoint", self.refused(self.listening("tls")))

    def test_without_the_TLS_packages_the_line_says_what_to_install(self) -> None:
        package = twisted.internet
        if hasattr(package, "ssl"):
            self.addCleanup(setattr, package, "ssl", package.ssl)
            del package.ssl
        with mock.patch.dict(sys.modules, {"twisted.internet.ssl": None}):
            line = self.refused(self.listening("ssl:0"))
        self.assertEqual(
            line,
            "cannot listen on 'ssl:0': TLS needs more packages: pip install 'twisted-fakellm[tls]'",
        )


@implementer(IListeningPort)
class FakePort:
    """A port that is open until it is closed."""

    def __init__(self, address: Any) -> None:
        self.address = address
        self.stopped = 0

    def getHost(self) -> Any:
        return self.address

    def startListening(self) -> None:
        self.stopped -= 1

    def stopListening(self) -> None:
        self.stopped += 1


class LoopbackReactor(MemoryReactorClock):
    """Listens in memory; ``fails`` says with which errno, if any, an address and port fail."""

    def __init__(self, fails: Callable[[str, int], int | None]) -> None:
        super().__init__()
        self._fails = fails
        self._next = 40000
        self.ports: list[FakePort] = []

    def listenTCP(
        self,
        port: int,
        factory: Any,  # noqa: ARG002 -- Twisted's signature
        backlog: int = 50,  # noqa: ARG002
        interface: str = "",
    ) -> FakePort:
        if not port:
            self._next += 1
            port = self._next
        number = self._fails(interface, port)
        if number is not None:
            raise CannotListenError(interface, port, OSError(number, os.strerror(number)))
        kind = IPv6Address if ":" in interface else IPv4Address
        self.ports.append(FakePort(kind("TCP", interface, port)))
        return self.ports[-1]


class LoopbackTests(LogWatching):
    """The default addresses on machines that differ from this one."""

    def start(self, fails: Callable[[str, int], int | None], port: int = 0) -> Listening:
        self.reactor = LoopbackReactor(fails)
        service = Listening(self.reactor, Factory(), (), port)
        service.startService()
        return service

    def test_a_machine_without_IPv6_is_silent(self) -> None:
        for number in (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT):
            fails = {"::1": number}
            events = self.watch_log()
            service = self.start(lambda host, _, fails=fails: fails.get(host), port=3500)  # type: ignore[misc]
            self.assertEqual(service.urls, ("http://127.0.0.1:3500",))
            self.reactor.run()
            self.assertEqual(len([event for event in events if "log_level" in event]), 1)

    def test_port_0_picks_one_that_is_free_on_both(self) -> None:
        service = self.start(
            lambda host, port: errno.EADDRINUSE if host == "::1" and port < 40003 else None
        )
        self.assertEqual(service.urls, ("http://127.0.0.1:40003", "http://[::1]:40003"))
        self.assertEqual([port.stopped for port in self.reactor.ports], [1, 1, 0, 0])

    def test_it_tells_where_it_listens_when_the_reactor_runs_and_signals_are_handled(self) -> None:
        events = self.watch_log()
        service = self.start(lambda *_: None)
        self.assertEqual(self.lines(events), [])
        self.reactor.run()
        self.assertEqual(len(self.lines(events)), 1)
        service = self.start(lambda *_: None)
        self.successResultOf(service.stopService())
        self.reactor.run()
        self.assertEqual(len(self.lines(events)), 1)

    def test_it_does_not_look_for_one_for_ever(self) -> None:
        error = self.assertRaises(
            CannotListen,
            self.start,
            lambda host, _: errno.EADDRINUSE if host == "::1" else None,
        )
        self.assertEqual(str(error), "no port is free on both 127.0.0.1 and ::1")
        self.assertEqual(len(self.reactor.ports), listening._TRIES)
        self.assertEqual({port.stopped for port in self.reactor.ports}, {1})

    def test_a_privileged_port_says_permission_denied(self) -> None:
        error = self.assertRaises(CannotListen, self.start, lambda *_: errno.EACCES, 80)
        self.assertEqual(
            str(error), f"cannot listen on port 80 on 127.0.0.1: {os.strerror(errno.EACCES)}"
        )


@implementer(IStreamServerEndpoint)
class SlowEndpoint:
    """An endpoint whose listen() ends when a test says so."""

    def __init__(self) -> None:
        self.opening: Deferred[Any] = Deferred(lambda _: self.cancelled.append(True))
        self.cancelled: list[bool] = []

    def listen(self, protocolFactory: Any) -> Deferred[Any]:  # noqa: ARG002, N803 -- Twisted's
        return self.opening


class StoppableReactor(MemoryReactorClock):
    """Counts how often it was told to stop."""

    stops = 0

    def callWhenRunning(self, callable: Any, *args: Any, **kwargs: Any) -> None:  # noqa: A002
        callable(*args, **kwargs)

    def stop(self) -> None:
        self.stops += 1


class SlowTests(LogWatching):
    """Endpoints that open asynchronously, as those of plugins may."""

    def setUp(self) -> None:
        self.slow = {"slow:1": SlowEndpoint(), "slow:2": SlowEndpoint()}
        self.patch(listening, "serverFromString", lambda _, description: self.slow[description])
        self.reactor = StoppableReactor()
        self.service = Listening(self.reactor, Factory(), tuple(self.slow), 0)
        self.events = self.watch_log()

    def port(self, number: int) -> FakePort:
        return FakePort(IPv4Address("TCP", "10.0.0.1", number))

    def test_it_tells_where_it_listens_when_all_are_open(self) -> None:
        self.service.startService()
        self.slow["slow:1"].opening.callback(self.port(1))
        self.assertEqual(self.service.urls, ("http://10.0.0.1:1",))
        self.assertEqual(self.lines(self.events), [])
        self.slow["slow:2"].opening.callback(self.port(2))
        self.assertEqual(self.service.urls, ("http://10.0.0.1:1", "http://10.0.0.1:2"))
        self.assertEqual(len(self.lines(self.events)), 1)

    def test_one_that_opens_while_they_are_closed_for_a_while_is_closed_too(self) -> None:
        self.service.startService()
        ports = [self.port(1), self.port(2)]
        self.slow["slow:1"].opening.callback(ports[0])
        self.service.pause()
        self.slow["slow:2"].opening.callback(ports[1])
        self.assertEqual([port.stopped for port in ports], [1, 1])
        self.assertEqual(self.service.urls, ("http://10.0.0.1:1", "http://10.0.0.1:2"))
        self.successResultOf(self.service.resume())
        self.assertEqual([port.stopped for port in ports], [0, 0])
        self.successResultOf(self.service.stopService())
        self.assertEqual([port.stopped for port in ports], [1, 1])

    def test_one_that_is_closed_for_a_while_is_not_closed_again(self) -> None:
        self.service.startService()
        port = self.port(1)
        self.slow["slow:1"].opening.callback(port)
        self.service.pause()
        self.service.pause()
        self.assertEqual(port.stopped, 1)
        self.successResultOf(self.service.stopService())
        self.successResultOf(self.service.resume())
        self.assertEqual(port.stopped, 1)

    def test_what_is_not_open_cannot_be_closed_for_a_while(self) -> None:
        self.service.pause()
        self.service.startService()
        port = self.port(1)
        self.slow["slow:1"].opening.callback(port)
        self.assertEqual(port.stopped, 0)

    def test_a_late_failure_is_logged_closes_the_others_and_stops_the_process(self) -> None:
        self.service.startService()
        port = self.port(1)
        self.slow["slow:1"].opening.callback(port)
        self.slow["slow:2"].opening.errback(RuntimeError("no\nluck"))
        self.assertEqual(
            self.lines(self.events, LogLevel.critical), ["cannot listen on 'slow:2': no luck"]
        )
        self.assertEqual(self.lines(self.events), [])
        self.assertEqual(port.stopped, 1)
        self.assertEqual(self.reactor.stops, 1)
        self.assertIsInstance(self.service.failure, CannotListen)

    def test_an_error_without_a_text_is_told_by_its_type(self) -> None:
        self.service.startService()
        self.slow["slow:1"].opening.errback(RuntimeError())
        self.assertEqual(str(self.service.failure), "cannot listen on 'slow:1': RuntimeError")

    def test_stopping_cancels_what_is_still_opening(self) -> None:
        self.service.startService()
        self.successResultOf(self.service.stopService())
        self.assertEqual(len(self.slow["slow:1"].cancelled + self.slow["slow:2"].cancelled), 2)
        self.assertIsNone(self.service.failure)
        self.assertEqual(self.reactor.stops, 0)
        self.assertEqual(self.lines(self.events, LogLevel.critical), [])

    def test_an_early_failure_cancels_what_is_still_opening(self) -> None:
        self.slow["slow:2"].opening.errback(RuntimeError("no"))
        error = self.assertRaises(CannotListen, self.service.startService)
        self.assertEqual(str(error), "cannot listen on 'slow:2': no")
        self.assertEqual(self.slow["slow:1"].cancelled, [True])
        self.assertEqual(self.reactor.stops, 0)

    def test_an_address_of_another_kind_is_shown_as_it_shows_itself(self) -> None:
        self.service.startService()
        self.slow["slow:1"].opening.callback(FakePort("somewhere.onion"))
        self.assertEqual(self.service.urls, ("somewhere.onion",))
