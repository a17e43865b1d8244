"""From a reply as it is written to the reply that is given: templates filled in, values made.

A reply is compiled once, when its rule is; rendering it is what an answer costs. Pure: time, chance
and the tokenizer are handed in.
"""

from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Any

from msgspec import Struct, structs

from fakellm.model.content import Reasoning, SaidPart, Speech, Text
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Choice, Chunks, Failure, FinishReason, Reply, UsageOverride
from fakellm.scenarios import schema
from fakellm.scenarios.parts import (
    BadReply,
    Fill,
    Part,
    PartCompiler,
    Path,
    ReadFile,
    Texts,
    compile_headers,
    kinds_of,
)
from fakellm.scenarios.speaking import Occasion, Speaking, Surroundings
from fakellm.scenarios.templates import TemplateFailed

REASONING_TOKENS = {
    "none": 0,
    "minimal": 16,
    "low": 64,
    "medium": 256,
    "high": 1024,
    "xhigh": 2048,
    "max": 4096,
}
"""Hidden tokens a choice thinks for, by the effort asked for; nobody asks, nobody thinks."""

_KNOWN_AT_MOST = 100


class ReplyFailed(Exception):
    """A reply that could not be rendered.

    Attributes:
        path: what is to blame, as keys within the reply.
        line: the line within the text there, from 1 on, where it is known.
        reason: what went wrong, in one line.
    """

    def __init__(self, error: TemplateFailed) -> None:
        super().__init__(error.reason)
        self.path: Path = error.path
        self.line = error.line
        self.reason = error.reason


class _Beside(Struct, frozen=True, kw_only=True):
    """What goes beside the parts, compiled; ``headers`` are by their names in lower case."""

    finish_reason: FinishReason | None = None
    usage: UsageOverride | None = None
    model: Fill | None = None
    id: Fill | None = None
    system_fingerprint: Fill | None = None
    chunks: Chunks | None = None
    pieces: tuple[Fill, ...] | None = None
    headers: Mapping[str, tuple[str, Fill]] = {}

    def over(self, other: "_Beside") -> "_Beside":
        """This, and from another what this does not say."""
        fields = {name: getattr(self, name) for name in self.__struct_fields__}
        said = {name: value for name, value in fields.items() if value is not None}
        if self.chunks is not None or self.pieces is not None:
            said.update(chunks=self.chunks, pieces=self.pieces)
        return structs.replace(other, **{**said, "headers": {**other.headers, **self.headers}})


class Recipe:
    """A reply, compiled.

    Attributes:
        uses_attempts: it may look at the number of the attempt.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        beside: _Beside,
        surroundings: Surroundings,
        *,
        uses_attempts: bool,
        varies: bool,
    ) -> None:
        self._parts = parts
        self._beside = beside
        self._surroundings = surroundings
        self._varies = varies
        self._known: dict[tuple[object, ...], Reply] = {}
        self.uses_attempts = uses_attempts

    def known(self, prompt: Prompt, speaker: str) -> Reply | None:
        """The reply, if it was given before to a prompt to which it cannot be another.

        It is the same object each time, so that what was made of it can be found by it.
        """
        return None if self._varies else self._known.get(_wanted(prompt, speaker))

    def render(self, occasion: Occasion) -> Reply | Failure:
        """The reply to one request.

        Raises:
            ReplyFailed: something cannot be filled in.
            BadSchema: a value is to be made from a schema that cannot be met.
        """
        try:
            reply = self._rendered(occasion)
        except TemplateFailed as error:
            raise ReplyFailed(error) from None
        if not self._varies and isinstance(reply, Reply):
            if len(self._known) >= _KNOWN_AT_MOST:
                self._known.clear()  # clients may ask for ever other models
            self._known[_wanted(occasion.facts.prompt, occasion.speaker)] = reply
        return reply

    def _rendered(self, occasion: Occasion) -> Reply | Failure:
        prompt, beside = occasion.facts.prompt, self._beside
        first = Speaking(self._surroundings, occasion)
        headers = tuple((name, fill(first)) for name, fill in beside.headers.values())
        choices: list[Choice] = []
        failure: Failure | None = None
        for number in range(prompt.n):
            speaking = first.other(number) if number else first
            said, failed, chunks = self._said(speaking)
            if failed is not None:
                failed = _headed(failed, headers)
                if not said:
                    return failed
                failure = failure or failed
            choices.append(
                Choice(
                    parts=_adapted(said, prompt),
                    finish_reason=beside.finish_reason,
                    chunks=chunks,
                )
            )
        return Reply(
            choices=tuple(choices),
            model=_filled(beside.model, first) or occasion.speaker,
            id=_filled(beside.id, first),
            headers=headers,
            system_fingerprint=_filled(beside.system_fingerprint, first),
            usage=beside.usage,
            failure=failure,
        )

    def _said(self, speaking: Speaking) -> tuple[list[SaidPart], Failure | None, Chunks]:
        """What is said, the failure it ends with, and how it is cut."""
        said: list[SaidPart] = []
        chunks = self._beside.chunks or "token"
        if self._beside.pieces is not None:
            chunks = pieces = tuple(fill(speaking) for fill in self._beside.pieces)
            if not self._parts:
                said.append(Text(text="".join(pieces)))
        for part in self._parts:
            for piece in part(speaking):
                if isinstance(piece, Failure):
                    return said, piece, chunks
                said.append(piece)
        return said, None, chunks


def _wanted(prompt: Prompt, speaker: str) -> tuple[object, ...]:
    """What a reply depends on that says nothing of the request."""
    return speaker, prompt.n, prompt.reasoning_effort, prompt.spoken


def _filled(fill: Fill | None, speaking: Speaking) -> str | None:
    return None if fill is None else fill(speaking)


def _headed(failure: Failure, headers: tuple[tuple[str, str], ...]) -> Failure:
    """A failure with the headers of its reply; its own go first."""
    own = {name.lower() for name, _ in failure.headers}
    more = tuple(each for each in headers if each[0].lower() not in own)
    return structs.replace(failure, headers=(*failure.headers, *more)) if more else failure


def _adapted(said: Sequence[SaidPart], prompt: Prompt) -> tuple[SaidPart, ...]:
    """The parts as this request wants them: thought about, and spoken where sound is asked for."""
    parts = list(said)
    thought = REASONING_TOKENS[prompt.reasoning_effort or "none"]
    if thought and not any(isinstance(part, Reasoning) for part in parts):
        parts.insert(0, Reasoning(tokens=thought))
    if prompt.spoken:
        parts = [Speech(transcript=p.text) if isinstance(p, Text) else p for p in parts]
    return tuple(parts)


def as_reply(given: object) -> schema.Reply:
    """A reply in any of the ways that Python has for it.

    Raises:
        BadReply: it is none.
    """
    match given:
        case str() | schema.ReplySpec():
            return given
        case schema.PartSpec():
            return (given,)
        case list() | tuple():
            for part in given:
                if isinstance(part, schema.ReplySpec):
                    raise BadReply("a reply cannot be a part of another")
                if not isinstance(part, str | schema.PartSpec):
                    raise BadReply(f"a part is a text or a part, not {_kind(part)}")
            return tuple(given)
    raise BadReply(f"a reply is a text, a part or a list of them, not {_kind(given)}")


def _kind(given: object) -> str:
    return "nothing" if given is None else f"of type {type(given).__name__}"


def compile_reply(
    reply: schema.Reply,
    surroundings: Surroundings,
    read_file: ReadFile,
    defaults: schema.Defaults | None = None,
    *,
    verbatim: bool = False,
) -> Recipe:
    """Compile a reply.

    Args:
        reply: as it is written.
        surroundings: what the server lends to replies.
        read_file: gives the reply that a ``file`` part names.
        defaults: those of the file that the reply is in.
        verbatim: say texts as they are: what is in braces is no template.

    Raises:
        BadReply: it is not one part or a list of parts, or has a number in it that will not do.
        BadTemplate: a template is wrong.
    """
    texts = Texts(verbatim=verbatim)
    parts, beside = _Compiler(texts, read_file).reply(reply)
    if defaults is not None:
        beside = beside.over(_compile_beside(texts, defaults))
    uses_attempts = any("attempt" in text for text in texts.filled)
    varies = bool(texts.filled)
    return Recipe(parts, beside, surroundings, uses_attempts=uses_attempts, varies=varies)


class _Compiler:
    """Compiles replies, and those in files that they name."""

    def __init__(self, texts: Texts, read_file: ReadFile) -> None:
        self._texts = texts
        self._read_file = read_file
        self._part = PartCompiler(texts).part

    def reply(self, reply: schema.Reply) -> tuple[list[Part], _Beside]:
        """The parts of a reply, and what goes beside them."""
        spec, placed = _laid_out(reply)
        compiled: list[Part] = []
        besides = [_compile_beside(self._texts, spec)]
        for part, path in placed:
            if isinstance(part, schema.PartSpec) and kinds_of(part) == ["file"]:
                parts, beside = self._file(str(part.file), (*path, "file"))
                alone = len(placed) == 1 and spec.chunks is None
                if beside.pieces is not None and not alone:
                    # exactly so are they sent only where they are all of the reply
                    parts = [_joined(beside.pieces)]
                    beside = structs.replace(beside, pieces=None)
                compiled += parts
                besides.append(beside)
            else:
                compiled.append(self._part(part, path))
        return compiled, reduce(_Beside.over, besides)

    def _file(self, file: str, path: Path) -> tuple[list[Part], _Beside]:
        texts = self._texts.within(file, path)
        return _Compiler(texts, self._read_file).reply(self._read_file(file))


def _joined(pieces: Sequence[Fill]) -> Part:
    return lambda speaking: (Text(text="".join(fill(speaking) for fill in pieces)),)


def _compile_beside(texts: Texts, written: schema.ReplySpec | schema.Defaults) -> _Beside:
    chunks = written.chunks
    of_reply: dict[str, Any] = {}
    if isinstance(written, schema.ReplySpec):
        of_reply = {
            "finish_reason": written.finish_reason,
            "usage": _usage(written.usage),
            "id": texts.optional(written.id, ("id",)),
        }
    if isinstance(chunks, tuple):
        of_reply["pieces"] = tuple(
            texts.text(piece, ("chunks", index)) for index, piece in enumerate(chunks)
        )
    else:
        of_reply["chunks"] = chunks
    return _Beside(
        model=texts.optional(written.model, ("model",)),
        system_fingerprint=texts.optional(written.system_fingerprint, ("system_fingerprint",)),
        headers={
            name.lower(): (name, fill)
            for name, fill in compile_headers(texts, written.headers, ("headers",))
        },
        **of_reply,
    )


def _usage(usage: schema.UsageSpec | None) -> UsageOverride | None:
    if usage is None:
        return None
    return UsageOverride(
        prompt=usage.prompt_tokens,
        completion=usage.completion_tokens,
        reasoning=usage.reasoning_tokens,
        cached=usage.cached_tokens,
    )


_Placed = Sequence[tuple[str | schema.PartSpec, Path]]


def _laid_out(reply: schema.Reply) -> tuple[schema.ReplySpec, _Placed]:
    """A reply as what goes beside its parts, and its parts with the keys that lead to them."""
    match reply:
        case str():
            return schema.ReplySpec(), [(reply, ())]
        case tuple():
            return schema.ReplySpec(), [(part, (index,)) for index, part in enumerate(reply)]
    given = kinds_of(reply)
    listed = ["parts"] if reply.parts is not None else []
    if len(given) + len(listed) > 1:
        names = " and ".join([*given, *listed])
        raise BadReply(f"a reply is one part or a list of parts, and this is {names}")
    if given:
        fields = {name: getattr(reply, name) for name in schema.PartSpec.__struct_fields__}
        return reply, [(schema.PartSpec(**fields), ())]
    if not listed and not isinstance(reply.chunks, tuple):
        raise BadReply("a reply needs a part")
    return reply, [(part, ("parts", index)) for index, part in enumerate(reply.parts or ())]
