"""The checks of `mandorla doctor`."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import typer

from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.errors import Code, MandorlaError
from mandorla_protocol.indicators import DATA_VERSIONS

from ...terminal import console, pairs, safe, write_json
from ..error_report import ADVICE

_PACKAGES: Final = ("mandorla", "cryptography", "grpcio", "protobuf", "pynacl", "rbcl", "sqlalchemy")

_PORTABLE_COSTS: Final = "an operation costs two to eight times the CPU time that it costs the native engine"
"""Measured by `benchmarks/operations.py`, on one thread."""


@dataclass(frozen=True, slots=True)
class Finding:
    """The result of one check. A code means that the check failed."""

    name: str
    text: str
    code: Code | None = None


def doctor(home: Path | None, as_json: bool) -> None:
    """Run the checks, print the findings, and exit with the status of the first that failed."""
    findings = [*_installation(), *(_home_findings(home) if home else ())]
    failed = [finding for finding in findings if finding.code]
    if as_json:
        write_json(
            {
                "well": not failed,
                "checks": [
                    {
                        "name": finding.name,
                        "well": finding.code is None,
                        "said": finding.text,
                        "code": finding.code.name if finding.code else None,
                    }
                    for finding in findings
                ],
            }
        )
    else:
        _print(findings, failed)
    if failed and failed[0].code:
        raise typer.Exit(failed[0].code.info.exit_status)


def _print(findings: list[Finding], failed: list[Finding]) -> None:
    out = console()
    rows = pairs()
    for finding in findings:
        rows.add_row(finding.name, safe(finding.text, "red" if finding.code else ""))
    out.print(rows)
    if not failed:
        out.print("\nAll is well.", style="green")
    for finding in failed:
        if finding.code and (advice := ADVICE.get(finding.code)):
            out.print()
            out.print(safe(f"{finding.name}: {advice}"))


def _home_findings(home: Path) -> Iterator[Finding]:
    from .home_checks import home_findings  # noqa: PLC0415 - loads the store, which the installation's checks lack

    return home_findings(home)


def _installation() -> Iterator[Finding]:
    yield Finding("python", f"{platform.python_version()} on {platform.system()} {platform.machine()}")
    yield Finding("cores", str(os.cpu_count() or 1))
    yield _engine()
    for package in _PACKAGES:
        try:
            yield Finding(package, version(package))
        except PackageNotFoundError:
            # Mandorla that runs from its sources is in no list of installed packages.
            yield Finding(package, "not installed as a package")
    for package, wanted in DATA_VERSIONS.items():
        found = version(package)
        if found == wanted:
            yield Finding(package, found)
        else:
            # This lab would announce profiles to its peers that it does not follow.
            text = f"{found}, but indicators are canonicalised by {wanted}: install that version"
            yield Finding(package, text, Code.PROFILE_MISMATCH)


def _engine() -> Finding:
    """Load the engine, and name what the portable engine costs."""
    # A node reads its engine as here: the variable wins over the home's setting.
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
