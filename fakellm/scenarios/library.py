"""All the rules of a server: those made in Python, those of its files, and our own, as one book.

The rules made in Python come first, so that a test overrides the file it starts from; our own come
last. Files can be read again while the server runs: if they are wrong, what was read stays.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Unpack

from msgspec import Struct

from fakellm.scenarios import schema
from fakellm.scenarios.book import Book, BookSettings
from fakellm.scenarios.course import Conducted, Course
from fakellm.scenarios.load import load_paths, load_text
from fakellm.scenarios.loaded import Loaded
from fakellm.scenarios.matching import Test
from fakellm.scenarios.mistakes import BadScenario, Mistake
from fakellm.scenarios.rules import CompiledRule, ReplyFunction, compile_loaded, compile_made
from fakellm.scenarios.speaking import Surroundings
from fakellm.scenarios.words import Conditions, RuleMaker, checked


class Options(Struct, frozen=True, kw_only=True):
    """What a server's settings say about its rules.

    Attributes:
        models: the names of the models on offer.
        echo_model: let the model asked for speak, whatever its name.
        strict: refuse requests that no written rule matches; a file may turn it on, too.
        prompt_commands: heed ``[500]`` and its like; a file may turn it off, too.
        conduct: how answers are given; a file may say otherwise.
    """

    models: tuple[str, ...] = ("fake-model",)
    echo_model: bool = False
    strict: bool = False
    prompt_commands: bool = True
    conduct: Conducted = Conducted()


class Library:
    """The rules in force.

    Args:
        paths: scenario files and folders.
        options: what the server's settings say.
        surroundings: what replies are made with.

    Raises:
        BadScenario: a file is wrong; all mistakes are told.

    Attributes:
        book: decides by them.
        course: how the server conducts itself, and when.
        files: every file that was read.
        warnings: what is legal in them but surely meant otherwise.
    """

    def __init__(
        self, paths: Sequence[str], *, options: Options, surroundings: Surroundings
    ) -> None:
        self._paths = paths
        self._options = options
        self._surroundings = surroundings
        self._made: list[CompiledRule] = []
        self._own: dict[str, list[CompiledRule]] = {}
        self._made_so_far = 0
        self.course = Course(options.conduct)
        self.files: tuple[Path, ...] = ()
        self.warnings: tuple[Mistake, ...] = ()
        self._read(load_paths(paths))
        self.book = Book(self._rules(), settings=self._book_settings(), surroundings=surroundings)

    def reload(self) -> None:
        """Read the files again.

        Raises:
            BadScenario: one is wrong now; the rules stay as they were.
        """
        try:
            loaded = load_paths(self._paths)
        except BadScenario as bad:
            # so that a mended one is noticed, and one that comes back
            self.files = tuple(dict.fromkeys((*self.files, *bad.files)))
            raise
        self._read(loaded)
        self._put_in_force()

    def watched(self) -> Sequence[Path]:
        """The files and folders whose change may change the rules."""
        return [*map(Path, self._paths), *self.files, *self._folders]

    def when(
        self,
        test: Test | None = None,
        /,
        *,
        session: str | None = None,
        **conditions: Unpack[Conditions],
    ) -> RuleMaker:
        """Begin a rule in Python: by name the conditions that a file has, and a function.

        With a ``session`` it is that one's own, and comes before all that hold for every session.

        Raises:
            TypeError: a condition has a name that none has, or a value that none takes.
        """
        add = partial(self.add, session=session)
        return RuleMaker(add, checked(conditions, schema.When, "when"), test)

    def clear(self, session: str | None = None) -> None:
        """Drop the rules made in Python: those of a session, or those that hold for every one."""
        if session is None:
            self._made.clear()
            self._put_in_force()
        elif self._own.pop(session, None) is not None:
            self.book.replace_own(session, ())

    def made(self, session: str | None = None) -> Sequence[CompiledRule]:
        """The rules made in Python, in the order of their making: see `clear`."""
        return tuple(self._made if session is None else self._own.get(session, ()))

    def add(
        self,
        rule: schema.Rule,
        test: Test | None = None,
        functions: Mapping[int, ReplyFunction] | None = None,
        *,
        session: str | None = None,
    ) -> Callable[[], None]:
        """Add a rule, to those of a session or of every one; what it gives removes it again.

        Raises:
            ValueError: a condition, a reply, a template, a fault or a timing is impossible.
        """
        self._made_so_far += 1
        compiled = compile_made(
            rule,
            number=self._made_so_far,
            surroundings=self._surroundings,
            test=test,
            functions=functions,
        )
        made = self._made if session is None else self._own.setdefault(session, [])
        made.append(compiled)
        self._put_made_in_force(session)

        def remove() -> None:
            # a session may have been forgotten meanwhile
            made = self._made if session is None else self._own.get(session, [])
            if compiled in made:
                made.remove(compiled)
                self._put_made_in_force(session)

        return remove

    def _put_made_in_force(self, session: str | None) -> None:
        if session is None:
            self._put_in_force()
            return
        self.book.replace_own(session, self._own[session])
        if not self._own[session]:
            del self._own[session]

    def _read(self, loaded: Loaded) -> None:
        strict = self._options.strict or bool(loaded.settings.strict)
        commands = self._options.prompt_commands and loaded.settings.prompt_commands is not False
        names = ["commands.yml"] * commands + ["services.yml" if strict else "default.yml"]
        self._written = compile_loaded(loaded.rules, self._surroundings)
        self._ours = [
            rule
            for name in names
            for rule in compile_loaded(_ours(name).rules, self._surroundings, written=False)
        ]
        self.course.replace(loaded.settings)
        self._conversation = loaded.settings.conversation
        self._folders = loaded.folders
        self.files = loaded.files
        self.warnings = loaded.warnings

    def _rules(self) -> Sequence[CompiledRule]:
        return [*self._made, *self._written, *self._ours]

    def _book_settings(self) -> BookSettings:
        return BookSettings(
            models=self._options.models,
            echo_model=self._options.echo_model,
            conversation=self._conversation,
            uses_attempts=self.course.uses_attempts,
        )

    def _put_in_force(self) -> None:
        self.book.replace(self._rules(), settings=self._book_settings())


@cache
def _ours(name: str) -> Loaded:
    """One of our own files; they do not change."""
    text = files("fakellm.scenarios").joinpath(name).read_text(encoding="utf-8")
    return load_text(text, name=f"fakellm/{name}", folder=Path())
