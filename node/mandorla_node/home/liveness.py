"""The check for a running node, by the operator's socket in its home."""

from __future__ import annotations

import socket
from pathlib import Path


def node_answers(path: Path) -> bool:
    """Return whether a node listens on the Unix socket at `path`."""
    with socket.socket(socket.AF_UNIX) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
