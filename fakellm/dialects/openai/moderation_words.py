"""A small list of words that flag a text: enough to try both ways, and no judge of anything."""

import re
from collections.abc import Mapping

_WORDS: Mapping[str, tuple[str, ...]] = {
    "harassment": ("idiot", "moron", "you are worthless"),
    "harassment/threatening": ("i will hurt you", "i will kill you"),
    "hate": ("subhuman", "vermin"),
    "hate/threatening": ("exterminate them",),
    "illicit": ("shoplift", "counterfeit money", "build a bomb"),
    "illicit/violent": ("build a bomb", "buy a gun illegally"),
    "self-harm": ("suicide", "self-harm", "kill myself", "hurt myself"),
    "self-harm/instructions": ("how to kill myself", "ways to hurt myself"),
    "self-harm/intent": ("want to kill myself", "going to hurt myself"),
    "sexual": ("porn", "pornography"),
    "sexual/minors": ("child porn", "child pornography"),
    "violence": ("kill", "kill them", "murder", "stab", "massacre", "i will kill you"),
    "violence/graphic": ("dismember", "disembowel", "massacre"),
}
_PATTERNS = {
    category: re.compile(rf"\b(?:{'|'.join(map(re.escape, words))})\b", re.IGNORECASE)
    for category, words in _WORDS.items()
}


def flagged_by_words(text: str) -> frozenset[str]:
    """The categories of which a text has a word."""
    return frozenset(name for name, pattern in _PATTERNS.items() if pattern.search(text))
