"""How a server conducts itself under load, as it is written in files: records and no more.

Durations are as people write them; `fakellm.timing.durations` reads them.
"""

from typing import Annotated, Literal

from msgspec import Meta, Struct

from fakellm.timing.distributions import ConstantSpec

Late = Literal["catch_up", "slip", "drop"]
"""What a stream does that is behind its times."""


class LoadSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """How many answers run at once, and what becomes of the rest."""

    slots: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="How many answers run at once; without it, any number."),
    ] = None
    queue: Annotated[
        Annotated[int, Meta(ge=0)] | None,
        Meta(description="How many wait for a slot, in order of arrival; without it, any number."),
    ] = None
    full: Annotated[
        Literal[429, 503] | None,
        Meta(description="The status of the error when the queue is full; 503 without it."),
    ] = None
    slowdown: Annotated[
        Annotated[float, Meta(ge=1)] | None,
        Meta(
            description="What TTFT and ITL are multiplied by when all slots are busy; in between, "
            "in proportion."
        ),
    ] = None


class FramingSpec(
    Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True
):
    """Which chunks of a stream stand alone."""

    role: Annotated[
        Literal["alone", "with_first_token"] | None,
        Meta(description="Where the role goes: in a chunk of its own, or with the first token."),
    ] = None
    finish: Annotated[
        Literal["alone", "with_last_token"] | None,
        Meta(description="Where the finish reason goes: in a chunk of its own, or with the last."),
    ] = None
    head: Annotated[
        Literal["at_once", "with_first_token"] | None,
        Meta(description="When status and headers are sent."),
    ] = None


Whose = Literal["key", "model"]


class LimitSpec(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """One limit: exactly one of `requests`, `tokens` and `concurrent`."""

    requests: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="So many requests in each window.")
    ] = None
    tokens: Annotated[
        Annotated[int, Meta(ge=1)] | None,
        Meta(description="So many tokens, of prompts and answers, in each window."),
    ] = None
    concurrent: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="So many answers at once.")
    ] = None
    per: Annotated[
        ConstantSpec | None,
        Meta(
            description="The window, such as `30s`; 1m without it. `ever` makes it a quota, which "
            "runs out."
        ),
    ] = None
    by: Annotated[
        Literal["all", "key", "model"] | tuple[Whose, ...],
        Meta(description="Who shares it: all, those of an API key, those of a model, or of both."),
    ] = "all"
    model: Annotated[str | None, Meta(description="Only requests for this model count.")] = None
    key: Annotated[str | None, Meta(description="Only requests with this API key count.")] = None
