"""Cutting text into the chunks of a stream, where those are not its tokens."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import accumulate

from fakellm.model.reply import Chunks

_WORD = re.compile(r"\s*\S+(?:\s+$)?|\s+")


def cut(tokens: Sequence[str], chunks: Chunks) -> Iterator[tuple[str, int]]:
    """The chunks of a text, each with how many tokens end in it.

    Args:
        tokens: the text, in tokens.
        chunks: how to cut; of explicit pieces, as much as the text has of them, and then its rest.
    """
    if chunks == "token":
        return ((token, 1) for token in tokens)
    if isinstance(chunks, int):
        return _grouped(tokens, chunks)
    text = "".join(tokens)
    if chunks == "word":
        return _counted(_WORD.findall(text), tokens)
    if chunks == "character":
        return _counted(text, tokens)
    return _counted(_pieces(text, chunks), tokens)


def _grouped(tokens: Sequence[str], size: int) -> Iterator[tuple[str, int]]:
    for start in range(0, len(tokens), size):
        group = tokens[start : start + size]
        yield "".join(group), len(group)


def without(pieces: Iterable[str], said: int) -> tuple[str, ...]:
    """What of explicit pieces is left when so many characters, of them or not, have been said."""
    at = 0
    left: list[str] = []
    for piece in pieces:
        end = at + len(piece)
        if left or end > said:
            left.append(piece[max(0, said - at) :])
        at = end
    return tuple(left)


def _pieces(text: str, pieces: Iterable[str]) -> Iterator[str]:
    at = 0
    for piece in pieces:
        if piece and at >= len(text):
            break
        yield text[at : at + len(piece)]  # which may be empty, if that is what is wanted
        at += len(piece)
    if at < len(text):
        yield text[at:]


def _counted(pieces: Iterable[str], tokens: Sequence[str]) -> Iterator[tuple[str, int]]:
    ends = iter(accumulate(map(len, tokens)))
    token_end = next(ends, None)
    at = 0
    for piece in pieces:
        at += len(piece)
        ended = 0
        while token_end is not None and token_end <= at:
            ended += 1
            token_end = next(ends, None)
        yield piece, ended
