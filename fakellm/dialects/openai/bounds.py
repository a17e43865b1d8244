"""How many tokens an answer has at least: ``ignore_eos`` and ``min_tokens``.

Source: vLLM's sampling parameters (docs.vllm.ai), which load generators send to any server.
"""

from fakellm.dialects.openai.errors import refuse
from fakellm.dialects.openai.problem_words import number_words


def least_tokens(least: int | None, most: int | None, *, ignore_eos: bool | None) -> int:
    """The tokens that an answer has at least.

    With ``ignore_eos`` a model goes on until it is stopped, so an answer has just as many as it
    may; where nothing says how many that is, it ends as it would.

    Args:
        least: ``min_tokens``.
        most: ``max_tokens``, or what takes its place.
        ignore_eos: the argument.

    Raises:
        Refused: at least is more than at most.
    """
    least = least or 0
    if most is not None and least > most:
        raise refuse(
            f"min_tokens must be less than or equal to max_tokens={number_words(most)}, "
            f"got {number_words(least)}.",
            param="min_tokens",
        )
    return most if ignore_eos and most is not None else least
