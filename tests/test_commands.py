"""The subcommands ``check``, ``explain`` and ``schema``."""

import errno
import io
import json
import sys
from pathlib import Path
from typing import Any
from unittest import mock

import jsonschema
import yaml
from twisted.trial.unittest import SynchronousTestCase

from fakellm import cli, commands
from fakellm.assembly import VIRTUAL_EPOCH
from fakellm.dialects import registry
from fakellm.engine.shelf import Shelf
from fakellm.model.timeline import Abort, Head, Write
from fakellm.scenarios.editor_schema import jsonschema_of_file
from tests.processes import FAKELLM, run
from tests.servers import HELLO, MemoryTestCase, asking, chunks_of

RULES = r"""
rules:
  - name: weather
    when: {user: {matches: 'weather in (?P<city>\w+)'}, step: 1}
    reply: "Sunny in {{ match.city }}."
  - name: team
    when: {header: {X-Team: blue}, query: {kind: test}}
    reply: For the blue team.
  - name: flaky
    when: {user: flaky}
    replies:
      - error: 429
      - fine
  - name: first come
    when: {user: once}
    times: 1
    reply: You are the first.
"""


class CommandTestCase(MemoryTestCase):
    """Runs commands in this process."""

    def setUp(self) -> None:
        super().setUp()
        folder = Path(self.mktemp())
        folder.mkdir()
        self.folder = folder
        self.rules = self.write("rules.yml", RULES)
        environ: dict[str, str] = {}
        self.environ = environ
        self.patch(commands.ExplainOptions, "environ", environ)

    def write(self, name: str, content: object) -> str:
        """Write a file, in JSON unless it is text; its path."""
        path = self.folder / name
        path.parent.mkdir(exist_ok=True)
        match content:
            case bytes():
                path.write_bytes(content)
            case str():
                path.write_text(content, encoding="utf-8")
            case _:
                path.write_text(json.dumps(content), encoding="utf-8")
        return str(path)

    def run_command(self, *argv: str) -> tuple[object, str]:
        """Run a command line; what it ended with (0, 1 or a line) and what it printed."""
        out = io.StringIO()
        with mock.patch.object(sys, "stdout", out):
            try:
                cli.main(argv)
            except SystemExit as ended:
                return ended.code, out.getvalue()
        return 0, out.getvalue()

    def refused(self, *argv: str) -> str:
        """Run a command line that is wrong: one line for standard error, and nothing printed."""
        line, printed = self.run_command(*argv)
        self.assertEqual(printed, "")
        assert isinstance(line, str)
        self.assertEqual(len(line.splitlines()), 1)
        self.assertTrue(line.startswith("fakellm: "), line)
        return line.removeprefix("fakellm: ")


class CheckTests(CommandTestCase):
    def test_files_in_order_are_one_line(self) -> None:
        other = self.write("other.yml", "rules: [{when: {user: hi}, reply: hello}]")
        for paths, line in (
            ([self.rules], "1 file, 4 rules: in order\n"),
            ([other], "1 file, 1 rule: in order\n"),
            ([self.rules, other], "2 files, 5 rules: in order\n"),
            ([str(self.folder)], "2 files, 5 rules: in order\n"),
            ([other, other], "1 file, 1 rule: in order\n"),
        ):
            self.assertEqual(self.run_command("check", *paths), (0, line))

    def test_every_mistake_of_every_file_is_a_line_and_the_status_is_1(self) -> None:
        a = self.write("a.yml", "rules:\n  - nam: x\n    reply: hi\n  - when: {usr: x}\n")
        b = self.write("b.yml", "rules: [{reply: {error: 20}}]")
        gone = str(self.folder / "gone.yml")
        status, printed = self.run_command("check", a, b, gone, self.rules)
        self.assertEqual(status, 1)
        lines = printed.splitlines()
        self.assertIn(f"{a}:2:5: unknown key 'nam'; did you mean 'name'?", lines)
        self.assertIn(f"{a}:4:12: unknown key 'usr'; did you mean 'user'?", lines)
        self.assertIn(f"{b}:1:25: expected a status from 400 to 599, not 20", lines)
        self.assertIn(f"{gone}:1:1: there is no such file", lines)
        for line in lines:
            self.assertRegex(line, r"^\S+\.yml:\d+:\d+: ")

    def test_warnings_are_told_and_are_no_mistakes(self) -> None:
        path = self.write("a.yml", "rules:\n  - reply: a\n  - reply: never\n")
        status, printed = self.run_command("check", path)
        *warnings, last = printed.splitlines()
        self.assertEqual(status, 0)
        self.assertEqual(last, "1 file, 2 rules: in order, with 1 warning")
        [warning] = warnings
        self.assertTrue(warning.startswith(f"{path}:3:5: warning: "), warning)

    def test_a_command_line_that_is_wrong_is_one_line(self) -> None:
        usage = "check: name scenario files, or folders of them: fakellm check FILE..."
        self.assertEqual(self.refused("check"), usage)
        self.assertEqual(self.refused("check", self.rules, ""), usage)
        self.assertEqual(
            self.refused("check", "--hlep", self.rules),
            "option --hlep not recognized; did you mean --help?",
        )

    def test_settings_of_the_server_do_not_matter(self) -> None:
        with mock.patch.dict("os.environ", FAKELLM_PORT="banana"):
            self.assertEqual(self.run_command("check", self.rules)[0], 0)


class ExplainTests(CommandTestCase):
    def explain(self, request: object, *options: str) -> tuple[list[str], str]:
        """Explain a request; the lines before the answer, and the answer."""
        path = self.write("request.json", request)
        status, printed = self.run_command("explain", self.rules, path, *options)
        self.assertEqual(status, 0)
        explained, _, answer = printed.partition("\n\n")
        return explained.splitlines(), answer

    def ask_for(self, text: str, **fields: Any) -> dict[str, Any]:
        return asking(messages=[{"role": "user", "content": text}], **fields)

    def test_an_answer_that_never_ends_is_told_for_an_hour(self) -> None:
        headers = {"X-FakeLLM-Fault": "stall after 1; comments every 10m"}
        asked = {"headers": headers, "body": self.ask_for("flakier", stream=True)}
        _, answer = self.explain(asked)
        self.assertEqual(answer.count(": keep-alive"), 6)
        self.assertTrue(answer.endswith("(and so on: it is not at its end after an hour)\n"))

    def test_the_rules_before_it_the_rule_and_its_answer(self) -> None:
        lines, answer = self.explain(self.ask_for("flaky"))
        where = f"({self.rules}:"
        ours, (weather, team, last) = lines[:5], lines[5:]
        self.assertEqual(
            [line.partition(":")[0] for line in ours],
            [
                f"not rule '{name}' (built in)"
                for name in ("[429]", "[STATUS]", "[echo] TEXT", "[tokens N]", "[FAULT]")
            ],
        )
        self.assertTrue(weather.startswith(f"not rule 'weather' {where}3): user: expected: "))
        self.assertTrue(weather.endswith("found: 'flaky'"), weather)
        self.assertTrue(
            team.startswith(f"not rule 'team' {where}6): header X-Team: expected"), team
        )
        self.assertEqual(last, f"rule 'flaky' {where}9) answers, with status 429:")
        self.assertEqual(json.loads(answer)["error"]["type"], "rate_limit_error")
        self.assertTrue(answer.startswith('{\n  "error": {\n'), answer)

    def test_the_answer_is_what_a_server_sends(self) -> None:
        request = self.ask_for("What is the weather in Oslo?")
        _, answer = self.explain(request)
        self.serve(scenario=[self.rules])
        sent = self.ask(**request).json
        self.assertEqual(json.loads(answer), sent)
        self.assertEqual(sent["choices"][0]["message"]["content"], "Sunny in Oslo.")
        self.assertEqual(sent["created"], VIRTUAL_EPOCH)

    def test_a_streamed_answer_is_its_events(self) -> None:
        request = self.ask_for("What is the weather in Oslo?", stream=True)
        lines, answer = self.explain(request)
        self.assertTrue(lines[-1].endswith(" answers, with status 200:"))
        self.serve(scenario=[self.rules])
        self.assertEqual(answer, self.ask(**request).body.decode())
        self.assertEqual(len(chunks_of(answer.encode())), 6)

    def test_a_long_answer_is_whole(self) -> None:
        """The player gives the reactor turns; here there is a clock to wait on, and no reactor."""
        _, answer = self.explain(self.ask_for("[tokens 5000]", stream=True))
        self.assertGreater(len(chunks_of(answer.encode())), 5000)

    def test_explaining_counts_for_nothing(self) -> None:
        for _ in range(2):
            lines, answer = self.explain(self.ask_for("once"))
            self.assertIn("'first come'", lines[-1])
            self.assertIn("You are the first.", answer)
        self.serve(scenario=[self.rules])
        dialect = registry.DEFAULT
        book = self.server._library.book
        received = commands._received(
            self.write("request.json", self.ask_for("once")), "/", max_body=1000
        )
        prompt = dialect.decode(received, strict=False, kept=Shelf())
        explained = [book.explain(prompt) for _ in range(3)]
        self.assertEqual([each.rule for each in explained], [explained[0].rule] * 3)
        answer = self.ask(**self.ask_for("once")).json
        self.assertEqual(answer["choices"][0]["message"]["content"], "You are the first.")

    def test_where_no_written_rule_matches_ours_answers(self) -> None:
        lines, answer = self.explain(HELLO)
        self.assertEqual(lines[-1], "rule 'hello world' (built in) answers, with status 200:")
        self.assertIn('"content": "hello world"', answer)

    def test_strict_says_that_no_rule_answers(self) -> None:
        lines, answer = self.explain(HELLO, "--strict")
        self.assertEqual(lines[-1], "no rule answers, with status 404:")
        self.assertIn("The nearest is rule", json.loads(answer)["error"]["message"])

    def test_options_and_variables_are_those_of_the_server(self) -> None:
        _, answer = self.explain(HELLO, "--answer", "", "--model", "my", "--seed=7")
        self.assertIn('"model": "my"', answer)
        self.assertIn('"content": ""', answer)
        self.environ.update(FAKELLM_ANSWER="from a variable", FAKELLM_API_KEY="sk-secret")
        self.assertIn("from a variable", self.explain(HELLO)[1])
        lines, _ = self.explain(self.ask_for("[500]"), "--no-prompt-commands")
        self.assertIn("'hello world'", lines[-1])
        self.environ["FAKELLM_SEED"] = "x"
        self.assertEqual(
            self.refused("explain", self.rules, "x.json"),
            "FAKELLM_SEED: expected a whole number, not 'x'",
        )

    def test_options_may_stand_anywhere(self) -> None:
        request = self.write("request.json", HELLO)
        for argv in (
            ["--strict", "--answer", "x", self.rules, request],
            [self.rules, "--strict", request, "--answer=x"],
            ["--answer", "x", "--strict", "--", self.rules, request],
        ):
            status, printed = self.run_command("explain", *argv)
            self.assertEqual(status, 0)
            self.assertIn("no rule answers", printed)

    def test_a_request_may_come_with_what_is_around_its_body(self) -> None:
        for around in (
            {"headers": {"X-Team": "blue"}, "query": {"kind": "test"}},
            {"headers": {"x-team": "blue"}, "path": "/v1/chat/completions?kind=test"},
        ):
            for body in (HELLO, json.dumps(HELLO)):
                lines, answer = self.explain({**around, "body": body})
                self.assertIn("rule 'team'", lines[-1])
                self.assertIn("For the blue team.", answer)
        lines, _ = self.explain({"headers": {"X-Team": "red"}, "body": HELLO}, "--strict")
        self.assertTrue(any("found: 'red'" in line for line in lines), lines)

    def test_a_request_may_come_from_standard_input(self) -> None:
        stdin = io.TextIOWrapper(io.BytesIO(json.dumps(self.ask_for("flaky")).encode()))
        with mock.patch.object(sys, "stdin", stdin):
            status, printed = self.run_command("explain", self.rules, "-")
        self.assertEqual(status, 0)
        self.assertIn("rule 'flaky'", printed)

    def test_several_files_and_folders(self) -> None:
        more = self.write("more/rules.yml", "rules: [{name: more, when: {user: more}, reply: x}]")
        request = self.write("request.json", self.ask_for("more"))
        for path in (more, str(Path(more).parent)):
            _, printed = self.run_command("explain", self.rules, path, request)
            self.assertIn("rule 'more'", printed)

    def test_a_template_that_fails_is_the_answer_that_says_so(self) -> None:
        self.rules = self.write("fails.yml", 'rules: [{reply: "{{ 1 / (turn - 1) }}"}]')
        lines, answer = self.explain(HELLO)
        self.assertTrue(lines[-1].endswith("answers, with status 500:"), lines)
        self.assertIn(f"{self.rules}:1", json.loads(answer)["error"]["message"])

    def test_files_that_are_wrong_are_their_mistakes(self) -> None:
        path = self.write("wrong.yml", "rules:\n  - nam: x\n    reply: hi\n  - {}\n")
        lines, printed = self.run_command("explain", path, self.write("request.json", HELLO))
        self.assertEqual(printed, "")
        first, second = str(lines).splitlines()
        self.assertEqual(first, f"{path}:2:5: unknown key 'nam'; did you mean 'name'?")
        self.assertTrue(second.startswith(f"{path}:4:5: "), second)

    def test_a_wrong_request_is_one_line(self) -> None:
        gone = str(self.folder / "gone.json")
        paths = ", ".join(endpoint.path for endpoint in registry.ENDPOINTS)
        endpoint = f"no endpoint is at '/v2', but at {paths}"
        for content, reason in (
            (b"{", "this is not JSON: Input data was truncated"),
            (b"", "this is not JSON: Input data was truncated"),
            (b'{"model": "\xff"}', "this is not JSON: 'utf-8' codec can't decode byte 0xff"),
            (b"[" * 100_000, "this is nested too deeply"),
            (b"[]", "refused with status 400: "),
            (b"7", "refused with status 400: "),
            (b"{}", "refused with status 400: "),
            ({**HELLO, "n": 0}, "refused with status 400: "),
            ({"body": {}}, "refused with status 400: "),
            ({"body": HELLO, "headers": []}, "this is no request: Expected `object`, got `array`"),
            ({"body": HELLO, "path": 7}, "this is no request: Expected `str | null`, got `int`"),
        ):
            with self.subTest(content=str(content)[:50]):
                path = self.write("request.json", content)
                line = self.refused("explain", self.rules, path)
                self.assertTrue(line.startswith(f"{path}: {reason}"), line)
        self.assertEqual(
            self.refused("explain", self.rules, gone),
            f"{gone}: cannot be read: No such file or directory",
        )
        self.assertEqual(
            self.refused("explain", self.rules, "\0"), "\0: cannot be read: embedded null byte"
        )
        path = self.write("request.json", {"path": "/v2", "body": HELLO})
        line = self.refused("explain", self.rules, path)
        self.assertTrue(line.startswith(endpoint), line)
        self.assertEqual(self.refused("explain", self.rules, path, "--path", "/v2"), line)
        self.environ["FAKELLM_MAX_BODY"] = "10B"
        self.assertEqual(
            self.refused("explain", self.rules, path),
            f"{path}: this is larger than the 10 bytes that a request may have",
        )

    def test_a_command_line_that_is_wrong_is_one_line(self) -> None:
        usage = "explain: name scenario files and a request: fakellm explain FILE... REQUEST.json"
        self.assertEqual(self.refused("explain"), usage)
        self.assertEqual(self.refused("explain", self.rules), usage)
        self.assertEqual(
            self.refused("explain", self.rules, "x", "--strct"),
            "option --strct not recognized; did you mean --strict?",
        )
        self.assertEqual(
            self.refused("explain", "\udcff.yml", "x"),
            "--scenario: expected the path of a scenario file or a folder of them,"
            " not ['\\udcff.yml']",
        )

    def test_a_tokenizer_that_is_not_installed_is_one_line(self) -> None:
        request = self.write("request.json", HELLO)
        with mock.patch.object(commands, "tokenizer", side_effect=ValueError("pip install it")):
            self.assertEqual(self.refused("explain", self.rules, request), "pip install it")

    def test_an_answer_that_breaks_off_and_one_that_is_no_text(self) -> None:
        answer = commands._Answer()
        acts = (Head(200, (("Content-Type", "audio/wav"),)), Write(b"\xff\n"), Abort())
        for act in acts:
            match act:
                case Head(status, headers):
                    answer.head(status, headers)
                case Write(data):
                    answer.write(data)
                case Abort():
                    answer.abort()
        self.assertEqual(answer.text, "\\xff\n(here the connection breaks off)")


class SchemaTests(CommandTestCase):
    def test_it_is_that_of_the_file_format(self) -> None:
        status, printed = self.run_command("schema")
        self.assertEqual(status, 0)
        schema = json.loads(printed)
        self.assertEqual(schema, jsonschema_of_file())
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.Draft202012Validator(schema).validate(yaml.safe_load(RULES))

    def test_it_takes_no_words(self) -> None:
        self.assertEqual(self.refused("schema", "x"), "unexpected argument 'x'")


class PrintingTests(CommandTestCase):
    """What is printed is UTF-8, and a reader that goes away is no error of ours."""

    def test_help(self) -> None:
        for name in ("check", "explain", "schema"):
            status, printed = self.run_command(name, "--help")
            self.assertEqual(status, 0)
            self.assertTrue(printed.startswith(f"Usage: fakellm {name}"), printed)
            self.assertIn("\nOptions:\n", printed)

    def printed_to(self, write: mock.Mock) -> object:
        out = mock.Mock(write=write)
        self.patch(commands, "standard_output", lambda: out)
        return self.assertRaises(SystemExit, commands._print, "text").code

    def test_a_reader_that_is_gone_ends_it_without_a_word(self) -> None:
        self.assertEqual(self.printed_to(mock.Mock(side_effect=BrokenPipeError)), 1)

    def test_a_disk_that_is_full_is_one_line(self) -> None:
        full = OSError(errno.ENOSPC, "No space left on device")
        self.assertEqual(
            self.printed_to(mock.Mock(side_effect=full)),
            "fakellm: cannot write to standard output: No space left on device",
        )

    def test_what_is_written_in_parts_is_written_whole(self) -> None:
        written: list[bytes] = []

        def write(data: bytes) -> int:
            written.append(data[:2])
            return len(data[:2])

        self.patch(commands, "standard_output", lambda: mock.Mock(write=write))
        commands._print("å\udcff")
        self.assertEqual(b"".join(written), "å\\udcff\n".encode())


class ProcessTests(SynchronousTestCase):
    """As processes, whatever the locale."""

    def test_check_and_explain(self) -> None:
        folder = self.mktemp()
        Path(folder).mkdir()
        Path(folder, "rules.yml").write_text("rules: [{reply: 'Grüße'}]", encoding="utf-8")
        Path(folder, "wrong.yml").write_text("rules: [{reply: {grüße: 1}}]", encoding="utf-8")
        Path(folder, "request.json").write_text(json.dumps(HELLO), encoding="utf-8")
        ended = run([*FAKELLM, "check", "rules.yml", "wrong.yml"], cwd=folder)
        self.assertEqual((ended.status, ended.err), (1, ""))
        self.assertIn("wrong.yml:1:18: unknown key 'grüße'", ended.out)
        ended = run([*FAKELLM, "explain", "rules.yml", "request.json"], cwd=folder)
        self.assertEqual((ended.status, ended.err), (0, ""))
        self.assertIn('"content": "Grüße"', ended.out)
