"""The author of exports for other programs, and the ids of the objects in them."""

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
        """Return the author with a key that derives from the lab's identity."""
        key = hashlib.blake2b(key=identity.private_bytes_raw(), person=b"mandorla exports").digest()
        return cls(name, lab, now, key[:32])

    def identity_id(self) -> UUID:
        """Return the id of this lab: the same in all labs' exports."""
        return _uuid(hashlib.blake2b(self.lab, person=b"mandorla lab id", digest_size=16).digest())

    def id_of(self, *parts: str) -> UUID:
        """Return the id of the object that the parts name: the same in each export of this lab.

        The id is a hash keyed by the lab's identity. Recipients pass objects on without their values; an
        unkeyed hash would let anybody test guesses of the indicator against the id.
        """
        keyed = hashlib.blake2b(key=self.key, digest_size=16)
        for part in parts:
            encoded = part.encode()
            keyed.update(len(encoded).to_bytes(4, "big") + encoded)
        return _uuid(keyed.digest())

    def match_id(self, kind: str, match: FoundMatch) -> UUID:
        """Return the id of an object of a kind for a match."""
        return self.id_of(kind, match.peer, match.kind, match.type, match.value)


def _uuid(digest: bytes) -> UUID:
    return UUID(bytes=digest, version=4)
