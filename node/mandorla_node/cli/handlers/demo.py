"""The work of `mandorla demo`."""

from __future__ import annotations

from ...demo.demonstration import run


def demo(quick: bool, keep: bool, as_json: bool) -> None:
    """Run the demo."""
    run(quick=quick, keep=keep, as_json=as_json)
