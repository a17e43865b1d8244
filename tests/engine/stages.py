"""Stages for tests: what answers are played with, on a clock of the test's own."""

from typing import Any

from twisted.internet.interfaces import IReactorTime

from fakellm.engine.gates import Gates
from fakellm.engine.player import Stage
from fakellm.engine.timer import Timer
from fakellm.model.timeline import Ask, Keep


def stage(clock: IReactorTime, noted: list[Keep | Ask] | None = None, **fields: Any) -> Stage:
    """A stage that notes what is to be kept and asked."""
    notes: list[Keep | Ask] = [] if noted is None else noted
    given = {"timer": Timer(clock), "gates": Gates(), "keep": notes.append, "ask": notes.append}
    return Stage(**{**given, **fields})
