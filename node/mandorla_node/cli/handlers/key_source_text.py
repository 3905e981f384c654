"""The source of a home's key: as options name it, and as output describes it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from ...home.key_kinds import SourceKind
from ...home.key_sources import KeySource

_DESCRIPTIONS: Final = {
    SourceKind.HOME: "plain files in the home: a copy of the home holds the lab's identity",
    SourceKind.FILE: "sealed under a key file",
    SourceKind.CREDENTIAL: "sealed under a systemd credential",
    SourceKind.PASSPHRASE: "sealed under a passphrase",
}


def source_from(kind: SourceKind, path: Path | None, name: str) -> KeySource:
    """Return the source that options name; a path is relative to the working directory."""
    return KeySource(kind, None if path is None else path.absolute(), name)


def description_of(source: KeySource) -> str:
    """Describe how a source protects a home's keys."""
    detail = {SourceKind.FILE: f", {source.path}", SourceKind.CREDENTIAL: f", {source.name}"}
    return _DESCRIPTIONS[source.kind] + detail.get(source.kind, "")
