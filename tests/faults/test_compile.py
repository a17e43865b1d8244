"""Faults that are ready to strike, and those that cannot be."""

from math import inf
from typing import Any

import msgspec
from twisted.trial.unittest import SynchronousTestCase

from fakellm.faults.compile import compile_fault, compile_hold
from fakellm.faults.fault import Fault, Position
from fakellm.faults.spec import (
    BadFault,
    DoorFault,
    FaultSpec,
    HoldItem,
    HoldSpec,
    OversizedFault,
    PointFault,
)
from fakellm.model.reply import Failure


def compiled(record: dict[str, Any]) -> Fault:
    return compile_fault(msgspec.convert(record, FaultSpec))


class CompileTests(SynchronousTestCase):
    def test_positions(self) -> None:
        wanted: dict[Any, Position] = {
            3: Position(unit="chunks", amount=3),
            "2s": Position(unit="seconds", amount=2),
            "5 tokens": Position(unit="tokens", amount=5),
        }
        for after, position in wanted.items():
            self.assertEqual(compiled({"reset": {"after": after}}).after, position)
        for unit in ("tokens", "chunks", "bytes", "seconds"):
            self.assertEqual(
                compiled({"reset": {"after": {unit: 4}}}).after,
                Position(unit=unit, amount=4),
            )
        self.assertIsNone(compiled({"reset": True}).after)

    def test_a_wait_is_told_in_seconds_rounded_up_and_in_milliseconds(self) -> None:
        fault = compiled({"error": {"status": 429, "retry_after": "1.2s"}})
        self.assertEqual(
            fault.failure,
            Failure(status=429, headers=(("Retry-After", "2"), ("retry-after-ms", "1200"))),
        )

    def test_headers_that_are_given_stand(self) -> None:
        headers = {"retry-after": "soon"}
        fault = compiled({"error": {"status": 429, "retry_after": 1, "headers": headers}})
        assert fault.failure is not None
        self.assertEqual(
            fault.failure.headers, (("retry-after", "soon"), ("retry-after-ms", "1000"))
        )

    def test_when_it_applies(self) -> None:
        fault = compiled({"hang": True, "probability": 0.5, "times": 2, "on_attempt": [1, 3]})
        self.assertEqual(
            (fault.probability, fault.times, fault.on_attempt), (0.5, 2, frozenset({1, 3}))
        )
        self.assertEqual(compiled({"hang": True, "on_attempt": 2}).on_attempt, frozenset({2}))

    def test_a_delay_of_nothing_is_a_delay(self) -> None:
        self.assertEqual(compiled({"delay": 0}).seconds, 0)

    def test_defaults(self) -> None:
        self.assertEqual(compiled({"stall": True}).seconds, inf)
        self.assertEqual(compiled({"hang_up": True}).seconds, 1)
        self.assertTrue(compiled({"split": True}).all)
        self.assertFalse(compiled({"split": {"after": 1}}).all)
        self.assertEqual(compiled({"content_length": "long"}).number, 10)
        self.assertEqual(compiled({"content_length": "short"}).number, -10)
        self.assertEqual(compiled({"content_length": {"by": 3}}).number, 3)
        self.assertEqual(compiled({"oversized": True}).number, 10_000)

    def test_what_cannot_be(self) -> None:
        wrong: dict[str, dict[str, Any]] = {
            "is no fault: give one": {"hang": False},
            "stall: is a second fault beside hang": {"hang": True, "stall": True},
            "on_attempt: must name": {"hang": True, "on_attempt": []},
            "on_attempt: must be at least 1": {"hang": True, "on_attempt": 0},
            "delay: '2x' has no unit": {"delay": "2x"},
            "reset.after: must be exactly one of": {"reset": {"after": {}}},
            "reset.after: must be exactly": {"reset": {"after": {"tokens": 1, "chunks": 1}}},
            "reset.after.seconds: ": {"reset": {"after": {"seconds": "x"}}},
            "reset.after: 'x' is no duration": {"reset": {"after": "x"}},
            "error: must be an HTTP status": {"error": 200},
            "error.headers.a b: ": {"error": {"status": 500, "headers": {"a b": "c"}}},
            "error.headers.a: ": {"error": {"status": 500, "headers": {"a": "b\r\nc"}}},
            "error.retry_after: ": {"error": {"status": 500, "retry_after": "x"}},
            "refuse.connections: is for hang_up only": {"refuse": {"connections": 1}},
            "stall.for: ": {"stall": {"for": "x"}},
            "split.at: cuts nothing off": {"split": {"at": 0}},
            "comments.every: must be at least 1ms": {"comments": {"every": 0}},
            "content_type: must be": {"content_type": "a\nb"},
            "content_length.by: must be other": {"content_length": {"by": 0}},
            "throttle: must be": {"throttle": 1e-300},
        }
        for reason, record in wrong.items():
            error = self.assertRaises(BadFault, compiled, record)
            self.assertTrue(str(error).startswith(reason), str(error))

    def test_what_records_made_in_python_can_have_wrong(self) -> None:
        wrong = {
            "probability: must be from 0 to 1": FaultSpec(hang=True, probability=2),
            "times: must be at least 1": FaultSpec(hang=True, times=0),
            "line_ends: must be one of": FaultSpec(line_ends="lf"),  # type: ignore[arg-type]
        }
        for reason, spec in wrong.items():
            error = self.assertRaises(BadFault, compile_fault, spec)
            self.assertTrue(str(error).startswith(reason), str(error))
        more: dict[str, Any] = {
            "reset.after: is no place": {"reset": {"after": True}},
            "reset.after: must not be negative": {"reset": {"after": -1}},
            "hang_up.connections: must be": {"hang_up": {"connections": 0}},
            "oversized.tokens: must be": {"oversized": {"tokens": 0}},
        }
        made: dict[str, Any] = {
            "reset": PointFault,
            "hang_up": DoorFault,
            "oversized": OversizedFault,
        }
        for reason, record in more.items():
            ((name, fields),) = record.items()
            spec = FaultSpec(**{name: made[name](**fields)})
            error = self.assertRaises(BadFault, compile_fault, spec)
            self.assertTrue(str(error).startswith(reason), str(error))


class HoldTests(SynchronousTestCase):
    def test_gates(self) -> None:
        self.assertEqual(compile_hold("g"), Fault(name="hold", text="g"))
        self.assertEqual(
            compile_hold(HoldSpec(gate="g", after=2)),
            Fault(name="hold", text="g", after=Position(unit="chunks", amount=2)),
        )
        self.assertEqual(
            compile_hold(HoldSpec(gate="g", before="end")),
            Fault(name="hold", text="g", before_end=True),
        )

    def test_gates_that_cannot_be(self) -> None:
        wrong: dict[str, HoldItem] = {
            "must name a gate": " ",
            "gate: must name a gate": HoldSpec(gate=""),
            "before: is a second place": HoldSpec(gate="g", after=1, before="end"),
        }
        for reason, item in wrong.items():
            error = self.assertRaises(BadFault, compile_hold, item)
            self.assertTrue(str(error).startswith(reason), str(error))
