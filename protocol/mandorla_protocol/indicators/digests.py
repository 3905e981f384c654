"""Digests (SPEC A.5): fingerprints of prompts and behaviour, which are hashes already."""

from __future__ import annotations

import re
from typing import Final

from .input_text import clean, refused

DIGEST_DIGITS: Final = 32
"""Hexadecimal digits of a fingerprint: 128 bits, so a collision by chance is negligible."""

_DIGEST: Final = re.compile(rf"[0-9a-f]{{{DIGEST_DIGITS}}}")


def digest(text: str) -> str:
    """Return the canonical form of a fingerprint (SPEC A.5): 32 lowercase hexadecimal digits.

    Raises InputError: BAD_INDICATOR if the text is no value of the type.
    """
    lowered = clean(text).lower()
    if not _DIGEST.fullmatch(lowered):
        raise refused(f"It is not a fingerprint of {DIGEST_DIGITS} hexadecimal digits.")
    return lowered
