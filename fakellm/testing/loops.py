"""A server in the event loop of an asyncio application, on Twisted's reactor for asyncio."""

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from typing import TYPE_CHECKING, Any

from twisted.internet.asyncioreactor import AsyncioSelectorReactor, install

if TYPE_CHECKING:
    from fakellm.testing.servers import LiveLLM


@contextlib.asynccontextmanager
async def serving(**settings: Any) -> AsyncIterator["LiveLLM"]:
    """Run a server in the running event loop for as long as the ``async with`` lasts.

    ``async with serving(answer="It is sunny.") as llm:`` gives what steers it; ``llm.openai_url``
    is the base URL for OpenAI's SDK. Where no reactor is installed yet, the loop's one is.

    Args:
        **settings: single settings, by the names of `fakellm.Config`'s fields.

    Raises:
        BadSetting: a setting is wrong.
    """
    loop = asyncio.get_running_loop()
    reactor = _reactor(loop)

    from fakellm.testing.servers import LiveLLM  # noqa: PLC0415 -- installs one where there is none

    llm = LiveLLM(reactor=reactor, **settings)
    try:
        yield llm
    finally:
        await llm.stopped().asFuture(loop)


def _reactor(loop: asyncio.AbstractEventLoop) -> Any:
    """A reactor on the loop: the installed one, if it is on it; else one of its own."""
    if "twisted.internet.reactor" not in sys.modules:
        install(loop)
    installed: Any = sys.modules["twisted.internet.reactor"]
    if getattr(installed, "_asyncioEventloop", None) is loop:
        reactor = installed
    else:
        reactor = AsyncioSelectorReactor(loop)
    if not reactor.running:
        reactor.startRunning(installSignalHandlers=False)
    return reactor
