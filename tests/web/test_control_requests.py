"""What came in: listed, awaited, verified, and told while it happens."""

import json
from typing import Any, ClassVar
from unittest import mock

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.framing import SseParser
from fakellm.web.control.events import KEEP_ALIVE_SECONDS, KEPT_AT_MOST, Feed
from tests.servers import Answer, LiveTestCase
from tests.web.described import BASE, ControlTestCase


class RequestsTestCase(ControlTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactorClock()
        self.serve(reactor=self.reactor)

    def serve(self, **settings: Any) -> None:
        super().serve(**{"reactor": self.reactor, **settings})

    def texts(self, path: str) -> list[str]:
        """The last message of each request that is listed."""
        listed = self.get(path)["requests"]
        return [each["prompt"]["messages"][-1]["text"] for each in listed]


class ListTests(RequestsTestCase):
    def test_what_came_in_and_what_became_of_it(self) -> None:
        self.say("hello")
        listed = self.get("/requests")
        (entry,) = listed["requests"]
        self.assertEqual((listed["count"], listed["journal"]["dropped"]), (1, 0))
        self.assertEqual(entry["prompt"]["messages"][0]["text"], "hello")
        self.assertEqual(entry["answer"]["choices"][0]["text"], "hello world")
        self.assertEqual((entry["status"], entry["delivery"]["ended"]), (200, "finished"))
        self.assertEqual(self.get(f"/requests/{entry['id']}"), entry)

    def test_filters(self) -> None:
        self.send("POST", "/rules", {"name": "n", "when": {"user": "b"}, "reply": "a b c"}, 201)
        self.say("a")
        self.say("b", session="s")
        self.say("c", model="other")
        self.say("[429]")
        self.request(
            "POST",
            "/v1/messages",
            json.dumps(
                {
                    "model": "m",
                    "max_tokens": 9,
                    "messages": [{"role": "user", "content": "d"}],
                }
            ).encode(),
            headers={"anthropic-version": "2023-06-01"},
        )
        rule = self.get("/rules?source=added")["rules"][0]["id"]
        for query, texts in (
            ("", ["a", "b", "c", "[429]", "d"]),
            ("?session=s", ["b"]),
            ("?session=default", ["a", "c", "[429]", "d"]),
            ("?dialect=anthropic", ["d"]),
            ("?endpoint=chat.completions", ["a", "b", "c", "[429]"]),
            ("?model=other", ["c"]),
            ("?model=oth*", ["c"]),
            ("?model=*", ["a", "b", "c", "[429]", "d"]),
            ("?model=*t*r", ["c"]),
            ("?model=o*t", []),
            ("?model=othe.", []),
            ("?status=429", ["[429]"]),
            ("?status=4xx", ["[429]"]),
            ("?status=2xx", ["a", "b", "c", "d"]),
            ("?status=5xx", []),
            ("?status=4xx%0A", ["[429]"]),
            (f"?rule={rule}", ["b"]),
            ("?rule=n", ["b"]),
            ("?rule=rule+'n'", ["b"]),
            ("?text=42", ["[429]"]),
            ("?text=b+c", ["b"]),
            ("?after=3", ["[429]", "d"]),
            ("?last=2", ["[429]", "d"]),
            ("?last=0", []),
            ("?status=200&session=default&last=1", ["d"]),
        ):
            self.assertEqual(self.texts(f"/requests{query}"), texts, query)
        self.assertEqual(self.get("/requests?last=1")["count"], 5)
        for query in (
            "?status=x",
            "?status=42",
            "?status=4xxx",
            "?status=x4x",
            "?last=-1",
            "?sesion=s",
            "?session=",
        ):
            self.problem("GET", f"/requests{query}")

    def test_they_are_deleted_of_a_session_or_all(self) -> None:
        for session in ("s", "t", "t"):
            self.say("a", session=session)
        self.assertEqual(self.send("DELETE", "/requests?session=t"), {"deleted": 2})
        self.assertEqual(self.get("/requests")["count"], 1)
        self.assertEqual(self.send("DELETE", "/requests"), {"deleted": 1})
        self.assertEqual(self.get("/requests")["requests"], [])

    def test_there_is_none_of_that_id(self) -> None:
        for path in ("/requests/nonesuch", "/requests/nonesuch/snapshot"):
            self.problem("GET", path, status=404)

    def test_where_the_journal_is_off_that_is_said(self) -> None:
        self.serve(journal_size=0)
        self.say("a")
        for method, path, body in (
            ("GET", "/requests", None),
            ("GET", "/requests/x", None),
            ("GET", "/requests/x/snapshot", None),
            ("GET", "/snapshot", None),
            ("POST", "/requests/wait", {}),
            ("POST", "/verify", {}),
        ):
            problem = self.problem(method, path, body, 409)
            self.assertEqual(problem["detail"], "the journal is turned off")


class SnapshotTests(RequestsTestCase):
    def test_it_is_the_same_in_every_run(self) -> None:
        def run() -> Any:
            self.serve()
            self.clock.advance(1000)
            self.say("at 2026-01-02T03:04:05Z, id 123e4567-e89b-12d3-a456-426614174000")
            return self.get("/snapshot")["snapshots"]

        first, second = run(), run()
        self.assertEqual(first, second)
        self.assertIn("<time>", json.dumps(first))
        entry = self.get("/requests")["requests"][0]
        self.assertEqual(self.get(f"/requests/{entry['id']}/snapshot"), first[0])
        self.assertEqual(self.get("/snapshot?session=nobody"), {"snapshots": []})


class WaitTests(RequestsTestCase):
    MATCH: ClassVar[Any] = {"match": {"user": {"contains": "x"}}, "count": 2}

    def test_those_that_are_there_count(self) -> None:
        self.say("x1")
        self.say("x2")
        found = self.send("POST", "/requests/wait", self.MATCH)["requests"]
        self.assertEqual(len(found), 2)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_until_there_are_so_many(self) -> None:
        answers = self.begin("POST", "/requests/wait", self.MATCH)
        for text in ("x1", "y", "x2"):
            self.assertEqual(answers, [])
            self.say(text)
        self.flush()
        texts = [each["prompt"]["messages"][0]["text"] for each in answers[0].json["requests"]]
        self.assertEqual(texts, ["x1", "x2"])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_not_for_ever(self) -> None:
        answers = self.begin("POST", "/requests/wait?session=s", {**self.MATCH, "timeout": 2})
        self.say("x1", session="s")
        self.say("x2")
        self.reactor.advance(2)
        self.flush()
        problem = answers[0].json
        self.assertEqual((problem["status"], problem["found"]), (408, 1))
        self.assertEqual(problem["detail"], "after 2 s, 1 requests match, not 2")
        self.say("x3", session="s")  # nobody waits for it

    def test_what_is_no_wait(self) -> None:
        for body in (
            {"count": 0},
            {"timeout": 61},
            {"match": {"usr": "x"}},
            {"match": {"user": {"matches": "("}}},
        ):
            self.problem("POST", "/requests/wait", body)


class VerifyTests(RequestsTestCase):
    def setUp(self) -> None:
        super().setUp()
        for text in ("first", "second", "first again"):
            self.say(text)

    def verify(self, **fields: Any) -> Any:
        return self.send("POST", "/verify", fields)

    def fail(self, **fields: Any) -> Any:  # type: ignore[override]
        return self.problem("POST", "/verify", fields, 409)

    FIRST: ClassVar[Any] = {"user": {"starts_with": "first"}}

    def test_a_number_of_requests(self) -> None:
        self.assertEqual(self.verify(match=self.FIRST, count=2)["count"], 2)
        for fields in (
            {"at_least": 2},
            {"at_most": 2},
            {"at_least": 1, "at_most": 3},
            {},
        ):
            self.assertEqual(self.verify(match=self.FIRST, **fields)["count"], 2)
        self.assertEqual(self.verify()["count"], 3)
        self.assertEqual(self.verify(match={"user": "never"}, count=0)["requests"], [])

    def test_another_number_is_told_with_what_came_nearest(self) -> None:
        problem = self.fail(match={**self.FIRST, "model": "other"}, count=1)
        self.assertEqual(problem["detail"], "0 requests match; expected 1")
        self.assertEqual(problem["found"], 0)
        miss = problem["misses"][0]
        self.assertEqual((miss["text"], miss["held"]), ("first again", 1))
        self.assertEqual(miss["failed"], "model: expected: is 'other', found: 'm'")
        for fields, expected in (
            ({"count": 3}, "2 requests match; expected 3"),
            ({"count": 1}, "2 requests match; expected 1"),
            ({"at_least": 3}, "2 requests match; expected at least 3"),
            ({"at_most": 1}, "2 requests match; expected at most 1"),
            ({"at_least": 3, "at_most": 4}, "2 requests match; expected from 3 to 4"),
        ):
            self.assertEqual(self.fail(match=self.FIRST, **fields)["detail"], expected)
        self.assertEqual(
            self.fail(match={"user": "second"}, count=0)["detail"], "1 request match; expected 0"
        )

    def test_requests_in_order(self) -> None:
        ids = self.verify(in_order=[self.FIRST, {"user": "second"}, self.FIRST])["requests"]
        self.assertEqual(len(set(ids)), 3)
        self.verify(in_order=[{"user": "first"}, {"user": "first again"}])
        problem = self.fail(in_order=[{"user": "second"}, {"user": "first"}])
        self.assertIn("no request after the request", problem["detail"])
        self.assertIn("matches in_order.1", problem["detail"])
        self.assertEqual(problem["found"], 1)
        self.assertEqual([each["text"] for each in problem["misses"]], ["first again"])
        self.assertEqual(
            self.fail(in_order=[{"user": "third"}])["detail"], "no request matches in_order.0"
        )

    def test_those_of_a_session(self) -> None:
        self.say("first", session="s")
        self.send("POST", "/verify?session=s", {"match": {"user": "first"}, "count": 1})
        self.send("POST", "/verify?session=s", {"match": {"session": "default"}, "count": 3})
        self.send("POST", "/verify?session=s", {"in_order": [{"user": "first"}]})
        problem = self.problem("POST", "/verify?session=s", {"match": {"user": "second"}}, 409)
        self.assertEqual([each["session"] for each in problem["misses"]], ["s"])

    def test_what_cannot_be_expected(self) -> None:
        for body, words in (
            ({"count": 1, "at_least": 1}, "count is exact"),
            ({"in_order": [{}], "count": 1}, "in_order has matches of its own"),
            ({"in_order": [{}], "match": {}}, "in_order has matches of its own"),
            ({"in_order": []}, "in_order"),
            ({"count": -1}, "count"),
            ({"mach": {}}, "mach"),
            ({"match": {"user": {"matches": "("}}}, "match.user.matches"),
            ({"match": {"status": {"any": []}}}, "match.status.any"),
            ({"in_order": [{}, {"json": {"[": 1}}]}, "in_order.1.json.["),
        ):
            self.assertIn(words, self.problem("POST", "/verify", body)["detail"])


class EventTests(RequestsTestCase):
    def follow(self, query: str = "") -> Answer:
        (answer,) = self.begin("GET", f"/events{query}")
        self.assertEqual(answer.header("Content-Type"), "text/event-stream")
        return answer

    @staticmethod
    def told(answer: Answer) -> list[tuple[str | None, str]]:
        events = SseParser().feed(answer.body)
        found = [(each.event, json.loads(each.data)) for each in events]
        return [(kind, data["entry"]["prompt"]["messages"][0]["text"]) for kind, data in found]

    def test_what_happens_is_told_as_it_happens(self) -> None:
        answer = self.follow()
        self.assertEqual(answer.body, b": welcome\n\n")
        self.say("a")
        self.assertEqual(self.told(answer), [("received", "a"), ("ended", "a")])
        self.server.stopService()
        self.flush()
        self.assertTrue(answer.ended.called)

    def test_only_what_is_asked_for(self) -> None:
        of_session = self.follow("?session=s")
        ends = self.follow("?kind=ended")
        self.say("a")
        self.say("b", session="s")
        self.assertEqual(self.told(of_session), [("received", "b"), ("ended", "b")])
        self.assertEqual(self.told(ends), [("ended", "a"), ("ended", "b")])
        self.problem("GET", "/events?kind=other")

    def test_faults_and_gates_are_told(self) -> None:
        """With their names, at the time they strike or hold."""
        self.send("POST", "/rules", {"when": {"user": "a"}, "reply": "a b", "hold": "door"}, 201)
        answer = self.follow("?session=s")
        struck = self.follow("?kind=struck")
        asked = self.begin_stream("a")
        self.assertEqual(self.happened(answer), [("received", None), ("held", "door")])
        self.send("POST", "/gates/door/step?session=s")
        told = [("let_go", "door"), ("held", "door")]
        self.assertEqual(self.happened(answer)[2:], told)
        self.send("POST", "/gates/door/release?session=s")
        self.assertEqual(self.happened(answer)[4:], [("let_go", "door"), ("ended", None)])
        self.assertTrue(asked[0].ended.called)
        self.send("POST", "/faults?session=s", {"faults": "error 503", "requests": 1}, 201)
        self.say("b", session="s")
        self.assertEqual(
            self.happened(answer)[6:], [("received", None), ("struck", "error"), ("ended", None)]
        )
        self.assertEqual(self.happened(struck), [("struck", "error")])

    def test_a_fault_in_the_middle_of_a_stream_is_told_when_it_strikes(self) -> None:
        self.send("POST", "/faults?session=s", {"faults": "stall after 1", "requests": 1}, 201)
        answer = self.follow()
        self.begin_stream("b")
        self.assertEqual(self.happened(answer), [("received", None), ("struck", "stall")])

    def begin_stream(self, text: str) -> list[Answer]:
        """Ask for a stream in the session ``s``; a list that the answer comes to."""
        asked = {"model": "m", "stream": True, "messages": [{"role": "user", "content": text}]}
        answers: list[Answer] = []
        client: Any = self.client
        asking = client.post(
            "http://fakellm.example/v1/chat/completions",
            data=json.dumps(asked).encode(),
            headers={"X-FakeLLM-Session": "s"},
            unbuffered=True,
        )
        asking.addCallback(lambda response: answers.append(Answer(response)))
        self.flush()
        return answers

    def happened(self, answer: Answer) -> list[tuple[str, str | None]]:
        """What a feed has told: what happened, with which fault or at which gate."""
        self.flush()
        events = [json.loads(each.data) for each in SseParser().feed(answer.body)]
        return [(each["kind"], each.get("fault", each.get("gate"))) for each in events]

    def test_it_is_kept_alive(self) -> None:
        answer = self.follow()
        for _ in range(2):
            self.reactor.advance(KEEP_ALIVE_SECONDS)
        self.flush()
        self.assertEqual(answer.body.count(b": keep-alive\n\n"), 2)

    def test_when_the_server_stops_it_ends_and_nothing_is_left(self) -> None:
        answer = self.follow()
        self.server.stopService()
        self.flush()
        self.assertTrue(answer.ended.called)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_its_head_alone_ends(self) -> None:
        answer = self.request("HEAD", f"{BASE}/events")
        self.assertEqual((answer.status, answer.body), (200, b""))


class SlowReaderTests(SynchronousTestCase):
    """A client that does not read what it is sent."""

    def test_it_gets_the_newest_and_is_told_how_many_it_missed(self) -> None:
        written: list[bytes] = []
        request: Any = mock.Mock(write=written.append)
        feed = Feed(request)
        feed.pauseProducing()
        feed.keep_alive()
        for number in range(KEPT_AT_MOST + 2):
            feed.tell(b"%d\n" % number)
        self.assertEqual(written, [b": welcome\n\n"])
        feed.resumeProducing()
        self.assertEqual(written[1], b'event: dropped\ndata: {"dropped":2}\n\n')
        self.assertEqual(written[2:4], [b"2\n", b"3\n"])
        self.assertEqual(len(written), 2 + KEPT_AT_MOST)
        feed.resumeProducing()
        self.assertEqual(len(written), 2 + KEPT_AT_MOST)

    def test_one_that_has_left_is_sent_nothing(self) -> None:
        request: Any = mock.Mock()
        feed = Feed(request)
        feed.stopProducing()
        feed.tell(b"event")
        self.assertEqual(request.write.call_count, 1)


class LiveEventTests(LiveTestCase):
    """Over a socket."""

    async def test_a_client_that_leaves_is_told_no_more(self) -> None:
        url = self.serve()
        response: Any = await self.client.get(f"{url}{BASE}/events", unbuffered=True)
        self.assertEqual(response.code, 200)
        response.original._transport.loseConnection()
        asked = {"model": "m", "messages": [{"role": "user", "content": "a"}]}
        for _ in range(3):
            said = await self.client.post(
                f"{url}/v1/chat/completions", data=json.dumps(asked).encode()
            )
            self.assertEqual((await said.json())["choices"][0]["finish_reason"], "stop")
