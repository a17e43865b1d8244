"""Load generators as they come: the requests they send, whole answers and streams, over HTTP."""

import json
from typing import Any

from tests.dialects.openai.test_vllm import BENCH_CHAT, BENCH_TEXT, GUIDELLM_CHAT, GUIDELLM_TEXT
from tests.servers import MemoryTestCase, events_of

REQUESTS: tuple[tuple[str, dict[str, Any]], ...] = (
    ("chat/completions", GUIDELLM_CHAT),
    ("completions", GUIDELLM_TEXT),
    ("chat/completions", BENCH_CHAT),
    ("completions", BENCH_TEXT),
)


class ReplayTests(MemoryTestCase):
    def test_each_gets_its_tokens_and_is_told_so_at_the_end(self) -> None:
        for prefix in ("/v1", "/vllm/v1"):
            for name, body in REQUESTS:
                answer = self.request("POST", f"{prefix}/{name}", json.dumps(body).encode())
                self.assertEqual(answer.status, 200, answer.body)
                *events, last = events_of(answer.body)
                self.assertEqual(last.data, "[DONE]")
                *chunks, usage = [json.loads(event.data) for event in events]
                self.assertEqual(usage["choices"], [])
                self.assertEqual(usage["usage"]["completion_tokens"], 37)
                self.assertTrue(all(chunk["choices"] for chunk in chunks))

    def test_what_they_ask_before_they_begin(self) -> None:
        self.assertEqual(self.request("GET", "/health").status, 200)
        (model,) = self.request("GET", "/v1/models").json["data"]
        self.assertEqual(model["id"], "fake-model")
