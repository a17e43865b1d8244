"""Cuts text into tokens, so that a reply is paced token by token and usage can be counted.

Two tokenizers share one interface: `Splitter`, built in and cheap, whose counts come close to those
of a byte pair encoding (BPE), and `BytePairs`, exact, through the optional package bpe-openai.
Pure: nothing here does network I/O, and no text, lone surrogates included, may make it raise.
"""

import codecs
import re
from importlib import import_module
from itertools import accumulate
from typing import Any, Protocol

from zope.interface import implementer

from fakellm.interfaces import ITokenizer
from fakellm.lazy import lazy

ENCODINGS = ("o200k_base", "cl100k_base")
"""The encodings that `BytePairs` offers, by OpenAI's names."""

_LATIN = "a-z\u00aa\u00b5\u00ba\u00c0-\u00d6\u00d8-\u00f6\u00f8-\u024f\u0300-\u036f\u1e00-\u1eff"
_OTHER = (
    "\u0370-\u10ff\u1200-\u1dff"  # the alphabets, from Greek on, that are neither Latin nor CJK
)
# Every repetition has an upper bound: so no text makes the search slower than linear. The bounds
# are those at which counts of English, source code and JSON came closest to o200k_base.
_PIECE = re.compile(
    rf"[ _]?(?:[A-Z]?[{_LATIN}]{{1,10}}|[A-Z]{{1,4}}(?![a-z])|[{_OTHER}]{{1,4}})"  # a word, or part
    r"|[0-9]{1,3}"
    r"|[ ]?[!-/:-@\[-`{-~]{1,4}[\r\n]{0,4}"  # ASCII punctuation, with the line end it stands at
    r"|[^\S\r\n]{0,16}[\r\n]{1,16}"
    r"|\s{1,16}(?!\S)"  # leaves the last space to the word after it
    r"|(?s:.)"  # CJK, emoji and the rest: a code point each
)
_SURROGATE = re.compile(r"[\ud800-\udfff]")


class _Backend(Protocol):
    """What we call of bpe-openai's compiled tokenizer."""

    def encode(self, text: str, /) -> list[int]: ...
    def count(self, text: str, /) -> int: ...


@implementer(ITokenizer)
class Splitter:
    """Words, numbers, punctuation and white space, cut by one regular expression.

    A word takes the space before it; long words, long numbers and long runs are cut into several
    pieces; CJK and emoji are one piece per code point. No piece is empty. On English prose, source
    code and JSON the count is typically within 10 % of o200k_base.
    """

    name = "words"

    def split(self, text: str) -> tuple[str, ...]:
        """Return the pieces of the text, in time linear in its length."""
        return tuple(_PIECE.findall(text))

    def count(self, text: str) -> int:
        """Return the number of pieces without making them."""
        return _PIECE.subn("", text)[1]


@implementer(ITokenizer)
class BytePairs:
    """The exact tokens of one of OpenAI's encodings, from the vocabulary in bpe-openai's wheel.

    A token may end inside a character (its bytes are a part of the character's UTF-8). The piece of
    such a token holds only the characters it completes, often none (`""`), and the token that
    completes the character carries it whole: so the pieces join to the text, one per token.

    Text that looks like a special token (`<|endoftext|>`) is plain text. A lone surrogate, which
    UTF-8 cannot encode, counts as U+FFFD would, and stays itself in the pieces.

    The package is imported when the object is made, the encoding loaded at first use and kept.
    """

    def __init__(self, name: str) -> None:
        """Take the name of an encoding.

        Args:
            name: one of `ENCODINGS`.

        Raises:
            ValueError: for an unknown name, or where the package is not installed.
        """
        if name not in ENCODINGS:
            known = ", ".join((Splitter.name, *ENCODINGS))
            raise ValueError(f"unknown tokenizer {name!r}: it is one of {known}")
        try:
            self._package: Any = import_module("bpe_openai")
            # The public Encoding refuses a million characters or 200,000 tokens and has no count.
            self._bindings: Any = import_module("bpe_openai._bindings")
        except ImportError as error:
            raise ValueError(
                f"the tokenizer {name!r} needs an optional package: "
                f"pip install 'twisted-fakellm[tokens]' ({error})"
            ) from error
        self.name = name

    @lazy
    def _backend(self) -> _Backend:
        backend: _Backend = self._bindings.tokenizer_for_encoding(self.name)
        return backend

    @lazy
    def _encoding(self) -> Any:
        return self._package.get_encoding(self.name)

    def split(self, text: str) -> tuple[str, ...]:
        """Return one piece per token; see the class for tokens that end inside a character."""
        try:
            tokens = self._backend.encode(text)
        except UnicodeEncodeError:
            pieces = self.split(_SURROGATE.sub("\ufffd", text))
            ends = accumulate(map(len, pieces))
            return tuple(
                text[end - len(piece) : end] for piece, end in zip(pieces, ends, strict=True)
            )
        decode = codecs.getincrementaldecoder("utf-8")().decode
        return tuple(map(decode, self._encoding.decode_tokens_bytes(tokens)))

    def count(self, text: str) -> int:
        """Return the exact number of tokens."""
        try:
            return self._backend.count(text)
        except UnicodeEncodeError:
            return self._backend.count(_SURROGATE.sub("\ufffd", text))


def tokenizer(name: str) -> ITokenizer:
    """Return the tokenizer of this name.

    Args:
        name: `"words"` (built in), `"o200k_base"` or `"cl100k_base"` (exact, optional package).

    Raises:
        ValueError: for an unknown name, or where the optional package is not installed.
    """
    return Splitter() if name == Splitter.name else BytePairs(name)
