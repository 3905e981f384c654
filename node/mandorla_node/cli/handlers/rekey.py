"""The new key of `mandorla rekey`."""

from __future__ import annotations

from pathlib import Path

from ...home.key_kinds import SourceKind
from ...home.rekey import rekey as rekey_home
from ...terminal import console, safe, write_json
from .key_source_text import description_of, source_from


def rekey(home: Path, to: SourceKind, path: Path | None, name: str, as_json: bool) -> None:
    """Seal a home's secrets under a new key, or unseal them."""
    source = source_from(to, path, name)
    rekey_home(home, source)
    if as_json:
        write_json({"home": str(home), "key_source": to.value})
        return
    console().print(safe(f"The keys of {home} are {description_of(source)}."))
