"""How text is cut into tokens, by the built-in splitter and by the exact encodings."""

import json
import sys
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.interfaces import ITokenizer
from fakellm.timing.tokens import ENCODINGS, BytePairs, Splitter, tokenizer

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)

# Any text at all, lone surrogates included, and runs long enough to reach every bound.
surrogates = st.characters(categories=["Cs"])
runs = st.builds(str.__mul__, st.sampled_from("aZé \n\t1{_日😀я\ud800\u0301"), st.integers(1, 40))
texts = st.lists(st.text() | surrogates | runs, max_size=8).map("".join)

PROSE = (
    (
        "The lighthouse keeper climbed the stairs twice a day, once to light the lamp and once to "
        "put it out again. He didn't mind the wind; what he minded was the silence after it, when "
        "the gulls had gone and nothing at all moved between the rocks and the horizon.\n\n"
        "On Sundays, his sister rowed across with bread, newspapers and an opinion about "
        "everything."
    ),
    (
        "Backpressure is what a producer feels when its consumer stops reading. A server that "
        "ignores it keeps appending to a buffer until memory runs out, which usually happens at "
        "night and under load. The remedy is unglamorous: stop generating, remember where you "
        "were, and continue as soon as the transport asks for more."
    ),
    (
        "In 1903 the committee approved a budget of 48,250 francs for the new observatory. "
        "Construction took considerably longer than expected: the foundations alone required 14 "
        "months, and Dr. Marchetti (who had promised to finish by 1906) resigned before the dome "
        "arrived from Hamburg."
    ),
)
RECORD = {
    "id": "chatcmpl-0123456789abcdef",
    "object": "chat.completion",
    "created": 1767225600,
    "model": "gpt-4o-mini",
    "choices": [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": None,
                "tool_calls": [
                    {
                        "id": "call_7",
                        "type": "function",
                        "function": {
                            "name": "get_weather",
                            "arguments": '{"city": "Lyon", "unit": "celsius", "days": 3}',
                        },
                    }
                ],
            },
            "finish_reason": "tool_calls",
        }
    ],
    "usage": {"prompt_tokens": 82, "completion_tokens": 17, "total_tokens": 99},
}
ORDERS = [
    {"sku": "AX-1004", "quantity": 3, "price": 12.5, "tags": ["blue", "small"], "gift": False},
    {"sku": "BT-2210", "quantity": 1, "price": 349.99, "tags": [], "gift": True},
    {"sku": "CZ-0087", "quantity": 12, "price": 0.75, "tags": ["fragile"], "gift": False},
]


class SplitterTests(SynchronousTestCase):
    """The built-in tokenizer."""

    def assert_pieces(self, *pieces: str) -> None:
        """Assert that the joined pieces are cut as written."""
        self.assertEqual(Splitter().split("".join(pieces)), pieces)

    def test_it_is_a_tokenizer(self) -> None:
        verifyObject(ITokenizer, Splitter())
        self.assertEqual(Splitter().name, "words")

    def test_no_text_has_no_tokens(self) -> None:
        self.assert_pieces()
        self.assertEqual(Splitter().count(""), 0)

    def test_a_word_takes_the_space_before_it(self) -> None:
        self.assert_pieces("hello", " world")

    def test_only_the_last_space_of_a_run_belongs_to_the_word(self) -> None:
        self.assert_pieces("if", ":\n", "   ", " return")

    def test_a_long_word_is_several_tokens(self) -> None:
        self.assert_pieces(" internatio", "nalization")

    def test_names_in_camel_case_and_snake_case_are_cut_where_they_read(self) -> None:
        self.assert_pieces("HTTP", "Server", "Factory", " get", "_weather")

    def test_digits_come_in_threes(self) -> None:
        self.assert_pieces("176", "722", "560", "0", ".", "5")

    def test_punctuation_is_cut_in_runs(self) -> None:
        self.assert_pieces("tags", '":', " {", "one", "]},\n")

    def test_new_lines_stay_together(self) -> None:
        self.assert_pieces("one", "\n\n", "two", " \n", "three")

    def test_other_alphabets_are_cut_into_short_pieces(self) -> None:
        self.assert_pieces(" добр", "ый", " café")

    def test_cjk_and_emoji_are_a_token_per_code_point(self) -> None:
        self.assert_pieces("日", "本", "語", "😀", "👍")

    def test_lone_surrogates_survive(self) -> None:
        self.assert_pieces("a", "\ud83d", "\ude00", "b")

    @few
    @given(texts)
    def test_pieces_join_to_the_text_and_none_is_empty(self, text: str) -> None:
        pieces = Splitter().split(text)
        self.assertEqual("".join(pieces), text)
        self.assertNotIn("", pieces)
        self.assertEqual(Splitter().count(text), len(pieces))

    def test_counts_of_prose_are_within_20_percent_of_o200k_base(self) -> None:
        for text in PROSE:
            self.assert_close(text)

    def test_counts_of_json_are_within_20_percent_of_o200k_base(self) -> None:
        for value in (RECORD, ORDERS):
            self.assert_close(json.dumps(value))
            self.assert_close(json.dumps(value, indent=2))
            self.assert_close(json.dumps(value, separators=(",", ":")))

    def assert_close(self, text: str) -> None:
        """Assert that the count is within 20 % of the exact one."""
        exact = BytePairs("o200k_base").count(text)
        self.assertApproximates(Splitter().count(text), exact, 0.2 * exact, text)

    def test_every_repetition_has_a_bound_so_the_time_is_linear(self) -> None:
        """A run of anything is cut again and again, never searched to its end.

        These are a million characters each; a quadratic search would take hours.
        """
        for unit in ("a", "A", "Aa", " ", "\n", " \n", "\t ", "{", " {", "_", "1", "é", "я", "日"):
            text = unit * (1_000_000 // len(unit))
            self.assertLessEqual(max(map(len, Splitter().split(text[:1000]))), 32, unit)
            self.assertGreaterEqual(Splitter().count(text), len(text) // 32, unit)


class BytePairsTests(SynchronousTestCase):
    """The exact tokenizers."""

    tokenizers = tuple(map(BytePairs, ENCODINGS))

    def test_they_are_tokenizers_named_by_their_encoding(self) -> None:
        for exact, name in zip(self.tokenizers, ENCODINGS, strict=True):
            verifyObject(ITokenizer, exact)
            self.assertEqual(exact.name, name)

    def test_known_counts(self) -> None:
        """Token boundaries as OpenAI's own tokenizer shows them."""
        o200k_base, cl100k_base = self.tokenizers
        self.assertEqual(o200k_base.split("hello world"), ("hello", " world"))
        self.assertEqual(o200k_base.split("日本語"), ("日本", "語"))
        self.assertEqual(
            cl100k_base.split("tiktoken is great!"), ("t", "ik", "token", " is", " great", "!")
        )

    def test_a_token_inside_a_character_is_an_empty_piece_before_the_one_that_completes_it(
        self,
    ) -> None:
        """cl100k_base codes this character as the bytes E8 AA, then 9E."""
        self.assertEqual(self.tokenizers[1].split("語"), ("", "語"))

    def test_text_that_looks_like_a_special_token_is_plain_text(self) -> None:
        for exact in self.tokenizers:
            pieces = exact.split("<|endoftext|>")
            self.assertGreater(len(pieces), 1)
            self.assertEqual("".join(pieces), "<|endoftext|>")

    def test_a_lone_surrogate_counts_as_a_replacement_character_and_stays_itself(self) -> None:
        for exact in self.tokenizers:
            self.assertEqual("".join(exact.split("a\ud800b\udfff")), "a\ud800b\udfff")
            self.assertEqual(exact.count("a\ud800b\udfff"), exact.count("a\ufffdb\ufffd"))

    def test_a_million_tokens_are_not_too_many(self) -> None:
        """The package's public calls stop at 200,000 tokens; context windows do not."""
        self.assertEqual(self.tokenizers[0].count("a1! " * 300_000), 900_001)
        self.assertEqual(len(self.tokenizers[0].split("a1! " * 100_000)), 300_001)

    @few
    @given(texts)
    def test_pieces_join_to_the_text_one_per_token(self, text: str) -> None:
        for exact in self.tokenizers:
            pieces = exact.split(text)
            self.assertEqual("".join(pieces), text)
            self.assertEqual(exact.count(text), len(pieces))


class TokenizerTests(SynchronousTestCase):
    """Choosing a tokenizer by name."""

    def test_each_name_gives_its_tokenizer(self) -> None:
        for name in ("words", "o200k_base", "cl100k_base"):
            self.assertEqual(tokenizer(name).name, name)

    def test_an_unknown_name_is_answered_with_the_known_ones(self) -> None:
        error = self.assertRaises(ValueError, tokenizer, "gpt2")
        self.assertEqual(
            str(error),
            "unknown tokenizer 'gpt2': it is one of words, o200k_base, cl100k_base",
        )

    def test_a_missing_package_is_answered_with_how_to_install_it(self) -> None:
        with mock.patch.dict(sys.modules, {"bpe_openai": None}):
            error = self.assertRaises(ValueError, tokenizer, "o200k_base")
            self.assertEqual(tokenizer("words").count("no package needed"), 3)
        self.assertIn("pip install 'twisted-fakellm[tokens]'", str(error))
