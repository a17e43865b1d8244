"""A property that is worked out once, when it is first asked for.

In Python 3.11 `functools.cached_property` takes a lock, which costs more than most of what is
worked out here.
"""

from collections.abc import Callable
from typing import Any, Generic, TypeVar, overload

_Value = TypeVar("_Value")


class lazy(Generic[_Value]):  # noqa: N801 -- it is used like `property`
    """Decorates a method whose result is kept in the object, under the method's name.

    Args:
        work_out: the method. It may run more than once where threads share an object.
    """

    def __init__(self, work_out: Callable[[Any], _Value]) -> None:
        self._work_out = work_out
        self._name = work_out.__name__
        self.__doc__ = work_out.__doc__

    @overload
    def __get__(self, instance: None, owner: type) -> "lazy[_Value]": ...

    @overload
    def __get__(self, instance: object, owner: type) -> _Value: ...

    def __get__(self, instance: object | None, owner: type) -> "lazy[_Value] | _Value":
        if instance is None:
            return self
        value = instance.__dict__[self._name] = self._work_out(instance)
        return value
