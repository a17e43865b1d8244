"""What a request looks like to the rules of a scenario."""

from collections.abc import Mapping
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import Audio, File, Image, Part, Text, ToolCall, ToolResult
from fakellm.model.prompt import Message, Prompt, Received, Role, Tool
from fakellm.scenarios.facts import Facts


def said(role: Role, *texts: str) -> Message:
    """A message of text parts."""
    return Message(role=role, parts=tuple(Text(text=text) for text in texts))


def result(content: str, *, name: str | None = None, call_id: str = "call_1") -> Message:
    """A message that brings a tool result."""
    part = ToolResult(call_id=call_id, content=content, name=name)
    return Message(role="tool", parts=(part,))


def called(name: str = "get_weather") -> Message:
    """An assistant message that calls a tool."""
    return Message(role="assistant", parts=(ToolCall(name=name, arguments="{}", id="call_1"),))


def prompt_of(
    *messages: Message,
    headers: Mapping[str, str] | None = None,
    query: Mapping[str, str] | None = None,
    body: Any = None,
    raw: bytes | None = None,
    **fields: Any,
) -> Prompt:
    """A prompt of these messages, with a body of JSON (or raw bytes)."""
    received = Received(
        method="POST",
        path="/v1/chat/completions",
        headers=headers or {},
        query=query or {},
        body=msgspec.json.encode(body) if raw is None else raw,
    )
    asked = {"dialect": "openai", "endpoint": "chat.completions", "model": "gpt-4o", **fields}
    return Prompt(messages=messages, received=received, **asked)


def facts_of(*messages: Message, **fields: Any) -> Facts:
    """The facts of such a prompt."""
    return Facts(prompt_of(*messages, **fields))


AGENT = (
    said("system", "Be brief."),
    said("user", "Hello"),
    said("assistant", "Hi"),
    said("user", "The weather", " in Lyon?"),
    called(),
    result("21", name="get_weather"),
)
"""A conversation in the middle of an agent's work."""


class FactsTests(SynchronousTestCase):
    def test_user_is_the_text_of_the_last_user_message_with_its_parts_joined(self) -> None:
        self.assertEqual(facts_of(*AGENT).user, "The weather in Lyon?")

    def test_user_is_empty_where_there_is_no_user_message(self) -> None:
        self.assertEqual(facts_of(said("system", "Be brief.")).user, "")

    def test_last_is_the_only_text_of_the_last_message_whoever_it_is_from(self) -> None:
        self.assertEqual(facts_of(*AGENT).last, "21")
        self.assertEqual(facts_of(said("user", "one")).last, "one")

    def test_last_is_nothing_where_there_are_several_texts_or_none(self) -> None:
        self.assertIsNone(facts_of(said("user", "one", "two")).last)
        self.assertIsNone(facts_of(called()).last)
        self.assertIsNone(facts_of().last)

    def test_system_is_the_text_of_all_system_and_developer_messages(self) -> None:
        facts = facts_of(said("system", "a", "b"), said("user", "x"), said("developer", "c"))
        self.assertEqual(facts.system, "ab\nc")

    def test_texts_are_those_of_all_messages_tool_results_too(self) -> None:
        self.assertEqual(
            facts_of(*AGENT).texts,
            ("Be brief.", "Hello", "Hi", "The weather in Lyon?", "", "21"),
        )

    def test_last_role_says_who_the_last_message_is_from(self) -> None:
        self.assertEqual(facts_of(*AGENT).last_role, "tool")
        self.assertIsNone(facts_of().last_role)

    def test_turn_counts_all_assistant_messages_from_1(self) -> None:
        self.assertEqual(facts_of(*AGENT).turn, 3)
        self.assertEqual(facts_of(said("user", "Hello")).turn, 1)

    def test_step_counts_assistant_messages_since_the_last_user_message(self) -> None:
        self.assertEqual(facts_of(*AGENT).step, 2)
        self.assertEqual(facts_of(*AGENT, called(), result("22")).step, 3)
        self.assertEqual(facts_of(*AGENT, said("user", "Thanks")).step, 1)

    def test_step_counts_from_the_beginning_where_there_is_no_user_message(self) -> None:
        self.assertEqual(facts_of(said("assistant", "Hi"), said("assistant", "Hm")).step, 3)

    def test_a_user_message_of_tool_results_only_is_none_of_the_users(self) -> None:
        """Some vendors send tool results so."""
        brought = Message(role="user", parts=(ToolResult(call_id="call_1", content="21"),))
        facts = facts_of(said("user", "Weather?"), called(), brought)
        self.assertEqual((facts.user, facts.step), ("Weather?", 2))
        self.assertEqual([each.content for each in facts.tool_results], ["21"])

    def test_a_user_message_with_words_beside_tool_results_is_the_users(self) -> None:
        parts: tuple[Part, ...] = (ToolResult(call_id="call_1", content="21"), Text(text="So?"))
        facts = facts_of(said("user", "Weather?"), called(), Message(role="user", parts=parts))
        self.assertEqual((facts.user, facts.step, facts.tool_results), ("So?", 1, ()))

    def test_an_empty_user_message_is_the_users(self) -> None:
        facts = facts_of(said("user", "Weather?"), called(), said("user"))
        self.assertEqual((facts.user, facts.step), ("", 1))

    def test_tools_are_the_names_of_the_tools_on_offer(self) -> None:
        tools = (Tool(name="get_weather"), Tool(name="shell", kind="custom"))
        self.assertEqual(facts_of(tools=tools).tools, ("get_weather", "shell"))

    def test_tool_results_are_those_the_conversation_ends_with_in_its_order(self) -> None:
        facts = facts_of(
            said("user", "Weather?"),
            called(),
            result("old"),
            called(),
            result("first"),
            result("second"),
        )
        self.assertEqual([each.content for each in facts.tool_results], ["first", "second"])

    def test_there_are_no_tool_results_once_somebody_has_spoken(self) -> None:
        self.assertEqual(facts_of(*AGENT, said("user", "Thanks")).tool_results, ())

    def test_a_conversation_may_be_all_tool_results(self) -> None:
        self.assertEqual(len(facts_of(result("a"), result("b")).tool_results), 2)

    def test_has_names_the_kinds_of_content_anywhere_in_the_conversation(self) -> None:
        parts = (
            Text(text="See"),
            Image(url="https://example.org/a.png"),
            Audio(data="", format="wav"),
            File(id="file_1"),
        )
        facts = facts_of(Message(role="user", parts=parts), said("assistant", "Yes"))
        self.assertEqual(facts.has, {"image", "audio", "file"})
        self.assertEqual(facts_of(*AGENT).has, {"tool_results"})
        self.assertEqual(facts_of(said("user", "x")).has, frozenset())

    def test_body_is_the_requests_body_decoded(self) -> None:
        self.assertEqual(facts_of(body={"seed": 1}).body, {"seed": 1})

    def test_body_is_an_empty_object_where_it_is_no_json(self) -> None:
        for raw in (b"", b"{", b"\xff", b"[" * 100_000):
            self.assertEqual(facts_of(raw=raw).body, {})

    def test_headers_query_and_api_key_are_the_requests(self) -> None:
        facts = facts_of(headers={"x-team": "a"}, query={"v": "1"}, api_key="sk-1")
        self.assertEqual(
            (facts.headers, facts.query, facts.api_key), ({"x-team": "a"}, {"v": "1"}, "sk-1")
        )

    def test_state_and_attempt_are_handed_in(self) -> None:
        prompt = prompt_of()
        facts = Facts(prompt)
        self.assertEqual((facts.prompt, facts.state, facts.attempt), (prompt, "start", 1))
        facts = Facts(prompt, state="paid", attempt=3)
        self.assertEqual((facts.state, facts.attempt), ("paid", 3))

    def test_a_fact_is_computed_once(self) -> None:
        facts = facts_of(body={"seed": 1})
        self.assertIs(facts.body, facts.body)
