"""Domain names (SPEC A.3): UTS 46 mapping, IDNA 2008 validity, lowercase A-labels."""

from __future__ import annotations

import contextlib
import re
from typing import Final

import idna

from .input_text import clean, refused

MAX_NAME: Final = 253

# Labels of letters, digits and hyphens that IDNA 2008 does not change: without a hyphen at either end, and
# without hyphens in both positions 3 and 4, which A-labels use. The last label starts with a letter.
_LABEL_REST: Final = r"(?:[a-z0-9-]{0,61}[a-z0-9])?"
_PLAIN: Final = re.compile(rf"(?:(?!..--)[a-z0-9]{_LABEL_REST}\.)+(?!..--)[a-z]{_LABEL_REST}")


def domain(text: str) -> str:
    """Return the canonical form of a domain name (SPEC A.3).

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    return a_labels(clean(text))


def a_labels(name: str) -> str:
    """Return a name's lowercase A-labels, joined by dots, without the root's dot (SPEC A.3).

    Nearly all names are plain ASCII, and the mapping only lowercases them. They skip the tables of
    `a_labels_by_idna`, which returns the same in about ten times the time.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    if name.isascii():
        lowered = name.lower().removesuffix(".")
        if len(lowered) <= MAX_NAME and _PLAIN.fullmatch(lowered):
            return lowered
    return a_labels_by_idna(name)


def a_labels_by_idna(name: str) -> str:
    """Do the work of `a_labels` with the IDNA tables for all names.

    UTS 46 mapping is non-transitional: `ß` and the joiners stay as they are, as in IDNA 2008 and in browsers.
    The STD 3 rules apply: letters, digits and hyphens, no underscore.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    encoded = b""
    # An IDNAError is a ValueError. `unicodedata` too raises one for a character that only the IDNA tables
    # know.
    with contextlib.suppress(ValueError):
        encoded = idna.encode(name, uts46=True, std3_rules=True)
    labels = encoded.decode("ascii").removesuffix(".")
    if not labels:
        raise refused("It is not a domain name that IDNA 2008 allows.")
    _, dot, last = labels.rpartition(".")
    if not dot:
        raise refused("It has one label; a domain name has at least two.")
    if not last[0].isalpha():
        raise refused("Its last label does not start with a letter; it may be an address.")
    return labels
