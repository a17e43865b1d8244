"""The tools of a request: which of them a client runs, and what each type has to have.

Source: the tool types of Anthropic's Python SDK. The API's own tools (web search and its like) are
taken, but are not offered: a fake that runs none of them must never call one.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from msgspec import Struct

from fakellm.dialects.anthropic import request as wire
from fakellm.dialects.anthropic.errors import refuse, shown
from fakellm.model.prompt import Tool, ToolChoice

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")
_DATED = re.compile(r"(?P<family>.+?)(_\d{8})?")


def _object(**properties: Any) -> Mapping[str, Any]:
    return {"type": "object", "properties": properties, "required": [*properties]}


class _Family(Struct, frozen=True, kw_only=True):
    """Tools of one type, whatever their date; ``input`` is what a client is given to run."""

    required: tuple[str, ...] = ("name",)
    input: Mapping[str, Any] | None = None


_PATH = {"type": "string", "pattern": "^/[a-z]{1,8}$"}
_VIEW = _object(command={"const": "view"}, path=_PATH)
_FAMILIES: Mapping[str, _Family] = {
    "custom": _Family(required=("name", "input_schema")),
    "bash": _Family(input=_object(command={"const": "ls"})),
    "text_editor": _Family(input=_VIEW),
    "memory": _Family(input=_VIEW),
    "computer": _Family(
        required=("name", "display_height_px", "display_width_px"),
        input=_object(action={"const": "screenshot"}),
    ),
    "computer_toolset": _Family(required=()),
    "browser_toolset": _Family(required=()),
    "code_execution": _Family(),
    "web_search": _Family(),
    "web_fetch": _Family(),
    "tool_search_tool_bm25": _Family(),
    "tool_search_tool_regex": _Family(),
    "advisor": _Family(required=("name", "model")),
    "mcp_toolset": _Family(required=("mcp_server_name",)),
}


def offered(tools: Iterable[wire.ToolSpec]) -> tuple[Tool, ...]:
    """The tools that the client runs.

    Raises:
        Refused: a tool is of no known type, or lacks what its type has to have.
    """
    return tuple(
        tool for index, each in enumerate(tools) if (tool := _tool(each, index)) is not None
    )


def _tool(spec: wire.ToolSpec, index: int) -> Tool | None:
    kind = "custom" if spec.type is None else spec.type
    dated = _DATED.fullmatch(kind)
    family = _FAMILIES.get(dated["family"]) if dated else None
    if family is None:
        expected = ", ".join(f"'{name}'" for name in _FAMILIES)
        raise refuse(
            f"tools.{index}: Input tag '{shown(kind)}' found using 'type' does not match any of "
            f"the expected tags: {expected}"
        )
    for field in family.required:
        if getattr(spec, field) is None:
            raise refuse(f"tools.{index}.{shown(kind)}.{field}: Field required")
    name = spec.name or ""
    if kind == "custom":
        if not _NAME.fullmatch(name):
            raise refuse(
                f"tools.{index}.custom.name: String should match pattern '^{_NAME.pattern}$'"
            )
        return Tool(
            name=name,
            description=spec.description,
            parameters=spec.input_schema,
            strict=bool(spec.strict),
        )
    return None if family.input is None else Tool(name=name, parameters=family.input)


def chosen(request: wire.Countable, tools: Sequence[Tool]) -> ToolChoice:
    """Whether one of the tools that the client runs must be called.

    Raises:
        Refused: there is no such tool.
    """
    choice = request.tool_choice
    if choice is None:
        return ToolChoice()
    if isinstance(choice, wire.NoChoice):
        return ToolChoice(mode="none")
    if not request.tools:
        raise refuse("tool_choice: tool_choice may only be specified while providing tools")
    if isinstance(choice, wire.ToolChoice):
        if all(choice.name != spec.name for spec in request.tools):
            raise refuse(f"Tool '{shown(choice.name)}' not found in provided tools")
        if any(choice.name == tool.name for tool in tools):
            return ToolChoice(mode="required", names=(choice.name,))
    elif isinstance(choice, wire.AnyChoice) and tools:
        return ToolChoice(mode="required")
    return ToolChoice()  # what must be called is the API's to run


def parallel(request: wire.Countable) -> bool | None:
    """Whether several tools may be called at once; ``None`` where it is left open."""
    disabled = getattr(request.tool_choice, "disable_parallel_tool_use", None)
    return None if disabled is None else not disabled
