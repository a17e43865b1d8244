"""The bodies of ``POST /v1/messages`` and its like, declared.

Source: the request types of Anthropic's Python SDK (``anthropic.types``), the beta ones included,
and the reference for what older versions of it sent (``temperature`` and its like). ``null`` is
taken wherever a field may be left out. What changes no answer of a fake and has many shapes is
taken in any.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

from fakellm.dialects.anthropic.blocks import (
    CacheControl,
    Citations,
    ContentBlock,
    TextBlock,
    ToolAdditionBlock,
    ToolRemovalBlock,
)

Effort = Literal["low", "medium", "high", "xhigh", "max"]


class UserMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="user"):
    content: str | list[ContentBlock]


class AssistantMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="assistant"):
    content: str | list[ContentBlock]


class EffortOnly(Struct, frozen=True, kw_only=True):
    effort: Effort | None = None


class SystemMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="system"):
    content: str | list[TextBlock | ToolAdditionBlock | ToolRemovalBlock] | None = None
    clear_at: Literal["next_user_message", "never"] | None = None
    output_config: EffortOnly | None = None


ApiMessage = UserMessage | AssistantMessage | SystemMessage


class ToolConfig(Struct, frozen=True, kw_only=True):
    defer_loading: bool | None = None
    enabled: bool | None = None


class UserLocation(Struct, frozen=True, kw_only=True):
    type: Literal["approximate"]
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class ToolSpec(Struct, frozen=True, kw_only=True):
    """A tool of any type; which fields each type has to have, the module `tools` says.

    One record for all, as the type of a tool of the client's own may be left out.
    """

    type: str | None = None
    name: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    input_examples: list[dict[str, Any]] | None = None
    strict: bool | None = None
    cache_control: CacheControl | None = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None
    allowed_callers: list[str] | None = None
    allowed_domains: list[str] | None = None
    blocked_domains: list[str] | None = None
    max_uses: Annotated[int, Meta(ge=1)] | None = None
    max_tokens: int | None = None
    user_location: UserLocation | None = None
    citations: Citations | None = None
    max_content_tokens: Annotated[int, Meta(ge=1)] | None = None
    url_sources: dict[str, Any] | None = None
    use_cache: bool | None = None
    response_inclusion: Literal["full", "excluded"] | None = None
    display_height_px: Annotated[int, Meta(ge=1)] | None = None
    display_width_px: Annotated[int, Meta(ge=1)] | None = None
    display_number: Annotated[int, Meta(ge=0)] | None = None
    enable_zoom: bool | None = None
    max_characters: int | None = None
    model: str | None = None
    caching: CacheControl | None = None
    mcp_server_name: str | None = None
    configs: dict[str, ToolConfig | None] | None = None
    default_config: ToolConfig | None = None
    tools: list[dict[str, Any]] | None = None


class AutoChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="auto"):
    disable_parallel_tool_use: bool | None = None


class AnyChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="any"):
    disable_parallel_tool_use: bool | None = None


class ToolChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="tool"):
    name: str
    disable_parallel_tool_use: bool | None = None


class NoChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="none"):
    pass


class JsonFormat(Struct, frozen=True, kw_only=True):
    type: Literal["json_schema"]  # a tag that is the only one need not be there
    schema: dict[str, Any]


class TaskBudget(Struct, frozen=True, kw_only=True):
    type: Literal["tokens"]
    total: int
    remaining: int | None = None


class OutputConfig(Struct, frozen=True, kw_only=True):
    effort: Effort | None = None
    format: JsonFormat | None = None
    task_budget: TaskBudget | None = None


Display = Literal["summarized", "omitted", "updates"]


class BlockBinding(Struct, frozen=True, kw_only=True):
    prefix_mismatch_behavior: Literal["error", "drop_block"] | None = None


class EnabledThinking(Struct, frozen=True, kw_only=True, tag_field="type", tag="enabled"):
    budget_tokens: Annotated[int, Meta(ge=1024)]
    display: Display | None = None
    block_binding: BlockBinding | None = None


class AdaptiveThinking(Struct, frozen=True, kw_only=True, tag_field="type", tag="adaptive"):
    display: Display | None = None
    block_binding: BlockBinding | None = None


class DisabledThinking(Struct, frozen=True, kw_only=True, tag_field="type", tag="disabled"):
    pass


class ThinkingBetweenTools(
    Struct, frozen=True, kw_only=True, tag_field="type", tag="between_tools"
):
    pass


class Metadata(Struct, frozen=True, kw_only=True):
    user_id: Annotated[str, Meta(max_length=512)] | None = None


class Skill(Struct, frozen=True, kw_only=True):
    type: Literal["anthropic", "custom"]
    skill_id: str
    version: str | None = None


class Container(Struct, frozen=True, kw_only=True):
    id: str | None = None
    skills: list[Skill] | None = None


class Diagnostics(Struct, frozen=True, kw_only=True):
    previous_message_id: str | None = None


class McpConfiguration(Struct, frozen=True, kw_only=True):
    allowed_tools: list[str] | None = None
    enabled: bool | None = None


class McpServer(Struct, frozen=True, kw_only=True):
    type: Literal["url"]
    name: str
    url: str
    authorization_token: str | None = None
    tool_configuration: McpConfiguration | None = None


class ContextManagement(Struct, frozen=True, kw_only=True):
    edits: list[dict[str, Any]] | None = None


class Fallback(Struct, frozen=True, kw_only=True):
    model: str
    max_tokens: int | None = None
    output_config: OutputConfig | None = None
    speed: Literal["standard", "fast"] | None = None
    thinking: dict[str, Any] | None = None


class Countable(Struct, frozen=True, kw_only=True):
    """What requests for an answer and for a count have in common."""

    model: Annotated[str, Meta(min_length=1)]
    messages: list[ApiMessage]
    system: str | list[TextBlock] | None = None
    tools: list[ToolSpec] | None = None
    tool_choice: AutoChoice | AnyChoice | ToolChoice | NoChoice | None = None
    thinking: (
        EnabledThinking | AdaptiveThinking | DisabledThinking | ThinkingBetweenTools | None
    ) = None
    output_config: OutputConfig | None = None
    output_format: JsonFormat | None = None  # what it was called before output_config had it
    cache_control: CacheControl | None = None
    speed: Literal["standard", "fast"] | None = None
    mcp_servers: list[McpServer] | None = None
    context_management: ContextManagement | None = None
    compaction: dict[str, Any] | None = None
    billing_policy: dict[str, Any] | None = None


class CountRequest(Countable, frozen=True, kw_only=True):
    """The body of ``POST /v1/messages/count_tokens``."""


class MessagesRequest(Countable, frozen=True, kw_only=True):
    """The body of ``POST /v1/messages``."""

    # 0 fills the prompt cache, and has nothing said
    max_tokens: Annotated[int, Meta(ge=0)]
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    temperature: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_k: Annotated[int, Meta(ge=0)] | None = None
    metadata: Metadata | None = None
    service_tier: Literal["auto", "standard_only"] | None = None
    inference_geo: str | None = None
    container: str | Container | None = None
    diagnostics: Diagnostics | None = None
    thread: dict[str, Any] | None = None
    fallbacks: list[Fallback] | Literal["default"] | None = None
    fallback_credit_token: str | dict[str, Any] | None = None


class BatchItem(Struct, frozen=True, kw_only=True):
    custom_id: Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]{1,64}\Z")]
    params: dict[str, Any]  # looked at when it is its turn, as the API does


class BatchRequest(Struct, frozen=True, kw_only=True):
    """The body of ``POST /v1/messages/batches``."""

    requests: list[BatchItem]
