"""A request for a golden file: what a person would compare, and nothing that changes by itself."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from fakellm.journal.masking import MASK, masked_text
from fakellm.journal.records import AnswerRecord, JournalEntry, Snapshot

_KEPT_HEADERS = re.compile(
    r"accept|content-type|anthropic-(beta|version)|openai-(beta|organization|project)"
    r"|x-fakellm-(?!session).*"
)
_ID_NAME = re.compile(r"(^|_)ids?$|^user$|^session$|^trace$|^container$|_key$")
# narrower than for headers and queries: a tool may well have an argument that is called "key"
_SECRET_NAME = re.compile(
    r"api_?key$|access_?token$|auth_?token$|authorization$|secret$|password$", re.IGNORECASE
)
_TIME_NAME = re.compile(r"(^|_)(at|time|timestamp|created|date|expires|deadline)$")
_ID = re.compile(
    r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"
    r"|\b(?:call|chatcmpl|cmpl|container|conv|file|item|msg|msgbatch|req|resp|rs|fc|ctc|run|thread"
    r"|toolu|trace|user|ws)_[A-Za-z0-9]{8,}\b|\bchatcmpl-[A-Za-z0-9]{8,}\b"
)
_TIME = re.compile(r"\b\d{4}-\d\d-\d\d[T ]\d\d:\d\d(?::\d\d(?:[.,]\d+)?)?(?:Z|[+-]\d\d:?\d\d)?")
_MULTIPART = re.compile(r"boundary=[^;]*")


def snapshot_of(entry: JournalEntry) -> Snapshot:
    """The snapshot of a request."""
    mask = _Mask()
    return Snapshot(
        session=entry.session,
        method=entry.method,
        path=mask.text(entry.path),
        query={name: mask.value(name, value) for name, value in sorted(entry.query.items())},
        headers={
            name: mask.text(_MULTIPART.sub("boundary=<boundary>", value))
            for name, value in sorted(entry.headers.items())
            if _KEPT_HEADERS.fullmatch(name)
        },
        dialect=entry.dialect,
        endpoint=entry.endpoint,
        model=entry.model,
        stream=entry.stream,
        body=mask.body(entry),
        rule=None if entry.rule is None else entry.rule.title,
        faults=entry.faults,
        status=entry.status,
        answer=None if entry.answer is None else mask.answer(entry.answer),
        usage=entry.usage,
    )


class _Mask:
    """Masks; an id has the same number wherever it comes up."""

    def __init__(self) -> None:
        self._ids: dict[str, str] = {}

    def body(self, entry: JournalEntry) -> Any:
        """A body: as JSON, where it is some."""
        try:
            return self.value("", msgspec.json.decode(entry.body))
        except (msgspec.DecodeError, RecursionError):
            return self.text(entry.body)

    def answer(self, answer: AnswerRecord) -> AnswerRecord:
        """An answer."""
        return msgspec.convert(self.value("", msgspec.to_builtins(answer)), AnswerRecord)

    def value(self, name: str, value: Any) -> Any:
        """A JSON value, which is called by this name."""
        if isinstance(value, Mapping):
            return {key: self.value(key, value[key]) for key in sorted(value)}
        if isinstance(value, list | tuple):
            return [self.value(name, each) for each in value]
        if isinstance(value, str):
            return self._named(name, value)
        if isinstance(value, int | float) and value and _TIME_NAME.search(name):
            return value if isinstance(value, bool) else "<time>"
        return value

    def text(self, text: str) -> str:
        """A text: the ids, times and keys in it."""
        text = _ID.sub(lambda found: self._id(found[0]), masked_text(text))
        return _TIME.sub("<time>", text)

    def _named(self, name: str, value: str) -> str:
        if not value:
            return value
        if _SECRET_NAME.search(name):
            return MASK
        if _ID_NAME.search(name):
            return self._id(value)
        return self.text(value)

    def _id(self, id: str) -> str:  # noqa: A002 -- that is what it is
        return self._ids.setdefault(id, f"<id {len(self._ids) + 1}>")
