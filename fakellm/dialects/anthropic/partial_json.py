"""The object that a tool's arguments are, as far as they were said.

An answer that is cut off in a call has the arguments up to there. Streamed they are text; whole
they are an object, the same that a client makes of the text it got: all values that are complete.
"""

import re
from typing import Any

import msgspec

_TOKEN = re.compile(
    r"""\s*(?:(?P<open>[{\[]) | (?P<close>[}\]]) | (?P<mark>[:,]) | (?P<string>"(?:[^"\\]|\\.)*")
    | (?P<scalar>(?:true|false|null|-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?=[\s,}\]]|\Z)))""",
    re.VERBOSE | re.DOTALL,
)
_CLOSERS = {"{": "}", "[": "]"}


def object_of(text: str) -> Any:
    """What the ``input`` of a tool use is, to be encoded as JSON: the text itself where it will do.

    An empty object is what is made of text that no object begins.
    """
    try:
        if isinstance(msgspec.json.decode(text), dict):
            return msgspec.Raw(text.encode())
    except (msgspec.MsgspecError, RecursionError):
        pass
    try:
        found = msgspec.json.decode(_completed(text))
    except (msgspec.MsgspecError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _completed(text: str) -> str:
    """The text up to its last complete value, and the ends of all that is open there."""
    closers: list[str] = []
    end = at = 0
    before = ""
    while match := _TOKEN.match(text, at):
        at = match.end()
        token = match.group().strip()
        if match["open"]:
            closers.append(_CLOSERS[token])
        elif match["close"]:
            if closers[-1:] != [token]:
                break
            closers.pop()
        # what opens, closes or is a value ends here as well as it ever will; keys and marks do not
        is_key = match["string"] is not None and closers[-1:] == ["}"] and before != ":"
        if match["mark"] is None and not is_key:
            end = at
        if not closers:
            break
        before = token
    return text[:end] + "".join(reversed(closers))
