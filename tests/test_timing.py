"""The whole server in time: when what comes, on a clock of the test's own."""

import json

from tests.timed import TimedTestCase


class OptionTests(TimedTestCase):
    """Timing by the server's options."""

    def test_without_any_all_comes_at_once_and_nothing_is_scheduled(self) -> None:
        self.assertEqual(self.stream().arrivals(), [0.0, 0.0, 0.0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_tokens_come_at_the_ttft_and_an_itl_each(self) -> None:
        self.serve(ttft="1s", itl="250ms", answer="one two three four")
        self.assertEqual(self.stream().arrivals(), [1.0, 1.25, 1.5, 1.75, 1.75])

    def test_a_whole_answer_takes_as_long_as_its_stream(self) -> None:
        self.serve(ttft="1s", itl="250ms", answer="one two three four")
        self.assertEqual(self.whole().end(), 1.75)

    def test_tokens_per_second_are_the_other_way_to_say_an_itl(self) -> None:
        self.serve(tokens_per_second=4, answer="one two three")
        self.assertEqual(self.stream().arrivals(), [0.0, 0.25, 0.5, 0.5])

    def test_reading_the_prompt_adds_to_the_ttft(self) -> None:
        self.serve(answer="one")
        tokens = self.ask().json["usage"]["prompt_tokens"]
        self.serve(ttft=1.0, prefill=tokens / 2.0, answer="one")
        self.assertEqual(self.stream().arrivals(), [3.0, 3.0])

    def test_speed_divides_all_times(self) -> None:
        self.serve(ttft="1s", itl="500ms", answer="one two", speed=2)
        self.assertEqual(self.stream().arrivals(), [0.5, 0.75, 0.75])

    def test_speed_0_means_no_waiting(self) -> None:
        self.serve(ttft="1s", itl="500ms", answer="one two", speed=0)
        self.assertEqual(self.stream().arrivals(), [0.0, 0.0, 0.0])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_a_client_that_leaves_while_it_waits_leaves_nothing_behind(self) -> None:
        self.serve(ttft="1s")
        for ask in (self.stream, self.whole):
            asked = ask()
            self.assertEqual(len(self.clock.getDelayedCalls()), 1)
            asked.leave()
            self.assertEqual(self.clock.getDelayedCalls(), [])


class HeaderTests(TimedTestCase):
    """Timing by the headers of a request, which are over all else."""

    def test_ttft_and_itl(self) -> None:
        self.serve(ttft="5s", answer="one two")
        asked = self.stream(headers={"X-FakeLLM-TTFT": "500ms", "X-FakeLLM-ITL": "0.25"})
        self.assertEqual(asked.arrivals(), [0.5, 0.75, 0.75])
        self.assertEqual(self.stream().arrivals(), [5.0, 5.0, 5.0])

    def test_one_that_cannot_be_is_refused_by_its_name(self) -> None:
        for name, value, reason in (
            ("X-FakeLLM-TTFT", "soon", "'soon' is no duration such as 250ms, 1.5s, 2m or 0.25"),
            ("X-FakeLLM-ITL", "-1s", "'-1s' is no duration: that is finite and not negative"),
            ("X-FakeLLM-Profile", "quick", "there is no profile 'quick'"),
        ):
            asked = self.whole(headers={name: value})
            self.assertEqual((asked.status, asked.end()), (400, 0.0))
            self.assertEqual(
                json.loads(asked.body)["error"],
                {
                    "message": f"{name}: {reason}",
                    "type": "invalid_request_error",
                    "param": None,
                    "code": "invalid_header",
                },
            )


class WrongOptionTests(TimedTestCase):
    def test_an_itl_and_a_rate_are_one_too_many(self) -> None:
        with self.assertRaisesRegex(ValueError, "^itl and tokens_per_second are two ways"):
            self.serve(itl=1, tokens_per_second=2)
