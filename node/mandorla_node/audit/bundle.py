"""The writer of audit bundles: this lab's log, the data to verify it, and a seal (SPEC 17)."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from operator import attrgetter
from pathlib import Path

from mandorla_protocol import signatures
from mandorla_protocol.audit.records import (
    BundleStart,
    CardRecord,
    CheckpointRecord,
    ElementsRecord,
    Record,
    Sealer,
    TimeStampRecord,
)
from mandorla_protocol.errors import Code, InputError
from mandorla_protocol.log.checkpoint import Checkpoint, sign_checkpoint
from mandorla_protocol.log.entries import ChunkCharged, ChunkEvaluated, LogEntry, RoundAgreed, decode_entry

from ..core.clock import Clock, system_clock
from ..home.folder import Home
from ..store import CosignedCheckpoint, Store


@dataclass(frozen=True, slots=True)
class WrittenBundle:
    """The size of a bundle: rounds, evaluations for peers, and bytes."""

    rounds: int
    evaluations: int
    size: int


def write_bundle(
    home: Home,
    store: Store,
    path: Path,
    clock: Clock = system_clock,
    stamp: Callable[[bytes], bytes] | None = None,
) -> WrittenBundle:
    """Write a bundle atomically, replacing a file of the same name.

    `stamp` returns a time stamping authority's response for the text of a checkpoint.

    Raises InputError(BAD_FILE) if the file cannot be written, and the errors of `stamp`.
    """
    start = BundleStart(
        lab=home.card.identity,
        name=home.card.name,
        origin=home.card.log_origin,
        created=clock(),
        keep_elements=home.settings.audit.keep_elements,
    )
    sealer = Sealer(start)
    rounds = evaluations = 0
    partial = path.with_name(f".{path.name}.partial")
    try:
        descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(sealer.add(start))
            for record in _records(home, store, stamp):
                rounds += isinstance(record, RoundAgreed)
                evaluations += record.count if isinstance(record, ChunkCharged) else 0
                file.write(sealer.add(record))
            file.write(sealer.seal(lambda sealed: signatures.sign(home.identity, sealed)))
            file.flush()
            os.fsync(file.fileno())
            size = file.tell()
        partial.replace(path)
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{path}: {error.strerror}") from None
    finally:
        with suppress(OSError):
            partial.unlink()
    return WrittenBundle(rounds, evaluations, size)


def _records(home: Home, store: Store, stamp: Callable[[bytes], bytes] | None) -> Iterator[Record]:
    """Yield the cards, then the log's entries; elements and checkpoints follow the entries they belong to."""
    for card in (home.card, *(peer.card for peer in store.peers.all())):
        yield CardRecord(card.to_json())
    size, root = store.log.head()
    checkpoints = groupby(store.log.cosigned_checkpoints(size), key=attrgetter("size", "root"))
    pending = next(checkpoints, None)
    for count, (_, encoded) in enumerate(store.log.entries(size), start=1):
        entry = decode_entry(encoded)
        yield entry
        yield from _elements(store, entry)
        if pending is not None and pending[0][0] == count:
            yield _checkpoint(home, *pending[0], list(pending[1]))
            pending = next(checkpoints, None)
    yield _checkpoint(home, size, root, [])
    if stamp is not None:
        yield TimeStampRecord(stamp(Checkpoint(home.card.log_origin, size, root).text().encode()))


def _elements(store: Store, entry: LogEntry) -> Iterator[ElementsRecord]:
    if isinstance(entry, ChunkEvaluated):
        elements = store.rounds.elements(entry.round_id, entry.index)
        if elements is not None:
            yield ElementsRecord(entry.round_id, entry.index, *elements)


def _checkpoint(home: Home, size: int, root: bytes, cosigned: list[CosignedCheckpoint]) -> CheckpointRecord:
    note = sign_checkpoint(home.identity, Checkpoint(home.card.log_origin, size, root))
    return CheckpointRecord(
        note, tuple((checkpoint.cosigner, checkpoint.cosignature) for checkpoint in cosigned)
    )
