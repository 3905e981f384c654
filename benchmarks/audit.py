"""How long verifying a bundle of n evaluations takes, and how much memory.

    python benchmarks/audit.py 131072 1048576

The bundle is synthetic: one committed round with n evaluations between two made-up labs. Its chunks hold the
same elements, evaluated once, since a verifier cannot tell; each is verified by itself.
"""

from __future__ import annotations

import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mandorla_protocol import signatures
from mandorla_protocol.audit.records import BundleStart, CheckpointRecord, ElementsRecord, Sealer
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.group import Element
from mandorla_protocol.header import Offer, Party, RoundHeader, RoundId, RoundKind, RoundMode
from mandorla_protocol.log.checkpoint import Checkpoint, LogKey, cosign, sign_checkpoint
from mandorla_protocol.log.entries import (
    ChunkCharged,
    ChunkEvaluated,
    KeyEpochBegun,
    LogEntry,
    RoundAgreed,
    RoundClosed,
    RoundEnded,
    TableVersionPublished,
)
from mandorla_protocol.merkle import Frontier, hash_leaf
from mandorla_protocol.session.transcript import (
    CloseStatement,
    Outcome,
    answer_digest,
    half_digest,
    request_digest,
)
from mandorla_protocol.sizes import chunk_counts, size_class
from mandorla_protocol.table import TableCommitment

ENGINE = load_engine("auto", 0)
NOW = 1_790_000_000
ORIGIN = "example/lab-a"


def write(path: Path, total: int) -> None:
    """Write a bundle of one round with `total` evaluations, a size class."""
    holder, querier = Ed25519PrivateKey.generate(), Ed25519PrivateKey.generate()
    keys = ENGINE.derive_key_pair(bytes(32), b"benchmark")
    commitment = TableCommitment(1, 256, bytes(32))
    parties = [
        Party(signatures.lab_id(key), bytes(32), Offer(1, Element(keys.public), 2**32, 2**32, commitment))
        for key in (querier, holder)
    ]
    header = RoundHeader(
        RoundId(bytes(16)), RoundMode.BATCH, RoundKind.SHARED, "accounts", (("email", 1),),
        parties[0], parties[1],
        "benchmark", "benchmark", NOW, NOW + 3_600,
    )  # fmt: skip
    encoded, lab = header.encode(), signatures.lab_id(holder)
    largest = chunk_counts(total)[0]
    tokens = b"".join(number.to_bytes(32, "big") for number in range(largest))
    _, blinded = ENGINE.blind(tokens, os.urandom(64 * largest))
    answers: dict[int, tuple[bytes, bytes]] = {}
    for count in set(chunk_counts(total)):
        answers[count] = ENGINE.evaluate_and_prove(keys, blinded[: 32 * count], os.urandom(64))
    start = BundleStart(lab, "lab-a", ORIGIN, NOW + 100, 0)
    log, sealer = Frontier(), Sealer(start)

    def add(entry: LogEntry) -> None:
        nonlocal log
        log = log.extend([hash_leaf(entry.encode())])
        file.write(sealer.add(entry))

    def add_checkpoint() -> None:
        checkpoint = Checkpoint(ORIGIN, log.size, log.root)
        cosigner = LogKey("example/lab-b", signatures.lab_id(querier))
        cosignatures = ((cosigner, cosign(querier, checkpoint, NOW + 60)),)
        file.write(sealer.add(CheckpointRecord(sign_checkpoint(holder, checkpoint), cosignatures)))

    epoch, digests = header.epoch(lab), []
    with path.open("wb") as file:
        file.write(sealer.add(start))
        add(KeyEpochBegun(epoch, keys.public, 2**32, NOW + 10_000, NOW))
        add(TableVersionPublished(epoch, 1, 256, bytes(32), NOW))
        add_checkpoint()
        add(RoundAgreed(encoded, signatures.sign(holder, encoded), signatures.sign(querier, encoded), NOW))
        for index, count in enumerate(chunk_counts(total)):
            asked = blinded[: 32 * count]
            request = request_digest(header.digest(), index, asked)
            evaluated, proof = answers[count]
            digests.append(answer_digest(request, evaluated, proof))
            add(ChunkCharged(header.round_id, index, count, request, NOW))
            add(ChunkEvaluated(header.round_id, index, digests[-1], proof, NOW))
            file.write(sealer.add(ElementsRecord(header.round_id, index, asked, evaluated)))
        half = half_digest(header, signatures.lab_id(querier), digests)
        statement = CloseStatement(header.digest(), half, bytes(32), Outcome.COMMITTED).encode()
        own, peer = signatures.sign(holder, statement), signatures.sign(querier, statement)
        add(RoundClosed(header.round_id, statement, own, peer, NOW + 60))
        add(RoundEnded(header.round_id, "committed", "", NOW + 60))
        add_checkpoint()
        file.write(sealer.seal(lambda sealed: signatures.sign(holder, sealed)))


def main() -> None:
    """Measure each size and print a table."""
    cores = os.cpu_count()
    print(f"{platform.machine()}, {cores} cores, Python {platform.python_version()}, engine {ENGINE.name}")
    print("{:>12} {:>10} {:>10} {:>12}".format("evaluations", "MB", "seconds", "peak MiB"))
    for wanted in [int(argument) for argument in sys.argv[1:]] or [131_072, 1_048_576]:
        with tempfile.TemporaryDirectory(prefix="md-") as folder:
            path = Path(folder) / "lab-a.audit"
            write(path, size_class(wanted))
            started = time.monotonic()
            subprocess.run(
                [sys.executable, "-m", "mandorla_protocol.audit", str(path)], check=True, capture_output=True
            )
            seconds = time.monotonic() - started
            memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss // 1024
            print(
                f"{size_class(wanted):>12,} {path.stat().st_size / 1e6:>10.0f} {seconds:>10.1f} {memory:>12}"
            )


if __name__ == "__main__":
    main()
