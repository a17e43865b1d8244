"""Which faults apply to a request.

One `Chooser` a server; it remembers how often each fault happened, within bounds. It must draw
alike whatever else applies, so that one fault's chance never hangs on another.
"""

from collections.abc import Hashable, Sequence
from random import Random

from fakellm.faults.fault import Fault
from fakellm.recent import Recent

COUNTED_AT_MOST = 100_000
"""Faults with ``times``, in all sessions together, that are remembered."""

_Key = tuple[Hashable, int]


class Chooser:
    """Says which faults apply.

    Args:
        at_most: how many counts it keeps; those not used for longest go first.
    """

    def __init__(self, at_most: int = COUNTED_AT_MOST) -> None:
        self._happened: Recent[_Key, int] = Recent(0, at_most)

    def choose(
        self,
        faults: Sequence[Fault],
        *,
        owner: Hashable,
        session: str,
        attempt: int,
        chance: Random,
    ) -> tuple[Fault, ...]:
        """Those of the faults that apply to one request, in their order; they count as happened.

        Args:
            faults: what its owner lists.
            owner: whose they are, such as a rule: what their ``times`` are counted under.
            session: the session of the request.
            attempt: which attempt at its conversation it is, from 1.
            chance: all draws follow from it, one for each fault with a probability.
        """
        return tuple(
            [
                fault
                for index, fault in enumerate(faults)
                if self._applies(fault, (owner, index), session, attempt, chance)
            ]
        )

    def forget(self, session: str) -> None:
        """Let a session start afresh."""
        self._happened.forget(session)

    def _applies(self, fault: Fault, key: _Key, session: str, attempt: int, chance: Random) -> bool:
        drawn = fault.probability is None or chance.random() < fault.probability
        if not drawn or (fault.on_attempt is not None and attempt not in fault.on_attempt):
            return False
        if fault.times is None:
            return True
        happened = self._happened.get(session, key)
        if happened >= fault.times:
            return False
        self._happened.set(session, key, happened + 1)
        return True
