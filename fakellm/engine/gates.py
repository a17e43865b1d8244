"""Gates: places by name where answers stand still until somebody lets them go on."""

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Protocol

from twisted.internet.defer import Deferred

from fakellm.journal.noted import Noted
from fakellm.scenarios.sessions import DEFAULT_SESSION, StartedAfresh

GATES_AT_MOST = 10_000
"""Gates that are remembered; of those where nobody waits the oldest go first."""


Told = Callable[[Noted, str], object]
"""Is told of a request whose answer is at a gate, and the gate's name."""


class Waiting(Protocol):
    """An answer that waits at a gate."""

    @property
    def noted(self) -> Noted | None:
        """The request that it is for, as the journal has it."""

    def go_on(self, chunks: int | None = None) -> None:
        """Go on: for good, or until so many chunks more have been sent."""

    def abort(self) -> None:
        """Break the connection off."""


class Gate:
    """One gate.

    Args:
        name: of the gate.
        session: whose answers it holds.
        held: is told of an answer that waits from now on.
        let_go: is told of one that goes on, for good or for some chunks.

    Attributes:
        name: of the gate.
        session: whose answers it holds.
        released: how many answers were let through it.
        left: how many clients went while their answer waited.
        aborted: how many answers were broken off at it.
    """

    def __init__(
        self,
        name: str,
        session: str = DEFAULT_SESSION,
        *,
        held: Told | None = None,
        let_go: Told | None = None,
    ) -> None:
        self.name = name
        self.session = session
        self.released = 0
        self.left = 0
        self.aborted = 0
        self._held = held
        self._let_go = let_go
        self._here: dict[Waiting, None] = {}  # in the order of their coming
        self._awaited: list[tuple[int, Deferred[None]]] = []

    @property
    def waiting(self) -> int:
        """How many answers wait here."""
        return len(self._here)

    @property
    def awaited(self) -> bool:
        """Whether anybody or anything waits at it or for it."""
        return bool(self._here or self._awaited)

    def arrive(self, answer: Waiting) -> None:
        """An answer stands still here from now on."""
        self._here[answer] = None
        self._tell(self._held, answer)
        for count, deferred in [each for each in self._awaited if each[0] <= self.waiting]:
            self._awaited.remove((count, deferred))
            deferred.callback(None)

    def leave(self, answer: Waiting) -> None:
        """The client of an answer that waits here has gone."""
        if answer in self._here:
            del self._here[answer]
            self.left += 1

    def release(self, count: int | None = None) -> int:
        """Let those that wait go on for good, or the first so many; how many they were."""
        going = self._first(count)
        self.released += len(going)
        for answer in going:
            del self._here[answer]
        for answer in going:
            self._tell(self._let_go, answer)
            answer.go_on()
        return len(going)

    def step(self, chunks: int = 1) -> int:
        """Let so many chunks of each answer through, at once; how many answers there were.

        An answer that has more waits here again.
        """
        going = self._first(None)
        for answer in going:
            del self._here[answer]
        for answer in going:
            self._tell(self._let_go, answer)
            answer.go_on(chunks)
        return len(going)

    def abort(self) -> int:
        """Break off the connections of those that wait; how many they were."""
        going = self._first(None)
        self.aborted += len(going)
        for answer in going:
            del self._here[answer]
        for answer in going:
            answer.abort()
        return len(going)

    def close(self) -> None:
        """Break off those that wait, and let nobody wait for more of them."""
        self.abort()
        for each in self._awaited.copy():
            if each in self._awaited:  # and what was told before has not cancelled it
                self._awaited.remove(each)
                each[1].errback(StartedAfresh())

    def when_waiting(self, count: int = 1) -> Deferred[None]:
        """Fires once so many answers wait here; may be cancelled.

        It fails with `StartedAfresh` when the gate is closed.
        """
        deferred: Deferred[None] = Deferred(
            lambda _: self._awaited.remove((count, deferred))  # cancelled: nobody waits for it
        )
        if self.waiting >= count:
            deferred.callback(None)
        else:
            self._awaited.append((count, deferred))
        return deferred

    def _tell(self, told: Told | None, answer: Waiting) -> None:
        if told is not None and answer.noted is not None:
            told(answer.noted, self.name)

    def _first(self, count: int | None) -> list[Waiting]:
        return list(self._here)[: len(self._here) if count is None else count]


class Gates:
    """The gates of a server, by session; one comes to be when it is first named.

    Args:
        held: is told of each answer that waits at one from now on.
        let_go: is told of each that goes on, for good or for some chunks.
    """

    def __init__(self, held: Told | None = None, let_go: Told | None = None) -> None:
        self._held = held
        self._let_go = let_go
        self._gates: OrderedDict[tuple[str, str], Gate] = OrderedDict()

    def names(self, session: str = DEFAULT_SESSION) -> list[str]:
        """The gates that a session has had, in order."""
        return [gate.name for gate in self.all(session)]

    def all(self, session: str | None = None) -> Iterable[Gate]:
        """Them themselves: those of a session, or of all."""
        return [gate for gate in self._gates.values() if session in {None, gate.session}]

    def gate(self, name: str, session: str = DEFAULT_SESSION) -> Gate:
        """The gate of a name."""
        gate = self._gates.get((session, name))
        if gate is None:
            gate = self._gates[session, name] = Gate(
                name, session, held=self._held, let_go=self._let_go
            )
            if len(self._gates) > GATES_AT_MOST:
                self._forget_one(but=gate)
        return gate

    def forget(self, session: str) -> None:
        """Drop the gates of a session; what waits at them, or for them, does so no more."""
        for gate in self.all(session):
            self._gates.pop((session, gate.name), None)
            gate.close()

    def _forget_one(self, but: Gate) -> None:
        for key, gate in self._gates.items():
            if gate is not but and not gate.awaited:
                del self._gates[key]
                return
