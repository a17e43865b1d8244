"""Filler of exactly so many tokens."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from fakellm.interfaces import ITokenizer
from fakellm.scenarios.lorem import MAX_TOKENS, LoremTooLong, lorem
from fakellm.timing.tokens import ENCODINGS, BytePairs, Splitter

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)

TOKENIZERS = (Splitter(), *map(BytePairs, ENCODINGS))


@implementer(ITokenizer)
class Letters:
    """A tokenizer that cuts words, as no tokenizer of ours does."""

    name = "letters"

    def split(self, text: str) -> tuple[str, ...]:
        return tuple(text)

    def count(self, text: str) -> int:
        return len(text)


class LoremTests(SynchronousTestCase):
    """What ``lorem: {tokens: N}`` says."""

    @few
    @given(st.integers(0, 5_000))
    def test_it_has_exactly_so_many_tokens_by_every_tokenizer(self, tokens: int) -> None:
        for tokenizer in TOKENIZERS:
            text = lorem(tokens, tokenizer)
            self.assertEqual(tokenizer.count(text), tokens)
            self.assertEqual(len(tokenizer.split(text)), tokens)

    def test_short_ones_and_those_around_a_whole_round_have_exactly_so_many_tokens(self) -> None:
        """The filler repeats itself after some 2,000 tokens; every length up to twice that."""
        for tokenizer in TOKENIZERS:
            for tokens in (*range(60), *range(1_500, 2_500)):
                self.assertEqual(tokenizer.count(lorem(tokens, tokenizer)), tokens)

    def test_it_reads_like_english_and_ends_like_a_sentence(self) -> None:
        self.assertEqual(
            lorem(29, Splitter()),
            "Every simple river followed the question without the teacher. Some deep bridge kept "
            "the water again. Some young winter reached the child. One green door.",
        )

    def test_the_shortest_ones(self) -> None:
        """A sentence takes two tokens; one token is one word."""
        said = [lorem(tokens, Splitter()) for tokens in (0, 1, 2, 3)]
        self.assertEqual(said, ["", "Every", "Every.", "Every simple."])

    def test_it_never_ends_with_two_marks(self) -> None:
        """Two full stops would be one token: the word ``there`` takes the place of the first."""
        self.assertEqual(
            lorem(11, Splitter()),
            "Every simple river followed the question without the teacher."[:-1] + " there.",
        )

    def test_it_is_the_same_each_time_whatever_the_tokenizer(self) -> None:
        texts = {lorem(3_000, tokenizer) for tokenizer in (*TOKENIZERS, Splitter())}
        self.assertEqual(len(texts), 1)

    def test_the_longest_one(self) -> None:
        self.assertEqual(Splitter().count(lorem(MAX_TOKENS, Splitter())), MAX_TOKENS)

    def test_a_longer_one_is_refused(self) -> None:
        error = self.assertRaises(LoremTooLong, lorem, MAX_TOKENS + 1, Splitter())
        self.assertEqual(str(error), "filler has at most 1,000,000 tokens, not 1,000,001")
        self.assertIsInstance(error, ValueError)

    def test_fewer_than_none_are_refused(self) -> None:
        error = self.assertRaises(ValueError, lorem, -1, Splitter())
        self.assertEqual(str(error), "filler cannot have -1 tokens")

    def test_a_tokenizer_that_cuts_the_words_is_refused_rather_than_miscounted(self) -> None:
        error = self.assertRaises(ValueError, lorem, 10, Letters())
        self.assertEqual(str(error), "the tokenizer 'letters' cuts filler's words")
