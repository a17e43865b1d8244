"""Whether what a file says of time, load, limits and faults can work: all of it is made ready once.

Only to hear what is wrong: nothing is kept. Mistakes are told to the document they are in, and what
a record found wrong already is passed by.
"""

from collections.abc import Callable, Mapping
from typing import Any

from msgspec import Struct

from fakellm.faults.compile import compile_fault, compile_hold
from fakellm.faults.shorthand import parse_fault
from fakellm.faults.spec import BadFault, ErrorFault, FaultItem, HoldItem, HoldSpec
from fakellm.scenarios import schema
from fakellm.scenarios.conduct import listed
from fakellm.scenarios.places import Path, Place, is_template
from fakellm.scenarios.yaml_text import HOLE
from fakellm.timing.conduct import LimitSpec, LoadSpec
from fakellm.timing.distributions import ConstantSpec, ReadText
from fakellm.timing.durations import BadDuration, parse_duration
from fakellm.timing.limit import EVER
from fakellm.timing.pace import TimingSpec, compile_timing

LIMITS = ("requests", "tokens", "concurrent")
"""What a limit may be of, each by its key."""

CheckTemplate = Callable[[str, Path], None]


class Named(Struct, frozen=True):
    """A profile that is named somewhere, and where."""

    name: str
    place: Place
    path: Path


class ConductChecker:
    """Checks records against what they were made of.

    Args:
        place: of what is checked.
        sound: what is written there, without what has been found wrong.
        read_text: reads files of samples.
        template: checks a text that may be a template.

    Attributes:
        named: the profiles that are named.
    """

    def __init__(
        self,
        place: Place,
        sound: Any,
        read_text: ReadText | None,
        template: CheckTemplate,
    ) -> None:
        self._place = place
        self._sound = sound
        self._read_text = read_text
        self._template = template
        self.named: list[Named] = []

    def of_rule(self, rule: schema.Rule | schema.Defaults) -> None:
        """Check a rule, or what rules have without saying so."""
        if isinstance(rule.timing, TimingSpec):
            self._timing(rule.timing, ("timing",))
        elif rule.timing is not None:
            self._profile(rule.timing, ("timing",))
        for path, fault in listed(rule.faults, ("faults",)):
            self._fault(fault, path, templates=True)
        for path, gate in listed(rule.hold, ("hold",)):
            self._hold(gate, path)

    def sections(self, sections: schema.Sections) -> None:
        """Check how a server is to conduct itself."""
        self._common(sections, ())
        for name, profile in (sections.profiles or {}).items():
            self._timing(profile, ("profiles", name))
        before = 0.0
        for index, phase in enumerate(sections.phases or ()):
            path: Path = ("phases", index)
            self._common(phase, path)
            if phase.profile is not None:
                self._profile(phase.profile, (*path, "profile"))
            before = self._begins(phase.after, (*path, "after"), before)

    def _common(self, record: schema.Sections | schema.Phase, path: Path) -> None:
        if record.timing is not None:
            self._timing(record.timing, (*path, "timing"))
        if record.load is not None:
            self._load(record.load, (*path, "load"))
        for at, limit in listed(record.limits, (*path, "limits")):
            self._limit(limit, at)
        for at, fault in listed(record.faults, (*path, "faults")):
            self._fault(fault, at, templates=False)

    def _wrong(self, path: Path, message: str, *, key: bool = False) -> None:
        place = self._place
        place.complain(place.spot.key_at(path) if key else place.at(path), message)

    def _is_sound(self, path: Path) -> bool:
        """Whether nothing was found wrong with what is at a path."""
        sound = self._sound
        for step in path:
            sound = sound[step]
        return bool(_bare(sound) == _bare(self._place.written(path)))

    def _profile(self, name: str, path: Path) -> None:
        self.named.append(Named(name, self._place, path))

    def _begins(self, after: ConstantSpec, path: Path, before: float) -> float:
        try:
            begins = parse_duration(after)
        except BadDuration as error:
            self._wrong(path, str(error))
            return before
        if begins < before:
            self._wrong(path, "phases must stand in the order in which they begin")
        return max(begins, before)

    def _timing(self, timing: TimingSpec, path: Path) -> None:
        for name in TimingSpec.__struct_fields__:
            written = getattr(timing, name)
            if written is None or not self._is_sound((*path, name)):
                continue
            try:
                compile_timing(TimingSpec(**{name: written}), self._read_text)
            except BadDuration as error:
                self._of_timing(str(error), path)
        if timing.itl is not None and timing.tokens_per_second is not None:
            self._wrong(
                (*path, "tokens_per_second"),
                "`itl` and `tokens_per_second` are two ways to say one thing: give one",
                key=True,
            )

    def _of_timing(self, message: str, path: Path) -> None:
        # it begins with the keys that lead to what is wrong
        key, colon, rest = message.partition(": ")
        while colon and self._place.written((*path, key)) is not HOLE:
            path, message = (*path, key), rest
            key, colon, rest = message.partition(": ")
        self._wrong(path, message)

    def _load(self, load: LoadSpec, path: Path) -> None:
        if load.slots is None and self._is_sound(path):
            for name in ("queue", "slowdown"):
                if getattr(load, name) is not None:
                    self._wrong((*path, name), f"`{name}` needs `slots` beside it", key=True)

    def _limit(self, limit: LimitSpec, path: Path) -> None:
        if not self._is_sound(path):
            return
        given = [name for name in LIMITS if getattr(limit, name) is not None]
        if len(given) != 1:
            those = " and ".join(f"`{name}`" for name in given) or "none"
            self._wrong(path, f"a limit is one of {', '.join(LIMITS)}, and this is {those}")
        elif limit.per is not None and given == ["concurrent"]:
            self._wrong((*path, "per"), "`concurrent` takes no `per`", key=True)
        elif limit.per is not None and limit.per != EVER:
            self._window(limit.per, (*path, "per"))

    def _window(self, per: ConstantSpec, path: Path) -> None:
        try:
            seconds = parse_duration(per)
        except BadDuration as error:
            self._wrong(path, f"{error}, nor {EVER}")
        else:
            if not seconds:
                self._wrong(path, "expected a time above 0")

    def _fault(self, item: FaultItem, path: Path, *, templates: bool) -> None:
        if not self._is_sound(path):
            return
        if isinstance(item, str):
            if is_template(item):
                if templates:
                    self._template(item, path)
                else:
                    self._wrong(path, "only the faults of a rule may be templates")
                return
            self._made_ready(lambda: compile_fault(parse_fault(item)), path)
            return
        spec = item
        if templates and isinstance(spec.error, ErrorFault):
            self._template(spec.error.message or "", (*path, "error", "message"))
        self._made_ready(lambda: compile_fault(spec), path)

    def _hold(self, item: HoldItem, path: Path) -> None:
        if not self._is_sound(path):
            return
        if isinstance(item, HoldSpec):
            self._template(item.gate, (*path, "gate"))
        else:
            self._template(item, path)
        self._made_ready(lambda: compile_hold(item), path)

    def _made_ready(self, make: Callable[[], object], path: Path) -> None:
        try:
            make()
        except BadFault as error:
            is_mapping = isinstance(self._place.written(path), dict)
            what = "" if error.path or not is_mapping else "this "
            if error.path and is_mapping:
                what = f"`{error.path[-1]}` "
            self._wrong((*path, *error.path), f"{what}{error.reason}")


def _bare(value: Any) -> Any:
    """Data without the keys under which there is nothing."""
    match value:
        case Mapping():
            return {name: _bare(each) for name, each in value.items() if each is not None}
        case list():
            return [_bare(each) for each in value]
    return value
