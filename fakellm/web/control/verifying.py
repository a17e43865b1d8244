"""The route that says whether the requests that were expected have come."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct, UnsetType

from fakellm.journal.journal import Journal
from fakellm.journal.matches import CompiledMatch, Match
from fakellm.journal.records import JournalEntry, NearMiss
from fakellm.web.control.problems import Miss, Problem
from fakellm.web.control.requests import check_on, compiled, of_session
from fakellm.web.control.routes import Call, OfSession, Route

_Count = Annotated[int, Meta(ge=0)]
_SHOWN_AT_MOST = 200


class Verify(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is expected: a number of requests that match, or requests in order.

    With neither a number nor an order, at least one is expected.
    """

    match: Annotated[Match | UnsetType, Meta(description="Which requests count.")] = UNSET
    count: Annotated[_Count | UnsetType, Meta(description="Exactly so many.")] = UNSET
    at_least: Annotated[_Count | UnsetType, Meta(description="So many or more.")] = UNSET
    at_most: Annotated[_Count | UnsetType, Meta(description="So many or fewer.")] = UNSET
    in_order: Annotated[
        Annotated[list[Match], Meta(min_length=1)] | UnsetType,
        Meta(description="A request for each of these, in this order; others may be between."),
    ] = UNSET


class Verified(Struct, frozen=True, kw_only=True):
    """It is as expected."""

    count: Annotated[int, Meta(description="How many requests match.")]
    requests: Annotated[list[str], Meta(description="Their ids; in order, one for each match.")]


class VerifyRoutes:
    """The route over a journal."""

    def __init__(self, journal: Journal) -> None:
        self._journal = journal

    def routes(self) -> list[Route]:
        """The one there is."""
        return [
            Route(
                method="POST",
                path="/verify",
                summary="Say whether the requests that were expected have come.",
                handle=self._verify,
                query=OfSession,
                body=Verify,
                answer=Verified,
                problems=(409,),
            )
        ]

    async def _verify(self, call: Call) -> Verified:
        asked: Verify = call.body
        session = call.query.session
        check_on(self._journal)
        numbers = (asked.count, asked.at_least, asked.at_most)
        if asked.in_order is not UNSET:
            if asked.match is not UNSET or any(each is not UNSET for each in numbers):
                raise Problem(400, "in_order has matches of its own: nothing goes with it")
            matches = [
                compiled(of_session(each, session), f"in_order.{number}")
                for number, each in enumerate(asked.in_order)
            ]
            return self._in_order(matches, session)
        given = Match() if asked.match is UNSET else asked.match
        match = compiled(of_session(given, session), "match")
        return self._number(match, asked)

    def _number(self, match: CompiledMatch, asked: Verify) -> Verified:
        found = self._journal.all(match)
        least, most = asked.at_least, asked.at_most
        if asked.count is not UNSET:
            if least is not UNSET or most is not UNSET:
                raise Problem(400, "count is exact: neither at_least nor at_most goes with it")
            least = most = asked.count
        elif least is UNSET and most is UNSET:
            least = 1
        too_few = least is not UNSET and len(found) < least
        too_many = most is not UNSET and len(found) > most
        if too_few or too_many:
            raise Problem(
                409,
                f"{_requests(len(found))} match; expected {_expected(least, most)}",
                found=len(found),
                misses=map(_miss, self._journal.near(match)) if too_few else (),
            )
        return Verified(count=len(found), requests=[entry.id for entry in found])

    def _in_order(self, matches: list[CompiledMatch], session: str | None) -> Verified:
        found: list[JournalEntry] = []
        for number, match in enumerate(matches):
            after = found[-1].number if found else 0
            fitting = (entry for entry in self._journal.all(match) if entry.number > after)
            entry = next(fitting, None)
            if entry is None:
                after_it = f" after the request {found[-1].id!r}" if found else ""
                raise Problem(
                    409,
                    f"no request{after_it} matches in_order.{number}",
                    found=number,
                    misses=[
                        _miss(each)
                        for each in self._journal.near(match, session=session)
                        if each.entry.number > after
                    ],
                )
            found.append(entry)
        return Verified(count=len(found), requests=[entry.id for entry in found])


def _requests(count: int) -> str:
    return "1 request" if count == 1 else f"{count} requests"


def _expected(least: int | UnsetType, most: int | UnsetType) -> str:
    if least == most:
        return str(least)
    if most is UNSET:
        return f"at least {least}"
    return f"at most {most}" if least is UNSET else f"from {least} to {most}"


def _miss(near: NearMiss) -> Miss:
    entry = near.entry
    last = entry.prompt.messages[-1].text if entry.prompt and entry.prompt.messages else ""
    return Miss(
        id=entry.id,
        number=entry.number,
        session=entry.session,
        endpoint=entry.endpoint,
        model=entry.model,
        text=last if len(last) <= _SHOWN_AT_MOST else f"{last[:_SHOWN_AT_MOST]}...",
        held=near.held,
        failed=f"{near.name}: expected: {near.expected}, found: {near.found}",
    )
