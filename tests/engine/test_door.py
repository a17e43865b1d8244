"""How long the door is shut, on clocks and sockets of the test's own."""

from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.door import TRY_AGAIN_SECONDS, Door


class Sockets:
    """They do not open as long as `taken`."""

    def __init__(self) -> None:
        self.closed = False
        self.taken = False
        self.tries = 0

    def pause(self) -> None:
        self.closed = True

    def resume(self) -> Deferred[None]:
        self.tries += 1
        if self.taken:
            return fail(OSError("taken"))
        self.closed = False
        return succeed(None)


class DoorTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.real = Clock()
        self.sockets = Sockets()
        self.door = Door(self.clock, self.real)
        self.door.stands_at(self.sockets)
        self.door.startService()

    def refuse(self, seconds: float) -> None:
        self.door.shut(seconds, refused=True, connections=None)

    def assert_nothing_is_to_come(self) -> None:
        self.assertEqual([*self.clock.getDelayedCalls(), *self.real.getDelayedCalls()], [])

    def test_it_is_open(self) -> None:
        self.assertFalse(self.door.turns_away())
        self.assertFalse(self.sockets.closed)

    def test_connections_are_counted_by_each_that_shuts_it(self) -> None:
        self.door.shut(5, refused=False, connections=3)
        self.door.shut(9, refused=False, connections=1)
        self.assertEqual([self.door.turns_away() for _ in range(4)], [True, True, True, False])
        self.assert_nothing_is_to_come()

    def test_sockets_open_again_when_the_longest_while_is_over(self) -> None:
        for seconds in (3, 5, 2):
            self.refuse(seconds)
        for second in range(5):
            self.assertTrue(self.sockets.closed, second)
            self.assertTrue(self.door.turns_away(), second)
            self.clock.advance(1)
        self.assertEqual((self.sockets.closed, self.sockets.tries), (False, 1))
        self.assertFalse(self.door.turns_away())
        self.assert_nothing_is_to_come()

    def test_what_is_for_ever_is_longer_than_all(self) -> None:
        for seconds in (3, float("inf"), 5):
            self.refuse(seconds)
        self.assert_nothing_is_to_come()
        self.clock.advance(1e9)
        self.assertTrue(self.sockets.closed)

    def test_what_does_not_open_is_tried_again_in_real_time(self) -> None:
        self.sockets.taken = True
        self.refuse(1)
        self.clock.advance(1)
        self.real.advance(TRY_AGAIN_SECONDS)
        self.assertEqual((self.sockets.closed, self.sockets.tries), (True, 2))
        self.sockets.taken = False
        self.real.advance(TRY_AGAIN_SECONDS)
        self.assertEqual((self.sockets.closed, self.sockets.tries), (False, 3))
        self.assert_nothing_is_to_come()

    def test_shut_again_it_is_not_tried_before_its_time(self) -> None:
        self.sockets.taken = True
        self.refuse(1)
        self.clock.advance(1)
        self.refuse(60)
        self.real.advance(10 * TRY_AGAIN_SECONDS)
        self.assertEqual(self.sockets.tries, 1)
        self.sockets.taken = False
        self.clock.advance(60)
        self.assertFalse(self.sockets.closed)

    def test_stopped_it_leaves_nothing_to_come(self) -> None:
        self.refuse(10)
        self.door.stopService()
        self.assert_nothing_is_to_come()
        self.refuse(10)
        self.assertFalse(self.door.turns_away())
        self.assert_nothing_is_to_come()

    def test_stopped_it_tries_no_more(self) -> None:
        self.sockets.taken = True
        self.refuse(1)
        self.clock.advance(1)
        self.door.stopService()
        self.assert_nothing_is_to_come()

    def test_without_sockets_of_its_own_it_only_turns_away(self) -> None:
        door = Door(self.clock, self.real)
        door.startService()
        door.shut(1, refused=True, connections=None)
        self.assertTrue(door.turns_away())
        self.assert_nothing_is_to_come()
