"""Indicators and their tokens (SPEC A.1)."""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NewType

from ..encoding import Reader, Writer, encoded_text
from ..errors import Code, EncodingError, InputError
from .registry import REGISTRY, IndicatorType

Token = NewType("Token", bytes)
"""The OPRF's input, 32 bytes. It never leaves the lab: who has it can confirm a guess of the indicator."""

_DOMAIN: Final = "mandorla/v1 indicator"
_MAX_TYPE: Final = 32
_MAX_VALUE: Final = 1024
_LENGTH: Final = struct.Struct(">I")


@dataclass(frozen=True, slots=True, order=True, repr=False)
class Indicator:
    """A canonical value of a registered type. `parse` and `decode` apply the type's rule."""

    type: str
    profile: int
    value: str

    def __repr__(self) -> str:
        # Logs and tracebacks may print this, so it leaves the value out.
        return f"Indicator({self.type})"

    @classmethod
    def parse(cls, type_name: str, text: str) -> Indicator:
        """Return the indicator of a text.

        Raises InputError: UNKNOWN_TYPE if the registry lacks the type, BAD_INDICATOR if the text is no value
        of the type.
        """
        indicator_type = REGISTRY.get(type_name)
        if indicator_type is None:
            raise InputError(Code.UNKNOWN_TYPE, f"The types are: {', '.join(sorted(REGISTRY))}.")
        return cls(indicator_type.name, indicator_type.profile, indicator_type.canonicalise(text))

    def encode(self) -> bytes:
        """Return the canonical encoding (SPEC A.1)."""
        return _encoding_of_type(self.type, self.profile) + encoded_text(self.value)

    @classmethod
    def decode(cls, encoded: bytes) -> Indicator:
        """Parse a canonical encoding (SPEC A.1).

        Raises EncodingError: PROFILE_MISMATCH if the profile is not the registry's; BAD_ENCODING or
        BAD_LENGTH for an unknown type, a value that is not canonical, and any other bytes.
        """
        reader = Reader(encoded, _DOMAIN)
        indicator = cls(reader.text(_MAX_TYPE), reader.uint(2), reader.text(_MAX_VALUE))
        reader.finish()
        indicator_type = REGISTRY.get(indicator.type)
        if indicator_type is None:
            raise EncodingError(Code.BAD_ENCODING, "an indicator's type is not in the registry")
        if indicator.profile != indicator_type.profile:
            raise EncodingError(
                Code.PROFILE_MISMATCH, f"an indicator's profile is not {indicator_type.profile}"
            )
        if not _is_canonical(indicator_type, indicator.value):
            raise EncodingError(Code.BAD_ENCODING, "an indicator's value is not canonical")
        return indicator

    def token(self) -> Token:
        """Return the OPRF's input, 32 bytes: SHA-256 of the encoding (SPEC A.1)."""
        return Token(hashlib.sha256(self.encode()).digest())


def tokens_of(indicators: Iterable[tuple[str, int, str]]) -> bytes:
    """Return the joined tokens of (type, profile, value) triples that are canonical.

    It equals `Indicator(...).token()` for each, without the checks, and is faster for a store's millions.
    """
    sha256, prefix, whole = hashlib.sha256, _encoding_of_type, _LENGTH.pack
    return b"".join(
        sha256(prefix(type_name, profile) + whole(len(text)) + text).digest()
        for type_name, profile, value in indicators
        for text in (value.encode(),)
    )


@lru_cache(maxsize=256)
def _encoding_of_type(name: str, profile: int) -> bytes:
    return Writer(_DOMAIN).text(name).uint(profile, 2).finish()


def _is_canonical(indicator_type: IndicatorType, value: str) -> bool:
    try:
        return indicator_type.canonicalise(value) == value
    except InputError:
        return False
