"""`mandorla audit`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from mandorla_protocol.errors import Code

from .help import ManualCommand, ManualGroup, manual, status
from .options import HomeOption, JsonOption, PeerArgument

app = typer.Typer(
    cls=ManualGroup,
    no_args_is_help=True,
    help="Record what this lab did for an auditor, or verify such records.",
)


@app.command(cls=ManualCommand)
@manual(
    ("For the auditor:", "mandorla audit bundle --out alder.audit"),
    (
        "With a time stamp, by which the records can be no younger than they say:",
        "mandorla audit bundle --out alder.audit --tsa https://tsa.example",
    ),
    see="`mandorla audit verify`; docs/audit.md",
)
def bundle(
    home: HomeOption,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.", show_default=False)
    ],
    tsa: Annotated[
        str | None,
        typer.Option("--tsa", metavar="URL", help="An authority that stamps the log's state (RFC 3161)."),
    ] = None,
) -> None:
    """Write everything that this lab signed, asked and answered to one sealed file.

    It holds no indicator. The node may run or not.
    """
    from contextlib import closing
    from functools import partial

    from ..audit.bundle import write_bundle
    from ..home.folder import Home
    from ..terminal import console, count, safe, size

    opened = Home.open(home)
    with closing(opened.open_store()) as store:
        stamp = None
        if tsa is not None:
            from ..audit.time_stamps import request_stamp

            stamp = partial(request_stamp, tsa)
        written = write_bundle(opened, store, out, stamp=stamp)
    said = f"{count(written.rounds)} rounds, {count(written.evaluations)} evaluations, {size(written.size)}"
    console().print(safe(f"{out}: {said}. It holds no indicator; give it to the auditor."))


@app.command(cls=ManualCommand)
@manual(
    ("Of a peer that `mandorla status` calls caught:", "mandorla audit fraud birch --out birch.fraud"),
    see="`mandorla audit verify`; docs/audit.md",
)
def fraud(
    peer: PeerArgument,
    home: HomeOption,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.", show_default=False)
    ],
) -> None:
    """Write the proof that a peer showed its log in two ways, for anyone to verify."""
    from contextlib import closing

    from mandorla_protocol.errors import Code, InputError

    from ..home.folder import Home
    from ..terminal import console, safe

    with closing(Home.locate(home).open_store()) as store:
        proof = store.log.fraud_proof(store.peers.get(peer).lab)
    if proof is None:
        raise InputError(Code.BAD_INPUT, f"{peer} has shown one log only")
    try:
        out.write_bytes(proof.encode())
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{out}: {error.strerror}") from None
    console().print(safe(f"{out}: two checkpoints that {peer} signed and that no one log has."))


@app.command(cls=ManualCommand)
@manual(
    ("Two labs' records against each other:", "mandorla audit verify alder.audit birch.audit"),
    exit_status=(
        ("0", "Every claim holds."),
        status(Code.CHECK_FAILED, "a claim fails; the output says which."),
    ),
    see="docs/audit.md",
)
def verify(
    files: Annotated[
        list[Path],
        typer.Argument(metavar="FILE...", help="Bundles of labs, and fraud proofs.", show_default=False),
    ],
    tsa_cert: Annotated[
        Path | None,
        typer.Option(
            "--tsa-cert",
            metavar="FILE",
            help="Certificates (PEM) of authorities whose time stamps are believed.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify bundles and fraud proofs, alone and against each other, and say claim by claim what they show.

    Offline, and the same program as `python -m mandorla_protocol.audit`.
    """
    from mandorla_protocol.audit.__main__ import read_roots, verify_files
    from mandorla_protocol.audit.report import report_json, report_lines
    from mandorla_protocol.engine.loader import load_engine
    from mandorla_protocol.errors import Code

    from ..terminal import console, safe, write_json

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
