"""Counts, models and message batches, as pure functions of what is asked and kept."""

import json
from typing import Any

from anthropic.types import MessageTokensCount, ModelInfo
from anthropic.types.messages import (
    DeletedMessageBatch,
    MessageBatch,
    MessageBatchIndividualResponse,
)
from hypothesis import given, settings
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.anthropic import batches
from fakellm.dialects.anthropic.errors import error_json
from fakellm.dialects.anthropic.operations import MODEL_OPERATIONS, OPERATIONS
from fakellm.engine.shelf import Shelf
from fakellm.model.asked import Asked
from fakellm.model.content import Text
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Failure, Refused
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act, Ask, Finish, Head, Keep, Write
from tests.dialects.anthropic.answering import (
    CREATED,
    answer,
    body_of,
    choice,
    encoded,
    stamp,
    strictly,
)
from tests.dialects.anthropic.requests import (
    HELLO,
    VERSION,
    anything,
    decoded,
    prompt_of,
    received,
    refusal_of,
)

BATCHES = "/v1/messages/batches"
ERROR = error_json(Failure(status=400), stamp())
SAID = body_of(encoded(prompt_of(), answer(*choice((Text(text="Hi"), ["Hi"])))))

few = settings(deadline=None, derandomize=True, max_examples=100, database=None)


def item(custom_id: str, **fields: Any) -> dict[str, Any]:
    return {"custom_id": custom_id, "params": {**HELLO, **fields}}


class OperationTestCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.kept = Shelf()
        self.now = CREATED
        self.number = 0
        self.strict = False
        self.asks: list[Ask] = []
        self.acts: list[Act] = []

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | dict[str, Any] = b"",
        *,
        prefix: str = "",
        headers: dict[str, str] | None = None,
        **query: str,
    ) -> bytes:
        """The body of an answer whose acts were done."""
        operation, found = self.operation(method, path)
        self.number += 1
        asked = Asked(
            received=received(
                body, method=method, path=prefix + path, headers=headers, query=query
            ),
            found=found,
            stamp=Stamp(seed=0, number=self.number, created=self.now, fingerprint="fp"),
            kept=self.kept,
            models=("claude-fake", "other/model"),
            count=self.count,
            strict=self.strict,
        )
        self.acts = [*operation.answer(asked)]
        for act in self.acts:
            if isinstance(act, Keep):
                self.kept.put(act)
            elif isinstance(act, Ask):
                self.asks.append(act)
        return b"".join(act.data for act in self.acts if isinstance(act, Write))

    def operation(self, method: str, path: str) -> Any:
        for operation in (*OPERATIONS, *MODEL_OPERATIONS):
            ours, theirs = operation.path.split("/"), path.split("/")
            if operation.path.endswith("<path:name>") and len(theirs) > 3:
                theirs = [*theirs[:3], "/".join(theirs[3:])]
            if operation.method != method or len(ours) != len(theirs):
                continue
            pairs = list(zip(ours, theirs, strict=True))
            if all(one == other or one.startswith("<") for one, other in pairs):
                found = {
                    one.strip("<>").removeprefix("path:"): other
                    for one, other in pairs
                    if one.startswith("<")
                }
                return operation, found
        raise AssertionError(f"no operation {method} {path}")

    def count(self, prompt: Prompt) -> int:
        return sum(len(message.text) for message in prompt.messages)

    def refused(self, method: str, path: str, body: Any = b"", **more: Any) -> Failure:
        with self.assertRaises(Refused) as refused:
            self.ask(method, path, body, **more)
        failure: Failure = refused.exception.failure
        return failure

    def answered(self, number: int, status: int = 200, body: bytes = SAID) -> None:
        """Let a request of a batch have its answer."""
        for keep in self.asks[number].then(status, body):
            self.kept.put(keep)


class CountTests(OperationTestCase):
    def test_a_count(self) -> None:
        asked = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
        body = self.ask("POST", "/v1/messages/count_tokens", asked)
        self.assertEqual(strictly(MessageTokensCount, body).input_tokens, 5)

    def test_what_is_wrong_is_refused_as_it_is_for_an_answer(self) -> None:
        path = "/v1/messages/count_tokens"
        self.assertEqual(self.refused("POST", path, {}), refusal_of({}))
        self.assertEqual(
            self.refused("POST", path, HELLO, headers={}).message,
            "anthropic-version: header is required",
        )
        self.strict = True
        self.assertEqual(
            self.refused("POST", path, HELLO).message, "max_tokens: Extra inputs are not permitted"
        )

    def test_nothing_is_counted_where_nobody_counts(self) -> None:
        asked = Asked(received=received(), found={}, stamp=stamp(), kept=self.kept, models=())
        self.assertEqual(asked.count(prompt_of()), 0)


class ModelTests(OperationTestCase):
    def test_the_list_and_each_of_it(self) -> None:
        told = json.loads(self.ask("GET", "/v1/models", limit="1"))
        self.assertEqual([model["id"] for model in told["data"]], ["claude-fake"])
        self.assertTrue(told["has_more"])
        card = strictly(ModelInfo, self.ask("GET", "/v1/models/other/model"))
        self.assertEqual(card.id, "other/model")

    def test_a_model_that_is_not_on_offer(self) -> None:
        failure = self.refused("GET", "/v1/models/nonesuch")
        self.assertEqual((failure.status, failure.message), (404, "model: nonesuch"))


class BatchTests(OperationTestCase):
    def create(self, *custom_ids: str, **more: Any) -> MessageBatch:
        requests = [item(custom_id) for custom_id in custom_ids]
        return self.read(self.ask("POST", BATCHES, {"requests": requests}, **more))

    def read(self, body: bytes) -> MessageBatch:
        found: MessageBatch = strictly(MessageBatch, body)
        counts = found.request_counts
        total = (
            counts.processing + counts.succeeded + counts.errored + counts.canceled + counts.expired
        )
        self.assertEqual(total, len(self.kept.get(batches.KIND, found.id).custom_ids))
        return found

    def show(self, id_: str, **more: Any) -> MessageBatch:
        return self.read(self.ask("GET", f"{BATCHES}/{id_}", **more))

    def results(self, id_: str) -> list[Any]:
        body = self.ask("GET", f"{BATCHES}/{id_}/results")
        return [strictly(MessageBatchIndividualResponse, line) for line in body.splitlines()]

    def test_a_batch_begins(self) -> None:
        batch = self.create("a", "b")
        self.assertRegex(batch.id, r"^msgbatch_01[a-zA-Z0-9]{22}$")
        self.assertEqual(batch.processing_status, "in_progress")
        self.assertEqual(batch.request_counts.processing, 2)
        self.assertEqual((batch.expires_at - batch.created_at).total_seconds(), 24 * 3600)
        self.assertIsNone(batch.results_url)
        self.assertEqual([type(act) for act in self.acts], [Keep, Ask, Ask, Head, Write, Finish])

    def test_its_requests_are_asked_as_any_other(self) -> None:
        requests = [item("a", stream=True), item("b", max_tokens="wrong")]
        headers = {**VERSION, "x-api-key": "k", "content-length": "9"}
        self.ask("POST", BATCHES, {"requests": requests}, prefix="/pre", headers=headers)
        one, other = [ask.received for ask in self.asks]
        self.assertEqual((one.method, one.path), ("POST", "/pre/v1/messages"))
        self.assertEqual(dict(one.headers), {**VERSION, "x-api-key": "k"})
        self.assertFalse(decoded(one).stream)
        failure = refusal_of(other)
        assert failure is not None
        self.assertEqual(failure.message, "max_tokens: Input should be a valid integer")

    def test_it_ends_once_all_are_answered(self) -> None:
        id_ = self.create("a", "b").id
        self.answered(0)
        self.assertEqual(self.show(id_).processing_status, "in_progress")
        self.answered(1, 400, ERROR)
        self.now += 5
        batch = self.show(id_)
        self.assertEqual(batch.processing_status, "ended")
        assert batch.ended_at is not None
        self.assertEqual(batch.ended_at.timestamp(), self.now)
        counts = batch.request_counts
        self.assertEqual((counts.succeeded, counts.errored, counts.processing), (1, 1, 0))
        self.now += 5
        self.assertEqual(self.show(id_), batch)

    def test_results(self) -> None:
        id_ = self.create("a", "b", "c", "d").id
        self.answered(0)
        self.answered(1, 400, ERROR)
        self.answered(2, 500, b"no json")
        self.answered(3, 200, b"[]")
        one, *others = self.results(id_)
        self.assertEqual((one.custom_id, one.result.type), ("a", "succeeded"))
        self.assertEqual(one.result.message.content[0].text, "Hi")
        self.assertEqual(one.result.message.usage.service_tier, "batch")
        kinds = [each.result.error.error.type for each in others]
        self.assertEqual(kinds, ["invalid_request_error", "api_error", "api_error"])
        head = next(act for act in self.acts if isinstance(act, Head))
        self.assertIn(("Content-Type", "application/x-jsonl"), head.headers)

    def test_a_message_without_usage_is_taken_as_it_is(self) -> None:
        self.create("a")
        keep, _ = self.asks[0].then(200, b'{"odd": 1}')
        assert isinstance(keep, Keep)
        self.assertEqual(json.loads(keep.value.line)["result"]["message"], {"odd": 1})

    def test_results_have_to_be_waited_for(self) -> None:
        id_ = self.create("a").id
        failure = self.refused("GET", f"{BATCHES}/{id_}/results")
        self.assertEqual((failure.status, failure.type), (404, "not_found_error"))

    def test_the_url_of_the_results_is_the_one_the_client_used(self) -> None:
        id_ = self.create("a").id
        self.answered(0)
        for headers, url in (
            ({**VERSION, "host": "fake:80"}, f"http://fake:80/pre{BATCHES}/{id_}/results"),
            (VERSION, f"/pre{BATCHES}/{id_}/results"),
        ):
            batch = self.show(id_, headers=headers, prefix="/pre")
            self.assertEqual(batch.results_url, url)

    def test_cancelling(self) -> None:
        id_ = self.create("a", "b").id
        self.answered(0)
        self.now += 7
        batch = self.read(self.ask("POST", f"{BATCHES}/{id_}/cancel"))
        self.assertEqual(batch.processing_status, "canceling")
        assert batch.cancel_initiated_at is not None
        self.assertEqual(batch.cancel_initiated_at.timestamp(), self.now)
        self.answered(1)  # too late
        again = self.read(self.ask("POST", f"{BATCHES}/{id_}/cancel"))
        self.assertEqual(again.processing_status, "ended")
        self.assertEqual(again.request_counts.canceled, 1)
        kinds = [each.result.type for each in self.results(id_)]
        self.assertEqual(kinds, ["succeeded", "canceled"])

    def test_what_takes_too_long_expires(self) -> None:
        id_ = self.create("a").id
        self.now += 24 * 3600
        self.assertEqual(self.show(id_).request_counts.expired, 1)
        self.assertEqual([each.result.type for each in self.results(id_)], ["expired"])

    def test_deleting(self) -> None:
        id_ = self.create("a").id
        failure = self.refused("DELETE", f"{BATCHES}/{id_}")
        self.assertEqual(failure.status, 400)
        self.answered(0)
        body = self.ask("DELETE", f"{BATCHES}/{id_}")
        self.assertEqual(strictly(DeletedMessageBatch, body).id, id_)
        self.assertEqual([*self.kept.all(batches.KIND)], [])
        self.assertEqual([*self.kept.all(batches.RESULT_KIND)], [])

    def test_the_list_has_the_newest_first(self) -> None:
        ids = [self.create("a").id for _ in range(3)]
        self.answered(1)
        told = json.loads(self.ask("GET", BATCHES, limit="2"))
        found = [self.read(json.dumps(each).encode()) for each in told["data"]]
        self.assertEqual([batch.id for batch in found], [ids[2], ids[1]])
        self.assertEqual([batch.processing_status for batch in found], ["in_progress", "ended"])
        self.assertTrue(told["has_more"])
        self.assertEqual(sum(isinstance(act, Keep) for act in self.acts), 1)
        told = json.loads(self.ask("GET", BATCHES, after_id=ids[1]))
        self.assertEqual([each["id"] for each in told["data"]], [ids[0]])

    def test_a_batch_that_there_is_not(self) -> None:
        for method, path in (
            ("GET", ""),
            ("DELETE", ""),
            ("POST", "/cancel"),
            ("GET", "/results"),
        ):
            failure = self.refused(method, f"{BATCHES}/nonesuch{path}")
            self.assertEqual((failure.status, failure.type), (404, "not_found_error"))

    def test_what_is_wrong_with_a_batch(self) -> None:
        for body, said in (
            ({}, "requests: Field required"),
            (
                {"requests": []},
                "requests: List should have at least 1 item after validation, not 0",
            ),
            (
                {"requests": [item("a"), item("a")]},
                "requests: custom_id must be unique for each request in the batch",
            ),
            (
                {"requests": [item("a b")]},
                "requests.0.custom_id: String should match pattern '^[a-zA-Z0-9_-]{1,64}$'",
            ),
            ({"requests": [{"custom_id": "a"}]}, "requests.0.params: Field required"),
        ):
            failure = self.refused("POST", BATCHES, body)
            self.assertEqual((failure.status, failure.message), (400, said))
        many = [item(str(number)) for number in range(batches.REQUESTS_AT_MOST + 1)]
        failure = self.refused("POST", BATCHES, {"requests": many})
        self.assertIn("at most 5000 items after validation, not 5001", str(failure.message))

    @few
    @given(anything)
    def test_any_json_is_at_most_refused(self, value: Any) -> None:
        for body in (
            value,
            {"requests": value},
            {"requests": [{"custom_id": "a", "params": value}]},
        ):
            for path in (BATCHES, "/v1/messages/count_tokens"):
                try:
                    self.ask("POST", path, json.dumps(body).encode())
                except Refused as refused:
                    self.assertEqual(refused.failure.status, 400)
