"""The values of a label's fields."""

from __future__ import annotations

import typer

from mandorla_protocol.labels import Reason, Severity, Tlp

from ...formats.rows import name_of


def reasons(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the reasons for flagging an indicator."""
    return [name_of(reason) for reason in Reason if reason is not Reason.UNSPECIFIED]


def severities(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the severities of a label."""
    return [name_of(severity) for severity in Severity]


def tlps(ctx: typer.Context, incomplete: str) -> list[str]:
    """Return the TLP levels of a label."""
    return [name_of(tlp) for tlp in Tlp]
