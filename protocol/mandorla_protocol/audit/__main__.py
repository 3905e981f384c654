"""`python -m mandorla_protocol.audit FILE...`: verify bundles, with the protocol's dependencies alone."""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from cryptography import x509

from ..engine import Engine
from ..engine.loader import load_engine
from ..errors import Code, InputError, MandorlaError
from ..header import CLOCK_SKEW
from ..log.fraud import FIRST_LINE, MAX_FRAUD_PROOF, FraudProof
from .bundle import Bundle
from .cross_check import cross_check
from .findings import Claim, Conclusion, Finding
from .reader import BundleReader
from .records import read_frames
from .report import report_json, report_lines
from .stamps import load_roots, verify_stamp


def verify_files(paths: Sequence[str], engine: Engine, roots: Sequence[x509.Certificate] = ()) -> Conclusion:
    """Verify bundles and fraud proofs together; `roots` are trusted time stamping authorities.

    Raises InputError: BAD_FILE if a file cannot be read, or is neither a bundle nor a fraud proof.
    """
    readers, others = [], []
    for path in paths:
        with _named(path), open(path, "rb") as file:  # noqa: PTH123 - the protocol does not import pathlib
            is_fraud = file.read(len(FIRST_LINE)) == FIRST_LINE.encode()
            file.seek(0)
            if is_fraud:
                others.append(_fraud(path, file.read(MAX_FRAUD_PROOF + 1)))
            else:
                reader = BundleReader(path, engine)
                reader.read(read_frames(file.read))
                others += _stamps(reader.bundle, roots)
                readers.append(reader)
    return cross_check(readers, others)


@contextmanager
def _named(path: str) -> Iterator[None]:
    """Put the file's path before the detail of an error."""
    try:
        yield
    except OSError as error:
        raise InputError(Code.BAD_FILE, f"{path}: {error.strerror}") from None
    except InputError as error:
        raise InputError(error.code, f"{path}: {error.detail}") from None


def _stamps(bundle: Bundle, roots: Sequence[x509.Certificate]) -> Iterator[Finding]:
    for stamp in bundle.stamps if roots else ():
        try:
            at = verify_stamp(stamp.response, stamp.checkpoint.text().encode(), roots)
        except MandorlaError as error:
            yield Finding(Claim.TIMED, bundle.name, b"", error.detail)
            continue
        bundle.stamped.append((stamp.checkpoint.size, at))
        if stamp.latest_entry > at + CLOCK_SKEW:
            fault = "an entry has a later time than an authority's stamp on it"
            yield Finding(Claim.TIMED, bundle.name, b"", fault)


def _fraud(path: str, content: bytes) -> Finding:
    try:
        proof = FraudProof.decode(content)
        checkpoint, _ = proof.require_valid()
    except MandorlaError as error:
        raise InputError(Code.BAD_FILE, f"the file proves no fraud: {error.detail}") from None
    lab = proof.log.lab.hex()
    fault = f"the lab {lab[:8]} ({checkpoint.origin}) signed two trees of {checkpoint.size} entries"
    return Finding(Claim.LOGGED, path, b"", fault)


def main(arguments: Sequence[str]) -> int:
    """Verify the named files, print the conclusion, and return the exit status (SPEC 11)."""
    parser = ArgumentParser("python -m mandorla_protocol.audit", description="Verify audit bundles.")
    parser.add_argument("files", nargs="+", metavar="FILE", help="a bundle or a fraud proof")
    parser.add_argument("--json", action="store_true", help="print the conclusion as JSON")
    parser.add_argument("--tsa-cert", metavar="PEM", help="certificates of trusted time stamping authorities")
    options = parser.parse_args(arguments)
    try:
        conclusion = verify_files(options.files, load_engine("auto", 0), read_roots(options.tsa_cert))
    except MandorlaError as error:
        sys.stderr.write(error.diagnostics() + "\n")
        return error.code.info.exit_status
    if options.json:
        sys.stdout.write(json.dumps(report_json(conclusion), indent=2) + "\n")
    else:
        sys.stdout.write("\n".join(report_lines(conclusion)) + "\n")
    return 0 if conclusion.holds else Code.CHECK_FAILED.info.exit_status


def read_roots(path: str | None) -> Sequence[x509.Certificate]:
    """Read certificates of time stamping authorities from a PEM file; return none without a path.

    Raises InputError: BAD_FILE if the file cannot be read, or holds no certificates.
    """
    if path is None:
        return ()
    with _named(path), open(path, "rb") as file:  # noqa: PTH123 - as above
        return load_roots(file.read())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
