"""Two implementations that share no code with Mandorla check the vectors of the OPRF."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from pathlib import Path

import pytest
from voprf import ristretto

from tests.vectors.files import FOLDER, Case, of
from vectors import second_verifier
from vectors.cases.example import PUBLIC_KEY, SECRET
from vectors.cases.proofs import HASHES, Prover, RfcProver

SCRIPT = FOLDER / "second_verifier.py"
DATA = Path(__file__).parents[1] / "protocol" / "data" / "rfc9497_ristretto255.json"


def good(operation: str) -> list[Case]:
    return [case for case in of(operation) if "output" in case]


def test_the_second_verifier_needs_python_alone() -> None:
    imported = {
        name
        for node in ast.walk(ast.parse(SCRIPT.read_text("utf-8")))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for name in ([node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names])
    }
    assert {str(name).split(".")[0] for name in imported} <= sys.stdlib_module_names


def test_the_second_verifier_replays_every_vector_of_the_oprf(tmp_path: Path) -> None:
    count = len(of(*second_verifier.OPERATIONS))
    assert count > 150
    ran = subprocess.run([sys.executable, SCRIPT], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert ran.stdout == f"{count} vectors replayed\n"


@pytest.mark.parametrize("operation", second_verifier.OPERATIONS)
def test_the_second_verifier_notices_another_result(operation: str) -> None:
    case = good(operation)[0]
    second_verifier.replay(case)
    refused = {key: value for key, value in case.items() if key != "output"} | {"error": "BAD_PROOF"}
    for other in (refused, case | {"output": case["output"] | {"outputs": "00"}}):
        with pytest.raises(AssertionError, match=case["name"]):
            second_verifier.replay(other)


def test_the_second_verifier_agrees_with_the_vectors_of_rfc_9497() -> None:
    (suite,) = (one for one in json.loads(DATA.read_text("utf-8")) if one["mode"] == 1)
    seed, info, secret, public_key = (
        bytes.fromhex(suite[name]) for name in ("seed", "keyInfo", "skSm", "pkSm")
    )
    assert second_verifier.derive_key_pair(seed, info) == (secret, public_key)
    for vector in suite["vectors"]:
        inputs, blinds, blinded, evaluated, outputs = (
            [bytes.fromhex(one) for one in vector[name].split(",")]
            for name in ("Input", "Blind", "BlindedElement", "EvaluationElement", "Output")
        )
        scalars = [second_verifier.scalar_from(one) for one in blinds]
        for value, scalar, element in zip(inputs, scalars, blinded, strict=True):
            point = second_verifier.multiply(scalar, second_verifier.hash_to_group(value))
            assert second_verifier.encode(point) == element
        nonce = bytes.fromhex(vector["Proof"]["r"]) + bytes(32)
        answer = second_verifier.evaluate_and_prove(
            secret, public_key, b"".join(blinded), nonce, second_verifier.rfc_seed
        )
        assert answer == (b"".join(evaluated), bytes.fromhex(vector["Proof"]["proof"]))
        second_verifier.verify(public_key, b"".join(blinded), *answer, second_verifier.rfc_seed)
        for value, scalar, element, output in zip(inputs, scalars, evaluated, outputs, strict=True):
            inverse = pow(scalar, -1, second_verifier.L)
            unblinded = second_verifier.multiply(inverse, second_verifier.decode(element))
            assert second_verifier.output(value, unblinded) == output


# The package `voprf`, in Rust, which implements the seed of the RFC only

REFUSAL = r"ProofVerification|invalid"
"""The package panics where it cannot verify a batch: an exception, but not one of class Exception."""


def server(case: Case) -> ristretto.Evaluator:
    """Return the package's server with the key that a vector derives."""
    return ristretto.Evaluator.from_seed(*(bytes.fromhex(case["input"][name]) for name in ("seed", "info")))


def of_the_example() -> ristretto.Evaluator:
    (case,) = (one for one in good("derive-key-pair") if one["name"] == "key")
    return server(case)


def elements(encoded: str) -> list[bytes]:
    return second_verifier.split(bytes.fromhex(encoded))


@pytest.mark.parametrize("case", good("derive-key-pair"), ids=lambda case: case["name"])
def test_the_package_derives_the_same_key(case: Case) -> None:
    assert server(case).public_key.serialize().hex() == case["output"]["public_key"]


@pytest.mark.parametrize("case", good("evaluate-and-prove"), ids=lambda case: case["name"])
def test_the_package_evaluates_to_the_same_elements(case: Case) -> None:
    blinded = [ristretto.BlindedInput.deserialize(one) for one in elements(case["input"]["blinded"])]
    answer = of_the_example().evaluate_batch(blinded).serialize()
    assert answer[64:].hex() == case["output"]["evaluated"]


@pytest.mark.parametrize("case", good("evaluate"), ids=lambda case: case["name"])
def test_the_package_evaluates_to_the_same_outputs(case: Case) -> None:
    theirs = of_the_example()
    outputs = [theirs.evaluate_known_input(token) for token in elements(case["input"]["tokens"])]
    assert b"".join(outputs).hex() == case["output"]["outputs"]


@pytest.mark.parametrize("case", of("check-elements"), ids=lambda case: case["name"])
def test_the_package_takes_and_refuses_the_same_elements(case: Case) -> None:
    if "output" in case:
        for element in elements(case["input"]["elements"]):
            assert ristretto.BlindedInput.deserialize(element).serialize() == element
    else:
        with pytest.raises(ValueError, match=r"."):
            ristretto.BlindedInput.deserialize(bytes.fromhex(case["input"]["elements"])[-32:])


UNREDUCED = [case for case in of("verify") if case.get("error") == "BAD_SCALAR"]


@pytest.mark.parametrize("case", UNREDUCED, ids=lambda case: case["name"])
def test_the_package_refuses_scalars_that_are_not_reduced(case: Case) -> None:
    with pytest.raises(ValueError, match=r"."):
        ristretto.Proof.deserialize(bytes.fromhex(case["input"]["proof"]))


def judge(prover: Prover) -> None:
    """Let the package's client verify a prover's answer to a batch that the client blinded."""
    values = [bytes([number]) * 32 for number in range(3)]
    clients, inputs = zip(*map(ristretto.Client.blind, values), strict=True)
    blinded = b"".join(one.serialize() for one in inputs)
    evaluated, _ = second_verifier.evaluate_and_prove(SECRET, PUBLIC_KEY, blinded, bytes(range(64)))
    proof = prover.prove(SECRET, PUBLIC_KEY, blinded, evaluated)
    outputs = ristretto.VerifiableBatchOutput.deserialize(proof + evaluated)
    key = ristretto.PublicKey.deserialize(PUBLIC_KEY)
    found = b"".join(ristretto.Client.finalize_batch(clients, outputs, key))
    assert found == second_verifier.evaluate(SECRET, b"".join(values))


def test_the_package_accepts_a_prover_without_a_fault_that_has_the_seed_of_the_rfc() -> None:
    judge(RfcProver())


def test_the_package_refuses_the_seed_of_mandorla() -> None:
    with pytest.raises(BaseException, match=REFUSAL):
        judge(Prover())


RFC_HASHES = HASHES | {"seed": ("public key", '"Seed-" context')}


@pytest.mark.parametrize("alter", [False, True], ids=["without", "altered"])
@pytest.mark.parametrize(
    ("hash_name", "field"), [(name, field) for name, names in RFC_HASHES.items() for field in names]
)
def test_the_package_refuses_every_faulty_prover(hash_name: str, field: str, alter: bool) -> None:
    with pytest.raises(BaseException, match=REFUSAL):
        judge(RfcProver(hash_name, field, alter))
