"""Responses as they are sent: the exact events and bodies."""

import json
from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.responses.stored import Log
from fakellm.engine.shelf import Shelf
from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from fakellm.model.content import HostedCall, Reasoning, Refusal, SaidPart, Text, ToolCall
from fakellm.model.events import Begin, ChoiceBegin, End, Event, Failed, PartBegin, Token
from fakellm.model.framing import Framing
from fakellm.model.reply import Failure, Usage
from fakellm.model.timeline import Finish, Head, Write
from tests.dialects.openai.responses.answering import (
    CREATED,
    DIALECT,
    body_of,
    checked_event,
    encoded,
    events_of,
    keep,
    prompt_of,
    reply,
    stamp,
    whole_of,
)

HELLO = reply(Text(text="hello world"))


def told(*parts: SaidPart, **fields: Any) -> list[dict[str, Any]]:
    """The events by which a stream tells of parts, but for those of the response itself."""
    events = events_of(body_of(encoded(prompt_of(stream=True, **fields), reply(*parts))))
    return [event for event in events if "response" not in event]


def types(events: list[dict[str, Any]]) -> list[str]:
    return [event["type"].removeprefix("response.") for event in events]


class WholeTests(SynchronousTestCase):
    maxDiff = None

    def test_every_field(self) -> None:
        self.assertEqual(
            whole_of(encoded(prompt_of(), HELLO)),
            {
                "id": "resp_Wkp8wrFQRcGOCnc7hcmTT0akwIQN6QjI",
                "object": "response",
                "created_at": CREATED,
                "status": "completed",
                "background": False,
                "completed_at": CREATED,
                "error": None,
                "incomplete_details": None,
                "instructions": None,
                "max_output_tokens": None,
                "max_tool_calls": None,
                "model": "fake",
                "output": [
                    {
                        "id": "msg_k0jZvLOXKlLOB6ExDJGjbOZS0f494vOE",
                        "type": "message",
                        "status": "completed",
                        "content": [
                            {
                                "type": "output_text",
                                "annotations": [],
                                "logprobs": [],
                                "text": "hello world",
                            }
                        ],
                        "role": "assistant",
                    }
                ],
                "parallel_tool_calls": True,
                "previous_response_id": None,
                "prompt_cache_key": None,
                "reasoning": {"effort": None, "summary": None},
                "safety_identifier": None,
                "service_tier": "default",
                "store": True,
                "temperature": 1.0,
                "text": {"format": {"type": "text"}, "verbosity": "medium"},
                "tool_choice": "auto",
                "tools": [],
                "top_logprobs": 0,
                "top_p": 1.0,
                "truncation": "disabled",
                "usage": {
                    "input_tokens": 9,
                    "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
                    "output_tokens": 2,
                    "output_tokens_details": {"reasoning_tokens": 0},
                    "total_tokens": 11,
                },
                "user": None,
                "metadata": {},
            },
        )

    def test_what_is_asked_comes_back(self) -> None:
        schema = {
            "type": "json_schema",
            "name": "n",
            "schema": {"type": "object"},
            "description": "Any object.",
        }
        function = {"type": "function", "name": "f", "parameters": {"type": "object"}}
        whole = whole_of(
            encoded(
                prompt_of(
                    instructions="Be kind.",
                    temperature=0.5,
                    top_p=0.1,
                    text={"format": schema, "verbosity": "low"},
                    tools=[
                        function,
                        {"type": "custom", "name": "g"},
                        {"type": "web_search"},
                        {"type": "web_search_preview"},
                        {"type": "computer"},
                    ],
                    tool_choice={"type": "function", "name": "f"},
                    reasoning={"effort": "low", "generate_summary": "auto"},
                    prompt={"id": "pmpt_1", "variables": {"a": "b"}},
                    prompt_cache_retention="in-memory",
                    moderation={"model": "omni-moderation-latest"},
                    service_tier="fast",
                    truncation="auto",
                    metadata={"a": "b"},
                    user="ann",
                    store=False,
                ),
                HELLO,
            )
        )
        self.assertEqual((whole["temperature"], whole["top_p"]), (0.5, 0.1))
        self.assertEqual(whole["text"], {"format": {"strict": False, **schema}, "verbosity": "low"})
        self.assertEqual(whole["reasoning"], {"effort": "low", "summary": "auto"})
        self.assertEqual(
            whole["tools"],
            [
                {"description": None, "strict": True, **function},
                {"type": "custom", "name": "g", "format": {"type": "text"}},
                {
                    "type": "web_search",
                    "filters": None,
                    "search_context_size": "medium",
                    "user_location": None,
                },
                {
                    "type": "web_search_preview",
                    "search_context_size": "medium",
                    "user_location": None,
                },
                {"type": "computer"},
            ],
        )
        self.assertEqual(whole["tool_choice"], {"type": "function", "name": "f"})
        template = {"id": "pmpt_1", "version": None, "variables": {"a": "b"}}
        self.assertEqual(whole["prompt"], template)
        self.assertEqual(whole["prompt_cache_retention"], "in_memory")
        self.assertIs(whole["moderation"]["output"]["flagged"], False)
        self.assertEqual((whole["service_tier"], whole["truncation"]), ("priority", "auto"))
        self.assertEqual((whole["metadata"], whole["user"]), ({"a": "b"}, "ann"))
        self.assertEqual((whole["instructions"], whole["store"]), ("Be kind.", False))

    def test_nothing_is_kept_where_nothing_shall_be(self) -> None:
        acts = encoded(prompt_of(store=False), HELLO)
        self.assertEqual([type(act) for act in acts], [Head, Write, Finish])

    def test_incomplete(self) -> None:
        for reason, told_as in (("length", "max_output_tokens"), ("content_filter",) * 2):
            why: Any = reason
            said = reply(Text(text="a"), ToolCall(name="f", arguments="{"), reason=why)
            whole = whole_of(encoded(prompt_of(), said))
            self.assertEqual(whole["status"], "incomplete")
            self.assertEqual(whole["incomplete_details"], {"reason": told_as})
            self.assertIsNone(whole["completed_at"])
            statuses = [item["status"] for item in whole["output"]]
            self.assertEqual(statuses, ["completed", "incomplete"])

    def test_a_failure_is_an_error_of_http(self) -> None:
        said = reply(Text(text="a"), failure=Failure(status=503))
        head, *_ = encoded(prompt_of(), said)
        assert isinstance(head, Head)
        self.assertEqual(head.status, 503)

    def test_it_may_have_an_id_and_headers_of_its_own(self) -> None:
        said = reply(Text(text="a"), id="resp_mine", headers=(("X-A", "b"),))
        acts = keep(encoded(prompt_of(), said), Shelf())
        assert isinstance(acts[0], Head)
        self.assertIn(("X-A", "b"), acts[0].headers)
        self.assertEqual(whole_of(acts)["id"], "resp_mine")


class StreamTests(SynchronousTestCase):
    maxDiff = None

    def test_frames(self) -> None:
        acts = keep(encoded(prompt_of(stream=True), HELLO), Shelf())
        tokens = [act.data for act in acts if isinstance(act, Write) and act.token]
        self.assertEqual(
            tokens,
            [
                b"event: response.output_text.delta\n"
                b'data: {"type":"response.output_text.delta","sequence_number":%d,'
                b'"item_id":"msg_k0jZvLOXKlLOB6ExDJGjbOZS0f494vOE","output_index":0,'
                b'"content_index":0,"delta":"%b","logprobs":[]}\n\n' % (number, text)
                for number, text in ((4, b"hello"), (5, b" world"))
            ],
        )

    def test_words_in_a_row_are_one_message(self) -> None:
        events = told(Text(text="a"), Refusal(text="b"))
        self.assertEqual(
            types(events),
            [
                "output_item.added",
                "content_part.added",
                "output_text.delta",
                "output_text.done",
                "content_part.done",
                "content_part.added",
                "refusal.delta",
                "refusal.done",
                "content_part.done",
                "output_item.done",
            ],
        )
        self.assertEqual(events[0]["item"]["content"], [])
        self.assertEqual([e["content_index"] for e in events[1:-1]], [0] * 4 + [1] * 4)
        self.assertEqual(events[5]["part"], {"type": "refusal", "refusal": ""})
        self.assertEqual(events[7]["refusal"], "b")

    def test_reasoning(self) -> None:
        thought = Reasoning(text="hm hm", tokens=3)
        events = told(thought, reasoning={"summary": "detailed"})
        self.assertEqual(
            types(events),
            [
                "output_item.added",
                "reasoning_summary_part.added",
                "reasoning_summary_text.delta",
                "reasoning_summary_text.delta",
                "reasoning_summary_text.delta",
                "reasoning_summary_text.done",
                "reasoning_summary_part.done",
                "output_item.done",
            ],
        )
        self.assertEqual(events[-1]["item"]["summary"], [{"type": "summary_text", "text": "hm hm"}])
        (added, done) = told(thought, include=["reasoning.encrypted_content"])
        self.assertEqual(added["item"], done["item"])
        self.assertEqual(done["item"]["summary"], [])
        self.assertRegex(done["item"]["encrypted_content"], "^gAAAAAB[A-Za-z0-9]{128}$")
        whole = whole_of(encoded(prompt_of(), reply(thought)))
        self.assertEqual(whole["usage"]["output_tokens_details"], {"reasoning_tokens": 5})

    def test_calls(self) -> None:
        events = told(
            ToolCall(name="f", arguments="{}", id="call_1"),
            ToolCall(name="g", arguments="x", kind="custom"),
        )
        self.assertEqual(
            types(events),
            [
                "output_item.added",
                "function_call_arguments.delta",
                "function_call_arguments.done",
                "output_item.done",
                "output_item.added",
                "custom_tool_call_input.delta",
                "custom_tool_call_input.done",
                "output_item.done",
            ],
        )
        self.assertEqual((events[2]["name"], events[2]["arguments"]), ("f", "{}"))
        self.assertEqual(events[3]["item"]["call_id"], "call_1")
        self.assertEqual(events[7]["item"]["input"], "x")
        self.assertEqual([e["output_index"] for e in events], [0] * 4 + [1] * 4)

    def test_logprobs(self) -> None:
        events = told(Text(text="a"), include=["message.output_text.logprobs"], top_logprobs=1)
        (entry,) = events[2]["logprobs"]
        self.assertEqual(entry["token"], "a")
        self.assertEqual(len(entry["top_logprobs"]), 1)
        self.assertEqual(events[3]["logprobs"], [entry])
        (spelled,) = events[4]["part"]["logprobs"]
        self.assertEqual(spelled["bytes"], [97])

    def test_noise(self) -> None:
        events = told(Text(text="a"), stream_options={"include_obfuscation": True})
        self.assertEqual(len(events[2]["obfuscation"]), 15)

    def test_failing_in_the_middle(self) -> None:
        for failure, code, kept_as in (
            (Failure(status=429), "rate_limit_exceeded", "rate_limit_exceeded"),
            (Failure(status=500, message="Ouch."), "server_error", "server_error"),
            (Failure(status=400, message="No.", code="invalid_prompt"), *("invalid_prompt",) * 2),
        ):
            said = reply(Text(text="a b"), failure=failure)
            *_, error, failed = events_of(body_of(encoded(prompt_of(stream=True), said)))
            self.assertEqual((error["type"], error["code"]), ("error", code))
            self.assertEqual(failed["type"], "response.failed")
            response = failed["response"]
            self.assertEqual(response["status"], "failed")
            self.assertEqual(response["error"], {"code": kept_as, "message": error["message"]})
            self.assertEqual(response["output"][0]["status"], "in_progress")
            checked_event(error)
            checked_event(failed)

    def test_failing_before_it_begins(self) -> None:
        encoder = DIALECT.encoder(prompt_of(stream=True), stamp())
        head, *_ = encoder.encode(Failed(failure=Failure(status=500)))
        assert isinstance(head, Head)
        self.assertEqual(head.status, 500)

    def test_the_head_may_come_with_the_first_token(self) -> None:
        late = Framing(head_at_once=False)
        encoder = DIALECT.encoder(prompt_of(stream=True, store=False), stamp(), late)
        begun = Begin(model="m", prompt_tokens=1)
        text = Text(text="a")
        for event in (
            begun,
            ChoiceBegin(choice=0, parts=(text,)),
            PartBegin(choice=0, part=0, content=text),
        ):
            self.assertEqual(list(encoder.encode(event)), [])
        head, *writes = encoder.encode(Token(0, 0, "a"))
        assert isinstance(head, Head)
        self.assertEqual(len(writes), 5)
        self.assertEqual(len([*encoder.encode(Token(0, 0, "b"))]), 1)
        encoder = DIALECT.encoder(prompt_of(stream=True), stamp(), late)
        encoder.encode(begun)
        head, *_ = encoder.encode(Failed(failure=Failure(status=500)))
        assert isinstance(head, Head)
        self.assertEqual(head.status, 500)
        encoder = DIALECT.encoder(prompt_of(stream=True, store=False), stamp(), late)
        encoder.encode(begun)
        head, *_ = encoder.encode(End(usage=Usage()))
        assert isinstance(head, Head)
        self.assertEqual(head.status, 200)


class DialectTests(SynchronousTestCase):
    def test_what_it_says_it_provides_it_provides(self) -> None:
        verifyObject(IDialect, DIALECT)
        verifyObject(IErrorWords, DIALECT.errors)
        asked: tuple[dict[str, Any], ...] = ({}, {"stream": True}, {"background": True})
        for fields in asked:
            verifyObject(IEncoder, DIALECT.encoder(prompt_of(**fields), stamp()))

    def test_it_shares_with_chat_completions_what_is_no_answer(self) -> None:
        chat = OpenAIChat()
        self.assertEqual(DIALECT.limit_headers([], stamp()), chat.limit_headers([], stamp()))
        failure = Failure(status=500)
        self.assertEqual(DIALECT.failure(failure, stamp()), chat.failure(failure, stamp()))
        self.assertEqual(DIALECT.document(b"{}", stamp()), chat.document(b"{}", stamp()))

    def test_a_log_tells_the_events_as_they_were(self) -> None:
        events: list[Event] = [
            Begin(model="m", prompt_tokens=1),
            Token(0, 0, "a"),
            Token(0, 0, "ü😀"),
            Token(0, 1, "b"),
            Token(0, 1, "", 7),
            Token(0, 1, ""),
            End(usage=Usage()),
        ]
        log = Log(prompt_of(), stamp(), events)
        self.assertEqual([*log.events()], events)


class HostedTests(SynchronousTestCase):
    def test_a_search(self) -> None:
        action = {"type": "search", "query": "q", "sources": [{"type": "url", "url": "https://x"}]}
        call = HostedCall(kind="web_search_call", fields={"action": action, "id": "ws_1"})
        events = told(call)
        self.assertEqual(
            types(events),
            [
                "output_item.added",
                "web_search_call.in_progress",
                "web_search_call.searching",
                "web_search_call.completed",
                "output_item.done",
            ],
        )
        self.assertEqual({e.get("item_id", "ws_1") for e in events}, {"ws_1"})
        self.assertEqual(events[0]["item"]["status"], "in_progress")
        self.assertEqual(events[-1]["item"]["action"], {"type": "search", "query": "q"})
        included = told(call, include=["web_search_call.action.sources"])
        self.assertEqual(included[-1]["item"]["action"], action)

    def test_what_is_included(self) -> None:
        results = [{"file_id": "file-1", "text": "x"}]
        files = HostedCall(kind="file_search_call", fields={"results": results})
        self.assertIsNone(told(files)[-1]["item"]["results"])
        included = told(files, include=["file_search_call.results"])
        self.assertEqual(included[-1]["item"]["results"], results)
        logs = [{"type": "logs", "logs": "1"}]
        code = HostedCall(kind="code_interpreter_call", fields={"code": "1", "outputs": logs})
        events = told(code)
        self.assertEqual(
            types(events)[1:-1],
            [
                "code_interpreter_call.in_progress",
                "code_interpreter_call_code.delta",
                "code_interpreter_call_code.done",
                "code_interpreter_call.interpreting",
                "code_interpreter_call.completed",
            ],
        )
        self.assertEqual((events[0]["item"]["code"], events[3]["code"]), ("", "1"))
        self.assertIsNone(events[-1]["item"]["outputs"])
        included = told(code, include=["code_interpreter_call.outputs"])
        self.assertEqual(included[-1]["item"]["outputs"], logs)

    def test_what_fails(self) -> None:
        for kind, step in (("mcp_call", "mcp_call"), ("mcp_list_tools", "mcp_list_tools")):
            events = told(HostedCall(kind=kind, fields={"error": "no"}))
            self.assertEqual(types(events)[-2], f"{step}.failed")
            self.assertEqual(types(told(HostedCall(kind=kind)))[-2], f"{step}.completed")

    def test_anything_may_be_said(self) -> None:
        odd = HostedCall(kind="web_search_call", fields={"action": 7, "status": None})
        self.assertEqual(told(odd)[-1]["item"]["action"], 7)
        new = HostedCall(kind="quantum_call", fields={"answer": 42})
        added, done = told(new)
        self.assertEqual(added, {**done, "type": added["type"], "sequence_number": 2})
        self.assertEqual(done["item"]["answer"], 42)
        self.assertIn('"quantum_call"', json.dumps(whole_of(encoded(prompt_of(), reply(new)))))
