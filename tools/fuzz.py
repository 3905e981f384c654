"""Fuzz a decoder that peers reach, guided by coverage, for as long as is wanted.

    pip install atheris
    python -m tools.fuzz DECODER [-max_total_time=600] [CORPUS_FOLDER]

Without a decoder's name it lists them. The laws are those of tests/adversarial/test_decoders.py, which does
without atheris. Options and folders are libFuzzer's.
"""

from __future__ import annotations

import importlib
import sys

from tests.support.decoders import DECODERS


def main(arguments: list[str]) -> int:
    """Fuzz until something breaks a law, or time is over."""
    decoder = DECODERS.get(arguments[1]) if len(arguments) > 1 else None
    if decoder is None:
        print("decoders:", ", ".join(DECODERS))
        return 1
    try:
        atheris = importlib.import_module("atheris")
    except ModuleNotFoundError:
        print("atheris is not installed: pip install atheris")
        return 1
    atheris.instrument_all()

    def one(encoded: bytes) -> None:
        decoder.law(encoded)

    atheris.Setup([arguments[0], *arguments[2:]], one)
    atheris.Fuzz()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv))
