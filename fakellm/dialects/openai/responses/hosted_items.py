"""Items of tools on the vendor's side, and of clients that run them for it, declared.

Source: as for `fakellm.dialects.openai.responses.items`. They are read, kept and sent back, and
mean nothing here.
"""

from typing import Any, Literal

from fakellm.dialects.openai.responses.tools import (
    Caller,
    CallId,
    ContainerReference,
    LocalEnvironment,
    Plain,
    Status,
    Tagged,
    Tool,
)


class SearchAction(Plain, frozen=True, kw_only=True):
    type: Literal["search", "open_page", "find_in_page"]
    query: str | None = None
    queries: list[str] | None = None
    sources: list[dict[str, Any]] | None = None
    url: str | None = None
    pattern: str | None = None


class WebSearchItem(Tagged, frozen=True, kw_only=True, tag="web_search_call"):
    action: SearchAction
    status: Literal["in_progress", "searching", "completed", "failed", "incomplete"]
    id: str | None = None


class FileSearchItem(Tagged, frozen=True, kw_only=True, tag="file_search_call"):
    queries: list[str]
    status: Literal["in_progress", "searching", "completed", "incomplete", "failed"]
    id: str
    results: list[dict[str, Any]] | None = None


class SafetyCheck(Plain, frozen=True, kw_only=True):
    id: str
    code: str | None = None
    message: str | None = None


class ComputerCallItem(Tagged, frozen=True, kw_only=True, tag="computer_call"):
    call_id: str
    pending_safety_checks: list[SafetyCheck]
    status: Status
    id: str
    action: dict[str, Any] | None = None
    actions: list[dict[str, Any]] | None = None


class Screenshot(Plain, frozen=True, kw_only=True):
    type: Literal["computer_screenshot"]
    image_url: str | None = None
    file_id: str | None = None


class ComputerOutputItem(Tagged, frozen=True, kw_only=True, tag="computer_call_output"):
    call_id: CallId
    output: Screenshot
    id: str | None = None
    acknowledged_safety_checks: list[SafetyCheck] | None = None
    status: Status | None = None


class CodeInterpreterItem(Tagged, frozen=True, kw_only=True, tag="code_interpreter_call"):
    container_id: str
    status: Literal["in_progress", "completed", "incomplete", "interpreting", "failed"]
    id: str
    code: str | None = None
    outputs: list[dict[str, Any]] | None = None


class ImageItem(Tagged, frozen=True, kw_only=True, tag="image_generation_call"):
    status: Literal["in_progress", "completed", "generating", "failed"]
    id: str
    result: str | None = None
    action: Literal["generate", "edit", "auto"] | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    error: dict[str, Any] | None = None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None = None
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"] | None = None
    revised_prompt: str | None = None
    size: str | None = None
    svg_usage: dict[str, Any] | None = None


class LocalShellAction(Plain, frozen=True, kw_only=True):
    type: Literal["exec"]
    command: list[str]
    env: dict[str, str]
    timeout_ms: int | None = None
    user: str | None = None
    working_directory: str | None = None


class LocalShellItem(Tagged, frozen=True, kw_only=True, tag="local_shell_call"):
    action: LocalShellAction
    call_id: str
    status: Status
    id: str


class LocalShellOutputItem(Tagged, frozen=True, kw_only=True, tag="local_shell_call_output"):
    output: str
    id: str
    status: Status | None = None


class ShellAction(Plain, frozen=True, kw_only=True):
    commands: list[str]
    max_output_length: int | None = None
    timeout_ms: int | None = None


class ShellItem(Tagged, frozen=True, kw_only=True, tag="shell_call"):
    action: ShellAction
    call_id: CallId
    id: str | None = None
    caller: Caller | None = None
    environment: LocalEnvironment | ContainerReference | None = None
    status: Status | None = None


class ShellOutcome(Plain, frozen=True, kw_only=True):
    type: Literal["timeout", "exit"]
    exit_code: int | None = None


class ShellChunk(Plain, frozen=True, kw_only=True):
    outcome: ShellOutcome
    stdout: str
    stderr: str


class ShellOutputItem(Tagged, frozen=True, kw_only=True, tag="shell_call_output"):
    call_id: CallId
    output: list[ShellChunk]
    id: str | None = None
    caller: Caller | None = None
    max_output_length: int | None = None
    status: Status | None = None


class PatchOperation(Plain, frozen=True, kw_only=True):
    type: Literal["create_file", "delete_file", "update_file"]
    path: str
    diff: str | None = None


class ApplyPatchItem(Tagged, frozen=True, kw_only=True, tag="apply_patch_call"):
    call_id: CallId
    operation: PatchOperation
    status: Literal["in_progress", "completed"]
    id: str | None = None
    caller: Caller | None = None


class ApplyPatchOutputItem(Tagged, frozen=True, kw_only=True, tag="apply_patch_call_output"):
    call_id: CallId
    status: Literal["completed", "failed"]
    id: str | None = None
    caller: Caller | None = None
    output: str | None = None


class McpToolListed(Plain, frozen=True, kw_only=True):
    name: str
    input_schema: Any
    annotations: Any = None
    description: str | None = None


class McpListToolsItem(Tagged, frozen=True, kw_only=True, tag="mcp_list_tools"):
    server_label: str
    tools: list[McpToolListed]
    id: str
    error: str | None = None


class McpApprovalRequestItem(Tagged, frozen=True, kw_only=True, tag="mcp_approval_request"):
    server_label: str
    name: str
    arguments: str
    id: str


class McpApprovalResponseItem(Tagged, frozen=True, kw_only=True, tag="mcp_approval_response"):
    approval_request_id: str
    approve: bool
    id: str | None = None
    reason: str | None = None


class McpCallItem(Tagged, frozen=True, kw_only=True, tag="mcp_call"):
    server_label: str
    name: str
    arguments: str
    id: str
    approval_request_id: str | None = None
    error: dict[str, Any] | str | None = None
    output: str | None = None
    status: Literal["in_progress", "completed", "incomplete", "calling", "failed"] | None = None


class ToolSearchItem(Tagged, frozen=True, kw_only=True, tag="tool_search_call"):
    arguments: Any
    id: str | None = None
    call_id: str | None = None
    execution: Literal["server", "client"] | None = None
    status: Status | None = None


class ToolSearchOutputItem(Tagged, frozen=True, kw_only=True, tag="tool_search_output"):
    tools: list[Tool]
    id: str | None = None
    call_id: str | None = None
    execution: Literal["server", "client"] | None = None
    status: Status | None = None


class ProgramItem(Tagged, frozen=True, kw_only=True, tag="program"):
    id: str
    call_id: str
    code: str
    fingerprint: str


class ProgramOutputItem(Tagged, frozen=True, kw_only=True, tag="program_output"):
    id: str
    call_id: str
    result: str
    status: Literal["completed", "incomplete"]


HostedItem = (
    WebSearchItem
    | FileSearchItem
    | ComputerCallItem
    | ComputerOutputItem
    | CodeInterpreterItem
    | ImageItem
    | LocalShellItem
    | LocalShellOutputItem
    | ShellItem
    | ShellOutputItem
    | ApplyPatchItem
    | ApplyPatchOutputItem
    | McpListToolsItem
    | McpApprovalRequestItem
    | McpApprovalResponseItem
    | McpCallItem
    | ToolSearchItem
    | ToolSearchOutputItem
    | ProgramItem
    | ProgramOutputItem
)
