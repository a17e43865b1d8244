"""Snapshots are the same from run to run, and show all that a person would compare."""

from typing import Any

import msgspec
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.journal.records import Snapshot
from fakellm.scenarios.words import tool_call
from tests.servers import CHAT, MemoryTestCase, asking

UUID = "123e4567-e89b-12d3-a456-42661417400"


class SnapshotTests(MemoryTestCase):
    def snapshot(self, *, headers: dict[str, str] | None = None, **fields: Any) -> Snapshot:
        body = msgspec.json.encode(asking(**fields))
        self.request("POST", f"{CHAT}?api-version=2", body, headers=headers or {})
        journal = self.server.journal
        found = journal.snapshot(journal.all()[-1].id)
        assert found is not None
        return found

    def setUp(self) -> None:
        super().setUp()
        self.serve()

    def test_what_a_person_would_compare(self) -> None:
        found = self.snapshot(seed=5)
        self.assertEqual(found.body, asking(seed=5))
        self.assertEqual(list(found.body), ["messages", "model", "seed"])
        self.assertEqual((found.method, found.path), ("POST", CHAT))
        self.assertEqual((found.query, found.status), ({"api-version": "2"}, 200))
        self.assertEqual((found.dialect, found.endpoint), ("openai", "chat.completions"))
        self.assertEqual(found.rule, "rule 'hello world' (fakellm/default.yml:20)")
        assert found.answer is not None
        self.assertEqual(found.answer.choices[0].text, "hello world")

    def test_headers_that_are_about_the_request(self) -> None:
        found = self.snapshot(
            headers={
                "Content-Type": "application/json",
                "User-Agent": "x",
                "Authorization": "Bearer x",
                "X-FakeLLM-Fault": "delay 0s",
                "X-FakeLLM-Session": "blue",
                "X-Request-Id": "5",
            }
        )
        self.assertEqual(
            found.headers, {"content-type": "application/json", "x-fakellm-fault": "delay 0s"}
        )
        self.assertEqual(found.session, "blue")

    def test_ids_are_numbered_as_they_come_up(self) -> None:
        call = {"type": "function", "function": {"name": "f", "arguments": "{}"}}
        found = self.snapshot(
            messages=[
                {"role": "user", "content": f"see {UUID}7 and {UUID}8"},
                {"role": "assistant", "tool_calls": [{"id": "call_abc", **call}]},
                {"role": "tool", "tool_call_id": "call_abc", "content": f"{UUID}8"},
            ],
            user="u-17",
        )
        first, second, third = found.body["messages"]
        self.assertEqual(first["content"], "see <id 1> and <id 2>")
        self.assertEqual(second["tool_calls"][0]["id"], "<id 3>")
        self.assertEqual((third["tool_call_id"], third["content"]), ("<id 3>", "<id 2>"))
        self.assertEqual(found.body["user"], "<id 4>")

    def test_times_and_keys_are_masked(self) -> None:
        found = self.snapshot(
            messages=[
                {"role": "user", "content": "at 2026-01-02T03:04:05Z with sk-abcdefghijklmnopq"}
            ],
            metadata={"created_at": "1700000000", "api_key": "x", "date": "2026-01-02 03:04"},
        )
        self.assertEqual(found.body["messages"][0]["content"], "at <time> with ***")
        self.assertEqual(found.body["metadata"]["api_key"], "***")
        self.assertEqual(found.body["metadata"]["date"], "<time>")

    def test_numbers_that_are_times(self) -> None:
        self.request("POST", CHAT, b'{"created": 1700000000, "at": true, "time": 0, "n": 1}')
        found = self.server.journal.snapshot(self.server.journal.all()[-1].id)
        assert found is not None
        self.assertEqual(found.body, {"at": True, "created": "<time>", "n": 1, "time": 0})

    def test_a_body_that_is_no_JSON_is_a_text(self) -> None:
        self.request("POST", CHAT, f"see {UUID}7".encode())
        found = self.server.journal.snapshot(self.server.journal.all()[-1].id)
        assert found is not None
        self.assertEqual((found.body, found.answer is not None), ("see <id 1>", True))

    def test_it_is_the_same_in_another_run(self) -> None:
        texts = []
        for key, epoch in (("sk-0123456789abcdefghij", 0), ("sk-9876543210abcdefghij", 1e6)):
            self.clock = Clock()
            self.clock.advance(epoch)
            self.serve(seed=int(epoch))
            self.server.when().reply("Hi", tool_call("f", {"x": 1}, id=f"call_{int(epoch):012}"))
            self.ask()
            found = self.snapshot(headers={"Authorization": f"Bearer {key}"}, user=f"u{epoch}")
            texts.append(msgspec.json.encode(found))
        self.assertEqual(*texts)


class OrderTests(SynchronousTestCase):
    def test_it_can_be_written_and_read(self) -> None:
        self.assertEqual(
            [field.name for field in msgspec.structs.fields(Snapshot)][:4],
            ["session", "method", "path", "query"],
        )
