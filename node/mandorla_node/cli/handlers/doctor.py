"""`mandorla doctor`."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from mandorla_protocol.errors import Code, MandorlaError

from .help import manual
from .options import JsonOption
from .status import EXPIRES_SOON

if TYPE_CHECKING:
    from mandorla_protocol.card import Card

    from ..home.folder import HomeFolder

_PACKAGES = ("mandorla", "cryptography", "grpcio", "protobuf", "pynacl", "rbcl", "sqlalchemy")

_PORTABLE_COSTS = "an operation costs two to eight times the CPU time that it costs the native engine"
"""Measured by `benchmarks/operations.py`, on one thread."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at. A code says that it is not well."""

    name: str
    said: str
    code: Code | None = None


@manual(
    ("The installation:", "mandorla doctor"),
    ("A home as well:", "mandorla doctor --home /var/lib/mandorla/alder"),
    exit_status=(("10 and more", "The status of the first thing that is not well."),),
)
def doctor(
    home: Annotated[
        Path | None,
        typer.Option("--home", metavar="HOME", envvar="MANDORLA_HOME", help="Look this home over, too."),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Look over this installation, and a home.

    Versions, engine and cores; and with --home its keys, permissions, store and node.
    """
    from ..terminal import console, pairs, safe, write_json
    from .failures import ADVICE

    findings = [*_installation(), *(_home(home) if home else ())]
    bad = [finding for finding in findings if finding.code]
    if as_json:
        write_json(
            {
                "well": not bad,
                "checks": [
                    {
                        "name": finding.name,
                        "well": finding.code is None,
                        "said": finding.said,
                        "code": finding.code.name if finding.code else None,
                    }
                    for finding in findings
                ],
            }
        )
    else:
        out = console()
        rows = pairs()
        for finding in findings:
            rows.add_row(finding.name, safe(finding.said, "red" if finding.code else ""))
        out.print(rows)
        if not bad:
            out.print("\nAll is well.", style="green")
        for finding in bad:
            if finding.code and (advice := ADVICE.get(finding.code)):
                out.print()
                out.print(safe(f"{finding.name}: {advice}"))
    if bad and bad[0].code:
        raise typer.Exit(bad[0].code.info.exit_status)


def _installation() -> Iterator[Finding]:
    import os
    import platform
    from importlib.metadata import PackageNotFoundError, version

    from mandorla_protocol.indicators import DATA_VERSIONS

    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("cores", str(os.cpu_count() or 1))
    yield _engine()
    for package in _PACKAGES:
        try:
            yield Finding(package, version(package))
        except PackageNotFoundError:
            # Run from its sources, mandorla itself is on no list of packages.
            yield Finding(package, "not installed as a package")
    for package, wanted in DATA_VERSIONS.items():
        found = version(package)
        if found == wanted:
            yield Finding(package, found)
        else:
            # Peers would be told profiles that this lab does not follow.
            said = f"{found}, but indicators are canonicalised by {wanted}: install that version"
            yield Finding(package, said, Code.PROFILE_MISMATCH)


def _engine() -> Finding:
    """Say which engine serves, and what it costs if it is not the fast one."""
    import os

    from mandorla_protocol.engine.loader import load_engine

    # As a node reads it: the variable wins over its home.
    choice = os.environ.get("MANDORLA_ENGINE", "auto")
    try:
        engine = load_engine(choice)
    except MandorlaError as error:
        return Finding("engine", error.diagnostics(), error.code)
    if engine.releases_gil:
        return Finding("engine", f"{engine.name}, in threads")
    remedy = (
        "install Rust 1.89 or newer, then Mandorla again" if choice == "auto" else "unset MANDORLA_ENGINE"
    )
    return Finding("engine", f"{engine.name}, in processes: {_PORTABLE_COSTS}; {remedy}")


def _home(path: Path) -> Iterator[Finding]:
    from contextlib import closing

    from mandorla_protocol.card import fingerprint

    from ..client import node_answers
    from ..home.folder import Home
    from ..ingest.suppression import Suppressor
    from ..ingest.suppression_lists import warning_lists
    from ..terminal import plural

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
            sizes = sum(count for _, _, count in store.indicators.sizes())
            peers = len(store.peers.all())
        yield Finding("store", f"opens; {plural(sizes, 'indicator')}, {plural(peers, 'peer')}")
        entries = Suppressor(path, home.settings.suppression).begin().entries
        installed = "" if warning_lists() else "; the MISP warning lists are not installed"
        yield Finding("suppression", f"{plural(entries, 'entry', 'entries')} of lists{installed}")
    except MandorlaError as error:
        yield Finding("trouble", error.diagnostics(), error.code)


def _certificate(home: HomeFolder, card: Card) -> Finding:
    """Say when the certificate of the card ends."""
    from ..core.clock import system_clock
    from ..crypto import certificates
    from ..formats.rows import rfc3339

    expires, now = certificates.expires_at(card), system_clock()
    said = f"until {rfc3339(expires)[:10]}"
    if now >= expires:
        return Finding("certificate", f"ended {rfc3339(expires)[:10]}: mandorla renew", Code.BAD_CARD)
    if expires - now < EXPIRES_SOON:
        own = home.settings.keys.renew_before
        said += ", soon" + ("; a running node renews it by itself" if own else ": mandorla renew")
    return Finding("certificate", said)


def _keys(home: HomeFolder) -> Iterator[Finding]:
    """Say where the key comes from, and try it where nobody has to be asked."""
    import os

    from ..home import own_cards
    from ..home.folder import Home
    from ..home.key_kinds import SourceKind
    from ..home.sealed_secrets import unfinished_rekey
    from .keys import said_of

    source = home.key_source
    said = said_of(source)
    untried = {
        SourceKind.PASSPHRASE: source.path is None,
        SourceKind.CREDENTIAL: "CREDENTIALS_DIRECTORY" not in os.environ,
    }
    if untried.get(source.kind, False):
        yield Finding("keys", f"{said}; not tried here")
    else:
        Home.open(home.path)
        yield Finding("keys", said)
    left = unfinished_rekey(home.path, source)
    if source.kind is not SourceKind.HOME:
        left += own_cards.plain_keys(home.path)
    if left:
        said = f"{', '.join(left)}: left by a rekey that did not end; do it again"
        yield Finding("leftovers", said, Code.BAD_HOME)


def _permissions(path: Path) -> Iterator[Finding]:
    open_to_others = sorted(
        file.name or str(path)
        for file in (path, *path.iterdir())
        if file.stat().st_mode & 0o077 and not file.is_socket()
    )
    if open_to_others:
        said = f"others can reach {', '.join(open_to_others)}; chmod go= them"
        yield Finding("permissions", said, Code.BAD_HOME)
    else:
        yield Finding("permissions", "the owner's only")
