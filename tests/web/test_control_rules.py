"""Rules and scenarios that a test gives a server while it runs."""

import json

from tests.web.described import BASE, ControlTestCase

HELLO = {"when": {"user": "hello"}, "reply": "hi there"}
FILE = """
rules:
  - name: of the file
    when: {user: hello}
    reply: from the file
"""


class RuleTests(ControlTestCase):
    def test_a_rule_that_is_added_answers_and_is_listed_with_its_count(self) -> None:
        added = self.send("POST", "/rules", HELLO, 201)
        self.assertEqual((added["source"], added["session"]), ("added", None))
        self.assertEqual((added["answered"], added["rule"]), (0, HELLO))
        self.assertEqual([self.said("hello"), self.said("bye")], ["hi there", "hello world"])
        listed = self.get("/rules")["rules"]
        self.assertIn({**added, "answered": 1}, listed)
        self.assertEqual({each["source"] for each in listed}, {"added", "built_in"})
        self.assertEqual(self.get(f"/rules/{added['id']}")["answered"], 1)
        self.assertEqual(len(self.get("/rules?source=added")["rules"]), 1)

    def test_added_ones_come_before_those_of_files_and_of_python(self) -> None:
        self.scenario(FILE)
        self.assertEqual(self.said("hello"), "from the file")
        self.server.when(user="hello").reply("from Python")
        self.assertEqual(self.said("hello"), "from Python")
        self.send("POST", "/rules", HELLO, 201)
        self.send("POST", "/rules", {**HELLO, "reply": "second"}, 201)
        self.assertEqual(self.said("hello"), "hi there")
        sources = [each["source"] for each in self.get("/rules")["rules"]]
        self.assertEqual(
            [each for each in sources if each != "built_in"], ["added", "added", "python", "file"]
        )

    def test_one_is_replaced_in_its_place_and_begins_anew(self) -> None:
        first = self.send("POST", "/rules", {"replies": ["one", "two"]}, 201)["id"]
        self.send("POST", "/rules", {"reply": "never"}, 201)
        self.assertEqual(self.said("a"), "one")
        replaced = self.send("PUT", f"/rules/{first}", {"name": "n", "replies": ["1", "2"]})
        self.assertEqual((replaced["id"], replaced["answered"]), (first, 0))
        self.assertEqual(replaced["title"], "rule 'n'")
        self.assertEqual([self.said("a"), self.said("a")], ["1", "2"])

    def test_one_is_deleted_or_all_are(self) -> None:
        first = self.send("POST", "/rules", {"reply": "first"}, 201)["id"]
        self.send("POST", "/rules", {"reply": "second"}, 201)
        self.assertEqual(self.send("DELETE", f"/rules/{first}"), {"deleted": 1})
        self.assertEqual(self.said("a"), "second")
        self.send("POST", "/rules", {"reply": "third"}, 201)
        self.assertEqual(self.send("DELETE", "/rules"), {"deleted": 2})
        self.assertEqual(self.send("DELETE", "/rules?session=nobody"), {"deleted": 0})
        self.assertEqual(self.said("a"), "hello world")

    def test_what_was_not_added_cannot_be_changed(self) -> None:
        self.scenario(FILE)
        self.server.when(user="a").reply("python")
        for source in ("file", "python", "built_in"):
            name = self.get(f"/rules?source={source}")["rules"][0]["id"]
            for method, body in (("PUT", HELLO), ("DELETE", None)):
                problem = self.problem(method, f"/rules/{name}", body, 409)
                self.assertIn("was not added here", problem["detail"])
        for method, body in (("GET", None), ("PUT", HELLO), ("DELETE", None)):
            problem = self.problem(method, "/rules/nonesuch", body, 404)
            self.assertEqual(problem["detail"], "there is no rule 'nonesuch'")

    def test_rules_of_files_keep_their_ids(self) -> None:
        self.scenario(FILE)
        before = self.get("/rules?source=file")["rules"][0]
        self.assertEqual(before["rule"]["name"], "of the file")
        self.server.reload()
        self.assertEqual(self.get("/rules?source=file")["rules"], [before])

    def test_all_that_is_wrong_is_told_with_the_keys_that_lead_there(self) -> None:
        for rule, errors in (
            (
                {"when": {"usr": "x", "model": {"matches": "("}}, "repy": "x"},
                {"when.usr": "did you mean 'user'?", "repy": "did you mean 'reply'?"},
            ),
            (
                {"reply": "{{ nope( }}", "times": 0},
                {"reply": "in the template: ", "times": "expected at least 1"},
            ),
            ({"reply": "a", "replies": ["b"]}, {"replies": "not both"}),
            ({}, {None: "a rule needs `reply` or `replies`"}),
            ({"reply": {"file": "/etc/passwd"}}, {"reply.file": "only be named by scenario files"}),
            (
                {"reply": "a", "timing": {"ttft": {"samples": "/etc/passwd"}}},
                {"timing.ttft.samples": "only be named by scenario files"},
            ),
            ({"reply": "a", "timing": "fast"}, {"timing": "there is no profile 'fast'"}),
            ({"reply": "a", "faults": ["exlode"]}, {"faults.0": "exlode"}),
            ([], {None: "expected a rule (a mapping"}),
        ):
            problem = self.problem("POST", "/rules", rule)
            found = {each.get("path"): each["detail"] for each in problem["errors"]}
            self.assertLessEqual(errors.keys(), found.keys(), problem)
            for path, words in errors.items():
                self.assertIn(words, found[path])
        self.assertEqual(self.get("/rules?source=added")["rules"], [])

    def test_what_is_nested_too_deeply(self) -> None:
        for levels in (60, 400, 900, 100_000):
            for wrap in ('{"reply": {"json": %s}}', '{"match": {"json": {"x": %s}}}'):
                body = wrap % ("[" * levels + "]" * levels)
                path = "rules" if "reply" in wrap else "verify"
                answer = self.request("POST", f"{BASE}/{path}", body.encode())
                self.assertLess(answer.status, 500, answer.body)

    def test_a_rule_that_is_wrong_replaces_none(self) -> None:
        name = self.send("POST", "/rules", HELLO, 201)["id"]
        self.problem("PUT", f"/rules/{name}", {"reply": 1})
        self.assertEqual(self.said("hello"), "hi there")

    def test_texts_may_hold_any_characters(self) -> None:
        said = 'a "quoted" \\ text:\n\u2028 {{ "{" }} 👋🏽 é'
        self.send("POST", "/rules", {"reply": said}, 201)
        self.assertEqual(self.said("a"), said.replace('{{ "{" }}', "{"))

    def test_there_are_not_ever_more(self) -> None:
        self.patch_bound("fakellm.scenarios.added.ADDED_AT_MOST", 2)
        self.send("POST", "/rules", HELLO, 201)
        self.send("POST", "/rules", HELLO, 201)
        self.assertIn("2 added rules", self.problem("POST", "/rules", HELLO, 409)["detail"])
        put = "rules: [{reply: a, when: {user: b}}, {reply: a, when: {user: c}}, {reply: d}]"
        self.assertIn("2 rules", self.problem("PUT", "/scenario", put, 409)["detail"])


class SessionRuleTests(ControlTestCase):
    def test_a_session_has_rules_of_its_own_before_those_of_all(self) -> None:
        self.send("POST", "/rules", {"reply": "everybody's"}, 201)
        own = self.send("POST", "/rules?session=s", HELLO, 201)
        self.assertEqual(own["session"], "s")
        self.assertEqual(self.said("hello", session="s"), "hi there")
        self.assertEqual(self.said("bye", session="s"), "everybody's")
        self.assertEqual(self.said("hello", session="t"), "everybody's")
        self.assertEqual(self.said("hello"), "everybody's")
        in_session = self.get("/rules?session=s&source=added")["rules"]
        self.assertEqual([each["answered"] for each in in_session], [1, 1])
        in_all = self.get("/rules?source=added")["rules"]
        self.assertEqual([each["answered"] for each in in_all], [3])

    def test_they_are_found_replaced_and_deleted_by_their_ids_alone(self) -> None:
        name = self.send("POST", "/rules?session=s", HELLO, 201)["id"]
        self.assertEqual(self.get(f"/rules/{name}")["session"], "s")
        self.send("PUT", f"/rules/{name}", {**HELLO, "reply": "changed"})
        self.assertEqual(self.said("hello", session="s"), "changed")
        self.send("DELETE", f"/rules/{name}")
        self.assertEqual(self.said("hello", session="s"), "hello world")

    def test_a_key_names_a_session_as_well(self) -> None:
        self.send("POST", "/rules?session=s", HELLO, 201)
        asked = {"model": "m", "messages": [{"role": "user", "content": "hello"}]}
        answer = self.request(
            "POST",
            "/v1/chat/completions",
            json.dumps(asked).encode(),
            headers={"Authorization": "Bearer session-s"},
        )
        self.assertEqual(answer.json["choices"][0]["message"]["content"], "hi there")

    def test_sessions_with_rules_are_bounded(self) -> None:
        self.patch_bound("fakellm.scenarios.library.SESSIONS_AT_MOST", 2)
        for session in ("a", "b", "c"):
            self.send("POST", f"/rules?session={session}", HELLO, 201)
        said = [self.said("hello", session=each) for each in "abc"]
        self.assertEqual(said, ["hello world", "hi there", "hi there"])


class ScenarioTests(ControlTestCase):
    TEXT = "rules:\n  - {name: one, when: {user: hello}, replies: [first, second]}\n"

    def test_a_scenario_is_put_shown_replaced_and_deleted(self) -> None:
        self.assertIn("no scenario", self.problem("GET", "/scenario", status=404)["detail"])
        self.assertEqual(self.send("PUT", "/scenario", self.TEXT), {"rules": 1, "warnings": []})
        answer = self.request("GET", f"{BASE}/scenario")
        self.assertEqual(answer.header("Content-Type"), "application/yaml")
        self.assertEqual(answer.body.decode(), self.TEXT)
        self.assertEqual(self.said("hello"), "first")
        self.send("PUT", "/scenario", self.TEXT)  # begins anew
        self.assertEqual([self.said("hello"), self.said("hello")], ["first", "second"])
        self.send("PUT", "/scenario", "rules: [{reply: other}]")
        self.assertEqual(self.said("hello"), "other")
        self.assertEqual(self.send("DELETE", "/scenario"), {"deleted": 1})
        self.assertEqual(self.send("DELETE", "/scenario"), {"deleted": 0})
        self.assertEqual(self.said("hello"), "hello world")

    def test_its_mistakes_come_back_with_line_and_column(self) -> None:
        self.send("PUT", "/scenario", self.TEXT)
        text = "rules:\n  - when: {usr: hello}\n    reply: a\n  - reply: '{{ x'\n"
        problem = self.problem("PUT", "/scenario", text)
        self.assertEqual(
            [(each["line"], each["column"]) for each in problem["errors"]], [(2, 12), (4, 12)]
        )
        self.assertIn("did you mean 'user'?", problem["errors"][0]["detail"])
        self.assertIn("scenario:2:12: unknown key 'usr'", problem["detail"])
        self.assertIn("and 1 more", problem["detail"])
        self.assertEqual(self.said("hello"), "first")  # what was put before stays

    def test_its_warnings_come_back_too(self) -> None:
        put = self.send("PUT", "/scenario", "rules: [{reply: a}, {reply: b}]")
        self.assertEqual((put["rules"], put["warnings"][0]["severity"]), (2, "warning"))
        self.assertIn("never reached", put["warnings"][0]["detail"])

    def test_its_settings_go_over_those_of_files(self) -> None:
        self.scenario("profiles: {slow: {ttft: 2s}}\nrules: [{when: {user: a}, reply: b}]")
        self.send(
            "PUT",
            "/scenario",
            "settings: {strict: true}\n"
            "profiles: {slower: {ttft: 3s}}\n"
            "rules: [{when: {user: hello}, reply: c, timing: slow}]",
        )
        self.assertEqual(self.said("nothing"), "404")
        self.assertEqual(self.stream(messages=[{"role": "user", "content": "hello"}]).end(), 2.0)
        self.send("POST", "/rules", {"when": {"user": "x"}, "reply": "y", "timing": "slower"}, 201)
        self.send("DELETE", "/scenario")
        self.assertEqual(self.said("nothing"), "hello world")

    def test_files_that_are_read_again_go_below_it(self) -> None:
        self.scenario("rules: [{when: {user: hello}, reply: file}]")
        self.send("PUT", "/scenario", "settings: {strict: true}\nrules: [{reply: put}]")
        self.server.reload()
        self.assertEqual(self.said("hello"), "put")
        self.send("DELETE", "/scenario")
        self.assertEqual(self.said("hello"), "file")

    def test_it_may_name_no_file(self) -> None:
        for text in (
            "include: /etc/passwd",
            "rules: [{reply: {file: /etc/passwd}}]",
            "timing: {ttft: {samples: /etc/passwd}}",
        ):
            problem = self.problem("PUT", "/scenario", text)
            self.assertIn("only be named by scenario files", problem["detail"], text)

    def test_a_session_may_have_one_of_its_own_that_has_only_rules(self) -> None:
        self.send("PUT", "/scenario?session=s", self.TEXT)
        self.assertEqual([self.said("hello", session="s"), self.said("hello")][0], "first")
        self.assertEqual(self.said("hello"), "hello world")
        self.assertEqual(self.request("GET", f"{BASE}/scenario?session=s").body.decode(), self.TEXT)
        problem = self.problem("PUT", "/scenario?session=s", "settings: {strict: true}")
        self.assertIn("put settings for the whole server", problem["detail"])
        self.send("DELETE", "/scenario?session=s")
        self.assertEqual(self.said("hello", session="s"), "hello world")

    def test_what_is_no_text(self) -> None:
        answer = self.request("PUT", f"{BASE}/scenario", b"\xff")
        self.assertEqual(answer.status, 400)
        self.assertIn("the body is not what it has to be", answer.json["detail"])
