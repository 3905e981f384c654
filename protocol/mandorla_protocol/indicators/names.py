"""Domain names (SPEC A.3): UTS 46 mapping, IDNA 2008 validity, lowercase A-labels."""

from __future__ import annotations

import contextlib
import re
from typing import Final

import idna

from .input_text import clean, refused

MAX_NAME: Final = 253

# Labels of letters, digits and hyphens that IDNA 2008 leaves alone: no hyphen at either end, nor in positions
# 3 and 4, which A-labels use. The last label starts with a letter.
_LABEL_REST: Final = r"(?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN: Final = re.compile(rf"(?:(?!..--)[a-z0-9]{_LABEL_REST}\.)+(?!..--)[a-z]{_LABEL_REST}")


def domain(text: str) -> str:
    """Return the canonical form of a domain name (SPEC A.3).

    Raises InputError(BAD_INDICATOR).
    """
    return a_labels(clean(text))


def a_labels(name: str) -> str:
    """Return a name's lowercase A-labels, joined by dots, without the root's dot (SPEC A.3).

    Nearly every name is plain ASCII, for which the mapping is only lowercasing: those skip the tables of
    `a_labels_by_idna`, which gives the same result for them and takes some ten times as long.

    Raises InputError(BAD_INDICATOR).
    """
    if name.isascii():
        lowered = name.lower().removesuffix(".")
        if len(lowered) <= MAX_NAME and _PLAIN.fullmatch(lowered):
            return lowered
    return a_labels_by_idna(name)


def a_labels_by_idna(name: str) -> str:
    """Return what `a_labels` returns, always by way of the IDNA tables.

    UTS 46 runs non-transitionally (`ß` and the joiners stay themselves, as in IDNA 2008 and in browsers) and
    with the STD 3 rules (letters, digits, hyphens: no underscore).

    Raises InputError(BAD_INDICATOR).
    """
    encoded = b""
    # An IDNAError is a ValueError; so is unicodedata's not knowing a character that the IDNA tables do.
    with contextlib.suppress(ValueError):
        encoded = idna.encode(name, uts46=True, std3_rules=True)
    labels = encoded.decode("ascii").removesuffix(".")
    if not labels:
        raise refused("It is not a domain name that IDNA 2008 allows.")
    _, dot, last = labels.rpartition(".")
    if not dot:
        raise refused("A domain name has at least two labels.")
    if not last[0].isalpha():
        raise refused("The last label of a domain name starts with a letter; this may be an address.")
    return labels
