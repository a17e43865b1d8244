"""What the clients of the control API raise."""

from typing import Any

import msgspec

from fakellm.testing.documents import Mistake


class ControlError(Exception):
    """The server did not do what it was asked to do.

    Attributes:
        status: of HTTP.
        title: what that status means.
        detail: why, in one sentence.
        document: the whole problem (RFC 9457), as the server gave it.
    """

    def __init__(self, status: int, document: dict[str, Any]) -> None:
        self.status = status
        self.title = str(document.get("title", ""))
        self.detail = str(document.get("detail", ""))
        self.document = document
        super().__init__(f"{status} {self.title}: {self.detail}")


class BadScenarioText(ControlError, ValueError):
    """A scenario, or a rule, is not what it has to be; the text has all mistakes.

    Attributes:
        mistakes: all of them.
    """

    def __init__(self, status: int, document: dict[str, Any], name: str = "") -> None:
        super().__init__(status, document)
        self.mistakes = msgspec.convert(document["errors"], list[Mistake])
        self.args = ("\n".join(each.at(name) for each in self.mistakes),)

    def of(self, name: str) -> "BadScenarioText":
        """The same, of a file of this name."""
        return BadScenarioText(self.status, self.document, name)


class NotVerified(AssertionError):
    """What was to be verified of the requests does not hold; the text says what was nearest.

    Attributes:
        document: the whole problem, as the server gave it.
    """

    def __init__(self, text: str, document: dict[str, Any]) -> None:
        super().__init__(text)
        self.document = document


class NotStarted(RuntimeError):
    """The server's process ended, or said nothing, before it listened; the text has its output."""


class Unreachable(ConnectionError):
    """Nothing that speaks the control API answers at the server's address."""
