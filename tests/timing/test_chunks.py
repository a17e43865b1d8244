"""Cutting text into chunks: nothing is lost, and every token ends in one of them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.reply import Chunks
from fakellm.timing.chunks import cut, without
from fakellm.timing.tokens import Splitter

few = settings(deadline=None, derandomize=True, max_examples=300, database=None)
forms = st.one_of(
    st.sampled_from(["token", "word", "character"]),
    st.integers(1, 5),
    st.lists(st.text(alphabet="ab ", max_size=3), max_size=6).map(tuple),
)
tokens = st.lists(st.text(alphabet="ab \n", max_size=3)).map(tuple)


class CutTests(SynchronousTestCase):
    def chunks(self, text: str, form: Chunks) -> list[tuple[str, int]]:
        return list(cut(Splitter().split(text), form))

    def test_by_token(self) -> None:
        self.assertEqual(self.chunks("hello world", "token"), [("hello", 1), (" world", 1)])

    def test_by_so_many_tokens(self) -> None:
        said = "one two three four five"
        self.assertEqual(self.chunks(said, 2), [("one two", 2), (" three four", 2), (" five", 1)])
        self.assertEqual(self.chunks(said, 100), [(said, 5)])

    def test_by_word_with_the_white_space_before_it_and_all_that_is_at_the_end(self) -> None:
        cut_up = [text for text, _ in self.chunks("  It is,\n\n21 °C. ", "word")]
        self.assertEqual(cut_up, ["  It", " is,", "\n\n21", " °C. "])
        self.assertEqual([*cut(("  ",), "word")], [("  ", 1)])

    def test_by_character_a_token_ends_with_its_last(self) -> None:
        self.assertEqual([*cut(("ab", "c"), "character")], [("a", 0), ("b", 1), ("c", 1)])

    def test_by_pieces_as_far_as_they_go_and_then_the_rest(self) -> None:
        words = ("ab", "cd", "ef")
        self.assertEqual([*cut(words, ("abc", "d"))], [("abc", 1), ("d", 1), ("ef", 1)])
        self.assertEqual([*cut(words, ())], [("abcdef", 3)])

    def test_by_pieces_that_go_further_than_the_text(self) -> None:
        self.assertEqual([*cut(("ab",), ("a", "bcd", "ef"))], [("a", 0), ("b", 1)])

    def test_an_empty_piece_is_a_chunk_of_its_own(self) -> None:
        self.assertEqual(
            [*cut(("ab",), ("", "a", "", "b"))], [("", 0), ("a", 0), ("", 0), ("b", 1)]
        )

    def test_nothing_is_no_chunk(self) -> None:
        forms: tuple[Chunks, ...] = ("token", "word", "character", 3, ("a",))
        for form in forms:
            self.assertEqual([*cut((), form)], [])

    @few
    @given(tokens, forms)
    def test_the_text_is_whole_and_every_token_ends_once(
        self, tokens: tuple[str, ...], form: Chunks
    ) -> None:
        chunks = [*cut(tokens, form)]
        self.assertEqual("".join(text for text, _ in chunks), "".join(tokens))
        if "".join(tokens):
            self.assertEqual(sum(ended for _, ended in chunks), len(tokens))


class WithoutTests(SynchronousTestCase):
    """What one text has had of the pieces, the next one has not."""

    def test_whole_pieces_and_the_beginning_of_one(self) -> None:
        self.assertEqual(without(("ab", "cd", "ef"), 0), ("ab", "cd", "ef"))
        self.assertEqual(without(("ab", "cd", "ef"), 2), ("cd", "ef"))
        self.assertEqual(without(("ab", "cd", "ef"), 3), ("d", "ef"))
        self.assertEqual(without(("ab", "cd", "ef"), 9), ())

    def test_empty_ones_go_with_what_is_before_them(self) -> None:
        self.assertEqual(without(("ab", "", "cd", "", "ef"), 2), ("cd", "", "ef"))

    @few
    @given(st.lists(st.text(alphabet="ab", max_size=3), max_size=6).map(tuple), st.integers(0, 20))
    def test_as_many_characters_go(self, pieces: tuple[str, ...], said: int) -> None:
        self.assertEqual("".join(without(pieces, said)), "".join(pieces)[said:])
