"""Faults in short and in headers."""

from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from fakellm.faults.compile import compile_fault
from fakellm.faults.shorthand import parse_fault, parse_faults
from fakellm.faults.spec import FAULTS, BadFault, FaultSpec

SHORT: dict[str, dict[str, Any]] = {
    "reset": {"reset": True},
    "Reset after 3": {"reset": {"after": 3}},
    "reset after 3 chunks": {"reset": {"after": {"chunks": 3}}},
    "reset after 1 token": {"reset": {"after": {"tokens": 1}}},
    "close after 900 bytes": {"close": {"after": {"bytes": 900}}},
    "close after 1.5s": {"close": {"after": "1.5s"}},
    "stall": {"stall": True},
    "stall 10s": {"stall": {"for": "10s"}},
    "stall for 10s after 3": {"stall": {"for": "10s", "after": 3}},
    "hang": {"hang": True},
    "delay 2s": {"delay": "2s"},
    "slow-head 3s": {"slow_head": "3s"},
    "error 503": {"error": 503},
    "error 429 retry_after 2s": {"error": {"status": 429, "retry_after": "2s"}},
    "error 500 after 5 tokens": {"error": {"status": 500, "after": {"tokens": 5}}},
    "html_error 502": {"html_error": 502},
    "hang_up": {"hang_up": True},
    "hang_up for 5s": {"hang_up": {"for": "5s"}},
    "hang_up connections 2": {"hang_up": {"connections": 2}},
    "refuse 5s": {"refuse": {"for": "5s"}},
    "no_finish_reason": {"no_finish_reason": True},
    "no_end": {"no_end": True},
    "missing after 2": {"missing": {"after": 2}},
    "doubled": {"doubled": True},
    "swapped": {"swapped": True},
    "content_filter after 2 tokens": {"content_filter": {"after": {"tokens": 2}}},
    "malformed": {"malformed": True},
    "malformed all": {"malformed": {"all": True}},
    "malformed after 2": {"malformed": {"after": 2}},
    "split": {"split": True},
    "split at 7 after 2": {"split": {"at": 7, "after": 2}},
    "split -1 gap 5ms": {"split": {"at": -1, "gap": "5ms"}},
    "byte_by_byte": {"byte_by_byte": True},
    "byte_by_byte 5ms": {"byte_by_byte": {"gap": "5ms"}},
    "split_characters gap 1ms": {"split_characters": {"gap": "1ms"}},
    "line_ends CRLF": {"line_ends": "crlf"},
    "comments": {"comments": True},
    "comments every 1s": {"comments": {"every": "1s"}},
    "comments still here every 1s": {"comments": {"text": "still here", "every": "1s"}},
    "no_space": {"no_space": True},
    "multi_line": {"multi_line": True},
    "unknown_fields": {"unknown_fields": True},
    "bom": {"bom": True},
    "content_type text/plain; charset=x": {"content_type": "text/plain; charset=x"},
    "content_length short": {"content_length": "short"},
    "content_length -10": {"content_length": {"by": -10}},
    "broken_chunks after 2": {"broken_chunks": {"after": 2}},
    "bad_gzip": {"bad_gzip": True},
    "throttle 100": {"throttle": 100},
    "oversized": {"oversized": True},
    "oversized 5000": {"oversized": {"tokens": 5000}},
}

WRONG = {
    "": " is no fault: there are error, ",
    "resett after 3": "resett is no fault; did you mean reset?",
    "x" * 100: "x" * 57 + "... is no fault: there are",
    "delay": "delay: say how long, such as delay 2s",
    "hang now": "hang: does not know what to do with now",
    "reset after": "reset: something must follow after",
    "reset after x tokens": "reset: x is no number of tokens",
    "reset after 3 after 4": "reset: after is said twice",
    "error soon": "error: soon is no whole number",
    "stall 3s for 4s": "stall: says one thing twice",
    "malformed some": "malformed: does not know what to do with some",
    "line_ends lf": "line_ends: must be crlf or cr, not lf",
    "throttle much": "throttle: much is no number of bytes a second",
}


class ShorthandTests(SynchronousTestCase):
    def test_it_stands_for_a_record(self) -> None:
        for text, record in SHORT.items():
            spec = parse_fault(text)
            self.assertEqual(spec, msgspec.convert(record, FaultSpec), text)
            compile_fault(spec)

    def test_every_fault_has_a_short_form(self) -> None:
        named = {name for record in SHORT.values() for name in record}
        self.assertEqual(named, set(FAULTS))

    def test_what_is_wrong_is_told_in_a_line(self) -> None:
        for text, reason in WRONG.items():
            error = self.assertRaises(BadFault, parse_fault, text)
            self.assertTrue(error.reason.startswith(reason), error.reason)
            self.assertEqual(str(error), error.reason)


class HeaderTests(SynchronousTestCase):
    def test_several_are_separated(self) -> None:
        self.assertEqual(
            parse_faults("stall 1s after 3; reset;"),
            (parse_fault("stall 1s after 3"), parse_fault("reset")),
        )
        self.assertEqual(parse_faults(" "), ())

    def test_records_are_taken_in_yaml_and_json(self) -> None:
        once = msgspec.convert({"reset": {"after": {"tokens": 5}}, "on_attempt": 1}, FaultSpec)
        self.assertEqual(parse_faults("{reset: {after: {tokens: 5}}, on_attempt: 1}"), (once,))
        self.assertEqual(
            parse_faults('["hang", {"reset": {"after": {"tokens": 5}}, "on_attempt": 1}]'),
            (parse_fault("hang"), once),
        )

    def test_what_is_wrong_is_told_with_its_place(self) -> None:
        wrong = {
            "{reset": "is no YAML: ",
            "{stal: true}": "stal is no fault; did you mean stall?",
            "{qqqqqq: true}": "qqqqqq is no fault",
            "[hang, {split: {at: x}}]": "1.split.at: Expected int | null, got str",
            "[hang, 3]": "1: Expected object, got int",
            "[hang, hung up]": "1: hung is no fault; did you mean hang?",
            "{error: 503, times: 0}": "times: ",
            "[" * 5_000: "is no YAML: ",
            "hang;" * 101: "has more than the 100 faults there may be",
            "x" * 10_001: "is longer than the 10000 characters there may be",
        }
        for text, reason in wrong.items():
            error = self.assertRaises(BadFault, parse_faults, text)
            self.assertTrue(str(error).startswith(reason), str(error))
