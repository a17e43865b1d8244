"""What is added to the rules of a server, or of a session, while it runs."""

from unittest import mock

from fakellm.scenarios.added import TooMany
from fakellm.scenarios.given import NO_FILES, BadData
from fakellm.scenarios.library import Library
from fakellm.scenarios.mistakes import BadScenario
from tests.scenarios.libraries import library
from tests.scenarios.test_library import LibraryCase

HELLO = {"when": {"user": "a"}, "reply": "added"}


def sources(rules: Library, session: str | None = None) -> list[str]:
    """Where the rules are from, but for our own."""
    found = [each.source for each in rules.standing(session)]
    return [each for each in found if each != "built_in"]


class OrderTests(LibraryCase):
    def test_a_sessions_own_then_added_ones_then_python_then_what_was_put_then_files(self) -> None:
        rules = library(self.write("rules: [{reply: file}]"))
        rules.put("rules: [{when: {user: a}, reply: put}]")
        self.assertEqual(self.said(rules), "put")
        rules.when(user="a").reply("python")
        self.assertEqual(self.said(rules), "python")
        rules.give(HELLO)
        self.assertEqual(self.said(rules), "added")
        rules.put("rules: [{when: {user: a}, reply: put for s}]", "s")
        self.assertEqual([self.said(rules, session=each) for each in "st"], ["put for s", "added"])
        rules.when(session="s", user="a").reply("python for s")
        rules.give({**HELLO, "reply": "added for s"}, "s")
        self.assertEqual(self.said(rules, session="s"), "added for s")
        self.assertEqual(sources(rules), ["added", "python", "put", "file"])
        self.assertEqual(sources(rules, "s"), ["added", "python", "put", *sources(rules)])
        self.assertEqual([each.session for each in rules.standing("s")][:4], ["s", "s", "s", None])


class RuleTests(LibraryCase):
    def test_one_is_replaced_by_its_id_and_its_positions_are_forgotten(self) -> None:
        rules = library()
        name = rules.give({"replies": ["one", "two"]}).rule.id
        self.assertEqual(self.said(rules), "one")
        replaced = rules.replace(name, {"replies": ["1", "2"]})
        assert replaced is not None
        self.assertEqual((replaced.rule.id, self.said(rules), self.said(rules)), (name, "1", "2"))
        self.assertEqual(rules.book.counts[replaced.rule.key], 2)
        self.assertEqual(rules.book.answered("default", replaced.rule), 2)
        self.assertIsNone(rules.replace("r99", HELLO))

    def test_one_is_removed_or_all_are(self) -> None:
        rules = library()
        names = [rules.give(HELLO, session).rule.id for session in (None, "s", "s", None)]
        self.assertTrue(rules.remove(names[1]))
        self.assertFalse(rules.remove(names[1]))
        self.assertEqual([rules.remove_all(each) for each in ("s", "t", None)], [1, 0, 2])
        self.assertEqual(rules.sessions(), [])

    def test_one_that_is_wrong_changes_nothing(self) -> None:
        rules = library()
        name = rules.give(HELLO).rule.id
        self.assertRaises(BadData, rules.give, {"repy": "x"})
        self.assertRaises(BadData, rules.replace, name, {"repy": "x"})
        self.assertEqual(self.said(rules), "added")

    def test_a_session_with_rules_in_python(self) -> None:
        rules = library()
        forget = rules.when(session="s").reply("python")
        self.assertEqual([len(rules.made(each)) for each in ("s", "t", None)], [1, 0, 0])
        self.assertEqual(
            [self.said(rules, session=each) for each in "st"], ["python", "hello world"]
        )
        forget()
        forget()
        self.assertEqual(self.said(rules, session="s"), "hello world")
        rules.when(session="s").reply("python")
        rules.clear("s")
        rules.clear("s")
        self.assertEqual(self.said(rules, session="s"), "hello world")

    def test_there_are_not_ever_more(self) -> None:
        rules = library()
        with mock.patch("fakellm.scenarios.added.ADDED_AT_MOST", 1):
            rules.give(HELLO)
            self.assertRaises(TooMany, rules.give, HELLO)
            text = "rules: [{when: {user: a}, reply: b}, {reply: c}]"
            self.assertRaises(TooMany, rules.put, text)
        with mock.patch("fakellm.scenarios.library.SESSIONS_AT_MOST", 1):
            rules.give(HELLO, "s")
            rules.give(HELLO, "t")
        self.assertEqual(rules.sessions(), ["t"])
        self.assertEqual(self.said(rules, "b", session="s"), "hello world")

    def test_the_counts_of_rules_are_bounded(self) -> None:
        rules = library()
        with mock.patch("fakellm.scenarios.book.COUNTED_AT_MOST", 2):
            for number in range(4):
                rules.give({"when": {"user": str(number)}, "reply": "a"})
                self.said(rules, str(number))
        self.assertEqual(len(rules.book.counts), 2)


class ScenarioTests(LibraryCase):
    def test_settings_that_were_put_go_over_those_of_files_key_by_key(self) -> None:
        rules = library(
            self.write("settings: {strict: true}\nprofiles: {slow: {ttft: 2s}}\ntiming: {ttft: 1s}")
        )
        rules.put("profiles: {slower: {ttft: 3s}}\nrules: [{reply: a, timing: slow}]")
        rules.give({"reply": "a", "timing": "slower"})
        self.assertRaises(BadData, rules.give, {"reply": "a", "timing": "slowest"})
        rules.remove_all()
        self.assertTrue(rules.take_away())
        self.assertFalse(rules.take_away())
        self.assertEqual(self.said(rules)[:3], "404")
        self.assertRaises(BadData, rules.give, {"reply": "a", "timing": "slower"})

    def test_what_was_put_is_kept_as_it_was_written(self) -> None:
        rules = library()
        self.assertIsNone(rules.scenario())
        self.assertIsNone(rules.scenario("s"))
        text = "# mine\nrules: [{reply: a}]"
        rules.put(text)
        put = rules.scenario()
        assert put is not None
        self.assertEqual((put.text, len(put.rules)), (text, 1))
        self.assertFalse(rules.take_away("s"))

    def test_one_that_is_wrong_changes_nothing(self) -> None:
        rules = library()
        rules.put("rules: [{when: {user: a}, reply: put}]")
        bad = self.assertRaises(BadScenario, rules.put, "rules: [{reply: a, repl: b}]")
        self.assertEqual(str(bad), "scenario:1:20: unknown key 'repl'; did you mean 'reply'?")
        self.assertRaises(BadScenario, rules.put, "settings: {strict: true}", "s")
        self.assertRaises(BadScenario, rules.put, "profiles: {p: {ttft: 1s}}", "s")
        self.assertEqual(self.said(rules), "put")

    def test_it_names_no_files(self) -> None:
        path = self.write("rules: [{reply: a}]")
        for text in (
            f"include: {path.absolute()}",
            f"rules: [{{reply: {{file: {path.absolute()}}}}}]",
            f"timing: {{ttft: {{samples: {path.absolute()}}}}}",
        ):
            bad = self.assertRaises(BadScenario, library().put, text)
            self.assertEqual(len(bad.mistakes), 1, text)
            self.assertIn(NO_FILES, str(bad))

    def test_it_begins_anew_each_time_it_is_put(self) -> None:
        rules = library()
        text = "rules: [{name: n, replies: [one, two]}]"
        for _ in range(2):
            rules.put(text)
            self.assertEqual(self.said(rules), "one")


class ResetTests(LibraryCase):
    def test_all_goes_that_was_added_and_what_was_made_for_all_stays(self) -> None:
        rules = library()
        rules.when(user="python").reply("python")
        rules.when(session="s").reply("python for s")
        rules.put("settings: {strict: true}\nrules: [{reply: put}]")
        rules.give(HELLO)
        rules.give(HELLO, "s")
        rules.reset()
        self.assertEqual(sources(rules, "s"), ["python"])
        self.assertEqual(self.said(rules), "hello world")

    def test_a_book_counts_from_nothing_again(self) -> None:
        rules = library()
        rules.give({"replies": ["one", "two"]})
        self.said(rules)
        rules.book.set_state("default", "x")
        rules.book.reset()
        self.assertEqual(rules.book.states("default"), {})
        self.assertEqual(rules.book.counts, {})
        self.assertEqual(self.said(rules), "one")
