"""A signature binds one lab to one structure."""

import hashlib

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st
from nacl.bindings import crypto_core_ed25519_add, crypto_scalarmult_ed25519_base_noclamp

from mandorla_protocol.epochs import LabId
from mandorla_protocol.errors import Code, CryptoError
from mandorla_protocol.signatures import SIGNATURE_SIZE, lab_id, sign, verify
from tests.protocol.alterations import alterations

KEY = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
OTHER = Ed25519PrivateKey.from_private_bytes(bytes(range(1, 33)))
ORDER = 2**252 + 27742317777372353535851937790883648493

SMALL_ORDER = [
    "0100000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000080",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0000000000000000000000000000000000000000000000000000000000000080",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
]


def assert_refused(signer: bytes, structure: bytes, signature: bytes) -> None:
    with pytest.raises(CryptoError) as caught:
        verify(LabId(signer), structure, signature)
    assert caught.value.code is Code.BAD_SIGNATURE


def test_a_vector_of_rfc_8032() -> None:
    key = Ed25519PrivateKey.from_private_bytes(
        bytes.fromhex("4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb")
    )
    signature = sign(key, b"\x72")
    assert lab_id(key).hex() == "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c"
    assert signature.hex() == (
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
        "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
    )


@given(st.binary(max_size=100))
def test_a_signature_verifies_for_its_lab_and_structure_only(structure: bytes) -> None:
    signature = sign(KEY, structure)
    assert len(signature) == SIGNATURE_SIZE
    assert verify(lab_id(KEY), structure, signature) == signature
    assert_refused(lab_id(OTHER), structure, signature)
    assert_refused(lab_id(KEY), structure + b"\x00", signature)


@pytest.mark.spec("3.3-1")
def test_no_altered_signature_verifies() -> None:
    for altered in alterations(sign(KEY, b"structure")):
        assert_refused(lab_id(KEY), b"structure", altered)


def test_no_altered_identity_or_structure_verifies() -> None:
    signature = sign(KEY, b"structure")
    for altered in alterations(lab_id(KEY)):
        assert_refused(altered, b"structure", signature)
    for altered in alterations(b"structure"):
        assert_refused(lab_id(KEY), altered, signature)


@pytest.mark.spec("3.3-1")
def test_a_signature_has_no_second_form() -> None:
    signature = sign(KEY, b"structure")
    s = int.from_bytes(signature[32:], "little") + ORDER
    assert_refused(lab_id(KEY), b"structure", signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.spec("3.3-1")
@pytest.mark.parametrize("identity", SMALL_ORDER)
def test_an_identity_that_any_signature_fits_is_refused(identity: str) -> None:
    """With A of small order and s = 0, R = -kA holds for one structure in eight, and nobody signed it."""
    for point in ("01" + "00" * 31, identity):
        for structure in range(16):
            assert_refused(bytes.fromhex(identity), bytes([structure]), bytes.fromhex(point) + bytes(32))


def signed_with_torsion(structure: bytes, torsion: bytes) -> bytes:
    """Sign as in RFC 8032, with a point of small order added to R."""
    secret = int.from_bytes(hashlib.sha512(KEY.private_bytes_raw()).digest()[:32], "little")
    secret = secret & ~7 & (2**254 - 1) | 2**254
    nonce = 12345
    r = crypto_core_ed25519_add(crypto_scalarmult_ed25519_base_noclamp(nonce.to_bytes(32, "little")), torsion)
    k = int.from_bytes(hashlib.sha512(r + lab_id(KEY) + structure).digest(), "little")
    return r + ((nonce + k * secret) % ORDER).to_bytes(32, "little")


def test_a_signature_made_by_hand_verifies_without_torsion() -> None:
    verify(lab_id(KEY), b"structure", signed_with_torsion(b"structure", bytes.fromhex(SMALL_ORDER[0])))


@pytest.mark.spec("3.3-2")
@pytest.mark.parametrize("torsion", [SMALL_ORDER[2], *SMALL_ORDER[3:9]])
def test_a_signature_that_holds_only_up_to_the_cofactor_is_refused(torsion: str) -> None:
    """Eight times the equation holds: a verifier that multiplies by the cofactor would accept."""
    signature = signed_with_torsion(b"structure", bytes.fromhex(torsion))
    assert_refused(lab_id(KEY), b"structure", signature)
