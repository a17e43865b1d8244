"""What the control API answers, as records; see ``/_fakellm/openapi.json``.

Requests are told by `fakellm.journal.records`. What a newer server tells beside is passed over.
"""

from typing import Any, Literal

from msgspec import Struct

from fakellm.journal.records import Figures, JournalEntry, Snapshot
from fakellm.scenarios import schema

Source = Literal["added", "put", "python", "file", "built_in"]


class Time(Struct, frozen=True, kw_only=True):
    """The time of the server's clock: seconds since its start, and how many calls are to come."""

    now: float
    pending: int


class GateState(Struct, frozen=True, kw_only=True):
    """A gate, and what became of the answers that came there.

    Attributes:
        name: of the gate.
        session: whose gate it is.
        waiting: answers that wait there.
        released: answers that were let through.
        left: clients that went while their answer waited.
        aborted: answers that were broken off at it.
        let_go: answers that were just let go, or broken off.
    """

    name: str
    session: str
    waiting: int
    released: int
    left: int
    aborted: int
    let_go: int = 0


class RuleState(Struct, frozen=True, kw_only=True):
    """A rule in force.

    Attributes:
        id: what it is replaced and deleted by.
        title: as logs and errors call it.
        source: where it is from.
        session: whose it is; ``None`` is the server's.
        answered: how often it has answered.
        rule: as it was written.
    """

    id: str
    title: str
    source: Source
    session: str | None = None
    answered: int = 0
    rule: schema.Rule


class Mistake(Struct, frozen=True, kw_only=True):
    """Something wrong with what was sent: what, and where (``None`` where it is not known).

    ``line`` and ``column`` count from 1; ``path`` are the keys that lead there in a JSON value.
    """

    detail: str
    line: int | None = None
    column: int | None = None
    path: str | None = None
    severity: str | None = None

    def at(self, name: str = "") -> str:
        """The mistake as editors read it: ``rules.yml:3:5: expected a text``.

        Args:
            name: of the file; without one, it is left out.
        """
        places = (name or None, self.line, self.column, self.path)
        return ": ".join(
            filter(None, (":".join(str(each) for each in places if each is not None), self.detail))
        )


class ScenarioPut(Struct, frozen=True, kw_only=True):
    """A scenario that is in force now: how many rules it has, and what is odd about it."""

    rules: int
    warnings: list[Mistake]


class Rules(Struct, frozen=True, kw_only=True):
    """Rules in the order in which they are tried."""

    rules: list[RuleState]


class Gates(Struct, frozen=True, kw_only=True):
    """Gates."""

    gates: list[GateState]


class Deleted(Struct, frozen=True, kw_only=True):
    """How many there were to delete."""

    deleted: int


class SettingsShown(Struct, frozen=True, kw_only=True):
    """The settings by name, secrets masked."""

    settings: dict[str, Any]


class OrderedFaults(Struct, frozen=True, kw_only=True):
    """Faults that strike the next requests.

    Attributes:
        id: what they are deleted by.
        faults: as they were written.
        session: whose requests they are for; ``None`` is anybody's.
        left: how many requests they are still for; ``None`` is all.
        taken: how many requests they were for so far.
    """

    id: str
    faults: list[Any]
    session: str | None = None
    left: int | None = None
    taken: int = 0


class Faults(Struct, frozen=True, kw_only=True):
    """Faults that are to come, in order, and how often each has struck, by its name."""

    faults: list[OrderedFaults]
    struck: dict[str, int]


class States(Struct, frozen=True, kw_only=True):
    """The states of a session: ``state`` where conversations have no names, and by their names."""

    session: str
    state: str
    conversations: dict[str, str]


class LimitState(Struct, frozen=True, kw_only=True):
    """How those stand who share a limit.

    Attributes:
        unit: what is counted, such as ``requests``.
        limit: how many units there are.
        window: the seconds in which they come back; ``None`` where they do not by themselves.
        session: whose they are.
        key: the API key they are counted for, masked but for its end; ``None`` where for all.
        model: likewise.
        remaining: units left.
        reset: seconds until all are back; ``None`` where they do not come back by themselves.
        running: answers under way.
    """

    unit: str
    limit: int
    window: float | None
    session: str
    key: str | None
    model: str | None
    remaining: int
    reset: float | None
    running: int = 0


class Limits(Struct, frozen=True, kw_only=True):
    """How clients stand with limits."""

    limits: list[LimitState]


class Requests(Struct, frozen=True, kw_only=True):
    """Requests, the oldest first; how many there are, shown or not; how full the journal is."""

    requests: list[JournalEntry]
    count: int = 0
    journal: Figures = Figures(entries=0, bytes=0, dropped=0, unwritten=0)


class Snapshots(Struct, frozen=True, kw_only=True):
    """Requests with all that changes from run to run masked, the oldest first."""

    snapshots: list[Snapshot]


class Verified(Struct, frozen=True, kw_only=True):
    """It is as expected: how many requests match, and their ids."""

    count: int
    requests: list[str]


class Session(Struct, frozen=True, kw_only=True):
    """A session: how many requests it has made, how many run, seconds since the last."""

    name: str
    requests: int
    running: int
    idle: float


class Sessions(Struct, frozen=True, kw_only=True):
    """Sessions, those used last at the end."""

    sessions: list[Session]


class Reset(Struct, frozen=True, kw_only=True):
    """The sessions that start afresh."""

    sessions: list[str]
