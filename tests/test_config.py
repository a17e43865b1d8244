"""The settings: declared once, read from options and variables, checked in one place."""

from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.config import (
    SETTINGS,
    BadSetting,
    Config,
    Setting,
    config_from,
    declared,
    did_you_mean,
    unknown_variables,
)
from fakellm.timing.conduct import FramingSpec, LimitSpec, LoadSpec
from fakellm.timing.distributions import DistributionSpec, LognormalSpec

quick = settings(deadline=None, derandomize=True, max_examples=100, database=None)


class ReadingTests(SynchronousTestCase):
    """`config_from` makes a Config of the options that were given and the environment."""

    def test_nothing_given_means_the_defaults(self) -> None:
        config = config_from({}, {"HOME": "/root"})
        self.assertEqual(config, Config())
        self.assertEqual(config.port, 3500)
        self.assertEqual(config.listen, ())
        self.assertEqual(config.model, ("fake-model",))
        self.assertEqual(config.max_body, 50 * 1024 * 1024)

    def test_an_option_beats_the_variable_which_beats_PORT_which_beats_the_default(self) -> None:
        environ = {"PORT": "1"}
        self.assertEqual(config_from({}, environ).port, 1)
        environ["FAKELLM_PORT"] = "2"
        self.assertEqual(config_from({}, environ).port, 2)
        self.assertEqual(config_from({"port": "3"}, environ).port, 3)

    def test_a_variable_that_is_beaten_is_not_even_checked(self) -> None:
        environ = {"PORT": "banana", "FAKELLM_PORT": "2"}
        self.assertEqual(config_from({}, environ).port, 2)

    def test_an_empty_variable_counts_as_not_set(self) -> None:
        environ = {"FAKELLM_PORT": "", "PORT": " ", "FAKELLM_API_KEY": "", "FAKELLM_ANSWER": ""}
        self.assertEqual(config_from({}, environ), Config())

    def test_an_answer_may_be_empty_when_an_option_says_so(self) -> None:
        self.assertEqual(config_from({"answer": ""}, {"FAKELLM_ANSWER": "hi"}).answer, "")

    def test_an_answer_from_a_variable_keeps_its_white_space(self) -> None:
        self.assertEqual(config_from({}, {"FAKELLM_ANSWER": " hi\n"}).answer, " hi\n")

    def test_every_setting_can_be_given_as_option_and_as_variable(self) -> None:
        written = {
            "port": "80",
            "listen": ["tcp:1"],
            "model": ["a"],
            "api_key": ["sk-1"],
            "control_token": " token ",
            "answer": "hi",
            "echo_model": "yes",
            "http": "fast",
            "max_body": "1KiB",
            "strict_requests": "on",
            "prefix": ["/gateway"],
            "scenario": ["rules.yml"],
            "strict": "yes",
            "prompt_commands": "off",
            "watch": "no",
            "tokenizer": "o200k_base",
            "seed": "-7",
            "ttft": "200ms",
            "itl": "0",
            "tokens_per_second": "1e2",
            "prefill": "0",
            "total": "{uniform: [1s, 2s]}",
            "chunk_tokens": "2",
            "slots": "4",
            "queue": "0",
            "queue_full": "429",
            "slowdown": "2.5",
            "flavour": "vllm",
            "keep_at_most": "2kB",
            "vllm_model": ["b"],
            "late": "slip",
            "clock": "virtual",
            "role_chunk": "with-first-token",
            "finish_chunk": "with-last-token",
            "head": "with-first-token",
            "requests_per_minute": "60",
            "tokens_per_minute": "1000",
            "concurrent": "3",
            "context_length": "8192",
            "fault": ["reset after 3"],
            "speed": "+.5",
            "journal": "journal.jsonl",
            "journal_size": "100",
            "journal_memory": "1MB",
            "journal_body": "1KiB",
            "session_idle": "1m",
            "grace": "250ms",
            "log_level": "debug",
            "log_format": "json",
        }
        expected = Config(
            port=80,
            listen=("tcp:1",),
            model=("a",),
            flavour="vllm",
            vllm_model=("b",),
            api_key=("sk-1",),
            control_token="token",
            answer="hi",
            echo_model=True,
            http="fast",
            max_body=1024,
            keep_at_most=2000,
            strict_requests=True,
            prefix=("/gateway",),
            scenario=("rules.yml",),
            strict=True,
            prompt_commands=False,
            watch=False,
            tokenizer="o200k_base",
            seed=-7,
            ttft=0.2,
            itl=0.0,
            tokens_per_second=100.0,
            prefill=0,
            total=DistributionSpec(uniform=("1s", "2s")),
            chunk_tokens=2,
            slots=4,
            queue=0,
            queue_full=429,
            slowdown=2.5,
            late="slip",
            clock="virtual",
            role_chunk="with-first-token",
            finish_chunk="with-last-token",
            head="with-first-token",
            requests_per_minute=60,
            tokens_per_minute=1000,
            concurrent=3,
            context_length=8192,
            fault=("reset after 3",),
            speed=0.5,
            journal="journal.jsonl",
            journal_size=100,
            journal_memory=1_000_000,
            journal_body=1024,
            session_idle=60.0,
            grace=0.25,
            log_level="debug",
            log_format="json",
        )
        self.assertEqual(set(written), {setting.name for setting in SETTINGS})
        self.assertEqual(config_from(written, {}), expected)
        environ = {
            f"FAKELLM_{name.upper()}": value if isinstance(value, str) else value[0]
            for name, value in written.items()
        }
        self.assertEqual(config_from({}, environ), expected)

    def test_models_of_either_sort_are_on_offer(self) -> None:
        config = Config(model=("a", "b"), vllm_model=("b", "c"))
        self.assertEqual(config.models, ("a", "b", "c"))

    def test_repeatable_settings_keep_order_and_drop_repetitions(self) -> None:
        config = config_from({"model": ["b", "a", "b"]}, {})
        self.assertEqual(config.model, ("b", "a"))

    def test_variables_separate_models_and_keys_with_commas_and_endpoints_with_space(self) -> None:
        environ = {
            "FAKELLM_MODEL": "gpt-a, gpt-b,,",
            "FAKELLM_API_KEY": "one,two",
            "FAKELLM_LISTEN": "tcp:1:interface=a,b\n unix:/run/x.sock",
        }
        config = config_from({}, environ)
        self.assertEqual(config.model, ("gpt-a", "gpt-b"))
        self.assertEqual(config.api_key, ("one", "two"))
        self.assertEqual(config.listen, ("tcp:1:interface=a,b", "unix:/run/x.sock"))

    def test_what_Kubernetes_sets_for_a_service_named_fakellm_is_not_ours(self) -> None:
        """Kubernetes puts FAKELLM_PORT=tcp://... in every pod beside such a Service."""
        environ = {
            "FAKELLM_PORT": "tcp://10.0.0.1:80",
            "FAKELLM_PORT_80_TCP": "tcp://10.0.0.1:80",
            "FAKELLM_PORT_80_TCP_ADDR": "10.0.0.1",
            "FAKELLM_SERVICE_HOST": "10.0.0.1",
            "FAKELLM_SERVICE_PORT": "80",
            "FAKELLM_SERVICE_PORT_HTTP": "80",
            "PORT": "4000",
        }
        self.assertEqual(config_from({}, environ).port, 4000)
        self.assertEqual(unknown_variables(environ), ())

    def test_unknown_variables_are_told_with_the_nearest_one(self) -> None:
        environ = {"FAKELLM_PROT": "1", "FAKELLM_SEED": "1", "FAKELLM_ZZZZZZZZZZ": "", "PROT": "1"}
        self.assertEqual(
            unknown_variables(environ),
            (
                "FAKELLM_PROT is set, but is no setting of fakellm; did you mean FAKELLM_PORT?",
                "FAKELLM_ZZZZZZZZZZ is set, but is no setting of fakellm",
            ),
        )

    def test_did_you_mean_is_silent_when_nothing_is_near(self) -> None:
        self.assertEqual(did_you_mean("xyz", ["--port"]), "")


GAMMA = "gamma: needs mean and sd, or shape and scale"
OPEN = "expected the node content, but found '<stream end>'"


def varied(name: str) -> str:
    """How the line about a distribution begins."""
    expected = "a duration such as 250ms, or a distribution such as {uniform: [100ms, 1s]}"
    return f"--{name}: expected {expected}, not"


class ConductTests(SynchronousTestCase):
    """What settings say of how answers are given, as scenarios have it."""

    def test_nothing_said_is_nothing_done(self) -> None:
        config = Config()
        self.assertEqual(config.load, LoadSpec(full=503))
        self.assertEqual(config.limits, ())
        self.assertEqual(config.framing, FramingSpec(role="alone", finish="alone", head="at_once"))

    def test_zero_is_nothing_too(self) -> None:
        config = Config(
            slots=0, slowdown=0, requests_per_minute=0, tokens_per_minute=0, concurrent=0, total=0
        )
        self.assertEqual((config.load, config.limits), (LoadSpec(full=503), ()))
        self.assertIsNone(config.timing.total)

    def test_what_is_said(self) -> None:
        config = Config(
            slots=2, queue=0, queue_full=429, slowdown=3, requests_per_minute=5, concurrent=1,
            tokens_per_minute=7, role_chunk="with-first-token", finish_chunk="with-last-token",
            head="with-first-token",
        )  # fmt: skip
        self.assertEqual(config.load, LoadSpec(slots=2, queue=0, full=429, slowdown=3))
        self.assertEqual(
            config.limits,
            (
                LimitSpec(requests=5, per="1m", by="key"),
                LimitSpec(tokens=7, per="1m", by="key"),
                LimitSpec(concurrent=1, by="key"),
            ),
        )
        self.assertEqual(
            config.framing,
            FramingSpec(role="with_first_token", finish="with_last_token", head="with_first_token"),
        )

    def test_a_distribution_is_a_mapping_or_its_text(self) -> None:
        spec = DistributionSpec(lognormal=LognormalSpec(p50="20ms", p99="90ms"))
        written = {"lognormal": {"p50": "20ms", "p99": "90ms"}}
        givens: tuple[Any, ...] = (spec, written, " {lognormal: {p50: 20ms, p99: 90ms}}")
        for each in givens:
            self.assertEqual(Config(itl=each).timing.itl, spec)

    def test_faults_in_a_variable_are_separated_by_semicolons(self) -> None:
        config = config_from({}, {"FAKELLM_FAULT": "stall 10s after 2; reset after 3"})
        self.assertEqual(config.fault, ("stall 10s after 2", "reset after 3"))

    def test_a_slowdown_does_not_make_faster(self) -> None:
        error = self.assertRaises(BadSetting, Config, slowdown=0.5)
        self.assertEqual(str(error), "slowdown: expected 0 or a number of 1 or more")


class RefusingTests(SynchronousTestCase):
    """A bad value is one line that names what the user wrote and what is expected."""

    def assert_refused(
        self, line: str, options: dict[str, object], environ: dict[str, str]
    ) -> None:
        error = self.assertRaises(BadSetting, config_from, options, environ)
        self.assertEqual(str(error), line)

    def test_the_line_names_the_option_or_the_variable(self) -> None:
        expected = "expected a whole number from 0 to 65535, not"
        self.assert_refused(f"--port: {expected} 'banana'", {"port": "banana"}, {})
        self.assert_refused(f"FAKELLM_PORT: {expected} '65536'", {}, {"FAKELLM_PORT": "65536"})
        self.assert_refused(f"PORT: {expected} '-1'", {}, {"PORT": "-1"})
        self.assert_refused(
            "FAKELLM_LOG_LEVEL: expected one of debug, info, warn, error, critical, not 'loud'",
            {},
            {"FAKELLM_LOG_LEVEL": "loud"},
        )

    def test_each_kind_says_what_it_expects(self) -> None:
        size = "--max-body: expected a size such as 10MB, 64KiB or a number of bytes, not"
        factor = "0 or a number from 1e-09 to 1e+09"
        duration = "--grace: expected a duration such as 250ms, 1.5s, 2m or a number of seconds"
        fault = "--fault: expected a fault such as reset after 3, not"
        switch = "--echo-model: expected yes or no (also: true, false, on, off, 1, 0), not"
        refused: list[tuple[str, object, str]] = [
            ("seed", "1.5", "--seed: expected a whole number, not '1.5'"),
            ("max_body", "10 potatoes", f"{size} '10 potatoes'"),
            ("max_body", "0", f"{size} '0'"),
            ("grace", "-1s", f"{duration}, not '-1s'"),
            ("speed", "fast", f"--speed: expected {factor}, not 'fast'"),
            ("speed", "1e10", f"--speed: expected {factor}, not '1e10'"),
            ("echo_model", "maybe", f"{switch} 'maybe'"),
            ("model", ["a", " "], "--model: expected the name of a model, not ['a', ' ']"),
            ("queue_full", "500", "--queue-full: expected one of 503, 429, not '500'"),
            ("slots", "-1", "--slots: expected a whole number >= 0, not '-1'"),
            ("ttft", "{gamma: {}}", f"{varied('ttft')} '{{gamma: {{}}}}': {GAMMA}"),
            ("itl", "{", f"{varied('itl')} '{{': {OPEN}"),
            ("total", "soon", f"{varied('total')} 'soon'"),
            ("fault", ["rset"], f"{fault} ['rset']: rset is no fault; did you mean reset?"),
            ("listen", [""], "--listen: expected a server endpoint such as tcp:3500, not ['']"),
        ]
        for name, value, line in refused:
            with self.subTest(line):
                self.assert_refused(line, {name: value}, {})

    def test_bytes_of_a_command_line_that_are_no_text_are_refused(self) -> None:
        """Python marks them with lone surrogates, which no encoder of ours could write."""
        texts = [each for each in SETTINGS if each.kind.expects == "a text" or each.kind.many]
        self.assertIn("answer", [each.name for each in texts])
        for setting in texts:
            shown = "" if setting.secret else ", not 'caf\\udce9'"
            expected = f"expected {setting.kind.expects}{shown}"
            variable = setting.variables[0]
            self.assert_refused(f"{setting.option}: {expected}", {setting.name: "caf\udce9"}, {})
            self.assert_refused(f"{variable}: {expected}", {}, {variable: "caf\udce9"})

    def test_a_list_of_nothing_is_shown_as_it_was_written(self) -> None:
        self.assert_refused(
            "FAKELLM_MODEL: expected the name of a model, not ' , '", {}, {"FAKELLM_MODEL": " , "}
        )

    def test_an_API_key_is_never_shown(self) -> None:
        self.assert_refused(
            "--api-key: expected an API key that is not empty", {"api_key": ["sk-secret", ""]}, {}
        )

    def test_a_long_value_is_cut(self) -> None:
        error = self.assertRaises(BadSetting, config_from, {"port": "9" * 1000}, {})
        self.assertLess(len(str(error)), 150)

    @quick
    @given(st.sampled_from(SETTINGS), st.text(st.characters(codec=None)))
    def test_any_text_is_either_taken_or_refused_in_one_line(
        self, setting: Setting, text: str
    ) -> None:
        given: list[tuple[dict[str, object], dict[str, str]]] = [
            ({setting.name: [text] if setting.kind.many else text}, {}),
            ({}, {setting.variables[0]: text}),
        ]
        for options, environ in given:
            try:
                config_from(options, environ)
            except BadSetting as error:
                self.assertEqual(len(str(error).splitlines()), 1)
                self.assertIn("expected", str(error))


class QuantityTests(SynchronousTestCase):
    """Sizes and durations are written with units."""

    def test_sizes(self) -> None:
        for text, size in (
            ("1", 1),
            ("1b", 1),
            ("10MB", 10_000_000),
            ("64KiB", 65536),
            ("64 kib", 65536),
            ("1.5kB", 1500),
            ("2GB", 2_000_000_000),
            ("1GiB", 1024**3),
            ("3MiB", 3 * 1024**2),
        ):
            self.assertEqual(config_from({"max_body": text}, {}).max_body, size, text)

    def test_durations(self) -> None:
        for text, seconds in (
            ("250ms", 0.25),
            ("1.5s", 1.5),
            ("2m", 120.0),
            ("1h", 3600.0),
            ("3", 3.0),
            (".5", 0.5),
            ("0", 0.0),
        ):
            self.assertEqual(config_from({"grace": text}, {}).grace, seconds, text)

    @quick
    @given(st.integers(min_value=1, max_value=2**80))
    def test_the_size_in_a_help_text_reads_back_as_itself(self, size: int) -> None:
        setting = next(setting for setting in SETTINGS if setting.name == "max_body")
        self.assertEqual(setting.kind.take(setting.kind.show(size)), size)

    @quick
    @given(st.floats(min_value=0, max_value=1e9))
    def test_a_number_of_seconds_is_itself(self, seconds: float) -> None:
        self.assertEqual(Config(grace=seconds).grace, seconds)


class PythonTests(SynchronousTestCase):
    """`Config` and `Config.of` check what Python code gives them."""

    def test_values_of_Python_types_are_taken(self) -> None:
        config = Config.of(port=0, model=["a", "b"], grace=1, max_body="1MB", api_key="k")
        self.assertEqual(
            config,
            Config(port=0, model=("a", "b"), grace=1.0, max_body=1_000_000, api_key=("k",)),
        )

    def test_a_field_without_a_declaration_is_an_error_of_ours(self) -> None:
        class Careless(msgspec.Struct):
            port: int = 1

        error = self.assertRaises(TypeError, list, declared(Careless))
        self.assertEqual(str(error), "Careless.port declares no Setting")

    def test_a_wrong_value_is_a_ValueError_that_names_the_setting(self) -> None:
        wrong: dict[str, tuple[object, ...]] = {
            "port": (70000, True, None, 3.0),
            "max_body": (0, 1.5, None),
            "grace": (-1, True, float("nan"), float("inf"), None),
            "answer": (None, b"hi"),
            "echo_model": (1, None),
            "model": ((), None, [1], {"a"}),
            "tokenizer": ("letters", None, ["words"]),
            "journal": ("", " ", "a\0b", 1, b"x"),
        }
        for name, values in wrong.items():
            for value in values:
                for make in (Config, Config.of):
                    with self.subTest(name=name, value=value):
                        error = self.assertRaises(ValueError, make, **{name: value})
                        self.assertTrue(str(error).startswith(f"{name}: expected "), error)

    def test_a_path_may_be_a_Path(self) -> None:
        self.assertEqual(Config.of(journal=Path("a") / "b").journal, str(Path("a") / "b"))

    def test_an_unknown_name_is_a_TypeError_with_a_hint(self) -> None:
        error = self.assertRaises(TypeError, Config.of, prot=1)
        self.assertEqual(str(error), "'prot' is not a setting; did you mean port?")
        self.assertIsInstance(error, BadSetting)
        self.assertRaises(TypeError, Config, prot=1)

    def test_API_keys_never_show(self) -> None:
        config = Config(api_key=("sk-one", "sk-two"))
        for shown in (repr(config), str(config), str(config.shown()), str(config.__rich_repr__())):
            self.assertNotIn("sk-", shown)
            self.assertIn("('***', '***')", shown)


class DescriptionTests(SynchronousTestCase):
    """Help texts derive from the declarations."""

    def test_each_tells_its_default_and_its_variables(self) -> None:
        shown = {setting.name: setting.description for setting in SETTINGS}
        self.assertIn("[default: 3500] [environment: FAKELLM_PORT, PORT]", shown["port"])
        self.assertIn("[default: loopback]", shown["listen"])
        self.assertIn("[default: none]", shown["api_key"])
        self.assertIn("[default: 50MiB]", shown["max_body"])
        self.assertIn("[default: no]", shown["echo_model"])
        self.assertIn("[default: 3s]", shown["grace"])
        for setting in SETTINGS:
            self.assertTrue(setting.help.endswith("."), setting.name)
            self.assertTrue(setting.option.startswith("--"))
            self.assertNotIn("_", setting.option)
