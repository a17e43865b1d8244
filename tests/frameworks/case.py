"""What the tests of all frameworks share: a server with rules, a tool, and no network but it."""

import importlib
import json
import os
import socket
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

from pydantic import BaseModel
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from tests.servers import LiveTestCase

RULES = Path(__file__).with_name("rules.yml")

QUIET = {
    "LANGSMITH_TRACING": "false",
    "LITELLM_LOCAL_ANTHROPIC_BETA_HEADERS": "True",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
    "LITELLM_MODE": "PRODUCTION",  # it reads no .env
    "NO_PROXY": "*",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
}
"""What keeps the frameworks from the network; they read it when they are imported."""

WEATHER = {"Oslo": 4, "Paris": 17}


class Report(BaseModel):
    """A report of the weather."""

    city: str
    celsius: int


def get_weather(city: str) -> str:
    """The weather in a city.

    Args:
        city: the city's name
    """
    return json.dumps({"city": city, "celsius": WEATHER[city]})


def framework(name: str) -> Any:
    """Import a framework, or a module of it.

    Raises:
        SkipTest: it is not installed.
    """
    os.environ.update(QUIET)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as missing:
        if missing.name != name.partition(".")[0]:
            raise
        raise SkipTest(f"{name} is not installed: pip install -e '.[frameworks]'") from missing


class FrameworkTestCase(LiveTestCase):
    """Tests by a framework, in threads, against a server with the rules in `RULES`.

    Attributes:
        needs: the framework's module, without which the tests are skipped.
        framework: that module, imported.
        url: the server's base URL, without a path.
        strangers: the hosts other than this one that were asked for; there have to be none.
    """

    needs: ClassVar[str]

    def setUp(self) -> None:
        super().setUp()
        self.strangers: list[Any] = []
        self._keep_to_this_host()
        self._forgive_models()
        self.framework = framework(self.needs)
        self.url = ""
        self.serve()

    def tearDown(self) -> None:
        self.assertEqual(self.strangers, [])

    def serve(self, **settings: Any) -> str:
        """Start the server that is asked from now on."""
        self.url = super().serve(**{"scenario": [str(RULES)], "strict_requests": True, **settings})
        return self.url

    def in_thread(self, work: Callable[..., Any], *args: Any, **fields: Any) -> Deferred[Any]:
        """Call something that blocks."""
        return deferToThread(work, *args, **fields)

    async def fails(self, kind: type[BaseException], asked: Deferred[Any]) -> Any:
        """The error that a call ends with."""
        try:
            await asked
        except kind as error:
            return error
        raise self.failureException(f"no {kind.__name__}")

    def _forgive_models(self) -> None:
        """Show no warnings about the models of frameworks, which set filters of their own."""
        show: Any = warnings.showwarning

        def shown(message: Any, category: Any, filename: str, *args: Any) -> None:
            if "pydantic" not in Path(filename).parts:
                show(message, category, filename, *args)

        self.patch(warnings, "showwarning", shown)

    def _keep_to_this_host(self) -> None:
        resolve = socket.getaddrinfo

        def local(host: Any, *args: Any, **fields: Any) -> Any:
            if host not in {"127.0.0.1", "::1", "localhost"}:
                self.strangers.append(host)
                raise socket.gaierror(socket.EAI_NONAME, f"{host} is none of this test's business")
            return resolve(host, *args, **fields)

        self.patch(socket, "getaddrinfo", local)
