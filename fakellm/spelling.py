"""What was probably meant by a name that is none of those there are."""

from collections.abc import Iterable
from difflib import get_close_matches

_COMPARED_AT_MOST = 200
_LENGTH_AT_MOST = 60


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known name nearest to a wrong one, if there is one near."""
    # Comparing is costly, and where so many names are known no guess is worth the wait.
    names = list(known)[:_COMPARED_AT_MOST]
    return next(iter(get_close_matches(word[:_LENGTH_AT_MOST], names, n=1)), None)
