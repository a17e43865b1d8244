"""Anthropic's list of models, and lists in pages."""

import json
from typing import Any

from anthropic.types import ModelInfo
from twisted.trial.unittest import SynchronousTestCase

from fakellm.dialects.anthropic.models import model_card, model_page
from fakellm.dialects.anthropic.paging import page
from fakellm.model.reply import Refused
from tests.dialects.anthropic.answering import strictly

ITEMS: list[dict[str, Any]] = [{"id": str(number)} for number in range(25)]


class ModelTests(SynchronousTestCase):
    def test_a_model(self) -> None:
        for name, line in (("claude-Opus-9", "opus"), ("fake-model", None)):
            card = strictly(ModelInfo, model_card(name))
            self.assertEqual((card.id, card.line, card.lifecycle), (name, line, "active"))
            self.assertEqual(card.created_at.year, 2025)

    def test_a_page_of_models(self) -> None:
        told = json.loads(model_page(["a", "b"], {"limit": "1"}))
        self.assertEqual([model["id"] for model in told["data"]], ["a"])
        self.assertTrue(told["has_more"])


class PageTests(SynchronousTestCase):
    def ids(self, **query: str) -> list[str]:
        return [item["id"] for item in page(ITEMS, query)["data"]]

    def test_the_first_page(self) -> None:
        found = page(ITEMS, {})
        self.assertEqual(found["data"], ITEMS[:20])
        self.assertEqual(
            (found["has_more"], found["first_id"], found["last_id"]), (True, "0", "19")
        )

    def test_the_pages_that_follow(self) -> None:
        self.assertEqual(self.ids(after_id="19"), ["20", "21", "22", "23", "24"])
        self.assertEqual(self.ids(after_id="19", limit="2"), ["20", "21"])
        self.assertEqual(self.ids(after_id="24"), [])
        self.assertFalse(page(ITEMS, {"after_id": "19"})["has_more"])

    def test_the_pages_before(self) -> None:
        self.assertEqual(self.ids(before_id="5", limit="2"), ["3", "4"])
        self.assertEqual(self.ids(before_id="1"), ["0"])
        self.assertTrue(page(ITEMS, {"before_id": "5", "limit": "2"})["has_more"])
        self.assertFalse(page(ITEMS, {"before_id": "1"})["has_more"])

    def test_nothing_at_all(self) -> None:
        expected = {"data": [], "has_more": False, "first_id": None, "last_id": None}
        self.assertEqual(page([], {"limit": "0001"}), expected)

    def test_what_there_is_not(self) -> None:
        for query, said in (
            ({"limit": "x"}, "limit: Input should be a valid integer"),
            ({"limit": "-1"}, "limit: Input should be a valid integer"),
            ({"limit": "²"}, "limit: Input should be a valid integer"),
            ({"limit": "0"}, "limit: Input should be greater than or equal to 1"),
            ({"limit": "1001"}, "limit: Input should be less than or equal to 1000"),
            ({"limit": "9" * 9999}, "limit: Input should be less than or equal to 1000"),
            ({"after_id": "x"}, "after_id: no such object: x"),
            ({"before_id": "x"}, "before_id: no such object: x"),
            ({"before_id": "1", "after_id": "2"}, "after_id: cannot be used with before_id"),
        ):
            with self.assertRaises(Refused) as refused:
                page(ITEMS, query)
            self.assertEqual(str(refused.exception), said)
