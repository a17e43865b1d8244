"""What is kept, and what can be done with it."""

import json
from typing import Any

from openai.types.conversations import Conversation, ConversationItemList
from openai.types.responses import ResponseItemList
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai.responses.operations import retrieve
from fakellm.engine.shelf import Shelf
from fakellm.model.asked import Asked
from fakellm.model.content import Text, ToolCall
from fakellm.model.events import Begin, End, Failed
from fakellm.model.reply import Failure, Refused, Usage
from fakellm.model.timeline import Act, Await, Finish, Head, Keep, Write
from fakellm.timing.tokens import tokenizer
from fakellm.timing.unfold import unfold
from tests.dialects.openai.responses.answering import (
    DIALECT,
    body_of,
    encoded,
    events_of,
    keep,
    operate,
    prompt_of,
    received,
    reply,
    stamp,
    whole_of,
)
from tests.sdk import published
from tests.undeclared import undeclared

HELLO = reply(Text(text="hello world"))


class KeptTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.shelf = Shelf()

    def respond(self, number: int = 1, said: Any = HELLO, **fields: Any) -> dict[str, Any]:
        prompt = prompt_of(kept=self.shelf, **fields)
        return whole_of(keep(encoded(prompt, said, number=number), self.shelf))

    def get(self, path: str, **query: str) -> dict[str, Any]:
        return whole_of(operate("GET", f"/v1/{path}", self.shelf, query=query))

    def post(self, path: str, body: Any = None, number: int = 99) -> dict[str, Any]:
        return whole_of(operate("POST", f"/v1/{path}", self.shelf, body, number=number))

    def delete(self, path: str) -> dict[str, Any]:
        return whole_of(operate("DELETE", f"/v1/{path}", self.shelf))

    def refused(self, use: Any, *args: Any, **fields: Any) -> Failure:
        return self.assertRaises(Refused, use, *args, **fields).failure  # type: ignore[no-any-return]


class ResponseTests(KeptTestCase):
    def test_retrieved_and_deleted(self) -> None:
        made = self.respond()
        path = f"responses/{made['id']}"
        self.assertEqual(self.get(path), made)
        gone = {"id": made["id"], "object": "response", "deleted": True}
        self.assertEqual(self.delete(path), gone)
        failure = self.refused(self.get, path)
        self.assertEqual(failure.status, 404)
        self.assertEqual(failure.message, f"Response with id '{made['id']}' not found.")

    def test_told_again_from_some_number_on(self) -> None:
        made = self.respond()
        path = f"/v1/responses/{made['id']}"
        for after, expected in (("3", [4, 5, 6, 7, 8, 9]), ("-9", list(range(10))), ("9", [])):
            query = {"stream": "true", "starting_after": after}
            acts = operate("GET", path, self.shelf, query=query)
            events = events_of(body_of(acts))
            self.assertEqual([event["sequence_number"] for event in events], expected)
        query = {"stream": "true", "starting_after": "soon"}
        failure = self.refused(operate, "GET", path, self.shelf, query=query)
        self.assertEqual(failure.param, "starting_after")

    def test_input_items_with_those_of_earlier_turns(self) -> None:
        call = ToolCall(name="f", arguments="{}", id="call_1")
        custom = ToolCall(name="g", arguments="x", id="call_2", kind="custom")
        first = self.respond(said=reply(call, custom))
        second = self.respond(
            number=2,
            previous_response_id=first["id"],
            input=[
                {"type": "function_call_output", "call_id": "call_1", "output": "1"},
                {"type": "custom_tool_call_output", "call_id": "call_2", "output": "2"},
                {
                    "role": "user",
                    "content": [
                        {"type": "input_image", "image_url": "https://x"},
                        {"type": "output_text", "text": "quoted"},
                    ],
                },
                {"role": "assistant", "content": [{"type": "input_text", "text": "a"}]},
                {"type": "tool_search_call", "arguments": {}},
                {"type": "reasoning", "id": "rs_1", "summary": []},
            ],
        )
        path = f"responses/{second['id']}/input_items"
        found = self.get(path, order="asc")
        kinds = [item["type"] for item in found["data"]]
        self.assertEqual(
            kinds,
            [
                "message",
                "function_call",
                "custom_tool_call",
                "function_call_output",
                "custom_tool_call_output",
                "message",
                "message",
                "tool_search_call",
                "reasoning",
            ],
        )
        listed = ResponseItemList.model_validate_json(json.dumps(found), strict=True)
        self.assertEqual([*undeclared(listed)], [])
        self.assertEqual(self.get(path)["data"], found["data"][::-1])
        first_page = self.get(path, limit="2", order="asc")
        self.assertTrue(first_page["has_more"])
        second_page = self.get(path, limit="7", order="asc", after=first_page["last_id"])
        self.assertEqual(second_page["data"], found["data"][2:])
        self.assertFalse(second_page["has_more"])
        for query in (
            {"limit": "0"},
            {"limit": "101"},
            {"limit": "many"},
            {"order": "up"},
            {"after": "msg_x"},
        ):
            failure = self.refused(self.get, path, **query)
            self.assertEqual((failure.status, failure.param), (400, next(iter(query))))

    def test_tokens_are_counted(self) -> None:
        asked = {"model": "m", "input": "Hi.", "instructions": "Be kind."}
        counted = self.post("responses/input_tokens", asked)
        self.assertEqual(counted, {"object": "response.input_tokens", "input_tokens": 2})

    def test_compacted(self) -> None:
        made = self.respond()
        asked = {"model": None, "previous_response_id": made["id"], "input": "And?"}
        compacted = self.post("responses/compact", asked)
        kinds = [(item["type"], item.get("role")) for item in compacted["output"]]
        self.assertEqual(kinds, [("message", "user"), ("message", "user"), ("compaction", None)])
        self.assertEqual(compacted["usage"]["input_tokens"], 3)
        again = self.respond(number=3, input=compacted["output"])
        self.assertEqual(again["status"], "completed")

    def test_only_background_responses_are_cancelled(self) -> None:
        made = self.respond()
        failure = self.refused(self.post, f"responses/{made['id']}/cancel")
        self.assertEqual(failure.message, "Cannot cancel a synchronous response.")


class BackgroundTests(KeptTestCase):
    """A response that goes on after it was answered."""

    def begin(self, **fields: Any) -> None:
        prompt = prompt_of(background=True, **fields)
        self.encoder = DIALECT.encoder(prompt, stamp())
        self.events = unfold(prompt, HELLO, tokenizer("words")).events
        self.acts = self.go_on()
        self.response_id = next(iter(self.shelf.all("openai.response")))[0]

    def go_on(self) -> list[Act]:
        """Encode the next event; what it sends."""
        return keep(self.encoder.encode(next(self.events)), self.shelf)

    def finish(self) -> list[Act]:
        acts = [keep(self.encoder.encode(event), self.shelf) for event in self.events]
        return [act for each in acts for act in each]

    def test_answered_at_once(self) -> None:
        self.begin()
        self.assertEqual(whole_of(self.acts)["status"], "queued")
        self.assertEqual(self.get(f"responses/{self.response_id}")["status"], "in_progress")
        self.assertEqual(self.finish(), [])
        found = self.get(f"responses/{self.response_id}")
        self.assertEqual(found["status"], "completed")
        self.assertEqual(self.post(f"responses/{self.response_id}/cancel"), found)

    def test_followed_while_it_is_made(self) -> None:
        self.begin()
        query = {"stream": "true"}
        followed = iter(self.follow(query))
        self.assertIsInstance(next(followed), Head)
        for _ in range(3):
            self.assertIsInstance(next(followed), Write)
        waiting = next(followed)
        assert isinstance(waiting, Await)
        self.assertFalse(waiting.ready())
        self.finish()
        self.assertTrue(waiting.ready())
        rest = [*followed]
        self.assertEqual(len(rest), 9)
        self.assertIsInstance(rest[-1], Finish)

    def follow(self, query: dict[str, str]) -> Any:
        return retrieve(
            Asked(
                received=received(b"", "GET", query),
                found={"response_id": self.response_id},
                stamp=stamp(),
                kept=self.shelf,
                models=(),
            )
        )

    def test_cancelled(self) -> None:
        self.begin(stream=True)
        cancelled = self.post(f"responses/{self.response_id}/cancel")
        self.assertEqual(cancelled["status"], "cancelled")
        self.assertEqual(self.finish(), [Finish()])
        self.assertEqual(self.get(f"responses/{self.response_id}"), cancelled)
        query = {"stream": "true"}
        events = events_of(
            body_of(operate("GET", f"/v1/responses/{self.response_id}", self.shelf, query=query))
        )
        self.assertEqual(len(events), 3)

    def test_deleted(self) -> None:
        self.begin()
        self.delete(f"responses/{self.response_id}")
        self.assertEqual(self.finish(), [])
        self.assertEqual(self.shelf.all("openai.response"), [])

    def test_cancelled_or_deleted_as_it_ends(self) -> None:
        for path in ("cancel", None):
            self.shelf = Shelf()
            self.begin()
            *events, end = self.events
            for event in events:
                keep(self.encoder.encode(event), self.shelf)
            acts = [*self.encoder.encode(end)]
            if path:
                self.post(f"responses/{self.response_id}/cancel")
            else:
                self.delete(f"responses/{self.response_id}")
            keep(acts, self.shelf)
            states = [kept.response["status"] for _, kept in self.shelf.all("openai.response")]
            self.assertEqual(states, ["cancelled"] if path else [])

    def test_failing(self) -> None:
        self.begin()
        keep(self.encoder.encode(Failed(failure=Failure(status=500))), self.shelf)
        self.assertEqual(self.get(f"responses/{self.response_id}")["status"], "failed")
        encoder = DIALECT.encoder(prompt_of(background=True), stamp())
        head, *_ = encoder.encode(Failed(failure=Failure(status=500)))
        assert isinstance(head, Head)
        self.assertEqual(head.status, 500)


class ConversationTests(KeptTestCase):
    def test_made_changed_and_deleted(self) -> None:
        made = self.post("conversations", {"metadata": {"a": "b"}})
        self.assertEqual(made["metadata"], {"a": "b"})
        Conversation.model_validate(made, strict=True)
        path = f"conversations/{made['id']}"
        self.assertEqual(self.get(path), made)
        self.assertEqual(self.post(path, {"metadata": None})["metadata"], {})
        self.assertEqual(
            self.delete(path),
            {"id": made["id"], "object": "conversation.deleted", "deleted": True},
        )
        self.assertEqual(self.refused(self.get, path).status, 404)

    def test_made_of_nothing(self) -> None:
        path = f"conversations/{self.post('conversations')['id']}/items"
        empty = {"object": "list", "data": [], "has_more": False, "first_id": "", "last_id": ""}
        self.assertEqual(self.get(path), empty)

    def test_items(self) -> None:
        made = self.post("conversations", {"items": [{"role": "user", "content": "One."}]})
        path = f"conversations/{made['id']}"
        more = {"items": [{"role": "developer", "content": "Two."}]}
        added = self.post(f"{path}/items", more, number=100)
        self.assertEqual([item["role"] for item in added["data"]], ["developer"])
        found = self.get(f"{path}/items", order="asc")
        self.assertEqual([item["role"] for item in found["data"]], ["user", "developer"])
        ConversationItemList.model_validate_json(json.dumps(found), strict=True)
        first = f"{path}/items/{found['first_id']}"
        self.assertEqual(self.get(first), found["data"][0])
        self.assertEqual(self.delete(first)["object"], "conversation")
        self.assertEqual(self.refused(self.get, first).status, 404)
        self.assertEqual(len(self.get(f"{path}/items")["data"]), 1)

    def test_it_grows_with_each_response(self) -> None:
        made = self.post("conversations")
        for number, store in ((1, True), (2, False)):
            whole = self.respond(number=number, conversation=made["id"], store=store)
            self.assertEqual(whole["conversation"], {"id": made["id"]})
        found = self.get(f"conversations/{made['id']}/items", order="asc")
        self.assertEqual([i["role"] for i in found["data"]], ["user", "assistant"] * 2)
        prompt = prompt_of(conversation=made["id"], kept=self.shelf)
        self.assertEqual(len(prompt.messages), 5)

    def test_it_may_be_gone_when_a_response_ends(self) -> None:
        made = self.post("conversations")
        prompt = prompt_of(conversation=made["id"], kept=self.shelf)
        acts = encoded(prompt, HELLO)
        self.shelf.put(Keep("openai.conversation", made["id"], None))
        keep(acts, self.shelf)
        self.assertEqual(self.shelf.all("openai.conversation"), [])

    def test_what_failed_does_not_belong_to_it(self) -> None:
        made = self.post("conversations")
        prompt = prompt_of(conversation=made["id"], stream=True, kept=self.shelf)
        encoder = DIALECT.encoder(prompt, stamp())
        keep(encoder.encode(Begin(model="m", prompt_tokens=1)), self.shelf)
        keep(encoder.encode(Failed(failure=Failure(status=500))), self.shelf)
        self.assertEqual(self.get(f"conversations/{made['id']}/items")["data"], [])

    def test_nothing_said(self) -> None:
        encoder = DIALECT.encoder(prompt_of(), stamp())
        acts = [*encoder.encode(Begin(model="m", prompt_tokens=1))]
        acts += encoder.encode(End(usage=Usage()))
        self.assertEqual(whole_of(acts)["output"], [])


class PublishedTests(KeptTestCase):
    """The published schema, where a copy of it is at hand."""

    def test_answers(self) -> None:
        items = {"items": [{"role": "user", "content": "One."}]}
        conversation = self.post("conversations", items)
        published("ConversationResource").validate(conversation)
        made = self.respond(conversation=conversation["id"])
        found = self.get(f"conversations/{conversation['id']}/items")
        published("ConversationItemList").validate(found)
        found = self.get(f"responses/{made['id']}/input_items")
        published("ResponseItemList").validate(found)
        asked = {"model": "m", "input": "Hi."}
        counted = self.post("responses/input_tokens", asked)
        published("TokenCountsResource").validate(counted)
        published("CompactResource").validate(self.post("responses/compact", asked))
        gone = self.delete(f"conversations/{conversation['id']}")
        published("DeletedConversationResource").validate(gone)
