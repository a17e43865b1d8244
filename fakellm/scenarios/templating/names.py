"""The functions that templates have: time, identity, chance and filler, all of them handed in."""

import operator
import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from fakellm.interfaces import ITokenizer
from fakellm.scenarios.lorem import lorem
from fakellm.scenarios.templating.errors import TemplateFailed

_MAX_FORMAT = 200


class Moment(datetime):
    """A time in UTC, printed as ISO 8601 has it, to the second: ``2026-01-01T00:00:00Z``."""

    def __str__(self) -> str:
        return self.strftime("%Y-%m-%dT%H:%M:%SZ")

    def strftime(self, format: str) -> str:  # noqa: A002 -- the name datetime has
        """The time in any other format; the C library's buffer grows with the format's length."""
        if len(format) > _MAX_FORMAT:
            raise TemplateFailed(f"a time format of more than {_MAX_FORMAT} characters")
        return super().strftime(format)


class Uuid:
    """A new UUID (version 4) each time it is printed or called."""

    __slots__ = ("_chance",)

    def __init__(self, chance: Callable[[], random.Random]) -> None:
        self._chance = chance

    def __call__(self) -> str:
        """Return a new UUID."""
        return str(UUID(int=self._chance().getrandbits(128), version=4))

    __str__ = __call__


def functions(
    chance: random.Random | Callable[[], random.Random], now: float, tokenizer: ITokenizer
) -> dict[str, Any]:
    """Return what templates may call: ``now``, ``uuid``, ``choice`` and ``lorem``, by name.

    Args:
        chance: the generator of all draws, or what makes it at the first draw.
        now: seconds since the Unix epoch.
        tokenizer: counts the tokens of ``lorem``.
    """
    drawn: random.Random | None = None

    def draws() -> random.Random:
        nonlocal drawn
        if drawn is None:
            drawn = chance() if callable(chance) else chance
        return drawn

    def choice(*options: Any) -> Any:
        if len(options) == 1 and not isinstance(options[0], str):
            options = tuple(options[0])
        if not options:
            raise TemplateFailed("choice() has nothing to choose from")
        return options[draws().randrange(len(options))]

    def filler(tokens: int | str) -> str:
        number = int(tokens) if isinstance(tokens, str) else operator.index(tokens)
        return lorem(number, tokenizer)

    return {
        "now": Moment.fromtimestamp(now, UTC),
        "uuid": Uuid(draws),
        "choice": choice,
        "lorem": filler,
    }
