"""fakellm: a fake LLM server for applications, agents, gateways and load generators.

Importing this package installs no reactor and imports no web framework; both come with the first
use of a name below.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakellm.assembly import FakeLLM
    from fakellm.config import Config
    from fakellm.scenarios.words import (
        all_of,
        any_of,
        contains,
        echo,
        ends_with,
        error,
        fault,
        from_schema,
        hold,
        hosted,
        json,
        like,
        lorem,
        matches,
        not_,
        reasoning,
        refusal,
        reply,
        starts_with,
        text,
        tool_call,
    )
    from fakellm.testing.processes import running

__version__ = "0.1.0"
__all__ = [
    "Config",
    "FakeLLM",
    "__version__",
    "all_of",
    "any_of",
    "contains",
    "echo",
    "ends_with",
    "error",
    "fault",
    "from_schema",
    "hold",
    "hosted",
    "json",
    "like",
    "lorem",
    "matches",
    "not_",
    "reasoning",
    "refusal",
    "reply",
    "running",
    "starts_with",
    "text",
    "tool_call",
]

_HOMES = {
    "FakeLLM": "fakellm.assembly",
    "Config": "fakellm.config",
    "running": "fakellm.testing.processes",
}
_WORDS = "fakellm.scenarios.words"


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 -- import fakellm itself stays free

    return getattr(import_module(_HOMES.get(name, _WORDS)), name)
