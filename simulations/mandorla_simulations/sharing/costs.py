"""The cost of the protocol in evaluations and bytes (SPEC 8, 10, 19)."""

from __future__ import annotations

from typing import Final

from mandorla_node.rounds.pace import LAST_MINUTE
from mandorla_protocol.labels import SEALED_LABEL_SIZE, TAG_SIZE
from mandorla_protocol.sizes import BATCH_SMALLEST, chunk_counts, size_class

_ELEMENT: Final = 32
_PROOF: Final = 64
_ENTRY: Final = TAG_SIZE + SEALED_LABEL_SIZE + 12
"""A table entry on the wire: tag, sealed label, operation, version and their lengths."""

FRAME_BYTES: Final = 700
"""The bytes of one half of a round without questions and table, measured: offers, header, signatures."""

_DAY: Final = 24 * 3600


def question_bytes(evaluations: int) -> int:
    """Return the bytes of a question and its answer."""
    return 2 * _ELEMENT * evaluations + _PROOF * len(chunk_counts(evaluations))


def table_bytes(new_entries: int, smallest: int = BATCH_SMALLEST) -> int:
    """Return the bytes of the new entries of a table, padded; 0 if there are none."""
    return size_class(new_entries, smallest) * _ENTRY if new_entries else 0


def standing_seconds(micro_batch: int) -> int:
    """Return the duration of a standing round: a day, rounded down to whole micro-batches."""
    return max(1, _DAY // micro_batch) * micro_batch


def standing_lifetime(micro_batch: int) -> int:
    """Return the lifetime of a standing round's header, in seconds, with which the round lasts that long."""
    return standing_seconds(micro_batch) + LAST_MINUTE
