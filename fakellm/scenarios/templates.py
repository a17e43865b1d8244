"""Templates: what a reply says, with the request and a few functions filled in.

A text with ``{{``, ``{%`` or ``{#`` in it is a Jinja template; any other is sent as it is. Replies
offer these names:

``user``, ``system``      the text of the last user message; of the system messages
``messages``              all of them: ``messages[-1].role``, ``.text``
``model``                 the model asked for
``turn``, ``step``        1 + the assistant messages so far; since the last user message
``attempt``, ``count``    how often this was asked; how often this rule has answered
``state``                 what ``set_state`` set last
``match``                 the named groups of the rule's regular expressions: ``match.city``
``tool_results``          those the conversation ends with: ``.name``, ``.id``, ``.content``, and
                          ``.json``, its content parsed
``tool_result``           the one that the rule's condition is about, else the first of them
``headers``, ``query``    of the request, by name: ``headers['x-a']``
``json``                  the request's body
``now``                   the time in UTC: ``{{ now }}``, ``now.timestamp()``, ``now.strftime(...)``
``uuid``                  a new UUID each time: ``{{ uuid }}`` or ``{{ uuid() }}``
``choice``                one of these, by the seed: ``choice('a', 'b')``, ``choice(a_list)``
``lorem``                 filler of exactly so many tokens: ``lorem(300)``

What data calls its own comes first: ``json.items`` is the ``items`` of the body where it has some,
and ``json | items`` goes through its pairs in any case.

Rendering is pure, sandboxed, and bounded in time and size whatever the template: nothing here does
I/O or reads a clock that the output depends on. A template is parsed when it is compiled, so that
mistakes show then; the code of a simple one is made when it is first rendered, which takes longer.
"""

from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any, cast

from jinja2 import meta, nodes
from jinja2.environment import Template as Code

from fakellm.scenarios.mistakes import shown
from fakellm.scenarios.templating.budget import CURRENT, MAX_CHARACTERS, MAX_SECONDS, Budget
from fakellm.scenarios.templating.environment import (
    GLOBALS,
    generate,
    line_of,
    parse,
    reason_of,
)
from fakellm.scenarios.templating.errors import BadTemplate, Path, TemplateFailed
from fakellm.scenarios.templating.names import functions
from fakellm.scenarios.templating.values import plain, weigh

__all__ = [
    "MAX_CHARACTERS",
    "MAX_SECONDS",
    "BadTemplate",
    "Path",
    "Template",
    "TemplateFailed",
    "ValueTemplate",
    "compile_template",
    "compile_value",
    "functions",
]

Names = Mapping[str, Any]

_SYNTAX = ("{{", "{%", "{#")
_MAX_LEVELS = 64
_LONG = 10_000


class Template:
    """A text to fill in.

    Attributes:
        source: the text as it is written.
        constant: there is nothing to fill in: `render` gives the source, at no cost.
    """

    __slots__ = ("_code", "_is_expression", "constant", "source")

    def __init__(self, source: str) -> None:
        """Take a text.

        Raises:
            BadTemplate: it has a mistake in it.
        """
        self.source = source
        self.constant = not any(mark in source for mark in _SYNTAX)
        self._code: nodes.Template | Code | None = None
        self._is_expression = False
        if not self.constant:
            tree = self._code = parse(source)
            self._is_expression = _is_expression(tree)
            statements = not all(isinstance(node, nodes.Output) for node in tree.body)
            # Only statements can hold mistakes that do not show before the code is made.
            if statements or len(source) > _LONG:
                self._code = generate(tree)

    def __repr__(self) -> str:
        return f"Template({self.source!r})"

    def undeclared(self) -> frozenset[str]:
        """The names that the template wants handed in, worked out anew each time."""
        if self.constant:
            return frozenset()
        return frozenset(meta.find_undeclared_variables(parse(self.source)) - GLOBALS.keys())

    def render(self, names: Names) -> str:
        """The text, filled in.

        Args:
            names: what the template may name; asked only for what it does name.

        Raises:
            TemplateFailed: it cannot be filled in.
        """
        return self.source if self.constant else self.rendered(names, Budget())

    def value(self, names: Names) -> Any:
        """The value of the expression that is all of the text, else the text, filled in.

        A value is as JSON has it: what is no number, list, mapping or the like becomes a text.

        Raises:
            TemplateFailed: it cannot be filled in.
        """
        return self.source if self.constant else self.valued(names, Budget())

    def rendered(self, names: Names, spending: Budget) -> str:
        """What `render` gives, out of a budget that others share; not for a constant."""
        text: str = self._filled(names, spending, wants_value=False)
        return text

    def valued(self, names: Names, spending: Budget) -> Any:
        """What `value` gives, out of a budget that others share; not for a constant."""
        return self._filled(names, spending, wants_value=self._is_expression)

    def _filled(self, names: Names, spending: Budget, *, wants_value: bool) -> Any:
        before = CURRENT.set(spending)
        spending.wants_value = wants_value
        try:
            return self._spent(names, spending)
        except Exception as error:  # noqa: BLE001 -- any may come out of an expression
            line = line_of(error, self._code)
            if isinstance(error, TemplateFailed):
                raise TemplateFailed(error.reason, error.line or line) from None
            raise TemplateFailed(reason_of(error, names), line) from None
        finally:
            CURRENT.reset(before)

    def _spent(self, names: Names, spending: Budget) -> Any:
        code = self._code
        if isinstance(code, nodes.Template):
            code = self._code = generate(code)
        # Jinja asks for a dict, but with `shared` it only looks names up in it.
        context = cast("Code", code).new_context(cast("dict[str, Any]", names), shared=True)
        rendering = cast("Code", code).root_render_func(context)
        pieces = []
        for piece in rendering:
            try:
                spending.output(len(piece))
            except TemplateFailed as error:
                # from within, so that the line is known
                cast("Generator[str]", rendering).throw(error)
            pieces.append(piece)
        if not spending.wants_value:
            return "".join(pieces)
        value = plain(spending.value)
        spending.output(weigh(value, MAX_CHARACTERS, 1))
        return value


def _is_expression(tree: nodes.Template) -> bool:
    match tree.body:
        case [nodes.Output(nodes=[only])]:
            return not isinstance(only, nodes.TemplateData)
    return False


def compile_template(text: str) -> Template:
    """Compile a text.

    Raises:
        BadTemplate: it has a mistake in it.
    """
    return Template(text)


class ValueTemplate:
    """A value as JSON has it with templates in its texts, keys included.

    Attributes:
        constant: there is nothing to fill in: `value` gives what was compiled.
    """

    __slots__ = ("_fill", "_value", "constant")

    def __init__(self, value: Any) -> None:
        """Take a value.

        Raises:
            BadTemplate: a text in it has a mistake in it.
        """
        self._value = value
        self._fill = _filling(value, ())
        self.constant = self._fill is None

    def value(self, names: Names) -> Any:
        """The value, each text in it replaced by what `Template.value` gives.

        Parts in which nothing is to be filled in are those that were compiled, not copies. The
        bounds of a rendering hold for all texts together.

        Raises:
            TemplateFailed: a text cannot be filled in.
        """
        return self._value if self._fill is None else self._fill(names, Budget())


_Fill = Callable[[Names, Budget], Any]


def compile_value(value: Any) -> ValueTemplate:
    """Compile a value.

    Raises:
        BadTemplate: a text in it has a mistake in it; ``path`` says which.
    """
    return ValueTemplate(value)


def _filling(value: Any, path: Path) -> _Fill | None:
    """Return what fills a value in; ``None`` for a constant."""
    if len(path) > _MAX_LEVELS:
        raise BadTemplate(f"a value with more than {_MAX_LEVELS} levels", path=path)
    if isinstance(value, str):
        return _text_filling(value, path, native=True)
    if isinstance(value, Mapping):
        return _mapping_filling(value, path)
    if isinstance(value, (list, tuple)):
        return _list_filling(value, path)
    return None


def _text_filling(text: str, path: Path, *, native: bool) -> _Fill | None:
    try:
        template = compile_template(text)
    except BadTemplate as error:
        raise BadTemplate(error.reason, error.line, path) from None
    if template.constant:
        return None
    fill = template.valued if native else template.rendered

    def filled(names: Names, spending: Budget) -> Any:
        try:
            return fill(names, spending)
        except TemplateFailed as error:
            raise TemplateFailed(error.reason, error.line, path) from None

    return filled


def _list_filling(items: Sequence[Any], path: Path) -> _Fill | None:
    fills = [_filling(item, (*path, index)) for index, item in enumerate(items)]
    if not any(fills):
        return None

    def filled(names: Names, spending: Budget) -> list[Any]:
        return [
            fill(names, spending) if fill else item for item, fill in zip(items, fills, strict=True)
        ]

    return filled


def _mapping_filling(mapping: Mapping[Any, Any], path: Path) -> _Fill | None:
    entries = []
    for key, item in mapping.items():
        here = (*path, key)
        of_key = _text_filling(key, here, native=False) if isinstance(key, str) else None
        entries.append((key, of_key, item, _filling(item, here), here))
    if not any(of_key or of_item for _, of_key, _, of_item, _ in entries):
        return None

    def filled(names: Names, spending: Budget) -> dict[Any, Any]:
        whole = {}
        for key, of_key, item, of_item, here in entries:
            name = of_key(names, spending) if of_key else key
            if name in whole:
                raise TemplateFailed(f"two keys become {shown(str(name))}", None, here)
            whole[name] = of_item(names, spending) if of_item else item
        return whole

    return filled
