"""What peers say of indicators, at rest: labels without their padding."""

from __future__ import annotations

from functools import lru_cache

from mandorla_protocol.labels import PADDED_LABEL_SIZE, Label


# A lab says the same of many indicators.
@lru_cache(maxsize=4096)
def to_rest(label: Label) -> bytes:
    """Return the bytes that the store keeps of a label."""
    return label.encode().rstrip(b"\x00")


@lru_cache(maxsize=4096)
def from_rest(kept: bytes) -> Label:
    """Return a label that the store kept; raises EncodingError(BAD_LABEL)."""
    return Label.decode(kept.ljust(PADDED_LABEL_SIZE, b"\x00"))
