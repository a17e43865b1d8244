"""Token ids that text can be read back from, without any vocabulary.

An id holds the bytes of its token, at most six of UTF-8 behind a marker, so that it stays an exact
number in JSON wherever it is read (below 2**49). Ids of real vocabularies are smaller than most of
these, and hold no text; such ones are written as numbers. Lossless: `text_of_ids` of `ids_of` is
the text.
"""

import re
from collections.abc import Iterable, Sequence

_BYTES_AT_MOST = 6
_PIECE = re.compile(r" ?\w+|\s+|[^\w\s]+")
_ENCODING = ("utf-8", "surrogatepass")


def ids_of(text: str) -> list[int]:
    """The ids of a text's tokens: of words, white space and marks, none longer than six bytes."""
    return [_id(piece) for run in _PIECE.findall(text) for piece in _short(run)]


def _short(run: str) -> Iterable[str]:
    piece, size = "", 0
    for character in run:
        more = len(character.encode(*_ENCODING))
        if size + more > _BYTES_AT_MOST:
            yield piece
            piece, size = "", 0
        piece += character
        size += more
    yield piece


def _id(piece: str) -> int:
    return int.from_bytes(b"\x01" + piece.encode(*_ENCODING))


def piece_of(number: int) -> str | None:
    """The text that an id holds; ``None`` where it holds none."""
    if not 1 << 8 <= number < 1 << 8 * (_BYTES_AT_MOST + 1):
        return None
    marker, *data = number.to_bytes((number.bit_length() + 7) // 8)
    if marker != 1:
        return None
    try:
        return bytes(data).decode(*_ENCODING)
    except UnicodeDecodeError:
        return None


def pieces_of(ids: Sequence[int]) -> list[str]:
    """The text of each token; where one of them holds none, all are numbers, spaces between."""
    pieces = [piece for number in ids if (piece := piece_of(number)) is not None]
    if len(pieces) == len(ids):
        return pieces
    return [f" {number}" if place else str(number) for place, number in enumerate(ids)]


def text_of_ids(ids: Sequence[int]) -> str:
    """The text of tokens."""
    return "".join(pieces_of(ids))
