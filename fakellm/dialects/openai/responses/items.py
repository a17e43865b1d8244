"""The items of an input to the Responses API, declared.

Source: ``InputItem`` of OpenAI's published schema and the types of its Python SDK; where they
differ in what they accept, the wider of the two. ``null`` is taken wherever a field may be left
out.
"""

from typing import Annotated, Any, Literal

from msgspec import Meta, Struct, field

from fakellm.dialects.openai.chat_request import PromptCacheBreakpoint
from fakellm.dialects.openai.responses.hosted_items import HostedItem
from fakellm.dialects.openai.responses.tools import (
    Caller,
    CallId,
    Plain,
    ReasoningEffort,
    Status,
    Tagged,
    Tool,
)

LongText = Annotated[str, Meta(max_length=10_485_760)]


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
    | HostedItem
)


class Typed(Struct, frozen=True, kw_only=True):
    """As much of an item as tells whether it says what it is."""

    type: Any = None
    role: Any = None
    id: Any = None
