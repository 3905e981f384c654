"""MISP attribute types, and the registry's types that they stand for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from .stix_patterns import Named, named

TYPE_TAG: Final = "mandorla:type"
"""The machine tag that says the type of an attribute for which MISP has none."""


@dataclass(frozen=True, slots=True)
class Written:
    """How an attribute of a registry type is written."""

    type: str
    category: str


_ADDRESS: Final = "address"

ATTRIBUTES: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ip-src": (_ADDRESS,),
        "ip-dst": (_ADDRESS,),
        "ip-src|port": (_ADDRESS, ""),
        "ip-dst|port": (_ADDRESS, ""),
        "domain": ("domain",),
        "hostname": ("domain",),
        "hostname|port": ("domain", ""),
        "domain|ip": ("domain", _ADDRESS),
        "url": ("url",),
        "email": ("email",),
        "email-src": ("email",),
        "email-dst": ("email",),
        "email-reply-to": ("email",),
        "whois-registrant-email": ("email",),
        "phone-number": ("phone",),
        "whois-registrant-phone": ("phone",),
        "btc": ("wallet",),
        "user-agent": ("user-agent",),
    }
)
"""The types of an attribute's value, one for each part between bars; an empty one is left out."""

WRITTEN: Final[Mapping[str, Written]] = MappingProxyType(
    {
        "ipv4": Written("ip-src", "Network activity"),
        "ipv6": Written("ip-src", "Network activity"),
        "ipv4-net24": Written("ip-src", "Network activity"),
        "ipv6-net64": Written("ip-src", "Network activity"),
        "domain": Written("domain", "Network activity"),
        "url": Written("url", "Network activity"),
        "email": Written("email-src", "Payload delivery"),
        "phone": Written("phone-number", "Person"),
    }
)
"""How types are written that MISP has; every other type is an `other` with its name in a tag.

A canonical `user-agent` is a product and no User-Agent, for which MISP's attribute stands.
"""

OTHER: Final = Written("other", "Other")

_BITCOIN: Final = Written("btc", "Financial fraud")


def written_as(kind: str, value: str) -> Written:
    """Return how a value of a type is written: of wallets, MISP has those of Bitcoin."""
    if kind == "wallet":
        return OTHER if value.startswith("0x") else _BITCOIN
    return WRITTEN.get(kind, OTHER)


def read_attribute(kind: str, value: str, tagged: str) -> list[Named | None]:
    """Return what an attribute names, None for a part that no type stands for; a tag's type comes first."""
    if tagged:
        return [(tagged, value)]
    kinds = ATTRIBUTES.get(kind)
    if kinds is None:
        return [None]
    parts = value.split("|") if len(kinds) > 1 else [value]
    if len(parts) != len(kinds):
        return [None]
    return [_named(one, part.strip()) for one, part in zip(kinds, parts, strict=True) if one]


def _named(kind: str, text: str) -> Named | None:
    if kind != _ADDRESS:
        return kind, text
    return named("ipv6" if ":" in text else "ipv4", text)
