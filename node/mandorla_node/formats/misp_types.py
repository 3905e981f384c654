"""MISP's attribute types, and the registry's types that they correspond to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from .stix_patterns import TypedValue, typed_value

TYPE_TAG: Final = "mandorla:type"
"""The machine tag with the registry type of an attribute for which MISP has no type."""


@dataclass(frozen=True, slots=True)
class AttributeForm:
    """The MISP type and category of an attribute."""

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
"""The registry type of each part of a value, whose parts `|` separates; an empty type skips a part."""

ATTRIBUTE_FORMS: Final[Mapping[str, AttributeForm]] = MappingProxyType(
    {
        "ipv4": AttributeForm("ip-src", "Network activity"),
        "ipv6": AttributeForm("ip-src", "Network activity"),
        "ipv4-net24": AttributeForm("ip-src", "Network activity"),
        "ipv6-net64": AttributeForm("ip-src", "Network activity"),
        "domain": AttributeForm("domain", "Network activity"),
        "url": AttributeForm("url", "Network activity"),
        "email": AttributeForm("email-src", "Payload delivery"),
        "phone": AttributeForm("phone-number", "Person"),
    }
)
"""The attributes for registry types. Every other type is an `other` with its name in a tag.

`user-agent` is not here: its canonical value is a product, while MISP's attribute is a whole User-Agent
header.
"""

OTHER: Final = AttributeForm("other", "Other")

_BITCOIN: Final = AttributeForm("btc", "Financial fraud")


def attribute_form(kind: str, value: str) -> AttributeForm:
    """Return the attribute for a value of a registry type. MISP has a type for Bitcoin wallets only."""
    if kind == "wallet":
        return OTHER if value.startswith("0x") else _BITCOIN
    return ATTRIBUTE_FORMS.get(kind, OTHER)


def read_attribute(kind: str, value: str, tagged: str) -> list[TypedValue | None]:
    """Return the types and values of an attribute, None for a part without a registry type.

    `tagged` is the type of a tag, which overrides the attribute's own.
    """
    if tagged:
        return [(tagged, value)]
    kinds = ATTRIBUTES.get(kind)
    if kinds is None:
        return [None]
    parts = value.split("|") if len(kinds) > 1 else [value]
    if len(parts) != len(kinds):
        return [None]
    return [_typed_part(kind, part.strip()) for kind, part in zip(kinds, parts, strict=True) if kind]


def _typed_part(kind: str, text: str) -> TypedValue | None:
    if kind != _ADDRESS:
        return kind, text
    return typed_value("ipv6" if ":" in text else "ipv4", text)
