"""Every example of the README and of docs/ does what it says."""

import io
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any, ClassVar

from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SynchronousTestCase, TestCase

from tests.servers import LiveTestCase, MemoryTestCase
from tests.web.described import check, description, operation_of

ROOT = Path(__file__).parent.parent
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
ADDRESS = "http://localhost:3500"
TESTCASES = TestCase.__module__


class Example:
    """A fenced block of a page."""

    def __init__(self, page: Path, line: int, language: str, text: str) -> None:
        self.page = page
        self.name = f"{page.stem.lower().replace('-', '_')}_{line}"
        self.where = f"{page.name}:{line}"
        self.language = language
        self.text = text

    @property
    def runner(self) -> str:
        """What runs it, in a process of its own (see `tests.testing.test_examples`), or nothing."""
        if re.search(r"^(async )?def test_", self.text, re.MULTILINE):
            return "pytest"
        if "(unittest.TestCase)" in self.text:
            return "unittest"
        return "script" if "asyncio.run(" in self.text else ""

    @property
    def prints(self) -> list[str]:
        """What its comments behind `print` say it prints."""
        return re.findall(r"^\s*print\(.*\)  # (.*)$", self.text, re.MULTILINE)

    def run(self, url: str = ADDRESS) -> tuple[dict[str, Any], list[str]]:
        """Run it as a script; its names, and the lines it printed."""
        names: dict[str, Any] = {"__name__": f"example_{self.name}"}
        code = compile(self.text.replace(ADDRESS, url), self.where, "exec")
        with redirect_stdout(io.StringIO()) as printed:
            exec(code, names)  # noqa: S102 -- running the examples is what this is for
        return names, printed.getvalue().splitlines()


def examples() -> Iterator[Example]:
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        for block in re.finditer(r"^```(\w+)\n(.*?)^```$", text, re.MULTILINE | re.DOTALL):
            line = text[: block.start()].count("\n") + 1
            yield Example(page, line, block[1], block[2])


EXAMPLES = list(examples())


class Chat:
    """A conversation as the pages write it, held with a server in memory.

    ``> text`` is what a user says, after an empty line in a new conversation; ``@ {...}`` is the
    result of the call before; ``< ...`` is expected: a text, ``status message`` or ``tool {...}``.
    """

    def __init__(self, case: MemoryTestCase, text: str) -> None:
        self.case = case
        self.blocks = text.rstrip("\n").split("\n\n")
        self.tools = sorted(set(re.findall(r"^< (\w+) \{", text, re.MULTILINE)))

    def hold(self) -> None:
        """Hold all of it."""
        for block in self.blocks:
            messages: list[dict[str, Any]] = []
            expected: list[str] = []
            for line in block.split("\n"):
                if line.startswith("<"):
                    expected.append(line[2:])
                    continue
                if expected:
                    self.exchange(messages, expected)
                    expected = []
                if line.startswith(">"):
                    messages.append({"role": "user", "content": line[2:]})
                else:
                    call = messages[-1]["tool_calls"][0]["id"]
                    messages.append({"role": "tool", "tool_call_id": call, "content": line[2:]})
            self.exchange(messages, expected)

    def exchange(self, messages: list[dict[str, Any]], expected: list[str]) -> None:
        """Ask, and compare what is said."""
        fields: dict[str, Any] = {"messages": messages}
        if self.tools:
            offered = [{"type": "function", "function": {"name": name}} for name in self.tools]
            fields["tools"] = offered
        answer = self.case.ask(**fields)
        if "error" in answer.json:
            said = [f"{answer.status} {answer.json['error']['message']}"]
            self.case.flushLoggedErrors()
        else:
            message = answer.json["choices"][0]["message"]
            calls = message.get("tool_calls") or []
            said = [message["content"]] if message["content"] else []
            said += [f"{c['function']['name']} {c['function']['arguments']}" for c in calls]
            messages.append({k: v for k, v in message.items() if k != "annotations"})
        self.case.assertEqual(said, expected)


class ScenarioTests(MemoryTestCase):
    """Scenarios of the pages are in order, and answer as the conversation behind them says."""

    def _check(self, scenario: Example, chat: Example | None) -> None:
        folder = Path(self.mktemp())
        folder.mkdir()
        path = folder / "scenario.yml"
        path.write_text(scenario.text, encoding="utf-8")
        self.serve(scenario=[str(path)])
        if chat is not None:
            Chat(self, chat.text.replace("scenario.yml", str(path))).hold()


class ExampleTests(LiveTestCase):
    """Scripts run against a server; what they print is what they say they print."""

    async def _check(self, example: Example) -> None:
        url = self.serve()
        _, printed = await deferToThread(example.run, url)
        self.assertEqual(printed[: len(example.prints)], example.prints, example.where)

    async def test_the_curl_line_streams(self) -> None:
        if shutil.which("curl") is None:
            self.skipTest("curl is not installed")
        url = self.serve()
        (line,) = [
            e.text for e in EXAMPLES if e.page.name == "README.md" and e.text.startswith("curl ")
        ]
        ran = await deferToThread(
            subprocess.run,
            shlex.split(line.replace(ADDRESS, url)),
            capture_output=True,
            check=True,
            timeout=20,
        )
        self.assertIn(b'"delta":{"content":"hello"}', ran.stdout)
        self.assertTrue(ran.stdout.endswith(b"data: [DONE]\n\n"))

    async def test_a_bad_value_is_one_line(self) -> None:
        (console,) = [e.text for e in EXAMPLES if e.language == "console"]
        command, expected = console.removeprefix("$ fakellm ").split("\n", 1)
        ran = await deferToThread(
            subprocess.run,
            [sys.executable, "-m", "fakellm", *command.split()],
            cwd=ROOT,
            capture_output=True,
            check=False,
            timeout=20,
            text=True,
        )
        self.assertEqual((ran.returncode, ran.stdout, ran.stderr), (1, "", expected))


def _add(example: Example) -> None:
    async def test(self: ExampleTests) -> None:
        await self._check(example)

    setattr(ExampleTests, f"test_{example.name}", test)


def _is_test(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, SynchronousTestCase)


def _add_scenario(scenario: Example, chat: Example | None) -> None:
    def test(self: ScenarioTests) -> None:
        self._check(scenario, chat)

    setattr(ScenarioTests, f"test_{scenario.name}", test)


for _example, _next in zip(EXAMPLES, [*EXAMPLES[1:], None], strict=True):
    if _example.language == "yaml":
        _add_scenario(_example, _next if _next and _next.language == "chat" else None)

for _example in EXAMPLES:
    if _example.language == "python" and not _example.runner:
        if "TestCase" in _example.text:
            # trial finds and runs the tests that are examples
            _found = {n: v for n, v in _example.run()[0].items() if _is_test(v)}
            globals().update({n: v for n, v in _found.items() if v.__module__ != TESTCASES})
        else:
            _add(_example)


class ControlTests(LiveTestCase):
    """The lines of the page on the control API, one after the other, against one server."""

    LINES: ClassVar[list[str]] = [
        line
        for example in EXAMPLES
        if example.language == "bash" and example.page.name == "control.md"
        for line in example.text.splitlines()
    ]

    def test_each_operation_is_in_a_line(self) -> None:
        asked = [operation_of(*_asked(line)) for line in self.LINES if line.startswith("curl ")]
        shown = {each["operationId"] for each in asked if each is not None}
        paths = description()["paths"].values()
        self.assertEqual(
            {each["operationId"] for path in paths for each in path.values()} - shown, set()
        )

    async def test_each_answers_as_it_says(self) -> None:
        if shutil.which("curl") is None:
            self.skipTest("curl is not installed")
        url = self.serve(clock="virtual")
        answer: Any = None
        first = ""
        for line in self.LINES:
            if line.startswith("# "):
                self.assert_says(json.loads(line[2:]), answer, line)
                continue
            if "ID" in line and not first:
                listed = await _curl(f"curl {url}/_fakellm/requests")
                first = json.loads(listed.body)["requests"][0]["id"]
            ran = await _curl(line.replace(ADDRESS, url).replace("/ID", f"/{first}"))
            check(*_asked(line), ran.status, ran.media_type, ran.body)
            answer = json.loads(ran.body) if ran.media_type.endswith("json") else None
            if answer is None:
                self.assertIn(ran.media_type, {"application/yaml", "text/event-stream"})

    def assert_says(self, expected: Any, found: Any, line: str) -> None:
        """All that is expected is there; of a list, its first ones."""
        if isinstance(expected, dict):
            for key, value in expected.items():
                self.assertIn(key, found, line)
                self.assert_says(value, found[key], line)
        elif isinstance(expected, list) and expected:
            self.assertGreaterEqual(len(found), len(expected), f"{line} {found}")
            for one, other in zip(expected, found, strict=False):
                self.assert_says(one, other, line)
        else:
            self.assertEqual(found, expected, line)


class Ran:
    """What curl got."""

    def __init__(self, printed: bytes) -> None:
        self.body, _, told = printed.rpartition(b"\n")
        status, self.media_type = told.decode().split(" ", 1)
        self.status = int(status)


async def _curl(line: str) -> Ran:
    ran = await deferToThread(
        subprocess.run,
        [
            *shlex.split(line),
            *("--silent", "--max-time", "0.5" if "/events" in line else "20"),
            *("--write-out", r"\n%{http_code} %{content_type}"),
        ],
        capture_output=True,
        check=False,
        timeout=30,
    )
    return Ran(ran.stdout)


def _asked(line: str) -> tuple[str, str]:
    """The method and the path of a line of curl's."""
    words = shlex.split(line)
    url = next(word for word in words if word.startswith(ADDRESS))
    posts = {"-d", "--data-binary"} & {*words}
    method = words[words.index("-X") + 1] if "-X" in words else "POST" if posts else "GET"
    return method, url.removeprefix(ADDRESS)


class PageTests(SynchronousTestCase):
    def test_every_option_is_in_the_readme(self) -> None:
        from fakellm.config import SETTINGS  # noqa: PLC0415

        readme = PAGES[0].read_text(encoding="utf-8")
        for setting in SETTINGS:
            self.assertIn(setting.option, readme)
            self.assertIn(f"`{setting.variables[0]}`", readme)

    def test_every_link_leads_somewhere(self) -> None:
        for page in [*PAGES, ROOT / "CONTRIBUTING.md"]:
            for target in re.findall(r"\]\((?!https?:)([^)#]+)\)", page.read_text("utf-8")):
                self.assertTrue((page.parent / target).exists(), f"{page.name}: {target}")

    def test_examples_were_found(self) -> None:
        """The reading of the pages is not at fault."""
        self.assertGreater(len([e for e in EXAMPLES if e.language == "python"]), 6)
