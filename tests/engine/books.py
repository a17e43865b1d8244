"""Books for tests of what plays the answers they decide."""

from typing import Any

from fakellm.scenarios.book import Book
from fakellm.scenarios.library import Library, Options
from fakellm.scenarios.speaking import Surroundings
from fakellm.timing.tokens import Splitter


def library(**options: Any) -> Library:
    """The rules of a server without scenario files."""
    return Library([], options=Options(**options), surroundings=Surroundings(tokenizer=Splitter()))


def plain_book() -> Book:
    """A book that answers ``hello world``."""
    return library().book
