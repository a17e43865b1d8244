"""What tests ask: tools, formats and the like, as clients send them."""

from typing import Any

QUESTION: dict[str, Any] = {"role": "user", "content": "Say something"}

WEATHER: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "description": "The weather somewhere.",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string", "minLength": 3},
                "days": {"type": "integer", "minimum": 1, "maximum": 7},
                "unit": {"enum": ["celsius", "fahrenheit"]},
            },
            "required": ["city", "days", "unit"],
            "additionalProperties": False,
        },
    },
}

TIME: dict[str, Any] = {
    "type": "function",
    "function": {
        "name": "get_time",
        "parameters": {
            "type": "object",
            "properties": {"zone": {"type": "string"}},
            "required": ["zone"],
        },
    },
}

NOTE: dict[str, Any] = {"type": "custom", "custom": {"name": "take_note", "description": "Notes."}}

NUMBER: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "number",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {"number": {"type": "integer", "minimum": 0, "maximum": 10**12}},
            "required": ["number"],
            "additionalProperties": False,
        },
    },
}
"""So many numbers that two draws are hardly ever the same."""

SOUND_BEGINS = {
    "wav": b"RIFF",
    "aac": b"\xff\xf1",
    "mp3": b"\xff\xf3",
    "flac": b"fLaC",
    "opus": b"OggS",
    "pcm16": b"\0\0",
}
"""The formats of sound, and how a file of each begins."""


def named(name: str) -> dict[str, Any]:
    """The choice of one function."""
    return {"type": "function", "function": {"name": name}}


def spoken(form: str) -> dict[str, Any]:
    """The fields that ask for sound."""
    return {"modalities": ["text", "audio"], "audio": {"voice": "alloy", "format": form}}


def saying(content: Any) -> dict[str, Any]:
    """The fields of a request whose only message has this content."""
    return {"messages": [{"role": "user", "content": content}]}
