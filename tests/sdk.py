"""The vendor's own SDK against a live server, and strict checks of the bodies it is sent.

`SdkTestCase` asks with `openai.OpenAI`; mix in `AsyncSdk` and the same tests ask with
`openai.AsyncOpenAI`. Either runs in a thread, as the reactor has to answer meanwhile.
"""

import asyncio
import json
import os
import re
from collections.abc import Awaitable, Callable
from functools import cache
from operator import attrgetter
from pathlib import Path
from typing import Any

import openai
from jsonschema import Draft202012Validator
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThread
from twisted.trial.unittest import SkipTest

from tests.servers import LiveTestCase, asking
from tests.undeclared import undeclared

SPEC = "FAKELLM_OPENAI_SPEC"
"""The environment variable that names a copy of OpenAI's published schema, as JSON."""


class SdkTestCase(LiveTestCase):
    """Tests against a live server by the SDK.

    Attributes:
        options: the client's options, with no retries unless the test wants them.
        sent: the HTTP requests that the SDK really made.
        waits: seconds that the SDK wanted to sleep before a retry, and did not.
    """

    def setUp(self) -> None:
        super().setUp()
        self.options: dict[str, Any] = {"api_key": "sk-any", "max_retries": 0}
        self.sent: list[Any] = []
        self.waits: list[float] = []

    def serve(self, **settings: Any) -> str:
        """Start the server that the SDK asks; without it, one with default settings is started."""
        url = super().serve(**settings)
        self.options["base_url"] = f"{url}/v1"
        return url

    def call(self, method: str, *args: Any, **fields: Any) -> Deferred[Any]:
        """Call a method by its dotted name, such as ``models.list``."""
        return self.run_with(lambda client: attrgetter(method)(client)(*args, **fields))

    def create(self, **fields: Any) -> Deferred[Any]:
        """Ask for a completion: `asking` with these fields."""
        return self.call("chat.completions.create", **asking(**fields))

    def parse(self, **fields: Any) -> Deferred[Any]:
        """Ask for a completion that is parsed into the types asked for."""
        return self.call("chat.completions.parse", **asking(**fields))

    def chunks(self, **fields: Any) -> Deferred[list[ChatCompletionChunk]]:
        """Ask for a stream of chunks."""
        wanted = asking(stream=True, **fields)
        return self.run_with(lambda client: list(client.chat.completions.create(**wanted)))

    def events(self, **fields: Any) -> Deferred[tuple[list[Any], Any]]:
        """Ask by the SDK's streaming helper: its events, and the completion it puts together."""

        def use(client: Any) -> tuple[list[Any], Any]:
            with client.chat.completions.stream(**asking(**fields)) as stream:
                return list(stream), stream.get_final_completion()

        return self.run_with(use)

    def run_with(self, use: Callable[[Any], Any]) -> Deferred[Any]:
        """Use a client in a thread."""
        case = self

        class Client(openai.OpenAI):
            def _sleep_for_retry(self, **asked: Any) -> None:
                case.waits.append(_wait(self, **asked))

        def work() -> Any:
            http = openai.DefaultHttpxClient(
                trust_env=False,  # no proxy of this machine
                verify=False,  # reading certificates takes longer than most tests
                event_hooks={"request": [self.sent.append]},
            )
            with Client(http_client=http, **self.options) as client:
                return use(client)

        return self._in_thread(work)

    def _in_thread(self, work: Callable[[], Any]) -> Deferred[Any]:
        if "base_url" not in self.options:
            self.serve()
        return deferToThread(work)


class AsyncSdk(SdkTestCase):
    """Mixed in first: the same tests by the async client."""

    def call(self, method: str, *args: Any, **fields: Any) -> Deferred[Any]:
        async def use(client: Any) -> Any:
            return await attrgetter(method)(client)(*args, **fields)

        return self.run_with(use)

    def chunks(self, **fields: Any) -> Deferred[list[ChatCompletionChunk]]:
        async def use(client: Any) -> list[ChatCompletionChunk]:
            stream = await client.chat.completions.create(**asking(stream=True, **fields))
            return [chunk async for chunk in stream]

        return self.run_with(use)

    def events(self, **fields: Any) -> Deferred[tuple[list[Any], Any]]:
        async def use(client: Any) -> tuple[list[Any], Any]:
            async with client.chat.completions.stream(**asking(**fields)) as stream:
                return [event async for event in stream], await stream.get_final_completion()

        return self.run_with(use)

    def run_with(self, use: Callable[[Any], Awaitable[Any]]) -> Deferred[Any]:
        case = self

        class Client(openai.AsyncOpenAI):
            async def _sleep_for_retry(self, **asked: Any) -> None:
                case.waits.append(_wait(self, **asked))

        async def note(request: Any) -> None:
            self.sent.append(request)

        async def work() -> Any:
            http = openai.DefaultAsyncHttpxClient(
                trust_env=False, verify=False, event_hooks={"request": [note]}
            )
            async with Client(http_client=http, **self.options) as client:
                return await use(client)

        return self._in_thread(lambda: asyncio.run(work()))


def _wait(client: Any, *, retries_taken: int, max_retries: int, options: Any, response: Any) -> Any:
    headers = None if response is None else response.headers
    return client._calculate_retry_timeout(max_retries - retries_taken, options, headers)


def completion(body: bytes) -> ChatCompletion:
    """The completion in a body that is exactly what the SDK's type declares."""
    found = ChatCompletion.model_validate_json(body, strict=True)
    assert not [*undeclared(found)], [*undeclared(found)]
    return found


def chunk(data: str) -> ChatCompletionChunk:
    """The chunk in an event's data that is exactly what the SDK's type declares."""
    found = ChatCompletionChunk.model_validate_json(declared(data), strict=True)
    assert not [*undeclared(found)], [*undeclared(found)]
    return found


def declared(data: str) -> str:
    """A chunk without what the published API has and its own types and schema forgot.

    That is one thing: a call of a custom tool in a stream, of which they know the index and the id
    only. It is checked here: ``type`` is ``custom``, and ``custom`` has ``name`` and ``input``, as
    in an answer that is not streamed.
    """
    value = json.loads(data)
    for choice in value["choices"]:
        for call in choice["delta"].get("tool_calls", ()):
            if "custom" in call:
                assert call.pop("custom").keys() <= {"name", "input"}
                assert call.pop("type", "custom") == "custom"
    return json.dumps(value)


@cache
def _published() -> Any:
    """OpenAI's published API.

    Raises:
        SkipTest: no copy of it is at hand.
    """
    if SPEC not in os.environ:
        raise SkipTest(f"{SPEC} names no copy of OpenAI's published schema (openapi.json)")
    return _translated(json.loads(Path(os.environ[SPEC]).read_bytes()))


def published(name: str) -> Draft202012Validator:
    """The validator of a type in OpenAI's published schema.

    Raises:
        SkipTest: no copy of it is at hand.
    """
    schemas = _published()["components"]["schemas"]
    return Draft202012Validator(
        {"$ref": f"#/components/schemas/{name}", "components": {"schemas": schemas}}
    )


def published_answers(method: str, path: str) -> dict[str, Draft202012Validator]:
    """The validators of an operation's good answers, by media type; the names in paths are free.

    Raises:
        KeyError: there is no such operation.
        SkipTest: no copy of the schema is at hand.
    """
    paths = {_nameless(each): given for each, given in _published()["paths"].items()}
    answer = paths[_nameless(path.removeprefix("/v1"))][method.lower()]["responses"]["200"]
    return {
        media: published(given["schema"]["$ref"].rpartition("/")[2])
        for media, given in answer.get("content", {}).items()
    }


def _nameless(path: str) -> str:
    return re.sub(r"[<{][^>}]*[>}]", "{}", path)


def _translated(schema: Any) -> Any:
    """OpenAPI's ``nullable``, which JSON schema does not know, in its own words."""
    if isinstance(schema, list):
        return [_translated(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    words = {name: _translated(each) for name, each in schema.items()}
    if words.get("nullable") is not True:
        return words
    del words["nullable"]
    return {"anyOf": [words, {"type": "null"}]}
