"""Faults ordered for the next requests, whatever their rules say.

Orders of a session are filled in the order of ordering, one after the other, before those that are
for any session. Bounded; pure.
"""

from collections.abc import Sequence

from msgspec import Struct

from fakellm.faults.fault import Fault
from fakellm.faults.spec import FaultItem

ORDERS_AT_MOST = 10_000


class TooManyOrders(ValueError):
    """There are too many orders already; its text is one line for the user."""


class Order(Struct, kw_only=True):
    """An order.

    Attributes:
        id: what it is cancelled by.
        items: the faults as they were written.
        faults: them, ready to strike.
        session: whose requests it is for; ``None`` for any's.
        left: how many requests it is still for; ``None`` for all until it is cancelled.
        taken: how many requests it was for so far.
    """

    id: str
    items: tuple[FaultItem, ...]
    faults: tuple[Fault, ...]
    session: str | None
    left: int | None
    taken: int = 0


class Orders:
    """The orders of a server."""

    def __init__(self) -> None:
        self._orders: dict[str, Order] = {}
        self._number = 0

    def add(
        self,
        items: Sequence[FaultItem],
        faults: Sequence[Fault],
        *,
        session: str | None,
        requests: int | None,
    ) -> Order:
        """Order faults for the next so many requests of a session, or of any; or for all.

        Raises:
            TooManyOrders: there are too many.
        """
        if len(self._orders) >= ORDERS_AT_MOST:
            raise TooManyOrders(f"there are {ORDERS_AT_MOST} faults ordered already: delete some")
        self._number += 1
        order = Order(
            id=f"o{self._number}",
            items=tuple(items),
            faults=tuple(faults),
            session=session,
            left=requests,
        )
        self._orders[order.id] = order
        return order

    def take(self, session: str) -> Order | None:
        """The order that a request of a session gets, which counts."""
        if not self._orders:
            return None
        for whose in (session, None):
            for order in self._orders.values():
                if order.session == whose:
                    order.taken += 1
                    if order.left is not None:
                        order.left -= 1
                        if not order.left:
                            del self._orders[order.id]
                    return order
        return None

    def all(self, session: str | None = None) -> list[Order]:
        """Those that are not filled yet, in order: of one session, or all."""
        return [each for each in self._orders.values() if session in {None, each.session}]

    def cancel(self, order: str) -> bool:
        """Cancel an order by its id; whether there was one."""
        return self._orders.pop(order, None) is not None

    def forget(self, session: str | None = None) -> int:
        """Cancel all of a session, or all; how many there were."""
        going = self.all(session)
        for order in going:
            del self._orders[order.id]
        return len(going)
