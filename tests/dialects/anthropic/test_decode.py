"""What a messages request asks, in neutral words."""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.anthropic.messages import AnthropicMessages
from fakellm.dialects.anthropic.request import CountRequest, MessagesRequest
from fakellm.model.content import File, Image, Reasoning, Text, ToolCall, ToolResult
from fakellm.model.prompt import AnswerFormat, Message, Tool, ToolChoice
from fakellm.scenarios.facts import Facts
from tests.dialects.anthropic.requests import (
    HELLO,
    VERSION,
    decoded,
    prompt_of,
    received,
    tool_result,
    tool_use,
)

USER: dict[str, Any] = {"role": "user", "content": "Hello"}
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}}


def messages_of(*messages: dict[str, Any]) -> tuple[Message, ...]:
    return prompt_of(messages=[*messages]).messages


def parts_of(*blocks: dict[str, Any]) -> tuple[Any, ...]:
    (message,) = messages_of({"role": "user", "content": [*blocks]})
    return message.parts


class PromptTests(SynchronousTestCase):
    def test_the_smallest_request(self) -> None:
        prompt = prompt_of()
        self.assertEqual((prompt.dialect, prompt.endpoint), ("anthropic", "messages"))
        self.assertEqual((prompt.model, prompt.max_tokens, prompt.n), ("m", 1000, 1))
        self.assertEqual(prompt.messages, (Message(role="user", parts=_text("Say something")),))
        self.assertFalse(prompt.stream)
        self.assertIsInstance(prompt.wire, MessagesRequest)
        self.assertEqual(prompt.unknown, ())

    def test_what_bounds_an_answer(self) -> None:
        prompt = prompt_of(stream=True, stop_sequences=["a", "b"], max_tokens=0)
        self.assertEqual((prompt.stream, prompt.stop, prompt.max_tokens), (True, ("a", "b"), 0))

    def test_a_count_needs_no_bound(self) -> None:
        asked = {"model": "m", "messages": [USER], "max_tokens": 3}
        prompt = decoded(received(asked), CountRequest)
        self.assertEqual((prompt.max_tokens, prompt.unknown), (None, ("max_tokens",)))

    def test_unknown_arguments_are_named(self) -> None:
        self.assertEqual(prompt_of(nonesuch=1, other=2).unknown, ("nonesuch", "other"))

    def test_the_effort(self) -> None:
        low = {"effort": "low"}
        self.assertEqual(prompt_of(output_config=low).reasoning_effort, "low")
        thoughtless = prompt_of(output_config=low, thinking={"type": "disabled"})
        self.assertIsNone(thoughtless.reasoning_effort)

    def test_structured_output_under_both_of_its_names(self) -> None:
        declared = {"type": "json_schema", "schema": SCHEMA}
        expected = AnswerFormat(kind="json_schema", schema=SCHEMA)
        self.assertEqual(prompt_of(output_config={"format": declared}).format, expected)
        self.assertEqual(prompt_of(output_format=declared).format, expected)
        self.assertEqual(prompt_of(output_config={}).format, AnswerFormat())

    def test_the_codec_decodes_with_the_key(self) -> None:
        headers = {**VERSION, "x-api-key": "k"}
        codec: Any = AnthropicMessages()
        prompt = codec.decode(received(HELLO, headers=headers), strict=True, kept=None)
        self.assertEqual((prompt.api_key, prompt.dialect), ("k", "anthropic"))


class MessagesTests(SynchronousTestCase):
    def test_the_system_prompt_is_a_turn(self) -> None:
        blocks = [{"type": "text", "text": "Be"}, {"type": "text", "text": "kind"}]
        for system, parts in (("Be", _text("Be")), (blocks, _text("Be", "kind"))):
            first, _ = prompt_of(system=system).messages
            self.assertEqual(first, Message(role="system", parts=parts))
        self.assertEqual(len(prompt_of(system="").messages), 1)
        self.assertEqual(len(prompt_of(system=[]).messages), 1)

    def test_roles(self) -> None:
        found = messages_of(
            USER,
            {"role": "system", "content": "Be kind"},
            {"role": "system"},
            {"role": "assistant", "content": "Hi"},
            {"role": "assistant", "content": ""},
        )
        roles = [message.role for message in found]
        self.assertEqual(roles, ["user", "system", "system", "assistant", "assistant"])
        self.assertEqual([message.text for message in found], ["Hello", "Be kind", "", "Hi", ""])

    def test_pictures(self) -> None:
        base64 = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
        for source, url in (
            (base64, "data:image/png;base64,AAAA"),
            ({"type": "url", "url": "https://example.com/x.png"}, "https://example.com/x.png"),
            ({"type": "file", "file_id": "file_1"}, "file:file_1"),
        ):
            self.assertEqual(parts_of({"type": "image", "source": source}), (Image(url=url),))

    def test_documents(self) -> None:
        for source, file in (
            ({"type": "base64", "media_type": "application/pdf", "data": "AA"}, File(data="AA")),
            ({"type": "text", "media_type": "text/plain", "data": "words"}, File(data="words")),
            ({"type": "content", "content": "words"}, File(data="words")),
            ({"type": "content", "content": [_block("a"), _block("b")]}, File(data="ab")),
            ({"type": "url", "url": "https://e.com"}, File(name="https://e.com")),
            ({"type": "file", "file_id": "file_1"}, File(id="file_1")),
        ):
            self.assertEqual(parts_of({"type": "document", "source": source}), (file,))
        titled = {"type": "document", "title": "T", "source": {"type": "url", "url": "u"}}
        self.assertEqual(parts_of(titled), (File(name="T"),))

    def test_search_results_are_text(self) -> None:
        found = {"type": "search_result", "source": "s", "title": "t", "content": [_block("a")]}
        self.assertEqual(parts_of(found), _text("a"))

    def test_thinking(self) -> None:
        (_, said) = messages_of(
            USER,
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "Hm", "signature": "x"},
                    {"type": "redacted_thinking", "data": "x"},
                    _block("Yes"),
                ],
            },
        )
        self.assertEqual(said.parts, (Reasoning(text="Hm"), Text(text="Yes")))

    def test_calls_and_their_results(self) -> None:
        picture = {"type": "image", "source": {"type": "url", "url": "u"}}
        found = messages_of(
            USER,
            {"role": "assistant", "content": [_block("So"), tool_use("1", "f", a=1)]},
            {"role": "assistant", "content": [tool_use("2", "g")]},
            {
                "role": "user",
                "content": [
                    tool_result("2", [_block("x"), picture, _block("y")], is_error=True),
                    tool_result("1", None),
                    _block("And?"),
                ],
            },
        )
        self.assertEqual(
            found[1:],
            (
                Message(
                    role="assistant",
                    parts=(Text(text="So"), ToolCall(id="1", name="f", arguments='{"a":1}')),
                ),
                Message(role="assistant", parts=(ToolCall(id="2", name="g", arguments="{}"),)),
                Message(
                    role="tool",
                    parts=(
                        ToolResult(call_id="2", content="xy", name="g", is_error=True),
                        Image(url="u"),
                        ToolResult(call_id="1", content="", name="f"),
                    ),
                ),
                Message(role="user", parts=_text("And?")),
            ),
        )

    def test_results_in_messages_of_their_own_are_one_turn(self) -> None:
        found = messages_of(
            USER,
            {"role": "assistant", "content": [tool_use("1"), tool_use("2")]},
            {"role": "user", "content": [tool_result("1")]},
            {"role": "system", "content": "Be kind"},
            {"role": "user", "content": [tool_result("2")]},
        )
        self.assertEqual([m.role for m in found[2:]], ["tool", "system", "tool"])

    def test_rules_see_the_steps_of_a_tool_loop(self) -> None:
        prompt = prompt_of(
            messages=[
                USER,
                {"role": "assistant", "content": [tool_use("1")]},
                {"role": "user", "content": [tool_result("1", "21")]},
            ]
        )
        facts = Facts(prompt)
        self.assertEqual((facts.user, facts.last, facts.step), ("Hello", "21", 2))
        self.assertEqual([result.content for result in facts.tool_results], ["21"])
        self.assertEqual(facts.last_role, "tool")


class ToolTests(SynchronousTestCase):
    def test_tools_of_the_client_s_own(self) -> None:
        plain = {"name": "f", "input_schema": SCHEMA}
        full = {**plain, "name": "g", "type": "custom", "description": "d", "strict": True}
        self.assertEqual(
            prompt_of(tools=[plain, full]).tools,
            (
                Tool(name="f", parameters=SCHEMA),
                Tool(name="g", parameters=SCHEMA, description="d", strict=True),
            ),
        )

    def test_tools_that_the_client_runs_have_an_input_that_can_be_run(self) -> None:
        tools = prompt_of(
            tools=[
                {"type": "bash_20250124", "name": "bash"},
                {"type": "memory_20250818", "name": "memory"},
            ]
        ).tools
        self.assertEqual([tool.name for tool in tools], ["bash", "memory"])
        self.assertTrue(all(tool.parameters for tool in tools))

    def test_tools_that_the_api_runs_are_not_offered(self) -> None:
        search = {"type": "web_search_20250305", "name": "web_search"}
        toolset = {"type": "mcp_toolset", "mcp_server_name": "m"}
        self.assertEqual(prompt_of(tools=[search, toolset]).tools, ())
        for choice in ({"type": "any"}, {"type": "tool", "name": "web_search"}):
            self.assertEqual(prompt_of(tools=[search], tool_choice=choice).tool_choice.mode, "auto")

    def test_the_choice(self) -> None:
        tools = [{"name": name, "input_schema": SCHEMA} for name in "fg"]
        for choice, expected in (
            (None, ToolChoice()),
            ({"type": "auto"}, ToolChoice()),
            ({"type": "none"}, ToolChoice(mode="none")),
            ({"type": "any"}, ToolChoice(mode="required")),
            ({"type": "tool", "name": "g"}, ToolChoice(mode="required", names=("g",))),
        ):
            prompt = prompt_of(tools=tools, tool_choice=choice)
            self.assertEqual(prompt.tool_choice, expected)
            self.assertIsNone(prompt.parallel_tool_calls)
        self.assertEqual(prompt_of(tool_choice={"type": "none"}).tool_choice.mode, "none")

    def test_parallel_calls(self) -> None:
        tools = [{"name": "f", "input_schema": SCHEMA}]
        for disabled in (True, False):
            choice = {"type": "any", "disable_parallel_tool_use": disabled}
            prompt = prompt_of(tools=tools, tool_choice=choice)
            self.assertIs(prompt.parallel_tool_calls, not disabled)


class KeyTests(SynchronousTestCase):
    def test_the_key_is_in_one_of_two_headers(self) -> None:
        codec = AnthropicMessages()
        for headers, key in (
            ({}, None),
            ({"x-api-key": "a"}, "a"),
            ({"x-api-key": " "}, None),
            ({"authorization": "Bearer b"}, "b"),
            ({"authorization": "bearer  b "}, "b"),
            ({"authorization": "Basic b"}, None),
            ({"authorization": "Bearer "}, None),
            ({"x-api-key": "a", "authorization": "Bearer b"}, "a"),
        ):
            self.assertEqual(codec.api_key(received(headers=headers)), key, headers)


def _block(text: str) -> dict[str, Any]:
    return {"type": "text", "text": text}


def _text(*texts: str) -> tuple[Text, ...]:
    return tuple(Text(text=text) for text in texts)
