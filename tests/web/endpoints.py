"""Every endpoint and operation there is, and what each takes: for tests of all of them."""

import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import quote

from fakellm.dialects import registry
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


def good(path: str) -> Any:
    """What an endpoint takes; where it takes nothing, an object."""
    for end in sorted(GOOD, key=len, reverse=True):
        if path.endswith(f"/{end}"):
            return json.loads(json.dumps(GOOD[end]))
    return {}


class EndpointTestCase(MemoryTestCase):
    """A server that offers the model ``m``, asked until its answers end."""

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
