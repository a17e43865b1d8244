"""What the Responses API keeps between requests, how it is found, and the words for what is not.

Source: the API's own answers, as they are quoted in bug reports of its clients. Values kept are
frozen, but for the frames of a response that is still being made.
"""

from array import array
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from fakellm.dialects.openai.errors import INVALID, refuse, shown
from fakellm.model.asked import Kept
from fakellm.model.events import Event, Token
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Failure, Refused
from fakellm.model.stamp import Stamp

RESPONSE = "openai.response"
ITEM = "openai.response_item"
CONVERSATION = "openai.conversation"
"""Kinds of what is kept."""

Item = Mapping[str, Any]


class Live:
    """A response that is being made in the background: what its stream has had so far.

    Attributes:
        frames: the events, framed, by their sequence numbers.
        ended: nothing follows.
        cancelled: it has been told to stop.
    """

    __slots__ = ("cancelled", "ended", "frames")

    def __init__(self) -> None:
        self.frames: list[bytes] = []
        self.ended = False
        self.cancelled = False


class _Run(Struct, frozen=True):
    """Tokens in a row, packed: a text, and where each of them ends."""

    choice: int
    part: int
    text: str
    lengths: "array[int]"


class Log:
    """The events of an answer, packed, and what it takes to tell them again in the same words.

    Args:
        prompt: what they answer.
        stamp: their identity, unused as yet.
        events: the events.
    """

    __slots__ = ("_packed", "prompt", "stamp")

    def __init__(self, prompt: Prompt, stamp: Stamp, events: Iterable[Event]) -> None:
        self.prompt = prompt
        self.stamp = stamp
        self._packed: list[Event | _Run] = []
        row: list[Token] = []
        for event in events:
            if isinstance(event, Token) and event.logprob is None and event.tokens == 1:
                if row and (row[0].choice, row[0].part) != (event.choice, event.part):
                    self._pack(row)
                row.append(event)
            else:
                self._pack(row)
                self._packed.append(event)
        self._pack(row)

    def _pack(self, row: list[Token]) -> None:
        if row:
            text = "".join([token.text for token in row])
            lengths = array("L", [len(token.text) for token in row])
            self._packed.append(_Run(row[0].choice, row[0].part, text, lengths))
            row.clear()

    def events(self) -> Iterator[Event]:
        """The events, as they were."""
        for each in self._packed:
            if isinstance(each, _Run):
                start = 0
                for length in each.lengths:
                    yield Token(each.choice, each.part, each.text[start : start + length])
                    start += length
            else:
                yield each


class StoredResponse(Struct, frozen=True, kw_only=True):
    """A response as it is kept.

    ``given`` are the items it answers, those of earlier turns too. ``log`` is there once it has
    ended, ``live`` where it is or was made in the background.
    """

    response: Mapping[str, Any]
    given: tuple[Item, ...]
    log: Log | None = None
    live: Live | None = None

    @property
    def items(self) -> tuple[Item, ...]:
        """All that was said up to its end."""
        return (*self.given, *self.response["output"])


class StoredConversation(Struct, frozen=True, kw_only=True):
    """A conversation as it is kept."""

    id: str
    created_at: int
    metadata: Mapping[str, str]
    items: tuple[Item, ...] = ()


def find_response(kept: Kept, response_id: str) -> StoredResponse:
    """A response by its id.

    Raises:
        Refused: there is none.
    """
    found: StoredResponse | None = kept.get(RESPONSE, response_id)
    if found is None:
        raise missing(f"Response with id '{shown(response_id)}' not found.")
    return found


def find_conversation(kept: Kept, conversation_id: str) -> StoredConversation:
    """A conversation by its id.

    Raises:
        Refused: there is none.
    """
    found: StoredConversation | None = kept.get(CONVERSATION, conversation_id)
    if found is None:
        raise missing(f"Conversation with id '{shown(conversation_id)}' not found.")
    return found


def earlier_items(
    kept: Kept, previous_response_id: str | None, conversation_id: str | None
) -> tuple[Item, ...]:
    """The items that come before those of a request.

    Raises:
        Refused: what it goes on from is not there, or not done yet.
    """
    if conversation_id is not None:
        return find_conversation(kept, conversation_id).items
    if previous_response_id is None:
        return ()
    found: StoredResponse | None = kept.get(RESPONSE, previous_response_id)
    if found is None:
        raise refuse(
            f"Previous response with id '{shown(previous_response_id)}' not found.",
            param="previous_response_id",
            code="previous_response_not_found",
        )
    if found.response["status"] in ("queued", "in_progress"):
        raise refuse(
            f"Previous response with id '{shown(previous_response_id)}' is still in progress.",
            param="previous_response_id",
        )
    return found.items


def find_item(kept: Kept, item_id: str) -> Item:
    """An item that a request refers to.

    Raises:
        Refused: it is not kept.
    """
    found: Item | None = kept.get(ITEM, item_id)
    if found is None:
        raise missing(
            f"Item with id '{shown(item_id)}' not found. Items are not persisted when `store` is "
            "set to false. Try again with `store` set to true, or remove this item from your "
            "input.",
            param="input",
        )
    return found


def missing(message: str, *, param: str | None = None) -> Refused:
    """An error of status 404, to be raised."""
    return Refused(Failure(status=404, message=message, type=INVALID, param=param))
