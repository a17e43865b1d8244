"""Which faults an answer gets, and how often they struck."""

from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine import troubles as troubles_module
from fakellm.engine.troubles import Troubles
from fakellm.faults.compile import compile_fault, compile_hold
from fakellm.faults.fault import Fault
from fakellm.faults.shorthand import parse_fault
from fakellm.model.reply import Failure, Refused
from fakellm.model.stamp import Stamp
from fakellm.scenarios.book import Decision
from fakellm.scenarios.conduct import RuleConduct
from tests.journal.entries import noted

STAMP = Stamp(seed=0, number=1, created=0, fingerprint="fp_0")


def fault(short: str) -> Fault:
    return compile_fault(parse_fault(short))


class TroublesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.troubles = Troubles()

    def chosen(
        self, header: str | None = None, rule: str | None = None, **conduct: Any
    ) -> list[str]:
        """The faults chosen where the settings have a hang."""
        asked_for = self.troubles.asked_for({} if header is None else {"x-fakellm-fault": header})
        if rule is not None:
            conduct["faults"] = (fault(rule),) if rule else ()
        decision = Decision(answer=Failure(status=500), conduct=RuleConduct(**conduct))
        faults = self.troubles.chosen(
            asked_for, decision, [fault("hang")], session="s", stamp=STAMP
        )
        return [each.name for each in faults]

    def test_the_header_goes_before_the_rule_and_the_rule_before_settings(self) -> None:
        self.assertEqual(self.chosen("reset; delay 1s", "close"), ["reset", "delay"])
        self.assertEqual(self.chosen(rule="close"), ["close"])
        self.assertEqual(self.chosen(), ["hang"])

    def test_a_rule_that_lists_none_has_none(self) -> None:
        self.assertEqual(self.chosen(rule=""), [])

    def test_gates_are_always_there(self) -> None:
        holds = (compile_hold("g"),)
        self.assertEqual(self.chosen("reset", holds=holds), ["hold", "reset"])
        self.assertEqual(self.chosen(rule="", holds=holds), ["hold"])

    def test_without_a_rule_settings_apply(self) -> None:
        decision = Decision(answer=Failure(status=500))
        faults = self.troubles.chosen(None, decision, [fault("hang")], session="s", stamp=STAMP)
        self.assertEqual([each.name for each in faults], ["hang"])

    def test_a_header_that_is_no_fault_is_refused_by_its_name(self) -> None:
        with self.assertRaises(Refused) as caught:
            self.troubles.asked_for({"x-fakellm-fault": "resett"})
        failure = caught.exception.failure
        self.assertEqual((failure.status, failure.code), (400, "invalid_header"))
        self.assertEqual(
            failure.message, "X-FakeLLM-Fault: resett is no fault; did you mean reset?"
        )

    def test_headers_are_read_once_but_not_remembered_without_bound(self) -> None:
        first = self.troubles.asked_for({"x-fakellm-fault": "hang"})
        self.assertIs(self.troubles.asked_for({"x-fakellm-fault": "hang"}), first)
        with mock.patch.object(troubles_module, "_KEPT_AT_MOST", 1):
            self.troubles.asked_for({"x-fakellm-fault": "reset"})
        self.assertIsNot(self.troubles.asked_for({"x-fakellm-fault": "hang"}), first)

    def test_what_strikes_is_counted_and_a_gate_is_no_fault(self) -> None:
        request = noted()
        for name in ("reset", "reset", "hold"):
            self.troubles.note(request, name)
        self.assertEqual(self.troubles.struck, {"reset": 2})
        self.assertEqual(request.faults, ["reset"])
