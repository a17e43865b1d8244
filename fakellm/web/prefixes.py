"""What stands before the paths of the API, as applications put gateways in front of it."""

from collections.abc import Callable, Iterable, Sequence

ANYTHING = "*"
_TRIED_AT_MOST = 20
"""Places where a path may begin, so that no path takes long to look at, however odd."""


class Prefixes:
    """Finds where the API's own path begins in a longer one.

    Args:
        prefixes: paths such as ``/gateway/openai``; ``*`` is any.
        roots: the first segments of the API's own paths, such as ``v1``.
        is_path: whether a path is the API's own.
    """

    def __init__(
        self, prefixes: Iterable[str], roots: Iterable[str], is_path: Callable[[str], bool]
    ) -> None:
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
        self._is_path = is_path

    def length(self, path: Sequence[bytes]) -> int:
        """How many segments of a path are before the API's own; of listed ones, the longest.

        Args:
            path: all segments, in order.
        """
        if not (self._listed or self._any):
            return 0
        begins = [
            len(prefix)
            for prefix in self._listed
            if list(path[: len(prefix)]) == prefix and len(path) > len(prefix)
        ]
        if self._any:
            begins += [at for at, part in enumerate(path) if part in self._roots]
        del begins[_TRIED_AT_MOST:]
        # a prefix may look like the beginning of a path; what is nobody's is refused as it is
        whole = (at for at in begins if self._is_path(_joined(path[at:])))
        return next(whole, begins[0] if begins else 0)


def _joined(path: Sequence[bytes]) -> str:
    return "/" + b"/".join(path).decode("utf-8", "replace")
