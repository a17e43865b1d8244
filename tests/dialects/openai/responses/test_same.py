"""Streamed, whole or told again, a response is the same; and it is what the SDK declares."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from openai._types import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.shelf import Shelf
from fakellm.model.content import HostedCall, Reasoning, Refusal, SaidPart, Speech, Text, ToolCall
from fakellm.model.reply import Reply
from tests.dialects.openai.responses.answering import (
    body_of,
    checked_event,
    checked_response,
    encoded,
    events_of,
    keep,
    operate,
    prompt_of,
    reply,
    whole_of,
)
from tests.sdk import published

few = settings(deadline=None, derandomize=True, max_examples=60, database=None)

words = st.text(max_size=30) | st.sampled_from(["hello world", "Hello, wörld! 😀 \n\n", "[1, 2]"])
HOSTED = (
    "web_search_call",
    "file_search_call",
    "code_interpreter_call",
    "image_generation_call",
    "computer_call",
    "local_shell_call",
    "shell_call",
    "apply_patch_call",
    "mcp_call",
    "mcp_list_tools",
    "mcp_approval_request",
)
parts: st.SearchStrategy[SaidPart] = st.one_of(
    st.builds(Text, text=words),
    st.builds(Refusal, text=words),
    st.builds(Reasoning, text=words, tokens=st.integers(0, 20)),
    st.builds(
        ToolCall,
        name=st.sampled_from(["f", "g"]),
        arguments=words,
        kind=st.sampled_from(["function", "custom"]),
    ),
    st.builds(Speech, transcript=words),
    st.builds(HostedCall, kind=st.sampled_from(HOSTED)),
)
replies = st.builds(
    lambda said, reason: reply(*said, reason=reason),
    st.lists(parts, max_size=5),
    st.sampled_from([None, "stop", "length", "content_filter"]),
)
asked = st.fixed_dictionaries(
    {},
    optional={
        "max_output_tokens": st.integers(16, 20),
        "reasoning": st.sampled_from([{"summary": "auto"}, {"effort": "low"}]),
        "include": st.sampled_from(
            [
                ["message.output_text.logprobs"],
                ["reasoning.encrypted_content", "code_interpreter_call.outputs"],
                ["file_search_call.results", "web_search_call.action.sources"],
            ]
        ),
        "top_logprobs": st.integers(0, 3),
        "instructions": st.just("Be kind."),
        "background": st.booleans(),
    },
)


class SameTests(SynchronousTestCase):
    maxDiff = None

    @few
    @given(asked, replies)
    def test_streamed_whole_and_told_again(self, fields: dict[str, Any], said: Reply) -> None:
        shelf = Shelf()
        acts = keep(encoded(prompt_of(stream=True, **fields), said), shelf)
        streamed = events_of(body_of(acts))
        whole = whole_of(encoded(prompt_of(**{**fields, "background": None}), said))
        last = streamed[-1]["response"]
        self.assertEqual(last, {**whole, "background": last["background"]})
        again = operate("GET", f"/v1/responses/{last['id']}", shelf, query={"stream": "true"})
        self.assertEqual(events_of(body_of(again)), streamed)
        found = operate("GET", f"/v1/responses/{last['id']}", shelf)
        self.assertEqual(whole_of(found), last)

    @few
    @given(asked, replies)
    def test_what_the_sdk_declares_and_puts_together(
        self, fields: dict[str, Any], said: Reply
    ) -> None:
        events = events_of(body_of(encoded(prompt_of(stream=True, **fields), said)))
        state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
        for event in events:
            state.handle_event(checked_event(event))
        checked_response(events[-1]["response"])
        if events[-1]["type"] == "response.completed":
            made = state._completed_response.to_dict()
            self.assertEqual(len(made["output"]), len(events[-1]["response"]["output"]))

    @few
    @given(asked, replies)
    def test_numbers_and_places_are_consistent(self, fields: dict[str, Any], said: Reply) -> None:
        events = events_of(body_of(encoded(prompt_of(stream=True, **fields), said)))
        self.assertEqual([e["sequence_number"] for e in events], list(range(len(events))))
        items: dict[int, dict[str, Any]] = {}
        done: dict[int, dict[str, Any]] = {}
        texts: dict[tuple[int, int], str] = {}
        for event in events:
            index: int = event.get("output_index", -1)
            if event["type"] == "response.output_item.added":
                self.assertEqual(index, len(items))
                self.assertEqual(set(items), set(done))
                items[index] = event["item"]
            elif event["type"] == "response.output_item.done":
                self.assertEqual(event["item"]["id"], items[index]["id"])
                done[index] = event["item"]
            elif index >= 0:
                self.assertEqual(event["item_id"], items[index]["id"])
                self.assertNotIn(index, done)
            place = (index, event.get("content_index", event.get("summary_index", 0)))
            if "delta" in event:
                texts[place] = texts.get(place, "") + event["delta"]
            for name in ("text", "refusal", "arguments", "input"):
                if event["type"].endswith(f"{name}.done"):
                    self.assertEqual(event[name], texts.get(place, ""))
        self.assertEqual([*done.values()], events[-1]["response"]["output"])


class PublishedTests(SynchronousTestCase):
    """The published schema, where a copy of it is at hand.

    ``usage`` and ``user`` are ``null`` in the API's own answers, which the schema does not say.
    """

    def test_every_event_and_the_response(self) -> None:
        event_type, response_type = published("ResponseStreamEvent"), published("Response")
        said = reply(
            Reasoning(text="Let me think."),
            *(HostedCall(kind=kind) for kind in HOSTED),
            Text(text="hello world"),
            Refusal(text="no more"),
            ToolCall(name="f", arguments="{}"),
            ToolCall(name="g", arguments="x", kind="custom"),
        )
        asking: dict[str, Any] = {
            "reasoning": {"summary": "auto"},
            "include": ["message.output_text.logprobs", "reasoning.encrypted_content"],
            "top_logprobs": 2,
        }
        more: dict[str, Any]
        for more in ({}, {"background": True}, {"max_output_tokens": 16}):
            acts = encoded(prompt_of(stream=True, **asking, **more), said)
            for event in events_of(body_of(acts)):
                event_type.validate(_told(event))
                if "response" in event:
                    response_type.validate(_told(event)["response"])
        event_type.validate(
            json.loads(
                '{"type":"error","code":null,"message":"x","param":null,"sequence_number":3}'
            )
        )


def _told(event: dict[str, Any]) -> dict[str, Any]:
    response = event.get("response")
    if response is None:
        return event
    kept = {
        name: value
        for name, value in response.items()
        if value is not None or name not in ("usage", "user")
    }
    return {**event, "response": kept}
