"""Both fronts answer alike: the same status, headers and body, whoever finds the way to it.

Bytes that are no sound request are compared by ``python -m benchmarks.fuzz_fronts``.
"""

import re

from fakellm.engine.clock import VirtualClock
from tests.connections import connect, request, split
from tests.test_connections import ConnectionTestCase

PATHS = (
    "/", "/health", "/v1/models", "/v1/models/fake-model", "/v1/models/", "//v1/models",
    "/v1/models?x=%ff", "/%2e%2e/x", "/%ff", "/v1/chat/completions", "/nonesuch", "*",
    "http://h/v1/models", "/_fakellm/", "/_fakellm/clock", "/_fakellm/rules",
    "/_fakellm/openapi.json", "/_fakellm/nonesuch",
)  # fmt: skip
METHODS = ("GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW")
FAULTS = (
    "", "status 503", "gzip", "reset", "truncate", "no_body", "drop_done", "bad_gzip", "garbage",
    "wrong_length", "html", "empty", "trailers", "duplicate_header",
)  # fmt: skip
HEADERS = (
    "Origin: http://a.example\r\n", "TE: trailers\r\n", "Accept-Encoding: gzip\r\n",
    "Upgrade: websocket\r\n",
)  # fmt: skip

_OF_ITS_OWN = frozenset((b"date", b"server", b"x-request-id", b"openai-processing-ms"))
_ID = re.compile(rb"chatcmpl-\w+|req_\w+")


class AlikeTests(ConnectionTestCase):
    async def answer(self, data: bytes) -> tuple[bytes, list[tuple[bytes, bytes]], bytes, bool]:
        """The status line, the headers, the body, and whether the connection ended cleanly."""
        connection = await connect(self.server.urls[0])
        connection.send(data)
        cleanly = await connection.closed
        status, headers, body = split(connection.received)
        kept = sorted(each for each in headers.items() if each[0] not in _OF_ITS_OWN)
        return status, kept, _ID.sub(b"id", body), cleanly

    async def assert_alike(self, *asked: bytes) -> None:
        """Check what both answer: at first, and when they know the request."""
        answered = []
        for self.http in ("fast", "twisted"):
            self.start(clock=VirtualClock(), seed=7)
            answered.append([await self.answer(data) for data in asked for _ in range(2)])
        for number, (fast, twisted) in enumerate(zip(*answered, strict=True)):
            self.assertEqual(fast, twisted, asked[number // 2])

    async def test_every_method_of_every_path(self) -> None:
        close = "Host: 127.0.0.1\r\nConnection: close\r\n\r\n"
        await self.assert_alike(
            *(
                f"{method} {path} HTTP/1.1\r\n{close}".encode()
                for path in PATHS
                for method in METHODS
            )
        )

    async def test_answers_and_their_faults(self) -> None:
        await self.assert_alike(
            *(
                request(headers=f"Connection: close\r\nX-FakeLLM-Fault: {fault}\r\n", stream=stream)
                for fault in FAULTS
                for stream in (False, True)
            )
        )

    async def test_what_a_client_says_of_itself(self) -> None:
        await self.assert_alike(
            *(
                request(headers=f"Connection: close\r\n{header}", stream=stream)
                for header in HEADERS
                for stream in (False, True)
            )
        )
