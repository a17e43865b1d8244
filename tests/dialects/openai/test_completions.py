"""Text completions: what is asked, and how it is answered, whole and streamed."""

import json
from collections.abc import Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.completion_create_params import CompletionCreateParamsStreaming
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer
from zope.interface.verify import verifyObject

from fakellm.dialects.framing import SseParser
from fakellm.dialects.openai.chat_request import StreamOptions
from fakellm.dialects.openai.completions import OpenAICompletions
from fakellm.dialects.openai.completions_request import CompletionRequest
from fakellm.dialects.openai.flavour import VLLM
from fakellm.dialects.openai.running_usage import with_running_usage
from fakellm.dialects.openai.token_ids import ids_of, text_of_ids
from fakellm.interfaces import IDialect, IEncoder
from fakellm.model.content import Reasoning, Refusal, Text, ToolCall
from fakellm.model.events import Begin, ChoiceBegin, ChoiceEnd, End, Event, Failed, PartBegin, Token
from fakellm.model.framing import DEFAULT_FRAMING, Framing
from fakellm.model.reply import Failure, Usage
from fakellm.model.timeline import Act, Nothing, Write
from fakellm.timing.counting import prompt_tokens
from tests.dialects.openai.requests import anything
from tests.dialects.openai.texts import (
    WORDS,
    acts,
    asked,
    chunks,
    refusal,
    said,
    sent,
    stamp,
    strictly,
    whole,
)
from tests.sdk import published

DIALECT = OpenAICompletions()
HELLO: dict[str, Any] = {"model": "m", "prompt": "Say this"}
KINDS: tuple[dict[str, Any], ...] = (
    {},
    {"n": 2},
    {"prompt": ["a", "b"], "n": 2},
    {"prompt": [1, 2]},
    {"prompt": [[1, 2], [3]]},
    {"logprobs": 0},
    {"logprobs": 5, "n": 2},
    {"echo": True},
    {"max_tokens": 1},
)
few = settings(deadline=None, derandomize=True, max_examples=150, database=None)


class InterfaceTests(SynchronousTestCase):
    def test_it_is_a_dialect(self) -> None:
        verifyObject(IDialect, DIALECT)
        for stream in (False, True):
            prompt = asked(DIALECT, {**HELLO, "stream": stream})
            verifyObject(IEncoder, DIALECT.encoder(prompt, stamp()))

    def test_every_argument_of_the_sdk_is_known(self) -> None:
        for name in CompletionCreateParamsStreaming.__annotations__:
            self.assertIn(name, CompletionRequest.__struct_fields__)


class AskedTests(SynchronousTestCase):
    def test_prompts_are_messages_of_a_user(self) -> None:
        for prompt, texts in (
            ("one", ["one"]),
            (["one", "two"], ["one", "two"]),
            ([1, 2], ["1 2"]),
            ([[1, 2], [3]], ["1 2", "3"]),
            (ids_of("Hello, wörld!"), ["Hello, wörld!"]),
            (None, ["<|endoftext|>"]),
        ):
            messages = asked(DIALECT, {**HELLO, "prompt": prompt}).messages
            self.assertEqual([each.text for each in messages], texts)
            self.assertEqual({each.role for each in messages}, {"user"})

    def test_tokens_are_counted_as_they_are_given_and_words_without_what_marks_turns(self) -> None:
        for prompt, count in (
            ([7, 8, 9], 3),
            ([[7], [8, 9]], 3),
            ("one two", WORDS.count("one two")),
        ):
            self.assertEqual(
                prompt_tokens(asked(DIALECT, {**HELLO, "prompt": prompt}), WORDS), count
            )

    def test_each_prompt_gets_n_choices(self) -> None:
        self.assertEqual(asked(DIALECT, {**HELLO, "prompt": ["a", "b"], "n": 3}).n, 6)

    def test_sixteen_tokens_are_the_most_unless_more_are_asked_for(self) -> None:
        for fields, most in (
            ({}, 16),
            ({"max_tokens": None}, 16),
            ({"max_tokens": 0}, 0),
            ({"max_tokens": 100}, 100),
            ({"min_tokens": 50}, 50),
        ):
            self.assertEqual(asked(DIALECT, {**HELLO, **fields}).max_tokens, most)

    def test_an_answer_goes_on_where_no_end_is_wanted(self) -> None:
        for fields, least in (
            ({}, 0),
            ({"min_tokens": 3}, 3),
            ({"ignore_eos": True}, 16),
            ({"ignore_eos": True, "max_tokens": 5, "min_tokens": 2}, 5),
        ):
            self.assertEqual(asked(DIALECT, {**HELLO, **fields}).min_tokens, least)

    def test_what_is_not_the_apis_own_is_refused_by_strict_servers_but_not_by_vllm(self) -> None:
        body = {**HELLO, "ignore_eos": True}
        self.assertEqual(asked(DIALECT, body).unknown, ())
        self.assertEqual(refusal(DIALECT, body, strict=True).param, "ignore_eos")
        fields = {"ignore_eos": True, "top_k": 3, "min_p": 0.1, "repetition_penalty": 1}
        self.assertEqual(asked(OpenAICompletions(VLLM), {**HELLO, **fields}, strict=True).n, 1)
        self.assertEqual(
            asked(DIALECT, {**HELLO, **fields}).unknown, ("top_k", "min_p", "repetition_penalty")
        )

    def test_stops(self) -> None:
        for stop, stops in (("a", ("a",)), (["a", "", "b"], ("a", "b")), (None, ()), ([], ())):
            self.assertEqual(asked(DIALECT, {**HELLO, "stop": stop}).stop, stops)

    def test_what_does_not_go_together_is_refused(self) -> None:
        for fields, param in (
            ({"stream_options": {}}, "stream_options"),
            ({"n": 3, "best_of": 2}, "best_of"),
            ({"best_of": 2, "stream": True}, "best_of"),
            ({"echo": True, "suffix": "!"}, "suffix"),
            ({"prompt": ["a"] * 2000, "n": 2}, "n"),
            ({"prompt": []}, "prompt"),
            ({"prompt": [[]]}, "prompt"),
            ({"prompt": ["a", 1]}, "prompt"),
            ({"prompt": [[1], 1]}, "prompt"),
            ({"prompt": [-1]}, "prompt[0]"),
            ({"min_tokens": 17, "max_tokens": 16}, "min_tokens"),
            ({"logprobs": 6}, "logprobs"),
            ({"model": ""}, "model"),
        ):
            failure = refusal(DIALECT, {**HELLO, **fields})
            self.assertEqual((failure.status, failure.param), (400, param), failure)

    @few
    @given(anything | st.dictionaries(st.sampled_from([*HELLO, "n", "echo"]), anything))
    def test_any_json_is_asked_or_refused(self, value: Any) -> None:
        body = json.dumps({**HELLO, **value} if isinstance(value, dict) else value).encode()
        try:
            asked(DIALECT, body)
        except Exception:  # noqa: BLE001 -- whatever it is, it has to be a refusal
            self.assertEqual(refusal(DIALECT, body).status, 400)


class WholeTests(SynchronousTestCase):
    maxDiff = None

    def test_an_answer(self) -> None:
        answer = whole(DIALECT, HELLO)
        usage = answer.pop("usage")
        self.assertRegex(answer.pop("id"), r"\Acmpl-\w{29}\Z")
        self.assertEqual(
            answer,
            {
                "object": "text_completion",
                "created": 1_700_000_000,
                "model": "fake",
                "system_fingerprint": "fp_test",
                "choices": [
                    {"text": "hello world", "index": 0, "logprobs": None, "finish_reason": "stop"}
                ],
            },
        )
        self.assertEqual(usage["completion_tokens"], WORDS.count("hello world"))

    def test_every_kind_is_what_the_sdk_declares(self) -> None:
        for fields in KINDS:
            strictly(Completion, whole(DIALECT, {**HELLO, **fields}))
            for chunk in chunks(DIALECT, {**HELLO, **fields}):
                strictly(Completion, ended(chunk))

    def test_every_kind_meets_the_published_schema(self) -> None:
        validator = published("CreateCompletionResponse")
        for fields in KINDS:
            validator.validate(whole(DIALECT, {**HELLO, **fields}))
            for chunk in chunks(DIALECT, {**HELLO, **fields}):
                validator.validate(ended(chunk))

    def test_what_it_cannot_say_is_left_out(self) -> None:
        call = ToolCall(name="f", arguments="{}")
        reply = said(Reasoning(text="hm", tokens=3), "yes", Refusal(text="no"), call)
        for body in (whole(DIALECT, HELLO, reply), joined(chunks(DIALECT, HELLO, reply))):
            (choice,) = body["choices"]
            self.assertEqual((choice["text"], choice["finish_reason"]), ("yesno", "stop"))

    def test_the_prompt_is_said_again_where_that_is_wanted(self) -> None:
        body = {**HELLO, "prompt": ["one two", "three"], "echo": True, "n": 2}
        for answer in (whole(DIALECT, body), joined(chunks(DIALECT, body))):
            self.assertEqual(
                [choice["text"] for choice in answer["choices"]],
                ["one twohello world"] * 2 + ["threehello world"] * 2,
            )

    def test_a_prompt_can_be_scored_alone(self) -> None:
        body = {**HELLO, "prompt": [[1, 2], [3]], "echo": True, "max_tokens": 0, "logprobs": 1}
        for answer in (whole(DIALECT, body), joined(chunks(DIALECT, body))):
            first, second = (choice["logprobs"] for choice in answer["choices"])
            self.assertEqual(first["tokens"], ["1", " 2"])
            self.assertEqual(first["text_offset"], [0, 1])
            self.assertIs(first["token_logprobs"][0], None)
            self.assertLess(first["token_logprobs"][1], 0)
            self.assertEqual(first["top_logprobs"], [None, {" 2": first["token_logprobs"][1]}])
            self.assertEqual(second["tokens"], ["3"])

    def test_logprobs_count_from_the_prompt_but_of_vllm(self) -> None:
        for dialect, start in ((DIALECT, len("Say this")), (OpenAICompletions(VLLM), 0)):
            body = {**HELLO, "logprobs": 2}
            for answer in (whole(dialect, body), joined(chunks(dialect, body))):
                scores = answer["choices"][0]["logprobs"]
                self.assertEqual("".join(scores["tokens"]), "hello world")
                self.assertEqual(scores["text_offset"][0], start)
                for token, value, top in zip(
                    scores["tokens"], scores["token_logprobs"], scores["top_logprobs"], strict=True
                ):
                    self.assertEqual(top[token], value)
                    self.assertEqual(len(top), 2)

    def test_streamed_or_whole_an_answer_is_the_same(self) -> None:
        for fields in KINDS:
            body = {**HELLO, **fields}
            answer = whole(DIALECT, body)
            answer.pop("usage")
            self.assertEqual(joined(chunks(DIALECT, body)), answer)

    def test_a_choice_beyond_those_asked_for_belongs_to_the_last_prompt(self) -> None:
        answer = whole(DIALECT, {**HELLO, "echo": True}, said("!", n=2))
        self.assertEqual([each["text"] for each in answer["choices"]], ["Say this!"] * 2)

    def test_headers_of_a_reply_are_sent(self) -> None:
        for stream in (False, True):
            prompt = asked(DIALECT, {**HELLO, "stream": stream})
            head, _ = sent(acts(DIALECT, prompt, said("a", headers=(("X-A", "1"),))))
            self.assertIn(("X-A", "1"), head.headers)


class StreamTests(SynchronousTestCase):
    def test_usage_comes_in_a_chunk_without_choices_and_never_unasked(self) -> None:
        self.assertFalse(any("usage" in chunk for chunk in chunks(DIALECT, HELLO)))
        options = {"stream_options": {"include_usage": True}}
        *others, last = chunks(DIALECT, {**HELLO, **options})
        self.assertEqual({chunk["usage"] for chunk in others}, {None})
        self.assertEqual(last["choices"], [])
        strictly(Completion, last)
        self.assertEqual(last["usage"], whole(DIALECT, HELLO)["usage"])

    def test_usage_so_far_can_be_in_every_chunk(self) -> None:
        options = {"include_usage": True, "continuous_usage_stats": True}
        told = chunks(DIALECT, {**HELLO, "prompt": [7, 8, 9], "stream_options": options})
        counts = [each["usage"]["completion_tokens"] for each in told]
        self.assertEqual(counts, [1, 2, 2, 2])
        for each in told:
            usage = each["usage"]
            self.assertEqual(usage["prompt_tokens"], 3)
            self.assertEqual(usage["total_tokens"], 3 + usage["completion_tokens"])

    def test_usage_so_far_leaves_what_is_no_chunk_as_it_is(self) -> None:
        @implementer(IEncoder)
        class Silent:
            def encode(self, event: Event) -> Iterable[Act]:  # noqa: ARG002 -- whatever it is
                return (Nothing(),)

        options = StreamOptions(include_usage=True, continuous_usage_stats=True)
        encoder = with_running_usage(Silent(), options)
        self.assertEqual([*encoder.encode(Token(0, 0, "a"))], [Nothing()])

    def test_the_end_may_come_with_the_last_token(self) -> None:
        prompt = asked(DIALECT, {**HELLO, "stream": True, "prompt": ["a", "b"]})
        for framing, reasons in (
            (Framing(finish_alone=False), [None, "length"]),
            (DEFAULT_FRAMING, [None, None, "length"]),
        ):
            encoder = DIALECT.encoder(prompt, stamp(), framing)
            events: list[Event] = [
                Begin(model="m", prompt_tokens=1),
                ChoiceBegin(choice=0, parts=()),
                PartBegin(choice=0, part=0, content=Text(text="ab")),
                Token(0, 0, "a"),
                Token(0, 0, "b", 1, None, "length"),
                ChoiceEnd(choice=0, finish_reason="length"),
                End(usage=Usage()),
            ]
            acts_ = [act for event in events for act in encoder.encode(event)]
            *told, _ = SseParser().feed(sent(acts_)[1])
            choices = [json.loads(each.data)["choices"][0] for each in told]
            self.assertEqual([each["finish_reason"] for each in choices], reasons)
            self.assertEqual("".join(each["text"] for each in choices), "ab")

    def test_what_may_be_left_out_is_marked(self) -> None:
        given = acts(DIALECT, asked(DIALECT, {**HELLO, "stream": True}))
        marks = [act.token for act in given if isinstance(act, Write)]
        self.assertEqual(marks, [True, True, False, False])

    def test_usage_so_far_is_not_told_without_usage(self) -> None:
        told = chunks(DIALECT, {**HELLO, "stream_options": {"continuous_usage_stats": True}})
        self.assertFalse(any("usage" in chunk for chunk in told))

    def test_a_failure_before_and_within_an_answer(self) -> None:
        for stream in (False, True):
            encoder = DIALECT.encoder(asked(DIALECT, {**HELLO, "stream": stream}), stamp())
            head, body = sent(encoder.encode(Failed(failure=Failure(status=503))))
            self.assertEqual(head.status, 503)
            self.assertIn("error", json.loads(body))
        encoder = DIALECT.encoder(asked(DIALECT, {**HELLO, "stream": True}), stamp())
        begun = [*encoder.encode(Begin(model="m", prompt_tokens=1))]
        _, body = sent([*begun, *encoder.encode(Failed(failure=Failure(status=500)))])
        self.assertTrue(body.startswith(b'data: {"error":'))


class TokenIdTests(SynchronousTestCase):
    @few
    @given(st.text())
    def test_texts_come_back_from_their_ids(self, text: str) -> None:
        ids = ids_of(text)
        self.assertEqual(text_of_ids(ids), text)
        self.assertTrue(all(number < 2**49 for number in ids))

    @few
    @given(st.lists(st.integers(0, 2**63 - 1), max_size=5))
    def test_any_ids_are_some_text(self, ids: list[int]) -> None:
        self.assertEqual(text_of_ids(ids) == "", not ids)

    def test_ids_that_hold_no_text_are_numbers(self) -> None:
        self.assertEqual(text_of_ids([15339, 1917]), "15339 1917")
        self.assertEqual(text_of_ids([0x1FF, 0x2FF]), "511 767")


def ended(chunk: Any) -> Any:
    """A chunk as the types have it, which know only whole answers: none without a reason to end."""
    for choice in chunk["choices"]:
        choice["finish_reason"] = choice["finish_reason"] or "stop"
    return chunk


def joined(streamed: list[Any]) -> Any:
    """The answer that a client makes of chunks."""
    answer = {name: value for name, value in streamed[0].items() if name != "usage"}
    choices: dict[int, Any] = {}
    for chunk in streamed:
        for each in chunk["choices"]:
            choice = choices.setdefault(
                each["index"],
                {"text": "", "index": each["index"], "logprobs": None, "finish_reason": None},
            )
            assert choice["finish_reason"] is None
            choice["text"] += each["text"]
            choice["finish_reason"] = each["finish_reason"]
            if each["logprobs"]:
                lists = choice["logprobs"] or {name: [] for name in each["logprobs"]}
                choice["logprobs"] = {
                    name: [*lists[name], *more] for name, more in each["logprobs"].items()
                }
    return {**answer, "choices": [choices[index] for index in sorted(choices)]}
