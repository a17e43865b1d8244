"""Noise beside the text of a chunk, so that sizes tell nothing of short texts, as the API adds it.

Pure: chance is handed in.
"""

from random import Random

_PADDED_TO = 16
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"


def noise(chance: Random, size: int) -> bytes:
    """The value of ``obfuscation`` beside a text of so many characters."""
    return "".join(chance.choices(_LETTERS, k=max(1, _PADDED_TO - size))).encode()
