"""The input of all canonicalisation rules (SPEC A.1): its limit, its white space, and its refusal."""

from __future__ import annotations

from typing import Final

from ..errors import Code, InputError

MAX_INPUT: Final = 1024
"""The most characters of a text. Valid values are far shorter. The limit bounds the work for one row."""

_EDGES: Final = " \t\n\v\f\r"


def clean(text: str) -> str:
    """Return a text without the ASCII white space around it (SPEC A.1).

    Raises InputError: BAD_INDICATOR for more than `MAX_INPUT` characters.
    """
    if len(text) > MAX_INPUT:
        raise refused(f"It is longer than {MAX_INPUT} characters.")
    return text.strip(_EDGES)


def refused(reason: str) -> InputError:
    """Return the error for a text that is no value of its type.

    `reason` is a fixed text that holds nothing of the value. Callers raise the error outside `except` blocks:
    a library's exception quotes the value, and would become the error's context.
    """
    return InputError(Code.BAD_INDICATOR, reason)
