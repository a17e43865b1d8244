"""Taking secrets out of what is told of a request: no key, no credential, no cookie stays."""

import re
from collections.abc import Mapping

MASK = "***"

_SECRET_HEADERS = frozenset({
    "api-key", "authorization", "cookie", "openai-api-key", "proxy-authorization", "set-cookie",
    "x-amz-security-token", "x-api-key", "x-auth-token", "x-goog-api-key",
})  # fmt: skip
_SECRET_NAME = re.compile(
    r"(^|[-_.])(api[-_]?key|key|token|secret|password|passwd|pwd|signature|sig|credentials?)$"
    r"|apikey|access[-_]?token|auth[-_]?token|client[-_]?secret",
    re.IGNORECASE,
)
_SCHEME = re.compile(r"(Basic|Bearer|Digest|Token|AWS4-HMAC-SHA256)\b", re.IGNORECASE)
_URL_SECRET = re.compile(r"(?<=[?&])([^=&#\s]+)=[^&#\s]*")
_KEY = re.compile(r"\b(?:sk|pk|rk|xai|gsk|AIza|session)-?[A-Za-z0-9_\-]{16,}")


def masked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """The same headers without credentials; the scheme of an authorization stays."""
    return {name: _header(name, value) for name, value in headers.items()}


def masked_query(query: Mapping[str, str]) -> dict[str, str]:
    """The same parameters without keys."""
    return {name: MASK if is_secret(name) else masked_text(value) for name, value in query.items()}


def is_secret(name: str) -> bool:
    """Whether what has this name, a header or a parameter, is a secret."""
    return name.lower() in _SECRET_HEADERS or _SECRET_NAME.search(name) is not None


def masked_text(text: str) -> str:
    """A text without what looks like a vendor's key, and without keys in addresses."""
    if "?" in text:
        text = _URL_SECRET.sub(
            lambda found: f"{found[1]}={MASK}" if is_secret(found[1]) else found[0], text
        )
    return _KEY.sub(MASK, text)


def _header(name: str, value: str) -> str:
    if not is_secret(name):
        return masked_text(value) if "?" in value or "-" in value else value
    scheme = _SCHEME.match(value)
    return MASK if scheme is None else f"{scheme[0]} {MASK}"
