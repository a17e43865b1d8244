"""Alarms: they ring once, when they were last set to, and leave nothing in the reactor."""

import errno
import gc
import os
import sys
import time
import weakref
from collections.abc import Callable
from typing import Any
from unittest import mock

from twisted.internet import reactor as installed_reactor
from twisted.internet.defer import Deferred
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import SynchronousTestCase, TestCase

from fakellm.engine import alarm
from fakellm.engine.alarm import Alarm, KernelAlarm, ReactorAlarm, make_alarm, timerfd_settime

reactor: Any = installed_reactor
SOON = 0.002
FAR = 3600.0


class AlarmTests:
    """What holds of each kind, on the real reactor."""

    def make(self, ring: Callable[[], None]) -> Alarm:
        raise NotImplementedError

    def setUp(self: Any) -> None:
        self.rung: list[float] = []
        self.rings: Deferred[None] = Deferred()
        self.alarm = self.make(self.ring)
        self.addCleanup(self.alarm.clear)

    def ring(self: Any) -> None:
        self.rung.append(time.monotonic())
        if not self.rings.called:
            self.rings.callback(None)

    async def assert_silent(self: Any, times: int) -> None:
        """It has rung so often, and will not any more; nothing of it is in the reactor."""
        await deferLater(reactor, 0)  # a ring may not have returned yet
        self.assertNotIn(self.alarm, reactor.getReaders())
        self.assertEqual(
            [call for call in reactor.getDelayedCalls() if "fakellm" in repr(call.func)], []
        )
        await deferLater(reactor, 2 * SOON)
        self.assertEqual(len(self.rung), times)

    async def test_it_rings_once_and_not_too_early(self: Any) -> None:
        at = time.monotonic() + SOON
        self.alarm.set(SOON)
        await self.rings
        self.assertGreaterEqual(self.rung[0], at - 1e-6)
        await self.assert_silent(1)

    async def test_what_has_passed_rings_in_one_of_the_next_turns(self: Any) -> None:
        self.alarm.set(0.0)
        self.assertEqual(self.rung, [])
        await self.rings
        await self.assert_silent(1)

    async def test_set_anew_it_rings_when_it_was_set_to_last(self: Any) -> None:
        self.alarm.set(FAR)
        self.alarm.set(SOON)
        await self.rings
        await self.assert_silent(1)

    async def test_set_anew_to_later_it_does_not_ring_before(self: Any) -> None:
        self.alarm.set(SOON)
        at = time.monotonic() + 4 * SOON
        self.alarm.set(4 * SOON)
        await self.rings
        self.assertGreaterEqual(self.rung[0], at - 1e-6)
        await self.assert_silent(1)

    async def test_cleared_it_does_not_ring_and_can_be_set_again(self: Any) -> None:
        self.alarm.set(SOON)
        self.alarm.clear()
        self.alarm.clear()
        await self.assert_silent(0)
        self.alarm.set(SOON)
        await self.rings
        await self.assert_silent(1)

    async def test_set_while_it_rings_it_rings_again(self: Any) -> None:
        third: Deferred[None] = Deferred()

        def ring() -> None:
            self.ring()
            if len(self.rung) < 3:
                self.alarm.set(SOON)
            else:
                third.callback(None)

        self.alarm = self.make(ring)
        self.alarm.set(SOON)
        await third
        await self.assert_silent(3)

    async def test_set_and_cleared_while_it_rings_it_is_silent(self: Any) -> None:
        def ring() -> None:
            self.ring()
            self.alarm.set(0.0)
            self.alarm.clear()

        self.alarm = self.make(ring)
        self.alarm.set(SOON)
        await self.rings
        await self.assert_silent(1)

    async def test_a_ring_that_fails_is_told_of_and_leaves_nothing(self: Any) -> None:
        def ring() -> None:
            self.ring()
            raise ZeroDivisionError

        self.alarm = self.make(ring)
        self.alarm.set(SOON)
        await self.rings
        await deferLater(reactor, 0)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        await self.assert_silent(1)


class ReactorAlarmTests(AlarmTests, TestCase):
    def make(self, ring: Callable[[], None]) -> Alarm:
        return ReactorAlarm(reactor, ring)


class KernelAlarmTests(AlarmTests, TestCase):
    """With a timer of the kernel's, as this Python gives it."""

    if timerfd_settime() is None:
        skip = "this system has no such timers"

    def settings(self) -> Any:
        return timerfd_settime()

    def make(self, ring: Callable[[], None]) -> Alarm:
        made: Alarm = KernelAlarm(reactor, ring, *self.settings())
        return made

    async def test_an_alarm_that_is_gone_has_closed_its_descriptor(self) -> None:
        descriptors: list[int] = []
        create, settime = self.settings()

        def noted() -> int:
            descriptors.append(create())
            return descriptors[0]

        made = KernelAlarm(reactor, lambda: None, noted, settime)
        self.assertEqual(descriptors, [])  # it is opened no earlier than needed
        made.set(FAR)
        made.set(FAR)
        self.assertEqual(len(descriptors), 1)
        os.fstat(descriptors[0])
        made.clear()
        gone = weakref.ref(made)
        del made
        gc.collect()
        self.assertIsNone(gone())
        error = self.assertRaises(OSError, os.fstat, descriptors[0])
        self.assertEqual(error.errno, errno.EBADF)

    async def test_without_a_descriptor_the_reactor_rings(self) -> None:
        """A process may have all the files open that it may."""
        tries: list[None] = []

        def create() -> int:
            tries.append(None)
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))

        self.alarm = KernelAlarm(reactor, self.ring, create, self.settings()[1])
        self.alarm.set(FAR)
        self.alarm.set(SOON)
        await self.rings
        await self.assert_silent(1)
        self.alarm.set(FAR)
        self.alarm.clear()
        await self.assert_silent(1)
        self.assertEqual(len(tries), 1)

    def test_what_is_not_to_be_read_after_all_is_no_ring(self) -> None:
        """The reactor may have seen it ring before it was set anew."""
        made = KernelAlarm(reactor, self.ring, *self.settings())
        made.set(FAR)
        made.doRead()
        self.assertEqual(self.rung, [])
        self.assertIn(made, reactor.getReaders())
        made.clear()
        made.doRead()
        self.assertEqual(self.rung, [])

    async def test_what_is_due_at_once_after_a_ring_asks_nothing_of_the_kernel(self) -> None:
        sets: list[int] = []
        create, settime = self.settings()

        def noted(descriptor: int, nanoseconds: int) -> None:
            sets.append(nanoseconds)
            settime(descriptor, nanoseconds)

        def ring() -> None:
            self.rung.append(time.monotonic())
            if len(self.rung) < 100:
                self.alarm.set(0.0)
            elif len(self.rung) == 100:
                self.alarm.set(1e-5)
            elif len(self.rung) == 101:
                self.alarm.set(SOON)
            else:
                self.rings.callback(None)

        self.alarm = KernelAlarm(reactor, ring, create, noted)
        self.alarm.set(SOON)
        await self.rings
        await self.assert_silent(102)
        self.assertGreaterEqual(self.rung[100] - self.rung[99], 1e-5)
        self.assertGreaterEqual(self.rung[101] - self.rung[100], SOON)
        self.assertEqual(sets, [int(SOON * 1e9), int(SOON * 1e9), 0])

    def test_it_is_none_of_the_reactors_connections(self) -> None:
        made = KernelAlarm(reactor, self.ring, *self.settings())
        self.assertEqual((made.logPrefix(), made.fileno()), ("fakellm.alarm", -1))
        made.connectionLost(mock.Mock())
        self.assertEqual(self.rung, [])
        self.assertNotIn(made, reactor.getReaders())

    async def test_a_ring_that_sets_it_anew_and_fails_is_rung_again(self) -> None:
        """The reactor reads no more from what has failed."""

        def ring() -> None:
            self.rung.append(0.0)
            if len(self.rung) == 1:
                self.alarm.set(SOON)
                raise ZeroDivisionError
            self.rings.callback(None)

        self.alarm = KernelAlarm(reactor, ring, *self.settings())
        self.alarm.set(SOON)
        await self.rings
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        await self.assert_silent(2)


class LibcAlarmTests(KernelAlarmTests):
    """With a timer of the kernel's by way of the C library, as before Python 3.13."""

    if alarm._of_libc() is None:
        skip = "this system has no such timers"

    def settings(self) -> Any:
        return alarm._of_libc()

    def test_that_none_can_be_made_is_an_OSError(self) -> None:
        made = self.settings()
        with mock.patch.object(time, "CLOCK_MONOTONIC", 12345):
            error = self.assertRaises(OSError, made[0])
        self.assertEqual(error.errno, errno.EINVAL)


class PythonTests(SynchronousTestCase):
    """What Python 3.13 and later have, played by a stand-in where this one does not."""

    def test_its_functions_are_called_as_they_are_documented(self) -> None:
        fake = mock.Mock(TFD_NONBLOCK=1, TFD_CLOEXEC=2)
        fake.timerfd_create.return_value = 77
        with mock.patch.object(alarm, "os", fake):
            create, settime = alarm._of_python()
            self.assertEqual(create(), 77)
            settime(77, 5)
        fake.timerfd_create.assert_called_once_with(time.CLOCK_MONOTONIC, flags=3)
        fake.timerfd_settime_ns.assert_called_once_with(77, initial=5)

    if sys.version_info >= (3, 13) and sys.platform == "linux":

        def test_this_Python_has_them(self) -> None:
            self.assertTrue(hasattr(os, "timerfd_create"))


class MakeTests(SynchronousTestCase):
    """Which alarm there is for a clock."""

    def test_a_clock_of_a_tests_rings_by_its_own_calls(self) -> None:
        rung: list[None] = []
        clock = Clock()
        made = make_alarm(clock, lambda: rung.append(None))
        made.set(1.0)
        self.assertEqual(len(clock.getDelayedCalls()), 1)
        clock.advance(1)
        self.assertEqual(len(rung), 1)
        self.assertEqual(clock.getDelayedCalls(), [])

    def test_a_reactor_rings_by_the_kernel_where_that_can_be(self) -> None:
        kind = ReactorAlarm if timerfd_settime() is None else KernelAlarm
        self.assertIsInstance(make_alarm(reactor, lambda: None), kind)

    def test_a_system_without_such_timers_has_the_reactors(self) -> None:
        for broken in (OSError, TypeError, AttributeError):
            with (
                mock.patch("ctypes.PyDLL", side_effect=broken),
                mock.patch.object(alarm, "os", mock.Mock(spec=["read", "close"])),
                mock.patch.object(alarm, "timerfd_settime", timerfd_settime.__wrapped__),
            ):
                self.assertIsInstance(make_alarm(reactor, lambda: None), ReactorAlarm)
