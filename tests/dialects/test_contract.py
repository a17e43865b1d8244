"""The contract suite, for every dialect there is."""

from tests.dialects.adapters import anthropic, responses
from tests.dialects.adapters.anthropic import AnthropicAdapter
from tests.dialects.adapters.openai import AzureAdapter, ChatAdapter, CompletionAdapter
from tests.dialects.adapters.responses import ResponsesAdapter
from tests.dialects.contract import make_dialect_tests

ChatTests = make_dialect_tests(ChatAdapter)
AzureTests = make_dialect_tests(AzureAdapter)
CompletionTests = make_dialect_tests(CompletionAdapter)
ResponsesTests = make_dialect_tests(
    ResponsesAdapter, skip="" if responses.DIALECT else "there are no responses yet"
)
AnthropicTests = make_dialect_tests(
    AnthropicAdapter, skip="" if anthropic.DIALECT else "there are no messages of Anthropic's yet"
)
