"""What every canonicalisation shares (SPEC A.1): a bound, the edges of a field, and the way to refuse."""

from __future__ import annotations

from typing import Final

from ..errors import Code, InputError

MAX_INPUT: Final = 1024
"""Characters of input. Nothing valid comes near it, and it bounds the work that a row can cause."""

_EDGES: Final = " \t\n\v\f\r"


def clean(text: str) -> str:
    """Return a field without the ASCII white space around it (SPEC A.1).

    Raises InputError(BAD_INDICATOR) on more than `MAX_INPUT` characters.
    """
    if len(text) > MAX_INPUT:
        raise refused(f"It is longer than {MAX_INPUT} characters.")
    return text.strip(_EDGES)


def refused(reason: str) -> InputError:
    """Return the error for a value that is not of its type.

    `reason` is a fixed text: it holds nothing of the value. Callers raise it outside of any `except` block,
    because the library's own exception quotes the value and would travel along as the error's context.
    """
    return InputError(Code.BAD_INDICATOR, reason)
