"""How a server conducts itself over its run, of options and files."""

from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from fakellm.faults.fault import Fault, Position
from fakellm.model.framing import Framing
from fakellm.scenarios.course import Conducted, Course
from fakellm.scenarios.library import Library
from fakellm.scenarios.load import load_text
from fakellm.timing.conduct import FramingSpec, LimitSpec, LoadSpec
from fakellm.timing.pace import TimingSpec
from tests.scenarios.libraries import library


def course(text: str, **options: Any) -> Course:
    """The course of a server whose file is this."""
    found = Course(Conducted(**options))
    found.replace(load_text(text, folder=Path()).settings)
    return found


def ttft(course: Course, at: float, model: str = "any", rule: Any = None) -> float | None:
    """The constant TTFT at a time."""
    timing = course.at(at).timings.choose(model, rule, {})
    return None if timing is None else timing.ttft.constant


class RegimeTests(SynchronousTestCase):
    def test_where_nothing_is_said_nothing_is_done(self) -> None:
        regime = Course().at(0)
        self.assertIsNone(regime.timings.choose("any", None, {}))
        self.assertEqual((regime.load, regime.framing), (LoadSpec(), Framing()))
        self.assertEqual((regime.late, regime.limits, regime.faults), ("catch_up", (), ()))
        self.assertIsNone(regime.context_length("any"))
        self.assertFalse(regime.uses_attempts)

    def test_options_stand_where_files_say_nothing(self) -> None:
        options = Conducted(
            timing=TimingSpec(ttft="1s"),
            load=LoadSpec(slots=2),
            framing=FramingSpec(role="with_first_token"),
            late="drop",
            limits=(LimitSpec(concurrent=1),),
            context_length=100,
            faults=("reset after 3",),
        )
        found = Course(options)
        regime = found.at(5)
        self.assertEqual(ttft(found, 5), 1.0)
        self.assertEqual((regime.load.slots, regime.late), (2, "drop"))
        self.assertEqual(regime.framing, Framing(role_alone=False))
        self.assertEqual(regime.limits, (LimitSpec(concurrent=1),))
        self.assertEqual(regime.context_length("any"), 100)
        three = Position(unit="chunks", amount=3)
        self.assertEqual(regime.faults, (Fault(name="reset", after=three),))

    def test_files_override_options_records_key_by_key_and_lists_as_a_whole(self) -> None:
        found = course(
            """
            timing: {itl: 1ms}
            load: {slots: 3}
            framing: {head: with_first_token}
            late: slip
            limits: [{requests: 1, per: 1m}]
            context_length: {big: 9, "*": 4}
            faults: []
            """,
            timing=TimingSpec(ttft="1s"),
            load=LoadSpec(slots=2, queue=5),
            framing=FramingSpec(finish="with_last_token"),
            late="drop",
            limits=(LimitSpec(concurrent=1),),
            context_length=100,
            faults=("hang",),
        )
        regime = found.at(0)
        self.assertEqual(ttft(found, 0), 1.0)
        self.assertEqual(regime.load, LoadSpec(slots=3, queue=5))
        self.assertEqual(regime.framing, Framing(finish_alone=False, head_at_once=False))
        self.assertEqual(regime.late, "slip")
        self.assertEqual(regime.limits, (LimitSpec(requests=1, per="1m"),))
        self.assertEqual([regime.context_length(each) for each in ("big", "any")], [9, 4])
        self.assertEqual(regime.faults, ())

    def test_a_model_that_no_mapping_names_has_no_bound(self) -> None:
        self.assertIsNone(course("context_length: {big: 9}").at(0).context_length("small"))

    def test_faults_that_look_at_attempts_are_noticed(self) -> None:
        found = course("phases: [{after: 1s, faults: [{hang: true, on_attempt: 1}]}]")
        self.assertEqual([found.at(each).uses_attempts for each in (0, 1)], [False, True])
        self.assertTrue(found.uses_attempts)


class PhaseTests(SynchronousTestCase):
    PHASES = """
    timing: {ttft: 1s, itl: 1ms}
    profiles: {slow: {ttft: 3s, models: [snail]}}
    load: {slots: 9}
    phases:
      - {after: 60s, timing: {ttft: 2s}, load: {slots: 1}, late: slip, faults: [hang]}
      - {after: 2m, profile: slow, timing: {itl: 5ms}, framing: {role: with_first_token}}
      - {after: 180}
    """

    def test_each_begins_at_its_time_and_is_otherwise_as_the_settings(self) -> None:
        found = course(self.PHASES)
        self.assertEqual(
            [ttft(found, at) for at in (0, 59.9, 60, 119, 120, 180, 1e6)],
            [1.0, 1.0, 2.0, 2.0, 3.0, 1.0, 1.0],
        )
        self.assertEqual([found.at(at).load.slots for at in (0, 60, 120)], [9, 1, 9])
        self.assertEqual([found.at(at).late for at in (60, 120)], ["slip", "catch_up"])
        self.assertEqual([len(found.at(at).faults) for at in (0, 60, 180)], [0, 1, 0])
        self.assertFalse(found.at(120).framing.role_alone)

    def test_the_timing_of_a_phase_goes_over_its_profile(self) -> None:
        timing = course(self.PHASES).at(120).timings.choose("any", None, {})
        assert timing is not None
        self.assertEqual((timing.ttft.constant, timing.itl.constant), (3.0, 0.005))

    def test_profiles_are_there_in_all_of_them(self) -> None:
        found = course(self.PHASES)
        self.assertEqual([ttft(found, at, "snail") for at in (0, 60)], [3.0, 3.0])
        self.assertEqual([ttft(found, at, rule="slow") for at in (0, 60)], [3.0, 3.0])


class FileTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.path = self.folder / "scenario.yml"

    def library(self, text: str) -> Library:
        self.path.write_text(text)
        return library(self.path)

    def test_a_file_that_is_read_again_changes_the_course(self) -> None:
        rules = self.library("timing: {ttft: 1s}")
        found = rules.course
        self.path.write_text("timing: {ttft: 2s}")
        rules.reload()
        self.assertIs(rules.course, found)
        self.assertEqual(ttft(found, 0), 2.0)

    def test_samples_are_read_beside_the_file_and_watched(self) -> None:
        samples = self.folder / "ttft.csv"
        samples.write_text("ttft_ms\n250\n")
        rules = self.library(
            "timing: {ttft: {samples: ttft.csv}}\n"
            "profiles: {p: {ttft: {samples: ttft.csv}}}\n"
            "phases: [{after: 1s, timing: {total: {samples: ttft.csv}}}]\n"
            "rules: [{reply: a, timing: {itl: {samples: ttft.csv}}}]"
        )
        self.assertEqual(ttft(rules.course, 0), 0.25)
        self.assertEqual(ttft(rules.course, 0, rule="p"), 0.25)
        self.assertIn(samples, rules.watched())
        samples.write_text("1s")
        rules.reload()
        self.assertEqual(ttft(rules.course, 0), 1.0)

    def test_what_is_read_later_wins_key_by_key(self) -> None:
        (self.folder / "base.yml").write_text("timing: {ttft: 1s, itl: 1ms}\nlate: slip")
        rules = self.library("include: base.yml\nsettings: {timing: {ttft: 2s}}")
        timing = rules.course.at(0).timings.choose("any", None, {})
        assert timing is not None
        self.assertEqual((timing.ttft.constant, timing.itl.constant), (2.0, 0.0))
        self.assertEqual(rules.course.at(0).late, "slip")
