"""For pytest: a server for the run, and a session of its own on it for each test.

pytest imports this wherever fakellm is installed, so it imports nothing dear, no reactor above
all, before a test asks for a fixture. With xdist, all workers share one server.
"""

import itertools
import os
import re
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from fakellm.testing.client import Client

_FAILED = pytest.StashKey["Client"]()
_RUN = pytest.StashKey["_Run"]()
_NAME_AT_MOST = 80
_numbers = itertools.count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the settings of pytest's ini."""
    parser.addini(
        "fakellm_options",
        "options of the server, as of the command fakellm: --scenario rules.yml --ttft 200ms;"
        " paths are relative to the root folder",
        type="args",
        default=[],
    )
    parser.addini(
        "fakellm_environ",
        "let OPENAI_BASE_URL, OPENAI_API_KEY and their like lead to the fixture fakellm",
        type="bool",
        default=True,
    )


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "fakellm(scenario): begin the test with the rules of a scenario file, whose path is"
        " relative to the folder of the test; brings the fixture fakellm",
    )


def pytest_itemcollected(item: pytest.Item) -> None:
    """Give tests with the marker the fixture that it is about."""
    if item.get_closest_marker("fakellm") is not None and isinstance(item, pytest.Function):
        names = item.fixturenames
        if "fakellm" not in names:
            names.append("fakellm")


class _Run:
    """What the controller of xdist shares with its workers: a folder for one server's address.

    The server reads a pipe there which the controller alone holds, and ends when that does.
    """

    def __init__(self) -> None:
        self.folder = tempfile.mkdtemp(prefix="fakellm-")
        os.mkfifo(self.pipe)
        # For both, so that it opens although nobody reads yet
        self._held = os.open(self.pipe, os.O_RDWR)

    @property
    def pipe(self) -> Path:
        return Path(self.folder, "lifeline")

    def end(self) -> None:
        import shutil  # noqa: PLC0415 -- as above

        os.close(self._held)
        shutil.rmtree(self.folder, ignore_errors=True)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Tell a worker of xdist where the run's server is, or will be."""
    run = node.config.stash.get(_RUN, None)
    if run is None:
        run = node.config.stash[_RUN] = _Run()
        node.config.add_cleanup(run.end)
    node.workerinput["fakellm_folder"] = run.folder


@pytest.fixture(scope="session")
def fakellm_server(request: pytest.FixtureRequest) -> Iterator["Client"]:
    """The server of the run, in a process of its own; what steers it as a whole.

    It starts when the first test asks for it, and ends with the run, however that ends.
    """
    from fakellm.testing.client import Client  # noqa: PLC0415 -- as the module's docstring says
    from fakellm.testing.processes import ServerProcess, token_among  # noqa: PLC0415

    config = request.config
    options = config.getini("fakellm_options")
    folder = getattr(config, "workerinput", {}).get("fakellm_folder")
    if folder is not None and Path(folder).exists():  # else, the worker is on another machine
        from fakellm.testing.sharing import shared_url  # noqa: PLC0415

        url = shared_url(Path(folder), options, cwd=config.rootpath)
        yield Client(url, token=token_among(options))
        return
    with ServerProcess(options=options, cwd=config.rootpath) as process:
        url = process.url()
        yield Client(url, token=token_among(options))


@pytest.fixture
def fakellm(
    request: pytest.FixtureRequest, fakellm_server: "Client", monkeypatch: pytest.MonkeyPatch
) -> Iterator["Client"]:
    """A session of the test's own on the run's server; what steers it.

    Meanwhile the variables by which SDKs find a server lead there.
    """
    llm = fakellm_server.in_session(_session_name(request))
    marker = request.node.get_closest_marker("fakellm")
    if marker is not None:
        _load(llm, request.path.parent, marker)
    if request.config.getini("fakellm_environ"):
        _set_environ(llm, monkeypatch)
    request.node.stash[_FAILED] = llm
    yield llm
    llm.reset()


def _session_name(request: pytest.FixtureRequest) -> str:
    worker = getattr(request.config, "workerinput", {}).get("workerid", "main")
    name = re.sub(r"[^A-Za-z0-9_.]+", "-", request.node.nodeid)[-_NAME_AT_MOST:]
    return f"{worker}-{next(_numbers)}-{name}".strip("-")


def _load(llm: "Client", folder: Path, marker: pytest.Mark) -> None:
    from fakellm.testing.errors import BadScenarioText  # noqa: PLC0415

    try:
        llm.load(folder / _path_of(*marker.args, **marker.kwargs))
    except TypeError:
        pytest.fail('say @pytest.mark.fakellm(scenario="rules.yml")', pytrace=False)
    except (OSError, BadScenarioText) as error:
        pytest.fail(str(error), pytrace=False)


def _path_of(scenario: str | os.PathLike[str]) -> str | os.PathLike[str]:
    return scenario


def _set_environ(llm: "Client", monkeypatch: pytest.MonkeyPatch) -> None:
    from fakellm.testing.environment import UNSET, past_proxies  # noqa: PLC0415

    for name in UNSET:
        monkeypatch.delenv(name, raising=False)
    for name, value in {**llm.environ, **past_proxies(os.environ)}.items():
        monkeypatch.setenv(name, value)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Any:
    """Show, where a test failed, what the server was asked and why it answered as it did."""
    report = yield
    llm = item.stash.get(_FAILED, None)
    if report.when != "teardown" and report.failed and llm is not None:
        from fakellm.testing.reporting import sections  # noqa: PLC0415

        report.sections.extend(sections(llm))
    return report
