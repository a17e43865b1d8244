"""What any dialect has to get right, whatever its words: one suite for all.

`make_dialect_tests` makes a test case of an adapter (`tests.dialects.adapters.base.Adapter`). A
scenario that a vendor's format has no words for is not in its adapter's ``can``, and has no test.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.engine.shelf import Shelf
from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from fakellm.model.content import Reasoning, Refusal, SaidPart, Text, ToolCall, ToolResult
from fakellm.model.events import Event, Failed
from fakellm.model.framing import DEFAULT_FRAMING
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Choice, Failure, FinishReason, Refused, Reply
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Finish
from fakellm.timing.unfold import unfold
from tests.dialects.adapters.base import ARGUMENTS, CALL_ID, RESULT, SCHEMA, Adapter, Said, Wanted
from tests.dialects.openai.requests import anything
from tests.dialects.openai.texts import WORDS, sent, stamp

STATUSES = (400, 401, 403, 404, 405, 409, 413, 422, 429, 500, 502, 503, 504, 529, 418, 599)
TEXTS = (
    "hello world",
    "😀 \U0001d573ello 👩‍👩‍👧‍👦 \u2028 ümläut \u0000\u001f\u007f \ufeff \U0010ffff",
    'quotes " and \\ and \r\n\n line ends, data: [DONE]\n\ndata: {"choices":[{',
    " ".join(map(str, range(2000))),
)
BOTH = (False, True)
few = settings(deadline=None, derandomize=True, max_examples=100, database=None)


class _Contract(SynchronousTestCase):
    adapter: Adapter

    def received(self, body: bytes) -> Received:
        return Received(
            method="POST",
            path=self.adapter.path,
            query=self.adapter.query,
            headers=self.adapter.headers,
            body=body,
        )

    def asked(self, wanted: Wanted) -> Prompt:
        """What the dialect makes of a request."""
        body = json.dumps(self.adapter.body(wanted)).encode()
        prompt: Prompt = self.adapter.dialect.decode(
            self.received(body), strict=False, kept=Shelf()
        )
        return prompt

    def acts(
        self, prompt: Prompt, events: Iterable[Event], chance: Stamp | None = None
    ) -> list[Act]:
        """What its encoder makes of events."""
        encoder = self.adapter.dialect.encoder(prompt, chance or stamp(), DEFAULT_FRAMING)
        return [act for event in events for act in encoder.encode(event)]

    def said(
        self,
        *parts: SaidPart,
        reason: FinishReason | None = None,
        failure: Failure | None = None,
        **wanted: Any,
    ) -> Said:
        """What a client reads of a reply."""
        prompt = self.asked(Wanted(**wanted))
        choice = Choice(parts=parts, finish_reason=reason)
        reply = Reply(choices=(choice,), model="fake", failure=failure)
        head, body = sent(self.acts(prompt, unfold(prompt, reply, WORDS).events))
        self.assertEqual(head.status, 200, body)
        if prompt.stream:
            kinds = [value for name, value in head.headers if name.lower() == "content-type"]
            self.assertTrue(kinds[0].startswith("text/event-stream"), kinds)
            return self.adapter.streamed(body)
        return self.adapter.whole(body)

    def test_it_is_a_dialect(self) -> None:
        verifyObject(IDialect, self.adapter.dialect)
        verifyObject(IErrorWords, self.adapter.dialect.errors)
        for stream in BOTH:
            prompt = self.asked(Wanted(stream=stream))
            verifyObject(IEncoder, self.adapter.dialect.encoder(prompt, stamp(), DEFAULT_FRAMING))
            self.assertEqual((prompt.stream, prompt.model), (stream, "m"))
            self.assertEqual(prompt.messages[-1].text, "Say something")
            self.assertEqual(prompt.dialect, self.adapter.dialect.name)

    def test_text_whatever_is_in_it(self) -> None:
        for text in TEXTS:
            for stream in BOTH:
                said = self.said(Text(text=text), stream=stream)
                self.assertEqual(said.text, text)
                self.assertEqual(said.finish, self.adapter.finish["stop"])
                self.assertEqual((said.calls, said.refusal, said.error), ((), "", None))

    def test_text_of_no_words(self) -> None:
        for stream in BOTH:
            self.assertEqual(self.said(Text(text=""), stream=stream).text, "")

    def test_texts_are_one_after_another(self) -> None:
        for stream in BOTH:
            self.assertEqual(self.said(Text(text="a"), Text(text="b"), stream=stream).text, "ab")

    def test_reasoning_is_never_taken_for_what_is_said(self) -> None:
        for stream in BOTH:
            thought = Reasoning(text="Let me think", tokens=5)
            said = self.said(thought, Text(text="yes"), stream=stream)
            self.assertEqual(said.text, "yes")

    def test_a_refusal_is_never_silent(self) -> None:
        for stream in BOTH:
            said = self.said(Refusal(text="I won't"), stream=stream)
            self.assertEqual(said.refusal + said.text, "I won't")

    def test_each_finish_reason(self) -> None:
        for reason, words in self.adapter.finish.items():
            for stream in BOTH:
                if reason != "tool_calls":
                    said = self.said(Text(text="a b"), reason=reason, stream=stream)
                    self.assertEqual((said.finish, said.text), (words, "a b"), reason)

    def test_a_bound(self) -> None:
        for stream in BOTH:
            # 16 is the least that some take
            said = self.said(Text(text="word " * 50), max_tokens=16, stream=stream)
            self.assertEqual(said.finish, self.adapter.finish["length"])
            self.assertEqual(said.usage and said.usage[1], 16)
            self.assertTrue(said.text and len(said.text) < 250)

    def test_usage(self) -> None:
        for stream in BOTH:
            prompt = self.asked(Wanted(stream=stream))
            reply = Reply(choices=(Choice(parts=(Text(text="hello world"),)),), model="fake")
            counted = unfold(prompt, reply, WORDS).prompt_tokens
            said = self.said(Text(text="hello world"), stream=stream)
            self.assertEqual(said.usage, (counted, WORDS.count("hello world")))

    def test_errors_of_every_status(self) -> None:
        for status in STATUSES:
            for message in (None, "Something 😀 went wrong"):
                failure = Failure(status=status, message=message)
                told = self.adapter.dialect.failure(failure, stamp())
                self.failed(told, failure)
                for stream in BOTH:
                    prompt = self.asked(Wanted(stream=stream))
                    self.failed(self.acts(prompt, [Failed(failure=failure)]), failure)

    def failed(self, told: Iterable[Act], failure: Failure) -> None:
        """Check that an answer is an error."""
        acts = list(told)
        self.assertIsInstance(acts[-1], Finish)
        head, body = sent(acts)
        self.assertEqual(head.status, failure.status)
        message = self.adapter.error(head, body)
        self.assertTrue(message)
        if failure.message is not None:
            self.assertEqual(message, failure.message)

    def test_headers_of_a_failure_are_sent(self) -> None:
        failure = Failure(status=429, headers=(("Retry-After", "7"),))
        head, _ = sent(self.adapter.dialect.failure(failure, stamp()))
        self.assertIn(("Retry-After", "7"), head.headers)

    def test_a_failure_in_mid_stream_is_told_after_what_was_said(self) -> None:
        failure = Failure(status=500, message="That's it")
        said = self.said(Text(text="hello world"), failure=failure, stream=True)
        self.assertEqual((said.text, said.error), ("hello world", "That's it"))

    def test_a_failure_may_come_after_any_event(self) -> None:
        reply = Reply(choices=(Choice(parts=(Text(text="hello world"),)),), model="fake")
        for stream in BOTH:
            prompt = self.asked(Wanted(stream=stream))
            events = list(unfold(prompt, reply, WORDS).events)
            for count in range(len(events)):
                failed = Failed(failure=Failure(status=503, message="no"))
                acts = self.acts(prompt, [*events[:count], failed])
                self.assertEqual([type(act) for act in acts].count(Finish), 1)
                self.assertIsInstance(acts[-1], Finish)
                head, body = sent(acts)
                if head.status == 200:
                    self.assertTrue(stream)
                    self.assertIn(b"no", body)
                else:
                    self.assertEqual((head.status, self.adapter.error(head, body)), (503, "no"))

    def test_the_same_again_is_the_same(self) -> None:
        reply = Reply(choices=(Choice(parts=(Text(text="hello world"),)),), model="fake")
        for stream in BOTH:
            prompt = self.asked(Wanted(stream=stream))
            one, again, other = (
                sent(self.acts(prompt, unfold(prompt, reply, WORDS).events, chance))
                for chance in (stamp(), stamp(), stamp(2))
            )
            self.assertEqual(one, again)
            self.assertNotEqual(one, other)

    def test_headers_of_a_reply_are_sent(self) -> None:
        reply = Reply(
            choices=(Choice(parts=(Text(text="a"),)),), model="fake", headers=(("X-A", "1"),)
        )
        for stream in BOTH:
            prompt = self.asked(Wanted(stream=stream))
            head, _ = sent(self.acts(prompt, unfold(prompt, reply, WORDS).events))
            self.assertIn(("X-A", "1"), head.headers)

    def test_a_document_is_sent_as_it_is(self) -> None:
        head, body = sent(self.adapter.dialect.document(b'{"a":1}', stamp()))
        self.assertEqual((head.status, body), (200, b'{"a":1}'))

    def refused(self, body: bytes) -> None:
        """Check that a body is understood, or refused with a status and words."""
        for strict in BOTH:
            try:
                self.adapter.dialect.decode(self.received(body), strict=strict, kept=Shelf())
            except Refused as refused:
                self.assertTrue(400 <= refused.failure.status < 500)
                self.assertTrue(refused.failure.message)
                self.failed(self.adapter.dialect.failure(refused.failure, stamp()), refused.failure)


def places(value: Any) -> Iterable[tuple[Any, Any]]:
    """Where in a value there is another: what holds it, and under what key."""
    keys: Iterable[Any] = ()
    if isinstance(value, dict):
        keys = value
    elif isinstance(value, list):
        keys = range(len(value))
    for key in keys:
        yield value, key
        yield from places(value[key])


class _ToolsContract(_Contract):
    """What a dialect with tools has to get right."""

    def test_parallel_tool_calls(self) -> None:
        calls = tuple(
            ToolCall(name=name, arguments=arguments)
            for name, arguments in (("f", '{"a": 1}'), ("g", '{"b": "😀"}'), ("f", "{}"))
        )
        for stream in BOTH:
            said = self.said(*calls, stream=stream, tools=("f", "g"))
            self.assertEqual(
                [(name, json.loads(arguments)) for name, arguments in said.calls],
                [(call.name, json.loads(call.arguments)) for call in calls],
            )
            self.assertEqual(said.finish, self.adapter.finish["tool_calls"])

    def test_text_before_a_call(self) -> None:
        for stream in BOTH:
            call = ToolCall(name="f", arguments="{}")
            said = self.said(Text(text="Let me see"), call, stream=stream, tools=("f",))
            self.assertEqual((said.text, [name for name, _ in said.calls]), ("Let me see", ["f"]))

    def test_calls_end_for_their_sake(self) -> None:
        for stream in BOTH:
            call = ToolCall(name="f", arguments="{}", id="call_own")
            said = self.said(call, stream=stream, tools=("f",))
            self.assertEqual(said.finish, self.adapter.finish["tool_calls"])

    def test_a_tool_loop_is_understood(self) -> None:
        prompt = self.asked(Wanted(tools=("weather",), looped=True))
        self.assertEqual([tool.name for tool in prompt.tools], ["weather"])
        parts = [part for message in prompt.messages for part in message.parts]
        (call,) = [part for part in parts if isinstance(part, ToolCall)]
        self.assertEqual((call.name, call.id), ("weather", CALL_ID))
        self.assertEqual(json.loads(call.arguments), json.loads(ARGUMENTS))
        (result,) = [part for part in parts if isinstance(part, ToolResult)]
        self.assertEqual(result, ToolResult(call_id=CALL_ID, content=RESULT, name="weather"))
        self.assertEqual(prompt.messages[-1].role, "tool")
        for stream in BOTH:
            wanted: dict[str, Any] = {"tools": ("weather",), "looped": True, "stream": stream}
            self.assertEqual(self.said(Text(text="It is sunny"), **wanted).text, "It is sunny")


class _FormatContract(_Contract):
    """What one with structured output has to."""

    def test_structured_output(self) -> None:
        prompt = self.asked(Wanted(schema=SCHEMA))
        self.assertEqual((prompt.format.kind, prompt.format.schema), ("json_schema", SCHEMA))
        for stream in BOTH:
            said = self.said(Text(text='{"number": 7}'), schema=SCHEMA, stream=stream)
            self.assertEqual(json.loads(said.text), {"number": 7})


class _ReasoningContract(_Contract):
    """What one that shows reasoning has to."""

    def test_reasoning_is_shown(self) -> None:
        for stream in BOTH:
            said = self.said(Reasoning(text="Let me think"), Text(text="yes"), stream=stream)
            self.assertEqual((said.reasoning, said.text), ("Let me think", "yes"))


class _RefusalContract(_Contract):
    """What one with refusals apart from text has to."""

    def test_a_refusal(self) -> None:
        for stream in BOTH:
            said = self.said(Refusal(text="I won't"), stream=stream)
            self.assertEqual((said.refusal, said.text), ("I won't", ""))


class _StopContract(_Contract):
    """What one with stop sequences has to."""

    def test_a_stop_sequence(self) -> None:
        for stream in BOTH:
            said = self.said(Text(text="one two three"), stop=("two",), stream=stream)
            self.assertEqual(said.text, "one ")


_SCENARIOS: dict[str, type[_Contract]] = {
    "tools": _ToolsContract,
    "format": _FormatContract,
    "reasoning": _ReasoningContract,
    "refusal": _RefusalContract,
    "stop": _StopContract,
}


def make_dialect_tests(make: Callable[[], Adapter], module: str) -> type[SynchronousTestCase]:
    """The tests of a dialect.

    Args:
        make: makes its adapter.
        module: where they are, under the adapter's name with ``Tests`` for ``Adapter``.
    """

    # hypothesis wants a function of its own for each class
    class Anything(_Contract):
        @few
        @given(st.binary(max_size=40) | st.text(max_size=40).map(lambda text: text.encode()))
        def test_any_bytes_are_refused_in_words(self, body: bytes) -> None:
            self.refused(body)

        @few
        @given(anything)
        def test_any_json_is_understood_or_refused_in_words(self, value: Any) -> None:
            self.refused(json.dumps(value).encode())

        @few
        @given(st.data())
        def test_a_request_with_anything_anywhere_in_it(self, data: st.DataObject) -> None:
            tools = ("f",) if "tools" in self.adapter.can else ()
            wanted = Wanted(tools=tools, looped=bool(tools), stream=data.draw(st.booleans()))
            body = self.adapter.body(wanted)
            holder, key = data.draw(st.sampled_from([*places(body)]))
            holder[key] = data.draw(anything)
            self.refused(json.dumps(body).encode())

    adapter = make()
    bases = (*(_SCENARIOS[name] for name in sorted(adapter.can)), Anything)
    name = type(adapter).__name__.replace("Adapter", "Tests")
    # by these names runners of several processes find the tests again
    return type(name, bases, {"adapter": adapter, "__module__": module})
