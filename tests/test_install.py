"""What is built and installed works: the wheel, and an editable install.

Everything is offline: the dependencies come from the environment that runs the tests, through
links that leave out whatever it has of fakellm itself.
"""

import shutil
import sys
import tempfile
import venv
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

import twisted
from tests.processes import ROOT, Process, environment, get, run

TWISTD = "from twisted.scripts.twistd import run; run()"
# Fakellm itself, what could lead an interpreter back to it, and the folders that are made anew.
HIDDEN = (
    *("fakellm*", "twisted_fakellm*", "__editable__*", "*.pth", "*.egg-link", "dropin.cache"),
    *("twisted", "twisted/plugins"),
)


def link_packages(target: Path) -> None:
    """Make a folder with links to every installed package but fakellm.

    Twisted's folders are made anew, as a fakellm installed without ``-e`` has its plugin in there.
    """
    for installed in map(Path, sys.path):
        if installed.name in {"site-packages", "dist-packages"} and installed.is_dir():
            link_entries(installed, target)
    package = Path(twisted.__file__).parent
    link_entries(package, target / "twisted")
    link_entries(package / "plugins", target / "twisted" / "plugins")


def link_entries(source: Path, target: Path) -> None:
    """Link to each entry of a folder that is not hidden."""
    target.mkdir(exist_ok=True)
    for entry in source.iterdir():
        link = target / entry.name
        if not any(entry.match(pattern) for pattern in HIDDEN) and not link.exists():
            link.symlink_to(entry)


def copy_source(target: Path) -> None:
    """Copy what a build needs, and nothing that an earlier build left behind."""
    target.mkdir()
    for name in ("setup.cfg", "pyproject.toml", "README.md", "LICENSE"):
        if (ROOT / name).exists():
            shutil.copy(ROOT / name, target)
    ignored = shutil.ignore_patterns("__pycache__", "dropin.cache")
    for name in ("fakellm", "twisted"):
        shutil.copytree(ROOT / name, target / name, ignore=ignored)


class InstallTests(SynchronousTestCase):
    """A fresh virtual environment with fakellm, and its dependencies from outside."""

    def setUp(self) -> None:
        if not (ROOT / "setup.cfg").exists():
            self.skipTest("these tests do not run from a source tree")
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = Path(folder.name).resolve()
        self.elsewhere = self.folder / "elsewhere"
        self.elsewhere.mkdir()
        self.env = environment()
        del self.env["PYTHONPATH"]
        self.source = self.folder / "source"
        copy_source(self.source)
        self.venv = self.folder / "venv"
        venv.create(self.venv, symlinks=True, with_pip=False)
        self.python = str(self.venv / "bin" / "python")
        dependencies = self.folder / "dependencies"
        link_packages(dependencies)
        self.site = Path(self.call(self.python, "-c", PRINT_SITE).strip())
        # A folder that a .pth file names is searched, but its own .pth files are not read.
        (self.site / "dependencies.pth").write_text(f"{dependencies}\n")
        nothing = run([self.python, "-c", "import fakellm"], env=self.env, cwd=str(self.elsewhere))
        self.assertIn("No module named 'fakellm'", nothing.err)

    def call(self, *argv: str) -> str:
        """Run a program that has to succeed, and return what it prints."""
        ended = run(argv, env=self.env, cwd=str(self.elsewhere))
        self.assertEqual(ended.status, 0, ended)
        return ended.out

    def pip(self, *argv: str) -> None:
        offline = ("--no-index", "--no-deps", "--no-build-isolation", "--disable-pip-version-check")
        self.call(sys.executable, "-m", "pip", "--python", self.python, "install", *offline, *argv)

    def assert_works(self, home: Path) -> None:
        """Check that twistd of the new environment knows, and runs, the fakellm that is there."""
        where = self.call(
            self.python,
            "-c",
            "import fakellm, twisted.plugins.fakellm_plugin as plugin;"
            "print(fakellm.__file__, plugin.__file__)",
        )
        for path in where.split():
            self.assertTrue(Path(path).is_relative_to(home), where)
        self.assertRegex(
            self.call(self.python, "-c", TWISTD, "--help"),
            r"\n +fakellm +A fake LLM server",
        )
        version = self.call(str(self.venv / "bin" / "fakellm"), "--version")
        self.assertRegex(version, r"^fakellm [0-9]+\.")
        argv = [self.python, "-c", TWISTD, "-n", "fakellm", "--port", "0"]
        with Process(argv, env=self.env, cwd=str(self.elsewhere)) as process:
            status, _ = get(process.url(), "/health")
            ended = process.stop()
        self.assertEqual((status, ended.err), (200, ""))
        self.assert_pytest_knows_it()

    def assert_pytest_knows_it(self) -> None:
        test = self.elsewhere / "test_it.py"
        test.write_text("def test_it(fakellm):\n    assert fakellm.requests == []\n")
        self.env["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        ran = self.call(self.python, "-m", "pytest", "-p", "fakellm", str(test))
        self.assertIn("1 passed", ran)

    def test_the_wheel(self) -> None:
        self.call(
            *(sys.executable, "-m", "build", "--wheel", "--no-isolation"),
            *("--outdir", str(self.folder / "dist"), str(self.source)),
        )
        [wheel] = (self.folder / "dist").glob("*.whl")
        self.pip(str(wheel))
        shutil.rmtree(self.source)
        self.assertTrue((self.site / "fakellm" / "py.typed").exists())
        for name in ("__init__.py", "plugins/__init__.py"):
            self.assertFalse((self.site / "twisted" / name).exists(), "hides Twisted itself")
        self.assert_works(self.site)

    def test_an_editable_install(self) -> None:
        self.pip("--editable", str(self.source))
        self.assertFalse((self.site / "fakellm").exists())
        self.assert_works(self.source)


PRINT_SITE = "import sysconfig; print(sysconfig.get_path('purelib'))"
