"""The body of ``POST /v1/responses``, declared.

Source: ``CreateResponse`` of OpenAI's published schema and the request types of its Python SDK
(``openai.types.responses``); where they differ in what they accept, the wider of the two. ``null``
is taken wherever a field may be left out.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta

from fakellm.dialects.openai.chat_request import MetadataValues, Moderation, Name
from fakellm.dialects.openai.responses.items import (
    InputFile,
    InputImage,
    InputItem,
    InputText,
    LongText,
)
from fakellm.dialects.openai.responses.tools import (
    Plain,
    ReasoningEffort,
    Tagged,
    Tool,
    ToolChoice,
)


class TextFormat(Tagged, frozen=True, kw_only=True, tag="text"):
    pass


class JsonObjectFormat(Tagged, frozen=True, kw_only=True, tag="json_object"):
    pass


class JsonSchemaFormat(Tagged, frozen=True, kw_only=True, tag="json_schema"):
    name: Name
    schema: dict[str, Any]
    description: str | None = None
    strict: bool | None = None


class TextConfig(Plain, frozen=True, kw_only=True):
    format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    verbosity: Literal["low", "medium", "high"] | None = None


SummaryDetail = Literal["auto", "concise", "detailed"]


class Reasoning(Plain, frozen=True, kw_only=True):
    effort: ReasoningEffort | None = None
    summary: SummaryDetail | None = None
    generate_summary: SummaryDetail | None = None
    context: Literal["auto", "current_turn", "all_turns"] | None = None
    mode: str | None = None


class PromptTemplate(Plain, frozen=True, kw_only=True):
    id: str
    version: str | None = None
    variables: dict[str, str | InputText | InputImage | InputFile] | None = None


class ConversationReference(Plain, frozen=True, kw_only=True):
    id: str


class StreamOptions(Plain, frozen=True, kw_only=True):
    include_obfuscation: bool | None = None


class ContextManagement(Plain, frozen=True, kw_only=True):
    type: str
    compact_threshold: int | None = None


class PromptCacheOptions(Plain, frozen=True, kw_only=True):
    mode: Literal["implicit", "explicit"] | None = None
    ttl: Literal["30m", "12h"] | None = None
    prewarm: bool | None = None
    comparison_response_id: str | None = None


class AccessPrograms(Plain, frozen=True, kw_only=True):
    cyber: Literal["standard", "daybreak_blue", "daybreak_red"] | None = None


class BackgroundOptions(Plain, frozen=True, kw_only=True):
    completion_window: Literal["soonest", "2h", "8h"] | None = None
    continuation_id: str | None = None


class ImageOptions(Plain, frozen=True, kw_only=True):
    context_compression: Literal["auto", "enabled", "disabled"] | None = None


Includable = Literal[
    "file_search_call.results",
    "web_search_call.results",
    "web_search_call.action.sources",
    "message.input_image.image_url",
    "computer_call_output.output.image_url",
    "code_interpreter_call.outputs",
    "reasoning.encrypted_content",
    "message.output_text.logprobs",
]
Tier = Literal["auto", "default", "flex", "scale", "priority", "fast", "ultrafast"]
CacheRetention = Literal["in_memory", "in-memory", "24h"]
Input = LongText | list[InputItem]
LEAST_OUTPUT_TOKENS = 16


class InputRequest(Plain, frozen=True, kw_only=True):
    """What is asked for, and of what: common to answering and to counting."""

    model: Annotated[str, Meta(min_length=1)] | None = None
    input: Input | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    conversation: str | ConversationReference | None = None
    tools: Annotated[list[Tool], Meta(max_length=128)] | None = None
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    text: TextConfig | None = None
    reasoning: Reasoning | None = None
    truncation: Literal["auto", "disabled"] | None = None


class CountRequest(InputRequest, frozen=True, kw_only=True):
    """The body of ``POST /v1/responses/input_tokens``."""

    personality: str | None = None


class CompactRequest(Plain, frozen=True, kw_only=True):
    """The body of ``POST /v1/responses/compact``."""

    model: str | None
    input: Input | None = None
    instructions: str | None = None
    previous_response_id: str | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: CacheRetention | None = None
    service_tier: Tier | None = None
    image: ImageOptions | None = None


class ResponsesRequest(InputRequest, frozen=True, kw_only=True):
    """The whole body."""

    stream: bool | None = None
    stream_options: StreamOptions | None = None
    store: bool | None = None
    background: bool | None = None
    background_options: BackgroundOptions | None = None
    include: list[Includable] | None = None
    max_output_tokens: Annotated[int, Meta(ge=LEAST_OUTPUT_TOKENS)] | None = None
    max_tool_calls: Annotated[int, Meta(ge=1)] | None = None
    metadata: MetadataValues | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    prompt: PromptTemplate | None = None
    service_tier: Tier | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    prompt_cache_retention: CacheRetention | None = None
    context_management: Annotated[list[ContextManagement], Meta(min_length=1)] | None = None
    moderation: Moderation | None = None
    access_programs: AccessPrograms | None = None
    image: ImageOptions | None = None
    user: str | None = None


class ConversationBody(Plain, frozen=True, kw_only=True):
    """The body of ``POST /v1/conversations``."""

    items: Annotated[list[InputItem], Meta(max_length=20)] | None = None
    metadata: MetadataValues | None = None


class ConversationUpdate(Plain, frozen=True, kw_only=True):
    """The body of ``POST /v1/conversations/{conversation_id}``."""

    metadata: MetadataValues | None


class ConversationItems(Plain, frozen=True, kw_only=True):
    """The body of ``POST /v1/conversations/{conversation_id}/items``."""

    items: Annotated[list[InputItem], Meta(max_length=20)]
