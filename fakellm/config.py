"""The server's settings: each is declared once, on its field of `Config`.

The command line's options, the environment's variables, the help texts and every check derive from
that declaration, so a new setting is one more field. This module is pure: the options and the
environment are handed in, and it must never read ``os.environ``, open a file or import a reactor.
An API key must never appear in a text made here.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from os import PathLike, fspath
from typing import Annotated, Any, Literal, get_args, get_origin

import msgspec
import yaml

from fakellm.faults.compile import compile_fault
from fakellm.faults.shorthand import parse_fault
from fakellm.spelling import nearest
from fakellm.timing.conduct import FramingSpec, Late, LimitSpec, LoadSpec
from fakellm.timing.distributions import DistributionSpec, compile_duration
from fakellm.timing.durations import LONGEST, parse_duration
from fakellm.timing.pace import TimingSpec

LogLevelName = Literal["debug", "info", "warn", "error", "critical"]
LogFormatName = Literal["text", "json"]
TokenizerName = Literal["words", "o200k_base", "cl100k_base"]
FlavourName = Literal["openai", "vllm"]
ClockName = Literal["real", "virtual"]
HttpName = Literal["fast", "twisted"]
Token = Literal["alone", "with-first-token"]
LastToken = Literal["alone", "with-last-token"]
Head = Literal["at-once", "with-first-token"]

_PREFIX = "FAKELLM_"
_WHOLE_NUMBER = re.compile(r"[+-]?[0-9]{1,30}")
_QUANTITY = re.compile(r"([0-9]{1,30}(?:\.[0-9]{0,30})?|\.[0-9]{1,30})\s*([A-Za-z]*)")
_NUMBER = re.compile(
    r"\+?([0-9]{1,30}(\.[0-9]{0,30})?|\.[0-9]{1,30})(e[+-]?[0-9]{1,3})?", re.IGNORECASE
)
_TOKEN = re.compile(r"[!-~]{0,1000}")
_BYTES = {
    "": 1,
    "b": 1,
    "kb": 1000,
    "mb": 1000**2,
    "gb": 1000**3,
    "kib": 1024,
    "mib": 1024**2,
    "gib": 1024**3,
}
_TRUTH = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(
    ("0", "false", "no", "off"), False
)
# What Kubernetes sets in every pod beside a Service named "fakellm": FAKELLM_PORT=tcp://10.0.0.1:80,
# FAKELLM_PORT_80_TCP_ADDR, FAKELLM_SERVICE_HOST ... (its documentation: "Accessing the Service").
_LINK_VALUE = re.compile(r"(tcp|udp|sctp)://.*")
_LINK_NAME = re.compile(_PREFIX + r"(SERVICE_(HOST|PORT(_\w+)?)|PORT_[0-9]+_\w+)")


class BadSetting(ValueError):
    """A setting with a value it cannot have; its text is one line for the user."""


class UnknownSetting(BadSetting, TypeError):
    """A name that is no setting's; a TypeError too, as for any unknown keyword argument."""


class _Because(ValueError):
    """Why a value cannot be, where that is worth telling; one line."""


class Kind(msgspec.Struct, frozen=True, kw_only=True):
    """The kind of value a setting takes.

    ``take`` turns a Python value, or text from an option or a variable, into the setting's value,
    and raises ValueError or TypeError when it cannot; ``show`` writes a default for a help text.
    """

    expects: str
    take: Callable[[Any], Any]
    show: Callable[[Any], str] = str
    many: bool = False
    flag: bool = False


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What a field's annotation declares: its help text, its kind, and what is special about it.

    ``also`` names further environment variables, after the setting's own; ``separator`` is what
    stands between the values of a repeatable one in a variable (None: white space); the value of a
    ``secret`` one is never shown. ``name`` and ``default`` are the field's and are filled in.
    """

    help: str
    kind: Kind
    also: tuple[str, ...] = ()
    separator: str | None = ","
    secret: bool = False
    name: str = ""
    default: Any = None

    @property
    def option(self) -> str:
        """The option as a user writes it, for example ``--log-level``."""
        return "--" + self.name.replace("_", "-")

    @property
    def variables(self) -> tuple[str, ...]:
        """The environment variables that set it, the strongest first."""
        return (_PREFIX + self.name.upper(), *self.also)

    @property
    def description(self) -> str:
        """The help text with the default and the variables."""
        return (
            f"{self.help} [default: {self.kind.show(self.default)}]"
            f" [environment: {', '.join(self.variables)}]"
        )

    def take(self, value: object, called: str) -> Any:
        """Check and convert one value.

        Args:
            value: a Python value, or the text of an option (a list of them where it is repeatable).
            called: the setting as the user wrote it: ``port``, ``--port`` or ``FAKELLM_PORT``.

        Raises:
            BadSetting: the value is not of the setting's kind.
        """
        return self._take(value, called, value)

    def take_variable(self, text: str, called: str) -> Any:
        """Check and convert the text of an environment variable; see `take`."""
        if not self.kind.many:
            return self._take(text, called, text)
        parts = (part.strip() for part in text.split(self.separator))
        return self._take(tuple(part for part in parts if part), called, text)

    def _take(self, value: object, called: str, written: object) -> Any:
        try:
            return self.kind.take(value)
        except (ValueError, TypeError, OverflowError) as error:
            shown = "" if self.secret else f", not {_shortened(repr(written))}"
            why = f": {error}" if isinstance(error, _Because) else ""
            raise BadSetting(f"{called}: expected {self.kind.expects}{shown}{why}") from None


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."  # noqa: PLR2004 -- a terminal's width


def whole_number(low: int | None = None, high: int | None = None) -> Kind:
    """A whole number within bounds, both included."""

    def take(value: Any) -> int:
        if isinstance(value, str) and _WHOLE_NUMBER.fullmatch(value.strip()):
            value = int(value)
        if type(value) is not int:
            raise TypeError
        if (low is not None and value < low) or (high is not None and value > high):
            raise ValueError
        return value

    bounds = "" if low is None else f" from {low} to {high}" if high is not None else f" >= {low}"
    return Kind(expects=f"a whole number{bounds}", take=take)


def _quantity(text: str, units: Mapping[str, float]) -> float:
    match = _QUANTITY.fullmatch(text.strip())
    if match is None or match[2].lower() not in units:
        raise ValueError
    unit = units[match[2].lower()]
    return int(match[1]) * unit if match[1].isdigit() else float(match[1]) * unit


def size() -> Kind:
    """A size of at least one byte: a number of bytes, or text such as ``10MB`` and ``64KiB``."""

    def take(value: Any) -> int:
        if isinstance(value, str):
            value = int(_quantity(value, _BYTES))
        if type(value) is not int:
            raise TypeError
        if value < 1:
            raise ValueError
        return value

    def show(value: int) -> str:
        for unit, factor in (("MiB", 1024**2), ("KiB", 1024)):
            if value % factor == 0:
                return f"{value // factor}{unit}"
        return f"{value}B"

    return Kind(expects="a size such as 10MB, 64KiB or a number of bytes", take=take, show=show)


def duration() -> Kind:
    """A duration in seconds (float, not negative), or text such as ``250ms``, ``1.5s``, ``2m``."""
    return Kind(
        expects="a duration such as 250ms, 1.5s, 2m or a number of seconds",
        take=parse_duration,
        show=lambda seconds: f"{seconds:g}s",
    )


def duration_or_distribution() -> Kind:
    """A duration, or a distribution of them: a mapping, or text such as ``{uniform: [1s, 2s]}``."""

    def take(value: Any) -> float | DistributionSpec:
        if isinstance(value, str) and value.strip().startswith("{"):
            value = _flow(value)
        if not isinstance(value, Mapping | DistributionSpec):
            return parse_duration(value)
        try:
            spec = msgspec.convert(value, DistributionSpec)
            compile_duration(spec)
        except ValueError as error:
            raise _Because(_one_line(error)) from None
        return spec

    return Kind(
        expects="a duration such as 250ms, or a distribution such as {uniform: [100ms, 1s]}",
        take=take,
        show=lambda seconds: f"{seconds:g}s",
    )


def _flow(text: str) -> Any:
    try:
        return yaml.safe_load(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise _Because(_one_line(problem)) from None


def _one_line(reason: object) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in str(reason)).split())


def faults() -> Kind:
    """Faults in short."""
    listed = texts("a fault such as reset after 3")

    def take(value: Any) -> tuple[str, ...]:
        taken: tuple[str, ...] = listed.take(value)
        for each in taken:
            try:
                compile_fault(parse_fault(each))
            except ValueError as error:
                raise _Because(_one_line(error)) from None
        return taken

    return msgspec.structs.replace(listed, take=take)


def maybe(kind: Kind, shown_when_none: str) -> Kind:
    """A value of a kind, or nothing."""
    return msgspec.structs.replace(
        kind,
        take=lambda value: None if value is None else kind.take(value),
        show=lambda value: shown_when_none if value is None else kind.show(value),
    )


def token() -> Kind:
    """A secret that can go in a header: printable ASCII without spaces, or nothing."""

    def take(value: Any) -> str:
        if not isinstance(value, str):
            raise TypeError
        if not _TOKEN.fullmatch(value.strip()):
            raise ValueError
        return value.strip()

    return Kind(
        expects="a token of printable ASCII characters without spaces",
        take=take,
        show=lambda value: "set" if value else "none",
    )


def one_number_of(*choices: int) -> Kind:
    """One number of a fixed few."""
    words = one_of(*map(str, choices))

    def take(value: Any) -> int:
        return int(words.take(str(value) if type(value) is int else value))

    return msgspec.structs.replace(words, take=take)


def factor(shown_when_zero: str) -> Kind:
    """A number: 0, which is special, or one that times can be multiplied and divided by."""

    def take(value: Any) -> float:
        if isinstance(value, str) and _NUMBER.fullmatch(value.strip()):
            value = float(value)
        if type(value) not in {int, float}:
            raise TypeError
        if value != 0 and not 1 / LONGEST <= value <= LONGEST:
            raise ValueError
        return float(value)

    return Kind(
        expects=f"0 or a number from {1 / LONGEST:g} to {LONGEST:g}",
        take=take,
        show=lambda value: f"{value:g}" if value else shown_when_zero,
    )


def one_of(*choices: str) -> Kind:
    """One word of a fixed few."""

    def take(value: Any) -> str:
        if not isinstance(value, str) or value.strip() not in choices:
            raise ValueError
        return value.strip()

    return Kind(expects=f"one of {', '.join(choices)}", take=take)


def yes_or_no() -> Kind:
    """A switch: an option without a value, ``yes`` or ``no`` in a variable."""

    def take(value: Any) -> bool:
        if isinstance(value, str):
            value = _TRUTH.get(value.strip().lower())
        if type(value) is not bool:
            raise TypeError
        return value

    return Kind(
        expects="yes or no (also: true, false, on, off, 1, 0)",
        take=take,
        show=lambda value: "yes" if value else "no",
        flag=True,
    )


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    value.encode()  # raises ValueError for bytes of a command line that were no text
    return value


def text() -> Kind:
    """Any text, the empty one too."""
    return Kind(expects="a text", take=_text)


def path() -> Kind:
    """The path of a file."""

    def take(value: Any) -> str:
        if isinstance(value, PathLike):
            value = fspath(value)
        if not _text(value).strip() or "\0" in value:
            raise ValueError
        return str(value)

    return Kind(expects="the path of a file", take=take)


def texts(expects: str, *, at_least: int = 0, shown_when_empty: str = "none") -> Kind:
    """Several texts that are not empty, in order and without repetition; one text stands alone."""

    def take(value: Any) -> tuple[str, ...]:
        values = (value,) if isinstance(value, str) else value
        if not isinstance(values, (list, tuple)):
            raise TypeError
        if not all(_text(each).strip() for each in values):
            raise ValueError
        if len(values) < at_least:
            raise ValueError
        return tuple(dict.fromkeys(values))

    return Kind(
        expects=expects,
        take=take,
        show=lambda values: ", ".join(values) or shown_when_empty,
        many=True,
    )


class Config(msgspec.Struct, frozen=True, kw_only=True):
    """Every setting of one server, checked: a Config with a wrong value cannot be made.

    Raises:
        BadSetting: a value is not of its setting's kind.
        TypeError: a name is none of the settings (`of` raises it with a hint).
    """

    port: Annotated[
        int,
        Setting(
            help="Listen on this TCP port of the loopback addresses (127.0.0.1 and, where there"
            " is one, ::1); 0 picks a free one.",
            kind=whole_number(0, 65535),
            also=("PORT",),
        ),
    ] = 3500
    listen: Annotated[
        tuple[str, ...],
        Setting(
            help="Listen on this Twisted server endpoint, such as tcp:3500:interface=0.0.0.0,"
            " unix:/run/fakellm.sock or ssl:3500:privateKey=key.pem:certKey=cert.pem, instead of"
            " the loopback addresses. May be repeated; in the variable, separated by white space.",
            kind=texts("a server endpoint such as tcp:3500", shown_when_empty="loopback"),
            separator=None,
        ),
    ] = ()
    model: Annotated[
        tuple[str, ...],
        Setting(
            help="Offer a model of this name. May be repeated; in the variable, separated by"
            " commas.",
            kind=texts("the name of a model", at_least=1),
        ),
    ] = ("fake-model",)
    flavour: Annotated[
        FlavourName,
        Setting(
            help="Have the ways of this server where OpenAI's format is spoken: openai or vllm.",
            kind=one_of(*get_args(FlavourName)),
        ),
    ] = "openai"
    vllm_model: Annotated[
        tuple[str, ...],
        Setting(
            help="Offer a model of this name that has vLLM's ways, whatever the others have. May be"
            " repeated; in the variable, separated by commas.",
            kind=texts("the name of a model"),
        ),
    ] = ()
    api_key: Annotated[
        tuple[str, ...],
        Setting(
            help="Refuse requests that do not carry this key. May be repeated; in the variable,"
            " separated by commas.",
            kind=texts("an API key that is not empty"),
            secret=True,
        ),
    ] = ()
    control_token: Annotated[
        str,
        Setting(
            help="Obey under /_fakellm/ only requests that carry this token, from any machine;"
            " without it, any from this machine.",
            kind=token(),
            secret=True,
        ),
    ] = ""
    answer: Annotated[
        str, Setting(help="Answer with this text where nothing else decides.", kind=text())
    ] = "hello world"
    echo_model: Annotated[
        bool,
        Setting(
            help="Answer in the name of whichever model was asked for; otherwise the first model"
            " answers for those that are not offered.",
            kind=yes_or_no(),
        ),
    ] = False
    http: Annotated[
        HttpName,
        Setting(
            help="Speak HTTP/1.1 on plain connections by a front of its own (fast), or by Twisted"
            " Web (twisted), which serves TLS and HTTP/2 in any case.",
            kind=one_of(*get_args(HttpName)),
        ),
    ] = "fast"
    max_body: Annotated[
        int, Setting(help="Refuse request bodies larger than this.", kind=size())
    ] = 50 * 1024**2
    keep_at_most: Annotated[
        int,
        Setting(
            help="Keep so many bytes of responses, conversations and the like between requests,"
            " about; the oldest go first.",
            kind=size(),
        ),
    ] = 64 * 1024**2
    strict_requests: Annotated[
        bool,
        Setting(help="Refuse request fields that the API does not know.", kind=yes_or_no()),
    ] = False
    prefix: Annotated[
        tuple[str, ...],
        Setting(
            help="Answer below this path as well, as behind a gateway: /gateway/openai; * is any"
            " path. May be repeated; in the variable, separated by commas.",
            kind=texts("a path such as /gateway, or *"),
        ),
    ] = ()
    scenario: Annotated[
        tuple[str, ...],
        Setting(
            help="Read rules from this file, or from the files of this folder. May be repeated; in"
            " the variable, separated by commas.",
            kind=texts("the path of a scenario file or a folder of them"),
        ),
    ] = ()
    strict: Annotated[
        bool,
        Setting(help="Refuse requests that no rule of a scenario matches.", kind=yes_or_no()),
    ] = False
    prompt_commands: Annotated[
        bool,
        Setting(
            help="Heed last messages such as [500], [echo] TEXT and [tokens 100].",
            kind=yes_or_no(),
        ),
    ] = True
    watch: Annotated[
        bool,
        Setting(help="Read scenario files again when they change.", kind=yes_or_no()),
    ] = True
    tokenizer: Annotated[
        TokenizerName,
        Setting(
            help="Count tokens like this: words, o200k_base or cl100k_base (these two need"
            " twisted-fakellm[tokens]).",
            kind=one_of(*get_args(TokenizerName)),
        ),
    ] = "words"
    ttft: Annotated[
        float | DistributionSpec,
        Setting(
            help="Let this time pass before the first token (TTFT): a duration, or a distribution"
            " such as {lognormal: {p50: 300ms, p99: 2s}}.",
            kind=duration_or_distribution(),
        ),
    ] = 0.0
    itl: Annotated[
        float | DistributionSpec,
        Setting(
            help="Let this time pass from one token to the next: the inter-token latency (ITL),"
            " as a duration or a distribution.",
            kind=duration_or_distribution(),
        ),
    ] = 0.0
    tokens_per_second: Annotated[
        float,
        Setting(
            help="Say so many tokens in a second, the other way to say an ITL; 0 for no limit.",
            kind=factor("no limit"),
        ),
    ] = 0.0
    prefill: Annotated[
        float,
        Setting(
            help="Read so many tokens of the prompt in a second, which adds to the TTFT; 0 for no"
            " limit.",
            kind=factor("no limit"),
        ),
    ] = 0.0
    total: Annotated[
        float | DistributionSpec,
        Setting(
            help="Spread the tokens of an answer over this time: a duration or a distribution;"
            " 0 leaves them as they are.",
            kind=duration_or_distribution(),
        ),
    ] = 0.0
    chunk_tokens: Annotated[
        int,
        Setting(
            help="Put so many tokens in a chunk; 0 leaves it to the reply, else one.",
            kind=whole_number(0, 1_000_000),
        ),
    ] = 0
    slots: Annotated[
        int,
        Setting(help="Let so many answers run at once; 0 for any number.", kind=whole_number(0)),
    ] = 0
    queue: Annotated[
        int | None,
        Setting(
            help="Let so many requests wait for a slot.",
            kind=maybe(whole_number(0), "any number"),
        ),
    ] = None
    queue_full: Annotated[
        int,
        Setting(
            help="Answer with this status when the queue is full: 503 or 429.",
            kind=one_number_of(503, 429),
        ),
    ] = 503
    slowdown: Annotated[
        float,
        Setting(
            help="Multiply TTFT and ITL by this when all slots are busy, and in between in"
            " proportion; 0 for no slowdown.",
            kind=factor("none"),
        ),
    ] = 0.0
    late: Annotated[
        Late,
        Setting(
            help="What a stream does that is behind its times: catch_up, slip or drop.",
            kind=one_of(*get_args(Late)),
        ),
    ] = "catch_up"
    clock: Annotated[
        ClockName,
        Setting(
            help="Go by the real time, or by a virtual one that stands still until it is advanced.",
            kind=one_of(*get_args(ClockName)),
        ),
    ] = "real"
    role_chunk: Annotated[
        Token,
        Setting(
            help="Send the role of a stream alone, or with-first-token.",
            kind=one_of(*get_args(Token)),
        ),
    ] = "alone"
    finish_chunk: Annotated[
        LastToken,
        Setting(
            help="Send the finish reason of a stream alone, or with-last-token.",
            kind=one_of(*get_args(LastToken)),
        ),
    ] = "alone"
    head: Annotated[
        Head,
        Setting(
            help="Send status and headers at-once, or with-first-token.",
            kind=one_of(*get_args(Head)),
        ),
    ] = "at-once"
    requests_per_minute: Annotated[
        int,
        Setting(
            help="Let each API key make so many requests a minute; 0 for no limit.",
            kind=whole_number(0),
        ),
    ] = 0
    tokens_per_minute: Annotated[
        int,
        Setting(
            help="Let each API key have so many tokens a minute; 0 for no limit.",
            kind=whole_number(0),
        ),
    ] = 0
    concurrent: Annotated[
        int,
        Setting(
            help="Let each API key have so many answers at once; 0 for no limit.",
            kind=whole_number(0),
        ),
    ] = 0
    context_length: Annotated[
        int,
        Setting(
            help="Let prompt and answer have so many tokens together; 0 for no limit.",
            kind=whole_number(0),
        ),
    ] = 0
    fault: Annotated[
        tuple[str, ...],
        Setting(
            help="Have this go wrong, such as reset after 3. May be repeated; in the variable,"
            " separated by semicolons.",
            kind=faults(),
            separator=";",
        ),
    ] = ()
    speed: Annotated[
        float,
        Setting(
            help="Divide all times that answers take by this; 0 for no waiting at all.",
            kind=factor("no waiting"),
        ),
    ] = 1.0
    seed: Annotated[
        int,
        Setting(help="Seed every draw of chance, so that a run repeats.", kind=whole_number()),
    ] = 0
    journal: Annotated[
        str | None,
        Setting(
            help="Append every request and what became of it to this file, as JSON lines.",
            kind=maybe(path(), "none"),
        ),
    ] = None
    journal_size: Annotated[
        int,
        Setting(
            help="Keep so many requests for whoever looks, and drop the oldest beyond them; 0 keeps"
            " none.",
            kind=whole_number(0, 10_000_000),
        ),
    ] = 10_000
    journal_memory: Annotated[
        int,
        Setting(
            help="Keep no more requests than fit into this, about.",
            kind=size(),
        ),
    ] = 64 * 1024**2
    journal_body: Annotated[
        int,
        Setting(
            help="Keep no more than this of the body of a request.",
            kind=size(),
        ),
    ] = 64 * 1024
    session_idle: Annotated[
        float,
        Setting(
            help="Forget a session, and all it has, that has asked nothing for this long.",
            kind=duration(),
        ),
    ] = 3600.0
    grace: Annotated[
        float,
        Setting(
            help="When told to stop, wait this long for running answers to end.", kind=duration()
        ),
    ] = 3.0
    log_level: Annotated[
        LogLevelName,
        Setting(
            help="Log this and what is worse: debug, info, warn, error or critical.",
            kind=one_of(*get_args(LogLevelName)),
        ),
    ] = "info"
    log_format: Annotated[
        LogFormatName,
        Setting(
            help="Log lines for people (text) or JSON objects, one a line (json).",
            kind=one_of(*get_args(LogFormatName)),
        ),
    ] = "text"

    def __post_init__(self) -> None:
        """Check every value, and turn what means the same (a list, ``"10MB"``) into it."""
        for setting in SETTINGS:
            value = setting.take(getattr(self, setting.name), setting.name)
            msgspec.structs.force_setattr(self, setting.name, value)
        if self.slowdown and self.slowdown < 1:
            raise BadSetting("slowdown: expected 0 or a number of 1 or more")
        if self.itl and self.tokens_per_second:
            raise BadSetting("itl and tokens_per_second are two ways to say one thing: give one")

    @property
    def models(self) -> tuple[str, ...]:
        """All models on offer."""
        return tuple(dict.fromkeys((*self.model, *self.vllm_model)))

    @property
    def timing(self) -> TimingSpec:
        """How long answers take where nothing else says so."""
        return TimingSpec(
            ttft=self.ttft or None,
            itl=self.itl or None,
            tokens_per_second=self.tokens_per_second or None,
            prefill=self.prefill or None,
            chunk_tokens=self.chunk_tokens or None,
            total=self.total or None,
        )

    @property
    def load(self) -> LoadSpec:
        """How many answers run at once where nothing else says so."""
        return LoadSpec(
            slots=self.slots or None,
            queue=self.queue,
            full=429 if self.queue_full == 429 else 503,  # noqa: PLR2004 -- an HTTP status
            slowdown=self.slowdown or None,
        )

    @property
    def framing(self) -> FramingSpec:
        """Which chunks stand alone where nothing else says so."""
        return FramingSpec(
            role="alone" if self.role_chunk == "alone" else "with_first_token",
            finish="alone" if self.finish_chunk == "alone" else "with_last_token",
            head="at_once" if self.head == "at-once" else "with_first_token",
        )

    @property
    def limits(self) -> tuple[LimitSpec, ...]:
        """The limits where nothing else says so, each for every API key."""
        limits = (
            LimitSpec(requests=self.requests_per_minute or None, per="1m", by="key"),
            LimitSpec(tokens=self.tokens_per_minute or None, per="1m", by="key"),
            LimitSpec(concurrent=self.concurrent or None, by="key"),
        )
        return tuple(each for each in limits if each.requests or each.tokens or each.concurrent)

    @classmethod
    def of(cls, **settings: Any) -> "Config":
        """Make a Config of settings by their names, with a hint where a name is wrong.

        Raises:
            BadSetting: a value is wrong; as an `UnknownSetting`, a name is none of the settings.
        """
        known = [setting.name for setting in SETTINGS]
        for name in settings:
            if name not in known:
                raise UnknownSetting(f"{name!r} is not a setting{did_you_mean(name, known)}")
        return cls(**settings)

    def shown(self) -> dict[str, Any]:
        """Every setting by name, as it may be shown to anybody: the secret ones masked."""
        return {
            setting.name: _masked(getattr(self, setting.name))
            if setting.secret
            else getattr(self, setting.name)
            for setting in SETTINGS
        }

    def __repr__(self) -> str:
        return f"Config({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self.shown().items())


def _masked(secret: str | tuple[str, ...]) -> str | tuple[str, ...]:
    if isinstance(secret, str):
        return "***" if secret else ""
    return tuple("***" for _ in secret)


def declared(config: type[msgspec.Struct]) -> Iterable[Setting]:
    """Read the settings off the annotations of a struct's fields."""
    for field in msgspec.structs.fields(config):
        if get_origin(field.type) is not Annotated:
            raise TypeError(f"{config.__name__}.{field.name} declares no Setting")
        setting = field.type.__metadata__[0]
        yield msgspec.structs.replace(setting, name=field.name, default=field.default)


SETTINGS: tuple[Setting, ...] = tuple(declared(Config))
"""Every setting, in the order of declaration."""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return ``"; did you mean X?"`` for the known word nearest to a wrong one, or ``""``."""
    near = nearest(word, known)
    return "" if near is None else f"; did you mean {near}?"


def config_from(options: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """Make the Config of a command line and an environment.

    An option beats a variable, and a variable beats a default. A variable that is empty counts as
    not set, and so does a value that Kubernetes made from the name of a Service
    (``FAKELLM_PORT=tcp://10.0.0.1:80``).

    Args:
        options: the options that were given, by the name of their field (``log_level``): text, a
            list of texts for a repeatable one, a bool for a switch.
        environ: the environment's variables.

    Raises:
        BadSetting: a value is wrong; the text names the option or the variable.
    """
    chosen = {}
    for setting in SETTINGS:
        if setting.name in options:
            chosen[setting.name] = setting.take(options[setting.name], setting.option)
            continue
        for variable in setting.variables:
            value = environ.get(variable, "")
            if value.strip() and not _LINK_VALUE.fullmatch(value):
                chosen[setting.name] = setting.take_variable(value, variable)
                break
    return Config(**chosen)


def unknown_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Say, one line each, which ``FAKELLM_`` variables set nothing."""
    known = [variable for setting in SETTINGS for variable in setting.variables]
    return tuple(
        f"{name} is set, but is no setting of fakellm{did_you_mean(name, known)}"
        for name in sorted(environ)
        if name.startswith(_PREFIX) and name not in known and not _LINK_NAME.fullmatch(name)
    )
