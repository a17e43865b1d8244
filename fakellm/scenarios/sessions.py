"""What is remembered between requests: positions in sequences, attempts, states.

All of it is bounded, for all sessions together: what has not been used for longest goes first.
"""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar

from fakellm.model.prompt import Prompt

REMEMBERED_AT_MOST = 100_000
"""Rules that have answered, conversations that were asked, and states that were set: each."""

START = "start"
"""The state of a conversation that no rule has set."""

DEFAULT_SESSION = "default"

RuleKey = tuple[Hashable, ...]
"""What the memory of a rule is kept under."""

_HEADER = "x-fakellm-session"
_KEY_PREFIX = "session-"


def session_of(prompt: Prompt) -> str:
    """The session a request belongs to: by its header, else by its key ``session-NAME``."""
    named = prompt.received.headers.get(_HEADER)
    key = prompt.api_key or ""
    if not named and key.startswith(_KEY_PREFIX):
        named = key.removeprefix(_KEY_PREFIX)
    return named or DEFAULT_SESSION


_Key = TypeVar("_Key", bound=Hashable)
_Value = TypeVar("_Value")


class Recent(Generic[_Key, _Value]):
    """A mapping by session and key that forgets what has not been used for longest.

    Args:
        default: the value of a key that is not there.
        at_most: how many keys it keeps.
    """

    def __init__(self, default: _Value, at_most: int) -> None:
        self._default = default
        self._at_most = at_most
        self._values: OrderedDict[tuple[str, _Key], _Value] = OrderedDict()

    def __len__(self) -> int:
        return len(self._values)

    def get(self, session: str, key: _Key) -> _Value:
        """The value; one that is there is the most recently used now."""
        found = session, key
        if found not in self._values:
            return self._default
        self._values.move_to_end(found)
        return self._values[found]

    def set(self, session: str, key: _Key, value: _Value) -> None:
        """Keep a value; it is the most recently used now."""
        self._values[session, key] = value
        self._values.move_to_end((session, key))
        if len(self._values) > self._at_most:
            self._values.popitem(last=False)

    def forget(self, session: str) -> None:
        """Drop all keys of a session."""
        for found in [found for found in self._values if found[0] == session]:
            del self._values[found]


class Memory:
    """The memory of a server, for all its sessions.

    Args:
        at_most: how much is remembered of each sort.

    Attributes:
        answered: how often each rule has answered.
        attempts: how often each conversation has been asked.
        states: the state of each conversation.
    """

    def __init__(self, at_most: int = REMEMBERED_AT_MOST) -> None:
        self.answered: Recent[RuleKey, int] = Recent(0, at_most)
        self.attempts: Recent[bytes, int] = Recent(0, at_most)
        self.states: Recent[str, str] = Recent(START, at_most)

    def forget(self, session: str) -> None:
        """Let a session start afresh."""
        for remembered in (self.answered, self.attempts, self.states):
            remembered.forget(session)
