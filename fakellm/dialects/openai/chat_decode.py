"""From the body of a chat completions request to a prompt, with the rules that span fields."""

from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from fakellm.dialects import invalid
from fakellm.dialects.openai import chat_request as wire
from fakellm.dialects.openai.errors import problem_words, refuse
from fakellm.model import content
from fakellm.model.prompt import (
    AnswerFormat,
    Message,
    Prompt,
    Received,
    Tool,
    ToolChoice,
)

_KNOWN = frozenset(wire.ChatRequest.__struct_fields__)
_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_chat(received: Received, *, dialect: str, strict: bool) -> Prompt:
    """What a chat completions request asks.

    Args:
        received: the request.
        dialect: the name that the prompt shall bear.
        strict: also refuse unknown arguments, and ``json_object`` without the word "json".

    Raises:
        Refused: the body is not what the API takes.
    """
    try:
        request: wire.ChatRequest = invalid.decode(received.body, wire.ChatRequest)
    except invalid.Invalid as error:
        raise problem_words(error.problem) from None
    # A body that decodes is an object, and one pass over its keys costs next to nothing.
    unknown = tuple(key for key in _keys.decode(received.body) if key not in _KNOWN)
    if strict and unknown:
        raise refuse(
            f"Unknown parameter: '{unknown[0]}'.", param=unknown[0], code="unknown_parameter"
        )
    _check_combinations(request)
    tools = _tools(request)
    choice = _tool_choice(request, tools)
    messages = tuple(_messages(request.messages))
    answer_format = _answer_format(request)
    if strict and answer_format.kind == "json_object":
        _check_json_word(messages)
    return Prompt(
        dialect=dialect,
        endpoint="chat.completions",
        model=request.model,
        messages=messages,
        stream=bool(request.stream),
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=request.parallel_tool_calls,
        format=answer_format,
        n=request.n or 1,
        max_tokens=request.max_completion_tokens or request.max_tokens,
        stop=_stop(request.stop),
        seed=request.seed,
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        reasoning_effort=request.reasoning_effort,
        prediction=_text(request.prediction.content) if request.prediction else None,
        spoken="audio" in (request.modalities or ()),
        unknown=unknown,
        received=received,
        wire=request,
    )


def _check_combinations(request: wire.ChatRequest) -> None:
    if request.stream_options is not None and not request.stream:
        raise refuse(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    if request.top_logprobs is not None and not request.logprobs:
        raise refuse(
            "The 'top_logprobs' parameter is only allowed when 'logprobs' is enabled.",
            param="top_logprobs",
        )
    if request.max_tokens is not None and request.max_completion_tokens is not None:
        raise refuse(
            "Setting 'max_tokens' and 'max_completion_tokens' at the same time is not supported.",
            param="max_tokens",
            code="invalid_parameter_combination",
        )
    if request.parallel_tool_calls is not None and not request.tools:
        raise refuse(
            "Invalid value for 'parallel_tool_calls': "
            "'parallel_tool_calls' is only allowed when 'tools' are specified.",
            param="parallel_tool_calls",
        )
    if request.tools and request.functions:
        raise refuse("'tools' and 'functions' cannot be used together.", param="functions")
    if request.function_call is not None and not request.functions:
        raise refuse(
            "Invalid value for 'function_call': "
            "'function_call' is only allowed when 'functions' are specified.",
            param="function_call",
        )
    spoken = "audio" in (request.modalities or ())
    if spoken and request.audio is None:
        raise refuse(
            "Missing required parameter: 'audio'. It is required when 'modalities' has 'audio'.",
            param="audio",
            code="missing_required_parameter",
        )
    if spoken and request.stream and request.audio and request.audio.format != "pcm16":
        raise refuse(
            f"Unsupported value: 'audio.format' does not support '{request.audio.format}' when "
            "stream=true. Supported values are: 'pcm16'.",
            param="audio.format",
            code="unsupported_value",
        )


def _stop(stop: str | list[str] | None) -> tuple[str, ...]:
    sequences = (stop,) if isinstance(stop, str) else tuple(stop or ())
    return tuple(sequence for sequence in sequences if sequence)


def _tools(request: wire.ChatRequest) -> tuple[Tool, ...]:
    if request.functions:
        return tuple(_function(f) for f in request.functions)
    return tuple(
        _function(tool.function)
        if isinstance(tool, wire.FunctionTool)
        else Tool(name=tool.custom.name, kind="custom", description=tool.custom.description)
        for tool in request.tools or ()
    )


def _function(function: wire.Function) -> Tool:
    return Tool(
        name=function.name,
        description=function.description,
        parameters=function.parameters,
        strict=bool(function.strict),
    )


def _tool_choice(request: wire.ChatRequest, tools: Sequence[Tool]) -> ToolChoice:
    match request.function_call:
        case wire.Named(name=name):
            _check_offered([name], tools, "function_call")
            return ToolChoice(mode="required", names=(name,))
        case "none":
            return ToolChoice(mode="none")
    choice = request.tool_choice
    if choice is None:
        return ToolChoice()
    if choice != "none" and not tools:
        raise refuse(
            "Invalid value for 'tool_choice': "
            "'tool_choice' is only allowed when 'tools' are specified.",
            param="tool_choice",
        )
    match choice:
        case wire.FunctionChoice() | wire.CustomChoice():
            names = [_chosen(choice)]
            _check_offered(names, tools, "tool_choice")
            return ToolChoice(mode="required", names=tuple(names))
        case wire.AllowedToolsChoice(allowed_tools=allowed):
            names = [_chosen(tool) for tool in allowed.tools]
            _check_offered(names, tools, "tool_choice.allowed_tools.tools")
            return ToolChoice(mode=allowed.mode, names=tuple(names))
    return ToolChoice(mode=choice)


def _chosen(choice: wire.FunctionChoice | wire.CustomChoice) -> str:
    named = choice.function if isinstance(choice, wire.FunctionChoice) else choice.custom
    return named.name


def _check_offered(names: Iterable[str], tools: Sequence[Tool], param: str) -> None:
    offered = {tool.name for tool in tools}
    for name in names:
        if name not in offered:
            source = "functions" if param == "function_call" else "tools"
            raise refuse(
                f"Invalid value for '{param}': no function named '{name}' was specified in the "
                f"'{source}' parameter.",
                param=param,
            )


def _answer_format(request: wire.ChatRequest) -> AnswerFormat:
    match request.response_format:
        case wire.JsonObjectFormat():
            return AnswerFormat(kind="json_object")
        case wire.JsonSchemaFormat(json_schema=declared):
            if declared.schema is None:
                raise refuse(
                    "Missing required parameter: 'response_format.json_schema.schema'.",
                    param="response_format.json_schema.schema",
                    code="missing_required_parameter",
                )
            return AnswerFormat(kind="json_schema", name=declared.name, schema=declared.schema)
    return AnswerFormat()


def _check_json_word(messages: Iterable[Message]) -> None:
    if not any("json" in message.text.lower() for message in messages):
        raise refuse(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of "
            "type 'json_object'.",
            param="messages",
        )


def _messages(messages: Sequence[wire.ChatMessage]) -> Iterable[Message]:
    awaited: dict[str, str] = {}  # tool names by the ids of calls that have no result yet
    answered: dict[str, str] = {}
    caller = 0
    for position, message in enumerate(messages):
        if isinstance(message, wire.ToolMessage):
            call_id = message.tool_call_id
            if call_id in awaited:
                answered[call_id] = awaited.pop(call_id)
            elif call_id not in answered:  # a second result for a call is let through
                raise refuse(
                    "Invalid parameter: messages with role 'tool' must be a response to a "
                    "preceding message with 'tool_calls'.",
                    param=f"messages[{position}].role",
                )
            name = answered[call_id]
            result = content.ToolResult(call_id=call_id, content=_text(message.content), name=name)
            yield Message(role="tool", parts=(result,))
            continue
        _check_answered(awaited, caller)
        answered = {}
        if isinstance(message, wire.AssistantMessage):
            caller = position
            awaited = {call.id: _call_name(call) for call in message.tool_calls or ()}
            _check_says_something(message, position)
        yield _message(message)
    _check_answered(awaited, caller)


def _check_answered(awaited: Iterable[str], caller: int) -> None:
    missing = list(awaited)
    if missing:
        raise refuse(
            "An assistant message with 'tool_calls' must be followed by tool messages responding "
            "to each 'tool_call_id'. The following tool_call_ids did not have response messages: "
            + ", ".join(missing),
            param=f"messages[{caller}].tool_calls",
        )


def _check_says_something(message: wire.AssistantMessage, position: int) -> None:
    said = (message.content, message.refusal, message.audio, message.function_call)
    if all(part is None for part in said) and not message.tool_calls:
        raise refuse(
            f"Invalid value for 'messages[{position}].content': expected a string, got null.",
            param=f"messages[{position}].content",
        )


def _call_name(call: wire.FunctionCall | wire.CustomCall) -> str:
    return call.function.name if isinstance(call, wire.FunctionCall) else call.custom.name


_Plain = (
    wire.DeveloperMessage
    | wire.SystemMessage
    | wire.UserMessage
    | wire.AssistantMessage
    | wire.FunctionMessage
)


def _message(message: _Plain) -> Message:
    match message:
        case wire.DeveloperMessage():
            return Message(role="developer", parts=_parts(message.content), name=message.name)
        case wire.SystemMessage():
            return Message(role="system", parts=_parts(message.content), name=message.name)
        case wire.UserMessage():
            return Message(role="user", parts=_parts(message.content), name=message.name)
        case wire.FunctionMessage():
            result = content.ToolResult(
                call_id="", content=message.content or "", name=message.name
            )
            return Message(role="tool", parts=(result,))
        case wire.AssistantMessage():
            return Message(role="assistant", parts=_said(message), name=message.name)


def _said(message: wire.AssistantMessage) -> tuple[content.Part, ...]:
    parts = list(_parts(message.content or []))
    if message.refusal is not None:
        parts.append(content.Refusal(text=message.refusal))
    for call in message.tool_calls or ():
        match call:
            case wire.FunctionCall(id=call_id, function=function):
                parts.append(
                    content.ToolCall(id=call_id, name=function.name, arguments=function.arguments)
                )
            case wire.CustomCall(id=call_id, custom=custom):
                parts.append(
                    content.ToolCall(
                        id=call_id, name=custom.name, arguments=custom.input, kind="custom"
                    )
                )
    if message.function_call is not None:
        call_made = message.function_call
        parts.append(content.ToolCall(name=call_made.name, arguments=call_made.arguments))
    return tuple(parts)


def _parts(said: str | Sequence[Any]) -> tuple[content.Part, ...]:
    if isinstance(said, str):
        return (content.Text(text=said),)
    return tuple(_part(part) for part in said)


def _part(part: Any) -> content.Part:
    match part:
        case wire.TextPart(text=text):
            return content.Text(text=text)
        case wire.ImagePart(image_url=image):
            return content.Image(url=image.url, detail=image.detail)
        case wire.AudioPart(input_audio=audio):
            return content.Audio(data=audio.data, format=audio.format)
        case wire.FilePart(file=file):
            return content.File(name=file.filename, data=file.file_data, id=file.file_id)
    refusal: wire.RefusalPart = part
    return content.Refusal(text=refusal.refusal)


def _text(said: str | Sequence[wire.TextPart]) -> str:
    return said if isinstance(said, str) else "".join(part.text for part in said)
