"""vLLM's flavour, and load generators as they come."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai import vllm
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.completions import OpenAICompletions
from fakellm.dialects.openai.flavour import VLLM
from fakellm.engine.shelf import Shelf
from fakellm.interfaces import IDialect
from fakellm.model.reply import Refused
from fakellm.model.timeline import Finish, Head
from tests.dialects.openai.requests import HELLO
from tests.dialects.openai.test_stored import refused
from tests.dialects.openai.texts import asked, chunks, operated, refusal, whole

CHAT, TEXT = OpenAIChat(), OpenAICompletions()
PARTS = [{"role": "user", "content": [{"type": "text", "text": "Tell me of the sea"}]}]

GUIDELLM_CHAT: dict[str, Any] = {
    "model": "fake-model",
    "messages": PARTS,
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_completion_tokens": 37,
    "stop": None,
    "ignore_eos": True,
}
GUIDELLM_TEXT: dict[str, Any] = {
    "model": "fake-model",
    "prompt": "Tell me of the sea",
    "stream": True,
    "stream_options": {"include_usage": True},
    "max_tokens": 37,
    "stop": None,
    "ignore_eos": True,
}
BENCH_CHAT: dict[str, Any] = {
    "model": "fake-model",
    "messages": PARTS,
    "temperature": 0.0,
    "max_completion_tokens": 37,
    "stream": True,
    "stream_options": {"include_usage": True},
    "ignore_eos": True,
}
BENCH_TEXT: dict[str, Any] = {
    "model": "fake-model",
    "prompt": "Tell me of the sea",
    "temperature": 0.0,
    "repetition_penalty": 1.0,
    "max_tokens": 37,
    "logprobs": None,
    "stream": True,
    "stream_options": {"include_usage": True},
    "ignore_eos": True,
}
GENERATED: tuple[tuple[IDialect, dict[str, Any]], ...] = tuple(
    (dialect, body)
    for dialects, bodies in (
        ((CHAT, OpenAIChat(VLLM)), (GUIDELLM_CHAT, BENCH_CHAT)),
        ((TEXT, OpenAICompletions(VLLM)), (GUIDELLM_TEXT, BENCH_TEXT)),
    )
    for dialect in dialects
    for body in bodies
)


class LoadGeneratorTests(SynchronousTestCase):
    def test_they_get_exactly_as_many_tokens_as_they_ask_for(self) -> None:
        for dialect, body in GENERATED:
            *others, last = chunks(dialect, body)
            self.assertEqual(last["choices"], [])
            self.assertEqual(last["usage"]["completion_tokens"], 37)
            self.assertEqual({each["usage"] for each in others}, {None})
            reasons = [choice["finish_reason"] for each in others for choice in each["choices"]]
            self.assertEqual([reason for reason in reasons if reason], ["length"])

    def test_without_a_stream_too(self) -> None:
        for dialect, body in GENERATED:
            plain = {name: body[name] for name in body if not name.startswith("stream")}
            self.assertEqual(whole(dialect, plain)["usage"]["completion_tokens"], 37)

    def test_usage_never_comes_unasked(self) -> None:
        for dialect, body in GENERATED:
            plain = {name: body[name] for name in body if name != "stream_options"}
            told = chunks(dialect, plain)
            self.assertFalse(any(each.get("usage") for each in told))
            self.assertTrue(all(each["choices"] for each in told))


class FlavourTests(SynchronousTestCase):
    def test_its_arguments_are_known(self) -> None:
        fields = {"top_k": 1, "min_p": 0.1, "repetition_penalty": 1.1, "ignore_eos": True}
        prompt = asked(OpenAIChat(VLLM), {**HELLO, **fields}, strict=True)
        self.assertEqual((prompt.dialect, prompt.unknown), ("vllm", ()))
        self.assertEqual(
            asked(CHAT, {**HELLO, **fields}).unknown, ("top_k", "min_p", "repetition_penalty")
        )
        self.assertEqual(
            refusal(CHAT, {**HELLO, "ignore_eos": True}, strict=True).param, "ignore_eos"
        )

    def test_the_least_is_not_more_than_the_most(self) -> None:
        body = {**HELLO, "max_tokens": 3}
        self.assertEqual(asked(CHAT, {**body, "min_tokens": 2}).min_tokens, 2)
        self.assertEqual(asked(CHAT, {**HELLO, "min_tokens": 2}).min_tokens, 2)
        self.assertEqual(asked(CHAT, {**HELLO, "ignore_eos": True}).min_tokens, 0)
        failure = refusal(CHAT, {**body, "min_tokens": 4})
        self.assertEqual(
            failure.message, "min_tokens must be less than or equal to max_tokens=3, got 4."
        )

    def test_usage_so_far(self) -> None:
        options = {"include_usage": True, "continuous_usage_stats": True}
        told = chunks(CHAT, {**HELLO, "n": 2, "stream_options": options})
        counts = [each["usage"]["completion_tokens"] for each in told]
        # two choices in turn, each counted by itself, and at last both
        self.assertEqual(counts, [0, 0, 1, 1, 2, 2, 2, 2, 4])


class OperationTests(SynchronousTestCase):
    def test_health_is_an_empty_answer(self) -> None:
        self.assertEqual(
            [*vllm.health(None)],  # type: ignore[arg-type]  # nothing is asked
            [Head(200, (("Content-Length", "0"),)), Finish()],
        )

    def test_version(self) -> None:
        self.assertEqual(operated(vllm.version, Shelf()), {"version": vllm.VERSION})

    def test_tokens_and_back(self) -> None:
        text = "Hello, wörld 😀"
        for strings in (False, True):
            body = {"model": "m", "prompt": text, "return_token_strs": strings}
            told = operated(vllm.tokenize, Shelf(), body=body)
            self.assertEqual(told["count"], len(told["tokens"]))
            self.assertEqual(told["max_model_len"], 131_072)
            self.assertEqual("".join(told["token_strs"] or [text]), text)
            back = operated(vllm.detokenize, Shelf(), body={"tokens": told["tokens"]})
            self.assertEqual(back, {"prompt": text})
            self.assertEqual(
                asked(TEXT, {"model": "m", "prompt": told["tokens"]}).messages[0].text, text
            )

    def test_a_conversation_is_tokenized(self) -> None:
        told = operated(vllm.tokenize, Shelf(), body={"messages": HELLO["messages"]})
        back = operated(vllm.detokenize, Shelf(), body={"tokens": told["tokens"]})
        self.assertEqual(back, {"prompt": "user: Say something"})

    def test_it_is_one_or_the_other(self) -> None:
        both = {"prompt": "a", "messages": HELLO["messages"]}
        for body in ({}, both):
            self.assertEqual(refused(vllm.tokenize, Shelf(), body=body).param, "prompt")
        for answer in (vllm.tokenize, vllm.detokenize):
            self.assertEqual(refused(answer, Shelf(), body=b"{").status, 400)
        self.assertRaises(Refused, operated, vllm.detokenize, Shelf(), body={"tokens": [-1]})
