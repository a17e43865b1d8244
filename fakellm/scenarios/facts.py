"""What conditions and templates look at in a request.

Use `Facts` to ask for a thing by the name the scenario language gives it. It must never change the
prompt, nor work out what nobody asks for.
"""

from collections.abc import Mapping
from typing import Any

import msgspec

from fakellm.lazy import lazy
from fakellm.model.content import Audio, File, Image, ToolResult
from fakellm.model.prompt import Message, Prompt, Role
from fakellm.scenarios.schema import ContentKind

_KINDS: Mapping[type, ContentKind] = {
    Image: "image",
    Audio: "audio",
    File: "file",
    ToolResult: "tool_results",
}


class Facts:
    """A request as rules see it; each fact is computed once, and only when it is asked for.

    Args:
        prompt: the request.
        state: what `set_state` set last in this conversation.
        attempt: how many times this same conversation has been asked, this one too.
    """

    def __init__(self, prompt: Prompt, *, state: str = "start", attempt: int = 1) -> None:
        self.prompt = prompt
        self.state = state
        self.attempt = attempt

    @lazy
    def user(self) -> str:
        """The text of the last user message, its text parts joined; empty if there is none."""
        at = self._last_user
        return "" if at is None else self.prompt.messages[at].text

    @lazy
    def last(self) -> str | None:
        """The only text of the last message, whoever it is from."""
        messages = self.prompt.messages
        return messages[-1].sole_text if messages else None

    @lazy
    def system(self) -> str:
        """The texts of all system and developer messages, a line break between them."""
        return "\n".join(
            message.text
            for message in self.prompt.messages
            if message.role in {"system", "developer"}
        )

    @lazy
    def texts(self) -> tuple[str, ...]:
        """The text of each message; that of a tool message is the content of its results."""
        return tuple(
            message.text + "".join(result.content for result in _results(message))
            for message in self.prompt.messages
        )

    @lazy
    def last_role(self) -> Role | None:
        """Who the last message is from."""
        messages = self.prompt.messages
        return messages[-1].role if messages else None

    @lazy
    def turn(self) -> int:
        """1 + the assistant messages so far."""
        return 1 + _count_assistant(self.prompt.messages)

    @lazy
    def step(self) -> int:
        """1 + the assistant messages since the last user message."""
        at = self._last_user
        return self.turn if at is None else 1 + _count_assistant(self.prompt.messages[at:])

    @lazy
    def tools(self) -> tuple[str, ...]:
        """The names of the tools on offer."""
        return tuple(tool.name for tool in self.prompt.tools)

    @property
    def tool_choice(self) -> str:
        """Whether a tool has to be called; ``allowed`` where a set of allowed ones is given."""
        choice = self.prompt.tool_choice
        return "allowed" if choice.mode == "auto" and choice.names else choice.mode

    @lazy
    def tool_results(self) -> tuple[ToolResult, ...]:
        """The tool results that the conversation ends with, in its order."""
        messages = self.prompt.messages
        start = len(messages)
        while start and _only_brings_results(messages[start - 1]):
            start -= 1
        return tuple(result for message in messages[start:] for result in _results(message))

    @lazy
    def has(self) -> frozenset[ContentKind]:
        """The kinds of content, other than text, that are anywhere in the conversation."""
        kinds = {type(part) for message in self.prompt.messages for part in message.parts}
        return frozenset(_KINDS[kind] for kind in kinds if kind in _KINDS)

    @lazy
    def body(self) -> Any:
        """The request's body, decoded from JSON; an empty object if it is none."""
        try:
            return msgspec.json.decode(self.prompt.received.body)
        except (ValueError, RecursionError):
            return {}

    @property
    def headers(self) -> Mapping[str, str]:
        """The request's headers, by lower-case name."""
        return self.prompt.received.headers

    @property
    def query(self) -> Mapping[str, str]:
        """The request's query parameters."""
        return self.prompt.received.query

    @property
    def api_key(self) -> str | None:
        """The request's API key."""
        return self.prompt.api_key

    @lazy
    def _last_user(self) -> int | None:
        messages = self.prompt.messages
        for at in range(len(messages) - 1, -1, -1):
            message = messages[at]
            if message.role == "user" and not _only_brings_results(message):
                return at
        return None


def _results(message: Message) -> list[ToolResult]:
    return [part for part in message.parts if isinstance(part, ToolResult)]


def _only_brings_results(message: Message) -> bool:
    # Some vendors put tool results into messages of the user: those are not the user's.
    if message.role == "user":
        parts = message.parts
        return bool(parts) and all(isinstance(part, ToolResult) for part in parts)
    return message.role == "tool"


def _count_assistant(messages: tuple[Message, ...]) -> int:
    return sum(message.role == "assistant" for message in messages)
