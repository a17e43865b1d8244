"""Anthropic's error object, its words for what goes wrong, and how it tells of limits."""

import json

from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.anthropic.errors import (
    AnthropicErrors,
    document_acts,
    error_json,
    failure_acts,
    refuse,
)
from fakellm.dialects.anthropic.messages import AnthropicMessages
from fakellm.dialects.anthropic.times import rfc3339
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure
from fakellm.model.standing import Exceeded, Standing
from fakellm.model.timeline import Finish, Head, Write
from tests.dialects.anthropic.answering import error, stamp

INVALID = "invalid_request_error"
ID = stamp().request_id


class ErrorTests(SynchronousTestCase):
    def test_word_for_word(self) -> None:
        self.assertEqual(
            error_json(Failure(status=529), stamp()).decode(),
            '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"},'
            f'"request_id":"{ID}"}}',
        )

    def test_the_type_follows_from_the_status(self) -> None:
        for status, kind in (
            (400, INVALID),
            (401, "authentication_error"),
            (402, "billing_error"),
            (403, "permission_error"),
            (404, "not_found_error"),
            (409, "conflict_error"),
            (413, "request_too_large"),
            (418, INVALID),
            (429, "rate_limit_error"),
            (500, "api_error"),
            (502, "api_error"),
            (504, "timeout_error"),
            (529, "overloaded_error"),
        ):
            body = error_json(Failure(status=status), stamp())
            told = json.loads(body)["error"]
            self.assertEqual(told["type"], kind)
            self.assertTrue(told["message"])
            if kind not in ("conflict_error", "request_too_large"):  # which the SDK's union forgot
                error(body)

    def test_what_is_given_stays(self) -> None:
        failure = Failure(status=500, message="No", type="t", code="c", param="p")
        self.assertEqual(
            json.loads(error_json(failure, stamp()))["error"],
            {"type": "t", "message": "No", "details": {"error_code": "c"}},
        )

    def test_an_error_answer(self) -> None:
        body = error_json(Failure(status=400), stamp())
        self.assertEqual(
            failure_acts(Failure(status=400), stamp()),
            (
                Head(
                    400,
                    (
                        ("Content-Type", "application/json"),
                        ("request-id", ID),
                        ("Content-Length", str(len(body))),
                    ),
                ),
                Write(body),
                Finish(),
            ),
        )

    def test_too_many_requests_come_with_when_to_come_again(self) -> None:
        for given, expected in (((), "1"), ((("Retry-After", "9"),), "9")):
            head, *_ = failure_acts(Failure(status=429, headers=given), stamp())
            assert isinstance(head, Head)
            values = [v for k, v in head.headers if k.lower() == "retry-after"]
            self.assertEqual(values, [expected])

    def test_a_document(self) -> None:
        headers = (("Content-Type", "x"), ("Content-Length", "2"), ("request-id", ID))
        expected = Head(200, headers), Write(b"{}"), Finish()
        self.assertEqual(document_acts(b"{}", stamp(), media_type="x"), expected)

    def test_a_refusal_is_raised(self) -> None:
        expected = Failure(status=400, message="No", type=INVALID)
        self.assertEqual(refuse("No").failure, expected)

    def test_the_codec_answers_with_them(self) -> None:
        codec = AnthropicMessages()
        failure = Failure(status=400)
        self.assertEqual(codec.failure(failure, stamp()), failure_acts(failure, stamp()))
        self.assertEqual(codec.document(b"{}", stamp()), document_acts(b"{}", stamp()))


class WordsTests(SynchronousTestCase):
    words = AnthropicErrors()

    def assert_failure(self, failure: Failure, status: int, kind: str, message: str) -> None:
        told = failure.status, failure.type, failure.message
        self.assertEqual(told, (status, kind, message))

    def test_paths_and_methods(self) -> None:
        received = Received(method="PUT", path="/x")
        self.assert_failure(self.words.not_found(received), 404, "not_found_error", "Not Found")
        failure = self.words.not_allowed(received, ["GET", "POST"])
        self.assert_failure(failure, 405, INVALID, "Method Not Allowed")
        self.assertEqual(failure.headers, (("Allow", "GET, POST"),))

    def test_a_body_too_large(self) -> None:
        said = "Request exceeds the maximum size of 5 bytes"
        self.assert_failure(self.words.too_large(5), 413, "request_too_large", said)

    def test_keys(self) -> None:
        for key, said in ((None, "x-api-key header is required"), ("k", "invalid x-api-key")):
            failure = self.words.unauthorized(key)
            self.assert_failure(failure, 401, "authentication_error", said)

    def test_schemas(self) -> None:
        self.assert_failure(
            self.words.bad_schema("f", "no."),
            *(400, INVALID, "tools.f.custom.input_schema: JSON schema is invalid. no."),
        )
        self.assert_failure(
            self.words.bad_schema(None, "no."),
            *(400, INVALID, "output_config.format.schema: JSON schema is invalid. no."),
        )

    def test_a_model_that_is_not_on_offer(self) -> None:
        self.assert_failure(self.words.unknown_model("x"), 404, "not_found_error", "model: x")
        self.assertLess(len(str(self.words.unknown_model("x" * 999).message)), 200)

    def test_faults_of_the_server(self) -> None:
        self.assertEqual(self.words.internal(), Failure(status=500))
        self.assertEqual(self.words.overloaded(503), Failure(status=529))
        self.assertEqual(self.words.overloaded(429), Failure(status=429))

    def test_limits(self) -> None:
        for window, retry_after, span, headers in (
            (60.0, 0.2, "minute", (("retry-after", "1"),)),
            (1.0, 2.1, "second", (("retry-after", "3"),)),
            (90.0, None, "90 seconds", ()),
        ):
            over = Exceeded(
                unit="tokens",
                limit=30_000,
                window=window,
                used=1,
                requested=2,
                retry_after=retry_after,
            )
            failure = self.words.limited(over, "m")
            self.assertEqual((failure.status, failure.type), (429, "rate_limit_error"))
            self.assertIn(f"of 30,000 tokens per {span} (model: m)", str(failure.message))
            self.assertEqual(failure.headers, headers)

    def test_quotas_and_running_answers(self) -> None:
        failure = self.words.quota_used_up("m")
        self.assertEqual((failure.status, failure.type), (400, INVALID))
        self.assertIn("credit balance is too low", str(failure.message))
        failure = self.words.too_many_running(5, "m")
        self.assertEqual((failure.status, failure.type), (429, "rate_limit_error"))
        self.assertIn("concurrent connections", str(failure.message))

    def test_prompts_that_are_too_long(self) -> None:
        self.assert_failure(
            self.words.too_long(10, 11, 5),
            *(400, INVALID, "prompt is too long: 11 tokens > 10 maximum"),
        )
        self.assert_failure(
            self.words.too_long(10, 8, 5),
            400,
            INVALID,
            "input length and `max_tokens` exceed context limit: 8 + 5 > 10, decrease input "
            "length or `max_tokens` and try again",
        )


class LimitTests(SynchronousTestCase):
    def test_headers(self) -> None:
        standings = [
            Standing(unit="requests", limit=50, window=60, remaining=49, reset=1.2),
            Standing(unit="tokens", limit=30_000, window=60, remaining=0, reset=60),
        ]
        self.assertEqual(
            AnthropicMessages().limit_headers(standings, stamp()),
            (
                ("anthropic-ratelimit-requests-limit", "50"),
                ("anthropic-ratelimit-requests-remaining", "49"),
                ("anthropic-ratelimit-requests-reset", "2026-01-01T00:00:02Z"),
                ("anthropic-ratelimit-tokens-limit", "30000"),
                ("anthropic-ratelimit-tokens-remaining", "0"),
                ("anthropic-ratelimit-tokens-reset", "2026-01-01T00:01:00Z"),
            ),
        )

    def test_no_time_is_too_far(self) -> None:
        self.assertEqual(rfc3339(0), "1970-01-01T00:00:00Z")
        self.assertEqual(rfc3339(10**18), "9999-12-31T23:59:59Z")
