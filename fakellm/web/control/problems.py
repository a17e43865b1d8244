"""How the control API says that something is not done: ``application/problem+json`` (RFC 9457)."""

from collections.abc import Iterable
from http.client import responses
from typing import Annotated

import msgspec
from msgspec import UNSET, Meta, Struct, UnsetType
from twisted.web.server import Request

from fakellm.scenarios.mistakes import Mistake

MEDIA_TYPE = "application/problem+json"


class WrongPlace(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One thing that is wrong, and where."""

    detail: Annotated[str, Meta(description="What is wrong, in words.")]
    line: Annotated[int | UnsetType, Meta(description="In a text, from 1 on.")] = UNSET
    column: Annotated[int | UnsetType, Meta(description="In a text, from 1 on.")] = UNSET
    path: Annotated[
        str | UnsetType, Meta(description="In a JSON value: the keys that lead to it.")
    ] = UNSET
    severity: Annotated[str | UnsetType, Meta(description="`error` or `warning`.")] = UNSET


class Miss(Struct, frozen=True, kw_only=True):
    """A request that was not what was looked for."""

    id: Annotated[str, Meta(description="Of the request.")]
    number: Annotated[int, Meta(description="Of the request, as the server counts.")]
    session: str
    endpoint: str
    model: str
    text: Annotated[str, Meta(description="The text of its last message, or its beginning.")]
    held: Annotated[int, Meta(description="How many of the conditions hold.")]
    failed: Annotated[str, Meta(description="The first condition that does not, in words.")]


class ProblemDocument(Struct, frozen=True, kw_only=True):
    """What is wrong with a request."""

    type: str
    title: str
    status: int
    detail: Annotated[str, Meta(description="Why, in one sentence.")]
    errors: Annotated[
        list[WrongPlace] | UnsetType, Meta(description="All that is wrong, where there is more.")
    ] = UNSET
    found: Annotated[
        int | UnsetType, Meta(description="How many requests match, where a number was asked for.")
    ] = UNSET
    misses: Annotated[
        list[Miss] | UnsetType, Meta(description="The requests that come nearest, nearest first.")
    ] = UNSET


class Problem(Exception):
    """What is asked for is not done.

    Attributes:
        status: of HTTP.
        detail: why, in one sentence.
        errors: all that is wrong, and where.
        found: how many requests match.
        misses: those that come nearest.
        headers: that go with the answer.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Iterable[WrongPlace] | UnsetType = UNSET,
        found: int | UnsetType = UNSET,
        misses: Iterable[Miss] | UnsetType = UNSET,
        **headers: str,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.found = found
        self.misses = misses
        self.headers = headers


def started_afresh(awaited: str) -> Problem:
    """What is waited for will not come, as the session or the server has been reset."""
    return Problem(409, f"what this waited for was reset: {awaited} are forgotten")


def places_of(mistakes: Iterable[Mistake]) -> list[WrongPlace]:
    """The mistakes of a text."""
    return [
        WrongPlace(detail=each.message, line=each.line, column=each.column, severity=each.severity)
        for each in mistakes
    ]


def told(request: Request, problem: Problem) -> bytes:
    """Set the head of a problem's answer; its body."""
    body = msgspec.json.encode(
        ProblemDocument(
            type="about:blank",
            title=responses.get(problem.status, "Unknown"),
            status=problem.status,
            detail=problem.detail,
            errors=problem.errors if problem.errors is UNSET else list(problem.errors),
            found=problem.found,
            misses=problem.misses if problem.misses is UNSET else list(problem.misses),
        )
    )
    set_head(request, problem.status, MEDIA_TYPE, body)
    for name, value in problem.headers.items():
        request.setHeader(name.replace("_", "-"), value)
    return body


def set_head(request: Request, status: int, content_type: str, body: bytes | None) -> None:
    """Set the head of an answer; without a body, of one whose length is not known yet."""
    # Twisted knows few of the phrases, and has "Unknown Status" for the rest
    request.setResponseCode(status, responses.get(status, "Unknown").encode("ascii"))
    request.setHeader("Content-Type", content_type)
    if body is not None:
        request.setHeader("Content-Length", str(len(body)))
    request.setHeader("Cache-Control", "no-store")
