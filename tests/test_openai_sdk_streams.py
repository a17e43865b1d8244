"""Streams through the vendor's own SDK, sync and async: raw chunks, and its streaming helper."""

import base64
import itertools
import json
from typing import Any

import jsonschema
import openai
from twisted.internet.defer import Deferred

from tests.questions import NOTE, NUMBER, QUESTION, TIME, WEATHER, saying, spoken
from tests.sdk import AsyncSdk, SdkTestCase


def contents(chunks: list[Any], index: int = 0) -> str:
    """The text of one choice of a stream."""
    said = [choice for chunk in chunks for choice in chunk.choices if choice.index == index]
    return "".join(choice.delta.content or "" for choice in said)


class ChunkTests(SdkTestCase):
    async def test_hello_world_is_a_role_two_tokens_and_a_finish_reason(self) -> None:
        chunks = await self.chunks()
        self.assertEqual(
            [chunk.choices[0].delta.to_dict() for chunk in chunks],
            [
                {"role": "assistant", "content": "", "refusal": None},
                {"content": "hello"},
                {"content": " world"},
                {},
            ],
        )
        self.assertEqual(
            [chunk.choices[0].finish_reason for chunk in chunks], [None, None, None, "stop"]
        )
        self.assertEqual(len({(chunk.id, chunk.created, chunk.model) for chunk in chunks}), 1)
        self.assertEqual({chunk.object for chunk in chunks}, {"chat.completion.chunk"})
        self.assertTrue(all("usage" not in chunk.to_dict() for chunk in chunks))

    async def test_choices_take_turns(self) -> None:
        chunks = await self.chunks(n=2)
        self.assertEqual([contents(chunks, index) for index in range(2)], ["hello world"] * 2)
        speakers = [chunk.choices[0].index for chunk in chunks if chunk.choices[0].delta.content]
        self.assertEqual(speakers, [0, 1, 0, 1])

    async def test_max_tokens_cut_the_stream(self) -> None:
        chunks = await self.chunks(max_completion_tokens=1)
        self.assertEqual(contents(chunks), "hello")
        self.assertEqual(chunks[-1].choices[0].finish_reason, "length")

    async def test_a_stop_sequence_is_not_said(self) -> None:
        chunks = await self.chunks(stop=["wor"])
        self.assertEqual(contents(chunks), "hello ")
        self.assertEqual(chunks[-1].choices[0].finish_reason, "stop")

    async def test_usage_comes_last_where_it_is_asked_for(self) -> None:
        *chunks, last = await self.chunks(stream_options={"include_usage": True})
        self.assertTrue(all(chunk.to_dict()["usage"] is None for chunk in chunks))
        self.assertEqual(last.choices, [])
        whole = await self.create()
        self.assertEqual(last.usage, whole.usage)

    async def test_obfuscation_evens_out_sizes(self) -> None:
        chunks = await self.chunks(stream_options={"include_obfuscation": True})
        sizes = {
            len(chunk.choices[0].delta.content) + len(chunk.obfuscation or "")
            for chunk in chunks
            if chunk.choices[0].delta.content
        }
        self.assertEqual(len(sizes), 1)

    async def test_a_token_bears_its_logprobs(self) -> None:
        chunks = await self.chunks(logprobs=True, top_logprobs=2)
        scores: list[Any] = [chunk.choices[0].logprobs for chunk in chunks]
        self.assertEqual([scores[0], scores[-1]], [None, None])
        self.assertEqual([len(score.content) for score in scores[1:-1]], [1, 1])
        streamed = [entry for score in scores[1:-1] for entry in score.content]
        whole = await self.create(logprobs=True, top_logprobs=2)
        self.assertEqual(streamed, whole.choices[0].logprobs.content)

    async def test_calls_begin_with_id_and_name_and_go_on_with_arguments(self) -> None:
        chunks = await self.chunks(
            tools=[WEATHER, TIME], tool_choice="required", parallel_tool_calls=True
        )
        deltas = [call for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []]
        for index, tool in enumerate((WEATHER, TIME)):
            first, *rest = (call for call in deltas if call.index == index)
            assert first.function is not None
            self.assertEqual((first.type, first.function.arguments), ("function", ""))
            self.assertEqual(first.function.name, tool["function"]["name"])
            self.assertRegex(str(first.id), "^call_")
            self.assertEqual({(call.id, call.type) for call in rest}, {(None, None)})
            pieces = [call.function.arguments for call in rest if call.function is not None]
            arguments = json.loads("".join(piece or "" for piece in pieces))
            jsonschema.validate(arguments, tool["function"]["parameters"])
        self.assertEqual(chunks[-1].choices[0].finish_reason, "tool_calls")

    async def test_a_custom_call_goes_on_with_its_input(self) -> None:
        """The SDK's types do not declare it, but it hands it on."""
        chunks = await self.chunks(tools=[NOTE], tool_choice="required")
        deltas: list[Any] = [
            call.to_dict() for chunk in chunks for call in chunk.choices[0].delta.tool_calls or []
        ]
        self.assertEqual(deltas[0]["type"], "custom")
        self.assertEqual(deltas[0]["custom"], {"name": "take_note", "input": ""})
        self.assertEqual("".join(delta["custom"]["input"] for delta in deltas), "hello world")

    async def test_a_deprecated_function_call_is_streamed_the_deprecated_way(self) -> None:
        chunks = await self.chunks(
            functions=[WEATHER["function"]], function_call={"name": "get_weather"}
        )
        calls = [chunk.choices[0].delta.function_call for chunk in chunks]
        made = [call for call in calls if call is not None]
        self.assertEqual([call.name for call in made if call.name], ["get_weather"])
        arguments = json.loads("".join(call.arguments or "" for call in made))
        jsonschema.validate(arguments, WEATHER["function"]["parameters"])
        self.assertEqual(chunks[-1].choices[0].finish_reason, "function_call")

    async def test_sound_is_streamed_after_its_words(self) -> None:
        chunks = await self.chunks(**spoken("pcm16"))
        audio = [chunk.choices[0].delta.audio for chunk in chunks]
        parts = [part for part in audio if part is not None]
        self.assertEqual("".join(part.transcript or "" for part in parts), "hello world")
        sound = b"".join(base64.b64decode(part.data) for part in parts if part.data)
        whole = await self.create(**spoken("pcm16"))
        self.assertEqual(sound, base64.b64decode(whole.choices[0].message.audio.data))
        self.assertEqual(len({part.id for part in parts if part.id}), 1)
        self.assertGreater(parts[-1].expires_at or 0, chunks[0].created)

    async def test_moderation_comes_in_a_chunk_of_its_own(self) -> None:
        chunks = await self.chunks(moderation={"model": "omni-moderation-latest"})
        (moderated,) = [chunk for chunk in chunks if chunk.moderation is not None]
        self.assertEqual(moderated.choices, [])
        verdict: Any = moderated.moderation
        self.assertFalse(verdict.output.results[0].flagged)

    async def test_a_stream_says_what_a_whole_answer_says(self) -> None:
        """Whatever is asked, streamed or not, the same is made of it."""
        for fields in (
            {"response_format": NUMBER, "seed": 3},
            {"response_format": {"type": "json_object"}},
            {"max_tokens": 1, "n": 2},
        ):
            whole = await self.create(**fields)
            chunks = await self.chunks(**fields)
            for choice in whole.choices:
                self.assertEqual(contents(chunks, choice.index), choice.message.content)

    async def test_an_error_is_raised_before_any_chunk(self) -> None:
        asked: list[tuple[type[Exception], dict[str, Any]]] = [
            (openai.BadRequestError, {"n": 0}),
            (openai.RateLimitError, saying("[429]")),
        ]
        for error, fields in asked:
            with self.assertRaises(error):
                await self.chunks(**fields)

    async def test_a_rate_limited_stream_is_asked_for_again(self) -> None:
        self.options["max_retries"] = 1
        with self.assertRaises(openai.RateLimitError):
            await self.chunks(**saying("[429]"))
        self.assertEqual((len(self.sent), self.waits), (2, [1.0]))

    async def test_the_raw_response_of_a_stream_has_the_request_id(self) -> None:
        raw = await self.call(
            "chat.completions.with_raw_response.create",
            model="m",
            messages=[QUESTION],
            stream=True,
        )
        self.assertRegex(raw.headers["x-request-id"], "^req_[0-9a-f]{32}$")
        self.assertEqual(raw.headers["content-type"], "text/event-stream")
        self.assertEqual(raw.headers["cache-control"], "no-cache")


class AsyncChunkTests(AsyncSdk, ChunkTests):
    pass


class LeavingTests(SdkTestCase):
    def leave(self) -> Deferred[Any]:
        """Read one chunk of a stream, and close it."""

        def use(client: Any) -> str:
            with client.chat.completions.create(
                model="m", messages=[QUESTION], stream=True
            ) as stream:
                return str(next(stream).choices[0].delta.role)

        return self.run_with(use)

    async def test_a_reader_that_leaves_in_mid_stream_does_no_harm(self) -> None:
        self.serve(answer="word " * 20_000)
        self.assertEqual(await self.leave(), "assistant")
        answer = await self.create(max_tokens=2)
        self.assertEqual(answer.choices[0].message.content, "word word")


class AsyncLeavingTests(AsyncSdk, LeavingTests):
    def leave(self) -> Deferred[Any]:
        async def use(client: Any) -> str:
            async with await client.chat.completions.create(
                model="m", messages=[QUESTION], stream=True
            ) as stream:
                return str((await anext(aiter(stream))).choices[0].delta.role)

        return self.run_with(use)


class HelperTests(SdkTestCase):
    """``client.chat.completions.stream``."""

    async def test_text_is_put_together(self) -> None:
        events, final = await self.events()
        deltas = [event.delta for event in events if event.type == "content.delta"]
        self.assertEqual(deltas, ["", "hello", " world"])
        done = [event.content for event in events if event.type == "content.done"]
        self.assertEqual(done, ["hello world"])
        self.assertEqual(final.choices[0].message.content, "hello world")
        self.assertEqual(final.choices[0].finish_reason, "stop")

    async def test_what_is_put_together_is_what_a_whole_answer_is(self) -> None:
        """But for what differs between any two answers."""
        asked: list[dict[str, Any]] = [
            {},
            {"n": 2, "logprobs": True, "top_logprobs": 1},
            {"response_format": NUMBER, "seed": 7},
            {"service_tier": "flex", "reasoning_effort": "low"},
            {"moderation": {"model": "omni-moderation-latest"}},
        ]
        for fields in asked:
            _, final = await self.events(stream_options={"include_usage": True}, **fields)
            streamed = final.to_dict(exclude_none=True)
            whole = (await self.create(**fields)).to_dict(exclude_none=True)
            for answer in (streamed, whole):
                del answer["id"], answer["created"]
            for choice in whole["choices"]:
                del choice["message"]["annotations"]  # streams have none
            self.assertEqual(streamed, whole)

    async def test_usage_is_on_the_final_completion(self) -> None:
        _, final = await self.events(stream_options={"include_usage": True})
        self.assertEqual(final.usage.completion_tokens, 2)

    async def test_calls_are_put_together(self) -> None:
        events, final = await self.events(
            tools=[WEATHER, TIME], tool_choice="required", parallel_tool_calls=True
        )
        done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
        self.assertEqual([event.name for event in done], ["get_weather", "get_time"])
        calls = final.choices[0].message.tool_calls
        for event, call, tool in zip(done, calls, (WEATHER, TIME), strict=True):
            self.assertEqual(event.arguments, call.function.arguments)
            jsonschema.validate(json.loads(event.arguments), tool["function"]["parameters"])
        self.assertEqual(final.choices[0].finish_reason, "tool_calls")

    async def test_logprobs_are_put_together(self) -> None:
        events, final = await self.events(logprobs=True)
        tokens = [entry.token for entry in final.choices[0].logprobs.content]
        self.assertEqual(tokens, ["hello", " world"])
        done = [event for event in events if event.type == "logprobs.content.done"]
        self.assertEqual([entry.token for entry in done[0].content], tokens)

    async def test_choices_are_kept_apart(self) -> None:
        events, final = await self.events(n=3)
        self.assertEqual([choice.message.content for choice in final.choices], ["hello world"] * 3)
        kinds = [kind for kind, _ in itertools.groupby(event.type for event in events)]
        self.assertEqual(kinds.count("content.done"), 3)


class AsyncHelperTests(AsyncSdk, HelperTests):
    pass
