"""Kinds of resources, and what labs do about accounts that show them."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Final

from mandorla_protocol.indicators import Collection


class ResourceKind(StrEnum):
    """A kind of resource that links accounts, and from which indicators are made."""

    PAYMENT = "payment"
    MAIL_DOMAIN = "mail_domain"
    DEVICE = "device"
    ADDRESS = "address"
    RELAY = "relay"
    TEMPLATE = "template"
    SEQUENCE = "sequence"


KINDS: Final = tuple(ResourceKind)
"""All kinds; the position of a kind is its column in tables of accounts."""

COLUMN: Final = {kind: column for column, kind in enumerate(KINDS)}

COLLECTIONS: Final = {
    ResourceKind.PAYMENT: Collection.ACCOUNTS,
    ResourceKind.MAIL_DOMAIN: Collection.ACCOUNTS,
    ResourceKind.DEVICE: Collection.ACCOUNTS,
    ResourceKind.ADDRESS: Collection.INFRASTRUCTURE,
    ResourceKind.RELAY: Collection.INFRASTRUCTURE,
    ResourceKind.TEMPLATE: Collection.PROMPTS,
    ResourceKind.SEQUENCE: Collection.BEHAVIOUR,
}
"""The collection of each kind's indicators (SPEC A.1), with its own rounds, keys and budgets."""

CHANGEABLE: Final = frozenset(
    {ResourceKind.ADDRESS, ResourceKind.RELAY, ResourceKind.TEMPLATE, ResourceKind.SEQUENCE}
)
"""The kinds that an account can change while it lives; payment, mail and device are fixed at sign-up."""


class PeerAction(StrEnum):
    """What a lab does about accounts that show a resource flagged by a peer."""

    IGNORE = "ignore"
    REVIEW = "review"
    TWO_LABS = "two-labs"
    ONE_PEER = "one-peer"


class OwnAction(StrEnum):
    """What a lab does about accounts that show a resource that it flagged itself."""

    BLOCK = "block"
    REVIEW = "review"


class Ending(IntEnum):
    """Why an account is of no more use to its attacker."""

    NONE = 0
    DETECTED = 1
    LINKED = 2
    PEER = 3
    REVIEWED = 4
    REFUSED = 5
    MOVED = 6
    FINISHED = 7


BLOCKS: Final = (Ending.DETECTED, Ending.LINKED, Ending.PEER, Ending.REVIEWED, Ending.REFUSED)
"""The endings that a lab caused."""
