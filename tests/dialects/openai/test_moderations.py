"""Moderations: what is asked, and who decides what is flagged."""

import json
from typing import Any

from openai.types import ModerationCreateResponse
from openai.types.moderation_create_params import ModerationCreateParams
from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.dialects.openai.moderation import CATEGORIES
from fakellm.dialects.openai.moderations import ModerationRequest, OpenAIModerations
from fakellm.interfaces import IDialect, IEncoder
from fakellm.model.content import Image
from fakellm.model.events import Failed
from fakellm.model.reply import Failure
from tests.dialects.openai.texts import acts, asked, refusal, said, sent, stamp, strictly, whole
from tests.sdk import published

DIALECT = OpenAIModerations()
TEXT = {"type": "text", "text": "I will murder it"}
IMAGE = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}

INPUTS: tuple[Any, ...] = ("a", "kill", ["a", "kill"], [TEXT, IMAGE], [IMAGE])


def flagged(answer: Any) -> list[list[str]]:
    """The categories flagged of each input."""
    return [
        [name for name, value in result["categories"].items() if value]
        for result in answer["results"]
    ]


class ModerationTests(SynchronousTestCase):
    def test_it_is_a_dialect(self) -> None:
        verifyObject(IDialect, DIALECT)
        verifyObject(IEncoder, DIALECT.encoder(asked(DIALECT, {"input": "a"}), stamp()))
        self.assertEqual(
            sorted(ModerationCreateParams.__annotations__),
            sorted(ModerationRequest.__struct_fields__),
        )

    def test_rules_see_the_inputs_and_the_endpoint(self) -> None:
        prompt = asked(DIALECT, {"input": ["a", "b"]})
        self.assertEqual([each.text for each in prompt.messages], ["a", "b"])
        self.assertEqual(prompt.endpoint, "moderations")
        (message,) = asked(DIALECT, {"input": [TEXT, IMAGE]}).messages
        self.assertEqual(message.text, TEXT["text"])
        self.assertEqual(message.parts[1], Image(url="https://example.com/a.png"))

    def test_what_the_api_does_not_take_is_refused(self) -> None:
        for body, param in (
            ({}, "input"),
            ({"input": []}, "input"),
            ({"input": ["a", TEXT]}, "input"),
            ({"input": [{"type": "video"}]}, "input[0].type"),
            ({"input": "a", "model": 1}, "model"),
        ):
            failure = refusal(DIALECT, body)
            self.assertEqual((failure.status, failure.param), (400, param), failure)

    def test_every_answer_is_what_the_sdk_declares(self) -> None:
        for given in INPUTS:
            strictly(ModerationCreateResponse, whole(DIALECT, {"input": given}))

    def test_every_answer_meets_the_published_schema(self) -> None:
        validator = published("CreateModerationResponse")
        for given in INPUTS:
            validator.validate(whole(DIALECT, {"input": given}))

    def test_the_model_is_the_one_behind_the_name(self) -> None:
        for fields, model in (
            ({}, "omni-moderation-2024-09-26"),
            ({"model": "text-moderation-stable"}, "text-moderation-007"),
            ({"model": "mine"}, "mine"),
        ):
            answer = whole(DIALECT, {"input": "a", **fields})
            self.assertEqual(answer["model"], model)
            self.assertRegex(answer["id"], r"\Amodr-\w{29}\Z")

    def test_words_flag_where_the_reply_says_nothing_of_it(self) -> None:
        for reply in ("hello world", "", "[1]", '{"flagged": 1}', '{"flagged": []', "{}", "\ud800"):
            answer = whole(DIALECT, {"input": ["Good morning", "I'd KILL them"]}, said(reply))
            self.assertEqual(flagged(answer), [[], ["violence"]], reply)
            self.assertEqual([each["flagged"] for each in answer["results"]], [False, True])

    def test_parts_are_one_input(self) -> None:
        answer = whole(DIALECT, {"input": [IMAGE, TEXT]})
        self.assertEqual(flagged(answer), [["violence"]])

    def test_words_are_whole_words(self) -> None:
        self.assertEqual(flagged(whole(DIALECT, {"input": "overkill, killjoy"})), [[]])

    def test_a_reply_says_what_is_flagged(self) -> None:
        for told, expected in (
            (["hate"], [["hate"], ["hate"]]),
            ([], [[], []]),
            ([["hate", "sexual"], []], [["hate", "sexual"], []]),
            ([["hate"]], [["hate"], []]),
            ([["hate"], ["sexual"], ["violence"]], [["hate"], ["sexual"]]),
        ):
            reply = said(json.dumps({"flagged": told}))
            answer = whole(DIALECT, {"input": ["kill", "kill"]}, reply)
            self.assertEqual(flagged(answer), expected)

    def test_a_category_that_there_is_not_is_an_error_that_names_those_there_are(self) -> None:
        reply = said('{"flagged": ["rudeness"]}')
        head, body = sent(acts(DIALECT, asked(DIALECT, {"input": "a"}), reply))
        self.assertEqual(head.status, 500)
        self.assertIn(b"'rudeness'", body)
        self.assertIn(b"harassment/threatening", body)

    def test_scores_repeat_and_say_what_is_flagged(self) -> None:
        (result,) = whole(DIALECT, {"input": "murder"})["results"]
        for name, score in result["category_scores"].items():
            self.assertTrue(0 < score < 1)
            self.assertEqual(score > 0.5, result["categories"][name])
        self.assertEqual(whole(DIALECT, {"input": "murder"})["results"], [result])

    def test_only_some_categories_are_seen_in_images(self) -> None:
        for given, harassment, violence in (
            ("a", ["text"], ["text"]),
            ([IMAGE], [], ["image"]),
            ([TEXT, IMAGE], ["text"], ["text", "image"]),
        ):
            (result,) = whole(DIALECT, {"input": given})["results"]
            types = result["category_applied_input_types"]
            self.assertEqual(types["harassment"], harassment)
            self.assertEqual(types["violence/graphic"], violence)
            self.assertEqual([*types], [*CATEGORIES])

    def test_a_failure(self) -> None:
        encoder = DIALECT.encoder(asked(DIALECT, {"input": "a"}), stamp())
        self.assertEqual(sent(encoder.encode(Failed(failure=Failure(status=429))))[0].status, 429)
