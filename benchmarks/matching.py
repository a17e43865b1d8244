"""How long it takes to decide which rule answers: run ``python -m benchmarks.matching``.

Every request matches the last rule only, the worst there is. A decision is everything a server does
for a request: facts made anew, candidates from the index, matching until one holds. Figures are
medians on one core.
"""

import gc
import statistics
import sys
from collections.abc import Callable, Sequence
from time import perf_counter

import msgspec
import regex

from fakellm.model.content import Text
from fakellm.model.prompt import Message, Prompt, Received, Role, Tool
from fakellm.scenarios import text_tests
from fakellm.scenarios.facts import Facts
from fakellm.scenarios.index import RuleIndex
from fakellm.scenarios.matching import Matcher, compile_when
from fakellm.scenarios.schema import TextRule, TextTest, When

Kind = Callable[[int], TextRule]


def equality(number: int) -> TextRule:
    """The whole text."""
    return f"Please give me a short forecast of the weather in city {number}, thank you."


def contains(number: int) -> TextRule:
    """A part of the text."""
    return TextTest(contains=f"in city {number},")


def pattern(number: int) -> TextRule:
    """A regular expression with plain text in it, as most have."""
    return TextTest(matches=rf"weather in (?P<what>\w+) {number},")


def folded_pattern(number: int) -> TextRule:
    """A regular expression that has to be searched for to know."""
    return TextTest(matches=rf"(?i)weather in (?P<what>\w+) {number},")


def nested_text(number: int) -> TextRule:
    """A test made of tests."""
    return TextTest(starts_with="Please", any=(TextTest(contains=f"y {number},"), f"city {number}"))


def rules(count: int, *kinds: Kind) -> list[When]:
    """Rules of the kinds in turn, each with one or two conditions beside that on the text."""
    return [
        When(
            user=kinds[number % len(kinds)](number),
            model="gpt-4o" if number % 2 else None,
            step=1,
        )
        for number in range(count)
    ]


def prompt(number: int) -> Prompt:
    """An ordinary request of a second turn, whose last message matches rule ``number``."""
    said: tuple[tuple[Role, str], ...] = (
        ("system", "You are a helpful assistant."),
        ("user", "Hello!"),
        ("assistant", "Hello, how can I help you?"),
        ("user", f"Please give me a short forecast of the weather in city {number}, thank you."),
    )
    body = msgspec.json.encode(
        {"model": "gpt-4o", "messages": [{"role": role, "content": text} for role, text in said]}
    )
    return Prompt(
        dialect="openai",
        endpoint="chat.completions",
        model="gpt-4o",
        messages=tuple(Message(role=role, parts=(Text(text=text),)) for role, text in said),
        tools=(Tool(name="get_weather"),),
        received=Received(
            method="POST",
            path="/v1/chat/completions",
            headers={"content-type": "application/json", "user-agent": "benchmark"},
            body=body,
        ),
    )


def decide(matchers: Sequence[Matcher], index: RuleIndex, asked: Prompt) -> int | None:
    """The position of the rule that answers."""
    facts = Facts(asked)
    for position in index.candidates(facts):
        if matchers[position].match(facts) is not None:
            return position
    return None


def median_seconds(work: Callable[[], object], *, rounds: int, times: int) -> float:
    """The median over the rounds of the mean over the times."""
    work()
    took = []
    gc.disable()
    for _ in range(rounds):
        start = perf_counter()
        for _ in range(times):
            work()
        took.append((perf_counter() - start) / times)
    gc.enable()
    return statistics.median(took)


def shown(seconds: float) -> str:
    """A duration for people."""
    return f"{seconds * 1e6:11,.1f} µs"


def print_figure(what: str, seconds: float, note: str = "") -> None:
    """Write one line."""
    sys.stdout.write(f"{what:<58}{shown(seconds)}  {note}".rstrip() + "\n")


def measure_decisions(what: str, count: int, *kinds: Kind, bar: str = "") -> None:
    """Print how long it takes to decide for the last of ``count`` rules."""
    matchers = [compile_when(when) for when in rules(count, *kinds)]
    index = RuleIndex(matchers)
    asked = prompt(count - 1)
    if decide(matchers, index, asked) != count - 1:
        raise AssertionError("the last rule should be the one that matches")
    seconds = median_seconds(
        lambda: decide(matchers, index, asked), rounds=200, times=max(1, 1000 // count)
    )
    print_figure(f"decide: {count:,} rules, {what}", seconds, bar)


def measure_compiling(count: int, *kinds: Kind, bar: str = "") -> None:
    """Print how long it takes to compile so many rules, with the cache of regexes emptied."""
    written = rules(count, *kinds)

    def work() -> None:
        regex.purge()
        RuleIndex(compile_when(when) for when in written)

    print_figure(f"compile: {count:,} rules, mixed", median_seconds(work, rounds=9, times=1), bar)


def measure_catastrophe() -> None:
    """Print what a pattern costs that would take longer than the universe has been."""
    check = text_tests.compile_text(TextTest(matches="(a+)+$"))
    text = "a" * 30_000 + "b"
    for attempt in range(1, text_tests.STRIKES + 2):
        start = perf_counter()
        check.test(text)
        print_figure(f"(a+)+$ on 30,000 times a and b, search {attempt}", perf_counter() - start)


def main() -> None:
    """Print all figures."""
    mixed = (equality, contains, pattern)
    measure_decisions("mixed", 10, *mixed, bar="bar: 30 µs")
    measure_decisions("mixed", 1000, *mixed, bar="bar: 1 ms")
    measure_decisions("all equality", 1000, equality)
    measure_decisions("all contains", 1000, contains)
    measure_decisions("all regex", 1000, pattern)
    measure_decisions("all regex, case folded", 1000, folded_pattern)
    measure_decisions("all nested", 1000, nested_text)
    measure_compiling(1000, *mixed, bar="bar: 0.5 s")
    measure_catastrophe()


if __name__ == "__main__":
    main()
