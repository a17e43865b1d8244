"""The variables of the environment by which the vendors' SDKs find a server.

Pure: what is set, and when it is unset again, is the business of whoever asks.
"""

import re
from collections.abc import Mapping

SESSION_KEY = "session-"
"""What an API key begins with that names a session."""

UNSET = ("ANTHROPIC_AUTH_TOKEN", "OPENAI_ORG_ID", "OPENAI_PROJECT_ID")
"""What SDKs send along where it is set: a test sends nobody's real token."""

_HERE = {"//0.0.0.0:": "//127.0.0.1:", "//[::]:": "//[::1]:"}
_EVERYWHERE = re.compile("|".join(map(re.escape, _HERE)))

_PROXIES = ("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy")
_PAST_PROXIES = ("NO_PROXY", "no_proxy")


def from_here(url: str) -> str:
    """Where a server is for a client on the same machine, if it says that it is everywhere."""
    return _EVERYWHERE.sub(lambda found: _HERE[found[0]], url, count=1)


def variables(url: str, key: str) -> dict[str, str]:
    """The variables, and their values.

    Args:
        url: the server's, without a path.
        key: the API key that SDKs are to send.
    """
    return {
        "ANTHROPIC_API_KEY": key,
        "ANTHROPIC_BASE_URL": url,
        "AZURE_OPENAI_API_KEY": key,
        "AZURE_OPENAI_ENDPOINT": url,
        "FAKELLM_URL": url,
        "OLLAMA_API_BASE": url,
        "OLLAMA_HOST": url,
        "OPENAI_API_BASE": f"{url}/v1",
        "OPENAI_API_KEY": key,
        "OPENAI_BASE_URL": f"{url}/v1",
    }


def past_proxies(environ: Mapping[str, str]) -> dict[str, str]:
    """The variables that lead requests to this machine past the proxies that others name."""
    if not any(environ.get(name) for name in _PROXIES):
        return {}
    return {
        name: ",".join(filter(None, (environ.get(name), "127.0.0.1,::1,localhost")))
        for name in _PAST_PROXIES
    }
