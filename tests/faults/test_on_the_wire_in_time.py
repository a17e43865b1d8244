"""Faults on the wire whose point is when things come, in what pieces, or who can connect next.

The client has a socket and no HTTP library; time is virtual, and nothing here waits for it.
"""

import re
from typing import Any

from tests.onlooker import Onlooker, OnlookerTestCase, turn


class TimedTests(OnlookerTestCase):
    """When things come. A request is received at 0 s."""

    async def silent(self, seen: Onlooker, seconds: float) -> None:
        """Nothing comes in this time."""
        before = seen.received
        self.clock.advance(seconds)
        for _ in range(5):
            await turn()
        self.assertEqual((seen.received, seen.how), (before, ""))

    async def test_hang_is_silence_until_the_client_leaves_and_then_nothing_is_left(self) -> None:
        for stream in (True, False):
            seen = self.look("hang", stream=stream)
            await self.arrived(seen)
            await self.silent(seen, 1e9)
            self.assertEqual((self.server._engine.running, self.clock.pending), (1, 0))
            seen.leave()
            await self.gone()
            self.assertEqual(self.clock.pending, 0)
        self.assertEqual(await self.faults(), {"hang": 2})

    async def gone(self) -> None:
        """Wait until the server has noticed that nobody listens."""
        while self.server._engine.running:
            await turn()

    async def test_delay_makes_all_of_it_late(self) -> None:
        for stream in (True, False):
            seen = self.look("delay 2s", stream=stream)
            await self.arrived(seen)
            await self.silent(seen, 1.999)
            self.clock.advance(0.001)
            await seen.over
            self.assertTrue(seen.is_whole)

    async def test_slow_head_comes_in_pieces(self) -> None:
        for stream in (True, False):
            seen = self.look("slow_head 3s", stream=stream)
            await self.arrived(seen)
            begun = self.clock.seconds()
            sizes = []
            while await self.step(seen):
                sizes.append(len(seen.received))
            await seen.over
            self.assertTrue(seen.is_whole)
            self.assertAlmostEqual(self.clock.seconds() - begun, 3.0)
            head = seen.received.index(b"\r\n\r\n")
            self.assertGreater(sum(size < head for size in sizes), 20)

    async def test_stall_is_silence_in_the_middle(self) -> None:
        seen = self.look("stall 10s after 3", stream=True)
        await seen.until(lambda data: data.count(b"data: ") == 3)
        await self.silent(seen, 9.999)
        self.clock.advance(0.001)
        await seen.over
        self.assertTrue(seen.is_whole)

    async def test_stall_of_a_whole_answer_is_behind_its_head(self) -> None:
        seen = self.look("stall 10s after 3")
        await seen.until(lambda data: data.endswith(b"\r\n\r\n"))
        self.assertEqual((seen.status, seen.body), (200, b""))
        await self.silent(seen, 9.999)
        self.clock.advance(0.001)
        await seen.over
        self.assertTrue(seen.is_whole)

    async def test_stall_for_ever_ends_when_the_client_leaves(self) -> None:
        for stream in (True, False):
            seen = self.look("stall after 3", stream=stream)
            await seen.until(lambda data: b"\r\n\r\n" in data)
            await self.silent(seen, 1e9)
            self.assertEqual(seen.body.count(b"data: "), 3 if stream else 0)
            seen.leave()
            await self.gone()
            self.assertEqual(self.clock.pending, 0)
        self.assertEqual(await self.faults(), {"stall": 2})

    async def test_stall_then_reset(self) -> None:
        seen = self.look("stall after 2; reset after 5s", stream=True, lasting=True)
        await seen.until(lambda data: data.count(b"data: ") == 2)
        await self.silent(seen, 4.999)
        self.clock.advance(0.001)
        await seen.over
        self.assertEqual((seen.how, seen.body.count(b"\n\n")), ("reset", 2))
        self.assertEqual(await self.faults(), {"stall": 1, "reset": 1})

    async def test_throttle_is_a_rate_of_the_body(self) -> None:
        for stream in (True, False):
            begun = self.clock.seconds()
            seen = self.look("throttle 100", stream=stream)
            await self.arrived(seen)
            while await self.step(seen):
                passed = self.clock.seconds() - begun
                self.assertLessEqual(len(seen.body), 100 * passed + 1e-6)
            await seen.over
            self.assertTrue(seen.is_whole)
            self.assertAlmostEqual(self.clock.seconds() - begun, len(seen.body) / 100)

    async def test_comments_come_in_silences(self) -> None:
        self.serve(ttft="2500ms")
        seen = self.look("comments every 1s", stream=True)
        await seen.until(lambda data: data.endswith(b"\r\n\r\n"))
        for second in (1, 2):
            await self.silent(seen, 0.999)
            self.clock.advance(0.001)
            await seen.until(lambda data: data.count(b": keep-alive") == second)  # noqa: B023
        self.assertEqual(seen.body, b": keep-alive\n\n" * 2)
        await self.silent(seen, 0.499)
        self.clock.advance(0.001)
        await seen.over
        self.assertTrue(seen.is_whole)
        self.assertEqual(seen.body.count(b": keep-alive"), 2)


class PieceTests(OnlookerTestCase):
    """In what pieces things come: with time between them, each is what one ``recv`` gives."""

    async def pieces(self, fault: str, **fields: Any) -> Onlooker:
        """All that is seen where time passes only once what was due before has been received."""
        seen = self.look(fault, **fields)
        await seen.until(lambda data: bool(data.partition(b"\r\n\r\n")[2]))
        while await self.step(seen):
            pass
        await seen.over
        self.assertTrue(seen.is_whole)
        return seen

    async def test_split_cuts_a_chunk_in_two_segments(self) -> None:
        seen = await self.pieces("split at 7 gap 1s after 2", stream=True)
        third = [match.start() for match in re.finditer(rb"data: ", seen.body)][2]
        self.assertIn(third + 7, seen.cuts)
        self.assertIn(b"data: {", seen.chunks)  # a chunk of HTTP of its own, too

    async def test_split_cuts_every_chunk_where_it_names_none(self) -> None:
        seen = await self.pieces("split at -2 gap 1s", stream=True)
        ends = {match.end() for match in re.finditer(rb"\n\n", seen.body)}
        self.assertEqual((len(ends), {end - 2 for end in ends} - seen.cuts), (5, set()))

    async def test_split_cuts_a_whole_body(self) -> None:
        seen = await self.pieces("split at 7 gap 1s")
        self.assertIn(7, seen.cuts)

    async def test_each_byte_comes_by_itself(self) -> None:
        for stream in (True, False):
            seen = await self.pieces("byte_by_byte 5ms", stream=stream)
            if stream:
                self.assertEqual({len(chunk) for chunk in seen.chunks[:-1]}, {1})
            # the last byte of an event and the first of the next one are due at one time
            together = 2 * 5 if stream else 1
            self.assertGreaterEqual(len(seen.cuts), len(seen.body) - together)

    async def test_characters_are_cut(self) -> None:
        letters = "é漢🙂"
        for stream in (True, False):
            seen = await self.pieces(
                "split_characters 5ms",
                stream=stream,
                messages=[{"role": "user", "content": f"[echo] {letters}"}],
            )
            places = {seen.body.index(letter.encode()) + 1 for letter in letters}
            self.assertEqual(places - seen.cuts, set())
            if stream:  # in chunks of HTTP that are no UTF-8 by themselves
                broken = [
                    chunk for chunk in seen.chunks if chunk[-1:] in (b"\xc3", b"\xe6", b"\xf0")
                ]
                self.assertEqual(len(broken), 3)
        self.assertEqual(await self.faults(), {"split_characters": 2})


class DoorTests(OnlookerTestCase):
    """What becomes of the connections that come next."""

    async def at_once(self, fault: str = "", **fields: Any) -> Onlooker:
        """What is seen while no time passes."""
        seen = self.look(fault, **fields)
        await seen.over
        return seen

    async def test_hang_up_closes_each_new_connection_for_a_while(self) -> None:
        for stream in (True, False):
            seen = await self.at_once("hang_up for 5s", stream=stream, lasting=True)
            self.assertEqual((seen.how, seen.received), ("closed", b""))
            for _ in range(2):
                turned_away = await self.at_once()
                self.assertEqual((turned_away.how, turned_away.received), ("closed", b""))
                self.clock.advance(2.4)
            self.clock.advance(0.2)
            self.assertEqual((await self.at_once()).status, 200)

    async def test_hang_up_closes_so_many_connections_at_the_most(self) -> None:
        await self.at_once("hang_up for 5s connections 2")
        self.assertEqual([(await self.at_once()).status for _ in range(3)], [0, 0, 200])

    async def test_refuse_lets_nobody_connect_for_a_while(self) -> None:
        for stream in (True, False):
            seen = await self.at_once("refuse 5s", stream=stream, lasting=True)
            self.assertEqual((seen.how, seen.received), ("reset", b""))
            for _ in range(2):
                self.assertEqual((await self.at_once()).how, "refused")
                self.clock.advance(2.4)
            self.clock.advance(0.2)
            await turn()  # it is opened in the reactor's next turn
            self.assertEqual((await self.at_once()).status, 200)
