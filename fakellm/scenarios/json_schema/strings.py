"""Strings of a wanted length, pattern and format; plausible ones where only the name is known."""

import random
from collections.abc import Iterable, Sequence
from typing import Any

from fakellm.scenarios.json_schema.document import Document
from fakellm.scenarios.json_schema.formats import FORMATS
from fakellm.scenarios.json_schema.limits import MAX_CHARACTERS, UnusableSchema, join, shown
from fakellm.scenarios.json_schema.words import NOUNS, text_for

_NATURAL_DRAWS = 8  # after those, the length is left to chance
_STRETCH = 24
_LONGER = 12
_CHARACTERS_A_STEP = 8


def make_string(
    schemas: Iterable[dict[str, Any]],
    document: Document,
    name: str,
    chance: random.Random,
    attempt: int,
) -> str:
    """A string of the length several schemas ask for, made after one of their patterns or formats.

    Args:
        schemas: those that hold.
        document: what they belong to.
        name: the property's.
        chance: the source of chance.
        attempt: how many strings were made before; each takes the next pattern or format.

    Raises:
        UnusableSchema: no string can have the length.
    """
    schemas = list(schemas)
    low, high = _length(schemas, document)
    guides = [
        (schema, keyword)
        for keyword in ("pattern", "format")
        for schema in schemas
        if keyword in schema and (keyword == "pattern" or schema[keyword] in FORMATS)
    ]
    if not guides:
        natural = text_for(name, chance)
        if attempt < _NATURAL_DRAWS:
            return _fitted(natural, low, high, chance)
        length = chance.randint(low, min(high, low + _STRETCH))
        return _fitted(natural, length, length, chance)
    schema, keyword = guides[attempt % len(guides)]
    path = join(document.path(schema), keyword)
    if keyword == "format":
        return _formatted(schema["format"], low, high, chance, path)
    regex = document.regex(schema["pattern"])
    if regex.shortest > high:
        raise UnusableSchema(
            path, f"{shown(schema['pattern'])} matches nothing of up to {high} characters"
        )
    document.work.spend(regex.shortest // _CHARACTERS_A_STEP)
    return regex.write(chance, low, high)


def _length(schemas: Sequence[dict[str, Any]], document: Document) -> tuple[int, int]:
    low, high, path = 0, MAX_CHARACTERS, ""
    for schema in schemas:
        if schema.get("minLength", 0) > low:
            low, path = int(schema["minLength"]), join(document.path(schema), "minLength")
        high = min(high, int(schema.get("maxLength", high)))
    if low > MAX_CHARACTERS:
        raise UnusableSchema(path, f"strings of more than {MAX_CHARACTERS} characters are not made")
    if low > high:
        raise UnusableSchema(path, f"{low} is above the greatest length allowed, {high}")
    document.work.spend(low // _CHARACTERS_A_STEP)
    return low, high


def _formatted(name: str, low: int, high: int, chance: random.Random, path: str) -> str:
    write = FORMATS[name].write
    text = write(chance, None)
    if not low <= len(text) <= high:
        text = write(chance, low if len(text) < low else high)
    if not low <= len(text) <= high:
        raise UnusableSchema(path, f"no {shown(name)} of {low} to {high} characters can be made")
    return text


def _fitted(text: str, low: int, high: int, chance: random.Random) -> str:
    if len(text) < low:
        # Each word is at least four characters with its space.
        text = " ".join([text, *chance.choices(NOUNS, k=low // 4)])
        high = min(high, low + chance.randrange(_LONGER))
    if len(text) > high:
        text = text[:high]
        if text.endswith(" "):
            text = f"{text[:-1]}s"
    return text
