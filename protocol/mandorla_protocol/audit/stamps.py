"""Time stamps of independent authorities on checkpoints (RFC 3161, SPEC 17.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography import x509

from ..errors import Code, CryptoError, InputError

MAX_RESPONSE: Final = 65_536


def load_roots(pem: bytes) -> list[x509.Certificate]:
    """Read the certificates of authorities that are trusted; raises InputError(BAD_FILE)."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise InputError(Code.BAD_FILE, "this holds no certificates in PEM") from None


def verify_stamp(response: bytes, text: bytes, roots: Sequence[x509.Certificate]) -> int:
    """Check that an authority under one of the roots stamped a text; return when, in Unix seconds.

    Raises CryptoError(BAD_SIGNATURE).
    """
    # Its readers need it for bundles with stamps alone.
    from rfc3161_client import (  # noqa: PLC0415
        VerificationError,
        VerifierBuilder,
        decode_timestamp_response,
    )

    try:
        decoded = decode_timestamp_response(response)
        VerifierBuilder(roots=list(roots)).build().verify_message(decoded, text)
        return int(decoded.tst_info.gen_time.timestamp())
    except (VerificationError, ValueError) as error:
        raise CryptoError(Code.BAD_SIGNATURE, f"the time stamp does not hold: {error}") from None
