"""Shows ``fakellm`` to twistd; names its module as a string, so that finding it imports nothing."""

from twisted.application.service import ServiceMaker

fakellm = ServiceMaker(
    "fakellm",
    "fakellm.tap",
    "A fake LLM server that speaks the OpenAI chat completions API.",
    "fakellm",
)
