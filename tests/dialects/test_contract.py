"""The contract, held by every dialect."""

from tests.dialects.adapters.anthropic import AnthropicAdapter
from tests.dialects.adapters.openai import (
    AzureAdapter,
    ByModelAdapter,
    ChatAdapter,
    CompletionAdapter,
    VllmAdapter,
)
from tests.dialects.adapters.responses import ResponsesAdapter
from tests.dialects.contract import make_dialect_tests

ChatTests = make_dialect_tests(ChatAdapter, __name__)
AzureTests = make_dialect_tests(AzureAdapter, __name__)
VllmTests = make_dialect_tests(VllmAdapter, __name__)
ByModelTests = make_dialect_tests(ByModelAdapter, __name__)
CompletionTests = make_dialect_tests(CompletionAdapter, __name__)
ResponsesTests = make_dialect_tests(ResponsesAdapter, __name__)
AnthropicTests = make_dialect_tests(AnthropicAdapter, __name__)
