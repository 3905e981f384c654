"""TLS certificates: self-signed, since peers pin them by hash and trust no authority (SPEC 9.9)."""

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
"""Seconds by which the clocks of two labs may differ (SPEC 9.3)."""

_LIFETIME = timedelta(days=825)
_BACKDATE = timedelta(hours=1)


def tls_name(lab: LabId, issued: int = 0) -> str:
    """Return the DNS name that the certificate of a card carries and the lab's peers ask for.

    Each card has its own: by the name that a peer asks for, a server that has two certificates knows which of
    them the peer pinned.
    """
    name = f"{lab.hex()[:32]}.mandorla.invalid"
    return f"{issued}.{name}" if issued else name


def issue_certificate(lab: LabId, now: datetime, issued: int = 0) -> tuple[bytes, bytes]:
    """Make a P-256 key and a certificate for it, for a card of that time of issue; return both as PEM.

    The DNS name is the only SAN: gRPC's Python client refuses a certificate that has none.
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
    """Raise ValueError unless the private key is that of the certificate."""
    key = serialization.load_pem_private_key(key_pem, password=None)
    if key.public_key() != x509.load_pem_x509_certificate(certificate_pem).public_key():
        raise ValueError("the key is not that of the certificate")


def require_certificate_of(card: Card) -> None:
    """Raise InputError(BAD_CARD) unless a card's certificate parses and carries the card's name alone."""
    try:
        names = (
            x509.load_der_x509_certificate(card.certificate)
            .extensions.get_extension_for_class(x509.SubjectAlternativeName)
            .value.get_values_for_type(x509.DNSName)
        )
    except (ValueError, x509.InvalidVersion, x509.DuplicateExtension, x509.ExtensionNotFound):
        names = []
    if names != [tls_name(card.identity, card.issued)]:
        raise InputError(Code.BAD_CARD, "the certificate is not one of the identity and its card")


def require_valid(card: Card, now: int) -> None:
    """Raise InputError(BAD_CARD) unless a card's certificate is valid now, give or take a clock's error."""
    try:
        certificate = x509.load_der_x509_certificate(card.certificate)
        begins = certificate.not_valid_before_utc.timestamp()
        valid = begins - CLOCK_ERROR <= now < certificate.not_valid_after_utc.timestamp()
    except (ValueError, x509.InvalidVersion):
        valid = False
    if not valid:
        raise InputError(Code.BAD_CARD, "the certificate is not valid now")


def expires_at(card: Card) -> int:
    """Return when a card's certificate expires, in Unix seconds; 0 if that cannot be read."""
    try:
        return int(x509.load_der_x509_certificate(card.certificate).not_valid_after_utc.timestamp())
    except (ValueError, x509.InvalidVersion):
        return 0


def der_from_pem(pem: bytes) -> bytes:
    """Return a PEM certificate's DER bytes."""
    return x509.load_pem_x509_certificate(pem).public_bytes(serialization.Encoding.DER)


def pem_from_der(der: bytes) -> bytes:
    """Return a DER certificate as PEM."""
    return x509.load_der_x509_certificate(der).public_bytes(serialization.Encoding.PEM)
