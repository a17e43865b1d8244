"""All the rules of a server, as one book: those of tests first, then those of files, then our own.

In this order: a session's own, those that clients added, those made in Python, those of the
scenario that was put, those of the server's files, and our own; so a test overrides what it starts
from. Files can be read again while the server runs: if they are wrong, what was read stays.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from importlib.resources import files
from pathlib import Path
from typing import Any, Unpack

from msgspec import Struct, structs

from fakellm.scenarios import schema
from fakellm.scenarios.added import Added, Put, Source, Standing, TooMany
from fakellm.scenarios.book import Book, BookSettings
from fakellm.scenarios.course import Conducted, Course
from fakellm.scenarios.given import read_rule
from fakellm.scenarios.load import load_paths, load_text
from fakellm.scenarios.loaded import Loaded
from fakellm.scenarios.matching import Test
from fakellm.scenarios.mistakes import BadScenario, Mistake
from fakellm.scenarios.rules import CompiledRule, ReplyFunction, compile_loaded, compile_made
from fakellm.scenarios.speaking import Surroundings
from fakellm.scenarios.words import Conditions, RuleMaker, checked

SESSIONS_AT_MOST = 10_000
"""Sessions with rules of their own; beyond them, those of the session that had them first go."""

_NO_SETTINGS = "a session has rules of its own only: put settings for the whole server"


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
        self._numbers = 0
        # of sessions, and, under None, of the server
        self._added: dict[str | None, Added] = {None: Added()}
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
        """Drop all rules of a session's own, or those made in Python that hold for every one."""
        if session is None:
            self._added[None].made.clear()
            self._put_in_force()
        elif self._added.pop(session, None) is not None:
            self.book.replace_own(session, ())

    def made(self, session: str | None = None) -> Sequence[CompiledRule]:
        """The rules made in Python, in the order of their making: see `clear`."""
        added = self._added.get(session)
        return () if added is None else tuple(added.made)

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
        compiled = compile_made(
            rule,
            number=self._number(),
            surroundings=self._surroundings,
            test=test,
            functions=functions,
        )
        self._added_of(session).made.append(compiled)
        self._changed(session)

        def remove() -> None:
            # a session may have been forgotten meanwhile
            added = self._added.get(session)
            if added is not None and compiled in added.made:
                added.made.remove(compiled)
                self._changed(session)

        return remove

    # -- what clients add

    def give(self, given: Any, session: str | None = None) -> Standing:
        """Add a rule that a client gives.

        Args:
            given: the rule as plain data, such as decoded JSON.
            session: whose it is; without one, it is the server's.

        Raises:
            BadData: it is no rule.
            TooMany: there are too many already.
        """
        rule = read_rule(given, self._profiles())
        added = self._added_of(session)
        number = self._number()
        compiled = self._compiled(rule, number, f"r{number}")
        added.add(compiled)
        self._changed(session)
        return Standing(rule=compiled, source="added", session=session)

    def replace(self, name: str, given: Any) -> Standing | None:
        """Put a rule in the place of an added one, whose counts are forgotten; it has its id.

        Returns:
            The new one, or ``None`` where none that was added has the id.

        Raises:
            BadData: it is no rule.
        """
        for session, added in self._added.items():
            if name in added.rules:
                rule = read_rule(given, self._profiles())
                compiled = self._compiled(rule, self._number(), name)
                added.rules[name] = compiled
                self._changed(session)
                return Standing(rule=compiled, source="added", session=session)
        return None

    def remove(self, name: str) -> bool:
        """Delete an added rule; whether there was one of that id."""
        for session, added in self._added.items():
            if added.rules.pop(name, None) is not None:
                self._changed(session)
                return True
        return False

    def remove_all(self, session: str | None = None) -> int:
        """Delete the rules that were added to a session or the server; how many there were."""
        added = self._added.get(session)
        if added is None:
            return 0
        count = len(added.rules)
        added.rules.clear()
        self._changed(session)
        return count

    def put(self, text: str, session: str | None = None) -> Put:
        """Put a scenario in the place of the one that was put before; its files may be none.

        Args:
            text: YAML. That of a session has rules and no settings.
            session: whose it is; without one, it is the server's.

        Raises:
            BadScenario: it is wrong; all mistakes are told.
            TooMany: there are too many rules.
        """
        name = "scenario" if session is None else f"scenario of {session}"
        loaded = load_text(text, name=name, folder=None, profiles=self._profiles(own=False))
        if session is not None and loaded.settings != schema.Settings():
            raise BadScenario([Mistake(name, 1, 1, _NO_SETTINGS)])
        put = Put(
            text=text,
            loaded=loaded,
            rules=compile_loaded(loaded.rules, self._surroundings, reading=self._number()),
        )
        self._added_of(session).put_scenario(put)
        self._changed(session, settings=True)
        return put

    def scenario(self, session: str | None = None) -> Put | None:
        """The scenario that was put, if one was."""
        added = self._added.get(session)
        return None if added is None else added.put

    def take_away(self, session: str | None = None) -> bool:
        """Delete the scenario that was put; whether there was one."""
        added = self._added.get(session)
        if added is None or added.put is None:
            return False
        added.put = None
        self._changed(session, settings=True)
        return True

    def reset(self) -> None:
        """Delete all rules but those made in Python for every session and those of files."""
        sessions = self.sessions()
        self._added = {None: Added(self._added[None].made)}
        for session in sessions:
            self.book.replace_own(session, ())
        self._changed(None, settings=True)

    def sessions(self) -> Sequence[str]:
        """Those that have rules of their own."""
        return [session for session in self._added if session is not None]

    def standing(self, session: str | None = None) -> Sequence[Standing]:
        """The rules that a session goes by, or the server, in the order of trying."""
        of = {id(each.rule): each for each in self._all(dict.fromkeys((session, None)))}
        tried = self.book.rules if session is None else self.book.rules_for(session)
        return [of[id(rule)] for rule in tried]

    def find(self, name: str) -> Standing | None:
        """The rule of an id, whosever it is."""
        return next((each for each in self._all(self._added) if each.rule.id == name), None)

    def _all(self, sessions: Iterable[str | None]) -> Iterator[Standing]:
        """Those of sessions, of the server under ``None``, of its files, and our own."""
        for session in sessions:
            added = self._added.get(session, Added())
            yield from _standing(added.rules.values(), "added", session)
            yield from _standing(added.made, "python", session)
            yield from _standing(added.of_scenario, "put", session)
        yield from _standing(self._written, "file")
        yield from _standing(self._ours, "built_in")

    def _added_of(self, session: str | None) -> Added:
        added = self._added.get(session)
        if added is None:
            if len(self._added) > SESSIONS_AT_MOST:
                oldest = self.sessions()[0]
                del self._added[oldest]
                self.book.replace_own(oldest, ())
            added = self._added[session] = Added()
        return added

    def _changed(self, session: str | None, *, settings: bool = False) -> None:
        added = self._added[session]
        if session is not None:
            if added.is_empty:
                del self._added[session]
            self.book.replace_own(session, added.all())
            return
        if settings:
            self._conduct()
        self._put_in_force()

    # -- what there is besides

    def _number(self) -> int:
        self._numbers += 1
        return self._numbers

    def _compiled(self, rule: schema.Rule, number: int, name: str) -> CompiledRule:
        return compile_made(rule, number=number, surroundings=self._surroundings, name=name)

    def _read(self, loaded: Loaded) -> None:
        self._of_files = loaded.settings
        self._written = compile_loaded(loaded.rules, self._surroundings)
        self._folders = loaded.folders
        self.files = loaded.files
        self.warnings = loaded.warnings
        self._conduct()

    def _conduct(self) -> None:
        """Go by the settings of the files and, over them, of the scenario that was put."""
        settings = self._settings()
        strict = self._options.strict or bool(settings.strict)
        commands = self._options.prompt_commands and settings.prompt_commands is not False
        names = ["commands.yml"] * commands + ["default.yml"] * (not strict)
        self._ours = [rule for name in names for rule in self._own_file(name)]
        self.course.replace(settings)
        self._conversation = settings.conversation

    def _settings(self) -> schema.Settings:
        put = self._added[None].put
        if put is None:
            return self._of_files
        of_put = put.loaded.settings
        given = {n: value for n, value in structs.asdict(of_put).items() if value is not None}
        profiles = {**(self._of_files.profiles or {}), **(of_put.profiles or {})}
        return structs.replace(self._of_files, **{**given, "profiles": profiles or None})

    def _profiles(self, *, own: bool = True) -> Mapping[str, Any]:
        """Those that rules may name; without those of the scenario that was put, as it may go."""
        return (self._settings() if own else self._of_files).profiles or {}

    def _own_file(self, name: str) -> Sequence[CompiledRule]:
        return compile_loaded(_ours(name).rules, self._surroundings, written=False)

    def _rules(self) -> Sequence[CompiledRule]:
        return [*self._added[None].all(), *self._written, *self._ours]

    def _book_settings(self) -> BookSettings:
        return BookSettings(
            models=self._options.models,
            echo_model=self._options.echo_model,
            conversation=self._conversation,
            uses_attempts=self.course.uses_attempts,
        )

    def _put_in_force(self) -> None:
        self.book.replace(self._rules(), settings=self._book_settings())


def _standing(
    rules: Iterable[CompiledRule], source: Source, session: str | None = None
) -> Iterator[Standing]:
    return (Standing(rule=rule, source=source, session=session) for rule in rules)


@cache
def _ours(name: str) -> Loaded:
    """One of our own files; they do not change."""
    text = files("fakellm.scenarios").joinpath(name).read_text(encoding="utf-8")
    return load_text(text, name=f"fakellm/{name}", folder=Path())


__all__ = ["Library", "Options", "Source", "Standing", "TooMany"]
