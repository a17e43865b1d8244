"""The formats of JSON Schema: a likely text of each, and whether a text has it.

What holds follows the ``jsonschema`` library where the two could differ on likely texts (an e-mail
address needs no more than an ``@``). Formats that are not listed say nothing about a text.
"""

import datetime as dt
import ipaddress
import random
import re
import string
import uuid
from collections.abc import Callable

from msgspec import Struct

from fakellm.scenarios.json_schema import words
from fakellm.scenarios.json_schema.regex import Regex
from fakellm.scenarios.json_schema.regex_syntax import UnsupportedPattern

_FIRST_DAY = dt.date(2024, 1, 1)
_DAYS = 730
_LABEL = 60  # characters of a host name's part, of 63 at most
_MAX_HOSTNAME = 253
_SHORT_EMAIL, _SHORT_URI = 6, 14

_URI_CHARACTERS = r"(?:[A-Za-z0-9_.~\-!$&'()*+,;=:@/?]|%[0-9A-Fa-f]{2})*"
_IRI_CHARACTERS = r"(?:[A-Za-z0-9_.~\-!$&'()*+,;=:@/?]|[^\x00-\x9f\s]|%[0-9A-Fa-f]{2})*"
_SCHEME = "[A-Za-z][A-Za-z0-9+.-]*:"
_NO_SCHEME = r"(?![^/?#]*:)"
_TIME = r"(?:[01]\d|2[0-3]):[0-5]\d:[0-5]\d(?:\.\d+)?(?:Z|[+-](?:[01]\d|2[0-3]):[0-5]\d)"


class Format(Struct, frozen=True, kw_only=True):
    """A format.

    ``write`` makes a text of it: a natural one, or, given a length, one as near to that as it can.
    """

    write: Callable[[random.Random, int | None], str]
    holds: Callable[[str], bool]


def _matching(pattern: str) -> Callable[[str], bool]:
    compiled = re.compile(pattern, re.ASCII)
    return lambda text: compiled.fullmatch(text) is not None


def _parsed_by(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def holds(text: str) -> bool:
        try:
            parse(text)
        except ValueError:
            return False
        return True

    return holds


def _letters(chance: random.Random, count: int) -> str:
    return "".join(chance.choices(string.ascii_lowercase, k=max(count, 1)))


def _day(chance: random.Random, _length: int | None) -> str:
    return (_FIRST_DAY + dt.timedelta(days=chance.randrange(_DAYS))).isoformat()


def _time(chance: random.Random, _length: int | None) -> str:
    hour, minute, second = chance.randrange(24), chance.randrange(60), chance.randrange(60)
    return f"{hour:02}:{minute:02}:{second:02}Z"


def _moment(chance: random.Random, length: int | None) -> str:
    return f"{_day(chance, length)}T{_time(chance, length)}"


_is_day_text = _matching(r"\d{4}-\d\d-\d\d")
_is_day_parsed = _parsed_by(dt.date.fromisoformat)
_is_time = _matching(_TIME)


def _is_day(text: str) -> bool:
    return _is_day_text(text) and _is_day_parsed(text)


def _is_moment(text: str) -> bool:
    day, _, time = text.upper().partition("T")
    return _is_day(day) and _is_time(time)


def _duration(chance: random.Random, _length: int | None) -> str:
    return f"P{chance.randint(1, 9)}DT{chance.randint(1, 23)}H{chance.randint(1, 59)}M"


def _email(chance: random.Random, length: int | None) -> str:
    if length is None:
        return words.email(chance)
    rest = "@b.co" if length >= _SHORT_EMAIL else "@b"
    return _letters(chance, length - len(rest)) + rest


def _hostname(chance: random.Random, length: int | None) -> str:
    if length is None:
        return f"{chance.choice(words.NOUNS)}.example.com"
    letters = _letters(chance, length)
    parts = [letters[start : start + _LABEL] for start in range(0, length, _LABEL + 1)]
    return ".".join(parts)[:length].removesuffix(".")


def _is_hostname(text: str) -> bool:
    return len(text) <= _MAX_HOSTNAME and _has_labels(text)


_has_labels = _matching(r"(?:(?!-)[-A-Za-z0-9]{1,63}(?<!-)\.)*(?!-)[-A-Za-z0-9]{1,63}(?<!-)\.?")


def _is_idn_hostname(text: str) -> bool:
    return _is_hostname("".join(each if each.isascii() else "x" for each in text))


def _ipv4(chance: random.Random, _length: int | None) -> str:
    return f"192.0.2.{chance.randint(1, 254)}"  # kept for documentation by RFC 5737


def _ipv6(chance: random.Random, _length: int | None) -> str:
    return f"2001:db8::{chance.randrange(1, 0xFFFF):x}"  # likewise by RFC 3849


def _is_ipv6(text: str) -> bool:
    return "%" not in text and _is_ipv6_parsed(text)


_is_ipv6_parsed = _parsed_by(ipaddress.IPv6Address)


def _uri(chance: random.Random, length: int | None) -> str:
    if length is None:
        return words.url(chance)
    start = "https://e.co/" if length >= _SHORT_URI else "a:"
    return start + _letters(chance, length - len(start))


def _path(chance: random.Random, length: int | None) -> str:
    if length is None:
        return f"/{chance.choice(words.NOUNS)}/{chance.randint(1, 99)}"
    return "/" + _letters(chance, length - 1)


def _uuid(chance: random.Random, _length: int | None) -> str:
    return str(uuid.UUID(int=chance.getrandbits(128), version=4))


def _relative_pointer(chance: random.Random, length: int | None) -> str:
    return f"{chance.randint(0, 3)}{_path(chance, None if length is None else length - 1)}"


def _regex(chance: random.Random, length: int | None) -> str:
    return "^[a-z]+$" if length is None else _letters(chance, length)


def _is_regex(text: str) -> bool:
    try:
        Regex(text)
    except UnsupportedPattern:
        return False
    return True


_POINTER = "(?:/(?:[^~/]|~[01])*)*"

FORMATS: dict[str, Format] = {
    "date": Format(write=_day, holds=_is_day),
    "date-time": Format(write=_moment, holds=_is_moment),
    "duration": Format(
        write=_duration,
        holds=_matching(
            r"P(?:\d+W|(?=\d|T\d)(?:\d+Y)?(?:\d+M)?(?:\d+D)?(?:T(?=\d)(?:\d+H)?(?:\d+M)?(?:\d+S)?)?)"
        ),
    ),
    "email": Format(write=_email, holds=lambda text: "@" in text),
    "hostname": Format(write=_hostname, holds=_is_hostname),
    "idn-email": Format(write=_email, holds=lambda text: "@" in text),
    "idn-hostname": Format(write=_hostname, holds=_is_idn_hostname),
    "ipv4": Format(write=_ipv4, holds=_parsed_by(ipaddress.IPv4Address)),
    "ipv6": Format(write=_ipv6, holds=_is_ipv6),
    "iri": Format(
        write=_uri, holds=_matching(f"{_SCHEME}{_IRI_CHARACTERS}(?:#{_IRI_CHARACTERS})?")
    ),
    "iri-reference": Format(
        write=_path,
        holds=_matching(
            f"(?:{_SCHEME}|{_NO_SCHEME}){_IRI_CHARACTERS}(?:#{_IRI_CHARACTERS})?",
        ),
    ),
    "json-pointer": Format(write=_path, holds=_matching(_POINTER)),
    "regex": Format(write=_regex, holds=_is_regex),
    "relative-json-pointer": Format(
        write=_relative_pointer, holds=_matching(f"(?:0|[1-9][0-9]*)(?:#|{_POINTER})")
    ),
    "time": Format(write=_time, holds=lambda text: _is_time(text.upper())),
    "uri": Format(
        write=_uri, holds=_matching(f"{_SCHEME}{_URI_CHARACTERS}(?:#{_URI_CHARACTERS})?")
    ),
    "uri-reference": Format(
        write=_path,
        holds=_matching(
            f"(?:{_SCHEME}|{_NO_SCHEME}){_URI_CHARACTERS}(?:#{_URI_CHARACTERS})?",
        ),
    ),
    "uuid": Format(
        write=_uuid, holds=_matching("[0-9A-Fa-f]{8}(?:-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}")
    ),
}
"""The formats known, by name (JSON Schema draft 2020-12, validation, section 7.3)."""
