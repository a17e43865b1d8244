"""What one rendering may cost: time, steps, the size of what it makes, the depth of its calls.

Whatever runs while a template is rendered finds its budget with `budget`, since Jinja hands most of
our hooks nothing to carry it in. The clock read here guards only; no output may depend on it.
"""

from collections.abc import Iterable, Iterator, Sized
from contextvars import ContextVar
from time import perf_counter
from typing import Any

from fakellm.scenarios.templating.errors import TemplateFailed

MAX_SECONDS = 1.0
"""How long a rendering may take."""

MAX_CHARACTERS = 1_000_000
"""Characters in what is rendered, and in any text made on the way."""

MAX_STEPS = 250_000
"""Turns of loops, calls and filters together: runaway templates end by these, at any speed."""

MAX_MADE = 100 * MAX_CHARACTERS
"""Characters in all texts made on the way together."""

MAX_CALLS = 40
"""Calls within calls: macros and recursive loops."""


class Budget:
    """What is left to spend.

    Attributes:
        wants_value: the native value of the only expression is wanted, not its text.
        value: that value, once it is known.
    """

    __slots__ = ("_calls", "_deadline", "_made", "_output", "_steps", "value", "wants_value")

    def __init__(self) -> None:
        self._deadline = perf_counter() + MAX_SECONDS
        self._steps = MAX_STEPS
        self._made = MAX_MADE
        self._output = MAX_CHARACTERS
        self._calls = 0
        self.wants_value = False
        self.value: Any = None

    def step(self) -> None:
        """Spend one step."""
        self._steps -= 1
        if self._steps < 0:
            raise TemplateFailed(f"it takes more than {MAX_STEPS:,} steps")
        if perf_counter() > self._deadline:
            raise TemplateFailed(f"it takes longer than {MAX_SECONDS:g} s")

    def text(self, length: int) -> None:
        """Spend a text of ``length`` characters that is, or is about to be, made."""
        check_length(length)
        self._made -= length
        if self._made < 0:
            raise TemplateFailed(f"it makes texts of more than {MAX_MADE:,} characters in all")

    def output(self, length: int) -> None:
        """Spend ``length`` characters of what is rendered."""
        self._output -= length
        if self._output < 0:
            raise TemplateFailed(f"it gives more than {MAX_CHARACTERS:,} characters")

    def enter(self) -> None:
        """Spend one step, and begin a call that ends with `leave`."""
        self.step()
        if self._calls == MAX_CALLS:
            raise TemplateFailed(f"it makes calls within calls, more than {MAX_CALLS} deep")
        self._calls += 1

    def leave(self) -> None:
        """End a call."""
        self._calls -= 1


CURRENT: ContextVar[Budget] = ContextVar("CURRENT")
"""The budget of the rendering that is under way."""

budget = CURRENT.get
"""Return the budget of the rendering that is under way."""


def check_length(length: int) -> None:
    """Refuse a text of more than `MAX_CHARACTERS`."""
    if length > MAX_CHARACTERS:
        raise TemplateFailed(f"a text of more than {MAX_CHARACTERS:,} characters")


def stepping(items: Iterable[Any]) -> Iterator[Any]:
    """The items, each for a step."""
    step = budget().step
    for item in items:
        step()
        yield item


class Stepping:
    """What a loop goes through, each turn for a step; `loop.length` asks its length."""

    __slots__ = ("_items", "_length")

    def __init__(self, items: Any) -> None:
        self._items = items
        self._length = len(items)

    def __iter__(self) -> Iterator[Any]:
        return stepping(self._items)

    def __len__(self) -> int:
        return self._length


def looped(items: Any) -> Iterable[Any]:
    """What a loop goes through, each turn for a step."""
    return Stepping(items) if isinstance(items, Sized) else stepping(items)
