"""Scenario files and folders to rules, with every mistake of every file at once.

This module finds files, follows ``include:`` and ``file:``, and sorts out what is told where. What
YAML, records and rules have to be is for `yaml_text`, `records` and `checks`.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial
from pathlib import Path

from msgspec import structs

from fakellm.scenarios import schema
from fakellm.scenarios.checks import check_text
from fakellm.scenarios.conduct_checks import Named
from fakellm.scenarios.files import (
    SUFFIXES,
    NotText,
    Unreadable,
    display,
    is_folder,
    read_text,
    real_path,
    scenario_files,
)
from fakellm.scenarios.given import NO_FILES
from fakellm.scenarios.lint import lint
from fakellm.scenarios.loaded import Loaded, LoadedRule
from fakellm.scenarios.mistakes import BadScenario, Mistake, Position, in_order
from fakellm.scenarios.places import Place
from fakellm.scenarios.scenario import read_reply, read_scenario
from fakellm.scenarios.yaml_text import read_yaml
from fakellm.timing.choice import Profile, unknown_profile

__all__ = ["Loaded", "LoadedRule", "check_paths", "load_paths", "load_text"]

FILES_DEEP_AT_MOST = 50
"""How deep files may include files, or name them as replies."""

Blame = Callable[[str], None]
"""Is told what is wrong with a path."""


def load_paths(paths: Sequence[str | Path]) -> Loaded:
    """Read scenario files, and all of folders.

    Args:
        paths: files, and folders of which every ``*.yml`` and ``*.yaml`` below is read in the order
            of their names, but for those that others name as a reply (``file:``). A file is read
            once, however often it is named or included.

    Raises:
        BadScenario: something is wrong; it has every mistake of every file.
    """
    reading = _Reading()
    for path in paths:
        reading.path(Path(path))
    return reading.loaded()


def load_text(
    text: str,
    *,
    name: str = "<text>",
    folder: Path | None,
    profiles: Mapping[str, Profile] | None = None,
) -> Loaded:
    """Read the text of a scenario.

    Args:
        text: YAML.
        name: how mistakes call it.
        folder: what its includes and files are relative to; without it, the text may name none.
        profiles: what it may name beside its own.

    Raises:
        BadScenario: something is wrong; it has every mistake.
    """
    reading = _Reading(profiles, files=folder is not None)
    reading.tell(reading.text(text, name, folder or Path()))
    return reading.loaded()


def check_paths(paths: Sequence[str | Path]) -> list[Mistake]:
    """Every mistake and every warning of files and folders, as `load_paths` reads them.

    Warnings about rules that stand in each other's way come once there are no mistakes.
    """
    try:
        return list(load_paths(paths).warnings)
    except BadScenario as bad:
        return list(bad.mistakes)


class _Reading:
    """Everything that one call reads.

    Args:
        profiles: that may be named though nothing that is read has them.
        files: whether what is read may name files.
    """

    def __init__(
        self, profiles: Mapping[str, Profile] | None = None, *, files: bool = True
    ) -> None:
        self._profiles_known = profiles or {}
        self._files_allowed = files
        self._settings = schema.Settings()
        self._rules: list[LoadedRule] = []
        self._files: list[Path] = []
        self._folders: list[Path] = []
        self._mistakes: list[Mistake] = []
        # By the one name of each file. A file in a folder may turn out to be a reply, and then what
        # is wrong with it as a scenario is not wrong.
        self._scenarios: dict[str, list[Mistake]] = {}
        self._named: set[str] = set()
        self._profiles_named: list[Named] = []
        self._samples: dict[str, str] = {}
        self._replies: dict[str, schema.Reply] = {}
        # The files being read now, each within the one before it, and how mistakes call them.
        self._including: dict[str, str] = {}
        self._replying: dict[str, str] = {}

    def loaded(self) -> Loaded:
        """What was read.

        Raises:
            BadScenario: something was wrong.
        """
        mistakes = [*self._mistakes, *self._unknown_profiles()]
        for name, found in self._scenarios.items():
            if name in self._named or name not in self._replies:
                mistakes.extend(found)
        files = tuple(dict.fromkeys(self._files))
        if any(mistake.severity == "error" for mistake in mistakes):
            raise BadScenario(mistakes, files)
        return Loaded(
            settings=self._settings,
            rules=tuple(self._rules),
            files=files,
            folders=tuple(dict.fromkeys(self._folders)),
            warnings=in_order([*mistakes, *lint(self._rules)]),
        )

    def path(self, path: Path, blame: Blame | None = None) -> None:
        """Read a file or a folder.

        Args:
            path: of it.
            blame: is told what is wrong with the path; if none, it is the path's own mistake.
        """
        blame = blame or partial(self._blame, path)
        if not is_folder(path):
            self._named.add(real_path(path))
            self._file(path, blame)
            return
        try:
            found = list(scenario_files(path))
        except Unreadable as error:
            blame(str(error))
            return
        self._folders.append(path)
        if not found:
            blame("there is no scenario file (*.yml, *.yaml) in this folder")
        for file in found:
            self._file(file, partial(self._blame, file))

    def text(self, text: str, file: str, folder: Path) -> list[Mistake]:
        """Read the text of a scenario and what it includes; what it gives are its mistakes."""
        place = _place(text, file)
        found = read_scenario(
            place,
            folder,
            check_file=self._check_reply_file,
            read_file=self._reply_at,
            read_text=partial(self._samples_in, folder),
        )
        self._profiles_named.extend(found.named)
        for include, position in found.includes:
            if not self._files_allowed:
                place.complain(position, NO_FILES)
                continue
            path = folder / include
            self.path(path, partial(_blame_there, place, position, path))
        self._rules.extend(found.rules)
        given = {
            name: value
            for name, value in structs.asdict(found.settings).items()
            if value is not None
        }
        self._settings = structs.replace(self._settings, **given)
        return place.document.mistakes

    def tell(self, mistakes: Iterable[Mistake]) -> None:
        """Note mistakes."""
        self._mistakes.extend(mistakes)

    def _blame(self, path: Path, message: str) -> None:
        self.tell([Mistake(display(path), 1, 1, message)])

    def _file(self, path: Path, blame: Blame) -> None:
        name = real_path(path)
        if name in self._including:
            blame(f"files include each other in a circle: {_circle(self._including, name)}")
        elif len(self._including) >= FILES_DEEP_AT_MOST:
            blame(f"files include files more than {FILES_DEEP_AT_MOST} deep")
        elif name not in self._scenarios:
            text = self._text_of(path, blame)
            if text is not None:
                self._including[name] = display(path)
                self._scenarios[name] = self.text(text, display(path), path.parent)
                del self._including[name]

    def _text_of(self, path: Path, blame: Blame) -> str | None:
        self._files.append(path)  # what cannot be read is watched, too: it may come
        try:
            return read_text(path)
        except Unreadable as error:
            blame(str(error))
        except NotText as error:
            self.tell([Mistake(display(path), *error.position, str(error))])
        return None

    def _check_reply_file(self, place: Place, folder: Path, file: str, position: Position) -> None:
        if not self._files_allowed:
            place.complain(position, NO_FILES)
            return
        path = folder / file
        name = real_path(path)
        blame = partial(_blame_there, place, position, path)
        if name in self._replying:
            blame(f"this reply is a part of itself: {_circle(self._replying, name)}")
        elif len(self._replying) >= FILES_DEEP_AT_MOST:
            blame(f"replies are in replies more than {FILES_DEEP_AT_MOST} deep")
        elif name not in self._replies:
            text = self._text_of(path, blame)
            if text is not None:
                self._replying[name] = display(path)
                self._replies[name] = self._reply_of(path, text)
                del self._replying[name]

    def _reply_of(self, path: Path, text: str) -> schema.Reply:
        """The reply in a file; of one that is wrong the mistakes are told."""
        if path.suffix not in SUFFIXES:
            self.tell(check_text(text, display(path)))
            return text
        place = _place(text, display(path))
        reply = read_reply(place, path.parent, check_file=self._check_reply_file)
        self.tell(place.document.mistakes)
        return reply

    def _unknown_profiles(self) -> Iterable[Mistake]:
        profiles = {**self._profiles_known, **(self._settings.profiles or {})}
        for each in self._profiles_named:
            if each.name not in profiles:
                message = unknown_profile(each.name, profiles)
                yield Mistake(each.place.file, *each.place.at(each.path), message)

    def _samples_in(self, folder: Path, file: str) -> str:
        """The text of a file of samples, which is read once.

        Raises:
            ValueError: it cannot be read.
        """
        if not self._files_allowed:
            raise ValueError(NO_FILES)
        path = folder / file
        name = real_path(path)
        if name not in self._samples:
            self._files.append(path)
            try:
                self._samples[name] = read_text(path)
            except (Unreadable, NotText) as error:
                raise ValueError(str(error)) from None
        return self._samples[name]

    def _reply_at(self, folder: Path, file: str) -> schema.Reply:
        return self._replies[real_path(folder / file)]


def _place(text: str, file: str) -> Place:
    document = read_yaml(text, file)
    return Place(document, document.spot, document.value, file)


def _blame_there(place: Place, position: Position, path: Path, message: str) -> None:
    """Note a mistake about a path where it is named."""
    place.complain(position, f"{display(path)}: {message}")


def _circle(names: Mapping[str, str], again: str) -> str:
    shown = list(names.values())
    return " -> ".join([*shown[list(names).index(again) :], names[again]])
