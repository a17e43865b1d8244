"""The rules of a server: whose come first, and what reading again keeps."""

from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios.library import Library
from fakellm.scenarios.mistakes import BadScenario
from tests.scenarios import libraries
from tests.scenarios.libraries import library, said


class LibraryCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.folder = Path(self.mktemp())
        self.folder.mkdir()

    def write(self, text: str, name: str = "scenario.yml") -> Path:
        path = self.folder / name
        path.write_text(text, encoding="utf-8")
        return path

    def said(self, rules: Library, text: str = "a", session: str = "default") -> str:
        return said(rules.book, text, session=session)


class OrderTests(LibraryCase):
    def test_those_made_in_python_then_those_of_files_then_our_own(self) -> None:
        one = self.write("rules: [{when: {user: {contains: a}}, reply: file}]")
        two = self.write("rules: [{when: {user: {contains: b}}, reply: second}]", "two.yml")
        rules = library(one, two)
        self.assertEqual([self.said(rules, each) for each in ("ab", "b")], ["file", "second"])
        forget = rules.when(user="ab").reply("python")
        self.assertEqual(self.said(rules, "ab"), "python")
        forget()
        forget()  # once more changes nothing
        self.assertEqual([self.said(rules, each) for each in ("ab", "c")], ["file", "hello world"])

    def test_clearing_drops_those_made_in_python(self) -> None:
        rules = library(self.write("rules: [{when: {user: a}, reply: file}]"))
        rules.when().reply("python")
        rules.when(user="b").reply("python")
        rules.clear()
        self.assertEqual([self.said(rules, each) for each in "ab"], ["file", "hello world"])

    def test_our_own_are_called_by_short_names(self) -> None:
        titles = [rule.title for rule in library().book.rules]
        self.assertIn("rule '[429]' (fakellm/commands.yml:8)", titles)
        self.assertTrue(titles[-1].startswith("rule 'hello world' (fakellm/default.yml:"), titles)

    def test_our_own_are_not_written_by_the_user(self) -> None:
        rules = library(self.write("rules: [{reply: file}]"))
        rules.when().reply("python")
        self.assertEqual([rule.written for rule in rules.book.rules].count(True), 2)

    def test_a_wrong_file_is_told(self) -> None:
        path = self.write("rules: [{reply: a, repl: b}]\nfoo: 1\n")
        bad = self.assertRaises(BadScenario, library, path)
        self.assertEqual(len(bad.mistakes), 2)

    def test_warnings_are_kept(self) -> None:
        rules = library(self.write("rules: [{reply: a}, {reply: b}]"))
        self.assertEqual(len(rules.warnings), 1)


class ReloadTests(LibraryCase):
    FLAKY = "{name: flaky, when: {user: a}, replies: [one, two, three]}"

    def test_what_has_changed_is_in_force(self) -> None:
        path = self.write("rules: [{reply: old}]")
        rules = library(path)
        self.assertEqual(self.said(rules), "old")
        self.write("settings: {strict: true}\nrules: [{when: {user: a}, reply: new}]")
        rules.reload()
        self.assertEqual((self.said(rules), self.said(rules, "b")[:3]), ("new", "404"))

    def test_named_rules_keep_their_positions_wherever_they_stand_then(self) -> None:
        path = self.write(f"rules: [{self.FLAKY}]")
        rules = library(path)
        self.assertEqual(self.said(rules), "one")
        self.write(f"rules: [{{when: {{user: b}}, reply: x}}, {self.FLAKY}]")
        rules.reload()
        self.assertEqual([self.said(rules) for _ in range(2)], ["two", "three"])

    def test_states_are_kept(self) -> None:
        text = "rules: [{when: {state: start}, reply: a, set_state: b}, {reply: '{{ state }}'}]"
        rules = library(self.write(text))
        self.said(rules)
        rules.reload()
        self.assertEqual(self.said(rules), "b")

    def test_rules_made_in_python_stay(self) -> None:
        rules = library(self.write("rules: [{reply: file}]"))
        rules.when().replies("one", "two")
        self.assertEqual(self.said(rules), "one")
        rules.reload()
        self.assertEqual(self.said(rules), "two")

    def test_two_rules_of_one_name_are_remembered_apart(self) -> None:
        rules = library(
            self.write(
                "rules: [{name: n, when: {user: a}, replies: [a1, a2]},"
                " {name: n, when: {user: b}, replies: [b1, b2]}]"
            )
        )
        self.assertEqual([self.said(rules, each) for each in "abab"], ["a1", "b1", "a2", "b2"])

    def test_rules_without_names_are_remembered_apart_too_in_all_files(self) -> None:
        one = self.write("rules: [{when: {user: a}, replies: [a1, a2]}]")
        two = self.write("rules: [{when: {user: b}, replies: [b1, b2]}]", "two.yml")
        rules = library(one, two)
        self.assertEqual([self.said(rules, each) for each in "abab"], ["a1", "b1", "a2", "b2"])

    def test_a_rule_made_anew_in_python_starts_afresh_whatever_its_name(self) -> None:
        rules = library()
        forget = rules.when().replies("one", "two", name="n")
        self.assertEqual(self.said(rules), "one")
        forget()
        rules.when().replies("one", "two", name="n")
        self.assertEqual(self.said(rules), "one")

    def test_a_file_that_is_wrong_then_changes_nothing(self) -> None:
        path = self.write(f"rules: [{self.FLAKY}]")
        rules = library(path)
        self.assertEqual(self.said(rules), "one")
        self.write("rules: [")
        self.assertRaises(BadScenario, rules.reload)
        self.assertEqual(self.said(rules), "two")
        self.assertIn(path, rules.watched())
        self.write("rules: [{reply: mended}]")
        rules.reload()
        self.assertEqual(self.said(rules), "mended")

    def test_a_file_that_is_gone_is_still_watched_for(self) -> None:
        path = self.write("include: more.yml")
        more = self.write("rules: [{reply: more}]", "more.yml")
        rules = library(path)
        more.unlink()
        self.assertRaises(BadScenario, rules.reload)
        self.assertEqual(self.said(rules), "more")
        self.assertLessEqual({path, more}, set(rules.watched()))

    def test_folders_are_watched_too(self) -> None:
        path = self.write("rules: [{reply: a}]")
        rules = library(self.folder)
        self.assertLessEqual({self.folder, path}, set(rules.watched()))

    def test_a_session_can_start_afresh(self) -> None:
        rules = library(self.write(f"rules: [{self.FLAKY}]"))
        self.assertEqual([self.said(rules, session=each) for each in "st"], ["one", "one"])
        rules.book.forget("s")
        self.assertEqual([self.said(rules, session=each) for each in "st"], ["one", "two"])


class SessionTests(SynchronousTestCase):
    """Rules of a session's own, which come before all others."""

    def setUp(self) -> None:
        self.library = libraries.library(answer="ours")

    def said(self, session: str) -> str:
        return said(self.library.book, "Say something", session=session)

    def test_they_answer_in_their_session_only_and_before_all_others(self) -> None:
        self.library.when().reply("everybody's", priority=1000)
        self.library.when(session="a").reply("a's")
        self.assertEqual(
            [self.said(name) for name in ("a", "b", "default")],
            ["a's", "everybody's", "everybody's"],
        )

    def test_among_themselves_they_go_by_priority(self) -> None:
        self.library.when(session="a").reply("low")
        self.library.when(session="a").reply("high", priority=1)
        self.assertEqual(self.said("a"), "high")
        titles = [rule.title for rule in self.library.book.rules_for("a")]
        self.assertEqual(titles[:2], ["rule 2", "rule 1"])
        self.assertEqual(len(titles), len(self.library.book.rules) + 2)

    def test_where_none_of_them_fits_the_others_answer(self) -> None:
        self.library.when(user="never", session="a").reply("a's")
        self.assertEqual(self.said("a"), "ours")
        self.assertEqual(
            self.library.book.explain(libraries.prompt(), session="a").misses[0].held, 0
        )

    def test_they_are_removed_one_by_one_or_all(self) -> None:
        remove = self.library.when(session="a").reply("one")
        self.library.when(session="a").reply("two")
        self.assertEqual(self.said("a"), "one")
        remove()
        remove()
        self.assertEqual(self.said("a"), "two")
        self.assertEqual([rule.title for rule in self.library.made("a")], ["rule 2"])
        self.library.clear("a")
        self.library.clear("a")
        self.assertEqual((self.said("a"), self.library.made("a")), ("ours", ()))

    def test_the_last_one_leaves_nothing_behind(self) -> None:
        remove = self.library.when(session="a").reply("one")
        self.library.clear("a")
        remove()
        remove = self.library.when(session="a").reply("two")
        remove()
        self.assertEqual((self.library.sessions(), self.library.book._own), ([], {}))

    def test_the_servers_own_are_cleared_apart(self) -> None:
        self.library.when(session="a").reply("a's")
        self.library.when().reply("everybody's")
        self.library.clear()
        self.assertEqual((self.said("a"), self.said("b")), ("a's", "ours"))
        self.assertEqual(self.library.made(), ())

    def test_their_conditions_on_attempts_have_these_counted(self) -> None:
        self.library.when(attempt=2, session="a").reply("again")
        self.assertEqual(
            [self.said("a"), self.said("a"), self.said("b")], ["ours", "again", "ours"]
        )

    def test_states_can_be_looked_at_and_set(self) -> None:
        self.library.when(state="shopping", session="a").reply("in the shop", set_state="home")
        book = self.library.book
        self.assertEqual(book.states("a"), {})
        book.set_state("a", "shopping")
        book.set_state("b", "elsewhere")
        self.assertEqual(self.said("a"), "in the shop")
        self.assertEqual((book.states("a"), book.states("b")), ({"": "home"}, {"": "elsewhere"}))
