"""How an answer is cut into the frames of a stream, beside its tokens."""

from msgspec import Struct


class Framing(Struct, frozen=True, kw_only=True):
    """Which frames stand alone.

    ``role_alone``: the role comes in a frame of its own, before the first token's, and not with
    it. ``finish_alone``: so does the reason for the end, after the last token's. ``head_at_once``:
    status and headers are sent as soon as an answer begins, and not with its first token.
    """

    role_alone: bool = True
    finish_alone: bool = True
    head_at_once: bool = True


DEFAULT_FRAMING = Framing()
