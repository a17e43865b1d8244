"""Ids and chance that follow from (server seed, request number)."""

import re

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.stamp import Stamp

few = settings(deadline=None, derandomize=True, max_examples=100, database=None)


def stamp(seed: int = 0, number: int = 1) -> Stamp:
    return Stamp(seed=seed, number=number, created=1_767_225_600, fingerprint="fp_1")


class StampTests(SynchronousTestCase):
    def test_it_says_when_and_by_whom(self) -> None:
        self.assertEqual(stamp().created, 1_767_225_600)
        self.assertEqual(stamp().fingerprint, "fp_1")

    @few
    @given(st.integers(), st.integers(1, 10**9), st.integers(1, 32))
    def test_an_id_is_its_prefix_and_so_many_letters_and_digits(
        self, seed: int, number: int, length: int
    ) -> None:
        made = stamp(seed, number).unique("chatcmpl-", length)
        self.assertRegex(made, rf"\Achatcmpl-[A-Za-z0-9]{{{length}}}\Z")

    def test_a_request_id_is_the_prefix_and_32_hexadecimal_digits(self) -> None:
        self.assertRegex(stamp().request_id, r"\Areq_[0-9a-f]{32}\Z")

    def test_ids_are_unique_within_an_answer_and_over_many(self) -> None:
        stamps = [stamp(seed, number) for seed in range(3) for number in range(1, 1001)]
        ids = [each.unique("call_", 24) for each in stamps for _ in range(3)]
        self.assertEqual(len(set(ids)), len(ids))
        self.assertEqual(len({each.request_id for each in stamps}), len(stamps))

    def test_a_seed_and_a_number_are_not_mistaken_for_others(self) -> None:
        self.assertNotEqual(stamp(1, 11).request_id, stamp(11, 1).request_id)

    def test_the_same_seed_and_number_give_the_same_again(self) -> None:
        def drawn(made: Stamp) -> tuple[object, ...]:
            first, second = made.unique("a_", 24), made.unique("a_", 24)
            return made.request_id, first, second, made.chance("noise").random()

        self.assertEqual(drawn(stamp(7, 3)), drawn(stamp(7, 3)))
        self.assertNotEqual(drawn(stamp(7, 3)), drawn(stamp(7, 4)))

    def test_one_draw_does_not_shift_another(self) -> None:
        one, other = stamp(), stamp()
        one.chance("pace").random()
        one.unique("call_", 24)
        self.assertEqual(one.chance("noise").random(), other.chance("noise").random())
        self.assertNotEqual(one.chance("pace").random(), one.chance("noise").random())

    def test_ids_use_the_whole_alphabet(self) -> None:
        """All of the letters and digits come up, so that no client may rely on fewer."""
        seen = "".join(stamp(number=number).unique("", 32) for number in range(1, 100))
        self.assertEqual(len(set(re.findall(r"[A-Za-z0-9]", seen))), 62)
