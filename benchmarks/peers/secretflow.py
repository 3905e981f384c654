"""Private set intersection with SecretFlow's PyPI `spu`: two processes here, in its own environment.

    python secretflow.py PROTOCOL N

PROTOCOL is ECDH (on Curve25519), KKRT or RR22. Each party reads a CSV file of N addresses; the first learns
the intersection, and writes it to another. Semi-honest, over loopback without TLS. Prints a JSON object with
the seconds of the slower party, from when both are connected, and the size of the intersection.
"""

from __future__ import annotations

import json
import multiprocessing
import socket
import sys
import tempfile
import time
from multiprocessing.queues import SimpleQueue
from pathlib import Path

PROTOCOLS = {"ECDH": "PROTOCOL_ECDH", "KKRT": "PROTOCOL_KKRT", "RR22": "PROTOCOL_RR22"}


def address(number: int) -> str:
    return f"{10 + (number >> 24)}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def run_party(
    rank: int, protocol: str, folder: str, addresses: list[str], answers: SimpleQueue[tuple[float, int]]
) -> None:
    from spu import libspu, psi  # noqa: PLC0415 - takes seconds, and only a party needs it

    description = libspu.link.Desc()
    for number, where in enumerate(addresses):
        description.add_party(f"party-{number}", where)
    link = libspu.link.create_brpc(description, rank)
    config = psi.PsiExecuteConfig(
        psi.PsiProtocolConfig(
            protocol=getattr(psi.PsiProtocol, PROTOCOLS[protocol]),
            receiver_rank=0,
            ecdh_params=psi.EcdhParams(curve=psi.EllipticCurveType.CURVE_25519),
        ),
        psi.InputParams(
            type=psi.SourceType.SOURCE_TYPE_FILE_CSV,
            path=f"{folder}/in-{rank}.csv",
            selected_keys=["id"],
            keys_unique=True,
        ),
        psi.OutputParams(type=psi.SourceType.SOURCE_TYPE_FILE_CSV, path=f"{folder}/out-{rank}.csv"),
        psi.ResultJoinConfig(type=psi.ResultJoinType.JOIN_TYPE_INNER_JOIN),
    )
    started = time.perf_counter()
    report = psi.psi_execute(config, link)
    answers.put((time.perf_counter() - started, report.intersection_count))
    link.stop_link()


def main() -> None:
    protocol, size = sys.argv[1], int(sys.argv[2])
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory(prefix="md-") as folder:
        for rank in range(2):
            values = range(rank * size // 2, rank * size // 2 + size)
            (Path(folder) / f"in-{rank}.csv").write_text("id\n" + "\n".join(map(address, values)) + "\n")
        with socket.socket() as one, socket.socket() as other:
            for probe in (one, other):
                probe.bind(("127.0.0.1", 0))
            addresses = [f"127.0.0.1:{probe.getsockname()[1]}" for probe in (one, other)]
        answers: SimpleQueue[tuple[float, int]] = spawn.SimpleQueue()
        parties = [
            spawn.Process(target=run_party, args=(rank, protocol, folder, addresses, answers))
            for rank in range(2)
        ]
        for party in parties:
            party.start()
        for party in parties:
            party.join()
        if any(party.exitcode for party in parties):
            raise SystemExit("a party failed")
        reports = [answers.get() for _ in parties]
    seconds, found = max(taken for taken, _ in reports), max(count for _, count in reports)
    print(json.dumps({"seconds": seconds, "found": found}))


if __name__ == "__main__":
    main()
