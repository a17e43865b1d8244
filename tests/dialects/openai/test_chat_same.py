"""Streamed or whole, an answer is the same."""

import base64
import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import Reasoning, Refusal, SaidPart, Speech, Text, ToolCall
from fakellm.model.reply import Choice, Reply
from fakellm.timing.tokens import tokenizer
from fakellm.timing.unfold import unfold
from tests.dialects.openai.answering import body_of, chunks_of, encoded, reassembled
from tests.dialects.openai.requests import prompt_of, valid_requests

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)

words = st.text(max_size=30) | st.sampled_from(["hello world", "Hello, wörld! 😀 \n\n", "[1, 2]"])
parts: st.SearchStrategy[SaidPart] = st.one_of(
    st.builds(Text, text=words),
    st.builds(Refusal, text=words),
    st.builds(Reasoning, text=words, tokens=st.integers(0, 20)),
    st.builds(
        ToolCall,
        name=st.sampled_from(["f", "g"]),
        arguments=words,
        id=st.text(max_size=5),
        kind=st.sampled_from(["function", "custom"]),
    ),
    st.builds(Speech, transcript=words),
)
choices = st.builds(
    Choice,
    parts=st.lists(parts, min_size=1, max_size=4).map(tuple),
    finish_reason=st.sampled_from([None, "stop", "length", "content_filter"]),
)
replies = st.builds(
    Reply, choices=st.lists(choices, min_size=1, max_size=3).map(tuple), model=words
)


class SameTests(SynchronousTestCase):
    maxDiff = None

    @few
    @given(valid_requests(), replies)
    def test_any_reply_to_any_request(self, request: dict[str, Any], reply: Reply) -> None:
        spoken = {"audio": {"voice": "alloy", "format": "pcm16"}}
        if request.get("functions"):
            reply = _in_the_days_of_functions(reply)
        options = {"include_usage": True}
        streamed = prompt_of(**{**request, **spoken}, stream=True, stream_options=options)
        whole = prompt_of(**{**request, **spoken})
        split = tokenizer("words")
        one = reassembled(
            chunks_of(body_of(encoded(streamed, unfold(streamed, reply, split).events)))
        )
        other = json.loads(body_of(encoded(whole, unfold(whole, reply, split).events)))
        self.assertEqual(_compared(one), _compared(other))


def _in_the_days_of_functions(reply: Reply) -> Reply:
    return Reply(
        model=reply.model,
        choices=tuple(
            Choice(
                finish_reason=choice.finish_reason,
                parts=tuple(
                    ToolCall(name=part.name, arguments=part.arguments)
                    if isinstance(part, ToolCall)
                    else part
                    for part in choice.parts
                ),
            )
            for choice in reply.choices
        ),
    )


def _compared(whole: dict[str, Any]) -> dict[str, Any]:
    """An answer without what cannot be the same."""
    whole.pop("object", None)
    whole.pop("metadata", None)  # no chunk has it
    for choice in whole["choices"]:
        message = choice["message"]
        message.pop("annotations", None)
        for call in message.get("tool_calls", []):
            if call["id"].startswith("call_"):
                call["id"] = "made"
        if "audio" in message:
            # ids are made in the order they are needed, and sound is cut into parts
            message["audio"]["id"] = "made"
            data = message["audio"].pop("data")
            assert base64.b64decode(data), message
    return whole
