"""What a message is made of, said or heard: the parts that prompts and replies share.

Values only: no vendor's field names, no I/O.
"""

from collections.abc import Mapping
from typing import Any, Literal

from msgspec import Struct


class Text(Struct, frozen=True, kw_only=True):
    """Words."""

    text: str


class Image(Struct, frozen=True, kw_only=True):
    """A picture, by address or as a ``data:`` URL."""

    url: str
    detail: str | None = None


class Audio(Struct, frozen=True, kw_only=True):
    """A recording: base64 ``data`` in ``format`` (such as ``wav``)."""

    data: str
    format: str


class File(Struct, frozen=True, kw_only=True):
    """A document, inline (base64 ``data``) or by the ``id`` of an upload."""

    name: str | None = None
    data: str | None = None
    id: str | None = None


class Refusal(Struct, frozen=True, kw_only=True):
    """The model's words for not answering."""

    text: str


class Reasoning(Struct, frozen=True, kw_only=True):
    """The model's thinking: ``text`` where it is shown, or just a number of hidden ``tokens``."""

    text: str = ""
    tokens: int = 0


class ToolCall(Struct, frozen=True, kw_only=True):
    """A call the model asks for.

    ``arguments`` is the text as it goes over the wire: JSON for a ``function``, free text for a
    ``custom`` tool. An empty ``id`` in a reply is filled in by the dialect.
    """

    name: str
    arguments: str
    id: str = ""
    kind: Literal["function", "custom"] = "function"


class ToolResult(Struct, frozen=True, kw_only=True):
    """What came of a call: ``call_id`` says which, ``name`` the tool where it is known.

    ``is_error`` says that the call went wrong, in the vendors' formats that can tell.
    """

    call_id: str
    content: str
    name: str | None = None
    is_error: bool = False


class Speech(Struct, frozen=True, kw_only=True):
    """Spoken words of the model, sent as sound with their ``transcript``."""

    transcript: str


class HostedCall(Struct, frozen=True, kw_only=True):
    """What a tool on the vendor's side did: a ``kind`` such as ``web_search_call``, and its fields.

    Dialects that have no such thing leave it out. It takes no tokens.
    """

    kind: str
    fields: Mapping[str, Any] = {}


Part = (
    Text | Image | Audio | File | Refusal | Reasoning | ToolCall | ToolResult | Speech | HostedCall
)
SaidPart = Text | Refusal | Reasoning | ToolCall | Speech | HostedCall
