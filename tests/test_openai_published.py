"""Every answer and event of every endpoint of OpenAI's is what its published schema says.

Where the environment variable FAKELLM_OPENAI_SPEC names a copy of it; which operations there are,
and of which type their answers, is read there.
"""

import json
from collections.abc import Iterator
from typing import Any

from jsonschema import ValidationError

from tests.sdk import published, published_answers
from tests.servers import CHAT, Answer, events_of
from tests.web.endpoints import ROUTES, EndpointTestCase, filled, good

OPENAI = [
    (method, path)
    for method, path in ROUTES
    if path.startswith("/v1/") and not path.startswith("/v1/messages")
]
TUNED = "ft:m:org::1"
"""The one model that can be deleted."""

UNSAID = ("usage", "user")
"""What is ``null`` in responses of the API's own until it is known, which the schema forgot."""


class PublishedTests(EndpointTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve(model=["m", TUNED])

    def ask_all(self) -> Iterator[tuple[str, str, Answer]]:
        """Ask everything that there is to ask."""
        for method, path in OPENAI:
            kept = self.kept()
            if path.endswith("/cancel"):
                kept["response_id"] = self.slow_response()
            if method == "DELETE":
                kept["path:name"] = TUNED
            body = json.dumps(good(path)).encode() if method == "POST" else b""
            answer = self.send(method, filled(path, kept), body)
            self.assertEqual(answer.status, 200, (method, path, answer.body))
            yield method, path, answer

    def slow_response(self) -> str:
        """The id of a response that is made in the background, for a while."""
        self.server.when(user="Take your time").reply("at last", timing={"ttft": "10s"})
        body = {"model": "m", "input": "Take your time", "background": True}
        answer = self.request("POST", "/v1/responses", json.dumps(body).encode())
        made: str = answer.json["id"]
        return made

    def test_every_answer_of_every_operation(self) -> None:
        for method, path, answer in self.ask_all():
            validators = published_answers(method, path)
            told = answer.json
            if not validators:  # whose answer the schema does not tell
                self.assertEqual((method, path), ("DELETE", "/v1/responses/<response_id>"))
                self.assertEqual(told["deleted"], True)
                continue
            if path.endswith("/messages"):
                for message in told["data"]:  # whose only role there is the one answers have
                    self.assertEqual(message["role"], "user")
                    message["role"] = "assistant"
            self.validate(validators["application/json"], told)

    def validate(self, validator: Any, told: Any) -> None:
        try:
            validator.validate(without(told))
        except ValidationError as error:
            raise AssertionError(f"{error.message} at {error.json_path} in {told}") from None

    def stream(self, path: str, **fields: Any) -> list[Any]:
        """The data of a stream's events."""
        body = {**good(path), **fields, "stream": True}
        answer = self.send("POST", path, json.dumps(body).encode())
        self.assertEqual(answer.status, 200, answer.body)
        data = [event.data for event in events_of(answer.body)]
        return [json.loads(each) for each in data if each != "[DONE]"]

    def test_every_event_of_every_stream_whatever_goes_wrong_in_it(self) -> None:
        said = {
            "fine": "no_space",
            "broken": "error 429 after 2 tokens",
            "filtered": "content_filter after 1 token",
            "without a reason": "no_finish_reason",
        }
        for name, fault in said.items():
            self.server.when(user=name).reply("some words to say", faults=[fault])
        for name in said:
            message = {"role": "user", "content": name}
            chat = self.stream(CHAT, messages=[message], stream_options={"include_usage": True})
            text = self.stream("/v1/completions", prompt=name, max_tokens=50)
            responses = self.stream("/v1/responses", input=[{"type": "message", **message}])
            (whole,) = published_answers("POST", "/v1/completions").values()
            for chunk in chat:
                self.validate_chunk(published_answers("POST", CHAT)["text/event-stream"], chunk)
            for chunk in text:
                # a stream is of the same type, but that its chunks have no reason as yet
                for choice in chunk.get("choices", ()):
                    choice["finish_reason"] = choice["finish_reason"] or "stop"
                self.validate_chunk(whole, chunk)
            for event in responses:
                events = published_answers("POST", "/v1/responses")["text/event-stream"]
                self.validate(events, event)
            ends = {"fine": "completed", "broken": "failed"}
            self.assertEqual(responses[-1]["type"], f"response.{ends.get(name, 'incomplete')}")

    def validate_chunk(self, validator: Any, chunk: Any) -> None:
        self.validate(published("ErrorResponse") if "error" in chunk else validator, chunk)


def without(told: Any) -> Any:
    """An answer or an event without what the schema forgot to say may be ``null``."""
    if not isinstance(told, dict):
        return told
    response = told.get("response")
    if isinstance(response, dict):
        return {**told, "response": without(response)}
    if told.get("object") != "response":
        return {name: each for name, each in told.items() if name != "usage" or each is not None}
    return {name: each for name, each in told.items() if each is not None or name not in UNSAID}
