"""Embeddings: what is asked, the vectors, and their answers."""

import base64
import math
import struct
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai.types import CreateEmbeddingResponse
from openai.types.embedding_create_params import EmbeddingCreateParams
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.dialects.openai.embeddings import EmbeddingRequest, OpenAIEmbeddings
from fakellm.dialects.openai.vectors import embedding
from fakellm.interfaces import IDialect, IEncoder
from fakellm.model.events import Failed
from fakellm.model.reply import Failure
from tests.dialects.openai.texts import (
    WORDS,
    acts,
    asked,
    refusal,
    said,
    sent,
    stamp,
    strictly,
    whole,
)
from tests.sdk import published

DIALECT = OpenAIEmbeddings()
HELLO: dict[str, Any] = {"model": "m", "input": "Say this"}


class InterfaceTests(SynchronousTestCase):
    def test_it_is_a_dialect(self) -> None:
        verifyObject(IDialect, DIALECT)
        verifyObject(IEncoder, DIALECT.encoder(asked(DIALECT, HELLO), stamp()))

    def test_every_argument_of_the_sdk_is_known(self) -> None:
        self.assertEqual(
            sorted(EmbeddingCreateParams.__annotations__),
            sorted(EmbeddingRequest.__struct_fields__),
        )


class AskedTests(SynchronousTestCase):
    def test_rules_see_the_texts_and_the_endpoint(self) -> None:
        prompt = asked(DIALECT, {**HELLO, "input": ["a", "b"]})
        self.assertEqual([each.text for each in prompt.messages], ["a", "b"])
        self.assertEqual((prompt.endpoint, prompt.n, prompt.stream), ("embeddings", 1, False))

    def test_what_the_api_does_not_take_is_refused(self) -> None:
        for fields, param in (
            ({"input": ""}, "input"),
            ({"input": ["a", ""]}, "input"),
            ({"input": []}, "input"),
            ({"input": ["a", 1]}, "input"),
            ({"input": None}, "input"),
            ({"input": ["a"] * 2049}, "input"),
            ({"input": ["a"] * 2048, "model": "text-embedding-3-large"}, "input"),
            ({"dimensions": 0}, "dimensions"),
            ({"dimensions": 1537, "model": "text-embedding-3-small"}, "dimensions"),
            ({"dimensions": 2, "model": "text-embedding-ada-002"}, None),
            ({"encoding_format": "int8"}, "encoding_format"),
        ):
            failure = refusal(DIALECT, {**HELLO, **fields})
            self.assertEqual((failure.status, failure.param), (400, param), failure)

    def test_strict_servers_refuse_what_is_no_argument(self) -> None:
        self.assertEqual(refusal(DIALECT, {**HELLO, "a": 1}, strict=True).param, "a")
        self.assertEqual(asked(DIALECT, {**HELLO, "a": 1}).unknown, ("a",))


class AnswerTests(SynchronousTestCase):
    def test_an_answer(self) -> None:
        answer = whole(DIALECT, {**HELLO, "input": ["one", "two"]})
        tokens = WORDS.count("one") + WORDS.count("two")
        self.assertEqual(answer["usage"], {"prompt_tokens": tokens, "total_tokens": tokens})
        self.assertEqual((answer["object"], answer["model"]), ("list", "m"))
        self.assertEqual([each["index"] for each in answer["data"]], [0, 1])
        self.assertEqual(answer["data"][0]["embedding"], embedding("one", 1536))

    def test_tokens_are_counted_as_they_are_given(self) -> None:
        for given_, count in (([7, 8], 2), ([[7], [8, 9]], 3)):
            self.assertEqual(
                whole(DIALECT, {**HELLO, "input": given_})["usage"]["prompt_tokens"], count
            )

    def test_every_answer_is_what_the_sdk_declares(self) -> None:
        for texts in ("a", ["a", "b"], [1, 2], [[1], [2]]):
            strictly(CreateEmbeddingResponse, whole(DIALECT, {**HELLO, "input": texts}))

    def test_it_meets_the_published_schema(self) -> None:
        published("CreateEmbeddingResponse").validate(whole(DIALECT, HELLO))

    def test_sizes(self) -> None:
        for fields, size in (
            ({}, 1536),
            ({"model": "text-embedding-3-small"}, 1536),
            ({"model": "text-embedding-3-large"}, 3072),
            ({"model": "text-embedding-ada-002"}, 1536),
            ({"model": "text-embedding-3-large", "dimensions": 256}, 256),
            ({"dimensions": 1}, 1),
        ):
            (data,) = whole(DIALECT, {**HELLO, **fields})["data"]
            self.assertEqual(len(data["embedding"]), size)

    def test_base64_has_the_same_numbers_little_endian(self) -> None:
        (data,) = whole(DIALECT, {**HELLO, "encoding_format": "base64"})["data"]
        numbers = struct.unpack("<1536f", base64.b64decode(data["embedding"]))
        for one, other in zip(numbers, embedding("Say this", 1536), strict=True):
            self.assertAlmostEqual(one, other, places=6)

    def test_whatever_a_reply_says_it_takes_no_token_and_its_headers_are_sent(self) -> None:
        prompt = asked(DIALECT, HELLO)
        head, body = sent(acts(DIALECT, prompt, said("so many words", headers=(("X-A", "1"),))))
        self.assertIn(("X-A", "1"), head.headers)
        self.assertEqual(body, sent(acts(DIALECT, prompt, said("")))[1])

    def test_a_failure(self) -> None:
        encoder = DIALECT.encoder(asked(DIALECT, HELLO), stamp())
        self.assertEqual(sent(encoder.encode(Failed(failure=Failure(status=429))))[0].status, 429)


class VectorTests(SynchronousTestCase):
    @settings(deadline=None, derandomize=True, max_examples=150, database=None)
    @given(st.text(), st.integers(1, 64))
    def test_any_text_has_a_unit_vector_always_the_same(self, text: str, size: int) -> None:
        vector = embedding(text, size)
        self.assertEqual(len(vector), size)
        self.assertAlmostEqual(math.hypot(*vector), 1.0, places=6)
        self.assertEqual(vector, embedding(text, size))

    def test_texts_that_share_words_are_closer(self) -> None:
        cats = "the cat sat on the mat"
        for near, far in (
            ("a cat sat on a mat", "stocks fell sharply today"),
            ("THE CAT SAT ON THE MAT!", "the dog"),
            ("the cat sat", "the"),
            ("cats and mats", "dogs and logs"),
        ):
            for size in (256, 1536):
                self.assertGreater(likeness(cats, near, size), likeness(cats, far, size), near)
        self.assertLess(abs(likeness(cats, "quarterly profit rose", 1536)), 0.1)

    def test_what_cancels_out_is_still_a_unit_vector(self) -> None:
        vectors = [embedding(word, 1) for word in map(str, range(200))]
        self.assertEqual({abs(number) for (number,) in vectors}, {1.0})
        self.assertEqual(embedding("", 1), embedding("", 1))


def likeness(one: str, other: str, size: int) -> float:
    pairs = zip(embedding(one, size), embedding(other, size), strict=True)
    return sum(a * b for a, b in pairs)
