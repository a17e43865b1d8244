"""Every part of a reply, everything beside the parts, errors and templates."""

import json
from typing import Any

from fakellm import (
    contains,
    echo,
    error,
    from_schema,
    hosted,
    lorem,
    matches,
    reasoning,
    refusal,
    reply,
    text,
    tool_call,
)
from fakellm import json as json_part
from fakellm.timing.tokens import Splitter
from tests.questions import NOTE, NUMBER, TIME, WEATHER
from tests.scenarios.cases import LanguageCase, calling, result, user
from tests.servers import chunks_of, events_of


class PartTests(LanguageCase):
    def test_a_text_in_every_way_to_write_it(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: bare}, reply: Hi there.}
              - {when: {user: part}, reply: {text: Hi there.}}
              - {when: {user: list}, reply: [Hi, text:  there.]}
              - {when: {user: parts}, reply: {parts: ["Hi ", {text: there.}]}}
            """.replace("[Hi, text:  there.]", '["Hi ", text: there.]'),
            lambda llm: (
                llm.when(user="bare").reply("Hi there."),
                llm.when(user="part").reply(text("Hi there.")),
                llm.when(user="list").reply("Hi ", text("there.")),
                llm.when(user="parts").reply(reply("Hi ", text("there."))),
            ),
        )
        for way in ("bare", "part", "list", "parts"):
            self.assertEqual(self.said(way), "Hi there.")
            self.assertEqual("".join(self.pieces(way)), "Hi there.")

    def test_what_a_tool_of_the_vendors_did_is_left_out_by_this_api(self) -> None:
        self.given(
            """
            rules:
              - when: {user: search}
                reply:
                  - hosted: {type: web_search_call, action: {type: search, query: "{{ user }}"}}
                  - Found.
            """,
            lambda llm: llm.when(user="search").reply(
                hosted("web_search_call", action={"type": "search", "query": "{{ user }}"}),
                "Found.",
            ),
        )
        self.assertEqual(self.said("search"), "Found.")
        self.assertEqual("".join(self.pieces("search")), "Found.")
        asked = {"model": "m", "input": "search"}
        answer = self.request("POST", "/v1/responses", json.dumps(asked).encode()).json
        self.assertEqual(
            [item["type"] for item in answer["output"]], ["web_search_call", "message"]
        )
        self.assertEqual(answer["output"][0]["action"], {"type": "search", "query": "search"})

    def test_reasoning_is_counted_and_by_this_api_not_shown(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: text}, reply: [{reasoning: one two}, Done.]}
              - {when: {user: tokens}, reply: [{reasoning: {tokens: 50}}, Done.]}
              - {when: {user: both}, reply: [{reasoning: {text: one two, tokens: 50}}, Done.]}
            """,
            lambda llm: (
                llm.when(user="text").reply(reasoning("one two"), "Done."),
                llm.when(user="tokens").reply(reasoning(tokens=50), "Done."),
                llm.when(user="both").reply(reasoning("one two", tokens=50), "Done."),
            ),
        )
        for way, expected in (("text", 2), ("tokens", 50), ("both", 52)):
            answer = self.say(way, reasoning_effort="high").json
            self.assertEqual(answer["choices"][0]["message"]["content"], "Done.")
            details = answer["usage"]["completion_tokens_details"]
            self.assertEqual(details["reasoning_tokens"], expected, way)

    def test_a_tool_call_beside_a_text(self) -> None:
        self.given(
            """
            rules:
              - reply: [Let me look., tool_call: {name: f, arguments: {x: [1, 2.5, null, true]}}]
            """,
            lambda llm: llm.when().reply(
                "Let me look.", tool_call("f", {"x": [1, 2.5, None, True]})
            ),
        )
        answer = self.say("a").json["choices"][0]
        self.assertEqual(answer["message"]["content"], "Let me look.")
        self.assertEqual(answer["finish_reason"], "tool_calls")
        self.assertEqual(self.calls("a"), [("f", '{"x":[1,2.5,null,true]}')])

    def test_several_tool_calls_are_parallel(self) -> None:
        self.given(
            """
            rules:
              - reply:
                  - tool_call: {name: f, arguments: {x: 1}}
                  - tool_call: {name: f, arguments: {x: 2}, id: call_mine}
                  - tool_call: {name: g, arguments: {}}
            """,
            lambda llm: llm.when().reply(
                tool_call("f", {"x": 1}),
                tool_call("f", {"x": 2}, id="call_mine"),
                tool_call("g", {}),
            ),
        )
        self.assertEqual(self.calls("a"), [("f", '{"x":1}'), ("f", '{"x":2}'), ("g", "{}")])
        ids = [call["id"] for call in self.message("a")["tool_calls"]]
        self.assertEqual((ids[1], len(set(ids))), ("call_mine", 3))
        chunks = chunks_of(self.say("a", stream=True).body)
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
        calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
        self.assertEqual({call["index"] for call in calls}, {0, 1, 2})
        second = [call["function"]["arguments"] for call in calls if call["index"] == 1]
        self.assertEqual("".join(second), '{"x":2}')

    def test_arguments_as_a_text_are_sent_as_they_are_so_that_json_can_be_broken(self) -> None:
        self.given(
            """rules: [{reply: {tool_call: {name: f, arguments: '{"city": "Par'}}}]""",
            lambda llm: llm.when().reply(tool_call("f", '{"city": "Par')),
        )
        self.assertEqual(self.calls("a"), [("f", '{"city": "Par')])

    def test_arguments_left_out_are_made_to_fit_the_tool(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: offered}, reply: {tool_call: {name: get_weather}}}
              - {when: {user: unknown}, reply: {tool_call: {name: nonesuch}}}
            """,
            lambda llm: (
                llm.when(user="offered").reply(tool_call("get_weather")),
                llm.when(user="unknown").reply(tool_call("nonesuch")),
            ),
        )
        ((name, arguments),) = self.calls("offered", tools=[TIME, WEATHER])
        self.assertEqual(name, "get_weather")
        made = json.loads(arguments)
        self.assertEqual(set(made), {"city", "days", "unit"})
        self.assertIn(made["days"], range(1, 8))
        self.assertEqual(self.calls("unknown"), [("nonesuch", "{}")])

    def test_a_call_of_a_custom_tool(self) -> None:
        self.given(
            "rules: [{reply: {tool_call: {name: take_note, kind: custom, arguments: Buy milk.}}}]",
            lambda llm: llm.when().reply(tool_call("take_note", "Buy milk.", kind="custom")),
        )
        (call,) = self.message("a", tools=[NOTE])["tool_calls"]
        self.assertEqual((call["type"], call["custom"]["input"]), ("custom", "Buy milk."))

    def test_a_refusal(self) -> None:
        self.given(
            "rules: [{reply: {refusal: I will not.}}]",
            lambda llm: llm.when().reply(refusal("I will not.")),
        )
        message = self.message("a")
        self.assertEqual((message["refusal"], message["content"]), ("I will not.", None))

    def test_json_is_any_value_as_text(self) -> None:
        for written, value, sent in (
            ("{a: [1, {b: null}]}", {"a": [1, {"b": None}]}, '{"a":[1,{"b":null}]}'),
            ("[]", [], "[]"),
            ("null", None, "null"),
            ("false", False, "false"),
            ("word", "word", '"word"'),
            ("0", 0, "0"),
        ):
            self.given(
                f"rules: [{{reply: {{json: {written}}}}}]",
                lambda llm, value=value: llm.when().reply(json_part(value)),  # type: ignore[misc]
            )
            self.assertEqual(self.said("a"), sent)

    def test_from_schema_is_what_the_request_demands(self) -> None:
        self.given(
            "rules: [{reply: {from_schema: true}}]", lambda llm: llm.when().reply(from_schema())
        )
        self.assertEqual([*json.loads(self.said("a", response_format=NUMBER))], ["number"])
        wanted = {"type": "json_object"}
        self.assertEqual(self.said("JSON", response_format=wanted), '{"answer":"hello world"}')
        ((name, _),) = self.calls("a", tools=[TIME], tool_choice="required")
        self.assertEqual(name, "get_time")
        self.assertEqual(self.said("a"), "hello world")

    def test_from_schema_goes_with_other_parts(self) -> None:
        self.given(
            "rules: [{reply: ['As asked: ', from_schema: true]}]",
            lambda llm: llm.when().reply("As asked: ", from_schema()),
        )
        begun, made = self.said("a", response_format=NUMBER).split(": ", 1)
        self.assertEqual((begun, [*json.loads(made)]), ("As asked", ["number"]))

    def test_a_schema_that_cannot_be_met_is_the_clients_mistake(self) -> None:
        self.given(
            "rules: [{reply: {from_schema: true}}]", lambda llm: llm.when().reply(from_schema())
        )
        schema = {"name": "no", "schema": {"enum": []}}
        wanted = {"type": "json_schema", "json_schema": schema}
        status, told = self.failed("a", response_format=wanted)
        self.assertEqual((status, told["code"]), (400, "invalid_schema"))

    def test_echo_says_the_last_message_of_the_user(self) -> None:
        self.given("rules: [{reply: {echo: true}}]", lambda llm: llm.when().reply(echo()))
        self.assertEqual(self.said("one", user("two {{ 1 }}")), "two {{ 1 }}")

    def test_lorem_has_exactly_so_many_tokens(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: few}, reply: {lorem: {tokens: 7}}}
              - {when: {user: many}, reply: {lorem: {tokens: 300}}}
              - {when: {user: none}, reply: {lorem: {tokens: 0}}}
              - when: {user: {matches: '^(?P<n>\\d+)$'}}
                reply: {lorem: {tokens: "{{ match.n }}"}}
            """,
            lambda llm: (
                llm.when(user="few").reply(lorem(7)),
                llm.when(user="many").reply(lorem(300)),
                llm.when(user="none").reply(lorem(0)),
                llm.when(user=matches(r"^(?P<n>\d+)$")).reply(lorem("{{ match.n }}")),
            ),
        )
        for asked, tokens in (("few", 7), ("many", 300), ("none", 0), ("11", 11)):
            answer = self.say(asked).json
            self.assertEqual(answer["usage"]["completion_tokens"], tokens)
            said = answer["choices"][0]["message"]["content"]
            self.assertEqual(Splitter().count(said), tokens)
        self.assertEqual(self.said("many"), self.said("many"))

    def test_every_choice_is_rendered_for_itself(self) -> None:
        self.given("rules: [{reply: '{{ uuid }}'}]", lambda llm: llm.when().reply("{{ uuid }}"))
        choices = self.say("a", n=5).json["choices"]
        self.assertEqual(len({choice["message"]["content"] for choice in choices}), 5)


class BesideTests(LanguageCase):
    def test_finish_reason(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: length}, reply: {text: Cut, finish_reason: length}}
              - {when: {user: filter}, reply: {text: Hm, finish_reason: content_filter}}
              - when: {user: call}
                reply: {tool_call: {name: f, arguments: {}}, finish_reason: stop}
            """,
            lambda llm: (
                llm.when(user="length").reply("Cut", finish_reason="length"),
                llm.when(user="filter").reply("Hm", finish_reason="content_filter"),
                llm.when(user="call").reply(tool_call("f", {}), finish_reason="stop"),
            ),
        )
        for asked, expected in (
            ("length", "length"),
            ("filter", "content_filter"),
            ("call", "stop"),
        ):
            self.assertEqual(self.say(asked).json["choices"][0]["finish_reason"], expected)
            last = chunks_of(self.say(asked, stream=True).body)[-1]
            self.assertEqual(last["choices"][0]["finish_reason"], expected)

    def test_any_part_of_usage(self) -> None:
        self.given(
            """
            rules:
              - when: {user: all}
                reply:
                  text: Hi
                  usage: {prompt_tokens: 1000, completion_tokens: 200, reasoning_tokens: 30,
                          cached_tokens: 400}
              - when: {user: some}
                reply: {text: Hi, usage: {cached_tokens: 3}}
            """,
            lambda llm: (
                llm.when(user="all").reply(
                    "Hi",
                    usage={
                        "prompt_tokens": 1000,
                        "completion_tokens": 200,
                        "reasoning_tokens": 30,
                        "cached_tokens": 400,
                    },
                ),
                llm.when(user="some").reply("Hi", usage={"cached_tokens": 3}),
            ),
        )

        def told(usage: Any) -> tuple[int, ...]:
            return (
                usage["prompt_tokens"],
                usage["completion_tokens"],
                usage["total_tokens"],
                usage["prompt_tokens_details"]["cached_tokens"],
                usage["completion_tokens_details"]["reasoning_tokens"],
            )

        self.assertEqual(told(self.say("all").json["usage"]), (1000, 200, 1200, 400, 30))
        streamed = self.say("all", stream=True, stream_options={"include_usage": True})
        self.assertEqual(told(chunks_of(streamed.body)[-1]["usage"]), (1000, 200, 1200, 400, 30))
        prompt, completion, total, cached, reasoned = told(self.say("some").json["usage"])
        self.assertEqual((completion, total, cached, reasoned), (1, prompt + 1, 3, 0))

    def test_model_id_system_fingerprint_and_headers(self) -> None:
        self.given(
            """
            rules:
              - reply:
                  text: Hi
                  model: other-{{ model }}
                  id: chatcmpl-{{ user }}
                  system_fingerprint: fp_{{ turn }}
                  headers: {X-One: "{{ user }}", x-request-id: mine}
            """,
            lambda llm: llm.when().reply(
                "Hi",
                model="other-{{ model }}",
                id="chatcmpl-{{ user }}",
                system_fingerprint="fp_{{ turn }}",
                headers={"X-One": "{{ user }}", "x-request-id": "mine"},
            ),
        )
        whole, streamed = self.say("a", model="m"), self.say("a", model="m", stream=True)
        for answer, told in ((whole, whole.json), (streamed, chunks_of(streamed.body)[0])):
            self.assertEqual(
                (told["model"], told["id"], told["system_fingerprint"]),
                ("other-m", "chatcmpl-a", "fp_1"),
            )
            self.assertEqual(answer.headers.getRawHeaders("x-one"), ["a"])
            self.assertEqual(answer.headers.getRawHeaders("x-request-id"), ["mine"])

    def test_a_header_with_a_line_break_in_it_stays_one_header(self) -> None:
        self.given(
            "rules: [{reply: {text: Hi, headers: {X-One: '{{ user }}'}}}]",
            lambda llm: llm.when().reply("Hi", headers={"X-One": "{{ user }}"}),
        )
        answer = self.say("a\r\nX-Two: b")
        self.assertEqual(answer.status, 200)
        self.assertEqual(answer.headers.getRawHeaders("x-two"), None)

    def test_a_header_of_an_impossible_name_is_told(self) -> None:
        self.given(
            "rules: [{name: odd, reply: {text: Hi, headers: {'X One': a}}}]",
            lambda llm: llm.when().reply("Hi", headers={"X One": "a"}, name="odd"),
        )
        status, told = self.failed("a")
        self.assertEqual(status, 500)
        self.assertIn("no header can be named 'X One'", told["message"])
        self.flushLoggedErrors()

    def test_chunks(self) -> None:
        sentence = "It is 21 °C in Paris.  Sunny, too! "
        for written, given, pieces in (
            ("token", "token", list(Splitter().split(sentence))),
            ("word", "word", ["It", " is", " 21", " °C", " in", " Paris.", "  Sunny,", " too! "]),
            ("character", "character", list(sentence)),
            ("4", 4, None),
            ("1000", 1000, [sentence]),
        ):
            self.given(
                f"rules: [{{reply: {{text: '{sentence}', chunks: {written}}}}}]",
                lambda llm, given=given: llm.when().reply(sentence, chunks=given),  # type: ignore[misc]
            )
            tokens = Splitter().split(sentence)
            groups = ["".join(tokens[at : at + 4]) for at in range(0, len(tokens), 4)]
            self.assertEqual(self.pieces("a"), pieces or groups, written)
            self.assertEqual(self.said("a"), sentence)

    def test_chunks_that_are_listed_are_sent_exactly_so(self) -> None:
        self.given(
            "rules: [{reply: {chunks: [Hel, 'lo ', '', '{{ user }}', '!']}}]",
            lambda llm: llm.when().reply(chunks=["Hel", "lo ", "", "{{ user }}", "!"]),
        )
        self.assertEqual(self.pieces("you"), ["Hel", "lo ", "", "you", "!"])
        self.assertEqual(self.said("you"), "Hello you!")

    def test_chunks_that_are_listed_may_stand_beside_the_text_they_cut(self) -> None:
        self.given(
            "rules: [{reply: {text: Hello you, chunks: [Hel, lo]}}]",
            lambda llm: llm.when().reply("Hello you", chunks=["Hel", "lo"]),
        )
        self.assertEqual(self.pieces("a"), ["Hel", "lo", " you"])
        self.assertEqual(self.said("a"), "Hello you")

    def test_chunks_cut_the_arguments_of_calls_too(self) -> None:
        self.given(
            "rules: [{reply: {tool_call: {name: f, arguments: {x: 1}}, chunks: character}}]",
            lambda llm: llm.when().reply(tool_call("f", {"x": 1}), chunks="character"),
        )
        chunks = chunks_of(self.say("a", stream=True).body)
        deltas = [chunk["choices"][0]["delta"] for chunk in chunks]
        calls = [delta["tool_calls"][0]["function"] for delta in deltas if "tool_calls" in delta]
        self.assertEqual([call["arguments"] for call in calls], ["", *'{"x":1}'])

    def test_beside_a_list_of_parts(self) -> None:
        self.given(
            "rules: [{reply: {parts: ['a b ', c d], chunks: word, finish_reason: length}}]",
            lambda llm: llm.when().reply("a b ", "c d", chunks="word", finish_reason="length"),
        )
        self.assertEqual(self.pieces("x"), ["a", " b ", "c", " d"])
        self.assertEqual(self.say("x").json["choices"][0]["finish_reason"], "length")


class ErrorTests(LanguageCase):
    def test_a_status_is_worded_as_the_vendor_words_it(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: busy}, reply: {error: 503}}
              - {when: {user: limit}, reply: [error: 429]}
            """,
            lambda llm: (
                llm.when(user="busy").reply(error(503)),
                llm.when(user="limit").reply(error(429)),
            ),
        )
        for stream in (False, True):
            status, told = self.failed("busy", stream=stream)
            self.assertEqual((status, told["type"]), (503, "service_unavailable_error"))
            status, told = self.failed("limit", stream=stream)
            self.assertEqual((status, told["code"]), (429, "rate_limit_exceeded"))

    def test_a_status_by_a_template(self) -> None:
        self.given(
            r"""
            rules:
              - {when: {user: {matches: '(?P<s>\d+)'}}, reply: {error: '{{ match.s }}'}}
              - {when: {}, reply: {error: {status: '{{ user }}'}}}
            """,
            lambda llm: (
                llm.when(user=matches(r"(?P<s>\d+)")).reply(error("{{ match.s }}")),
                llm.when().reply(error("{{ user }}")),
            ),
        )
        self.assertEqual(self.failed("fail with 418")[0], 418)
        for asked, reason in (
            ("200", "expected a status from 400 to 599, not 200"),
            ("600", "expected a status from 400 to 599, not 600"),
            ("many", "expected a whole number, not 'many'"),
        ):
            status, told = self.failed(asked)
            self.assertEqual(status, 500)
            self.assertTrue(told["message"].endswith(reason), told)
        self.flushLoggedErrors()

    def test_all_that_an_error_has(self) -> None:
        self.given(
            """
            rules:
              - reply:
                  error:
                    status: 400
                    message: "No {{ user }} here."
                    type: odd_error
                    code: odd
                    param: messages
                    headers: {X-Why: "{{ user }}", Retry-After: "7"}
            """,
            lambda llm: llm.when().reply(
                error(
                    400,
                    "No {{ user }} here.",
                    type="odd_error",
                    code="odd",
                    param="messages",
                    headers={"X-Why": "{{ user }}", "Retry-After": "7"},
                )
            ),
        )
        for stream in (False, True):
            answer = self.say("fish", stream=stream)
            self.assertEqual(answer.status, 400)
            self.assertEqual(
                answer.json["error"],
                {
                    "message": "No fish here.",
                    "type": "odd_error",
                    "code": "odd",
                    "param": "messages",
                },
            )
            self.assertEqual(answer.header("x-why"), "fish")
            self.assertEqual(answer.header("retry-after"), "7")

    def test_headers_beside_an_error_go_out_with_it_but_its_own_come_first(self) -> None:
        self.given(
            """
            rules:
              - reply:
                  error: {status: 503, headers: {X-One: own}}
                  headers: {x-one: beside, X-Two: beside}
            """,
            lambda llm: llm.when().reply(
                error(503, headers={"X-One": "own"}),
                headers={"x-one": "beside", "X-Two": "beside"},
            ),
        )
        answer = self.say("a")
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.headers.getRawHeaders("x-one"), ["own"])
        self.assertEqual(answer.headers.getRawHeaders("x-two"), ["beside"])

    def test_after_other_parts_it_breaks_the_stream_off_there(self) -> None:
        self.given(
            "rules: [{reply: [Half an, error: {status: 503, message: Gone.}, never said]}]",
            lambda llm: llm.when().reply("Half an", error(503, "Gone."), "never said"),
        )
        answer = self.say("a", stream=True)
        self.assertEqual(answer.status, 200)
        *begun, last = events_of(answer.body)
        deltas = [json.loads(event.data)["choices"][0] for event in begun]
        self.assertEqual(
            "".join(choice["delta"].get("content", "") for choice in deltas), "Half an"
        )
        self.assertEqual({choice["finish_reason"] for choice in deltas}, {None})
        self.assertEqual(json.loads(last.data)["error"]["message"], "Gone.")
        self.successResultOf(answer.ended)

    def test_after_other_parts_it_is_the_whole_answer_where_there_is_no_stream(self) -> None:
        self.given(
            "rules: [{reply: [Half an, error: {status: 503, message: Gone.}]}]",
            lambda llm: llm.when().reply("Half an", error(503, "Gone.")),
        )
        status, told = self.failed("a")
        self.assertEqual((status, told["message"]), (503, "Gone."))
        self.assertEqual(self.failed("a", n=3)[0], 503)


class TemplateTests(LanguageCase):
    def test_what_a_template_may_name(self) -> None:
        template = (
            "{{ user }}|{{ system }}|{{ model }}|{{ turn }}|{{ step }}|{{ attempt }}|{{ count }}|"
            "{{ state }}|{{ answer }}|{{ messages[0].role }}|{{ headers['x-a'] }}|{{ query.q }}|"
            "{{ json.temperature }}|{{ now }}|{{ lorem(2) }}"
        )
        self.given(f'rules: [{{reply: "{template}"}}]', lambda llm: llm.when().reply(template))
        self.clock.advance(61)
        said = [
            self.said(
                {"role": "system", "content": "S"},
                "U",
                model="M",
                temperature=0.5,
                headers={"X-A": "H"},
                path="/v1/chat/completions?q=Q",
            )
            for _ in range(2)
        ]
        rest = "start|hello world|system|H|Q|0.5|2026-01-01T00:01:01Z|"
        filler = said[0].removeprefix(f"U|S|M|1|1|1|1|{rest}")
        self.assertEqual(Splitter().count(filler), 2)
        self.assertEqual(said[1], f"U|S|M|1|1|2|2|{rest}{filler}")

    def test_match_has_the_groups_of_all_regular_expressions(self) -> None:
        self.given(
            r"""
            rules:
              - when:
                  user: {matches: 'to (?P<city>\w+)'}
                  model: {matches: '^(?P<family>[a-z]+)-'}
                reply: "{{ match.city }} by {{ match.family }}"
            """,
            lambda llm: llm.when(
                user=matches(r"to (?P<city>\w+)"), model=matches("^(?P<family>[a-z]+)-")
            ).reply("{{ match.city }} by {{ match.family }}"),
        )
        self.assertEqual(self.said("go to Oslo", model="gpt-5"), "Oslo by gpt")

    def test_tool_result_is_the_one_the_rule_is_about_with_its_json(self) -> None:
        self.given(
            """
            rules:
              - when: {tool_result: {name: get_time}}
                reply: "{{ tool_result.name }}/{{ tool_result.id }}: {{ tool_result.json.at }}
                  of {{ tool_results | length }}, {{ tool_results[0].content }}"
            """,
            lambda llm: llm.when(tool_result={"name": "get_time"}).reply(
                "{{ tool_result.name }}/{{ tool_result.id }}: {{ tool_result.json.at }} "
                "of {{ tool_results | length }}, {{ tool_results[0].content }}"
            ),
        )
        calls = calling("get_weather", call_id="w")["tool_calls"]
        calls += calling("get_time", call_id="t")["tool_calls"]
        both = {"role": "assistant", "content": None, "tool_calls": calls}
        results = [result("sun", call_id="w"), result('{"at": 12}', call_id="t")]
        self.assertEqual(self.said("a", both, *results), "get_time/t: 12 of 2, sun")

    def test_in_arguments_and_json_an_expression_keeps_its_type(self) -> None:
        self.given(
            """
            rules:
              - when: {user: call}
                reply: {tool_call: {name: "f_{{ user }}", id: "c{{ turn }}",
                        arguments: {"{{ model }}": "{{ json.n }}", x: "no. {{ json.n }}"}}}
              - when: {user: json}
                reply: {json: ["{{ json.messages | length }}", {a: "{{ user }}"}]}
              - when: {user: raw}
                reply: {tool_call: {name: f, arguments: '{"x": {{ json.n }}'}}
            """,
            lambda llm: (
                llm.when(user="call").reply(
                    tool_call(
                        "f_{{ user }}",
                        {"{{ model }}": "{{ json.n }}", "x": "no. {{ json.n }}"},
                        id="c{{ turn }}",
                    )
                ),
                llm.when(user="json").reply(
                    json_part(["{{ json.messages | length }}", {"a": "{{ user }}"}])
                ),
                llm.when(user="raw").reply(tool_call("f", '{"x": {{ json.n }}')),
            ),
        )
        called = self.calls("call", model="m", n=2)
        self.assertEqual(called, [("f_call", '{"m":2,"x":"no. 2"}')])
        self.assertEqual(self.message("call", n=2)["tool_calls"][0]["id"], "c1")
        self.assertEqual(self.said("json"), '[1,{"a":"json"}]')
        self.assertEqual(self.calls("raw", n=2), [("f", '{"x": 2')])

    def test_in_reasoning_refusals_and_errors(self) -> None:
        self.given(
            """
            rules:
              - {when: {user: no}, reply: {refusal: "I say {{ user }}."}}
              - when: {user: think}
                reply: [{reasoning: {text: "{{ user }}", tokens: "{{ 2 + 3 }}"}}, x]
            """,
            lambda llm: (
                llm.when(user="no").reply(refusal("I say {{ user }}.")),
                llm.when(user="think").reply(reasoning("{{ user }}", tokens="{{ 2 + 3 }}"), "x"),
            ),
        )
        self.assertEqual(self.message("no")["refusal"], "I say no.")
        usage = self.say("think").json["usage"]
        self.assertEqual(usage["completion_tokens_details"]["reasoning_tokens"], 6)

    def test_choice_follows_the_seed_of_the_server(self) -> None:
        def said(seed: int) -> list[str]:
            self.given(
                "rules: [{reply: \"{{ choice('a', 'b', 'c') }}{{ choice(['d', 'e']) }}\"}]",
                lambda llm: llm.when().reply("{{ choice('a', 'b', 'c') }}{{ choice(['d', 'e']) }}"),
                seed=seed,
            )
            return [self.said("x") for _ in range(20)]

        first = said(1)
        self.assertEqual(first, said(1))
        self.assertNotEqual(first, said(2))
        self.assertEqual({word[0] for word in first}, {"a", "b", "c"})

    def test_uuid_is_a_new_one_each_time(self) -> None:
        self.given(
            "rules: [{reply: '{{ uuid }} {{ uuid() }}'}]",
            lambda llm: llm.when().reply("{{ uuid }} {{ uuid() }}"),
        )
        found = f"{self.said('a')} {self.said('a')}".split()
        self.assertEqual((len(set(found)), {len(each) for each in found}), (4, {36}))

    def test_one_that_fails_is_a_500_that_names_the_rule_and_an_error_in_the_log(self) -> None:
        broken = "one\n{{ nope.x }}"
        self.given(
            """
            rules:
              - name: broken
                when: {user: {contains: go}}
                reply: "one\\n{{ nope.x }}"
            """,
            lambda llm: llm.when(user=contains("go")).reply(broken, name="broken"),
        )
        errors = self.logged_errors()
        for stream in (False, True):
            answer = self.say("go", stream=stream)
            self.successResultOf(answer.ended)
            self.assertEqual((answer.status, answer.json["error"]["code"]), (500, "rule_failed"))
            message = answer.json["error"]["message"]
            self.assertIn("rule 'broken'", message)
            self.assertTrue(message.endswith("'nope' is not defined"), message)
            self.assertEqual(errors.pop(), message)
        self.assertEqual((errors, self.clock.getDelayedCalls()), ([], []))

    def test_each_part_may_fail(self) -> None:
        bad = "{{ nope }}"
        parts = {
            "text": text(bad),
            "refusal": refusal(bad),
            "reasoning": reasoning(bad),
            "hidden": reasoning(tokens=bad),
            "json": json_part({"a": [bad]}),
            "name": tool_call(bad, {}),
            "id": tool_call("f", {}, id=bad),
            "arguments": tool_call("f", {"x": bad}),
            "raw": tool_call("f", bad),
            "status": error(bad),
            "message": error(500, bad),
            "header": error(500, headers={"X": bad}),
            "lorem": lorem(bad),
        }
        self.given(
            """
            rules:
              - {when: {user: text}, reply: {text: "{{ nope }}"}}
              - {when: {user: refusal}, reply: {refusal: "{{ nope }}"}}
              - {when: {user: reasoning}, reply: {reasoning: "{{ nope }}"}}
              - {when: {user: hidden}, reply: {reasoning: {tokens: "{{ nope }}"}}}
              - {when: {user: json}, reply: {json: {a: ["{{ nope }}"]}}}
              - {when: {user: name}, reply: {tool_call: {name: "{{ nope }}", arguments: {}}}}
              - {when: {user: id}, reply: {tool_call: {name: f, id: "{{ nope }}"}}}
              - when: {user: arguments}
                reply: {tool_call: {name: f, arguments: {x: "{{ nope }}"}}}
              - {when: {user: raw}, reply: {tool_call: {name: f, arguments: "{{ nope }}"}}}
              - {when: {user: status}, reply: {error: "{{ nope }}"}}
              - {when: {user: message}, reply: {error: {status: 500, message: "{{ nope }}"}}}
              - {when: {user: header}, reply: {error: {status: 500, headers: {X: "{{ nope }}"}}}}
              - {when: {user: lorem}, reply: {lorem: {tokens: "{{ nope }}"}}}
            """,
            lambda llm: [llm.when(user=name).reply(part) for name, part in parts.items()],
        )
        self.assert_all_fail(parts)

    def test_each_thing_beside_the_parts_may_fail(self) -> None:
        bad = "{{ nope }}"
        self.given(
            """
            rules:
              - {when: {user: model}, reply: {text: x, model: "{{ nope }}"}}
              - {when: {user: id}, reply: {text: x, id: "{{ nope }}"}}
              - {when: {user: fingerprint}, reply: {text: x, system_fingerprint: "{{ nope }}"}}
              - {when: {user: headers}, reply: {text: x, headers: {X: "{{ nope }}"}}}
              - {when: {user: chunks}, reply: {chunks: [x, "{{ nope }}"]}}
            """,
            lambda llm: (
                llm.when(user="model").reply("x", model=bad),
                llm.when(user="id").reply("x", id=bad),
                llm.when(user="fingerprint").reply("x", system_fingerprint=bad),
                llm.when(user="headers").reply("x", headers={"X": bad}),
                llm.when(user="chunks").reply(chunks=["x", bad]),
            ),
        )
        self.assert_all_fail(["model", "id", "fingerprint", "headers", "chunks"])

    def assert_all_fail(self, asked: Any) -> None:
        for name in asked:
            for stream in (False, True):
                status, told = self.failed(name, stream=stream)
                self.assertEqual((status, told["code"]), (500, "rule_failed"), name)
                self.assertTrue(told["message"].endswith("'nope' is not defined"), told)
        self.flushLoggedErrors()

    def test_too_much_filler_and_too_little(self) -> None:
        self.given(
            "rules: [{reply: {lorem: {tokens: '{{ user }}'}}}]",
            lambda llm: llm.when().reply(lorem("{{ user }}")),
        )
        for asked, reason in (
            ("1000001", "filler has at most 1,000,000 tokens, not 1,000,001"),
            ("-1", "expected at least 0 tokens, not -1"),
        ):
            status, told = self.failed(asked)
            self.assertEqual(status, 500)
            self.assertTrue(told["message"].endswith(reason), told)
        self.flushLoggedErrors()

    def test_a_result_that_is_no_json(self) -> None:
        self.given(
            "rules: [{reply: '{{ tool_result.json.x }}'}]",
            lambda llm: llm.when().reply("{{ tool_result.json.x }}"),
        )
        status, told = self.failed("a", calling("f"), result("no JSON"))
        self.assertEqual(status, 500)
        self.assertTrue(told["message"].endswith("the tool result is not JSON"), told)
        self.assertEqual(self.failed("a")[0], 500)
        self.flushLoggedErrors()
