"""The chunks of a stream, where they are not its tokens."""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.reply import Chunks
from fakellm.timing.chunks import cut, without
from fakellm.timing.tokens import Splitter

TOKENS = ("Hello", " wor", "ld", "!")


def texts(chunks: Chunks, tokens: tuple[str, ...] = TOKENS) -> list[str]:
    return [text for text, _ in cut(tokens, chunks)]


class CutTests(SynchronousTestCase):
    def test_by_tokens(self) -> None:
        self.assertEqual(list(cut(TOKENS, "token")), [(token, 1) for token in TOKENS])

    def test_by_so_many_tokens(self) -> None:
        self.assertEqual(list(cut(TOKENS, 3)), [("Hello world", 3), ("!", 1)])

    def test_by_words_each_with_the_space_before_it(self) -> None:
        self.assertEqual(list(cut(TOKENS, "word")), [("Hello", 1), (" world!", 3)])
        self.assertEqual(texts("word", ("a ", " b ")), ["a", "  b "])
        self.assertEqual(texts("word", (" ",)), [" "])

    def test_by_characters_the_last_of_a_token_ends_it(self) -> None:
        self.assertEqual(list(cut(("ab", "c"), "character")), [("a", 0), ("b", 1), ("c", 1)])

    def test_by_the_very_pieces(self) -> None:
        self.assertEqual(texts(("Hel", "", "lo world!")), ["Hel", "", "lo world!"])

    def test_pieces_that_the_text_ends_before_are_cut_and_left_out(self) -> None:
        self.assertEqual(texts(("Hel", "lo world! And", "more")), ["Hel", "lo world!"])

    def test_what_the_pieces_do_not_have_comes_last(self) -> None:
        self.assertEqual(texts(("Hel",)), ["Hel", "lo world!"])

    @given(
        st.text(max_size=50),
        st.sampled_from(["token", "word", "character"])
        | st.integers(1, 9)
        | st.lists(st.text(max_size=9), max_size=5).map(tuple),
    )
    def test_nothing_is_lost_and_every_token_ends_once(self, text: str, chunks: Chunks) -> None:
        tokens = Splitter().split(text)
        chunked = list(cut(tokens, chunks))
        self.assertEqual("".join(piece for piece, _ in chunked), text)
        self.assertEqual(sum(ended for _, ended in chunked), len(tokens))


class WithoutTests(SynchronousTestCase):
    """Pieces that are shared by several texts, one after the other."""

    def test_what_was_said_is_taken_from_the_front(self) -> None:
        self.assertEqual(without(("Hel", "lo"), 0), ("Hel", "lo"))
        self.assertEqual(without(("Hel", "lo"), 3), ("lo",))
        self.assertEqual(without(("Hel", "lo", "!"), 4), ("o", "!"))
        self.assertEqual(without(("Hel", "lo"), 9), ())
