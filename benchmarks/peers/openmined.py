"""Private set intersection with PyPI `openmined-psi`: both parties here, in its own environment.

    python openmined.py N

The bare protocol: ECDH on NIST P-256, semi-honest, the client learns the intersection. Nothing is stored, and
messages are objects in memory. Prints a JSON object with the seconds and the size of the intersection.
"""

from __future__ import annotations

import json
import sys
import time

import private_set_intersection.python as psi


def address(number: int) -> str:
    return f"{10 + (number >> 24)}.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def main() -> None:
    size = int(sys.argv[1])
    held, asked = ([address(n) for n in range(first, first + size)] for first in (0, size // 2))
    started = time.perf_counter()
    client, server = psi.client.CreateWithNewKey(True), psi.server.CreateWithNewKey(True)
    setup = server.CreateSetupMessage(1e-9, size, held, psi.DataStructure.RAW)
    response = server.ProcessRequest(client.CreateRequest(asked))
    found = client.GetIntersection(setup, response)
    print(json.dumps({"seconds": time.perf_counter() - started, "found": len(found)}))


if __name__ == "__main__":
    main()
