"""Vectors of texts: the same for the same text, and the closer the more words two texts share.

Feature hashing: each word, and with less weight each of its parts of three letters, adds to a few
places of the vector, up or down, as a hash of it says; then its length is made 1. There is no
meaning in it, only spelling.
"""

import math
import re
from collections import Counter
from functools import lru_cache
from hashlib import blake2b

_WORD = re.compile(r"\w+|[^\w\s]")
_PLACES = 8
"""How many places of the vector a feature adds to; so chance likeness of others stays low."""

_SUBWORD = 3
_SUBWORD_WEIGHT = 0.3
_CACHED_FEATURES = 4096
_DIGITS = 9


def embedding(text: str, size: int) -> list[float]:
    """The unit vector of a text.

    Args:
        text: any, also empty.
        size: how many numbers the vector has, at least 1.
    """
    vector = [0.0] * size
    for feature, weight in _features(text).items():
        for place in _places(feature):
            at, up = divmod(place, 2)
            vector[at % size] += weight if up else -weight
    length = math.sqrt(sum([value * value for value in vector]))
    if not length:  # of few dimensions, all may cancel out
        return [1.0, *vector[1:]]
    return [round(value / length, _DIGITS) for value in vector]


def _features(text: str) -> dict[str, float]:
    # repeated words count for more, but less each time
    words = Counter(_WORD.findall(text.casefold()))
    features = {f"={word}": 1 + math.log(count) for word, count in words.items()}
    for word, count in words.items():
        marked = f"<{word}>"
        for at in range(len(marked) - _SUBWORD + 1):
            part = marked[at : at + _SUBWORD]
            features[part] = features.get(part, 0.0) + _SUBWORD_WEIGHT * (1 + math.log(count))
    return features or {text: 1.0}


@lru_cache(maxsize=_CACHED_FEATURES)
def _places(feature: str) -> tuple[int, ...]:
    digest = blake2b(feature.encode("utf-8", "surrogatepass"), digest_size=4 * _PLACES).digest()
    return tuple(int.from_bytes(digest[at : at + 4]) for at in range(0, 4 * _PLACES, 4))
