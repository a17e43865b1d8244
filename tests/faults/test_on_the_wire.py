"""What every fault does on the wire, seen by a client that has a socket and no HTTP library.

`SIGHTS` is the table. Those whose point is when things come, in what pieces, or what becomes of the
next connection are looked at in `tests.faults.test_on_the_wire_in_time` too. Time is virtual.
"""

import json
import re
import zlib
from collections.abc import Callable, Coroutine, Mapping
from typing import Any

from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from fakellm.faults.spec import FAULTS
from tests.onlooker import Onlooker, OnlookerTestCase, alike
from tests.servers import events_of

ROLE, HELLO, WORLD, STOP, DONE = range(5)
"""The frames of the default answer, streamed."""

Frames = list[bytes]
Check = Callable[["OnTheWireTests", Onlooker, Frames], None]


class Sight(Struct, frozen=True, kw_only=True):
    """What is seen of one fault.

    Attributes:
        body: what becomes of the sound body, which is given in its frames: the events of a stream,
            or the document alone.
        status: the status.
        headers: headers that have to be there, by their names in lower case.
        is_whole: whether all came that was announced, and no more.
        how: how the connection ends. Where it is a FIN that comes of the fault, and not of the
            client's wish, the client has none, and would wait.
        lasting: the client has no such wish.
        is_counted: the fault has something to do, and is counted when it has done it.
        check: what is to be seen of the body, where ``body`` cannot say it.
    """

    body: Callable[[Frames], bytes] = b"".join
    status: int = 200
    headers: Mapping[bytes, bytes] = {}
    is_whole: bool = True
    how: str = "closed"
    lasting: bool = False
    is_counted: bool = True
    check: Check | None = None


def only(*numbers: int) -> Callable[[Frames], bytes]:
    """A body of these frames, in this order."""
    return lambda frames: b"".join(frames[number] for number in numbers)


def each(change: Callable[[bytes], bytes]) -> Callable[[Frames], bytes]:
    """A body whose frames are changed, each by itself."""
    return lambda frames: b"".join(change(frame) for frame in frames)


def first(size: int) -> Callable[[Frames], bytes]:
    """So many bytes of a body; a negative number is how many it lacks."""
    return lambda frames: b"".join(frames)[:size]


def replaced(*pairs: tuple[bytes, bytes]) -> Callable[[Frames], bytes]:
    """A body with other words in it."""

    def replace(frames: Frames) -> bytes:
        body = b"".join(frames)
        for old, new in pairs:
            assert old in body, old
            body = body.replace(old, new)
        return body

    return replace


def with_length(off_by: int) -> Check:
    """The announced length is off by so many bytes."""

    def check(case: "OnTheWireTests", seen: Onlooker, frames: Frames) -> None:
        said = int(seen.headers[b"content-length"])
        case.assertEqual(said - sum(map(len, frames)), off_by)
        case.assertNotIn(b"transfer-encoding", seen.headers)

    return check


def garbled_after(frames: int) -> Check:
    """There is garbage where the size of the next chunk of HTTP should be."""

    def check(case: "OnTheWireTests", seen: Onlooker, sound: Frames) -> None:
        case.assertEqual(seen.headers[b"transfer-encoding"], b"chunked")
        case.assertNotIn(b"content-length", seen.headers)
        case.assertEqual(alike(b"".join(seen.chunks)), b"".join(sound[:frames]))
        case.assertEqual(seen.rest, b"this is no chunk size\r\n")

    return check


def broken_gzip(case: "OnTheWireTests", seen: Onlooker, frames: Frames) -> None:
    """Gzip that is sound at first, and then is none."""
    unpacker = zlib.decompressobj(31)
    unpacked = b""
    with case.assertRaises(zlib.error):
        for byte in seen.body:
            unpacked += unpacker.decompress(bytes([byte]))
    case.assertEqual(alike(unpacked), b"".join(frames)[: len(frames[0]) // 2])


def longer_by_three(case: "OnTheWireTests", seen: Onlooker, frames: Frames) -> None:
    """Three words more than there are in the sound answer."""
    if len(frames) > 1:
        chunks = [json.loads(event.data) for event in events_of(seen.body)[:-1]]
        said = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
        case.assertEqual((said[:3], len(said)), (["", "hello", " world"], 7))
    else:
        told = json.loads(seen.body)
        case.assertEqual(len(told["choices"][0]["message"]["content"].split()), 5)
        case.assertEqual(told["usage"]["completion_tokens"], 5)


def cut_json(*numbers: int) -> Check:
    """The JSON of these frames lacks its end, in events that are sound; the others are as ever."""

    def check(case: "OnTheWireTests", seen: Onlooker, frames: Frames) -> None:
        found = alike(seen.body).split(b"\n\n")[:-1]
        case.assertEqual(len(found), len(frames))
        for number, (event, frame) in enumerate(zip(found, frames, strict=True)):
            if number in numbers:
                case.assertTrue(frame.startswith(event) and event.startswith(b"data: "))
                case.assertRaises(ValueError, json.loads, event.removeprefix(b"data: "))
            else:
                case.assertEqual(event + b"\n\n", frame)

    return check


def cut_document(case: "OnTheWireTests", seen: Onlooker, frames: Frames) -> None:
    """A document that lacks its end, of the length that is announced."""
    case.assertTrue(frames[0].startswith(alike(seen.body)))
    case.assertRaises(ValueError, json.loads, seen.body)


def in_three_lines(frame: bytes) -> bytes:
    """The JSON of an event in three lines."""
    if b"[DONE]" in frame:
        return frame
    return frame.replace(b"data: {", b"data: {\ndata: ", 1).replace(b"}\n\n", b"\ndata: }\n\n")


TOO_MANY = (
    b'{"error":{"message":"Too many requests. Please try again later.",'
    b'"type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}'
)
OVERLOADED = (
    b'{"error":{"message":"The engine is currently overloaded, please try again later.",'
    b'"type":"service_unavailable_error","param":null,"code":"service_unavailable"}}'
)
PAGE = (
    b"<html>\r\n<head><title>502 Bad Gateway</title></head>\r\n<body>\r\n"
    b"<center><h1>502 Bad Gateway</h1></center>\r\n<hr><center>nginx</center>\r\n"
    b"</body>\r\n</html>\r\n"
)
LATER = {b"retry-after": b"2", b"retry-after-ms": b"1500"}
FILTERED = (b'"stop"', b'"content_filter"')
NULL = (b'"finish_reason":"stop"', b'"finish_reason":null')
UNTOUCHED = Sight(is_counted=False)
GONE = Sight(body=lambda _: b"", status=0, is_whole=False, lasting=True)
BROKEN_OFF = Sight(body=lambda _: b"", status=0, is_whole=False, how="reset", lasting=True)

SIGHTS: tuple[tuple[str, Sight | None, Sight | None], ...] = (
    # the fault, what is seen of it streamed, and whole; None: nothing else than above
    (
        "error 429 retry_after 1.5s",
        Sight(body=lambda _: TOO_MANY, status=429, headers=LATER),
        Sight(body=lambda _: TOO_MANY, status=429, headers=LATER),
    ),
    (
        "error 503 after 1 token",
        Sight(body=lambda f: f[ROLE] + f[HELLO] + b"data: " + OVERLOADED + b"\n\n"),
        Sight(body=lambda _: OVERLOADED, status=503),
    ),
    (
        "html_error 502",
        Sight(body=lambda _: PAGE, status=502, headers={b"content-type": b"text/html"}),
        Sight(body=lambda _: PAGE, status=502, headers={b"content-type": b"text/html"}),
    ),
    ("delay 2s", Sight(), Sight()),
    ("slow_head 3s", Sight(), Sight()),
    ("hang_up", GONE, GONE),
    ("refuse", BROKEN_OFF, BROKEN_OFF),
    ("stall 10s after 3", Sight(), Sight()),
    ("close", GONE, GONE),
    (
        "close after 3",
        Sight(body=only(ROLE, HELLO, WORLD), is_whole=False, lasting=True),
        Sight(body=lambda _: b"", is_whole=False, lasting=True),
    ),
    (
        "close after 300 bytes",
        Sight(body=first(300), is_whole=False, lasting=True),
        Sight(body=first(300), is_whole=False, lasting=True),
    ),
    ("reset", BROKEN_OFF, BROKEN_OFF),
    (
        "reset after 3",
        Sight(body=only(ROLE, HELLO, WORLD), is_whole=False, how="reset", lasting=True),
        Sight(body=lambda _: b"", is_whole=False, how="reset", lasting=True),
    ),
    (
        "reset after 0",
        Sight(body=lambda _: b"", is_whole=False, how="reset", lasting=True),
        Sight(body=lambda _: b"", is_whole=False, how="reset", lasting=True),
    ),
    (
        "reset after 300 bytes",
        Sight(body=first(300), is_whole=False, how="reset", lasting=True),
        Sight(body=first(300), is_whole=False, how="reset", lasting=True),
    ),
    (
        "no_finish_reason",
        Sight(body=only(ROLE, HELLO, WORLD, DONE)),
        Sight(body=replaced(NULL)),
    ),
    ("no_end", Sight(body=only(ROLE, HELLO, WORLD, STOP)), Sight(body=first(-1))),
    (
        "missing after 2",
        Sight(body=only(ROLE, HELLO, STOP, DONE)),
        Sight(body=lambda _: b"", headers={b"content-length": b"0"}),
    ),
    (
        "doubled after 2",
        Sight(body=only(ROLE, HELLO, WORLD, WORLD, STOP, DONE)),
        Sight(body=lambda f: f[0] * 2),
    ),
    ("swapped after 2", Sight(body=only(ROLE, HELLO, STOP, WORLD, DONE)), UNTOUCHED),
    (
        "content_filter after 1 token",
        Sight(body=lambda f: f[ROLE] + f[HELLO] + f[STOP].replace(*FILTERED) + f[DONE]),
        Sight(
            body=replaced(
                (b"hello world", b"hello"),
                FILTERED,
                (
                    b'"completion_tokens":2,"total_tokens":11',
                    b'"completion_tokens":1,"total_tokens":10',
                ),
            )
        ),
    ),
    ("malformed after 2", Sight(check=cut_json(WORLD)), Sight(check=cut_document)),
    ("malformed all after 2", Sight(check=cut_json(WORLD, STOP, DONE)), None),
    ("split at 7 after 2", Sight(), Sight()),
    ("byte_by_byte", Sight(), Sight()),
    ("split_characters", UNTOUCHED, UNTOUCHED),
    ("line_ends crlf", Sight(body=each(lambda f: f.replace(b"\n", b"\r\n"))), UNTOUCHED),
    ("line_ends cr", Sight(body=each(lambda f: f.replace(b"\n", b"\r"))), UNTOUCHED),
    ("comments", Sight(body=each(lambda f: b": keep-alive\n\n" + f)), UNTOUCHED),
    ("no_space", Sight(body=each(lambda f: f.replace(b"data: ", b"data:"))), UNTOUCHED),
    ("multi_line", Sight(body=each(in_three_lines)), UNTOUCHED),
    (
        "unknown_fields",
        Sight(body=each(lambda f: b"fakellm: a field that no standard knows\nfakellm\n" + f)),
        UNTOUCHED,
    ),
    (
        "bom",
        Sight(body=lambda f: b"\xef\xbb\xbf" + b"".join(f)),
        Sight(body=lambda f: b"\xef\xbb\xbf" + b"".join(f)),
    ),
    (
        "content_type text/plain",
        Sight(headers={b"content-type": b"text/plain"}),
        Sight(headers={b"content-type": b"text/plain"}),
    ),
    (
        "content_length short",
        Sight(is_whole=False, lasting=True, check=with_length(-10)),
        Sight(is_whole=False, lasting=True, check=with_length(-10)),
    ),
    (
        "content_length long",
        Sight(is_whole=False, lasting=True, check=with_length(10)),
        Sight(is_whole=False, lasting=True, check=with_length(10)),
    ),
    (
        "content_length 3",
        Sight(is_whole=False, lasting=True, check=with_length(3)),
        Sight(is_whole=False, lasting=True, check=with_length(3)),
    ),
    (
        "broken_chunks after 2",
        Sight(check=garbled_after(2), is_whole=False, lasting=True),
        Sight(check=garbled_after(0), is_whole=False, lasting=True),
    ),
    (
        "bad_gzip",
        Sight(headers={b"content-encoding": b"gzip"}, check=broken_gzip),
        Sight(headers={b"content-encoding": b"gzip"}, check=broken_gzip),
    ),
    ("throttle 100", Sight(), Sight()),
    ("oversized 3", Sight(check=longer_by_three), Sight(check=longer_by_three)),
)
SHOWN_ELSEWHERE = ("hang",)
"""Faults of which there is nothing to see, but in the other module."""


class CompleteTests(SynchronousTestCase):
    def test_every_fault_is_looked_at(self) -> None:
        listed = {fault.split()[0] for fault, streamed, whole in SIGHTS if streamed and whole}
        self.assertEqual(listed | {*SHOWN_ELSEWHERE}, {*FAULTS})


class OnTheWireTests(OnlookerTestCase):
    async def frames(self, *, streamed: bool) -> Frames:
        """The sound answer."""
        body = alike((await self.seen(stream=streamed)).body)
        return re.findall(rb"data: .*\n\n", body) if streamed else [body]

    async def look_at(self, fault: str, expected: Sight, *, streamed: bool) -> None:
        frames = await self.frames(streamed=streamed)
        seen = await self.seen(fault, lasting=expected.lasting, stream=streamed)
        self.assertEqual((seen.status, seen.how), (expected.status, expected.how))
        if seen.status:
            if expected.check is None:
                self.assertEqual(alike(seen.body), expected.body(frames))
            else:
                expected.check(self, seen, frames)
            self.assertEqual(seen.is_whole, expected.is_whole)
            self.assertEqual({**seen.headers, **expected.headers}, seen.headers)
        counted = {fault.split(maxsplit=1)[0]: 1} if expected.is_counted else {}
        self.clock.advance(60)  # whatever door was shut is open again
        self.assertEqual(await self.faults(), counted)
        self.assertEqual(self.clock.pending, 0)


def _add_tests() -> None:
    """A test of each sight, by its own name."""

    def test_of(
        fault: str, sight: Sight, *, streamed: bool
    ) -> Callable[[OnTheWireTests], Coroutine[Any, Any, None]]:
        async def test(self: OnTheWireTests) -> None:
            await self.look_at(fault, sight, streamed=streamed)

        return test

    for fault, streamed, whole in SIGHTS:
        name = "test_" + re.sub(r"\W+", "_", fault)
        if streamed is not None:
            setattr(OnTheWireTests, f"{name}_streamed", test_of(fault, streamed, streamed=True))
        if whole is not None:
            setattr(OnTheWireTests, f"{name}_whole", test_of(fault, whole, streamed=False))


_add_tests()


class HeadTests(OnlookerTestCase):
    async def test_a_page_of_a_proxy_names_no_other_server(self) -> None:
        seen = await self.seen("html_error 502")
        servers = re.findall(rb"(?i)\r\nserver: ([^\r]*)", seen.received)
        self.assertEqual(servers, [b"nginx"])
