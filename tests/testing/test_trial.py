"""The mixins for trial: a server for each test, with nothing left of it afterwards."""

import subprocess
import sys
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fakellm import contains, hold
from fakellm.testing import NotVerified, WithFakeLLM, WithFakeLLMInMemory
from tests import fronts
from tests.processes import TIMEOUT, environment
from tests.testing.asking import asked


class LiveTests(WithFakeLLM, TestCase):
    fakellm_settings = {"answer": "It is sunny.", "model": ["sunny-1"], "http": fronts.HTTP}

    async def ask(self, user: str, **fields: Any) -> Any:
        url = f"{self.llm.openai_url}/chat/completions"
        response = await self.llm.client.post(url, json=asked(user, **fields))
        return await response.json()

    async def test_it_listens_in_the_same_reactor(self) -> None:
        answer = await self.ask("The weather?")
        self.assertEqual(answer["choices"][0]["message"]["content"], "It is sunny.")
        self.assertEqual(answer["model"], "sunny-1")

    async def test_it_is_steered_without_waiting(self) -> None:
        self.llm.when(user=contains("rain")).reply("No rain.")
        answer = await self.ask("Will it rain?")
        self.assertEqual(answer["choices"][0]["message"]["content"], "No rain.")
        self.llm.verify(user="Will it rain?")
        with self.assertRaises(NotVerified):
            self.llm.verify(user="Will it snow?")

    async def test_each_test_has_a_fresh_one(self) -> None:
        self.assertEqual(self.llm.requests, [])
        self.assertEqual(self.llm.rules("added"), [])

    async def test_what_has_to_be_waited_for(self) -> None:
        self.llm.when().reply("At last.", hold=hold("door"))
        asking = Deferred.fromCoroutine(self.ask("x"))
        gate = self.llm.later.gate("door")
        await gate.wait(1)
        self.assertNoResult(asking)
        await gate.release()
        answer = await asking
        self.assertEqual(answer["choices"][0]["message"]["content"], "At last.")

    async def test_an_answer_that_never_ends_is_no_hindrance(self) -> None:
        """Neither it nor its client is left when the test ends: trial would complain."""
        self.llm.when().reply("x", hold=hold("door"))
        Deferred.fromCoroutine(self.ask("x")).addErrback(lambda _: None)
        await self.llm.later.gate("door").wait(1)


class MemoryTests(WithFakeLLMInMemory, SynchronousTestCase):
    def test_time_is_virtual(self) -> None:
        self.llm.when().reply("At last.", timing={"ttft": "1.5s"})
        url = f"{self.llm.openai_url}/chat/completions"
        asking = self.llm.client.post(url, json=asked("x"))
        reading = asking.addCallback(lambda response: response.json())
        self.llm.advance(1.4)
        self.assertNoResult(reading)
        self.llm.advance(0.1)
        said = self.successResultOf(reading)["choices"][0]["message"]["content"]
        self.assertEqual(said, "At last.")


class SharedClockTests(WithFakeLLMInMemory, SynchronousTestCase):
    clock = Clock()
    fakellm_settings = {"clock": clock}

    def test_a_clock_can_be_shared_with_what_is_tested(self) -> None:
        self.clock.advance(3)
        self.assertEqual(self.llm.clock.now, 3)


class _SetsUpLater:
    def setUp(self) -> Deferred[None]:
        self.first = not hasattr(self, "llm")
        return succeed(None)


class OrderTests(WithFakeLLM, _SetsUpLater, TestCase):
    def test_the_other_classes_are_set_up_first(self) -> None:
        self.assertTrue(self.first)
        self.assertTrue(self.llm.url.startswith("http://127.0.0.1:"))


class _AsyncSetUp:
    async def setUp(self) -> None:
        self.was_set_up = True


class AsyncSetUpTests(WithFakeLLM, _AsyncSetUp, TestCase):
    def test_also_where_that_is_a_coroutine(self) -> None:
        self.assertTrue(self.was_set_up)
        self.assertEqual(self.llm.requests, [])


class ImportTests(SynchronousTestCase):
    def test_a_module_with_the_mixins_lets_the_reactor_be_chosen(self) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        (folder / "test_x.py").write_text(
            "from twisted.trial.unittest import TestCase\n"
            "from fakellm.testing import WithFakeLLM\n"
            "class Tests(WithFakeLLM, TestCase):\n"
            "    async def test_it(self):\n"
            "        response = await self.llm.client.get(self.llm.openai_url + '/models')\n"
            "        self.assertEqual(response.code, 200)\n"
            "        await response.content()\n"
        )
        ran = subprocess.run(
            [sys.executable, "-m", "twisted.trial", "--reactor=asyncio", "test_x"],
            cwd=folder,
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertIn("PASSED (successes=1)", ran.stdout, ran.stdout + ran.stderr)
