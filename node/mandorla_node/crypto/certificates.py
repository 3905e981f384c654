"""TLS certificates of labs: self-signed, since peers pin their hashes and trust no authority (SPEC 9.9)."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from mandorla_protocol.card import Card
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, InputError

CLOCK_ERROR: Final = 300
"""The largest difference between two labs' clocks, in seconds (SPEC 9.3)."""

_LIFETIME = timedelta(days=825)
_BACKDATE = timedelta(hours=1)


def tls_name(lab: LabId, issued: int = 0) -> str:
    """Return the DNS name in the certificate of a card, which the lab's peers send as server name.

    Each card has its own name: a server with two certificates learns from the server name which one the peer
    pinned.
    """
    name = f"{lab.hex()[:32]}.mandorla.invalid"
    return f"{issued}.{name}" if issued else name


def issue_certificate(lab: LabId, now: datetime, issued: int = 0) -> tuple[bytes, bytes]:
    """Make a P-256 key and a certificate for a card with that time of issue; return both as PEM.

    The DNS name is the only SAN; gRPC's Python client refuses a certificate without a SAN.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    dns_name = tls_name(lab, issued)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, dns_name)])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(now + _LIFETIME)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(dns_name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    key_pem = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return key_pem, certificate.public_bytes(serialization.Encoding.PEM)


def require_pair(key_pem: bytes, certificate_pem: bytes) -> None:
    """Raise ValueError unless the private key belongs to the certificate."""
    key = serialization.load_pem_private_key(key_pem, password=None)
    if key.public_key() != x509.load_pem_x509_certificate(certificate_pem).public_key():
        raise ValueError("the key does not belong to the certificate")


def require_certificate_of(card: Card) -> None:
    """Raise InputError(BAD_CARD) unless a card's certificate has the card's name as its only DNS name."""
    try:
        names = (
            x509.load_der_x509_certificate(card.certificate)
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value.get_values_for_type(x509.DNSName)
        )
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.ExtensionNotFound):
        names = []
    if names != [tls_name(card.identity, card.issued)]:
        raise InputError(Code.BAD_CARD, "the certificate does not belong to the identity and its card")


def require_valid(card: Card, now: int) -> None:
    """Raise InputError(BAD_CARD) unless a card's certificate is valid at `now`.

    It may begin up to `CLOCK_ERROR` later: the lab that issued it may have a clock that is ahead.
    """
    try:
        certificate = x509.load_der_x509_certificate(card.certificate)
        begins = certificate.not_valid_before_utc.timestamp()
        valid = begins - CLOCK_ERROR <= now < certificate.not_valid_after_utc.timestamp()
    except (ValueError, x509.InvalidVersion):
        valid = False
    if not valid:
        raise InputError(Code.BAD_CARD, "the certificate is not valid now")


def expires_at(card: Card) -> int:
    """Return the expiry of a card's certificate in Unix seconds, 0 if the certificate is malformed."""
    try:
        return int(x509.load_der_x509_certificate(card.certificate).not_valid_after_utc.timestamp())
    except (ValueError, x509.InvalidVersion):
        return 0


def der_from_pem(pem: bytes) -> bytes:
    """Return a PEM certificate as DER."""
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def pem_from_der(der: bytes) -> bytes:
    """Return a DER certificate as PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
