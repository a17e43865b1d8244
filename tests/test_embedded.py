"""fakellm inside a program of one's own: several servers, mounted resources, services, ends."""

import json
from typing import Any

from klein import Klein
from treq.testing import StubTreq
from twisted.application.service import Application, IService, IServiceCollection, MultiService
from twisted.internet import error, reactor
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.task import Clock, deferLater
from twisted.internet.testing import MemoryReactorClock, StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase, TestCase
from twisted.web.resource import IResource, Resource
from twisted.web.server import Site
from zope.interface.verify import verifyObject

from fakellm import Config, FakeLLM
from fakellm.config import BadSetting
from fakellm.listening import CannotListen
from tests import fronts
from tests.connections import Connection, connect, is_whole, request, split, unchunked
from tests.servers import CHAT, HELLO, chunks_of

LONG = "word " * 20_000


class MakingTests(SynchronousTestCase):
    def test_it_is_a_service_and_has_a_resource(self) -> None:
        llm = FakeLLM()
        self.assertTrue(verifyObject(IService, llm))
        self.assertTrue(verifyObject(IResource, llm.resource))

    def test_making_one_binds_nothing_and_schedules_nothing(self) -> None:
        memory, clock = MemoryReactorClock(), Clock()
        llm = FakeLLM(reactor=memory, clock=clock)
        self.assertEqual(llm.urls, ())
        self.assertEqual(memory.tcpServers, [])
        self.assertEqual([*memory.getDelayedCalls(), *clock.getDelayedCalls()], [])

    def test_settings_are_single_or_whole_and_not_both(self) -> None:
        self.assertEqual(FakeLLM(answer="x").config, FakeLLM(Config(answer="x")).config)
        with self.assertRaisesRegex(TypeError, "not both"):
            FakeLLM(Config(), answer="x")

    def test_a_setting_with_a_wrong_value_is_one_clear_line(self) -> None:
        for settings, line in (
            ({"port": "many"}, "port: expected a whole number from 0 to 65535, not 'many'"),
            ({"grace": -1}, "grace: expected a duration such as 250ms, 1.5s, 2m or a number of"),
            ({"answer": b"bytes"}, "answer: expected a text, not b'bytes'"),
            ({"tokenizer": "gpt"}, "tokenizer: expected one of words, o200k_base, cl100k_base"),
        ):
            with self.assertRaises(BadSetting) as caught:
                FakeLLM(**settings)
            self.assertTrue(str(caught.exception).startswith(line), caught.exception)
            self.assertNotIn("\n", str(caught.exception))

    def test_a_setting_with_a_wrong_name_is_told_the_right_one(self) -> None:
        with self.assertRaisesRegex(TypeError, "'anwser' is not a setting; did you mean answer?"):
            FakeLLM(anwser="x")

    def test_an_api_key_of_the_wrong_kind_is_not_told(self) -> None:
        with self.assertRaises(BadSetting) as caught:
            FakeLLM(api_key=["sk-secret", 7])
        self.assertNotIn("sk-secret", str(caught.exception))


class MountedTests(SynchronousTestCase):
    """In a resource tree or a Klein application of somebody else's."""

    def ask(self, resource: Any, method: str, path: str, **kwargs: Any) -> tuple[int, bytes]:
        client: Any = StubTreq(resource)  # which makes its methods at run time
        url = f"http://site.example{path}"
        response = self.successResultOf(client.request(method, url, **kwargs))
        client.flush()
        return response.code, self.successResultOf(response.content())

    def assert_answers(self, resource: Any, prefix: str, said: str = "hello world") -> None:
        status, body = self.ask(resource, "POST", f"{prefix}{CHAT}", json=HELLO)
        self.assertEqual(
            (status, json.loads(body)["choices"][0]["message"]["content"]), (200, said)
        )
        streamed = {**HELLO, "stream": True}
        status, body = self.ask(resource, "POST", f"{prefix}{CHAT}", json=streamed)
        chunks = chunks_of(body)
        text = "".join(chunk["choices"][0]["delta"].get("content", "") for chunk in chunks)
        self.assertEqual((status, text), (200, said))
        status, body = self.ask(resource, "GET", f"{prefix}/v1/models/fake-model")
        self.assertEqual((status, json.loads(body)["id"]), (200, "fake-model"))
        status, body = self.ask(resource, "GET", f"{prefix}/health")
        self.assertEqual(status, 200)
        status, body = self.ask(resource, "GET", f"{prefix}/nonesuch")
        self.assertEqual((status, [*json.loads(body)]), (404, ["error"]))
        status, body = self.ask(resource, "OPTIONS", f"{prefix}{CHAT}")
        self.assertEqual((status, body), (204, b""))

    def test_in_a_tree_of_resources(self) -> None:
        root, branch = Resource(), Resource()
        root.putChild(b"llm", FakeLLM(clock=Clock()).resource)
        root.putChild(b"deep", branch)
        branch.putChild(b"er", FakeLLM(clock=Clock(), answer="deeper").resource)
        self.assert_answers(root, "/llm")
        self.assert_answers(root, "/deep/er", "deeper")

    def test_in_a_klein_application(self) -> None:
        app, llm = Klein(), FakeLLM(clock=Clock())

        @app.route("/mine")
        def mine(_: Any) -> str:
            return "mine"

        @app.route("/llm/", branch=True)
        def fake(_: Any) -> Any:
            return llm.resource

        self.assert_answers(app.resource(), "/llm")
        self.assertEqual(self.ask(app.resource(), "GET", "/mine"), (200, b"mine"))

    def test_the_limit_of_bodies_holds_in_a_site_that_is_not_ours(self) -> None:
        root = Resource()
        root.putChild(b"llm", FakeLLM(clock=Clock(), max_body=10).resource)
        status, body = self.ask(root, "POST", f"/llm{CHAT}", json=HELLO)
        self.assertEqual((status, json.loads(body)["error"]["code"]), (413, "request_too_large"))

    def test_servers_in_one_process_share_nothing(self) -> None:
        root = Resource()
        one = FakeLLM(clock=Clock(), answer="one", model=["a"])
        two = FakeLLM(clock=Clock(), answer="two", model=["b"], api_key=["sk-two"], seed=2)
        root.putChild(b"one", one.resource)
        root.putChild(b"two", two.resource)
        key = {"Authorization": "Bearer sk-two"}
        found = []
        for _ in range(2):
            _, body = self.ask(root, "POST", f"/one{CHAT}", json=HELLO)
            found.append(json.loads(body))
            _, body = self.ask(root, "POST", f"/two{CHAT}", json=HELLO, headers=key)
            found.append(json.loads(body))
        said = [(each["model"], each["choices"][0]["message"]["content"]) for each in found]
        self.assertEqual(said, [("a", "one"), ("b", "two")] * 2)
        self.assertEqual(len({each["id"] for each in found}), 4)
        self.assertEqual(self.ask(root, "POST", f"/two{CHAT}", json=HELLO)[0], 401)
        # what the first is asked is what it would be asked alone
        alone = FakeLLM(clock=Clock(), answer="one", model=["a"]).resource
        ids = [json.loads(self.ask(alone, "POST", CHAT, json=HELLO)[1])["id"] for _ in range(2)]
        self.assertEqual(ids, [found[0]["id"], found[2]["id"]])


class ServiceTests(TestCase):
    """Started and stopped, with real sockets."""

    async def say(self, url: str) -> str:
        """What the server at a URL answers."""
        connection: Connection = await connect(url)
        connection.send(request())
        _, _, body = split(await connection.until(is_whole))
        await connection.close()
        said: str = json.loads(body)["choices"][0]["message"]["content"]
        return said

    async def test_several_in_one_process(self) -> None:
        parent = MultiService()
        llms = [FakeLLM(**fronts.settings(answer=answer)) for answer in ("one", "two")]
        for llm in llms:
            llm.setServiceParent(parent)
        parent.privilegedStartService()
        parent.startService()
        self.addCleanup(parent.stopService)
        self.assertEqual([await self.say(llm.urls[0]) for llm in llms], ["one", "two"])

    async def test_in_an_application(self) -> None:
        application = Application("mine")
        llm = FakeLLM(**fronts.settings())
        llm.setServiceParent(IServiceCollection(application))
        service = IService(application)
        service.privilegedStartService()
        service.startService()
        self.addCleanup(service.stopService)
        self.assertEqual(await self.say(llm.urls[0]), "hello world")

    async def test_start_stop_and_start_again(self) -> None:
        llm = FakeLLM(**fronts.settings())
        for _ in range(3):
            llm.startService()
            self.assertTrue(llm.running)
            url = llm.urls[0]
            self.assertEqual(await self.say(url), "hello world")
            await llm.stopService()
            self.assertFalse(llm.running)
            self.assertEqual(llm.urls, ())
            with self.assertRaises(error.ConnectionRefusedError):
                await connect(url)

    async def test_stopping_one_that_was_never_started_is_no_error(self) -> None:
        await FakeLLM(port=0).stopService()

    async def test_a_port_in_use_is_one_clear_line(self) -> None:
        taken = await TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(Site(Resource()))
        self.addCleanup(taken.stopListening)
        number = taken.getHost().port
        with self.assertRaises(CannotListen) as caught:
            FakeLLM(port=number).startService()
        self.assertEqual(str(caught.exception), f"port {number} on 127.0.0.1 is already in use")

    async def test_an_idle_connection_does_not_outlive_the_server(self) -> None:
        """Clients keep connections; a stopped server that answered on them would not be stopped."""
        llm = FakeLLM(**fronts.settings(grace=60))
        llm.startService()
        self.addCleanup(llm.stopService)
        connection: Connection = await connect(llm.urls[0])
        self.addCleanup(lambda: Deferred.fromCoroutine(connection.close()))
        connection.send(request())
        await connection.until(is_whole)
        await llm.stopService()
        self.assertTrue(await connection.closed)

    async def test_an_answer_that_is_under_way_is_finished_within_the_time_of_grace(self) -> None:
        llm = FakeLLM(**fronts.settings(grace=60, answer=LONG))
        llm.startService()
        self.addCleanup(llm.stopService)
        connection: Connection = await connect(llm.urls[0])
        self.addCleanup(lambda: Deferred.fromCoroutine(connection.close()))
        connection.send(request(stream=True))
        await connection.until(lambda received: b"data: " in received)
        stopped = llm.stopService()
        body, _ = unchunked(split(await connection.until(is_whole))[2])
        self.assertGreater(len(chunks_of(body)), 20_000)
        await stopped

    async def test_an_answer_that_takes_longer_is_broken_off(self) -> None:
        llm = FakeLLM(**fronts.settings(answer=LONG))
        llm.startService()
        self.addCleanup(llm.stopService)
        connection: Connection = await connect(llm.urls[0])
        connection.wire.pauseProducing()
        connection.send(request(stream=True))
        while not llm._engine.running:
            await deferLater(reactor, 0)
        await llm.stopService()
        self.assertEqual(llm._engine.running, 0)
        connection.wire.resumeProducing()
        self.assertFalse(await connection.closed)
        self.assertFalse(is_whole(connection.received))


class GraceTests(SynchronousTestCase):
    """The time of grace, on a clock of the test's own."""

    def setUp(self) -> None:
        self.reactor = MemoryReactorClock()
        self.llm = FakeLLM(
            reactor=self.reactor, grace=3, answer=LONG, listen=["tcp:80"], http=fronts.HTTP
        )
        self.llm.startService()
        factory: Any = self.reactor.tcpServers[0][1]
        self.protocol = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
        self.transport: Any = StringTransportWithDisconnection()
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def stream(self) -> None:
        """Begin a stream that stands still, as its reader does."""
        self.protocol.dataReceived(request(stream=True))
        self.transport.producer.pauseProducing()
        self.assertEqual(self.llm._engine.running, 1)

    def test_without_a_running_answer_nobody_waits(self) -> None:
        self.successResultOf(self.llm.stopService())

    def test_a_running_answer_is_waited_for_until_it_ends(self) -> None:
        self.stream()
        stopped = self.llm.stopService()
        self.reactor.advance(2.9)
        self.assertNoResult(stopped)
        self.transport.producer.resumeProducing()
        self.reactor.advance(0)
        self.successResultOf(stopped)
        self.assertIn(b"data: [DONE]", self.transport.value())

    def test_a_running_answer_is_waited_for_no_longer_than_the_time_of_grace(self) -> None:
        self.stream()
        stopped = self.llm.stopService()
        self.reactor.advance(2.9)
        self.assertNoResult(stopped)
        self.reactor.advance(0.1)
        self.successResultOf(stopped)
        self.assertFalse(self.transport.connected)
        self.assertNotIn(b"data: [DONE]", self.transport.value())

    def test_a_client_that_goes_in_mid_stream_leaves_no_delayed_call(self) -> None:
        self.protocol.dataReceived(request(stream=True))
        self.assertEqual(self.llm._engine.running, 1)
        self.assertNotEqual(self.reactor.getDelayedCalls(), [])
        self.transport.loseConnection()
        self.assertEqual(self.llm._engine.running, 0)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_nothing_is_left_in_the_reactor(self) -> None:
        for resumes in (True, False):
            self.setUp()
            self.stream()
            stopped = self.llm.stopService()
            if resumes:
                self.transport.producer.resumeProducing()
            self.reactor.advance(3)
            self.successResultOf(stopped)
            self.assertEqual(self.reactor.getDelayedCalls(), [])
