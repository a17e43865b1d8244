"""The versions of the API that there have been, and what the newest of them takes no more.

Pure, like the codec it is a part of. Source: the vendor's pages "Versions" and "Migrating to API
version 2026-10-21". Of the three things that are refused since, only the words for a sampling
parameter are published; the others are worded after them.
"""

from collections.abc import Collection, Iterable
from typing import Any

from fakellm.dialects.anthropic import blocks as wire
from fakellm.dialects.anthropic.errors import refuse, shown
from fakellm.dialects.anthropic.request import AssistantMessage, Countable, UserMessage
from fakellm.dialects.anthropic.turns import blocks_of
from fakellm.model.prompt import Received

_NEWEST = "2026-10-21"
VERSIONS = ("2023-01-01", "2023-06-01", _NEWEST)
"""All values of ``anthropic-version`` there have been."""

_SAMPLING = ("temperature", "top_p", "top_k")
_EXTRA = "Extra inputs are not permitted"


def check_version(received: Received, *, strict: bool) -> None:
    """Every request names a version of the API.

    Raises:
        Refused: it names none or, where that is to be refused, one that there is not.
    """
    version = received.headers.get("anthropic-version")
    if not version:
        raise refuse("anthropic-version: header is required")
    if strict and version not in VERSIONS:
        raise refuse(f'anthropic-version: "{shown(version)}" is not a valid version')


def check_removed(received: Received, names: Collection[str], request: Countable) -> None:
    """What older versions take, the newest one does not, not even at its default.

    Args:
        received: the request, whose header says which version it is in.
        names: the names of all fields of its body.
        request: the body.

    Raises:
        Refused: there is something in it that its version does not have.
    """
    if received.headers.get("anthropic-version") != _NEWEST:
        return
    for name in _SAMPLING:
        if name in names:
            raise refuse(f"{name}: {_EXTRA}")
    for number, message in enumerate(request.messages):
        where = f"messages.{number}.content"
        if isinstance(message, AssistantMessage):
            _check_said(blocks_of(message), where)
        elif isinstance(message, UserMessage):
            _check_cited(blocks_of(message), where)


def _check_said(blocks: Iterable[Any], where: str) -> None:
    for place, block in enumerate(blocks):
        if isinstance(block, wire.DocumentBlock):
            raise refuse(f"{where}.{place}: `document` blocks can only be in `user` messages")


def _check_cited(blocks: Iterable[Any], where: str) -> None:
    for place, block in enumerate(blocks):
        if isinstance(block, wire.SearchResultBlock):
            _check_cited(block.content, f"{where}.{place}.search_result.content")
        elif isinstance(block, wire.TextBlock) and block.citations:
            raise refuse(f"{where}.{place}.text.citations: {_EXTRA}")
