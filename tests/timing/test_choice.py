"""Which timing an answer has, of all that have a say in it."""

from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import Text
from fakellm.model.reply import Choice, Failure, Refused, Reply
from fakellm.timing.choice import Profile, Timings, in_chunks
from fakellm.timing.pace import Timing, TimingSpec, compile_timing

SLOW = Profile(ttft="2s", itl="100ms", models=("tortoise-1",))
HASTY = Profile(ttft="5ms")


def ttft(timing: Timing | None) -> float | None:
    return None if timing is None else timing.ttft.constant


class ChooseTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.timings = Timings(TimingSpec(itl="10ms"))
        self.timings.replace(TimingSpec(ttft="1s"), {"slow": SLOW, "hasty": HASTY})

    def refused(self, rule: str | None = None, **headers: str) -> Failure:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        refused: Refused = self.assertRaises(Refused, self.timings.choose, "any", rule, named)
        return refused.failure

    def test_where_nothing_is_said_there_is_none(self) -> None:
        self.assertIsNone(Timings().choose("any", None, {}))

    def test_settings_add_to_options(self) -> None:
        timing = self.timings.choose("any", None, {})
        assert timing is not None
        self.assertEqual((timing.ttft.constant, timing.itl.constant), (1.0, 0.01))

    def test_a_profile_applies_to_its_models(self) -> None:
        self.assertEqual(ttft(self.timings.choose("tortoise-1", None, {})), 2.0)

    def test_a_rule_beats_the_profile_of_the_model(self) -> None:
        rule = TimingSpec(ttft="3s")
        self.assertEqual(ttft(self.timings.choose("tortoise-1", rule, {})), 3.0)
        self.assertEqual(ttft(self.timings.choose("tortoise-1", "hasty", {})), 0.005)

    def test_a_request_beats_the_rule(self) -> None:
        for headers, seconds in (
            ({"x-fakellm-profile": "slow"}, 2.0),
            ({"x-fakellm-profile": "slow", "x-fakellm-ttft": "7s"}, 7.0),
        ):
            self.assertEqual(ttft(self.timings.choose("any", "hasty", headers)), seconds)

    def test_a_header_lifts_the_total(self) -> None:
        timings = Timings(TimingSpec(total="1s"))
        timing = timings.choose("any", None, {"x-fakellm-itl": "1s"})
        assert timing is not None
        self.assertIsNone(timing.total)

    def test_an_unknown_profile_is_told_with_what_was_meant(self) -> None:
        failure = self.refused(x_fakellm_profile="slwo")
        self.assertEqual((failure.status, failure.code), (400, "invalid_header"))
        self.assertEqual(
            failure.message, "X-FakeLLM-Profile: there is no profile 'slwo'; did you mean 'slow'?"
        )
        self.assertIn("...'", self.refused(x_fakellm_profile="x" * 100).message or "")

    def test_a_rule_that_names_none_is_at_fault_itself(self) -> None:
        failure = self.refused("nonesuch")
        self.assertEqual((failure.status, failure.code), (500, "rule_failed"))

    def test_a_header_that_is_no_duration_is_refused(self) -> None:
        for name in ("x_fakellm_ttft", "x_fakellm_itl"):
            self.assertEqual(self.refused(**{name: "soon"}).status, 400)

    def test_a_timing_is_compiled_once_and_ever_other_ones_do_not_fill_memory(self) -> None:
        first = self.timings.choose("any", None, {})
        self.assertIs(self.timings.choose("any", None, {}), first)
        for milliseconds in range(1100):
            self.timings.choose("any", None, {"x-fakellm-ttft": f"{milliseconds}ms"})
        self.assertLessEqual(len(self.timings._kept), 1000)


class ChunkTests(SynchronousTestCase):
    """A timing may say how many tokens come together."""

    def test_where_the_reply_does_not_say_how_it_is_cut(self) -> None:
        parts = (Text(text="a b c"),)
        reply = Reply(choices=(Choice(parts=parts), Choice(parts=parts, chunks="word")), model="m")
        cut = in_chunks(reply, compile_timing(TimingSpec(chunk_tokens=2)))
        self.assertEqual([choice.chunks for choice in cut.choices], [2, "word"])
        self.assertIs(in_chunks(reply, compile_timing(TimingSpec())), reply)
