"""Answers that are printed are those that the encoders give: the same bytes at the same times."""

import atexit
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from typing import Any
from unittest import mock

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects import registry
from fakellm.engine.plates import Plates
from fakellm.engine.service import Engine, Identity, Setup
from fakellm.model.prompt import Received
from fakellm.model.timeline import Whole
from fakellm.scenarios.course import Conducted, Course
from fakellm.timing.distributions import DistributionSpec
from fakellm.timing.pace import TimingSpec
from fakellm.timing.tokens import Splitter
from tests.engine.wires import NotedWire
from tests.scenarios import libraries

PATH = "/v1/chat/completions"
SCENARIO = """
rules:
  - {when: {user: a call}, reply: {tool_call: {name: look, arguments: {at: this}}}}
  - {when: {user: thought}, reply: [{reasoning: hmm}, a thought]}
  - {when: {user: refused}, reply: {refusal: no}}
  - {when: {user: headed}, reply: {text: hi, headers: {X-Own: "1", Server: mine}, id: own}}
  - {when: {user: told}, reply: {text: hi, usage: {prompt_tokens: 5}}}
  - {when: {user: marks}, reply: "7411000000005 7422000000005 q7Q-request q7Q0000QQQQQQQQQQQQQQ"}
  - {when: {user: long}, reply: {lorem: {tokens: 300}}}
  - {when: {user: pieces}, reply: {chunks: [a b, c], text: a bc}}
  - {when: {user: filled}, reply: "{{ count }} of {{ user }}"}
  - {when: {user: hosted}, reply: [{hosted: {type: web_search_call}}, found]}
  - {when: {user: breaks}, reply: [so, {error: 500}]}
"""
SAID = (
    "a call", "thought", "refused", "headed", "told", "marks", "long", "pieces", "filled",
    "hosted", "breaks", "anything", "[echo] back", "[429]",
)  # fmt: skip
ARGUMENTS: tuple[dict[str, Any], ...] = (
    {},
    {"n": 2},
    {"max_tokens": 1},
    {"stop": "wor"},
    {"logprobs": True, "top_logprobs": 1},
    {"reasoning_effort": "low"},
    {"metadata": {"a": "b"}},
    {"service_tier": "flex"},
    {"store": True},
    {"unknown": 1},
    {"modalities": ["text", "audio"], "audio": {"voice": "ash", "format": "pcm16"}},
    {"tools": [{"type": "function", "function": {"name": "look"}}]},
    {"response_format": {"type": "json_object"}},
)
STREAMED: tuple[dict[str, Any], ...] = (
    {},
    {"stream": True},
    {"stream": True, "stream_options": {"include_usage": True}},
    {"stream": True, "stream_options": {"include_obfuscation": True}},
)


class Timed(NotedWire):
    """A wire that notes the time of each write."""

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock

    def write(self, data: bytes) -> None:
        super().write(b"%.6f " % self._clock.seconds() + data)


@cache
def scenario() -> str:
    """The path of a file with the rules."""
    folder = mkdtemp()
    atexit.register(rmtree, folder)
    path = Path(folder) / "plates.yml"
    path.write_text(SCENARIO)
    return str(path)


def engine(clock: Clock, **timing: Any) -> Engine:
    return Engine(
        clock=clock,
        book=libraries.library(scenario()).book,
        tokenizer=Splitter(),
        identity=Identity(seed=7, epoch=1_700_000_000.0),
        setup=Setup(course=Course(Conducted(timing=TimingSpec(**timing)))),
    )


def asked(said: str, path: str = PATH, **arguments: Any) -> Received:
    messages = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": said}]
    body = msgspec.json.encode({"model": "fake-model", "messages": messages, **arguments})
    return Received(method="POST", path=path, body=body)


def answers(server: Engine, clock: Clock, requests: list[Received]) -> list[list[object]]:
    """What the wires of requests that come one after the other are told."""
    wires = []
    for request in requests:
        wire = Timed(clock)
        server.answer(registry.ROUTING.dialect_at(request), request, wire)
        while server.running:
            clock.advance(0.01)
        clock.advance(0.4)
        wires.append(wire.done)
    return wires


def printed_and_encoded(
    requests: list[Received], **timing: Any
) -> tuple[list[list[object]], list[list[object]], Engine]:
    clock = Clock()
    server = engine(clock, **timing)
    printed = answers(server, clock, requests)
    with mock.patch.object(Plates, "plate", return_value=None):
        clock = Clock()
        encoded = answers(engine(clock, **timing), clock, requests)
    return printed, encoded, server


def plates_of(server: Engine) -> list[Any]:
    return list(server._plates._plates.values())


class SameTests(SynchronousTestCase):
    maxDiff = None

    def test_whatever_is_asked(self) -> None:
        for arguments in ARGUMENTS:
            for streamed in STREAMED:
                requests = [asked(said, **arguments, **streamed) for said in SAID for _ in range(3)]
                printed, encoded, _ = printed_and_encoded(requests)
                for one, other, request in zip(printed, encoded, requests, strict=True):
                    self.assertEqual(one, other, request.body)

    def test_in_time(self) -> None:
        for timing in (
            {"ttft": 0.2, "itl": 0.05},
            {"ttft": 0.2, "itl": DistributionSpec(uniform=(0.01, 0.05))},
            {"ttft": 0.1, "prefill": 100.0, "total": 1.0},
        ):
            for streamed in STREAMED[:2]:
                requests = [
                    asked(said, **streamed)
                    for said in ("anything", "long", "[echo] back", "thought")
                    for _ in range(4)
                ]
                printed, encoded, _ = printed_and_encoded(requests, **timing)
                for one, other, request in zip(printed, encoded, requests, strict=True):
                    self.assertEqual(one, other, (timing, request.body))

    def test_in_the_ways_of_azure(self) -> None:
        path = "/openai/deployments/fake-model/chat/completions"
        for streamed in STREAMED[:2]:
            requests = [asked(said, path, **streamed) for said in SAID for _ in range(3)]
            printed, encoded, _ = printed_and_encoded(requests)
            self.assertEqual(printed, encoded)

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.sampled_from(SAID), max_size=12), st.sampled_from(STREAMED))
    def test_in_any_order(self, said: list[str], streamed: dict[str, Any]) -> None:
        printed, encoded, _ = printed_and_encoded([asked(each, **streamed) for each in said])
        self.assertEqual(printed, encoded)

    def test_the_journal_and_the_figures_have_the_same(self) -> None:
        requests = [asked("anything", stream=streamed) for streamed in (True, False) * 4]
        clock = Clock()
        server = engine(clock)
        answers(server, clock, requests)
        with mock.patch.object(Plates, "plate", return_value=None):
            other_clock = Clock()
            other = engine(other_clock)
            answers(other, other_clock, requests)
        self.assertEqual(server.journal.all(), other.journal.all())
        self.assertEqual(server.tally.answers, other.tally.answers)
        self.assertEqual(server.tally.tokens, other.tally.tokens)


class PlateTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.server = engine(self.clock)

    def ask(self, said: str, times: int = 3, **arguments: Any) -> None:
        answers(self.server, self.clock, [asked(said, **arguments)] * times)

    def test_they_are_made_of_what_is_asked_again(self) -> None:
        for streamed in STREAMED[:3]:
            self.ask("anything", times=4, **streamed)
        self.assertEqual([plate is None for plate in plates_of(self.server)], [False] * 3)

    def test_what_is_asked_once_has_none(self) -> None:
        for number in range(5):
            self.ask("filled", times=1, user=f"{number}")
        self.assertEqual(plates_of(self.server), [])

    def test_what_chance_decides_has_none(self) -> None:
        self.ask("anything", stream=True, stream_options={"include_obfuscation": True}, times=5)
        self.assertEqual(plates_of(self.server), [None])

    def test_nor_has_what_looks_like_their_marks(self) -> None:
        self.ask("marks", times=5)
        self.assertEqual(plates_of(self.server), [None])

    def test_they_are_bounded(self) -> None:
        with (
            mock.patch("fakellm.engine.plates._PLATES_AT_MOST", 2),
            mock.patch("fakellm.engine.plates._SEEN_AT_MOST", 2),
        ):
            for number in range(5):
                self.ask("anything", times=4, max_tokens=number + 5)
        self.assertLessEqual(len(plates_of(self.server)), 2)

    def test_in_bytes_too(self) -> None:
        with mock.patch("fakellm.engine.plates._BYTES_OF_ALL_AT_MOST", 1000):
            for number in range(5):
                self.ask("anything", times=4, stream=True, max_tokens=number + 5)
        self.assertEqual(len(plates_of(self.server)), 1)

    def test_large_answers_have_none(self) -> None:
        with mock.patch("fakellm.engine.plates.BYTES_AT_MOST", 500):
            self.ask("long", stream=True, times=5)
            self.ask("anything", stream=True, times=5)
        self.assertEqual(plates_of(self.server), [None, None])

    def test_an_answer_that_takes_no_time_is_sent_whole(self) -> None:
        wire = mock.Mock()
        self.ask("anything", times=3)
        request = asked("something else")
        self.server.answer(registry.ROUTING.dialect_at(request), request, wire)
        [[whole]] = [call.args for call in wire.whole.call_args_list]
        self.assertIsInstance(whole, Whole)
        self.assertIn(("Content-Length", str(len(whole.body))), whole.headers)
        self.assertEqual(msgspec.json.decode(whole.body)["object"], "chat.completion")
