"""What may be asked of the control API, as values: calls out, answers in.

Pure: how a call gets to the server is the business of the clients, synchronous and asynchronous,
which so have the same words. Each function is one route of ``/_fakellm/openapi.json``.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar
from urllib.parse import quote, urlencode

import msgspec
from msgspec import Struct

from fakellm.faults.spec import FaultItem
from fakellm.journal.matches import Match
from fakellm.journal.records import Figures, JournalEntry, Snapshot
from fakellm.scenarios import schema
from fakellm.testing.documents import (
    Deleted,
    Faults,
    Gates,
    GateState,
    Limits,
    LimitState,
    OrderedFaults,
    Requests,
    Reset,
    Rules,
    RuleState,
    ScenarioPut,
    Session,
    Sessions,
    SettingsShown,
    Snapshots,
    States,
    Time,
    Verified,
)
from fakellm.testing.errors import BadScenarioText, ControlError, NotVerified, Unreachable
from fakellm.testing.matching import match_of

T = TypeVar("T")

ALL = 10_000
"""As many requests as are told at once."""

PREFIX = "/_fakellm"
JSON = "application/json"
YAML = "application/yaml"
_PROBLEM = "application/problem+json"
_MISSES_SHOWN = 5


class Call(Struct, Generic[T], frozen=True, kw_only=True):
    """One request to the control API, and how its answer is read.

    Attributes:
        method: of HTTP.
        path: of the URL, with the query.
        read: makes the answer of its body.
        body: of the request.
        media_type: of that body.
        waits: real seconds that the server may take, beside what the way there takes.
    """

    method: str
    path: str
    read: Callable[[bytes], T]
    body: bytes = b""
    media_type: str = JSON
    waits: float = 0.0


def call(
    method: str,
    *path: str,
    read: Callable[[bytes], T],
    query: Mapping[str, Any] | None = None,
    body: Any = None,
    waits: float = 0.0,
) -> Call[T]:
    """A call of a path of these parts, which may hold anything; a query's ``None`` is left out.

    Raises:
        TypeError: the body is nothing that JSON has.
    """
    found = "/".join((PREFIX, *(quote(part, safe="") for part in path)))
    given = {name: _in_query(value) for name, value in (query or {}).items() if value is not None}
    return Call(
        method=method,
        path=f"{found}?{urlencode(given)}" if given else found,
        read=read,
        body=b"" if body is None else msgspec.json.encode(body),
        waits=waits,
    )


def _in_query(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)


def answer_of(call: Call[T], status: int, content_type: str, body: bytes) -> T:
    """What the server answered to a call.

    Raises:
        NotVerified: what it was to verify does not hold.
        ControlError: it did not do what it was asked to do.
        Unreachable: it is no server of ours that answers.
    """
    if status >= 400:  # noqa: PLR2004 -- of HTTP
        raise _problem(call, status, content_type, body)
    try:
        return call.read(body)
    except msgspec.DecodeError as error:
        raise Unreachable(f"{call.method} {call.path}: no answer of fakellm's: {error}") from error


def _problem(call: Call[T], status: int, content_type: str, body: bytes) -> Exception:
    if content_type.split(";", maxsplit=1)[0].strip() != _PROBLEM:
        shown = body[:200].decode("utf-8", "replace")
        return Unreachable(f"{call.method} {call.path}: {status}, no answer of fakellm's: {shown}")
    document = msgspec.json.decode(body, type=dict[str, Any])
    if status == 409 and "misses" in document:  # noqa: PLR2004 -- Conflict
        return NotVerified(_misses(document), document)
    if "errors" in document:
        return BadScenarioText(status, document)
    return ControlError(status, document)


def _misses(document: Mapping[str, Any]) -> str:
    lines = [str(document.get("detail", "the requests are not as expected"))]
    for miss in document["misses"][:_MISSES_SHOWN]:
        asked = f"{miss.get('endpoint') or 'request'} {miss.get('text', '')!r}"
        lines.append(f"  nearest: {miss.get('number', '?')}. {asked}: {miss.get('failed')}")
    return "\n".join(lines)


def json_as(type: Any) -> Callable[[bytes], Any]:  # noqa: A002 -- what it is
    """Reads a body of JSON into a type."""
    decoder = msgspec.json.Decoder(type)
    return decoder.decode


def headers(token: str | None, media_type: str | None = None) -> dict[str, str]:
    """The headers of a call with a body of some media type, or none."""
    found = {"Accept": "*/*"}
    if media_type is not None:
        found["Content-Type"] = media_type
    if token is not None:
        found["Authorization"] = f"Bearer {token}"
    return found


# -- the clock


def clock() -> Call[Time]:
    """Tell the time of a virtual clock."""
    return call("GET", "clock", read=json_as(Time))


def advance(seconds: float | None, to: str | None) -> Call[Time]:
    """Let time pass: so many seconds, to the ``next`` call, or until there is none (``idle``)."""
    if (seconds is None) == (to is None):
        raise TypeError('say how far: advance(1.5), advance(to="next") or advance(to="idle")')
    body = {"to": to} if seconds is None else {"seconds": seconds}
    return call("POST", "clock", "advance", body=body, read=json_as(Time))


# -- gates


def gates(session: str | None) -> Call[list[GateState]]:
    """The gates that there have been."""
    return call(
        "GET",
        "gates",
        query={"session": session},
        read=lambda body: msgspec.json.decode(body, type=Gates).gates,
    )


def gate(
    session: str | None, name: str, *, waiting: int | None = None, timeout: float | None = None
) -> Call[GateState]:
    """A gate, at once, or when so many answers wait there."""
    return call(
        "GET",
        "gates",
        name,
        query={"session": session, "waiting": waiting, "timeout": timeout},
        read=json_as(GateState),
        waits=timeout or 0.0,
    )


def release(session: str | None, name: str, count: int | None) -> Call[GateState]:
    """Let the first so many answers at a gate go on for good, or all."""
    return _gate(session, name, "release", {} if count is None else {"count": count})


def step(session: str | None, name: str, chunks: int) -> Call[GateState]:
    """Let so many chunks of each answer at a gate through."""
    return _gate(session, name, "step", {"chunks": chunks})


def abort(session: str | None, name: str) -> Call[GateState]:
    """Break off the connections of the answers at a gate."""
    return _gate(session, name, "abort", {})


def _gate(session: str | None, name: str, what: str, body: Mapping[str, Any]) -> Call[GateState]:
    return call(
        "POST",
        "gates",
        name,
        what,
        query={"session": session},
        body=body,
        read=json_as(GateState),
    )


# -- rules


def rules(session: str | None, source: str | None = None) -> Call[list[RuleState]]:
    """The rules in force, in the order of trying; for a session, all that it goes by."""
    return call(
        "GET",
        "rules",
        query={"session": session, "source": source},
        read=lambda body: msgspec.json.decode(body, type=Rules).rules,
    )


def rule(session: str | None, id: str) -> Call[RuleState]:  # noqa: A002 -- its name
    """One rule."""
    return call("GET", "rules", id, query={"session": session}, read=json_as(RuleState))


def add_rule(session: str | None, rule: schema.Rule) -> Call[RuleState]:
    """Add a rule to a session, or to the server."""
    return call("POST", "rules", query={"session": session}, body=rule, read=json_as(RuleState))


def replace_rule(id: str, rule: schema.Rule) -> Call[RuleState]:  # noqa: A002 -- its name
    """Put a rule in the place of an added one."""
    return call("PUT", "rules", id, body=rule, read=json_as(RuleState))


def delete_rule(id: str) -> Call[int]:  # noqa: A002 -- its name
    """Delete an added rule."""
    return call("DELETE", "rules", id, read=deleted)


def delete_rules(session: str | None) -> Call[int]:
    """Delete all rules that were added to a session, or to the server."""
    return call("DELETE", "rules", query={"session": session}, read=deleted)


def put_scenario(session: str | None, text: str) -> Call[ScenarioPut]:
    """Put a scenario, a whole text of YAML, in the place of the one that was put before."""
    made = call("PUT", "scenario", query={"session": session}, read=json_as(ScenarioPut))
    return msgspec.structs.replace(made, body=text.encode(), media_type=YAML)


def scenario(session: str | None) -> Call[str]:
    """The text of the scenario that was put."""
    return call("GET", "scenario", query={"session": session}, read=bytes.decode)


def delete_scenario(session: str | None) -> Call[int]:
    """Delete the scenario that was put."""
    return call("DELETE", "scenario", query={"session": session}, read=deleted)


# -- the server


def settings() -> Call[dict[str, Any]]:
    """What the server was started with, secrets masked."""
    return call(
        "GET",
        "settings",
        read=lambda body: msgspec.json.decode(body, type=SettingsShown).settings,
    )


def deleted(body: bytes) -> int:
    """How many were deleted."""
    return msgspec.json.decode(body, type=Deleted).deleted


def openapi() -> Call[dict[str, Any]]:
    """The description of the control API, of OpenAPI 3.1."""
    return call("GET", "openapi.json", read=json_as(dict[str, Any]))


# -- faults, limits, states


def order_faults(
    session: str | None, faults: Sequence[FaultItem], requests: int | None
) -> Call[OrderedFaults]:
    """Have faults strike, together, the next so many requests; ``None`` is all of them."""
    return call(
        "POST",
        "faults",
        query={"session": session},
        body={"faults": tuple(faults), "requests": requests},
        read=json_as(OrderedFaults),
    )


def faults(session: str | None) -> Call[Faults]:
    """The faults that are to come, and how often each has struck."""
    return call("GET", "faults", query={"session": session}, read=json_as(Faults))


def delete_faults(session: str | None, id: str | None = None) -> Call[int]:  # noqa: A002
    """Delete the faults that are to come: some, or those of a session, or all."""
    if id is not None:
        return call("DELETE", "faults", id, read=deleted)
    return call("DELETE", "faults", query={"session": session}, read=deleted)


def limits(session: str | None) -> Call[list[LimitState]]:
    """How clients stand with the limits."""
    return call(
        "GET",
        "limits",
        query={"session": session},
        read=lambda body: msgspec.json.decode(body, type=Limits).limits,
    )


def reset_limits(session: str | None) -> Call[int]:
    """Forget what was counted."""
    return call("DELETE", "limits", query={"session": session}, read=deleted)


def states(session: str | None) -> Call[States]:
    """The states of a session."""
    return call("GET", "state", query={"session": session}, read=json_as(States))


def set_state(session: str | None, state: str, conversation: str) -> Call[States]:
    """Set the state of a conversation."""
    return call(
        "PUT",
        "state",
        query={"session": session},
        body={"state": state, "conversation": conversation},
        read=json_as(States),
    )


# -- requests


def requests(session: str | None, last: int, filters: Mapping[str, Any]) -> Call[Requests]:
    """The last so many requests."""
    query = {"session": session, "last": last, **filters}
    return call("GET", "requests", query=query, read=json_as(Requests))


def request(id: str) -> Call[JournalEntry]:  # noqa: A002 -- its name
    """One request."""
    return call("GET", "requests", id, read=json_as(JournalEntry))


def delete_requests(session: str | None) -> Call[int]:
    """Delete requests from the journal."""
    return call("DELETE", "requests", query={"session": session}, read=deleted)


def wait_for(
    session: str | None, match: Match, count: int, timeout: float
) -> Call[list[JournalEntry]]:
    """Wait until so many requests match; those that came before count."""
    return call(
        "POST",
        "requests",
        "wait",
        query={"session": session},
        body={"match": match, "count": count, "timeout": timeout},
        read=lambda body: msgspec.json.decode(body, type=Requests).requests,
        waits=timeout,
    )


def snapshot(id: str) -> Call[Snapshot]:  # noqa: A002 -- its name
    """A request with all that changes from run to run masked."""
    return call("GET", "requests", id, "snapshot", read=json_as(Snapshot))


def snapshots(session: str | None, last: int, filters: Mapping[str, Any]) -> Call[list[Snapshot]]:
    """The last so many requests with all that changes from run to run masked."""
    query = {"session": session, "last": last, **filters}
    return call(
        "GET",
        "snapshot",
        query=query,
        read=lambda body: msgspec.json.decode(body, type=Snapshots).snapshots,
    )


def verify(
    session: str | None,
    match: Mapping[str, Any],
    in_order: Sequence[Mapping[str, Any]],
    numbers: Mapping[str, int | None],
) -> Call[Verified]:
    """Say whether so many requests match, or, instead, one for each of some matches, in order.

    Raises:
        TypeError: a condition has a name that none has, or a value that none takes.
    """
    body: dict[str, Any] = {name: number for name, number in numbers.items() if number is not None}
    if in_order:
        body["in_order"] = [match_of(each) for each in in_order]
    if match or not in_order:
        body["match"] = match_of(match)
    return call("POST", "verify", query={"session": session}, body=body, read=json_as(Verified))


def journal() -> Call[Figures]:
    """How full the journal is."""
    return call(
        "GET",
        "requests",
        query={"last": 0},
        read=lambda body: msgspec.json.decode(body, type=Requests).journal,
    )


# -- sessions


def sessions() -> Call[list[Session]]:
    """The sessions that there are."""
    return call(
        "GET", "sessions", read=lambda body: msgspec.json.decode(body, type=Sessions).sessions
    )


def session(name: str) -> Call[Session]:
    """One session."""
    return call("GET", "sessions", name, read=json_as(Session))


def drop(name: str) -> Call[list[str]]:
    """Forget a session and all it has."""
    return call("DELETE", "sessions", name, read=_reset)


def reset(session: str | None) -> Call[list[str]]:
    """Let a session, or the whole server, start afresh."""
    return call("POST", "reset", query={"session": session}, body={}, read=_reset)


def _reset(body: bytes) -> list[str]:
    return msgspec.json.decode(body, type=Reset).sessions


# -- watching


def events_path(session: str | None, kind: str | None) -> str:
    """Where the live feed is."""
    return call("GET", "events", query={"session": session, "kind": kind}, read=bytes).path


def metrics() -> Call[str]:
    """The figures of the server, as Prometheus reads them."""
    return Call(method="GET", path="/metrics", read=bytes.decode)
