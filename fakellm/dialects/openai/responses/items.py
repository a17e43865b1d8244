"""The items of an input to the Responses API, declared.

Source: ``InputItem`` of OpenAI's published schema and the types of its Python SDK; where they
differ in what they accept, the wider of the two. ``null`` is taken wherever a field may be left
out. Items of tools on the vendor's side are read, and sent back, but mean nothing here.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from fakellm.dialects.openai.chat_request import PromptCacheBreakpoint
from fakellm.dialects.openai.responses.tools import (
    ContainerReference,
    LocalEnvironment,
    Plain,
    ReasoningEffort,
    Tagged,
    Tool,
)

Status = Literal["in_progress", "completed", "incomplete"]
LongText = Annotated[str, Meta(max_length=10_485_760)]
CallId = Annotated[str, Meta(min_length=1, max_length=64)]


class InputText(Tagged, frozen=True, kw_only=True, tag="input_text"):
    text: LongText
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputImage(Tagged, frozen=True, kw_only=True, tag="input_image"):
    detail: Literal["low", "high", "auto", "original"] | None = None
    image_url: str | None = None
    file_id: str | None = None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputFile(Tagged, frozen=True, kw_only=True, tag="input_file"):
    file_id: str | None = None
    filename: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    detail: Literal["auto", "low", "high"] | None = None
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class Sound(Plain, frozen=True, kw_only=True):
    data: str
    format: Literal["mp3", "wav"]


class InputAudio(Tagged, frozen=True, kw_only=True, tag="input_audio"):
    input_audio: Sound


class FileCitation(Tagged, frozen=True, kw_only=True, tag="file_citation"):
    file_id: str
    filename: str
    index: int


class UrlCitation(Tagged, frozen=True, kw_only=True, tag="url_citation"):
    url: str
    title: str
    start_index: int
    end_index: int


class ContainerFileCitation(Tagged, frozen=True, kw_only=True, tag="container_file_citation"):
    container_id: str
    file_id: str
    filename: str
    start_index: int
    end_index: int


class FilePath(Tagged, frozen=True, kw_only=True, tag="file_path"):
    file_id: str
    index: int


class TopLogprob(Plain, frozen=True, kw_only=True):
    token: str
    bytes: list[int]
    logprob: float


class TokenLogprob(Plain, frozen=True, kw_only=True):
    token: str
    bytes: list[int]
    logprob: float
    top_logprobs: list[TopLogprob]


class OutputText(Tagged, frozen=True, kw_only=True, tag="output_text"):
    text: str
    annotations: list[FileCitation | UrlCitation | ContainerFileCitation | FilePath] | None = None
    logprobs: list[TokenLogprob] | None = None


class OutputRefusal(Tagged, frozen=True, kw_only=True, tag="refusal"):
    refusal: str


MessagePart = InputText | InputImage | InputFile | InputAudio | OutputText | OutputRefusal


class MessageItem(Tagged, frozen=True, kw_only=True, tag="message"):
    """A message of any make: easy, of the input, or of an output."""

    role: Literal["user", "assistant", "system", "developer"]
    content: LongText | list[MessagePart]
    id: str | None = None
    status: Status | None = None
    phase: Literal["commentary", "final_answer"] | None = None


class Caller(Plain, frozen=True, kw_only=True):
    type: Literal["direct", "program"]
    caller_id: str | None = None


class FunctionCallItem(Tagged, frozen=True, kw_only=True, tag="function_call"):
    call_id: CallId
    name: str
    arguments: str
    id: str | None = None
    status: Status | None = None
    namespace: str | None = None
    caller: Caller | None = None
    async_: bool | None = field(default=None, name="async")


OutputParts = list[InputText | InputImage | InputFile]


class FunctionOutputItem(Tagged, frozen=True, kw_only=True, tag="function_call_output"):
    output: LongText | OutputParts
    call_id: CallId | None = None
    id: str | None = None
    status: Status | None = None
    name: str | None = None
    namespace: str | None = None
    caller: Caller | None = None


class CustomCallItem(Tagged, frozen=True, kw_only=True, tag="custom_tool_call"):
    call_id: str
    name: str
    input: str
    id: str | None = None
    status: Status | None = None
    namespace: str | None = None
    caller: Caller | None = None
    async_: bool | None = field(default=None, name="async")


class CustomOutputItem(Tagged, frozen=True, kw_only=True, tag="custom_tool_call_output"):
    call_id: str
    output: str | OutputParts
    id: str | None = None
    status: Status | None = None
    caller: Caller | None = None


class SummaryText(Plain, frozen=True, kw_only=True):
    type: Literal["summary_text"]
    text: str


class ReasoningText(Plain, frozen=True, kw_only=True):
    type: Literal["reasoning_text"]
    text: str


class ReasoningItem(Tagged, frozen=True, kw_only=True, tag="reasoning"):
    summary: list[SummaryText]
    id: str | None = None
    content: list[ReasoningText] | None = None
    encrypted_content: str | None = None
    status: Status | None = None


class ItemReference(Tagged, frozen=True, kw_only=True, tag="item_reference"):
    id: str


class CompactionItem(Tagged, frozen=True, kw_only=True, tag="compaction"):
    encrypted_content: LongText
    id: str | None = None


class CompactionTrigger(Tagged, frozen=True, kw_only=True, tag="compaction_trigger"):
    id: str | None = None


class TextUpdate(Plain, frozen=True, kw_only=True):
    format: dict[str, Any]


class ReasoningUpdate(Plain, frozen=True, kw_only=True):
    effort: ReasoningEffort | None = None


class ConfigurationUpdate(Tagged, frozen=True, kw_only=True, tag="configuration_update"):
    id: str | None = None
    reasoning: ReasoningUpdate | None = None
    text: TextUpdate | None = None


class AdditionalTools(Tagged, frozen=True, kw_only=True, tag="additional_tools"):
    role: Literal["developer"]
    tools: list[Tool]
    id: str | None = None


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


InputItem = (
    MessageItem
    | FunctionCallItem
    | FunctionOutputItem
    | CustomCallItem
    | CustomOutputItem
    | ReasoningItem
    | ItemReference
    | CompactionItem
    | CompactionTrigger
    | ConfigurationUpdate
    | AdditionalTools
    | WebSearchItem
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


class Typed(Struct, frozen=True, kw_only=True):
    """As much of an item as tells whether it says what it is."""

    type: Any = None
    role: Any = None
    id: Any = None
