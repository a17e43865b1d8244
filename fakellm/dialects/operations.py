"""Endpoints that no model answers: each a pure function of what is asked and what is kept."""

from collections.abc import Callable, Iterable

from msgspec import Struct

from fakellm.interfaces import IDialect
from fakellm.model.asked import Asked
from fakellm.model.timeline import Act


class Operation(Struct, frozen=True, kw_only=True):
    """A method and a path, with ``<name>`` for a variable in it.

    ``answer`` gives the acts of a whole answer, all due at once, and ``Keep`` and ``Ask`` among
    them; it raises `Refused` to refuse. ``dialect`` words what goes wrong. With a ``header``, by
    its name in lower case, it is for requests that have it, where others have the same path.
    """

    method: str
    path: str
    dialect: IDialect
    answer: Callable[[Asked], Iterable[Act]]
    header: str | None = None
