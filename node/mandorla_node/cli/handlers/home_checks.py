"""The checks of a home by `mandorla doctor --home`."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from mandorla_protocol.card import Card, fingerprint
from mandorla_protocol.errors import Code, MandorlaError

from ...core.clock import system_clock
from ...crypto import certificates
from ...formats.rows import rfc3339
from ...home import own_cards
from ...home.folder import Home, HomeFolder
from ...home.key_kinds import SourceKind
from ...home.liveness import node_answers
from ...home.sealed_secrets import unfinished_rekey
from ...ingest.suppression import Suppressor
from ...ingest.suppression_lists import warning_lists
from ...terminal import plural
from .doctor import Finding
from .key_source_text import description_of
from .status_tables import CERTIFICATE_ENDS_SOON


def home_findings(path: Path) -> Iterator[Finding]:
    """Yield the findings of a home; the first error ends the checks, and is the last finding."""
    yield Finding("home", str(path))
    try:
        home = Home.locate(path)
        card = home.read_card()
        yield Finding("card", f"{card.name} at {card.endpoint}")
        yield Finding("fingerprint", fingerprint(card.identity))
        yield from _keys(home)
        yield _certificate(home, card)
        yield Finding("socket", "a node runs" if node_answers(home.operator_socket) else "no node runs")
        yield from _permissions(path)
        with closing(home.open_store()) as store:
            indicators = sum(count for _, _, count in store.indicators.sizes())
            peers = len(store.peers.all())
        yield Finding("store", f"opens; {plural(indicators, 'indicator')}, {plural(peers, 'peer')}")
        entries = Suppressor(path, home.settings.suppression).begin().entries
        installed = "" if warning_lists() else "; the MISP warning lists are not installed"
        yield Finding("suppression", f"{plural(entries, 'entry', 'entries')} of lists{installed}")
    except MandorlaError as error:
        yield Finding("trouble", error.diagnostics(), error.code)


def _certificate(home: HomeFolder, card: Card) -> Finding:
    """Check when the certificate of the card ends."""
    expires, now = certificates.expires_at(card), system_clock()
    day = rfc3339(expires)[:10]
    if now >= expires:
        return Finding("certificate", f"ended {day}: mandorla renew", Code.BAD_CARD)
    text = f"until {day}"
    if expires - now < CERTIFICATE_ENDS_SOON:
        automatic = home.settings.keys.renew_before
        text += ", soon" + ("; a running node renews it by itself" if automatic else ": mandorla renew")
    return Finding("certificate", text)


def _keys(home: HomeFolder) -> Iterator[Finding]:
    """Check the home's key, unless its source would ask a person or is outside this process."""
    source = home.key_source
    text = description_of(source)
    out_of_reach = {
        SourceKind.PASSPHRASE: source.path is None,
        SourceKind.CREDENTIAL: "CREDENTIALS_DIRECTORY" not in os.environ,
    }
    if out_of_reach.get(source.kind, False):
        yield Finding("keys", f"{text}; not tried here")
    else:
        Home.open(home.path)
        yield Finding("keys", text)
    remains = unfinished_rekey(home.path, source)
    if source.kind is not SourceKind.HOME:
        remains += own_cards.plain_keys(home.path)
    if remains:
        text = f"{', '.join(remains)}: left by an interrupted rekey; run it again"
        yield Finding("leftovers", text, Code.BAD_HOME)


def _permissions(path: Path) -> Iterator[Finding]:
    """Check that only the owner can reach the home's files."""
    exposed = sorted(
        file.name or str(path)
        for file in (path, *path.iterdir())
        if file.stat().st_mode & 0o077 and not file.is_socket()
    )
    if exposed:
        text = f"other users can reach {', '.join(exposed)}; chmod go= them"
        yield Finding("permissions", text, Code.BAD_HOME)
    else:
        yield Finding("permissions", "only the owner has access")
