"""The routes of rules and scenarios: what a test adds to what the server was started with."""

from typing import Annotated, Any

from msgspec import UNSET, Meta, Struct

from fakellm.scenarios import schema
from fakellm.scenarios.added import Put, Source, Standing, TooMany
from fakellm.scenarios.given import BadData
from fakellm.scenarios.library import Library
from fakellm.scenarios.mistakes import BadScenario
from fakellm.web.control.problems import Problem, WrongPlace, places_of
from fakellm.web.control.routes import YAML, Call, Deleted, OfSession, Route, SessionName


class OfRules(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which rules."""

    session: Annotated[
        SessionName | None,
        Meta(description="Those that this session goes by, and how often they answered in it."),
    ] = None
    source: Annotated[Source | None, Meta(description="Only those that are from there.")] = None


class OfCounts(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which counts."""

    session: Annotated[
        SessionName | None, Meta(description="How often it answered in this session.")
    ] = None


class RuleState(Struct, frozen=True, kw_only=True):
    """A rule in force."""

    id: Annotated[str, Meta(description="What it is replaced and deleted by.")]
    title: Annotated[str, Meta(description="As logs and errors call it.")]
    source: Annotated[Source, Meta(description="Where it is from.")]
    session: Annotated[str | None, Meta(description="Whose it is; null: the server's.")]
    answered: Annotated[int, Meta(description="How often it has answered.")]
    rule: Annotated[schema.Rule, Meta(description="As it was written.")]


class RuleList(Struct, frozen=True, kw_only=True):
    """Rules in the order in which they are tried."""

    rules: list[RuleState]


class ScenarioPut(Struct, frozen=True, kw_only=True):
    """A scenario that is in force now."""

    rules: Annotated[int, Meta(description="How many it has.")]
    warnings: Annotated[
        list[WrongPlace], Meta(description="What is legal in it but surely meant otherwise.")
    ]


class RuleRoutes:
    """Routes of a library's rules."""

    def __init__(self, library: Library) -> None:
        self._library = library

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/rules",
                summary="List the rules in the order of trying, with how often each answered.",
                handle=self._list,
                query=OfRules,
                answer=RuleList,
            ),
            Route(
                method="POST",
                path="/rules",
                summary="Add a rule, before those of files and after those added before it.",
                handle=self._add,
                query=OfSession,
                body=schema.Rule,
                decoded=Any,
                makes=True,
                answer=RuleState,
                status=201,
                problems=(409,),
            ),
            Route(
                method="DELETE",
                path="/rules",
                summary="Delete all rules that were added to a session, or to the server.",
                handle=self._delete_all,
                query=OfSession,
                answer=Deleted,
            ),
            Route(
                method="GET",
                path="/rules/{id}",
                summary="Show a rule.",
                handle=self._show,
                query=OfCounts,
                answer=RuleState,
                problems=(404,),
            ),
            Route(
                method="PUT",
                path="/rules/{id}",
                summary="Put a rule in the place of an added one; its counts begin anew.",
                handle=self._replace,
                body=schema.Rule,
                decoded=Any,
                answer=RuleState,
                problems=(404, 409),
            ),
            Route(
                method="DELETE",
                path="/rules/{id}",
                summary="Delete an added rule.",
                handle=self._delete,
                answer=Deleted,
                problems=(404, 409),
            ),
            Route(
                method="PUT",
                path="/scenario",
                summary="Put a scenario in the place of the one that was put before.",
                handle=self._put,
                query=OfSession,
                body=str,
                takes=YAML,
                makes=True,
                answer=ScenarioPut,
                problems=(409,),
            ),
            Route(
                method="GET",
                path="/scenario",
                summary="Show the scenario that was put.",
                handle=self._text,
                query=OfSession,
                gives=YAML,
                answer=str,
                problems=(404,),
            ),
            Route(
                method="DELETE",
                path="/scenario",
                summary="Delete the scenario that was put.",
                handle=self._take_away,
                query=OfSession,
                answer=Deleted,
            ),
        ]

    async def _list(self, call: Call) -> RuleList:
        asked: OfRules = call.query
        return RuleList(rules=[self._state(each, asked.session) for each in self._found(asked)])

    async def _show(self, call: Call) -> RuleState:
        name = call.names["id"]
        found = self._library.find(name)
        if found is None:
            raise Problem(404, f"there is no rule {name!r}")
        return self._state(found, call.query.session)

    async def _add(self, call: Call) -> RuleState:
        session = call.query.session
        try:
            return self._state(self._library.give(call.body, session), session)
        except BadData as bad:
            raise wrong_data("the rule", bad) from bad
        except TooMany as many:
            raise Problem(409, str(many)) from many

    async def _replace(self, call: Call) -> RuleState:
        name = call.names["id"]
        try:
            replaced = self._library.replace(name, call.body)
        except BadData as bad:
            raise wrong_data("the rule", bad) from bad
        if replaced is None:
            raise self._not_added(name)
        return self._state(replaced, replaced.session)

    async def _delete(self, call: Call) -> Deleted:
        name = call.names["id"]
        if not self._library.remove(name):
            raise self._not_added(name)
        return Deleted(deleted=1)

    async def _delete_all(self, call: Call) -> Deleted:
        return Deleted(deleted=self._library.remove_all(call.query.session))

    async def _put(self, call: Call) -> ScenarioPut:
        try:
            put: Put = self._library.put(call.body, call.query.session)
        except BadScenario as bad:
            raise Problem(
                400, _in_short("the scenario", bad.mistakes), errors=places_of(bad.mistakes)
            ) from bad
        except TooMany as many:
            raise Problem(409, str(many)) from many
        return ScenarioPut(rules=len(put.rules), warnings=places_of(put.loaded.warnings))

    async def _text(self, call: Call) -> str:
        put = self._library.scenario(call.query.session)
        if put is None:
            raise Problem(404, "no scenario has been put")
        return put.text

    async def _take_away(self, call: Call) -> Deleted:
        return Deleted(deleted=int(self._library.take_away(call.query.session)))

    def _found(self, asked: OfRules) -> list[Standing]:
        standing = self._library.standing(asked.session)
        return [each for each in standing if asked.source in {None, each.source}]

    def _not_added(self, name: str) -> Problem:
        if self._library.find(name) is not None:
            return Problem(409, f"the rule {name!r} was not added here: it cannot be changed")
        return Problem(404, f"there is no rule {name!r}")

    def _state(self, standing: Standing, session: str | None) -> RuleState:
        rule, book = standing.rule, self._library.book
        in_all = book.counts.get(rule.key, 0)
        answered = in_all if session is None else book.answered(session, rule)
        return RuleState(
            id=rule.id,
            title=rule.title,
            source=standing.source,
            session=standing.session,
            answered=answered,
            rule=rule.rule,
        )


def wrong_data(what: str, bad: BadData) -> Problem:
    """What is wrong with data in the scenario language, and where."""
    return Problem(
        400,
        _in_short(what, bad.mistakes),
        errors=[
            WrongPlace(detail=each.message, path=".".join(map(str, each.path)) or UNSET)
            for each in bad.mistakes
        ],
    )


def _in_short(what: str, mistakes: Any) -> str:
    first, *others = [each for each in mistakes if getattr(each, "severity", "error") == "error"]
    more = f", and {len(others)} more" if others else ""
    return f"{what} is not what it has to be: {first}{more}"
