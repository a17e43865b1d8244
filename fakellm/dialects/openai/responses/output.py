"""The output of a response as it grows: items, made of parts, made of what was said.

Streamed and whole answers are both made of this, so that ids and contents are the same. It knows
no framing.
"""

from collections.abc import Mapping
from typing import Any

from fakellm.dialects.openai.responses import fields
from fakellm.dialects.openai.responses.decode import Asking
from fakellm.dialects.openai.responses.hosted import hosted_item
from fakellm.dialects.openai.responses.input_items import ID_LENGTH, new_id
from fakellm.model.content import HostedCall, Reasoning, Refusal, SaidPart, ToolCall
from fakellm.model.events import PartBegin, Token
from fakellm.model.stamp import Stamp

_ENCRYPTED_PIECES = 4


class Said:
    """A part of an item, and what was said of it so far.

    Attributes:
        item: what it is a part of.
        index: which part of it.
        refused: whether it is a refusal.
        texts: a text for each token.
        scores: an entry for each token with a log probability.
    """

    __slots__ = ("index", "item", "refused", "scores", "texts")

    def __init__(self, item: "OutputItem", index: int, *, refused: bool = False) -> None:
        self.item = item
        self.index = index
        self.refused = refused
        self.texts: list[str] = []
        self.scores: list[dict[str, Any]] = []

    def add(self, token: Token) -> dict[str, Any] | None:
        """Take in a token; the entry of its log probability, if it has one."""
        self.texts.append(token.text)
        if token.logprob is None or self.refused:
            return None
        entry = fields.token_logprob(token.text, token.logprob)
        self.scores.append(entry)
        return entry

    @property
    def text(self) -> str:
        """All that was said."""
        return "".join(self.texts)

    def content(self) -> dict[str, Any]:
        """The part as the content of a message."""
        if self.refused:
            return {"type": "refusal", "refusal": self.text}
        return {
            "type": "output_text",
            "annotations": [],
            "logprobs": [fields.with_bytes(entry) for entry in self.scores],
            "text": self.text,
        }

    def summary(self) -> dict[str, Any]:
        """The part as the summary of reasoning."""
        return {"type": "summary_text", "text": self.text}


class OutputItem:
    """An item of the output.

    Attributes:
        kind: its type.
        id: its id.
        index: its place in the output.
        call: the tool call it is, if it is one, and the id of that.
        hosted: itself, where it is of a tool on the vendor's side.
        parts: what it is made of.
        status: how it is.
    """

    __slots__ = ("call", "call_id", "encrypted", "hosted", "id", "index", "kind", "parts", "status")

    def __init__(self, kind: str, item_id: str, index: int) -> None:
        self.kind = kind
        self.id = item_id
        self.index = index
        self.parts: list[Said] = []
        self.call: ToolCall | None = None
        self.call_id = ""
        self.hosted: Mapping[str, Any] = {}
        self.encrypted: str | None = None
        self.status = "in_progress"

    def as_object(self) -> Mapping[str, Any]:
        """The item as it is now."""
        if self.call is not None:
            return self._call(self.call, "".join(part.text for part in self.parts))
        if self.kind == "message":
            return {
                "id": self.id,
                "type": self.kind,
                "status": self.status,
                "content": [part.content() for part in self.parts],
                "role": "assistant",
            }
        if self.kind == "reasoning":
            thought = {
                "id": self.id,
                "type": self.kind,
                "summary": [part.summary() for part in self.parts],
            }
            encrypted = {} if self.encrypted is None else {"encrypted_content": self.encrypted}
            return thought | encrypted
        return self.hosted

    def _call(self, call: ToolCall, words: str) -> Mapping[str, Any]:
        common = {"id": self.id, "type": self.kind, "call_id": self.call_id, "name": call.name}
        if call.kind == "custom":
            return {**common, "input": words}  # which has no status in the published schema
        return {**common, "status": self.status, "arguments": words}


class Output:
    """The items of one response.

    Args:
        asking: what it answers.
        stamp: makes ids.
    """

    def __init__(self, asking: Asking, stamp: Stamp) -> None:
        self._asking = asking
        self._stamp = stamp
        reasoning = asking.request.reasoning
        self._summarized = reasoning is not None and bool(
            reasoning.summary or reasoning.generate_summary
        )
        self.items: list[OutputItem] = []

    def begin(self, event: PartBegin) -> tuple[OutputItem, Said | None]:
        """The item that a part belongs to, a new one or the last, and the part, if it is shown."""
        content = event.content
        match content:
            case HostedCall():
                item = self._add(content.kind, str(content.fields.get("id") or ""))
                item.hosted = hosted_item(content, item.id, self._stamp, self._asking)
                return item, None
            case ToolCall():
                item = self._add(
                    "custom_tool_call" if content.kind == "custom" else "function_call"
                )
                item.call = content
                item.call_id = content.id or self._stamp.unique("call_", 24)
                return item, self._part(item)
            case Reasoning():
                item = self._add("reasoning")
                if self._asking.includes("reasoning.encrypted_content"):
                    item.encrypted = self._encrypted()
                shown = self._summarized and bool(content.text)
                return item, self._part(item) if shown else None
        # words that follow on words are of one message
        if not self.items or self.items[-1].kind != "message":
            self._add("message")
        return self.items[-1], self._part(self.items[-1], content)

    def objects(self) -> list[Mapping[str, Any]]:
        """The items as they are now."""
        return [item.as_object() for item in self.items]

    def _add(self, kind: str, item_id: str = "") -> OutputItem:
        item = OutputItem(kind, item_id or new_id(self._stamp, kind), len(self.items))
        self.items.append(item)
        return item

    def _part(self, item: OutputItem, content: SaidPart | None = None) -> Said:
        part = Said(item, len(item.parts), refused=isinstance(content, Refusal))
        item.parts.append(part)
        return part

    def _encrypted(self) -> str:
        """Something like what the API sends, which nobody but itself can read."""
        pieces = [self._stamp.unique("", ID_LENGTH) for _ in range(_ENCRYPTED_PIECES)]
        return "gAAAAAB" + "".join(pieces)
