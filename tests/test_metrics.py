"""``GET /metrics`` of a whole server, as Prometheus' own parser reads it."""

from collections.abc import Mapping

from prometheus_client.parser import text_string_to_metric_families
from twisted.trial.unittest import SynchronousTestCase

from fakellm import FakeLLM
from fakellm.scenarios.words import fault
from tests.servers import LiveTestCase, MemoryTestCase
from tests.test_docs import ROOT
from tests.timed import Asked

Samples = Mapping[tuple[str, frozenset[tuple[str, str]]], float]


def parsed(text: str) -> Samples:
    """The samples by name and labels."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class MetricsCase(MemoryTestCase):
    def scrape(self) -> Samples:
        answer = self.request("GET", "/metrics")
        self.assertEqual(answer.status, 200)
        return parsed(answer.body.decode())

    def value(self, name: str, **labels: str) -> float | None:
        return self.scrape().get((name, frozenset(labels.items())))


class CountTests(MetricsCase):
    def test_answers_by_status_dialect_model_and_rule(self) -> None:
        self.serve()
        self.server.when(user="x").reply("Hi", name="greet")
        self.ask()
        self.ask(messages=[{"role": "user", "content": "x"}])
        self.ask(messages=[])
        labels = {"dialect": "openai", "endpoint": "chat.completions", "model": "any-model"}
        ours = "rule 'hello world' (fakellm/default.yml:20)"
        self.assertEqual(self.value("fakellm_answers_total", **labels, status="200", rule=ours), 1)
        self.assertEqual(
            self.value("fakellm_answers_total", **labels, status="200", rule="rule 'greet'"), 1
        )
        refused = {"dialect": "openai", "endpoint": "", "model": "", "status": "400", "rule": ""}
        self.assertEqual(self.value("fakellm_answers_total", **refused), 1)
        self.assertEqual(self.value("fakellm_requests_total", dialect="openai"), 3)
        self.assertEqual(self.value("fakellm_answers_ended_total", by="finished"), 3)

    def test_looking_counts_nothing(self) -> None:
        self.serve()
        self.scrape()
        self.assertEqual(self.value("fakellm_requests_total", dialect="openai"), None)
        self.assertEqual(self.value("fakellm_running"), 0)

    def test_tokens(self) -> None:
        self.serve(answer="one two three")
        usage = self.ask().json["usage"]
        labels = {"dialect": "openai", "model": "any-model"}
        self.assertEqual(self.value("fakellm_tokens_total", **labels, kind="completion"), 3)
        self.assertEqual(
            self.value("fakellm_tokens_total", **labels, kind="prompt"), usage["prompt_tokens"]
        )

    def test_faults(self) -> None:
        self.serve()
        self.server.when().reply("x y z", faults=[fault("no_end")])
        Asked(self, {}, {"stream": True})
        self.assertEqual(self.value("fakellm_faults_total", fault="no_end"), 1)

    def test_what_runs_and_what_waits(self) -> None:
        self.serve(slots=1, ttft="1s")
        for _ in range(3):
            Asked(self, {}, {}).asked.addErrback(lambda _: None)
        scraped = self.scrape()
        self.assertEqual(scraped["fakellm_running", frozenset()], 3)
        self.assertEqual(scraped["fakellm_queued", frozenset()], 2)
        self.assertEqual(scraped["fakellm_sessions", frozenset()], 1)

    def test_the_journal(self) -> None:
        self.serve(journal_size=2)
        for _ in range(5):
            self.ask()
        self.assertEqual(self.value("fakellm_journal_entries"), 2)
        self.assertEqual(self.value("fakellm_journal_dropped_total"), 3)
        self.assertEqual(self.value("fakellm_journal_unwritten_total"), 0)
        self.assertTrue((self.value("fakellm_journal_bytes") or 0) > 1000)


class TimeTests(MetricsCase):
    def test_ttft_and_duration(self) -> None:
        self.serve(ttft="1s", itl="2s", answer="one two")
        Asked(self, {}, {"stream": True}).end()
        scraped = self.scrape()
        labels = {"dialect": "openai", "model": "any-model"}
        of = frozenset(labels.items())
        self.assertEqual(scraped["fakellm_ttft_seconds_sum", of], 1.0)
        self.assertEqual(scraped["fakellm_answer_duration_seconds_sum", of], 3.0)
        for edge, count in (("0.5", 0), ("1.0", 1), ("+Inf", 1)):
            bucket = frozenset({**labels, "le": edge}.items())
            self.assertEqual(scraped["fakellm_ttft_seconds_bucket", bucket], count)

    def test_on_a_virtual_clock_nothing_is_late(self) -> None:
        self.serve()
        Asked(self, {}, {"stream": True}).end()
        names = {name for name, _ in self.scrape()}
        self.assertEqual({name for name in names if "lateness" in name}, set())


class LiveMetricsTests(LiveTestCase):
    async def test_lateness_and_the_process_itself(self) -> None:
        url = self.serve(itl="1ms", answer="one two three")
        response = await self.client.post(
            f"{url}/v1/chat/completions",
            json={"model": "m", "messages": [{"role": "user", "content": "x"}], "stream": True},
        )
        await response.content()
        response = await self.client.get(f"{url}/metrics")
        self.assertEqual(
            response.headers.getRawHeaders("content-type"),
            ["text/plain; version=0.0.4; charset=utf-8"],
        )
        scraped = parsed(await response.text())
        self.assertTrue(scraped["fakellm_event_lateness_seconds_count", frozenset()] >= 2)
        whose = frozenset({"dialect": "openai", "model": "m"}.items())
        self.assertEqual(scraped["fakellm_stream_lateness_seconds_count", whose], 1)
        self.assertIn(("fakellm_loop_lag_seconds_count", frozenset()), scraped)
        self.assertTrue(scraped["process_resident_memory_bytes", frozenset()] > 1e6)

    async def test_HEAD_has_the_head_and_no_body(self) -> None:
        url = self.serve()
        response = await self.client.head(f"{url}/metrics")
        self.assertEqual((response.code, await response.content()), (200, b""))
        self.assertTrue(int(response.headers.getRawHeaders("content-length")[0]) > 1000)


class RegistryTests(MetricsCase):
    def test_two_servers_count_for_themselves(self) -> None:
        self.serve()
        self.ask()
        self.serve()
        self.assertIsNone(self.value("fakellm_requests_total", dialect="openai"))


class DocumentationTests(MetricsCase):
    def test_every_metric_and_every_label_is_documented(self) -> None:
        page = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
        self.serve(fault=["delay 0s"])
        self.ask()
        text = self.request("GET", "/metrics").body.decode()
        for family in text_string_to_metric_families(text):
            if family.name.startswith("process_"):
                continue
            self.assertIn(f"`{family.name}", page)
            for label in {label for sample in family.samples for label in sample.labels} - {"le"}:
                self.assertIn(f"`{label}`", page, family.name)


class ImportTests(SynchronousTestCase):
    def test_a_server_is_made_without_the_library(self) -> None:
        """What is heavy is only imported at the first scrape: see also tests.test_imports."""
        self.assertNotIn("prometheus_client", FakeLLM.__init__.__globals__)
