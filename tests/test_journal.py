"""The journal of a whole server: what came in, what became of it, and who sees which of it."""

import json
from typing import Any

from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from fakellm.journal.matches import Match
from fakellm.journal.records import JournalEntry, WriteRecord
from fakellm.scenarios.words import contains, error, fault, hold, tool_call
from tests.servers import CHAT, HELLO, LiveTestCase, MemoryTestCase, asking
from tests.timed import Asked

KEY = "sk-0123456789abcdefghij"
SLOW: dict[str, Any] = {"ttft": "1s", "itl": "500ms", "answer": "one two three"}


class JournalCase(MemoryTestCase):
    def entry(self, match: Match | None = None) -> JournalEntry:
        """The only request that fits."""
        (entry,) = self.server.journal.all(match)
        return entry

    def asked(self, *, session: str | None = None, **fields: Any) -> Asked:
        """A question whose answer may take its time."""
        headers = {} if session is None else {"X-FakeLLM-Session": session}
        asked = Asked(self, headers, fields)
        asked.asked.addErrback(lambda _: None)  # it may be broken off
        return asked


class EntryTests(JournalCase):
    def test_what_came_in(self) -> None:
        self.serve()
        self.request(
            "POST",
            f"{CHAT}?api-version=1&api_key={KEY}",
            json.dumps(asking(max_tokens=5, stop=["x"], seed=7)).encode(),
            headers={"Authorization": f"Bearer {KEY}", "Cookie": "a=b", "X-Team": "blue"},
        )
        entry = self.entry()
        self.assertEqual((entry.method, entry.path), ("POST", CHAT))
        self.assertEqual(entry.query, {"api-version": "1", "api_key": "***"})
        self.assertEqual(entry.headers["authorization"], "Bearer ***")
        self.assertEqual(entry.headers["cookie"], "***")
        self.assertEqual(entry.headers["x-team"], "blue")
        self.assertEqual(json.loads(entry.body), asking(max_tokens=5, stop=["x"], seed=7))
        self.assertEqual(entry.body_bytes, len(entry.body))
        self.assertEqual((entry.dialect, entry.endpoint), ("openai", "chat.completions"))
        self.assertEqual(
            (entry.model, entry.stream, entry.session), ("any-model", False, "default")
        )
        assert entry.prompt is not None
        (message,) = entry.prompt.messages
        self.assertEqual((message.role, message.text), ("user", "Say something"))
        self.assertEqual(message.parts, ({"type": "text", "text": "Say something"},))
        self.assertEqual(
            (entry.prompt.max_tokens, entry.prompt.stop, entry.prompt.seed), (5, ("x",), 7)
        )

    def test_what_became_of_it(self) -> None:
        self.serve()
        self.server.when(user=contains("Say")).reply("Hello there", name="greet")
        answer = self.ask()
        entry = self.entry()
        self.assertEqual(entry.id, answer.header("x-request-id"))
        self.assertEqual(entry.status, 200)
        assert entry.rule is not None
        self.assertEqual(entry.rule.title, "rule 'greet'")
        self.assertEqual(entry.rule.why, ("user contains 'Say'",))
        self.assertTrue(entry.rule.written)
        assert entry.answer is not None
        (choice,) = entry.answer.choices
        self.assertEqual((choice.text, choice.finish_reason), ("Hello there", "stop"))
        assert entry.usage is not None
        usage = answer.json["usage"]
        self.assertEqual(
            (entry.usage.prompt, entry.usage.completion, entry.usage.total),
            (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]),
        )
        self.assertEqual(
            (entry.delivery.ended, entry.delivery.bytes), ("finished", len(answer.body))
        )

    def test_an_answer_is_told_as_it_was_cut(self) -> None:
        self.serve(answer="one two three four")
        self.ask(max_tokens=2)
        answer = self.entry().answer
        assert answer is not None
        self.assertEqual(
            (answer.choices[0].text, answer.choices[0].finish_reason), ("one two", "length")
        )

    def test_tool_calls(self) -> None:
        self.serve()
        self.server.when().reply("Let me see.", tool_call("f", {"x": 1}))
        self.ask()
        answer = self.entry().answer
        assert answer is not None
        (choice,) = answer.choices
        self.assertEqual((choice.text, choice.finish_reason), ("Let me see.", "tool_calls"))
        self.assertEqual(
            choice.parts[1],
            {
                "type": "tool_call",
                "name": "f",
                "arguments": '{"x":1}',
                "id": "",
                "kind": "function",
            },
        )

    def test_an_error_of_a_rule(self) -> None:
        self.serve()
        self.server.when().reply(error(429, "Later"))
        self.ask()
        entry = self.entry()
        assert entry.answer is not None
        assert entry.answer.error is not None
        self.assertEqual((entry.answer.error.status, entry.answer.error.message), (429, "Later"))
        self.assertEqual(entry.status, 429)
        self.assertIsNone(entry.usage)

    def test_what_was_not_understood(self) -> None:
        self.serve()
        self.request("POST", CHAT, b"{")
        entry = self.entry()
        self.assertEqual((entry.status, entry.body, entry.endpoint), (400, "{", ""))
        self.assertIsNone(entry.prompt)
        self.assertIsNone(entry.rule)
        assert entry.answer is not None
        assert entry.answer.error is not None
        self.assertEqual(entry.answer.error.status, 400)

    def test_what_has_no_route_and_what_asks_no_model(self) -> None:
        self.serve()
        self.request("GET", "/nowhere")
        self.request("GET", "/v1/models")
        self.assertEqual(
            [(entry.path, entry.status) for entry in self.server.journal.all()],
            [("/nowhere", 404), ("/v1/models", 200)],
        )

    def test_looking_at_the_server_is_no_request(self) -> None:
        self.serve()
        for path in ("/", "/health", "/metrics", "/_fakellm/gates"):
            self.request("GET", path)
        self.assertEqual(self.server.journal.all(), [])

    def test_a_body_too_large(self) -> None:
        self.serve(max_body=100)
        self.request("POST", CHAT, b"x" * 101)
        self.assertEqual(self.entry().status, 413)

    def test_no_secret_is_told(self) -> None:
        self.serve(journal_size=10)
        names = ("Authorization", "X-Api-Key", "Api-Key", "Cookie", "X-Goog-Api-Key", "My-Token")
        for name in names:
            self.request("POST", f"{CHAT}?key={KEY}", b"{}", headers={name: KEY})
        for entry in self.server.journal.all():
            self.assertNotIn(KEY, repr(entry))
            self.assertNotIn(KEY, repr(self.server.journal.snapshot(entry.id)))


class DeliveryTests(JournalCase):
    def test_a_stream_by_its_times(self) -> None:
        self.serve(**SLOW)
        self.ask(stream=True)
        self.clock.pump([0.5] * 6)
        delivery = self.entry().delivery
        self.assertEqual((delivery.head, delivery.first_token), (0.0, 1.0))
        self.assertEqual((delivery.last_byte, delivery.duration), (2.0, 2.0))
        self.assertEqual([write.planned for write in delivery.writes], [1.0, 1.5, 2.0])
        self.assertEqual([write.at for write in delivery.writes], [1.0, 1.5, 2.0])
        self.assertEqual(sum(write.size for write in delivery.writes), delivery.bytes)
        self.assertEqual((delivery.ended, delivery.late), ("finished", 0.0))

    def test_planned_against_actual_times(self) -> None:
        self.serve(**SLOW)
        self.ask(stream=True)
        self.clock.advance(1.75)
        late = [write for write in self.entry().delivery.writes if write.planned]
        (write,) = late
        self.assertEqual((write.planned, write.at), (1.0, 1.75))
        self.assertEqual(self.entry().delivery.late, 0.75)

    def test_it_is_seen_while_it_goes_on(self) -> None:
        self.serve(**SLOW)
        self.asked(stream=True)
        entry = self.entry()
        self.assertEqual((entry.status, entry.delivery.ended), (200, None))
        self.assertIsNone(entry.delivery.first_token)

    def test_a_client_that_leaves_after_some_chunks(self) -> None:
        self.serve(**SLOW)
        asked = self.asked(stream=True)
        self.clock.advance(1)
        asked.leave()
        delivery = self.entry().delivery
        self.assertEqual((delivery.ended, delivery.chunks), ("client_left", 2))
        self.assertEqual(delivery.duration, 1.0)

    def test_one_that_leaves_the_queue(self) -> None:
        self.serve(slots=1, **SLOW)
        self.asked(stream=True)
        waits = self.asked()
        self.assertEqual(len(self.server.journal.all()), 2)
        waits.leave()
        last = self.server.journal.all()[-1]
        self.assertEqual((last.status, last.delivery.ended), (None, "client_left"))

    def test_the_time_in_the_queue(self) -> None:
        self.serve(slots=1, **SLOW)
        self.asked(stream=True)
        self.asked()
        self.clock.pump([0.5] * 10)
        last = self.server.journal.all()[-1].delivery
        self.assertEqual((last.queued, last.duration, last.ended), (2.0, 4.0, "finished"))

    def test_faults_that_struck(self) -> None:
        self.serve()
        for name, how in (("close", "closed"), ("reset", "reset"), ("no_end", "finished")):
            short = name if name == "no_end" else f"{name} after 2"
            remove = self.server.when().reply("a b c d", faults=[fault(short)])
            self.asked(stream=True)
            entry = self.server.journal.all()[-1]
            self.assertEqual((entry.faults, entry.delivery.ended), ((name,), how))
            remove()

    def test_an_error_that_a_fault_gives_is_the_answer(self) -> None:
        self.serve(fault=["error 503"])
        self.ask()
        entry = self.entry()
        assert entry.answer is not None
        assert entry.answer.error is not None
        self.assertEqual((entry.answer.error.status, entry.status), (503, 503))
        self.assertEqual(entry.faults, ("error",))

    def test_a_head_that_was_never_sent_has_no_status(self) -> None:
        self.serve(fault=["reset"])
        self.asked()
        entry = self.entry()
        self.assertEqual((entry.status, entry.delivery.ended), (None, "reset"))

    def test_an_answer_that_is_broken_off_at_a_gate(self) -> None:
        self.serve()
        self.server.when().reply("x", hold=hold("g", after={"tokens": 1}))
        self.asked(stream=True)
        self.server.gate("g").abort()
        self.assertEqual(self.entry().delivery.ended, "aborted")

    def test_of_many_writes_the_first_are_kept(self) -> None:
        self.serve(answer="x " * 600, itl="10ms")
        self.asked(stream=True).end(step=0.005)
        delivery = self.entry().delivery
        self.assertEqual(len(delivery.writes), 500)
        self.assertTrue(delivery.more_writes > 90, delivery.more_writes)
        self.assertIsInstance(delivery.writes[0], WriteRecord)


class SessionTests(JournalCase):
    def as_session(self, name: str, **fields: Any) -> Any:
        body = json.dumps(asking(**fields)).encode()
        return self.request("POST", CHAT, body, headers={"X-FakeLLM-Session": name})

    def text(self, answer: Any) -> str:
        said: str = answer.json["choices"][0]["message"]["content"]
        return said

    def test_rules_of_a_session_come_before_the_servers_and_are_its_own(self) -> None:
        self.serve(answer="the server")
        self.server.when().reply("everybody", priority=100)
        self.server.when(session="blue").reply("blue")
        self.assertEqual(self.text(self.as_session("blue")), "blue")
        self.assertEqual(self.text(self.as_session("red")), "everybody")
        self.assertEqual(self.text(self.ask()), "everybody")

    def test_a_key_of_the_form_session_NAME_names_it(self) -> None:
        self.serve()
        self.server.when(session="blue").reply("blue")
        answer = self.request(
            "POST",
            CHAT,
            json.dumps(HELLO).encode(),
            headers={"Authorization": "Bearer session-blue"},
        )
        self.assertEqual(self.text(answer), "blue")
        self.assertEqual(self.entry().session, "blue")

    def test_each_has_a_journal_of_its_own(self) -> None:
        self.serve()
        self.as_session("blue")
        self.as_session("red")
        self.as_session("red")
        journal = self.server.journal
        self.assertEqual(journal.count(Match(session="red")), 2)
        self.assertEqual(journal.delete("red"), 2)
        self.assertEqual([entry.session for entry in journal.all()], ["blue"])

    def test_what_cannot_be_understood_belongs_to_it_as_well(self) -> None:
        self.serve()
        self.request("POST", CHAT, b"{", headers={"X-FakeLLM-Session": "blue"})
        self.assertEqual(self.entry().session, "blue")

    def test_gates_of_one_name_are_different_ones(self) -> None:
        self.serve()
        self.server.when().reply("x", hold=hold("g"))
        for name in ("blue", "red"):
            self.asked(session=name)
        blue, red = (self.server.gate("g", session=name) for name in ("blue", "red"))
        self.assertEqual((blue.waiting, red.waiting, self.server.gate("g").waiting), (1, 1, 0))
        blue.release()
        self.assertEqual((blue.waiting, red.waiting), (0, 1))

    def test_one_that_is_forgotten_has_nothing_left(self) -> None:
        self.serve(requests_per_minute=2)
        self.server.when(session="blue").replies("one", "two", then="stay")
        self.assertEqual(self.text(self.as_session("blue")), "one")
        self.as_session("blue")
        self.assertEqual(self.as_session("blue").status, 429)
        self.server.gate("g", session="blue")
        self.assertTrue(self.server.forget("blue"))
        self.assertEqual(self.server.journal.all(), [])
        self.assertEqual(self.text(self.as_session("blue")), "hello world")
        self.assertEqual(self.as_session("blue").status, 200)
        self.assertFalse(self.server.forget("red"))

    def test_positions_of_the_servers_rules_are_the_sessions_own(self) -> None:
        self.serve()
        self.server.when().replies("one", "two")
        self.assertEqual(self.text(self.as_session("blue")), "one")
        self.assertEqual(self.text(self.as_session("red")), "one")
        self.server.forget("blue")
        self.assertEqual(self.text(self.as_session("blue")), "one")
        self.assertEqual(self.text(self.as_session("red")), "two")

    def test_they_are_listed(self) -> None:
        self.serve()
        self.as_session("blue")
        self.server.when(session="red").reply("x")
        self.assertEqual(
            [(each.name, each.requests, each.running) for each in self.server.sessions()],
            [("blue", 1, 0), ("red", 0, 0)],
        )


class SettingTests(JournalCase):
    def test_it_can_be_turned_off(self) -> None:
        self.serve(journal_size=0)
        self.ask()
        self.assertEqual(self.server.journal.all(), [])
        self.assertFalse(self.server.journal.on)

    def test_the_oldest_go_first_and_are_counted(self) -> None:
        self.serve(journal_size=2)
        for _ in range(5):
            self.ask()
        journal = self.server.journal
        self.assertEqual([entry.number for entry in journal.all()], [4, 5])
        self.assertEqual((journal.figures.entries, journal.figures.dropped), (2, 3))

    def test_it_is_bounded_by_memory_as_well(self) -> None:
        self.serve(journal_memory="40kB")
        for _ in range(30):
            self.ask(messages=[{"role": "user", "content": "x" * 1000}])
        figures = self.server.journal.figures
        self.assertTrue(figures.bytes <= 40_000, figures)
        self.assertTrue(3 < figures.entries < 10, figures)
        self.assertEqual(figures.dropped, 30 - figures.entries)

    def test_of_a_large_body_the_beginning_is_kept(self) -> None:
        self.serve(journal_body=100)
        messages = [{"role": "user", "content": "é" * 80}, {"role": "user", "content": "b" * 500}]
        answer = self.ask(messages=messages)
        self.assertEqual(answer.status, 200)
        entry = self.entry()
        self.assertEqual(len(entry.body.encode()), 100)
        self.assertTrue(entry.body_bytes > 580, entry.body_bytes)
        assert entry.prompt is not None
        self.assertEqual([len(each.text) for each in entry.prompt.messages], [80, 20])


class LiveJournalTests(LiveTestCase):
    """Over real sockets: who the client was, and when it left."""

    async def test_a_client_that_hangs_up(self) -> None:
        self.serve(answer="one two three", itl="20ms", ttft="20ms")
        port = int(self.server.urls[0].rpartition(":")[2])
        seen: Deferred[None] = Deferred()

        class Leaver(Protocol):
            def dataReceived(self, data: bytes) -> None:
                if b"one" in data and not seen.called:
                    self.transport.abortConnection()  # type: ignore[union-attr]
                    seen.callback(None)

            def connectionLost(self, reason: Failure = connectionDone) -> None:
                pass

        leaver = Leaver()
        await connectProtocol(TCP4ClientEndpoint(reactor, "127.0.0.1", port), leaver)
        body = json.dumps(asking(stream=True)).encode()
        assert leaver.transport is not None
        leaver.transport.write(
            b"POST %b HTTP/1.1\r\nHost: localhost\r\nContent-Length: %d\r\n\r\n%b"
            % (CHAT.encode(), len(body), body)
        )
        await seen
        (entry,) = await self.server.journal.wait(Match(ended="client_left"))
        self.assertEqual(entry.status, 200)
        self.assertTrue(2 <= entry.delivery.chunks < 5, entry.delivery)
        self.assertRegex(entry.client, r"\A127\.0\.0\.1:\d+\Z")
        await deferLater(reactor, 0)
