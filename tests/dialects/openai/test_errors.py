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
from fakellm.model.standing import Exceeded, Unit
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

    def test_but_not_where_to_come_again_is_of_no_use(self) -> None:
        for value, comes in (("false", False), ("False", False), ("true", True)):
            failure = Failure(status=429, headers=(("X-Should-Retry", value),))
            self.assertIs(("Retry-After", "1") in self.headers_of(failure), comes, value)

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

    def test_too_many_who_wait(self) -> None:
        """Clients are told when to come again, whatever the status."""
        for status in (429, 503):
            self.assertEqual(
                self.words.overloaded(status),
                Failure(status=status, headers=(("Retry-After", "1"),)),
            )

    def test_a_prompt_too_long_for_its_model(self) -> None:
        self.assert_failure(
            self.words.too_long(8192, 100, 9000),
            400,
            "This model's maximum context length is 8192 tokens. However, you requested 9100 "
            "tokens (100 in the messages, 9000 in the completion). Please reduce the length of "
            "the messages or completion.",
            param="messages",
            code="context_length_exceeded",
        )
        self.assert_failure(
            self.words.too_long(8192, 9000, 0),
            400,
            "This model's maximum context length is 8192 tokens. However, your messages resulted "
            "in 9000 tokens. Please reduce the length of the messages.",
            param="messages",
            code="context_length_exceeded",
        )

    def test_long_names_are_cut(self) -> None:
        long = Received(method="M" * 9999, path="/" + "p" * 9999)
        for failure in (
            self.words.not_found(long),
            self.words.not_allowed(long, ["GET"]),
            self.words.unknown_model("m" * 9999),
            self.words.too_many_running(1, "m" * 9999),
        ):
            self.assertIn("...", str(failure.message))
            self.assertLess(len(str(failure.message)), 350)


class LimitedTests(SynchronousTestCase):
    words = OpenAIErrors()
    FINAL = (("x-should-retry", "false"),)
    VISIT = "Visit https://platform.openai.com/account/rate-limits to learn more."

    def over(self, unit: Unit = "requests", **given: Any) -> Exceeded:
        given = {
            "limit": 3,
            "window": 60.0,
            "used": 3,
            "requested": 1,
            "retry_after": 20.0,
            **given,
        }
        return Exceeded(unit=unit, **given)

    def test_over_a_rate_limit(self) -> None:
        self.assertEqual(
            self.words.limited(self.over(), "gpt-4o"),
            Failure(
                status=429,
                message="Rate limit reached for gpt-4o in organization org-fakellm on requests per "
                "min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s. " + self.VISIT,
                type="requests",
                code="rate_limit_exceeded",
                headers=(("Retry-After", "20"), ("retry-after-ms", "20000")),
            ),
        )

    def test_of_tokens_and_for_less_than_a_second(self) -> None:
        over = self.over("tokens", limit=900, used=850, requested=60, retry_after=0.667)
        failure = self.words.limited(over, "m")
        self.assertEqual((failure.type, failure.code), ("tokens", "rate_limit_exceeded"))
        self.assertIn("on tokens per min (TPM): Limit 900, Used 850,", str(failure.message))
        self.assertIn("Please try again in 667ms.", str(failure.message))
        self.assertEqual(failure.headers, (("Retry-After", "1"), ("retry-after-ms", "667")))

    def test_more_than_the_limit_itself(self) -> None:
        over = self.over("tokens", limit=900, used=0, requested=901, retry_after=None)
        self.assertEqual(
            self.words.limited(over, "m"),
            Failure(
                status=429,
                message="Request too large for m in organization org-fakellm on tokens per min "
                "(TPM): Limit 900, Requested 901. The input or output tokens must be reduced in "
                "order to run successfully. " + self.VISIT,
                type="tokens",
                code="rate_limit_exceeded",
                headers=self.FINAL,
            ),
        )

    def test_a_quota_that_is_used_up(self) -> None:
        self.assertEqual(
            self.words.quota_used_up("m"),
            Failure(
                status=429,
                message="You exceeded your current quota, please check your plan and billing "
                "details. For more information on this error, read the docs: "
                "https://platform.openai.com/docs/guides/error-codes/api-errors.",
                type="insufficient_quota",
                code="insufficient_quota",
                headers=self.FINAL,
            ),
        )

    def test_too_many_at_once(self) -> None:
        self.assertEqual(
            self.words.too_many_running(2, "m"),
            Failure(
                status=429,
                message="Too many concurrent requests for m in organization org-fakellm: Limit 2, "
                "Running 2. Please try again when one of them has ended.",
                type="requests",
                code="rate_limit_exceeded",
                headers=(("Retry-After", "1"),),
            ),
        )

    def test_a_long_name_of_a_model_is_cut(self) -> None:
        for retry_after in (None, 1.0):
            failure = self.words.limited(self.over(retry_after=retry_after), "m" * 9999)
            self.assertLess(len(str(failure.message)), 450)
