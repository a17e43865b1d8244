"""The whole server by plain HTTP, in memory on a clock of the test's own, and over real sockets."""

import json
from typing import Any

from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.http_headers import Headers
from zope.interface import implementer

from fakellm import FakeLLM
from fakellm.assembly import VIRTUAL_EPOCH
from fakellm.config import BadSetting
from tests.fronts import FastFront, TwistedFront
from tests.questions import NUMBER, saying, spoken
from tests.servers import (
    CHAT,
    HELLO,
    Answer,
    LiveTestCase,
    MemoryTestCase,
    asking,
    chunks_of,
    events_of,
)

TOO_MANY = (
    b'{"error":{"message":"Too many requests. Please try again later.",'
    b'"type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}'
)
README_BODY = (
    b'{"messages":[{"role":"user","content":"Say something"}],"model":"any-model","stream":true}'
)
"""What the README's curl line sends."""


class HelloWorldTests(MemoryTestCase):
    def test_a_stream_chunk_by_chunk(self) -> None:
        answer = self.request("POST", CHAT, README_BODY)
        self.assertEqual(answer.status, 200)
        chunks = chunks_of(answer.body)
        common = {
            "id": chunks[0]["id"],
            "object": "chat.completion.chunk",
            "created": VIRTUAL_EPOCH,
            "model": "fake-model",
            "service_tier": "default",
            "system_fingerprint": chunks[0]["system_fingerprint"],
        }

        def said(delta: dict[str, Any], finish_reason: str | None = None) -> dict[str, Any]:
            choice = {
                "index": 0, "delta": delta, "logprobs": None, "finish_reason": finish_reason,
            }  # fmt: skip
            return {**common, "choices": [choice]}

        self.assertEqual(
            chunks,
            [
                said({"role": "assistant", "content": "", "refusal": None}),
                said({"content": "hello"}),
                said({"content": " world"}),
                said({}, "stop"),
            ],
        )
        self.assertRegex(common["id"], "^chatcmpl-[A-Za-z0-9]{29}$")

    def test_a_stream_is_made_of_data_lines_and_ends_with_done(self) -> None:
        body = self.request("POST", CHAT, README_BODY).body
        *frames, rest = body.split(b"\n\n")
        self.assertTrue(all(frame.startswith(b"data: {") for frame in frames[:-1]))
        self.assertEqual((frames[-1], rest), (b"data: [DONE]", b""))

    def test_the_headers_of_a_stream_let_nobody_buffer_it(self) -> None:
        answer = self.request("POST", CHAT, README_BODY)
        self.assertEqual(answer.header("content-type"), "text/event-stream")
        self.assertEqual(answer.header("cache-control"), "no-cache")
        self.assertEqual(answer.header("x-accel-buffering"), "no")

    def test_a_whole_answer_field_by_field(self) -> None:
        for fields in ({}, {"stream": False}, {"stream": None}):
            answer = self.ask(**fields)
            self.assertEqual(answer.status, 200)
            self.assertEqual(answer.header("content-type"), "application/json")
            found = answer.json
            self.assertRegex(found.pop("id"), "^chatcmpl-[A-Za-z0-9]{29}$")
            self.assertRegex(found.pop("system_fingerprint"), "^fp_[0-9a-f]{10}$")
            prompt_tokens = found["usage"]["prompt_tokens"]
            self.assertEqual(
                found,
                {
                    "object": "chat.completion",
                    "created": VIRTUAL_EPOCH,
                    "model": "fake-model",
                    "choices": [
                        {
                            "index": 0,
                            "message": {
                                "role": "assistant",
                                "content": "hello world",
                                "refusal": None,
                                "annotations": [],
                            },
                            "logprobs": None,
                            "finish_reason": "stop",
                        }
                    ],
                    "usage": {
                        "prompt_tokens": prompt_tokens,
                        "completion_tokens": 2,
                        "total_tokens": prompt_tokens + 2,
                        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
                        "completion_tokens_details": {
                            "reasoning_tokens": 0,
                            "audio_tokens": 0,
                            "accepted_prediction_tokens": 0,
                            "rejected_prediction_tokens": 0,
                        },
                    },
                    "service_tier": "default",
                },
            )

    def test_answers_are_dated_by_the_clock(self) -> None:
        self.clock.advance(90.5)
        self.assertEqual(self.ask().json["created"], VIRTUAL_EPOCH + 90)

    def test_what_the_client_calls_its_content_does_not_matter(self) -> None:
        """The original's line of curl says JSON; some clients say nothing, or nonsense."""
        for content_type in ("application/json; charset=utf-8", "text/plain", ";;;", ""):
            answer = self.request(
                "POST", CHAT, json.dumps(HELLO).encode(), headers={"Content-Type": content_type}
            )
            self.assertEqual(answer.status, 200)

    def test_the_answer_may_be_any_text(self) -> None:
        for text in (
            "",
            " ",
            "[DONE]",
            "line\r\nline\n\n\nend\u2028",
            "\0\x1b",
            "日本語 👩‍👩‍👧",
            '"\\',
        ):
            self.serve(answer=text)
            self.assertEqual(self.ask().json["choices"][0]["message"]["content"], text)
            chunks = chunks_of(self.ask(stream=True).body)
            said = [chunk["choices"][0]["delta"].get("content", "") for chunk in chunks]
            self.assertEqual("".join(said), text)


class RateLimitTests(MemoryTestCase):
    def assert_limited(self, answer: Answer) -> None:
        self.assertEqual(answer.status, 429)
        self.assertEqual(answer.body, TOO_MANY)
        self.assertEqual(answer.header("retry-after"), "1")
        self.assertEqual(answer.header("content-type"), "application/json")
        self.assertRegex(str(answer.header("x-request-id")), "^req_")

    def test_the_words_429_are_answered_with_one(self) -> None:
        picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
        words = {"type": "text", "text": "[429]"}
        for content in ("[429]", [words], [picture, words], [words, picture]):
            for stream in (False, True):
                self.assert_limited(self.ask(stream=stream, **saying(content)))

    def test_only_the_last_message_counts(self) -> None:
        limit, other = ({"role": "user", "content": text} for text in ("[429]", "Hello"))
        self.assertEqual(self.ask(messages=[limit, other]).status, 200)
        self.assert_limited(self.ask(messages=[other, limit]))

    def test_other_words_are_answered(self) -> None:
        words = {"type": "text", "text": "[429]"}
        more = {"type": "text", "text": "please"}
        for content in ("[429] ", " [429]", "429", "say [429]", [words, more], [more, words]):
            self.assertEqual(self.ask(**saying(content)).status, 200)


class BrowserTests(MemoryTestCase):
    def test_a_preflight_is_answered(self) -> None:
        for path in (CHAT, "/v1/models", "/nonesuch"):
            answer = self.request(
                "OPTIONS",
                path,
                headers={
                    "Origin": "https://app.example",
                    "Access-Control-Request-Method": "POST",
                    "Access-Control-Request-Headers": "authorization,content-type,x-stainless-os",
                },
            )
            self.assertEqual((answer.status, answer.body), (204, b""))
            self.assertEqual(answer.header("access-control-allow-origin"), "*")
            self.assertIn("POST", str(answer.header("access-control-allow-methods")))
            self.assertEqual(
                answer.header("access-control-allow-headers"),
                "authorization,content-type,x-stainless-os",
            )

    def test_a_preflight_needs_no_key(self) -> None:
        self.serve(api_key=["sk-right"])
        self.assertEqual(self.request("OPTIONS", CHAT).status, 204)

    def test_every_answer_may_be_read_by_any_page(self) -> None:
        answers = [
            self.ask(),
            self.ask(stream=True),
            self.ask(n=0),
            self.ask(**saying("[429]")),
            self.request("PUT", CHAT),
            self.request("GET", "/nonesuch"),
            self.request("GET", "/v1/models"),
            self.request("GET", "/health"),
        ]
        statuses = [answer.status for answer in answers]
        self.assertEqual(statuses, [200, 200, 400, 429, 405, 404, 200, 200])
        for answer in answers:
            self.assertEqual(answer.header("access-control-allow-origin"), "*")
            exposed = str(answer.header("access-control-expose-headers")).split(", ")
            self.assertTrue({"x-request-id", "retry-after"} <= {*exposed})


class OtherPathTests(MemoryTestCase):
    def test_health_says_that_it_is_up(self) -> None:
        answer = self.request("GET", "/health")
        self.assertEqual((answer.status, answer.json["status"]), (200, "ok"))

    def test_health_needs_no_key(self) -> None:
        self.serve(api_key=["sk-right"])
        self.assertEqual(self.request("GET", "/health").status, 200)

    def test_the_root_tells_what_there_is(self) -> None:
        found = self.request("GET", "/").json
        self.assertEqual(found["name"], "fakellm")
        self.assertIn("POST /v1/chat/completions", found["endpoints"])

    def test_models_are_listed_and_described(self) -> None:
        self.serve(model=["fake-model", "org/other model"])
        listed = self.request("GET", "/v1/models").json
        self.assertEqual(listed["object"], "list")
        self.assertEqual(
            [model["id"] for model in listed["data"]], ["fake-model", "org/other model"]
        )
        for path in ("org/other%20model", "org%2Fother%20model"):
            self.assertEqual(self.request("GET", f"/v1/models/{path}").json, listed["data"][1])

    def test_a_model_that_is_not_there_is_not_found(self) -> None:
        answer = self.request("GET", "/v1/models/nonesuch")
        self.assertEqual((answer.status, answer.json["error"]["code"]), (404, "model_not_found"))

    def test_an_unknown_path_is_not_found(self) -> None:
        for path in ("/nonesuch", "/v1", "/v1/chat/completions/", "/v1/models/", "/%00", "/../.."):
            answer = self.request("POST", path, b"{}")
            self.assertEqual(answer.status, 404)
            self.assertIn("Invalid URL (POST ", answer.json["error"]["message"])

    def test_a_path_that_is_no_text_is_refused(self) -> None:
        answer = self.request("GET", "/%ff")
        self.assertEqual(
            (answer.status, answer.json["error"]["type"]), (400, "invalid_request_error")
        )

    def test_a_wrong_method_is_told_the_right_one(self) -> None:
        for method, path, allowed in (
            ("DELETE", CHAT, "GET, HEAD, POST"),
            ("PUT", CHAT, "GET, HEAD, POST"),
            ("POST", "/v1/models", "GET, HEAD"),
            ("PUT", "/v1/models/fake-model", "DELETE, GET, HEAD"),
            ("GET", "/v1/embeddings", "POST"),
        ):
            answer = self.request(method, path)
            self.assertEqual((answer.status, answer.header("allow")), (405, allowed))
            self.assertEqual(answer.json["error"]["code"], "method_not_supported")

    def test_head_is_get_without_a_body(self) -> None:
        for path in ("/health", "/v1/models", "/v1/models/fake-model", "/", "/nonesuch", CHAT):
            head, get = self.request("HEAD", path), self.request("GET", path)
            self.assertEqual((head.status, head.body), (get.status, b""))
            self.assertEqual(head.header("content-type"), "application/json")

    def test_every_answer_has_a_request_id_of_its_own(self) -> None:
        answers = [
            *(self.ask(**fields) for fields in ({}, {"stream": True}, {"n": 0}, saying("[429]"))),
            *(
                self.request("GET", path)
                for path in ("/", "/health", "/v1/models", "/x", "/%ff", CHAT)
            ),
        ]
        ids = [answer.header("x-request-id") for answer in answers]
        self.assertNotIn(None, ids)
        self.assertEqual(len({*ids}), len(ids))


class SettingTests(MemoryTestCase):
    def test_the_answer_is_a_setting(self) -> None:
        self.serve(answer="Good day.")
        self.assertEqual(self.ask().json["choices"][0]["message"]["content"], "Good day.")

    def test_the_first_model_speaks_for_those_that_are_not_there(self) -> None:
        self.serve(model=["big", "small"])
        self.assertEqual(self.ask(model="nonesuch").json["model"], "big")
        self.assertEqual(self.ask(model="small").json["model"], "small")

    def test_any_model_can_be_echoed(self) -> None:
        self.serve(echo_model=True)
        self.assertEqual(self.ask(model="gpt-nonesuch").json["model"], "gpt-nonesuch")
        (chunk, *_) = chunks_of(self.ask(model="gpt-nonesuch", stream=True).body)
        self.assertEqual(chunk["model"], "gpt-nonesuch")

    def test_unknown_arguments_are_refused_where_that_is_asked_for(self) -> None:
        self.assertEqual(self.ask(tempo=1).status, 200)
        self.serve(strict_requests=True)
        answer = self.ask(tempo=1)
        self.assertEqual((answer.status, answer.json["error"]["param"]), (400, "tempo"))

    def test_a_large_body_is_refused(self) -> None:
        self.serve(max_body=100)
        self.assertEqual(self.ask().status, 200)
        answer = self.ask(user="x" * 100)
        self.assertEqual((answer.status, answer.json["error"]["code"]), (413, "request_too_large"))

    def test_the_tokenizer_is_a_setting(self) -> None:
        self.serve(tokenizer="o200k_base", answer="unbelievable")
        chunks = chunks_of(self.ask(stream=True).body)
        said = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
        self.assertEqual(said, ["", "un", "bel", "ievable", None])

    def test_a_setting_that_cannot_be_is_one_clear_line(self) -> None:
        for settings, line in (
            ({"port": 70000}, "port: expected a whole number from 0 to 65535, not 70000"),
            ({"model": []}, "model: expected the name of a model, not []"),
        ):
            with self.assertRaises(BadSetting) as caught:
                FakeLLM(clock=self.clock, **settings)
            self.assertEqual(str(caught.exception), line)


class KeyTests(MemoryTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve(api_key=["sk-one", "sk-twö"])

    def asked_with(self, authorization: str | bytes | None, path: str = CHAT) -> Answer:
        method, body = ("POST", json.dumps(HELLO).encode()) if path == CHAT else ("GET", b"")
        headers = {} if authorization is None else {b"Authorization": [authorization]}
        return self.request(method, path, body, headers=headers)

    def test_every_key_lets_in(self) -> None:
        for authorization in ("Bearer sk-one", "bearer sk-one", "Bearer sk-twö".encode()):
            self.assertEqual(self.asked_with(authorization).status, 200)

    def test_a_missing_key_lets_nobody_in(self) -> None:
        for authorization in (None, "", "Bearer", "Bearer ", "Basic c2stb25l"):
            for path in (CHAT, "/v1/models", "/v1/models/fake-model"):
                answer = self.asked_with(authorization, path)
                self.assertEqual(answer.status, 401)
                self.assertEqual(answer.header("www-authenticate"), "Bearer")
                self.assertIsNone(answer.json["error"]["code"])

    def test_a_wrong_key_lets_nobody_in_and_is_not_told(self) -> None:
        for key in (b"sk-on", b"sk-one-and-more-of-it", b"sk-one sk-one", b"\xff\xfe"):
            answer = self.asked_with(b"Bearer " + key)
            self.assertEqual(answer.status, 401)
            self.assertEqual(answer.json["error"]["code"], "invalid_api_key")
            self.assertNotIn(key, answer.body)

    def test_a_key_is_asked_for_before_anything_else(self) -> None:
        self.assertEqual(self.request("POST", CHAT, b"not JSON").status, 401)


class DeterminismTests(MemoryTestCase):
    REQUESTS: tuple[dict[str, Any], ...] = (
        {},
        {"stream": True},
        {"n": 2, "logprobs": True, "top_logprobs": 5},
        {"response_format": NUMBER},
        {
            "response_format": NUMBER,
            "stream": True,
            "stream_options": {"include_obfuscation": True},
        },
        spoken("wav"),
        {"n": 0},
        saying("[429]"),
    )

    def run_of(self, **settings: Any) -> list[tuple[object, ...]]:
        """All that a new server sends for the same requests, but for the date of its sending."""
        self.serve(**settings)
        return [
            (
                answer.status,
                [each for each in answer.headers.getAllRawHeaders() if each[0] != b"Date"],
                answer.body,
            )
            for answer in (self.ask(**fields) for fields in self.REQUESTS)
        ]

    def test_the_same_seed_repeats_a_run_byte_for_byte(self) -> None:
        self.assertEqual(self.run_of(seed=7), self.run_of(seed=7))
        self.assertEqual(self.run_of(), self.run_of(seed=0))

    def test_another_seed_makes_another_run(self) -> None:
        for one, other in zip(self.run_of(seed=7), self.run_of(seed=8), strict=True):
            self.assertNotEqual(one, other)

    def test_another_seed_makes_other_values(self) -> None:
        made = set()
        for seed in (7, 8):
            self.serve(seed=seed)
            made.add(self.ask(response_format=NUMBER).json["choices"][0]["message"]["content"])
        self.assertEqual(len(made), 2)

    def test_the_same_question_gets_the_same_values_whenever_it_is_asked(self) -> None:
        made = [self.ask(response_format=NUMBER).json for _ in range(2)]
        self.assertEqual(made[0]["choices"], made[1]["choices"])
        self.assertNotEqual(made[0]["id"], made[1]["id"])


class TimeTests(MemoryTestCase):
    def test_a_long_stream_gives_the_reactor_turns_and_leaves_no_call(self) -> None:
        self.serve(answer="word " * 2000)
        answer = self.ask(stream=True)
        self.assertFalse(answer.ended.called)
        self.assertEqual(len(self.clock.getDelayedCalls()), 1)
        self.assertEqual(self.request("GET", "/health").json["running"], 1)
        self.clock.advance(0)
        self.flush()
        self.successResultOf(answer.ended)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        self.assertEqual(self.request("GET", "/health").json["running"], 0)
        said = [each["choices"][0]["delta"].get("content", "") for each in chunks_of(answer.body)]
        self.assertEqual("".join(said), "word " * 2000)


class LiveTests(TwistedFront, LiveTestCase):
    """The same over real sockets, where it could differ."""

    async def test_the_line_of_the_readme_streams(self) -> None:
        url = self.serve()
        response = await self.client.post(
            f"{url}{CHAT}",
            data=README_BODY,
            headers=Headers({"Content-Type": ["application/json"]}),
        )
        self.assertEqual(response.code, 200)
        headers = response.headers
        self.assertEqual(headers.getRawHeaders("content-type"), ["text/event-stream"])
        self.assertEqual(headers.getRawHeaders("cache-control"), ["no-cache"])
        chunks = chunks_of(await response.content())
        said = [chunk["choices"][0]["delta"].get("content") for chunk in chunks]
        self.assertEqual(said, ["", "hello", " world", None])
        self.assertEqual(len({(chunk["id"], chunk["created"]) for chunk in chunks}), 1)

    async def test_a_whole_answer(self) -> None:
        url = self.serve()
        response = await self.client.post(f"{url}{CHAT}", json=HELLO)
        self.assertEqual(response.headers.getRawHeaders("content-type"), ["application/json"])
        found = await response.json()
        self.assertEqual(found["choices"][0]["message"]["content"], "hello world")
        self.assertGreater(found["created"], VIRTUAL_EPOCH)  # it is the real time

    async def test_a_rate_limit(self) -> None:
        url = self.serve()
        for stream in (False, True):
            asked = asking(stream=stream, **saying("[429]"))
            response = await self.client.post(f"{url}{CHAT}", json=asked)
            self.assertEqual(response.code, 429)
            self.assertEqual(await response.content(), TOO_MANY)
            self.assertEqual(response.headers.getRawHeaders("retry-after"), ["1"])

    async def test_a_body_over_the_limit_is_read_to_its_end_and_refused(self) -> None:
        url = self.serve(max_body="1MB")
        response = await self.client.post(f"{url}{CHAT}", data=b"x" * 3_000_000)
        self.assertEqual(response.code, 413)
        self.assertEqual((await response.json())["error"]["code"], "request_too_large")

    async def test_a_large_body_is_understood(self) -> None:
        url = self.serve()
        text = "word " * 1_000_000
        response = await self.client.post(f"{url}{CHAT}", json=asking(**saying(text)))
        self.assertEqual(response.code, 200)
        self.assertGreater((await response.json())["usage"]["prompt_tokens"], 1_000_000)

    async def test_a_path_that_is_no_text_and_one_that_is_not_there(self) -> None:
        url = self.serve()
        for path, status in (("/%ff", 400), ("/nonesuch", 404), ("/v1/embeddings", 405)):
            response = await self.client.get(f"{url}{path}")
            self.assertEqual(response.code, status)
            self.assertEqual([*(await response.json())], ["error"])


class FastLiveTests(FastFront, LiveTests):
    pass


class AnswerLogTests(TwistedFront, LiveTestCase):
    """What is logged of an answer: a line at the level debug, and without it nothing."""

    async def lines(self, **settings: Any) -> list[str]:
        lines: list[str] = []

        @implementer(ILogObserver)
        def observe(event: LogEvent) -> None:
            line = formatEvent(event)
            if "/v1/" in line and event.get("log_namespace", "").startswith("fakellm.web"):
                lines.append(line)

        globalLogPublisher.addObserver(observe)
        self.addCleanup(globalLogPublisher.removeObserver, observe)
        url = self.serve(**settings)
        response = await self.client.post(f"{url}{CHAT}?key=secret", json=HELLO)
        await response.content()
        return lines

    async def test_at_debug_it_says_what_was_asked_and_answered_but_not_the_query(self) -> None:
        (line,) = await self.lines(log_level="debug")
        self.assertRegex(line, r"^POST /v1/chat/completions 200 \d+ bytes$")

    async def test_at_info_there_is_none(self) -> None:
        self.assertEqual(await self.lines(), [])


class FastAnswerLogTests(FastFront, AnswerLogTests):
    pass


class HelperTests(SynchronousTestCase):
    def test_a_stream_without_its_end_is_no_stream(self) -> None:
        """The check that all tests of streams rest on can fail."""
        with self.assertRaises(AssertionError):
            chunks_of(b"data: {}\n\n")
        self.assertEqual([event.data for event in events_of(b"data: [DONE]\n\n")], ["[DONE]"])
