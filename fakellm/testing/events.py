"""The live feed: what happens to requests, told while it happens."""

import msgspec

from fakellm.dialects.framing import SseParser
from fakellm.journal.records import EventKind, JournalEvent

Kind = EventKind


class Feed:
    """Takes the bytes of a feed, and gives its events.

    Attributes:
        dropped: how many events were not told, as nobody read them in time.
    """

    def __init__(self) -> None:
        self._parser = SseParser()
        self.dropped = 0

    def take(self, data: bytes) -> list[JournalEvent]:
        """The events that a piece of it completes."""
        found = []
        for event in self._parser.feed(data):
            if event.event == "dropped":
                self.dropped += msgspec.json.decode(event.data, type=dict[str, int])["dropped"]
            else:
                found.append(msgspec.json.decode(event.data, type=JournalEvent))
        return found
