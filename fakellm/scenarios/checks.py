"""What a record of the scenario language cannot say of itself: whether what is written can work.

Conditions and templates are compiled here once, only to hear what is wrong with them. All mistakes
are told to the document they are in; nothing is raised and no file is read.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import UNSET

from fakellm.scenarios import schema
from fakellm.scenarios.conduct_checks import ConductChecker, Named
from fakellm.scenarios.matching import compile_when
from fakellm.scenarios.mistakes import Mistake, Position, shown
from fakellm.scenarios.parts import HIGHEST_ERROR, LOWEST_ERROR, wrong_hosted
from fakellm.scenarios.places import Path, Place, is_template
from fakellm.scenarios.records import read
from fakellm.scenarios.templates import BadTemplate, compile_template
from fakellm.scenarios.text_tests import BadRule
from fakellm.scenarios.yaml_text import HOLE
from fakellm.spelling import nearest
from fakellm.timing.distributions import ReadText

PARTS: tuple[str, ...] = schema.PartSpec.__struct_encode_fields__
"""What a part may be, each by its key."""

_KNOWN = frozenset(
    (*schema.Rule.__struct_encode_fields__, *schema.ReplySpec.__struct_encode_fields__)
)
_TEXT_TESTS = frozenset(schema.TextTest.__struct_encode_fields__)
_CONDITIONS_TOLD_AT_MOST = 100


class Checker:
    """Checks records against what they were made of.

    Args:
        place: of what is checked.
        check_file: is handed the path of each ``file:`` and where it stands.
        read_text: reads files of samples; a reply alone needs none.

    Attributes:
        named: the profiles that are named.
    """

    def __init__(
        self,
        place: Place,
        check_file: Callable[[str, Position], None],
        read_text: ReadText | None = None,
    ) -> None:
        self._place = place
        self._check_file = check_file
        self._read_text = read_text
        self.named: list[Named] = []

    def rule(self, rule: schema.Rule, sound: Any) -> None:
        """Check a rule.

        Args:
            rule: the record.
            sound: what it was made of: what is written, without what has been found wrong.
        """
        self._when(rule.when, sound)
        written = self._place.value
        given = [name for name in ("reply", "replies") if written.get(name) is not None]
        if len(given) > 1:
            self._wrong(("replies",), "a rule has `reply` or `replies`, not both", key=True)
        elif not given and not self._misspelt(written, ("reply", "replies")):
            empty = tuple(name for name in ("reply", "replies") if name in written)
            self._wrong(empty[:1], "a rule needs `reply` or `replies`", key=True)
        if rule.reply is not None:
            self.reply(rule.reply, ("reply",))
        for index, reply in enumerate(rule.replies or ()):
            self.reply(reply, ("replies", index))
        self._conduct(sound, lambda checker: checker.of_rule(rule))

    def reply(self, reply: schema.Reply, path: Path = ()) -> None:
        """Check a reply at a path."""
        match reply:
            case str():
                self._template(reply, path)
            case tuple():
                self._parts(reply, path)
            case _:
                self._whole_reply(reply, path)

    def sections(self, sections: schema.Sections, sound: Any) -> None:
        """Check how the server is to conduct itself; ``sound`` is as for a rule."""
        self._conduct(sound, lambda checker: checker.sections(sections))

    def settings(self, settings: schema.Settings, sound: Any) -> None:
        """Check settings; ``sound`` is as for a rule."""
        self._template(settings.conversation, ("conversation",))
        self.sections(settings, sound)

    def defaults(self, defaults: schema.Defaults, sound: Any) -> None:
        """Check defaults; ``sound`` is as for a rule."""
        self._conduct(sound, lambda checker: checker.of_rule(defaults))
        self._beside(defaults, ())
        if isinstance(defaults.chunks, tuple):
            self._wrong(("chunks",), "a list of pieces is one reply: it cannot be a default")

    def _conduct(self, sound: Any, check: Callable[[ConductChecker], None]) -> None:
        checker = ConductChecker(self._place, sound, self._read_text, self._template)
        check(checker)
        self.named.extend(checker.named)

    def _wrong(self, path: Path, message: str, *, key: bool = False) -> None:
        place = self._place
        position = place.spot.key_at(path) if key and path else place.at(path)
        place.complain(position, message)

    def _when(self, when: schema.When, sound: Any) -> None:
        for expression, value in (when.json or {}).items():
            if isinstance(value, dict) and value and value.keys() <= _TEXT_TESTS:
                # It is a test of a text, though its type cannot say so.
                path = ("when", "json", expression)
                spot = self._place.spot.find(path)
                test = read(value, schema.TextTest, spot, self._place.complain).sound
                if test is not value:
                    sound = _with(sound, path, test)
                    when = msgspec.convert(sound["when"], schema.When)
        # Compiling stops at the first mistake: take that out and look again.
        for _ in range(_CONDITIONS_TOLD_AT_MOST):
            try:
                compile_when(when)
            except BadRule as error:
                if self._place.written(error.path) == _at(sound, error.path):
                    self._wrong(error.path, error.reason)
                # Where something was taken out before, that is what is wrong.
                sound = _with(sound, error.path, HOLE)
                when = msgspec.convert(sound.get("when", {}), schema.When)
            else:
                return

    def _whole_reply(self, reply: schema.ReplySpec, path: Path) -> None:
        given = self._given(path)
        forms = [name for name in given if name in PARTS]
        written = self._place.written(path)
        if written.get("parts") is not None:
            forms.append("parts")
        if not forms and isinstance(written.get("chunks"), list):
            forms.append("chunks")
        self._exactly_one(forms, path, "a reply is one part or a list of `parts`", "a reply")
        self._part(reply, path)
        self._parts(reply.parts or (), (*path, "parts"))
        self._beside(reply, path)
        self._template(reply.id, (*path, "id"))
        if isinstance(reply.chunks, tuple):
            for index, piece in enumerate(reply.chunks):
                self._template(piece, (*path, "chunks", index))

    def _beside(self, record: schema.ReplySpec | schema.Defaults, path: Path) -> None:
        self._template(record.model, (*path, "model"))
        self._template(record.system_fingerprint, (*path, "system_fingerprint"))
        self._headers(record.headers or {}, (*path, "headers"))

    def _headers(self, headers: Mapping[str, str], path: Path) -> None:
        for name, text in headers.items():
            self._template(text, (*path, name))

    def _parts(self, parts: Sequence[str | schema.PartSpec], path: Path) -> None:
        for index, part in enumerate(parts):
            at = (*path, index)
            if isinstance(part, str):
                self._template(part, at)
            else:
                self._exactly_one(self._given(at), at, "a part is one thing", "a part")
                self._part(part, at)

    def _given(self, path: Path) -> list[str]:
        written = self._place.written(path)
        return [
            name
            for name in written
            if name in PARTS and (written[name] is not None or name == "json")
        ]

    def _exactly_one(self, given: list[str], path: Path, rule: str, what: str) -> None:
        names = (*PARTS, "parts") if what == "a reply" else PARTS
        if len(given) > 1:
            those = " and ".join(f"`{name}`" for name in given)
            self._wrong((*path, given[1]), f"{rule}, and this is {those}", key=True)
        elif not given and not self._misspelt(self._place.written(path), names):
            self._wrong(path, f"{what} needs one of {', '.join(names)}")

    def _misspelt(self, written: Mapping[str, Any], names: Sequence[str]) -> bool:
        """Whether an unknown key is one of these, but for a slip that has been told."""
        return any(name not in _KNOWN and nearest(name, names) for name in written)

    def _part(self, part: schema.PartSpec, path: Path) -> None:
        self._template(part.text, (*path, "text"))
        self._template(part.refusal, (*path, "refusal"))
        self._reasoning(part.reasoning, (*path, "reasoning"))
        if part.json is not UNSET:
            self._templates(part.json, (*path, "json"))
        if part.tool_call is not None:
            self._tool_call(part.tool_call, (*path, "tool_call"))
        if part.hosted is not None:
            self._templates(part.hosted, (*path, "hosted"))
            wrong = wrong_hosted(part.hosted)
            if wrong is not None:
                self._wrong((*path, "hosted"), wrong)
        for name in ("from_schema", "echo"):
            if getattr(part, name) is False:
                self._wrong((*path, name), f"`{name}` can only be true: leave it out otherwise")
        if part.lorem is not None:
            self._tokens(part.lorem.tokens, (*path, "lorem", "tokens"))
        if part.file is not None:
            self._check_file(part.file, self._place.at((*path, "file")))
        self._error(part.error, (*path, "error"))

    def _reasoning(self, reasoning: str | schema.ReasoningSpec | None, path: Path) -> None:
        if isinstance(reasoning, schema.ReasoningSpec):
            self._template(reasoning.text, (*path, "text"))
            self._tokens(reasoning.tokens, (*path, "tokens"))
        else:
            self._template(reasoning, path)

    def _tool_call(self, call: schema.ToolCallSpec, path: Path) -> None:
        self._template(call.name, (*path, "name"))
        self._template(call.id, (*path, "id"))
        if call.arguments is not UNSET:
            self._templates(call.arguments, (*path, "arguments"))

    def _error(self, error: int | str | schema.ErrorSpec | None, path: Path) -> None:
        match error:
            case None:
                return
            case schema.ErrorSpec():
                self._status(error.status, (*path, "status"))
                for name in ("message", "type", "code", "param"):
                    self._template(getattr(error, name), (*path, name))
                self._headers(error.headers, (*path, "headers"))
            case _:
                self._status(error, path)

    def _status(self, status: int | str, path: Path) -> None:
        number = self._number(status, path, "a status from 400 to 599")
        if number is not None and not LOWEST_ERROR <= number <= HIGHEST_ERROR:
            self._wrong(path, f"expected a status from 400 to 599, not {number}")

    def _tokens(self, tokens: int | str, path: Path) -> None:
        number = self._number(tokens, path, "a number of tokens")
        if number is not None and number < 0:
            self._wrong(path, f"expected at least 0, not {number}")

    def _number(self, number: int | str, path: Path, what: str) -> int | None:
        """The number, unless a template is to give it, or there is none."""
        if isinstance(number, int):
            return number
        if is_template(number):
            self._template(number, path)
            return None
        try:
            return int(number)
        except ValueError:
            self._wrong(path, f"expected {what}, or a template that gives one, not {shown(number)}")
            return None

    def _templates(self, value: Any, path: Path) -> None:
        """Check every text in a value, and its keys."""
        match value:
            case str():
                self._template(value, path)
            case Mapping():
                for key, inside in value.items():
                    self._template(key, (*path, key), is_key=True)
                    self._templates(inside, (*path, key))
            case list():
                for index, inside in enumerate(value):
                    self._templates(inside, (*path, index))

    def _template(self, text: str | None, path: Path, *, is_key: bool = False) -> None:
        if text is None or not is_template(text):
            return
        try:
            compile_template(text)
        except BadTemplate as error:
            place = self._place
            position = place.spot.key_at(path) if is_key else place.at(path, error.line)
            place.complain(position, _in_template(error))


def check_text(text: str, file: str) -> list[Mistake]:
    """What is wrong with a whole file that is a template."""
    try:
        compile_template(text)
    except BadTemplate as error:
        return [Mistake(file, error.line, 1, _in_template(error))]
    return []


def _in_template(error: BadTemplate) -> str:
    return f"in the template: {error.reason.removesuffix('.')}"


def _at(value: Any, path: Path) -> Any:
    for step in path:
        value = value[step]
    return value


def _with(value: Any, path: Path, new: Any) -> Any:
    """A copy of data with something else at a path, or, for a `HOLE`, nothing."""
    copy: Any = value.copy()
    step, *rest = path
    if rest:
        copy[step] = _with(value[step], tuple(rest), new)
    elif new is HOLE:
        del copy[step]
    else:
        copy[step] = new
    return copy
