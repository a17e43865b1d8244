"""From the body of a request to the Responses API to a prompt, with the rules that span fields."""

from collections.abc import Iterable, Sequence
from typing import Any, TypeVar

import msgspec
from msgspec import Struct

from fakellm.dialects import invalid
from fakellm.dialects.openai.errors import refuse, shown
from fakellm.dialects.openai.problem_words import problem_words
from fakellm.dialects.openai.responses import request as wire
from fakellm.dialects.openai.responses.input_items import plain, typed
from fakellm.dialects.openai.responses.messages import check_calls, messages_of
from fakellm.dialects.openai.responses.stored import Item, earlier_items
from fakellm.dialects.openai.responses.tools import Choice, Plain
from fakellm.model import content
from fakellm.model.asked import Kept
from fakellm.model.prompt import AnswerFormat, Message, Prompt, Received, Tool, ToolChoice

ENDPOINT = "responses"
TEMPLATE_MODEL = "gpt-4.1"
"""The model of a prompt template, where a request names none: which it is, is kept elsewhere."""


class Asking(Struct, frozen=True, kw_only=True):
    """A request, and what it is about: the dialect's own record of a prompt.

    ``earlier`` are the items of the turns before, ``given`` those of the request.
    """

    request: wire.ResponsesRequest
    conversation: str | None
    earlier: tuple[Item, ...]
    given: tuple[Item, ...]

    @property
    def stored(self) -> bool:
        """Whether the response is to be kept."""
        return self.request.store is not False

    def includes(self, what: wire.Includable) -> bool:
        """Whether the request wants something that is left out otherwise."""
        return what in (self.request.include or ())


def decode_responses(
    received: Received,
    *,
    dialect: str,
    strict: bool,
    kept: Kept,
    api_key: str | None = None,
) -> Prompt:
    """What a request to the Responses API asks.

    Args:
        received: the request.
        dialect: the name that the prompt shall bear.
        strict: also refuse unknown arguments, and ``json_object`` without the word "json".
        kept: earlier responses and conversations, which it may go on from.
        api_key: the API key that the request bears.

    Raises:
        Refused: the body is not what the API takes, or what it is about is not there.
    """
    request, unknown = decoded(received.body, wire.ResponsesRequest)
    if strict and unknown:
        name = shown(unknown[0])
        raise refuse(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    _check_combinations(request)
    prompt = decode_input(request, received, dialect=dialect, kept=kept)
    if strict and prompt.format.kind == "json_object":
        _check_json_word(prompt.messages)
    logprobs = "message.output_text.logprobs" in (request.include or ())
    asking: tuple[Item, ...] = prompt.wire
    earlier = len(asking) - _given(request)
    return msgspec.structs.replace(
        prompt,
        stream=bool(request.stream),
        max_tokens=request.max_output_tokens,
        logprobs=(request.top_logprobs or 0) if logprobs else None,
        lasting=bool(request.background),
        unknown=unknown,
        api_key=api_key,
        wire=Asking(
            request=request,
            conversation=conversation_of(request),
            earlier=asking[:earlier],
            given=asking[earlier:],
        ),
    )


_Record = TypeVar("_Record", bound=Plain)


def decoded(
    body: bytes, record: type[_Record], items: str = "input"
) -> tuple[_Record, tuple[str, ...]]:
    """A body as its record, and the names in it that the record does not know.

    Raises:
        Refused: it is not what the record says.
    """
    body, names = typed(body, items)
    try:
        request: _Record = invalid.decode(body, record)
    except invalid.Invalid as error:
        raise problem_words(error.problem) from None
    return request, tuple(name for name in names if name not in record.__struct_encode_fields__)


def decode_input(
    request: wire.InputRequest, received: Received, *, dialect: str, kept: Kept
) -> Prompt:
    """As much of a prompt as answering and counting have in common.

    Its ``wire`` are all items, earlier ones first.

    Raises:
        Refused: what the request is about is not there, or does not go together.
    """
    if request.previous_response_id is not None and request.conversation is not None:
        raise refuse(
            "Mutually exclusive parameters: 'previous_response_id' and 'conversation'. Ensure you "
            "are only providing one of them.",
            param="conversation",
            code="mutually_exclusive_parameters",
        )
    earlier = earlier_items(kept, request.previous_response_id, conversation_of(request))
    items = (*earlier, *plain(request.input, kept))
    check_calls(items)
    offered = [*(request.tools or ()), *_more_tools(items)]
    tools = tuple(_tools(msgspec.to_builtins(offered)))
    choice = _tool_choice(request, tools)
    return Prompt(
        dialect=dialect,
        endpoint=ENDPOINT,
        model=request.model or TEMPLATE_MODEL,
        messages=messages_of(request.instructions, items),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls,
        format=_answer_format(request.text),
        reasoning_effort=request.reasoning.effort if request.reasoning else None,
        received=received,
        wire=items,
    )


def conversation_of(request: wire.InputRequest) -> str | None:
    """The id of the conversation that a request belongs to."""
    given = request.conversation
    return given.id if isinstance(given, wire.ConversationReference) else given


def _given(request: wire.ResponsesRequest) -> int:
    """How many items the request has of its own."""
    if request.input is None:
        return 0
    return 1 if isinstance(request.input, str) else len(request.input)


def _check_combinations(request: wire.ResponsesRequest) -> None:
    if request.model is None and request.prompt is None:
        raise refuse(
            "Missing required parameter: 'model'.", param="model", code="missing_required_parameter"
        )
    about = (request.previous_response_id, request.prompt, request.conversation)
    if request.input is None and all(each is None for each in about):
        raise refuse(
            'One of "input" or "previous_response_id" or "prompt" or "conversation" must be '
            "provided.",
            param="input",
            code="missing_required_parameter",
        )
    if request.stream_options is not None and not request.stream:
        raise refuse(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    if request.background and request.store is False:
        raise refuse(
            "Background responses have to be stored: 'background' requires 'store' to be true.",
            param="background",
        )


def _more_tools(items: Iterable[Item]) -> list[Any]:
    """Tools that come with items, which may be a scenario's, and so anything."""
    return [
        tool
        for item in items
        if item["type"] in ("additional_tools", "tool_search_output")
        and isinstance(item.get("tools"), list)
        for tool in item["tools"]
        if isinstance(tool, dict) and isinstance(tool.get("name"), str)
    ]


def _tools(offered: Iterable[Item]) -> Iterable[Tool]:
    """The tools that the client runs; all others are the vendor's affair."""
    for tool in offered:
        match tool["type"]:
            case "function":
                yield Tool(
                    name=tool["name"],
                    description=tool.get("description"),
                    parameters=tool.get("parameters"),
                    strict=tool.get("strict") is not False,
                )
            case "custom":
                yield Tool(name=tool["name"], kind="custom", description=tool.get("description"))
            case "namespace":
                yield from _tools(tool["tools"])


def _tool_choice(request: wire.InputRequest, tools: Sequence[Tool]) -> ToolChoice:
    choice, offered = request.tool_choice, msgspec.to_builtins(request.tools or ())
    if choice in (None, "auto"):
        return ToolChoice()
    if choice == "none":
        return ToolChoice(mode="none")
    if not offered and not tools:
        raise refuse(
            "Tool choice must be 'auto' or 'none' when no 'tools' are specified.",
            param="tool_choice",
        )
    if not isinstance(choice, Choice):
        # a tool of the vendor's is called, or not, as a scenario says
        return ToolChoice(mode="required") if tools else ToolChoice()
    if choice.type == "allowed_tools":
        return _allowed(choice, tools, offered)
    if choice.type in ("function", "custom"):
        named = {"type": choice.type, "name": _required(choice.name, "tool_choice.name")}
        return ToolChoice(mode="required", names=_names([named], tools, offered, "tool_choice"))
    if choice.type == "mcp":
        _required(choice.server_label, "tool_choice.server_label")
    _names([msgspec.to_builtins(choice)], tools, offered, "tool_choice")
    return ToolChoice()


def _allowed(choice: Choice, tools: Sequence[Tool], offered: Sequence[Item]) -> ToolChoice:
    mode = _required(choice.mode, "tool_choice.mode")
    allowed = _required(choice.tools, "tool_choice.tools")
    names = _names(allowed, tools, offered, "tool_choice.tools")
    if not names:  # but tools of the vendor's
        return ToolChoice(mode="none")
    return ToolChoice(mode=mode, names=names)


def _required(value: Any, path: str) -> Any:
    if value is None:
        raise refuse(
            f"Missing required parameter: '{path}'.", param=path, code="missing_required_parameter"
        )
    return value


def _names(
    chosen: Iterable[Item], tools: Sequence[Tool], offered: Sequence[Item], param: str
) -> tuple[str, ...]:
    """The names of the client's own tools among those chosen, all of which must be on offer."""
    names = []
    own = {(tool.kind, tool.name) for tool in tools}
    kinds = [tool["type"] for tool in offered]
    for each in chosen:
        kind, name = each.get("type"), each.get("name")
        if kind in ("function", "custom"):
            found = (kind, name) in own
            names.append(str(name))
        else:
            found = any(_alike(str(kind), other) for other in kinds)
        if not found:
            which = f"{kind}" if name is None else f"{name}"
            raise refuse(
                f"Tool choice '{shown(which)}' not found in 'tools' parameter.", param=param
            )
    return tuple(names)


def _alike(one: str, other: str) -> bool:
    """Whether two names are those of versions of one tool."""
    return one.startswith(other) or other.startswith(one)


def _answer_format(text: wire.TextConfig | None) -> AnswerFormat:
    match text.format if text else None:
        case wire.JsonObjectFormat():
            return AnswerFormat(kind="json_object")
        case wire.JsonSchemaFormat(name=name, schema=schema):
            return AnswerFormat(kind="json_schema", name=name, schema=schema)
    return AnswerFormat()


def _check_json_word(messages: Iterable[Message]) -> None:
    said = (part for message in messages for part in message.parts)
    words = (
        part.text if isinstance(part, content.Text) else part.content
        for part in said
        if isinstance(part, content.Text | content.ToolResult)
    )
    if not any("json" in text.lower() for text in words):
        raise refuse(
            "Response input messages must contain the word 'json' in some form to use "
            "'text.format' of type 'json_object'.",
            param="input",
        )
