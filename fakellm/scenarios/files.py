"""Reading the files that scenarios are made of, whatever is found where one was named."""

import os
import stat
from collections.abc import Iterator
from pathlib import Path

from fakellm.scenarios.mistakes import Position
from fakellm.scenarios.yaml_text import position_in

BYTES_AT_MOST = 10_000_000
SUFFIXES = frozenset({".yml", ".yaml"})

# UTF-32's begins with UTF-16's
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")
_UTF_8 = b"\xef\xbb\xbf"


class Unreadable(Exception):
    """Nothing can be read there: for whoever named the file."""


class NotText(Exception):
    """What was read is no text; ``position`` is where that shows."""

    def __init__(self, message: str, position: Position = (1, 1)) -> None:
        super().__init__(message)
        self.position = position


def is_folder(path: Path) -> bool:
    """Whether there is a folder; what cannot be looked at is none."""
    return os.path.isdir(path)  # noqa: PTH112 -- Path.is_dir raises where this does not


def real_path(path: Path) -> str:
    """The one name of a file that may have several; never raises."""
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return str(path)


def display(path: Path) -> str:
    """A path as it can be printed on one line, whatever is in it."""
    shown = os.path.normpath(path)
    return "".join(each if each.isprintable() else repr(each)[1:-1] for each in shown)


def scenario_files(folder: Path) -> Iterator[Path]:
    """Every ``*.yml`` and ``*.yaml`` in a folder and the folders below, in order of their names.

    What begins with a dot is passed by: editors and version control keep theirs there, and so does
    Kubernetes the copies that a mounted ConfigMap's names lead to.

    Raises:
        Unreadable: the folder, or one below, cannot be looked into.
    """
    try:
        with os.scandir(folder) as found:
            entries = sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise Unreadable(f"{folder}: this folder cannot be read: {error.strerror}") from None
    for entry in entries:
        path = folder / entry.name
        if entry.name.startswith("."):
            continue
        if entry.is_dir(follow_symlinks=False):
            yield from scenario_files(path)
        elif path.suffix in SUFFIXES:
            yield path


def read_text(path: Path) -> str:
    """The text of a file, without a byte order mark.

    Raises:
        Unreadable: there is no file, or it may not be read, or it is too large.
        NotText: it is not UTF-8.
    """
    data = _bytes(path)
    if data.startswith(_UTF_16):
        raise NotText("this is UTF-16 (or UTF-32): save it as UTF-8")
    data = data.removeprefix(_UTF_8)
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        raise NotText(
            f"this is not UTF-8 (the byte 0x{data[error.start]:02X}): save it as UTF-8",
            position_in(before, len(before)),
        ) from None


def _bytes(path: Path) -> bytes:
    try:
        # A pipe or a device could keep us waiting for ever, or never end.
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode):
            raise Unreadable("this is a folder, not a file")
        if not stat.S_ISREG(mode):
            raise Unreadable("this is not a regular file")
        with path.open("rb") as file:
            data = file.read(BYTES_AT_MOST + 1)
    except (FileNotFoundError, NotADirectoryError):
        raise Unreadable("there is no such file") from None
    except OSError as error:
        raise Unreadable(f"this file cannot be read: {error.strerror}") from None
    except ValueError:
        raise Unreadable("this is no name of a file") from None
    if len(data) > BYTES_AT_MOST:
        raise Unreadable(f"this file is larger than {BYTES_AT_MOST:,} bytes")
    return data
