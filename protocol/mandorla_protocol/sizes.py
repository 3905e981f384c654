"""Size classes and chunks (SPEC 8): what a padded count says about the number behind it."""

from __future__ import annotations

import math
from typing import Final

CHUNK_SIZE: Final = 16_384
"""Elements in a chunk, at most: well below the 65,535 that one proof can hold."""

PAGE_SIZE: Final = 8_192
"""Tag table entries in a page, at most: about 2.4 MB, below gRPC's default message limit."""

_SMALLEST_EXPONENT: Final = 16


def size_class(count: int) -> int:
    """Return the smallest size class that holds `count`: ceil(sqrt(2**k)) for some k >= 16.

    The classes are 256, 363, 512, 725, 1024, ...: each about sqrt(2) times the last, computed in integers.
    """
    if count < 0:
        raise ValueError("a count is not negative")
    # ceil(sqrt(2**k)) >= count exactly if sqrt(2**k) > count - 1, and so if k bits hold (count - 1)**2.
    exponent = max(_SMALLEST_EXPONENT, ((count - 1) ** 2).bit_length())
    return math.isqrt((1 << exponent) - 1) + 1


def chunk_counts(total: int) -> tuple[int, ...]:
    """Cut a padded total into chunks of at most `CHUNK_SIZE` elements."""
    full, rest = divmod(total, CHUNK_SIZE)
    return (CHUNK_SIZE,) * full + ((rest,) if rest else ())
