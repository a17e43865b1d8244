"""Every condition of the language: where it holds, and where it does not."""

from fakellm import all_of, any_of, contains, ends_with, like, matches, not_, starts_with
from fakellm.scenarios.schema import NumberTest, TextTest
from tests.questions import NOTE, NUMBER, TIME, WEATHER, named
from tests.scenarios.cases import LanguageCase, assistant, calling, result, system, user

PICTURE = {"type": "image_url", "image_url": {"url": "https://example.com/cat.png"}}
SOUND = {"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}
FILE = {"type": "file", "file": {"file_id": "file-1"}}


def words(text: str) -> dict[str, str]:
    return {"type": "text", "text": text}


class TextTests(LanguageCase):
    """The tests that a text can be put to."""

    def test_a_bare_text_is_equality(self) -> None:
        self.given(
            "rules: [{when: {user: Hello}, reply: Yes.}]",
            lambda llm: llm.when(user="Hello").reply("Yes."),
        )
        self.assert_only(["Hello"], ["hello", "Hello ", "", "Hello you"])

    def test_equality_can_be_said_too(self) -> None:
        self.given(
            "rules: [{when: {user: {equals: Hello}}, reply: Yes.}]",
            lambda llm: llm.when(user=TextTest(equals="Hello")).reply("Yes."),
        )
        self.assert_only(["Hello"], ["hello"])

    def test_contains(self) -> None:
        self.given(
            "rules: [{when: {user: {contains: ell}}, reply: Yes.}]",
            lambda llm: llm.when(user=contains("ell")).reply("Yes."),
        )
        self.assert_only(["Hello", "ell"], ["HELL", "e ll"])

    def test_matches_anywhere(self) -> None:
        self.given(
            r"rules: [{when: {user: {matches: 'l+o\b'}}, reply: Yes.}]",
            lambda llm: llm.when(user=matches(r"l+o\b")).reply("Yes."),
        )
        self.assert_only(["Hello you", "so lo"], ["Hellos", "HELLO"])

    def test_starts_with(self) -> None:
        self.given(
            "rules: [{when: {user: {starts_with: He}}, reply: Yes.}]",
            lambda llm: llm.when(user=starts_with("He")).reply("Yes."),
        )
        self.assert_only(["Hello", "He"], ["hello", " He"])

    def test_ends_with(self) -> None:
        self.given(
            "rules: [{when: {user: {ends_with: lo}}, reply: Yes.}]",
            lambda llm: llm.when(user=ends_with("lo")).reply("Yes."),
        )
        self.assert_only(["Hello", "lo"], ["Hello.", "LO"])

    def test_like_whatever_the_case_and_the_white_space(self) -> None:
        self.given(
            "rules: [{when: {user: {like: Hello STRASSE}}, reply: Yes.}]",
            lambda llm: llm.when(user=like("Hello STRASSE")).reply("Yes."),
        )
        self.assert_only(["hello strasse", " HELLO\n\tStraße "], ["hellostrasse", "hello"])

    def test_any_of_several(self) -> None:
        self.given(
            "rules: [{when: {user: {any: [one, {contains: two}]}}, reply: Yes.}]",
            lambda llm: llm.when(user=any_of("one", contains("two"))).reply("Yes."),
        )
        self.assert_only(["one", "or two"], ["one and", "three"])

    def test_all_of_several(self) -> None:
        self.given(
            "rules: [{when: {user: {all: [{contains: one}, {contains: two}]}}, reply: Yes.}]",
            lambda llm: llm.when(user=all_of(contains("one"), contains("two"))).reply("Yes."),
        )
        self.assert_only(["two, one"], ["one", "two"])

    def test_all_that_is_given_beside_each_other(self) -> None:
        self.given(
            "rules: [{when: {user: {starts_with: a, ends_with: z}}, reply: Yes.}]",
            lambda llm: llm.when(user=TextTest(starts_with="a", ends_with="z")).reply("Yes."),
        )
        self.assert_only(["a to z"], ["a", "z"])

    def test_not(self) -> None:
        self.given(
            "rules: [{when: {user: {not: {contains: secret}}}, reply: Yes.}]",
            lambda llm: llm.when(user=not_(contains("secret"))).reply("Yes."),
        )
        self.assert_only(["open"], ["a secret"])


class NumberTests(LanguageCase):
    """The tests that a number can be put to, on the turn."""

    def assert_turns(self, holds: set[int]) -> None:
        for turn in range(1, 6):
            talk = [user("hi"), assistant("ho")] * (turn - 1)
            expected = "Yes." if turn in holds else "hello world"
            self.assertEqual(self.said(*talk, "hi"), expected, turn)

    def test_a_bare_number_is_equality(self) -> None:
        self.given(
            "rules: [{when: {turn: 2}, reply: Yes.}]", lambda llm: llm.when(turn=2).reply("Yes.")
        )
        self.assert_turns({2})

    def test_bounds(self) -> None:
        self.given(
            "rules: [{when: {turn: {at_least: 2, at_most: 3}}, reply: Yes.}]",
            lambda llm: llm.when(turn=NumberTest(at_least=2, at_most=3)).reply("Yes."),
        )
        self.assert_turns({2, 3})

    def test_any_of_several(self) -> None:
        self.given(
            "rules: [{when: {turn: {any: [1, 4]}}, reply: Yes.}]",
            lambda llm: llm.when(turn=NumberTest(any=(1, 4))).reply("Yes."),
        )
        self.assert_turns({1, 4})

    def test_not(self) -> None:
        self.given(
            "rules: [{when: {turn: {not: {at_most: 3}}}, reply: Yes.}]",
            lambda llm: llm.when(turn=NumberTest(not_=NumberTest(at_most=3))).reply("Yes."),
        )
        self.assert_turns({4, 5})


class ConversationTests(LanguageCase):
    """Conditions on who said what."""

    def test_user_is_the_last_message_of_the_user_its_parts_joined(self) -> None:
        self.given(
            "rules: [{when: {user: Hello you}, reply: Yes.}]",
            lambda llm: llm.when(user="Hello you").reply("Yes."),
        )
        parts = [words("Hello "), PICTURE, words("you")]
        self.assert_only(
            [
                [user(parts)],
                [user("first"), assistant("so?"), user("Hello you"), assistant("and?")],
                [user("Hello you"), calling("f"), result("done")],
            ],
            [[user("Hello you"), user("bye")], [system("Hello you"), user("bye")]],
        )

    def test_last_is_the_only_text_of_the_last_message_whoever_says_it(self) -> None:
        self.given(
            "rules: [{when: {last: now}, reply: Yes.}]",
            lambda llm: llm.when(last="now").reply("Yes."),
        )
        self.assert_only(
            [
                [user("now")],
                [user("a"), assistant("now")],
                [user("a"), calling("f"), result("now")],
                [user([words("now"), PICTURE])],
            ],
            [[user("now"), assistant("b")], [user([words("no"), words("w")])]],
        )

    def test_system_is_all_that_the_system_and_the_developer_say(self) -> None:
        self.given(
            r"""rules: [{when: {system: "Be kind.\nBe brief."}, reply: Yes.}]""",
            lambda llm: llm.when(system="Be kind.\nBe brief.").reply("Yes."),
        )
        brief = {"role": "developer", "content": "Be brief."}
        self.assert_only(
            [[system("Be kind."), brief, user("hi")], [system("Be kind."), user("hi"), brief]],
            [[system("Be kind."), user("hi")], "Be kind.\nBe brief."],
        )

    def test_any_message_is_that_of_anybody(self) -> None:
        self.given(
            "rules: [{when: {any_message: {contains: word}}, reply: Yes.}]",
            lambda llm: llm.when(any_message=contains("word")).reply("Yes."),
        )
        self.assert_only(
            [
                [system("word"), user("a")],
                [user("a"), assistant("a word"), user("b")],
                [user("a"), calling("f"), result("words")],
            ],
            ["wo", [user("wo"), assistant("rd")]],
        )

    def test_last_role_is_one_or_any_of_several(self) -> None:
        self.given(
            """
            rules:
              - {when: {last_role: tool}, reply: Yes.}
              - {when: {last_role: [assistant, system]}, reply: Yes.}
            """,
            lambda llm: (
                llm.when(last_role="tool").reply("Yes."),
                llm.when(last_role=["assistant", "system"]).reply("Yes."),
            ),
        )
        self.assert_only(
            [
                [user("a"), calling("f"), result("x")],
                [user("a"), assistant("b")],
                [user("a"), system("b")],
            ],
            ["a", [user("a"), {"role": "developer", "content": "b"}]],
        )

    def test_step_counts_since_the_last_message_of_the_user_which_no_tool_result_is(self) -> None:
        self.given(
            "rules: [{when: {step: 2, turn: 3}, reply: Yes.}]",
            lambda llm: llm.when(step=2, turn=3).reply("Yes."),
        )
        before = [user("a"), assistant("b")]
        self.assert_only(
            [[*before, user("c"), calling("f"), result("x")]],
            [[*before, user("c")], [*before, user("c"), assistant("d"), user("e")]],
        )

    def test_attempt_counts_how_often_the_same_was_asked(self) -> None:
        self.given(
            "rules: [{when: {attempt: 3}, reply: Yes.}]",
            lambda llm: llm.when(attempt=3).reply("Yes."),
        )
        same = [self.said("same", temperature=step / 10, stream=False) for step in range(4)]
        self.assertEqual(same, ["hello world", "hello world", "Yes.", "hello world"])
        self.assertEqual([self.said(f"other {step}") for step in range(4)], ["hello world"] * 4)

    def test_attempt_goes_by_the_whole_conversation(self) -> None:
        self.given(
            "rules: [{when: {attempt: 2}, reply: Yes.}]",
            lambda llm: llm.when(attempt=2).reply("Yes."),
        )
        self.assertEqual(self.said("a"), "hello world")
        self.assertEqual(self.said(system("s"), "a"), "hello world")
        self.assertEqual(self.said("a", assistant("b"), "a"), "hello world")
        self.assertEqual(self.said("a"), "Yes.")

    def test_has_asks_for_one_or_all_of_several_kinds_of_content(self) -> None:
        self.given(
            """
            rules:
              - {when: {has: [image, audio]}, reply: both}
              - {when: {has: image}, reply: image}
              - {when: {has: audio}, reply: audio}
              - {when: {has: file}, reply: file}
              - {when: {has: tool_results}, reply: results}
            """,
            lambda llm: (
                llm.when(has=["image", "audio"]).reply("both"),
                llm.when(has="image").reply("image"),
                llm.when(has="audio").reply("audio"),
                llm.when(has="file").reply("file"),
                llm.when(has="tool_results").reply("results"),
            ),
        )
        ask = words("What?")
        self.assertEqual(self.said(user([ask, PICTURE, SOUND])), "both")
        self.assertEqual(self.said(user([ask, PICTURE])), "image")
        self.assertEqual(self.said(user([ask, SOUND]), assistant("so"), "and?"), "audio")
        self.assertEqual(self.said(user([ask, FILE])), "file")
        self.assertEqual(self.said("a", calling("f"), result("x")), "results")
        self.assertEqual(self.said("a"), "hello world")


class RequestTests(LanguageCase):
    """Conditions on what is asked for."""

    def test_model(self) -> None:
        self.given(
            "rules: [{when: {model: {starts_with: gpt-}}, reply: Yes.}]",
            lambda llm: llm.when(model=starts_with("gpt-")).reply("Yes."),
        )
        self.assert_only([{"model": "gpt-5"}], [{"model": "o4"}, {}])

    def test_dialect_and_endpoint(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: a, dialect: openai, endpoint: chat.completions}, reply: Yes.}
              - {when: {user: b, dialect: anthropic}, reply: Yes.}
              - {when: {user: b, endpoint: embeddings}, reply: Yes.}
            """,
            lambda llm: (
                llm.when(user="a", dialect="openai", endpoint="chat.completions").reply("Yes."),
                llm.when(user="b", dialect="anthropic").reply("Yes."),
                llm.when(user="b", endpoint="embeddings").reply("Yes."),
            ),
        )
        self.assert_only(["a"], ["b"])

    def test_stream(self) -> None:
        self.given(
            """
            rules:
              - {when: {stream: true}, reply: streamed}
              - {when: {stream: false}, reply: whole}
            """,
            lambda llm: (
                llm.when(stream=True).reply("streamed"),
                llm.when(stream=False).reply("whole"),
            ),
        )
        self.assertEqual(self.said("a"), "whole")
        self.assertEqual("".join(self.pieces("a")), "streamed")

    def test_a_tool_of_that_name_is_offered(self) -> None:
        self.given(
            "rules: [{when: {tool: get_weather}, reply: Yes.}]",
            lambda llm: llm.when(tool="get_weather").reply("Yes."),
        )
        self.assert_only([{"tools": [TIME, WEATHER]}], [{"tools": [TIME, NOTE]}, {}])

    def test_tool_choice(self) -> None:
        self.given(
            """
            rules:
              - {when: {tool_choice: none}, reply: none}
              - {when: {tool_choice: required}, reply: required}
              - {when: {tool_choice: allowed}, reply: allowed}
              - {when: {tool_choice: auto}, reply: auto}
            """,
            lambda llm: (
                llm.when(tool_choice="none").reply("none"),
                llm.when(tool_choice="required").reply("required"),
                llm.when(tool_choice="allowed").reply("allowed"),
                llm.when(tool_choice="auto").reply("auto"),
            ),
        )
        allowed = {"mode": "auto", "tools": [named("get_weather")]}
        for choice, expected in (
            ("none", "none"),
            ("required", "required"),
            (named("get_weather"), "required"),
            ({"type": "allowed_tools", "allowed_tools": allowed}, "allowed"),
            ("auto", "auto"),
        ):
            self.assertEqual(self.said("a", tools=[WEATHER], tool_choice=choice), expected)

    def test_tool_result_by_name_id_and_content(self) -> None:
        self.given(
            """
            rules:
              - {when: {tool_result: {name: get_time}}, reply: by name}
              - {when: {tool_result: {id: call_7}}, reply: by id}
              - {when: {tool_result: {content: {contains: sunny}}}, reply: by content}
              - {when: {tool_result: {}}, reply: any}
            """,
            lambda llm: (
                llm.when(tool_result={"name": "get_time"}).reply("by name"),
                llm.when(tool_result={"id": "call_7"}).reply("by id"),
                llm.when(tool_result={"content": contains("sunny")}).reply("by content"),
                llm.when(tool_result={}).reply("any"),
            ),
        )
        self.assertEqual(self.said("a", calling("get_time"), result("12")), "by name")
        seventh = calling("f", call_id="call_7")
        self.assertEqual(self.said("a", seventh, result("12", call_id="call_7")), "by id")
        self.assertEqual(self.said("a", calling("f"), result("It is sunny.")), "by content")
        self.assertEqual(self.said("a", calling("f"), result("12")), "any")
        over = [user("a"), calling("get_time"), result("12"), assistant("It is 12.")]
        self.assertEqual(self.said(*over, "thanks"), "hello world")

    def test_response_format(self) -> None:
        self.given(
            """
            rules:
              - {when: {response_format: json_schema}, reply: schema}
              - {when: {response_format: json_object}, reply: object}
              - {when: {response_format: text}, reply: text}
            """,
            lambda llm: (
                llm.when(response_format="json_schema").reply("schema"),
                llm.when(response_format="json_object").reply("object"),
                llm.when(response_format="text").reply("text"),
            ),
        )
        self.assertEqual(self.said("a", response_format=NUMBER), "schema")
        wanted = {"type": "json_object"}
        self.assertEqual(self.said("some JSON", response_format=wanted), "object")
        self.assertEqual(self.said("a"), "text")

    def test_header_by_its_name_in_any_case(self) -> None:
        self.given(
            "rules: [{when: {header: {X-Team: blue, x-extra: {not: {contains: x}}}}, reply: Yes.}]",
            lambda llm: llm.when(header={"X-Team": "blue", "x-extra": not_(contains("x"))}).reply(
                "Yes."
            ),
        )
        blue = {"x-TEAM": "blue"}
        self.assert_only(
            [{"headers": blue}, {"headers": {**blue, "X-Extra": "y"}}],
            [{}, {"headers": {"X-Team": "red"}}, {"headers": {**blue, "X-Extra": "x"}}],
        )

    def test_query(self) -> None:
        self.given(
            "rules: [{when: {query: {api-version: {starts_with: '2025'}}}, reply: Yes.}]",
            lambda llm: llm.when(query={"api-version": starts_with("2025")}).reply("Yes."),
        )
        path = "/v1/chat/completions"
        self.assert_only(
            [{"path": f"{path}?api-version=2025-01-01"}],
            [{"path": f"{path}?api-version=2024-01-01"}, {"path": f"{path}?API-VERSION=2025"}, {}],
        )

    def test_api_key(self) -> None:
        self.given(
            "rules: [{when: {api_key: {ends_with: '-7'}}, reply: Yes.}]",
            lambda llm: llm.when(api_key=ends_with("-7")).reply("Yes."),
        )
        self.assert_only(
            [{"headers": {"Authorization": "Bearer sk-7"}}],
            [{"headers": {"Authorization": "Bearer sk-8"}}, {}],
        )

    def test_json_by_jmespath_against_a_value_or_a_test_of_a_text(self) -> None:
        self.given(
            """
            rules:
              - when:
                  json:
                    temperature: 0.5
                    metadata: {team: blue}
                    "messages[-1].content": {contains: now}
                reply: Yes.
            """,
            lambda llm: llm.when(
                json={
                    "temperature": 0.5,
                    "metadata": {"team": "blue"},
                    "messages[-1].content": contains("now"),
                }
            ).reply("Yes."),
        )
        fields = {"temperature": 0.5, "metadata": {"team": "blue"}, "messages": [user("now!")]}
        self.assert_only(
            [fields],
            [
                {**fields, "temperature": 0.4},
                {**fields, "metadata": {"team": "blue", "x": "y"}},
                {**fields, "messages": [user("later")]},
                {},
            ],
        )

    def test_all_conditions_must_hold_and_none_is_always(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: a, model: m, stream: false}, reply: all}
              - {when: {}, reply: always}
            """,
            lambda llm: (
                llm.when(user="a", model="m", stream=False).reply("all"),
                llm.when().reply("always"),
            ),
        )
        self.assertEqual(self.said("a", model="m"), "all")
        self.assertEqual(self.said("a"), "always")
        self.assertEqual("".join(self.pieces("a", model="m")), "always")

    def test_without_when_is_always(self) -> None:
        self.given("rules: [{reply: always}]", lambda llm: llm.when().reply("always"))
        self.assertEqual(self.said("a"), "always")
