"""What a request demands, made: tool calls and JSON that keep the contract they were asked under.

Made values follow from the server's seed and from what is asked (its ``seed`` included), so that
the same question gets the same answer, streamed or not, whenever it is asked.
"""

import hashlib
import random
from collections.abc import Sequence

import msgspec

from fakellm.model.content import ToolCall
from fakellm.model.prompt import Prompt, Tool
from fakellm.scenarios.from_schema import UnusableSchema, make_value

PARALLEL_CALLS_AT_MOST = 4


class BadSchema(ValueError):
    """A schema in a request from which no value can be made.

    Attributes:
        tool: the name of the tool that bears it, ``None`` for the answer's own format.
        reason: what is wrong, with the path in the schema.
    """

    def __init__(self, tool: str | None, error: UnusableSchema) -> None:
        super().__init__(str(error))
        self.tool = tool
        self.reason = str(error)


def chance_for(prompt: Prompt, seed: int, choice: int) -> random.Random:
    """The generator of all that is made for one choice of an answer."""
    asked = (seed, choice, prompt.seed, prompt.messages, prompt.tools, prompt.format)
    return random.Random(hashlib.blake2b(msgspec.json.encode(asked)).digest())


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
    schema = {"type": "object", **tool.parameters}
    try:
        return msgspec.json.encode(make_value(schema, chance)).decode()
    except UnusableSchema as error:
        raise BadSchema(tool.name, error) from None


def made_json(prompt: Prompt, answer: str, chance: random.Random) -> str:
    """JSON text in the format asked for.

    Raises:
        BadSchema: the schema cannot be met.
    """
    if prompt.format.kind == "json_object":
        return answer if _is_object(answer) else msgspec.json.encode({"answer": answer}).decode()
    try:
        return msgspec.json.encode(make_value(prompt.format.schema, chance)).decode()
    except UnusableSchema as error:
        raise BadSchema(None, error) from None


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except (ValueError, RecursionError):
        return False
