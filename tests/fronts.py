"""Which front the tests talk to, decided in this one place.

Tests of what goes over sockets talk to `HTTP`: the default front, or the one that the environment
variable ``FAKELLM_TEST_HTTP`` names, ``fast`` or ``twisted``. Those that matter most to either are
run on both in any case: `TwistedFront` before the class they derive from, and `FastFront` before
the class of those.
"""

import os
from typing import Any, Literal, cast

HTTP = cast("Literal['fast', 'twisted']", os.environ.get("FAKELLM_TEST_HTTP", "fast"))
"""The setting ``http`` of the servers of tests."""

ENVIRONMENT: dict[str, str] = {} if HTTP == "fast" else {"FAKELLM_HTTP": HTTP}
"""What says so to a server in a process of its own; the default is left to be the default."""


def settings(**more: Any) -> dict[str, Any]:
    """Settings for a server that listens on a free port, and stops without waiting."""
    return {"port": 0, "grace": 0, "http": HTTP, **more}


class TwistedFront:
    """Over Twisted Web's."""

    http = "twisted"


class FastFront:
    """The same over the front of our own."""

    http = "fast"
