import os
from pathlib import Path
from typing import Any

import jsonschema
import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Struct
from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios import schema
from fakellm.scenarios.editor_schema import jsonschema_of_file
from fakellm.scenarios.files import BYTES_AT_MOST
from fakellm.scenarios.load import (
    FILES_DEEP_AT_MOST,
    Loaded,
    LoadedRule,
    check_paths,
    load_paths,
    load_text,
)
from fakellm.scenarios.mistakes import BadScenario, Mistake, did_you_mean, shown
from fakellm.scenarios.records import read
from fakellm.scenarios.yaml_text import HOLE, read_yaml
from tests.scenarios.libraries import AGENT

QUICK = settings(deadline=None, derandomize=True, max_examples=150)

OURS = Path(schema.__file__).parent


WORDS = [
    "any", "arguments", "at_least", "chunks", "contains", "conversation", "defaults", "equals",
    "error", "file", "from_schema", "header", "json", "lorem", "matches", "name", "not", "parts",
    "priority", "replies", "reply", "set_state", "settings", "state", "status", "step", "text",
    "then", "times", "tokens", "tool_call", "user", "when", "x",
]  # fmt: skip
SCENARIO_LIKE = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-1, 2)
    | st.just(1.5)
    | st.sampled_from(
        ["", "token", "user", "stop", "1", "yes", "[", "{{", "{{ match.x }}", "a.txt"]
    ),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3)
    ),
    max_leaves=12,
)
"""Values that are made of the language's words and mostly wrong."""


class FolderTestCase(SynchronousTestCase):
    """Tests with files, each in a folder of its own."""

    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    def load(self, *names: str) -> Loaded:
        return load_paths([self.folder / name for name in names])

    def told(self, *names: str) -> list[str]:
        """What is wrong with files, with their paths relative to the folder."""
        mistakes = check_paths([self.folder / name for name in names])
        return [str(mistake).replace(f"{self.folder}/", "") for mistake in mistakes]


def text_of(loaded: LoadedRule) -> Any:
    return loaded.rule.reply


def told_of(text: str) -> list[str]:
    try:
        return [str(each) for each in load_text(text, name="a", folder=Path()).warnings]
    except BadScenario as bad:
        return [str(each) for each in bad.mistakes]


class TextTests(SynchronousTestCase):
    def test_the_example_of_the_language(self) -> None:
        loaded = load_text(AGENT, folder=Path())
        self.assertEqual(loaded.warnings, ())
        self.assertEqual(
            [each.rule.name for each in loaded.rules],
            ["weather, first the tool", "weather, then the answer", "flaky"],
        )
        self.assertEqual(
            loaded.rules[0].rule.when,
            schema.When(
                user=schema.TextTest(matches=r"weather in (?P<city>\w+)"),
                tool="get_weather",
                step=1,
            ),
        )
        self.assertEqual(
            loaded.rules[2].rule.replies,
            (
                schema.ReplySpec(error=429),
                schema.ReplySpec(error=schema.ErrorSpec(status=503, message="Try later")),
                schema.ReplySpec(text="Third time lucky"),
            ),
        )

    def test_our_own_files_are_in_order(self) -> None:
        self.assertEqual(check_paths([OURS / "commands.yml", OURS / "default.yml"]), [])
        self.assertEqual(check_paths([OURS / "commands.yml", OURS / "services.yml"]), [])

    def test_a_rule_knows_where_it_and_all_in_it_stands(self) -> None:
        (loaded,) = load_text(
            "rules:\n  - when:\n      user: {matches: x}\n    reply: |\n      a\n      b\n",
            name="a.yml",
            folder=Path("there"),
        ).rules
        self.assertEqual((loaded.file, loaded.line, loaded.column), ("a.yml", 2, 5))
        self.assertEqual(loaded.folder, Path("there"))
        self.assertEqual(loaded.positions(("when", "user", "matches")), (3, 23))
        self.assertEqual(loaded.positions(["when", "nonesuch"]), (3, 7))
        self.assertEqual(loaded.positions(()), (2, 5))
        self.assertEqual(loaded.locate(("reply",)), "a.yml:4")
        self.assertEqual(loaded.locate(("reply",), 2), "a.yml:6")
        self.assertEqual(loaded.locate(("reply", "file"), 7), "a.yml:4")

    def test_what_is_left_empty_is_left_out(self) -> None:
        text = (
            "settings:\ndefaults:\ninclude:\nrules:\n"
            "- when:\n  name:\n  then:\n  reply: {text: hi, model: ~}\n"
        )
        (loaded,) = load_text(text, folder=Path()).rules
        self.assertEqual(loaded.rule, schema.Rule(reply=schema.ReplySpec(text="hi")))
        self.assertEqual(load_text("rules:\n", folder=Path()).rules, ())

    def test_json_may_be_null(self) -> None:
        (loaded,) = load_text("rules: [reply: {json: ~}]", folder=Path()).rules
        self.assertEqual(loaded.rule.reply, schema.ReplySpec(json=None))

    def test_keys_at_the_top_that_begin_with_x_are_a_place_for_anchors(self) -> None:
        text = "x-hi: &hi {when: {user: hi}}\nrules:\n- {<<: *hi, reply: ho}\n"
        (loaded,) = load_text(text, folder=Path()).rules
        self.assertEqual(loaded.rule.when.user, "hi")
        self.assertEqual(loaded.positions(("when", "user")), (1, 25))

    def test_defaults_hold_where_a_rule_says_nothing_else(self) -> None:
        text = (
            "defaults: {priority: 5, then: loop, times: 2, model: m}\n"
            "rules:\n- reply: a\n- {reply: b, priority: 0, then: stay, times: 7}\n"
            "- {when: {user: x}, reply: c, priority: ~}\n"
        )
        first, second, third = load_text(text, folder=Path()).rules
        for each in (first, third):
            self.assertEqual((each.rule.priority, each.rule.then, each.rule.times), (5, "loop", 2))
        self.assertEqual(
            (second.rule.priority, second.rule.then, second.rule.times), (0, "stay", 7)
        )
        self.assertEqual(first.defaults.model, "m")

    def test_a_default_may_be_a_way_to_cut_a_stream_and_a_template(self) -> None:
        text = "defaults: {chunks: word, model: '{{ model }}', headers: {X-A: '{{ turn }}'}}\n"
        self.assertEqual(told_of(text + "settings: {conversation: \"{{ headers['x'] }}\"}\n"), [])

    def test_everything_right_in_a_file_with_mistakes_is_still_looked_at(self) -> None:
        """A bad regular expression is told beside a slip in the same condition."""
        self.assertEqual(
            told_of(
                "rules:\n"
                "- when: {user: {any: [5, {matches: '['}]}, x: 1}\n"
                "  reply: hi\n"
                "- reply: {echo: no}\n"
            )[:2],
            [
                (
                    "a:2:23: expected a text or a text test (a mapping such as {contains: ...}), "
                    "not a number: quote it"
                ),
                (
                    "a:2:36: this is not a regular expression: unterminated character set at "
                    "position 1"
                ),
            ],
        )

    def test_what_is_lost_to_yaml_is_not_missed(self) -> None:
        """One mistake is one line, whatever it takes with it."""
        for rule in (
            "{reply: *x}",
            "{reply: {text: *x}}",
            "{reply: [*x]}",
            "{reply: {tool_call: {name: *x}}}",
            "{reply: {json: [{a: *x}, 1]}}",
            "{when: *x, reply: hi}",
            "{when: {json: {a: [*x]}}, reply: hi}",
            "{when: {step: *x}, reply: hi}",
            "*x",
        ):
            self.assertEqual(len(told_of(f"rules: [{rule}]")), 1, rule)
        for key in ("settings", "defaults", "include", "rules"):
            self.assertEqual(len(told_of(f"{key}: *x")), 1, key)
        self.assertEqual(len(told_of("*x")), 1)
        self.assertEqual(len(told_of("include: [*x]")), 1)

    def test_of_a_rule_with_hundreds_of_wrong_conditions_a_hundred_are_told(self) -> None:
        tests = ", ".join(["{matches: '('}"] * 300)
        self.assertEqual(
            len(told_of(f"rules: [{{when: {{user: {{any: [{tests}]}}}}, reply: hi}}]")), 100
        )

    def test_a_slip_is_told_once_though_it_leaves_something_missing(self) -> None:
        for rule in (
            "{replly: hi}",
            "{reply: {txt: hi}}",
            "{reply: [{txet: hi}]}",
            "{reply: {tool_call: {nam: f}}}",
            "{when: {step: {at_leats: 1}}, reply: hi}",
            "{when: {user: {any: [], al: [x]}}, reply: hi}",
        ):
            told = [line for line in told_of(f"rules: [{rule}]") if "give at least" not in line]
            self.assertEqual(len(told), 1, told)
            self.assertIn("did you mean", told[0])

    def test_a_test_of_a_text_from_the_body_is_looked_at_as_one(self) -> None:
        self.assertEqual(
            told_of(
                "rules:\n"
                "- when: {json: {a: {contains: 5, matches: '['}, b: {matches: '('}}}\n"
                "  reply: hi\n"
            ),
            [
                "a:2:31: expected a text, not a number: quote it",
                (
                    "a:2:43: this is not a regular expression: unterminated character set at "
                    "position 1"
                ),
                "a:2:62: this is not a regular expression: missing ) at position 1",
            ],
        )
        self.assertEqual(told_of("rules: [{when: {json: {a: {b: 5}, c: {}}}, reply: hi}]"), [])

    def test_an_aliased_mistake_is_told_once_where_it_is_written(self) -> None:
        text = (
            "x-when: &when {user: {matches: '('}}\nrules:\n"
            + "- {when: *when, reply: hi, times: 1}\n" * 3
        )
        self.assertEqual(
            told_of(text), ["a:1:32: this is not a regular expression: missing ) at position 1"]
        )

    def test_a_mistake_in_a_literal_block_is_told_in_its_line(self) -> None:
        text = "rules:\n- reply: |\n    Hello\n      {{ user }\n"
        self.assertEqual(told_of(text), ["a:4:7: in the template: unexpected '}'"])

    @QUICK
    @given(st.lists(st.dictionaries(st.sampled_from(["when", "reply", "replies"]), SCENARIO_LIKE)))
    def test_whatever_is_written_there_is_an_answer(self, rules: Any) -> None:
        text = msgspec.json.encode({"rules": rules}).decode()
        for line in told_of(text):
            self.assertTrue(line.startswith("a:1:"), line)
            self.assertTrue(line.isprintable(), line)

    def test_what_is_right_beside_a_mistake_in_settings_is_no_mistake(self) -> None:
        self.assertEqual(
            told_of("settings: {strict: true, conversation: 5}"),
            ["a:1:40: expected a text, not a number: quote it"],
        )

    def test_nothing_is_read_without_paths(self) -> None:
        self.assertEqual(load_paths([]), Loaded())

    def test_an_empty_text_is_an_empty_scenario_and_a_warning(self) -> None:
        for text in ("", "# nothing", "null"):
            self.assertEqual(told_of(text), ["a:1:1: warning: there is nothing in this file"])


class MistakeTests(SynchronousTestCase):
    def test_a_mistake_is_a_line(self) -> None:
        self.assertEqual(str(Mistake("a.yml", 4, 13, "no")), "a.yml:4:13: no")
        self.assertEqual(str(Mistake("a.yml", 4, 13, "no", "warning")), "a.yml:4:13: warning: no")

    def test_all_mistakes_come_in_order_and_once(self) -> None:
        one, two, other = Mistake("a", 2, 9, "x"), Mistake("a", 10, 1, "x"), Mistake("b", 1, 1, "x")
        bad = BadScenario([other, two, one, one], [Path("a")])
        self.assertEqual(bad.mistakes, (one, two, other))
        self.assertEqual(str(bad), "a:2:9: x\na:10:1: x\nb:1:1: x")
        self.assertEqual(bad.files, (Path("a"),))

    def test_a_guess_is_only_made_of_few_names_and_for_what_is_near(self) -> None:
        self.assertEqual(did_you_mean("repyl", ["when", "reply"]), "; did you mean 'reply'?")
        self.assertEqual(did_you_mean("xyz", ["when", "reply"]), "")
        self.assertEqual(did_you_mean("reply", [*map(str, range(1000)), "replyy"]), "")

    def test_long_texts_are_cut(self) -> None:
        self.assertEqual(shown("a" * 100), repr("a" * 60 + "..."))
        self.assertEqual(shown("a\nb"), r"'a\nb'")


class FileTests(FolderTestCase):
    def test_a_folder_is_all_its_files_in_order(self) -> None:
        for name in ("b.yml", "a.yaml", "sub/c.yml", "notes.txt", ".git/d.yml", ".e.yml"):
            self.write(name, f"rules: [{{when: {{user: '{name}'}}, reply: '{name}'}}]")
        loaded = load_paths([str(self.folder)])
        self.assertEqual([text_of(each) for each in loaded.rules], ["a.yaml", "b.yml", "sub/c.yml"])
        self.assertEqual(
            loaded.files, tuple(self.folder / name for name in ("a.yaml", "b.yml", "sub/c.yml"))
        )
        self.assertEqual(loaded.folders, (self.folder,))

    def test_files_come_in_the_order_given_and_later_settings_win(self) -> None:
        self.write(
            "a.yml",
            "settings: {strict: true, conversation: a}\nrules: [{when: {user: a}, reply: a}]",
        )
        self.write("b.yml", "settings: {strict: false}\nrules: [reply: b]")
        loaded = self.load("b.yml", "a.yml", "b.yml")
        self.assertEqual(loaded.settings, schema.Settings(strict=True, conversation="a"))
        loaded = self.load("a.yml", "b.yml")
        self.assertEqual([text_of(each) for each in loaded.rules], ["a", "b"])
        self.assertEqual(loaded.settings, schema.Settings(strict=False, conversation="a"))

    def test_included_rules_come_first_and_the_including_file_wins(self) -> None:
        self.write(
            "main.yml", "include: [sub/a.yml, more]\nsettings: {strict: true}\nrules: [reply: main]"
        )
        self.write(
            "sub/a.yml",
            "include: ../b.yml\nsettings: {strict: false}\nrules: [{when: {user: a}, reply: a}]",
        )
        self.write("b.yml", "rules: [{when: {user: b}, reply: b}]")
        self.write("more/c.yml", "include: ../b.yml\nrules: [{when: {user: c}, reply: c}]")
        loaded = self.load("main.yml", "b.yml")
        self.assertEqual([text_of(each) for each in loaded.rules], ["b", "a", "c", "main"])
        self.assertEqual(loaded.settings.strict, True)
        self.assertEqual(len(loaded.files), 4)
        self.assertEqual(loaded.folders, (self.folder / "more",))

    def test_a_file_is_the_same_by_any_of_its_names(self) -> None:
        self.write("a.yml", "rules: [reply: a]")
        (self.folder / "b.yml").symlink_to("a.yml")
        self.assertEqual(
            len(self.load("a.yml", "b.yml", "../" + self.folder.name + "/a.yml").rules), 1
        )

    def test_a_circle_of_includes_is_told_with_its_files(self) -> None:
        self.write("a.yml", "include: b.yml")
        self.write("b.yml", "rules: []\ninclude: [c.yml]")
        self.write("c.yml", "include: b.yml")
        self.assertEqual(
            self.told("a.yml"),
            ["c.yml:1:10: b.yml: files include each other in a circle: b.yml -> c.yml -> b.yml"],
        )

    def test_files_that_include_files_without_an_end_are_told(self) -> None:
        for number in range(FILES_DEEP_AT_MOST + 1):
            self.write(f"{number}.yml", f"include: {number + 1}.yml")
        self.assertEqual(
            self.told("0.yml"), ["49.yml:1:10: 50.yml: files include files more than 50 deep"]
        )

    def test_paths_that_are_no_files_are_told(self) -> None:
        (self.folder / "empty").mkdir()
        self.write("notes.txt", "")
        self.assertEqual(
            self.told("none.yml", "empty", "notes.txt/x.yml", "nul\0.yml", "bad\udcff.yml"),
            [
                r"bad\udcff.yml:1:1: there is no such file",
                "empty:1:1: there is no scenario file (*.yml, *.yaml) in this folder",
                "none.yml:1:1: there is no such file",
                "notes.txt/x.yml:1:1: there is no such file",
                r"nul\x00.yml:1:1: this is no name of a file",
            ],
        )

    def test_what_could_keep_us_waiting_is_not_read(self) -> None:
        os.mkfifo(self.folder / "pipe.yml")
        self.assertEqual(self.told("."), ["pipe.yml:1:1: this is not a regular file"])

    def test_a_link_to_nowhere_and_a_link_to_itself_are_told(self) -> None:
        (self.folder / "a.yml").symlink_to("nowhere.yml")
        (self.folder / "b.yml").symlink_to("b.yml")
        self.assertEqual(
            self.told("."),
            [
                "a.yml:1:1: there is no such file",
                "b.yml:1:1: this file cannot be read: Too many levels of symbolic links",
            ],
        )

    def test_what_may_not_be_read_is_told(self) -> None:
        """Whoever runs the tests, who may be root and read everything."""

        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        self.write("a.yml", "")
        self.patch(Path, "open", refuse)
        self.assertEqual(
            self.told("a.yml"), ["a.yml:1:1: this file cannot be read: Permission denied"]
        )
        self.patch(os, "scandir", refuse)
        (line,) = self.told(".")
        self.assertTrue(line.endswith("this folder cannot be read: Permission denied"), line)

    def test_a_folder_that_cannot_be_included_is_told_where_it_is(self) -> None:
        def refuse(*_: object) -> None:
            raise PermissionError(13, "Permission denied")

        self.write("a.yml", "include: .")
        self.patch(os, "scandir", refuse)
        (line,) = self.told("a.yml")
        self.assertTrue(line.startswith("a.yml:1:10: "), line)

    def test_a_file_that_is_too_large_is_not_read_to_its_end(self) -> None:
        self.write("a.yml", b"#" * (BYTES_AT_MOST + 1))
        self.assertEqual(
            self.told("a.yml"), ["a.yml:1:1: this file is larger than 10,000,000 bytes"]
        )

    def test_encodings(self) -> None:
        self.write("utf-8.yml", "rules: [reply: Grüße]".encode("utf-8-sig"))
        self.assertEqual(text_of(self.load("utf-8.yml").rules[0]), "Grüße")
        for name in ("utf-16", "utf-32"):
            self.write("a.yml", "rules: []".encode(name))
            self.assertEqual(
                self.told("a.yml"), ["a.yml:1:1: this is UTF-16 (or UTF-32): save it as UTF-8"]
            )
        self.write("a.yml", "rules:\n# Grüße".encode("latin-1"))
        self.assertEqual(
            self.told("a.yml"), ["a.yml:2:5: this is not UTF-8 (the byte 0xFC): save it as UTF-8"]
        )

    def test_what_was_read_is_known_even_if_it_is_wrong(self) -> None:
        """So that whoever watches the files notices when they are mended."""
        self.write("a.yml", "include: [b.yml, c.yml]")
        self.write("b.yml", "rulez:")
        self.write("c.yml", b"\xff")
        with self.assertRaises(BadScenario) as caught:
            self.load("a.yml")
        self.assertEqual(
            caught.exception.files,
            tuple(self.folder / name for name in ("a.yml", "b.yml", "c.yml")),
        )

    def test_every_mistake_of_every_file_is_told_at_once(self) -> None:
        self.write("b.yml", "rulez: []\nrules: [reply: {txt: hi}]")
        self.write("a.yml", "a: '")
        self.write("c.yml", "")
        self.assertEqual(
            [line.partition(" ")[0] for line in self.told(".")],
            ["a.yml:1:4:", "b.yml:1:1:", "b.yml:2:17:", "c.yml:1:1:"],
        )


class ReplyFileTests(FolderTestCase):
    def test_a_text_file_is_a_reply(self) -> None:
        self.write("hi.txt", "Hello\n{{ user }}")
        self.write("a.yml", "rules: [reply: {file: hi.txt}]")
        loaded = self.load("a.yml")
        self.assertEqual(loaded.rules[0].read_file("hi.txt"), "Hello\n{{ user }}")
        self.assertEqual(loaded.files, (self.folder / "a.yml", self.folder / "hi.txt"))

    def test_a_yaml_file_is_a_reply_and_its_own_files_are_beside_it(self) -> None:
        self.write("replies/long.yml", "parts: [a, {file: deep/b.txt}]\nfinish_reason: length")
        self.write("replies/list.yaml", "- {text: a}\n- {file: deep/b.txt}")
        self.write("replies/one.yml", "file: deep/b.txt")
        self.write("replies/text.yml", "just a text")
        self.write("replies/deep/b.txt", "b")
        names = ("long.yml", "list.yaml", "one.yml", "text.yml")
        files = ", ".join(f"{{file: replies/{name}}}" for name in names)
        self.write("a.yml", f"rules: [reply: [{files}]]")
        (loaded,) = self.load("a.yml").rules
        inner = str((self.folder / "replies/deep/b.txt").absolute())
        self.assertEqual(
            loaded.read_file("replies/long.yml"),
            schema.ReplySpec(parts=("a", schema.PartSpec(file=inner)), finish_reason="length"),
        )
        self.assertEqual(
            loaded.read_file("replies/list.yaml"),
            (schema.PartSpec(text="a"), schema.PartSpec(file=inner)),
        )
        self.assertEqual(loaded.read_file("replies/one.yml"), schema.ReplySpec(file=inner))
        self.assertEqual(loaded.read_file("replies/text.yml"), "just a text")
        self.assertEqual(loaded.read_file(inner), "b")

    def test_a_reply_in_a_folder_of_scenarios_is_no_scenario(self) -> None:
        self.write(
            "a.yml",
            "rules: [{when: {user: x}, reply: {file: zreply.yml}}, reply: {file: 0reply.yml}]",
        )
        self.write("zreply.yml", "text: hi")
        self.write("0reply.yml", "[hi, ho]")
        self.assertEqual(len(self.load(".").rules), 2)
        self.assertEqual(
            self.told(".", "zreply.yml"),
            [
                (
                    "zreply.yml:1:1: unknown key 'text'; known are timing, profiles, load, "
                    "framing, late, limits, context_length, faults, phases, settings, defaults, "
                    "include, rules"
                )
            ],
        )

    def test_a_missing_file_is_told_wherever_it_is_named(self) -> None:
        self.write("a.yml", "rules:\n- reply: {file: b.txt}\n- reply: {file: b.txt}\n")
        self.assertEqual(
            self.told("a.yml"),
            [
                "a.yml:2:17: b.txt: there is no such file",
                "a.yml:3:17: b.txt: there is no such file",
            ],
        )

    def test_a_wrong_reply_is_told_once_and_in_its_own_file(self) -> None:
        self.write("a.yml", "rules:\n- {reply: {file: b.yml}, times: 1}\n- reply: {file: b.yml}\n")
        self.write("b.yml", "text: '{{ x'\necho: no\n")
        self.assertEqual(
            [line.partition(" ")[0] for line in self.told("a.yml")],
            ["b.yml:1:7:", "b.yml:2:1:", "b.yml:2:7:"],
        )
        self.write("b.yml", "")
        self.assertEqual(
            self.told("a.yml"),
            [
                (
                    "b.yml:1:1: expected a text, a mapping such as {text: ...} or a list of parts, "
                    "but there is nothing"
                )
            ],
        )

    def test_replies_in_replies_without_an_end_are_told(self) -> None:
        self.write("a.yml", "rules: [reply: {file: 0.yml}]")
        for number in range(FILES_DEEP_AT_MOST + 1):
            self.write(f"{number}.yml", f"file: {number + 1}.yml")
        self.assertEqual(
            self.told("a.yml"), ["49.yml:1:7: 50.yml: replies are in replies more than 50 deep"]
        )


class RecordTests(SynchronousTestCase):
    """Reading data into records, for what the language's own records have no use."""

    def read(self, text: str, declared: Any) -> tuple[Any, list[str]]:
        document = read_yaml(text, "a")
        told: list[str] = []
        found = read(
            document.value,
            declared,
            document.spot,
            lambda position, message: told.append(f"{position[0]}:{position[1]}: {message}"),
        )
        return found.record, told

    def test_what_a_record_checks_itself_is_told_in_its_own_words(self) -> None:
        class Range(Struct):
            low: int
            high: int

            def __post_init__(self) -> None:
                if self.low > self.high:
                    raise ValueError("low is more than high")

        self.assertEqual(
            self.read("{low: 5, high: 1}", Range), (HOLE, ["1:1: low is more than high"])
        )

    def test_a_type_without_words_is_a_mistake_of_ours(self) -> None:
        with self.assertRaisesRegex(TypeError, "no words for"):
            self.read("x", bytes)

    def test_an_enumeration_alone_and_a_plain_list(self) -> None:
        self.assertEqual(
            self.read("{a: 1}", str | tuple[int, ...])[1],
            ["1:1: expected a text or a list, not a mapping"],
        )

    @QUICK
    @given(SCENARIO_LIKE)
    def test_what_is_told_as_wrong_is_what_msgspec_refuses(self, value: Any) -> None:
        """But for null, which may stand for everything that may be left out."""
        text = msgspec.json.encode(value).decode()
        for declared in (schema.Rule, schema.ReplySpec, schema.When, schema.Scenario):
            record, told = self.read(text, declared)
            try:
                converted = msgspec.convert(value, declared)
            except msgspec.ValidationError:
                if "null" not in text:
                    self.assertNotEqual(told, [])
                self.assertTrue(told or record is not HOLE)
            else:
                self.assertEqual((record, told), (converted, []))


class EditorSchemaTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.schema = jsonschema_of_file()
        self.validator = jsonschema.Draft202012Validator(self.schema)

    def assert_valid(self, text: str) -> None:
        self.assertEqual(told_of(text), [])
        errors = [error.message for error in self.validator.iter_errors(read_yaml(text, "a").value)]
        self.assertEqual(errors, [])

    def test_it_is_a_schema(self) -> None:
        jsonschema.Draft202012Validator.check_schema(self.schema)
        self.assertEqual(self.schema["$schema"], "https://json-schema.org/draft/2020-12/schema")
        self.assertEqual(self.schema["$id"], "urn:fakellm:scenario")
        self.assertEqual(self.schema["title"], "fakellm scenario")
        self.assertIn("not", self.schema["$defs"]["TextTest"]["properties"])

    def test_every_record_is_described(self) -> None:
        for definition in (self.schema, *self.schema["$defs"].values()):
            self.assertTrue(definition["description"])

    def test_the_example_and_our_own_files_are_valid(self) -> None:
        for text in (AGENT, *(path.read_text() for path in OURS.glob("*.yml"))):
            self.assert_valid(text)

    def test_everything_that_loads_is_valid(self) -> None:
        for rule in (
            "{reply: hi, when: ~, replies: ~, name: ~, priority: ~, then: ~, times: ~}",
            "{replies: [hi, [ho, {text: x}], {text: y, model: ~, usage: {prompt_tokens: 0}}]}",
            "{reply: {json: ~, text: ~, chunks: 3, headers: {a: b}}}",
            "{reply: {chunks: [a, b]}}",
            "{reply: {parts: [{echo: true}, {from_schema: true}], chunks: word, id: a}}",
            "{reply: {error: '{{ turn }}'}}",
            "{reply: {error: 599}}",
            "{reply: {tool_call: {name: f, kind: custom, arguments: ~}}}",
            "{reply: [{reasoning: {tokens: 0}}, {lorem: {tokens: '5'}}, {refusal: 'no'}]}",
            "{when: {user: {any: [a, {not: {contains: b}}]}, step: {any: [1], not: 3}}, reply: hi}",
            "{when: {header: {X: {}}, json: {a: 1}, last_role: [user], has: image}, reply: hi}",
        ):
            self.assert_valid(f"rules: [{rule}]")
        for section in (
            "timing: {ttft: 0.5, itl: {gamma: {shape: 2, scale: 1s}}, total: ~, chunk_tokens: 2}",
            "timing: {ttft: {samples: [1s, 2]}, itl: {normal: [1, 2s]}, prefill: 1.5}",
            "profiles: {a: {ttft: 1s, models: [m]}}\nphases: [{after: 0, profile: a, load: ~}]",
            "load: {slots: 1, queue: 0, full: 429, slowdown: 1.5}\nlate: drop\nlimits: ~",
            "framing: {role: alone, finish: with_last_token}\ncontext_length: {a: 1, '*': 2}",
            "limits: [{requests: 1, per: ever, by: [key, model]}, {concurrent: 1, per: ~}]",
            "faults: [hang, {hang: false, reset: true, on_attempt: [1, 2]}, {error: 500}]",
            "settings: {faults: [{close: {after: {seconds: 1s}}, probability: 0.5}]}",
            "defaults: {timing: {itl: 1ms}, faults: hang, hold: {gate: a, before: end}}",
        ):
            self.assert_valid(section)
        self.assert_valid(
            "x-a: 1\nsettings: {strict: true}\ndefaults: {times: ~}\ninclude: []\nrules: ~\n"
        )
        self.assert_valid("{}")

    def test_templates_and_expressions_are_none_of_its_business(self) -> None:
        self.assertTrue(self.validator.is_valid({"rules": [{"reply": "{{"}]}))

    def test_what_is_of_no_known_key_is_not_valid(self) -> None:
        rule = {"reply": "x", "when": {"usr": "x"}}
        cases: tuple[Any, ...] = ({"rulez": []}, {"rules": [rule]}, [])
        for wrong in cases:
            self.assertFalse(self.validator.is_valid(wrong))
