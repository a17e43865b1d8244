"""Requests that are known by their form are understood as if they were the first of it."""

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st
from msgspec import structs
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai import chat_forms
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.chat_forms import ChatForms
from fakellm.engine.shelf import Shelf
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Refused

USER = {"role": "user", "content": "hi"}
MESSAGES: tuple[list[Any], ...] = (
    [USER],
    [{"role": "system", "content": "Be."}, {**USER, "name": "ann"}],
    [{"role": "user", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}],
    [USER, {"role": "assistant", "content": "ho"}, USER],
    [
        USER,
        {
            "role": "assistant",
            "tool_calls": [
                {"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}
            ],
        },
        {"role": "tool", "tool_call_id": "c", "content": "done"},
        {"role": "developer", "content": "Go on."},
    ],
    [],  # from here on they are refused
    [{"role": "nobody", "content": "hi"}],
    [{"role": "user"}],
    [{"role": "tool", "tool_call_id": "c", "content": "done"}],
)
ARGUMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"tools": [{"type": "function", "function": {"name": "f"}}], "tool_choice": "required"},
    {"prediction": {"type": "content", "content": "hi"}, "stop": ["a", ""]},
    {"response_format": {"type": "json_object"}},
    {"store": True},
    {"unknown": 1},
    {"top_logprobs": 1},  # this and the rest are refused
    {"n": 0},
    {"temperature": "hot"},
)


def asked(messages: Any, **arguments: Any) -> Received:
    body = {"model": "m", "messages": messages, **arguments}
    headers = {"authorization": "Bearer key"}
    return Received(method="POST", path="/", headers=headers, body=msgspec.json.encode(body))


def understood(dialect: OpenAIChat, received: Received, *, strict: bool = False) -> Any:
    """The prompt, but for what is known of its form; or why there is none."""
    try:
        prompt = dialect.decode(received, strict=strict, kept=Shelf())
    except Refused as refused:
        return refused.failure
    wire = None if prompt.wire is None else structs.replace(prompt.wire, messages=[])
    return structs.replace(prompt, form=None, wire=wire)


def form_of(dialect: OpenAIChat, received: Received) -> Any:
    prompt: Prompt = dialect.decode(received, strict=False, kept=Shelf())
    return prompt.form


class SameTests(SynchronousTestCase):
    @given(
        st.lists(
            st.tuples(
                st.sampled_from(ARGUMENTS[:4] + ARGUMENTS),
                st.sampled_from(MESSAGES[:5] + MESSAGES),
                st.booleans(),
            ),
            max_size=12,
        )
    )
    def test_whatever_came_before(self, requests: list[tuple[Any, Any, bool]]) -> None:
        dialect = OpenAIChat()
        for arguments, messages, strict in requests:
            for _ in range(3):
                received = asked(messages, **arguments)
                self.assertEqual(
                    understood(dialect, received, strict=strict),
                    understood(OpenAIChat(), received, strict=strict),
                )

    def test_messages_that_are_refused_are_in_a_form_that_is_known(self) -> None:
        dialect = OpenAIChat()
        for _ in range(3):
            dialect.decode(asked([USER]), strict=False, kept=Shelf())
        for messages in MESSAGES:
            self.assertEqual(
                understood(dialect, asked(messages)), understood(OpenAIChat(), asked(messages))
            )

    def test_what_is_no_json_is_refused_in_the_same_words(self) -> None:
        dialect = OpenAIChat()
        whole = asked([USER]).body
        for _ in range(3):
            for body in (
                b"",
                b"[]",
                b"{",
                b"{}",
                whole[:-1],
                whole + b"x",
                whole.replace(b"hi", b"\xff"),
            ):
                received = Received(method="POST", path="/", body=body)
                self.assertEqual(
                    understood(dialect, received), understood(OpenAIChat(), received), body
                )


class FormTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.dialect = OpenAIChat()

    def forms(self, *requests: Received) -> list[Any]:
        return [form_of(self.dialect, received) for received in requests]

    def test_the_second_of_its_kind_has_one_and_all_after_it_the_same(self) -> None:
        first, second, third = self.forms(*[asked(messages) for messages in MESSAGES[:3]])
        self.assertIsNone(first)
        self.assertIsNotNone(second)
        self.assertIs(second, third)

    def test_it_has_no_messages(self) -> None:
        _, form = self.forms(*[asked([USER])] * 2)
        self.assertEqual((form.prompt.messages, form.prompt.wire.messages), ((), []))

    def test_other_arguments_are_another_form(self) -> None:
        for arguments in ({"n": 2}, {"n": 3}, {"user": "a"}):
            self.forms(*[asked([USER], **arguments)] * 2)
        forms = self.forms(*[asked([USER], **each) for each in ({"n": 2}, {"n": 3}, {"user": "a"})])
        self.assertEqual(len({id(form) for form in forms}), 3)
        self.assertNotIn(None, forms)

    def test_what_is_more_than_its_form_has_none(self) -> None:
        for arguments in ({"store": True}, {"response_format": {"type": "json_object"}}):
            self.assertEqual(self.forms(*[asked([USER], **arguments)] * 4), [None] * 4)

    def test_large_arguments_have_none(self) -> None:
        self.assertEqual(self.forms(*[asked([USER], user="u" * 20_000)] * 3), [None] * 3)

    def test_large_messages_matter_nothing(self) -> None:
        large = [{"role": "user", "content": "u" * 20_000}]
        self.assertIsNotNone(self.forms(*[asked(large)] * 2)[1])

    def test_no_more_of_them_are_remembered_than_so_many(self) -> None:
        self.patch(chat_forms, "_KNOWN_AT_MOST", 3)
        self.forms(*[asked([USER], user=f"{number}") for number in range(8)])
        forms: ChatForms = self.dialect._forms
        self.assertLessEqual(len(forms._known), 3)
