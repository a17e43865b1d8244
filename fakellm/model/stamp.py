"""Chance and identity of one answer, handed to the parts that must not make their own."""

import hashlib
import random
from binascii import b2a_base64

_LETTERS = bytes.maketrans(b"+/", b"Zz")


class Stamp:
    """Ids, a timestamp and a seeded generator that follow from (server seed, request number).

    Args:
        seed: the server's seed.
        number: the request's number, counted by the server.
        created: seconds since the Unix epoch.
        fingerprint: what the server is configured as, such as ``fp_0123456789``.
    """

    __slots__ = ("_count", "_key", "created", "fingerprint", "request_id")

    def __init__(self, *, seed: int, number: int, created: int, fingerprint: str) -> None:
        self._key = f"{seed}:{number}"
        self._count = 0
        self.created = created
        self.fingerprint = fingerprint
        self.request_id = "req_" + self._digest("request").hex()[:32]

    def anew(self) -> "Stamp":
        """The same stamp, of which nothing has been asked yet."""
        fresh = object.__new__(Stamp)
        fresh._key, fresh._count = self._key, 0
        fresh.created, fresh.fingerprint = self.created, self.fingerprint
        fresh.request_id = self.request_id
        return fresh

    def _digest(self, label: str) -> bytes:
        return hashlib.blake2b(f"{self._key}:{label}".encode(), digest_size=24).digest()

    def unique(self, prefix: str, length: int) -> str:
        """A new id: ``prefix`` and ``length`` (at most 32) letters and digits."""
        self._count += 1
        digits = b2a_base64(self._digest(f"id{self._count}"), newline=False).translate(_LETTERS)
        return prefix + digits[:length].decode()

    def chance(self, purpose: str) -> random.Random:
        """A generator of its own for each ``purpose``, so that one draw does not shift another."""
        return random.Random(self._digest(purpose))
