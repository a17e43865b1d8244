"""Log probabilities: plausible, and the same for the same words."""

import math

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.timing.logprobs import logprob_of

few = settings(deadline=None, derandomize=True, max_examples=300, database=None)
common = st.sampled_from((" the", " a", ",", "\n", "hello"))
texts = st.text() | st.characters(categories=["Cs"]) | common
positions = st.integers(0, 2**33)


class LogprobTests(SynchronousTestCase):
    @few
    @given(texts, positions, st.integers(0, 20))
    def test_as_many_alternatives_as_asked_for_all_different_the_token_first(
        self, text: str, position: int, alternatives: int
    ) -> None:
        logprob = logprob_of(text, position, alternatives)
        self.assertEqual(len(logprob.top), alternatives)
        self.assertEqual(len({other for other, _ in logprob.top}), alternatives)
        self.assertEqual(logprob.top[:1], ((text, logprob.value),)[:alternatives])

    @few
    @given(texts, positions)
    def test_probabilities_sum_to_at_most_one_the_likeliest_first(
        self, text: str, position: int
    ) -> None:
        values = [value for _, value in logprob_of(text, position, 20).top]
        self.assertLessEqual(max(values), 0)
        self.assertEqual(values, sorted(values, reverse=True))
        self.assertLessEqual(math.fsum(map(math.exp, values)), 1)

    def test_twenty_of_them_never_sum_to_more_however_they_are_rounded(self) -> None:
        for position in range(2000):
            top = logprob_of("sure", position, 20).top
            self.assertLessEqual(math.fsum(math.exp(value) for _, value in top), 1, position)

    @few
    @given(texts, positions, st.integers(0, 20))
    def test_the_same_token_at_the_same_place_is_as_likely_again(
        self, text: str, position: int, alternatives: int
    ) -> None:
        once, again = (logprob_of(text, position, alternatives) for _ in range(2))
        self.assertEqual(once, again)
        self.assertEqual(once.value, logprob_of(text, position, 0).value)

    def test_a_token_differs_from_place_to_place(self) -> None:
        values = {logprob_of(" and", position, 0).value for position in range(100)}
        self.assertGreater(len(values), 90)

    def test_a_token_is_likelier_than_not(self) -> None:
        """The words that are said are the ones a model is sure of."""
        values = [logprob_of(f"{number}", number, 0).value for number in range(1000)]
        self.assertGreater(min(values), math.log(0.5))
        self.assertLess(max(values), 0)
