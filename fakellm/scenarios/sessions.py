"""What is remembered between requests: positions in sequences, attempts, states.

All of it is bounded, for all sessions together: what has not been used for longest goes first.
"""

from collections.abc import Hashable

from fakellm.model.prompt import Received
from fakellm.recent import Recent

REMEMBERED_AT_MOST = 100_000
"""Rules that have answered, conversations that were asked, and states that were set: each."""

START = "start"
"""The state of a conversation that no rule has set."""

DEFAULT_SESSION = "default"

NAME_AT_MOST = 200
"""Characters of a session's name that count."""

RuleKey = tuple[Hashable, ...]
"""What the memory of a rule is kept under."""

_HEADER = "x-fakellm-session"
_KEY_PREFIX = "session-"


def session_of(received: Received, api_key: str | None) -> str:
    """The session a request belongs to: by its header, else by its key ``session-NAME``."""
    named = received.headers.get(_HEADER)
    if not named and api_key is not None and api_key.startswith(_KEY_PREFIX):
        named = api_key.removeprefix(_KEY_PREFIX)
    return named[:NAME_AT_MOST] if named else DEFAULT_SESSION


class StartedAfresh(Exception):
    """What is waited for is forgotten, with its session or with all of the server's."""


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
