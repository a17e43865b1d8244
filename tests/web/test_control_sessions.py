"""Sessions by the control API, and starting afresh."""

from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure

from fakellm.scenarios.sessions import StartedAfresh
from tests.servers import Answer
from tests.web.described import BASE, ControlTestCase, check

SEQUENCE = """
rules:
  - when: {user: held}
    reply: one two three
    hold: gate
  - replies: [first, second]
"""


class SessionTests(ControlTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.scenario(SEQUENCE, reactor=MemoryReactorClock(), requests_per_minute=5)

    def names(self) -> list[str]:
        return [each["name"] for each in self.get("/sessions")["sessions"]]

    def test_they_come_to_be_when_they_are_used(self) -> None:
        self.assertEqual(self.names(), [])
        self.say("a", session="s")
        self.say("a")
        self.say("a", session="s")
        self.assertEqual(self.names(), ["default", "s"])
        session = self.get("/sessions/s")
        self.assertEqual((session["requests"], session["running"]), (2, 0))

    def test_what_is_given_to_one_makes_it(self) -> None:
        self.send("POST", "/rules?session=rule", {"reply": "a"}, 201)
        self.send("PUT", "/scenario?session=scenario", "rules: [{reply: a}]")
        self.send("POST", "/faults?session=fault", {"faults": "hang"}, 201)
        self.send("PUT", "/state?session=state", {"state": "a"})
        self.get("/rules?session=looked-at")
        self.assertEqual(self.names(), ["rule", "scenario", "fault", "state"])

    def test_one_is_forgotten_with_all_it_has(self) -> None:
        for session in ("s", "t"):
            self.say("a", session=session)
            self.send("POST", f"/rules?session={session}", {"reply": "b", "times": 1}, 201)
            self.send("PUT", f"/state?session={session}", {"state": "x"})
            self.send("POST", f"/faults?session={session}", {"faults": "hang"}, 201)
        self.assertEqual(self.send("DELETE", "/sessions/s"), {"sessions": ["s"]})
        self.assertEqual(self.names(), ["t"])
        self.assertEqual(self.get("/state?session=s")["state"], "start")
        self.assertEqual(self.get("/requests?session=s")["count"], 0)
        self.assertEqual(self.get("/faults?session=s")["faults"], [])
        self.assertEqual(self.get("/rules?session=s&source=added")["rules"], [])
        self.assertEqual(self.said("a", session="s"), "first")
        self.assertEqual(self.get("/state?session=t")["state"], "x")
        self.assertEqual(self.get("/requests?session=t")["count"], 1)
        for method in ("GET", "DELETE"):
            self.problem(method, "/sessions/nobody", status=404)

    def test_names_may_hold_any_characters(self) -> None:
        self.say("a", session="a/b c")
        self.assertEqual(self.get("/sessions/a%2Fb%20c")["name"], "a/b c")

    def test_gates_are_apart(self) -> None:
        held = [{"role": "user", "content": "held"}]
        mine = self.stream(messages=held, headers={"X-FakeLLM-Session": "s"})
        other = self.stream(messages=held, headers={"X-FakeLLM-Session": "t"})
        self.assertEqual(self.get("/gates/gate")["waiting"], 0)
        told = self.send("POST", "/gates/gate/release?session=s")
        self.assertEqual((told["session"], told["let_go"]), ("s", 1))
        self.flush()
        self.assertEqual((mine.ended, other.ended), (True, False))
        listed = self.get("/gates?session=t")["gates"]
        self.assertEqual([(each["session"], each["waiting"]) for each in listed], [("t", 1)])
        self.assertEqual(len(self.get("/gates")["gates"]), 3)


class ResetTests(ControlTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.scenario(SEQUENCE, reactor=MemoryReactorClock(), requests_per_minute=5)

    def test_a_session_starts_afresh(self) -> None:
        self.assertEqual([self.said("a", session="s"), self.said("a")], ["first", "first"])
        self.assertEqual(self.send("POST", "/reset?session=s"), {"sessions": ["s"]})
        self.assertEqual([self.said("a", session="s"), self.said("a")], ["first", "second"])
        self.assertEqual(
            self.send("POST", "/reset?session=never-used"), {"sessions": ["never-used"]}
        )

    def test_all_of_the_server_does_but_for_its_files_and_what_is_made_in_python(self) -> None:
        self.server.when(user="python").reply("made in Python")
        self.send("PUT", "/scenario", "settings: {strict: true}\nrules: [{reply: put}]")
        self.send("POST", "/rules", {"reply": "added"}, 201)
        self.send("POST", "/rules?session=s", {"reply": "of the session"}, 201)
        self.send("POST", "/faults", {"faults": "error 500"}, 201)
        self.say("a", session="s")
        held = self.stream(messages=[{"role": "user", "content": "held"}])
        told = self.send("POST", "/reset")
        self.assertLessEqual({"s", "default"}, set(told["sessions"]))
        self.flush()
        self.assertEqual(self.get("/sessions")["sessions"], [])
        self.assertEqual(self.get("/requests")["requests"], [])
        self.assertEqual(self.get("/faults"), {"faults": [], "struck": {}})
        self.assertEqual(self.get("/limits"), {"limits": []})
        self.problem("GET", "/scenario", status=404)
        said = [self.said("python"), self.said("a"), self.said("a", session="s")]
        self.assertEqual(said, ["made in Python", "first", "first"])
        del held

    def test_what_waits_at_gates_is_broken_off(self) -> None:
        held = self.stream(messages=[{"role": "user", "content": "held"}])
        self.send("POST", "/reset")
        self.flush()
        self.failureResultOf(held.asked)
        self.assertEqual(self.get("/gates"), {"gates": []})


class AwaitedTests(ControlTestCase):
    """Clients of the control API that wait for what starts afresh are told so at once."""

    def setUp(self) -> None:
        super().setUp()
        self.reactor = MemoryReactorClock()
        self.scenario(SEQUENCE, reactor=self.reactor)

    def gate(self, session: str = "default") -> list[Answer]:
        return self.begin("GET", f"/gates/gate?waiting=2&timeout=60&session={session}")

    def requests(self, session: str = "") -> list[Answer]:
        query = f"?session={session}" if session else ""
        return self.begin("POST", f"/requests/wait{query}", {"count": 2, "timeout": 60})

    def assert_told(self, answers: list[Answer], what: str) -> None:
        """The answer is there, and it is what the API's description says it may be."""
        self.flush()
        (answer,) = answers
        problem = answer.json
        media_type = answer.header("Content-Type") or ""
        path = f"{BASE}/gates/gate" if "gate" in what else f"{BASE}/requests/wait"
        method = "GET" if "gate" in what else "POST"
        check(method, path, answer.status, media_type, answer.body)
        self.assertEqual((answer.status, problem["status"]), (409, 409))
        self.assertEqual(problem["detail"], f"what this waited for was reset: {what} are forgotten")

    def test_those_that_wait_for_a_session(self) -> None:
        for method, path in (("POST", "/reset?session=s"), ("DELETE", "/sessions/s")):
            self.say("a", session="s")
            gate, requests = self.gate("s"), self.requests("s")
            others = self.gate("t"), self.gate(), self.requests("t"), self.requests()
            self.send(method, path)
            self.assert_told(gate, "answers at the gate 'gate'")
            self.assert_told(requests, "requests")
            self.assertEqual(others, ([], [], [], []))
            self.send("POST", "/reset")

    def test_those_that_wait_for_anything(self) -> None:
        """Also for sessions that nobody has used yet."""
        gates = self.gate(), self.gate("s")
        requests = self.requests(), self.requests("s"), self.requests("default")
        self.say("a")
        told = self.send("POST", "/reset")
        self.assertLessEqual({"s", "default"}, set(told["sessions"]))
        for each in gates:
            self.assert_told(each, "answers at the gate 'gate'")
        for each in requests:
            self.assert_told(each, "requests")
        self.assertEqual(self.reactor.getDelayedCalls(), [])

    def test_what_comes_later_is_for_those_that_wait_later(self) -> None:
        self.requests("s")
        self.send("POST", "/reset?session=s")
        later = self.requests("s")
        for _ in range(2):
            self.say("a", session="s")
        self.flush()
        self.assertEqual([each.status for each in later], [200])

    def test_those_that_wait_in_python(self) -> None:
        failures: list[Failure] = []
        self.server.journal.wait(count=2).addErrback(failures.append)
        self.server.gate("gate").when_waiting().addErrback(failures.append)
        self.send("POST", "/reset")
        self.assertEqual([each.type for each in failures], [StartedAfresh] * 2)
