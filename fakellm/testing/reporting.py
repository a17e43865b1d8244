"""What a person needs to see of a server when a test has failed.

What it was asked, which rule answered, or which one nearly did, and what that one missed.
It must never raise: a report is no place for another failure.
"""

from collections.abc import Iterable, Iterator, Sequence

from msgspec import Struct

from fakellm.dialects import registry
from fakellm.engine.shelf import Shelf
from fakellm.journal.records import JournalEntry
from fakellm.model.prompt import Prompt, Received
from fakellm.scenarios.facts import Facts
from fakellm.scenarios.matching import compile_when
from fakellm.scenarios.text_tests import shortened
from fakellm.testing.client import Client
from fakellm.testing.documents import RuleState

REQUESTS_SHOWN = 20
_NO_REQUESTS = (
    "none: what was tested has not asked this server, or in another session"
    " (base URL {url}, API key {key})"
)


def sections(llm: Client) -> list[tuple[str, str]]:
    """The sections of a report: a title and a text each."""
    try:
        return list(_sections(llm))
    except Exception as error:  # noqa: BLE001 -- whatever it is, the test's own failure matters
        return [("fakellm", f"the server cannot be asked what it was asked: {error!r}")]


def _sections(llm: Client) -> Iterator[tuple[str, str]]:
    requests = llm.requests
    if not requests:
        yield "fakellm: requests received", _NO_REQUESTS.format(url=llm.url, key=llm.api_key)
        return
    yield "fakellm: requests received", "\n".join(_listed(requests))
    rules = [rule for rule in llm.rules() if rule.source != "built_in"]
    near = "\n".join(_near_rules(requests, rules))
    if near:
        yield "fakellm: nearest rule", near


def _listed(requests: Sequence[JournalEntry]) -> Iterator[str]:
    left_out = len(requests) - REQUESTS_SHOWN
    if left_out > 0:
        yield f"({left_out} before these)"
    for request in requests[-REQUESTS_SHOWN:]:
        yield from _told(request)


def _told(request: JournalEntry) -> Iterator[str]:
    stream = ", streamed" if request.stream else ""
    yield f"{request.number}. {request.method} {request.path} (model {request.model!r}{stream})"
    if request.prompt is not None:
        for message in request.prompt.messages[-2:]:
            calls = [part["name"] for part in message.parts if part.get("type") == "tool_call"]
            said = f"calls {', '.join(calls)}" if calls and not message.text else message.text
            yield f"     {message.role}: {shortened(said)}"
    else:
        yield f"     {shortened(request.body)}"
    rule = "no rule" if request.rule is None else request.rule.title
    why = f", as {'; '.join(request.rule.why)}" if request.rule and request.rule.why else ""
    yield f"  -> {request.status or 'no answer yet'} by {rule}{why}"
    if request.answer is not None:
        for choice in request.answer.choices:
            yield f"     {choice.finish_reason}: {shortened(choice.text)}"
        if request.answer.error is not None and request.answer.error.message:
            yield f"     {shortened(request.answer.error.message)}"
    if request.faults:
        yield f"     with {', '.join(request.faults)}"
    if request.delivery.ended not in {None, "finished"}:
        yield f"     {request.delivery.ended} after {request.delivery.chunks} chunks"


class Near(Struct, frozen=True, kw_only=True):
    """A rule that did not answer: how many of its conditions hold, and the first that does not."""

    rule: RuleState
    held: int
    failed: str


def nearest(request: JournalEntry, rules: Iterable[RuleState]) -> Near | None:
    """The rule of which most conditions hold but one does not, if there is any such.

    States and attempts are not known any more: they are taken for those of a first request.
    """
    prompt = _prompt(request)
    if prompt is None:
        return None
    facts = Facts(prompt)
    found = None
    for rule in rules:
        matcher = compile_when(rule.rule.when)
        failed = matcher.failure(facts)
        held = matcher.score(facts)
        if failed is not None and (found is None or held > found.held):
            found = Near(rule=rule, held=held, failed=str(failed))
    return found


def _near_rules(requests: Sequence[JournalEntry], rules: Sequence[RuleState]) -> Iterator[str]:
    """Of each request that no rule of the test's answered."""
    if not rules:
        yield "there are no rules but the built-in ones"
        return
    for request in requests[-REQUESTS_SHOWN:]:
        if request.rule is not None and request.rule.written:
            continue
        near = nearest(request, rules)
        if near is not None:
            yield f"{request.number}. {near.rule.title}: {near.failed}"


def _prompt(request: JournalEntry) -> Prompt | None:
    """What was asked, as rules look at it; ``None`` where that is not known any more."""
    received = Received(
        method=request.method,
        path=request.path,
        query=request.query,
        headers=request.headers,
        body=request.body.encode(),
    )
    dialect = registry.ROUTING.endpoint_at(request.path)
    if dialect is None:
        return None
    try:
        return dialect.decode(received, strict=False, kept=Shelf())
    except Exception:  # noqa: BLE001 -- a body that was cut off, say
        return None
