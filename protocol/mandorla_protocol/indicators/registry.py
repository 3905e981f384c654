"""The closed registry of indicator types (SPEC A.1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from enum import StrEnum
from types import MappingProxyType
from typing import Final

from . import addresses, clients, digests, mail, names, payments, phones, scoped_identifiers, urls, wallets


class Collection(StrEnum):
    """The collections. The types of a collection share keys, budgets and caps."""

    ACCOUNTS = "accounts"
    INFRASTRUCTURE = "infrastructure"
    PROMPTS = "prompts"
    BEHAVIOUR = "behaviour"


@dataclass(frozen=True, slots=True)
class IndicatorType:
    """A type of indicator.

    `canonicalise` is pure and idempotent. For any text it returns the canonical value or raises InputError:
    BAD_INDICATOR. `profile` is the number of that rule: two labs match only under the same profile. `needed`
    is the number of indicators of one group, such as the fingerprints of one prompt, that must match before
    the group matches (SPEC A.5).
    """

    name: str
    collection: Collection
    profile: int
    canonicalise: Callable[[str], str]
    needed: int = 1

    @property
    def grouped(self) -> bool:
        """Whether the values of the type are fingerprints, which belong to groups (SPEC A.5)."""
        return self.canonicalise is digests.digest


_TYPES: Final = (
    IndicatorType("email", Collection.ACCOUNTS, 1, mail.email),
    IndicatorType("mail-domain", Collection.ACCOUNTS, 1, mail.mail_domain),
    IndicatorType("mailbox", Collection.ACCOUNTS, 1, mail.mailbox),
    IndicatorType("phone", Collection.ACCOUNTS, 1, phones.phone),
    IndicatorType("payment-par", Collection.ACCOUNTS, 1, payments.payment_par),
    IndicatorType("payment-fingerprint", Collection.ACCOUNTS, 1, payments.payment_fingerprint),
    IndicatorType("device-id", Collection.ACCOUNTS, 1, scoped_identifiers.device_id),
    IndicatorType("wallet", Collection.ACCOUNTS, 1, wallets.wallet),
    IndicatorType("domain", Collection.INFRASTRUCTURE, 1, names.domain),
    IndicatorType("ipv4", Collection.INFRASTRUCTURE, 1, addresses.ipv4),
    IndicatorType("ipv6", Collection.INFRASTRUCTURE, 1, addresses.ipv6),
    IndicatorType("ipv4-net24", Collection.INFRASTRUCTURE, 1, addresses.ipv4_net24),
    IndicatorType("ipv6-net64", Collection.INFRASTRUCTURE, 1, addresses.ipv6_net64),
    IndicatorType("url", Collection.INFRASTRUCTURE, 1, urls.url),
    IndicatorType("ja4", Collection.INFRASTRUCTURE, 1, clients.ja4),
    IndicatorType("user-agent", Collection.INFRASTRUCTURE, 1, clients.user_agent),
    IndicatorType("watermark", Collection.PROMPTS, 1, scoped_identifiers.watermark),
    IndicatorType("prompt-template", Collection.PROMPTS, 1, digests.digest, needed=2),
    IndicatorType("prompt-minhash", Collection.PROMPTS, 1, digests.digest),
    IndicatorType("prompt-minhash-wide", Collection.PROMPTS, 1, digests.digest, needed=3),
    IndicatorType("prompt-minhash-pairs", Collection.PROMPTS, 1, digests.digest, needed=2),
    IndicatorType("prompt-sentence", Collection.PROMPTS, 1, digests.digest, needed=2),
    # Two accounts in touching cells share at least 4 of their 16 values; other accounts share fewer.
    IndicatorType("behaviour", Collection.BEHAVIOUR, 1, digests.digest, needed=4),
    # Many accounts can share one n-gram of five steps. Two n-grams are at least six requests in one order.
    IndicatorType("request-sequence", Collection.BEHAVIOUR, 1, digests.digest, needed=2),
)

REGISTRY: Final[Mapping[str, IndicatorType]] = MappingProxyType(
    {indicator_type.name: indicator_type for indicator_type in _TYPES}
)
"""All types by name. It is read-only, because a type that only one lab knows could never match."""


def profiles(collection: Collection) -> tuple[tuple[str, int], ...]:
    """Return the (type name, profile) pairs of a collection, sorted by type name."""
    return tuple(
        sorted(
            (indicator_type.name, indicator_type.profile)
            for indicator_type in _TYPES
            if indicator_type.collection is collection
        )
    )
