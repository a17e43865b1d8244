"""Choosing how long an answer takes: of what the server, a file, a rule and a request say.

Pure: what can be wrong with a scenario's timings has been told when it was loaded, and here it is
only told what a request, or a rule made in Python, has wrong. A timing is compiled once, and must
never be compiled again for each request.
"""

from collections.abc import Mapping
from typing import Annotated

from msgspec import Meta, structs

from fakellm.model.reply import Choice, Failure, Refused, Reply
from fakellm.spelling import nearest
from fakellm.timing.durations import BadDuration, parse_duration
from fakellm.timing.pace import Timing, TimingSpec, compile_timing, merged

TTFT_HEADER = "X-FakeLLM-TTFT"
ITL_HEADER = "X-FakeLLM-ITL"
PROFILE_HEADER = "X-FakeLLM-Profile"

RuleTiming = TimingSpec | str | None
"""What a rule says: a timing, the name of a profile, or nothing."""

_ASKED = tuple((name, name.lower()) for name in (TTFT_HEADER, ITL_HEADER, PROFILE_HEADER))
_KEPT_AT_MOST = 1000
_NAME_SHOWN_AT_MOST = 60
_NOTHING = TimingSpec()


class Profile(TimingSpec, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A timing with a name, which rules and requests may ask for."""

    models: Annotated[
        tuple[str, ...], Meta(description="The models it applies to without being asked for.")
    ] = ()

    @property
    def timing(self) -> TimingSpec:
        """The timing alone."""
        return TimingSpec(**{name: getattr(self, name) for name in TimingSpec.__struct_fields__})


class Timings:
    """Chooses timings: each of these overrides what comes before it, key by key.

    The server's options, the settings of scenario files, the profile of the model asked for, the
    rule's timing, the profile that a request's header names, its TTFT and its ITL.

    Args:
        base: the server's options.
    """

    def __init__(self, base: TimingSpec = _NOTHING) -> None:
        self._base = base
        self.replace()

    def replace(
        self, settings: TimingSpec | None = None, profiles: Mapping[str, Profile] | None = None
    ) -> None:
        """Have other settings from now on.

        Args:
            settings: the timing of scenario files.
            profiles: theirs, by name; of two for one model the last applies.
        """
        self._default = merged(self._base, settings or _NOTHING)
        self._profiles = {name: each.timing for name, each in (profiles or {}).items()}
        self._of_model = {
            model: name for name, each in (profiles or {}).items() for model in each.models
        }
        # By what a choice depends on; with the rule's timing, which so keeps its id to itself.
        self._kept: dict[tuple[object, ...], tuple[RuleTiming, Timing | None]] = {}

    def choose(self, model: str, rule: RuleTiming, headers: Mapping[str, str]) -> Timing | None:
        """How long an answer takes; ``None`` where nothing says so, and it takes no time.

        Args:
            model: the model asked for.
            rule: what the rule that answers says.
            headers: the request's, by lower-case names.

        Raises:
            Refused: a header cannot be (400), or there is no profile of the rule's name (500).
        """
        of_model = self._of_model.get(model)
        asked = [headers.get(name) for _, name in _ASKED]
        key = (of_model, rule if isinstance(rule, str) else id(rule), *asked)
        kept = self._kept.get(key)
        if kept is None:
            if len(self._kept) >= _KEPT_AT_MOST:
                self._kept.clear()  # requests may ask for ever other ones
            kept = self._kept[key] = rule, self._compiled(of_model, rule, *asked)
        return kept[1]

    def _compiled(
        self,
        of_model: str | None,
        rule: RuleTiming,
        ttft: str | None,
        itl: str | None,
        profile: str | None,
    ) -> Timing | None:
        spec = self._default
        if of_model is not None:
            spec = merged(spec, self._profiles[of_model])
        if isinstance(rule, str):
            if rule not in self._profiles:
                raise Refused(
                    Failure(
                        status=500,
                        message=f"The rule's timing: {self.unknown(rule)}",
                        code="rule_failed",
                    )
                )
            spec = merged(spec, self._profiles[rule])
        elif rule is not None:
            spec = merged(spec, rule)
        if profile is not None:
            if profile not in self._profiles:
                raise _wrong_header(PROFILE_HEADER, self.unknown(profile))
            spec = merged(spec, self._profiles[profile])
        if ttft is not None or itl is not None:
            over = TimingSpec(ttft=_duration(TTFT_HEADER, ttft), itl=_duration(ITL_HEADER, itl))
            spec = structs.replace(merged(spec, over), total=None)
        return None if spec == _NOTHING else compile_timing(spec)

    def unknown(self, name: str) -> str:
        """What to say of a profile that there is not."""
        return unknown_profile(name, self._profiles)


def unknown_profile(name: str, profiles: Mapping[str, object]) -> str:
    """What to say of a profile that is none of these."""
    shown = name if len(name) <= _NAME_SHOWN_AT_MOST else f"{name[:_NAME_SHOWN_AT_MOST]}..."
    near = nearest(name, profiles)
    hint = "" if near is None else f"; did you mean {near!r}?"
    return f"there is no profile {shown!r}{hint}"


def in_chunks(reply: Reply, timing: Timing) -> Reply:
    """A reply cut as the timing has it, where it does not itself say how it is cut."""
    size = timing.chunk_tokens
    if size is None:
        return reply
    return structs.replace(reply, choices=tuple(_sized(each, size) for each in reply.choices))


def _sized(choice: Choice, size: int) -> Choice:
    return structs.replace(choice, chunks=size) if choice.chunks == "token" else choice


def _duration(header: str, written: str | None) -> float | None:
    if written is None:
        return None
    try:
        return parse_duration(written)
    except BadDuration as error:
        raise _wrong_header(header, str(error)) from None


def _wrong_header(name: str, reason: str) -> Refused:
    return Refused(Failure(status=400, message=f"{name}: {reason}", code="invalid_header"))
