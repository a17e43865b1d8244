"""Rules made with the words of `fakellm.FakeLLM`, to be sent somewhere.

Functions cannot be sent: the server may be another process.
"""

from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Generic, TypeVar, Unpack

from fakellm.scenarios import schema
from fakellm.scenarios.rules import ReplyFunction
from fakellm.scenarios.words import BesideAndOfRule, Conditions, OfRule, RuleMaker, Test, checked

T = TypeVar("T")

_NO_FUNCTIONS = (
    "a function cannot go to the server, which may be another process; one in this process takes"
    " it: llm.server.when(...)"
)


def conditions_of(test: Test | None, conditions: Conditions) -> schema.When:
    """The conditions of a rule.

    Raises:
        TypeError: one has a name that none has, or a value that none takes, or is a function.
    """
    if test is not None:
        raise TypeError(_NO_FUNCTIONS)
    when: schema.When = checked(conditions, schema.When, "when")
    return when


class SendingRuleMaker(Generic[T]):
    """A rule whose conditions are said and whose reply is yet to be; see `RuleMaker`.

    Args:
        send: takes the rule; what it gives is what `reply` and `replies` give.
        when: the conditions.
    """

    def __init__(self, send: Callable[[schema.Rule], T], when: schema.When) -> None:
        self._send = send
        self._when = when

    def reply(self, *parts: str | schema.PartSpec, **named: Unpack[BesideAndOfRule]) -> T:
        """Answer with this: texts and parts, or a whole `reply`.

        By name come what goes beside the parts (``finish_reason``, ``headers``, ...) and what a
        rule has (``name``, ``priority``, ``times``, ``set_state``, ``timing``, ``faults``,
        ``hold``).

        Returns:
            What removes the rule again, when it is called; it is awaited before, and after, where
            the client is asynchronous.

        Raises:
            TypeError: a name is unknown, or something is not what it has to be.
            BadScenarioText: the server finds the rule wrong; all mistakes are told.
        """
        return self._sent(lambda maker: maker.reply(*parts, **named))

    def replies(
        self,
        *replies: schema.Reply | schema.PartSpec,
        **named: Unpack[OfRule],
    ) -> T:
        """Answer with these in turn; ``then`` says what comes after the last.

        Each is a text, a part, a list of both, or a whole `reply`. It returns and raises as `reply`
        does.
        """
        return self._sent(lambda maker: maker.replies(*replies, **named))

    def _sent(self, make: Callable[[RuleMaker], object]) -> T:
        made: list[schema.Rule] = []

        def add(
            rule: schema.Rule, _: Test | None, functions: Mapping[int, ReplyFunction]
        ) -> Callable[[], None]:
            if functions:
                raise TypeError(_NO_FUNCTIONS)
            made.append(rule)
            return lambda: None

        make(RuleMaker(add, self._when, None))
        return self._send(made[0])


Remove = Callable[[], None]
AsyncRemove = Callable[[], Coroutine[Any, Any, None]]
