"""The live feed: what happens to requests, told as server-sent events while it happens.

Source of the format: https://html.spec.whatwg.org/multipage/server-sent-events.html. A client that
does not read what it is sent gets the newest events once it does, and is told how many it missed.
"""

from collections import deque
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta, Struct
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IPushProducer
from twisted.web.server import Request
from zope.interface import implementer

from fakellm.journal.journal import Journal
from fakellm.journal.records import EventKind, JournalEvent
from fakellm.web.control.problems import set_head
from fakellm.web.control.routes import EVENTS, Call, Route, SessionName

KEEP_ALIVE_SECONDS = 15.0
KEPT_AT_MOST = 1000
"""Events that wait for a client that does not read."""

Every = Callable[[float, Callable[[], object]], Callable[[], None]]
"""Does something every so many real seconds; gives what stops it."""


class OfFeed(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which events."""

    session: Annotated[
        SessionName | None, Meta(description="Only those of this session's requests.")
    ] = None
    kind: Annotated[
        EventKind | None,
        Meta(description="Only when a request has come, say, or only when its answer has ended."),
    ] = None


class Dropped(Struct, frozen=True, kw_only=True):
    """Events that a client missed, as it did not read."""

    dropped: int


class EventRoutes:
    """The route of a journal's feed."""

    def __init__(self, journal: Journal, every: Every) -> None:
        self._journal = journal
        self._every = every
        self._open: set[Feed] = set()

    def routes(self) -> list[Route]:
        """The one there is."""
        return [
            Route(
                method="GET",
                path="/events",
                summary="Follow what happens to requests, as server-sent events.",
                handle=self._follow,
                query=OfFeed,
                gives=EVENTS,
                answer=JournalEvent,
            )
        ]

    def close(self) -> None:
        """End all feeds."""
        for feed in self._open.copy():
            feed.end()

    async def _follow(self, call: Call) -> None:
        request, asked = call.request, call.query
        set_head(request, 200, EVENTS, None)
        if request.method == b"HEAD":
            return
        feed = Feed(request)

        def tell(event: JournalEvent) -> None:
            if asked.kind in {None, event.kind} and asked.session in {None, event.entry.session}:
                feed.tell(_event(event.kind, event))

        self._open.add(feed)
        stops = [
            self._journal.subscribe(tell),
            self._every(KEEP_ALIVE_SECONDS, feed.keep_alive),
        ]
        try:
            await feed.ended
            request.unregisterProducer()
        finally:
            self._open.discard(feed)
            for stop in stops:
                stop()


@implementer(IPushProducer)
class Feed:
    """One client's.

    Attributes:
        ended: fires when the server ends it; cancelled when the client leaves.
    """

    def __init__(self, request: Request) -> None:
        self._request = request
        self._paused = False
        self._kept: deque[bytes] = deque()
        self._dropped = 0
        self.ended: Deferred[None] = Deferred()
        request.registerProducer(self, True)
        request.write(b": welcome\n\n")  # so that the client knows that it is told from now on

    def tell(self, event: bytes) -> None:
        """Send an event, or keep it until the client reads."""
        if not self._paused:
            self._request.write(event)
            return
        self._kept.append(event)
        if len(self._kept) > KEPT_AT_MOST:
            self._kept.popleft()
            self._dropped += 1

    def keep_alive(self) -> None:
        """Show proxies and clients that it is still there."""
        if not self._paused:
            self._request.write(b": keep-alive\n\n")

    def end(self) -> None:
        """End it."""
        if not self.ended.called:
            self.ended.callback(None)

    def pauseProducing(self) -> None:  # noqa: N802 -- Twisted's name
        """See `IPushProducer`."""
        self._paused = True

    def resumeProducing(self) -> None:  # noqa: N802 -- Twisted's name
        """See `IPushProducer`."""
        self._paused = False
        dropped, self._dropped = self._dropped, 0
        if dropped:
            self._request.write(_event("dropped", Dropped(dropped=dropped)))
        while self._kept and not self._paused:
            self._request.write(self._kept.popleft())

    def stopProducing(self) -> None:  # noqa: N802 -- Twisted's name
        """See `IPushProducer`: whoever waits for it is told that the client has left."""
        self._paused = True
        self._kept.clear()


def _event(name: str, data: Struct) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (name.encode(), msgspec.json.encode(data))
