"""From what was decided to a timeline: unfolded, paced, afflicted and encoded."""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import repeat

from msgspec import Struct
from twisted.logger import Logger
from twisted.python.failure import Failure as TwistedFailure

from fakellm.engine.case import Case
from fakellm.engine.plates import Plates
from fakellm.faults.afflict import afflicted, afflicted_acts
from fakellm.faults.fault import Fault
from fakellm.interfaces import IDialect, IEncoder, ITokenizer
from fakellm.journal.noted import Noted
from fakellm.model.events import Failed
from fakellm.model.prompt import Prompt
from fakellm.model.reply import Failure, Refused, Reply
from fakellm.model.timeline import Act, Cue
from fakellm.scenarios.made import BadSchema
from fakellm.timing.choice import in_chunks
from fakellm.timing.pace import Paced, Timing, pace
from fakellm.timing.unfold import unfold

Faults = tuple[Fault, ...]


class Telling(Struct, frozen=True, kw_only=True):
    """How a server tells its answers.

    Attributes:
        tokenizer: cuts them into tokens.
        plates: has those that were told before.
        speed: what all times are divided by; 0 means that nothing takes time.
        noted: is told the name of each fault that strikes, and whom.
    """

    tokenizer: ITokenizer
    plates: Plates
    speed: float
    noted: Callable[[Noted, str], None]

    def reply(
        self, case: Case, prompt: Prompt, reply: Reply, timing: Timing | None, faults: Faults
    ) -> Iterator[Cue]:
        """An answer."""
        if not faults and timing is not None and len(reply.choices) == 1:
            cues = self._printed(case, prompt, reply, timing)
            if cues is not None:
                return cues
        paced = self._paced(case, prompt, reply, timing)
        encoder = case.dialect.encoder(prompt, case.stamp, case.regime.framing)
        if not faults:
            return _guarded(_encoded(paced, encoder), encoder, case.dialect)
        cues = afflicted(
            paced,
            encoder,
            faults,
            streamed=prompt.stream,
            chance=case.stamp.chance("afflictions"),
            speed=self.speed,
            noted=partial(self.noted, case.noted),
        )
        return _guarded(cues, encoder, case.dialect)

    def _printed(
        self, case: Case, prompt: Prompt, reply: Reply, timing: Timing
    ) -> Iterator[Cue] | None:
        """An answer that was told before, if it was and counts for no limit."""
        if case.admitted is not None or timing.chunk_tokens is not None:
            return None
        plate = self.plates.plate(case.dialect, prompt, reply, case.regime.framing, case.stamp)
        if plate is None:
            return None
        count = self.plates.count(prompt)
        case.noted.usage = plate.usage(count)
        slowdown = 1.0 if case.place is None else case.place.slowdown
        return plate.cues(case.stamp, count, timing, speed=self.speed, slowdown=slowdown)

    def instead(
        self, case: Case, said: Failure | Iterable[Act], timing: Timing | None, faults: Faults
    ) -> Iterator[Cue]:
        """What is no answer of a model's: an error, at its time to the first token, or acts."""
        acts = case.dialect.failure(said, case.stamp) if isinstance(said, Failure) else said
        at = 0.0
        if timing is not None and self.speed:
            at = timing.ttft.draw(case.stamp.chance("timing")) / self.speed
        if not faults:
            return zip(repeat(at), acts, strict=False)
        return afflicted_acts(
            acts, at, faults, speed=self.speed, noted=partial(self.noted, case.noted)
        )

    def apology(self, case: Case, error: Exception) -> Iterator[Cue]:
        """What a client is told of what went wrong, in its dialect's words."""
        dialect = case.dialect
        match error:
            case Refused(failure=failure):
                pass
            case BadSchema(tool=tool, reason=reason):
                failure = dialect.errors.bad_schema(tool, reason)
            case RecursionError():
                failure = Failure(status=400, message="The request is nested too deeply.")
            case _:
                _log.failure("A request could not be answered.", TwistedFailure(error))
                failure = dialect.errors.internal()
        case.noted.answer = failure
        return at_once(dialect.failure(failure, case.stamp))

    def _paced(
        self, case: Case, prompt: Prompt, reply: Reply, timing: Timing | None
    ) -> Iterator[Paced]:
        if timing is not None:
            reply = in_chunks(reply, timing)
        said = unfold(prompt, reply, self.tokenizer)
        events = said.events
        case.noted.usage = said.usage
        if case.admitted is not None:
            events = case.counted(events, said.prompt_tokens)
        if timing is None:
            return zip(repeat(0.0), events)
        return pace(
            events,
            timing,
            chance=case.stamp.chance("timing"),
            prompt_tokens=said.prompt_tokens,
            speed=self.speed,
            slowdown=1.0 if case.place is None else case.place.slowdown,
            tokens=said.tokens,
        )


def at_once(acts: Iterable[Act]) -> Iterator[Cue]:
    """Acts that are all due now."""
    return zip(repeat(0.0), acts, strict=False)


_log = Logger()


def _encoded(paced: Iterator[Paced], encoder: IEncoder) -> Iterator[Cue]:
    for at, event in paced:
        for act in encoder.encode(event):
            yield at, act


def _guarded(cues: Iterator[Cue], encoder: IEncoder, dialect: IDialect) -> Iterator[Cue]:
    """Cues that end properly, whatever breaks in them."""
    try:
        yield from cues
    except Exception:  # noqa: BLE001 -- whatever broke, the client is told in its own words
        _log.failure("An answer broke off.")
        yield from at_once(encoder.encode(Failed(failure=dialect.errors.internal())))
