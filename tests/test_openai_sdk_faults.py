"""What the vendor's own SDK, sync and async, makes of every fault. Time is virtual.

`OUTCOMES` is the table, without retries; below it is what retries make good.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import openai
from msgspec import Struct
from pydantic import BaseModel
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.clock import VirtualClock
from fakellm.faults.spec import FAULTS
from tests.onlooker import turn
from tests.sdk import AsyncSdk, SdkTestCase
from tests.servers import asking

A_MOMENT = 0.5
"""Seconds, of real time, for which a client waits that is to wait in vain."""


class Outcome(Struct, frozen=True, kw_only=True):
    """What comes of a call.

    Attributes:
        said: the contents of the chunks of a stream, ``None`` where one has none; or of the answer.
        finish_reason: the last there is.
        raises: the very class of the error that is raised once all that was said has been.
        cause: the name of the class of the HTTP library's error that it comes from.
        matches: what the error's text has in it.
        waits: whether the client would wait for ever, and so is given `A_MOMENT` only.
    """

    said: tuple[str | None, ...] = ()
    finish_reason: str | None = None
    raises: type[Exception] | None = None
    cause: str = ""
    matches: str = ""
    waits: bool = False


STREAM = Outcome(said=("", "hello", " world", None), finish_reason="stop")
"""The sound answer, streamed."""
WHOLE = Outcome(said=("hello world",), finish_reason="stop")
"""The sound answer in one piece."""


def connection_error(cause: str, *said: str | None, matches: str = "") -> Outcome:
    """The connection broke, before there was an answer or in its middle."""
    return Outcome(
        said=said, raises=openai.APIConnectionError, cause=cause, matches=matches or "Connection"
    )


def timeout(*said: str | None) -> Outcome:
    """Nothing more came in time."""
    return Outcome(said=said, raises=openai.APITimeoutError, cause="ReadTimeout", waits=True)


def no_json(*said: str | None, matches: str = "") -> Outcome:
    """The SDK lets the error of its JSON parser through: it is no `openai.OpenAIError`."""
    return Outcome(said=said, raises=json.JSONDecodeError, matches=matches)


TOO_MANY = Outcome(raises=openai.RateLimitError, matches="Too many requests")
OVERLOADED = Outcome(raises=openai.InternalServerError, matches="currently overloaded")
BAD_GATEWAY = Outcome(raises=openai.InternalServerError, matches="Error code: 502")

OUTCOMES: tuple[tuple[str, Outcome, Outcome], ...] = (
    # the fault, what comes of it streamed, and whole
    ("error 429 retry_after 2s", TOO_MANY, TOO_MANY),
    (
        "error 503 after 1 token",
        # in a stream that has begun there is no status, and the error is of no special class
        Outcome(said=("", "hello"), raises=openai.APIError, matches="currently overloaded"),
        OVERLOADED,
    ),
    ("html_error 502", BAD_GATEWAY, BAD_GATEWAY),
    ("hang", timeout(), timeout()),
    ("delay 2s", STREAM, WHOLE),
    ("slow_head 3s", STREAM, WHOLE),
    (
        "hang_up",
        connection_error("RemoteProtocolError"),
        connection_error("RemoteProtocolError"),
    ),
    ("refuse", connection_error("ReadError"), connection_error("ReadError")),
    ("stall 10s after 3", STREAM, WHOLE),
    ("stall after 3", timeout("", "hello", " world"), timeout()),
    (
        "close",
        connection_error("RemoteProtocolError"),
        connection_error("RemoteProtocolError"),
    ),
    (
        "close after 3",
        connection_error("RemoteProtocolError", "", "hello", " world"),
        connection_error("RemoteProtocolError"),
    ),
    (
        "close after 900 bytes",
        connection_error("RemoteProtocolError", "", "hello", " world"),
        connection_error("RemoteProtocolError"),  # it has fewer, and so its end is cut
    ),
    (
        "close after 300 bytes",
        connection_error("RemoteProtocolError"),
        connection_error("RemoteProtocolError"),
    ),
    ("reset", connection_error("ReadError"), connection_error("ReadError")),
    (
        "reset after 3",
        connection_error("ReadError", "", "hello", " world"),
        connection_error("ReadError"),
    ),
    (
        "no_finish_reason",
        Outcome(said=("", "hello", " world")),
        Outcome(said=("hello world",)),
    ),
    # a stream without its [DONE] is as good as one with it
    ("no_end", STREAM, no_json(matches="Expecting ',' delimiter")),
    (
        "missing after 2",
        Outcome(said=("", "hello", None), finish_reason="stop"),
        no_json(matches="Expecting value: line 1 column 1"),
    ),
    (
        "doubled after 2",
        Outcome(said=("", "hello", " world", " world", None), finish_reason="stop"),
        no_json(matches="Extra data"),
    ),
    (
        "swapped after 2",
        Outcome(said=("", "hello", None, " world"), finish_reason="stop"),
        WHOLE,
    ),
    (
        "content_filter after 1 token",
        Outcome(said=("", "hello", None), finish_reason="content_filter"),
        Outcome(said=("hello",), finish_reason="content_filter"),
    ),
    (
        "malformed after 2",
        no_json("", "hello", matches="Unterminated string"),
        no_json(),
    ),
    ("malformed all after 3", no_json("", "hello", " world"), no_json()),
    ("split at 7 after 2", STREAM, WHOLE),
    ("byte_by_byte 5ms", STREAM, WHOLE),
    ("split_characters", STREAM, WHOLE),
    ("line_ends crlf", STREAM, WHOLE),
    ("line_ends cr", STREAM, WHOLE),
    ("comments", STREAM, WHOLE),
    ("no_space", STREAM, WHOLE),
    ("multi_line", STREAM, WHOLE),
    ("unknown_fields", STREAM, WHOLE),
    # "\ufeffdata" is no field that the SDK knows: it loses the first event, and says nothing
    ("bom", Outcome(said=("hello", " world", None), finish_reason="stop"), WHOLE),
    ("content_type text/plain", STREAM, WHOLE),
    ("content_length short", STREAM, no_json(matches="Unterminated string")),
    # what lacks is behind the end that the stream itself has
    ("content_length long", STREAM, connection_error("RemoteProtocolError")),
    (
        "broken_chunks after 2",
        connection_error("RemoteProtocolError", "", "hello"),
        connection_error("RemoteProtocolError"),
    ),
    ("bad_gzip", connection_error("DecodingError"), connection_error("DecodingError")),
    ("throttle 100", STREAM, WHOLE),
)


class CompleteTests(SynchronousTestCase):
    def test_every_fault_has_an_outcome(self) -> None:
        listed = {fault.split(maxsplit=1)[0] for fault, _, _ in OUTCOMES}
        self.assertEqual(listed | {"oversized"}, {*FAULTS})


class FaultTestCase(SdkTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = VirtualClock()

    def serve(self, **settings: Any) -> str:
        return super().serve(clock=self.clock, **settings)

    def streamed(self, **fields: Any) -> Deferred[tuple[list[Any], Exception | None]]:
        """The chunks of a stream, and the error it ends with."""

        def use(client: Any) -> tuple[list[Any], Exception | None]:
            chunks: list[Any] = []
            try:
                chunks.extend(client.chat.completions.create(**asking(stream=True, **fields)))
            except Exception as error:  # noqa: BLE001 -- it is what is asked for
                return chunks, error
            return chunks, None

        return self.run_with(use)

    async def whole(self, **fields: Any) -> tuple[list[Any], Exception | None]:
        """The answer in a list, and the error there is instead of it."""
        try:
            return [await self.create(**fields)], None
        except Exception as error:  # noqa: BLE001 -- it is what is asked for
            return [], error

    async def made(self, *, stream: bool, waits: bool = False, **fields: Any) -> Outcome:
        """What comes of a call while time passes as fast as it can; no time if the client waits."""
        answering = (
            self.streamed(**fields) if stream else Deferred.fromCoroutine(self.whole(**fields))
        )
        while not (answering.called or waits):
            self.clock.next()
            await turn()
        answers, error = await answering
        choices = [choice for answer in answers for choice in answer.choices]
        said = [choice.delta if stream else choice.message for choice in choices]
        reasons = [choice.finish_reason for choice in choices if choice.finish_reason]
        return Outcome(
            said=tuple(each.content for each in said),
            finish_reason=reasons[-1] if reasons else None,
            raises=None if error is None else type(error),
            cause="" if error is None or error.__cause__ is None else _name(error.__cause__),
            matches=str(error or ""),
            waits=waits,
        )

    def assert_made(self, made: Outcome, expected: Outcome) -> None:
        self.assertIn(expected.matches, made.matches)
        self.assertEqual(
            (made.said, made.finish_reason, made.raises, made.cause),
            (expected.said, expected.finish_reason, expected.raises, expected.cause),
        )


def _name(error: BaseException) -> str:
    return type(error).__name__


class AsyncFaults(AsyncSdk):
    """Mixed in first: the same tests by the async client."""

    def streamed(self, **fields: Any) -> Deferred[tuple[list[Any], Exception | None]]:
        async def use(client: Any) -> tuple[list[Any], Exception | None]:
            chunks: list[Any] = []
            try:
                wanted = asking(stream=True, **fields)
                async for chunk in await client.chat.completions.create(**wanted):
                    chunks.append(chunk)  # noqa: PERF401 -- those before an error count
            except Exception as error:  # noqa: BLE001 -- it is what is asked for
                return chunks, error
            return chunks, None

        return self.run_with(use)


class OutcomeTests(FaultTestCase):
    async def look_at(self, outcomes: Iterable[tuple[str, Outcome]], *, stream: bool) -> None:
        for fault, expected in outcomes:
            self.options["timeout"] = A_MOMENT if expected.waits else 30.0
            made = await self.made(
                stream=stream, waits=expected.waits, extra_headers={"X-FakeLLM-Fault": fault}
            )
            try:
                self.assert_made(made, expected)
            except self.failureException as failed:
                raise self.failureException(f"{fault}: {failed}") from failed
            self.clock.advance(60)  # whatever door was shut is open again
            await turn()

    async def test_streamed(self) -> None:
        await self.look_at(((fault, streamed) for fault, streamed, _ in OUTCOMES), stream=True)

    async def test_whole(self) -> None:
        await self.look_at(((fault, whole) for fault, _, whole in OUTCOMES), stream=False)

    async def test_oversized_is_more_than_was_asked_for(self) -> None:
        fault = {"X-FakeLLM-Fault": "oversized 3"}
        made = await self.made(stream=True, max_completion_tokens=1, extra_headers=fault)
        self.assertEqual((made.said[:2], len(made.said)), (("", "hello"), 6))
        self.assertEqual(made.finish_reason, "length")
        answer = await self.create(extra_headers=fault)
        self.assertEqual(answer.usage.completion_tokens, 5)
        self.assertEqual(len(answer.choices[0].message.content.split()), 5)


class AsyncOutcomeTests(AsyncFaults, OutcomeTests):
    pass


class ErrorTests(FaultTestCase):
    """What an error tells a program."""

    async def test_a_status_with_its_code_and_when_to_come_again(self) -> None:
        _, error = await self.whole(extra_headers={"X-FakeLLM-Fault": "error 429 retry_after 2s"})
        assert isinstance(error, openai.RateLimitError)
        self.assertEqual(
            (error.status_code, error.code, error.type),
            (429, "rate_limit_exceeded", "rate_limit_error"),
        )
        headers = error.response.headers
        self.assertEqual((headers["retry-after"], headers["retry-after-ms"]), ("2", "2000"))

    async def test_an_error_in_a_stream_has_the_vendors_words_and_no_status(self) -> None:
        fault = "{error: {status: 429, after: 2, message: Slow down., code: slow_down}}"
        _, error = await self.streamed(extra_headers={"X-FakeLLM-Fault": fault})
        assert isinstance(error, openai.APIError)
        self.assertNotIsInstance(error, openai.APIStatusError)
        self.assertEqual((error.message, error.code), ("Slow down.", "slow_down"))

    async def test_a_page_is_a_text_without_a_code(self) -> None:
        _, error = await self.whole(extra_headers={"X-FakeLLM-Fault": "html_error 502"})
        assert isinstance(error, openai.InternalServerError)
        self.assertEqual((error.status_code, error.code), (502, None))
        self.assertIn("<center>nginx</center>", str(error.body))

    async def test_a_delay_beyond_its_patience_is_a_timeout_and_leaves_nothing_behind(self) -> None:
        self.options["timeout"] = A_MOMENT
        for stream in (True, False):
            made = await self.made(
                stream=stream, waits=True, extra_headers={"X-FakeLLM-Fault": "delay 1h"}
            )
            self.assert_made(made, timeout())
            while self.server._engine.running:
                await turn()
            self.assertEqual((self.clock.pending, self.clock.seconds()), (0, 0.0))

    async def test_a_filter_is_an_error_where_the_answer_is_to_be_parsed(self) -> None:
        fault = {"X-FakeLLM-Fault": "content_filter after 1 token"}
        with self.assertRaises(openai.ContentFilterFinishReasonError):
            await self.parse(response_format=Weather, extra_headers=fault)


class Weather(BaseModel):
    place: str


class AsyncErrorTests(AsyncFaults, ErrorTests):
    pass


class RetryTests(FaultTestCase):
    """Faults that strike on some attempts, and a client that tries again."""

    def rule(self, faults: str) -> None:
        """Start a server whose rule has these faults."""
        path = Path(self.mktemp())
        path.write_text(f"rules: [{{reply: hello world, faults: [{faults}]}}]", encoding="utf-8")
        self.serve(scenario=[str(path)])

    async def attempt(
        self, faults: str, *, stream: bool = False, retries: int = 1, waits: bool = False
    ) -> Outcome:
        """What comes of a call of a client that tries again, by a rule with these faults."""
        self.rule(faults)
        self.options.update(max_retries=retries, timeout=A_MOMENT if waits else 30.0)
        self.sent.clear()
        self.waits.clear()
        return await self.made(stream=stream, waits=waits)

    async def test_what_is_wrong_before_the_answer_is_tried_again(self) -> None:
        for fault in (
            "error: 408", "error: 409", "error: 429", "error: 500", "error: 503", "html_error: 502",
            "close: true", "close: {after: 0}", "reset: true", "reset: {after: 0}",
        ):  # fmt: skip
            for stream, sound in ((True, STREAM), (False, WHOLE)):
                if stream and fault.endswith("{after: 0}"):
                    continue  # its head has come
                made = await self.attempt(f"{{{fault}, on_attempt: 1}}", stream=stream)
                self.assert_made(made, sound)
                self.assertEqual(len(self.sent), 2, fault)

    async def test_no_answer_in_time_is_tried_again(self) -> None:
        for stream, sound in ((True, STREAM), (False, WHOLE)):
            made = await self.attempt("{hang: true, on_attempt: 1}", stream=stream, waits=True)
            self.assert_made(made, sound)
            self.assertEqual(len(self.sent), 2)

    async def test_a_whole_answer_that_breaks_in_its_middle_is_tried_again(self) -> None:
        for fault in (
            "reset: {after: {bytes: 300}}", "close: {after: {bytes: 300}}",
            "broken_chunks: true", "bad_gzip: true", "content_length: long",
        ):  # fmt: skip
            made = await self.attempt(f"{{{fault}, on_attempt: 1}}")
            self.assert_made(made, WHOLE)
            self.assertEqual(len(self.sent), 2, fault)

    async def test_a_stream_that_breaks_in_its_middle_is_not(self) -> None:
        for fault, expected in (
            ("reset: {after: 3}", connection_error("ReadError", "", "hello", " world")),
            ("bad_gzip: true", connection_error("DecodingError")),
            ("error: {status: 503, after: 1}", Outcome(said=("",), raises=openai.APIError)),
        ):
            made = await self.attempt(f"{{{fault}, on_attempt: 1}}", stream=True)
            self.assert_made(made, expected)
            self.assertEqual(len(self.sent), 1, fault)

    async def test_json_that_is_none_is_not(self) -> None:
        for fault in ("malformed: true", "no_end: true", "content_length: short"):
            made = await self.attempt(f"{{{fault}, on_attempt: 1}}")
            self.assert_made(made, no_json())
            self.assertEqual(len(self.sent), 1, fault)

    async def test_what_is_the_clients_fault_is_not(self) -> None:
        made = await self.attempt("{error: 422, on_attempt: 1}")
        self.assertEqual((made.raises, len(self.sent)), (openai.UnprocessableEntityError, 1))

    async def test_it_waits_as_long_as_it_is_told_to(self) -> None:
        made = await self.attempt("{error: {status: 429, retry_after: 1500ms}, on_attempt: 1}")
        self.assert_made(made, WHOLE)
        self.assertEqual(self.waits, [1.5])

    async def test_a_fault_of_two_attempts_needs_two_retries(self) -> None:
        twice = "{error: 503, on_attempt: [1, 2]}"
        self.assert_made(await self.attempt(twice, retries=1), OVERLOADED)
        self.assert_made(await self.attempt(twice, retries=2), WHOLE)
        self.assertEqual(len(self.sent), 3)

    async def test_times_are_counted_in_a_session(self) -> None:
        self.assert_made(await self.attempt("{error: 503, times: 2}", retries=2), WHOLE)
        self.assertEqual((len(self.sent), await self.faults()), (3, {"error": 2}))

    async def test_a_door_that_is_shut_to_one_more_connection(self) -> None:
        made = await self.attempt("{hang_up: {for: 5s, connections: 1}, times: 1}", retries=2)
        self.assert_made(made, WHOLE)
        self.assertEqual((len(self.sent), await self.faults()), (3, {"hang_up": 1}))

    async def faults(self) -> Any:
        health = await self.client.get(self.options["base_url"].replace("/v1", "/health"))
        return (await health.json())["faults"]


class AsyncRetryTests(AsyncFaults, RetryTests):
    pass


class RefusedTests(FaultTestCase):
    async def test_nobody_is_there_for_a_while(self) -> None:
        refuse = {"X-FakeLLM-Fault": "refuse 5s"}
        _, error = await self.whole(extra_headers=refuse)
        self.assertIsInstance(error, openai.APIConnectionError)
        _, error = await self.whole()
        assert isinstance(error, openai.APIConnectionError)
        self.assertEqual(_name(error.__cause__ or error), "ConnectError")
        self.clock.advance(5)
        await turn()
        ((answer,), error) = await self.whole()
        self.assertEqual((answer.choices[0].message.content, error), ("hello world", None))


class AsyncRefusedTests(AsyncFaults, RefusedTests):
    pass
