"""For trial: a fresh server for each test, which is gone, and has left nothing, when it ends.

Mixins, to stand before trial's ``TestCase``; importing them installs no reactor.
"""

from collections.abc import Mapping
from inspect import isawaitable
from typing import TYPE_CHECKING, Any, cast

from twisted.internet.defer import maybeDeferred

if TYPE_CHECKING:
    from fakellm.testing.servers import LiveLLM, MemoryLLM


class _Cleaned:
    """What the mixins need of the class that they are mixed into."""

    fakellm_settings: Mapping[str, Any] = {}

    def setUp(self) -> Any:
        """Make the server, when the setting up of the other classes is done."""
        others: Any = getattr(super(), "setUp", None)
        done = None if others is None else others()
        if isawaitable(done):
            return maybeDeferred(lambda: done).addCallback(lambda _: self._make())
        self._make()
        return None

    def _make(self) -> None:
        raise NotImplementedError


class WithFakeLLM(_Cleaned):
    """Mix into `twisted.trial.unittest.TestCase`: ``self.llm`` listens in the same reactor.

    ``self.llm.url`` and ``self.llm.openai_url`` say where; ``self.llm.client`` is a treq client.

    Attributes:
        fakellm_settings: of the server, by the names of `fakellm.Config`'s fields.
        llm: the server, and what steers it.
    """

    llm: "LiveLLM"

    def _make(self) -> None:
        from fakellm.testing.servers import LiveLLM  # noqa: PLC0415 -- imports the web framework

        self.llm = LiveLLM(**self.fakellm_settings)
        cast("Any", self).addCleanup(self.llm.stopped)


class WithFakeLLMInMemory(_Cleaned):
    """Mix into any ``TestCase``: ``self.llm`` has no socket, and its time is virtual.

    ``self.llm.client`` is a treq client, and ``self.llm.advance(1.5)`` lets time pass.

    Attributes:
        fakellm_settings: of the server, by the names of `fakellm.Config`'s fields; ``clock`` is a
            `twisted.internet.task.Clock` to share.
        llm: the server, and what steers it.
    """

    llm: "MemoryLLM"

    def _make(self) -> None:
        from fakellm.testing.servers import MemoryLLM  # noqa: PLC0415 -- imports the web framework

        self.llm = MemoryLLM(**self.fakellm_settings)
