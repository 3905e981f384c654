"""Telephone numbers (SPEC A.6): E.164, by the metadata of libphonenumber."""

from __future__ import annotations

import contextlib
import re
from typing import Final

from .input_text import clean, refused

MAX_DIGITS: Final = 15
"""The most digits of a number with its country code (E.164)."""

_INTERNATIONAL: Final = re.compile(r"\+[0-9][0-9 ()./-]*")
_SEPARATORS: Final = str.maketrans("", "", " ()./-")


def phone(text: str) -> str:
    """Return the canonical form of a telephone number (SPEC A.6): a plus sign, country code and number.

    The text must be in international form. Only its writer knows the country of a national number, and two
    labs may guess differently. The length of a number must be possible in its country. Its range need not be
    in use, because countries assign new ranges faster than labs agree on newer metadata.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    spelt = clean(text)
    if not _INTERNATIONAL.fullmatch(spelt):
        raise refused("It is not a telephone number with a plus sign and a country code.")
    number = _e164(spelt.translate(_SEPARATORS))
    # Parsing drops a national prefix. If the rest starts with such a prefix too, parsing it again would drop
    # more, and the rule would not be idempotent.
    if number is None or number != _e164(number):
        raise refused("No telephone number of its country has that length.")
    return number


def _e164(digits: str) -> str | None:
    import phonenumbers  # noqa: PLC0415 - slow to load, and seldom needed
    from phonenumbers import PhoneNumber, ValidationResult  # noqa: PLC0415

    parsed: PhoneNumber | None = None
    with contextlib.suppress(phonenumbers.NumberParseException):
        parsed = phonenumbers.parse(digits, None)
    if parsed is None or phonenumbers.is_possible_number_with_reason(parsed) != ValidationResult.IS_POSSIBLE:
        return None
    number = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return number if len(number) <= 1 + MAX_DIGITS else None
