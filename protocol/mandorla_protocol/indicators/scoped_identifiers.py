"""Identifiers with a scope, the name of their issuer: devices (SPEC A.6) and watermarks (SPEC A.7)."""

from __future__ import annotations

import re
from typing import Final

from .input_text import clean, refused

MAX_SCOPE: Final = 32
MAX_SCOPE_DIGITS: Final = 7
"""Fewer digits than a card number has (ISO/IEC 7812-1), so that no scope holds a card number."""

_SCOPE: Final = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_UUID: Final = re.compile(r"(?:urn:uuid:)?(\{)?([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})(?(1)\})")
_DEVICE: Final = re.compile(r"[A-Za-z0-9._~+/=-]{16,128}")
_HEXADECIMAL: Final = re.compile(r"[0-9A-Fa-f-]+")
_PAYLOAD: Final = re.compile(r"[0-9a-f]{8,128}")


def split_scope(text: str) -> tuple[str, str]:
    """Return the canonical scope and the unchanged ID of a text of the form SCOPE:ID (SPEC A.6).

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    scope, colon, rest = clean(text).partition(":")
    lowered = scope.lower() if scope.isascii() else ""
    if not colon or len(lowered) > MAX_SCOPE or not _SCOPE.fullmatch(lowered):
        raise refused("It does not start with a scope and a colon.")
    if sum(character.isdigit() for character in lowered) > MAX_SCOPE_DIGITS:
        raise refused("Its scope has as many digits as a card number.")
    return lowered, rest


def device_id(text: str) -> str:
    """Return the canonical form of a device's identifier (SPEC A.6): a UUID, or SCOPE:ID.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    lowered = clean(text).lower()
    if found := _UUID.fullmatch(lowered):
        digits = set(found[2]) - {"-"}
        if digits in ({"0"}, {"f"}):
            raise refused("The nil UUID and the max UUID name no device.")
        return found[2]
    scope, device = split_scope(text)
    if not _DEVICE.fullmatch(device):
        raise refused("A device's identifier has 16 to 128 letters, digits and . _ ~ + / = -")
    return f"{scope}:{device.lower() if _HEXADECIMAL.fullmatch(device) else device}"


def watermark(text: str) -> str:
    """Return the canonical form of the payload of a detected watermark (SPEC A.7): SCOPE:HEXADECIMAL.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    scope, payload = split_scope(text)
    lowered = payload.lower()
    if not _PAYLOAD.fullmatch(lowered):
        raise refused("A watermark's payload has 8 to 128 hexadecimal digits.")
    return f"{scope}:{lowered}"
