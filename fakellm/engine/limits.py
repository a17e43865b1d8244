"""Limits on requests, tokens and answers at once: token buckets, and what they let pass.

A bucket is full at ``limit`` units and refills continuously, ``limit`` in each window. Time is in
microseconds and a level in units times the window, so that all is whole numbers: nothing drifts,
and a client that waits exactly as long as it is told passes. Nothing here may wait or schedule;
time is handed in.
"""

import hashlib
from collections.abc import Iterable, Sequence

from msgspec import Struct, structs

from fakellm.interfaces import IDialect
from fakellm.model.reply import Failure
from fakellm.model.stamp import Stamp
from fakellm.model.standing import Exceeded, Standing, Unit
from fakellm.timing.conduct import LimitSpec
from fakellm.timing.limit import MICROSECONDS, Counted, Limit, compile_limit

BUCKETS_AT_MOST = 10_000
"""For one limit; beyond them, those that matter least are forgotten."""

_KEPT = 0.9
_MILLISECOND = 1000
_NAME_AT_MOST = 100
_KEY_SHOWN = 4
_MASKED = 12

_TOLD: tuple[Unit, ...] = ("requests", "tokens")

_Place = tuple[str, str | None, str | None]
"""Who shares a bucket: a session, an API key and a model, where the limit tells them apart."""


class _Bucket:
    """How much is left of a limit, for those that share it.

    Attributes:
        limit: of what.
        running: how many answers are under way that were charged to it.
    """

    __slots__ = ("_at", "_capacity", "_level", "_refill", "_scale", "limit", "running")

    def __init__(self, limit: Limit, at: int) -> None:
        self.limit = limit
        self.running = 0
        self._scale = limit.window or 1
        self._refill = 0 if limit.window is None else limit.limit
        self._level = self._capacity = limit.limit * self._scale
        self._at = at

    def refill(self, at: int) -> None:
        """Let time pass; a clock that goes backwards says that none did."""
        if at > self._at:
            self._level = min(self._level + (at - self._at) * self._refill, self._capacity)
        self._at = at

    def has(self, units: int) -> bool:
        """Whether there are so many.

        A microsecond's refill may be missing, as times are cut to whole microseconds.
        """
        return units * self._scale <= self._level + self._refill

    def take(self, units: int) -> None:
        """Take units out, or put some back; there may be less than none in the end."""
        self._level = min(self._level - units * self._scale, self._capacity)

    def wait(self, units: int) -> int:
        """Milliseconds until there are so many, which it refills to sooner or later."""
        micros = -(-(units * self._scale - self._level) // self._refill)
        return -(-micros // _MILLISECOND)

    @property
    def remaining(self) -> int:
        """Whole units left; below zero if more was used than there was."""
        missing = min(self._refill, self._scale - 1)  # as in `has`, but never a unit
        return min((self._level + missing) // self._scale, self.limit.limit)

    @property
    def is_full(self) -> bool:
        """Whether a fresh one would be the same."""
        return self._level >= self._capacity

    def standing(self, unit: Unit) -> Standing:
        """How its clients stand; it is one that refills."""
        return Standing(
            unit=unit,
            limit=self.limit.limit,
            window=self._scale / MICROSECONDS,
            remaining=max(self.remaining, 0),
            reset=(self._capacity - self._level) / self._refill / MICROSECONDS,
        )


_Charges = list[tuple[_Bucket, int]]


class Admitted:
    """A request that was let in, and what was charged for it.

    Attributes:
        standings: how its client stands now, at most one for each unit.
    """

    __slots__ = ("_charges", "standings")

    def __init__(self, charges: _Charges, standings: tuple[Standing, ...]) -> None:
        self._charges = charges
        self.standings = standings

    def end(self, used_tokens: int | None, now: float) -> None:
        """Correct the charge, and give back the place among those that run; only once counts.

        Args:
            used_tokens: of prompt and answer; ``None`` leaves the charge as it is.
            now: seconds, on the clock that the request was let in by.
        """
        charges, self._charges = self._charges, []
        at = _microseconds(now)
        for bucket, charged in charges:
            bucket.running -= 1
            bucket.refill(at)
            if bucket.limit.unit == "concurrent":
                bucket.take(-charged)
            elif bucket.limit.unit == "tokens" and used_tokens is not None:
                bucket.take(max(used_tokens, 0) - charged)


class Refusal(Struct, frozen=True, kw_only=True):
    """Why a request was not let in.

    ``over`` tells of a limit that refills; else ``limit`` is a quota that is used up, or a number
    of answers at once.
    """

    limit: Limit
    over: Exceeded | None = None
    standings: tuple[Standing, ...] = ()

    def failure(self, dialect: IDialect, model: str, stamp: Stamp) -> Failure:
        """What the client is told, in its dialect's words."""
        words = dialect.errors
        failure: Failure
        if self.over is not None:
            failure = words.limited(self.over, model)
        elif self.limit.is_quota:
            failure = words.quota_used_up(model)
        else:
            failure = words.too_many_running(self.limit.limit, model)
        headers = (*failure.headers, *dialect.limit_headers(self.standings, stamp))
        return structs.replace(failure, headers=headers)


class LimitState(Struct, frozen=True, kw_only=True):
    """How those stand who share a limit.

    Attributes:
        unit: what is counted.
        limit: how many units there are.
        window: the seconds in which they come back; ``None`` where they do not by themselves.
        session: whose they are.
        key: the API key they are counted for, but for its end masked; ``None`` where for all.
        model: likewise.
        remaining: units left.
        reset: seconds until all are back; ``None`` where they do not come back by themselves.
        running: answers under way.
    """

    unit: Counted
    limit: int
    window: float | None
    session: str
    key: str | None
    model: str | None
    remaining: int
    reset: float | None
    running: int


class Limits:
    """The limits of a server, counted for each session by itself."""

    def __init__(self) -> None:
        self._specs: Sequence[LimitSpec] = ()
        self._buckets: dict[Limit, dict[_Place, _Bucket]] = {}

    def replace(self, specs: Sequence[LimitSpec]) -> None:
        """Go by other limits from now on; what was counted for those that stay is kept.

        Raises:
            BadDuration: one of them cannot be; all stay as they were.
        """
        if specs is self._specs:
            return
        limits = [compile_limit(spec) for spec in specs]
        self._buckets = {limit: self._buckets.get(limit, {}) for limit in limits}
        self._specs = specs

    def admit(
        self,
        *,
        key: str | None,
        model: str,
        session: str,
        prompt_tokens: int,
        bound: int,
        now: float,
    ) -> Admitted | Refusal:
        """Let a request in, charged to all limits that it is under, or to none of them.

        Args:
            key: its API key.
            model: the model it asks for.
            session: whose it is.
            prompt_tokens: what it costs for sure.
            bound: the tokens that its answer may have; 0 if nothing bounds it.
            now: seconds, on any clock.
        """
        at = _microseconds(now)
        whose = None if key is None else _short(key)
        which, session = _short(model), _short(session)
        under: list[tuple[_Bucket, int, dict[_Place, _Bucket], _Place]] = []
        refusing: _Charges = []
        for limit, buckets in self._buckets.items():
            if not limit.counts(key, model):
                continue
            place = session, whose if limit.by_key else None, which if limit.by_model else None
            bucket = buckets.get(place)
            if bucket is None:
                bucket = _Bucket(limit, at)
            else:
                bucket.refill(at)
            units = prompt_tokens + bound if limit.unit == "tokens" else 1
            if not bucket.has(units):
                refusing.append((bucket, units))
            under.append((bucket, units, buckets, place))
        if refusing:
            return _refusal(refusing, [bucket for bucket, *_ in under])
        for bucket, units, buckets, place in under:
            bucket.take(units)
            bucket.running += 1
            buckets.pop(place, None)  # those used last come last
            buckets[place] = bucket
            if len(buckets) > BUCKETS_AT_MOST:
                _forget(buckets, at)
        return Admitted(
            [(bucket, units) for bucket, units, *_ in under],
            _standings(bucket for bucket, *_ in under),
        )

    def states(self, now: float, session: str | None = None) -> list[LimitState]:
        """How everybody stands who was counted, or those of a session do."""
        at = _microseconds(now)
        short = None if session is None else _short(session)
        found = []
        for limit, buckets in self._buckets.items():
            for (whose, key, model), bucket in buckets.items():
                if short in {None, whose}:
                    bucket.refill(at)
                    found.append(_state(limit, bucket, whose, key, model))
        return found

    def reset(self) -> None:
        """Let everybody start with full buckets; answers that run are not counted any more."""
        self._buckets = {limit: {} for limit in self._buckets}

    def forget(self, session: str) -> None:
        """Let a session start with full buckets; answers that run are not counted any more."""
        session = _short(session)
        for buckets in self._buckets.values():
            for place in [place for place in buckets if place[0] == session]:
                del buckets[place]


def _state(
    limit: Limit, bucket: _Bucket, session: str, key: str | None, model: str | None
) -> LimitState:
    unit, standing = limit.unit, None
    if unit != "concurrent" and limit.window is not None:
        standing = bucket.standing(unit)
    return LimitState(
        unit=unit,
        limit=limit.limit,
        window=None if standing is None else standing.window,
        session=session,
        key=None if key is None else f"***{key[-_KEY_SHOWN:]}" if len(key) > _MASKED else "***",
        model=model,
        remaining=max(bucket.remaining, 0),
        reset=None if standing is None else round(standing.reset, 6),
        running=bucket.running,
    )


def _microseconds(now: float) -> int:
    return int(now * MICROSECONDS)


def _short(name: str) -> str:
    """A name that a client gave, but never so long that many of them fill the memory."""
    if len(name) <= _NAME_AT_MOST:
        return name
    return hashlib.blake2b(name.encode("utf-8", "surrogatepass")).hexdigest()


def _refusal(refusing: _Charges, under: list[_Bucket]) -> Refusal:
    """Of several reasons, the one that lasts longest."""

    def lasts(charge: tuple[_Bucket, int]) -> tuple[int, int]:
        bucket, units = charge
        if bucket.limit.is_quota:
            return 3, 0
        if units > bucket.limit.limit:
            return 2, 0
        return (1, 0) if bucket.limit.unit == "concurrent" else (0, bucket.wait(units))

    bucket, units = max(refusing, key=lasts)
    limit = bucket.limit
    standings = _standings(under, told=bucket)
    if limit.unit == "concurrent" or limit.is_quota:
        return Refusal(limit=limit, standings=standings)
    standing = bucket.standing(limit.unit)
    over = Exceeded(
        unit=limit.unit,
        limit=limit.limit,
        window=standing.window,
        used=limit.limit - bucket.remaining,
        requested=units,
        retry_after=None if units > limit.limit else bucket.wait(units) / _MILLISECOND,
    )
    return Refusal(limit=limit, over=over, standings=standings)


def _standings(buckets: Iterable[_Bucket], told: _Bucket | None = None) -> tuple[Standing, ...]:
    """Of each unit the one with the least share remaining, requests first.

    A bucket that a client is ``told`` of goes before others of its unit.
    """
    least: dict[Unit, Standing] = {}
    first: dict[Unit, Standing] = {}
    for bucket in buckets:
        unit = bucket.limit.unit
        if unit == "concurrent" or bucket.limit.window is None:
            continue
        standing = bucket.standing(unit)
        so_far = least.get(unit)
        if so_far is None or standing.remaining * so_far.limit < so_far.remaining * standing.limit:
            least[unit] = standing
        if bucket is told:
            first[unit] = standing
    least.update(first)
    return tuple(least[unit] for unit in _TOLD if unit in least)


def _forget(buckets: dict[_Place, _Bucket], at: int) -> None:
    """Drop a tenth: full ones, then those that were used least lately, then those that matter."""

    def matters(place: _Place) -> int:
        bucket = buckets[place]
        bucket.refill(at)
        if bucket.running or (bucket.limit.is_quota and not bucket.is_full):
            return 2
        return 0 if bucket.is_full else 1

    places = sorted(buckets, key=matters)  # which keeps the order of use
    for place in places[: len(places) - int(BUCKETS_AT_MOST * _KEPT)]:
        del buckets[place]
