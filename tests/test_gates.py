"""Gates in whole answers: a test lets out as much of a stream as it wants, and no time passes."""

import json
from typing import Any

from fakellm.engine.clock import VirtualClock
from tests.servers import chunks_of
from tests.timed import Asked, ScenarioTestCase

HELD = """
rules:
  - when: {user: head}
    reply: one two three
    hold: gate
  - when: {user: tokens}
    reply: one two three
    hold: {gate: gate, after: {tokens: 2}}
  - when: {user: chunks}
    reply: one two three
    hold: {gate: gate, after: {chunks: 3}}
  - when: {user: end}
    reply: one two three
    hold: {gate: gate, before: end}
  - when: {user: two}
    reply: one two three
    hold: [first, {gate: second, before: end}]
  - when: {user: {starts_with: named}}
    reply: one two three
    hold: "{{ headers['x-test'] }}"
"""


class GateTests(ScenarioTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.clock = VirtualClock()
        self.scenario(HELD)

    def held(self, user: str, **fields: Any) -> Asked:
        return self.stream(messages=[{"role": "user", "content": user}], **fields)

    def test_before_the_head_nothing_has_come(self) -> None:
        asked = self.held("head")
        self.assertEqual((asked.status, self.server.gate("gate").waiting), (None, 1))
        self.server.gate("gate").release()
        self.flush()
        self.assertEqual((asked.status, asked.ended), (200, True))
        chunks_of(asked.body)

    def test_after_so_many_tokens_or_chunks_or_before_the_end(self) -> None:
        for user, words in (
            ("tokens", ["one", " two"]),
            ("chunks", ["one", " two"]),
            ("end", ["one", " two", " three"]),
        ):
            asked = self.held(user)
            self.assertEqual((asked.words, asked.ended), (words, False))
            self.server.gate("gate").release()
            self.flush()
            self.assertEqual((len(chunks_of(asked.body)), asked.ended), (5, True))

    def test_a_whole_answer_waits_as_well(self) -> None:
        for user in ("head", "tokens", "end"):
            asked = self.whole(messages=[{"role": "user", "content": user}])
            self.assertFalse(asked.ended)
            self.server.gate("gate").release()
            self.flush()
            self.assertEqual(asked.json["choices"][0]["message"]["content"], "one two three")

    def test_chunk_by_chunk(self) -> None:
        asked = self.held("head")
        seen = []
        while not asked.ended:
            self.server.gate("gate").step()
            self.flush()
            seen.append(asked.body.count(b"data: "))
        self.assertEqual(seen, [1, 2, 3, 4, 5, 6])

    def test_three_chunks_then_the_client_leaves_and_the_server_notices(self) -> None:
        asked = self.held("head")
        gate = self.server.gate("gate")
        gate.step(3)
        self.flush()
        self.assertEqual(asked.words, ["one", " two"])
        asked.leave()
        self.assertEqual((gate.waiting, gate.left), (0, 1))
        self.assertEqual(self.health()["running"], 0)

    def test_two_gates_one_after_the_other(self) -> None:
        asked = self.held("two")
        self.server.gate("first").release()
        self.flush()
        self.assertEqual(asked.words, ["one", " two", " three"])
        self.assertEqual(self.server.gate("second").waiting, 1)
        self.server.gate("second").release()
        self.flush()
        self.assertTrue(asked.ended)

    def test_a_gate_may_be_named_by_the_request(self) -> None:
        self.held("named", headers={"X-Test": "mine"})
        self.assertEqual(self.server.gate("mine").waiting, 1)

    def test_they_are_listed_and_opened_by_the_control_api_too(self) -> None:
        asked = self.held("head")
        listed = self.request("GET", "/_fakellm/gates").json
        self.assertEqual([(g["name"], g["waiting"]) for g in listed["gates"]], [("gate", 1)])
        done = self.request("POST", "/_fakellm/gates/gate/step", json.dumps({"chunks": 2}).encode())
        self.assertEqual((done.status, asked.body.count(b"data: ")), (200, 2))
        self.request("POST", "/_fakellm/gates/gate/release")
        self.flush()
        self.assertTrue(asked.ended)

    def test_an_abort_breaks_the_connection_off(self) -> None:
        asked = self.held("tokens")
        self.assertEqual(self.server.gate("gate").abort(), 1)
        self.flush()
        self.assertTrue(asked.ended)
        self.assertNotIn(b"[DONE]", asked.body)
