"""What a request is refused for before anybody could answer it."""

from typing import NoReturn


class Refusal(Exception):
    """A request that cannot be, or that asks for too much.

    Args:
        status: of the answer, after which the connection is closed.
        message: what is wrong, for whoever sent it.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def refuse(message: str, status: int = 400) -> NoReturn:
    """Raise a `Refusal`."""
    raise Refusal(status, message)
