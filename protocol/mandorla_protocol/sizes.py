"""Size classes, chunks and pages (SPEC 8).

A peer sees only padded counts: a count's size class, and not the count.
"""

from __future__ import annotations

import math
from typing import Final

CHUNK_SIZE: Final = 16_384
"""The most elements in a chunk: well below the 65,535 that one proof can cover."""

PAGE_SIZE: Final = 8_192
"""The most table entries in a page: about 2.4 MB, below gRPC's default message limit of 4 MB."""

BATCH_SMALLEST: Final = 256
"""The smallest size class of a batch round's elements, and of a table's first version."""

STANDING_SMALLEST: Final = 16
"""The smallest size class of a standing round's elements, and of a later table version (SPEC 19)."""


def size_class(count: int, smallest: int = BATCH_SMALLEST) -> int:
    """Return the smallest size class that is not below `count`: ceil(sqrt(2**k)), and at least `smallest`.

    The classes are 256, 363, 512, 725, 1024, ...: each is about sqrt(2) times the class before it. They are
    computed in integers, so that all labs agree. `smallest` is a power of two (SPEC 8).
    """
    if count < 0:
        raise ValueError("a count must not be negative")
    # ceil(sqrt(2**k)) >= count exactly if 2**k > (count - 1)**2, that is, if k bits hold (count - 1)**2.
    exponent = max(2 * (smallest.bit_length() - 1), ((count - 1) ** 2).bit_length())
    return math.isqrt((1 << exponent) - 1) + 1


def chunk_counts(total: int) -> tuple[int, ...]:
    """Return the sizes of the chunks of a padded total: at most `CHUNK_SIZE` elements each (SPEC 8)."""
    full, rest = divmod(total, CHUNK_SIZE)
    return (CHUNK_SIZE,) * full + ((rest,) if rest else ())
