"""Paths: below prefixes, of vendors that share one, of flavours, and those that are nobody's."""

import json
from typing import Any

from treq.testing import StubTreq
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource

from fakellm import FakeLLM
from fakellm.dialects.registry import ROUTING
from fakellm.web.prefixes import Prefixes
from tests.servers import CHAT, HELLO, Answer, MemoryTestCase, asking

ANTHROPIC = {"anthropic-version": "2023-06-01", "x-api-key": "k"}
PROMPTS: dict[str, dict[str, Any]] = {
    CHAT: HELLO,
    "/v1/completions": {"model": "m", "prompt": "a"},
    "/v1/embeddings": {"model": "m", "input": "a"},
    "/v1/moderations": {"input": "a"},
    "/v1/responses": {"model": "m", "input": "a"},
    "/v1/messages": {**HELLO, "max_tokens": 50},
    "/openai/v1/chat/completions": HELLO,
    "/openai/deployments/m/chat/completions?api-version=2024-10-21": HELLO,
    "/vllm/v1/chat/completions": HELLO,
}
"""The smallest request to each endpoint."""

ASKED = (
    "/v1/models",
    "/v1/models/fake-model",
    "/v1/chat/completions",
    "/v1/messages/batches",
    "/openai/v1/models",
    "/vllm/v1/models",
    "/vllm/health",
    "/vllm/version",
    "/health",
)
"""What can be got without anything being made first."""


class PathTestCase(MemoryTestCase):
    def post(self, path: str, body: dict[str, Any], **more: Any) -> Answer:
        return self.request("POST", path, json.dumps(body).encode(), **more)

    def assert_everything(self, prefix: str) -> None:
        """Check that every endpoint answers below a prefix as it does without one."""
        for path, body in PROMPTS.items():
            for stream in (False, True):
                if stream and path.endswith(("embeddings", "moderations")):
                    continue
                asked = {**body, "stream": True} if stream else body
                answer = self.post(prefix + path, asked, headers=ANTHROPIC)
                self.assertEqual(answer.status, 200, (prefix + path, answer.body))
        for path in ASKED:
            answer = self.request("GET", prefix + path, headers=ANTHROPIC)
            self.assertEqual(answer.status, 200, (prefix + path, answer.body))

    def assert_nothing(self, prefix: str) -> None:
        """Check that nothing answers below a prefix."""
        for path, body in PROMPTS.items():
            answer = self.post(prefix + path, body, headers=ANTHROPIC)
            self.assertEqual(answer.status, 404, (prefix + path, answer.body))


class PrefixTests(PathTestCase):
    def test_without_the_setting_nothing_answers_below_one(self) -> None:
        self.assert_everything("")
        self.assert_nothing("/gateway")

    def test_every_endpoint_answers_below_those_that_are_listed(self) -> None:
        self.serve(prefix=["/gateway/one", "two/"])
        for prefix in ("", "/gateway/one", "/two"):
            self.assert_everything(prefix)
        for prefix in ("/gateway", "/gateway/on", "/gateway/one/two", "/x/two"):
            self.assert_nothing(prefix)

    def test_the_longest_counts(self) -> None:
        self.serve(prefix=["/a", "/a/v1", "/a/v1/b"])
        for prefix in ("/a", "/a/v1", "/a/v1/b"):
            self.assert_everything(prefix)

    def test_every_endpoint_answers_below_anything(self) -> None:
        self.serve(prefix=["*"])
        for prefix in (
            "",
            "/gateway",
            "/any/thing",
            "/%C3%BC",
            "/v1",
            "/v1/account/v1",
            "/openai/x",
        ):
            self.assert_everything(prefix)

    def test_a_prefix_that_is_listed_comes_before_a_vendors(self) -> None:
        self.serve(prefix=["/openai"])
        answer = self.post("/openai/v1/chat/completions", HELLO)
        self.assertNotIn("prompt_filter_results", answer.json)

    def test_a_prefix_is_no_end_of_a_path(self) -> None:
        self.serve(prefix=["/gateway"])
        self.assertEqual(self.request("GET", "/gateway").status, 404)
        self.assertEqual(self.request("GET", "/gateway/").status, 200)

    def test_paths_that_are_nobodys_stay_so(self) -> None:
        self.serve(prefix=["*", "/gateway"])
        for path in (
            "/x",
            "/gateway/x",
            "/v1/x",
            "/any/v1/x",
            "/any/vllm",
            "/v1/chat/completions/",
        ):
            answer = self.post(path, HELLO)
            self.assertEqual(answer.status, 404, path)
            self.assertIn(f"Invalid URL (POST {path})", answer.json["error"]["message"])

    def test_what_is_told_of_paths_has_the_prefix(self) -> None:
        self.serve(prefix=["*"])
        asked = {"requests": [{"custom_id": "a", "params": PROMPTS["/v1/messages"]}]}
        batch = self.post("/any/v1/messages/batches", asked, headers=ANTHROPIC).json
        self.clock.advance(1)
        shown = self.request("GET", f"/any/v1/messages/batches/{batch['id']}", headers=ANTHROPIC)
        url = shown.json["results_url"]
        self.assertIn(f"/any/v1/messages/batches/{batch['id']}/results", url)

    def test_below_one_in_a_server_of_ones_own(self) -> None:
        root = Resource()
        root.putChild(b"llm", FakeLLM(clock=Clock(), prefix=["/gateway"]).resource)
        self.client = StubTreq(root)
        for prefix in ("/llm", "/llm/gateway"):
            self.assert_everything(prefix)
        self.assert_nothing("/gateway")


class LengthTests(SynchronousTestCase):
    """How many segments are before the API's own path."""

    def lengths(self, *prefixes: str, **paths: int) -> None:
        found = Prefixes(prefixes, ROUTING.roots(), ROUTING.is_path)
        for path, length in paths.items():
            self.assertEqual(found.length(path.encode().split(b"/")), length, path)

    def test_none_are(self) -> None:
        self.lengths(**{"v1/models": 0, "x/v1/models": 0, "": 0})

    def test_those_listed_are(self) -> None:
        self.lengths("/a", "a/b/", **{"a/v1": 1, "a/b/v1": 2, "a/b": 1, "a": 0, "b/a/v1": 0})

    def test_anything_is(self) -> None:
        self.lengths(
            "*",
            **{
                "v1/models": 0,
                "x/v1/models": 1,
                "x/y/v1/models/z": 2,
                "v1/v1/models": 1,
                "x/openai/v1/models": 1,
                "x/y": 0,
                "v1/" * 10 + "v1/models": 10,
                "v1/" * 5000 + "v1/models": 0,  # which nobody looks for so long
                "": 0,
                "\udcff".encode("utf-8", "surrogateescape").decode("latin-1"): 0,
            },
        )

    def test_what_is_listed_comes_first(self) -> None:
        self.lengths("*", "/x/v1", **{"x/v1/v1/models": 2, "x/v1/models": 1, "y/v1/models": 1})


class VendorTests(PathTestCase):
    """One path, two vendors; and in whose words the rest is refused."""

    def test_the_header_decides_whose_models_are_listed(self) -> None:
        for path in ("/v1/models", "/v1/models/fake-model"):
            ours = self.request("GET", path).json
            theirs = self.request("GET", path, headers=ANTHROPIC).json
            if path == "/v1/models":
                (ours,), (theirs,) = ours["data"], theirs["data"]
            self.assertEqual((ours["object"], ours["owned_by"]), ("model", "fakellm"))
            self.assertEqual((theirs["type"], theirs["id"]), ("model", "fake-model"))

    def test_the_header_decides_in_whose_words_a_model_is_not_found(self) -> None:
        ours = self.request("GET", "/v1/models/none")
        theirs = self.request("GET", "/v1/models/none", headers=ANTHROPIC)
        self.assertEqual((ours.status, ours.json["error"]["code"]), (404, "model_not_found"))
        self.assert_anthropic(theirs, 404, "not_found_error")

    def test_unknown_paths(self) -> None:
        self.assert_anthropic(
            self.request("GET", "/v1/none", headers=ANTHROPIC), 404, "not_found_error"
        )
        self.assertIn("Invalid URL", self.request("GET", "/v1/none").json["error"]["message"])
        azure = self.request("GET", "/openai/v1/chat/completions")
        self.assertEqual(azure.json, {"error": {"code": "404", "message": "Resource not found"}})

    def test_wrong_methods_are_refused_in_the_words_of_the_path(self) -> None:
        for path in ("/v1/messages", "/v1/messages/count_tokens", "/v1/messages/batches"):
            answer = self.request("PUT", path)
            self.assert_anthropic(answer, 405, "invalid_request_error")
            self.assertIn("POST", answer.header("allow") or "")
        # even where the client speaks otherwise
        answer = self.request("PUT", CHAT, headers=ANTHROPIC)
        self.assertEqual(
            (answer.status, answer.json["error"]["code"]), (405, "method_not_supported")
        )
        self.assert_anthropic(
            self.request("PUT", "/v1/models", headers=ANTHROPIC), 405, "invalid_request_error"
        )

    def test_bodies_that_are_too_large(self) -> None:
        self.serve(max_body=10)
        for path in ("/v1/messages", "/v1/messages/batches"):
            answer = self.post(path, HELLO, headers=ANTHROPIC)
            self.assert_anthropic(answer, 413, "request_too_large")
        for path in (CHAT, "/v1/conversations"):
            answer = self.post(path, HELLO)
            self.assertEqual(answer.status, 413)
            self.assertEqual([*answer.json["error"]], ["message", "type", "param", "code"])

    def test_keys(self) -> None:
        self.serve(api_key=["right"])
        for path in ("/v1/messages", "/v1/messages/batches"):
            for key in ({}, {"x-api-key": "wrong"}):
                answer = self.post(path, HELLO, headers={**ANTHROPIC, "x-api-key": "", **key})
                self.assert_anthropic(answer, 401, "authentication_error")
        for path in (CHAT, "/v1/responses", "/v1/conversations"):
            answer = self.post(path, HELLO)
            self.assertEqual(answer.status, 401)
            self.assertEqual([*answer.json["error"]], ["message", "type", "param", "code"])
        answer = self.post("/openai/v1/chat/completions", HELLO, headers={"api-key": "wrong"})
        self.assertEqual((answer.status, answer.json["error"]["code"]), (401, "401"))
        for key in ({"x-api-key": "right"}, {"authorization": "Bearer right"}):
            answer = self.request("GET", "/v1/models", headers={"anthropic-version": "x", **key})
            self.assertNotEqual(answer.status, 401)

    def assert_anthropic(self, answer: Answer, status: int, kind: str) -> None:
        self.assertEqual(answer.status, status, answer.body)
        told = answer.json
        self.assertEqual((told["type"], told["error"]["type"]), ("error", kind))
        self.assertEqual(answer.header("request-id"), told["request_id"])


class FlavourTests(PathTestCase):
    """vLLM's ways: below a path, on the whole server, or of some models."""

    def names(self, path: str) -> dict[str, bool]:
        """Which models are listed, and whether each is told of as vLLM does."""
        models = self.request("GET", path).json["data"]
        for model in models:
            shown = self.request("GET", f"{path}/{model['id']}").json
            self.assertEqual(shown, model)
        return {model["id"]: model.get("root") == model["id"] for model in models}

    def test_below_a_path(self) -> None:
        self.assertEqual(self.names("/vllm/v1/models"), {"fake-model": True})
        self.assertEqual(self.names("/v1/models"), {"fake-model": False})
        health = self.request("GET", "/vllm/health")
        self.assertEqual((health.status, health.body), (200, b""))
        self.assertIn("version", self.request("GET", "/vllm/version").json)
        ids = self.post("/vllm/tokenize", {"prompt": "hello world"}).json["tokens"]
        told = self.post("/vllm/detokenize", {"tokens": ids}).json
        self.assertEqual(told, {"prompt": "hello world"})
        for path in ("/ping", "/version", "/tokenize", "/detokenize"):
            self.assertEqual(self.request("GET", path).status, 404)

    def test_on_the_whole_server(self) -> None:
        self.serve(flavour="vllm", strict_requests=True)
        self.assertEqual(self.names("/v1/models"), {"fake-model": True})
        self.assert_everything("")
        self.assert_tools()
        answer = self.ask(top_k=5, repetition_penalty=1.1)
        self.assertEqual(answer.status, 200, answer.body)
        self.assertEqual(self.offset("fake-model"), 0)

    def test_of_some_models(self) -> None:
        self.serve(model=["a"], vllm_model=["b", "c"], strict_requests=True)
        self.assertEqual(self.names("/v1/models"), {"a": False, "b": True, "c": True})
        self.assert_tools()
        self.assertEqual(self.ask(model="b", top_k=5).status, 200)
        self.assertEqual(self.ask(model="a", top_k=5).status, 400)
        self.assertEqual((self.offset("a"), self.offset("b")), (len("prompt"), 0))
        for stream in (False, True):
            self.assertEqual(self.ask(model="b", stream=stream).status, 200)
        for body in (b"", b"[", b"[1]", b'{"model":["b"]}', b"\xff", b"[" * 100_000):
            self.assertEqual(self.request("POST", CHAT, body).status, 400, body)

    def test_a_rule_may_ask_which(self) -> None:
        self.serve(vllm_model=["b"])
        self.server.when(dialect="vllm").reply("of vLLM")
        for model, said in (("b", "of vLLM"), ("fake-model", "hello world")):
            answer = self.ask(model=model)
            self.assertEqual(answer.json["choices"][0]["message"]["content"], said)

    def test_limits_and_errors_are_worded_as_ever(self) -> None:
        self.serve(vllm_model=["b"], requests_per_minute=1, api_key=["k"])
        self.assertEqual(self.ask(model="b").status, 401)
        key = {"authorization": "Bearer k"}
        answer = self.post(CHAT, asking(model="b"), headers=key)
        self.assertEqual(answer.header("x-ratelimit-remaining-requests"), "0")
        self.assertEqual(self.post(CHAT, asking(model="b"), headers=key).status, 429)

    def offset(self, model: str) -> int:
        """Where the text of a completion begins, as its log probabilities tell."""
        answer = self.post("/v1/completions", {"model": model, "prompt": "prompt", "logprobs": 1})
        offset: int = answer.json["choices"][0]["logprobs"]["text_offset"][0]
        return offset

    def assert_tools(self) -> None:
        """Check that vLLM's own endpoints are at the root, but for the server's own health."""
        self.assertEqual(self.request("GET", "/health").json["status"], "ok")
        for method in ("GET", "POST"):
            self.assertEqual(self.request(method, "/ping").status, 200)
        self.assertIn("version", self.request("GET", "/version").json)
        ids = self.post("/tokenize", {"prompt": "hello world"}).json["tokens"]
        self.assertEqual(self.post("/detokenize", {"tokens": ids}).json["prompt"], "hello world")


class LimitTests(PathTestCase):
    """``[429]``, in everybody's own words."""

    def test_it_is_worded_by_the_vendor(self) -> None:
        said = {"messages": [{"role": "user", "content": "[429]"}]}
        path = "/v1/messages"
        theirs = self.post(path, {**PROMPTS[path], **said}, headers=ANTHROPIC)
        self.assertEqual((theirs.status, theirs.json["error"]["type"]), (429, "rate_limit_error"))
        self.assertNotIn("code", theirs.json["error"])
        self.assertNotIn("Too many requests. Please", theirs.json["error"]["message"])
        azure = self.post("/openai/v1/chat/completions", {**HELLO, **said})
        self.assertEqual((azure.status, azure.json["error"]["code"]), (429, "429"))
        for path in (CHAT, "/vllm/v1/chat/completions"):
            ours = self.post(path, {**HELLO, **said})
            self.assertEqual(
                ours.body,
                b'{"error":{"message":"Too many requests. Please try again later.",'
                b'"type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}',
            )


class StrictTests(PathTestCase):
    def test_what_is_no_reply_of_the_models_is_let_through(self) -> None:
        self.serve(strict=True)
        for path, body in PROMPTS.items():
            answer = self.post(path, body, headers=ANTHROPIC)
            through = path.endswith(("embeddings", "moderations"))
            self.assertEqual(answer.status, 200 if through else 404, (path, answer.body))
