"""Log probabilities that look like a sure model's, and are the same for the same words."""

import math
import zlib

from fakellm.model.events import Logprob

_OTHERS = (
    " the", " a", ",", ".", " and", " to", " of", " in", "\n", " is", " it", " that", "The", " I",
    " for", " on", " with", " as", "!", " you", " be", " not", " this", " at", " or", ":", " are",
)  # fmt: skip
_LEAST_SURE = 0.55
_DECIMALS = 6


def logprob_of(text: str, position: int, alternatives: int) -> Logprob:
    """How likely a token was.

    Args:
        text: the token.
        position: its place in the answer, which makes repeated tokens differ.
        alternatives: how many of the likeliest tokens to name, itself first.
    """
    draw = zlib.crc32(text.encode("utf-8", "surrogatepass"), position) / 2**32
    sure = _LEAST_SURE + (0.9999 - _LEAST_SURE) * draw
    value = round(math.log(sure), _DECIMALS)
    if not alternatives:
        return Logprob(value=value)
    top = [(text, value)]
    left = 1.0 - sure
    start = int(draw * len(_OTHERS))
    for step in range(len(_OTHERS)):
        if len(top) == alternatives:
            break
        other = _OTHERS[(start + step) % len(_OTHERS)]
        if other != text:
            left /= 2  # each alternative takes half of what is left, so they never sum over 1
            top.append((other, round(math.log(left), _DECIMALS)))
    return Logprob(value=value, top=tuple(top))
