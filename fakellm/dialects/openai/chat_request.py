"""The body of ``POST /v1/chat/completions``, declared.

Source: ``CreateChatCompletionRequest`` of OpenAI's published schema and the request types of its
Python SDK (``openai.types.chat``); where they differ in what they accept, the wider of the two.
``null`` is taken wherever a field may be left out. Bounds that both leave out are those the API is
known to enforce, by the messages it refuses them with.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct

Name = Annotated[str, Meta(pattern=r"^[a-zA-Z0-9_-]+\Z", min_length=1, max_length=64)]
"""Names of functions, tools and schemas."""

SpeakerName = Annotated[str, Meta(pattern=r"^[^\s<|\\/>]+\Z")]
"""Names of those who speak."""


class PromptCacheBreakpoint(Struct, frozen=True, kw_only=True):
    mode: Literal["explicit"]
    ttl: Literal["30m", "12h"] | None = None


class TextPart(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    text: str
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class RefusalPart(Struct, frozen=True, kw_only=True, tag_field="type", tag="refusal"):
    refusal: str


class ImageUrl(Struct, frozen=True, kw_only=True):
    url: str
    detail: Literal["auto", "low", "high", "original"] | None = None


class ImagePart(Struct, frozen=True, kw_only=True, tag_field="type", tag="image_url"):
    image_url: ImageUrl
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class InputAudio(Struct, frozen=True, kw_only=True):
    data: str
    format: Literal["wav", "mp3"]


class AudioPart(Struct, frozen=True, kw_only=True, tag_field="type", tag="input_audio"):
    input_audio: InputAudio
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


class FileSource(Struct, frozen=True, kw_only=True):
    filename: str | None = None
    file_data: str | None = None
    file_id: str | None = None


class FilePart(Struct, frozen=True, kw_only=True, tag_field="type", tag="file"):
    file: FileSource
    prompt_cache_breakpoint: PromptCacheBreakpoint | None = None


TextContent = str | Annotated[list[TextPart], Meta(min_length=1)]
UserContent = str | Annotated[list[TextPart | ImagePart | AudioPart | FilePart], Meta(min_length=1)]
AssistantContent = str | Annotated[list[TextPart | RefusalPart], Meta(min_length=1)]


class FunctionArguments(Struct, frozen=True, kw_only=True):
    name: Name
    arguments: str


class FunctionCall(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    id: str
    function: FunctionArguments


class CustomInput(Struct, frozen=True, kw_only=True):
    name: Name
    input: str


class CustomCall(Struct, frozen=True, kw_only=True, tag_field="type", tag="custom"):
    id: str
    custom: CustomInput


class AudioReference(Struct, frozen=True, kw_only=True):
    id: str


class DeveloperMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="developer"):
    content: TextContent
    name: SpeakerName | None = None


class SystemMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="system"):
    content: TextContent
    name: SpeakerName | None = None


class UserMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="user"):
    content: UserContent
    name: SpeakerName | None = None


class AssistantMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="assistant"):
    content: AssistantContent | None = None
    refusal: str | None = None
    name: SpeakerName | None = None
    audio: AudioReference | None = None
    tool_calls: Annotated[list[FunctionCall | CustomCall], Meta(min_length=1)] | None = None
    function_call: FunctionArguments | None = None


class ToolMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="tool"):
    content: TextContent
    tool_call_id: str


class FunctionMessage(Struct, frozen=True, kw_only=True, tag_field="role", tag="function"):
    name: Name
    content: str | None


ChatMessage = (
    DeveloperMessage
    | SystemMessage
    | UserMessage
    | AssistantMessage
    | ToolMessage
    | FunctionMessage
)


class Function(Struct, frozen=True, kw_only=True):
    """A function on offer; the schema calls it ``FunctionObject``."""

    name: Name
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class FunctionTool(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    function: Function


class TextGrammar(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    pass


class GrammarDefinition(Struct, frozen=True, kw_only=True):
    definition: str
    syntax: Literal["lark", "regex"]


class Grammar(Struct, frozen=True, kw_only=True, tag_field="type", tag="grammar"):
    grammar: GrammarDefinition


class Custom(Struct, frozen=True, kw_only=True):
    name: Name
    description: str | None = None
    format: TextGrammar | Grammar | None = None


class CustomTool(Struct, frozen=True, kw_only=True, tag_field="type", tag="custom"):
    custom: Custom


class Named(Struct, frozen=True, kw_only=True):
    name: str


class FunctionChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="function"):
    function: Named


class CustomChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="custom"):
    custom: Named


class AllowedTools(Struct, frozen=True, kw_only=True):
    mode: Literal["auto", "required"]
    tools: Annotated[list[FunctionChoice | CustomChoice], Meta(min_length=1)]


class AllowedToolsChoice(Struct, frozen=True, kw_only=True, tag_field="type", tag="allowed_tools"):
    allowed_tools: AllowedTools


class TextFormat(Struct, frozen=True, kw_only=True, tag_field="type", tag="text"):
    pass


class JsonObjectFormat(Struct, frozen=True, kw_only=True, tag_field="type", tag="json_object"):
    pass


class JsonSchema(Struct, frozen=True, kw_only=True):
    name: Name
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class JsonSchemaFormat(Struct, frozen=True, kw_only=True, tag_field="type", tag="json_schema"):
    json_schema: JsonSchema


class StreamOptions(Struct, frozen=True, kw_only=True):
    include_usage: bool | None = None
    include_obfuscation: bool | None = None
    continuous_usage_stats: bool | None = None  # vLLM's


class CustomVoice(Struct, frozen=True, kw_only=True):
    id: str


class AudioOutput(Struct, frozen=True, kw_only=True):
    voice: str | CustomVoice
    format: Literal["wav", "aac", "mp3", "flac", "opus", "pcm16"]


class Prediction(Struct, frozen=True, kw_only=True):
    type: Literal["content"]  # a tag that is the only one need not be there
    content: TextContent


class ApproximateLocation(Struct, frozen=True, kw_only=True):
    country: str | None = None
    region: str | None = None
    city: str | None = None
    timezone: str | None = None


class UserLocation(Struct, frozen=True, kw_only=True):
    type: Literal["approximate"]
    approximate: ApproximateLocation


class WebSearchOptions(Struct, frozen=True, kw_only=True):
    user_location: UserLocation | None = None
    search_context_size: Literal["low", "medium", "high"] | None = None


class ModerationMode(Struct, frozen=True, kw_only=True):
    mode: Literal["score", "block"]


class ModerationPolicy(Struct, frozen=True, kw_only=True):
    input: ModerationMode | None = None
    output: ModerationMode | None = None


class Moderation(Struct, frozen=True, kw_only=True):
    model: str
    policy: ModerationPolicy | None = None


class PromptCacheOptions(Struct, frozen=True, kw_only=True):
    ttl: Literal["30m"] | None = None
    mode: Literal["implicit", "explicit"] | None = None


Penalty = Annotated[float, Meta(ge=-2, le=2)]
MetadataValues = Annotated[
    dict[Annotated[str, Meta(max_length=64)], Annotated[str, Meta(max_length=512)]],
    Meta(max_length=16),
]


class ChatRequest(Struct, frozen=True, kw_only=True):
    """The whole body; the deprecated fields come last."""

    messages: Annotated[list[ChatMessage], Meta(min_length=1)]
    model: Annotated[str, Meta(min_length=1)]
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    max_completion_tokens: Annotated[int, Meta(ge=1)] | None = None
    stop: str | Annotated[list[str], Meta(min_length=1, max_length=4)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    frequency_penalty: Penalty | None = None
    presence_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[int, Meta(ge=-100, le=100)]] | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Meta(ge=0, le=20)] | None = None
    tools: Annotated[list[FunctionTool | CustomTool], Meta(min_length=1, max_length=128)] | None = (
        None
    )
    tool_choice: (
        Literal["none", "auto", "required"]
        | FunctionChoice
        | CustomChoice
        | AllowedToolsChoice
        | None
    ) = None
    parallel_tool_calls: bool | None = None
    response_format: TextFormat | JsonObjectFormat | JsonSchemaFormat | None = None
    reasoning_effort: Literal["none", "minimal", "low", "medium", "high", "xhigh", "max"] | None = (
        None
    )
    verbosity: Literal["low", "medium", "high"] | None = None
    modalities: list[Literal["text", "audio"]] | None = None
    audio: AudioOutput | None = None
    prediction: Prediction | None = None
    service_tier: Literal["auto", "default", "flex", "scale", "priority", "fast"] | None = None
    store: bool | None = None
    metadata: MetadataValues | None = None
    moderation: Moderation | None = None
    web_search_options: WebSearchOptions | None = None
    safety_identifier: Annotated[str, Meta(max_length=64)] | None = None
    prompt_cache_key: str | None = None
    prompt_cache_options: PromptCacheOptions | None = None
    # with a hyphen in older versions of the SDK
    prompt_cache_retention: Literal["in_memory", "in-memory", "24h"] | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    max_tokens: Annotated[int, Meta(ge=1)] | None = None
    user: str | None = None
    functions: Annotated[list[Function], Meta(min_length=1, max_length=128)] | None = None
    function_call: Literal["none", "auto"] | Named | None = None
    # not the API's own, but of servers that speak its format
    ignore_eos: bool | None = None
    min_tokens: Annotated[int, Meta(ge=0)] | None = None
