"""Runs pytest, as users run it, in a folder of its own."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from tests.processes import TIMEOUT, environment

PLUGIN = "fakellm.testing.pytest_plugin"
AUTOLOAD = {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
"""What is not named is not loaded, so that a run does not depend on what else is installed."""


class Ran(NamedTuple):
    """What became of a run: the status of the process, and what it printed."""

    status: int
    out: str

    @property
    def outcomes(self) -> dict[str, int]:
        """How many tests passed, failed and so on."""
        last = self.out.rstrip().rsplit("\n", 1)[-1]
        return {
            name: int(count) for count, name in re.findall(r"(\d+) (\w+)", last.split(" in ")[0])
        }


def command(*arguments: str, plugins: tuple[str, ...] = ()) -> list[str]:
    """The command line of a run with some plugins beside ours."""
    named = [word for name in (PLUGIN, *plugins) for word in ("-p", name)]
    return [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *named, *arguments]


def env(**more: str) -> dict[str, str]:
    """The environment of a run."""
    kept = environment(**AUTOLOAD, **more)
    return {name: value for name, value in kept.items() if not name.startswith("OPENAI_")}


def run(folder: Path, *arguments: str, plugins: tuple[str, ...] = (), **more: str) -> Ran:
    """Run the tests in a folder."""
    ended = subprocess.run(
        command(*arguments, plugins=plugins),
        cwd=folder,
        env=env(**more),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT * 3,
        check=False,
    )
    return Ran(ended.returncode, ended.stdout)


def write(folder: Path, **files: str) -> Path:
    """Write files of tests: by their names, without the suffix ``.py``, their text."""
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        suffix = "" if "." in name else ".py"
        Path(os.fspath(folder), name + suffix).write_text(text, encoding="utf-8")
    return folder
