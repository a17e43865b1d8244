"""The table of faults in docs/ is right."""

import re
from pathlib import Path

import msgspec
import yaml
from twisted.trial.unittest import SynchronousTestCase

from fakellm.faults.compile import compile_fault
from fakellm.faults.shorthand import parse_fault
from fakellm.faults.spec import FAULTS, FaultSpec

PAGE = Path(__file__).parents[2] / "docs" / "faults.md"
ROW = re.compile(r"^\| (\w+)[^|]*\| `([^`]+)` \| `([^`]+)` \|", re.MULTILINE)


class PageTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.rows = ROW.findall(PAGE.read_text(encoding="utf-8"))

    def test_every_fault_is_in_it(self) -> None:
        self.assertEqual({name for name, _, _ in self.rows}, set(FAULTS))

    def test_the_short_form_is_the_record(self) -> None:
        for name, short, written in self.rows:
            spec = msgspec.convert(yaml.safe_load(written), FaultSpec)
            fault = compile_fault(parse_fault(short))
            self.assertEqual(fault, compile_fault(spec))
            self.assertEqual(fault.name, name)
