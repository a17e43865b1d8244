"""The wire that leads nowhere."""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.engine.collecting import CollectingWire
from fakellm.engine.player import Player
from fakellm.interfaces import IWire
from fakellm.model.timeline import Abort, Act, Close, Finish, Head, Raw, Write
from tests.engine.stages import stage


class CollectingTests(SynchronousTestCase):
    def collect(self, *acts: Act) -> CollectingWire:
        """What there is of a timeline of a second each."""
        wire = CollectingWire()
        clock = Clock()
        player = Player(stage(clock), wire, ((float(at), act) for at, act in enumerate(acts)))
        player.start()
        clock.pump([1.0] * len(acts))
        self.successResultOf(player.done)
        return wire

    def test_it_is_a_wire(self) -> None:
        self.assertTrue(verifyObject(IWire, CollectingWire()))

    def test_it_collects_status_and_body(self) -> None:
        wire = self.collect(
            Head(201, (("X-A", "1"),)), Write(b"hel"), Raw(b"no part"), Write(b"lo"), Finish()
        )
        self.assertEqual((wire.status, wire.body), (201, b"hello"))

    def test_a_head_that_trickles_is_one_all_the_same(self) -> None:
        wire = self.collect(Head(201, (), over=0.5), Write(b"hello"), Finish())
        self.assertEqual((wire.status, wire.body), (201, b"hello"))

    def test_what_breaks_off_has_no_status(self) -> None:
        for act in (Close(), Abort()):
            wire = self.collect(Head(200, ()), Write(b"hel"), act)
            self.assertEqual((wire.status, wire.body), (0, b"hel"))

    def test_nothing_answered_is_no_status(self) -> None:
        self.assertEqual((CollectingWire().status, CollectingWire().body), (0, b""))
