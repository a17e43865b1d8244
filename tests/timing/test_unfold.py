"""Replies as events: what is said token by token, what cuts it, and what it costs."""

import tracemalloc
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from fakellm.interfaces import ITokenizer
from fakellm.model.content import HostedCall, Reasoning, Refusal, SaidPart, Speech, Text, ToolCall
from fakellm.model.events import (
    Begin,
    ChoiceBegin,
    ChoiceEnd,
    End,
    Event,
    Failed,
    PartBegin,
    PartEnd,
    Token,
)
from fakellm.model.prompt import Message, Prompt, Received
from fakellm.model.reply import (
    Choice,
    Chunks,
    Failure,
    FinishReason,
    Reply,
    Usage,
    UsageOverride,
)
from fakellm.timing.counting import prompt_tokens
from fakellm.timing.tokens import BytePairs, Splitter
from fakellm.timing.unfold import unfold

few = settings(deadline=None, derandomize=True, max_examples=200, database=None)


@implementer(ITokenizer)
class Characters:
    """A token per character, after an empty one before each vowel; notes what it has split."""

    name = "characters"

    def __init__(self) -> None:
        self.split_texts: list[str] = []

    def split(self, text: str) -> tuple[str, ...]:
        self.split_texts.append(text)
        return tuple(piece for c in text for piece in (("", c) if c in "aeiou" else (c,)))

    def count(self, text: str) -> int:
        return len(self.split(text))


TOKENIZERS = (Splitter(), Characters(), BytePairs("cl100k_base"))
ANSWER = (Text(text="hello world"),)


def prompt(**asked: Any) -> Prompt:
    return Prompt(
        dialect="test",
        endpoint="test",
        model="fake-model",
        messages=(Message(role="user", parts=(Text(text="Say something"),)),),
        received=Received(method="POST", path="/"),
        **asked,
    )


def events_of(
    *choices: Sequence[SaidPart],
    tokenizer: ITokenizer | None = None,
    finish_reason: FinishReason | None = None,
    **asked: Any,
) -> Iterator[Event]:
    """The events of a reply of some choices, each of some parts."""
    made = tuple(Choice(parts=tuple(parts), finish_reason=finish_reason) for parts in choices)
    reply = Reply(choices=made, model="fake-model")
    return unfold(prompt(n=len(made), **asked), reply, tokenizer or Splitter()).events


class Told:
    """What a client is told of an answer, taken from events that must come in order."""

    def __init__(self, events: Iterable[Event]) -> None:
        self.usage: Usage | None = None
        self.texts: dict[int, list[str]] = {}
        self.tokens: dict[int, list[Token]] = {}
        self.ends: dict[int, ChoiceEnd] = {}
        self._open: dict[int, int] = {}
        begin, *rest, end = events
        assert isinstance(begin, Begin), begin
        assert isinstance(end, End), end
        self.prompt = begin.prompt_tokens
        self.usage = end.usage
        for event in rest:
            self._take(event)
        assert self.ends.keys() == self.texts.keys()

    def _take(self, event: Event) -> None:
        match event:
            case ChoiceBegin(choice=choice):
                assert choice == len(self.texts)
                self.texts[choice], self.tokens[choice] = [], []
            case PartBegin(choice=choice, part=part):
                assert part == len(self.texts[choice])
                assert choice not in self._open
                self._open[choice] = part
                self.texts[choice].append("")
            case Token(choice=choice, part=part, text=text):
                assert self._open[choice] == part
                self.texts[choice][part] += text
                self.tokens[choice].append(event)
            case PartEnd(choice=choice, part=part):
                assert self._open.pop(choice) == part
            case ChoiceEnd(choice=choice):
                assert choice not in self._open
                assert choice not in self.ends
                self.ends[choice] = event
            case _:
                raise AssertionError(event)

    @property
    def finish_reason(self) -> str:
        """That of the first choice."""
        return self.ends[0].finish_reason

    def said(self, choice: int) -> int:
        """How many tokens a choice has, the hidden ones too."""
        return sum(token.tokens for token in self.tokens[choice])


def told(*choices: Sequence[SaidPart], **asked: Any) -> Told:
    return Told(events_of(*choices, **asked))


def usage_of(*choices: Sequence[SaidPart], **asked: Any) -> Usage:
    usage = told(*choices, **asked).usage
    assert usage is not None
    return usage


class OrderTests(SynchronousTestCase):
    def test_an_answer_in_full(self) -> None:
        text = Text(text="hello world")
        self.assertEqual(
            list(events_of([text])),
            [
                Begin(model="fake-model", prompt_tokens=9),
                ChoiceBegin(choice=0, parts=(text,)),
                PartBegin(choice=0, part=0, content=text),
                Token(0, 0, "hello"),
                Token(0, 0, " world", last="stop"),
                PartEnd(choice=0, part=0),
                ChoiceEnd(choice=0, finish_reason="stop"),
                End(usage=Usage(prompt=9, completion=2)),
            ],
        )

    def test_choices_take_turns_a_token_each_all_begun_before_any_speaks(self) -> None:
        events = list(events_of([Text(text="one two")], [Text(text="three")]))
        self.assertEqual([type(event) for event in events[1:3]], [ChoiceBegin, ChoiceBegin])
        spoken = [event for event in events if isinstance(event, Token)]
        self.assertEqual([token.text for token in spoken], ["one", "three", " two"])
        self.assertEqual([token.choice for token in spoken], [0, 1, 0])

    def test_a_choice_that_has_ended_takes_no_more_turns(self) -> None:
        events = list(events_of([Text(text="")], [Text(text="a b c")], [Text(text="d")]))
        ends = [event.choice for event in events if isinstance(event, ChoiceEnd)]
        self.assertEqual(ends, [0, 2, 1])

    def test_parts_come_one_after_the_other(self) -> None:
        call = ToolCall(name="look", arguments="{}")
        answer = told([Text(text="Let me look."), call, call])
        self.assertEqual(answer.texts[0], ["Let me look.", "{}", "{}"])

    def test_what_a_tool_of_the_vendors_did_takes_no_tokens(self) -> None:
        call = HostedCall(kind="web_search_call")
        self.assertEqual([*told([call, Text(text="Found")]).texts[0]], ["", "Found"])
        self.assertEqual(usage_of([call]).completion, 0)

    def test_a_part_without_words_begins_and_ends(self) -> None:
        for part in (Text(text=""), Refusal(text=""), ToolCall(name="f", arguments="")):
            answer = told([part])
            self.assertEqual((answer.texts[0], answer.said(0)), ([""], 0), part)

    def test_a_choice_without_parts_ends_at_once(self) -> None:
        answer = told([])
        self.assertEqual((answer.texts[0], answer.finish_reason), ([], "stop"))

    def test_a_token_inside_a_character_is_a_token_without_text(self) -> None:
        """cl100k_base needs two tokens for this character."""
        answer = told([Text(text="語")], tokenizer=BytePairs("cl100k_base"), logprobs=1)
        self.assertEqual([token.text for token in answer.tokens[0]], ["", "語"])
        self.assertTrue(all(token.logprob for token in answer.tokens[0]))

    def test_events_are_made_as_they_are_drawn(self) -> None:
        """An answer of a million tokens costs its tokens, once, and no more."""
        texts = [[Text(text="alpha beta, " * 33_333)] for _ in range(100)]
        tracemalloc.start()
        try:
            events = events_of(*texts)
            self.assertEqual(len(list(islice(events, 1000))), 1000)
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
        self.assertLess(peak, 10_000_000)  # ten million tokens are said

    def test_equal_texts_are_cut_into_tokens_once(self) -> None:
        tokenizer = Characters()
        told(*([ANSWER] * 128), tokenizer=tokenizer)
        self.assertEqual(tokenizer.split_texts.count("hello world"), 1)

    def test_what_goes_wrong_goes_wrong_before_the_first_event(self) -> None:
        """So that the client can still be told with a status."""

        class Broken(Characters):
            def count(self, text: str) -> int:
                raise ZeroDivisionError(text)

        self.assertRaises(ZeroDivisionError, events_of, ANSWER, tokenizer=Broken())


class LastTokenTests(SynchronousTestCase):
    """The last token of a choice tells the reason that the choice ends for."""

    def marked(self, *parts: SaidPart, chunks: Chunks = "token", **asked: Any) -> list[Any]:
        """The tokens of a choice: the text of each, or its text and what it tells."""
        reply = Reply(choices=(Choice(parts=parts, chunks=chunks),), model="m")
        answer = Told(unfold(prompt(**asked), reply, Splitter()).events)
        return [(t.text, t.last) if t.last else t.text for t in answer.tokens[0]]

    def test_however_it_is_cut(self) -> None:
        text = Text(text="one two three")
        cases: list[tuple[Chunks, list[Any]]] = [
            ("token", ["one", " two", (" three", "stop")]),
            ("word", ["one", " two", (" three", "stop")]),
            (2, ["one two", (" three", "stop")]),
            (9, [("one two three", "stop")]),
            (("on", "e two th"), ["on", "e two th", ("ree", "stop")]),
        ]
        for chunks, marked in cases:
            self.assertEqual(self.marked(text, chunks=chunks), marked, chunks)

    def test_whatever_the_reason(self) -> None:
        self.assertEqual(self.marked(*ANSWER, max_tokens=1), [("hello", "length")])
        self.assertEqual(self.marked(*ANSWER, stop=(" world",)), [("hello", "stop")])
        call = ToolCall(name="f", arguments="{}")
        self.assertEqual(self.marked(call), [("{}", "tool_calls")])

    def test_only_in_the_last_part(self) -> None:
        call = ToolCall(name="f", arguments="{}")
        self.assertEqual(self.marked(*ANSWER, call), ["hello", " world", ("{}", "tool_calls")])

    def test_not_where_the_last_part_says_nothing(self) -> None:
        call = ToolCall(name="f", arguments="")
        self.assertEqual(self.marked(*ANSWER, call), ["hello", " world"])
        self.assertEqual(self.marked(*ANSWER, call, chunks=2), ["hello world"])
        self.assertEqual(self.marked(*ANSWER, Text(text=""), logprobs=0), ["hello", " world"])
        self.assertEqual(self.marked(Text(text="")), [])

    def test_scored_tokens_tell_it_too(self) -> None:
        self.assertEqual(self.marked(*ANSWER, logprobs=0), ["hello", (" world", "stop")])

    def test_thoughts_tell_it_if_nothing_else_is_said(self) -> None:
        self.assertEqual(self.marked(Reasoning(tokens=64)), [("", "stop")])
        self.assertEqual(self.marked(Reasoning(text="a", tokens=64)), ["", ("a", "stop")])
        self.assertEqual(
            self.marked(Reasoning(tokens=64), *ANSWER), ["", "hello", (" world", "stop")]
        )

    def test_each_choice_tells_its_own(self) -> None:
        answer = told([Text(text="one")], [Text(text="one two")], max_tokens=1)
        self.assertEqual(
            [[each.last for each in answer.tokens[index]] for index in (0, 1)],
            [["stop"], ["length"]],
        )

    def test_an_answer_that_fails_ends_for_no_reason(self) -> None:
        cut: tuple[Chunks, ...] = ("token", 2)
        for chunks in cut:
            reply = Reply(
                choices=(Choice(parts=ANSWER, chunks=chunks),),
                model="m",
                failure=Failure(status=500),
            )
            events = unfold(prompt(), reply, Splitter()).events
            tokens = [event for event in events if isinstance(event, Token)]
            self.assertTrue(tokens)
            self.assertEqual([each.last for each in tokens if each.last], [])


class FinishReasonTests(SynchronousTestCase):
    def test_it_follows_from_the_parts(self) -> None:
        call = ToolCall(name="look", arguments="{}")
        self.assertEqual(told(ANSWER).finish_reason, "stop")
        self.assertEqual(told([Refusal(text="No.")]).finish_reason, "stop")
        self.assertEqual(told([*ANSWER, call]).finish_reason, "tool_calls")
        self.assertEqual(
            told([ToolCall(name="f", arguments="", kind="custom")]).finish_reason, "tool_calls"
        )

    def test_a_reply_may_name_its_own(self) -> None:
        self.assertEqual(
            told(ANSWER, finish_reason="content_filter").finish_reason, "content_filter"
        )

    def test_a_cut_says_so_whatever_the_reply_names(self) -> None:
        asked: dict[str, Any] = {"finish_reason": "content_filter"}
        self.assertEqual(told(ANSWER, max_tokens=1, **asked).finish_reason, "length")
        self.assertEqual(told(ANSWER, stop=(" ",), **asked).finish_reason, "stop")

    def test_each_choice_has_its_own(self) -> None:
        answer = told([Text(text="one")], [Text(text="one two")], max_tokens=1)
        self.assertEqual([answer.ends[i].finish_reason for i in (0, 1)], ["stop", "length"])


class MaxTokensTests(SynchronousTestCase):
    def test_an_answer_is_cut_at_that_many_tokens(self) -> None:
        answer = told([Text(text="one two three")], max_tokens=2)
        self.assertEqual(answer.texts[0], ["one two"])
        self.assertEqual(answer.finish_reason, "length")

    def test_an_answer_that_just_fits_is_not_cut(self) -> None:
        answer = told([Text(text="one two three")], max_tokens=3)
        self.assertEqual(answer.texts[0], ["one two three"])
        self.assertEqual(answer.finish_reason, "stop")

    def test_the_bound_holds_for_all_parts_of_a_choice_together(self) -> None:
        call = ToolCall(name="look", arguments='{"city": "Lyon"}')
        answer = told([Text(text="one two"), call], max_tokens=4)
        self.assertEqual(answer.texts[0], ["one two", '{"city'])
        self.assertEqual(answer.finish_reason, "length")

    def test_each_choice_has_the_bound_for_itself(self) -> None:
        answer = told([Text(text="a b c")], [Text(text="d e f")], max_tokens=2)
        self.assertEqual([answer.texts[0], answer.texts[1]], [["a b"], ["d e"]])

    def test_a_part_that_nothing_is_left_for_is_not_begun(self) -> None:
        call = ToolCall(name="look", arguments="{}")
        answer = told([Text(text="one two"), call], max_tokens=2)
        self.assertEqual(answer.texts[0], ["one two"])
        self.assertEqual(answer.finish_reason, "length")

    def test_a_part_without_words_fits_even_then(self) -> None:
        call = ToolCall(name="look", arguments="")
        answer = told([Text(text="one two"), call], max_tokens=2)
        self.assertEqual(answer.texts[0], ["one two", ""])
        self.assertEqual(answer.finish_reason, "tool_calls")

    def test_no_tokens_at_all_still_begin_a_part(self) -> None:
        """So that there is a message, if an empty one."""
        answer = told(ANSWER, max_tokens=0)
        self.assertEqual((answer.texts[0], answer.finish_reason), ([""], "length"))


class StopTests(SynchronousTestCase):
    def cut(self, text: str, *stop: str, **asked: Any) -> tuple[str, str | None]:
        answer = told([Text(text=text)], stop=stop, **asked)
        self.assertEqual(answer.finish_reason, "stop")
        return answer.texts[0][0], answer.ends[0].stop

    def test_a_text_ends_before_the_stop_sequence(self) -> None:
        self.assertEqual(self.cut("one two three", " two"), ("one", " two"))
        self.assertEqual(self.cut("one two three", "o"), ("", "o"))

    def test_a_text_without_it_is_said_in_full(self) -> None:
        self.assertEqual(self.cut("one two three", "four", "Two"), ("one two three", None))

    def test_it_is_found_across_and_within_tokens(self) -> None:
        """`hello`, ` world`: neither is the sequence, nor ends with it."""
        self.assertEqual(self.cut("hello world", "lo wo"), ("hel", "lo wo"))

    def test_the_earliest_of_several_wins_whatever_their_order(self) -> None:
        self.assertEqual(self.cut("one two three", "three", "two"), ("one ", "two"))
        self.assertEqual(self.cut("one two three", "two", "three"), ("one ", "two"))

    def test_the_one_that_is_complete_first_wins_over_one_that_began_before_it(self) -> None:
        """A model stops as soon as it has said one of them."""
        self.assertEqual(self.cut("abcdef", "bcdef", "cd"), ("ab", "cd"))
        self.assertEqual(self.cut("abcdef", "bcd", "bc"), ("a", "bc"))

    def test_of_those_that_are_complete_together_the_longest_wins(self) -> None:
        self.assertEqual(self.cut("abcdef", "d", "bcd", "cd"), ("a", "bcd"))

    def test_nothing_comes_after_it_and_only_what_came_is_paid(self) -> None:
        call = ToolCall(name="look", arguments="{}")
        parts = (Text(text="one two three"), call)
        answer = told(parts, stop=(" three",))
        self.assertEqual((answer.texts[0], answer.finish_reason), (["one two"], "stop"))
        self.assertEqual(usage_of(parts, stop=(" three",)).completion, 2)

    def test_a_refusal_stops_too(self) -> None:
        answer = told([Refusal(text="I will not.")], stop=(" not",))
        self.assertEqual((answer.texts[0], answer.ends[0].stop), (["I will"], " not"))

    def test_calls_sound_and_thoughts_do_not(self) -> None:
        """They are not the text that the client reads for it."""
        for part in (
            ToolCall(name="f", arguments="a b"),
            Speech(transcript="a b"),
            Reasoning(text="a b"),
        ):
            answer = told([part], stop=("b",))
            self.assertEqual((answer.texts[0], answer.ends[0].stop), (["a b"], None), part)

    def test_a_bound_reached_before_it_wins(self) -> None:
        answer = told([Text(text="a b c d e")], stop=("e",), max_tokens=2)
        self.assertEqual((answer.texts[0], answer.finish_reason), (["a b"], "length"))
        self.assertIsNone(answer.ends[0].stop)

    def test_each_choice_stops_by_itself(self) -> None:
        answer = told([Text(text="a b")], [Text(text="c d")], stop=("b",))
        self.assertEqual([answer.texts[0], answer.texts[1]], [["a "], ["c d"]])


class ReasoningTests(SynchronousTestCase):
    THOUGHT = Reasoning(tokens=64)

    def test_hidden_reasoning_is_one_event_without_text(self) -> None:
        answer = told([self.THOUGHT, *ANSWER])
        self.assertEqual(answer.tokens[0][0], Token(0, 0, "", 64))
        self.assertEqual(answer.texts[0], ["", "hello world"])

    def test_it_is_paid_for_and_told_apart(self) -> None:
        usage = usage_of([self.THOUGHT, *ANSWER])
        self.assertEqual((usage.completion, usage.reasoning), (66, 64))

    def test_reasoning_that_is_shown_is_tokens_like_others(self) -> None:
        answer = told([Reasoning(text="one two", tokens=3), *ANSWER])
        self.assertEqual(answer.texts[0], ["one two", "hello world"])
        usage = usage_of([Reasoning(text="one two", tokens=3), *ANSWER])
        self.assertEqual((usage.completion, usage.reasoning), (7, 5))

    def test_it_takes_what_a_bound_leaves_and_never_from_the_answer(self) -> None:
        for bound, hidden in ((1, 0), (2, 0), (3, 1), (65, 63), (66, 64), (1000, 64)):
            usage = usage_of([self.THOUGHT, *ANSWER], max_tokens=bound)
            self.assertEqual(usage.reasoning, hidden, bound)
            self.assertEqual(usage.completion, min(bound, 2) + hidden, bound)

    def test_an_answer_that_stops_early_leaves_no_more_than_the_bound(self) -> None:
        usage = usage_of([self.THOUGHT, Text(text="a b c d e")], max_tokens=10, stop=(" e",))
        self.assertEqual((usage.completion, usage.reasoning), (10, 6))

    def test_two_thoughts_share_what_is_left(self) -> None:
        usage = usage_of([self.THOUGHT, *ANSWER, self.THOUGHT], max_tokens=70)
        self.assertEqual((usage.completion, usage.reasoning), (70, 68))


class LogprobTests(SynchronousTestCase):
    def test_every_token_of_text_and_refusal_has_one(self) -> None:
        for part in (Text(text="one two three"), Refusal(text="one two three")):
            for alternatives in (0, 5):
                tokens = told([part], logprobs=alternatives).tokens[0]
                sizes = [len(token.logprob.top) for token in tokens if token.logprob]
                self.assertEqual(sizes, [alternatives] * 3)

    def test_repeated_tokens_differ(self) -> None:
        tokens = told([Text(text=" a a a")], logprobs=0).tokens[0]
        self.assertEqual(len({token.logprob.value for token in tokens if token.logprob}), 3)

    def test_nothing_else_has_one(self) -> None:
        parts = (
            Reasoning(text="a", tokens=1),
            ToolCall(name="f", arguments="{}"),
            Speech(transcript="a"),
        )
        self.assertEqual({token.logprob for token in told(parts, logprobs=5).tokens[0]}, {None})

    def test_they_come_only_when_asked_for(self) -> None:
        self.assertEqual({token.logprob for token in told(ANSWER).tokens[0]}, {None})


class UsageTests(SynchronousTestCase):
    def test_the_prompt_is_counted_once_and_told_at_the_start(self) -> None:
        answer = told(ANSWER, ANSWER)
        self.assertEqual(answer.prompt, prompt_tokens(prompt(), Splitter()))
        self.assertEqual(usage_of(ANSWER, ANSWER).prompt, answer.prompt)

    def test_choices_are_summed(self) -> None:
        usage = usage_of([Reasoning(tokens=10), Text(text="one two")], [Text(text="three")])
        self.assertEqual((usage.completion, usage.reasoning), (13, 10))

    def test_spoken_words_are_audio(self) -> None:
        usage = usage_of([Speech(transcript="one two"), Text(text="three")])
        self.assertEqual((usage.completion, usage.audio), (3, 2))


class PredictionTests(SynchronousTestCase):
    def accounts(self, said: str, predicted: str, **asked: Any) -> tuple[int, int, int]:
        """Completion, accepted and rejected tokens."""
        usage = usage_of([Text(text=said)], prediction=predicted, **asked)
        return usage.completion, usage.prediction_accepted, usage.prediction_rejected

    def test_none_is_accounted_where_none_is_made(self) -> None:
        usage = usage_of(ANSWER)
        self.assertEqual((usage.prediction_accepted, usage.prediction_rejected), (0, 0))

    def test_a_true_prediction_is_accepted_and_costs_nothing_more(self) -> None:
        self.assertEqual(self.accounts("one two three", "one two three"), (3, 3, 0))

    def test_rejected_tokens_are_paid_for_as_if_they_had_been_said(self) -> None:
        self.assertEqual(self.accounts("one two three", "four five"), (3 + 2, 0, 2))
        self.assertEqual(self.accounts("one two three", ""), (3, 0, 0))

    def test_what_is_the_same_before_and_after_a_change_is_accepted(self) -> None:
        self.assertEqual(self.accounts("a b X d e", "a b c d e"), (5 + 1, 4, 1))
        self.assertEqual(self.accounts("a b c d e", "a b e"), (5, 3, 0))
        self.assertEqual(self.accounts("a b e", "a b c d e"), (3 + 2, 3, 2))

    def test_no_token_is_accepted_twice(self) -> None:
        self.assertEqual(self.accounts(" a a", " a a a"), (2 + 1, 2, 1))
        self.assertEqual(self.accounts(" a a a", " a a"), (3, 2, 0))

    def test_what_a_cut_leaves_unsaid_is_rejected(self) -> None:
        self.assertEqual(self.accounts("one two three", "one two three", max_tokens=2), (3, 2, 1))

    def test_it_is_held_against_the_text_of_the_first_choice(self) -> None:
        parts = (Reasoning(tokens=5), Text(text="one"), Text(text=" two"))
        usage = usage_of(parts, [Text(text="three")], prediction="one two")
        self.assertEqual((usage.prediction_accepted, usage.prediction_rejected), (2, 0))
        self.assertEqual(usage.completion, 5 + 2 + 1)

    def test_an_answer_without_text_rejects_it_all(self) -> None:
        usage = usage_of([ToolCall(name="f", arguments="one")], prediction="one")
        self.assertEqual((usage.prediction_accepted, usage.prediction_rejected), (0, 1))


words = st.text(alphabet="ab \n{語😀", max_size=12)
tokens_hidden = st.integers(0, 20)
parts_of_any_kind = st.one_of(
    words.map(lambda text: Text(text=text)),
    words.map(lambda text: Refusal(text=text)),
    st.builds(lambda text, tokens: Reasoning(text=text, tokens=tokens), words, tokens_hidden),
    words.map(lambda text: ToolCall(name="f", arguments=text)),
    words.map(lambda text: Speech(transcript=text)),
)
replies = st.lists(st.lists(parts_of_any_kind, max_size=4), min_size=1, max_size=4)
prompts = st.fixed_dictionaries(
    {
        "max_tokens": st.none() | st.integers(1, 20),
        "stop": st.lists(st.text(alphabet="ab {語", min_size=1, max_size=3), max_size=4).map(tuple),
        "logprobs": st.none() | st.integers(0, 3),
        "tokenizer": st.sampled_from(TOKENIZERS),
    }
)


def full_text(part: SaidPart) -> str:
    match part:
        case ToolCall(arguments=text) | Speech(transcript=text):
            return text
        case HostedCall():
            return ""
    return part.text


class AnyReplyTests(SynchronousTestCase):
    """What holds for any reply to any prompt; the order of events is `Told`'s to check."""

    @few
    @given(replies, prompts)
    def test_texts_are_those_of_the_reply_cut_at_the_end_only(
        self, choices: list[list[SaidPart]], asked: dict[str, Any]
    ) -> None:
        answer = told(*choices, **asked)
        for choice, parts in enumerate(choices):
            texts, end = answer.texts[choice], answer.ends[choice]
            full = [full_text(part) for part in parts]
            self.assertEqual(texts[:-1], full[: max(len(texts) - 1, 0)])
            if texts:
                self.assertTrue(full[len(texts) - 1].startswith(texts[-1]))
            if end.stop is not None:
                self.assertEqual(end.finish_reason, "stop")
                self.assertTrue(full[len(texts) - 1].startswith(texts[-1] + end.stop))
            elif end.finish_reason != "length":
                self.assertEqual(texts, full)
            for text, part in zip(texts, parts, strict=False):
                if isinstance(part, Text | Refusal):
                    self.assertFalse([stop for stop in asked["stop"] if stop in text])

    @few
    @given(replies, prompts)
    def test_usage_is_what_was_said_and_never_more_than_the_bound(
        self, choices: list[list[SaidPart]], asked: dict[str, Any]
    ) -> None:
        answer = told(*choices, **asked)
        bound = asked["max_tokens"]
        sizes = [answer.said(choice) for choice in range(len(choices))]
        assert answer.usage is not None
        self.assertEqual(answer.usage.completion, sum(sizes))
        if bound is not None:
            self.assertLessEqual(max(sizes), bound)
        for choice, end in answer.ends.items():
            if end.finish_reason == "length":
                self.assertEqual(sizes[choice], bound)

    @few
    @given(replies, prompts)
    def test_hidden_reasoning_changes_nothing_that_is_said(
        self, choices: list[list[SaidPart]], asked: dict[str, Any]
    ) -> None:
        plain = [
            [Reasoning(text=p.text) if isinstance(p, Reasoning) else p for p in parts]
            for parts in choices
        ]
        self.assertEqual(told(*choices, **asked).texts, told(*plain, **asked).texts)

    @few
    @given(replies, prompts)
    def test_turns_are_fair(self, choices: list[list[SaidPart]], asked: dict[str, Any]) -> None:
        """No choice is ever more than one event ahead of another that has not ended."""
        told_of = dict.fromkeys(range(len(choices)), 0)
        for event in list(events_of(*choices, **asked))[1:-1]:
            assert not isinstance(event, Begin | End | Failed)
            told_of[event.choice] += 1
            self.assertEqual(told_of[event.choice], max(told_of.values()))
            if isinstance(event, ChoiceEnd):
                del told_of[event.choice]
            self.assertLessEqual(
                max(told_of.values(), default=0) - min(told_of.values(), default=0), 1
            )

    @few
    @given(replies, prompts)
    def test_one_log_probability_a_token_of_text_and_refusal(
        self, choices: list[list[SaidPart]], asked: dict[str, Any]
    ) -> None:
        answer = told(*choices, **asked)
        for choice, tokens in answer.tokens.items():
            for token in tokens:
                scorable = isinstance(choices[choice][token.part], Text | Refusal)
                scored = asked["logprobs"] is not None and scorable
                self.assertEqual(token.logprob is not None, scored)


class ChunkTests(SynchronousTestCase):
    """A reply may say how its text is cut, which changes neither its words nor its usage."""

    def tokens(self, chunks: Chunks, *parts: SaidPart, **asked: Any) -> dict[int, list[Token]]:
        """The tokens of each part."""
        choice = Choice(parts=parts or ANSWER, chunks=chunks)
        reply = Reply(choices=(choice,), model="fake-model")
        found: dict[int, list[Token]] = {}
        for event in unfold(prompt(**asked), reply, Splitter()).events:
            if isinstance(event, Token):
                found.setdefault(event.part, []).append(event)
        return found

    def texts(self, chunks: Chunks, *parts: SaidPart, **asked: Any) -> list[list[str]]:
        return [
            [token.text for token in part] for part in self.tokens(chunks, *parts, **asked).values()
        ]

    def test_each_form(self) -> None:
        long = Text(text="one two three")
        for chunks, expected in (
            ("token", ["one", " two", " three"]),
            ("word", ["one", " two", " three"]),
            ("character", list("one two three")),
            (2, ["one two", " three"]),
            (("on", "e t"), ["on", "e t", "wo three"]),
        ):
            self.assertEqual(self.texts(chunks, long), [expected])  # type: ignore[arg-type]

    def test_a_chunk_knows_how_many_tokens_end_in_it(self) -> None:
        (tokens,) = self.tokens(("hel", "lo wor", "ld")).values()
        self.assertEqual([token.tokens for token in tokens], [0, 1, 1])

    def test_exact_pieces_go_on_from_part_to_part_but_for_what_is_only_thought(self) -> None:
        parts = (Reasoning(text="hm so"), Text(text="abcd"), Text(text="efgh"))
        self.assertEqual(
            self.texts(("ab", "cde", "f"), *parts),
            [["hm", " so"], ["ab", "cd"], ["e", "f", "gh"]],
        )

    def test_other_forms_go_for_what_is_thought_too(self) -> None:
        self.assertEqual(self.texts("character", Reasoning(text="hm")), [["h", "m"]])

    def test_bounds_are_of_tokens_all_the_same(self) -> None:
        self.assertEqual(self.texts("character", max_tokens=1), [list("hello")])
        self.assertEqual(self.texts(("hello wor", "ld"), max_tokens=1), [["hello"]])

    def test_log_probabilities_are_of_tokens_so_tokens_they_are(self) -> None:
        self.assertEqual(self.texts("character", logprobs=0), [["hello", " world"]])

    @few
    @given(
        st.text(max_size=20),
        st.sampled_from(["token", "word", "character"])
        | st.integers(1, 4)
        | st.lists(st.text(max_size=4), max_size=4).map(tuple),
    )
    def test_words_and_usage_are_as_ever(self, text: str, chunks: Chunks) -> None:
        parts = (Text(text=text), ToolCall(name="f", arguments=text))

        def told(chunks: Chunks) -> Told:
            choice = Choice(parts=parts, chunks=chunks)
            reply = Reply(choices=(choice,), model="fake-model")
            return Told(unfold(prompt(), reply, Splitter()).events)

        cut, whole = told(chunks), told("token")
        self.assertEqual((cut.texts, cut.usage), (whole.texts, whole.usage))


class OwnIdeaTests(SynchronousTestCase):
    """What a reply says of itself instead of what is true."""

    def reply(self, **fields: Any) -> list[Event]:
        choices = (Choice(parts=ANSWER), Choice(parts=ANSWER))
        reply = Reply(choices=choices, model="fake-model", **fields)
        return list(unfold(prompt(n=2), reply, Splitter()).events)

    def test_its_name_and_headers_are_in_the_beginning(self) -> None:
        begin = self.reply(id="x", headers=(("a", "b"),), system_fingerprint="fp")[0]
        assert isinstance(begin, Begin)
        self.assertEqual(
            (begin.id, begin.headers, begin.system_fingerprint), ("x", (("a", "b"),), "fp")
        )

    def test_parts_of_its_usage(self) -> None:
        end = self.reply()[-1]
        assert isinstance(end, End)
        begin, *_, told = self.reply(usage=UsageOverride(cached=3, completion=0))
        assert isinstance(told, End)
        assert isinstance(begin, Begin)
        self.assertEqual(told.usage, structs.replace(end.usage, cached=3, completion=0))
        self.assertEqual((begin.prompt_tokens, begin.cached_tokens), (end.usage.prompt, 3))

    def test_all_of_its_usage(self) -> None:
        override = UsageOverride(prompt=10, completion=20, reasoning=5, cached=4)
        begin, *_, told = self.reply(usage=override)
        assert isinstance(told, End)
        assert isinstance(begin, Begin)
        self.assertEqual(told.usage, Usage(prompt=10, completion=20, reasoning=5, cached=4))
        self.assertEqual(begin.prompt_tokens, 10)

    def test_a_failure_in_mid_answer_comes_in_place_of_every_end(self) -> None:
        failure = Failure(status=503)
        events = self.reply(failure=failure)
        self.assertEqual(events[-1], Failed(failure=failure))
        kinds = {type(event) for event in events}
        self.assertFalse(kinds & {ChoiceEnd, End})
        texts = [event.text for event in events if isinstance(event, Token)]
        self.assertEqual("".join(sorted(texts)), " world worldhellohello")
