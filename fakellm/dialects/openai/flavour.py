"""Where servers that speak OpenAI's formats differ on the wire: data, and no codec of its own.

Source for vLLM: its "OpenAI-Compatible Server" page (docs.vllm.ai), extra parameters and endpoints.
"""

from collections.abc import Container

from msgspec import Struct

EXTENSIONS = frozenset({"ignore_eos", "min_tokens"})
"""Arguments that are read whatever the flavour, as load generators send them to any server."""


class Flavour(Struct, frozen=True, kw_only=True):
    """A server's ways.

    Attributes:
        name: how settings and scenarios call it.
        arguments: top-level arguments that it knows beside OpenAI's.
        offsets_of_answer: ``text_offset`` counts from the start of the answer, and not of the
            prompt.
        max_model_len: the context its models tell of, in tokens; without it, they tell of none.
    """

    name: str
    arguments: frozenset[str] = frozenset()
    offsets_of_answer: bool = False
    max_model_len: int | None = None

    def knows(self, argument: str, fields: Container[str]) -> bool:
        """Whether an argument is known, where the API's own are ``fields``."""
        return argument in self.arguments or (argument in fields and argument not in EXTENSIONS)


PLAIN = Flavour(name="openai")

VLLM = Flavour(
    name="vllm",
    arguments=EXTENSIONS
    | {
        "add_generation_prompt",
        "add_special_tokens",
        "allowed_token_ids",
        "bad_words",
        "best_of",
        "cache_salt",
        "chat_template",
        "chat_template_kwargs",
        "continue_final_message",
        "documents",
        "echo",
        "guided_choice",
        "guided_decoding_backend",
        "guided_grammar",
        "guided_json",
        "guided_regex",
        "include_reasoning",
        "include_stop_str_in_output",
        "kv_transfer_params",
        "length_penalty",
        "logits_processors",
        "min_p",
        "mm_processor_kwargs",
        "priority",
        "prompt_logprobs",
        "repetition_penalty",
        "request_id",
        "response_format",
        "return_token_ids",
        "return_tokens_as_token_ids",
        "skip_special_tokens",
        "spaces_between_special_tokens",
        "stop_token_ids",
        "structured_outputs",
        "top_k",
        "truncate_prompt_tokens",
        "use_beam_search",
        "vllm_xargs",
    },
    offsets_of_answer=True,
    max_model_len=131_072,
)
