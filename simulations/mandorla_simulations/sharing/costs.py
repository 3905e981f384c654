"""What the protocol takes, in evaluations and bytes (SPEC 8, 10)."""

from __future__ import annotations

from typing import Final

from mandorla_protocol.labels import SEALED_LABEL_SIZE, TAG_SIZE
from mandorla_protocol.sizes import chunk_counts, size_class

_ELEMENT: Final = 32
_PROOF: Final = 64
_ENTRY: Final = TAG_SIZE + SEALED_LABEL_SIZE + 12
"""A table entry on the wire: tag, sealed label, operation, version and their lengths."""

FRAME_BYTES: Final = 700
"""What frames one lab's half of a round, as measured: offers, header, signatures, statements."""


def question_bytes(evaluations: int) -> int:
    """Return the bytes of a question and its answer."""
    return 2 * _ELEMENT * evaluations + _PROOF * len(chunk_counts(evaluations))


def table_bytes(new_entries: int) -> int:
    """Return the bytes of a table's growth: nothing if it did not grow, else padded."""
    return size_class(new_entries) * _ENTRY if new_entries else 0
