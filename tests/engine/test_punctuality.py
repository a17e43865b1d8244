"""How late a server was, and when it says so."""

from twisted.internet.task import Clock
from twisted.logger import globalLogPublisher
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.punctuality import Histogram, Punctuality


class HistogramTests(SynchronousTestCase):
    def test_quantiles_are_bounds_that_are_not_exceeded(self) -> None:
        histogram = Histogram()
        self.assertEqual(histogram.quantile(0.99), 0.0)
        for milliseconds in range(1, 101):
            histogram.note(milliseconds / 1000)
        self.assertEqual(histogram.quantile(0.5), 0.05)
        self.assertEqual(histogram.quantile(0.99), 0.1)
        self.assertEqual(histogram.worst, 0.1)

    def test_what_is_beyond_all_buckets_is_the_worst(self) -> None:
        histogram = Histogram()
        histogram.note(60.0)
        self.assertEqual(histogram.quantile(0.5), 60.0)
        self.assertEqual(
            histogram.told(),
            {"count": 1, "p50_ms": 60000.0, "p99_ms": 60000.0, "worst_ms": 60000.0},
        )


class PunctualityTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.punctuality = Punctuality(self.clock.seconds)
        self.lines: list[str] = []
        globalLogPublisher.addObserver(self.observe)
        self.addCleanup(globalLogPublisher.removeObserver, self.observe)

    def observe(self, event: dict[str, object]) -> None:
        if str(event.get("log_namespace")).startswith("fakellm.engine.punctuality"):
            level = getattr(event["log_level"], "name", "")
            self.lines.append(f"{level}: {str(event['log_format']).format(**event)}")

    def note(self, count: int, late: float) -> None:
        for _ in range(count):
            self.punctuality.note(late)

    def test_a_late_event_now_and_then_is_no_matter(self) -> None:
        for _ in range(20):
            self.note(2000, 0.001)
            self.note(5, 0.1)
            self.clock.advance(1)
        self.assertTrue(self.punctuality.told()["kept"])
        self.assertEqual(self.lines, [])

    def test_many_at_once_are_warned_of_once(self) -> None:
        self.note(90, 0.001)
        self.note(500, 0.5)
        self.assertFalse(self.punctuality.kept)
        self.assertEqual(
            self.lines,
            [
                "warn: the server cannot keep the pace it is asked for: 10 of the last 100 events "
                "were more than 20 ms late, the worst 500 ms: figures taken now measure the fake, "
                "not its client"
            ],
        )
        told = self.punctuality.told()
        self.assertEqual((told["kept"], told["warnings"]), (False, 1))
        self.assertEqual(told["lateness"]["worst_ms"], 500.0)
        self.assertEqual(told["loop_lag"]["count"], 0)

    def test_it_says_when_the_pace_is_kept_again(self) -> None:
        self.note(100, 0.5)
        for _ in range(3):
            self.clock.advance(5)
            self.note(1024, 0.001)
        self.assertTrue(self.punctuality.kept)
        self.assertEqual(self.lines[1:], ["info: the server keeps the pace again"])
        self.note(100, 0.5)
        self.assertEqual(len(self.lines), 3)
