"""Each condition on a request in the journal: where it holds, and what is said else."""

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from fakellm.journal.matches import Match, compile_match
from fakellm.journal.noted import Noted
from fakellm.model.reply import Failure
from fakellm.scenarios.book import Decision
from fakellm.scenarios.schema import NumberTest
from fakellm.scenarios.words import contains, not_
from tests.journal.entries import ended, noted, received, reply
from tests.scenarios import libraries


class MatchTests(SynchronousTestCase):
    def fits(self, request: Noted, match: Match) -> bool:
        compiled = compile_match(match)
        missed = compiled.missed(request)
        self.assertEqual(compiled.fits(request), missed is None)
        return missed is None

    def why(self, request: Noted, match: Match) -> str:
        missed = compile_match(match).missed(request)
        assert missed is not None
        return f"{missed.name}: {missed.expected}; {missed.found}"

    def test_no_condition_fits_any(self) -> None:
        self.assertTrue(self.fits(noted(), Match()))

    def test_the_conditions_of_rules(self) -> None:
        request = noted(1, "hello there", model="gpt", stream=True)
        self.assertTrue(self.fits(request, Match(user=contains("hello"), model="gpt", stream=True)))
        self.assertEqual(self.why(request, Match(stream=False)), "stream: is false; true")

    def test_its_own(self) -> None:
        request = ended(noted(5, session="blue"), 404)
        for good, bad, why in (
            (Match(session="blue"), Match(session="red"), "session: is 'red'; 'blue'"),
            (Match(id="req_5"), Match(id="req_6"), "id: is 'req_6'; 'req_5'"),
            (Match(after=4), Match(after=5), "after: more than 5; 5"),
            (Match(status=404), Match(status=NumberTest(at_most=299)), "status: at most 299; 404"),
            (
                Match(path=contains("chat")),
                Match(path="/x"),
                "path: is '/x'; '/v1/chat/completions'",
            ),
            (
                Match(ended="finished"),
                Match(ended=("reset", "closed")),
                "ended: any of 'reset', 'closed'; 'finished'",
            ),
        ):
            with self.subTest(match=bad):
                self.assertTrue(self.fits(request, good))
                self.assertEqual(self.why(request, bad), why)

    def test_a_status_that_is_not_there_yet_fits_nothing(self) -> None:
        self.assertEqual(
            self.why(noted(), Match(status=NumberTest(at_least=0))),
            "status: at least 0; nothing yet",
        )

    def test_the_rule_that_answered(self) -> None:
        request = noted()
        self.assertEqual(self.why(request, Match(rule="x")), "rule: is 'x'; nothing")
        self.assertTrue(self.fits(request, Match(rule=not_("x"))))
        rules = libraries.library()
        rules.when().reply("hi", name="greet")
        (rule,) = rules.made()
        request.decision = Decision(answer=reply("hi"), by=rule)
        self.assertTrue(self.fits(request, Match(rule=contains("greet"))))

    def test_any_of_the_faults_that_struck(self) -> None:
        request = noted()
        self.assertFalse(self.fits(request, Match(fault="reset")))
        for name in ("delay", "reset", "delay"):
            request.struck_by(name)
        self.assertEqual(request.faults, ["delay", "reset"])
        self.assertTrue(self.fits(request, Match(fault="reset")))
        self.assertEqual(
            self.why(request, Match(fault="stall")), "fault: is 'stall'; 'delay', 'reset'"
        )

    def test_the_text_of_any_message_or_of_the_answer(self) -> None:
        request = noted(1, "first", "second")
        self.assertTrue(self.fits(request, Match(text=contains("fir"))))
        self.assertFalse(self.fits(request, Match(text="said")))
        request.answer = reply("said")
        self.assertTrue(self.fits(request, Match(text="said")))
        request.answer = Failure(status=500, message="broken")
        self.assertTrue(self.fits(request, Match(text="broken")))
        request.answer = Failure(status=500)
        self.assertFalse(self.fits(request, Match(text="broken")))

    def test_what_was_not_understood_has_an_empty_prompt(self) -> None:
        request = noted(received=received(headers={"x-team": "blue"}))
        request.prompt = None
        self.assertTrue(self.fits(request, Match(dialect="openai", header={"X-Team": "blue"})))
        self.assertEqual(self.why(request, Match(user=contains("x"))), "user: contains 'x'; ''")

    def test_states_and_attempts_are_those_of_their_time(self) -> None:
        request = noted()
        self.assertTrue(self.fits(request, Match(state="start", attempt=1)))
        request.decision = Decision(answer=reply("x"), state="shopping", attempt=3)
        self.assertTrue(self.fits(request, Match(state="shopping", attempt=3)))

    def test_secrets_are_not_told(self) -> None:
        request = noted(api_key="sk-secret")
        self.assertNotIn("sk-secret", self.why(request, Match(api_key="other")))

    def test_it_is_said_in_JSON_as_in_Python(self) -> None:
        text = b'{"user": {"contains": "x"}, "status": {"at_least": 400}, "ended": ["reset"]}'
        self.assertEqual(
            msgspec.json.decode(text, type=Match),
            Match(user=contains("x"), status=NumberTest(at_least=400), ended=("reset",)),
        )
        error = self.assertRaises(
            msgspec.ValidationError, msgspec.json.decode, b'{"usr": "x"}', type=Match
        )
        self.assertIn("usr", str(error))
