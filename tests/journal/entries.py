"""Requests as the engine notes them, for tests."""

from typing import Any

from fakellm.journal.delivery import Delivery
from fakellm.journal.noted import Noted
from fakellm.model.content import Text
from fakellm.model.prompt import Message, Prompt, Received
from fakellm.model.reply import Choice, Reply


def received(body: bytes = b"{}", **fields: Any) -> Received:
    given = {"method": "POST", "path": "/v1/chat/completions", "body": body}
    return Received(**{**given, **fields})


def prompt(*texts: str, **fields: Any) -> Prompt:
    """A conversation, whose texts are the user's."""
    messages = tuple(Message(role="user", parts=(Text(text=text),)) for text in texts)
    given = {"dialect": "openai", "endpoint": "chat.completions", "model": "m"}
    return Prompt(**{**given, "messages": messages, "received": received(), **fields})


def reply(text: str) -> Reply:
    return Reply(choices=(Choice(parts=(Text(text=text),)),), model="m")


def noted(number: int = 1, *texts: str, session: str = "default", **fields: Any) -> Noted:
    """A request; ``fields`` are those of its prompt."""
    request = Noted(
        number=number,
        id=f"req_{number}",
        at=1000.0 + number,
        received=fields.pop("received", None) or received(),
        dialect="openai",
        session=session,
        delivery=Delivery(0.0),
    )
    request.prompt = prompt(*texts, received=request.received, **fields)
    return request


def ended(request: Noted, status: int = 200) -> Noted:
    """The same, whose answer has ended."""
    request.delivery.head(status)
    request.delivery.ended("finished", 1.0)
    return request
