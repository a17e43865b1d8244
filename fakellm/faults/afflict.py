"""What faults make of an answer.

Pure and lazy: events in, cues out. Semantic faults come before the encoder and wire faults after
it, each sort in the order of the list; the positions of a fault count what those before it put out.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from random import Random

from fakellm.faults import semantic
from fakellm.faults.fault import Fault
from fakellm.faults.pages import html_page
from fakellm.faults.positions import Step, Steps
from fakellm.faults.semantic import Progress
from fakellm.faults.wire import Stages
from fakellm.interfaces import IEncoder
from fakellm.model.events import Token
from fakellm.model.reply import Failure
from fakellm.model.timeline import Act, Cue, Head, Nothing, Write
from fakellm.timing.pace import Paced

Noted = Callable[[str], None]


def instead(faults: Sequence[Fault], noted: Noted) -> Failure | tuple[Act, ...] | None:
    """What is answered in place of an answer: a failure to be worded, or acts; mostly neither.

    Of several the first counts. It is then for `afflicted_acts` to apply the other faults.
    """
    for fault in faults:
        if fault.name == "error" and fault.after is None:
            noted(fault.name)
            return fault.failure
        if fault.name == "html_error" and fault.number is not None:
            noted(fault.name)
            return html_page(int(fault.number))
    return None


def afflicted(
    paced: Iterator[Paced],
    encoder: IEncoder,
    faults: Sequence[Fault],
    *,
    streamed: bool,
    chance: Random,
    speed: float,
    noted: Noted,
) -> Iterator[Cue]:
    """An answer with faults.

    Args:
        paced: the answer, drawn no earlier than needed.
        encoder: words it.
        faults: what applies to it, and its gates, in order.
        streamed: whether it is a stream.
        chance: all draws follow from it.
        speed: what the faults' durations are divided by; 0 is no waiting, but for ever.
        noted: told the name of each fault when it strikes, once.

    Returns:
        Cues whose times never decrease. After an infinite one there may be none.
    """
    progress = Progress()
    stages = Stages(speed, noted, streamed=streamed)
    for fault in faults:
        paced = _semantic(paced, fault, progress, chance, speed, stages.once(fault))
    counts_tokens = any(fault.after and fault.after.unit == "tokens" for fault in faults)
    steps = _encoded(paced, encoder, progress, counts_tokens=counts_tokens)
    return _cues(stages.apply(steps, faults))


def afflicted_acts(
    acts: Iterable[Act],
    at: float,
    faults: Sequence[Fault],
    *,
    speed: float,
    noted: Noted,
) -> Iterator[Cue]:
    """An answer that is only acts, such as an error, with the faults that are not semantic.

    Args:
        acts: the answer.
        at: when it is due, in seconds since the request was received.
        faults: as `afflicted` has them.
        speed: likewise.
        noted: likewise.
    """
    stages = Stages(speed, noted, streamed=False)
    return _cues(stages.apply(((at, act, 0) for act in acts), faults))


def _semantic(
    paced: Iterator[Paced],
    fault: Fault,
    progress: Progress,
    chance: Random,
    speed: float,
    noted: Callable[[], None],
) -> Iterator[Paced]:
    match fault:
        case Fault(name="error", failure=Failure() as failure) if fault.after is not None:
            return semantic.error(paced, fault, failure, progress, speed, noted)
        case Fault(name="content_filter"):
            return semantic.content_filter(paced, fault, progress, speed, noted)
        case Fault(name="no_finish_reason"):
            return semantic.no_finish_reason(paced, noted)
        case Fault(name="oversized", number=number):
            return semantic.oversized(paced, int(number or 0), progress, chance, noted)
    return paced


def _encoded(
    paced: Iterator[Paced], encoder: IEncoder, progress: Progress, *, counts_tokens: bool
) -> Steps:
    """The steps of an answer; with what sends nothing, where tokens are counted."""
    for at, event in paced:
        before = progress.tokens
        if isinstance(event, Token):
            progress.tokens += event.tokens
        acts = tuple(encoder.encode(event))
        if not acts and counts_tokens:
            acts = (Nothing(),)
        last = len(acts) - 1
        for number, act in enumerate(acts):
            if isinstance(act, Write):
                progress.chunks += 1
                progress.bytes += len(act.data)
            elif isinstance(act, Head):
                progress.is_headed = True
            step: Step = at, act, progress.tokens if number == last else before
            yield step


def _cues(steps: Steps) -> Iterator[Cue]:
    for at, act, _ in steps:
        yield at, act
