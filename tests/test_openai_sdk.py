"""Whole answers through the vendor's own SDK, sync and async: what its users would see."""

import base64
import json
from typing import Any

import jsonschema
import openai

from tests.questions import (
    NOTE,
    NUMBER,
    QUESTION,
    SOUND_BEGINS,
    TIME,
    WEATHER,
    named,
    saying,
    spoken,
)
from tests.sdk import AsyncSdk, SdkTestCase


class AnswerTests(SdkTestCase):
    async def test_any_question_is_answered_with_hello_world(self) -> None:
        answer = await self.create()
        self.assertEqual(answer.choices[0].message.content, "hello world")
        self.assertEqual(answer.choices[0].message.role, "assistant")
        self.assertEqual(answer.choices[0].finish_reason, "stop")
        self.assertEqual((answer.object, answer.model), ("chat.completion", "fake-model"))
        self.assertRegex(answer.id, "^chatcmpl-[A-Za-z0-9]{29}$")
        self.assertEqual(answer.service_tier, "default")
        self.assertRegex(answer.system_fingerprint, "^fp_[0-9a-f]{10}$")

    async def test_usage_adds_up(self) -> None:
        usage = (await self.create()).usage
        self.assertEqual(usage.completion_tokens, 2)
        self.assertGreater(usage.prompt_tokens, 2)
        self.assertEqual(usage.total_tokens, usage.prompt_tokens + usage.completion_tokens)

    async def test_every_kind_of_message_is_understood(self) -> None:
        sound = base64.b64encode(b"RIFF").decode()
        call = {"name": "get_weather", "arguments": "{}"}
        answer = await self.create(
            messages=[
                {"role": "developer", "content": "Be brief."},
                {"role": "system", "content": [{"type": "text", "text": "Be kind."}]},
                {
                    "role": "user",
                    "name": "ann",
                    "content": [
                        {"type": "text", "text": "What is this?"},
                        {
                            "type": "image_url",
                            "image_url": {"url": "data:image/png;base64,AA==", "detail": "low"},
                        },
                        {"type": "input_audio", "input_audio": {"data": sound, "format": "wav"}},
                        {"type": "file", "file": {"filename": "a.pdf", "file_data": sound}},
                        {"type": "file", "file": {"file_id": "file-1"}},
                    ],
                },
                {
                    "role": "assistant",
                    "content": [
                        {"type": "text", "text": "I do not know."},
                        {"type": "refusal", "refusal": "I will not say."},
                    ],
                },
                {"role": "assistant", "content": None, "audio": {"id": "audio_1"}},
                {"role": "assistant", "content": None, "function_call": call},
                {"role": "function", "name": "get_weather", "content": "sunny"},
                QUESTION,
            ]
        )
        self.assertEqual(answer.choices[0].message.content, "hello world")

    async def test_n_choices_have_an_index_each(self) -> None:
        answer = await self.create(n=3)
        self.assertEqual([choice.index for choice in answer.choices], [0, 1, 2])
        self.assertEqual({choice.message.content for choice in answer.choices}, {"hello world"})
        self.assertEqual(answer.usage.completion_tokens, 6)

    async def test_max_tokens_cut_the_answer(self) -> None:
        for limit in ("max_tokens", "max_completion_tokens"):
            answer = await self.create(**{limit: 1})
            self.assertEqual(answer.choices[0].message.content, "hello")
            self.assertEqual(answer.choices[0].finish_reason, "length")
            self.assertEqual(answer.usage.completion_tokens, 1)

    async def test_stop_ends_the_answer_before_it(self) -> None:
        for stop in (" wor", ["nonesuch", " wor"]):
            answer = await self.create(stop=stop)
            self.assertEqual(answer.choices[0].message.content, "hello")
            self.assertEqual(answer.choices[0].finish_reason, "stop")

    async def test_logprobs_are_one_entry_a_token(self) -> None:
        entries = (await self.create(logprobs=True, top_logprobs=3)).choices[0].logprobs.content
        self.assertEqual([entry.token for entry in entries], ["hello", " world"])
        for entry in entries:
            self.assertEqual(bytes(entry.bytes).decode(), entry.token)
            self.assertLessEqual(entry.logprob, 0)
            self.assertEqual(len(entry.top_logprobs), 3)
            self.assertEqual(entry.top_logprobs[0].token, entry.token)
            likely = [other.logprob for other in entry.top_logprobs]
            self.assertEqual(likely, sorted(likely, reverse=True))

    async def test_logprobs_without_alternatives(self) -> None:
        entries = (await self.create(logprobs=True)).choices[0].logprobs.content
        self.assertEqual([entry.top_logprobs for entry in entries], [[], []])

    async def test_reasoning_is_hidden_and_paid_for(self) -> None:
        usage = {
            effort: (await self.create(reasoning_effort=effort)).usage
            for effort in ("none", "minimal", "low", "medium", "high", "xhigh")
        }
        thought = [each.completion_tokens_details.reasoning_tokens for each in usage.values()]
        self.assertEqual(thought[0], 0)
        self.assertEqual(thought, sorted(set(thought)))
        said = {
            each.completion_tokens - each.completion_tokens_details.reasoning_tokens
            for each in usage.values()
        }
        self.assertEqual(said, {2})

    async def test_a_prediction_is_accepted_as_far_as_it_came_true(self) -> None:
        usage = (await self.create(prediction={"type": "content", "content": "hello moon"})).usage
        details = usage.completion_tokens_details
        self.assertEqual(details.accepted_prediction_tokens, 1)
        self.assertEqual(details.rejected_prediction_tokens, 1)

    async def test_metadata_come_back(self) -> None:
        answer = await self.create(metadata={"run": "7"}, store=True, user="ann")
        self.assertEqual(answer.metadata, {"run": "7"})

    async def test_the_service_tier_is_one_that_serves(self) -> None:
        for asked, served in (("auto", "default"), ("flex", "flex"), ("fast", "priority")):
            self.assertEqual((await self.create(service_tier=asked)).service_tier, served)

    async def test_moderation_flags_nothing(self) -> None:
        answer = await self.create(moderation={"model": "omni-moderation-latest"})
        for verdict in (answer.moderation.input, answer.moderation.output):
            self.assertEqual(verdict.model, "omni-moderation-latest")
            self.assertEqual([result.flagged for result in verdict.results], [False])
            self.assertIn("violence", verdict.results[0].categories)

    async def test_sound_comes_in_every_format_with_its_transcript(self) -> None:
        for name, begins in SOUND_BEGINS.items():
            answer = await self.create(**spoken(name))
            message = answer.choices[0].message
            self.assertIsNone(message.content)
            self.assertEqual(message.audio.transcript, "hello world")
            sound = base64.b64decode(message.audio.data, validate=True)
            self.assertEqual(sound[: len(begins)], begins)
            self.assertGreater(len(sound), len(begins) + 50)
            self.assertGreater(message.audio.expires_at, answer.created)
            self.assertEqual(answer.usage.completion_tokens_details.audio_tokens, 2)

    async def test_an_answer_can_be_sent_back_as_it_came(self) -> None:
        """As conversations do; what the API adds to its messages does not stand in the way."""
        for fields in ({}, spoken("wav"), {"logprobs": True}, {"response_format": NUMBER}):
            first = await self.create(**fields)
            messages = [QUESTION, first.choices[0].message, QUESTION]
            second = await self.create(messages=messages)
            self.assertEqual(second.choices[0].message.content, "hello world")

    async def test_the_same_seed_makes_the_same_values(self) -> None:
        made = [
            (await self.create(response_format=NUMBER, seed=seed)).choices[0].message.content
            for seed in (1, 1, 2)
        ]
        self.assertEqual(made[0], made[1])
        self.assertNotEqual(made[0], made[2])

    async def test_the_request_id_is_in_the_headers_and_on_the_answer(self) -> None:
        raw = await self.call(
            "chat.completions.with_raw_response.create", model="m", messages=[QUESTION]
        )
        self.assertEqual(raw.headers["content-type"], "application/json")
        self.assertRegex(raw.headers["x-request-id"], "^req_[0-9a-f]{32}$")
        answer = raw.parse()
        self.assertEqual(answer._request_id, raw.headers["x-request-id"])
        self.assertEqual(answer.choices[0].message.content, "hello world")

    async def test_request_ids_and_completion_ids_differ(self) -> None:
        answers = [await self.create() for _ in range(3)]
        self.assertEqual(len({answer._request_id for answer in answers}), 3)
        self.assertEqual(len({answer.id for answer in answers}), 3)


class AsyncAnswerTests(AsyncSdk, AnswerTests):
    pass


class ToolTests(SdkTestCase):
    def assert_valid(self, call: Any, tool: dict[str, Any]) -> None:
        self.assertEqual(call.type, "function")
        self.assertEqual(call.function.name, tool["function"]["name"])
        self.assertRegex(call.id, "^call_[A-Za-z0-9]{24}$")
        jsonschema.validate(json.loads(call.function.arguments), tool["function"]["parameters"])

    async def test_a_tool_need_not_be_called_unless_it_is_required(self) -> None:
        for choice in ("auto", "none"):
            answer = await self.create(tools=[WEATHER], tool_choice=choice)
            self.assertEqual(answer.choices[0].message.content, "hello world")
            self.assertIsNone(answer.choices[0].message.tool_calls)

    async def test_a_required_call_has_valid_arguments(self) -> None:
        answer = await self.create(tools=[WEATHER, TIME], tool_choice="required")
        (choice,) = answer.choices
        self.assertEqual(choice.finish_reason, "tool_calls")
        self.assertIsNone(choice.message.content)
        (call,) = choice.message.tool_calls
        self.assert_valid(call, WEATHER)

    async def test_a_named_function_is_the_one_called(self) -> None:
        answer = await self.create(tools=[WEATHER, TIME], tool_choice=named("get_time"))
        (call,) = answer.choices[0].message.tool_calls
        self.assert_valid(call, TIME)

    async def test_only_allowed_tools_are_called(self) -> None:
        allowed = {"mode": "required", "tools": [named("get_time")]}
        answer = await self.create(
            tools=[WEATHER, TIME, NOTE],
            tool_choice={"type": "allowed_tools", "allowed_tools": allowed},
        )
        (call,) = answer.choices[0].message.tool_calls
        self.assert_valid(call, TIME)

    async def test_parallel_calls_are_made_where_they_are_asked_for(self) -> None:
        calls = {
            parallel: (
                await self.create(
                    tools=[WEATHER, TIME], tool_choice="required", parallel_tool_calls=parallel
                )
            )
            .choices[0]
            .message.tool_calls
            for parallel in (True, False)
        }
        self.assertEqual([len(calls[True]), len(calls[False])], [2, 1])
        self.assert_valid(calls[True][0], WEATHER)
        self.assert_valid(calls[True][1], TIME)
        self.assertNotEqual(calls[True][0].id, calls[True][1].id)

    async def test_a_custom_tool_gets_free_text(self) -> None:
        choice = {"type": "custom", "custom": {"name": "take_note"}}
        answer = await self.create(tools=[WEATHER, NOTE], tool_choice=choice)
        (call,) = answer.choices[0].message.tool_calls
        self.assertEqual((call.type, call.custom.name), ("custom", "take_note"))
        self.assertEqual(call.custom.input, "hello world")
        self.assertEqual(answer.choices[0].finish_reason, "tool_calls")

    async def test_a_tool_loop_ends_with_the_answer(self) -> None:
        """As agents do: call and result go back, and this time a call is up to the model."""
        messages: list[Any] = [QUESTION]
        first = await self.create(tools=[WEATHER], tool_choice="required", messages=messages)
        message = first.choices[0].message
        messages.append(message)
        messages.extend(
            {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
            for call in message.tool_calls
        )
        second = await self.create(tools=[WEATHER], messages=messages)
        self.assertEqual(second.choices[0].message.content, "hello world")
        self.assertEqual(second.choices[0].finish_reason, "stop")
        self.assertGreater(second.usage.prompt_tokens, first.usage.prompt_tokens)

    async def test_a_loop_with_a_custom_tool_ends_with_the_answer(self) -> None:
        messages: list[Any] = [QUESTION]
        first = await self.create(tools=[NOTE], tool_choice="required", messages=messages)
        (call,) = first.choices[0].message.tool_calls
        messages += [
            first.choices[0].message,
            {"role": "tool", "tool_call_id": call.id, "content": "noted"},
        ]
        second = await self.create(tools=[NOTE], messages=messages)
        self.assertEqual(second.choices[0].message.content, "hello world")

    async def test_a_deprecated_function_is_called_the_deprecated_way(self) -> None:
        answer = await self.create(
            functions=[WEATHER["function"]], function_call={"name": "get_weather"}
        )
        (choice,) = answer.choices
        self.assertEqual(choice.finish_reason, "function_call")
        self.assertIsNone(choice.message.tool_calls)
        self.assertEqual(choice.message.function_call.name, "get_weather")
        arguments = json.loads(choice.message.function_call.arguments)
        jsonschema.validate(arguments, WEATHER["function"]["parameters"])

    async def test_a_loop_with_a_deprecated_function_ends_with_the_answer(self) -> None:
        functions = [WEATHER["function"]]
        first = await self.create(functions=functions, function_call={"name": "get_weather"})
        result = {"role": "function", "name": "get_weather", "content": "sunny"}
        messages = [QUESTION, first.choices[0].message, result]
        second = await self.create(functions=functions, messages=messages)
        self.assertEqual(second.choices[0].message.content, "hello world")

    async def test_a_deprecated_function_need_not_be_called(self) -> None:
        for choice in ("auto", "none"):
            answer = await self.create(functions=[WEATHER["function"]], function_call=choice)
            self.assertEqual(answer.choices[0].message.content, "hello world")
            self.assertIsNone(answer.choices[0].message.function_call)

    async def test_a_call_cut_by_max_tokens_says_so(self) -> None:
        answer = await self.create(tools=[WEATHER], tool_choice="required", max_tokens=2)
        self.assertEqual(answer.choices[0].finish_reason, "length")
        self.assertEqual(answer.usage.completion_tokens, 2)


class AsyncToolTests(AsyncSdk, ToolTests):
    pass


class ModelTests(SdkTestCase):
    async def test_models_are_listed_and_described(self) -> None:
        self.serve(model=["big", "org/small"])
        listed = (await self.call("models.list")).data
        self.assertEqual([model.id for model in listed], ["big", "org/small"])
        for model in listed:
            self.assertEqual(await self.call("models.retrieve", model.id), model)
            self.assertEqual(model.object, "model")

    async def test_a_model_that_is_not_there_is_not_found(self) -> None:
        with self.assertRaises(openai.NotFoundError) as caught:
            await self.call("models.retrieve", "nonesuch")
        self.assertEqual(caught.exception.code, "model_not_found")

    async def test_a_model_on_offer_speaks_for_itself_and_the_first_for_all_others(self) -> None:
        self.serve(model=["big", "small"])
        answers = [await self.create(model=name) for name in ("small", "nonesuch")]
        self.assertEqual([answer.model for answer in answers], ["small", "big"])


class AsyncModelTests(AsyncSdk, ModelTests):
    pass


class ErrorTests(SdkTestCase):
    async def test_a_bad_request_names_the_field(self) -> None:
        with self.assertRaises(openai.BadRequestError) as caught:
            await self.create(messages=[{"role": "emperor", "content": "?"}])
        error = caught.exception
        self.assertEqual(error.param, "messages[0].role")
        self.assertEqual(error.code, "invalid_value")
        self.assertEqual(error.type, "invalid_request_error")
        self.assertIn("emperor", error.message)
        self.assertRegex(str(error.request_id), "^req_")

    async def test_a_number_out_of_range_is_a_bad_request(self) -> None:
        for field, value in (("temperature", 2.5), ("n", 0), ("top_p", -1), ("seed", "x")):
            with self.assertRaises(openai.BadRequestError) as caught:
                await self.create(**{field: value})
            self.assertEqual(caught.exception.param, field)

    async def test_a_tool_result_that_answers_no_call_is_a_bad_request(self) -> None:
        stray = {"role": "tool", "tool_call_id": "call_1", "content": "sunny"}
        with self.assertRaises(openai.BadRequestError) as caught:
            await self.create(messages=[QUESTION, stray])
        self.assertEqual(caught.exception.param, "messages[1].role")

    async def test_a_schema_that_nothing_meets_is_a_bad_request(self) -> None:
        number = {"type": "integer", "minimum": 2, "maximum": 1}
        schema = {"type": "object", "properties": {"a": number}, "required": ["a"]}
        form = {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}
        with self.assertRaises(openai.BadRequestError) as caught:
            await self.create(response_format=form)
        self.assertEqual(caught.exception.param, "response_format.json_schema.schema")
        function = {"name": "f", "parameters": schema}
        with self.assertRaises(openai.BadRequestError) as caught:
            await self.create(
                tools=[{"type": "function", "function": function}], tool_choice="required"
            )
        self.assertEqual(caught.exception.code, "invalid_function_parameters")

    async def test_a_wrong_key_does_not_authenticate(self) -> None:
        self.serve(api_key=["sk-right"])
        self.options["api_key"] = "sk-wrong"
        for ask in (self.create, lambda: self.call("models.list")):
            with self.assertRaises(openai.AuthenticationError) as caught:
                await ask()
            self.assertEqual(caught.exception.code, "invalid_api_key")
            self.assertNotIn("sk-wrong", caught.exception.message)

    async def test_a_missing_key_does_not_authenticate(self) -> None:
        self.serve(api_key=["sk-right"])
        with self.assertRaises(openai.AuthenticationError) as caught:
            await self.create(extra_headers={"Authorization": openai.Omit()})
        self.assertIsNone(caught.exception.code)
        self.assertIn("didn't provide an API key", caught.exception.message)

    async def test_a_right_key_authenticates(self) -> None:
        self.serve(api_key=["sk-other", "sk-right"])
        self.options["api_key"] = "sk-right"
        self.assertEqual((await self.create()).object, "chat.completion")

    async def test_an_unknown_path_is_not_found(self) -> None:
        with self.assertRaises(openai.NotFoundError) as caught:
            await self.call("post", "/nonesuch", cast_to=object, body={})
        self.assertIn("POST /v1/nonesuch", caught.exception.message)

    async def test_a_rate_limit_is_a_rate_limit_error(self) -> None:
        with self.assertRaises(openai.RateLimitError) as caught:
            await self.create(**saying("[429]"))
        error = caught.exception
        self.assertEqual(error.code, "rate_limit_exceeded")
        self.assertEqual(error.type, "rate_limit_error")
        self.assertIsNone(error.param)
        self.assertEqual(len(self.sent), 1)

    async def test_a_rate_limited_request_is_sent_again_after_the_time_we_say(self) -> None:
        self.options["max_retries"] = 1
        with self.assertRaises(openai.RateLimitError):
            await self.create(**saying("[429]"))
        self.assertEqual(len(self.sent), 2)
        self.assertEqual(self.waits, [1.0])

    async def test_other_errors_are_not_worth_a_retry(self) -> None:
        self.options["max_retries"] = 1
        with self.assertRaises(openai.BadRequestError):
            await self.create(n=0)
        self.assertEqual(len(self.sent), 1)
        self.assertEqual(self.waits, [])


class AsyncErrorTests(AsyncSdk, ErrorTests):
    pass
