"""The tools that a request to the Responses API may offer, and how one is chosen, declared.

Source: ``Tool`` and ``ToolChoiceParam`` of OpenAI's published schema and the types of its Python
SDK; where they differ in what they accept, the wider of the two. ``null`` is taken wherever a field
may be left out.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from fakellm.dialects.openai.chat_request import Name

Callers = list[Literal["direct", "programmatic"]]
Status = Literal["in_progress", "completed", "incomplete"]
CallId = Annotated[str, Meta(min_length=1, max_length=64)]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"]


class Tagged(Struct, frozen=True, kw_only=True, omit_defaults=True, tag_field="type"):
    """One of several sorts, told apart by ``type``."""


class Plain(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An object of one sort."""


class Caller(Plain, frozen=True, kw_only=True):
    type: Literal["direct", "program"]
    caller_id: str | None = None


class FunctionTool(Tagged, frozen=True, kw_only=True, tag="function"):
    name: Name
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    description: str | None = None
    allowed_callers: Callers | None = None
    defer_loading: bool | None = None
    output_schema: dict[str, Any] | None = None
    async_: bool | None = field(default=None, name="async")


class TextInput(Tagged, frozen=True, kw_only=True, tag="text"):
    pass


class GrammarInput(Tagged, frozen=True, kw_only=True, tag="grammar"):
    definition: str
    syntax: Literal["lark", "regex"]


class CustomTool(Tagged, frozen=True, kw_only=True, tag="custom"):
    name: Name
    description: str | None = None
    format: TextInput | GrammarInput | None = None
    allowed_callers: Callers | None = None
    defer_loading: bool | None = None
    async_: bool | None = field(default=None, name="async")


class NamespaceTool(Tagged, frozen=True, kw_only=True, tag="namespace"):
    name: str
    description: str
    tools: list[FunctionTool | CustomTool]


class ToolSearchTool(Tagged, frozen=True, kw_only=True, tag="tool_search"):
    description: str | None = None
    execution: Literal["server", "client"] | None = None
    parameters: Any = None


class Filter(Plain, frozen=True, kw_only=True):
    """A comparison, or several filters in one."""

    type: Literal["eq", "ne", "gt", "gte", "lt", "lte", "in", "nin", "and", "or"]
    key: str | None = None
    value: str | float | bool | list[str | float] | None = None
    filters: list[Any] | None = None


class HybridSearch(Plain, frozen=True, kw_only=True):
    embedding_weight: float
    text_weight: float


class RankingOptions(Plain, frozen=True, kw_only=True):
    ranker: Literal["auto", "default-2024-11-15"] | None = None
    score_threshold: float | None = None
    hybrid_search: HybridSearch | None = None


class FileSearchTool(Tagged, frozen=True, kw_only=True, tag="file_search"):
    vector_store_ids: list[str]
    filters: Filter | None = None
    max_num_results: int | None = None
    ranking_options: RankingOptions | None = None


class ComputerTool(Tagged, frozen=True, kw_only=True, tag="computer"):
    pass


class ComputerUsePreviewTool(Tagged, frozen=True, kw_only=True, tag="computer_use_preview"):
    display_height: int
    display_width: int
    environment: Literal["windows", "mac", "linux", "ubuntu", "browser"]


class UserLocation(Plain, frozen=True, kw_only=True):
    type: Literal["approximate"] | None = None
    city: str | None = None
    country: str | None = None
    region: str | None = None
    timezone: str | None = None


class SearchFilters(Plain, frozen=True, kw_only=True):
    allowed_domains: list[str] | None = None


class WebSearchTool(Tagged, frozen=True, kw_only=True, tag="web_search"):
    filters: SearchFilters | None = None
    user_location: UserLocation | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None
    external_web_access: bool | None = None


class DatedWebSearchTool(WebSearchTool, frozen=True, kw_only=True, tag="web_search_2025_08_26"):
    pass


class WebSearchPreviewTool(Tagged, frozen=True, kw_only=True, tag="web_search_preview"):
    user_location: UserLocation | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None
    search_content_types: list[Literal["text", "image"]] | None = None


class DatedWebSearchPreviewTool(
    WebSearchPreviewTool, frozen=True, kw_only=True, tag="web_search_preview_2025_03_11"
):
    pass


class McpFilter(Plain, frozen=True, kw_only=True):
    read_only: bool | None = None
    tool_names: list[str] | None = None


class McpApprovals(Plain, frozen=True, kw_only=True):
    always: McpFilter | None = None
    never: McpFilter | None = None


class McpTool(Tagged, frozen=True, kw_only=True, tag="mcp"):
    server_label: str
    server_url: str | None = None
    connector_id: str | None = None
    authorization: str | None = None
    headers: dict[str, str] | None = None
    server_description: str | None = None
    allowed_tools: list[str] | McpFilter | None = None
    require_approval: McpApprovals | Literal["always", "never"] | None = None
    allowed_callers: Callers | None = None
    defer_loading: bool | None = None
    tunnel_id: str | None = None


class DomainSecret(Plain, frozen=True, kw_only=True):
    domain: str
    name: str
    value: str


class NoNetwork(Tagged, frozen=True, kw_only=True, tag="disabled"):
    pass


class AllowedNetwork(Tagged, frozen=True, kw_only=True, tag="allowlist"):
    allowed_domains: list[str]
    domain_secrets: list[DomainSecret] | None = None


class InlineSource(Plain, frozen=True, kw_only=True):
    type: Literal["base64"]
    media_type: Literal["application/zip"]
    data: str


class InlineSkill(Tagged, frozen=True, kw_only=True, tag="inline"):
    name: str
    description: str
    source: InlineSource


class SkillReference(Tagged, frozen=True, kw_only=True, tag="skill_reference"):
    skill_id: str
    version: str | None = None


class LocalSkill(Plain, frozen=True, kw_only=True):
    name: str
    description: str
    path: str


MemoryLimit = Literal["1g", "4g", "16g", "64g"]


class CodeContainer(Plain, frozen=True, kw_only=True):
    type: Literal["auto"]
    file_ids: list[str] | None = None
    memory_limit: MemoryLimit | None = None
    network_policy: NoNetwork | AllowedNetwork | None = None


class CodeInterpreterTool(Tagged, frozen=True, kw_only=True, tag="code_interpreter"):
    container: str | CodeContainer
    allowed_callers: Callers | None = None


class ImageMask(Plain, frozen=True, kw_only=True):
    file_id: str | None = None
    image_url: str | None = None


class SvgReasoning(Plain, frozen=True, kw_only=True):
    effort: ReasoningEffort | None = None


class Svg(Plain, frozen=True, kw_only=True):
    model: str | None = None
    reasoning: SvgReasoning | None = None


class ImageGenerationTool(Tagged, frozen=True, kw_only=True, tag="image_generation"):
    model: str | None = None
    action: Literal["generate", "edit", "auto"] | None = None
    background: Literal["transparent", "opaque", "auto"] | None = None
    complexity: Literal["low", "medium", "high"] | None = None
    frame_count: int | None = None
    frame_duration_ms: int | None = None
    input_fidelity: Literal["high", "low"] | None = None
    input_image_mask: ImageMask | None = None
    moderation: Literal["auto", "low"] | None = None
    output_compression: Annotated[int, Meta(ge=0, le=100)] | None = None
    output_format: Literal["png", "webp", "jpeg", "gif", "svg"] | None = None
    partial_images: Annotated[int, Meta(ge=0, le=3)] | None = None
    quality: Literal["low", "medium", "high", "xhigh", "max", "auto"] | None = None
    size: str | None = None
    svg: Svg | None = None


class LocalShellTool(Tagged, frozen=True, kw_only=True, tag="local_shell"):
    pass


class AutoContainer(Tagged, frozen=True, kw_only=True, tag="container_auto"):
    file_ids: list[str] | None = None
    memory_limit: MemoryLimit | None = None
    network_policy: NoNetwork | AllowedNetwork | None = None
    skills: list[SkillReference | InlineSkill] | None = None


class LocalEnvironment(Tagged, frozen=True, kw_only=True, tag="local"):
    skills: list[LocalSkill] | None = None


class ContainerReference(Tagged, frozen=True, kw_only=True, tag="container_reference"):
    container_id: str


class ShellTool(Tagged, frozen=True, kw_only=True, tag="shell"):
    environment: AutoContainer | LocalEnvironment | ContainerReference | None = None
    allowed_callers: Callers | None = None


class ApplyPatchTool(Tagged, frozen=True, kw_only=True, tag="apply_patch"):
    allowed_callers: Callers | None = None


class ProgrammaticTool(Tagged, frozen=True, kw_only=True, tag="programmatic_tool_calling"):
    pass


Tool = (
    FunctionTool
    | CustomTool
    | NamespaceTool
    | ToolSearchTool
    | FileSearchTool
    | ComputerTool
    | ComputerUsePreviewTool
    | WebSearchTool
    | DatedWebSearchTool
    | WebSearchPreviewTool
    | DatedWebSearchPreviewTool
    | McpTool
    | CodeInterpreterTool
    | ImageGenerationTool
    | LocalShellTool
    | ShellTool
    | ApplyPatchTool
    | ProgrammaticTool
)


class Choice(Plain, frozen=True, kw_only=True):
    """A choice of one tool, or of a set of allowed ones; which fields it has to have depends."""

    type: Literal[
        "function",
        "custom",
        "allowed_tools",
        "mcp",
        "file_search",
        "web_search",
        "web_search_2025_08_26",
        "web_search_preview",
        "web_search_preview_2025_03_11",
        "computer",
        "computer_use",
        "computer_use_preview",
        "image_generation",
        "code_interpreter",
        "local_shell",
        "shell",
        "apply_patch",
        "programmatic_tool_calling",
    ]
    name: str | None = None
    server_label: str | None = None
    mode: Literal["auto", "required"] | None = None
    tools: list[dict[str, Any]] | None = None


ToolChoice = Literal["none", "auto", "required"] | Choice
