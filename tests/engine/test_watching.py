"""Noticing that files have changed: what is a change, and what is not."""

import os
from itertools import count
from pathlib import Path

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from fakellm.engine.watching import LOOK_EVERY_SECONDS, Watching

_ticks = count(1_700_000_000)


def write(path: Path, text: str = "") -> None:
    """Write a file at a time of its own, however fast the test is."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    tick = next(_ticks)
    os.utime(path, (tick, tick))


class WatchingTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.folder = Path(self.mktemp())
        self.folder.mkdir()
        self.file = self.folder / "rules.yml"
        write(self.file)
        self.paths = [self.file]
        self.in_order = True
        self.read = 0

    def watch(self, *paths: Path) -> Watching:
        """Begin to watch; ends with the test."""
        self.paths = list(paths) or self.paths
        watching = Watching(self.clock, lambda: self.paths, self.on_read)
        watching.startService()
        self.addCleanup(watching.stopService)
        return watching

    def on_read(self) -> bool:
        self.read += 1
        return self.in_order

    def reads(self, looks: int = 1) -> int:
        """How often the files are read again at the next looks."""
        before = self.read
        for _ in range(looks):
            self.clock.advance(LOOK_EVERY_SECONDS)
        return self.read - before

    def test_a_file_that_stays_as_it_is_is_not_read_again(self) -> None:
        self.watch()
        self.assertEqual(self.reads(looks=10), 0)

    def test_a_changed_file_is_read_again_once(self) -> None:
        self.watch()
        write(self.file, "more")
        self.assertEqual(self.reads(looks=3), 1)

    def test_a_file_of_the_same_size_and_one_of_the_same_time_have_changed(self) -> None:
        self.watch()
        write(self.file)
        self.assertEqual(self.reads(looks=3), 1)
        seen = self.file.stat()
        self.file.write_text("of the same time")
        os.utime(self.file, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        self.assertEqual(self.reads(looks=3), 1)

    def test_a_file_put_in_its_place_has_changed_whatever_its_time(self) -> None:
        """As editors do, and Kubernetes with the files of a ConfigMap."""
        self.watch()
        seen = self.file.stat()
        other = self.folder / "other"
        other.touch()
        os.utime(other, ns=(seen.st_atime_ns, seen.st_mtime_ns))
        other.rename(self.file)
        self.assertEqual(self.reads(looks=3), 1)

    def test_a_change_between_the_first_reading_and_the_start_is_noticed(self) -> None:
        watching = Watching(self.clock, lambda: self.paths, self.on_read)
        write(self.file, "more")
        watching.startService()
        self.addCleanup(watching.stopService)
        self.assertEqual(self.reads(), 1)

    def test_a_change_while_files_are_being_read_is_noticed(self) -> None:
        def read() -> bool:
            if self.read == 0:
                write(self.file, "changed again")
            return self.on_read()

        watching = Watching(self.clock, lambda: self.paths, read)
        watching.startService()
        self.addCleanup(watching.stopService)
        write(self.file, "more")
        self.assertEqual(self.reads(looks=3), 2)

    def test_files_that_come_and_go_in_a_folder_and_below_are_changes(self) -> None:
        self.watch(self.folder)
        for path in (self.folder / "new.yml", self.folder / "deep" / "er" / "new.yaml"):
            write(path)
            self.assertEqual(self.reads(looks=3), 1)
            write(path, "more")
            self.assertEqual(self.reads(looks=3), 1)
            path.unlink()
            self.assertEqual(self.reads(looks=3), 1)

    def test_other_files_in_a_folder_are_no_changes(self) -> None:
        """Those that editors keep beside the file they edit, first of all."""
        self.watch(self.folder)
        for name in (".rules.yml.swp", "rules.yml~", "notes.txt", ".git/index.yml"):
            write(self.folder / name)
        self.assertEqual(self.reads(looks=3), 0)

    def test_what_was_read_along_with_a_change_is_watched_from_then_on(self) -> None:
        self.watch()
        included = self.folder / "included.yml"
        write(included)
        write(self.file, "include")
        self.paths = [self.file, included]
        self.assertEqual(self.reads(looks=3), 1)
        write(included, "more")
        self.assertEqual(self.reads(looks=3), 1)
        self.paths = [self.file]
        write(self.file, "include no more")
        self.assertEqual(self.reads(looks=3), 1)
        write(included, "whatever")
        self.assertEqual(self.reads(looks=3), 0)

    def test_a_file_that_is_missing_for_a_while_is_noticed_when_it_is_back(self) -> None:
        """Though it is not among those that could be read meanwhile."""
        other = self.folder / "other.yml"
        write(other)
        self.watch(self.file, other)
        other.unlink()
        self.in_order = False
        self.paths = [self.file]
        self.assertEqual(self.reads(looks=3), 1)
        write(other)
        self.in_order = True
        self.paths = [self.file, other]
        self.assertEqual(self.reads(looks=3), 1)
        write(other, "more")
        self.assertEqual(self.reads(looks=3), 1)

    def test_a_wrong_file_is_read_once_for_each_change(self) -> None:
        self.watch()
        self.in_order = False
        for _ in range(3):
            write(self.file, "wrong")
            self.assertEqual(self.reads(looks=3), 1)

    def test_reading_when_asked_to_leaves_nothing_to_be_noticed(self) -> None:
        watching = self.watch()
        write(self.file, "more")
        self.assertTrue(watching.read())
        self.assertEqual(self.read, 1)
        self.assertEqual(self.reads(looks=3), 0)
        self.in_order = False
        self.assertFalse(watching.read())

    def test_a_folder_that_is_gone_is_a_change_and_no_harm(self) -> None:
        folder = self.folder / "folder"
        write(folder / "rules.yml")
        self.watch(folder)
        (folder / "rules.yml").unlink()
        folder.rmdir()
        self.assertEqual(self.reads(looks=3), 1)
        write(folder / "rules.yml")
        self.assertEqual(self.reads(looks=3), 1)

    def test_a_folder_that_cannot_be_looked_into_is_one_without_files(self) -> None:
        self.watch(self.folder)
        self.patch(os, "scandir", self.refuse)
        self.assertEqual(self.reads(looks=3), 1)

    @staticmethod
    def refuse(_: object) -> None:
        raise PermissionError(13, "Permission denied")

    def test_a_reading_that_fails_is_logged_and_the_looking_goes_on(self) -> None:
        def read() -> bool:
            self.on_read()
            raise RuntimeError("not today")

        watching = Watching(self.clock, lambda: self.paths, read)
        watching.startService()
        self.addCleanup(watching.stopService)
        for _ in range(2):
            write(self.file, "more")
            self.assertEqual(self.reads(looks=3), 1)
            [failure] = self.flushLoggedErrors(RuntimeError)
            self.assertEqual(failure.getErrorMessage(), "not today")

    def test_it_looks_only_while_it_runs_and_can_be_started_again(self) -> None:
        watching = Watching(self.clock, lambda: self.paths, self.on_read)
        self.assertEqual(self.clock.getDelayedCalls(), [])
        watching.startService()
        watching.stopService()
        self.assertEqual(self.clock.getDelayedCalls(), [])
        watching.stopService()
        write(self.file, "more")
        self.assertEqual(self.reads(looks=3), 0)
        watching.startService()
        self.addCleanup(watching.stopService)
        self.assertEqual(self.reads(looks=3), 1)
