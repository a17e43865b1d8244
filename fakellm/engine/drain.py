"""Ending well: running answers get a while to end by themselves."""

from twisted.internet.interfaces import IReactorTime

from fakellm.engine.patience import wait
from fakellm.engine.service import Engine


async def drain(engine: Engine, clock: IReactorTime, grace: float) -> int:
    """Wait for running answers, and break off those that take too long.

    Args:
        engine: whose answers.
        clock: real time, even where the answers are on a virtual one.
        grace: seconds to wait at most.

    Returns:
        How many were broken off.
    """
    cut = 0

    def give_up() -> None:
        nonlocal cut
        cut = engine.running  # asked first: the waiting ends within the call
        engine.abort()

    await wait(engine.drained(), clock, grace, give_up)
    return cut
