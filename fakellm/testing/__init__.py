"""What tests need: servers that come and go with them, and what steers these.

Nothing of ours imports it, and importing it installs no reactor; names come on first use.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from fakellm.testing.client import Client
    from fakellm.testing.errors import ControlError, NotStarted, NotVerified, Unreachable
    from fakellm.testing.processes import Running, running

_HOMES = {
    "Client": "client",
    "ControlError": "errors",
    "NotStarted": "errors",
    "NotVerified": "errors",
    "Running": "processes",
    "Unreachable": "errors",
    "running": "processes",
}

__all__ = [
    "Client",
    "ControlError",
    "NotStarted",
    "NotVerified",
    "Running",
    "Unreachable",
    "running",
]


def __getattr__(name: str) -> Any:
    """Import a public name from its home on first use."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module  # noqa: PLC0415 -- import fakellm.testing itself stays free

    return getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
