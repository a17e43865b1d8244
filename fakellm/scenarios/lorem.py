"""Filler: English-like text of exactly so many tokens, the same each time.

Its words are such that every tokenizer we have takes each of them, with the space before it, for
one token wherever it stands; so a text is counted as it is put together, and nothing is cut.
"""

import random
from functools import lru_cache

from fakellm.interfaces import ITokenizer

MAX_TOKENS = 1_000_000
"""The longest filler: some five million characters."""

_OPENERS = ("The", "Every", "Some", "One", "This", "Each")
_LINKS = ("and", "but", "while", "because", "until", "so", "when", "before", "after")
_ADJECTIVES = (
    *("old", "quiet", "small", "bright", "long", "early", "late", "warm", "cold", "green", "deep"),
    *("open", "simple", "heavy", "high", "good", "new", "great", "young", "strange", "careful"),
)
_NOUNS = (
    *(
        "keeper",
        "teacher",
        "river",
        "letter",
        "lamp",
        "road",
        "bridge",
        "window",
        "market",
        "train",
    ),
    *("winter", "story", "question", "answer", "machine", "library", "clock", "song", "door"),
    *("table", "stone", "field", "forest", "light", "water", "city", "boat", "child", "friend"),
)
_VERBS = (
    *("saw", "found", "heard", "held", "kept", "left", "made", "moved", "needed", "opened"),
    *("passed", "reached", "remembered", "showed", "took", "wanted", "watched", "followed"),
)
_PLACES = ("near", "under", "above", "between", "along", "before", "after", "without", "behind")
_ADVERBS = ("again", "often", "never", "always", "soon", "then", "slowly", "together")
_SENTENCES = 200
_SHORTEST = 2  # tokens of a sentence: a word and its full stop


class LoremTooLong(ValueError):
    """More filler is asked for than `MAX_TOKENS`."""


def lorem(tokens: int, tokenizer: ITokenizer) -> str:
    """Return filler of exactly so many tokens.

    Args:
        tokens: how many, from 0 to `MAX_TOKENS`.
        tokenizer: counts them.

    Raises:
        LoremTooLong: for more.
        ValueError: for fewer than none, or where the tokenizer cuts filler's words.
    """
    if tokens > MAX_TOKENS:
        raise LoremTooLong(f"filler has at most {MAX_TOKENS:,} tokens, not {tokens:,}")
    if tokens < 0:
        raise ValueError(f"filler cannot have {tokens:,} tokens")
    pieces = _fitting(tokenizer)
    whole, rest = divmod(tokens, len(pieces))
    return ("".join(pieces) * whole + "".join(_ended(pieces[:rest])))[1:]


@lru_cache(maxsize=8)
def _fitting(tokenizer: ITokenizer) -> tuple[str, ...]:
    pieces = _composed()
    if tokenizer.count("".join(pieces)) != len(pieces):
        raise ValueError(f"the tokenizer {tokenizer.name!r} cuts filler's words")
    return pieces


def _ended(pieces: tuple[str, ...]) -> tuple[str, ...]:
    """As many pieces, of which the last ends a sentence; a single word stays one."""
    if len(pieces) < _SHORTEST:
        return pieces
    *most, before, _ = pieces
    # Two marks in a row would be one token.
    return (*most, before if before[0] == " " else " there", ".")


def _composed() -> tuple[str, ...]:
    """Sentences, cut into tokens: a word has the space before it."""
    draw = random.Random("lorem").choice
    pieces: list[str] = []

    def say(*words: str) -> None:
        pieces.extend(f" {word}" for word in words)

    for _ in range(_SENTENCES):
        say(draw(_OPENERS), draw(_ADJECTIVES), draw(_NOUNS), draw(_VERBS), "the", draw(_NOUNS))
        match draw(("short", "place", "manner", "long")):
            case "place":
                say(draw(_PLACES), "the", draw(_NOUNS))
            case "manner":
                say(draw(_ADVERBS))
            case "long":
                pieces.append(",")
                say(draw(_LINKS), "the", draw(_NOUNS), draw(_VERBS), "the", draw(_NOUNS))
        pieces.append(".")
    return tuple(pieces)
