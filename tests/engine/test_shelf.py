"""What is kept between requests."""

from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.shelf import Shelf
from fakellm.model.timeline import Keep


class ShelfTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.shelf = Shelf(at_most=3)

    def test_things_are_kept_by_kind_and_key(self) -> None:
        self.shelf.put(Keep("a", "1", "one"))
        self.shelf.put(Keep("b", "1", "other"))
        self.assertEqual((self.shelf.get("a", "1"), self.shelf.get("b", "1")), ("one", "other"))
        self.assertIsNone(self.shelf.get("a", "2"))
        self.assertIsNone(self.shelf.get("c", "1"))

    def test_a_key_has_one_thing_and_nothing_forgets_it(self) -> None:
        self.shelf.put(Keep("a", "1", "one"))
        self.shelf.put(Keep("a", "1", "new"))
        self.assertEqual(self.shelf.all("a"), [("1", "new")])
        self.shelf.put(Keep("a", "1", None))
        self.assertEqual((self.shelf.all("a"), self.shelf.all("b")), ([], []))

    def test_the_oldest_go_first(self) -> None:
        for number in range(5):
            self.shelf.put(Keep("a", str(number), number))
        self.assertEqual(self.shelf.all("a"), [("2", 2), ("3", 3), ("4", 4)])
