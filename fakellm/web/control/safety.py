"""Who may use the control API: whoever is on this machine, and whoever has the token.

Web pages of other origins and names that only resolve to this machine (DNS rebinding) are refused,
and so are other machines, unless there is a token. Once there is one, everybody needs it.
"""

import hmac
import re
from ipaddress import ip_address
from typing import Any
from urllib.parse import urlsplit

from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import ISystemHandle
from twisted.web.server import Request

from fakellm.web.control.problems import Problem

TOKEN_HEADER = "X-FakeLLM-Control-Token"  # noqa: S105 -- a name
_BEARER = re.compile(r"bearer +", re.IGNORECASE)
_PORT = re.compile(r":[0-9]*\Z")


class Safety:
    """Lets requests in.

    Args:
        token: what they have to bear; empty where none is set.
    """

    def __init__(self, token: str = "") -> None:
        self._token = _bytes(token)

    def let_in(self, request: Request) -> None:
        """Let in who may use it.

        Raises:
            Problem: it is somebody else.
        """
        host = (request.getHeader("host") or "").lower()
        if over_socket(request):
            self._check_place(request, host)
        origin = request.getHeader("origin")
        if origin is not None and _place(origin) != host:
            raise Problem(403, f"the control API is not for pages of the origin {origin!r}")
        if self._token:
            self._check_token(request)

    def _check_place(self, request: Request, host: str) -> None:
        match request.getHost():
            case UNIXAddress():
                pass
            case IPv4Address(host=address) | IPv6Address(host=address):
                if is_loopback(address):
                    if not _names_loopback(host):
                        raise Problem(
                            403, f"the control API is for a loopback host only, not for {host!r}"
                        )
                elif not self._token:
                    raise Problem(
                        403,
                        "the control API is for clients on the same machine only, as no"
                        " --control-token is set",
                    )
            case _:
                if not self._token:
                    raise Problem(403, "the control API is not for connections of this kind")

    def _check_token(self, request: Request) -> None:
        given = request.getHeader(TOKEN_HEADER)
        if given is None:
            authorization = request.getHeader("authorization") or ""
            bearer = _BEARER.match(authorization)
            given = None if bearer is None else authorization[bearer.end() :]
        if given is None:
            raise Problem(
                401,
                f"the control token is missing: send it as Authorization: Bearer or {TOKEN_HEADER}",
                WWW_Authenticate="Bearer",
            )
        if not hmac.compare_digest(_bytes(given.strip()), self._token):
            raise Problem(
                401,
                "this is not the control token",
                WWW_Authenticate='Bearer error="invalid_token"',
            )


def over_socket(request: Request) -> bool:
    """Whether a request came in from outside of the process."""
    transport: Any = request.transport
    # a stream of HTTP/2 has no transport of its own
    return transport is None or bool(ISystemHandle.providedBy(transport))


def is_loopback(address: str) -> bool:
    """Whether an address is this machine's own."""
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return (getattr(found, "ipv4_mapped", None) or found).is_loopback


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")  # which takes any text


def _place(origin: str) -> str | None:
    """The host and port of an origin, if it has one."""
    try:
        return urlsplit(origin.lower()).netloc or None
    except ValueError:
        return None


def _names_loopback(host: str) -> bool:
    """Whether a ``Host`` is this machine whatever a name server says."""
    name = _PORT.sub("", host)
    if name == "localhost":
        return True
    return is_loopback(name[1:-1] if name.startswith("[") and name.endswith("]") else name)
