"""The body of ``POST /v1/completions``, declared and decoded.

Source: ``CreateCompletionRequest`` of OpenAI's published schema and
``openai.types.completion_create_params``; ``null`` is taken wherever a field may be left out.
"""

from typing import Annotated

from msgspec import Meta, Struct

from fakellm.dialects.openai.bodies import decode_body
from fakellm.dialects.openai.bounds import least_tokens
from fakellm.dialects.openai.chat_request import Penalty, StreamOptions
from fakellm.dialects.openai.errors import refuse
from fakellm.dialects.openai.flavour import PLAIN, Flavour
from fakellm.dialects.openai.inputs import Input, Texts, decode_texts
from fakellm.model.prompt import Prompt, Received

DEFAULT_MAX_TOKENS = 16
"""The API's own, so an answer is cut there unless a client asks for more, as it would be."""

CHOICES_AT_MOST = 2048
"""The fake's own bound on the completions of all prompts of a request together."""

_END_OF_TEXT = "<|endoftext|>"


class CompletionRequest(Struct, frozen=True, kw_only=True):
    """The whole body."""

    model: Annotated[str, Meta(min_length=1)]
    prompt: Texts | None = None
    best_of: Annotated[int, Meta(ge=0, le=20)] | None = None
    echo: bool | None = None
    frequency_penalty: Penalty | None = None
    logit_bias: dict[str, Annotated[int, Meta(ge=-100, le=100)]] | None = None
    logprobs: Annotated[int, Meta(ge=0, le=5)] | None = None
    max_tokens: Annotated[int, Meta(ge=0)] | None = None
    n: Annotated[int, Meta(ge=1, le=128)] | None = None
    presence_penalty: Penalty | None = None
    seed: Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)] | None = None
    stop: str | Annotated[list[str], Meta(max_length=4)] | None = None
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    suffix: str | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: Annotated[float, Meta(ge=0, le=1)] | None = None
    user: str | None = None
    # not the API's own, but of servers that speak its format
    ignore_eos: bool | None = None
    min_tokens: Annotated[int, Meta(ge=0)] | None = None


class Asked(Struct, frozen=True, kw_only=True):
    """What the encoders know of a request; each prompt gets ``n`` choices."""

    request: CompletionRequest
    input: Input
    n: int


def decode_completion(
    received: Received,
    *,
    dialect: str,
    strict: bool,
    api_key: str | None = None,
    flavour: Flavour = PLAIN,
) -> Prompt:
    """What a completions request asks; its prompts are messages, and its choices those of all.

    Raises:
        Refused: the body is not what the API takes.
    """
    request, unknown = decode_body(received.body, CompletionRequest, strict=strict, flavour=flavour)
    given = decode_texts(_END_OF_TEXT if request.prompt is None else request.prompt, "prompt")
    n = request.n or 1
    _check_combinations(request, n, len(given.texts))
    most = DEFAULT_MAX_TOKENS if request.max_tokens is None else request.max_tokens
    if request.max_tokens is None and request.min_tokens is not None:
        most = max(most, request.min_tokens)
    stop = (request.stop,) if isinstance(request.stop, str) else tuple(request.stop or ())
    return Prompt(
        dialect=dialect,
        endpoint="completions",
        model=request.model,
        messages=given.messages,
        stream=bool(request.stream),
        n=n * len(given.texts),
        max_tokens=most,
        min_tokens=least_tokens(request.min_tokens, most, ignore_eos=request.ignore_eos),
        plain=True,
        given_tokens=given.tokens,
        stop=tuple(sequence for sequence in stop if sequence),
        seed=request.seed,
        logprobs=request.logprobs,
        unknown=unknown,
        api_key=api_key,
        received=received,
        wire=Asked(request=request, input=given, n=n),
    )


def _check_combinations(request: CompletionRequest, n: int, prompts: int) -> None:
    if request.stream_options is not None and not request.stream:
        raise refuse(
            "The 'stream_options' parameter is only allowed when 'stream' is enabled.",
            param="stream_options",
        )
    if request.best_of is not None and request.best_of < n:
        raise refuse(
            f"You requested that the server return more choices than it will generate "
            f"(HINT: you must set 'n' (currently {n}) to be at most 'best_of' (currently "
            f"{request.best_of}), or omit either parameter if you don't specifically want to use "
            "them.)",
            param="best_of",
        )
    if request.stream and request.best_of is not None and request.best_of > n:
        raise refuse("Cannot stream results with best_of > n.", param="best_of")
    if request.echo and request.suffix is not None:
        raise refuse("You cannot specify a suffix and echo at the same time.", param="suffix")
    if n * prompts > CHOICES_AT_MOST:
        raise refuse(
            f"The request asks for {n * prompts} completions, {n} for each of {prompts} prompts, "
            f"and no more than {CHOICES_AT_MOST} are made at once.",
            param="n",
        )
