"""The tests that are examples in the README and in docs/, run as a reader would run them."""

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from tests.processes import TIMEOUT, environment
from tests.test_docs import EXAMPLES, Example
from tests.testing.pytests import run, write


class TestingExamplesTests(SynchronousTestCase):
    def check(self, example: Example) -> None:
        folder = write(Path(self.mktemp()).resolve(), test_example=example.text)
        (folder / "pytest.ini").write_text("[pytest]\naddopts = --strict-markers\n")
        scenarios = [
            each.text
            for each in EXAMPLES[: EXAMPLES.index(example)]
            if each.page == example.page and each.language == "yaml"
        ]
        (folder / "rules.yml").write_text("\n".join(scenarios[-1:]))
        getattr(self, f"check_{example.runner}")(folder, example)

    def check_pytest(self, folder: Path, example: Example) -> None:
        ran = run(folder)
        self.assertEqual(ran.outcomes, {"passed": 1}, f"{example.where}: {ran.out}")

    def check_unittest(self, folder: Path, example: Example) -> None:
        said = self.run_python(folder, "-m", "unittest", "test_example")
        self.assertRegex(said, r"Ran 1 test in .*\n\nOK", example.where)

    def check_script(self, folder: Path, example: Example) -> None:
        said = self.run_python(folder, "test_example.py")
        self.assertEqual(said.splitlines(), example.prints, example.where)

    def run_python(self, folder: Path, *words: str) -> str:
        ended = subprocess.run(
            [sys.executable, *words],
            cwd=folder,
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertEqual(ended.returncode, 0, ended.stdout)
        return ended.stdout

    def test_each_way_to_test_has_one_on_both_pages(self) -> None:
        for name in ("README.md", "testing.md"):
            runners = [each.runner for each in EXAMPLES if each.page.name == name]
            self.assertTrue({"pytest", "unittest"} <= {*runners}, name)


def _add(example: Example) -> None:
    def test(self: TestingExamplesTests) -> None:
        self.check(example)

    setattr(TestingExamplesTests, f"test_{example.runner}_{example.name}", test)


for _example in EXAMPLES:
    if _example.runner and _example.language == "python":
        _add(_example)
