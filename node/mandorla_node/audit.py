"""Writing an audit bundle: what the store kept of every round, sealed by the lab's identity (SPEC 17)."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from mandorla_protocol import signatures
from mandorla_protocol.audit.records import (
    PROPOSED,
    BundleStart,
    ChunkRecord,
    CloseRecord,
    Record,
    RoundRecord,
    Sealer,
)
from mandorla_protocol.errors import Code, InputError

from .clock import Clock, system_clock
from .home import Home
from .store import RoundAudit, Store

_CLOSES = ("committed", "aborted")


@dataclass(frozen=True, slots=True)
class Written:
    """What a bundle holds: rounds, evaluations for peers, and bytes."""

    rounds: int
    evaluations: int
    size: int


def write_bundle(home: Home, store: Store, path: Path, clock: Clock = system_clock) -> Written:
    """Write a bundle, whole or not at all; a file of that name is replaced.

    Raises InputError(BAD_FILE) if it cannot be written.
    """
    start = BundleStart(home.card.identity, home.card.name, clock())
    sealer = Sealer(start)
    rounds = evaluations = 0
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(sealer.add(start))
            for audit in store.rounds.for_audit():
                for record in _records(store, audit):
                    rounds += isinstance(record, RoundRecord)
                    evaluations += record.count if isinstance(record, ChunkRecord) else 0
                    file.write(sealer.add(record))
            file.write(sealer.seal(lambda sealed: signatures.sign(home.identity, sealed)))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        partial.replace(path)
    except OSError as error:
        with suppress(OSError):
            partial.unlink()
        raise InputError(Code.BAD_FILE, f"{path}: {error.strerror}") from None
    return Written(rounds, evaluations, size)


def _records(store: Store, audit: RoundAudit) -> Iterator[Record]:
    """Yield a round's records."""
    events = {entry.event: (at, entry) for at, entry in reversed(audit.journal)}
    if "agreed" in events and audit.state is not None:
        at, entry = events["agreed"]
        state, peer_signature = audit.state.value, entry.peer_signature
    elif "proposed" in events:
        # The peer may have agreed, and this lab never heard of it: its signature is all that there is.
        at, entry = events["proposed"]
        state, peer_signature = PROPOSED, bytes(signatures.SIGNATURE_SIZE)
    else:
        return
    yield RoundRecord(entry.body, entry.own_signature, peer_signature, at, state)
    for index, count, chunk in store.rounds.chunks(audit.round_id):
        content = (chunk.request, chunk.blinded, chunk.evaluated, chunk.proof)
        yield ChunkRecord(audit.round_id, index, count, *content)
    for at, entry in audit.journal:
        if entry.event in _CLOSES:
            yield CloseRecord(audit.round_id, entry.body, entry.own_signature, entry.peer_signature, at)
