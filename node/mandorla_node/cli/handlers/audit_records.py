"""The files of `mandorla audit bundle` and `mandorla audit fraud`."""

from __future__ import annotations

from contextlib import closing
from functools import partial
from pathlib import Path

from mandorla_protocol.errors import Code, InputError

from ...audit.bundle import write_bundle
from ...audit.time_stamps import request_stamp
from ...home.folder import Home
from ...terminal import console, count, safe, size


def bundle(home: Path, out: Path, tsa: str | None) -> None:
    """Write the lab's records to a file, with a time stamp if an authority is named."""
    opened = Home.open(home)
    stamp = None if tsa is None else partial(request_stamp, tsa)
    with closing(opened.open_store()) as store:
        written = write_bundle(opened, store, out, stamp=stamp)
    contents = (
        f"{count(written.rounds)} rounds, {count(written.evaluations)} evaluations, {size(written.size)}"
    )
    console().print(safe(f"{out}: {contents}. It holds no indicator; give it to the auditor."))


def fraud(peer: str, home: Path, out: Path) -> None:
    """Write the proof that a peer signed two different logs.

    Raises InputError: BAD_INPUT if it did not, BAD_FILE if the file cannot be written.
    """
    with closing(Home.locate(home).open_store()) as store:
        proof = store.log.fraud_proof(store.peers.get(peer).lab)
    if proof is None:
        raise InputError(Code.BAD_INPUT, f"{peer} has shown only one log, so there is no proof")
    try:
        out.write_bytes(proof.encode())
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{out}: {error.strerror}") from None
    console().print(safe(f"{out}: two checkpoints that {peer} signed and that no single log can have."))
