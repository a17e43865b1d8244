"""How many tokens a prompt has, counted as OpenAI does.

Source: "How to count tokens with tiktoken" in OpenAI's cookbook (three tokens and the role a
message, three for the reply's start), and the vision guide for pictures. Tools are counted by their
JSON text. A count never depends on anything but the prompt.
"""

import msgspec

from fakellm.interfaces import ITokenizer
from fakellm.model.content import (
    HostedCall,
    Image,
    Part,
    Reasoning,
    Refusal,
    Speech,
    Text,
    ToolCall,
    ToolResult,
)
from fakellm.model.prompt import Message, Prompt

_PER_MESSAGE = 4
_PER_NAME = 1
_PER_REPLY = 3
_PER_CALL = 3
_IMAGE_LOW, _IMAGE_HIGH = 85, 765
_BASE64_CHARACTERS_PER_TOKEN = 2400  # a tenth of a second of 24 kHz speech in a compressed format


def prompt_tokens(prompt: Prompt, tokenizer: ITokenizer) -> int:
    """The tokens a prompt is billed for."""
    if prompt.given_tokens is not None:
        return prompt.given_tokens
    if prompt.plain:
        parts = (part for message in prompt.messages for part in message.parts)
        return sum(_part(part, tokenizer) for part in parts)
    total = _PER_REPLY + sum(_message(message, tokenizer) for message in prompt.messages)
    for tool in prompt.tools:
        total += tokenizer.count(msgspec.json.encode(tool).decode())
    if prompt.format.schema is not None:
        total += tokenizer.count(msgspec.json.encode(prompt.format.schema).decode())
    return total


def _message(message: Message, tokenizer: ITokenizer) -> int:
    parts = message.parts
    if len(parts) == 1 and type(parts[0]) is Text:  # as most are
        total = _PER_MESSAGE + tokenizer.count(parts[0].text)
    else:
        total = _PER_MESSAGE + sum(_part(part, tokenizer) for part in parts)
    if message.name is not None:
        total += _PER_NAME + tokenizer.count(message.name)
    return total


def _part(part: Part, tokenizer: ITokenizer) -> int:
    match part:
        case Text(text=text) | Refusal(text=text) | Reasoning(text=text):
            return tokenizer.count(text)
        case Speech(transcript=transcript):
            return tokenizer.count(transcript)
        case ToolCall(name=name, arguments=arguments):
            return _PER_CALL + tokenizer.count(name) + tokenizer.count(arguments)
        case HostedCall(fields=fields):
            return tokenizer.count(msgspec.json.encode(fields).decode())
        case ToolResult(content=content):
            return tokenizer.count(content)
        case Image(detail=detail):
            return _IMAGE_LOW if detail == "low" else _IMAGE_HIGH
    return -(-len(part.data or "") // _BASE64_CHARACTERS_PER_TOKEN)
