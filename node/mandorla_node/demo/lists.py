"""The labs of the demo, and the lists that each of them has."""

from __future__ import annotations

import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from importlib.metadata import version

from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.indicators import Indicator
from mandorla_protocol.labels import Label, Reason, Severity

TYPE = "mail-domain"
COLLECTION = "accounts"

_ORDINARY = (
    "aol.com",
    "fastmail.com",
    "gmail.com",
    "gmx.net",
    "hotmail.com",
    "icloud.com",
    "outlook.com",
    "proton.me",
    "web.de",
    "yahoo.com",
)
"""What an innocent customer signs up with."""

_SEEN_OF_EACH = 20
"""Cedar sees one in so many of the domains that birch flagged."""


@dataclass(frozen=True)
class Lab:
    """A lab: what it flagged, what it merely saw, the label that it gives, and whose list it uses."""

    name: str
    package: str
    version: str
    flagged: tuple[str, ...]
    observed: tuple[str, ...]
    label: Label


def load(quick: bool) -> tuple[Lab, ...]:
    """Return the three labs with their lists, or with a tenth of them if `quick`.

    Raises InputError(BAD_CONFIG) if the lists are not installed.
    """
    try:
        from burner_email_providers import EMAILS
        from disposable_email_domains import blocklist
        from MailChecker import MailChecker
    except ImportError as error:
        raise InputError(
            Code.BAD_CONFIG,
            f"the demo's lists are not installed ({error.name} is missing): pip install 'mandorla[demo]'",
        ) from None
    alder = sorted(_sample(blocklist, quick))
    birch = sorted(_sample(MailChecker.blacklist, quick))
    cedar = sorted(_sample(EMAILS, quick))
    flagged_by_cedar = set(cedar)
    seen = [domain for domain in birch[::_SEEN_OF_EACH] if domain not in flagged_by_cedar]
    return (
        _lab("alder", "disposable-email-domains", alder, (), Severity.MEDIUM),
        _lab("birch", "mailchecker", birch, (), Severity.LOW),
        _lab("cedar", "burner-email-providers", cedar, (*seen, *_ORDINARY), Severity.HIGH),
    )


def _sample(values: Iterable[object], quick: bool) -> Iterator[str]:
    """Yield texts; if `quick`, about one in ten, chosen alike in every list, so that lists still overlap."""
    for value in map(str, values):
        if not quick or zlib.crc32(value.encode()) % 10 == 0:
            yield value


def _lab(name: str, package: str, flagged: list[str], observed: tuple[str, ...], severity: Severity) -> Lab:
    label = Label(reason=Reason.DISPOSABLE_IDENTITY, severity=severity)
    return Lab(name, package, version(package), tuple(flagged), observed, label)


def canonical(values: tuple[str, ...]) -> frozenset[str]:
    """Return the distinct canonical values, without those that are no mail domain."""
    found = set()
    for value in values:
        try:
            found.add(Indicator.parse(TYPE, value).value)
        except InputError:
            # A node rejects the same rows, by the same rule.
            continue
    return frozenset(found)
