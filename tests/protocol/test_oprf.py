"""Every ristretto255 vector of RFC 9497 appendix A.1, modes OPRF and VOPRF."""

import json
from pathlib import Path
from typing import Any

import pytest

from mandorla_protocol import dleq, oprf
from mandorla_protocol.dleq import rfc_seed
from mandorla_protocol.engine.portable import PortableEngine
from mandorla_protocol.errors import Code, CryptoError
from mandorla_protocol.group import Element, Scalar
from mandorla_protocol.group.ristretto255 import Ristretto255
from mandorla_protocol.oprf import Mode

GROUP = Ristretto255()
SUITES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parent / "data" / "rfc9497_ristretto255.json").read_text(encoding="utf-8")
)
CASES = [
    pytest.param(suite, vector, id=f"mode{suite['mode']}-{i}")
    for suite in SUITES
    for i, vector in enumerate(suite["vectors"])
]


def unhex(text: str) -> list[bytes]:
    return [bytes.fromhex(part) for part in text.split(",")]


@pytest.mark.parametrize("suite", SUITES, ids=lambda s: f"mode{s['mode']}")
def test_key_derivation(suite: dict[str, Any]) -> None:
    keys = oprf.derive_key_pair(
        GROUP, Mode(suite["mode"]), bytes.fromhex(suite["seed"]), bytes.fromhex(suite["keyInfo"])
    )
    assert keys.secret.hex() == suite["skSm"]
    if "pkSm" in suite:
        assert keys.public.hex() == suite["pkSm"]


@pytest.mark.parametrize(("suite", "vector"), CASES)
def test_blind_evaluate_finalize(suite: dict[str, Any], vector: dict[str, Any]) -> None:
    mode = Mode(suite["mode"])
    secret = Scalar(bytes.fromhex(suite["skSm"]))
    columns = [unhex(vector[k]) for k in ("Input", "Blind", "BlindedElement", "EvaluationElement", "Output")]
    for value, blinding, blinded, evaluated, output in zip(*columns, strict=True):
        assert oprf.blind(GROUP, mode, value, Scalar(blinding)) == blinded
        assert oprf.blind_evaluate(GROUP, secret, Element(blinded)) == evaluated
        assert oprf.finalize(GROUP, value, Scalar(blinding), Element(evaluated)) == output
        assert oprf.evaluate(GROUP, mode, secret, value) == output


@pytest.mark.parametrize(
    ("suite", "vector"), [case for case in CASES if case.values[0]["mode"] == Mode.VOPRF]
)
def test_proof(suite: dict[str, Any], vector: dict[str, Any]) -> None:
    context = oprf.context_string(Mode.VOPRF, GROUP)
    public = Element(bytes.fromhex(suite["pkSm"]))
    blinded = [Element(e) for e in unhex(vector["BlindedElement"])]
    evaluated = [Element(e) for e in unhex(vector["EvaluationElement"])]
    nonce = Scalar(bytes.fromhex(vector["Proof"]["r"]))
    proof = dleq.prove(
        GROUP, context, Scalar(bytes.fromhex(suite["skSm"])), public, blinded, evaluated, nonce, rfc_seed
    )
    assert proof.encode().hex() == vector["Proof"]["proof"]
    dleq.verify(GROUP, context, public, blinded, evaluated, proof, rfc_seed)


def test_keys_are_derived_from_32_bytes_and_info_whose_length_fits_its_field() -> None:
    oprf.derive_key_pair(GROUP, Mode.VOPRF, bytes(32), bytes(65_535))
    for seed, info in ((bytes(32), bytes(65_536)), (bytes(31), b""), (bytes(33), b"")):
        with pytest.raises(CryptoError) as caught:
            oprf.derive_key_pair(GROUP, Mode.VOPRF, seed, info)
        assert caught.value.code is Code.BAD_LENGTH


@pytest.mark.parametrize(
    ("suite", "vector"), [case for case in CASES if case.values[0]["mode"] == Mode.VOPRF]
)
def test_blinding_by_adding_gives_the_rfcs_outputs(suite: dict[str, Any], vector: dict[str, Any]) -> None:
    secret, public = Scalar(bytes.fromhex(suite["skSm"])), Element(bytes.fromhex(suite["pkSm"]))
    for value, scalar, output in zip(*(unhex(vector[k]) for k in ("Input", "Blind", "Output")), strict=True):
        blinded = oprf.blind_additively(GROUP, Mode.VOPRF, value, Scalar(scalar))
        evaluated = oprf.blind_evaluate(GROUP, secret, blinded)
        assert oprf.finalize_additively(GROUP, value, Scalar(scalar), evaluated, public) == output


def test_a_key_that_is_not_the_answers_makes_outputs_depend_on_the_blind() -> None:
    secret = oprf.derive_key_pair(GROUP, Mode.VOPRF, bytes(32), b"").secret
    wrong = GROUP.decode_element(GROUP.multiply_generator(Scalar(b"\x06" + bytes(31))))
    outputs = set()
    for blind in (b"\x05" + bytes(31), b"\x07" + bytes(31)):
        blinded = oprf.blind_additively(GROUP, Mode.VOPRF, b"x", Scalar(blind))
        evaluated = oprf.blind_evaluate(GROUP, secret, blinded)
        outputs.add(oprf.finalize_additively(GROUP, b"x", Scalar(blind), evaluated, wrong))
    assert len(outputs | {oprf.evaluate(GROUP, Mode.VOPRF, secret, b"x")}) == 3


def test_input_that_hashes_to_the_identity_is_refused() -> None:
    class IdentityHash(Ristretto255):
        def hash_to_group(self, message: bytes, dst: bytes) -> bytes:
            return self.identity

    with pytest.raises(CryptoError) as caught:
        oprf.blind(IdentityHash(), Mode.VOPRF, b"x", Scalar(b"\x01" + bytes(31)))
    assert caught.value.code is Code.BAD_ELEMENT


def test_the_secret_key_is_not_printed() -> None:
    keys = PortableEngine().derive_key_pair(bytes(32), b"")
    assert keys.secret.hex() not in repr(keys)
    assert repr(keys.secret) not in repr(keys)
