"""``async with serving()``: a server in the event loop of an asyncio application.

Each in a process of its own, as the reactor is installed for good.
"""

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

from tests.processes import TIMEOUT, environment

APPLICATION = """
import asyncio, openai
from fakellm.testing import serving

async def ask(llm):
    async with openai.AsyncOpenAI(base_url=llm.openai_url, api_key="any") as client:
        answer = await client.chat.completions.create(
            model="m", messages=[{"role": "user", "content": "hi"}]
        )
    return answer.choices[0].message.content

async def main():
    async with serving(answer="It is sunny.") as llm:
        print(await ask(llm))
        llm.when(user="hi").reply("Hello.")
        print(await ask(llm))
        print(llm.verify(user="hi").count)
"""


class ServingTests(SynchronousTestCase):
    def run_script(self, script: str) -> str:
        ended = subprocess.run(
            [sys.executable, "-W", "error", "-c", script],
            env=environment(),
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertEqual((ended.returncode, ended.stderr), (0, ""))
        return ended.stdout

    def test_it_serves_the_application_that_runs_in_the_same_loop(self) -> None:
        said = self.run_script(f"{APPLICATION}\nasyncio.run(main())")
        self.assertEqual(said, "It is sunny.\nHello.\n2\n")

    def test_it_does_so_in_one_loop_after_the_other(self) -> None:
        """As with a loop for each test."""
        said = self.run_script(f"{APPLICATION}\nasyncio.run(main())\nasyncio.run(main())")
        self.assertEqual(said, "It is sunny.\nHello.\n2\n" * 2)

    def test_the_reactor_of_the_loop_is_installed_where_none_is(self) -> None:
        script = (
            "import asyncio, sys\n"
            "from fakellm.testing import serving\n"
            "async def main():\n"
            "    async with serving() as llm:\n"
            "        from twisted.internet import reactor\n"
            "        print(type(reactor).__name__)\n"
            "        later = asyncio.get_running_loop().create_future()\n"
            "        reactor.callLater(0, later.set_result, 'called')\n"
            "        print(await later)\n"
            "asyncio.run(main())\n"
        )
        self.assertEqual(self.run_script(script), "AsyncioSelectorReactor\ncalled\n")
