"""The sandbox: Jinja's, with every loop, call, filter and growing operation held to a budget.

A template is parsed, then its tree is rewritten: what Jinja compiles to bare Python (``for``,
``~``, lists, slices) passes through filters of ours whose names no template can spell. No template
may reach a file, another template, or anything that was not handed in.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import date
from functools import partial
from math import isinf
from types import GeneratorType
from typing import Any

from jinja2 import StrictUndefined, TemplateSyntaxError, UndefinedError, nodes, pass_context
from jinja2.environment import Template as Code
from jinja2.exceptions import SecurityError
from jinja2.runtime import Context, LoopContext, Macro
from jinja2.sandbox import ImmutableSandboxedEnvironment
from jinja2.utils import Cycler, Joiner, Namespace, missing
from jinja2.visitor import NodeTransformer

from fakellm.scenarios.mistakes import did_you_mean, shown
from fakellm.scenarios.templating.budget import budget, looped, stepping
from fakellm.scenarios.templating.errors import BadTemplate
from fakellm.scenarios.templating.filters import FILTERS
from fakellm.scenarios.templating.names import Moment
from fakellm.scenarios.templating.operations import (
    OPERATORS,
    TEXT_METHODS,
    concatenated,
    made,
    pieced,
    sliced,
    text_method,
)
from fakellm.scenarios.templating.values import kind_of, text_of

_MAX_LEVELS = 60
_NAME_LENGTH = 60
_NUMBER = frozenset(("bit_length", "is_integer", "real"))
_DATE = frozenset(("day", "isoformat", "isoweekday", "month", "weekday", "year"))
_TIME = frozenset(("date", "hour", "microsecond", "minute", "replace", "second", "timestamp"))
_ATTRIBUTES: Mapping[type, frozenset[str]] = {
    bool: frozenset(),
    bytes: frozenset(),
    date: _DATE,
    dict: frozenset(("copy", "get", "items", "keys", "values")),
    float: _NUMBER,
    GeneratorType: frozenset(),
    int: _NUMBER,
    list: frozenset(("copy", "count", "index")),
    Moment: _DATE | _TIME | {"strftime"},
    tuple: frozenset(("count", "index")),
    type: frozenset(),
}
_JINJAS_OWN = ("_loop_vars", "_block_vars")
_REFUSED: Mapping[type, str] = {
    nodes.Block: "block",
    nodes.Extends: "extends",
    nodes.FromImport: "from",
    nodes.Import: "import",
    nodes.Include: "include",
    nodes.ScopedEvalContextModifier: "autoescape",
}
_LOOPED, _CONCATENATED, _MADE, _SLICED = "(for)", "(~)", "([])", "([:])"


class _NotThere(UndefinedError):
    """Something that is not there was used: a name, or (``owner`` given) an attribute or item."""

    def __init__(self, owner: Any, name: Any, message: str) -> None:
        super().__init__(message)
        self.owner = owner
        self.name = name

    def reason(self, known: Mapping[str, Any]) -> str:
        """What is not there, in one line; ``known`` are the names that are."""
        if self.owner is missing:
            return f"{shown(self.name)} is not defined{_nearest(self.name, known)}"
        if not isinstance(self.name, str):
            return f"{kind_of(self.owner)} has no item {self.name!r}"
        names = TEXT_METHODS if isinstance(self.owner, str) else _public_names(self.owner)
        return f"{kind_of(self.owner)} has no {shown(self.name)}{_nearest(self.name, names)}"


def _public_names(owner: Any) -> list[Any]:
    if isinstance(owner, Mapping):
        return list(owner)
    return [name for name in dir(owner) if not name.startswith("_")]


def _nearest(name: str, names: Any) -> str:
    # Comparing takes a time that grows with the square of the length; keys may be any text.
    short = [each for each in names if isinstance(each, str) and len(each) <= _NAME_LENGTH]
    return did_you_mean(name, short)


class _Absent(StrictUndefined):
    __slots__ = ()

    def __init__(
        self, hint: str | None = None, obj: Any = missing, name: Any = None, exc: Any = None
    ) -> None:
        if hint is None:
            exc = partial(_NotThere, obj, name)
        super().__init__(hint, obj, name, exc or UndefinedError)

    def __repr__(self) -> str:
        return str(self)  # fails: what is not there is not printed within a list either


class _Namespace(Namespace):
    def __repr__(self) -> str:
        return "<namespace>"  # its contents may hold it


class _Context(Context):
    """Looks names up where they are handed in, so that a mapping may make them when asked."""

    def resolve_or_missing(self, key: str) -> Any:
        """Return what a name stands for."""
        # What a template sets itself is looked up here by blocks only, and there are none.
        try:
            return self.parent[key]
        except KeyError:
            return GLOBALS.get(key, missing)


class _Environment(ImmutableSandboxedEnvironment):
    context_class = _Context
    intercepted_binops = frozenset(OPERATORS)

    def __init__(self) -> None:
        super().__init__(
            undefined=_Absent,
            finalize=_printed,
            autoescape=False,
            keep_trailing_newline=True,
            optimized=False,  # it works out constants before any budget is there
            cache_size=0,
        )
        self.concat: Callable[[Any], str] = pieced  # of what macros and blocks print
        self.binop_table.update(OPERATORS)
        self.globals = {
            "cycler": Cycler,
            "dict": _made_dict,
            "joiner": Joiner,
            "namespace": _Namespace,
            "range": self.globals["range"],
        }
        self.filters = {
            **FILTERS,
            _LOOPED: looped,
            _CONCATENATED: concatenated,
            _MADE: made,
            _SLICED: sliced,
        }

    def getattr(self, obj: Any, attribute: str) -> Any:
        """``obj.attribute``; what data calls its own comes before the methods of mappings."""
        if isinstance(obj, str):
            if attribute in TEXT_METHODS:
                return text_method(self, obj, attribute)
            return self.undefined(obj=obj, name=attribute)
        if isinstance(obj, Mapping) and attribute in obj:
            return obj[attribute]
        return super().getattr(obj, attribute)

    def getitem(self, obj: Any, argument: Any) -> Any:
        """``obj[argument]``."""
        if isinstance(obj, str) and isinstance(argument, str):
            return self.getattr(obj, argument)
        return super().getitem(obj, argument)

    def is_safe_attribute(self, obj: Any, attr: str, value: Any) -> bool:
        """Whether a template may have an attribute: of Python's own types, a chosen few."""
        if not super().is_safe_attribute(obj, attr, value):
            return False
        chosen = _ATTRIBUTES.get(type(obj))
        return chosen is None or attr in chosen

    def unsafe_undefined(self, obj: Any, attribute: str) -> Any:
        """What stands for an attribute that a template may not have."""
        hint = f"{kind_of(obj)} has no {shown(attribute)} that a template may use"
        return self.undefined(hint, name=attribute, obj=obj, exc=SecurityError)

    def call(self, context: Context, obj: Any, /, *args: Any, **named: Any) -> Any:
        """``obj(*args, **named)``."""
        spending = budget()
        spending.enter()
        try:
            if isinstance(obj, Macro) and (obj.catch_varargs or obj.catch_kwargs):
                made([*args, *(named[name] for name in named if name not in _JINJAS_OWN)])
            elif isinstance(obj, LoopContext):
                args = tuple(map(looped, args))
            result = super().call(context, obj, *args, **named)
        finally:
            spending.leave()
        if isinstance(result, str):
            spending.text(len(result))
        return result


@pass_context
def _printed(_: Context, value: Any) -> str:
    """The text of an expression's value, or, where that is what is wanted, the value put aside."""
    spending = budget()
    if spending.wants_value:
        spending.value = value
        return ""
    return text_of(value)


def _made_dict(*args: Any, **named: Any) -> dict[Any, Any]:
    return dict(made(dict(*map(_stepped, args), **named)))


def _stepped(pairs: Any) -> Any:
    return pairs if isinstance(pairs, Mapping) else list(stepping(pairs))


class _Bounding(NodeTransformer):
    """Refuses what templates may not have, and puts our filters where Jinja asks nobody."""

    def __init__(self, stand_in: str) -> None:
        self._stand_in = stand_in
        self._levels = 0

    def visit(self, node: nodes.Node, *_: Any, **__: Any) -> nodes.Node:
        """Return what takes the node's place."""
        self._levels += 1
        if self._levels > _MAX_LEVELS:
            raise BadTemplate("nested too deeply", node.lineno)
        _check(node)
        bounded = self._bounded(self.generic_visit(node))
        self._levels -= 1
        return bounded

    def _bounded(self, node: nodes.Node) -> nodes.Node:
        match node:
            case nodes.For():
                node.iter = _filtered(node.iter, _LOOPED)
            case nodes.Concat():
                return _filtered(nodes.List(node.nodes, lineno=node.lineno), _CONCATENATED)
            case nodes.List() | nodes.Dict() | nodes.Tuple(ctx="load"):
                return _filtered(node, _MADE)
            case nodes.Getitem(arg=nodes.Slice()):
                return _filtered(node, _SLICED)
            case nodes.Const(value=str(text)):
                node.value = text.replace(self._stand_in, "\r")
            case nodes.TemplateData(data=text):
                node.data = text.replace(self._stand_in, "\r")
        return node


def _check(node: nodes.Node) -> None:
    match node:
        case nodes.Filter(name=name) if name not in FILTERS:
            raise BadTemplate(f"there is no filter {_guessed(name, FILTERS)}", node.lineno)
        case nodes.Test(name=name) if name not in _ENVIRONMENT.tests:
            raise BadTemplate(f"there is no test {_guessed(name, _ENVIRONMENT.tests)}", node.lineno)
        case nodes.Const(value=float(number)) if isinf(number):
            raise BadTemplate("a number that is too large", node.lineno)
    tag = _REFUSED.get(type(node))
    if tag:
        raise BadTemplate(f"there is no {tag!r} here: a template stands alone", node.lineno)


def _guessed(name: str, known: Iterable[str]) -> str:
    return shown(name) + did_you_mean(name, known)


def _filtered(node: Any, name: str) -> nodes.Filter:
    return nodes.Filter(node, name, [], [], None, None, lineno=node.lineno)


_ENVIRONMENT = _Environment()
GLOBALS: Mapping[str, Any] = _ENVIRONMENT.globals
"""What templates may name beside what is handed in."""

# Jinja turns every line end into one kind of its own. What stands in for a carriage return is white
# space to it as well, so that one within an expression stays harmless.
_STAND_INS = "\x1f\x1e\x1d\x1c\x85\u2028\u2029\u205f\u3000"


def parse(text: str) -> nodes.Template:
    """Return the tree of a template, checked and held to budgets.

    Raises:
        BadTemplate: it is none.
    """
    stand_in = next((mark for mark in _STAND_INS if mark not in text), None)
    if stand_in is None:
        raise BadTemplate("too many kinds of white space in one text")
    try:
        tree = _ENVIRONMENT.parse(text.replace("\r", stand_in))
    except TemplateSyntaxError as error:
        raise BadTemplate(_one_line(error.message), error.lineno) from None
    except RecursionError:
        raise BadTemplate("nested too deeply") from None
    except ValueError:  # of int()
        raise BadTemplate("a number that is too large") from None
    _Bounding(stand_in).visit(tree)
    return tree


def generate(tree: nodes.Template) -> Code:
    """Return the code of a tree that `parse` gave.

    Raises:
        BadTemplate: none can be made of it.
    """
    try:
        return _ENVIRONMENT.from_string(tree)
    except TemplateSyntaxError as error:
        raise BadTemplate(_one_line(error.message), error.lineno) from None
    except SyntaxError as error:
        raise BadTemplate(f"it makes no sense as Python: {_one_line(error.msg)}") from None


def _one_line(words: object) -> str:
    return " ".join(str(words).split())


def reason_of(error: Exception, known: Mapping[str, Any]) -> str:
    """What an error at run time means, in one line; ``known`` are the names handed in."""
    if isinstance(error, _NotThere):
        return error.reason({**GLOBALS, **known})
    if isinstance(error, RecursionError):
        return "nested too deeply"
    text = _one_line(error)[:300]
    if isinstance(error, LookupError) or not text:
        return f"{type(error).__name__}: {text}".rstrip(": ")
    return text


def line_of(error: Exception, code: object) -> int | None:
    """The line, from 1 on, of a template's code that an error came from, if it came from it."""
    line = None
    trace = error.__traceback__
    while isinstance(code, Code) and trace is not None:
        if trace.tb_frame.f_globals.get("__jinja_template__") == code:
            line = code.get_corresponding_lineno(trace.tb_lineno)
        trace = trace.tb_next
    return line
