"""Tags and sealed labels (SPEC 6).

The first 16 bytes of an OPRF output are the tag, which the holder publishes. The other 48 bytes give the key
of the label. So only a lab that has the indicator, and its evaluation by the holder, can open the label.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import lru_cache
from typing import Final, NewType

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.kdf.hkdf import HKDFExpand

from . import native_extension
from .encoding import Reader, Writer, encoded_data, encoded_uint
from .engine import OUTPUT_SIZE, split
from .epochs import Epoch
from .errors import Code, CryptoError, EncodingError

if native_extension.BUILT:
    from . import _native

Tag = NewType("Tag", bytes)
"""The first 16 bytes of an OPRF output."""

LabelKey = NewType("LabelKey", bytes)
"""The key of one indicator's labels in one key epoch, 32 bytes."""

TAG_SIZE: Final = 16
LABEL_KEY_SIZE: Final = 32
PADDED_LABEL_SIZE: Final = 256
SEALED_LABEL_SIZE: Final = PADDED_LABEL_SIZE + 16

_LABEL_DOMAIN: Final = "mandorla/v1 label"
_KEY_INFO: Final = Writer("mandorla/v1 label key").finish()
_AAD_DOMAIN: Final = Writer("mandorla/v1 sealed label").finish()
_MAX_TIME: Final = 2**40


class Reason(IntEnum):
    """Why the holder flagged an indicator. The set is closed, so that a label cannot carry free text."""

    UNSPECIFIED = 0
    DISTILLATION = 1
    PAYMENT_FRAUD = 2
    DISPOSABLE_IDENTITY = 3
    PROXY_INFRASTRUCTURE = 4
    ABUSE = 5


class Severity(IntEnum):
    """The harm that the holder saw."""

    LOW = 1
    MEDIUM = 2
    HIGH = 3
    CRITICAL = 4


class Tlp(IntEnum):
    """Traffic Light Protocol 2.0: to whom the querier may pass the label on."""

    CLEAR = 0
    GREEN = 1
    AMBER = 2
    AMBER_STRICT = 3
    RED = 4


@dataclass(frozen=True, slots=True)
class Label:
    """A holder's record about a flagged indicator (SPEC 6.3).

    `confidence` is 0 to 100. `first_seen` and `expires` are Unix seconds; 0 in `expires` means never.

    Raises EncodingError: BAD_LABEL for a number out of its range.
    """

    reason: Reason = Reason.UNSPECIFIED
    severity: Severity = Severity.MEDIUM
    confidence: int = 50
    first_seen: int = 0
    expires: int = 0
    tlp: Tlp = Tlp.AMBER

    def __post_init__(self) -> None:
        if not 0 <= self.confidence <= 100:
            raise EncodingError(Code.BAD_LABEL, "a confidence is not 0 to 100")
        if not (0 <= self.first_seen < _MAX_TIME and 0 <= self.expires < _MAX_TIME):
            raise EncodingError(Code.BAD_LABEL, "a time is outside 0 to 2**40 seconds")

    def encode(self) -> bytes:
        """Return the canonical encoding, padded with zeros to 256 bytes (SPEC 6.3)."""
        return _encoded(self)

    @classmethod
    def decode(cls, padded: bytes) -> Label:
        """Parse a padded label of 256 bytes (SPEC 6.3).

        Raises EncodingError: BAD_LABEL for another size, an unknown value, or padding that is not zero.
        """
        return _decoded(padded)


# Many indicators have equal labels, so most labels of a table are in these caches.
@lru_cache(maxsize=4096)
def _encoded(label: Label) -> bytes:
    encoded = (
        Writer(_LABEL_DOMAIN)
        .uint(label.reason, 1)
        .uint(label.severity, 1)
        .uint(label.confidence, 1)
        .uint(label.first_seen, 8)
        .uint(label.expires, 8)
        .uint(label.tlp, 1)
        .finish()
    )
    return encoded.ljust(PADDED_LABEL_SIZE, b"\x00")


@lru_cache(maxsize=4096)
def _decoded(padded: bytes) -> Label:
    if len(padded) != PADDED_LABEL_SIZE:
        raise EncodingError(Code.BAD_LABEL, "a padded label does not have 256 bytes")
    try:
        reader = Reader(padded, _LABEL_DOMAIN)
        label = Label(
            reason=Reason(reader.uint(1)),
            severity=Severity(reader.uint(1)),
            confidence=reader.uint(1),
            first_seen=reader.uint(8),
            expires=reader.uint(8),
            tlp=Tlp(reader.uint(1)),
        )
    except (EncodingError, ValueError):
        raise EncodingError(Code.BAD_LABEL, "a label's fields are not valid") from None
    if label.encode() != padded:
        raise EncodingError(Code.BAD_LABEL, "a label is not padded with zeros")
    return label


def split_output(output: bytes) -> tuple[Tag, LabelKey]:
    """Split an OPRF output of 64 bytes into the tag and the label key (SPEC 6.1, 6.2).

    Raises CryptoError: BAD_LENGTH for another size.
    """
    if len(output) != OUTPUT_SIZE:
        raise CryptoError(Code.BAD_LENGTH, "an output does not have 64 bytes")
    # The output is a pseudorandom key already, so HKDF needs no Extract step (RFC 5869 section 3.3). The tag
    # is public, so the key comes from the other 48 bytes only.
    key = HKDFExpand(algorithm=SHA512(), length=32, info=_KEY_INFO).derive(output[TAG_SIZE:])
    return Tag(output[:TAG_SIZE]), LabelKey(key)


def split_outputs(outputs: bytes) -> tuple[bytes, bytes]:
    """Split n joined outputs; return n joined tags and n joined label keys (SPEC 6.1, 6.2).

    Raises CryptoError: BAD_LENGTH unless there is a whole number of outputs.
    """
    if native_extension.BUILT:
        with native_extension.typed_errors():
            return _native.split_outputs(outputs, _KEY_INFO)
    return split_outputs_portable(outputs)


def split_outputs_portable(outputs: bytes) -> tuple[bytes, bytes]:
    """Do the work of `split_outputs` without the native extension."""
    pairs = [split_output(output) for output in split(outputs, OUTPUT_SIZE)]
    return b"".join(tag for tag, _ in pairs), b"".join(key for _, key in pairs)


def seal_labels(labels: Sequence[Label], keys: bytes, tags: bytes, epoch: Epoch, version: int) -> bytes:
    """Seal n labels, given n joined keys and n joined tags; return n * 272 bytes (SPEC 6.4).

    Raises CryptoError: BAD_LENGTH unless there are a key and a tag for each label.
    """
    if len(keys) != len(labels) * LABEL_KEY_SIZE or len(tags) != len(labels) * TAG_SIZE:
        raise CryptoError(Code.BAD_LENGTH, "each label needs a key of 32 bytes and a tag of 16")
    if native_extension.BUILT:
        # Many indicators often share one label object. A look-up by `id` is faster than hashing the label.
        objects = {id(label): label for label in labels}
        encoded = {number: _encoded(label) for number, label in objects.items()}
        padded = b"".join([encoded[id(label)] for label in labels])
        with native_extension.typed_errors():
            aad = (_AAD_DOMAIN, _aad_end(epoch, version))
            return _native.seal_labels(keys, tags, padded, _nonce(version), aad)
    return seal_labels_portable(labels, keys, tags, epoch, version)


def seal_labels_portable(
    labels: Sequence[Label], keys: bytes, tags: bytes, epoch: Epoch, version: int
) -> bytes:
    """Do the work of `seal_labels` without the native extension."""
    each = zip(labels, split(keys, LABEL_KEY_SIZE), split(tags, TAG_SIZE), strict=True)
    return b"".join(seal(label, LabelKey(key), Tag(tag), epoch, version) for label, key, tag in each)


def open_labels(sealed: bytes, keys: bytes, tags: bytes, epoch: Epoch, version: int) -> list[Label | None]:
    """Open n joined sealed labels, given n joined keys and n joined tags (SPEC 6.4).

    Return None for a label that does not open or is malformed. That is no error: the holder must not notice
    it (SPEC 6.5).

    Raises CryptoError: BAD_LENGTH unless there are a key and a tag for each sealed label.
    """
    count = len(sealed) // SEALED_LABEL_SIZE
    sizes = (count * SEALED_LABEL_SIZE, count * LABEL_KEY_SIZE, count * TAG_SIZE)
    if (len(sealed), len(keys), len(tags)) != sizes:
        raise CryptoError(Code.BAD_LENGTH, "each sealed label of 272 bytes needs a key of 32 and a tag of 16")
    if not native_extension.BUILT:
        return open_labels_portable(sealed, keys, tags, epoch, version)
    aad = (_AAD_DOMAIN, _aad_end(epoch, version))
    with native_extension.typed_errors():
        opened, padded = _native.open_labels(keys, tags, sealed, _nonce(version), aad)
    each = zip(opened, split(padded, PADDED_LABEL_SIZE), strict=True)
    return [_decoded_or_none(label) if authentic else None for authentic, label in each]


def open_labels_portable(
    sealed: bytes, keys: bytes, tags: bytes, epoch: Epoch, version: int
) -> list[Label | None]:
    """Do the work of `open_labels` without the native extension."""
    labels: list[Label | None] = []
    for one, key, tag in zip(
        split(sealed, SEALED_LABEL_SIZE), split(keys, LABEL_KEY_SIZE), split(tags, TAG_SIZE), strict=True
    ):
        try:
            labels.append(open_sealed(one, LabelKey(key), Tag(tag), epoch, version))
        except (CryptoError, EncodingError):
            labels.append(None)
    return labels


def _decoded_or_none(padded: bytes) -> Label | None:
    try:
        return _decoded(padded)
    except EncodingError:
        return None


def seal(label: Label, key: LabelKey, tag: Tag, epoch: Epoch, version: int) -> bytes:
    """Seal a label; return 272 bytes (SPEC 6.4, RFC 8439 section 2.8)."""
    # ChaCha20-Poly1305 must never use one key with one nonce twice. A key belongs to one indicator in one key
    # epoch, and a version adds a tag at most once, so the table version can be the nonce. The associated data
    # bind the label to its tag, key epoch and version: a holder cannot move a sealed label to another place.
    return ChaCha20Poly1305(key).encrypt(_nonce(version), label.encode(), _aad(tag, epoch, version))


def open_sealed(sealed: bytes, key: LabelKey, tag: Tag, epoch: Epoch, version: int) -> Label:
    """Open a sealed label of 272 bytes (SPEC 6.4).

    Raises CryptoError: BAD_LABEL if it does not authenticate. Raises EncodingError: BAD_LABEL if its content
    is malformed. The caller must hide both from the holder: a holder that learns of a label that failed to
    open learns that the querier has the indicator (SPEC 6.5).
    """
    try:
        padded = ChaCha20Poly1305(key).decrypt(_nonce(version), sealed, _aad(tag, epoch, version))
    except InvalidTag:
        raise CryptoError(Code.BAD_LABEL, "a sealed label does not authenticate") from None
    return Label.decode(padded)


def _nonce(version: int) -> bytes:
    return version.to_bytes(12, "big")


def _aad(tag: Tag, epoch: Epoch, version: int) -> bytes:
    if len(tag) != TAG_SIZE:
        raise EncodingError(Code.BAD_LENGTH, "a tag does not have 16 bytes")
    return _AAD_DOMAIN + tag + _aad_end(epoch, version)


@lru_cache(maxsize=256)
def _aad_end(epoch: Epoch, version: int) -> bytes:
    return encoded_data(epoch.encode()) + encoded_uint(version, 8)
