"""What the makers of arrays and objects need from the maker of values."""

import random
from collections.abc import Callable, Sequence
from typing import Any, Protocol

from fakellm.scenarios.json_schema.check import Checker
from fakellm.scenarios.json_schema.choices import Place
from fakellm.scenarios.json_schema.document import Document, Schema
from fakellm.scenarios.json_schema.heights import Heights


class Making(Protocol):
    """Makes values of one document."""

    document: Document
    checker: Checker
    chance: random.Random

    @property
    def heights(self) -> Heights:
        """How deep schemas are at the least."""
        ...

    def make(
        self,
        schemas: tuple[Schema, ...],
        place: Place,
        is_rejected: Callable[[Any], bool] | None = None,
    ) -> Any:
        """A value that meets all of several schemas and is not rejected.

        Raises:
            UnusableSchema: none was found.
        """
        ...

    def below(self, place: Place, schemas: Sequence[Schema], name: str, step: str) -> Place:
        """The place of a property or an item."""
        ...
