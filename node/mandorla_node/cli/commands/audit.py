"""`mandorla audit`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mandorla_protocol.errors import Code

from ..help import ManualCommand, ManualGroup, manual, status
from ..lazy_commands import handled_by
from ..options import HomeOption, JsonOption, PeerArgument

app = typer.Typer(
    cls=ManualGroup,
    add_completion=False,
    no_args_is_help=True,
    help="Record what this lab did for an auditor, or verify such records.",
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
)


@app.command(cls=ManualCommand)
@handled_by("mandorla_node.cli.handlers.audit_records:bundle")
@manual(
    ("For the auditor:", "mandorla audit bundle --out alder.audit"),
    (
        "With a time stamp, which proves that the records existed at its time:",
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
    """Write one signed file with this lab's log, and with the answers that this lab gave to its peers.

    The log has the headers, the recorded close statements and their signatures. The file does not have the
    answers that this lab received. It holds no indicator, and it is not encrypted. The node may be running or
    stopped.
    """


@app.command(cls=ManualCommand)
@handled_by("mandorla_node.cli.handlers.audit_records:fraud")
@manual(
    (
        "Against a peer that signed two different logs, as `mandorla status` reports:",
        "mandorla audit fraud birch --out birch.fraud",
    ),
    see="`mandorla audit verify`; docs/audit.md",
)
def fraud(
    peer: PeerArgument,
    home: HomeOption,
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="FILE", help="The file to write.", show_default=False)
    ],
) -> None:
    """Write the proof that a peer signed two different logs. Anyone can verify it."""


@app.command(cls=ManualCommand)
@handled_by("mandorla_node.cli.handlers.audit_verify:verify")
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
            help="Certificates (PEM) of the time stamp authorities to trust.",
        ),
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Verify bundles and fraud proofs, alone and against each other, and print the result of each claim.

    The command works offline. It is the same program as `python -m mandorla_protocol.audit`.
    """
