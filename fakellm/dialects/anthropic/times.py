"""Points in time as Anthropic writes them."""

from datetime import UTC, datetime

LAST = 253_402_300_799
"""The Unix time of the last second of the year 9999, beyond which RFC 3339 has no words."""


def rfc3339(seconds: int) -> str:
    """A Unix time as ``2026-01-01T00:00:00Z``."""
    said = datetime.fromtimestamp(min(seconds, LAST), UTC).isoformat()
    return said.removesuffix("+00:00") + "Z"
