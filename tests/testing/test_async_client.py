"""`fakellm.testing.AsyncClient`: the words of `Client`, to be awaited."""

import inspect
from pathlib import Path

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fakellm import contains, hold
from fakellm.scenarios import schema
from fakellm.testing import (
    AsyncClient,
    BadScenarioText,
    Client,
    ControlError,
    NotVerified,
    WithFakeLLM,
)
from fakellm.testing.async_client import AsyncGate, http_client
from fakellm.testing.client import Gate
from tests import fronts
from tests.testing.asking import asked


class AsyncClientTests(WithFakeLLM, TestCase):
    fakellm_settings = {"http": fronts.HTTP}

    def setUp(self) -> None:
        super().setUp()
        self.later = self.llm.later

    async def ask(self, user: str) -> str:
        url = f"{self.llm.openai_url}/chat/completions"
        response = await self.llm.client.post(url, json=asked(user))
        answer = await response.json()
        said: str = answer["choices"][0]["message"]["content"]
        return said

    async def stream(self, user: str) -> bytes:
        url = f"{self.llm.openai_url}/chat/completions"
        response = await self.llm.client.post(url, json=asked(user, stream=True))
        body: bytes = await response.content()
        return body

    async def test_rules(self) -> None:
        remove = await self.later.when(user=contains("hi")).reply("Hello.")
        self.assertEqual(await self.ask("hi there"), "Hello.")
        await remove()
        self.assertEqual(await self.ask("hi there"), "hello world")
        added = await self.later.add(schema.Rule(reply="a"))
        self.assertEqual((await self.later.rule(added.id)).rule.reply, "a")
        await self.later.replace_rule(added.id, schema.Rule(reply="b"))
        self.assertEqual([each.id for each in await self.later.rules("added")], [added.id])
        self.assertEqual(await self.ask("x"), "b")
        self.assertEqual(await self.later.delete_rules(), 1)

    async def test_scenarios(self) -> None:
        path = self.write("rules: [{reply: Hello.}]")
        await self.later.load(path)
        self.assertEqual(await self.later.scenario(), "rules: [{reply: Hello.}]")
        self.assertEqual(await self.later.delete_scenario(), 1)
        path = self.write("rules: [{reply: 1}]")
        with self.assertRaisesRegex(BadScenarioText, f"{path}:1:"):
            await self.later.load(path)

    def write(self, scenario: str) -> Path:
        path = Path(self.mktemp())
        path.write_text(scenario)
        return path

    async def test_requests(self) -> None:
        await self.ask("hi")
        (request,) = await self.later.requests()
        self.assertEqual(await self.later.find(text="hi"), [request])
        self.assertEqual(await self.later.request(request.id), request)
        self.assertEqual(await self.later.wait_for(user="hi"), [request])
        self.assertEqual((await self.later.verify(user="hi", count=1)).requests, [request.id])
        self.assertEqual(await self.later.snapshots(), [await self.later.snapshot(request.id)])
        self.assertEqual((await self.later.journal()).entries, 1)
        with self.assertRaisesRegex(NotVerified, "nearest: 1"):
            await self.later.verify(user="bye")
        self.assertEqual(await self.later.delete_requests(), 1)

    async def test_requests_are_waited_for(self) -> None:
        waiting = Deferred.fromCoroutine(self.later.wait_for(2, user="hi", ended="finished"))
        await self.ask("hi")
        self.assertNoResult(waiting)
        await self.ask("hi")
        self.assertEqual(len(await waiting), 2)
        with self.assertRaisesRegex(ControlError, "408 Request Timeout"):
            await self.later.wait_for(3, timeout=0.0)

    async def test_events(self) -> None:
        async with self.later.events() as events:
            await self.ask("hi")
            kinds = [(await anext(events)).kind, (await anext(aiter(events))).kind]
            self.assertEqual(kinds, ["received", "ended"])
            self.assertEqual(events.dropped, 0)

    async def test_events_end_with_the_server(self) -> None:
        async with self.later.events() as events:
            await self.llm.stopped()
            self.assertEqual([event async for event in events], [])

    async def test_gates(self) -> None:
        await self.later.when().reply("a b c", hold=hold("door", after={"chunks": 1}))
        for go_on, ended in (("release", True), ("abort", False)):
            streaming = Deferred.fromCoroutine(self.stream("x")).addErrback(lambda _: b"")
            gate = self.later.gate("door")
            await gate.wait()
            await gate.step()
            await gate.wait()
            self.assertEqual(await gate.waiting(), 1)
            self.assertEqual((await getattr(gate, go_on)()).let_go, 1)
            self.assertEqual((await streaming).endswith(b"[DONE]\n\n"), ended)
        self.assertEqual([each.aborted for each in await self.later.gates()], [1])

    async def test_troubles_and_states(self) -> None:
        ordered = await self.later.fault("error 503")
        self.assertEqual([each.id for each in (await self.later.faults()).faults], [ordered.id])
        self.assertEqual(await self.later.delete_faults(), 1)
        await self.later.set_state("shopping")
        self.assertEqual(await self.later.state(), "shopping")
        self.assertEqual(await self.later.limits(), [])
        self.assertEqual(await self.later.reset_limits(), 0)

    async def test_sessions(self) -> None:
        one = self.later.in_session("one")
        self.assertEqual(one.environ["OPENAI_API_KEY"], "session-one")
        await one.when().reply("I am one.")
        self.assertEqual(await self.ask("x"), "hello world")
        self.assertEqual((await one.session_state("one")).requests, 0)
        self.assertEqual(await one.reset(), ["one"])
        await self.later.drop()
        self.assertNotIn("default", [each.name for each in await self.later.sessions()])

    async def test_the_server(self) -> None:
        self.assertEqual((await self.later.settings())["port"], 0)
        self.assertIn("/_fakellm/rules", (await self.later.openapi())["paths"])
        self.assertIn("fakellm_", await self.later.metrics())
        with self.assertRaisesRegex(ControlError, "409 Conflict: the server's clock is real"):
            await self.later.clock()

    async def test_by_default_it_uses_the_installed_reactor(self) -> None:
        self.assertEqual(await AsyncClient(self.llm.url, session="x").requests(), [])
        self.assertIsNotNone(http_client())


class AsyncTokenTests(WithFakeLLM, TestCase):
    """A server that obeys only who has its token, on all addresses as such servers are."""

    fakellm_settings = {"control_token": "secret", "listen": "tcp:0:interface=0.0.0.0"}

    async def test_the_token_is_sent(self) -> None:
        self.assertEqual(self.llm.later.token, "secret")
        session = self.llm.later.in_session("s")
        await session.when(user="hi").reply("Hello.")
        self.assertEqual(len(await session.rules("added")), 1)
        async with self.llm.later.events("received") as events:
            await self.llm.client.post(f"{self.llm.openai_url}/chat/completions", json=asked("hi"))
            self.assertEqual((await events.__anext__()).kind, "received")
        without = AsyncClient(self.llm.url, client=self.llm.client)
        with self.assertRaisesRegex(ControlError, "401 Unauthorized: the control token is missing"):
            await without.rules()


class VirtualTimeTests(WithFakeLLM, TestCase):
    fakellm_settings = {"clock": "virtual", "http": fronts.HTTP}

    async def test_time(self) -> None:
        self.assertEqual((await self.llm.later.advance(1.5)).now, 1.5)
        self.assertEqual((await self.llm.later.advance(to="idle")).pending, 0)


class SameWordsTests(SynchronousTestCase):
    def test_both_clients_have_the_same_words(self) -> None:
        for one, other in ((Client, AsyncClient), (Gate, AsyncGate)):
            words = [name for name in vars(one) if not name.startswith("_")]
            self.assertEqual(sorted(words), sorted(n for n in vars(other) if not n.startswith("_")))
            for name in words:
                word = vars(one)[name]
                if inspect.isfunction(word):
                    there = inspect.signature(vars(other)[name]).parameters
                    self.assertEqual(list(inspect.signature(word).parameters), list(there), name)
