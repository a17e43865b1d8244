"""The plugin for pytest: each of these runs pytest in a process of its own."""

import os
import select
import signal
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.processes import TIMEOUT, Process
from tests.testing.pytests import PLUGIN, Ran, command, env, run, write
from tests.testing.test_processes import end_of

ASK = """
import json, os, urllib.request

def ask(words, key=None):
    request = urllib.request.Request(
        os.environ["OPENAI_BASE_URL"] + "/chat/completions",
        json.dumps({"model": "m", "messages": [{"role": "user", "content": words}]}).encode(),
        {"Authorization": "Bearer " + (key or os.environ["OPENAI_API_KEY"])},
    )
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)["choices"][0]["message"]["content"]
"""
"""What is tested: a program that asks, and knows no more than the environment tells it."""


class PytestTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = write(Path(self.mktemp()).resolve(), asking=ASK)
        (self.folder / "pytest.ini").touch()

    def run_pytest(
        self, test: str, *arguments: str, plugins: tuple[str, ...] = (), ini: str = ""
    ) -> Ran:
        write(self.folder, test_it=f"from asking import ask\n{test}")
        (self.folder / "pytest.ini").write_text(f"[pytest]\n{ini}")
        return run(self.folder, *arguments, plugins=plugins)

    def assert_outcomes(self, ran: Ran, **outcomes: int) -> None:
        self.assertEqual(ran.outcomes, outcomes, ran.out)


class FixtureTests(PytestTestCase):
    def test_what_is_tested_finds_the_server_by_its_environment(self) -> None:
        ran = self.run_pytest(
            "def test_weather(fakellm):\n"
            "    fakellm.when(user='weather?').reply('It is sunny.')\n"
            "    assert ask('weather?') == 'It is sunny.'\n"
            "    fakellm.verify(user='weather?', count=1)\n"
        )
        self.assert_outcomes(ran, passed=1)

    def test_each_test_has_a_session_of_its_own_on_one_server(self) -> None:
        ran = self.run_pytest(
            "import os, pytest\n"
            "seen = {}\n"
            "@pytest.mark.parametrize('n', range(3))\n"
            "def test_it(fakellm, fakellm_server, n):\n"
            "    assert fakellm.requests == []\n"
            "    fakellm.when().reply(f'I am {n}.')\n"
            "    assert ask('x') == f'I am {n}.'\n"
            "    seen[fakellm.session] = fakellm.url\n"
            "    assert ask('x', key='session-other') == 'hello world'\n"
            "    assert len(fakellm.requests) == 1\n"
            "    assert fakellm_server.url == fakellm.url\n"
            "def test_afterwards(fakellm_server):\n"
            "    assert (len(seen), len(set(seen.values()))) == (3, 1)\n"
            "    assert not seen.keys() & {each.name for each in fakellm_server.sessions}\n"
            "    assert 'OPENAI_BASE_URL' not in os.environ\n"
        )
        self.assert_outcomes(ran, passed=4)

    def test_a_scenario_comes_by_the_marker(self) -> None:
        (self.folder / "rules.yml").write_text("rules: [{when: {user: hi}, reply: Hello.}]")
        (self.folder / "more.yml").write_text("rules: [{when: {user: bye}, reply: Bye.}]")
        ran = self.run_pytest(
            "import pytest\n"
            "@pytest.mark.fakellm(scenario='rules.yml')\n"
            "class TestIt:\n"
            "    def test_without_asking_for_the_fixture(self):\n"
            "        assert ask('hi') == 'Hello.'\n"
            "    @pytest.mark.fakellm('more.yml')\n"
            "    def test_the_nearest_marker_counts(self, fakellm):\n"
            "        assert [ask('hi'), ask('bye')] == ['hello world', 'Bye.']\n"
            "def test_without(fakellm):\n"
            "    assert ask('hi') == 'hello world'\n",
            "--strict-markers",
        )
        self.assert_outcomes(ran, passed=3)

    def test_mistakes_in_a_scenario_are_told_with_their_places(self) -> None:
        (self.folder / "rules.yml").write_text("rules:\n  - when: {usr: hi}\n    reply: x\n")
        ran = self.run_pytest(
            "import pytest\n"
            "@pytest.mark.fakellm(scenario='rules.yml')\n"
            "def test_it(): pass\n"
            "@pytest.mark.fakellm(scenario='none.yml')\n"
            "def test_none(): pass\n"
            "@pytest.mark.fakellm(scenaro='rules.yml')\n"
            "def test_typo(): pass\n"
        )
        self.assert_outcomes(ran, errors=3)
        self.assertIn(f"{self.folder}/rules.yml:2:12: ", ran.out)
        self.assertIn("none.yml", ran.out)
        self.assertIn('say @pytest.mark.fakellm(scenario="rules.yml")', ran.out)
        self.assertNotIn(PLUGIN.replace(".", "/"), ran.out, "it shows our code")

    def test_settings_in_the_ini(self) -> None:
        (self.folder / "rules.yml").write_text("rules: [{when: {user: hi}, reply: Hello.}]")
        sub = self.folder / "sub"
        write(sub, test_sub="def test_it(fakellm):\n    assert len(fakellm.rules('file')) == 1\n")
        ran = self.run_pytest(
            "import os\n"
            "def test_it(fakellm):\n"
            "    assert fakellm.settings['answer'] == 'What else?'\n"
            "    assert 'OPENAI_BASE_URL' not in os.environ\n",
            ini="fakellm_options = --scenario rules.yml --answer 'What else?'\n"
            "fakellm_environ = no\n",
        )
        self.assert_outcomes(ran, passed=2)

    def test_a_server_that_needs_a_token_gets_it(self) -> None:
        """And so do the clients of a test's own, which find it at the fixture."""
        ran = self.run_pytest(
            "import pytest\n"
            "from fakellm.testing import Client, ControlError\n"
            "@pytest.mark.parametrize('n', range(2))\n"
            "def test_it(fakellm, fakellm_server, n):\n"
            "    fakellm.when(user='hi').reply('Hello.')\n"
            "    assert ask('hi') == 'Hello.'\n"
            "    fakellm.verify(user='hi', count=1)\n"
            "    own = Client(fakellm.url, session=fakellm.session, token=fakellm.token)\n"
            "    assert own.requests == fakellm.requests\n"
            "    assert fakellm.session in {each.name for each in fakellm_server.sessions}\n"
            "    with pytest.raises(ControlError, match='401'):\n"
            "        Client(fakellm.url).rules()\n",
            ini="fakellm_options = --control-token secret\n",
        )
        self.assert_outcomes(ran, passed=2)

    def test_a_failure_is_told_by_a_server_with_a_token(self) -> None:
        ran = self.run_pytest(
            "def test_it(fakellm):\n    ask('hi')\n    assert 0\n",
            ini="fakellm_options = --control-token=secret\n",
        )
        self.assertIn("fakellm: requests received", ran.out)
        self.assertRegex(ran.out, r"1\. POST /v1/chat/completions")

    def test_a_wrong_option_says_so(self) -> None:
        ran = self.run_pytest("def test_it(fakellm): pass\n", ini="fakellm_options = --bogus")
        self.assert_outcomes(ran, error=1)
        self.assertIn("option --bogus", ran.out)

    def test_a_run_that_needs_no_server_starts_none(self) -> None:
        ran = self.run_pytest(
            "import sys\n"
            "def test_it():\n"
            "    mine = {name for name in sys.modules if name.startswith('fakellm')}\n"
            "    assert mine == {'fakellm', 'fakellm.testing', 'fakellm.testing.pytest_plugin'}\n"
            "    assert not {'klein', 'twisted', 'msgspec'} & set(sys.modules)\n"
        )
        self.assert_outcomes(ran, passed=1)


class FailureTests(PytestTestCase):
    def test_a_failure_shows_the_requests_and_the_nearest_rule(self) -> None:
        ran = self.run_pytest(
            "from fakellm import contains\n"
            "def test_weather(fakellm):\n"
            "    when = fakellm.when(user=contains('weather'), model='m', turn=2)\n"
            "    when.reply('Sunny.', name='sun')\n"
            "    fakellm.when(user='bye', model='n').reply('Bye.')\n"
            "    fakellm.when(user='hi').reply('Hello.', name='greeting')\n"
            "    ask('hi')\n"
            "    assert ask('the weather?') == 'Sunny.'\n"
        )
        self.assert_outcomes(ran, failed=1)
        sections = ran.out[ran.out.index("fakellm: requests received") :]
        self.assertRegex(sections, r"1\. POST /v1/chat/completions \(model 'm'\)\n +user: hi\n")
        self.assertRegex(sections, r"-> 200 by rule 'greeting', as .*\n +stop: Hello\.\n")
        self.assertRegex(sections, r"user: the weather\?\n +-> 200 by .*\n +stop: hello world")
        near = sections[sections.index("fakellm: nearest rule") :]
        self.assertRegex(near, r"\n2\. rule 'sun': turn: expected: is 2, found: 1\n")
        self.assertNotIn("\n1. ", near)

    def test_that_nothing_was_asked_is_shown_too(self) -> None:
        ran = self.run_pytest("def test_it(fakellm):\n    assert 0\n")
        self.assertRegex(
            ran.out, r"none: what was tested has not asked this server.*session-main-1"
        )

    def test_a_server_that_is_gone_is_no_other_failure(self) -> None:
        ran = self.run_pytest(
            "def test_it(fakellm):\n    fakellm.call = None\n    assert 'reason' == 'shown'\n"
        )
        self.assertIn("the server cannot be asked what it was asked", ran.out)
        self.assertIn("assert 'reason' == 'shown'", ran.out)


class OtherPluginsTests(PytestTestCase):
    def test_coroutines_on_asyncio(self) -> None:
        ran = self.run_pytest(
            "import asyncio, openai, pytest\n"
            "@pytest.mark.asyncio\n"
            "@pytest.mark.parametrize('n', range(2))\n"
            "async def test_it(fakellm, n):\n"
            "    fakellm.when(user='hi').reply('Hello.')\n"
            "    async with openai.AsyncOpenAI() as client:\n"
            "        answer = await client.chat.completions.create(\n"
            "            model='m', messages=[{'role': 'user', 'content': 'hi'}])\n"
            "    assert answer.choices[0].message.content == 'Hello.'\n"
            "    fakellm.verify(user='hi', count=1)\n",
            plugins=("pytest_asyncio.plugin",),
        )
        self.assertEqual(ran.outcomes.get("passed"), 2, ran.out)

    def test_coroutines_on_Twisted(self) -> None:
        ran = self.run_pytest(
            "import pytest_twisted, treq\n"
            "from fakellm.testing import AsyncClient\n"
            "@pytest_twisted.ensureDeferred\n"
            "async def test_it(fakellm):\n"
            "    fakellm.when(user='hi').reply('Hello.')\n"
            "    response = await treq.post(\n"
            "        fakellm.openai_url + '/chat/completions', persistent=False,\n"
            "        headers={'Authorization': f'Bearer {fakellm.api_key}'},\n"
            "        json={'model': 'm', 'messages': [{'role': 'user', 'content': 'hi'}]})\n"
            "    answer = await response.json()\n"
            "    assert answer['choices'][0]['message']['content'] == 'Hello.'\n"
            "    later = AsyncClient(fakellm.url, session=fakellm.session)\n"
            "    await later.verify(user='hi', count=1)\n",
            plugins=("pytest_twisted",),
        )
        self.assert_outcomes(ran, passed=1)

    def test_unittest_s_classes(self) -> None:
        (self.folder / "rules.yml").write_text("rules: [{when: {user: hi}, reply: From a file.}]")
        ran = self.run_pytest(
            "import pytest, unittest\n"
            "class Tests(unittest.TestCase):\n"
            "    @pytest.fixture(autouse=True)\n"
            "    def _llm(self, fakellm): self.llm = fakellm\n"
            "    def test_it(self):\n"
            "        self.llm.when().reply('Hello.')\n"
            "        self.assertEqual(ask('hi'), 'Hello.')\n"
            "@pytest.mark.fakellm(scenario='rules.yml')\n"
            "class MarkedTests(unittest.TestCase):\n"
            "    def test_it(self):\n"
            "        self.assertEqual(ask('hi'), 'From a file.')\n"
        )
        self.assert_outcomes(ran, passed=2)


TWO_HUNDRED = """
import os, pathlib, pytest
@pytest.mark.parametrize("n", range(200))
def test_it(fakellm, n):
    assert fakellm.requests == []
    fakellm.when(user="hi").replies(f"First {n}.", f"Second {n}.")
    assert ask("hi") == f"First {n}."
    fakellm.state = f"state {n}"
    assert ask("hi") == f"Second {n}."
    fakellm.verify(user="hi", count=2)
    assert fakellm.state == f"state {n}"
    pathlib.Path("urls", f"{n}-{os.getpid()}").write_text(fakellm.url)
"""


class XdistTests(PytestTestCase):
    def test_two_hundred_tests_in_eight_workers_against_one_server(self) -> None:
        (self.folder / "urls").mkdir()
        ran = self.run_pytest(TWO_HUNDRED, "-n8", plugins=("xdist",))
        self.assert_outcomes(ran, passed=200)
        urls = list((self.folder / "urls").iterdir())
        self.assertEqual(len(urls), 200)
        self.assertEqual(len({path.read_text() for path in urls}), 1)
        self.assertEqual(len({path.name.partition("-")[2] for path in urls}), 8)

    def test_a_failure_in_a_worker_shows_the_requests(self) -> None:
        ran = self.run_pytest(
            "def test_it(fakellm):\n    ask('hi')\n    assert 0\n", "-n1", plugins=("xdist",)
        )
        self.assertIn("fakellm: requests received", ran.out)

    def test_workers_share_a_server_that_needs_a_token(self) -> None:
        ran = self.run_pytest(
            "import pytest\n"
            "@pytest.mark.parametrize('n', range(4))\n"
            "def test_it(fakellm, n):\n"
            "    fakellm.when(user='hi').reply(f'I am {n}.')\n"
            "    assert ask('hi') == f'I am {n}.'\n",
            "-n2",
            plugins=("xdist",),
            ini="fakellm_options = --control-token secret",
        )
        self.assert_outcomes(ran, passed=4)

    def test_a_server_that_does_not_start_is_told_by_every_worker(self) -> None:
        ran = self.run_pytest(
            "import pytest\n"
            "@pytest.mark.parametrize('n', range(2))\n"
            "def test_it(fakellm, n): pass\n",
            "-n2",
            plugins=("xdist",),
            ini="fakellm_options = --bogus",
        )
        self.assert_outcomes(ran, errors=2)
        self.assertIn("option --bogus", ran.out)


HANGING = """
import pathlib, time
def test_it(fakellm_server):
    pathlib.Path("there").write_text(fakellm_server.url)
    time.sleep(600)
"""


class KilledTests(PytestTestCase):
    """However a run ends, its server ends as well."""

    def setUp(self) -> None:
        super().setUp()
        if not hasattr(os, "pidfd_open"):
            self.skipTest("the end of a process that is no child can be seen on Linux only")
        write(self.folder, test_it=HANGING)
        os.mkfifo(self.folder / "there")
        self.there = os.open(self.folder / "there", os.O_RDWR)
        self.addCleanup(os.close, self.there)

    def assert_server_ends(
        self, number: signal.Signals, *arguments: str, plugins: tuple[str, ...] = ()
    ) -> None:
        with Process(
            command(*arguments, plugins=plugins),
            cwd=str(self.folder),
            env=env(TMPDIR=str(self.folder)),  # where what a killed run leaves is no hindrance
        ) as running:
            self.assertTrue(select.select([self.there], [], [], TIMEOUT)[0], "no test ran")
            with end_of(self.server()) as ended:
                running.send(number)
                self.assertTrue(select.select([ended], [], [], TIMEOUT)[0], "it still runs")

    def server(self) -> int:
        """The process of the server that runs in the folder of the test."""
        (found,) = [
            int(process.name) for process in Path("/proc").glob("[0-9]*") if self.is_server(process)
        ]
        return found

    def is_server(self, process: Path) -> bool:
        try:
            words = (process / "cmdline").read_bytes().split(b"\0")
            return b"--until-eof" in words and (process / "cwd").readlink() == self.folder
        except OSError:
            return False  # it has ended, or is none of ours

    def test_killed(self) -> None:
        self.assert_server_ends(signal.SIGKILL)

    def test_killed_with_workers(self) -> None:
        self.assert_server_ends(signal.SIGKILL, "-n2", plugins=("xdist",))

    def test_interrupted(self) -> None:
        self.assert_server_ends(signal.SIGINT)
