"""What stands before the paths of the API, as applications put gateways in front of it."""

from collections.abc import Iterable, Sequence

ANYTHING = "*"


class Prefixes:
    """Finds where the API's own path begins in a longer one.

    Args:
        prefixes: paths such as ``/gateway/openai``; ``*`` is any.
        roots: the first segments of the API's own paths, such as ``v1``.
    """

    def __init__(self, prefixes: Iterable[str], roots: Iterable[str]) -> None:
        listed = list(prefixes)
        self._any = ANYTHING in listed
        self._listed = sorted(
            (
                [part.encode() for part in prefix.split("/") if part]
                for prefix in listed
                if prefix != ANYTHING
            ),
            key=len,
            reverse=True,
        )
        self._roots = frozenset(root.encode() for root in roots)

    def length(self, path: Sequence[bytes]) -> int:
        """How many segments of a path are before the API's own.

        Args:
            path: all segments, in order.
        """
        for prefix in self._listed:
            if list(path[: len(prefix)]) == prefix and len(path) > len(prefix):
                return len(prefix)
        if self._any and path and path[0] not in self._roots:
            return next((at for at, part in enumerate(path) if part in self._roots), 0)
        return 0
