"""A reply that has to have so many tokens at least."""

from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import Reasoning, Refusal, SaidPart, Text, ToolCall
from fakellm.model.events import ChoiceEnd, End, Token
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Choice, Chunks, Reply
from fakellm.timing import unfold as unfolding
from fakellm.timing.tokens import tokenizer
from fakellm.timing.unfold import unfold

WORDS = tokenizer("words")


def told(
    *parts: SaidPart, chunks: Chunks = "token", **bounds: Any
) -> tuple[str, int, str, str | None]:
    """What is said, in how many tokens, why it ends and by what."""
    prompt = Prompt(
        dialect="any",
        endpoint="any",
        model="m",
        messages=(),
        received=Received(method="POST", path="/"),
        **bounds,
    )
    reply = Reply(choices=(Choice(parts=parts, chunks=chunks),), model="m")
    events = list(unfold(prompt, reply, WORDS).events)
    (ended,) = [event for event in events if isinstance(event, ChoiceEnd)]
    (end,) = [event for event in events if isinstance(event, End)]
    tokens = [event for event in events if isinstance(event, Token)]
    assert sum(token.tokens for token in tokens) == end.usage.completion
    text = "".join(token.text for token in tokens)
    return text, end.usage.completion, ended.finish_reason, ended.stop


class LeastTests(SynchronousTestCase):
    def test_a_text_says_its_words_again(self) -> None:
        self.assertEqual(
            told(Text(text="one two"), min_tokens=5),
            ("one two one two one", 5, "stop", None),
        )

    def test_one_that_is_long_enough_does_not(self) -> None:
        self.assertEqual(told(Text(text="a b c"), min_tokens=3), ("a b c", 3, "stop", None))

    def test_a_text_without_words_gets_some(self) -> None:
        for text in ("", " "):
            said, count, _, _ = told(Text(text=text), min_tokens=4)
            self.assertEqual((said.strip(), count), ("and so on and"[: len(said.strip())], 4))

    def test_a_reply_without_parts_gets_one(self) -> None:
        self.assertEqual(told(Text(text=""), min_tokens=3)[1], 3)

    def test_a_refusal_goes_on_like_a_text(self) -> None:
        self.assertEqual(told(Refusal(text="no"), min_tokens=2)[0], "no no")

    def test_at_the_most_it_was_cut(self) -> None:
        for text in ("a b", "a b c d", "a b c d e"):
            said, count, reason, _ = told(Text(text=text), min_tokens=4, max_tokens=4)
            self.assertEqual((count, reason), (4, "length"), said)

    def test_all_parts_count_and_the_last_goes_on(self) -> None:
        self.assertEqual(
            told(Reasoning(text="hm"), Text(text="a"), min_tokens=4, max_tokens=9),
            ("hma a a", 4, "stop", None),
        )

    def test_hidden_tokens_get_what_is_left(self) -> None:
        hidden = Reasoning(tokens=50)
        self.assertEqual(told(hidden, Text(text="a"), min_tokens=4, max_tokens=4)[1], 4)

    def test_a_call_is_left_as_it_is(self) -> None:
        call = ToolCall(name="f", arguments="{}")
        whole = told(Text(text="a"), call)
        self.assertEqual(told(Text(text="a"), call, min_tokens=50), whole)

    def test_a_stop_sequence_stops_it_only_once_it_is_long_enough(self) -> None:
        text = Text(text="a b c d")
        self.assertEqual(told(text, stop=("b",), min_tokens=1), ("a ", 2, "stop", "b"))
        self.assertEqual(told(text, stop=("b",), min_tokens=3), ("a b c d", 4, "stop", None))

    def test_the_rest_of_listed_chunks_is_one_more(self) -> None:
        text, count, _, _ = told(Text(text="one two"), chunks=("one", " two"), min_tokens=4)
        self.assertEqual((text, count), ("one two one two", 4))

    def test_there_is_an_end_to_it(self) -> None:
        self.patch(unfolding, "FILLED_UP_TO", 10)
        self.assertEqual(told(Text(text="a"), min_tokens=10**9)[1:3], (10, "stop"))

    @settings(deadline=None, derandomize=True, max_examples=100, database=None)
    @given(st.text(max_size=20), st.integers(0, 40), st.integers(0, 40))
    def test_it_is_never_less_than_the_least_nor_more_than_the_most(
        self, text: str, one: int, other: int
    ) -> None:
        least, most = sorted((one, other))
        count = told(Text(text=text), min_tokens=least, max_tokens=most)[1]
        self.assertTrue(least <= count <= most)
