"""What exports for other programs share: who writes them, and the ids of what they name."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from .matches import FoundMatch


@dataclass(frozen=True, slots=True)
class Author:
    """The lab that exports. `now` is the time of the export in Unix seconds."""

    name: str
    lab: bytes
    now: int
    key: bytes = field(repr=False)

    @classmethod
    def of(cls, name: str, lab: bytes, identity: Ed25519PrivateKey, now: int) -> Author:
        """Return the author that a lab's identity makes."""
        key = hashlib.blake2b(key=identity.private_bytes_raw(), person=b"mandorla exports").digest()
        return cls(name, lab, now, key[:32])

    def identity_id(self) -> UUID:
        """Return the id of this lab, which is the same in every export of every lab."""
        return _uuid(hashlib.blake2b(self.lab, person=b"mandorla lab id", digest_size=16).digest())

    def id_of(self, *parts: str) -> UUID:
        """Return the id of what the parts name: the same in each export of this lab, and no use to guess by.

        Exports are passed on in pieces, and an id that anybody could compute from an indicator would give it
        away: these are keyed by the lab's identity.
        """
        keyed = hashlib.blake2b(key=self.key, digest_size=16)
        for part in parts:
            encoded = part.encode()
            keyed.update(len(encoded).to_bytes(4, "big") + encoded)
        return _uuid(keyed.digest())

    def match_id(self, what: str, match: FoundMatch) -> UUID:
        """Return the id of something about a match."""
        return self.id_of(what, match.peer, match.kind, match.type, match.value)


def _uuid(digest: bytes) -> UUID:
    return UUID(bytes=digest, version=4)
