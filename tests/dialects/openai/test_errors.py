"""OpenAI's error object, and its words for what goes wrong before a prompt is understood."""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai.errors import (
    INVALID,
    OpenAIErrors,
    document_acts,
    error_body,
    error_json,
    failure_acts,
    refuse,
)
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure
from fakellm.model.timeline import Finish, Head, Write
from tests.dialects.openai.answering import stamp

ALWAYS = (("openai-version", "2020-10-01"), ("x-request-id", stamp().request_id))


class ErrorBodyTests(SynchronousTestCase):
    def test_too_many_requests_word_for_word(self) -> None:
        self.assertEqual(
            error_json(Failure(status=429)),
            b'{"error":{"message":"Too many requests. Please try again later.",'
            b'"type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}',
        )

    def test_what_is_left_open_follows_from_the_status(self) -> None:
        for status, kind, code in [
            (400, INVALID, None),
            (401, INVALID, "invalid_api_key"),
            (403, INVALID, "insufficient_permissions"),
            (404, INVALID, None),
            (409, INVALID, None),
            (413, INVALID, "request_too_large"),
            (418, INVALID, None),
            (422, INVALID, None),
            (500, "server_error", None),
            (502, "server_error", None),
            (503, "service_unavailable_error", "service_unavailable"),
            (504, "server_error", "timeout"),
            (599, "server_error", None),
        ]:
            with self.subTest(status):
                body = error_body(Failure(status=status))
                self.assertEqual((body.type, body.code, body.param), (kind, code, None))
                self.assertTrue(body.message)

    def test_what_is_given_stays(self) -> None:
        body = error_body(Failure(status=503, message="No", type="t", code="c", param="p"))
        self.assertEqual((body.message, body.type, body.code, body.param), ("No", "t", "c", "p"))

    def test_a_message_of_one_s_own_has_no_code_but_its_own(self) -> None:
        body = error_body(Failure(status=429, message="Slow down"))
        self.assertEqual((body.type, body.code), ("rate_limit_error", None))
        self.assertEqual(error_body(Failure(status=429, message="")).message, "")
        self.assertEqual(error_body(Failure(status=429, code="c")).code, "c")

    def test_control_characters_stay_in_the_json(self) -> None:
        message = '\0\n\x7f"\\\u2028ü'
        body = error_json(Failure(status=400, message=message))
        self.assertEqual(json.loads(body)["error"]["message"], message)
        self.assertNotIn(b"\n", body)


class ActsTests(SynchronousTestCase):
    def headers_of(self, failure: Failure) -> tuple[tuple[str, str], ...]:
        head, write, finish = failure_acts(failure, stamp())
        assert isinstance(head, Head)
        self.assertEqual(head.status, failure.status)
        self.assertEqual((write, finish), (Write(error_json(failure)), Finish()))
        return head.headers

    def test_an_error_answer(self) -> None:
        failure = Failure(status=400)
        length = str(len(error_json(failure)))
        self.assertEqual(
            self.headers_of(failure),
            (("Content-Type", "application/json"), ("Content-Length", length), *ALWAYS),
        )

    def test_too_many_requests_come_with_when_to_come_again(self) -> None:
        self.assertIn(("Retry-After", "1"), self.headers_of(Failure(status=429)))
        headers = self.headers_of(Failure(status=429, headers=(("retry-after", "9"),)))
        self.assertEqual([v for k, v in headers if k.lower() == "retry-after"], ["9"])

    def test_headers_of_one_s_own_come_first(self) -> None:
        given = (("X-Mine", "1"), ("content-TYPE", "application/problem+json"))
        headers = self.headers_of(Failure(status=400, headers=given))
        self.assertEqual(headers[:2], given)
        self.assertEqual([k for k, _ in headers].count("Content-Type"), 0)

    def test_a_document(self) -> None:
        self.assertEqual(
            document_acts(b"{}", stamp()),
            (
                Head(
                    200,
                    (("Content-Type", "application/json"), ("Content-Length", "2"), *ALWAYS),
                ),
                Write(b"{}"),
                Finish(),
            ),
        )

    def test_a_document_has_the_headers_of_a_reply_besides_its_own(self) -> None:
        theirs = (("content-type", "text/x"), ("Set-Cookie", "a"), ("Set-Cookie", "b"))
        head, *_ = document_acts(b"{}", stamp(), theirs)
        self.assertEqual(head, Head(200, (("Content-Length", "2"), *ALWAYS, *theirs)))

    def test_a_refusal_is_raised(self) -> None:
        refused = refuse("No", param="p", code="c")
        self.assertEqual(str(refused), "No")
        self.assertEqual(
            refused.failure,
            Failure(status=400, message="No", type=INVALID, param="p", code="c"),
        )


class WordsTests(SynchronousTestCase):
    words = OpenAIErrors()

    def assert_failure(self, failure: Failure, status: int, message: str, **more: Any) -> None:
        expected = Failure(status=status, message=message, type=INVALID, **more)
        self.assertEqual(failure, expected)

    def test_an_unknown_path(self) -> None:
        self.assert_failure(
            self.words.not_found(Received(method="POST", path="/v1/nonesuch")),
            404,
            "Invalid URL (POST /v1/nonesuch)",
        )

    def test_a_wrong_method(self) -> None:
        self.assert_failure(
            self.words.not_allowed(Received(method="PUT", path="/v1/models"), ["GET", "HEAD"]),
            405,
            "Not allowed to PUT on /v1/models. "
            "(HINT: Perhaps you meant to use a different HTTP method?)",
            code="method_not_supported",
            headers=(("Allow", "GET, HEAD"),),
        )

    def test_a_body_too_large(self) -> None:
        self.assert_failure(
            self.words.too_large(1000),
            413,
            "The request body is larger than the limit of 1000 bytes.",
            code="request_too_large",
        )

    def test_no_key(self) -> None:
        self.assert_failure(
            self.words.unauthorized(None),
            401,
            "You didn't provide an API key. You need to provide your API key in an "
            "Authorization header using Bearer auth (i.e. Authorization: Bearer YOUR_KEY).",
            headers=(("WWW-Authenticate", "Bearer"),),
        )

    def test_a_wrong_key_is_shown_in_part_at_most(self) -> None:
        for key, masked in [
            ("x", "*"),
            ("sk-secret", "*********"),
            ("sk-1234567890123", "****************"),
            ("sk-proj-abcdefghijklmnop", "sk-p********mnop"),
            ("k" * 10_000, "kkkk********kkkk"),
        ]:
            self.assert_failure(
                self.words.unauthorized(key),
                401,
                f"Incorrect API key provided: {masked}. "
                "You can find your API key at https://platform.openai.com/account/api-keys.",
                code="invalid_api_key",
                headers=(("WWW-Authenticate", "Bearer"),),
            )

    def test_a_schema_that_cannot_be_met(self) -> None:
        self.assert_failure(
            self.words.bad_schema(None, "no."),
            400,
            "Invalid schema for response_format: no.",
            param="response_format.json_schema.schema",
            code="invalid_schema",
        )
        self.assert_failure(
            self.words.bad_schema("f", "no."),
            400,
            "Invalid schema for function 'f': no.",
            param="tools",
            code="invalid_function_parameters",
        )

    def test_a_model_that_is_not_on_offer(self) -> None:
        self.assert_failure(
            self.words.unknown_model("gpt-x"),
            404,
            "The model 'gpt-x' does not exist",
            param="model",
            code="model_not_found",
        )

    def test_a_fault_of_one_s_own(self) -> None:
        self.assertEqual(self.words.internal(), Failure(status=500))

    def test_long_names_are_cut(self) -> None:
        long = Received(method="M" * 9999, path="/" + "p" * 9999)
        for failure in (
            self.words.not_found(long),
            self.words.not_allowed(long, ["GET"]),
            self.words.unknown_model("m" * 9999),
        ):
            self.assertIn("...", str(failure.message))
            self.assertLess(len(str(failure.message)), 350)
