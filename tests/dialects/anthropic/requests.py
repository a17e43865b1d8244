"""Messages requests for tests: by hand, and any there are (hypothesis)."""

import json
from typing import Any

from hypothesis import strategies as st

from fakellm.dialects.anthropic.decode import decode_messages_request
from fakellm.dialects.anthropic.request import Countable, MessagesRequest
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure, Refused
from tests.dialects.spoiled import spoiled

HELLO: dict[str, Any] = {
    "model": "m",
    "max_tokens": 1000,
    "messages": [{"role": "user", "content": "Say something"}],
}
VERSION = {"anthropic-version": "2023-06-01"}

Strategy = st.SearchStrategy[Any]


def received(
    body: bytes | dict[str, Any] = b"",
    *,
    method: str = "POST",
    path: str = "/v1/messages",
    headers: dict[str, str] | None = None,
    query: dict[str, str] | None = None,
) -> Received:
    """A request with this body, and with a version unless it has headers of its own."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    headers = VERSION if headers is None else headers
    return Received(method=method, path=path, body=body, headers=headers, query=query or {})


def decoded(
    asked: Received, record: type[Countable] = MessagesRequest, *, strict: bool = False
) -> Prompt:
    return decode_messages_request(asked, record, dialect="anthropic", strict=strict)


def prompt_of(*, strict: bool = False, **fields: Any) -> Prompt:
    """What `HELLO` with other or further fields asks."""
    return decoded(received({**HELLO, **fields}), strict=strict)


def refusal_of(
    asked: bytes | dict[str, Any] | Received,
    record: type[Countable] = MessagesRequest,
    *,
    strict: bool = False,
) -> Failure | None:
    """Why a request is refused, if it is."""
    try:
        asked = asked if isinstance(asked, Received) else received(asked)
        decoded(asked, record, strict=strict)
    except Refused as refused:
        return refused.failure
    return None


def tool_use(id_: str, name: str = "f", **given: Any) -> dict[str, Any]:
    return {"type": "tool_use", "id": id_, "name": name, "input": given}


def tool_result(id_: str, content: Any = "ok", **more: Any) -> dict[str, Any]:
    return {"type": "tool_result", "tool_use_id": id_, "content": content, **more}


anything: Strategy = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Any JSON."""

_words = st.text(min_size=1, max_size=20).map(str.strip).filter(bool)
_text = st.builds(lambda text: {"type": "text", "text": text}, _words)
_cached = st.builds(
    lambda text: {"type": "text", "text": text, "cache_control": {"type": "ephemeral"}}, _words
)
_image = st.sampled_from(
    [
        {"type": "image", "source": {"type": "url", "url": "https://example.com/x.png"}},
        {
            "type": "image",
            "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"},
        },
        {"type": "image", "source": {"type": "file", "file_id": "file_1"}},
    ]
)
_document = st.builds(
    lambda source, title: {"type": "document", "source": source, "title": title},
    st.sampled_from(
        [
            {"type": "base64", "media_type": "application/pdf", "data": "AAAA"},
            {"type": "text", "media_type": "text/plain", "data": "words"},
            {"type": "content", "content": "words"},
            {"type": "content", "content": [{"type": "text", "text": "words"}]},
            {"type": "url", "url": "https://example.com/x.pdf"},
            {"type": "file", "file_id": "file_1"},
        ]
    ),
    st.none() | _words,
)
_search = st.builds(
    lambda text: {"type": "search_result", "source": "s", "title": "t", "content": [text]}, _text
)


def _content(*blocks: Strategy) -> Strategy:
    return _words | st.lists(st.one_of(*blocks), min_size=1, max_size=3)


_user = st.builds(
    lambda content: [{"role": "user", "content": content}],
    _content(_text, _image, _document, _search),
)
_assistant = st.builds(
    lambda content: [{"role": "assistant", "content": content}],
    _content(
        _text,
        st.just({"type": "thinking", "thinking": "Hm", "signature": "x"}),
        st.just({"type": "redacted_thinking", "data": "x"}),
    ),
)
_system = st.builds(lambda content: [{"role": "system", "content": content}], _content(_text))


@st.composite
def _calls_and_results(draw: st.DrawFn) -> list[dict[str, Any]]:
    ids = draw(st.lists(st.uuids().map(str), min_size=1, max_size=3, unique=True))
    given = st.dictionaries(_words, anything, max_size=2)
    calls = [tool_use(id_, draw(_words), of=draw(given)) for id_ in ids]
    results = [
        tool_result(id_, draw(st.none() | _content(_text, _image, _document)))
        for id_ in draw(st.permutations(ids))
    ]
    rest = draw(st.lists(_text, max_size=1))
    return [
        {"role": "assistant", "content": calls},
        {"role": "user", "content": [*results, *rest]},
    ]


_messages: Strategy = st.builds(
    lambda first, turns: [message for turn in [first, *turns] for message in turn],
    _user,
    st.lists(st.one_of(_user, _assistant, _system, _calls_and_results()), max_size=3),
)
_schemas = st.sampled_from(
    [
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"type": "object"},
    ]
)


@st.composite
def _tools(draw: st.DrawFn) -> dict[str, Any]:
    """Tools, and how they are to be chosen."""
    names = draw(st.lists(st.sampled_from("abcd"), min_size=1, max_size=3, unique=True))
    tools = [{"name": name, "input_schema": draw(_schemas)} for name in names]
    tools += draw(
        st.sampled_from(
            [
                [],
                [{"type": "bash_20250124", "name": "bash"}],
                [{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}],
            ]
        )
    )
    choice = draw(
        st.sampled_from(
            [
                None,
                {"type": "auto"},
                {"type": "any"},
                {"type": "none"},
                {"type": "tool", "name": names[0], "disable_parallel_tool_use": True},
            ]
        )
    )
    return {"tools": tools, "tool_choice": choice}


_options: dict[str, Strategy] = {
    "system": _words | st.lists(_text | _cached, min_size=1, max_size=2),
    "stop_sequences": st.lists(st.sampled_from(["o", "world"]), max_size=2),
    "temperature": st.floats(0, 1) | st.sampled_from([0, 1]),
    "top_p": st.floats(0, 1),
    "top_k": st.integers(0, 500),
    "metadata": st.sampled_from([{}, {"user_id": "u"}]),
    "service_tier": st.sampled_from(["auto", "standard_only"]),
    "speed": st.sampled_from(["standard", "fast"]),
    "inference_geo": st.sampled_from(["us", "eu"]),
    "container": st.sampled_from(["c", {"id": "c", "skills": []}]),
    "diagnostics": st.just({"previous_message_id": None}),
    "cache_control": st.sampled_from([{"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}]),
    "mcp_servers": st.just([{"type": "url", "name": "m", "url": "https://example.com"}]),
    "context_management": st.just({"edits": [{"type": "clear_tool_uses_20250919"}]}),
    "output_config": st.sampled_from(
        [
            {"effort": "low"},
            {"format": {"type": "json_schema", "schema": {"type": "object"}}},
        ]
    ),
    "output_format": st.just({"type": "json_schema", "schema": {"type": "object"}}),
}
"""What may be asked for without regard to anything else."""

_thinking = st.sampled_from(
    [
        {"type": "disabled"},
        {"type": "between_tools"},
        {"type": "adaptive"},
        {"type": "adaptive", "display": "omitted"},
        {"type": "adaptive", "display": "summarized"},
        {"type": "enabled", "budget_tokens": 1024},
        {"type": "enabled", "budget_tokens": 1024, "display": "omitted"},
    ]
)


@st.composite
def valid_requests(draw: st.DrawFn) -> dict[str, Any]:
    """Any request that the API would answer, but for ``stream``."""
    chosen = draw(st.sets(st.sampled_from(sorted(_options)), max_size=6))
    fields = {name: draw(_options[name] | st.none()) for name in sorted(chosen)}
    fields["max_tokens"] = draw(st.integers(0, 30) | st.just(2000))
    if draw(st.booleans()):
        thinking: Any = draw(_thinking)
        fields["thinking"] = thinking
        if thinking["type"] == "enabled":
            fields["max_tokens"] = 2000
            fields.pop("temperature", None)
    elif draw(st.booleans()):
        fields.update(draw(_tools()))
    return {"model": draw(_words), "messages": draw(_messages), **fields}


_NAMES = [*MessagesRequest.__struct_fields__, "type", "role", "content", "name", "nonesuch"]


def nearly_valid_requests() -> Strategy:
    """A valid request in which something, somewhere, is something else, missing or too much."""
    return spoiled(valid_requests(), _NAMES, anything)
