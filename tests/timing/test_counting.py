"""How many tokens a prompt is billed for."""

from collections.abc import Sequence

from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import (
    Audio,
    File,
    HostedCall,
    Image,
    Part,
    Reasoning,
    Refusal,
    Speech,
    Text,
    ToolCall,
    ToolResult,
)
from fakellm.model.prompt import AnswerFormat, Message, Prompt, Received, Tool
from fakellm.timing.counting import prompt_tokens
from fakellm.timing.tokens import ENCODINGS, BytePairs, Splitter

PER_REPLY = 3
PER_MESSAGE = 3 + 1


def prompt(
    *messages: Message, tools: Sequence[Tool] = (), answer_format: AnswerFormat | None = None
) -> Prompt:
    return Prompt(
        dialect="test",
        endpoint="test",
        model="fake-model",
        messages=messages,
        tools=tuple(tools),
        format=answer_format or AnswerFormat(),
        received=Received(method="POST", path="/"),
    )


def user(*parts: Part, name: str | None = None) -> Message:
    return Message(role="user", parts=parts, name=name)


class PromptTests(SynchronousTestCase):
    def count(self, asked: Prompt) -> int:
        return prompt_tokens(asked, Splitter())

    def part(self, part: Part) -> int:
        """What a part adds to its message."""
        return self.count(prompt(user(part))) - PER_REPLY - PER_MESSAGE

    def test_a_reply_begins_with_three_tokens_and_a_message_with_three_and_its_role(self) -> None:
        self.assertEqual(self.count(prompt()), PER_REPLY)
        self.assertEqual(self.count(prompt(user())), PER_REPLY + PER_MESSAGE)
        self.assertEqual(self.count(prompt(user(), user())), PER_REPLY + 2 * PER_MESSAGE)

    def test_a_call_of_the_vendors_own_is_counted_by_its_json(self) -> None:
        call = HostedCall(kind="web_search_call", fields={"status": "completed"})
        self.assertEqual(self.part(call), Splitter().count('{"status":"completed"}'))

    def test_a_greeting_costs_eight_tokens_as_it_does_with_the_api(self) -> None:
        """One of its own, four of its message, three of the reply."""
        for name in ENCODINGS:
            greeting = prompt(user(Text(text="hi")))
            self.assertEqual(prompt_tokens(greeting, BytePairs(name)), 8, name)

    def test_a_name_is_counted_with_one_more(self) -> None:
        named = self.count(prompt(user(name="Ada")))
        self.assertEqual(named, PER_REPLY + PER_MESSAGE + 1 + 1)

    def test_words_are_counted_wherever_they_stand(self) -> None:
        words = "one two three"
        for part in (
            Text(text=words),
            Refusal(text=words),
            Reasoning(text=words, tokens=64),
            Speech(transcript=words),
            ToolResult(call_id="call_1", content=words),
        ):
            self.assertEqual(self.part(part), 3, part)

    def test_a_call_is_its_name_its_arguments_and_three_more(self) -> None:
        call = ToolCall(name="look", arguments="one two three", id="call_1")
        self.assertEqual(self.part(call), 1 + 3 + 3)

    def test_a_picture_costs_by_its_detail(self) -> None:
        """85 tokens in low detail; otherwise those of a square of 1024 pixels: 85 + 4 * 170."""
        self.assertEqual(self.part(Image(url="data:", detail="low")), 85)
        for detail in ("high", "auto", "original", None):
            self.assertEqual(self.part(Image(url="data:", detail=detail)), 765, detail)

    def test_sound_and_files_cost_by_their_size(self) -> None:
        self.assertEqual(self.part(Audio(data="", format="wav")), 0)
        self.assertEqual(self.part(Audio(data="A", format="wav")), 1)
        self.assertEqual(self.part(Audio(data="A" * 24_000, format="wav")), 10)
        self.assertEqual(self.part(File(data="A" * 2401)), 2)

    def test_an_uploaded_file_is_not_here_to_be_counted(self) -> None:
        self.assertEqual(self.part(File(id="file-1")), 0)

    def test_tools_are_counted_by_their_json(self) -> None:
        tool = Tool(name="look", description="Look it up.", parameters={"type": "object"})
        one = self.count(prompt(tools=[tool])) - PER_REPLY
        self.assertGreater(one, Splitter().count('{"name":"look","description":"Look it up."}'))
        self.assertEqual(self.count(prompt(tools=[tool, tool])), PER_REPLY + 2 * one)

    def test_the_schema_of_the_answer_is_counted_by_its_json(self) -> None:
        schema = {"type": "object", "properties": {"age": {"type": "integer"}}}
        wanted = AnswerFormat(kind="json_schema", name="person", schema=schema)
        written = '{"type":"object","properties":{"age":{"type":"integer"}}}'
        self.assertEqual(
            self.count(prompt(answer_format=wanted)), PER_REPLY + Splitter().count(written)
        )
        self.assertEqual(self.count(prompt(answer_format=AnswerFormat(kind="json_object"))), 3)
