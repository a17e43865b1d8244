"""Azure: its paths, its key, its errors, and what its filter says."""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.dialects.openai.azure import Azure
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.completions import OpenAICompletions
from fakellm.dialects.openai.embeddings import OpenAIEmbeddings
from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from fakellm.model.events import Begin, Failed
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure
from fakellm.model.timeline import Keep
from tests.dialects.openai.requests import HELLO
from tests.dialects.openai.texts import acts, asked, chunks, refusal, said, sent, stamp, whole

CHAT, TEXT, VECTORS = Azure(OpenAIChat()), Azure(OpenAICompletions()), Azure(OpenAIEmbeddings())
DEPLOYED: dict[str, Any] = {
    "path": "/openai/deployments/my%20model/chat/completions",
    "query": {"api-version": "2024-10-21"},
}
SAFE = {
    name: {"filtered": False, "severity": "safe"}
    for name in ("hate", "self_harm", "sexual", "violence")
}


class AskedTests(SynchronousTestCase):
    def test_it_is_a_dialect(self) -> None:
        verifyObject(IDialect, CHAT)
        verifyObject(IErrorWords, CHAT.errors)
        for stream in (False, True):
            prompt = asked(CHAT, {**HELLO, "stream": stream}, **DEPLOYED)
            verifyObject(IEncoder, CHAT.encoder(prompt, stamp()))

    def test_the_deployment_is_the_model(self) -> None:
        messages = {"messages": HELLO["messages"]}
        for body in (HELLO, messages):
            prompt = asked(CHAT, body, **DEPLOYED)
            self.assertEqual((prompt.model, prompt.dialect), ("my model", "azure"))
            self.assertEqual(json.loads(prompt.received.body), body)

    def test_below_v1_the_body_names_it(self) -> None:
        for query in ({}, {"api-version": "v1"}, {"api-version": "preview"}):
            prompt = asked(CHAT, HELLO, path="/openai/v1/chat/completions", query=query)
            self.assertEqual(prompt.model, "m")

    def test_without_a_version_there_is_nothing(self) -> None:
        for query in ({}, {"api-version": ""}):
            failure = refusal(CHAT, HELLO, **{**DEPLOYED, "query": query})
            self.assertEqual((failure.status, failure.message), (404, "Resource not found"))

    def test_a_version_is_a_date(self) -> None:
        for version in ("2024-10-21", "2025-04-01-preview", "latest"):
            asked(CHAT, HELLO, **{**DEPLOYED, "query": {"api-version": version}})
        for version in ("1", "2024", "2024-10-21-beta"):
            for path in (DEPLOYED["path"], "/openai/v1/chat/completions"):
                failure = refusal(CHAT, HELLO, path=path, query={"api-version": version})
                self.assertEqual((failure.status, failure.code), (400, "BadRequest"))

    def test_a_body_that_is_none_is_refused_as_it_is(self) -> None:
        for body in (b"{", b"[]", b"\xff", b'{"a":\xff}', b"[" * 5000):
            self.assertEqual(refusal(CHAT, body, **DEPLOYED).status, 400)

    def test_the_key_has_a_header_of_its_own(self) -> None:
        for headers, key in (
            ({"api-key": "k"}, "k"),
            ({"authorization": "Bearer t"}, "t"),
            ({"api-key": "k", "authorization": "Bearer t"}, "k"),
            ({}, None),
        ):
            received = Received(method="POST", path="/", headers=headers)
            self.assertEqual(CHAT.api_key(received), key)
            self.assertEqual(asked(CHAT, HELLO, headers=headers, **DEPLOYED).api_key, key)


class AnswerTests(SynchronousTestCase):
    def test_the_filter_speaks_of_prompts_and_answers(self) -> None:
        answer = whole(CHAT, {**HELLO, "n": 2}, **DEPLOYED)
        self.assertEqual(
            answer["prompt_filter_results"],
            [{"prompt_index": 0, "content_filter_results": SAFE}],
        )
        for choice in answer["choices"]:
            self.assertEqual(choice["content_filter_results"], SAFE)

    def test_but_for_that_it_is_what_openai_answers(self) -> None:
        answer = whole(CHAT, HELLO, **DEPLOYED)
        del answer["prompt_filter_results"]
        for choice in answer["choices"]:
            del choice["content_filter_results"]
        self.assertEqual(answer, whole(OpenAIChat(), HELLO))
        first, *others = chunks(CHAT, HELLO, **DEPLOYED)
        self.assertEqual((first["id"], first["choices"]), ("", []))
        for chunk in others:
            for choice in chunk["choices"]:
                del choice["content_filter_results"]
        self.assertEqual(others, chunks(OpenAIChat(), HELLO))

    def test_a_stream_speaks_of_the_prompt_first_and_of_text_where_it_is(self) -> None:
        first, *others = chunks(CHAT, HELLO, **DEPLOYED)
        self.assertEqual(
            first["prompt_filter_results"],
            [{"prompt_index": 0, "content_filter_results": SAFE}],
        )
        results = [each["choices"][0]["content_filter_results"] for each in others]
        self.assertEqual(results, [{}, SAFE, SAFE, {}])

    def test_each_text_is_a_prompt(self) -> None:
        body = {"prompt": ["a", "b"]}
        first = chunks(TEXT, body, **DEPLOYED)[0]
        for answer in (whole(TEXT, body, **DEPLOYED), first):
            indices = [each["prompt_index"] for each in answer["prompt_filter_results"]]
            self.assertEqual(indices, [0, 1])

    def test_what_is_filtered_says_so(self) -> None:
        reply = said("bad", reason="content_filter")
        (choice,) = whole(CHAT, HELLO, reply, **DEPLOYED)["choices"]
        self.assertTrue(choice["content_filter_results"]["violence"]["filtered"])
        last = chunks(CHAT, HELLO, reply, **DEPLOYED)[-1]["choices"][0]
        self.assertEqual(last["finish_reason"], "content_filter")
        self.assertTrue(last["content_filter_results"]["violence"]["filtered"])

    def test_vectors_are_not_filtered(self) -> None:
        self.assertEqual(
            [*whole(VECTORS, {"input": "a"}, **DEPLOYED)], ["object", "data", "model", "usage"]
        )

    def test_it_stores_and_sends_headers(self) -> None:
        prompt = asked(CHAT, {**HELLO, "store": True}, **DEPLOYED)
        given = acts(CHAT, prompt, said("a", headers=(("X-A", "1"),)))
        self.assertIsInstance(given[0], Keep)
        self.assertIn(("X-A", "1"), sent(given)[0].headers)

    def test_the_rest_is_openais(self) -> None:
        self.assertEqual(CHAT.document(b"{}", stamp()), OpenAIChat().document(b"{}", stamp()))
        self.assertEqual(CHAT.limit_headers([], stamp()), ())


class ErrorTests(SynchronousTestCase):
    def error(self, failure: Failure) -> Any:
        head, body = sent(CHAT.failure(failure, stamp()))
        self.assertEqual(head.status, failure.status)
        return json.loads(body)["error"]

    def test_the_gateway_has_an_error_of_its_own(self) -> None:
        received = Received(method="GET", path="/openai/nonesuch")
        words = CHAT.errors
        for failure, code in (
            (words.not_found(received), "404"),
            (words.not_allowed(received, ["POST"]), "404"),
            (words.unauthorized("k"), "401"),
            (words.unauthorized(None), "401"),
            (words.unknown_model("m"), "DeploymentNotFound"),
            (Failure(status=429), "429"),
            (Failure(status=429, code="RateLimitReached"), "RateLimitReached"),
        ):
            error = self.error(failure)
            self.assertEqual([*error], ["code", "message"])
            self.assertEqual(error["code"], code)

    def test_behind_it_errors_are_openais(self) -> None:
        for failure in (
            Failure(status=400, message="no", type="invalid_request_error", param="a"),
            Failure(status=500),
            Failure(status=429, message="slow down", type="x"),
            Failure(status=418, message="tea"),
        ):
            self.assertEqual([*self.error(failure)], ["message", "type", "param", "code"])

    def test_a_prompt_that_is_filtered_says_why(self) -> None:
        for message in (None, "Not this."):
            error = self.error(Failure(status=400, code="content_filter", message=message))
            self.assertEqual((error["code"], error["param"]), ("content_filter", "prompt"))
            self.assertIn(message or "content management policy", error["message"])
            inner = error["innererror"]
            self.assertEqual(inner["code"], "ResponsibleAIPolicyViolation")
            self.assertTrue(inner["content_filter_result"]["violence"]["filtered"])

    def test_a_failure_within_an_answer_is_in_it(self) -> None:
        prompt = asked(CHAT, {**HELLO, "stream": True}, **DEPLOYED)
        encoder = CHAT.encoder(prompt, stamp())
        begun = [*encoder.encode(Begin(model="m", prompt_tokens=1))]
        _, body = sent([*begun, *encoder.encode(Failed(failure=Failure(status=500)))])
        self.assertIn(b'data: {"error":', body)
