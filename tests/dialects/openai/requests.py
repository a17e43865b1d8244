"""Chat completion requests for tests: by hand, and any there are (hypothesis)."""

import json
from typing import Any

from hypothesis import strategies as st

from fakellm.dialects.openai.chat_decode import decode_chat
from fakellm.dialects.openai.chat_request import ChatRequest
from fakellm.model.prompt import Prompt, Received
from fakellm.model.reply import Failure, Refused
from tests.dialects.spoiled import spoiled

HELLO: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Say something"}]}

Strategy = st.SearchStrategy[Any]


def received(body: bytes) -> Received:
    """A request with this body."""
    return Received(method="POST", path="/v1/chat/completions", body=body)


def prompt_of(*, strict: bool = False, **fields: Any) -> Prompt:
    """What `HELLO` with other or further fields asks."""
    body = json.dumps({**HELLO, **fields}).encode()
    return decode_chat(received(body), dialect="openai", strict=strict)


def refusal_of(body: bytes | dict[str, Any], *, strict: bool = False) -> Failure | None:
    """Why a body is refused, if it is."""
    if isinstance(body, dict):
        body = json.dumps(body).encode()
    try:
        decode_chat(received(body), dialect="openai", strict=strict)
    except Refused as refused:
        return refused.failure
    return None


anything: Strategy = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=9), inner, max_size=4)
    ),
    max_leaves=12,
)
"""Any JSON."""

_words = st.text(max_size=20)
_names = st.from_regex(r"[a-zA-Z0-9_-]{1,64}", fullmatch=True)
_speakers = st.sampled_from(["Ada", "ü.b@c"])


def _fields(required: dict[str, Strategy], **optional: Strategy) -> Strategy:
    return st.fixed_dictionaries(required, optional={k: v | st.none() for k, v in optional.items()})


def _tagged(tag: str, content: Strategy, **optional: Strategy) -> Strategy:
    return _fields({"type": st.just(tag), tag: content}, **optional)


_breakpoint = _fields({"mode": st.just("explicit")}, ttl=st.sampled_from(["30m", "12h"]))
_text = _tagged("text", _words, prompt_cache_breakpoint=_breakpoint)
_image = _tagged(
    "image_url",
    _fields(
        {"url": st.just("https://example.com/x.png")},
        detail=st.sampled_from(["auto", "low", "high", "original"]),
    ),
    prompt_cache_breakpoint=_breakpoint,
)
_audio = _tagged(
    "input_audio",
    _fields({"data": st.just("AAAA"), "format": st.sampled_from(["wav", "mp3"])}),
    prompt_cache_breakpoint=_breakpoint,
)
_file = _tagged(
    "file",
    _fields({}, filename=_words, file_data=st.just("AAAA"), file_id=_words),
    prompt_cache_breakpoint=_breakpoint,
)


def _content(*parts: Strategy) -> Strategy:
    return _words | st.lists(st.one_of(*parts), min_size=1, max_size=3)


def _said_by(role: str, content: Strategy) -> Strategy:
    return _fields({"role": st.just(role), "content": content}, name=_speakers).map(lambda m: [m])


_call = st.fixed_dictionaries({"name": _names, "arguments": _words})
_assistant = _fields(
    {"role": st.just("assistant"), "content": _content(_text, _tagged("refusal", _words))},
    refusal=_words,
    name=_speakers,
    audio=st.fixed_dictionaries({"id": _words}),
    function_call=_call,
).map(lambda m: [m])


@st.composite
def _calls_and_results(draw: st.DrawFn) -> list[dict[str, Any]]:
    kinds = draw(st.lists(st.sampled_from(["function", "custom"]), min_size=1, max_size=3))
    calls = []
    for number, kind in enumerate(kinds):
        key = "arguments" if kind == "function" else "input"
        called = {"name": draw(_names), key: draw(_words)}
        calls.append({"id": f"call_{number}", "type": kind, kind: called})
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": draw(_content(_text))}
        for call in draw(st.permutations(calls))
    ]
    content = draw(st.none() | _words)
    return [{"role": "assistant", "content": content, "tool_calls": calls}, *results]


_turn = st.one_of(
    _said_by("system", _content(_text)),
    _said_by("developer", _content(_text)),
    _said_by("user", _content(_text, _image, _audio, _file)),
    _assistant,
    st.fixed_dictionaries(
        {"role": st.just("function"), "name": _names, "content": _words | st.none()}
    ).map(lambda m: [m]),
    _calls_and_results(),
)
_messages: Strategy = st.lists(_turn, min_size=1, max_size=4).map(
    lambda turns: [message for turn in turns for message in turn]
)

_schemas = st.sampled_from(
    [
        {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
        {"type": "object", "properties": {"b": {"type": "string"}, "c": {"enum": [1, "x"]}}},
        {"type": "object"},
    ]
)


def _some(tools: Strategy) -> Strategy:
    return st.lists(tools, min_size=1, max_size=3, unique_by=lambda tool: tool["name"])


@st.composite
def _tools(draw: st.DrawFn) -> dict[str, Any]:
    """Tools, or functions, and how they are to be chosen."""
    functions: Strategy = st.fixed_dictionaries(
        {"name": _names},
        optional={"description": _words, "parameters": _schemas, "strict": st.booleans()},
    )
    if draw(st.booleans()):
        offered = draw(_some(functions))
        chosen = st.sampled_from(["none", "auto", {"name": offered[0]["name"]}])
        return {"functions": offered, "function_call": draw(chosen | st.none())}
    customs: Strategy = st.fixed_dictionaries(
        {"name": _names},
        optional={
            "description": _words,
            "format": st.sampled_from(
                [
                    {"type": "text"},
                    {"type": "grammar", "grammar": {"definition": "x", "syntax": "regex"}},
                ]
            ),
        },
    )
    tools = draw(_some(functions | customs))
    tools = [{"type": "custom" if "format" in t else "function", "of": t} for t in tools]
    tools = [{"type": tool["type"], tool["type"]: tool["of"]} for tool in tools]
    one = {"type": tools[0]["type"], tools[0]["type"]: {"name": tools[0][tools[0]["type"]]["name"]}}
    allowed = {"mode": draw(st.sampled_from(["auto", "required"])), "tools": [one]}
    choices = ["none", "auto", "required", one, {"type": "allowed_tools", "allowed_tools": allowed}]
    return {
        "tools": tools,
        "tool_choice": draw(st.sampled_from(choices) | st.none()),
        "parallel_tool_calls": draw(st.booleans() | st.none()),
    }


_format = st.one_of(
    st.just({"type": "text"}),
    st.just({"type": "json_object"}),
    st.builds(
        lambda name, schema: {
            "type": "json_schema",
            "json_schema": {"name": name, "schema": schema},
        },
        _names,
        _schemas,
    ),
)
_location = _fields({}, country=_words, region=_words, city=_words, timezone=_words)
_mode = st.fixed_dictionaries({"mode": st.sampled_from(["score", "block"])})
_penalty = st.floats(-2, 2) | st.integers(-2, 2)
_options: dict[str, Strategy] = {
    "n": st.integers(1, 3),
    "max_completion_tokens": st.integers(1, 30),
    "max_tokens": st.integers(1, 30),
    "stop": st.sampled_from(["o", " ", "world"]) | st.lists(_words, min_size=1, max_size=4),
    "temperature": st.floats(0, 2),
    "top_p": st.floats(0, 1) | st.sampled_from([0, 1]),
    "frequency_penalty": _penalty,
    "presence_penalty": _penalty,
    "logit_bias": st.dictionaries(st.just("50256"), st.integers(-100, 100)),
    "logprobs": st.booleans(),
    "top_logprobs": st.integers(0, 20),
    "response_format": _format,
    "reasoning_effort": st.sampled_from(
        ["none", "minimal", "low", "medium", "high", "xhigh", "max"]
    ),
    "verbosity": st.sampled_from(["low", "medium", "high"]),
    "modalities": st.sampled_from([[], ["text"], ["text", "audio"]]),
    "audio": st.fixed_dictionaries(
        {"voice": st.sampled_from(["alloy", {"id": "v"}]), "format": st.just("pcm16")}
    ),
    "prediction": st.builds(lambda c: {"type": "content", "content": c}, _content(_text)),
    "service_tier": st.sampled_from(["auto", "default", "flex", "scale", "priority", "fast"]),
    "store": st.booleans(),
    "metadata": st.dictionaries(st.text(max_size=64), st.text(max_size=99), max_size=3),
    "moderation": _fields({"model": _words}, policy=_fields({}, input=_mode, output=_mode)),
    "web_search_options": _fields(
        {},
        user_location=st.fixed_dictionaries(
            {"type": st.just("approximate"), "approximate": _location}
        ),
        search_context_size=st.sampled_from(["low", "medium", "high"]),
    ),
    "safety_identifier": st.text(max_size=64),
    "prompt_cache_key": _words,
    "prompt_cache_options": _fields(
        {}, ttl=st.just("30m"), mode=st.sampled_from(["implicit", "explicit"])
    ),
    "prompt_cache_retention": st.sampled_from(["in_memory", "24h"]),
    "seed": st.integers(-(2**63), 2**63 - 1),
    "user": _words,
}
"""What may be asked for without regard to anything else, or all but."""


@st.composite
def valid_requests(draw: st.DrawFn) -> dict[str, Any]:
    """Any request that the API would answer, but for ``stream`` and its options."""
    chosen = draw(st.sets(st.sampled_from(sorted(_options)), max_size=6))
    fields = {name: draw(_options[name] | st.none()) for name in sorted(chosen)}
    if not fields.get("logprobs"):
        fields.pop("top_logprobs", None)
    if fields.get("max_tokens"):
        fields.pop("max_completion_tokens", None)
    if "audio" in (fields.get("modalities") or []):
        fields["audio"] = draw(_options["audio"])
    if draw(st.booleans()):
        fields.update(draw(_tools()))
    return {"model": draw(st.text(min_size=1, max_size=9)), "messages": draw(_messages), **fields}


_NAMES = [*ChatRequest.__struct_fields__, "type", "role", "content", "name", "nonesuch"]


def nearly_valid_requests() -> Strategy:
    """A valid request in which something, somewhere, is something else, missing or too much."""
    return spoiled(valid_requests(), _NAMES, anything)
