"""The routes of faults: order some for the next requests, and see which have struck."""

from typing import Annotated

from msgspec import UNSET, Meta, Struct

from fakellm.engine.troubles import Troubles
from fakellm.faults.compile import compile_fault
from fakellm.faults.fault import Fault
from fakellm.faults.orders import Order, TooManyOrders
from fakellm.faults.shorthand import parse_fault
from fakellm.faults.spec import BadFault, FaultItem, FaultSpec
from fakellm.web.control.problems import Problem, WrongPlace
from fakellm.web.control.routes import Call, Deleted, OfSession, Route, SessionName

_ON_ATTEMPT = "is for rules: here, say for how many requests"


class OrderFaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What goes wrong next."""

    faults: Annotated[
        str | FaultSpec | tuple[FaultItem, ...],
        Meta(description="One fault, or a list of faults that strike together."),
    ]
    requests: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="For the next so many requests; null: for all until it is deleted."),
    ] = 1


class OrderedFaults(Struct, frozen=True, kw_only=True):
    """Faults that were ordered."""

    id: Annotated[str, Meta(description="What they are deleted by.")]
    faults: Annotated[list[FaultItem], Meta(description="As they were written.")]
    session: Annotated[
        str | None, Meta(description="Whose requests they are for; null: anybody's.")
    ]
    left: Annotated[
        int | None, Meta(description="How many requests they are still for; null: all.")
    ]
    taken: Annotated[int, Meta(description="How many requests they were for so far.")]


class FaultList(Struct, frozen=True, kw_only=True):
    """Faults that are to come, and those that came."""

    faults: Annotated[list[OrderedFaults], Meta(description="Those to come, in order.")]
    struck: Annotated[
        dict[str, int], Meta(description="How often each fault has struck, whoever asked for it.")
    ]


class WhoseFaults(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whose requests."""

    session: Annotated[
        SessionName | None, Meta(description="Those of a session; without it, anybody's.")
    ] = None


class FaultRoutes:
    """Routes of a server's faults."""

    def __init__(self, troubles: Troubles) -> None:
        self._troubles = troubles

    def routes(self) -> list[Route]:
        """All of them."""
        return [
            Route(
                method="GET",
                path="/faults",
                summary="List the faults that are to come, and how often each has struck.",
                handle=self._list,
                query=OfSession,
                answer=FaultList,
            ),
            Route(
                method="POST",
                path="/faults",
                summary="Have something go wrong in the next requests, instead of what rules say.",
                handle=self._add,
                query=WhoseFaults,
                body=OrderFaults,
                makes=True,
                answer=OrderedFaults,
                status=201,
                problems=(409,),
            ),
            Route(
                method="DELETE",
                path="/faults",
                summary="Delete the faults that are to come, of a session or all.",
                handle=self._delete_all,
                query=OfSession,
                answer=Deleted,
            ),
            Route(
                method="DELETE",
                path="/faults/{id}",
                summary="Delete faults that are to come.",
                handle=self._delete,
                answer=Deleted,
                problems=(404,),
            ),
        ]

    async def _list(self, call: Call) -> FaultList:
        orders = self._troubles.orders.all(call.query.session)
        return FaultList(faults=[*map(_told, orders)], struck=dict(self._troubles.struck))

    async def _add(self, call: Call) -> OrderedFaults:
        asked: OrderFaults = call.body
        alone = not isinstance(asked.faults, tuple)
        items: tuple[FaultItem, ...]
        items = asked.faults if isinstance(asked.faults, tuple) else (asked.faults,)
        if not items:
            raise _wrong(("faults",), "give at least one")
        faults = [
            _compiled(item, ("faults",) if alone else ("faults", number))
            for number, item in enumerate(items)
        ]
        try:
            order = self._troubles.orders.add(
                items, faults, session=call.query.session, requests=asked.requests
            )
        except TooManyOrders as many:
            raise Problem(409, str(many)) from many
        return _told(order)

    async def _delete_all(self, call: Call) -> Deleted:
        return Deleted(deleted=self._troubles.orders.forget(call.query.session))

    async def _delete(self, call: Call) -> Deleted:
        if not self._troubles.orders.cancel(call.names["id"]):
            raise Problem(404, f"there are no faults {call.names['id']!r}")
        return Deleted(deleted=1)


def _compiled(item: FaultItem, path: tuple[str | int, ...]) -> Fault:
    try:
        fault = compile_fault(parse_fault(item) if isinstance(item, str) else item)
    except BadFault as bad:
        raise _wrong((*path, *bad.path), bad.reason) from bad
    if fault.on_attempt is not None:
        raise _wrong((*path, "on_attempt"), _ON_ATTEMPT)
    return fault


def _wrong(path: tuple[str | int, ...], reason: str) -> Problem:
    where = ".".join(map(str, path))
    return Problem(
        400,
        f"the body is not what it has to be: {where}: {reason}",
        errors=[WrongPlace(detail=reason, path=where or UNSET)],
    )


def _told(order: Order) -> OrderedFaults:
    return OrderedFaults(
        id=order.id,
        faults=list(order.items),
        session=order.session,
        left=order.left,
        taken=order.taken,
    )
