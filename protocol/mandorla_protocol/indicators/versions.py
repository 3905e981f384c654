"""Versions of the data that rules depend on (SPEC A.1): others give some texts other canonical values."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

DATA_VERSIONS: Final[Mapping[str, str]] = MappingProxyType(
    {"ada-url": "4.0.0", "idna": "3.20", "phonenumbers": "9.0.43"}
)
"""The packages that hold them, with the versions that are part of the registry's profiles."""
