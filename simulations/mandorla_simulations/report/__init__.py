"""The report: one page that opens in any browser, with nothing to fetch."""

from __future__ import annotations

from ..scenario.paths import Tree
from .page import page
from .sweep_page import sweep_page


def render(tree: Tree) -> str:
    """Return a study's page, given its results as `results.as_tree` writes them."""
    return page(tree)


def render_sweep(tree: Tree) -> str:
    """Return a sweep's page, given its rows as `sweep.as_tree` writes them."""
    return sweep_page(tree)
