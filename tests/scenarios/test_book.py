"""What is answered to what by our own rules, and what a book of rules makes of mistakes."""

import json
from pathlib import Path
from typing import Any, Literal, get_args, get_type_hints

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from fakellm import contains, error, from_schema, lorem, matches, reply, text
from fakellm import json as json_part
from fakellm.dialects.openai.chat_request import ChatRequest
from fakellm.model.content import (
    Image,
    Reasoning,
    SaidPart,
    Speech,
    Text,
    ToolCall,
    ToolResult,
)
from fakellm.model.prompt import (
    AnswerFormat,
    Message,
    Prompt,
    Role,
    Tool,
    ToolChoice,
)
from fakellm.model.reply import Failure, Reply
from fakellm.scenarios.made import BadSchema
from fakellm.scenarios.replies import REASONING_TOKENS
from fakellm.timing.tokens import Splitter
from tests.questions import NUMBER as NUMBER_FORMAT
from tests.scenarios.cases import LanguageCase, system
from tests.scenarios.libraries import book, decide, library, message, prompt, said
from tests.servers import MemoryTestCase

ANSWER = Text(text="hello world")
PICTURE = Image(url="https://example.com/cat.png")
NUMBER = {"type": "integer", "minimum": 0, "maximum": 10**12}
NUMBERED = {"type": "object", "properties": {"n": NUMBER}, "required": ["n"]}
LIMITED = Failure(
    status=429,
    message="Too many requests. Please try again later.",
    type="rate_limit_error",
    code="rate_limit_exceeded",
)


class BookCase(SynchronousTestCase):
    def reply(self, *messages: Message, **asked: Any) -> Reply:
        reply = decide(book(), prompt(*messages, **asked))
        assert isinstance(reply, Reply), reply
        return reply

    def said(self, *messages: Message, **asked: Any) -> tuple[SaidPart, ...]:
        """The parts of the only choice."""
        (choice,) = self.reply(*messages, **asked).choices
        self.assertIsNone(choice.finish_reason)  # it follows from the parts
        return choice.parts


class AnswerTests(BookCase):
    def test_everything_has_the_one_answer(self) -> None:
        self.assertEqual(self.said(), (ANSWER,))
        self.assertEqual(self.said(message(Text(text="Anything else?"))), (ANSWER,))

    def test_the_answer_is_a_setting(self) -> None:
        reply = decide(book(answer="bonjour"), prompt())
        assert isinstance(reply, Reply)
        self.assertEqual(reply.choices[0].parts, (Text(text="bonjour"),))

    def test_there_are_as_many_choices_as_asked_for(self) -> None:
        for number in (1, 2, 128):
            choices = self.reply(n=number).choices
            self.assertEqual([choice.parts for choice in choices], [(ANSWER,)] * number)

    def test_it_is_spoken_where_sound_is_asked_for(self) -> None:
        speech = Speech(transcript="hello world")
        choices = self.reply(spoken=True, n=2).choices
        self.assertEqual([choice.parts for choice in choices], [(speech,)] * 2)


class RateLimitTests(BookCase):
    """A last message that is exactly `[429]` gets that status."""

    LIMIT = Text(text="[429]")

    def test_vendors_with_words_of_their_own_are_left_to_them(self) -> None:
        for dialect in ("anthropic", "azure"):
            asked = prompt(message(self.LIMIT), dialect=dialect)
            self.assertEqual(decide(book(), asked), Failure(status=429))
        for dialect in ("openai", "vllm", "any"):
            asked = prompt(message(self.LIMIT), dialect=dialect)
            self.assertEqual(decide(book(), asked), LIMITED)

    def assert_limited(self, *messages: Message) -> None:
        self.assertEqual(decide(book(), prompt(*messages)), LIMITED)

    def test_as_a_text(self) -> None:
        self.assert_limited(message(self.LIMIT))
        self.assert_limited(message(Text(text="Hi")), message(self.LIMIT))

    def test_as_the_only_text_beside_a_picture(self) -> None:
        self.assert_limited(message(self.LIMIT, PICTURE))
        self.assert_limited(message(PICTURE, self.LIMIT))

    def test_whoever_says_it(self) -> None:
        roles: tuple[Role, ...] = ("system", "developer", "user", "assistant")
        for role in roles:
            self.assert_limited(message(self.LIMIT, role=role))
        self.assert_limited(message(ToolResult(call_id="c", content="[429]"), role="tool"))

    def test_whatever_else_is_asked_for(self) -> None:
        choice = ToolChoice(mode="required")
        asked = prompt(message(self.LIMIT), n=3, tools=(Tool(name="f"),), tool_choice=choice)
        self.assertEqual(decide(book(), asked), LIMITED)

    def test_not_among_other_words(self) -> None:
        for parts in (
            (Text(text="[429] "),),
            (Text(text=" [429]"),),
            (Text(text="[429]\n"),),
            (Text(text="Say [429]"),),
            (Text(text="[42]"),),
            (Text(text=""),),
            (self.LIMIT, Text(text="please")),
            (self.LIMIT, self.LIMIT),
            (self.LIMIT, Text(text="")),
            (Text(text="[4"), Text(text="29]")),
            (PICTURE,),
        ):
            self.assertEqual(self.said(message(*parts)), (ANSWER,), parts)

    def test_not_earlier_in_the_conversation(self) -> None:
        later = message(Text(text="And now?"))
        self.assertEqual(self.said(message(self.LIMIT), later), (ANSWER,))


class SpeakerTests(SynchronousTestCase):
    def speaker(self, asked: str, **settings: Any) -> str:
        reply = decide(book(**settings), prompt(model=asked))
        assert isinstance(reply, Reply)
        return reply.model

    def test_a_model_on_offer_speaks_for_itself(self) -> None:
        self.assertEqual(self.speaker("fake-model"), "fake-model")
        self.assertEqual(self.speaker("second"), "second")

    def test_the_first_on_offer_speaks_for_any_other(self) -> None:
        self.assertEqual(self.speaker("gpt-5"), "fake-model")
        self.assertEqual(self.speaker(""), "fake-model")

    def test_any_speaks_for_itself_where_the_name_is_echoed(self) -> None:
        self.assertEqual(self.speaker("gpt-5", echo_model=True), "gpt-5")
        self.assertEqual(self.speaker("second", echo_model=True), "second")


class ReasoningTests(BookCase):
    def test_the_more_effort_the_more_hidden_tokens_before_the_answer(self) -> None:
        efforts = ("minimal", "low", "medium", "high", "xhigh", "max")
        thoughts = []
        for effort in efforts:
            thought, answer = self.said(reasoning_effort=effort)
            assert isinstance(thought, Reasoning)
            self.assertEqual((thought.text, answer), ("", ANSWER))
            thoughts.append(thought.tokens)
        self.assertEqual(thoughts, sorted(set(thoughts)))
        self.assertGreater(thoughts[0], 0)

    def test_no_effort_is_no_thought(self) -> None:
        self.assertEqual(self.said(reasoning_effort=None), (ANSWER,))
        self.assertEqual(self.said(reasoning_effort="none"), (ANSWER,))

    def test_every_choice_thinks_for_itself(self) -> None:
        for choice in self.reply(reasoning_effort="low", n=3).choices:
            self.assertEqual(choice.parts, (Reasoning(tokens=64), ANSWER))

    def test_it_comes_before_calls_too(self) -> None:
        thought, call = self.said(
            reasoning_effort="low",
            tools=(Tool(name="f"),),
            tool_choice=ToolChoice(mode="required"),
        )
        self.assertEqual((thought, type(call)), (Reasoning(tokens=64), ToolCall))

    def test_every_effort_that_a_client_may_ask_for_is_known(self) -> None:
        declared = get_args(get_type_hints(ChatRequest)["reasoning_effort"])
        (efforts,) = (kind for kind in declared if getattr(kind, "__origin__", None) is Literal)
        self.assertEqual(set(get_args(efforts)), set(REASONING_TOKENS))


class ContractTests(BookCase):
    TOOL = Tool(name="count", parameters=NUMBERED)
    CALL = ToolChoice(mode="required")
    FORMAT = AnswerFormat(kind="json_schema", name="numbered", schema=NUMBERED)

    def test_a_call_that_must_be_made_is_the_answer(self) -> None:
        (call,) = self.said(tools=(self.TOOL,), tool_choice=self.CALL)
        assert isinstance(call, ToolCall)
        self.assertEqual((call.name, [*json.loads(call.arguments)]), ("count", ["n"]))

    def test_calls_come_before_formats(self) -> None:
        (call,) = self.said(tools=(self.TOOL,), tool_choice=self.CALL, format=self.FORMAT)
        self.assertIsInstance(call, ToolCall)

    def test_a_call_that_may_be_made_is_not(self) -> None:
        self.assertEqual(self.said(tools=(self.TOOL,)), (ANSWER,))

    def test_a_set_of_allowed_tools_is_called_from(self) -> None:
        choice = ToolChoice(mode="auto", names=("other",))
        tools = (self.TOOL, Tool(name="other"))
        self.assertEqual(
            self.said(tools=tools, tool_choice=choice), (ToolCall(name="other", arguments="{}"),)
        )

    def test_a_format_is_kept(self) -> None:
        (text,) = self.said(format=self.FORMAT)
        assert isinstance(text, Text)
        self.assertEqual([*json.loads(text.text)], ["n"])
        self.assertEqual(
            self.said(format=AnswerFormat(kind="json_object")),
            (Text(text='{"answer":"hello world"}'),),
        )

    def test_made_answers_differ_between_choices_and_repeat_as_a_whole(self) -> None:
        for asked in (
            {"tools": (self.TOOL,), "tool_choice": self.CALL, "n": 20},
            {"format": self.FORMAT, "n": 20},
        ):
            reply = self.reply(**asked)
            self.assertGreater(len({choice.parts for choice in reply.choices}), 10)
            self.assertEqual(self.reply(**asked, stream=True), reply)

    def test_made_answers_differ_between_servers_of_different_seeds(self) -> None:
        asked = prompt(format=self.FORMAT)
        self.assertNotEqual(decide(book(seed=1), asked), decide(book(seed=2), asked))

    def test_a_contract_that_cannot_be_kept_is_told(self) -> None:
        impossible = AnswerFormat(kind="json_schema", name="no", schema={"enum": []})
        error = self.assertRaises(BadSchema, decide, book(), prompt(format=impossible))
        self.assertIsNone(error.tool)


class CommandTests(LanguageCase):
    """A last message that is exactly a command is obeyed."""

    def test_429_is_byte_for_byte_what_it_has_always_been(self) -> None:
        for stream in (False, True):
            answer = self.say("[429]", stream=stream)
            self.assertEqual(answer.status, 429)
            self.assertEqual(
                answer.body,
                b'{"error":{"message":"Too many requests. Please try again later.",'
                b'"type":"rate_limit_error","param":null,"code":"rate_limit_exceeded"}}',
            )
            self.assertEqual(answer.header("retry-after"), "1")
            self.assertEqual(answer.header("content-type"), "application/json")

    def test_every_status_of_an_error_is_one(self) -> None:
        for status in range(400, 600):
            got, told = self.failed(f"[{status}]")
            self.assertEqual(got, status)
            self.assertTrue(told["message"] and told["type"], told)

    def test_an_error_is_as_the_vendor_words_it(self) -> None:
        for command, kind, code in (
            ("[500]", "server_error", None),
            ("[503]", "service_unavailable_error", "service_unavailable"),
            ("[401]", "invalid_request_error", "invalid_api_key"),
            ("[418]", "invalid_request_error", None),
        ):
            _, told = self.failed(command)
            self.assertEqual((told["type"], told["code"]), (kind, code))

    def test_echo(self) -> None:
        for asked, expected in (
            ("[echo] hi there", "hi there"),
            ("[echo] two\nlines\n", "two\nlines\n"),
            ("[echo] {{ 1 + 1 }} [500]", "{{ 1 + 1 }} [500]"),
            ("[echo]", ""),
            ("[echo]  far", " far"),
        ):
            self.assertEqual(self.said(asked), expected)

    def test_tokens(self) -> None:
        for tokens in (0, 1, 500):
            answer = self.say(f"[tokens {tokens}]").json
            self.assertEqual(answer["usage"]["completion_tokens"], tokens)
            said = answer["choices"][0]["message"]["content"]
            self.assertEqual(Splitter().count(said), tokens)

    def test_what_only_looks_like_one_is_none(self) -> None:
        for asked in (
            "[500] ", " [500]", "[500]\n", "[399]", "[600]", "[5000]", "[50]",
            "[\uff1500]", "[ 500 ]",
            "say [echo] hi", "[Echo] hi", "[tokens]", "[tokens -1]", "[tokens 1234567]",
            "[tokens 5]\n",
        ):  # fmt: skip
            self.assertEqual(self.said(asked), "hello world", asked)

    def test_whoever_says_it(self) -> None:
        self.assertEqual(self.failed("Hi", system("[503]"))[0], 503)
        self.assertEqual(self.said(system("[503]"), "Hi"), "hello world")

    def test_whatever_else_is_asked_for(self) -> None:
        self.assertEqual(self.failed("[503]", response_format=NUMBER_FORMAT, n=2)[0], 503)

    def test_they_come_before_rules(self) -> None:
        self.serve()
        self.server.when().reply("mine")
        self.assertEqual((self.failed("[503]")[0], self.said("503")), (503, "mine"))

    def test_they_are_turned_off_by_a_setting(self) -> None:
        self.serve(prompt_commands=False)
        for asked in ("[429]", "[500]", "[echo] x", "[tokens 5]"):
            self.assertEqual(self.said(asked), "hello world")

    def test_or_by_a_file(self) -> None:
        self.serve_file("settings: {prompt_commands: false}")
        self.assertEqual(self.said("[500]"), "hello world")


class StrictTests(LanguageCase):
    RULES = """
rules:
  - {name: greeting, when: {user: {like: hello}}, reply: Hi}
  - {name: farewell, when: {user: bye, model: m}, reply: Bye, times: 1}
"""

    def unmatched(self, *messages: Any, **fields: Any) -> str:
        for stream in (False, True):
            status, told = self.failed(*messages, stream=stream, **fields)
            self.assertEqual((status, told["code"]), (404, "no_rule_matches"))
        message: str = told["message"]
        prefix = "No rule matches this request."
        self.assertTrue(message.startswith(prefix), message)
        return message.removeprefix(prefix).strip()

    def test_what_no_written_rule_matches_is_refused_naming_the_nearest(self) -> None:
        path = self.serve_file(self.RULES, strict=True)
        self.assertEqual(self.said("HELLO"), "Hi")
        self.assertEqual(
            self.unmatched("what?", model="m"),
            f"The nearest is rule 'farewell' ({path}:4): user: expected: is 'bye', found: 'what?'.",
        )
        self.assertEqual(
            self.unmatched("bye"),
            f"The nearest is rule 'farewell' ({path}:4): model: expected: is 'm', "
            "found: 'any-model'.",
        )

    def test_of_equally_near_ones_the_first_is_named(self) -> None:
        self.serve_file(self.RULES, strict=True)
        self.assertIn("'greeting'", self.unmatched("what?"))

    def test_a_rule_that_has_answered_as_often_as_it_may_is_nearest(self) -> None:
        self.serve_file(self.RULES, strict=True)
        self.assertEqual(self.said("bye", model="m"), "Bye")
        self.assertTrue(
            self.unmatched("bye", model="m").endswith("it has answered as often as it may.")
        )

    def test_a_file_may_ask_for_it(self) -> None:
        self.serve_file(f"settings: {{strict: true}}{self.RULES}")
        self.assertIn("'greeting'", self.unmatched("what?"))

    def test_without_any_rule_there_is_no_nearest(self) -> None:
        self.serve(strict=True)
        self.assertEqual(self.unmatched("what?"), "")
        self.assertEqual(self.unmatched("what?", response_format=NUMBER_FORMAT), "")

    def test_rules_made_in_python_count_as_written(self) -> None:
        self.serve(strict=True)
        self.server.when(user="a").reply("b", name="mine")
        self.assertEqual(self.said("a"), "b")
        self.assertEqual(
            self.unmatched("c"),
            "The nearest is rule 'mine': user: expected: is 'a', found: 'c'.",
        )

    def test_prompt_commands_still_work(self) -> None:
        self.serve(strict=True)
        self.assertEqual(self.failed("[503]")[0], 503)
        self.assertEqual(self.said("[echo] hi"), "hi")


class ConversationTests(LanguageCase):
    """The setting `conversation` names what a state belongs to."""

    RULES = """
rules:
  - {when: {user: set}, reply: "was {{ state }}", set_state: other}
"""

    def test_by_a_template(self) -> None:
        self.serve_file("settings: {conversation: \"{{ headers['x-thread'] }}\"}" + self.RULES)
        first, second = {"X-Thread": "1"}, {"X-Thread": "2"}
        said = [self.said("set", headers=each) for each in (first, second, first)]
        self.assertEqual(said, ["was start", "was start", "was other"])

    def test_one_that_fails_is_told(self) -> None:
        self.serve_file("settings: {conversation: '{{ json.a.b.c }}'}" + self.RULES)
        status, told = self.failed("set")
        self.assertEqual(status, 500)
        self.assertTrue(told["message"].startswith("the setting 'conversation': "), told)
        self.flushLoggedErrors()

    def test_it_may_be_the_attempt(self) -> None:
        self.serve_file("settings: {conversation: '{{ attempt }}'}" + self.RULES)
        self.assertEqual([self.said("set") for _ in range(2)], ["was start"] * 2)


class PositionTests(LanguageCase):
    """A template that fails names the line it is on."""

    def assert_blamed(self, line: int, rules: str, reason: str = "'nope' is not defined") -> None:
        path = self.serve_file(rules)
        told = self.failed("a")[1]["message"]
        begun = f"rule 1 ({path}:2): {path}:{line}: "
        self.assertTrue(told.startswith(begun), (told, begun))
        self.assertTrue(told.endswith(reason), told)
        self.flushLoggedErrors()

    def test_in_a_bare_reply(self) -> None:
        self.assert_blamed(5, "rules:\n- reply: |\n    one\n    two\n    {{ nope }}\n")

    def test_in_a_part_of_a_list(self) -> None:
        self.assert_blamed(4, "rules:\n- reply:\n  - one\n  - text: '{{ nope }}'\n")

    def test_in_one_of_several_replies(self) -> None:
        self.assert_blamed(3, "rules:\n- replies:\n  - '{{ nope }}'\n  - b\n")

    def test_in_a_value_deep_in_arguments(self) -> None:
        rules = """rules:
- reply:
    parts:
    - tool_call:
        name: f
        arguments:
          a: 1
          b:
          - 2
          - |
            x
            {{ nope }}
"""
        self.assert_blamed(12, rules)

    def test_in_what_is_beside_the_parts(self) -> None:
        self.assert_blamed(
            5, "rules:\n- reply:\n    text: a\n    headers:\n      X-A: '{{ nope }}'\n"
        )

    def test_in_an_error(self) -> None:
        self.assert_blamed(
            4, "rules:\n- reply:\n    error: {status: 500,\n     message: '{{ nope }}'}\n"
        )

    def test_where_no_part_is_to_blame_the_rule_is(self) -> None:
        path = self.serve_file("rules:\n- {replies: [a], then: error}\n")
        self.said("a")
        told = self.failed("a")[1]["message"]
        self.assertTrue(told.startswith(f"rule 1 ({path}:2): all its replies"), told)
        self.flushLoggedErrors()


class ExplainTests(SynchronousTestCase):
    def test_which_rule_would_answer_and_why_none_before_it_does(self) -> None:
        rules = library()
        rules.when(user="a").reply("x", name="first")
        rules.when(user=contains("b"), model="m").reply("y", name="second")
        rules.when(user="b").reply("z", name="third")
        explained = rules.book.explain(prompt("b"))
        assert explained.rule is not None
        self.assertEqual(explained.rule.title, "rule 'third'")
        written = [miss for miss in explained.misses if miss.rule.written]
        self.assertEqual(
            [(miss.rule.title, str(miss), miss.held) for miss in written],
            [
                ("rule 'first'", "user: expected: is 'a', found: 'b'", 0),
                ("rule 'second'", "model: expected: is 'm', found: 'any-model'", 1),
            ],
        )

    def test_nothing_is_counted(self) -> None:
        rules = library()
        rules.when(attempt=1).reply("once", times=1)
        for _ in range(3):
            explained = rules.book.explain(prompt("a"))
            assert explained.rule is not None
            self.assertTrue(explained.rule.written)
        self.assertEqual(said(rules.book, "a"), "once")

    def test_where_none_answers(self) -> None:
        explained = library(strict=True, prompt_commands=False).book.explain(prompt("a"))
        self.assertIs(explained.rule, None)
        # which is what answers embeddings and moderations however strict it is
        self.assertEqual([str(miss.rule.written) for miss in explained.misses], ["False"] * 2)

    def test_what_is_no_reply_of_the_models_is_let_through(self) -> None:
        book = library(strict=True).book
        for endpoint in ("embeddings", "moderations"):
            answer = decide(book, prompt("a", endpoint=endpoint))
            assert isinstance(answer, Reply), answer
            self.assertEqual(answer.choices[0].parts, (ANSWER,))
        self.assertIsInstance(decide(book, prompt("a")), Failure)


class FunctionTests(MemoryTestCase):
    """Conditions and replies that are functions of the prompt."""

    def said(self, text: str = "a", **fields: Any) -> Any:
        answer = self.ask(messages=[{"role": "user", "content": text}], **fields)
        told = answer.json
        whole = answer.status == 200
        return told["choices"][0]["message"]["content"] if whole else told["error"]["message"]

    def setUp(self) -> None:
        super().setUp()
        self.serve()

    def test_a_condition(self) -> None:
        self.server.when(lambda prompt: len(prompt.messages) > 1).reply("long")
        self.assertEqual(self.said(), "hello world")
        talk = [{"role": "user", "content": "a"}] * 2
        self.assertEqual(self.ask(messages=talk).json["choices"][0]["message"]["content"], "long")

    def test_a_condition_beside_others_is_tried_last(self) -> None:
        asked = []

        def note(prompt: Prompt) -> bool:
            asked.append(prompt.messages[-1].text)
            return True

        self.server.when(note, user="b").reply("yes")
        self.assertEqual([self.said("a"), self.said("b"), asked], ["hello world", "yes", ["b"]])

    def test_a_condition_that_raises_is_told_and_logged(self) -> None:
        def broken(_: Prompt) -> bool:
            raise LookupError("no such thing")

        self.server.when(broken).reply("never", name="odd")
        self.assertEqual(self.said(), "rule 'odd': its function raised LookupError: no such thing")
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 1)

    def test_a_reply_at_once_in_every_form(self) -> None:
        forms: dict[str, Any] = {
            "text": "Hi",
            "part": text("Hi"),
            "list": ["H", text("i")],
            "tuple": ("H", "i"),
            "reply": reply("Hi", finish_reason="length"),
        }
        self.server.when().reply(lambda prompt: forms[prompt.messages[-1].text])
        for form in forms:
            self.assertEqual(self.said(form), "Hi", form)

    def test_its_texts_are_no_templates(self) -> None:
        """As it may say back what is asked, braces and all."""
        self.server.when().reply(lambda prompt: reply(prompt.messages[-1].text, id="{{ x }}"))
        self.assertEqual(self.said("{{ 1 + 1 }} {% x"), "{{ 1 + 1 }} {% x")

    def test_values_in_it_are_no_templates_either(self) -> None:
        self.server.when().reply(lambda _: json_part({"a": "{{ 1 + 1 }}"}))
        self.assertEqual(self.said(), '{"a":"{{ 1 + 1 }}"}')

    def test_a_function_among_other_replies(self) -> None:
        self.server.when().replies("one", lambda _: "two", "three", then="loop")
        self.assertEqual([self.said() for _ in range(4)], ["one", "two", "three", "one"])

    def test_what_is_no_reply_is_told(self) -> None:
        for given, reason in (
            (5, "a reply is a text, a part or a list of them, not of type int"),
            (None, "a reply is a text, a part or a list of them, not nothing"),
            (["a", 5], "a part is a text or a part, not of type int"),
            ([reply("a")], "a reply cannot be a part of another"),
            (error(200), "expected a status from 400 to 599, not 200"),
        ):
            forget = self.server.when().reply(lambda _, given=given: given, name="odd")  # type: ignore[misc]
            self.assertEqual(self.said(), f"rule 'odd': its function gave no reply: {reason}")
            forget()
        self.flushLoggedErrors()

    def test_what_cannot_be_filled_in_is_told(self) -> None:
        self.server.when().reply(lambda _: lorem(2_000_000), name="odd")
        expected = "rule 'odd': filler has at most 1,000,000 tokens, not 2,000,000"
        self.assertEqual(self.said(), expected)

        async def later(_: Prompt) -> Any:
            return lorem(2_000_000)

        self.server.when(user="later").reply(later, name="odd", priority=1)
        self.assertEqual(self.said("later"), expected)
        self.flushLoggedErrors()

    def test_one_that_raises_is_told_and_logged(self) -> None:
        def broken(_: Prompt) -> Any:
            raise LookupError("no such thing")

        async def broken_later(_: Prompt) -> Any:
            raise LookupError("no such thing")

        expected = "rule 'odd': its function raised LookupError: no such thing"
        for function in (broken, broken_later):
            for stream in (False, True):
                forget = self.server.when().reply(function, name="odd")
                self.assertEqual(self.said(stream=stream), expected)
                forget()
        self.assertEqual(len(self.flushLoggedErrors(LookupError)), 4)

    def test_a_coroutine_that_is_done_at_once(self) -> None:
        async def give(prompt: Prompt) -> Any:
            return text(f"You said {prompt.messages[-1].text}.")

        self.server.when().reply(give)
        self.assertEqual(self.said("hi"), "You said hi.")

    def test_a_schema_that_cannot_be_met_is_the_clients_mistake(self) -> None:
        async def give(_: Prompt) -> Any:
            return from_schema()

        schema = {"type": "json_schema", "json_schema": {"name": "no", "schema": {"enum": []}}}
        for function in (give, lambda _: from_schema()):
            forget = self.server.when().reply(function)
            self.assertIn("Invalid schema", self.said(response_format=schema))
            forget()

    def test_a_deferred_is_waited_for(self) -> None:
        both: list[Deferred[str]] = [Deferred(), Deferred()]
        for waited in both:
            forget = self.server.when().reply(lambda _, waited=waited: waited)  # type: ignore[misc]
            client: Any = self.client
            body = b'{"model":"m","messages":[{"role":"user","content":"a"}]}'
            asked = client.post("http://x/v1/chat/completions", data=body)
            self.flush()
            self.assertNoResult(asked)
            waited.callback("At last.")
            self.flush()
            response = self.successResultOf(asked)
            self.flush()
            found = json.loads(self.successResultOf(response.content()))
            self.assertEqual(found["choices"][0]["message"]["content"], "At last.")
            forget()


class FilePartTests(LanguageCase):
    """`file` parts, which only files have."""

    def serve_with(self, rules: str, **files: str) -> Path:
        folder = Path(self.mktemp())
        (folder / "replies").mkdir(parents=True)
        for name, content in files.items():
            stem, _, suffix = name.rpartition("_")
            (folder / "replies" / f"{stem}.{suffix}").write_text(content, encoding="utf-8")
        scenario = folder / "scenario.yml"
        scenario.write_text(rules, encoding="utf-8")
        self.serve(scenario=[str(scenario)])
        return folder

    def test_a_text_file_is_said(self) -> None:
        self.serve_with(
            "rules: [{reply: {file: replies/poem.txt}}]", poem_txt="Roses for {{ user }}:\n°\n"
        )
        self.assertEqual(self.said("you"), "Roses for you:\n°\n")

    def test_an_empty_one_says_nothing(self) -> None:
        self.serve_with("rules: [{reply: {file: replies/poem.txt}}]", poem_txt="")
        self.assertEqual(self.said("you"), "")

    def test_a_yaml_file_is_a_reply(self) -> None:
        self.serve_with(
            "rules: [{reply: [Look: , file: replies/call.yml]}]".replace("Look: ", "'Look: '"),
            call_yml="[now, tool_call: {name: f, arguments: {x: '{{ user }}'}}]",
        )
        self.assertEqual(self.said("a"), "Look: now")
        self.assertEqual(self.calls("a"), [("f", '{"x":"a"}')])

    def test_what_is_beside_the_parts_there_holds_unless_it_is_said_here(self) -> None:
        self.serve_with(
            "rules: [{reply: {file: replies/a.yml, model: mine, headers: {X-A: mine}}}]",
            a_yml="{text: a b, model: m, finish_reason: length, chunks: word,"
            " headers: {x-a: theirs, X-B: theirs}}",
        )
        answer = self.say("x")
        self.assertEqual(answer.json["model"], "mine")
        self.assertEqual(answer.json["choices"][0]["finish_reason"], "length")
        self.assertEqual((answer.header("x-a"), answer.header("x-b")), ("mine", "theirs"))
        self.assertEqual(self.pieces("x"), ["a", " b"])

    def test_chunks_that_are_listed_there(self) -> None:
        self.serve_with(
            "rules: [{when: {user: alone}, reply: {file: replies/a.yml}},"
            " {reply: ['> ', file: replies/a.yml]}]",
            a_yml="{chunks: [a b, ' c', '{{ user }}']}",
        )
        self.assertEqual(self.pieces("alone"), ["a b", " c", "alone"])
        self.assertEqual(self.said("x"), "> a b cx")

    def test_chunks_here_beat_those_there(self) -> None:
        self.serve_with(
            "rules: [{reply: {file: replies/a.yml, chunks: character}}]", a_yml="{chunks: [ab, cd]}"
        )
        self.assertEqual(self.pieces("x"), ["a", "b", "c", "d"])

    def test_replies_in_files_may_name_files(self) -> None:
        self.serve_with(
            "rules: [{reply: {file: replies/a.yml}}]",
            a_yml="[first, file: b.txt]",
            b_txt=" second",
        )
        self.assertEqual(self.said("x"), "first second")

    def test_a_template_that_fails_is_found_in_its_file(self) -> None:
        folder = self.serve_with(
            "rules:\n"
            "- {when: {user: text}, reply: [a,\n   file: replies/b.txt]}\n"
            "- {when: {user: yaml}, reply: {file: replies/a.yml}}\n"
            "- {when: {user: both}, reply: {file: replies/c.yml}}\n",
            a_yml="text: '{{ nope }}'",
            b_txt="one\ntwo {{ nope }}",
            c_yml="[a, file: b.txt]",
        )
        path = folder / "scenario.yml"
        inner = (folder / "replies" / "b.txt").absolute()
        for asked, number, line, at, where in (
            ("text", 1, 2, 3, "replies/b.txt:2"),
            ("yaml", 2, 4, 4, "replies/a.yml"),
            ("both", 3, 5, 5, f"{inner}:2"),
        ):
            self.assertEqual(
                self.failed(asked)[1]["message"],
                f"rule {number} ({path}:{line}): {path}:{at}: {where}: 'nope' is not defined",
            )
        self.flushLoggedErrors()

    def test_attempts_in_a_file_are_counted(self) -> None:
        self.serve_with("rules: [{reply: {file: replies/a.txt}}]", a_txt="attempt {{ attempt }}")
        self.assertEqual([self.said("x") for _ in range(2)], ["attempt 1", "attempt 2"])


class DefaultsTests(LanguageCase):
    def test_what_a_file_says_for_all_its_replies(self) -> None:
        self.serve_file(
            """
            defaults:
              model: theirs
              system_fingerprint: fp_theirs
              chunks: character
              headers: {X-A: theirs, X-B: theirs}
            rules:
              - {when: {user: own}, reply: {text: ab, model: own, system_fingerprint: fp_own,
                  chunks: word, headers: {x-a: own}}}
              - {when: {user: pieces}, reply: {chunks: [ab, c]}}
              - {when: {user: error}, reply: {error: 500}}
              - {reply: ab}
            """
        )
        other, own = self.say("other"), self.say("own")
        self.assertEqual((other.json["model"], own.json["model"]), ("theirs", "own"))
        self.assertEqual(other.json["system_fingerprint"], "fp_theirs")
        self.assertEqual(own.json["system_fingerprint"], "fp_own")
        self.assertEqual((other.header("x-a"), other.header("x-b")), ("theirs", "theirs"))
        self.assertEqual(own.headers.getRawHeaders("x-a"), ["own"])
        self.assertEqual(own.header("x-b"), "theirs")
        self.assertEqual(self.say("error").header("x-a"), "theirs")
        self.assertEqual(self.pieces("other"), ["a", "b"])
        self.assertEqual(self.pieces("own"), ["ab"])
        self.assertEqual(self.pieces("pieces"), ["ab", "c"])


class GroupsTests(SynchronousTestCase):
    def test_nothing_of_the_prompt_is_ever_a_template(self) -> None:
        """What a client sends is data, however it looks."""
        rules = library()
        rules.when(user=matches("(?P<all>.*)")).reply("{{ match.all }} {{ user }}")
        self.assertEqual(said(rules.book, "{{ 1 + 1 }}"), "{{ 1 + 1 }} {{ 1 + 1 }}")
