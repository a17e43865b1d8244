"""Limits of the whole server: what answers tell of them, and what becomes of those over them."""

import openai

from fakellm.engine.clock import VirtualClock
from tests.sdk import SdkTestCase
from tests.timed import Asked, ScenarioTestCase


class HeaderTests(ScenarioTestCase):
    """What every answer tells, on a clock of the test's own."""

    def setUp(self) -> None:
        super().setUp()
        self.clock = VirtualClock()

    def limits(self, asked: Asked, unit: str) -> tuple[str | None, ...]:
        return tuple(
            asked.header(f"x-ratelimit-{what}-{unit}") for what in ("limit", "remaining", "reset")
        )

    def test_without_limits_nothing_is_told(self) -> None:
        self.assertEqual(self.limits(self.whole(), "requests"), (None, None, None))

    def test_requests_are_counted_down_and_come_back(self) -> None:
        self.scenario("limits: [{requests: 3, per: 1m}]")
        self.assertEqual(self.limits(self.whole(), "requests"), ("3", "2", "20s"))
        self.assertEqual(self.limits(self.stream(), "requests"), ("3", "1", "40s"))
        self.clock.advance(40)
        self.assertEqual(self.limits(self.whole(), "requests"), ("3", "2", "20s"))

    def test_over_the_limit_it_is_a_429_that_says_when_to_come_again(self) -> None:
        self.scenario("limits: [{requests: 1, per: 1m}]")
        self.whole()
        refused = self.whole()
        self.assertEqual((refused.status, refused.json["error"]["type"]), (429, "requests"))
        self.assertEqual(self.limits(refused, "requests"), ("1", "0", "1m0s"))
        wait = int(refused.header("retry-after-ms") or "") / 1000
        self.assertEqual((wait, refused.header("Retry-After")), (60.0, "60"))
        self.clock.advance(wait - 0.01)
        self.assertEqual(self.whole().status, 429)
        self.clock.advance(0.01)
        self.assertEqual(self.whole().status, 200)

    def test_tokens_are_charged_by_their_bound_and_corrected_at_the_end(self) -> None:
        self.scenario("limits: [{tokens: 1000, per: 1m}]\ntiming: {ttft: 1s}")
        asked = self.whole(max_tokens=900)
        second = self.whole(max_tokens=900)
        self.assertEqual((second.status, second.json["error"]["type"]), (429, "tokens"))
        asked.end()  # a second later what it did not use has come back, and what it did, too
        third = self.whole(max_tokens=10)
        third.end()
        prompt = asked.json["usage"]["prompt_tokens"]
        limit, remaining, _ = self.limits(third, "tokens")
        self.assertEqual((limit, remaining), ("1000", str(1000 - prompt - 10)))

    def test_keys_have_limits_of_their_own(self) -> None:
        self.scenario("limits: [{requests: 1, per: 1m, by: [key]}]")
        statuses = [
            self.whole(headers={"Authorization": f"Bearer {key}"}).status
            for key in ("sk-a", "sk-a", "sk-b")
        ]
        self.assertEqual(statuses, [200, 429, 200])

    def test_so_many_at_once(self) -> None:
        self.scenario("limits: [{concurrent: 1, by: [key]}]\ntiming: {ttft: 1s}")
        first = self.stream()
        self.assertEqual(self.whole().status, 429)
        first.leave()
        self.assertIsNone(self.whole().status)

    def test_a_quota_runs_out_for_good(self) -> None:
        self.scenario("limits: [{tokens: 20, per: ever}]")
        statuses = []
        for _ in range(20):
            statuses.append(self.whole().status)
            self.clock.advance(3600)
        self.assertEqual((statuses[0], statuses[-1]), (200, 429))
        refused = self.whole()
        self.assertEqual(refused.json["error"]["code"], "insufficient_quota")

    def test_a_prompt_that_does_not_fit_its_model(self) -> None:
        self.scenario("context_length: {small: 50}")
        self.assertEqual(self.whole(model="large", max_tokens=100).status, 200)
        refused = self.whole(model="small", max_tokens=100)
        self.assertEqual(
            (refused.status, refused.json["error"]["code"]), (400, "context_length_exceeded")
        )


class SdkTests(SdkTestCase):
    """What the vendor's own client makes of it."""

    async def test_it_waits_as_it_is_told_and_then_passes(self) -> None:
        self.serve(requests_per_minute=1)
        await self.create()
        with self.assertRaises(openai.RateLimitError) as caught:
            await self.create()
        error = caught.exception
        self.assertEqual((error.code, error.type), ("rate_limit_exceeded", "requests"))
        self.options["max_retries"] = 1
        with self.assertRaises(openai.RateLimitError):
            await self.create()  # the test's client does not really wait
        (waited,) = self.waits
        self.assertTrue(30 < waited <= 60, waited)

    async def test_a_used_up_quota_and_a_long_prompt_have_codes_of_their_own(self) -> None:
        self.serve(context_length=20)
        with self.assertRaises(openai.BadRequestError) as caught:
            await self.create(max_tokens=50)
        self.assertEqual(caught.exception.code, "context_length_exceeded")
