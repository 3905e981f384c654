"""Time stamps of independent authorities for checkpoints (RFC 3161, SPEC 17.3)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from cryptography import x509

from ..errors import Code, CryptoError, InputError

MAX_RESPONSE: Final = 65_536


def load_roots(pem: bytes) -> list[x509.Certificate]:
    """Return the certificates in a PEM text.

    Raises InputError: BAD_FILE if there are none.
    """
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise InputError(Code.BAD_FILE, "the file holds no certificates in PEM") from None


def verify_stamp(response: bytes, text: bytes, roots: Sequence[x509.Certificate]) -> int:
    """Verify a time stamp on a text by an authority under one of the roots; return its time in Unix seconds.

    Raises CryptoError: BAD_SIGNATURE if the response does not verify.
    """
    # Loaded only for bundles with time stamps.
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
        raise CryptoError(Code.BAD_SIGNATURE, f"the time stamp does not verify: {error}") from None
