"""What holds whatever faults are combined."""

import json
from math import isinf

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.framing import SseParser
from fakellm.model.timeline import Finish
from tests.faults.answers import AT_MOST, told
from tests.faults.test_shorthand import SHORT

HARMLESS = [
    "split",
    "split at 7 after 2",
    "split -1 gap 5ms",
    "byte_by_byte 1ms",
    "split_characters",
    "line_ends crlf",
    "line_ends cr",
    "comments",
    "comments every 300ms",
    "no_space",
    "multi_line",
    "unknown_fields",
    "bom",
    "throttle 1000",
    "delay 1s",
    "stall 2s after 3",
    "stall 1s after 200 bytes",
]
ANY = [short for short in SHORT if short != "oversized"]


def seen(body: bytes) -> list[object]:
    """What a standard parser sees, by the meaning of its JSON."""
    return [
        event.data if event.data == "[DONE]" else json.loads(event.data)
        for event in SseParser().feed(body)
    ]


class PropertyTests(SynchronousTestCase):
    @settings(max_examples=150, deadline=None)
    @given(
        st.lists(st.sampled_from(ANY), max_size=4), st.booleans(), st.sampled_from((0.0, 1.0, 3.0))
    )
    def test_times_never_decrease_and_answers_end_or_never_do(
        self, faults: list[str], stream: bool, speed: float
    ) -> None:
        faults = [fault for fault in faults if ";" not in fault]
        answer = told("; ".join(faults), stream=stream, speed=speed)
        times = [at for at, _ in answer.cues]
        self.assertEqual(times, sorted(times))
        self.assertTrue(
            answer.is_whole() or isinf(answer.ended_at) or len(answer.cues) == AT_MOST,
            answer.cues[-3:],
        )
        for name in set(answer.noted):
            listed = sum(fault.lower().replace("-", "_").split()[0] == name for fault in faults)
            self.assertLessEqual(answer.noted.count(name), listed)

    @settings(max_examples=150, deadline=None)
    @given(st.lists(st.sampled_from(HARMLESS), max_size=5), st.sampled_from((0.0, 1.0)))
    def test_what_changes_bytes_only_changes_no_event(
        self, faults: list[str], speed: float
    ) -> None:
        answer = told("; ".join(faults), speed=speed)
        self.assertIsInstance(answer.end, Finish)
        self.assertEqual(seen(answer.body), seen(told("").body))

    @settings(max_examples=100, deadline=None)
    @given(
        st.lists(
            st.sampled_from([*HARMLESS, "missing", "doubled", "swapped", "no_end", "bad_gzip"]),
            max_size=3,  # as what is doubled often enough is more than `told` draws
        )
    )
    def test_the_length_of_a_whole_answer_is_right(self, faults: list[str]) -> None:
        answer = told("; ".join(faults), stream=False)
        self.assertEqual(int(answer.headers["content-length"]), len(answer.body))
        self.assertIsInstance(answer.end, Finish)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.sampled_from(ANY), max_size=4), st.booleans(), st.integers(0, 3))
    def test_the_same_seed_gives_the_same(self, faults: list[str], stream: bool, seed: int) -> None:
        text = "; ".join(fault for fault in faults if ";" not in fault)
        self.assertEqual(
            told(text, stream=stream, seed=seed).cues, told(text, stream=stream, seed=seed).cues
        )
