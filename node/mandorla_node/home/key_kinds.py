"""The kinds of key sources, in a module of their own: the command line needs them before it loads more."""

from __future__ import annotations

from enum import StrEnum, auto


class SourceKind(StrEnum):
    """Where the key comes from that seals a home. HOME: no key; the secrets are plain files in the home."""

    HOME = auto()
    FILE = auto()
    CREDENTIAL = auto()
    PASSPHRASE = auto()
