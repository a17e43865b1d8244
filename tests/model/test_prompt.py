"""What a message says, in one piece."""

from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import File, Image, Part, Refusal, Text, ToolCall, ToolResult
from fakellm.model.prompt import Message

PICTURE = Image(url="https://example.com/cat.png")


class MessageTests(SynchronousTestCase):
    def message(self, *parts: Part) -> Message:
        return Message(role="user", parts=parts)

    def test_its_text_is_that_of_its_text_parts_joined(self) -> None:
        said = self.message(Text(text="What "), PICTURE, Text(text="is this?"), File(id="file-1"))
        self.assertEqual(said.text, "What is this?")
        self.assertEqual(self.message(Refusal(text="No.")).text, "")
        self.assertEqual(self.message().text, "")

    def test_a_text_stands_alone_whatever_else_is_no_text(self) -> None:
        self.assertEqual(self.message(Text(text="[429]")).sole_text, "[429]")
        self.assertEqual(self.message(PICTURE, Text(text="[429]")).sole_text, "[429]")
        call = ToolCall(name="look", arguments="{}")
        self.assertEqual(self.message(Text(text="a"), call).sole_text, "a")

    def test_a_text_beside_another_does_not_stand_alone(self) -> None:
        self.assertIsNone(self.message(Text(text="[429]"), Text(text="")).sole_text)
        result = ToolResult(call_id="call_1", content="[429]")
        self.assertIsNone(self.message(result, Text(text="[429]")).sole_text)

    def test_a_tool_result_is_a_text_in_this(self) -> None:
        self.assertEqual(self.message(ToolResult(call_id="call_1", content="7")).sole_text, "7")

    def test_no_text_is_none(self) -> None:
        self.assertIsNone(self.message(PICTURE).sole_text)
        self.assertIsNone(self.message(Refusal(text="No.")).sole_text)
