"""Homes whose store is at another URL."""

from __future__ import annotations

from mandorla_node.home.folder import Home


def moved(home: Home, url: str) -> Home:
    """Return a home with the store at a URL."""
    config = home.path / "mandorla.toml"
    config.write_text(config.read_text().replace("[store]\n", f'[store]\nurl = "{url}"\n'))
    return Home.open(home.path)
