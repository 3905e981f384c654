"""`python -m mandorla_node.cli` is `mandorla`."""

from __future__ import annotations

from .entry_point import main

if __name__ == "__main__":
    main()
