"""What reading scenario files gives: rules that know where they stand."""

from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from fakellm.scenarios import schema
from fakellm.scenarios.mistakes import Mistake, Position
from fakellm.scenarios.places import Place


class LoadedRule(Struct, frozen=True, kw_only=True):
    """A rule of a file.

    Attributes:
        rule: with its file's defaults for ``priority``, ``then`` and ``times``.
        file: how mistakes call its file.
        line: where the rule begins, from 1 on.
        column: likewise.
        folder: what the paths of its ``file:`` parts are relative to.
        defaults: its file's, for what goes beside the parts of a reply.
        read_file: gives the reply that a ``file:`` of this rule names, as it was when the rule was
            loaded; of no other path may it be asked.
        place: what was written.
    """

    rule: schema.Rule
    file: str
    line: int
    column: int
    folder: Path
    defaults: schema.Defaults
    read_file: Callable[[str], schema.Reply]
    place: Place

    def positions(self, path: Sequence[str | int]) -> Position:
        """Line and column of the value at a path of keys, such as ``("when", "user")``.

        Where nothing stands there, what is nearest around it is meant.
        """
        return self.place.at(tuple(path))

    def locate(self, path: Sequence[str | int], line: int | None = None) -> str:
        """Where something in the rule stands, as ``file:line``.

        Args:
            path: keys that lead to it.
            line: a line within the text there, from 1 on.
        """
        return f"{self.file}:{self.place.at(tuple(path), line)[0]}"


class Loaded(Struct, frozen=True, kw_only=True):
    """What scenario files say.

    Attributes:
        settings: of all files; what is read later wins.
        rules: in the order of reading, not yet of priority.
        files: every file that was read, for watching.
        folders: every folder that was looked into, for watching.
        warnings: what is legal but surely meant otherwise.
    """

    settings: schema.Settings = schema.Settings()
    rules: tuple[LoadedRule, ...] = ()
    files: tuple[Path, ...] = ()
    folders: tuple[Path, ...] = ()
    warnings: tuple[Mistake, ...] = ()
