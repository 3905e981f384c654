"""The verdict of `mandorla audit verify`."""

from __future__ import annotations

import sys
from pathlib import Path

from mandorla_protocol.audit.__main__ import read_roots, verify_files
from mandorla_protocol.audit.report import report_json, report_lines
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.errors import Code

from ...terminal import console, safe, write_json


def verify(files: list[Path], tsa_cert: Path | None, as_json: bool) -> None:
    """Verify files, print each claim, and exit with the status of CHECK_FAILED if one fails."""
    roots = read_roots(None if tsa_cert is None else str(tsa_cert))
    verdict = verify_files([str(file) for file in files], load_engine("auto", 0), roots)
    if as_json:
        write_json(report_json(verdict))
    else:
        out = console()
        for line in report_lines(verdict):
            style = "bold red" if line.lstrip().startswith("FAILS") else ""
            out.print(safe(line, style), soft_wrap=True)
    if not verdict.holds:
        sys.exit(Code.CHECK_FAILED.info.exit_status)
