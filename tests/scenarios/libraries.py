"""Rules without a server: libraries and prompts made by hand."""

from typing import Any

from twisted.internet.defer import Deferred

from fakellm.model.content import Part, Text
from fakellm.model.prompt import Message, Prompt, Received, Role
from fakellm.model.reply import Failure, Reply
from fakellm.model.stamp import Stamp
from fakellm.scenarios.book import Book, Decision
from fakellm.scenarios.library import Library, Options
from fakellm.scenarios.speaking import Surroundings
from fakellm.timing.tokens import Splitter

NOW = 1_767_225_600.0
"""The beginning of 2026."""

AGENT = r"""
rules:
  - name: weather, first the tool
    when:
      user: {matches: 'weather in (?P<city>\w+)'}
      tool: get_weather
      step: 1
    reply:
      - text: Let me look.
      - tool_call: {name: get_weather, arguments: {city: "{{ match.city }}"}}
  - name: weather, then the answer
    when: {tool_result: {name: get_weather}}
    reply: "It is {{ tool_result.json.celsius }} °C in {{ tool_result.json.city }}."
  - name: flaky
    when: {user: flaky}
    replies:
      - error: 429
      - error: {status: 503, message: Try later}
      - text: Third time lucky
"""
"""A whole conversation with a tool, and one that fails twice."""


def library(*paths: Any, seed: int = 0, answer: str = "hello world", **options: Any) -> Library:
    """The rules of some files, and our own."""
    given = {"models": ("fake-model", "second"), **options}
    return Library(
        [str(path) for path in paths],
        options=Options(**given),
        surroundings=Surroundings(tokenizer=Splitter(), seed=seed, answer=answer),
    )


def book(**settings: Any) -> Book:
    """Our own rules."""
    return library(**settings).book


def message(*parts: Part, role: Role = "user") -> Message:
    return Message(role=role, parts=parts)


def prompt(*messages: Message | str, **asked: Any) -> Prompt:
    """A prompt; a text is a message of the user."""
    said = [message(Text(text=each)) if isinstance(each, str) else each for each in messages]
    return Prompt(
        dialect=asked.pop("dialect", "test"),
        endpoint=asked.pop("endpoint", "test"),
        model=asked.pop("model", "any-model"),
        messages=tuple(said) or (message(Text(text="Say something")),),
        received=asked.pop("received", Received(method="POST", path="/")),
        **asked,
    )


def decide(
    book: Book, asked: Prompt, *, session: str = "default", number: int = 1
) -> "Reply | Failure | Deferred[Reply | Failure]":
    """What a book answers to request ``number``."""
    return decision(book, asked, session=session, number=number).answer


def decision(book: Book, asked: Prompt, *, session: str = "default", number: int = 1) -> Decision:
    """What a book decides for request ``number``."""
    stamp = Stamp(seed=0, number=number, created=int(NOW), fingerprint="fp_test")
    return book.decide(asked, stamp=stamp, now=NOW, session=session)


def said(book: Book, asked: Prompt | str, *, session: str = "default") -> str:
    """The text that a book answers, or the message of its failure."""
    decided = decide(book, prompt(asked) if isinstance(asked, str) else asked, session=session)
    if isinstance(decided, Failure):
        return f"{decided.status} {decided.message}"
    assert isinstance(decided, Reply), decided
    return "".join(part.text for part in decided.choices[0].parts if isinstance(part, Text))
