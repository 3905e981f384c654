"""What the protocol takes, in evaluations and bytes (SPEC 8, 10, 19)."""

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
"""What frames one lab's half of a round, as measured: offers, header, signatures, statements."""

_DAY: Final = 24 * 3600


def question_bytes(evaluations: int) -> int:
    """Return the bytes of a question and its answer."""
    return 2 * _ELEMENT * evaluations + _PROOF * len(chunk_counts(evaluations))


def table_bytes(new_entries: int, smallest: int = BATCH_SMALLEST) -> int:
    """Return the bytes of a table's growth: nothing if it did not grow, else padded."""
    return size_class(new_entries, smallest) * _ENTRY if new_entries else 0


def standing_seconds(micro_batch: int) -> int:
    """Return for how long a standing round goes on: a day, in whole micro-batches."""
    return max(1, _DAY // micro_batch) * micro_batch


def standing_lifetime(micro_batch: int) -> int:
    """Return the seconds for which the header of a standing round is valid, so that it goes on as long."""
    return standing_seconds(micro_batch) + LAST_MINUTE
