"""Texts as the endpoints without turns take them: one or several, as words or as token ids."""

from collections.abc import Sequence
from typing import Annotated

from msgspec import Meta, Struct

from fakellm.dialects.openai.errors import refuse
from fakellm.dialects.openai.token_ids import pieces_of
from fakellm.model.content import Text
from fakellm.model.prompt import Message
from fakellm.model.reply import Refused

TEXTS_AT_MOST = 2048
"""Source: ``CreateEmbeddingRequest`` of OpenAI's published schema."""

TokenId = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Texts = str | Annotated[list[str | TokenId | list[TokenId]], Meta(max_length=TEXTS_AT_MOST)]
"""A text, texts, the tokens of one, or the tokens of several."""


class Input(Struct, frozen=True, kw_only=True):
    """Texts, and where they came as tokens, how many.

    ``pieces`` are those tokens, text by text.
    """

    texts: tuple[str, ...]
    tokens: int | None = None
    pieces: tuple[tuple[str, ...], ...] = ()

    @property
    def messages(self) -> tuple[Message, ...]:
        """The texts as what a user says."""
        return tuple(Message(role="user", parts=(Text(text=text),)) for text in self.texts)


def decode_texts(given: Texts, param: str) -> Input:
    """The texts that a field holds.

    Raises:
        Refused: it holds nothing, or things of several sorts.
    """
    if isinstance(given, str):
        return Input(texts=(given,))
    strings = [each for each in given if isinstance(each, str)]
    lists = [each for each in given if isinstance(each, list)]
    numbers = [each for each in given if isinstance(each, int)]
    if not given or len(given) not in (len(strings), len(lists), len(numbers)) or [] in lists:
        raise invalid_input(param)
    if strings:
        return Input(texts=tuple(strings))
    return _tokens(lists or [numbers])


def _tokens(lists: Sequence[Sequence[int]]) -> Input:
    pieces = tuple(tuple(pieces_of(ids)) for ids in lists)
    return Input(
        texts=tuple("".join(each) for each in pieces),
        tokens=sum(map(len, lists)),
        pieces=pieces,
    )


def invalid_input(param: str) -> Refused:
    """The API's answer to an input of the wrong shape, to be raised."""
    return refuse(
        f"'$.{param}' is invalid. Please check the API reference: "
        "https://platform.openai.com/docs/api-reference.",
        param=param,
    )
