"""Whatever a client sends, it gets one clear answer, and the next client gets a good one.

Every error is JSON in the API's shape with a request id, and none is a fault of the server's: no
status of 500 or more, no page of HTML, no traceback, nothing logged as an error. Only what is no
HTTP is refused by Twisted's own parser before any resource is reached: with a bare status of 400,
or, where the head is too long, with the end of the connection. The front of our own words these.
"""

import json
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet import reactor
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, connectProtocol
from twisted.internet.protocol import Protocol, connectionDone
from twisted.python.failure import Failure

from fakellm.web import site
from tests.dialects.openai.answering import chunks_of, reassembled
from tests.dialects.openai.requests import anything, nearly_valid_requests, valid_requests
from tests.fronts import FastFront, TwistedFront
from tests.servers import CHAT, HELLO, Answer, LiveTestCase, MemoryTestCase, asking

few = settings(deadline=None, derandomize=True, max_examples=100, database=None)

GOOD = json.dumps(HELLO).encode()
USER: dict[str, Any] = HELLO["messages"][0]
CALL = {"id": "call_1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
F = {"type": "function", "function": {"name": "f"}}
LIMIT = 1000
"""Bytes that a body may have, where the limit is tested."""


def said(*messages: Any) -> bytes:
    return body(messages=list(messages))


def body(**fields: Any) -> bytes:
    return json.dumps(asking(**fields)).encode()


MISTAKES: dict[str, tuple[bytes, str | None, str | None, str]] = {
    "no body": (b"", None, None, "could not parse the JSON body"),
    "not JSON": (b"model=m&messages=x", None, None, "could not parse the JSON body"),
    "half of it": (GOOD[:-1], None, None, "could not parse the JSON body"),
    "twice": (GOOD * 2, None, None, "could not parse the JSON body"),
    "NaN": (b'{"temperature":NaN}', None, None, "could not parse the JSON body"),
    "a byte order mark": (b"\xef\xbb\xbf" + GOOD, None, None, "could not parse the JSON body"),
    "UTF-16": (GOOD.decode().encode("utf-16"), None, None, "could not parse the JSON body"),
    "Latin-1": (b'{"\xfc":1,' + GOOD[1:], None, None, "could not parse the JSON body"),
    "nested without end": (b"[" * 100_000, None, None, "could not parse the JSON body"),
    "an array": (b"[" + GOOD + b"]", None, "invalid_type", "expected an object, but got an array"),
    "null": (b"null", None, "invalid_type", "expected an object, but got null"),
    "empty": (b"{}", "messages", "missing_required_parameter", "'messages'"),
    "no model": (
        b'{"messages":[{"role":"user","content":"x"}]}',
        "model",
        "missing_required_parameter",
        "Missing required parameter: 'model'.",
    ),
    "no messages": (
        b'{"model":"m"}',
        "messages",
        "missing_required_parameter",
        "Missing required parameter: 'messages'.",
    ),
    "an empty list": (said(), "messages", "empty_array", "Invalid 'messages': empty array."),
    "messages are no list": (body(messages="Hi"), "messages", "invalid_type", "got a string"),
    "a message is no object": (said("Hi"), "messages[0]", "invalid_type", "got a string"),
    "no role": (
        said({"content": "Hi"}),
        "messages[0].role",
        "missing_required_parameter",
        "'messages[0].role'",
    ),
    "an unknown role": (
        said(USER, {"role": "emperor", "content": "Hi"}),
        "messages[1].role",
        "invalid_value",
        "Invalid value: 'emperor'. Supported values are: 'assistant',",
    ),
    "no content": (
        said({"role": "user"}),
        "messages[0].content",
        "missing_required_parameter",
        "'messages[0].content'",
    ),
    "an unknown part": (
        said({"role": "user", "content": [{"type": "video"}]}),
        "messages[0].content[0].type",
        "invalid_value",
        "Invalid value: 'video'.",
    ),
    "an assistant says nothing": (
        said(USER, {"role": "assistant"}),
        "messages[1].content",
        None,
        "expected a string, got null",
    ),
    "a number for a string": (body(model=5), "model", "invalid_type", "expected a string"),
    "a string for a boolean": (body(stream="yes"), "stream", "invalid_type", "'stream'"),
    "a string for a number": (body(n="2"), "n", "invalid_type", "'n'"),
    "cold": (body(temperature=-0.1), "temperature", "decimal_below_min_value", ">= 0"),
    "hot": (body(temperature=2.1), "temperature", "decimal_above_max_value", "<= 2"),
    "infinitely hot": (
        GOOD[:-1] + b',"temperature":1e999}',
        "temperature",
        "invalid_value",
        "out of range",
    ),
    "n of 0": (body(n=0), "n", "integer_below_min_value", ">= 1, but got 0"),
    "n of 129": (body(n=129), "n", "integer_above_max_value", "<= 128, but got 129"),
    "n of many digits": (
        GOOD[:-1] + b',"n":' + b"9" * 5000 + b"}",
        "n",
        "invalid_value",
        "out of range",
    ),
    "too many alternatives": (
        body(logprobs=True, top_logprobs=21),
        "top_logprobs",
        "integer_above_max_value",
        "<= 20",
    ),
    "alternatives to nothing": (body(top_logprobs=2), "top_logprobs", None, "'logprobs'"),
    "five stops": (body(stop=list("abcde")), "stop", "array_above_max_length", "length 4"),
    "no tokens": (body(max_tokens=0), "max_tokens", "integer_below_min_value", ">= 1"),
    "two bounds": (
        body(max_tokens=1, max_completion_tokens=1),
        "max_tokens",
        "invalid_parameter_combination",
        "at the same time",
    ),
    "a bias too strong": (
        body(logit_bias={"5": 101}),
        "logit_bias.5",
        "integer_above_max_value",
        "<= 100",
    ),
    "metadata of numbers": (body(metadata={"a": 1}), "metadata.a", "invalid_type", "a string"),
    "stream options without a stream": (
        body(stream_options={"include_usage": True}),
        "stream_options",
        None,
        "only allowed when 'stream' is enabled",
    ),
    "a result of no call": (
        said(USER, {"role": "tool", "tool_call_id": "call_1", "content": "1"}),
        "messages[1].role",
        None,
        "must be a response to a preceding message with 'tool_calls'",
    ),
    "a call without a result": (
        said(USER, {"role": "assistant", "tool_calls": [CALL]}, USER),
        "messages[1].tool_calls",
        None,
        "did not have response messages: call_1",
    ),
    "a tool without a name": (
        body(tools=[{"type": "function", "function": {}}]),
        "tools[0].function.name",
        "missing_required_parameter",
        "'tools[0].function.name'",
    ),
    "a tool with a bad name": (
        body(tools=[{"type": "function", "function": {"name": "get weather"}}]),
        "tools[0].function.name",
        "invalid_value",
        "does not match pattern",
    ),
    "a choice of no tools": (body(tool_choice="required"), "tool_choice", None, "'tools'"),
    "a choice of a tool that is not there": (
        body(tools=[F], tool_choice={"type": "function", "function": {"name": "g"}}),
        "tool_choice",
        None,
        "no function named 'g'",
    ),
    "speech without a voice": (
        body(modalities=["text", "audio"]),
        "audio",
        "missing_required_parameter",
        "'audio'",
    ),
    "a schema no value can meet": (
        body(
            response_format={
                "type": "json_schema",
                "json_schema": {"name": "s", "schema": {"type": "nonesuch"}},
            }
        ),
        "response_format.json_schema.schema",
        "invalid_schema",
        "Invalid schema for response_format",
    ),
    "a tool's schema no value can meet": (
        body(
            tools=[
                {"type": "function", "function": {"name": "f", "parameters": {"type": "array"}}}
            ],
            tool_choice="required",
        ),
        "tools",
        "invalid_function_parameters",
        "Invalid schema for function 'f'",
    ),
}
"""By what is wrong: a body; ``param``, ``code`` and a piece of the message of the answer."""


class BadRequestTestCase(MemoryTestCase):
    def tearDown(self) -> None:
        self.assertEqual(self.flushLoggedErrors(), [])

    def assert_answered(self, answer: Answer) -> dict[str, Any] | None:
        """Check what is so of every answer; the error, if it is one."""
        self.assertLess(answer.status, 500, answer.body)
        self.assertRegex(answer.header("x-request-id") or "", r"^req_[0-9a-f]{32}$")
        if answer.status == 200:
            return None
        self.assertEqual(answer.header("content-type"), "application/json")
        self.assertEqual(list(answer.json), ["error"])
        error: dict[str, Any] = answer.json["error"]
        self.assertEqual(list(error), ["message", "type", "param", "code"])
        self.assertIsInstance(error["type"], str)
        self.assertTrue(0 < len(error["message"]) < 2000)
        self.assertNotIn("Traceback", error["message"])
        for name in ("param", "code"):
            self.assertIsInstance(error[name], str | None)
        return error

    def assert_refused(self, answer: Answer, status: int, **expected: Any) -> dict[str, Any]:
        """Check an error's status and fields, and that the server is as good as before."""
        error = self.assert_answered(answer)
        assert error is not None, answer.body
        self.assertEqual(answer.status, status, answer.body)
        self.assertEqual({name: error[name] for name in expected}, expected)
        return error

    def assert_well(self) -> None:
        """Check that a good request gets a good answer."""
        key = {"Authorization": "Bearer sk-right"}
        self.assertEqual(self.request("POST", CHAT, GOOD, headers=key).status, 200)

    def post(self, body: bytes, **more: Any) -> Answer:
        return self.request("POST", CHAT, body, **more)


class BodiesTests(BadRequestTestCase):
    def test_a_mistake_is_told_by_its_place_and_in_words(self) -> None:
        for name, (sent, param, code, piece) in MISTAKES.items():
            with self.subTest(name):
                error = self.assert_refused(
                    self.post(sent), 400, type="invalid_request_error", param=param, code=code
                )
                self.assertIn(piece, error["message"])
                self.assert_well()

    def test_a_stream_that_cannot_be_is_refused_in_the_same_words(self) -> None:
        mistakes: list[dict[str, Any]] = [{"n": 0}, {"messages": []}, {"stop": 5}]
        for fields in mistakes:
            whole, streamed = self.ask(**fields), self.ask(**fields, stream=True)
            self.assertEqual(whole.body, streamed.body)
            self.assert_refused(streamed, 400)

    def test_unknown_arguments_are_refused_only_where_that_is_asked_for(self) -> None:
        self.assertEqual(self.ask(temprature=1).status, 200)
        self.serve(strict_requests=True)
        error = self.assert_refused(
            self.ask(temprature=1), 400, param="temprature", code="unknown_parameter"
        )
        self.assertEqual(error["message"], "Unknown parameter: 'temprature'.")

    def test_schemas_nested_deep_are_answered_or_refused(self) -> None:
        for depth in (10, 100, 300, 900, 1100, 50_000):
            for opening, closing in [('{"properties":{"x":', "}}"), ('{"items":', "}")]:
                schema = opening * depth + "{}" + closing * depth
                form = f'"json_schema","json_schema":{{"name":"s","schema":{schema}}}'
                function = f'"function","function":{{"name":"f","parameters":{schema}}}'
                for fields in [
                    f'"response_format":{{"type":{form}}}',
                    f'"tool_choice":"required","tools":[{{"type":{function}}}]',
                ]:
                    answer = self.post(GOOD[:-1] + f",{fields}}}".encode())
                    error = self.assert_answered(answer)
                    self.assertEqual(error is None, answer.status == 200)


class KeysTests(BadRequestTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.serve(api_key=["sk-right", "sk-ünïcode"])

    def test_without_a_key_nobody_is_let_in(self) -> None:
        for header in [None, "", "Bearer", "Bearer ", "sk-right", "Basic c2stcmlnaHQ="]:
            headers = {} if header is None else {"Authorization": header}
            for method, path, sent in [
                ("POST", CHAT, GOOD),
                ("POST", CHAT, b"{"),
                ("GET", "/v1/models", b""),
                ("GET", "/v1/models/x", b""),
            ]:
                answer = self.request(method, path, sent, headers=headers)
                error = self.assert_refused(
                    answer, 401, type="invalid_request_error", param=None, code=None
                )
                self.assertIn("You didn't provide an API key.", error["message"])
                self.assertEqual(answer.header("www-authenticate"), "Bearer")

    def test_a_wrong_key_is_not_repeated(self) -> None:
        for key in [b"sk-wrong-and-rather-long", b"sk-righ", b"sk-right2", b"SK-RIGHT", b"\xff\xfe",
                    b"k" * 10_000]:  # fmt: skip
            answer = self.post(GOOD, headers={"Authorization": b"Bearer " + key})
            error = self.assert_refused(answer, 401, code="invalid_api_key")
            self.assertIn("Incorrect API key provided: ", error["message"])
            self.assertNotIn(key.decode("utf-8", "replace"), error["message"])

    def test_right_keys(self) -> None:
        for key in ["sk-right", "sk-ünïcode"]:
            answer = self.post(GOOD, headers={"Authorization": f"bearer {key}".encode()})
            self.assertEqual(answer.status, 200)

    def test_paths_that_are_nobodys_need_no_key(self) -> None:
        self.assert_refused(self.request("GET", "/nonesuch"), 404)
        self.assertEqual(self.request("GET", "/health").status, 200)


class RoutesTests(BadRequestTestCase):
    def test_unknown_paths(self) -> None:
        for path in ["/nonesuch", "/v1", "/v1/", "/v1/nonesuch", "/v1/chat", "/index.html",
                     "/v1/chat/completions/", "/v1//chat/completions", "/v1/models/", "/..",
                     "/v1/../health", "/%", "/%zz", "/health%00", "/favicon.ico", "/HEALTH",
                     "/%0d%0aSet-Cookie:%20a"]:  # fmt: skip
            with self.subTest(path):
                error = self.assert_refused(
                    self.request("POST", path, GOOD),
                    404,
                    type="invalid_request_error",
                    param=None,
                    code=None,
                )
                self.assertIn("Invalid URL (POST /", error["message"])
        self.assert_well()

    def test_wrong_methods_are_told_the_right_ones(self) -> None:
        for path, allowed, methods in [
            ("/v1/embeddings", "POST", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "TRACE", "BREW"]),
            (CHAT, "GET, HEAD, POST", ["PUT", "PATCH", "DELETE", "TRACE", "BREW"]),
            ("/v1/models", "GET, HEAD", ["POST", "PUT", "DELETE", "BREW"]),
            ("/v1/models/fake-model", "DELETE, GET, HEAD", ["POST", "PUT"]),
            ("/health", "GET, HEAD", ["POST", "DELETE"]),
            ("/", "GET, HEAD", ["POST"]),
        ]:
            for method in methods:
                with self.subTest(path, method=method):
                    answer = self.request(method, path, b"")
                    self.assertEqual(answer.status, 405)
                    self.assertEqual(answer.header("allow"), allowed)
                    self.assertRegex(answer.header("x-request-id") or "", "^req_")
                    if method == "HEAD":
                        self.assertEqual(answer.body, b"")
                    else:
                        error = self.assert_refused(answer, 405, code="method_not_supported")
                        self.assertIn(f"Not allowed to {method} on {path}.", error["message"])

    def test_models_that_are_not_on_offer(self) -> None:
        for name, shown in {
            "nonesuch": "nonesuch", "a/b": "a/b", "a%2Fb": "a/b", "%zz": "%zz", "%00": "\0",
            "%C3%BC": "ü", "m" * 5000: "m" * 100 + "...",
        }.items():  # fmt: skip
            error = self.assert_refused(
                self.request("GET", f"/v1/models/{name}"),
                404,
                code="model_not_found",
                param="model",
            )
            self.assertEqual(error["message"], f"The model '{shown}' does not exist")

    def test_paths_that_are_no_text(self) -> None:
        for path in ["/%ff", "/v1/models/%ff", "/v1/models/%ed%a0%80", "/v1/chat%fe/completions"]:
            self.assert_refused(
                self.request("POST", path, GOOD), 400, type="invalid_request_error", param=None
            )
        self.assert_well()

    def test_queries_do_not_matter(self) -> None:
        for query in ["?", "?a=%ff&b&=&%zz=1", "?" + "a=1&" * 1000]:
            self.assertEqual(self.request("POST", CHAT + query, GOOD).status, 200)


class AnythingTests(BadRequestTestCase):
    def answered(self, sent: bytes) -> Answer:
        """The whole answer to a body."""
        answer = self.post(sent)
        while not answer.ended.called:  # long ones give the reactor turns
            self.clock.advance(0)
            self.flush()
        return answer

    @few
    @given(anything)
    def test_any_json_is_answered_or_refused(self, sent: Any) -> None:
        self.assert_answered(self.answered(json.dumps(sent).encode()))

    @few
    @given(st.binary(max_size=99))
    def test_any_bytes_are_answered_or_refused(self, sent: bytes) -> None:
        self.assert_answered(self.answered(sent))

    @few
    @given(nearly_valid_requests())
    def test_a_nearly_valid_request_is_answered_or_refused(self, sent: Any) -> None:
        self.assert_answered(self.answered(json.dumps(sent).encode()))

    @few
    @given(valid_requests())
    def test_a_valid_request_is_answered_alike_streamed_and_whole(
        self, request: dict[str, Any]
    ) -> None:
        whole = self.answered(json.dumps(request).encode())
        options = {"include_usage": True}
        streamed = self.answered(
            json.dumps({**request, "stream": True, "stream_options": options}).encode()
        )
        for answer in (whole, streamed):
            self.assertIs(self.assert_answered(answer), None, answer.body)
        self.assertEqual(
            _compared(reassembled(chunks_of(streamed.body))), _compared(json.loads(whole.body))
        )


def _compared(whole: dict[str, Any]) -> dict[str, Any]:
    """An answer without ids, and without what no chunk has."""
    for name in ("id", "object", "metadata"):
        whole.pop(name, None)
    for choice in whole["choices"]:
        choice["message"].pop("annotations", None)
        for each in [*choice["message"].get("tool_calls", []), choice["message"].get("audio", {})]:
            each.pop("id", None)
    return whole


class Raw(Protocol):
    """Sends bytes as they are, and gathers what comes until the connection is closed."""

    def __init__(self) -> None:
        self.received = b""
        self.closed: Deferred[bytes] = Deferred()

    def dataReceived(self, data: bytes) -> None:
        self.received += data

    def connectionLost(self, reason: Failure = connectionDone) -> None:  # noqa: ARG002 -- IProtocol's
        self.closed.callback(self.received)


HEAD = b"Host: fakellm.example\r\nConnection: close\r\n"
WITH_GOOD = HEAD + b"Content-Length: %d\r\n\r\n" % len(GOOD) + GOOD
POST = b"POST /v1/chat/completions HTTP/1.1\r\n"
GET = b"GET /health HTTP/1.1\r\n"


def chunked(*chunks: bytes) -> bytes:
    parts = [b"%x\r\n%b\r\n" % (len(chunk), chunk) for chunk in chunks]
    return HEAD + b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(parts) + b"0\r\n\r\n"


class WireTests(TwistedFront, LiveTestCase):
    """What HTTP clients cannot be made to send, over a socket."""

    timeout = 30

    def setUp(self) -> None:
        super().setUp()
        self.port = int(self.serve(max_body=LIMIT).rpartition(":")[2])

    def tearDown(self) -> None:
        self.assertEqual(self.flushLoggedErrors(), [])

    async def send(self, data: bytes) -> Raw:
        endpoint = TCP4ClientEndpoint(reactor, "127.0.0.1", self.port)
        raw: Raw = await connectProtocol(endpoint, Raw())
        assert raw.transport is not None
        raw.transport.write(data)
        return raw

    async def assert_status(self, status: int, data: bytes) -> bytes:
        """Check an answer's status, and, if it is an error, its shape; its body."""
        answer = await (await self.send(data)).closed
        head, _, body = answer.partition(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").split("\r\n")
        self.assertEqual(first.split(" ")[:2], ["HTTP/1.1", str(status)], (data[:80], answer))
        headers = dict(line.lower().split(": ", 1) for line in lines)
        self.assertEqual(headers["content-type"], "application/json")
        self.assertEqual(headers["content-length"], str(len(body)))
        self.assertRegex(headers["x-request-id"], r"^req_[0-9a-f]{32}$")
        if status != 200:
            self.assertEqual(list(json.loads(body)["error"]), ["message", "type", "param", "code"])
        return body

    async def assert_no_http(self, *data: bytes, answer: bytes) -> None:
        """Check that Twisted's own parser refuses, and that the server is as good as before."""
        for sent in data:
            self.assertEqual(await (await self.send(sent)).closed, answer, sent[:80])
        await self.assert_status(200, POST + WITH_GOOD)

    async def test_a_good_request(self) -> None:
        for sent in [
            POST + WITH_GOOD,
            POST + chunked(GOOD),
            POST + chunked(*[bytes([byte]) for byte in GOOD]),
            POST + b'Content-Type: \xff;charset="\r\n' + WITH_GOOD,
            POST + b"Authorization: Bearer \xff\r\n" + WITH_GOOD,
        ]:
            self.assertIn(b"hello world", await self.assert_status(200, sent))

    async def test_what_a_body_is_said_to_be_does_not_matter(self) -> None:
        for kind in [
            b"", b"text/plain", b"application/x-www-form-urlencoded", b"multipart/form-data", b'"',
        ]:  # fmt: skip
            for charset in [b"", b"; charset=utf-16", b'; charset="', b"; boundary=\xff"]:
                sent = b"Content-Type: " + kind + charset + b"\r\n"
                await self.assert_status(200, POST + sent + WITH_GOOD)

    async def test_bodies_over_the_limit(self) -> None:
        size = LIMIT + 1
        for sent in [
            POST + HEAD + b"Content-Length: %d\r\n\r\n" % size + b"x" * size,
            POST + chunked(b"x" * size),
            POST + chunked(*[b"x"] * size),
            POST + chunked(*[b"x" * 64 * 1024] * 50),
        ]:
            error = json.loads(await self.assert_status(413, sent))["error"]
            self.assertEqual((error["param"], error["code"]), (None, "request_too_large"))
            self.assertIn(f"limit of {LIMIT} bytes", error["message"])
        await self.assert_status(200, POST + WITH_GOOD)

    async def test_bodies_without_end_are_broken_off(self) -> None:
        self.patch(site, "DRAINED_AT_MOST", 10_000)
        self.port = int(self.serve(max_body=LIMIT).rpartition(":")[2])
        for sent in [
            HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * 20_000,
            chunked(*[b"x" * 1000] * 20)[:-5],
        ]:
            raw = await self.send(POST + sent)
            self.assertEqual(await raw.closed, b"")
        await self.assert_status(200, POST + WITH_GOOD)

    async def test_bodies_as_long_as_the_limit(self) -> None:
        full = GOOD.ljust(LIMIT)
        await self.assert_status(200, POST + HEAD + b"Content-Length: %d\r\n\r\n" % LIMIT + full)
        await self.assert_status(200, POST + chunked(full[:500], full[500:]))

    async def test_no_body_at_all(self) -> None:
        await self.assert_status(400, POST + HEAD + b"\r\n")
        await self.assert_status(400, POST + HEAD + b"Content-Length: 0\r\n\r\n")
        await self.assert_status(400, POST + chunked())

    async def test_targets_in_absolute_form(self) -> None:
        for target, status in [
            (b"http://fakellm.example/v1/chat/completions", 200),
            (b"HTTPS://fakellm.example:8443/v1/chat/completions?x=http://y/", 200),
            (b"http://other.example/nonesuch", 404),
            (b"http://fakellm.example", 405),
            (b"ftp://fakellm.example/v1/chat/completions", 404),
        ]:
            await self.assert_status(status, b"POST %b HTTP/1.1\r\n" % target + WITH_GOOD)
        for target in [
            b"http://h",
            b"http://h/",
            b"http://h?x",
            b"http://h/health",
            b"http:///health",
        ]:
            await self.assert_status(200, b"GET %b HTTP/1.1\r\n" % target + HEAD + b"\r\n")

    async def test_targets_in_other_forms(self) -> None:
        for method, target, status in [
            (b"CONNECT", b"fakellm.example:443", 404),
            (b"POST", b"v1/chat/completions", 404),
            (b"POST", b"//v1//chat//completions", 404),
            (b"GET", b"?", 200),
            (b"GET", b"/v1/models/%ff", 400),
            (b"PATCH", b"/v1/chat/completions", 405),
            (b"get", b"/health", 200),
        ]:
            await self.assert_status(
                status, b"%b %b HTTP/1.1\r\n" % (method, target) + HEAD + b"\r\n"
            )

    async def test_the_asterisk_is_answered_by_twisted(self) -> None:
        """``*`` is not a path, so no resource is asked."""
        raw = await self.send(b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"\r\n")
        self.assertTrue((await raw.closed).startswith(b"HTTP/1.1 200 OK\r\n"))
        raw = await self.send(b"GET * HTTP/1.1\r\n" + HEAD + b"\r\n")
        answer = await raw.closed
        self.assertTrue(answer.startswith(b"HTTP/1.1 405 Method Not Allowed\r\n"), answer)
        self.assertIn(b"\r\nAllow: OPTIONS\r\n", answer)

    async def test_hosts_do_not_matter(self) -> None:
        for host in [b"", b" ", b"[::1]:80", b"[::1", b"a:b:c", b"x:99999999", b"x:-1", b"\xc3\xbc",
                     b"a b", b"/", b"x@y", b"%zz", b"h:"]:  # fmt: skip
            await self.assert_status(200, GET + b"Connection: close\r\nHost: " + host + b"\r\n\r\n")
        await self.assert_status(200, GET + b"Connection: close\r\n\r\n")
        await self.assert_status(200, GET + b"Host: other.example\r\n" + HEAD + b"\r\n")

    async def test_hosts_that_are_no_names(self) -> None:
        for host in [b"\xff", b"xn--\x80", b"h" * 5000]:
            sent = GET + b"Connection: close\r\nHost: " + host + b"\r\n\r\n"
            await self.assert_status(400, sent)

    async def test_what_is_no_http(self) -> None:
        await self.assert_no_http(
            b"hello\r\n\r\n",
            b"\0\1\2\3\r\n\r\n",
            b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03\r\n\r\n",  # the hello of TLS
            b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",  # that of HTTP/2
            b"GET /health\r\n\r\n",
            b"GET /health HTTP/9.9\r\n" + HEAD + b"\r\n",
            b"GET /v1/models/\xc3\xbc HTTP/1.1\r\n" + HEAD + b"\r\n",
            b"P\xffST /v1/chat/completions HTTP/1.1\r\n" + WITH_GOOD,
            GET + b"no colon\r\n" + HEAD + b"\r\n",
            GET + b"X : y\r\n" + HEAD + b"\r\n",
            GET + b"X: \0\r\n" + HEAD + b"\r\n",
            GET + b"X: y\r\n" * 1000 + HEAD + b"\r\n",
            GET + (b"X: " + b"y" * 1000 + b"\r\n") * 100 + HEAD + b"\r\n",
            POST + HEAD + b"Content-Length: x\r\n\r\n",
            POST + HEAD + b"Content-Length: -1\r\n\r\n",
            POST + HEAD + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nxx",
            POST + HEAD + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
            POST + HEAD + b"Transfer-Encoding: gzip\r\n\r\n",
            POST + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nxx\r\n",
            answer=b"HTTP/1.1 400 Bad Request\r\n\r\n",
        )  # fmt: skip

    async def test_heads_that_are_too_long(self) -> None:
        await self.assert_no_http(
            b"GET /" + b"x" * 20_000 + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
            GET + b"X: " + b"y" * 20_000 + b"\r\n" + HEAD + b"\r\n",
            answer=b"",
        )

    async def test_clients_that_leave_in_the_middle(self) -> None:
        for begun in [
            b"",
            b"PO",
            POST,
            POST + HEAD,
            POST + HEAD + b"Content-Length: 1000\r\n\r\n",
            POST + HEAD + b"Content-Length: 1000\r\n\r\n" + GOOD[:9],
            POST + HEAD + b"Content-Length: 99999999999999999999\r\n\r\n" + GOOD[:9],
            POST + HEAD + b"Transfer-Encoding: chunked\r\n\r\n5\r\n" + GOOD[:2],
        ]:
            raw = await self.send(begun)
            assert raw.transport is not None
            raw.transport.loseConnection()
            self.assertEqual(await raw.closed, b"")
        await self.assert_status(200, POST + WITH_GOOD)


class FastWireTests(FastFront, WireTests):
    """The same over the front of our own, which words what Twisted refuses without a word."""

    async def assert_no_http(self, *data: bytes, answer: bytes) -> None:
        """Check that it is refused like any other request, and the connection closed."""
        for sent in data:
            raw = await self.send(sent)
            received = await raw.closed
            status = int(received[9:12])
            self.assertIn(status, (400, 431) if answer else (414, 431), sent[:80])
            self.assertIn(b"\r\nConnection: close\r\n", received)
            self.assertIn(b"\r\nAccess-Control-Allow-Origin: *\r\n", received)
            await self.assert_status(status, sent)
        await self.assert_status(200, POST + WITH_GOOD)
