"""Arguments that break off are the object that clients make of them."""

import json
from typing import Any

import jiter
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.anthropic.partial_json import object_of
from tests.dialects.anthropic.requests import anything

few = settings(deadline=None, derandomize=True, max_examples=150, database=None)


def read(text: str) -> Any:
    return msgspec.json.decode(msgspec.json.encode(object_of(text)))


class PartialTests(SynchronousTestCase):
    @few
    @given(st.dictionaries(st.text(max_size=5), anything, max_size=4), st.data())
    def test_any_prefix_of_an_object_is_what_the_sdk_makes_of_it(
        self, value: dict[str, Any], data: st.DataObject
    ) -> None:
        text = json.dumps(value, indent=data.draw(st.sampled_from([None, 1])))
        cut = data.draw(st.integers(1, len(text)))
        expected = jiter.from_json(text[:cut].encode(), partial_mode=True)
        self.assertEqual(read(text[:cut]), expected, text[:cut])

    @few
    @given(st.text(max_size=30) | st.text('{}[]",:1tfn ', max_size=12))
    def test_any_text_makes_an_object(self, text: str) -> None:
        self.assertIsInstance(read(text), dict)

    def test_what_is_complete_stays_as_it_was_written(self) -> None:
        text = '{ "a" : 1.0e2, "b": 123456789012345678901234567890 }'
        self.assertEqual(bytes(object_of(text)), text.encode())

    def test_what_is_no_object_is_an_empty_one(self) -> None:
        for text in ("", "x", "[1]", '"x"', "12", "nul", "{]", '{"a" 1'):
            self.assertEqual(read(text), {}, text)

    def test_what_follows_an_object_is_left_out(self) -> None:
        self.assertEqual(read('{"a": 1}}'), {"a": 1})
        self.assertEqual(read('{"a": [1}'), {"a": [1]})

    def test_depth_does_no_harm(self) -> None:
        self.assertEqual(read('{"a":' * 100_000), {})
