"""Checkpoints, cosignatures and fraud proofs have the form of C2SP, and no other."""

from __future__ import annotations

import base64

import hypothesis.strategies as st
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given

from mandorla_protocol import signatures
from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, MandorlaError
from mandorla_protocol.log.checkpoint import (
    Checkpoint,
    LogKey,
    by_log_alone,
    cosign,
    open_checkpoint,
    sign_checkpoint,
    verify_cosignature,
)
from mandorla_protocol.log.fraud import FraudProof, verifier_key
from mandorla_protocol.log.notes import Note, NoteSignature, SignatureType, key_id

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ORIGIN = "mandorla.invalid/lab-a/0123456789abcdef"
LOG = LogKey(ORIGIN, signatures.lab_id(KEY))
CHECKPOINT = Checkpoint(ORIGIN, 17, bytes(range(32)))
NOTE = sign_checkpoint(KEY, CHECKPOINT)
NOW = 1_800_000_000

# The example of the Go module golang.org/x/mod/sumdb/note, from which C2SP took the format.
GO_KEY = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
GO_NOTE = """\
If you think cryptography is the answer to your problem,
then you don't know what your problem is.

\u2014 PeterNeumann \
x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=
"""


def refused(action: object, *arguments: object) -> bool:
    try:
        action(*arguments)  # type: ignore[operator]
    except MandorlaError as error:
        assert error.code is Code.BAD_CHECKPOINT
        return True
    return False


def test_a_note_of_another_implementation_verifies() -> None:
    name, identifier, material = GO_KEY.split("+")
    lab = LabId(base64.b64decode(material)[1:])
    note = Note.decode(GO_NOTE.encode())
    assert key_id(name, SignatureType.ED25519, lab).hex() == identifier
    assert verifier_key(LogKey(name, lab)) == GO_KEY
    (signature,) = note.signatures_by(name, bytes.fromhex(identifier))
    signatures.verify(lab, note.text.encode(), signature)
    assert note.encode() == GO_NOTE.encode()


def test_a_checkpoint_is_what_was_signed() -> None:
    assert open_checkpoint(NOTE, LOG) == CHECKPOINT
    assert NOTE.decode().startswith(
        f"{ORIGIN}\n17\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n\u2014 {ORIGIN} "
    )


@given(st.binary(max_size=200))
def test_no_bytes_are_taken_for_a_checkpoint_but_those(noise: bytes) -> None:
    assert refused(open_checkpoint, noise, LOG)


@pytest.mark.spec("18.3-2")
@given(st.integers(0, len(NOTE) - 1), st.integers(1, 255))
def test_a_checkpoint_that_was_altered_anywhere_is_refused(place: int, change: int) -> None:
    changed = bytearray(NOTE)
    changed[place] ^= change
    assert refused(open_checkpoint, bytes(changed), LOG)


@pytest.mark.spec("18.3-2")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"\n17\n", b"\n017\n"),
        (b"\n17\n", b"\n+17\n"),
        (b"\n17\n", b"\n 17\n"),
        (b"\n17\n", "\n\u0661\u0667\n".encode()),
        (b"\n17\n", b"\n1" + b"0" * 18 + b"\n"),
        (b"\n17\n", b"\n-1\n"),
        (b"Hh8=\n", b"Hh9=\n"),
        (b"Hh8=\n", b"Hh8\n"),
        (b"Hh8=\n", b"Hh8=\nextension\n"),
        (b"\n17\n", b"\n17\r\n"),
    ],
)
def test_a_text_that_no_log_writes_is_refused_even_if_it_is_signed(old: bytes, new: bytes) -> None:
    text = CHECKPOINT.text().encode().replace(old, new).decode()
    assert text != CHECKPOINT.text()
    identifier = key_id(ORIGIN, SignatureType.ED25519, LOG.lab)
    note = Note(text, (NoteSignature(ORIGIN, identifier, KEY.sign(text.encode())),))
    assert refused(open_checkpoint, note.encode(), LOG)


@pytest.mark.spec("18.3-2")
def test_only_the_logs_own_signature_counts_and_only_once() -> None:
    other = LogKey("other", signatures.lab_id(OTHER))
    assert refused(open_checkpoint, NOTE, other)
    assert refused(open_checkpoint, NOTE, LogKey(ORIGIN, other.lab))
    note = Note.decode(NOTE)
    twice = Note(note.text, note.signatures * 2)
    assert refused(open_checkpoint, twice.encode(), LOG)
    stranger = NoteSignature("stranger", b"1234", b"anything")
    with_stranger = Note(note.text, (stranger, *note.signatures)).encode()
    assert open_checkpoint(with_stranger, LOG) == CHECKPOINT
    assert by_log_alone(with_stranger, LOG) == NOTE


def test_a_cosignature_is_the_cosigners_on_this_checkpoint_at_its_time() -> None:
    lab = signatures.lab_id(OTHER)
    cosignature = cosign(OTHER, CHECKPOINT, NOW)
    assert verify_cosignature(lab, CHECKPOINT, cosignature) == NOW
    later = (NOW + 1).to_bytes(8, "big") + cosignature[8:]
    for wrong in (later, cosignature[:-1], cosignature + b"\x00", b"", bytes(72), b"\xff" * 72):
        assert refused(verify_cosignature, lab, CHECKPOINT, wrong)
    assert refused(verify_cosignature, LOG.lab, CHECKPOINT, cosignature)
    assert refused(verify_cosignature, lab, Checkpoint(ORIGIN, 18, CHECKPOINT.root), cosignature)


def test_a_cosignature_is_no_signature_of_the_log_nor_the_other_way_round() -> None:
    """One key makes both signatures, and the signed bytes differ."""
    cosignature = cosign(KEY, CHECKPOINT, NOW)
    note = Note.decode(NOTE)
    as_log = Note(note.text, (NoteSignature(ORIGIN, note.signatures[0].key_id, cosignature[8:]),))
    assert refused(open_checkpoint, as_log.encode(), LOG)
    signature = note.signatures[0].signature
    assert refused(verify_cosignature, LOG.lab, CHECKPOINT, NOW.to_bytes(8, "big") + signature)


def test_two_roots_for_one_size_are_a_fraud_and_nothing_else_is() -> None:
    forked = sign_checkpoint(KEY, Checkpoint(ORIGIN, 17, bytes(32)))
    proof = FraudProof(LOG, NOTE, forked)
    assert FraudProof.decode(proof.encode()) == proof
    grown = sign_checkpoint(KEY, Checkpoint(ORIGIN, 18, bytes(32)))
    strangers = sign_checkpoint(OTHER, Checkpoint(ORIGIN, 17, bytes(32)))
    elsewhere = sign_checkpoint(KEY, Checkpoint("elsewhere", 17, bytes(32)))
    for innocent in (NOTE, grown, strangers, elsewhere, b""):
        assert refused(FraudProof.decode, FraudProof(LOG, NOTE, innocent).encode())


@given(st.integers(0, 10_000), st.integers(1, 255))
def test_a_fraud_proof_that_was_altered_anywhere_is_refused(place: int, change: int) -> None:
    content = bytearray(
        FraudProof(LOG, NOTE, sign_checkpoint(KEY, Checkpoint(ORIGIN, 17, bytes(32)))).encode()
    )
    content[place % len(content)] ^= change
    assert refused(FraudProof.decode, bytes(content))
