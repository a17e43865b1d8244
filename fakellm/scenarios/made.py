"""What a request demands, made: tool calls and JSON that keep the contract they were asked under.

Made values follow from the server's seed and from what is asked (its ``seed`` included), so that
the same question gets the same answer, streamed or not, whenever it is asked.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import Any

import msgspec

from fakellm.lazy import lazy
from fakellm.model.content import SaidPart, Text, ToolCall
from fakellm.model.prompt import Prompt, Tool
from fakellm.scenarios.from_schema import UnusableSchema, make_value

PARALLEL_CALLS_AT_MOST = 4
_SHOWN_CHARACTERS = 60


class BadSchema(ValueError):
    """A schema in a request from which no value can be made.

    Attributes:
        tool: the name of the tool that bears it, ``None`` for the answer's own format.
        reason: what is wrong, with the path in the schema.
    """

    def __init__(self, tool: str | None, reason: str) -> None:
        super().__init__(reason)
        self.tool = tool
        self.reason = reason


class Chances:
    """The generators of all that is made for an answer, one for each of its choices."""

    def __init__(self, prompt: Prompt, seed: int) -> None:
        self._prompt = prompt
        self._seed = seed

    def of(self, choice: int) -> random.Random:
        """The generator of one choice, which begins anew each time."""
        return random.Random(hashlib.blake2b(b"%d" % choice, key=self._asked).digest())

    @lazy
    def _asked(self) -> bytes:
        # prompts can be large and choices many: digested once, and only where something is made
        prompt = self._prompt
        asked = (self._seed, prompt.seed, prompt.messages, prompt.tools, prompt.format)
        return hashlib.blake2b(msgspec.json.encode(asked)).digest()


def must_call(prompt: Prompt) -> bool:
    """Whether the answer has to be a tool call.

    A set of allowed tools counts as a wish for one of them, until one's result is there: a client
    that runs tools as long as they are called must come to an end.
    """
    choice = prompt.tool_choice
    return choice.mode == "required" or (bool(choice.names) and prompt.messages[-1].role != "tool")


def allowed_tools(prompt: Prompt) -> Sequence[Tool]:
    """The tools that the tool choice leaves, in the order they are offered."""
    names = prompt.tool_choice.names
    return [tool for tool in prompt.tools if not names or tool.name in names]


def made_calls(prompt: Prompt, answer: str, chance: random.Random) -> tuple[ToolCall, ...]:
    """Calls with valid arguments: one, or, where parallel calls are asked for, one a tool.

    Raises:
        BadSchema: a tool's parameters cannot be met.
    """
    tools = allowed_tools(prompt)
    wanted = PARALLEL_CALLS_AT_MOST if prompt.parallel_tool_calls else 1
    return tuple(_call(tool, answer, chance) for tool in tools[:wanted])


def _call(tool: Tool, answer: str, chance: random.Random) -> ToolCall:
    if tool.kind == "custom":
        return ToolCall(name=tool.name, arguments=answer, kind="custom")
    return ToolCall(name=tool.name, arguments=_arguments(tool, chance))


def _arguments(tool: Tool, chance: random.Random) -> str:
    if not tool.parameters:
        return "{}"
    # Arguments are an object, whether the schema troubles to say so or not.
    declared = tool.parameters.get("type", "object")
    if declared != "object" and not (isinstance(declared, list) and "object" in declared):
        shown = msgspec.json.encode(declared).decode()[:_SHOWN_CHARACTERS]
        raise BadSchema(tool.name, f"schema must be of type 'object', got {shown}")
    return _made({**tool.parameters, "type": "object"}, chance, tool.name)


def made_arguments(prompt: Prompt, name: str, answer: str, chance: random.Random) -> str:
    """Arguments for a tool by its name: valid ones if it is offered, an empty object if not.

    Raises:
        BadSchema: the tool's parameters cannot be met.
    """
    for tool in prompt.tools:
        if tool.name == name:
            return _call(tool, answer, chance).arguments
    return "{}"


def made_demand(prompt: Prompt, answer: str, chance: random.Random) -> tuple[SaidPart, ...]:
    """What a prompt demands: calls, or JSON; where it demands nothing, the answer.

    Raises:
        BadSchema: a schema cannot be met.
    """
    if must_call(prompt):
        return made_calls(prompt, answer, chance)
    if prompt.format.kind != "text":
        return (Text(text=made_json(prompt, answer, chance)),)
    return (Text(text=answer),)


def made_json(prompt: Prompt, answer: str, chance: random.Random) -> str:
    """JSON text in the format asked for.

    Raises:
        BadSchema: the schema cannot be met.
    """
    if prompt.format.kind == "json_object":
        return answer if _is_object(answer) else msgspec.json.encode({"answer": answer}).decode()
    return _made(prompt.format.schema, chance, None)


def _made(schema: Any, chance: random.Random, tool: str | None) -> str:
    try:
        return msgspec.json.encode(make_value(schema, chance)).decode()
    except UnusableSchema as error:
        raise BadSchema(tool, str(error)) from None


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (ValueError, RecursionError):
        return False
