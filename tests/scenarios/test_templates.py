"""Templates of replies: what they say, what they refuse, and what they may cost."""

import random
import time
import tracemalloc
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from fakellm.model.content import Text, ToolCall
from fakellm.model.prompt import Message
from fakellm.scenarios import templates
from fakellm.scenarios.templates import (
    BadTemplate,
    Template,
    TemplateFailed,
    compile_template,
    compile_value,
    functions,
)
from fakellm.scenarios.templating import budget, environment
from fakellm.timing.tokens import Splitter

few = settings(deadline=None, derandomize=True, max_examples=200, database=None)

NOW = 1767225600.75


class ToolResult:
    """A tool result as replies hand it in: a plain object with properties."""

    content = '{"celsius": 21}'

    @property
    def json(self) -> Any:
        return {"celsius": 21, "items": ["sun", "wind"]}

    @property
    def broken(self) -> Any:
        raise TemplateFailed("the tool result is not JSON")

    @property
    def endless(self) -> Any:
        return self.endless

    @property
    def silent(self) -> Any:
        raise ValueError

    def __str__(self) -> str:
        return self.content


def handed_in() -> dict[str, Any]:
    """The names that a reply offers."""
    return {
        "user": "weather in Oslo?",
        "model": "gpt-5",
        "turn": 2,
        "messages": (
            Message(role="user", parts=(Text(text="weather in "), Text(text="Oslo?"))),
            Message(role="assistant", parts=(ToolCall(name="f", arguments="{}"),)),
        ),
        "match": {"city": "Oslo"},
        "tool_result": ToolResult(),
        "headers": {"x-a": "1"},
        "json": {"model": "gpt-5", "temperature": 0.5, "stop": None, "items": [1, 2]},
        **functions(random.Random(7), NOW, Splitter()),
    }


def rendered(text: str, **names: Any) -> str:
    return compile_template(text).render({**handed_in(), **names})


def valued(text: str, **names: Any) -> Any:
    return compile_template(text).value({**handed_in(), **names})


class TemplatesCase(SynchronousTestCase):
    """Assertions about templates."""

    def assert_renders(self, text: str, expected: str) -> None:
        self.assertEqual(rendered(text), expected)

    def assert_bad(self, text: str, reason: str, line: int = 1) -> None:
        error = self.assertRaises(BadTemplate, compile_template, text)
        self.assertEqual((error.reason, error.line, str(error)), (reason, line, reason))

    def assert_fails(self, text: str, reason: str, line: int | None = 1) -> None:
        error = self.assertRaises(TemplateFailed, rendered, text)
        self.assertEqual((error.reason, error.line, str(error)), (reason, line, reason))


class ConstantTests(TemplatesCase):
    """Texts in which there is nothing to fill in."""

    def test_a_text_without_template_syntax_is_constant(self) -> None:
        template = compile_template("It's 5 % of {nothing}, }} and #.\r\n")
        self.assertTrue(template.constant)
        self.assertEqual(template.render({}), "It's 5 % of {nothing}, }} and #.\r\n")
        self.assertEqual(template.value({}), template.source)
        self.assertEqual(template.undeclared(), frozenset())

    def test_a_text_with_template_syntax_is_not(self) -> None:
        for text in ("{{ user }}", "{% if true %}{% endif %}", "{# nothing #}"):
            self.assertFalse(compile_template(text).constant)

    def test_a_template_shows_its_source(self) -> None:
        self.assertEqual(repr(compile_template("{{ user }}")), "Template('{{ user }}')")

    @few
    @given(st.text())
    def test_text_beside_expressions_is_sent_as_it_is(self, text: str) -> None:
        """Line ends of every kind and lone surrogates included."""
        text = text.replace("{", "(")
        self.assertEqual(rendered(text + "{{ model }}" + text), f"{text}gpt-5{text}")

    def test_line_ends_are_kept_in_text_and_in_strings(self) -> None:
        self.assertEqual(rendered("a\r\nb\rc\n{{\r\n'd\re' }}\r\n"), "a\r\nb\rc\nd\re\r\n")
        self.assertEqual(rendered("\x1f\r{{ 1 }}"), "\x1f\r1")


class RenderTests(TemplatesCase):
    """Filling in."""

    def test_names_their_attributes_and_their_items(self) -> None:
        self.assert_renders(
            "{{ user }} {{ match.city }} {{ headers['x-a'] }} {{ tool_result.json.celsius }} "
            "{{ messages[-2].text }} {{ messages[-1].parts[0].name }} {{ messages | length }}",
            "weather in Oslo? Oslo 1 21 weather in Oslo? f 2",
        )

    def test_what_data_calls_its_own_comes_before_the_methods_of_mappings(self) -> None:
        self.assert_renders("{{ json.items }} {{ tool_result.json.items[0] }}", "[1, 2] sun")
        self.assert_renders("{{ match.items() | list }}", "[('city', 'Oslo')]")
        self.assert_renders("{{ json | items | first | join }}", "modelgpt-5")
        self.assert_renders("{{ json['keys']() | first }} {{ match.get('x', 'y') }}", "model y")

    def test_loops(self) -> None:
        self.assert_renders(
            "{% for n in range(5) if n is odd %}{{ loop.index }}:{{ n }} {% endfor %}", "1:1 2:3 "
        )
        self.assert_renders(
            "{% for a, b in [(1, 2), (3, 4)] %}{{ loop.length }}{{ loop.last }}{{ a * b }} "
            "{% else %}none{% endfor %}",
            "2False2 2True12 ",
        )
        self.assert_renders("{% for x in [] %}{{ x }}{% else %}none{% endfor %}", "none")
        self.assert_renders(
            "{% for x in [1, [2, [3]]] recursive %}"
            "{{ loop(x) if x is iterable else x }}{% endfor %}",
            "123",
        )

    def test_macros_blocks_and_assignments(self) -> None:
        self.assert_renders(
            "{% macro twice(x) %}{{ x }}{{ x }}{{ caller() if caller is defined }}{% endmacro %}"
            "{{ twice('ab') }} {% call twice('c') %}d{% endcall %}",
            "abab ccd",
        )
        self.assert_renders(
            "{% macro all() %}{{ varargs | join }}{{ kwargs | items | join }}{% endmacro %}"
            "{% for i in [1] %}{{ all(i, 2, a=3) }}{% endfor %}",
            "12('a', 3)",
        )
        self.assert_renders("{% set x %}a{{ 1 }}{% endset %}{{ x }}", "a1")
        self.assert_renders(
            "{% filter upper %}x{% endfilter %}{% raw %}{{ x }}{% endraw %}", "X{{ x }}"
        )
        self.assert_renders(
            "{% set ns = namespace(n=0) %}{% for i in range(4) %}{% set ns.n = ns.n + i %}"
            "{% endfor %}{{ ns.n }} {{ ns }}",
            "6 <namespace>",
        )
        self.assert_renders("{% set a, b = 1, 2 %}{{ a }}{{ b }}", "12")

    def test_operators(self) -> None:
        self.assert_renders("{{ 1 + 2 * 3 ** 2 // 4 - 7 % 4 }} {{ 7 / 2 }}", "2 3.5")
        self.assert_renders(
            "{{ 'a' + 'b' }}{{ 'a' * 2 }}{{ 2 * 'b' }}{{ [1] + [2] }}", "abaabb[1, 2]"
        )
        self.assert_renders(
            "{{ [0] * 2 }}{{ 2 * [0] }}{{ 'a' * -1 }}{{ 1.5 * 2.0 }}", "[0, 0][0, 0]3.0"
        )
        self.assert_renders("{{ 2 ** -1 }} {{ 2.0 ** 2 }} {{ 2 * 1.5 }}", "0.5 4.0 3.0")
        self.assert_renders("{{ 'a' ~ 1 ~ none ~ [2] }}", "a1None[2]")
        self.assert_renders("{{ user[:3] }}{{ [1, 2, 3][1:] }}{{ user[0] }}", "wea[2, 3]w")
        self.assert_renders("{{ {'a': 1, 'b': [2]} }}{{ (1, 2) }}", "{'a': 1, 'b': [2]}(1, 2)")

    def test_text_formats(self) -> None:
        self.assert_renders("{{ '%s is %05.1f %%' % ('a', 1.25) }}", "a is 001.2 %")
        self.assert_renders("{{ '%(a)s %(b)d' % {'a': [1], 'b': 2} }}{{ '%s' % 3 }}", "[1] 23")
        self.assert_renders("{{ '%s-%s' | format(1, 2) }} {{ '%(a)s' | format(a=1) }}", "1-2 1")
        self.assert_renders("{{ '{} {1}'.replace(' {1}', '').format(5) }}", "5")
        self.assert_renders(
            "{{ '{0:>4}|{a.city}|{b[0]!r}|{b!s}|{now:%Y}'.format(1, a=match, b=['x'], now=now) }}",
            "   1|Oslo|'x'|['x']|2026",
        )
        self.assert_renders("{{ '{a}'.format_map({'a': 1}) }}", "1")

    def test_methods_of_texts(self) -> None:
        self.assert_renders(
            "{{ 'ab'.upper() }}{{ ' x '.strip() }}{{ 'x'.center(3) }}{{ 'x'.rjust(3, '-') }}"
            "{{ '7'.zfill(3) }}{{ 'abab'.replace('b', 'c', 1) }}{{ 'a b'.split() }}"
            "{{ 'a,b'.split(',', maxsplit=1) }}{{ '-'.join(['a', 'b']) }}{{ 'a'['upper']() }}",
            "ABx x --x007acab['a', 'b']['a', 'b']a-bA",
        )
        self.assert_fails(
            "{{ ''.join([1]) }}", "join() takes texts; the filter `join` takes anything"
        )

    def test_methods_of_other_values(self) -> None:
        self.assert_renders("{{ [1, 1].count(1) }}{{ (1.0).is_integer() }}", "2True")
        self.assert_renders(
            "{{ dict(a=1) }}{{ dict([('b', 2)]) }}{{ dict(match) }}",
            "{'a': 1}{'b': 2}{'city': 'Oslo'}",
        )
        self.assert_renders(
            "{% set c = cycler(1, 2) %}{{ c.next() }}{{ c.next() }}{{ c.next() }}", "121"
        )
        self.assert_renders("{% set j = joiner() %}{{ j() }}a{{ j() }}b", "a, b")

    def test_a_list_that_is_still_to_be_made_is_printed_as_a_list(self) -> None:
        self.assert_renders("{{ [1, 2] | map('string') }}{{ match.keys() }}", "['1', '2']['city']")

    def test_names_are_only_asked_for_when_they_are_used(self) -> None:
        """So a caller may hand in a mapping that works them out."""

        class Lazy(Mapping[str, Any]):
            def __init__(self) -> None:
                self.asked: list[str] = []

            def __getitem__(self, name: str) -> Any:
                self.asked.append(name)
                return name

            def __iter__(self) -> Iterator[str]:
                return iter(("user", "costly"))

            def __len__(self) -> int:
                raise AssertionError

        names = Lazy()
        self.assertEqual(compile_template("{{ user }}").render(names), "user")
        self.assertEqual(names.asked, ["user"])

    def test_a_template_is_compiled_once_and_rendered_often(self) -> None:
        template = compile_template("{{ user }}!")
        with mock.patch.object(templates, "generate", wraps=environment.generate) as generate:
            said = [template.render({"user": name}) for name in ("a", "b", "c")]
        self.assertEqual(said, ["a!", "b!", "c!"])
        self.assertEqual(generate.call_count, 1)

    def test_a_long_template_and_one_with_statements_are_compiled_at_once(self) -> None:
        """The one lest its first rendering takes long, the other lest mistakes show late."""
        for text in ("{{ user }}" + "x" * 10_000, "{% if true %}{% endif %}"):
            template = compile_template(text)
            with mock.patch.object(templates, "generate") as generate:
                template.render({"user": ""})
            self.assertEqual(generate.call_count, 0)

    def test_one_rendering_within_another_has_a_budget_of_its_own(self) -> None:
        inner = compile_template("{{ 'x' * 900000 }}")
        self.assertEqual(
            len(rendered("{{ f() | length }}{{ 'x' * 900000 }}", f=lambda: inner.render({}))),
            900_006,
        )

    def test_the_names_a_template_wants_are_known(self) -> None:
        template = compile_template("{% set a = user %}{{ a ~ mtach.city }}{{ range(3) }}")
        self.assertEqual(template.undeclared(), {"user", "mtach"})


class FilterTests(TemplatesCase):
    """Filters: Jinja's own, and those added."""

    def test_json_is_plain(self) -> None:
        self.assert_renders(
            "{{ {'b': '<é>\"', 'a': [1, none, true]} | tojson }}",
            '{"b": "<é>\\"", "a": [1, null, true]}',
        )
        self.assert_renders("{{ [1] | tojson(indent=2) }}", "[\n  1\n]")
        self.assert_renders(
            "{{ messages[-1] | tojson }}",
            '{"role": "assistant", "parts": [{"name": "f", "arguments": "{}", "id": "", '
            '"kind": "function"}], "name": null}',
        )
        self.assert_renders("{{ now | tojson }}", '"2026-01-01T00:00:00Z"')
        self.assert_fails(
            "{{ ('1e999' | float) | tojson }}",
            "JSON has no infinite numbers, and none that are not numbers",
        )

    def test_json_is_parsed(self) -> None:
        self.assert_renders("{{ ('{\"a\": [1, 2]}' | fromjson).a[1] }}", "2")
        self.assert_fails("{{ '{' | fromjson }}", "Input data was truncated")

    def test_base64(self) -> None:
        self.assert_renders("{{ 'é' | b64encode }}{{ 'w6k=' | b64decode }}", "w6k=é")
        self.assert_fails("{{ '%' | b64decode }}", "not the base64 of a text in UTF-8")
        self.assert_fails("{{ '/w==' | b64decode }}", "not the base64 of a text in UTF-8")

    def test_filters_of_texts(self) -> None:
        for expression, expected in {
            "'ab c' | capitalize": "Ab c",
            "'AB' | lower": "ab",
            "'ab' | upper": "AB",
            "12 | upper": "12",
            "'a b' | title": "A B",
            "' a ' | trim": "a",
            "'a b c' | wordcount": "3",
            "'x' | center(5)": "  x  ",
            "'<a>' | escape": "&lt;a&gt;",
            "'<a>' | e": "&lt;a&gt;",
            "'a\nb' | indent(2)": "a\n  b",
            "'a\nb' | indent('> ', first=true)": "> a\n> b",
            "'abab' | replace('b', 1)": "a1a1",
            "'abab' | replace('b', '', 1)": "aab",
            "'a b' | urlencode": "a%20b",
            "{'a': 'b c'} | urlencode": "a=b+c",
            "'aaa bbb ccc' | truncate(9, leeway=0)": "aaa...",
            "'aa bb' | wordwrap(2)": "aa\nbb",
            "['a'] | string": "['a']",
            "'abc' | reverse": "cba",
            "'12' | int + 1": "13",
            "'1.5' | float": "1.5",
            "1000 | filesizeformat": "1.0 kB",
            "2.345 | round(1)": "2.3",
            "-1 | abs": "1",
        }.items():
            self.assert_renders("{{ " + expression + " }}", expected)

    def test_filters_of_lists(self) -> None:
        for expression, expected in {
            "[3, 1] | sort": "[1, 3]",
            "[3, 1] | join('-')": "3-1",
            "messages | join(',', attribute='role')": "user,assistant",
            "messages | map(attribute='role') | list": "['user', 'assistant']",
            "messages | selectattr('role', 'eq', 'user') | list | length": "1",
            "messages | rejectattr('role', 'eq', 'user') | map(attribute='text') | list": "['']",
            "[1, 2, 3] | select('odd') | list": "[1, 3]",
            "[1, 2, 3] | reject('odd') | list": "[2]",
            "[1, 2] | sum": "3",
            "[[1], [2]] | sum(attribute=0)": "3",
            "[1, 2] | sum(start=1)": "4",
            "[1, 2, 3] | batch(2, 0) | list": "[[1, 2], [3, 0]]",
            "[1, 2, 3] | slice(2) | list": "[[1, 2], [3]]",
            "[1, 2, 3] | slice(slices=3) | list": "[[1], [2], [3]]",
            "[1, 1, 2] | unique | list": "[1, 2]",
            "[2, 1] | min ~ ([2, 1] | max)": "12",
            "[1, 2] | last": "2",
            "[1, 2] | reverse | list": "[2, 1]",
            "{'b': 1, 'a': 2} | dictsort": "[('a', 2), ('b', 1)]",
            "(messages | groupby('role'))[0].grouper": "assistant",
            "messages[0] | attr('role')": "user",
            "nothing | default('x')": "x",
            "match.nothing | d('x')": "x",
        }.items():
            self.assert_renders("{{ " + expression + " }}", expected)


class FunctionTests(TemplatesCase):
    """What templates may call."""

    def test_now_is_a_time_in_utc(self) -> None:
        self.assert_renders("{{ now }}", "2026-01-01T00:00:00Z")
        self.assert_renders(
            "{{ now.timestamp() }} {{ now.year }} {{ now.date() }}", f"{NOW} 2026 2026-01-01"
        )
        self.assert_renders(
            "{{ now.strftime('%d.%m.%Y') }} {{ now.replace(hour=7) }}",
            "01.01.2026 2026-01-01T07:00:00Z",
        )
        self.assertEqual(handed_in()["now"], datetime.fromtimestamp(NOW, UTC))

    def test_uuids_are_new_each_time_and_follow_from_the_seed(self) -> None:
        first = rendered("{{ uuid }} {{ uuid() }}")
        self.assertEqual(first, rendered("{{ uuid }} {{ uuid() }}"))
        one, two = first.split()
        self.assertNotEqual(one, two)
        for each in (one, two):
            self.assertRegex(
                each, r"^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$"
            )
        self.assertEqual(len(valued("{{ uuid }}")), 36)

    def test_a_choice_is_one_of_the_options_and_follows_from_the_seed(self) -> None:
        many = "{% for i in range(50) %}{{ choice('a', 'b', 'c') }}{% endfor %}"
        self.assertEqual(set(rendered(many)), set("abc"))
        self.assertEqual(rendered(many), rendered(many))

    def test_a_choice_is_among_arguments_or_in_a_list(self) -> None:
        self.assertIn(rendered("{{ choice(['a', 'b']) }}"), "ab")
        self.assertIn(
            rendered("{{ choice(messages | map(attribute='role')) }}"), ("user", "assistant")
        )
        self.assert_renders("{{ choice('only') }}", "only")
        self.assert_fails("{{ choice() }}", "choice() has nothing to choose from")
        self.assert_fails("{{ choice([]) }}", "choice() has nothing to choose from")

    def test_lorem_is_exactly_so_many_tokens(self) -> None:
        self.assertEqual(Splitter().count(rendered("{{ lorem(100) }}")), 100)
        self.assertEqual(Splitter().count(rendered("{{ lorem('100') }}")), 100)
        self.assert_fails("{{ lorem(-1) }}", "filler cannot have -1 tokens")

    def test_chance_is_not_touched_before_it_is_needed(self) -> None:
        made = mock.Mock(side_effect=lambda: random.Random(7))
        names = functions(made, NOW, Splitter())
        compile_template("{{ now }}{{ lorem(3) }}").render(names)
        self.assertEqual(made.call_count, 0)
        said = compile_template("{{ uuid }} {{ uuid() }}").render(names)
        self.assertEqual(made.call_count, 1)
        self.assertEqual(said, rendered("{{ uuid }} {{ uuid() }}"))


class BadTemplateTests(TemplatesCase):
    """Mistakes that show when a template is compiled."""

    def test_syntax(self) -> None:
        self.assert_bad("{{ user", "unexpected end of template, expected 'end of print statement'.")
        self.assert_bad("a\n{{ user }\n", "unexpected '}'", 2)
        self.assert_bad(
            "a\n\n{% if x %}",
            "Unexpected end of template. Jinja was looking for the following tags: 'elif' or "
            "'else' or 'endif'. The innermost block that needs to be closed is 'if'.",
            3,
        )
        self.assert_bad("{% break %}", "Encountered unknown tag 'break'.")
        self.assert_bad("a\r\nb\r\n{{ ' }}", 'unexpected char "\'" at 9', 3)

    def test_filters_and_tests_that_do_not_exist(self) -> None:
        """Even where they may never be reached."""
        self.assert_bad(
            "a\n{{ user | uper }}", "there is no filter 'uper'; did you mean 'upper'?", 2
        )
        self.assert_bad(
            "{% if false %}{{ 1 is ood }}{% endif %}", "there is no test 'ood'; did you mean 'odd'?"
        )
        self.assert_bad("{{ [1] | random }}", "there is no filter 'random'")

    def test_a_template_stands_alone(self) -> None:
        for text, tag in {
            "{% include 'x' %}": "include",
            "{% import 'x' as x %}": "import",
            "{% from 'x' import y %}": "from",
            "{% extends 'x' %}": "extends",
            "{% block x %}{% endblock %}": "block",
            "{% autoescape true %}{% endautoescape %}": "autoescape",
        }.items():
            self.assert_bad("\n" + text, f"there is no '{tag}' here: a template stands alone", 2)

    def test_nesting(self) -> None:
        self.assert_bad("{{ " + "(" * 1000 + ")" * 1000 + " }}", "nested too deeply")
        self.assert_bad("\n{{ " + "-" * 100 + "1 }}", "nested too deeply", 2)
        self.assert_bad(
            "{% for x in y %}" * 21 + "{% endfor %}" * 21,
            "it makes no sense as Python: too many statically nested blocks",
        )

    def test_assignments_that_jinja_refuses(self) -> None:
        self.assert_bad(
            "\n{% for loop in x %}{% endfor %}",
            "Can't assign to special loop variable in for-loop target",
            2,
        )

    def test_numbers(self) -> None:
        self.assert_bad("\n{{ 1e999 }}", "a number that is too large", 2)
        self.assert_bad("{{ " + "1" * 5000 + " }}", "a number that is too large")

    def test_carriage_returns_among_every_kind_of_white_space(self) -> None:
        self.assert_bad(
            "\r\x1c\x1d\x1e\x1f\x85\u2028\u2029\u205f\u3000{{ 1 }}",
            "too many kinds of white space in one text",
        )


class TemplateFailedTests(TemplatesCase):
    """Mistakes that show when a template is filled in."""

    def test_a_name_that_is_not_defined(self) -> None:
        self.assert_fails("{{ usr }}", "'usr' is not defined; did you mean 'user'?")
        self.assert_fails("{{ rang(3) }}", "'rang' is not defined; did you mean 'range'?")
        self.assert_fails("{{ qqq }}", "'qqq' is not defined")
        self.assert_fails("{% for x in qqq %}{% endfor %}", "'qqq' is not defined")
        self.assert_fails("{{ qqq.x }}", "'qqq' is not defined")

    def test_an_attribute_or_item_that_is_not_there(self) -> None:
        self.assert_fails("{{ match.cty }}", "a mapping has no 'cty'; did you mean 'city'?")
        self.assert_fails("{{ match['cty'] }}", "a mapping has no 'cty'; did you mean 'city'?")
        self.assert_fails("{{ match[1] }}", "a mapping has no item 1")
        self.assert_fails("{{ messages[-1].txt }}", "Message has no 'txt'; did you mean 'text'?")
        self.assert_fails("{{ messages[7].text }}", "a list of 2 has no item 7")
        self.assert_fails("{{ user.uper() }}", "a text has no 'uper'; did you mean 'upper'?")
        self.assert_fails("{{ turn.x }}", "a number has no 'x'")
        self.assert_fails("{{ json.stop.x }}", "none has no 'x'")
        self.assert_fails("{{ true.x }}", "true has no 'x'")
        self.assert_fails(
            "{% set ns = namespace(total=1) %}{{ ns.totl }}", "Namespace has no 'totl'"
        )

    def test_the_line_is_the_one_of_the_expression(self) -> None:
        self.assert_fails(
            "a\nb {{ user }}\n\n{{ user }} {{ usr }}",
            "'usr' is not defined; did you mean 'user'?",
            4,
        )
        self.assert_fails("{# a\r\nb #}\r\n{{ 1 / 0 }}", "division by zero", 3)
        self.assert_fails(
            "{% if true %}\n{% for x in [1] %}\n{{ x / 0 }}\n{% endfor %}{% endif %}",
            "division by zero",
            3,
        )
        self.assert_fails(
            "{% macro m() %}\n{{ 1 / 0 }}\n{% endmacro %}\n\n{{ m() }}", "division by zero", 2
        )
        self.assert_fails(
            "\n{{ [1] | map('round', 200) | list }}", "a precision of more than 100", 2
        )
        self.assert_fails(
            "\n{{ 'x' * 600000 }}\n{{ 'x' * 600000 }}", "it gives more than 1,000,000 characters", 3
        )

    def test_a_failure_of_what_is_handed_in_gets_the_line(self) -> None:
        self.assert_fails("\n{{ tool_result.broken }}", "the tool result is not JSON", 2)
        self.assert_fails("\n{{ tool_result.silent }}", "ValueError", 2)
        self.assert_fails("{{ tool_result.endless }}", "nested too deeply")

    def test_other_mistakes_are_told_in_one_line(self) -> None:
        self.assert_fails("{{ 1 / 0 }}", "division by zero")
        self.assert_fails("{{ 1 + 'a' }}", "unsupported operand type(s) for +: 'int' and 'str'")
        self.assert_fails("{{ '{a}'.format() }}", "KeyError: 'a'")
        self.assert_fails("{{ [] | min }}", "No aggregated item, sequence was empty.")
        self.assert_fails("{{ user() }}", "'str' object is not callable")
        self.assert_fails("{{ [1] | join(attribute='x') }}", "a number has no 'x'")

    def test_a_function_is_not_printed(self) -> None:
        """Its address would be in the answer."""
        self.assert_fails("{{ lorem }}", "'filler' is a function: call it, with parentheses")
        self.assert_fails("{{ match.get }}", "'get' is a function: call it, with parentheses")
        self.assert_fails(
            "{% macro m() %}{% endmacro %}{{ m }}", "'m' is a function: call it, with parentheses"
        )

    def test_a_failing_template_can_be_rendered_again(self) -> None:
        template = compile_template("{{ user }}")
        self.assertRaises(TemplateFailed, template.render, {})
        self.assertEqual(template.render({"user": "x"}), "x")

    def test_a_mistake_that_only_shows_when_the_code_is_made(self) -> None:
        template = compile_template("{{ user }}")
        with mock.patch.object(templates, "generate", side_effect=BadTemplate("no code")):
            error = self.assertRaises(TemplateFailed, template.render, {})
        self.assertEqual((error.reason, error.line), ("no code", None))


ATTACKS = {
    "a text of more than 1,000,000 characters": r"""
        {{ "x" * 1000000000 }}
        {{ 1000000000 * "x" }}
        {{ ("%(a)s" * 10000) % {"a": "x" * 100000} }}
        {{ ("{0}" * 100000).format("x" * 100000) }}
        {{ "x".center(1000000000) }}
        {{ "x".ljust(1000000000) }}
        {{ "x".rjust(1000000000) }}
        {{ "x".zfill(1000000000) }}
        {{ "x" | center(1000000000) }}
        {{ ("x\n" * 100000) | indent(900) }}
        {{ range(100000) | join("x" * 100000) }}
        {{ ("x" * 100000).join("x" * 100000) }}
        {{ ("x" * 100000).replace("x", "x" * 100000) }}
        {{ ("x" * 100000) | replace("x", "x" * 100000) }}
        {{ ("x" * 100000) | replace("", "x" * 100000) }}
        {{ lorem(1000000) }}
        {% set x %}{% for i in range(100000) %}xxxxxxxxxxxxxxxxxxxx{% endfor %}{% endset %}
        {% filter upper %}{% for i in range(99999) %}xxxxxxxxxxxxxxxxxxxx{% endfor %}{% endfilter %}
        {% set n = namespace(x="x") %}{% for i in range(99) %}{% set n.x = n.x ~ n.x %}{% endfor %}
        {% set n = namespace(x="x") %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}
    """,
    "a list with too much in it": r"""
        {{ [0] * 1000000000 }}
        {{ ["x" * 1000000] * 1000 }}
    """,
    "a number with too many digits": r"""
        {{ 10 ** 1000000000 }}
        {{ 2 ** (2 ** 40) }}
        {% set n = namespace(x=10) %}{% for i in range(99) %}{% set n.x = n.x * n.x %}{% endfor %}
    """,
    "a width in a format may be no more than 999": r"""
        {{ "%1000000000d" % 1 }}
        {{ "%1000000000d" | format(1) }}
        {{ "%.1000000000f" % 1 }}
        {{ "%*d" % (1000000000, 1) }}
        {{ "%%(a%1000000000d)" % 1 }}
        {{ "{:1000000000}".format(1) }}
        {{ "{:{w}}".format(1, w=1000000000) }}
        {{ "{a:>1000000000}".format_map({"a": 1}) }}
    """,
    "a name in %(...) may not have brackets in it": r"""
        {{ "%((a))1000000000d" % {"(a)": 1} }}
    """,
    "a list or mapping with too much in it": r"""
        {{ "%s" % [["x" * 1000000] * 10] }}
        {{ "%s" % ([["x" * 1000000] * 10],) }}
        {{ "{}".format(["x" * 1000000] * 10) }}
        {{ "{!r}".format(["x" * 1000000] * 10) }}
        {{ [["x" * 1000000] * 10] | tojson }}
        {{ [["x" * 1000000] * 10] | join }}
        {{ (["x" * 1000000] * 10) | string }}
        {% set n = namespace(x=[1]) %}{% for i in range(99) %}{% set n.x = n.x + n.x %}{% endfor %}
        {% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = [n.x, n.x] %}{% endfor %}
        {% set n = namespace(x=1) %}{% for i in [1] * 60 %}{% set n.x = (n.x, n.x) %}{% endfor %}
        {% set n=namespace(x=1) %}{% for i in [1] * 60 %}{% set n.x = {1:n.x, 2:n.x} %}{% endfor %}
        {% set n=namespace(x=1) %}{% for i in [1] * 60 %}{% set n.x = dict(a=n.x,b=n.x) %}{%endfor%}
        {% macro m(n) %}{{ m(n - 1, varargs, varargs) if n }}{% endmacro %}{{ m(35, 1) }}
        {% macro m(n) %}{{ m(n - 1, a=kwargs, _b=kwargs) if n }}{% endmacro %}{{ m(35, a=1) }}
    """,
    "more than 1,000 columns": r"""
        {{ "x" | indent(1000000000) }}
        {{ [1] | batch(1000000000, "x") | list }}
        {{ [1] | batch(linecount=1000000000, fill_with="x") | list }}
        {{ [1] | slice(1000000000) | list }}
    """,
    "a precision of more than 100": r"""
        {{ 1.5 | round(1000000000) }}
        {{ 15 | round(-1000000000) }}
        {{ 15 | round(1000000000, "ceil") }}
    """,
    "wordwrap takes texts of up to 20,000 characters": r"""
        {{ ("x" * 100000) | wordwrap(1) }}
        {{ "x x" | wordwrap(1, wrapstring="y" * 100000) }}
    """,
    "an indentation of more than 10": r"""
        {{ [1] | tojson(indent=1000000000) }}
    """,
    "a number of more than 1,000 characters": r"""
        {{ ("f" * 1000000) | int(base=16) }}
        {{ ("1" * 1000000) | float }}
    """,
    "JSON with too many levels": r"""
        {{ ("[" * 100000) | fromjson }}
    """,
    "a time format of more than 200 characters": r"""
        {{ now.strftime("%Y" * 100000) }}
    """,
    "filler has at most 1,000,000 tokens, not 1,000,000,000": r"""
        {{ lorem(1000000000) }}
    """,
    "sum adds numbers": r"""
        {{ [] | sum(start=[]) }}
    """,
    "an attribute with more than 10 dots and commas": r"""
        {{ [[0]] | sort(attribute="0" ~ ".0" * 1000) }}
        {{ [] | groupby(attribute="0" ~ ".0" * 1000, default=[0]) }}
    """,
    "Range too big. The sandbox blocks ranges larger than MAX_RANGE (100000).": r"""
        {{ range(1000000000) | list }}
    """,
    "it takes more than 250,000 steps": r"""
        {% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}
        {% for i in range(100000) if range(100000) | select("odd") | list %}{% endfor %}
        {% for i in range(100000) %}{% set x = range(100000) | sum %}{% endfor %}
    """,
    "it makes texts of more than 100,000,000 characters in all": r"""
        {% for i in range(100000) %}{% set x = lorem(100000) %}{% endfor %}
        {% set x = "x" * 500000 %}{% for i in range(100000) %}{% set y = x ~ i %}{% endfor %}
        {% set x = "x" * 500000 %}{% for i in range(100000) %}{% set y = x[1:] %}{% endfor %}
        {% set x = "x" * 500000 %}{% for i in range(100000) %}{% set y = x.upper() %}{% endfor %}
    """,
    "it gives more than 1,000,000 characters": r"""
        {% for i in range(100000) %}{{ "x" * 1000 }}{% endfor %}
        {% for i in range(100000) %}xxxxxxxxxxxxxxxxxxxxxxxxxxxxxx{% endfor %}
    """,
    "a value with more than 64 levels": r"""
        {% set n = namespace(x=1) %}{% for i in range(100000) %}{% set n.x = [n.x] %}{% endfor %}
    """,
    "it makes calls within calls, more than 40 deep": r"""
        {% macro m() %}{{ m() }}{% endmacro %}{{ m() }}
        {% macro m() %}{{ m() ~ m() }}{% endmacro %}{{ m() }}
        {% for i in [1] recursive %}{{ loop([1]) }}{% endfor %}
    """,
    "": r"""
        {% for i in [1] recursive %}{{ loop([1, 1]) if loop.depth < 39 else '' }}{% endfor %}
        {% for i in [1] recursive %}{{ loop(range(100000)) if loop.depth < 9 else '' }}{% endfor %}
        {% macro m(n) %}{% if n %}{{ m(n - 1) }}{{ m(n - 1) }}{% endif %}{% endmacro %}{{ m(35) }}
    """,
}
"""Templates, one a line, that would take for ever or fill the memory, by how they end.

Where no ending is given, it is a matter of the machine's speed which bound comes first.
"""


ESCAPES = {
    "a text has no '__class__'": r"""
        {{ user.__class__ }}
    """,
    "a text has no 'encode'": r"""
        {{ user.encode() }}
    """,
    "partial has no '__globals__'": r"""
        {{ user.format.__globals__ }}
    """,
    "a number has no '__class__' that a template may use": r"""
        {{ "{0.__class__}".format(turn) }}
        {{ turn | attr("__class__") }}
        {{ turn["__class__"] }}
        {{ [turn] | map(attribute="__class__") | list }}
    """,
    "a number has no 'to_bytes' that a template may use": r"""
        {{ turn.to_bytes(1000000000, "big") }}
    """,
    "function has no '__closure__' that a template may use": r"""
        {{ lorem.__closure__ }}
    """,
    "Moment has no 'astimezone' that a template may use": r"""
        {{ now.astimezone() }}
    """,
    "a mapping has no 'update' that a template may use": r"""
        {{ json.update({"a": 1}) }}
    """,
    "a list of 2 has no 'append' that a template may use": r"""
        {{ json["items"].append(1) }}
    """,
    "type has no 'mro' that a template may use": r"""
        {{ namespace.mro() }}
    """,
    "generator has no 'gi_frame' that a template may use": r"""
        {{ ([] | map("upper")).gi_frame }}
    """,
    "TemplateReference has no '__init__' that a template may use": r"""
        {{ self.__init__ }}
    """,
}


def each(attacks: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Every attack, after how it ends."""
    for reason, lines in attacks.items():
        for line in lines.strip().splitlines():
            yield reason, line.strip()


def stopped() -> float:
    """A clock that stands still."""
    return 0.0


class BoundsTests(TemplatesCase):
    """What a template may not do, whatever it says."""

    def test_attacks_end_soon(self) -> None:
        """Most without the clock, which stands still here."""
        for reason, attack in each(ATTACKS):
            before = time.perf_counter()
            clock = stopped if reason else time.perf_counter
            with mock.patch.object(budget, "perf_counter", clock):
                error = self.assertRaises(TemplateFailed, rendered, attack)
            self.assertLess(time.perf_counter() - before, 2, attack)
            self.assertEqual((error.reason, error.line), (reason or error.reason, 1), attack)

    def test_attacks_on_memory_use_little_of_it(self) -> None:
        """Tracing memory takes time, so the ones that end by counting are left out."""
        for reason, attack in each(ATTACKS):
            if reason.startswith(("a text", "a list with", "a number", "a width", "JSON")):
                tracemalloc.start()
                try:
                    self.assertRaises(TemplateFailed, rendered, attack)
                    peak = tracemalloc.get_traced_memory()[1]
                finally:
                    tracemalloc.stop()
                self.assertLess(peak, 20_000_000, attack)

    def test_nothing_leads_out_of_the_sandbox(self) -> None:
        for reason, escape in each(ESCAPES):
            self.assert_fails(escape, reason)

    def test_a_rendering_ends_when_its_time_is_up(self) -> None:
        """The clock is read at each step; here it makes half a second of each reading."""
        readings = iter(half / 2 for half in range(9))
        with mock.patch.object(budget, "perf_counter", side_effect=readings):
            self.assert_fails(
                "\n{% for i in range(9) %}\n{% endfor %}", "it takes longer than 1 s", 2
            )

    def test_large_values_that_are_handed_in_can_be_looked_at_but_not_printed(self) -> None:
        large = {"user": "x" * 2_000_000, "json": {"a": ["x" * 2_000_000]}}
        self.assertEqual(rendered("{{ user | length }} {{ json.a[0][:2] }}", **large), "2000000 xx")
        self.assertEqual(rendered("{{ user | truncate(5) }}{{ user[-1] }}", **large), "xx...x")
        for text, reason in {
            "{{ user }}": "it gives more than 1,000,000 characters",
            "{{ json }}": "a list or mapping with too much in it",
            "{{ json | tojson }}": "a list or mapping with too much in it",
            "{{ user | upper }}": "a text of more than 1,000,000 characters",
            "{{ user.upper() }}": "a text of more than 1,000,000 characters",
            "{{ user.split() }}": "a text of more than 1,000,000 characters",
            "{{ user ~ 1 }}": "a text of more than 1,000,000 characters",
        }.items():
            error = self.assertRaises(TemplateFailed, rendered, text, **large)
            self.assertEqual(error.reason, reason)

    def test_values_of_every_kind_are_weighed(self) -> None:
        self.assert_renders("{{ [match, now, messages[0], none, 1.5] | length }}", "5")
        self.assertEqual(rendered("{{ [b] | length }}", b=b"abc"), "1")

    @few
    @given(
        st.lists(
            st.sampled_from(
                [
                    *("{{", "}}", "{%", "%}", "{#", "#}", "[", "]", "(", ")", "{", "}", "\n", "\r"),
                    *("+", "*", "**", "%", "~", "|", ":", ",", ".", "-", "=", "not", "is", "in"),
                    *("user", "json.items", "[1,2]", "'a'", "3", "x", "m()", "loop.index"),
                    *("upper", "list", "map('upper')", "join", "sort", "batch(2)", "tojson"),
                    *("range(9)", "for", "x", "in", "if", "else", "endfor", "endif", "set"),
                    *("macro m()", "endmacro", "defined", "{{ x", "{% for x in", "{% if"),
                ]
            ),
            max_size=25,
        )
    )
    def test_any_text_is_rendered_or_refused_in_one_line(self, words: list[str]) -> None:
        try:
            said = rendered(" ".join(words))
        except (BadTemplate, TemplateFailed) as error:
            self.assertEqual(len(error.reason.splitlines()), 1)
        else:
            self.assertIsInstance(said, str)


class ValueTests(TemplatesCase):
    """Native values of texts that are one expression."""

    def test_the_value_of_a_single_expression_is_native(self) -> None:
        for text, expected in {
            "{{ turn }}": 2,
            "{{ turn + 0.5 }}": 2.5,
            "{{ turn > 1 }}": True,
            "{{ json.stop }}": None,
            "{{ user }}": "weather in Oslo?",
            "{{ json }}": {"model": "gpt-5", "temperature": 0.5, "stop": None, "items": [1, 2]},
            "{{ [1, (2, 'a')] }}": [1, [2, "a"]],
            "{{ {1: 2} }}": {"1": 2},
            "{{ range(3) }}": [0, 1, 2],
            "{{ [range(2), match.keys()] }}": [[0, 1], ["city"]],
            "{{ messages | map(attribute='role') }}": ["user", "assistant"],
            "{{ match.items() }}": [["city", "Oslo"]],
            "{{ messages[1].parts[0] }}": {
                "name": "f",
                "arguments": "{}",
                "id": "",
                "kind": "function",
            },
            "{{ now }}": "2026-01-01T00:00:00Z",
            "{{ tool_result }}": '{"celsius": 21}',
        }.items():
            value = valued(text)
            self.assertEqual(value, expected)
            self.assertIs(type(value), type(expected))

    def test_any_other_text_gives_a_text(self) -> None:
        for text, expected in {
            " {{ turn }}": " 2",
            "{{ turn }}{{ turn }}": "22",
            "{% if true %}{{ turn }}{% endif %}": "2",
            "{% raw %}{{ turn }}{% endraw %}": "{{ turn }}",
            "{# nothing #}": "",
            "2": "2",
        }.items():
            self.assertEqual(valued(text), expected)

    def test_failures_are_those_of_rendering(self) -> None:
        for text, reason in {
            "{{ usr }}": "'usr' is not defined; did you mean 'user'?",
            "{{ lorem }}": "'filler' is a function: call it, with parentheses",
            "{{ [usr] }}": "'usr' is not defined; did you mean 'user'?",
            "{{ ['x' * 1000000] }}": "a list or mapping with too much in it",
            "{{ range(2000) | map('center', 1000) }}": "a list or mapping with too much in it",
        }.items():
            error = self.assertRaises(TemplateFailed, valued, text)
            self.assertEqual(error.reason, reason)


class ValueTemplateTests(TemplatesCase):
    """Templates within values as JSON has them."""

    def test_every_text_at_any_depth_is_filled_in_keys_too(self) -> None:
        template = compile_value(
            {
                "city": "{{ match.city }}",
                "{{ model }}": [1, "{{ turn }}", {"x": ["{{ turn }}th", None, True]}],
                7: ("{{ turn }}", 1.5),
                "plain": {"a": [1]},
            }
        )
        self.assertFalse(template.constant)
        self.assertEqual(
            template.value(handed_in()),
            {
                "city": "Oslo",
                "gpt-5": [1, 2, {"x": ["2th", None, True]}],
                7: [2, 1.5],
                "plain": {"a": [1]},
            },
        )

    def test_a_key_is_a_text(self) -> None:
        self.assertEqual(compile_value({"{{ turn }}": 1}).value(handed_in()), {"2": 1})

    def test_a_value_without_templates_is_given_back_itself(self) -> None:
        values: list[Any] = ["text", 1, None, {"a": [1, "b"]}, [], {1: "x"}]
        for value in values:
            template = compile_value(value)
            self.assertTrue(template.constant)
            self.assertIs(template.value({}), value)

    def test_a_single_text(self) -> None:
        self.assertEqual(compile_value("{{ turn }}").value(handed_in()), 2)

    def test_a_mistake_says_where_it_is(self) -> None:
        error = self.assertRaises(BadTemplate, compile_value, "{{")
        self.assertEqual(error.path, ())
        error = self.assertRaises(BadTemplate, compile_value, {"a": [0, "x\n{{ 1 | uper }}"]})
        self.assertEqual((error.path, error.line), (("a", 1), 2))
        error = self.assertRaises(BadTemplate, compile_value, {"{{": 1})
        self.assertEqual((error.path, error.line), (("{{",), 1))

    def test_a_failure_says_where_it_is(self) -> None:
        template = compile_value({"a": [0, "x\n{{ usr }}"]})
        error = self.assertRaises(TemplateFailed, template.value, handed_in())
        self.assertEqual(
            (error.reason, error.path, error.line),
            ("'usr' is not defined; did you mean 'user'?", ("a", 1), 2),
        )

    def test_two_keys_may_not_become_the_same(self) -> None:
        template = compile_value({"x": {"{{ turn }}": 1, "2": 2}})
        error = self.assertRaises(TemplateFailed, template.value, handed_in())
        self.assertEqual((error.reason, error.path), ("two keys become '2'", ("x", "2")))

    def test_a_value_that_is_nested_too_deeply_is_refused(self) -> None:
        """One that holds itself included."""
        endless: list[Any] = []
        endless.append(endless)
        error = self.assertRaises(BadTemplate, compile_value, endless)
        self.assertEqual(error.reason, "a value with more than 64 levels")

    def test_the_bounds_hold_for_all_texts_together(self) -> None:
        template = compile_value(["{{ 'x' * 600000 }}", "{{ 'x' * 600000 }}"])
        error = self.assertRaises(TemplateFailed, template.value, {})
        self.assertEqual(error.reason, "it gives more than 1,000,000 characters")


class PublicNamesTests(SynchronousTestCase):
    """What other modules use."""

    def test_every_public_name_is_there(self) -> None:
        for name in templates.__all__:
            self.assertTrue(hasattr(templates, name), name)
        self.assertIsInstance(compile_template(""), Template)
