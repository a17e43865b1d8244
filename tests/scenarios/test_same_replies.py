"""Replies that say the same to everybody are made once, and are the same objects from then on."""

from pathlib import Path
from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from fakellm.scenarios.library import Library
from tests.scenarios.libraries import decide, library, prompt

RULES = """
rules:
  - {when: {user: fixed}, reply: [fixed, {lorem: {tokens: 3}}]}
  - {when: {user: filled}, reply: "{{ user }}"}
  - {when: {user: echoed}, reply: {echo: true}}
  - {when: {user: made}, reply: {tool_call: {name: f}}}
  - {when: {user: given}, reply: {tool_call: {name: f, arguments: {a: 1}}}}
"""


class SameReplyTests(SynchronousTestCase):
    def setUp(self) -> None:
        path = Path(self.mktemp()).with_suffix(".yml")
        path.write_text(RULES)
        self.library: Library = library(path, echo_model=True)

    def said(self, user: str, **asked: Any) -> Any:
        return decide(self.library.book, prompt(user, **asked))

    def test_nothing_in_them_is_filled_in(self) -> None:
        for user in ("fixed", "given", "whatever the default answers"):
            self.assertIs(self.said(user), self.said(user), user)

    def test_what_is_filled_in_is_made_anew(self) -> None:
        for user in ("filled", "echoed", "made"):
            self.assertIsNot(self.said(user), self.said(user), user)

    def test_what_a_request_wants_of_them_makes_them_others(self) -> None:
        wanted: tuple[dict[str, Any], ...] = (
            {},
            {"n": 2},
            {"model": "second"},
            {"reasoning_effort": "low"},
            {"spoken": True},
        )
        said = [self.said("fixed", **each) for each in wanted]
        for each, reply in zip(wanted, said, strict=True):
            self.assertIs(self.said("fixed", **each), reply)
        self.assertEqual(len({id(reply) for reply in said}), len(wanted))
        self.assertEqual([len(reply.choices) for reply in said], [1, 2, 1, 1, 1])
        self.assertEqual(said[2].model, "second")

    def test_no_more_of_them_are_kept_than_so_many(self) -> None:
        with mock.patch("fakellm.scenarios.replies._KNOWN_AT_MOST", 2):
            replies = [self.said("fixed", model=f"model-{number}") for number in range(5)]
        self.assertEqual([reply.model for reply in replies], [f"model-{n}" for n in range(5)])
        self.assertIsNot(self.said("fixed", model="model-0"), replies[0])
        self.assertEqual(self.said("fixed", model="model-0"), replies[0])
