"""Payment instruments (SPEC A.6): references and fingerprints of cards, and never card numbers."""

from __future__ import annotations

import re
from typing import Final

from .input_text import clean, refused
from .scoped_identifiers import split_scope

_PAR: Final = re.compile(r"[0-9A-Z]{29}")
_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
# Decimal digits, padded at either end with any one letter, as some systems pad card numbers.
_CARD_NUMBER: Final = re.compile(r"([a-f]?)\1*[0-9]+([a-f]?)\2*")


def payment_par(text: str) -> str:
    """Return the canonical form of an EMV payment account reference (SPEC A.6).

    It has 29 characters, and a card number at most 19 digits.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    reference = clean(text)
    # `upper` maps some letters outside ASCII to ASCII letters.
    if not reference.isascii() or not _PAR.fullmatch(reference.upper()):
        raise refused("It is not a payment account reference of 29 letters and digits.")
    return reference.upper()


def payment_fingerprint(text: str) -> str:
    """Return the canonical form of a consortium's fingerprint of a payment instrument (SPEC A.6).

    A value in the form of a card number is refused, whether or not its check digit is right. Stores and
    exports must not hold card numbers.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    scope, digits = split_scope(text)
    lowered = digits.lower()
    if not _FINGERPRINT.fullmatch(lowered):
        raise refused("It is not the name of a consortium, a colon and 64 hexadecimal digits.")
    if _CARD_NUMBER.fullmatch(lowered):
        raise refused("The fingerprint may be a card number.")
    return f"{scope}:{lowered}"
