"""How long a lab waits for its peer in a round, by the clock of this machine."""

from __future__ import annotations

from typing import Final

PATIENCE: Final = 1800.0
"""Seconds for a peer to prepare its table, to complete its half, or to close the round."""

LAST_PATIENCE: Final = 5.0
"""Seconds for a peer to take the last messages of a round, which this lab can do without."""

READY_WAIT: Final = 20.0
"""Seconds for which an answer is held back while this lab gets ready."""
