"""Which faults an answer gets.

Those its request asks for, else those that a client ordered, else its rule's, else the settings'.
"""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence

from fakellm.faults.compile import compile_fault
from fakellm.faults.fault import Fault
from fakellm.faults.orders import Orders
from fakellm.faults.policy import Chooser
from fakellm.faults.shorthand import parse_faults
from fakellm.faults.spec import BadFault
from fakellm.journal.noted import Noted
from fakellm.model.reply import Failure, Refused
from fakellm.model.stamp import Stamp
from fakellm.scenarios.book import Decision

FAULT_HEADER = "X-FakeLLM-Fault"
_FAULT_HEADER = FAULT_HEADER.lower()
GATE = "hold"
_KEPT_AT_MOST = 1000


class Troubles:
    """Chooses faults, and counts those that struck.

    Attributes:
        struck: how often each has, by name.
        orders: faults that clients ordered for the next requests.
    """

    def __init__(self) -> None:
        self.struck: Counter[str] = Counter()
        self.orders = Orders()
        self._chooser = Chooser()
        self._parsed: dict[str, tuple[Fault, ...]] = {}

    def asked_for(self, headers: Mapping[str, str]) -> tuple[Fault, ...] | None:
        """The faults that a request's header names, if it has one.

        Raises:
            Refused: they cannot be.
        """
        written = headers.get(_FAULT_HEADER)
        if written is None:
            return None
        parsed = self._parsed.get(written)
        if parsed is None:
            try:
                parsed = tuple(compile_fault(spec) for spec in parse_faults(written))
            except BadFault as error:
                raise Refused(
                    Failure(status=400, message=f"{FAULT_HEADER}: {error}", code="invalid_header")
                ) from None
            if len(self._parsed) >= _KEPT_AT_MOST:
                self._parsed.clear()  # requests may ask for ever other ones
            self._parsed[written] = parsed
        return parsed

    def chosen(
        self,
        asked_for: tuple[Fault, ...] | None,
        decision: Decision,
        of_settings: Sequence[Fault],
        *,
        session: str,
        stamp: Stamp,
    ) -> tuple[Fault, ...]:
        """The faults of one answer, its rule's gates among them.

        Args:
            asked_for: what the request names.
            decision: has the rule's.
            of_settings: where neither says anything.
            session: whose counts it goes by.
            stamp: chance, for a fault that strikes at times.
        """
        conduct = decision.conduct
        holds = () if conduct is None else conduct.holds
        owner: Hashable
        order = self.orders.take(session) if asked_for is None else None
        if asked_for is not None:
            faults, owner = asked_for, "header"
        elif order is not None:
            faults, owner = order.faults, ("order", order.id)
        elif conduct is not None and conduct.faults is not None:
            faults, owner = conduct.faults, None if decision.by is None else decision.by.key
        else:
            faults, owner = tuple(of_settings), "settings"
        if not faults:
            return holds
        applying = self._chooser.choose(
            faults,
            owner=owner,
            session=session,
            attempt=decision.attempt,
            chance=stamp.chance("faults"),
        )
        return (*holds, *applying)

    def forget(self, session: str) -> None:
        """Let a session start afresh."""
        self._chooser.forget(session)
        self.orders.forget(session)

    def reset(self) -> None:
        """Let all sessions start afresh, and count from nothing."""
        self._chooser = Chooser()
        self.orders.forget()
        self.struck.clear()

    def note(self, noted: Noted, name: str) -> bool:
        """Count a fault that strikes the answer to a request; a gate is none. Whether it is one."""
        if name == GATE:
            return False
        self.struck[name] += 1
        noted.struck_by(name)
        return True
