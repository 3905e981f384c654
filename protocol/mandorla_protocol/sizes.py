"""Size classes and chunks (SPEC 8): what a padded count says about the number behind it."""

from __future__ import annotations

import math
from typing import Final

CHUNK_SIZE: Final = 16_384
"""Elements in a chunk, at most: well below the 65,535 that one proof can hold."""

PAGE_SIZE: Final = 8_192
"""Tag table entries in a page, at most: about 2.4 MB, below gRPC's default message limit."""

BATCH_SMALLEST: Final = 256
"""The smallest class of what is asked in a batch round, and of a table's first version."""

STANDING_SMALLEST: Final = 16
"""The smallest class of what is asked, and of what is added to a table, in a standing round (SPEC 19)."""


def size_class(count: int, smallest: int = BATCH_SMALLEST) -> int:
    """Return the smallest size class that holds `count`: ceil(sqrt(2**k)), and at least `smallest`.

    The classes are 256, 363, 512, 725, 1024, ...: each about sqrt(2) times the last, computed in integers.
    `smallest` is a power of two.
    """
    if count < 0:
        raise ValueError("a count is not negative")
    # ceil(sqrt(2**k)) >= count exactly if sqrt(2**k) > count - 1, and so if k bits hold (count - 1)**2.
    exponent = max(2 * (smallest.bit_length() - 1), ((count - 1) ** 2).bit_length())
    return math.isqrt((1 << exponent) - 1) + 1


def chunk_counts(total: int) -> tuple[int, ...]:
    """Cut a padded total into chunks of at most `CHUNK_SIZE` elements."""
    full, rest = divmod(total, CHUNK_SIZE)
    return (CHUNK_SIZE,) * full + ((rest,) if rest else ())
