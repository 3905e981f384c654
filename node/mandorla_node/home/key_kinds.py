"""The kinds of sources for the key of a home; apart, so that the command line loads nothing else."""

from __future__ import annotations

from enum import StrEnum, auto


class SourceKind(StrEnum):
    """What kind of source a key has; `home` is none: secrets are plain files in the home."""

    HOME = auto()
    FILE = auto()
    CREDENTIAL = auto()
    PASSPHRASE = auto()
