"""Telephone numbers (SPEC A.6): E.164, by the metadata of libphonenumber."""

from __future__ import annotations

import contextlib
import re
from typing import Final

from .input_text import clean, refused

MAX_DIGITS: Final = 15
"""Digits of a number, the country code's included (E.164)."""

_INTERNATIONAL: Final = re.compile(r"\+[0-9][0-9 ()./-]*")
_SEPARATORS: Final = str.maketrans("", "", " ()./-")


def phone(text: str) -> str:
    """Return the canonical form of a telephone number (SPEC A.6): a plus sign, country code and number.

    The text is in international form. A national number belongs to a country that only its writer knows, and
    two labs that guess may guess differently. A number counts by its length, and not by whether its range is
    in use: ranges are handed out faster than labs agree on newer metadata.

    Raises InputError(BAD_INDICATOR).
    """
    spelt = clean(text)
    if not _INTERNATIONAL.fullmatch(spelt):
        raise refused("It is not a telephone number with a plus sign and a country code.")
    number = _e164(spelt.translate(_SEPARATORS))
    # A national prefix is dropped where it stands; what then still starts like one could be dropped again.
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
