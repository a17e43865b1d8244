"""What a server keeps between requests is bounded, its own, and gone at its end."""

import json
from typing import Any

from fakellm import FakeLLM
from tests.servers import HELLO, Answer, MemoryTestCase

ASKED: dict[str, Any] = {"model": "m", "input": "Say something"}


class KeptTests(MemoryTestCase):
    def respond(self, **fields: Any) -> Answer:
        body = json.dumps({**ASKED, **fields}).encode()
        return self.request("POST", "/v1/responses", body)

    def made(self, **fields: Any) -> str:
        """A response; its id."""
        answer = self.respond(**fields)
        self.assertEqual(answer.status, 200, answer.body)
        made: str = answer.json["id"]
        return made

    def status(self, response_id: str) -> int:
        return self.request("GET", f"/v1/responses/{response_id}").status

    def test_the_oldest_go_where_there_is_no_room(self) -> None:
        self.serve(keep_at_most="200KiB")
        ids = [self.made() for _ in range(50)]
        kept = [self.status(each) == 200 for each in ids]
        self.assertTrue(2 < sum(kept) < 48, kept)
        self.assertEqual(kept, sorted(kept))

    def test_who_builds_on_what_has_gone_is_told_so(self) -> None:
        self.serve(keep_at_most="200KiB")
        first = self.made()
        for _ in range(50):
            self.made()
        answer = self.respond(previous_response_id=first)
        self.assertEqual(
            (answer.status, answer.json["error"]["code"]), (400, "previous_response_not_found")
        )

    def test_what_is_larger_than_all_room_is_answered_and_not_kept(self) -> None:
        self.serve(keep_at_most="100KiB")
        small = self.made()
        large = self.made(input="word " * 100_000)
        self.assertEqual((self.status(small), self.status(large)), (200, 404))

    def test_a_long_conversation_is_kept_within_the_bounds(self) -> None:
        self.serve(keep_at_most="500KiB")
        previous = self.made()
        for _ in range(40):
            previous = self.made(previous_response_id=previous)
        listed = self.request("GET", f"/v1/responses/{previous}/input_items?limit=100").json
        self.assertEqual(len(listed["data"]), 81)

    def test_servers_share_nothing(self) -> None:
        self.serve()
        made = self.made()
        self.serve()
        self.assertEqual(self.status(made), 404)

    def test_it_is_gone_at_the_end(self) -> None:
        self.serve(grace=0)
        server: FakeLLM = self.server
        made = self.made()
        self.assertEqual(self.status(made), 200)
        self.successResultOf(server.stopService())
        self.assertEqual(self.status(made), 404)


class BatchTests(MemoryTestCase):
    def test_a_batch_ends_even_where_there_is_no_room_for_its_results(self) -> None:
        self.serve(keep_at_most="100KiB")
        headers = {"anthropic-version": "2023-06-01", "x-api-key": "k"}
        params = {**HELLO, "max_tokens": 50}
        items = [{"custom_id": str(number), "params": params} for number in range(100)]
        body = json.dumps({"requests": items}).encode()
        path = "/v1/messages/batches"
        made = self.request("POST", path, body, headers=headers).json
        batch = self.request("GET", f"{path}/{made['id']}", headers=headers).json
        self.assertEqual(batch["processing_status"], "ended")
        counts = batch["request_counts"]
        self.assertEqual(counts["succeeded"] + counts["expired"], 100)
        self.assertTrue(0 < counts["succeeded"] < 100, counts)
        results = self.request("GET", f"{path}/{made['id']}/results", headers=headers)
        outcomes = [json.loads(line)["result"]["type"] for line in results.body.splitlines()]
        self.assertEqual(outcomes.count("succeeded"), counts["succeeded"])
        self.assertEqual(len(outcomes), 100)
