"""The presets: scenarios that come with the simulator."""

from __future__ import annotations

from pathlib import Path
from typing import Final

_FOLDER: Final = Path(__file__).parents[1] / "presets"


def preset_names() -> list[str]:
    """List the names of the presets."""
    return sorted(path.stem for path in _FOLDER.glob("*.toml"))


def preset_text(name: str) -> str:
    """Return the TOML of a preset."""
    return (_FOLDER / f"{name}.toml").read_text("utf-8")
