"""Counting what a server does: numbers in dictionaries, for every request has to pay for them.

Whoever scrapes gets them by `fakellm.metrics.exposition`. Values that clients choose, such as the
names of models, are bounded: beyond `VALUES_AT_MOST` of them all others are ``(other)``.
"""

from bisect import bisect_left
from collections import Counter

from fakellm.journal.noted import Noted
from fakellm.model.reply import Usage

VALUES_AT_MOST = 100
"""Values of a label that are told apart."""

SERIES_AT_MOST = 2000
"""Combinations of the labels of answers that are told apart, in full."""

OTHER = "(other)"
"""What stands for all further values."""

NONE = ""
"""What stands for no value: no rule answered, or no model was understood."""

LONGEST = 200
"""Characters of a value that are kept."""

SECONDS = (
    0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
)  # fmt: skip
"""Upper bounds of the buckets of all times, in seconds; one more is open."""

Labels = tuple[str, ...]


class Names:
    """The values of one label, and no more of them than that."""

    def __init__(self, at_most: int = VALUES_AT_MOST) -> None:
        self._known: dict[str, str] = {}
        self._at_most = at_most

    def bounded(self, name: str) -> str:
        """The name, or what stands for those that are too many."""
        known = self._known.get(name)
        if known is None:
            if len(self._known) >= self._at_most:
                return OTHER
            known = self._known[name] = name[:LONGEST]
        return known


class Spread:
    """A histogram.

    Attributes:
        counts: by bucket.
        sum: of all that was noted.
    """

    __slots__ = ("counts", "sum")

    def __init__(self) -> None:
        self.counts = [0] * (len(SECONDS) + 1)
        self.sum = 0.0

    def note(self, seconds: float) -> None:
        """Count one."""
        self.counts[bisect_left(SECONDS, seconds)] += 1
        self.sum += seconds


class Tally:
    """The counts of a server.

    Attributes:
        requests: that came in, by dialect.
        answers: that have ended, by dialect, endpoint, model, status (``0`` where nothing was sent)
            and rule.
        ended: by who ended them.
        faults: by name.
        tokens: by dialect, model and kind: ``prompt``, ``cached``, ``completion``, ``reasoning``.
        ttft: times to the first token of streams, by dialect and model.
        duration: of answers, by dialect and model.
        lateness: of streams, that of the write that was latest, by dialect and model.
    """

    def __init__(self) -> None:
        self.requests: dict[str, int] = {}
        self.answers: dict[Labels, int] = {}
        self.ended: Counter[str] = Counter()
        self.faults: Counter[str] = Counter()
        self.tokens: dict[Labels, int] = {}
        self.ttft: dict[Labels, Spread] = {}
        self.duration: dict[Labels, Spread] = {}
        self.lateness: dict[Labels, Spread] = {}
        self._models = Names()
        self._rules = Names()
        self._statuses: dict[int | None, str] = {None: "0"}

    def begin(self, dialect: str) -> None:
        """A request came in."""
        self.requests[dialect] = self.requests.get(dialect, 0) + 1

    def note(self, noted: Noted) -> None:
        """The answer to a request has ended."""
        delivery, prompt = noted.delivery, noted.prompt
        if prompt is None:
            endpoint = model = NONE
        else:
            endpoint, model = prompt.endpoint, self._models.bounded(prompt.model)
        rule = None if noted.decision is None else noted.decision.rule
        status = self._statuses.get(delivery.status)
        if status is None:
            status = self._statuses[delivery.status] = str(delivery.status)
        rule = NONE if rule is None else self._rules.bounded(rule)
        labels: Labels = (noted.dialect, endpoint, model, status, rule)
        counted = self.answers.get(labels)
        if counted is None and len(self.answers) >= SERIES_AT_MOST:
            labels = (noted.dialect, endpoint, OTHER, status, OTHER)
            counted = self.answers.get(labels)
        self.answers[labels] = (counted or 0) + 1
        how = delivery.how or NONE
        self.ended[how] = self.ended.get(how, 0) + 1
        if noted.faults is not None:
            self.faults.update(noted.faults)
        whose = noted.dialect, model
        if delivery.ended_at is not None:
            _spread(self.duration, whose).note(delivery.ended_at - delivery.arrived)
        if delivery.first_token is not None:
            _spread(self.ttft, whose).note(delivery.first_token - delivery.arrived)
            _spread(self.lateness, whose).note(delivery.late)
        if noted.usage is not None:
            self._count_tokens(noted.usage, noted.dialect, model)

    def _count_tokens(self, usage: Usage, dialect: str, model: str) -> None:
        tokens = self.tokens
        prompt, said = (dialect, model, "prompt"), (dialect, model, "completion")
        tokens[prompt] = tokens.get(prompt, 0) + usage.prompt
        tokens[said] = tokens.get(said, 0) + usage.completion
        if usage.cached:
            cached = dialect, model, "cached"
            tokens[cached] = tokens.get(cached, 0) + usage.cached
        if usage.reasoning:
            thought = dialect, model, "reasoning"
            tokens[thought] = tokens.get(thought, 0) + usage.reasoning


def _spread(spreads: dict[Labels, Spread], labels: Labels) -> Spread:
    found = spreads.get(labels)
    if found is None:
        found = spreads[labels] = Spread()
    return found
