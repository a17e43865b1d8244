"""A slow link: the bytes of a body spread over time, lazily."""

from collections.abc import Callable
from math import isinf

from fakellm.faults.positions import Steps
from fakellm.model.timeline import Write

_PIECES_A_SECOND = 20


def throttled(steps: Steps, rate: float, noted: Callable[[], None]) -> Steps:
    """A body of ``rate`` bytes a second at the most; what follows on it is later."""
    size = max(int(rate / _PIECES_A_SECOND), 1)
    free = 0.0
    for at, act, tokens in steps:
        if not isinstance(act, Write) or isinf(at):
            yield max(at, free), act, tokens
            continue
        noted()
        free = max(at, free)
        for begin in range(0, len(act.data), size):
            piece = act.data[begin : begin + size]
            free += len(piece) / rate
            yield free, Write(piece, act.apart), tokens  # no token: all pieces are needed
