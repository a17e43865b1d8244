"""Entries as they are told: every kind of part, and answers as they were said."""

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from fakellm.journal.records import AnswerRecord, JournalEntry
from fakellm.journal.rendering import entry_of
from fakellm.model.content import (
    Audio,
    File,
    HostedCall,
    Image,
    Reasoning,
    Refusal,
    Speech,
    Text,
    ToolCall,
    ToolResult,
)
from fakellm.model.prompt import Message, Tool
from fakellm.model.reply import Choice, Failure, Reply, Usage
from fakellm.timing.tokens import Splitter
from tests.journal.entries import noted, reply


class RenderingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.request = noted(1, "hello")

    def entry(self) -> JournalEntry:
        return entry_of(self.request, Splitter())

    def answered(self, *parts: Any, **fields: Any) -> AnswerRecord:
        self.request.answer = Reply(choices=(Choice(parts=parts),), model="m", **fields)
        answer = self.entry().answer
        assert answer is not None
        return answer

    def test_every_kind_of_part_of_a_message(self) -> None:
        parts = (
            Text(text="a"),
            Image(url="u"),
            Audio(data="d", format="wav"),
            File(name="n"),
            ToolResult(call_id="c", content="r"),
            ToolCall(name="f", arguments="{}"),
            Refusal(text="no"),
            Reasoning(text="hm"),
        )
        message = Message(role="user", parts=parts, name="Ann")
        assert self.request.prompt is not None
        self.request.prompt = msgspec.structs.replace(
            self.request.prompt, messages=(message,), tools=(Tool(name="f"),)
        )
        prompt = self.entry().prompt
        assert prompt is not None
        (told,) = prompt.messages
        self.assertEqual((told.text, told.name, prompt.tools), ("a", "Ann", ("f",)))
        self.assertEqual(
            [part["type"] for part in told.parts],
            [
                "text",
                "image",
                "audio",
                "file",
                "tool_result",
                "tool_call",
                "refusal",
                "reasoning",
            ],
        )

    def test_what_was_said_and_what_was_thought(self) -> None:
        (choice,) = self.answered(Reasoning(text="hm"), Text(text="Hi"), Refusal(text="!")).choices
        self.assertEqual((choice.text, choice.finish_reason), ("Hi!", "stop"))
        self.assertEqual(choice.parts[0], {"type": "reasoning", "text": "hm", "tokens": 0})

    def test_sound_and_what_the_vendor_did(self) -> None:
        (choice,) = self.answered(
            Speech(transcript="hello"), HostedCall(kind="web_search_call", fields={"a": 1})
        ).choices
        self.assertEqual(
            choice.parts,
            (
                {"type": "speech", "transcript": "hello"},
                {"type": "hosted_call", "kind": "web_search_call", "fields": {"a": 1}},
            ),
        )

    def test_an_answer_that_broke_off_with_an_error(self) -> None:
        answer = self.answered(Text(text="Hi"), failure=Failure(status=503, message="gone"))
        assert answer.error is not None
        self.assertEqual((answer.choices[0].text, answer.error.message), ("Hi", "gone"))
        self.assertEqual(answer.choices[0].finish_reason, "")

    def test_without_a_prompt_there_are_no_choices(self) -> None:
        self.request.prompt = None
        self.request.answer = reply("x")
        self.assertIsNone(self.entry().answer)

    def test_usage_has_a_total(self) -> None:
        self.request.usage = Usage(prompt=2, completion=3, cached=1, reasoning=1)
        usage = self.entry().usage
        assert usage is not None
        self.assertEqual((usage.total, usage.cached, usage.reasoning), (5, 1, 1))

    def test_it_is_JSON_and_can_be_read_back(self) -> None:
        self.request.answer = reply("x")
        entry = self.entry()
        text = msgspec.json.encode(entry)
        self.assertEqual(msgspec.json.decode(text, type=JournalEntry), entry)
