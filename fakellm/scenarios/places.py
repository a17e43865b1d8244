"""Where things stand in a document, for whoever tells what is wrong with them."""

from typing import Any

from msgspec import Struct

from fakellm.scenarios.mistakes import Mistake, Position
from fakellm.scenarios.yaml_text import HOLE, Document, Spot

Path = tuple[str | int, ...]


class Place(Struct, frozen=True):
    """Where something in a document stands: all paths are of keys and indices within it.

    Attributes:
        document: what it is in.
        spot: where it stands.
        value: what is written there.
        file: how mistakes call the document.
    """

    document: Document
    spot: Spot
    value: Any
    file: str

    def at(self, path: Path = (), line: int | None = None) -> Position:
        """Line and column of what is at a path, or nearest to it.

        Args:
            path: keys and indices.
            line: a line within the text there, from 1 on.
        """
        spot = self.spot.find(path)
        value = self.written(path)
        if isinstance(value, str):
            return self.document.line_in(spot, value, line)
        return spot.at()

    def written(self, path: Path) -> Any:
        """What is written at a path; `HOLE` where nothing is."""
        value = self.value
        for step in path:
            try:
                value = value[step]
            except (LookupError, TypeError):
                return HOLE
        return value

    def complain(self, position: Position, message: str) -> None:
        """Note a mistake."""
        self.document.mistakes.append(Mistake(self.file, *position, message))

    def within(self, *path: str | int) -> "Place":
        """The place at a path."""
        return Place(self.document, self.spot.find(path), self.written(path), self.file)


def is_template(text: str) -> bool:
    """Whether there may be something to fill in."""
    return any(mark in text for mark in ("{{", "{%", "{#"))
