"""Resources as indicators that nodes can ingest.

A node takes only registered types (SPEC A.1). The registry has no type for relays. Its types for templates
and sequences match by groups (SPEC A.5), while a simulated template or sequence is a single resource. These
kinds therefore use another type. For the protocol every indicator is an opaque token, whatever its type.
"""

from __future__ import annotations

import ipaddress
from typing import Final

from mandorla_protocol.indicators import REGISTRY

from ..kinds import ResourceKind
from ..resources import Resource, kind_of, serial_of

_EXITS: Final = int(ipaddress.IPv6Address("2001:db8::"))

TypedValue = tuple[str, str]
"""A registered type, and a value in its canonical form."""

_TYPES: Final = {
    ResourceKind.PAYMENT: "payment-par",
    ResourceKind.DEVICE: "device-id",
    ResourceKind.MAIL_DOMAIN: "mail-domain",
    ResourceKind.ADDRESS: "ipv6",
    ResourceKind.RELAY: "domain",
    ResourceKind.TEMPLATE: "domain",
    ResourceKind.SEQUENCE: "domain",
}

ASKED_IN: Final = {kind: REGISTRY[name].collection for kind, name in _TYPES.items()}
"""The collection in which nodes ask about each kind."""

COLLECTIONS: Final = tuple(dict.fromkeys(collection.value for collection in ASKED_IN.values()))
"""The collections of these types."""


def indicator_of(resource: Resource) -> TypedValue:
    """Return the indicator of a resource; different resources have different indicators."""
    kind = kind_of(resource)
    return _TYPES[kind], _value(kind, serial_of(resource))


def _value(kind: ResourceKind, serial: int) -> str:
    match kind:
        case ResourceKind.PAYMENT:
            return f"SIMU{serial:025}"
        case ResourceKind.DEVICE:
            return f"simulation:{serial:032x}"
        case ResourceKind.MAIL_DOMAIN:
            return f"mail{serial}.example.net"
        case ResourceKind.ADDRESS:
            return str(ipaddress.IPv6Address(_EXITS + serial))
        case _:
            return f"{kind.value}{serial}.example.net"
