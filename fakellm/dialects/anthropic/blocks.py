"""The content blocks of requests, declared.

Source: the request types of Anthropic's Python SDK (``anthropic.types``), the beta ones included.
``null`` is taken wherever a field may be left out. What the API itself wrote and clients only send
back (results of its own tools, citations) is taken in any shape.
"""

from typing import Any, Literal

from msgspec import Struct


class CacheControl(Struct, frozen=True, kw_only=True):
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] | None = None


class Block(Struct, frozen=True, kw_only=True, tag_field="type"):
    """Any block: each can mark where the prompt's cached part ends."""

    cache_control: CacheControl | None = None


class TextBlock(Block, frozen=True, kw_only=True, tag="text"):
    text: str
    citations: list[dict[str, Any]] | None = None


class Base64Image(Struct, frozen=True, kw_only=True, tag_field="type", tag="base64"):
    data: str
    media_type: Literal["image/jpeg", "image/png", "image/gif", "image/webp"]


class Url(Struct, frozen=True, kw_only=True, tag_field="type", tag="url"):
    url: str


class UploadedFile(Struct, frozen=True, kw_only=True, tag_field="type", tag="file"):
    file_id: str


class Transformations(Struct, frozen=True, kw_only=True):
    oversized_image: Literal["downsize", "error"] | None = None


class ImageBlock(Block, frozen=True, kw_only=True, tag="image"):
    source: Base64Image | Url | UploadedFile
    transformations: Transformations | None = None


class Base64Pdf(Struct, frozen=True, kw_only=True, tag_field="type", tag="base64"):
    data: str
    media_type: Literal["application/pdf"]


class PlainText(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    data: str
    media_type: Literal["text/plain"]


class ContentSource(Struct, frozen=True, kw_only=True, tag_field="type", tag="content"):
    content: str | list[TextBlock | ImageBlock]


class Citations(Struct, frozen=True, kw_only=True):
    enabled: bool | None = None


class DocumentBlock(Block, frozen=True, kw_only=True, tag="document"):
    source: Base64Pdf | PlainText | ContentSource | Url | UploadedFile
    citations: Citations | None = None
    context: str | None = None
    title: str | None = None


class SearchResultBlock(Block, frozen=True, kw_only=True, tag="search_result"):
    content: list[TextBlock]
    source: str
    title: str
    citations: Citations | None = None


class ThinkingBlock(Block, frozen=True, kw_only=True, tag="thinking"):
    signature: str
    thinking: str


class RedactedThinkingBlock(Block, frozen=True, kw_only=True, tag="redacted_thinking"):
    data: str


class Caller(Struct, frozen=True, kw_only=True):
    type: Literal["direct", "code_execution_20250825", "code_execution_20260120"]
    tool_id: str | None = None


class ToolUseBlock(Block, frozen=True, kw_only=True, tag="tool_use"):
    id: str
    input: dict[str, Any]
    name: str
    caller: Caller | None = None
    toolset_name: str | None = None


class ToolReferenceBlock(Block, frozen=True, kw_only=True, tag="tool_reference"):
    tool_name: str


class BrowserTab(Struct, frozen=True, kw_only=True):
    tab_id: str
    title: str
    url: str
    active: bool | None = None


class BrowserStateBlock(Block, frozen=True, kw_only=True, tag="browser_state"):
    tabs: list[BrowserTab]
    state_changes: list[dict[str, Any]] | None = None


ResultContent = (
    TextBlock
    | ImageBlock
    | SearchResultBlock
    | DocumentBlock
    | ToolReferenceBlock
    | BrowserStateBlock
)


class ToolResultBlock(Block, frozen=True, kw_only=True, tag="tool_result"):
    tool_use_id: str
    content: str | list[ResultContent] | None = None
    is_error: bool | None = None
    toolset_name: str | None = None


class ServerToolUseBlock(Block, frozen=True, kw_only=True, tag="server_tool_use"):
    id: str
    input: dict[str, Any]
    name: str
    caller: Caller | None = None


class ServerToolResultBlock(Block, frozen=True, kw_only=True):
    """What the API's own tools found; each of them has a tag of its own."""

    tool_use_id: str
    content: dict[str, Any] | list[dict[str, Any]]
    caller: Caller | None = None


class WebSearchResult(
    ServerToolResultBlock, frozen=True, kw_only=True, tag="web_search_tool_result"
):
    pass


class WebFetchResult(ServerToolResultBlock, frozen=True, kw_only=True, tag="web_fetch_tool_result"):
    pass


class CodeExecutionResult(
    ServerToolResultBlock, frozen=True, kw_only=True, tag="code_execution_tool_result"
):
    pass


class BashResult(
    ServerToolResultBlock, frozen=True, kw_only=True, tag="bash_code_execution_tool_result"
):
    pass


class TextEditorResult(
    ServerToolResultBlock, frozen=True, kw_only=True, tag="text_editor_code_execution_tool_result"
):
    pass


class ToolSearchResult(
    ServerToolResultBlock, frozen=True, kw_only=True, tag="tool_search_tool_result"
):
    pass


class AdvisorResult(ServerToolResultBlock, frozen=True, kw_only=True, tag="advisor_tool_result"):
    pass


class McpToolUseBlock(Block, frozen=True, kw_only=True, tag="mcp_tool_use"):
    id: str
    input: dict[str, Any]
    name: str
    server_name: str


class McpToolResultBlock(Block, frozen=True, kw_only=True, tag="mcp_tool_result"):
    tool_use_id: str
    content: str | list[TextBlock] | None = None
    is_error: bool | None = None


class ContainerUploadBlock(Block, frozen=True, kw_only=True, tag="container_upload"):
    file_id: str


class CompactionBlock(Block, frozen=True, kw_only=True, tag="compaction"):
    content: str | None = None
    encrypted_content: str | None = None
    signature: str | None = None
    tool_changes: list[dict[str, Any]] | None = None


class ToolAdditionBlock(Block, frozen=True, kw_only=True, tag="tool_addition"):
    tool: dict[str, Any]


class ToolRemovalBlock(Block, frozen=True, kw_only=True, tag="tool_removal"):
    tool: dict[str, Any]


class McpToolListingBlock(Block, frozen=True, kw_only=True, tag="mcp_tool_listing"):
    mcp_server_name: str
    tools: list[dict[str, Any]]


class FallbackBlock(Block, frozen=True, kw_only=True, tag="fallback", rename={"origin": "from"}):
    origin: dict[str, Any]
    to: dict[str, Any]
    trigger: Any = None


ContentBlock = (
    TextBlock
    | ImageBlock
    | DocumentBlock
    | SearchResultBlock
    | ThinkingBlock
    | RedactedThinkingBlock
    | ToolUseBlock
    | ToolResultBlock
    | ServerToolUseBlock
    | WebSearchResult
    | WebFetchResult
    | CodeExecutionResult
    | BashResult
    | TextEditorResult
    | ToolSearchResult
    | AdvisorResult
    | McpToolUseBlock
    | McpToolResultBlock
    | ContainerUploadBlock
    | CompactionBlock
    | ToolAdditionBlock
    | ToolRemovalBlock
    | McpToolListingBlock
    | FallbackBlock
)
