"""The names of collections and of indicator types."""

from __future__ import annotations

import typer

from mandorla_protocol.indicators import REGISTRY, Collection


def collections(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the collections."""
    return [*Collection]


def types(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the names of the indicator types."""
    return sorted(REGISTRY)


def type_lists(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the list of types that is being typed, extended by each type that it lacks."""
    before, comma, _ = incomplete.rpartition(",")
    return [before + comma + name for name in sorted(REGISTRY) if name not in before.split(",")]
