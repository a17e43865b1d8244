"""The routes of requests: what came in, what became of it, and waiting for it."""

import re
from collections.abc import Callable
from typing import Annotated, TypeVar

from msgspec import Meta, Struct, structs
from twisted.internet.defer import Deferred

from fakellm.journal.journal import Journal
from fakellm.journal.matches import CompiledMatch, Match, compile_match
from fakellm.journal.records import Figures, JournalEntry, Snapshot
from fakellm.scenarios.schema import NumberRule, NumberTest, TextRule, TextTest
from fakellm.scenarios.sessions import StartedAfresh
from fakellm.scenarios.text_tests import BadRule
from fakellm.web.control.gates import InTime, Timeout
from fakellm.web.control.problems import Problem, WrongPlace, started_afresh
from fakellm.web.control.routes import Call, Deleted, OfSession, Route, SessionName

SHOWN_AT_MOST = 10_000

StatusFilter = Annotated[str, Meta(pattern="^[1-9]([0-9][0-9]|xx)$")]

_Told = TypeVar("_Told")


class Filters(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests."""

    session: Annotated[SessionName | None, Meta(description="Those of a session.")] = None
    dialect: Annotated[str | None, Meta(description="Those in a vendor's wire format.")] = None
    endpoint: Annotated[
        str | None, Meta(description="Those to an endpoint, such as `chat.completions`.")
    ] = None
    model: Annotated[
        str | None,
        Meta(description="Those that ask for a model; `*` in its name stands for anything."),
    ] = None
    status: Annotated[
        StatusFilter | None,
        Meta(description="Those that got a status, such as `404`, or one of a class, as `4xx`."),
    ] = None
    rule: Annotated[
        str | None, Meta(description="Those that a rule answered: its id, its name or its title.")
    ] = None
    text: Annotated[
        str | None, Meta(description="Those with this in a message or in the answer.")
    ] = None
    after: Annotated[
        int | None, Meta(description="Those that came after the request of this number.")
    ] = None

    def match(self) -> Match:
        """The match that says the same."""
        given = {n: value for n, value in structs.asdict(self).items() if n in _AS_THEY_ARE}
        return Match(
            **given,
            model=None if self.model is None else _like(self.model),
            status=None if self.status is None else _status(self.status),
            text=None if self.text is None else TextTest(contains=self.text),
        )


_AS_THEY_ARE = frozenset(Filters.__struct_fields__) - {"model", "status", "text"}


def _like(name: str) -> TextRule:
    """The test that a name passes in which ``*`` stands for anything."""
    if "*" not in name:
        return name
    return TextTest(matches=rf"(?s)\A{'.*'.join(map(re.escape, name.split('*')))}\Z")


def _status(status: str) -> NumberRule:
    """The test that a status passes, or all of a class."""
    if status[1:3] == "xx":
        lowest = int(status[0]) * 100
        return NumberTest(at_least=lowest, at_most=lowest + 99)
    return int(status)


class Asked(Filters, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which requests, and how many of them."""

    last: Annotated[int, Meta(ge=0, le=SHOWN_AT_MOST, description="Of many, the last so many.")] = (
        100
    )

    def match(self) -> Match:
        """The match that says the same."""
        return Filters.match(self)


class WaitFor(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to wait for."""

    match: Annotated[Match, Meta(description="Which requests count.")] = Match()
    count: Annotated[int, Meta(ge=1, description="How many of them.")] = 1
    timeout: Timeout = 5.0


class RequestList(Struct, frozen=True, kw_only=True):
    """Requests, the oldest first."""

    requests: list[JournalEntry]
    count: Annotated[int, Meta(description="How many there are, shown or not.")]
    journal: Annotated[Figures, Meta(description="How full the journal is.")]


class Found(Struct, frozen=True, kw_only=True):
    """The requests that were waited for."""

    requests: list[JournalEntry]


class SnapshotList(Struct, frozen=True, kw_only=True):
    """Snapshots of requests, the oldest first."""

    snapshots: list[Snapshot]


class RequestRoutes:
    """Routes of a journal."""

    def __init__(self, journal: Journal, in_time: InTime) -> None:
        self._journal = journal
        self._in_time = in_time

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/requests",
                summary="List requests, with what became of them.",
                handle=self._list,
                query=Asked,
                answer=RequestList,
                problems=(409,),
            ),
            Route(
                method="DELETE",
                path="/requests",
                summary="Delete the requests of a session, or all, from the journal.",
                handle=self._delete,
                query=OfSession,
                answer=Deleted,
            ),
            Route(
                method="POST",
                path="/requests/wait",
                summary="Wait until so many requests match; those that came before count.",
                handle=self._wait,
                query=OfSession,
                body=WaitFor,
                answer=Found,
                problems=(408, 409),
            ),
            Route(
                method="GET",
                path="/requests/{id}",
                summary="Show a request.",
                handle=self._show,
                answer=JournalEntry,
                problems=(404, 409),
            ),
            Route(
                method="GET",
                path="/requests/{id}/snapshot",
                summary="Show a request with all that changes from run to run masked.",
                handle=self._snapshot,
                answer=Snapshot,
                problems=(404, 409),
            ),
            Route(
                method="GET",
                path="/snapshot",
                summary="Show requests with all that changes from run to run masked.",
                handle=self._snapshots,
                query=Asked,
                answer=SnapshotList,
                problems=(409,),
            ),
        ]

    async def _list(self, call: Call) -> RequestList:
        check_on(self._journal)
        match = compiled(call.query.match())
        return RequestList(
            requests=self._journal.all(match, last=call.query.last),
            count=self._journal.count(match),
            journal=self._journal.figures,
        )

    async def _show(self, call: Call) -> JournalEntry:
        check_on(self._journal)
        return self._there(call, self._journal.one)

    async def _snapshot(self, call: Call) -> Snapshot:
        check_on(self._journal)
        return self._there(call, self._journal.snapshot)

    def _there(self, call: Call, get: Callable[[str], _Told | None]) -> _Told:
        name = call.names["id"]
        found = get(name)
        if found is None:
            raise Problem(404, f"there is no request {name!r}")
        return found

    async def _snapshots(self, call: Call) -> SnapshotList:
        check_on(self._journal)
        found = self._journal.all(compiled(call.query.match()), last=call.query.last)
        snapshots = (self._journal.snapshot(entry.id) for entry in found)
        return SnapshotList(snapshots=[each for each in snapshots if each is not None])

    async def _delete(self, call: Call) -> Deleted:
        return Deleted(deleted=self._journal.delete(call.query.session))

    async def _wait(self, call: Call) -> Found:
        check_on(self._journal)
        asked: WaitFor = call.body
        match = compiled(of_session(asked.match, call.query.session), "match")
        awaited = self._journal.wait(match, asked.count)
        found: list[JournalEntry] = []
        done: Deferred[None] = Deferred(lambda _: awaited.cancel())

        def fire(entries: list[JournalEntry]) -> None:
            found.extend(entries)
            done.callback(None)

        awaited.addCallbacks(fire, done.errback)
        try:
            there = await self._in_time(done, asked.timeout)
        except StartedAfresh as error:
            raise started_afresh("requests") from error
        if not there:
            count = self._journal.count(match)
            raise Problem(
                408,
                f"after {asked.timeout:g} s, {count} requests match, not {asked.count}",
                found=count,
            )
        await call.written()
        return Found(requests=found)


def check_on(journal: Journal) -> None:
    """See that there is a journal.

    Raises:
        Problem: it is turned off.
    """
    if not journal.keeps:
        raise Problem(409, "the journal is turned off")


def of_session(match: Match, session: str | None) -> Match:
    """A match that is for a session, unless it names one itself."""
    if session is None or match.session is not None:
        return match
    changed: Match = structs.replace(match, session=session)
    return changed


def compiled(match: Match, path: str = "") -> CompiledMatch:
    """A match, made ready.

    Args:
        match: as it was given.
        path: where.

    Raises:
        Problem: a condition in it is impossible.
    """
    try:
        return compile_match(match)
    except BadRule as bad:
        # a rule's conditions are under "when"
        keys = bad.path[1:] if bad.path[:1] == ("when",) else bad.path
        where = ".".join(map(str, (*filter(None, (path,)), *keys)))
        raise Problem(
            400,
            f"the match is not what it has to be: {where}: {bad.reason}",
            errors=[WrongPlace(detail=bad.reason, path=where)],
        ) from bad
