"""What is kept between requests, and for how long."""

from array import array
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.shelf import BYTES_AT_MOST, THINGS_AT_MOST, Shelf
from fakellm.model.timeline import Amend, Keep


class Record(Struct, frozen=True):
    text: str


class Slotted:
    __slots__ = ("numbers", "text", "unset")

    def __init__(self, text: str) -> None:
        self.text = text
        self.numbers = array("B", bytes(len(text)))


class Plain:
    def __init__(self, text: str) -> None:
        self.text = text


def deep(levels: int) -> list[Any]:
    nested: list[Any] = []
    for _ in range(levels):
        nested = [nested]
    return nested


class ShelfTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.shelf = Shelf()

    def put(self, key: str, value: Any, kind: str = "a") -> None:
        self.shelf.put(Keep(kind, key, value))

    def keys(self, kind: str = "a") -> str:
        return "".join(key for key, _ in self.shelf.all(kind))


class KeepingTests(ShelfTestCase):
    def test_what_is_put_there_is_got_by_kind_and_key(self) -> None:
        self.put("x", 1)
        self.put("x", 2, kind="b")
        self.assertEqual((self.shelf.get("a", "x"), self.shelf.get("b", "x")), (1, 2))
        self.assertIs(self.shelf.get("a", "y"), None)
        self.assertIs(self.shelf.get("c", "x"), None)
        self.assertEqual((self.keys(), self.keys("c"), len(self.shelf)), ("x", "", 2))

    def test_another_of_its_key_takes_its_place(self) -> None:
        for key in "xyx":
            self.put(key, len(self.shelf))
        self.assertEqual(self.shelf.all("a"), [("x", 2), ("y", 1)])

    def test_none_forgets_it(self) -> None:
        self.put("x", 1)
        for _ in range(2):
            self.put("x", None)
        self.assertEqual((self.keys(), len(self.shelf), self.shelf.bytes), ("", 0, 0))

    def test_a_change_is_made_of_what_is_kept(self) -> None:
        seen: list[Any] = []

        def change(old: Any) -> Any:
            seen.append(old)
            return None if old == 1 else 1

        for _ in range(3):
            self.shelf.put(Amend("a", "x", change))
        self.assertEqual(seen, [None, 1, None])
        self.assertEqual(self.shelf.get("a", "x"), 1)

    def test_all_of_it_can_be_forgotten(self) -> None:
        self.put("x", 1)
        self.shelf.clear()
        self.assertEqual((self.keys(), len(self.shelf), self.shelf.bytes), ("", 0, 0))
        self.put("y", 1)
        self.assertEqual(self.keys(), "y")

    def test_who_was_given_all_of_a_kind_may_keep_it(self) -> None:
        self.put("x", 1)
        given = self.shelf.all("a")
        self.put("y", 1)
        self.assertEqual(len(given), 1)


class BoundsTests(ShelfTestCase):
    def test_there_are_bounds(self) -> None:
        self.assertEqual((THINGS_AT_MOST, BYTES_AT_MOST), (10_000, 64 * 1024 * 1024))

    def test_the_oldest_of_too_many_goes_whatever_its_kind(self) -> None:
        self.shelf = Shelf(3)
        for key in "abc":
            self.put(key, key)
        self.put("d", "d", kind="b")
        self.assertEqual((self.keys(), self.keys("b")), ("bc", "d"))

    def test_what_is_put_there_again_is_young_again_but_keeps_its_place(self) -> None:
        self.shelf = Shelf(3)
        for key in "abcad":
            self.put(key, key)
        self.assertEqual(self.keys(), "acd")

    def test_the_oldest_go_where_there_are_too_many_bytes(self) -> None:
        self.shelf = Shelf(at_most_bytes=50_000)
        for key in "abcdef":
            self.put(key, "x" * 3000)
        self.assertEqual(self.keys(), "cdef"[-len(self.keys()) :])
        self.assertTrue(2 <= len(self.shelf) < 6)
        self.put("g", "x" * 10_000)
        self.assertEqual(self.keys(), "g" if len(self.shelf) == 1 else "fg")
        self.assertLessEqual(self.shelf.bytes, 50_000)

    def test_what_is_too_large_alone_is_not_kept_and_drives_nothing_out(self) -> None:
        self.shelf = Shelf(at_most_bytes=10_000)
        self.put("a", "x")
        self.put("b", "x" * 10_000)
        self.assertEqual(self.keys(), "a")
        self.put("a", "x" * 10_000)  # neither as it is nor as it was
        self.assertEqual((self.keys(), self.shelf.bytes), ("", 0))

    def test_the_bytes_of_what_goes_are_there_again(self) -> None:
        self.put("a", "x" * 1000)
        one = self.shelf.bytes
        self.put("b", "x" * 1000)
        self.assertEqual(self.shelf.bytes, 2 * one)
        self.put("b", None)
        self.assertEqual(self.shelf.bytes, one)
        self.put("a", "x" * 1000)
        self.assertEqual(self.shelf.bytes, one)

    def test_sizes_grow_with_what_is_inside(self) -> None:
        makes = (
            lambda text: text,
            lambda text: text.encode(),
            lambda text: [text],
            lambda text: {text: {"a": (text,)}},
            Record,
            Slotted,
            Plain,
            lambda text: [Plain(text), None],
        )
        for make in makes:
            sizes = []
            for length in (0, 1000, 100_000):
                shelf = Shelf()
                shelf.put(Keep("a", "x", make("x" * length)))
                sizes.append(shelf.bytes)
            self.assertGreater(sizes[0], 500)
            self.assertTrue(1000 < sizes[1] - sizes[0] < 20_000, sizes)
            self.assertTrue(100_000 < sizes[2] - sizes[0] < 2_000_000, sizes)

    def test_what_cannot_be_measured_counts_as_large(self) -> None:
        for value in (deep(100_000), "\ud800", 2**70):
            shelf = Shelf()
            for number in range(200):
                shelf.put(Keep("a", str(number), value))
            self.assertEqual(len(shelf), 100)

    @settings(deadline=None, derandomize=True, max_examples=100, database=None)
    @given(
        st.lists(
            st.tuples(st.sampled_from("ab"), st.sampled_from("xyz"), st.none() | st.text()),
            max_size=30,
        )
    )
    def test_it_never_has_more_than_it_may(self, puts: list[tuple[str, str, str | None]]) -> None:
        shelf = Shelf(4, at_most_bytes=5000)
        for kind, key, value in puts:
            shelf.put(Keep(kind, key, value))
            found = [*shelf.all("a"), *shelf.all("b")]
            self.assertEqual(len(found), len(shelf))
            self.assertLessEqual(len(shelf), 4)
            self.assertTrue(0 <= shelf.bytes <= 5000)
            self.assertEqual(shelf.bytes == 0, not found)
            if value is not None and len(value) < 100:
                self.assertEqual(shelf.get(kind, key), value)
