"""Chat completions requests understood by what they have in common with earlier ones.

Clients send the same arguments again and again with other messages. All but the messages is known
by its bytes; only what was understood in full before is, so that nothing is let pass here that is
refused elsewhere, and errors are worded where they are found.
"""

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec import structs

from fakellm.dialects.openai.chat_messages import decode_messages
from fakellm.dialects.openai.chat_request import ChatMessage, ChatRequest
from fakellm.model.prompt import Form, Prompt, Received

_KNOWN_AT_MOST = 200
_BYTES_AT_MOST = 16 * 1024
"""Larger ones are not remembered."""

_arguments: Any = msgspec.json.Decoder(dict[str, msgspec.Raw])
_messages: Any = msgspec.json.Decoder(list[ChatMessage])

Understand = Callable[[], Prompt]


class ChatForms:
    """The forms of requests that were understood."""

    def __init__(self) -> None:
        # None stands for one that was seen once: many never come again
        self._known: dict[tuple[object, ...], Form | None] = {}

    def prompt(
        self, received: Received, api_key: str | None, understand: Understand, *, strict: bool
    ) -> Prompt:
        """What a request asks.

        Args:
            received: the request.
            api_key: the API key that it bears.
            understand: gives the same the long way.
            strict: whether that is to be strict.

        Raises:
            Refused: what `understand` raises.
        """
        body = received.body
        try:
            given = _arguments.decode(body)
            said = given.pop("messages")
        except (msgspec.MsgspecError, KeyError, UnicodeDecodeError, RecursionError):
            return understand()
        if len(body) - len(memoryview(said)) > _BYTES_AT_MOST:
            return understand()
        key = strict, *[(name, bytes(value)) for name, value in given.items()]
        form = self._known.get(key)
        if form is None:
            return self._understood(key, understand())
        try:
            messages = _messages.decode(said)
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return understand()
        if not messages:
            return understand()
        return structs.replace(
            form.prompt,
            messages=tuple(decode_messages(messages)),
            received=received,
            api_key=api_key,
            form=form,
        )

    def _understood(self, key: tuple[object, ...], prompt: Prompt) -> Prompt:
        request: ChatRequest = prompt.wire
        # what is stored has its messages with it, and a word among them may be asked for
        if request.store or prompt.format.kind == "json_object":
            return prompt
        if key not in self._known:
            if len(self._known) >= _KNOWN_AT_MOST:
                self._known.clear()
            self._known[key] = None
            return prompt
        form = Form(
            structs.replace(prompt, messages=(), wire=structs.replace(request, messages=[]))
        )
        self._known[key] = form
        return structs.replace(prompt, form=form)
