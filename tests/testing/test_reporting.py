"""What a report shows of a server when a test has failed."""

from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from fakellm import contains, error, hold, text, tool_call
from fakellm.testing import WithFakeLLMInMemory
from fakellm.testing.reporting import REQUESTS_SHOWN, nearest, sections
from tests.testing.asking import Asking


class ReportingTests(WithFakeLLMInMemory, SynchronousTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.ask = Asking(self.llm)

    def shown(self) -> str:
        """The requests received."""
        titles = dict(sections(self.llm))
        return titles["fakellm: requests received"]

    def near(self) -> str | None:
        """The nearest rules."""
        return dict(sections(self.llm)).get("fakellm: nearest rule")

    def test_without_any_request_it_says_where_it_waits_for_some(self) -> None:
        ((title, said),) = sections(self.llm.in_session("one"))
        self.assertEqual(title, "fakellm: requests received")
        self.assertIn("none: what was tested has not asked this server", said)
        self.assertIn("(base URL http://127.0.0.1, API key session-one)", said)

    def test_a_request_its_rule_and_its_answer(self) -> None:
        self.llm.when(user=contains("weather")).reply("Sunny.", name="sun")
        self.ask("the weather?")
        self.assertEqual(
            self.shown().split("\n"),
            [
                "1. POST /v1/chat/completions (model 'any-model')",
                "     user: the weather?",
                "  -> 200 by rule 'sun', as user contains 'weather'",
                "     stop: Sunny.",
            ],
        )
        self.assertIsNone(self.near())

    def test_errors_and_faults(self) -> None:
        self.llm.when(user="a").reply(error(429, "Too much."))
        self.ask("a")
        self.llm.fault("reset after 1 chunk")
        self.failureResultOf(self.ask.begin("b", stream=True).ended)
        shown = self.shown()
        self.assertIn("  -> 429 by rule", shown)
        self.assertIn("     Too much.\n", shown)
        self.assertIn("     with reset\n     reset after 1 chunks", shown)
        self.assertIn("streamed)", shown)

    def test_an_answer_that_has_not_begun(self) -> None:
        self.llm.when(user="a").reply("x", hold=hold("door"))
        self.llm.client.post(
            f"{self.llm.openai_url}/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "a"}]},
        )
        self.llm.flush()
        self.assertIn("  -> no answer yet by rule", self.shown())
        self.llm.gate("door").release()

    def test_tool_calls(self) -> None:
        self.llm.when(user="a").reply(text(""), tool_call("look", {}))
        call = {"id": "c", "type": "function", "function": {"name": "look", "arguments": "{}"}}
        messages = [
            {"role": "user", "content": "a"},
            {"role": "assistant", "tool_calls": [call]},
            {"role": "tool", "tool_call_id": "c", "content": "seen"},
        ]
        self.ask("", messages=messages)
        self.assertIn("     assistant: calls look\n     tool: ", self.shown())

    def test_what_is_no_request_at_all(self) -> None:
        self.llm.client.post(f"{self.llm.openai_url}/chat/completions", data=b"{not JSON")
        self.llm.flush()
        self.llm.client.post(f"{self.llm.openai_url}/nonsense", data=b"{}")
        self.llm.flush()
        self.llm.when(user="a").reply("x")
        self.assertIn("     {not JSON\n  -> 400 by no rule", self.shown())
        self.assertIsNone(self.near())

    def test_of_many_requests_the_last_are_shown(self) -> None:
        for number in range(REQUESTS_SHOWN + 3):
            self.ask(f"question {number}")
        shown = self.shown()
        self.assertTrue(shown.startswith("(3 before these)\n4. "), shown)
        self.assertNotIn("question 2\n", shown)

    def test_the_nearest_rule_is_that_of_which_most_holds(self) -> None:
        self.llm.when(user="bye", model="n").reply("Bye.", name="none of it")
        self.llm.when(user=contains("the"), model="any-model", turn=2).reply("x", name="two of it")
        self.ask("the weather?")
        self.assertEqual(self.near(), "1. rule 'two of it': turn: expected: is 2, found: 1")

    def test_without_rules_it_says_so(self) -> None:
        self.ask("a")
        self.assertEqual(self.near(), "there are no rules but the built-in ones")

    def test_a_body_that_was_cut_off_is_not_compared(self) -> None:
        self.llm.when(user="a").reply("x")
        self.ask("b")
        (request,) = self.llm.requests
        (rule,) = self.llm.rules("added")
        self.assertIsNotNone(nearest(request, [rule]))
        cut = mock.Mock(wraps=request, body="{", path=request.path, query={}, headers={})
        self.assertIsNone(nearest(cut, [rule]))

    def test_it_never_raises(self) -> None:
        with mock.patch.object(self.llm, "call", side_effect=OSError("gone")):
            ((title, said),) = sections(self.llm)
        self.assertEqual(title, "fakellm")
        self.assertIn("the server cannot be asked what it was asked: OSError('gone')", said)
