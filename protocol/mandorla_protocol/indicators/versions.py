"""The versions of the data behind the rules (SPEC A.1). Another version may give a text another value."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DATA_VERSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"ada-url": "4.0.0", "idna": "3.20", "phonenumbers": "9.0.43"}
)
"""The packages with the data, and the versions that belong to the registry's profiles."""
