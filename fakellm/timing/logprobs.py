"""Log probabilities that look like a sure model's, and are the same for the same words."""

import math
import zlib
from itertools import islice

from fakellm.model.events import Logprob

_OTHERS = (
    " the", " a", ",", ".", " and", " to", " of", " in", "\n", " is", " it", " that", "The", " I",
    " for", " on", " with", " as", "!", " you", " be", " not", " this", " at", " or", ":", " are",
)  # fmt: skip
_LEAST_SURE, _SUREST = 0.55, 0.9999
_STEPS = 10**6
"""Steps in one: six decimals."""


def logprob_of(text: str, position: int, alternatives: int) -> Logprob:
    """How likely a token was.

    Args:
        text: the token.
        position: its place in the answer, which makes repeated tokens differ.
        alternatives: how many of the likeliest tokens to name, at most 20, itself first.

    Returns:
        Natural logarithms, the likeliest first; the probabilities never sum to more than 1.
    """
    draw = zlib.crc32(text.encode("utf-8", "surrogatepass"), position) / 2**32
    sure = _LEAST_SURE + (_SUREST - _LEAST_SURE) * draw
    value = _log(sure)
    if not alternatives:
        return Logprob(value=value)
    start = int(draw * len(_OTHERS))
    others = (other for other in _OTHERS[start:] + _OTHERS[:start] if other != text)
    # Each alternative takes half of what is left, so they never sum to more.
    top = [
        (other, _log((1 - sure) / 2**place))
        for place, other in enumerate(islice(others, alternatives - 1), 1)
    ]
    return Logprob(value=value, top=((text, value), *top))


def _log(probability: float) -> float:
    # Rounded down: to the nearest, twenty of them could sum to more than they should.
    return math.floor(math.log(probability) * _STEPS) / _STEPS
