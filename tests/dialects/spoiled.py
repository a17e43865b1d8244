"""Requests in which something is not as it should be."""

import copy
from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st


@st.composite
def spoiled(
    draw: st.DrawFn,
    requests: st.SearchStrategy[Any],
    names: Sequence[str],
    anything: st.SearchStrategy[Any],
) -> Any:
    """A valid request in which something, somewhere, is something else, missing or too much.

    Args:
        draw: hypothesis's own.
        requests: valid ones.
        names: of fields that may be too much.
        anything: what may stand in the place of something else.
    """
    request = copy.deepcopy(draw(requests))  # others may be given the same lists
    for _ in range(draw(st.integers(1, 3))):
        place: Any = request
        while True:
            keys = list(place) if isinstance(place, dict) else list(range(len(place)))
            keys = keys or [""] if isinstance(place, dict) else keys
            if not keys:
                break
            key = draw(st.sampled_from(keys))
            inner = place.get(key) if isinstance(place, dict) else place[key]
            if isinstance(inner, dict | list) and draw(st.booleans()):
                place = inner
                continue
            what = draw(st.sampled_from(["replace", "replace", "remove", "add"]))
            if what == "remove" and key in place:
                del place[key]
            elif what == "add" and isinstance(place, dict):
                place[draw(st.sampled_from(names))] = draw(anything)
            else:
                place[key] = draw(anything)
            break
    return request
