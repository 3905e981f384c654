"""Traffic Light Protocol markings in STIX and MISP."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from mandorla_protocol.labels import Tlp

from .json_stream import Json

STIX_EXTENSION: Final = "extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d"
"""The official STIX 2.1 extension that marks an object with a TLP 2.0 level."""

STIX_MARKINGS: Final[Mapping[Tlp, str]] = MappingProxyType(
    {
        Tlp.CLEAR: "marking-definition--94868c89-83c2-464b-929b-a1a8aa3c8487",
        Tlp.GREEN: "marking-definition--bab4a63c-aed9-4cf5-a766-dfca5abac2bb",
        Tlp.AMBER: "marking-definition--55d920b0-5e8b-4f79-9ee9-91f868d9b421",
        Tlp.AMBER_STRICT: "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003",
        Tlp.RED: "marking-definition--e828b379-4e03-4974-9ac4-e53a884c97c1",
    }
)
"""The published marking definition of each TLP 2.0 level."""

_BY_MARKING: Final[Mapping[str, Tlp]] = MappingProxyType(
    {marking: level for level, marking in STIX_MARKINGS.items()}
    # The markings of TLP 1.0, which STIX 2.1 itself defines.
    | {
        "marking-definition--613f2e26-407d-48c7-9eca-b8e91df99dc9": Tlp.CLEAR,
        "marking-definition--34098fce-860f-48ae-8e50-ebd3cc5e41da": Tlp.GREEN,
        "marking-definition--f88d31f6-486f-44da-b317-01333bde0b82": Tlp.AMBER,
        "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed": Tlp.RED,
    }
)
_BY_NAME: Final[Mapping[str, Tlp]] = MappingProxyType(
    {level.name.lower().replace("_", "+"): level for level in Tlp}
    # Names of TLP 1.0 and of MISP's taxonomy for it.
    | {"white": Tlp.CLEAR, "ex:chr": Tlp.RED, "unclear": Tlp.AMBER}
)


def name_of_level(level: Tlp) -> str:
    """Return the TLP 2.0 name of a level in lower case, such as `amber+strict`."""
    return level.name.lower().replace("_", "+")


def strictest_marking(markings: list[Json]) -> Tlp | None:
    """Return the strictest TLP level among marking references; None if there is none."""
    levels = [_BY_MARKING[ref] for ref in markings if isinstance(ref, str) and ref in _BY_MARKING]
    return max(levels, default=None)


def strictest_tag(tags: list[str]) -> Tlp | None:
    """Return the strictest TLP level among MISP tags; None if there is none."""
    names = [tag.lower().removeprefix("tlp:") for tag in tags if tag.lower().startswith("tlp:")]
    return max((_BY_NAME[name] for name in names if name in _BY_NAME), default=None)


def marking_definition(level: Tlp) -> dict[str, Json]:
    """Return the published marking definition of a level."""
    return {
        "type": "marking-definition",
        "spec_version": "2.1",
        "id": STIX_MARKINGS[level],
        "created": "2022-10-01T00:00:00.000Z",
        "name": f"TLP:{name_of_level(level).upper()}",
        "extensions": {
            STIX_EXTENSION: {"extension_type": "property-extension", "tlp_2_0": name_of_level(level)}
        },
    }
