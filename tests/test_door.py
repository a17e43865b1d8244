"""The server's door: for a while it is shut to new connections, and what is open stays so."""

import errno
import socket
from pathlib import Path
from typing import Any, cast

from twisted.internet import reactor
from twisted.internet.error import ConnectError
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, LogLevel, formatEvent, globalLogPublisher
from twisted.trial.unittest import TestCase

from fakellm import FakeLLM
from fakellm.engine import door
from fakellm.engine.clock import VirtualClock
from fakellm.engine.door import Door
from fakellm.web import connections
from tests import fronts
from tests.connections import connect, is_whole, request, split
from tests.processes import has_ipv6, make_certificate

CLIENT_HELLO = bytes.fromhex(
    "16030100670100006303030000000000000000000000000000000000000000000000000000000000000000"
    "000002130100000038000a000400020017000d0004000204030033000700050017000100002b0003020304"
    "00000012001000000d61616161616161616161616161"
)


class DoorTestCase(TestCase):
    def start(self, **settings: Any) -> None:
        self.clock = VirtualClock()
        self.server = FakeLLM(clock=self.clock, **fronts.settings(**settings))
        self.server.startService()
        self.addCleanup(self.server.stopService)
        self.urls = self.server.urls

    def shut(
        self, seconds: float, *, refused: bool = False, connections: int | None = None
    ) -> None:
        the_door: Door = self.server._door
        the_door.shut(seconds, refused=refused, connections=connections)

    def log(self, level: Any) -> list[str]:
        """What is logged at a level from now on."""
        lines: list[str] = []

        def note(event: LogEvent) -> None:
            if event.get("log_level") is level:
                lines.append(formatEvent(event))

        observer = cast("ILogObserver", note)
        globalLogPublisher.addObserver(observer)
        self.addCleanup(globalLogPublisher.removeObserver, observer)
        return lines

    async def assert_open(self) -> None:
        """Each socket is where it was, and answers."""
        self.assertEqual(self.server.urls, self.urls)
        for url in self.urls:
            connection = await connect(url)
            connection.send(request())
            received = await connection.until(is_whole)
            self.assertEqual(split(received)[0], b"HTTP/1.1 200 OK")
            await connection.close()

    async def assert_turned_away(self, *, sent: bytes = b"") -> None:
        """Connections to each socket are let in, and end with a FIN and without a byte."""
        for url in self.urls:
            connection = await connect(url)
            connection.send(sent)
            self.assertTrue(await connection.closed, "not a FIN")
            self.assertEqual(connection.received, b"")

    async def assert_refused(self) -> None:
        """There is nobody to connect to."""
        await deferLater(reactor, 0)  # the reactor closes a listening socket in its next turn
        self.assertEqual(self.server.urls, self.urls)
        for url in self.urls:
            with self.assertRaises(ConnectError) as failed:
                await connect(url)
            expected = errno.ENOENT if url.startswith("unix:") else errno.ECONNREFUSED
            self.assertEqual(failed.exception.osError, expected)

    def places(self) -> list[list[str]]:
        """Settings of the sockets that there can be."""
        path = self.mktemp()[-60:].replace("/", "-")  # an absolute one can be too long
        ipv6 = [[r"tcp6:0:interface=\:\:1"]] if has_ipv6() else []
        return [[], ["tcp:0:interface=127.0.0.1"], [f"unix:{path}"], *ipv6]

    def tls(self) -> str:
        """The setting of a socket that speaks TLS."""
        folder = self.mktemp()
        Path(folder).mkdir(parents=True)
        key, certificate = make_certificate(folder)
        return f"ssl:0:interface=127.0.0.1:privateKey={key}:certKey={certificate}"


class HangUpTests(DoorTestCase):
    async def test_for_a_while(self) -> None:
        for listen in self.places():
            self.start(listen=listen)
            self.shut(10)
            await self.assert_turned_away()
            self.clock.advance(9.9)
            await self.assert_turned_away(sent=request())
            self.clock.advance(0.1)
            await self.assert_open()

    async def test_for_so_many_connections(self) -> None:
        self.start(listen=["tcp:0:interface=127.0.0.1"])
        self.shut(10, connections=2)
        await self.assert_turned_away()
        await self.assert_turned_away()
        await self.assert_open()

    async def test_for_so_many_connections_but_no_longer_than_the_while(self) -> None:
        self.start(listen=["tcp:0:interface=127.0.0.1"])
        self.shut(10, connections=2)
        await self.assert_turned_away()
        self.clock.advance(10)
        await self.assert_open()

    async def test_of_several_the_longest_wins(self) -> None:
        self.start(listen=["tcp:0:interface=127.0.0.1"])
        self.shut(10, connections=1)
        self.shut(1, connections=2)
        self.shut(5)
        for _ in range(3):
            await self.assert_turned_away()
        self.clock.advance(5)
        await self.assert_open()

    async def test_for_no_time_is_not_at_all(self) -> None:
        self.start()
        self.shut(0)
        self.shut(0, refused=True)
        await self.assert_open()

    async def test_over_tls_there_is_no_handshake(self) -> None:
        self.start(listen=[self.tls()])
        self.shut(10)
        await self.assert_turned_away(sent=CLIENT_HELLO)

    async def test_for_ever_leaves_nothing_to_come(self) -> None:
        self.start()
        self.shut(float("inf"))
        self.assertEqual(self.clock.pending, 0)
        self.clock.advance(1e6)
        await self.assert_turned_away()

    async def test_what_is_open_goes_on(self) -> None:
        self.start()
        connection = await connect(self.urls[0])
        connection.send(request())
        await connection.until(is_whole)
        connection.received = b""
        self.shut(10)
        await self.assert_turned_away()
        connection.send(request())
        self.assertIn(b"200 OK", await connection.until(is_whole))
        await connection.close()

    async def test_who_does_not_close_its_side_is_waited_for_but_not_for_ever(self) -> None:
        self.patch(connections, "_SEEN_OFF_SECONDS", 0.01)
        self.start()
        self.shut(10)
        host, port = self.urls[0].removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.setblocking(False)
            while not self.server._connections.protocols:
                await deferLater(reactor, 0)
            while self.server._connections.protocols:
                await deferLater(reactor, 0)
            self.assertEqual(client.recv(1), b"")

    async def test_stopping_meanwhile_leaves_nothing(self) -> None:
        self.start()
        self.shut(10)
        host, port = self.urls[0].removeprefix("http://").split(":")
        with socket.create_connection((host, int(port))):
            while not self.server._connections.protocols:
                await deferLater(reactor, 0)
            await self.server.stopService()
        self.server.startService()
        self.urls = self.server.urls
        await self.assert_open()


class RefuseTests(DoorTestCase):
    async def test_for_a_while_and_then_it_is_where_it_was(self) -> None:
        for listen in self.places():
            self.start(listen=listen)
            self.shut(10, refused=True)
            await self.assert_refused()
            self.clock.advance(9.9)
            await self.assert_refused()
            self.clock.advance(0.1)
            await self.assert_open()

    async def test_over_tls_too(self) -> None:
        self.start(listen=[self.tls()])
        self.shut(10, refused=True)
        await self.assert_refused()
        self.clock.advance(10)
        connection = await connect(self.urls[0])
        await connection.close()
        self.assertEqual(self.server.urls, self.urls)

    async def test_time_may_pass_before_the_sockets_are_closed(self) -> None:
        self.start()
        self.shut(10, refused=True)
        self.clock.advance(10)
        await deferLater(reactor, 0)
        await self.assert_open()

    async def test_and_again(self) -> None:
        self.start()
        self.shut(10, refused=True)
        self.clock.advance(10)
        self.shut(10, refused=True)
        await self.assert_refused()
        self.clock.advance(10)
        await self.assert_open()

    async def test_of_several_the_longest_wins(self) -> None:
        self.start()
        self.shut(10, refused=True)
        self.shut(5, refused=True)
        self.clock.advance(5)
        await self.assert_refused()
        self.shut(10, refused=True)
        self.clock.advance(9)
        await self.assert_refused()
        self.clock.advance(1)
        await self.assert_open()

    async def test_what_is_open_goes_on(self) -> None:
        self.start(itl="1s")
        connection = await connect(self.urls[0])
        connection.send(request(stream=True))
        await connection.until(lambda received: b"data: " in received)
        self.shut(3600, refused=True)
        await self.assert_refused()
        while not is_whole(connection.received):
            self.clock.advance(1)
            await deferLater(reactor, 0)
        self.assertIn(b"[DONE]", connection.received)
        connection.received = b""
        connection.send(request())
        while not is_whole(connection.received):
            self.clock.advance(1)
            await deferLater(reactor, 0)
        await connection.close()
        await self.assert_refused()

    async def test_stopping_meanwhile_leaves_nothing(self) -> None:
        self.start()
        self.shut(10, refused=True)
        await self.server.stopService()
        self.assertEqual((self.server.urls, self.clock.pending), ((), 0))
        self.clock.advance(10)
        await self.assert_nobody_listens()

    async def test_stopping_while_the_sockets_are_opened_again_leaves_nothing(self) -> None:
        self.start()
        self.shut(10, refused=True)
        self.clock.advance(10)
        await self.server.stopService()
        await self.assert_nobody_listens()

    async def assert_nobody_listens(self) -> None:
        await deferLater(reactor, 0)
        for url in self.urls:
            with self.assertRaises(ConnectError):
                await connect(url)

    async def test_a_server_that_was_stopped_cannot_be_shut(self) -> None:
        self.start()
        await self.server.stopService()
        self.shut(10, refused=True)
        self.shut(10)
        self.assertEqual(self.clock.pending, 0)
        self.server.startService()
        self.urls = self.server.urls
        await self.assert_open()

    async def test_it_may_be_stopped_started_and_shut_again(self) -> None:
        self.start()
        self.shut(10, refused=True)
        await self.server.stopService()
        self.server.startService()
        self.urls = self.server.urls
        await self.assert_open()
        self.shut(5, refused=True)
        await self.assert_refused()
        self.clock.advance(5)
        await self.assert_open()

    async def test_for_ever_leaves_nothing_to_come(self) -> None:
        self.start()
        self.shut(float("inf"), refused=True)
        self.assertEqual(self.clock.pending, 0)
        await self.assert_refused()

    async def test_a_place_that_was_taken_meanwhile_is_logged_and_tried_again(self) -> None:
        self.patch(door, "TRY_AGAIN_SECONDS", 0.01)
        lines = self.log(LogLevel.error)
        self.start(listen=["tcp:0:interface=127.0.0.1"])
        self.shut(10, refused=True)
        await self.assert_refused()
        port = int(self.urls[0].rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port)):
            self.clock.advance(10)
            while len(lines) < 2:
                await deferLater(reactor, 0)
        self.assertEqual(
            {*lines},
            {f"port {port} on 127.0.0.1 is already in use; the next try is in 0.01 s"},
        )
        while not self.server._listening._opened[0].is_open:
            await deferLater(reactor, 0)
        await self.assert_open()

    async def test_stopping_while_a_place_is_taken_leaves_nothing(self) -> None:
        self.start(listen=["tcp:0:interface=127.0.0.1"])
        self.shut(10, refused=True)
        await self.assert_refused()
        port = int(self.urls[0].rpartition(":")[2])
        with socket.create_server(("127.0.0.1", port)):
            self.clock.advance(10)
            await self.server.stopService()


class SystemdTests(DoorTestCase):
    async def test_a_socket_that_is_not_ours_cannot_be_closed_and_turns_away(self) -> None:
        """It was handed to the server by a process that keeps it."""
        lines = self.log(LogLevel.warn)
        self.start(listen=["tcp:0:interface=127.0.0.1"])
        self.server._listening._opened[0].adopted = True
        self.shut(10, refused=True)
        await deferLater(reactor, 0)
        await self.assert_turned_away()
        self.assertEqual(
            lines, [f"{self.urls[0]} cannot be closed for a while: it was handed to this process"]
        )
        self.clock.advance(10)
        await self.assert_open()


class FaultTests(DoorTestCase):
    """Answers that shut the door."""

    async def test_hang_up(self) -> None:
        self.start(listen=["tcp:0:interface=127.0.0.1"])
        self.server.when(user="shut").reply("Hi", faults="hang_up for 10s connections 1")
        await self.ask_to_shut()
        await self.assert_turned_away()
        await self.assert_open()

    async def test_refuse(self) -> None:
        self.start()
        self.server.when(user="shut").reply("Hi", faults="refuse for 10s")
        await self.ask_to_shut()
        await self.assert_refused()
        self.clock.advance(10)
        await self.assert_open()

    async def ask_to_shut(self) -> None:
        connection = await connect(self.urls[0])
        connection.send(request(messages=[{"role": "user", "content": "shut"}]))
        await connection.closed
