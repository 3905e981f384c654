"""The report: one HTML page that opens in any browser and loads nothing from elsewhere."""

from __future__ import annotations

from .study_page import render_study
from .sweep_page import render_sweep

__all__ = ["render_study", "render_sweep"]
