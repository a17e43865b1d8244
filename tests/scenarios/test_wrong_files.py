"""Wrong scenario files, and the lines that are told about each.

Every ``.yml`` in the folder ``wrong`` begins with them, as ``# expect: LINE:COLUMN: MESSAGE``; a
mistake that is told about another file has that file's path in front.
"""

from pathlib import Path

import jsonschema
from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios.editor_schema import jsonschema_of_file
from fakellm.scenarios.load import check_paths
from fakellm.scenarios.yaml_text import read_yaml

FOLDER = Path(__file__).parent / "wrong"
EXPECT = "# expect: "

WRONG_BY_STRUCTURE = {
    "a-list", "missing-keys", "not-among-the-choices", "out-of-range", "rules-as-mapping",
    "two-at-once", "unknown-keys", "wrong-types",
}  # fmt: skip
"""The files that an editor finds wrong, too."""


def expected_of(path: Path) -> list[str]:
    """The lines that a file says are told about it."""
    lines = path.read_text(errors="replace").splitlines()
    told = [line.removeprefix(EXPECT) for line in lines if line.startswith(EXPECT)]
    return [f"{path.name}:{line}" if line[0].isdigit() else line for line in told]


def told_about(path: Path) -> list[str]:
    """The lines that are told, with paths relative to the folder."""
    return [str(mistake).replace(f"{FOLDER}/", "") for mistake in check_paths([path])]


class WrongFileTests(SynchronousTestCase):
    maxDiff = None

    def test_each_file_gets_exactly_the_lines_it_expects(self) -> None:
        paths = sorted(FOLDER.glob("*.yml"))
        self.assertGreater(len(paths), 20)
        for path in paths:
            with self.subTest(file=path.name):
                expected = expected_of(path)
                self.assertNotEqual(expected, [])
                self.assertEqual(told_about(path), expected)

    def test_the_whole_folder_gets_all_of_them_at_once(self) -> None:
        expected = {line for path in FOLDER.glob("*.yml") for line in expected_of(path)}
        told = told_about(FOLDER)
        self.assertEqual(len(told), len(set(told)))
        self.assertEqual(set(told), expected)

    def test_every_line_is_a_line(self) -> None:
        for line in told_about(FOLDER):
            self.assertTrue(line.isprintable(), line)

    def test_what_is_wrong_by_structure_is_wrong_for_editors_as_well(self) -> None:
        validator = jsonschema.Draft202012Validator(jsonschema_of_file())
        for name in sorted(WRONG_BY_STRUCTURE):
            with self.subTest(file=name):
                document = read_yaml((FOLDER / f"{name}.yml").read_text(), name)
                self.assertEqual(document.mistakes, [])
                self.assertFalse(validator.is_valid(document.value))

    def test_each_rule_that_is_wrong_by_structure_is_wrong_for_editors_by_itself(self) -> None:
        """A file of many mistakes would be refused for one of them alone."""
        validator = jsonschema.Draft202012Validator(jsonschema_of_file())
        for name in ("missing-keys", "out-of-range", "two-at-once", "wrong-types"):
            rules = read_yaml((FOLDER / f"{name}.yml").read_text(), name).value["rules"]
            accepted = [rule for rule in rules if validator.is_valid({"rules": [rule]})]
            # Only loading tells what texts mean.
            texts = ({"error": "399"}, {"error": "teapot"}, {"lorem": {"tokens": "many"}})
            others = [rule for rule in accepted if rule.get("reply") not in texts]
            self.assertEqual(others, [], name)
