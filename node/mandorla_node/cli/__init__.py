"""The command line, `mandorla`.

`main` is named here because the installed script imports it from this package.
"""

from __future__ import annotations

from .entry_point import main

__all__ = ["main"]
