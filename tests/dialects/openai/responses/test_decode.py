"""What a request asks, in neutral words."""

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai.responses.messages import _OUTPUTS, _RESULTS
from fakellm.engine.shelf import Shelf
from fakellm.model.content import (
    Audio,
    File,
    HostedCall,
    Image,
    Part,
    Reasoning,
    Refusal,
    Text,
    ToolCall,
    ToolResult,
)
from fakellm.model.prompt import AnswerFormat, Message, Role, Tool, ToolChoice
from fakellm.model.timeline import Keep
from tests.dialects.openai.requests import anything
from tests.dialects.openai.responses.answering import (
    body_of,
    encoded,
    events_of,
    keep,
    operate,
    prompt_of,
    reply,
    whole_of,
)
from tests.dialects.openai.responses.test_same import HOSTED, few

FUNCTION: dict[str, Any] = {"type": "function", "name": "f", "parameters": {"type": "object"}}
CUSTOM: dict[str, Any] = {"type": "custom", "name": "g", "description": "Notes."}
SEARCH: dict[str, Any] = {"type": "web_search_preview"}


def said(role: Role, *parts: Part) -> Message:
    return Message(role=role, parts=parts)


class MessageTests(SynchronousTestCase):
    def messages(self, *items: dict[str, Any], **fields: Any) -> tuple[Message, ...]:
        return prompt_of(input=list(items), **fields).messages

    def test_a_string_is_a_users(self) -> None:
        prompt = prompt_of(instructions="Be kind.")
        self.assertEqual(
            prompt.messages,
            (said("developer", Text(text="Be kind.")), said("user", Text(text="Say something"))),
        )
        self.assertEqual((prompt.endpoint, prompt.dialect), ("responses", "openai"))

    def test_parts_of_messages(self) -> None:
        parts = [
            {"type": "input_text", "text": "What is this?"},
            {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
            {"type": "input_image", "file_id": "file-1"},
            {"type": "input_file", "filename": "a.pdf", "file_data": "AA=="},
            {"type": "input_file", "file_url": "https://x/y.pdf"},
            {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
        ]
        self.assertEqual(
            self.messages({"role": "user", "content": parts}),
            (
                said(
                    "user",
                    Text(text="What is this?"),
                    Image(url="https://x/y.png", detail="low"),
                    Image(url="file-1"),
                    File(name="a.pdf", data="AA=="),
                    File(name="https://x/y.pdf"),
                    Audio(data="AA==", format="wav"),
                ),
            ),
        )

    def test_what_the_model_said_in_a_row_is_one_turn(self) -> None:
        content = [
            {"type": "output_text", "text": "I will look."},
            {"type": "refusal", "refusal": "Or not."},
        ]
        found = self.messages(
            {"role": "user", "content": "The weather?"},
            {"type": "reasoning", "summary": [{"type": "summary_text", "text": "Hm."}]},
            {"type": "message", "role": "assistant", "content": content},
            {"type": "web_search_call", "status": "completed", "action": {"type": "search"}},
            {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}"},
            {"type": "custom_tool_call", "call_id": "c2", "name": "g", "input": "x"},
            {"type": "function_call_output", "call_id": "c1", "output": "sunny"},
            {
                "type": "custom_tool_call_output",
                "call_id": "c2",
                "output": [
                    {"type": "input_text", "text": "done"},
                    {"type": "input_image", "image_url": "https://x"},
                ],
            },
        )
        self.assertEqual(
            found,
            (
                said("user", Text(text="The weather?")),
                said(
                    "assistant",
                    Reasoning(text="Hm."),
                    Text(text="I will look."),
                    Refusal(text="Or not."),
                    HostedCall(
                        kind="web_search_call",
                        fields={"status": "completed", "action": {"type": "search"}},
                    ),
                    ToolCall(id="c1", name="f", arguments="{}"),
                    ToolCall(id="c2", name="g", arguments="x", kind="custom"),
                ),
                said("tool", ToolResult(call_id="c1", content="sunny", name="f")),
                said(
                    "tool",
                    ToolResult(call_id="c2", content="done", name="g"),
                    Image(url="https://x"),
                ),
            ),
        )

    def test_results_of_tools_that_clients_run_for_the_vendor(self) -> None:
        shot = {"type": "computer_screenshot", "image_url": "https://x"}
        found = self.messages(
            {"type": "computer_call_output", "call_id": "c1", "output": shot},
            {"type": "local_shell_call_output", "id": "c2", "output": "ok"},
            {"type": "mcp_approval_response", "approval_request_id": "c3", "approve": True},
            {"type": "function_call_output", "output": "by whom?"},
        )
        self.assertEqual(
            [message.parts[0] for message in found],
            [
                ToolResult(
                    call_id="c1",
                    content='{"type":"computer_screenshot","image_url":"https://x"}',
                    name="computer_call",
                ),
                ToolResult(call_id="c2", content="ok", name="local_shell_call"),
                ToolResult(
                    call_id="c3",
                    content='{"approval_request_id":"c3","approve":true}',
                    name="mcp_approval_response",
                ),
                ToolResult(call_id="", content="by whom?", name="function_call"),
            ],
        )

    def test_items_that_say_nothing(self) -> None:
        found = self.messages(
            {"type": "compaction", "encrypted_content": "x"},
            {"type": "function_call_output", "call_id": "gone", "output": "x"},
        )
        self.assertEqual([message.role for message in found], ["tool"])

    def test_a_reference_is_what_it_refers_to(self) -> None:
        shelf = Shelf()
        item = {"type": "message", "id": "msg_1", "role": "user", "content": "Before."}
        shelf.put(Keep("openai.response_item", "msg_1", item))
        for reference in ({"id": "msg_1"}, {"type": "item_reference", "id": "msg_1"}):
            found = self.messages(reference, kept=shelf)
            self.assertEqual(found, (said("user", Text(text="Before.")),))

    def test_a_previous_response_comes_first(self) -> None:
        shelf = Shelf()
        first = prompt_of(instructions="Forget this.")
        whole = whole_of(keep(encoded(first, reply(Text(text="Hi."))), shelf))
        prompt = prompt_of(previous_response_id=whole["id"], input="And then?", kept=shelf)
        self.assertEqual(
            [(message.role, message.text) for message in prompt.messages],
            [("user", "Say something"), ("assistant", "Hi."), ("user", "And then?")],
        )
        self.assertEqual(
            len(prompt_of(previous_response_id=whole["id"], input=None, kept=shelf).messages), 2
        )


class AnyHostedTests(SynchronousTestCase):
    """What a scenario said of the vendor's tools may be anything, and is read again."""

    @few
    @given(
        st.sampled_from([*HOSTED, *sorted(_RESULTS - set(_OUTPUTS)), "additional_tools", "new"]),
        st.dictionaries(
            st.sampled_from(
                ["id", "call_id", "status", "output", "tools", "action", "code", "error", "name"]
            ),
            anything,
            max_size=4,
        ),
        st.booleans(),
    )
    def test_any_fields(self, kind: str, fields: dict[str, Any], stream: bool) -> None:
        shelf = Shelf()
        said = reply(HostedCall(kind=kind, fields=fields), Text(text="Hi."))
        body = body_of(keep(encoded(prompt_of(stream=stream), said), shelf))
        whole = events_of(body)[-1]["response"] if stream else json.loads(body)
        again = prompt_of(previous_response_id=whole["id"], kept=shelf)
        self.assertEqual(again.messages[-1].text, "Say something")
        operate("GET", f"/v1/responses/{whole['id']}/input_items", shelf)


class FieldTests(SynchronousTestCase):
    def test_tools(self) -> None:
        namespace = {"type": "namespace", "name": "n", "description": "", "tools": [FUNCTION]}
        prompt = prompt_of(
            tools=[CUSTOM, SEARCH, namespace],
            input=[{"type": "additional_tools", "role": "developer", "tools": [FUNCTION]}],
            parallel_tool_calls=False,
        )
        function = Tool(name="f", parameters={"type": "object"}, strict=True)
        self.assertEqual(
            prompt.tools,
            (Tool(name="g", kind="custom", description="Notes."), function, function),
        )
        self.assertIs(prompt.parallel_tool_calls, False)

    def test_tool_choices(self) -> None:
        tools = [FUNCTION, CUSTOM, SEARCH]
        allowed = {
            "type": "allowed_tools",
            "mode": "auto",
            "tools": [{"type": "function", "name": "f"}],
        }
        hosted = {"type": "allowed_tools", "mode": "required", "tools": [SEARCH]}
        for asked, expected in (
            ("auto", ToolChoice()),
            ("none", ToolChoice(mode="none")),
            ("required", ToolChoice(mode="required")),
            ({"type": "function", "name": "f"}, ToolChoice(mode="required", names=("f",))),
            ({"type": "custom", "name": "g"}, ToolChoice(mode="required", names=("g",))),
            (SEARCH, ToolChoice()),
            (allowed, ToolChoice(names=("f",))),
            (hosted, ToolChoice(mode="none")),
        ):
            self.assertEqual(prompt_of(tools=tools, tool_choice=asked).tool_choice, expected)
        self.assertEqual(
            prompt_of(tools=[SEARCH], tool_choice="required").tool_choice, ToolChoice()
        )
        mcp = {"type": "mcp", "server_label": "s"}
        self.assertEqual(prompt_of(tools=[mcp], tool_choice=mcp).tool_choice, ToolChoice())

    def test_formats(self) -> None:
        schema = {"type": "json_schema", "name": "n", "schema": {"type": "object"}}
        for asked, expected in (
            ({"type": "text"}, AnswerFormat()),
            ({"type": "json_object"}, AnswerFormat(kind="json_object")),
            (schema, AnswerFormat(kind="json_schema", name="n", schema={"type": "object"})),
        ):
            self.assertEqual(prompt_of(text={"format": asked}).format, expected)
        strictly = prompt_of(text={"format": {"type": "json_object"}}, input="JSON!", strict=True)
        self.assertEqual(strictly.format.kind, "json_object")

    def test_the_rest(self) -> None:
        prompt = prompt_of(
            stream=True,
            max_output_tokens=20,
            include=["message.output_text.logprobs"],
            reasoning={"effort": "high"},
            background=True,
            nonsense=1,
        )
        self.assertEqual((prompt.stream, prompt.max_tokens, prompt.logprobs), (True, 20, 0))
        self.assertEqual((prompt.reasoning_effort, prompt.lasting), ("high", True))
        self.assertEqual(prompt.unknown, ("nonsense",))
        self.assertEqual(prompt_of(top_logprobs=3).logprobs, None)
        self.assertEqual(prompt_of(model=None, input=None, prompt={"id": "p"}).model, "gpt-4.1")
