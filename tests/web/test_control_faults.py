"""Faults for the next requests, limits and states, by the control API."""

from tests.web.described import ControlTestCase


class FaultTests(ControlTestCase):
    def test_the_next_requests_get_it_and_those_after_them_do_not(self) -> None:
        ordered = self.send("POST", "/faults", {"faults": "error 503", "requests": 2}, 201)
        self.assertEqual((ordered["left"], ordered["taken"]), (2, 0))
        self.assertEqual(self.said("a"), "503")
        self.assertEqual(self.get("/faults")["faults"], [{**ordered, "left": 1, "taken": 1}])
        self.assertEqual([self.said("a"), self.said("a")], ["503", "hello world"])
        self.assertEqual(self.get("/faults"), {"faults": [], "struck": {"error": 2}})

    def test_it_is_for_one_unless_more_are_asked_for(self) -> None:
        self.send("POST", "/faults", {"faults": {"error": 429}}, 201)
        self.assertEqual([self.said("a"), self.said("a")], ["429", "hello world"])

    def test_several_are_given_one_after_the_other(self) -> None:
        self.send("POST", "/faults", {"faults": "error 429"}, 201)
        self.send("POST", "/faults", {"faults": ["error 500", "delay 1s"]}, 201)
        asked = [self.whole() for _ in range(3)]
        self.clock.advance(1)
        self.flush()
        self.assertEqual([each.status for each in asked], [429, 500, 200])

    def test_a_session_gets_its_own_before_those_for_anybody(self) -> None:
        self.send("POST", "/faults", {"faults": "error 500"}, 201)
        own = self.send("POST", "/faults?session=s", {"faults": "error 429"}, 201)
        self.assertEqual(self.get("/faults?session=s")["faults"], [own])
        said = [self.said("a", session="s"), self.said("a"), self.said("a")]
        self.assertEqual(said, ["429", "500", "hello world"])

    def test_it_goes_before_what_a_rule_says_but_not_before_what_a_request_asks_for(self) -> None:
        self.scenario("rules: [{reply: a, faults: error 502}]")
        self.send("POST", "/faults", {"faults": "error 429"}, 201)
        answer = self.whole(headers={"X-FakeLLM-Fault": "error 418"})
        self.assertEqual(answer.status, 418)
        self.assertEqual([self.said("a"), self.said("a")], ["429", "502"])

    def test_until_it_is_deleted(self) -> None:
        name = self.send("POST", "/faults", {"faults": "error 500", "requests": None}, 201)["id"]
        self.assertEqual([self.said("a") for _ in range(3)], ["500"] * 3)
        self.assertEqual(self.send("DELETE", f"/faults/{name}"), {"deleted": 1})
        self.assertEqual(self.said("a"), "hello world")
        self.problem("DELETE", f"/faults/{name}", status=404)

    def test_all_of_a_session_are_deleted_or_all(self) -> None:
        for query in ("?session=s", "?session=s", "?session=t", ""):
            self.send("POST", f"/faults{query}", {"faults": "error 500"}, 201)
        self.assertEqual(self.send("DELETE", "/faults?session=s"), {"deleted": 2})
        self.assertEqual(self.send("DELETE", "/faults"), {"deleted": 2})

    def test_what_is_no_fault(self) -> None:
        for body, path in (
            ({"faults": "exlode"}, "faults"),
            ({"faults": ["hang", "exlode"]}, "faults.1"),
            ({"faults": []}, "faults"),
            ({"faults": {}}, "faults"),
            ({"faults": {"error": 200}}, "faults.error"),
            ({"faults": {"hang": True, "on_attempt": 2}}, "faults.on_attempt"),
            ({"faults": "hang", "requests": 0}, "requests"),
            ({}, None),
        ):
            problem = self.problem("POST", "/faults", body)
            self.assertEqual(problem["errors"][0].get("path"), path, problem)

    def test_there_are_not_ever_more(self) -> None:
        self.patch_bound("fakellm.faults.orders.ORDERS_AT_MOST", 1)
        self.send("POST", "/faults", {"faults": "error 500"}, 201)
        self.problem("POST", "/faults", {"faults": "error 500"}, 409)


class LimitTests(ControlTestCase):
    def test_how_clients_stand_and_a_fresh_start(self) -> None:
        self.serve(requests_per_minute=2, concurrent=3)
        self.assertEqual(self.get("/limits"), {"limits": []})
        for session in ("s", "s", "s", "t"):
            self.say("a", session=session)
        limits = self.get("/limits?session=s")["limits"]
        requests, concurrent = limits
        self.assertEqual(
            (requests["unit"], requests["limit"], requests["window"]), ("requests", 2, 60.0)
        )
        self.assertEqual((requests["remaining"], requests["reset"]), (0, 60.0))
        self.assertEqual(
            (concurrent["unit"], concurrent["window"], concurrent["remaining"]),
            ("concurrent", None, 3),
        )
        self.clock.advance(30)
        self.assertEqual(self.get("/limits?session=s")["limits"][0]["remaining"], 1)
        self.assertEqual(len(self.get("/limits")["limits"]), 4)
        self.assertEqual(self.send("DELETE", "/limits?session=s"), {"deleted": 2})
        self.assertEqual(self.said("a", session="s"), "hello world")
        self.assertEqual(self.send("DELETE", "/limits"), {"deleted": 4})
        self.assertEqual(self.get("/limits"), {"limits": []})

    def test_keys_are_masked(self) -> None:
        self.serve(requests_per_minute=2)
        for key in ("sk-secret-secret-1234", "short"):
            self.whole(headers={"Authorization": f"Bearer {key}"})
        keys = [each["key"] for each in self.get("/limits")["limits"]]
        self.assertEqual(keys, ["***1234", "***"])


class StateTests(ControlTestCase):
    def test_it_is_shown_and_set(self) -> None:
        self.scenario(
            """
            rules:
              - when: {state: paid}
                reply: thank you
              - when: {user: pay}
                reply: paid
                set_state: paid
              - reply: please pay
            """
        )
        start = {"session": "default", "state": "start", "conversations": {}}
        self.assertEqual(self.get("/state"), start)
        self.assertEqual(
            [self.said("x"), self.said("pay"), self.said("x")], ["please pay", "paid", "thank you"]
        )
        self.assertEqual(self.get("/state")["state"], "paid")
        self.assertEqual(self.get("/state?session=s")["state"], "start")
        told = self.send("PUT", "/state?session=s", {"state": "paid"})
        self.assertEqual(told, {"session": "s", "state": "paid", "conversations": {"": "paid"}})
        self.assertEqual(self.said("x", session="s"), "thank you")
        self.send("PUT", "/state", {"state": "start"})
        self.assertEqual(self.said("x"), "please pay")

    def test_of_a_conversation_with_a_name(self) -> None:
        self.scenario(
            """
            settings: {conversation: "{{ headers['x-user'] }}"}
            rules:
              - reply: "{{ state }}"
            """
        )
        self.send("PUT", "/state", {"state": "vip", "conversation": "ann"})
        asked = self.whole(headers={"X-User": "ann"})
        self.assertEqual(asked.json["choices"][0]["message"]["content"], "vip")
        self.assertEqual(self.get("/state")["conversations"], {"ann": "vip"})

    def test_what_is_no_state(self) -> None:
        for body in ({}, {"state": 1}, {"state": "a", "stat": "b"}):
            self.problem("PUT", "/state", body)
