"""Words, and what a property's name lets one expect: so that made values look plausible.

All of it is invented or kept free for examples (RFC 2606, RFC 5737); no value may ever matter.
"""

import random
import re

NOUNS = (
    "amber", "anchor", "basil", "beacon", "birch", "canyon", "cedar", "comet", "coral", "delta",
    "ember", "falcon", "fern", "garnet", "glacier", "harbor", "hazel", "heron", "indigo", "ivory",
    "juniper", "kestrel", "lagoon", "lantern", "lilac", "maple", "meadow", "nectar", "onyx",
    "orchid", "pebble", "pine", "quartz", "raven", "ridge", "saffron", "sparrow", "summit",
    "thistle", "tulip", "velvet", "willow",
)  # fmt: skip
"""Short lower-case words."""

_GIVEN = ("Aiko", "Amina", "Bruno", "Clara", "Diego", "Freya", "Ivan", "Jonas", "Leila", "Mira")
_FAMILY = ("Berg", "Costa", "Hale", "Ito", "Lund", "Marsh", "Okafor", "Reed", "Silva", "Tan")
_PLACES = {
    "Kyoto": "Japan", "Lima": "Peru", "Lisbon": "Portugal", "Lyon": "France", "Nairobi": "Kenya",
    "Oslo": "Norway", "Quito": "Ecuador", "Riga": "Latvia", "Toronto": "Canada", "Turin": "Italy",
}  # fmt: skip
_SAMPLES: dict[str, tuple[str, ...]] = {
    "city": tuple(_PLACES),
    "color": ("amber", "blue", "crimson", "green", "teal"),
    "colour": ("amber", "blue", "crimson", "green", "teal"),
    "country": tuple(_PLACES.values()),
    "currency": ("CHF", "EUR", "JPY", "USD"),
    "language": ("English", "French", "Japanese", "Portuguese"),
    "location": tuple(f"{city}, {country}" for city, country in _PLACES.items()),
    "unit": ("celsius", "kilometers", "minutes", "kilograms"),
}
_PROSE = frozenset(
    {
        "answer", "body", "comment", "content", "description", "explanation", "message", "note",
        "output", "prompt", "query", "question", "rationale", "reason", "reasoning", "response",
        "summary", "text", "thought",
    }
)  # fmt: skip
_RANGES = {
    "age": (18, 80),
    "confidence": (0, 1),
    "hour": (0, 23),
    "lat": (-90, 90),
    "latitude": (-90, 90),
    "lon": (-180, 180),
    "longitude": (-180, 180),
    "minute": (0, 59),
    "month": (1, 12),
    "probability": (0, 1),
    "temperature": (-10, 35),
    "year": (1990, 2030),
}
_USUAL_RANGE = (1, 100)
_NAME_PARTS = re.compile(r"[A-Z]?[a-z]+|[A-Z]+(?![a-z])")


def email(chance: random.Random) -> str:
    """An e-mail address."""
    return f"{chance.choice(_GIVEN)}.{chance.choice(_FAMILY)}@example.com".lower()


def url(chance: random.Random) -> str:
    """A web address."""
    return f"https://example.com/{chance.choice(NOUNS)}"


def text_for(name: str, chance: random.Random) -> str:
    """A text that a property of that name might have; a word or two where nothing is known."""
    for part in _parts(name):
        if part in _SAMPLES:
            return chance.choice(_SAMPLES[part])
        if part in _PROSE:
            return sentence(chance)
        match part:
            case "email":
                return email(chance)
            case "url" | "uri" | "link" | "website":
                return url(chance)
            case "name" | "author" | "user":
                return f"{chance.choice(_GIVEN)} {chance.choice(_FAMILY)}"
            case "phone":
                return f"+1-555-01{chance.randrange(100):02}"
            case "address" | "street":
                return f"{chance.randint(1, 99)} {chance.choice(NOUNS).title()} Street"
            case "title":
                return " ".join(chance.sample(NOUNS, 2)).capitalize()
            case "id" | "key" | "code":
                return f"{chance.choice(NOUNS)}-{chance.randint(1000, 9999)}"
            case _:
                pass
    return " ".join(chance.sample(NOUNS, chance.randint(1, 2)))


def sentence(chance: random.Random) -> str:
    """A sentence of a few words."""
    return f"{' '.join(chance.sample(NOUNS, chance.randint(4, 7)))}.".capitalize()


def range_for(name: str) -> tuple[int, int]:
    """The lowest and the highest number that one expects in a property of that name."""
    return next((_RANGES[part] for part in _parts(name) if part in _RANGES), _USUAL_RANGE)


def _parts(name: str) -> list[str]:
    """The words of a name in lower case, the last, which says most, first; plurals less s too."""
    parts = [part.lower() for part in reversed(_NAME_PARTS.findall(name))]
    return [*parts, *(part[:-1] for part in parts if part.endswith("s"))]
