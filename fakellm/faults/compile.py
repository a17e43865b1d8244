"""From faults as they are written to faults that are ready to strike.

Pure. All that can be wrong with a fault is told here, as `BadFault`, and never when it strikes.
"""

import re
from collections.abc import Callable, Mapping
from math import ceil, inf, isfinite
from typing import Any

from fakellm.faults.fault import Fault, Position, Unit
from fakellm.faults.spec import (
    FAULTS,
    After,
    AfterSpec,
    BadFault,
    CommentsFault,
    DoorFault,
    ErrorFault,
    FaultSpec,
    GapFault,
    HoldItem,
    LengthFault,
    MalformedFault,
    OversizedFault,
    PointFault,
    SplitFault,
    StallFault,
)
from fakellm.model.reply import Failure
from fakellm.timing.distributions import ConstantSpec
from fakellm.timing.durations import LONGEST, BadDuration, parse_duration

OFF_BY = 10
"""Bytes that ``content_length: long`` says too many, and ``short`` too few."""

_UNITS: tuple[Unit, ...] = ("tokens", "chunks", "bytes")
_COUNTED = re.compile(r"([0-9]{1,15})\s*(token|chunk|byte)s?", re.IGNORECASE)
_STATUSES = range(400, 600)
_HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_HEADER_VALUE = re.compile(r"[\t\x20-\x7e\xa0-\xff]*")

_Path = tuple[str | int, ...]
_Fields = Mapping[str, Any]


def compile_fault(spec: FaultSpec) -> Fault:
    """A fault that is ready to strike.

    Raises:
        BadFault: it cannot be.
    """
    # by identity: a delay of 0 is one
    given = [
        name for name in FAULTS if (said := getattr(spec, name)) is not None and said is not False
    ]
    if not given:
        raise BadFault((), "is no fault: give one, such as hang: true")
    if len(given) > 1:
        raise BadFault((given[1],), f"is a second fault beside {given[0]}: give one an item")
    name = given[0]
    if spec.probability is not None and not 0 <= spec.probability <= 1:
        raise BadFault(("probability",), f"must be from 0 to 1, not {spec.probability}")
    if spec.times is not None and spec.times < 1:
        raise BadFault(("times",), f"must be at least 1, not {spec.times}")
    return Fault(
        name=name,
        probability=spec.probability,
        times=spec.times,
        on_attempt=_attempts(spec.on_attempt),
        **_COMPILERS[name](getattr(spec, name), (name,)),
    )


def compile_hold(item: HoldItem) -> Fault:
    """A gate that is ready to stand in an answer.

    Raises:
        BadFault: it cannot be.
    """
    if isinstance(item, str):
        return Fault(name="hold", text=_gate(item, ()))
    if item.after is not None and item.before is not None:
        raise BadFault(("before",), "is a second place beside after: give one")
    return Fault(
        name="hold",
        text=_gate(item.gate, ("gate",)),
        after=position(item.after, ("after",)),
        before_end=item.before == "end",
    )


def position(after: AfterSpec | None, path: _Path) -> Position | None:
    """A place in an answer; ``path`` is where it is written.

    Raises:
        BadFault: there is no such place.
    """
    match after:
        case None:
            return None
        case bool():
            raise BadFault(path, "is no place: give a number of chunks, or a time such as 2s")
        case int():
            return _counted("chunks", after, path)
        case str():
            counted = _COUNTED.fullmatch(after.strip())
            if counted is None:
                return Position(unit="seconds", amount=_seconds(after, path))
            unit = next(unit for unit in _UNITS if unit.startswith(counted[2].lower()))
            return _counted(unit, int(counted[1]), path)
    return _one_of(after, path)


def _one_of(after: After, path: _Path) -> Position:
    given = [unit for unit in (*_UNITS, "seconds") if getattr(after, unit) is not None]
    if len(given) != 1:
        raise BadFault(path, "must be exactly one of tokens, chunks, bytes and seconds")
    if after.seconds is not None:
        return Position(unit="seconds", amount=_seconds(after.seconds, (*path, "seconds")))
    unit = next(unit for unit in _UNITS if unit == given[0])
    return _counted(unit, getattr(after, unit), (*path, unit))


def _counted(unit: Unit, amount: int, path: _Path) -> Position:
    if amount < 0:
        raise BadFault(path, f"must not be negative: {amount}")
    return Position(unit=unit, amount=amount)


def _seconds(written: ConstantSpec, path: _Path) -> float:
    try:
        return parse_duration(written)
    except BadDuration as error:
        raise BadFault(path, str(error)) from None


def _attempts(written: int | tuple[int, ...] | None) -> frozenset[int] | None:
    if written is None:
        return None
    attempts = frozenset((written,) if isinstance(written, int) else written)
    if not attempts:
        raise BadFault(("on_attempt",), "must name an attempt: the first is 1")
    if min(attempts) < 1:
        raise BadFault(("on_attempt",), f"must be at least 1, not {min(attempts)}")
    return attempts


def _gate(name: str, path: _Path) -> str:
    if not name.strip():
        raise BadFault(path, "must name a gate")
    return name


def _status(status: int, path: _Path) -> int:
    if isinstance(status, bool) or status not in _STATUSES:
        raise BadFault(path, f"must be an HTTP status from 400 to 599, not {status}")
    return status


def _header_value(value: str, path: _Path) -> str:
    if not _HEADER_VALUE.fullmatch(value):
        raise BadFault(path, "must be the value of an HTTP header, in one line")
    return value


def _flag(_written: bool, _path: _Path) -> _Fields:
    return {}


def _duration(written: ConstantSpec, path: _Path) -> _Fields:
    return {"seconds": _seconds(written, path)}


def _error(written: int | ErrorFault, path: _Path) -> _Fields:
    if not isinstance(written, ErrorFault):
        return {"failure": Failure(status=_status(written, path))}
    headers = []
    for name, value in written.headers.items():
        if not _HEADER_NAME.fullmatch(name):
            raise BadFault((*path, "headers", name), "must be the name of an HTTP header")
        headers.append((name, _header_value(value, (*path, "headers", name))))
    if written.retry_after is not None:
        wait = _seconds(written.retry_after, (*path, "retry_after"))
        given = {name.lower() for name, _ in headers}
        # in milliseconds first, so that 0.1 + 0.2 does not become a second more than it is
        milliseconds = ceil(round(wait * 1000, 6))
        headers += [
            (name, value)
            for name, value in (
                ("Retry-After", str(-(-milliseconds // 1000))),
                ("retry-after-ms", str(milliseconds)),
            )
            if name.lower() not in given
        ]
    return {
        "failure": Failure(
            status=_status(written.status, (*path, "status")),
            message=written.message,
            type=written.type,
            code=written.code,
            param=written.param,
            headers=tuple(headers),
        ),
        "after": position(written.after, (*path, "after")),
    }


def _html_error(written: int, path: _Path) -> _Fields:
    return {"number": _status(written, path)}


def _door(written: bool | DoorFault, path: _Path) -> _Fields:
    door = written if isinstance(written, DoorFault) else DoorFault()
    if door.connections is not None:
        if path == ("refuse",):
            raise BadFault(
                (*path, "connections"), "is for hang_up only: nobody counts who is refused"
            )
        if door.connections < 1:
            raise BadFault((*path, "connections"), f"must be at least 1, not {door.connections}")
    return {"seconds": _seconds(door.for_, (*path, "for")), "connections": door.connections}


def _stall(written: bool | StallFault, path: _Path) -> _Fields:
    stall = written if isinstance(written, StallFault) else StallFault()
    lasts = inf if stall.for_ is None else _seconds(stall.for_, (*path, "for"))
    return {"seconds": lasts, "after": position(stall.after, (*path, "after"))}


def _point(written: bool | PointFault, path: _Path) -> _Fields:
    after = written.after if isinstance(written, PointFault) else None
    return {"after": position(after, (*path, "after"))}


def _malformed(written: bool | MalformedFault, path: _Path) -> _Fields:
    malformed = written if isinstance(written, MalformedFault) else MalformedFault()
    return {"after": position(malformed.after, (*path, "after")), "all": malformed.all}


def _split(written: bool | SplitFault, path: _Path) -> _Fields:
    split = written if isinstance(written, SplitFault) else SplitFault()
    if split.at == 0:
        raise BadFault((*path, "at"), "cuts nothing off: give a number of bytes other than 0")
    return {
        "after": position(split.after, (*path, "after")),
        "all": split.after is None,
        "number": split.at,
        "seconds": _seconds(split.gap, (*path, "gap")),
    }


def _gap(written: bool | GapFault, path: _Path) -> _Fields:
    gap = written.gap if isinstance(written, GapFault) else 0
    return {"seconds": _seconds(gap, (*path, "gap"))}


def _comments(written: bool | CommentsFault, path: _Path) -> _Fields:
    comments = written if isinstance(written, CommentsFault) else CommentsFault()
    every = None
    if comments.every is not None:
        every = _seconds(comments.every, (*path, "every"))
        if every < SHORTEST_SILENCE:
            raise BadFault((*path, "every"), f"must be at least 1ms, not {comments.every}")
    return {"text": comments.text, "seconds": every}


SHORTEST_SILENCE = 0.001
"""The least time between comments: less would be no silence but a flood."""


def _length(written: str | LengthFault, path: _Path) -> _Fields:
    if isinstance(written, LengthFault):
        if not written.by:
            raise BadFault((*path, "by"), "must be other than 0, or the length is right")
        return {"number": written.by}
    return {"number": OFF_BY if _one(written, path, "long", "short") == "long" else -OFF_BY}


def _line_ends(written: str, path: _Path) -> _Fields:
    return {"text": _one(written, path, "crlf", "cr")}


def _one(written: str, path: _Path, *known: str) -> str:
    if written not in known:
        raise BadFault(path, f"must be one of {', '.join(known)}, not {written}")
    return written


def _content_type(written: str, path: _Path) -> _Fields:
    return {"text": _header_value(written, path)}


def _throttle(written: float, path: _Path) -> _Fields:
    if not (isfinite(written) and 1 / LONGEST <= written <= LONGEST * LONGEST):
        raise BadFault(path, f"must be a number of bytes a second above 0, not {written}")
    return {"number": float(written)}


def _oversized(written: bool | OversizedFault, path: _Path) -> _Fields:
    oversized = written if isinstance(written, OversizedFault) else OversizedFault()
    if not 1 <= oversized.tokens <= MOST_TOKENS:
        raise BadFault(
            (*path, "tokens"), f"must be from 1 to {MOST_TOKENS}, not {oversized.tokens}"
        )
    return {"number": oversized.tokens}


MOST_TOKENS = 10_000_000
"""Tokens that ``oversized`` adds at the most."""

_COMPILERS: Mapping[str, Callable[[Any, _Path], _Fields]] = {
    "error": _error,
    "html_error": _html_error,
    "hang": _flag,
    "delay": _duration,
    "slow_head": _duration,
    "hang_up": _door,
    "refuse": _door,
    "stall": _stall,
    "close": _point,
    "reset": _point,
    "no_finish_reason": _flag,
    "no_end": _flag,
    "missing": _point,
    "doubled": _point,
    "swapped": _point,
    "content_filter": _point,
    "malformed": _malformed,
    "split": _split,
    "byte_by_byte": _gap,
    "split_characters": _gap,
    "line_ends": _line_ends,
    "comments": _comments,
    "no_space": _flag,
    "multi_line": _flag,
    "unknown_fields": _flag,
    "bom": _flag,
    "content_type": _content_type,
    "content_length": _length,
    "broken_chunks": _point,
    "bad_gzip": _flag,
    "throttle": _throttle,
    "oversized": _oversized,
}
