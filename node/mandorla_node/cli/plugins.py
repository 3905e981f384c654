"""Commands of other packages: each entry point of the group `mandorla.commands`."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import EntryPoint, entry_points
from typing import Final

from .lazy_commands import CommandEntry

GROUP: Final = "mandorla.commands"
_PANEL: Final = "More"


def plugin_entries() -> Iterator[CommandEntry]:
    """Yield an entry for each plugin, in the order of their names."""
    for plugin in sorted(entry_points(group=GROUP), key=lambda plugin: plugin.name):
        yield CommandEntry(
            plugin.name, f"{plugin.module}:{plugin.attr}", _PANEL, requirement=_requirement(plugin)
        )


def _requirement(plugin: EntryPoint) -> str:
    """Return what pip has to install for a plugin: the extras that it names, or its package."""
    extras = ",".join(plugin.extras)
    return f"mandorla[{extras}]" if extras else plugin.value.partition(".")[0]
