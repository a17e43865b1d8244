"""What a response has come to: the object, its output and what is to be kept of it.

Streamed and whole answers share it. It frames nothing.
"""

import copy
from collections.abc import Iterator
from typing import Any

from fakellm.dialects.openai.responses import fields, keeping
from fakellm.dialects.openai.responses.decode import Asking
from fakellm.dialects.openai.responses.input_items import ID_LENGTH, as_kept
from fakellm.dialects.openai.responses.output import Output
from fakellm.dialects.openai.responses.stored import Item, Log
from fakellm.model.events import Begin, End, Event
from fakellm.model.prompt import Prompt
from fakellm.model.reply import FinishReason
from fakellm.model.stamp import Stamp
from fakellm.model.timeline import Act


class Answer:
    """What a response has come to, whichever way it is sent.

    Args:
        prompt: what it answers.
        stamp: makes ids, always in the same order.

    Attributes:
        asking: the request.
        response: the object, without its output until it has ended.
        output: the items.
        given: the items of the request, as they are kept.
        reason: why it ended; ``None``: that was not told.
    """

    def __init__(self, prompt: Prompt, stamp: Stamp) -> None:
        self.asking: Asking = prompt.wire
        self.output = Output(self.asking, stamp)
        self.response: dict[str, Any] = {}
        self.given: tuple[Item, ...] = ()
        self.reason: FinishReason | None = None
        self._prompt = prompt
        self._stamp = stamp
        self._unused = copy.copy(stamp)
        self._keeps = self.asking.stored or self.asking.conversation is not None
        self._events: list[Event] = []

    def note(self, event: Event) -> None:
        """Remember an event, if the response is going to be kept."""
        if self._keeps:
            self._events.append(event)

    def begin(self, event: Begin) -> None:
        """Give the response an identity."""
        self.response = fields.common_fields(
            self.asking,
            response_id=event.id or self._stamp.unique("resp_", ID_LENGTH),
            created=self._stamp.created,
            model=event.model,
        )
        if self._keeps:
            self.given = as_kept(self.asking.given, self._stamp)

    def end(self, told: dict[str, Any]) -> Iterator[Act]:
        """Complete the response with what is told of its end, and keep it if it is to be kept."""
        self.response = {**self.response, **told, "output": self.output.objects()}
        if not self._keeps:
            return iter(())
        log = Log(self._prompt, self._unused, self._events)
        return keeping.ended(self.asking, self.response, self.given, log)

    def ended(self, event: End) -> Iterator[Act]:
        """Complete a response that is whole."""
        created = self._stamp.created
        return self.end(fields.ended_fields(self.reason, event.usage, created))

    def last_status(self) -> str:
        """How the last item ends."""
        return "completed" if self.reason in ("stop", "tool_calls") else "incomplete"
