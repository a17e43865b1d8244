"""Chat completions that are stored, and the models that can be deleted."""

import json
from typing import Any

from openai.pagination import SyncCursorPage
from openai.types import Model, ModelDeleted
from openai.types.chat import ChatCompletion, ChatCompletionDeleted
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.openai import model_operations, stored
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.flavour import VLLM
from fakellm.dialects.openai.operations import AZURE, openai_operations, vllm_operations
from fakellm.engine.shelf import Shelf
from fakellm.model.content import Speech, ToolCall
from fakellm.model.reply import Failure, Refused
from fakellm.model.timeline import Keep
from tests.dialects.openai.answering import chunks_of, reassembled
from tests.dialects.openai.requests import HELLO
from tests.dialects.openai.texts import acts, asked, keep, operated, said, sent, strictly
from tests.sdk import published

CHAT = OpenAIChat()
NAMES = ("chatcmpl-a", "chatcmpl-b", "chatcmpl-c")


def refused(answer: Any, shelf: Shelf, **more: Any) -> Failure:
    """Why an operation refuses."""
    try:
        operated(answer, shelf, **more)
    except Refused as error:
        return error.failure
    raise AssertionError("it was not refused")


def store(shelf: Shelf, name: str = "chatcmpl-a", **fields: Any) -> None:
    """Store a completion."""
    prompt = asked(CHAT, {**HELLO, "store": True, **fields})
    keep(acts(CHAT, prompt, said("hello world", id=name)), shelf)


class StoringTests(SynchronousTestCase):
    def test_nothing_is_stored_unasked(self) -> None:
        for fields in ({}, {"store": False}, {"store": None}):
            given = acts(CHAT, asked(CHAT, {**HELLO, **fields}))
            self.assertFalse([act for act in given if isinstance(act, Keep)])

    def test_what_is_stored_is_what_was_sent(self) -> None:
        call = ToolCall(name="f", arguments='{"a": 1}')
        for reply in (said("hello"), said("hm", call, call), said(call, n=2)):
            body = {**HELLO, "store": True, "n": len(reply.choices)}
            shelf = Shelf()
            given = acts(CHAT, asked(CHAT, body), reply)
            keep(given, shelf)
            sent_ = json.loads(sent(given)[1])
            kept = operated(stored.get_completion, shelf, id=sent_["id"])
            self.assertEqual(kept, {**sent_, "metadata": {}})
            strictly(ChatCompletion, sent_)
            options = {"stream": True, "stream_options": {"include_usage": True}}
            given = acts(CHAT, asked(CHAT, {**body, **options}), reply)
            keep(given, shelf)
            whole = reassembled(chunks_of(sent(given)[1]))
            kept = operated(stored.get_completion, shelf, id=whole["id"])
            self.assertEqual(kept["usage"], whole["usage"])
            for choice, other in zip(kept["choices"], whole["choices"], strict=True):
                message = choice["message"]
                self.assertEqual(message.get("tool_calls"), other["message"].get("tool_calls"))
                self.assertEqual(message["content"], other["message"]["content"])

    def test_an_answer_that_breaks_off_is_not_stored(self) -> None:
        reply = said("hello", failure=Failure(status=500))
        given = acts(CHAT, asked(CHAT, {**HELLO, "store": True}), reply)
        self.assertFalse([act for act in given if isinstance(act, Keep)])

    def test_speech_is_stored(self) -> None:
        shelf = Shelf()
        spoken = {"modalities": ["text", "audio"], "audio": {"voice": "a", "format": "wav"}}
        prompt = asked(CHAT, {**HELLO, "store": True, **spoken})
        keep(acts(CHAT, prompt, said(Speech(transcript="hi"), id="x")), shelf)
        kept = operated(stored.get_completion, shelf, id="x")
        self.assertEqual(kept["choices"][0]["message"]["audio"]["transcript"], "hi")


class ListTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.shelf = Shelf()
        for number, name in enumerate(NAMES):
            store(self.shelf, name, metadata={"run": str(number), "all": "yes"})

    def names(self, **query: str) -> list[str]:
        page = operated(stored.list_completions, self.shelf, query=query)
        names = [each["id"] for each in page["data"]]
        self.assertEqual(page["first_id"], names[0] if names else None)
        self.assertEqual(page["last_id"], names[-1] if names else None)
        return names

    def test_the_oldest_come_first_unless_the_newest_are_to(self) -> None:
        self.assertEqual(self.names(), [*NAMES])
        self.assertEqual(self.names(order="asc"), [*NAMES])
        self.assertEqual(self.names(order="desc"), [*NAMES[::-1]])

    def test_pages(self) -> None:
        page = operated(stored.list_completions, self.shelf, query={"limit": "2"})
        self.assertEqual(page["has_more"], True)
        self.assertEqual(self.names(limit="2", after=page["last_id"]), [NAMES[2]])
        self.assertEqual(self.names(after=NAMES[2]), [])
        self.assertEqual(self.names(after=NAMES[1], order="desc"), [NAMES[0]])

    def test_filters(self) -> None:
        self.assertEqual(self.names(**{"metadata[run]": "1"}), [NAMES[1]])
        self.assertEqual(self.names(**{"metadata[all]": "yes", "metadata[run]": "2"}), [NAMES[2]])
        self.assertEqual(self.names(**{"metadata[none]": "1"}), [])
        self.assertEqual(self.names(model="fake"), [*NAMES])
        self.assertEqual(self.names(model="other"), [])

    def test_what_the_api_does_not_take_is_refused(self) -> None:
        for query, param in (
            ({"limit": "0"}, "limit"),
            ({"limit": "101"}, "limit"),
            ({"limit": "x"}, "limit"),
            ({"order": "up"}, "order"),
            ({"after": "chatcmpl-z"}, "after"),
        ):
            failure = refused(stored.list_completions, self.shelf, query=query)
            self.assertEqual((failure.status, failure.param), (400, param))

    def test_it_is_what_the_sdk_declares(self) -> None:
        page = operated(stored.list_completions, self.shelf)
        for each in page["data"]:
            strictly(ChatCompletion, each)
        self.assertEqual(len(SyncCursorPage[ChatCompletion].model_validate(page).data), 3)

    def test_it_meets_the_published_schema(self) -> None:
        page = operated(stored.list_completions, self.shelf)
        published("ChatCompletionList").validate(page)


class OneTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.shelf = Shelf()
        store(self.shelf, metadata={"a": "b"})

    def test_new_metadata_takes_the_place_of_the_old(self) -> None:
        for metadata, told in (({"c": "d"}, {"c": "d"}), (None, {}), ({}, {})):
            body = {"metadata": metadata}
            answer = operated(
                stored.update_completion, self.shelf, method="POST", body=body, id=NAMES[0]
            )
            self.assertEqual(answer["metadata"], told)
            kept = operated(stored.get_completion, self.shelf, id=NAMES[0])
            self.assertEqual(kept, answer)
            strictly(ChatCompletion, kept)

    def test_metadata_has_to_be_given_as_the_api_takes_it(self) -> None:
        for body, param in ((b"{", None), ({}, "metadata"), ({"metadata": 1}, "metadata")):
            failure = refused(stored.update_completion, self.shelf, body=body, id=NAMES[0])
            self.assertEqual((failure.status, failure.param), (400, param))

    def test_what_is_deleted_is_gone(self) -> None:
        told = operated(stored.delete_completion, self.shelf, method="DELETE", id=NAMES[0])
        strictly(ChatCompletionDeleted, told)
        self.assertEqual(refused(stored.get_completion, self.shelf, id=NAMES[0]).status, 404)

    def test_what_is_told_of_it_meets_the_published_schema(self) -> None:
        told = operated(stored.delete_completion, self.shelf, method="DELETE", id=NAMES[0])
        published("ChatCompletionDeleted").validate(told)

    def test_what_is_not_there_is_not_found(self) -> None:
        for answer in (
            stored.get_completion,
            stored.update_completion,
            stored.delete_completion,
            stored.list_messages,
        ):
            failure = refused(answer, self.shelf, id="chatcmpl-z")
            self.assertEqual(failure.status, 404)
            self.assertIn("chatcmpl-z", failure.message or "")

    def test_messages(self) -> None:
        image = {"type": "image_url", "image_url": {"url": "https://example.com"}}
        messages: list[dict[str, Any]] = [
            {"role": "system", "content": "Be brief", "name": "Ada"},
            {"role": "user", "content": [{"type": "text", "text": "Look"}, image]},
            {"role": "assistant", "refusal": "No"},
        ]
        store(self.shelf, "x", messages=messages)
        page = operated(stored.list_messages, self.shelf, id="x", query={"limit": "2"})
        first, second = page["data"]
        self.assertEqual((page["first_id"], page["has_more"]), ("x-0", True))
        self.assertEqual(
            first,
            {
                "id": "x-0",
                "role": "system",
                "content": "Be brief",
                "refusal": None,
                "name": "Ada",
                "content_parts": None,
            },
        )
        self.assertEqual(second["content"], "Look")
        self.assertEqual(second["content_parts"], messages[1]["content"])
        rest = operated(stored.list_messages, self.shelf, id="x", query={"after": "x-1"})
        self.assertEqual(rest["data"][0]["refusal"], "No")


class ModelTests(SynchronousTestCase):
    models = ("fake-model", "ft:fake-model:me")

    def test_they_are_listed_and_shown(self) -> None:
        shelf = Shelf()
        listed = operated(model_operations.listing(), shelf, models=self.models)["data"]
        self.assertEqual([each["id"] for each in listed], [*self.models])
        for each in listed:
            strictly(Model, each)
            shown = operated(model_operations.showing(), shelf, models=self.models, name=each["id"])
            self.assertEqual(shown, each)

    def test_vllm_tells_more_of_them(self) -> None:
        (model,) = operated(model_operations.listing(VLLM), Shelf())["data"]
        self.assertEqual((model["root"], model["max_model_len"]), ("fake-model", 131_072))
        self.assertEqual(
            operated(model_operations.showing(VLLM), Shelf(), name="fake-model"), model
        )

    def test_only_fine_tuned_ones_can_be_deleted(self) -> None:
        shelf = Shelf()
        failure = refused(model_operations.delete_model, shelf, name="fake-model")
        self.assertEqual(failure.status, 403)
        name = self.models[1]
        told = operated(model_operations.delete_model, shelf, models=self.models, name=name)
        strictly(ModelDeleted, told)
        listed = operated(model_operations.listing(), shelf, models=self.models)["data"]
        self.assertEqual([each["id"] for each in listed], ["fake-model"])
        for answer in (model_operations.showing(), model_operations.delete_model):
            self.assertEqual(refused(answer, shelf, models=self.models, name=name).status, 404)
        self.assertEqual(refused(model_operations.delete_model, shelf, name="none").status, 404)

    def test_what_is_told_of_it_meets_the_published_schema(self) -> None:
        name = self.models[1]
        told = operated(model_operations.delete_model, Shelf(), models=self.models, name=name)
        published("DeleteModelResponse").validate(told)


class RouteTests(SynchronousTestCase):
    def test_no_operation_is_there_twice(self) -> None:
        lines = [*openai_operations(), *AZURE, *vllm_operations("/vllm")]
        self.assertEqual(len({(each.method, each.path) for each in lines}), len(lines))
        self.assertIn("/vllm/health", [each.path for each in lines])
        self.assertEqual({each.dialect.name for each in AZURE}, {"azure"})
