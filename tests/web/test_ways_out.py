"""What the web part does when things end badly, or a browser asks for more than most do."""

import socket
from typing import Any
from unittest import mock

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import ISystemHandle
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from fakellm.web.connections import Connections
from tests.servers import CHAT, MemoryTestCase

ADDRESS = IPv4Address("TCP", "127.0.0.1", 1)


class ConnectionsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.connections = Connections(
            Factory.forProtocol(Protocol), Clock(), turned_away=lambda: False
        )
        self.transport = StringTransport()
        protocol = self.connections.buildProtocol(ADDRESS)
        assert protocol is not None
        self.protocol = protocol
        self.protocol.makeConnection(self.transport)

    def test_one_that_does_not_close_can_be_broken_off(self) -> None:
        closed = self.connections.close()
        self.assertTrue(self.transport.disconnecting)
        self.assertNoResult(closed)
        self.assertFalse(self.transport.disconnected)
        self.connections.abort()
        self.assertTrue(self.transport.disconnected)

    def test_closing_is_done_when_all_are_closed(self) -> None:
        closed = self.connections.close()
        self.protocol.connectionLost(mock.Mock())
        self.successResultOf(closed)
        self.successResultOf(self.connections.close())

    def turned_away(self, transport: StringTransport) -> Clock:
        """Have a connection turned away; the clock that it is on."""
        clock = Clock()
        turning = Connections(Factory.forProtocol(Protocol), clock, turned_away=lambda: True)
        turning.buildProtocol(ADDRESS).makeConnection(transport)
        return clock

    def test_one_without_a_socket_is_closed_when_it_is_turned_away(self) -> None:
        self.turned_away(self.transport)
        self.assertTrue(self.transport.disconnecting)

    def test_one_that_has_gone_already_when_it_is_turned_away(self) -> None:
        transport: Any = SocketTransport()
        transport.getHandle().close()
        clock = self.turned_away(transport)
        self.assertTrue(transport.disconnected)
        self.assertEqual(clock.getDelayedCalls(), [])


@implementer(ISystemHandle)
class SocketTransport(StringTransport):
    """A transport that has a socket."""

    def __init__(self) -> None:
        super().__init__()
        self.socket = socket.socket()

    def getHandle(self) -> socket.socket:
        return self.socket


class DispatchTests(MemoryTestCase):
    def test_a_fault_of_ours_before_any_route_is_told_in_the_apis_words_and_logged(self) -> None:
        self.serve()
        broken = mock.Mock(render=mock.Mock(side_effect=ZeroDivisionError))
        self.patch(self.server.resource, "_routes", broken)
        answer = self.ask()
        self.assertEqual((answer.status, answer.json["error"]["type"]), (500, "server_error"))
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_a_page_of_the_open_web_may_call_a_server_of_the_local_network(self) -> None:
        asked = {"Access-Control-Request-Private-Network": "true"}
        answer = self.request("OPTIONS", CHAT, headers=asked)
        self.assertEqual(answer.header("Access-Control-Allow-Private-Network"), "true")
