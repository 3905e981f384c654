"""The labs of the demo, and their lists."""

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
"""Mail domains of innocent customers."""

_SEEN_OF_EACH = 20
"""Cedar sees one in this many of the domains that birch flagged."""


@dataclass(frozen=True)
class Lab:
    """A lab: the package of its list, the domains that it flagged or only saw, and their label."""

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
        from burner_email_providers import EMAILS  # noqa: PLC0415 - the extra `demo`, which may be missing
        from disposable_email_domains import blocklist  # noqa: PLC0415 - the extra `demo`
        from MailChecker import MailChecker  # noqa: PLC0415 - the extra `demo`
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
    """Yield values as text; if `quick` about one in ten, by its hash, so that the lists still overlap."""
    for value in map(str, values):
        if not quick or zlib.crc32(value.encode()) % 10 == 0:
            yield value


def _lab(name: str, package: str, flagged: list[str], observed: tuple[str, ...], severity: Severity) -> Lab:
    label = Label(reason=Reason.DISPOSABLE_IDENTITY, severity=severity)
    return Lab(name, package, version(package), tuple(flagged), observed, label)


def canonical(values: tuple[str, ...]) -> frozenset[str]:
    """Return the distinct canonical values of those that are mail domains."""
    found = set()
    for value in values:
        try:
            found.add(Indicator.parse(TYPE, value).value)
        except InputError:
            # A node rejects the same rows by the same rule.
            continue
    return frozenset(found)
