"""From a request's bytes to its declared record, and the arguments that the record does not know.

Source of the words: the API's answers to such requests. This knows no endpoint.
"""

from typing import Any

import msgspec

from fakellm.dialects import invalid
from fakellm.dialects.openai.errors import refuse, shown
from fakellm.dialects.openai.flavour import PLAIN, Flavour
from fakellm.dialects.openai.problem_words import problem_words

_keys = msgspec.json.Decoder(dict[str, msgspec.Raw])


def decode_body(
    body: bytes, record: type[Any], *, strict: bool, flavour: Flavour = PLAIN
) -> tuple[Any, tuple[str, ...]]:
    """A body as its record, and the names of top-level arguments that the vendor does not know.

    Args:
        body: JSON.
        record: a `msgspec.Struct` type; fields that are in `flavour.EXTENSIONS` are read, but are
            not the API's own.
        strict: refuse unknown arguments.
        flavour: whose arguments are known.

    Raises:
        Refused: the body is not what the record says.
    """
    try:
        request = invalid.decode(body, record)
    except invalid.Invalid as error:
        raise problem_words(error.problem) from None
    # A body that decodes is an object, and one pass over its keys costs next to nothing.
    fields = record.__struct_fields__
    unknown = tuple(key for key in _keys.decode(body) if not flavour.knows(key, fields))
    if strict and unknown:
        name = shown(unknown[0])
        raise refuse(f"Unknown parameter: '{name}'.", param=name, code="unknown_parameter")
    # what is read all the same is not what a log has to speak of
    return request, tuple(key for key in unknown if key not in fields)
