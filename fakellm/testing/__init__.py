"""What tests need: servers that come and go with them, and what steers these.

Nothing of ours imports it, and importing it installs no reactor; names come on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakellm.testing.async_client import AsyncClient
    from fakellm.testing.client import Client
    from fakellm.testing.errors import (
        BadScenarioText,
        ControlError,
        NotStarted,
        NotVerified,
        Unreachable,
    )
    from fakellm.testing.loops import serving
    from fakellm.testing.processes import Running, running
    from fakellm.testing.servers import LiveLLM, MemoryLLM
    from fakellm.testing.trial import WithFakeLLM, WithFakeLLMInMemory

_HOMES = {
    "AsyncClient": "async_client",
    "BadScenarioText": "errors",
    "Client": "client",
    "ControlError": "errors",
    "LiveLLM": "servers",
    "MemoryLLM": "servers",
    "NotStarted": "errors",
    "NotVerified": "errors",
    "Running": "processes",
    "Unreachable": "errors",
    "WithFakeLLM": "trial",
    "WithFakeLLMInMemory": "trial",
    "running": "processes",
    "serving": "loops",
}

__all__ = [
    "AsyncClient",
    "BadScenarioText",
    "Client",
    "ControlError",
    "LiveLLM",
    "MemoryLLM",
    "NotStarted",
    "NotVerified",
    "Running",
    "Unreachable",
    "WithFakeLLM",
    "WithFakeLLMInMemory",
    "running",
    "serving",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 -- import fakellm.testing itself stays free

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
