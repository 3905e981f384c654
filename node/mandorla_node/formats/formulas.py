"""CSV fields that a spreadsheet would run as formulas."""

from __future__ import annotations

import re
from typing import Final

_FORMULA: Final = re.compile(r"'*+[=+\-@\t\r\n]")


def guard_formula(field: str) -> str:
    """Return the field with an apostrophe in front if a spreadsheet would take it for a formula."""
    return f"'{field}" if _FORMULA.match(field) else field


def unguard_formula(field: str) -> str:
    """Return the field that `guard_formula` was given."""
    return field[1:] if field.startswith("'") and _FORMULA.match(field) else field
