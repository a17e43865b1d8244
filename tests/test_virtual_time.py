"""A server on a virtual clock, over real sockets: nothing waits until a client says so."""

import json
from typing import Any

from twisted.internet.defer import DeferredList

from tests.servers import CHAT, LiveTestCase, asking, chunks_of


class VirtualTimeTests(LiveTestCase):
    async def advance(self, **how: Any) -> tuple[int, Any]:
        response = await self.client.post(
            f"{self.url}/_fakellm/clock/advance", data=json.dumps(how).encode()
        )
        return response.code, await response.json()

    def start(self, **settings: Any) -> None:
        self.url = self.serve(clock="virtual", **settings)

    async def stream(self) -> list[bytes]:
        """Ask for a stream; a list that what comes of it is added to, once its head has come."""
        pieces: list[bytes] = []
        response = await self.client.post(
            f"{self.url}{CHAT}", data=json.dumps(asking(stream=True)).encode(), unbuffered=True
        )
        self.ended = response.collect(pieces.append)
        return pieces

    async def test_half_a_minute_takes_no_time(self) -> None:
        self.start(ttft="10s", itl="20s")
        pieces = await self.stream()
        self.assertEqual(pieces, [])
        status, told = await self.advance(seconds=10)
        self.assertEqual((status, told["now"], told["pending"]), (200, 10.0, 1))
        self.assertEqual(b"".join(pieces).count(b"data: "), 2)
        await self.advance(seconds=20)
        await self.ended
        self.assertEqual(len(chunks_of(b"".join(pieces))), 4)

    async def test_to_what_comes_next_and_to_where_nothing_is_left(self) -> None:
        self.start(ttft="1s", itl="1h", answer="one two three")
        pieces = await self.stream()
        _, told = await self.advance(to="next")
        self.assertEqual(told["now"], 1.0)
        _, told = await self.advance(to="idle")
        self.assertEqual((told["now"], told["pending"]), (7201.0, 0))
        await self.ended
        self.assertEqual(len(chunks_of(b"".join(pieces))), 5)

    async def test_several_streams_are_written_to_before_the_answer_comes(self) -> None:
        self.start(ttft="1s", itl="1s")
        streams = [await self.stream() for _ in range(20)]
        await self.advance(seconds=1)
        self.assertEqual([b"".join(each).count(b"data: ") for each in streams], [2] * 20)
        await self.advance(to="idle")

    async def test_whole_answers_as_well(self) -> None:
        self.start(ttft="30s")
        asked = self.client.post(f"{self.url}{CHAT}", data=json.dumps(asking()).encode())
        while not (await self.clock())["pending"]:
            pass  # until the request has arrived
        await self.advance(seconds=30)
        response = await asked
        self.assertEqual(response.code, 200)
        await response.content()

    async def clock(self) -> Any:
        response = await self.client.get(f"{self.url}/_fakellm/clock")
        return await response.json()

    async def test_it_tells_the_time(self) -> None:
        self.start()
        self.assertEqual(await self.clock(), {"now": 0.0, "pending": 0})

    async def test_what_is_no_advance_is_refused(self) -> None:
        self.start()
        for how in (
            {},
            {"seconds": -1},
            {"seconds": "x"},
            {"to": "tomorrow"},
            {"seconds": 1, "to": "idle"},
        ):
            status, told = await self.advance(**how)
            self.assertEqual((status, told["status"]), (400, 400), told)

    async def test_a_real_clock_is_not_advanced(self) -> None:
        self.url = self.serve()
        status, told = await self.advance(seconds=1)
        self.assertEqual((status, told["title"]), (409, told["title"]))

    async def test_a_client_that_leaves_leaves_nothing_to_come(self) -> None:
        self.start(ttft="1h")
        asked = [
            self.client.post(f"{self.url}{CHAT}", data=json.dumps(asking()).encode())
            for _ in range(3)
        ]
        while (await self.clock())["pending"] != 1:
            pass
        for each in asked:
            each.cancel()
        await DeferredList(asked, consumeErrors=True)
        while (await self.clock())["pending"]:
            pass
