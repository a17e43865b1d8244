"""The dialect as others see it: its interfaces, API keys, models, and the paths it answers at."""

import json

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.dialects import registry
from fakellm.dialects.openai.chat import OpenAIChat
from fakellm.dialects.openai.errors import document_acts, failure_acts
from fakellm.dialects.openai.models import CREATED, model_card, model_list
from fakellm.engine.shelf import Shelf
from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from fakellm.model.prompt import Received
from fakellm.model.reply import Failure
from tests.dialects.openai.answering import stamp
from tests.dialects.openai.requests import prompt_of, received

CHAT = OpenAIChat()


class InterfacesTests(SynchronousTestCase):
    def test_what_it_says_it_provides_it_provides(self) -> None:
        verifyObject(IDialect, CHAT)
        verifyObject(IErrorWords, CHAT.errors)
        for stream in (False, True):
            verifyObject(IEncoder, CHAT.encoder(prompt_of(stream=stream), stamp()))

    def test_it_answers_at_the_path_of_chat_completions_and_where_nobody_else_does(self) -> None:
        endpoint = registry.ENDPOINTS[0]
        self.assertEqual(endpoint.path, "/v1/chat/completions")
        self.assertIs(endpoint.dialect, registry.DEFAULT)
        self.assertIsInstance(registry.DEFAULT, OpenAIChat)

    def test_it_decodes_and_words_as_its_parts_do(self) -> None:
        body = b'{"model":"m","messages":[{"role":"user","content":"Say something"}]}'
        self.assertEqual(
            CHAT.decode(received(body), strict=True, kept=Shelf()).wire, prompt_of().wire
        )
        failure = Failure(status=429)
        self.assertEqual(CHAT.failure(failure, stamp()), failure_acts(failure, stamp()))
        self.assertEqual(CHAT.document(b"{}", stamp()), document_acts(b"{}", stamp()))


class ApiKeyTests(SynchronousTestCase):
    def test_the_key_is_the_bearer_token(self) -> None:
        for header, key in {
            "Bearer sk-1": "sk-1",
            "bearer sk-1": "sk-1",
            "BEARER   sk-1 ": "sk-1",
            "Bearer ": None,
            "Bearer": None,
            "sk-1": None,
            "Basic c2stMQ==": None,
            "": None,
        }.items():
            request = Received(method="POST", path="/", headers={"authorization": header})
            self.assertEqual(CHAT.api_key(request), key, header)
            body = received(b'{"model":"m","messages":[{"role":"user","content":""}]}').body
            asked = Received(method="POST", path="/", headers=request.headers, body=body)
            self.assertEqual(CHAT.decode(asked, strict=False, kept=Shelf()).api_key, key)
        self.assertIs(CHAT.api_key(Received(method="POST", path="/")), None)


CARD = {"id": "fake-model", "object": "model", "created": CREATED, "owned_by": "fakellm"}


class ModelsTests(SynchronousTestCase):
    def test_a_model(self) -> None:
        self.assertEqual(json.loads(model_card("fake-model")), CARD)

    def test_the_list_of_models(self) -> None:
        self.assertEqual(
            json.loads(model_list(["fake-model", "ü"])),
            {"object": "list", "data": [CARD, {**CARD, "id": "ü"}]},
        )
        self.assertEqual(json.loads(model_list([])), {"object": "list", "data": []})
