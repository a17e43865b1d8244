"""Whatever is sent to whichever endpoint, none answers with a fault of the server's own."""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote, urlencode

from hypothesis import given, settings
from hypothesis import strategies as st

from fakellm.dialects import registry
from tests.dialects.contract import places
from tests.dialects.openai.requests import anything
from tests.servers import CHAT, HELLO, Answer, MemoryTestCase

ROUTES = (
    *(("POST", each.path) for each in registry.ENDPOINTS),
    *sorted({(each.method, each.path) for each in registry.OPERATIONS}),
)
"""A method and a path for each endpoint and operation."""

MESSAGE = {"role": "user", "content": "Say something"}
FUNCTION = {"name": "f", "parameters": {"type": "object"}}
GOOD: dict[str, dict[str, Any]] = {
    "chat/completions": {
        **HELLO,
        "store": True,
        "stream": False,
        "tools": [{"type": "function", "function": FUNCTION}],
        "metadata": {"a": "b"},
    },
    "chat/completions/<id>": {"metadata": {"a": "b"}},
    "completions": {"model": "m", "prompt": ["a", "b"], "max_tokens": 5, "logprobs": 1},
    "embeddings": {"model": "m", "input": ["a", "b"], "dimensions": 5},
    "moderations": {"input": [{"type": "text", "text": "a"}]},
    "messages": {
        "model": "m",
        "max_tokens": 5,
        "system": [{"type": "text", "text": "a"}],
        "messages": [MESSAGE, {"role": "assistant", "content": [{"type": "text", "text": "a"}]}],
        "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    },
    "messages/count_tokens": {"model": "m", "messages": [MESSAGE]},
    "messages/batches": {
        "requests": [
            {
                "custom_id": "a",
                "params": {"model": "m", "max_tokens": 5, "messages": [MESSAGE]},
            }
        ]
    },
    "responses": {
        "model": "m",
        "input": [{"type": "message", **MESSAGE}],
        "background": False,
        "tools": [{"type": "function", "strict": False, **FUNCTION}, {"type": "web_search"}],
        "text": {"format": {"type": "text"}},
        "reasoning": {"effort": "low", "summary": "auto"},
    },
    "responses/input_tokens": {"model": "m", "input": "a"},
    "responses/compact": {"model": "m", "input": [MESSAGE]},
    "conversations": {"items": [MESSAGE], "metadata": {"a": "b"}},
    "conversations/<conversation_id>": {"metadata": {"a": "b"}},
    "conversations/<conversation_id>/items": {"items": [MESSAGE]},
    "tokenize": {"model": "m", "prompt": "a"},
    "detokenize": {"model": "m", "tokens": [1, 2]},
}
"""What each endpoint takes, by what its path ends with."""

HEADERS = {
    "anthropic-version": "2023-06-01",
    "anthropic-beta": "x",
    "authorization": "Bearer k",
    "x-api-key": "k",
    "api-key": "k",
    "openai-organization": "x",
}
QUERIES = (
    "api-version", "limit", "after", "before", "order", "stream", "starting_after", "include",
    "after_id", "before_id", "metadata[a]", "model",
)  # fmt: skip
many = settings(deadline=None, derandomize=True, max_examples=400, database=None)


def good(path: str) -> Any:
    """What an endpoint takes; where it takes nothing, an object."""
    for end in sorted(GOOD, key=len, reverse=True):
        if path.endswith(f"/{end}"):
            return json.loads(json.dumps(GOOD[end]))
    return {}


@st.composite
def bodies(draw: st.DrawFn, path: str) -> bytes:
    """A good body, one with anything anywhere in it, any JSON, or any bytes."""
    match draw(st.sampled_from(["good", "changed", "changed", "changed", "JSON", "bytes"])):
        case "good":
            return json.dumps(good(path)).encode()
        case "JSON":
            return json.dumps(draw(anything)).encode()
        case "bytes":
            return draw(st.binary(max_size=40))
    body = [good(path)]
    for _ in range(draw(st.integers(1, 2))):
        holder, key = draw(st.sampled_from([*places(body)]))
        holder[key] = draw(anything)
    return json.dumps(body[0]).encode()


class EveryEndpointTests(MemoryTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve(model=["m"])

    def send(self, method: str, path: str, body: bytes, **more: Any) -> Answer:
        """Send a request; the whole answer."""
        answer = self.request(method, path, body, **more)
        for _ in range(1000):
            if answer.ended.called:
                return answer
            self.clock.advance(0.01)
            self.flush()
        raise AssertionError((method, path, body, "has no end"))

    def kept(self) -> dict[str, str]:
        """Things that there are, by the variables of paths."""
        path = "/v1/conversations"
        conversation = self.made(path)
        listed = self.send("GET", f"{path}/{conversation}/items", b"").json
        return {
            "conversation_id": conversation,
            "item_id": listed["data"][0]["id"],
            "response_id": self.made("/v1/responses"),
            "id": self.made(CHAT),
            "batch": self.made("/v1/messages/batches", headers=HEADERS),
            "path:name": "m",
            "deployment": "m",
        }

    def made(self, path: str, **more: Any) -> str:
        answer = self.send("POST", path, json.dumps(good(path)).encode(), **more)
        self.assertEqual(answer.status, 200, answer.body)
        made: str = answer.json["id"]
        return made

    def test_good_bodies_are_taken_everywhere(self) -> None:
        for method, path in ROUTES:
            kept = self.kept()
            where = filled(path, kept) + "?api-version=2024-10-21"
            body = json.dumps(good(path)).encode() if method == "POST" else b""
            answer = self.send(method, where, body, headers=HEADERS)
            if path == "/v1/responses/<response_id>/cancel":  # it is no background response
                self.assertEqual(answer.status, 400, answer.body)
            elif method == "DELETE" and "models" in path:  # which nobody tuned
                self.assertEqual(answer.status, 403, answer.body)
            else:
                self.assertEqual(answer.status, 200, (method, path, answer.body))

    @many
    @given(st.data())
    def test_nothing_is_answered_with_a_fault_of_the_servers_own(self, data: st.DataObject) -> None:
        method, path = data.draw(st.sampled_from(ROUTES))
        kept = self.kept() if "<" in path else {}
        names = data.draw(st.none() | st.text(min_size=1, max_size=5))
        where = filled(path, kept if names is None else dict.fromkeys(kept, names))
        asked = data.draw(
            st.dictionaries(
                st.sampled_from(QUERIES),
                st.sampled_from(["1", "0", "true", "desc", "2024-10-21", "-1", ""])
                | st.text(max_size=5),
                max_size=3,
            )
        )
        if "deployments" in path:
            asked.setdefault("api-version", "2024-10-21")
        given_headers = data.draw(st.sets(st.sampled_from(sorted(HEADERS))))
        if path.startswith("/v1/messages"):
            given_headers |= {"anthropic-version", "x-api-key"}
        answer = self.send(
            method,
            f"{where}?{urlencode(asked, errors='replace')}",
            data.draw(bodies(path)),
            headers={name: HEADERS[name] for name in given_headers},
        )
        self.assertLess(answer.status, 500, answer.body)
        if answer.status >= 400:
            self.assertIn("error", answer.json)
        self.still_answers()

    def still_answers(self) -> None:
        """Check that the next client gets a good answer, and that nothing was logged as wrong."""
        self.assertEqual(self.flushLoggedErrors(), [])
        answer = self.ask(model="m")
        self.assertEqual(answer.json["choices"][0]["message"]["content"], "hello world")

    def test_other_methods_are_refused_everywhere(self) -> None:
        for method, path in ROUTES:
            where = filled(path, {})
            for other in {"PUT", "PATCH", "DELETE", "GET", "POST"} - methods_of(path):
                answer = self.send(other, where, b"{}")
                if path.startswith("/openai/"):  # where Azure finds nothing
                    self.assertEqual(answer.status, 404, answer.body)
                    continue
                self.assertEqual(answer.status, 405, (method, where, answer.body))
                self.assertEqual(
                    {*(answer.header("allow") or "").split(", ")} - {"HEAD"}, methods_of(path)
                )


def methods_of(path: str) -> set[str]:
    """The methods that a path has, also as another's variable: ``compact`` may be an id."""
    return {method for method, other in ROUTES if _pattern(other).fullmatch(path)}


def _pattern(path: str) -> re.Pattern[str]:
    """What a path with variables stands for."""
    return re.compile(re.sub(r"<path:\w+>", ".+", re.sub(r"<\w+>", "[^/]+", path)))


def filled(path: str, found: dict[str, str]) -> str:
    """A path with its variables filled in."""
    for piece in _variables(path):
        path = path.replace(f"<{piece}>", quote(found.get(piece, "x"), safe="", errors="replace"))
    return path


def _variables(path: str) -> Iterable[str]:
    return [piece.partition(">")[0] for piece in path.split("<")[1:]]
