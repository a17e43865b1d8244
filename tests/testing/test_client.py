"""`fakellm.testing.Client`: a server is steered with the words of `fakellm.FakeLLM`."""

import re
from pathlib import Path
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

import fakellm
from fakellm import contains, error, fault, hold, reply, text, tool_call
from fakellm.scenarios import schema
from fakellm.testing import (
    AsyncClient,
    BadScenarioText,
    Client,
    ControlError,
    MemoryLLM,
    NotVerified,
    Unreachable,
    WithFakeLLMInMemory,
)
from fakellm.testing.memory import MemoryTransport
from tests.processes import taken_port
from tests.testing.asking import Asking

RULE = schema.Rule(name="greeting", when=schema.When(user="hi"), reply="Hello.")


class ClientTestCase(WithFakeLLMInMemory, SynchronousTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ask = Asking(self.llm)


class RuleTests(ClientTestCase):
    def test_a_rule_is_said_as_in_python_and_removed_by_what_that_gives(self) -> None:
        remove = self.llm.when(user=contains("weather"), turn=1).reply(text("It is sunny."))
        self.assertEqual(self.ask("the weather?"), "It is sunny.")
        remove()
        self.assertEqual(self.ask("the weather?"), "hello world")
        self.assertRaises(ControlError, remove)

    def test_all_that_a_rule_has_gets_there(self) -> None:
        """What is sent is the rule itself: the server's record of it is equal."""
        with mock.patch.object(Client, "add") as add:
            when = self.llm.when(user=contains("a"), model="m", tool_result={"name": "f"})
            when.reply(
                text("one"),
                tool_call("f", {"x": None, "y": [1.5]}),
                finish_reason="length",
                name="n",
                times=3,
                set_state="s",
                priority=2,
                timing={"ttft": {"uniform": [0.1, 0.2]}},
                faults=[fault("reset after 3"), fault("stall 2s after 1 chunk")],
                hold=hold("door", after={"chunks": 2}),
            )
            self.llm.when(user="b").replies(
                error(429, headers={"retry-after": "1"}), reply("x", model="m"), then="loop"
            )
        rules = [call.args[0] for call in add.call_args_list]
        self.assertEqual(len(rules), 2)
        for rule in rules:
            self.assertEqual(self.llm.add(rule).rule, rule)

    def test_functions_cannot_be_sent(self) -> None:
        with self.assertRaisesRegex(TypeError, r"llm\.server\.when"):
            self.llm.when(lambda _: True)
        with self.assertRaisesRegex(TypeError, r"llm\.server\.when"):
            self.llm.when().reply(lambda _: "x")  # type: ignore[arg-type]
        self.llm.server.when(lambda prompt: prompt.model == "any-model").reply(lambda _: "I can.")
        self.assertEqual(self.ask("x"), "I can.")

    def test_what_cannot_be_a_rule_is_told_at_once(self) -> None:
        with self.assertRaisesRegex(TypeError, "did you mean"):
            self.llm.when(usr="x")  # type: ignore[call-arg]
        with self.assertRaisesRegex(
            BadScenarioText, r"^when\.user\.matches: .*missing \)"
        ) as caught:
            self.llm.when(user=fakellm.matches("(")).reply("x")
        self.assertEqual(caught.exception.status, 400)
        self.assertEqual([each.path for each in caught.exception.mistakes], ["when.user.matches"])

    def test_rules_are_listed_replaced_and_deleted(self) -> None:
        added = self.llm.add(RULE)
        self.ask("hi")
        self.assertEqual([rule.rule for rule in self.llm.rules("added")], [RULE])
        self.assertEqual(self.llm.rule(added.id).answered, 1)
        changed = self.llm.replace_rule(added.id, schema.Rule(name="other", reply="Bye."))
        self.assertEqual((changed.title, changed.answered), ("rule 'other'", 0))
        self.assertEqual(self.ask("anything"), "Bye.")
        self.assertEqual((self.llm.delete_rules(), self.llm.delete_rules()), (1, 0))

    def test_a_scenario_is_put_from_a_text_and_from_a_file(self) -> None:
        path = Path(self.mktemp())
        path.write_text("rules: [{when: {user: hi}, reply: Hello.}]")
        self.assertEqual(self.llm.load(path).rules, 1)
        self.assertEqual(self.ask("hi"), "Hello.")
        self.assertEqual(self.llm.scenario, path.read_text())
        self.assertEqual(self.llm.delete_scenario(), 1)
        self.assertEqual(self.ask("hi"), "hello world")
        with self.assertRaisesRegex(ControlError, "404"):
            self.llm.scenario  # noqa: B018 -- asking is what is tested

    def test_mistakes_of_a_scenario_come_with_line_and_column(self) -> None:
        path = Path(self.mktemp())
        path.write_text("rules:\n  - when: {usr: hi}\n    reply: x\n  - reply: {txt: y}\n")
        with self.assertRaises(BadScenarioText) as caught:
            self.llm.load(path)
        first, second = str(caught.exception).split("\n")
        self.assertTrue(first.startswith(f"{path}:2:12: "), first)
        self.assertTrue(second.startswith(f"{path}:4:13: "), second)


class RequestTests(ClientTestCase):
    def test_requests_tell_what_was_asked_and_what_became_of_it(self) -> None:
        self.llm.when(user="hi").reply("Hello.", name="greeting")
        self.ask("hi")
        self.ask("bye", model="other")
        first, second = self.llm.requests
        assert first.prompt is not None
        assert first.rule is not None
        assert first.answer is not None
        self.assertEqual(first.prompt.messages[0].text, "hi")
        self.assertEqual((first.rule.title, first.status), ("rule 'greeting'", 200))
        self.assertEqual(first.answer.choices[0].text, "Hello.")
        self.assertEqual(first.delivery.ended, "finished")
        self.assertEqual(self.llm.request(second.id), second)
        self.assertEqual(self.llm.find(model="other"), [second])
        self.assertEqual(self.llm.find(model="oth*", status="2xx"), [second])
        self.assertEqual(self.llm.find(status="4xx"), [])
        self.assertEqual(self.llm.find(text="Hello."), [first])
        self.assertEqual(self.llm.find(last=1), [second])
        self.assertEqual(self.llm.journal.entries, 2)
        self.assertEqual(self.llm.delete_requests(), 2)
        self.assertEqual(self.llm.requests, [])

    def test_a_snapshot_is_the_same_each_time(self) -> None:
        self.ask("hi")
        self.ask("hi")
        first, second = self.llm.snapshots()
        self.assertEqual(first, second)
        self.assertEqual(self.llm.snapshot(self.llm.requests[0].id), first)

    def test_requests_are_verified(self) -> None:
        self.ask("hi")
        self.ask("hi there")
        self.assertEqual(self.llm.verify(user=contains("hi"), count=2).count, 2)
        self.llm.verify(user="hi")
        self.llm.verify(at_least=1, at_most=2)
        self.llm.verify(user="bye", count=0)
        self.llm.verify(in_order=[{"user": "hi"}, {"user": "hi there", "status": 200}])

    def test_what_is_not_verified_is_a_failure_that_tells_the_nearest_requests(self) -> None:
        self.ask("hi there")
        with self.assertRaises(NotVerified) as caught:
            self.llm.verify(user="hi", model="any-model")
        self.assertIsInstance(caught.exception, AssertionError)
        self.assertIn("0 requests match; expected at least 1", str(caught.exception))
        self.assertRegex(
            str(caught.exception),
            r"nearest: 1\. chat\.completions 'hi there': user: expected: .*, found: 'hi there'",
        )
        with self.assertRaisesRegex(NotVerified, "1 request match; expected 0|expected 0"):
            self.llm.verify(count=0)
        with self.assertRaisesRegex(NotVerified, "in_order.1"):
            self.llm.verify(in_order=[{"user": "hi there"}, {"user": "hi there"}])

    def test_a_wrong_match_is_told_at_once(self) -> None:
        with self.assertRaisesRegex(TypeError, "a match has no 'usr'"):
            self.llm.verify(usr="x")  # type: ignore[call-arg]
        with self.assertRaisesRegex(ControlError, "count is exact"):
            self.llm.verify(count=1, at_least=1)

    def test_waiting_for_requests_that_are_there(self) -> None:
        self.ask("hi")
        (found,) = self.llm.wait_for(user="hi")
        self.assertEqual(found, self.llm.requests[0])
        with self.assertRaisesRegex(RuntimeError, "would have to be waited for"):
            self.llm.wait_for(2)

    def test_events_are_told(self) -> None:
        with self.llm.events() as events:
            self.ask("hi")
            told = [next(events), next(events)]
            self.assertEqual([event.kind for event in told], ["received", "ended"])
            self.assertEqual(told[1].entry, self.llm.requests[0])
            self.assertEqual(events.dropped, 0)
            with self.assertRaisesRegex(RuntimeError, "in memory nothing happens"):
                next(events)
        with self.llm.events("ended") as events:
            self.ask("hi")
            self.assertEqual(next(iter(events)).kind, "ended")
        self.llm.fault("error 503")
        with self.llm.events("struck") as events:
            self.ask.begin("hi")
            self.assertEqual(next(events).fault, "error")


class TimeTests(ClientTestCase):
    def test_time_passes_when_it_is_let(self) -> None:
        self.llm.when().reply("later", timing={"ttft": "1.5s"})
        answer = self.ask.begin("x", stream=True)
        self.llm.advance(1.0)
        self.assertNotIn(b"later", answer.body)
        self.assertEqual(self.llm.advance(0.5).now, 1.5)
        self.assertIn(b"later", answer.body)
        self.assertEqual(self.llm.clock.pending, 0)

    def test_or_until_there_is_nothing_left_to_come(self) -> None:
        self.llm.when().reply("a b c", timing={"ttft": "10s", "itl": "20s"})
        answer = self.ask.begin("x", stream=True)
        self.llm.advance(to="next")
        self.llm.advance(to="idle")
        self.assertTrue(answer.body.endswith(b"[DONE]\n\n"))

    def test_how_far_has_to_be_said(self) -> None:
        for given in ({}, {"seconds": 1.0, "to": "idle"}):
            with self.assertRaisesRegex(TypeError, "say how far"):
                self.llm.advance(**given)  # type: ignore[arg-type]

    def test_answers_wait_at_gates(self) -> None:
        gate = self.llm.gate("a door/1")
        self.llm.when().reply("a b c", hold=hold(gate.name, after={"chunks": 1}))
        first = self.ask.begin("x", stream=True)
        self.assertEqual(gate.waiting, 1)
        self.assertEqual(gate.wait().waiting, 1)
        gate.step()
        self.assertNotIn(b"[DONE]", first.body)
        self.assertEqual(gate.release().let_go, 1)
        self.assertIn(b"[DONE]", first.body)
        second = self.ask.begin("x", stream=True)
        self.assertEqual(gate.abort().aborted, 1)
        self.failureResultOf(second.ended)
        self.assertEqual([each.name for each in self.llm.gates], ["a door/1"])


class TroubleTests(ClientTestCase):
    def test_something_goes_wrong_next_time(self) -> None:
        ordered = self.llm.fault("error 503")
        self.assertEqual([each.id for each in self.llm.faults.faults], [ordered.id])
        self.assertEqual([self.ask("x"), self.ask("x")], ["503", "hello world"])
        self.llm.fault(fault("error 429"), requests=None)
        self.assertEqual([self.ask("x"), self.ask("x")], ["429", "429"])
        self.assertEqual(self.llm.delete_faults(), 1)
        ordered = self.llm.fault("error 503", requests=2)
        self.llm.delete_faults(ordered.id)
        self.assertEqual(self.ask("x"), "hello world")

    def test_what_is_no_fault_is_told_at_once(self) -> None:
        with self.assertRaises(BadScenarioText):
            self.llm.fault("earthquake")

    def test_states(self) -> None:
        self.llm.when(state="shopping").reply("Buy more.")
        self.assertEqual(self.llm.state, "start")
        self.llm.state = "shopping"
        self.assertEqual(self.ask("x"), "Buy more.")
        self.assertEqual(self.llm.states.conversations, {"": "shopping"})


class LimitTests(ClientTestCase):
    fakellm_settings = {"requests_per_minute": 1}

    def test_limits_are_shown_and_counted_afresh(self) -> None:
        self.assertEqual([self.ask("x"), self.ask("x")], ["hello world", "429"])
        (limit,) = self.llm.limits
        self.assertEqual((limit.limit, limit.remaining), (1, 0))
        self.assertEqual(self.llm.reset_limits(), 1)
        self.assertEqual(self.ask("x"), "hello world")


class SessionTests(ClientTestCase):
    def test_a_session_sees_nothing_of_another(self) -> None:
        one, two = self.llm.in_session("one"), self.llm.in_session("two")
        one.when().reply("I am one.")
        two.when().reply("I am two.")
        ask_one, ask_two = Asking(self.llm, "one"), Asking(self.llm, "two")
        self.assertEqual([ask_one("x"), ask_two("x")], ["I am one.", "I am two."])
        self.assertEqual(self.ask("x"), "hello world")
        self.assertEqual([len(llm.requests) for llm in (one, two, self.llm)], [1, 1, 3])
        one.verify(count=1)
        self.assertEqual(one.session_state("one").requests, 1)
        one.drop()
        self.assertEqual(ask_one("x"), "hello world")
        self.assertEqual(two.reset(), ["two"])
        self.assertEqual([each.name for each in self.llm.sessions][-1], "one")

    def test_its_name_is_in_the_key_that_SDKs_send(self) -> None:
        llm = self.llm.in_session("one")
        self.assertEqual(llm.api_key, "session-one")
        self.assertEqual(llm.environ["OPENAI_API_KEY"], "session-one")
        self.assertEqual(llm.environ["ANTHROPIC_API_KEY"], "session-one")


class EveryEndpointTests(SynchronousTestCase):
    def test_every_endpoint_of_the_control_API_has_its_word(self) -> None:
        llm = MemoryLLM()
        used: set[tuple[str, str]] = set()
        send, stream = MemoryTransport.send, MemoryTransport.stream

        def sending(self: Any, method: str, path: str, *rest: Any) -> Any:
            used.add((method.lower(), path.partition("?")[0]))
            return send(self, method, path, *rest)

        def streaming(self: Any, path: str, headers: Any) -> Any:
            used.add(("get", path.partition("?")[0]))
            return stream(self, path, headers)

        self.patch(MemoryTransport, "send", sending)
        self.patch(MemoryTransport, "stream", streaming)
        Asking(llm)("hi")
        use_everything(llm, llm.requests[0].id)
        templates = {
            (method, re.compile(re.sub(r"\{\w+\}", "[^/]+", path)))
            for path, operations in llm.openapi["paths"].items()
            for method in operations
        }
        unused = [
            (method, path.pattern)
            for method, path in templates
            if not any(method == one and path.fullmatch(where) for one, where in used)
        ]
        self.assertEqual(unused, [])


def use_everything(llm: Client, request: str) -> None:
    """Use each word once."""
    _ = (llm.clock, llm.gates, llm.settings, llm.openapi, llm.metrics, llm.limits, llm.faults)
    llm.advance(to="idle")
    gate = llm.gate("g")
    _ = gate.state
    gate.release(), gate.step(), gate.abort()
    added = llm.add(RULE)
    llm.rules(), llm.rule(added.id), llm.replace_rule(added.id, RULE)
    llm.delete_rule(added.id)
    llm.delete_rules()
    llm.put("rules: []")
    _ = llm.scenario
    llm.delete_scenario()
    llm.delete_faults(llm.fault("error 503").id)
    llm.delete_faults()
    llm.reset_limits()
    llm.state = llm.state
    llm.find(), llm.request(request), llm.snapshot(request), llm.snapshots()
    llm.wait_for(), llm.verify()
    with llm.events():
        pass
    _ = llm.sessions
    llm.session_state("default")
    llm.delete_requests()
    llm.drop()
    llm.reset()


class UnreachableTests(SynchronousTestCase):
    def test_where_nobody_answers(self) -> None:
        with taken_port() as port:
            url = f"http://127.0.0.1:{port}"
        with self.assertRaisesRegex(Unreachable, f"no answer at {url}"):
            Client(url).rules()
        with self.assertRaisesRegex(Unreachable, f"no answer at {url}"):
            Client(url).events().__enter__()

    def test_what_is_no_URL(self) -> None:
        for url in ("", "127.0.0.1:3500", "unix:/run/fakellm.sock"):
            with self.assertRaisesRegex(ValueError, "expected a URL"):
                Client(url)

    def test_what_is_no_answer_of_ours(self) -> None:
        answers = iter([(200, "text/html", b"<html>"), (502, "text/html", b"<html>Bad gateway")])
        transport = mock.Mock(send=lambda *_: next(answers))
        llm = Client("http://proxy.example", transport=transport)
        for said in ("no answer of fakellm's", "502, no answer of fakellm's: <html>Bad gateway"):
            with self.assertRaisesRegex(Unreachable, said):
                llm.rules()


class TokenTests(ClientTestCase):
    fakellm_settings = {"control_token": "secret"}

    def test_the_token_is_sent(self) -> None:
        self.assertNotEqual(self.llm.rules(), [])
        self.assertNotEqual(self.llm.in_session("x").rules(), [])
        without = Client(self.llm.url, transport=MemoryTransport(self.llm.client, self.llm.url))
        with self.assertRaisesRegex(ControlError, "401 Unauthorized: the control token is missing"):
            without.rules()

    def test_it_is_there_for_clients_of_a_test_s_own(self) -> None:
        self.assertEqual((self.llm.token, self.llm.in_session("x").token), ("secret", "secret"))
        again = AsyncClient(self.llm.url, token=self.llm.token, client=self.llm.client)
        self.assertEqual((again.token, again.in_session("x").token), ("secret", "secret"))
        asked = Deferred.fromCoroutine(again.rules())
        self.llm.flush()
        self.assertNotEqual(self.successResultOf(asked), [])
