"""Properties that are worked out once."""

from twisted.trial.unittest import SynchronousTestCase

from fakellm.lazy import lazy


class Thing:
    def __init__(self) -> None:
        self.worked = 0

    @lazy
    def answer(self) -> int:
        """The answer."""
        self.worked += 1
        return 42


class LazyTests(SynchronousTestCase):
    def test_it_is_worked_out_when_first_asked_for_and_kept(self) -> None:
        thing = Thing()
        self.assertEqual(thing.worked, 0)
        self.assertEqual([thing.answer, thing.answer], [42, 42])
        self.assertEqual(thing.worked, 1)

    def test_each_object_has_its_own(self) -> None:
        one, two = Thing(), Thing()
        self.assertEqual((one.answer, two.answer, one.worked, two.worked), (42, 42, 1, 1))

    def test_the_class_has_the_property_itself_with_its_words(self) -> None:
        self.assertEqual(Thing.answer.__doc__, "The answer.")
