"""What a client may ask of a connection, in bytes, fields and seconds."""

from msgspec import Struct


class Limits(Struct, frozen=True, kw_only=True):
    """The bounds of a connection.

    Args:
        line: bytes of a request line.
        fields: how many fields a head may have.
        head: bytes that they may have together.
        ahead: bytes of further requests that are read while one is answered.
        body: bytes of a body that are kept; more makes it too large.
        drained: bytes over that, which are read so that their sender gets the answer.
        chunk_line: bytes of the line before a chunk.
        trailers: bytes of the fields after the last chunk.
        idle_seconds: a connection without a request is closed after these.
        head_seconds: a head has to come in these, from its first byte to its last.
        body_seconds: a body has to come in these, and in one more for each ``body_rate`` bytes.
        body_rate: bytes.
        closing_seconds: what is left of a refused request is read for no longer than this.
    """

    line: int = 16 * 1024
    fields: int = 500
    head: int = 16 * 1024
    ahead: int = 16 * 1024
    body: int
    drained: int
    chunk_line: int = 1024
    trailers: int = 16 * 1024
    idle_seconds: float = 60.0
    head_seconds: float = 20.0
    body_seconds: float = 60.0
    body_rate: int = 1024
    closing_seconds: float = 2.0
