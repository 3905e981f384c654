"""How long tests wait."""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 240.0
"""Seconds to wait for a condition. Only a test that fails waits this long, on the slowest machine too."""

CALL: Final = 100.0
"""Seconds that a call of a peer may take: a node counts no more than 120."""
