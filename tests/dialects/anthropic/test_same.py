"""Streamed or whole, an answer is the same."""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import Reasoning, Refusal, SaidPart, Speech, Text, ToolCall
from fakellm.model.reply import Choice, Reply, UsageOverride
from fakellm.timing.tokens import tokenizer
from fakellm.timing.unfold import unfold
from tests.dialects.anthropic.answering import body_of, encoded, message, reassembled
from tests.dialects.anthropic.requests import anything, prompt_of, valid_requests

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)

words = st.text(max_size=30) | st.sampled_from(["hello world", "Hello, wörld! 😀 \n\n", "[1, 2]"])
objects = st.dictionaries(st.text(max_size=5), anything, max_size=4).map(json.dumps)
parts: st.SearchStrategy[SaidPart] = st.one_of(
    st.builds(Text, text=words),
    st.builds(Refusal, text=words),
    st.builds(Reasoning, text=words, tokens=st.integers(0, 20)),
    st.builds(ToolCall, name=st.sampled_from(["f", "g"]), arguments=objects, id=words),
    st.builds(ToolCall, name=st.just("h"), arguments=words, kind=st.just("custom")),
    st.builds(Speech, transcript=words),
)
replies = st.builds(
    Reply,
    choices=st.tuples(
        st.builds(
            Choice,
            parts=st.lists(parts, max_size=4).map(tuple),
            finish_reason=st.sampled_from([None, "stop", "length", "content_filter"]),
        )
    ),
    model=words,
    usage=st.none() | st.builds(UsageOverride, cached=st.integers(0, 9)),
)


class SameTests(SynchronousTestCase):
    maxDiff = None

    @few
    @given(valid_requests(), replies)
    def test_any_reply_to_any_request(self, request: dict[str, Any], reply: Reply) -> None:
        streamed, whole = prompt_of(**request, stream=True), prompt_of(**request)
        split = tokenizer("words")
        one = reassembled(body_of(encoded(streamed, unfold(streamed, reply, split).events)))
        other = body_of(encoded(whole, unfold(whole, reply, split).events))
        self.assertEqual(one, message(other).to_dict())
