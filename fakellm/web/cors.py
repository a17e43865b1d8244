"""Letting pages in browsers call the server, from any origin.

Source: the Fetch standard (https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

from twisted.web.server import Request

EXPOSED = ", ".join(
    (
        "x-request-id",
        "openai-version",
        "openai-processing-ms",
        "retry-after",
        "retry-after-ms",
        "x-fakellm-late",
        "x-fakellm-queue-place",
        "x-fakellm-queue-time",
        *(
            f"x-ratelimit-{what}-{unit}"
            for what in ("limit", "remaining", "reset")
            for unit in ("requests", "tokens")
        ),
    )
)
HEADERS = (
    ("Access-Control-Allow-Origin", "*"),
    ("Access-Control-Expose-Headers", EXPOSED),
)
_PREFLIGHT_LASTS_SECONDS = b"86400"


def answer_preflight(request: Request) -> None:
    """Set the head of the answer to an ``OPTIONS`` request: whatever is asked for is allowed."""
    asked = request.requestHeaders
    request.setResponseCode(204)
    headers = request.responseHeaders
    headers.setRawHeaders(b"Access-Control-Allow-Origin", [b"*"])
    headers.setRawHeaders(b"Access-Control-Allow-Methods", [b"GET, HEAD, POST, DELETE, OPTIONS"])
    wanted = asked.getRawHeaders(b"Access-Control-Request-Headers", [b"*"])
    headers.setRawHeaders(b"Access-Control-Allow-Headers", wanted)
    headers.setRawHeaders(b"Access-Control-Max-Age", [_PREFLIGHT_LASTS_SECONDS])
    if asked.hasHeader(b"Access-Control-Request-Private-Network"):
        headers.setRawHeaders(b"Access-Control-Allow-Private-Network", [b"true"])
    headers.setRawHeaders(b"Vary", [b"Access-Control-Request-Headers"])
