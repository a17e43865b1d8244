"""From the body of a chat completions request to a prompt, with the rules that span fields."""

from collections.abc import Iterable, Sequence

from fakellm.dialects.openai import chat_request as wire
from fakellm.dialects.openai.bodies import decode_body
from fakellm.dialects.openai.bounds import least_tokens
from fakellm.dialects.openai.chat_messages import decode_messages, text_of
from fakellm.dialects.openai.errors import refuse, shown
from fakellm.dialects.openai.flavour import PLAIN, Flavour
from fakellm.model import content
from fakellm.model.prompt import (
    AnswerFormat,
    Message,
    Prompt,
    Received,
    Tool,
    ToolChoice,
)


def decode_chat(
    received: Received,
    *,
    dialect: str,
    strict: bool,
    api_key: str | None = None,
    flavour: Flavour = PLAIN,
) -> Prompt:
    """What a chat completions request asks.

    Args:
        received: the request.
        dialect: the name that the prompt shall bear.
        strict: also refuse unknown arguments, and ``json_object`` without the word "json".
        api_key: the API key that the request bears.
        flavour: whose arguments are known.

    Raises:
        Refused: the body is not what the API takes.
    """
    request, unknown = decode_body(received.body, wire.ChatRequest, strict=strict, flavour=flavour)
    _check_combinations(request)
    tools = _tools(request)
    choice = _tool_choice(request, tools)
    messages = tuple(decode_messages(request.messages))
    answer_format = _answer_format(request)
    if strict and answer_format.kind == "json_object":
        _check_json_word(messages)
    max_tokens = request.max_completion_tokens or request.max_tokens
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
        max_tokens=max_tokens,
        min_tokens=least_tokens(request.min_tokens, max_tokens, ignore_eos=request.ignore_eos),
        stop=_stop(request.stop),
        seed=request.seed,
        logprobs=(request.top_logprobs or 0) if request.logprobs else None,
        reasoning_effort=request.reasoning_effort,
        prediction=text_of(request.prediction.content) if request.prediction else None,
        spoken="audio" in (request.modalities or ()),
        unknown=unknown,
        api_key=api_key,
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


_Choice = wire.FunctionChoice | wire.CustomChoice


def _tool_choice(request: wire.ChatRequest, tools: Sequence[Tool]) -> ToolChoice:
    match request.function_call:
        case wire.Named(name=name):
            _check_offered([("function", name)], tools, "function_call", "functions")
            return ToolChoice(mode="required", names=(name,))
        case "none":
            return ToolChoice(mode="none")
    choice = request.tool_choice
    if choice is None:
        return ToolChoice()
    if choice != "none" and not request.tools:
        raise refuse(
            "Invalid value for 'tool_choice': "
            "'tool_choice' is only allowed when 'tools' are specified.",
            param="tool_choice",
        )
    match choice:
        case wire.FunctionChoice() | wire.CustomChoice():
            names = _chosen([choice], tools, "tool_choice")
            return ToolChoice(mode="required", names=names)
        case wire.AllowedToolsChoice(allowed_tools=allowed):
            names = _chosen(allowed.tools, tools, "tool_choice.allowed_tools.tools")
            return ToolChoice(mode=allowed.mode, names=names)
    return ToolChoice(mode=choice)


def _chosen(choices: Iterable[_Choice], tools: Sequence[Tool], param: str) -> tuple[str, ...]:
    named = [
        ("function", choice.function.name)
        if isinstance(choice, wire.FunctionChoice)
        else ("custom tool", choice.custom.name)
        for choice in choices
    ]
    _check_offered(named, tools, param, "tools")
    return tuple(name for _, name in named)


def _check_offered(
    named: Iterable[tuple[str, str]], tools: Sequence[Tool], param: str, source: str
) -> None:
    kinds = {"function": "function", "custom": "custom tool"}
    offered = {(kinds[tool.kind], tool.name) for tool in tools}
    for kind, name in named:
        if (kind, name) not in offered:
            raise refuse(
                f"Invalid value for '{param}': no {kind} named '{shown(name)}' was specified in "
                f"the '{source}' parameter.",
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
    said = (part for message in messages for part in message.parts)
    words = (
        part.text if isinstance(part, content.Text) else part.content
        for part in said
        if isinstance(part, content.Text | content.ToolResult)
    )
    if not any("json" in text.lower() for text in words):
        raise refuse(
            "'messages' must contain the word 'json' in some form, to use 'response_format' of "
            "type 'json_object'.",
            param="messages",
        )
