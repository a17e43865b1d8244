"""The dialect as others see it: its interfaces, and the paths it answers at."""

from twisted.trial.unittest import SynchronousTestCase
from zope.interface.verify import verifyObject

from fakellm.dialects import registry
from fakellm.dialects.anthropic.messages import AnthropicMessages
from fakellm.dialects.anthropic.operations import DIALECT, MODEL_OPERATIONS, OPERATIONS
from fakellm.interfaces import IDialect, IEncoder, IErrorWords
from tests.dialects.anthropic.answering import stamp
from tests.dialects.anthropic.requests import prompt_of

MESSAGES = AnthropicMessages()


class InterfacesTests(SynchronousTestCase):
    def test_what_it_says_it_provides_it_provides(self) -> None:
        verifyObject(IDialect, MESSAGES)
        verifyObject(IErrorWords, MESSAGES.errors)
        for stream in (False, True):
            verifyObject(IEncoder, MESSAGES.encoder(prompt_of(stream=stream), stamp()))

    def test_it_answers_at_the_path_of_messages(self) -> None:
        found = [each.dialect for each in registry.ENDPOINTS if each.path == "/v1/messages"]
        self.assertEqual([each.name for each in found], ["anthropic"])

    def test_its_operations(self) -> None:
        operations = (*OPERATIONS, *MODEL_OPERATIONS)
        self.assertEqual({operation.dialect for operation in operations}, {DIALECT})
        ways = [(operation.method, operation.path) for operation in operations]
        self.assertEqual(len(set(ways)), 9)
