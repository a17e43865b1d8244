"""The control API: what it answers, what it refuses, and whom."""

import json
from typing import Any
from unittest import mock
from urllib.parse import quote

from treq.testing import StubTreq
from twisted.internet import reactor
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.task import deferLater
from twisted.internet.testing import MemoryReactorClock
from twisted.web.http_headers import Headers
from twisted.web.server import Request

from fakellm import FakeLLM
from fakellm.engine.clock import VirtualClock
from fakellm.engine.gates import Gate
from fakellm.web.control import safety
from tests import fronts
from tests.connections import connect, is_whole, split
from tests.servers import CHAT, Answer, LiveTestCase, asking, chunks_of
from tests.web.described import ControlTestCase

CLOCK = "/_fakellm/clock"
ADVANCE = "/_fakellm/clock/advance"
GATES = "/_fakellm/gates"
HELD = """
rules:
  - when: {user: {starts_with: named}}
    reply: one two three
    hold: "{{ headers['x-test'] }}"
  - reply: one two three
    hold: gate
"""


class ProblemTestCase(ControlTestCase):
    def assert_problem(self, answer: Answer, status: int, detail: str) -> None:
        """It is a problem of RFC 9457, which this text is a part of."""
        self.assertEqual((answer.status, answer.json["status"]), (status, status), answer.body)
        self.assertEqual(answer.header("Content-Type"), "application/problem+json")
        self.assertEqual(answer.json["type"], "about:blank")
        self.assertLessEqual({"detail", "status", "title", "type"}, set(answer.json))
        self.assertIn(detail, answer.json["detail"])

    def post(self, path: str, **fields: Any) -> Answer:
        return self.request("POST", path, json.dumps(fields).encode() if fields else b"")


class ClockTests(ProblemTestCase):
    """On a clock of Twisted's own."""

    def test_it_tells_the_time_and_how_much_is_to_come(self) -> None:
        self.clock.callLater(3, lambda: None)
        answer = self.request("GET", CLOCK)
        self.assertEqual((answer.status, answer.json), (200, {"now": 0.0, "pending": 1}))
        self.assertEqual(answer.header("Content-Type"), "application/json")
        self.assertEqual(answer.header("Cache-Control"), "no-store")

    def test_by_so_many_seconds(self) -> None:
        self.clock.callLater(3, lambda: None)
        self.assertEqual(self.post(ADVANCE, seconds=1.5).json, {"now": 1.5, "pending": 1})
        self.assertEqual(self.post(ADVANCE, seconds=0).json, {"now": 1.5, "pending": 1})
        self.assertEqual(self.post(ADVANCE, seconds=1.5).json, {"now": 3.0, "pending": 0})

    def test_to_the_next_call_and_until_there_is_none(self) -> None:
        for seconds in (1, 1, 2, 7):
            self.clock.callLater(seconds, lambda: None)
        self.assertEqual(self.post(ADVANCE, to="next").json, {"now": 1.0, "pending": 2})
        self.assertEqual(self.post(ADVANCE, to="idle").json, {"now": 7.0, "pending": 0})
        self.assertEqual(self.post(ADVANCE, to="next").json, {"now": 7.0, "pending": 0})

    def test_times_that_cannot_be_summed_exactly_are_reached_all_the_same(self) -> None:
        for tenths in range(1, 50):
            self.clock.callLater(tenths * 0.1, lambda: None)
        for left in reversed(range(49)):
            self.assertEqual(self.post(ADVANCE, to="next").json["pending"], left)

    def test_a_clock_that_never_comes_to_rest(self) -> None:
        def again() -> None:
            self.clock.callLater(1, again)

        self.clock.callLater(1, again)
        with mock.patch("fakellm.engine.clock.CALLS_AT_MOST", 10):
            answer = self.post(ADVANCE, to="idle")
        self.assert_problem(answer, 409, "still more to do after 10 calls")

    def test_what_is_no_advance(self) -> None:
        for body, detail in (
            (b"", 'one of "seconds" and "to"'),
            (b"{}", 'one of "seconds" and "to"'),
            (b'{"seconds": 1, "to": "idle"}', 'one of "seconds" and "to"'),
            (b'{"seconds": -1}', "$.seconds"),
            (b'{"seconds": 1e300}', "$.seconds"),
            (b'{"seconds": "1"}', "$.seconds"),
            (b'{"seconds": null}', "$.seconds"),
            (b'{"to": "tomorrow"}', "tomorrow"),
            (b'{"second": 1}', "second"),
            (b"[]", "array"),
            (b"{", "truncated"),
            (b'{"to": "\xff"}', "the body"),
        ):
            self.assert_problem(self.request("POST", ADVANCE, body), 400, detail)
        self.assertEqual(self.clock.seconds(), 0)

    def test_a_body_over_the_limit(self) -> None:
        self.serve(max_body=100)
        self.assert_problem(self.request("POST", ADVANCE, b" " * 101), 413, "100 bytes")

    def test_what_breaks_is_told_without_its_details_and_logged(self) -> None:
        self.clock.callLater(1, lambda: 1 / 0)
        self.assert_problem(self.post(ADVANCE, seconds=1), 500, "its log")
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)


class VirtualClockTests(ClockTests):
    """On ours."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = VirtualClock()


class RealClockTests(ProblemTestCase):
    def test_it_cannot_be_told_or_advanced(self) -> None:
        self.client = StubTreq(FakeLLM().resource)
        self.assert_problem(self.request("GET", CLOCK), 409, "--clock virtual")
        self.assert_problem(self.post(ADVANCE, seconds=1), 409, "--clock virtual")


class GateTests(ProblemTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactorClock()
        self.scenario(HELD, reactor=self.reactor)

    def gate(self, name: str = "gate") -> Gate:
        gate: Gate = self.server.gate(name)
        return gate

    def test_none_is_listed_before_one_is_named(self) -> None:
        self.assertEqual(self.request("GET", GATES).json, {"gates": []})

    def test_each_tells_what_became_of_those_that_came(self) -> None:
        self.stream().leave()
        self.stream()
        self.post(f"{GATES}/gate/release")
        broken_off = self.stream()
        self.post(f"{GATES}/gate/abort")
        self.flush()
        self.failureResultOf(broken_off.asked)
        self.stream()
        expected = {"name": "gate", "session": "default", "waiting": 1}
        expected |= {"released": 1, "left": 1, "aborted": 1}
        self.assertEqual(self.request("GET", f"{GATES}/gate").json, expected)
        self.assertEqual(self.request("GET", GATES).json, {"gates": [expected]})

    def test_the_first_so_many_are_released(self) -> None:
        asked = [self.stream() for _ in range(3)]
        answer = self.post(f"{GATES}/gate/release", count=2)
        self.assertEqual(
            answer.json,
            {
                "name": "gate",
                "session": "default",
                "waiting": 1,
                "released": 2,
                "left": 0,
                "aborted": 0,
                "let_go": 2,
            },
        )
        self.flush()
        self.assertEqual([each.ended for each in asked], [True, True, False])
        self.assertEqual(self.post(f"{GATES}/gate/release").json["let_go"], 1)
        self.assertEqual(self.post(f"{GATES}/gate/release").json["let_go"], 0)

    def test_a_step_is_one_chunk_unless_more_are_asked_for(self) -> None:
        asked = self.stream()
        told = self.post(f"{GATES}/gate/step").json
        self.assertEqual((told["let_go"], told["waiting"]), (1, 1))
        self.assertEqual(asked.body.count(b"data: "), 1)
        self.post(f"{GATES}/gate/step", chunks=3)
        self.assertEqual(asked.body.count(b"data: "), 4)

    def test_an_abort(self) -> None:
        asked = self.stream()
        self.post(f"{GATES}/gate/step")
        self.assertEqual(self.post(f"{GATES}/gate/abort").json["let_go"], 1)
        self.flush()
        self.assertTrue(asked.ended)
        self.assertNotIn(b"[DONE]", asked.body)

    def test_names_may_hold_any_characters(self) -> None:
        for name in ("a b", "a/b", "/", "//", "release", "a/release", "50%", "%2F", "ü→", "?x=1#y"):
            asked = self.stream(
                messages=[{"role": "user", "content": "named"}],
                headers={"X-Test": name},
            )
            path = f"{GATES}/{quote(name, safe='')}"
            told = self.request("GET", path).json
            self.assertEqual((told["name"], told["waiting"]), (name, 1))
            self.assertEqual(self.post(f"{path}/release").json["let_go"], 1)
            self.flush()
            self.assertTrue(asked.ended)

    def test_what_is_no_release_step_or_abort(self) -> None:
        self.stream()
        for path, body in (
            ("release", b'{"count": 0}'),
            ("release", b'{"count": 1.5}'),
            ("release", b'{"chunks": 1}'),
            ("step", b'{"chunks": 0}'),
            ("step", b'{"chunks": "1"}'),
            ("step", b"null"),
            ("abort", b'{"count": 1}'),
        ):
            answer = self.request("POST", f"{GATES}/gate/{path}", body)
            self.assert_problem(answer, 400, "the body is not what it has to be")
        self.assertEqual(self.gate().waiting, 1)

    def test_waiting_for_those_that_are_there_takes_no_time(self) -> None:
        self.stream()
        for query in ("?waiting=0", "?waiting=1", "?waiting=1&timeout=0"):
            self.assertEqual(self.request("GET", f"{GATES}/gate{query}").json["waiting"], 1)
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def wait(self, query: str) -> list[Answer]:
        """Ask for a gate; a list that the answer comes to."""
        answers: list[Answer] = []
        url = f"http://fakellm.example{GATES}/gate?{query}"
        client: Any = self.client
        client.get(url).addCallback(lambda response: answers.append(Answer(response)))
        self.flush()
        return answers

    def test_waiting_until_so_many_are_there(self) -> None:
        answers = self.wait("waiting=2")
        self.stream()
        self.assertEqual(answers, [])
        self.stream()
        self.assertEqual([each.json["waiting"] for each in answers], [2])
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_waiting_has_an_end(self) -> None:
        for query, seconds in (("waiting=2", 5.0), ("waiting=2&timeout=0.5", 0.5)):
            answers = self.wait(query)
            self.reactor.advance(seconds - 0.1)
            self.flush()
            self.assertEqual(answers, [])
            self.reactor.advance(0.1)
            self.flush()
            self.assert_problem(answers[0], 408, "0 answers wait at the gate 'gate', not 2")
            self.assertFalse(self.gate().awaited)

    def test_what_is_no_wait(self) -> None:
        for query in (
            "waiting=x", "waiting=-1", "waiting=1.5", "waiting=", "timeout=-1", "timeout=61",
            "timeout=nan", "timeout=inf", "wating=1",
        ):  # fmt: skip
            answer = self.request("GET", f"{GATES}/gate?{query}")
            self.assert_problem(answer, 400, "the query is not what it has to be")


class RouteTests(ProblemTestCase):
    def test_unknown_paths(self) -> None:
        for path in (
            "/_fakellm", "/_fakellm/", "/_fakellm/x", "/_fakellm//clock", "/_fakellm/clock/",
            "/_fakellm/gates/", "/_fakellm/gates//release", "/_fakellm/gates/a/b",
            "/_fakellm/gates/a/b/release",
        ):  # fmt: skip
            self.assert_problem(self.request("GET", path), 404, "the control API has no")

    def test_paths_that_only_look_like_it_are_the_dialects(self) -> None:
        for path in ("/_fakellmx/clock", "/v1/_fakellm/clock", "//_fakellm/clock"):
            answer = self.request("GET", path)
            self.assertEqual((answer.status, "error" in answer.json), (404, True), path)

    def test_wrong_methods_are_told_the_right_ones(self) -> None:
        for method, path, allowed in (
            ("POST", CLOCK, "GET, HEAD"),
            ("GET", ADVANCE, "POST"),
            ("OPTIONS", ADVANCE, "POST"),
            ("DELETE", GATES, "GET, HEAD"),
            ("GET", f"{GATES}/a/release", "POST"),
        ):
            answer = self.request(method, path)
            self.assert_problem(answer, 405, f"{method} is not allowed")
            self.assertEqual(answer.header("Allow"), allowed)

    def test_paths_that_are_no_text(self) -> None:
        self.assert_problem(self.request("GET", f"{GATES}/%ff"), 400, "no text")

    def test_hosts_that_are_no_names(self) -> None:
        for host in (b"\xff", b"a..b", b"x" * 64 + b".example"):
            answer = self.request("GET", CLOCK, headers=Headers({b"Host": [host]}))
            self.assert_problem(answer, 400, "no text")

    def test_head_has_no_body(self) -> None:
        answer = self.request("HEAD", CLOCK)
        self.assertEqual((answer.status, answer.body), (200, b""))


class SafetyTests(ProblemTestCase):
    """What web pages may do, and who is on the same machine."""

    def test_no_answer_may_be_read_from_another_origin(self) -> None:
        for answer in (self.request("GET", CLOCK), self.request("OPTIONS", CLOCK)):
            names = [name.lower() for name, _ in answer.headers.getAllRawHeaders()]
            self.assertEqual([n for n in names if n.startswith(b"access-control")], [])

    def test_pages_of_other_origins_are_refused(self) -> None:
        for origin in (
            "http://evil.example", "null", "", "http://[", "http://fakellm.example:81",
            "http://fakellm.example.evil.example",
        ):  # fmt: skip
            answer = self.request("POST", ADVANCE, b'{"seconds": 1}', headers={"Origin": origin})
            self.assert_problem(answer, 403, "origin")
        self.assertEqual(self.clock.seconds(), 0)

    def test_pages_of_the_server_itself_are_not(self) -> None:
        for origin in ("http://fakellm.example", "HTTP://FakeLLM.example"):
            answer = self.request("GET", CLOCK, headers={"Origin": origin})
            self.assertEqual(answer.status, 200)

    def come_in_on(self, address: object) -> None:
        """Have requests come in over a socket with this address."""
        self.patch(safety, "over_socket", lambda _: True)
        self.patch(Request, "getHost", lambda _: address)

    def test_who_is_on_another_machine_is_refused(self) -> None:
        addresses = [
            IPv4Address("TCP", "10.0.0.1", 80),
            IPv6Address("TCP", "fe80::1%eth0", 80),
            IPv6Address("TCP", "::ffff:10.0.0.1", 80),
        ]
        for address in addresses:
            self.come_in_on(address)
            answer = self.request("GET", CLOCK, headers={"Host": "localhost"})
            self.assert_problem(answer, 403, "the same machine")
        self.come_in_on(object())
        self.assert_problem(self.request("GET", CLOCK), 403, "of this kind")

    def test_a_host_has_to_be_a_loopback_one(self) -> None:
        for address in (
            IPv4Address("TCP", "127.0.0.1", 80),
            IPv4Address("TCP", "127.9.9.9", 80),
            IPv6Address("TCP", "::1", 80),
            IPv6Address("TCP", "::ffff:127.0.0.1", 80),
        ):
            self.come_in_on(address)
            for host in ("localhost", "LOCALHOST:80", "127.0.0.1:8080", "127.1.2.3", "[::1]:80"):
                answer = self.request("GET", CLOCK, headers={"Host": host})
                self.assertEqual(answer.status, 200, host)
            for host in ("rebound.example", "localhost.evil.example", "10.0.0.1:80", "[fe80::1]"):
                answer = self.request("GET", CLOCK, headers={"Host": host})
                self.assert_problem(answer, 403, "a loopback host only")


class SocketTests(LiveTestCase):
    """What memory has none of."""

    def start(self, **settings: Any) -> None:
        self.server = FakeLLM(**fronts.settings(**settings))
        self.server.startService()
        self.addCleanup(self.server.stopService)
        self.url = self.server.urls[0]

    async def get(self, path: str, **headers: str) -> tuple[int, Any]:
        url = f"{self.url}{path}"
        response = await self.client.get(url, headers=Headers({k: [v] for k, v in headers.items()}))
        return response.code, await response.json()

    async def open(self, how: str) -> Any:
        response = await self.client.post(f"{self.url}{GATES}/gate/{how}", data=b"")
        return await response.json()

    async def test_what_is_let_go_has_come_before_the_answer_has(self) -> None:
        self.start()
        self.server.when().reply("one two three", hold="gate")
        pieces: list[bytes] = []
        asked = self.client.post(
            f"{self.url}{CHAT}", data=json.dumps(asking(stream=True)).encode(), unbuffered=True
        )
        _, told = await self.get(f"{GATES}/gate?waiting=1&timeout=60")
        self.assertEqual(told["waiting"], 1)
        self.assertEqual((await self.open("step"))["let_go"], 1)
        ended = (await asked).collect(pieces.append)
        for count in (2, 3):
            await self.open("step")
            self.assertEqual(b"".join(pieces).count(b"data: "), count)
        await self.open("release")
        await ended
        self.assertEqual(len(chunks_of(b"".join(pieces))), 5)

    async def test_a_client_that_leaves_is_waited_for_no_more(self) -> None:
        self.start()
        gate = self.server.gate("gate")
        connection = await connect(self.url)
        connection.send(b"GET /_fakellm/gates/gate?waiting=1 HTTP/1.1\r\nHost: localhost\r\n\r\n")
        while not gate.awaited:
            await deferLater(reactor, 0)
        await connection.close()
        while gate.awaited:
            await deferLater(reactor, 0)

    async def test_several_requests_on_one_connection(self) -> None:
        self.start(clock="virtual")
        connection = await connect(self.url)
        ask = f"GET {CLOCK} HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n".encode()
        refuse = b"GET /_fakellm/x HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
        connection.send(ask + refuse + ask)
        received = await connection.until(lambda got: got.count(b'"pending"') == 2)
        self.assertEqual(received.count(b"HTTP/1.1 200 OK"), 2)
        self.assertEqual(received.count(b"HTTP/1.1 404 Not Found"), 1)
        await connection.close()

    async def test_names_that_were_rebound_to_this_machine_are_refused(self) -> None:
        self.start(clock="virtual")
        status, told = await self.get(CLOCK, Host="rebound.example")
        self.assertEqual((status, told["status"]), (403, 403))
        status, told = await self.get(CLOCK, Origin="http://127.0.0.1:1")
        self.assertEqual((status, told["status"]), (403, 403))
        self.assertEqual((await self.get(CLOCK, Origin=self.url))[0], 200)

    async def test_over_a_unix_socket_any_host_will_do(self) -> None:
        path = self.mktemp()[-60:].replace("/", "-")
        self.start(clock="virtual", listen=[f"unix:{path}"])
        connection = await connect(self.url)
        connection.send(f"GET {CLOCK} HTTP/1.1\r\nHost: any.example\r\n\r\n".encode())
        status, _, body = split(await connection.until(is_whole))
        self.assertEqual((status, json.loads(body)["now"]), (b"HTTP/1.1 200 OK", 0.0))
        await connection.close()
