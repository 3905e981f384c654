"""The error catalogue is complete, unambiguous and stable."""

import ast
import copy
import pickle
import re
from collections import Counter
from pathlib import Path

import grpc
import pytest

from mandorla_protocol.errors import (
    Code,
    CryptoError,
    EncodingError,
    InputError,
    MandorlaError,
    NodeError,
    RoundError,
    Status,
    TransportError,
)

ROOT = Path(__file__).parents[2]
SOURCES = [
    path
    for folder in ("protocol/mandorla_protocol", "node/mandorla_node")
    for path in sorted((ROOT / folder).rglob("*.py"))
]
KINDS = [MandorlaError, InputError, EncodingError, CryptoError, RoundError, TransportError, NodeError]

NAMES = {
    "BAD_INPUT",
    "BAD_INDICATOR",
    "UNKNOWN_TYPE",
    "BAD_FILE",
    "BAD_ROWS",
    "BAD_HOME",
    "BAD_CONFIG",
    "BAD_CARD",
    "CARD_REFUSED",
    "UNKNOWN_PEER",
    "NODE_NOT_RUNNING",
    "BAD_ENCODING",
    "BAD_ELEMENT",
    "BAD_SCALAR",
    "BAD_LENGTH",
    "MESSAGE_TOO_LARGE",
    "BAD_PROOF",
    "BAD_SIGNATURE",
    "BAD_HEADER",
    "HEADER_EXPIRED",
    "PROFILE_MISMATCH",
    "TABLE_MISMATCH",
    "BAD_TABLE",
    "BAD_LABEL",
    "TRANSCRIPT_MISMATCH",
    "UNKNOWN_ROUND",
    "WRONG_STATE",
    "CHUNK_REUSED",
    "CHUNK_OUT_OF_RANGE",
    "CAP_EXCEEDED",
    "BUDGET_EXCEEDED",
    "EPOCH_RETIRED",
    "NOT_READY",
    "POLICY_REFUSED",
    "ROUND_ABORTED",
    "NOT_PINNED",
    "BAD_TRANSPORT",
    "DEADLINE",
    "PEER_UNAVAILABLE",
    "RATE_LIMITED",
    "VERSION_MISMATCH",
    "STORE_FAILED",
    "INTERNAL",
    "CHECK_FAILED",
}


def test_published_names_stay() -> None:
    assert set(Code.__members__) >= NAMES


def test_no_two_names_mean_one_code() -> None:
    assert [code.name for code in Code] == list(Code.__members__)


def test_exit_statuses_tell_every_code_from_every_other_and_from_the_shells() -> None:
    statuses = Counter(code.info.exit_status for code in Code)
    assert set(statuses.values()) == {1}
    assert all(2 < status < 126 for status in statuses)


def test_statuses_are_those_of_grpc() -> None:
    for status in Status:
        assert grpc.StatusCode[status.value].name == status.name
    assert {code.info.status for code in Code} == set(Status)


@pytest.mark.parametrize("code", Code, ids=lambda code: code.name)
def test_public_messages_are_whole_sentences_without_data(code: Code) -> None:
    message = code.info.message
    assert re.fullmatch(r"[A-Z][A-Za-z0-9 ,;:.'()-]*\.", message)


def test_public_messages_are_distinct() -> None:
    assert len({code.info.message for code in Code}) == len(Code)


def test_what_may_be_asked_again_is_what_passes_by_itself() -> None:
    assert {code for code in Code if code.info.retryable} == {
        Code.NODE_NOT_RUNNING,
        Code.NOT_READY,
        Code.DEADLINE,
        Code.PEER_UNAVAILABLE,
        Code.RATE_LIMITED,
    }


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_shows_its_public_message_and_keeps_its_detail(kind: type[MandorlaError]) -> None:
    error = kind(Code.BAD_PROOF, "sentinel")
    assert str(error) == Code.BAD_PROOF.info.message
    assert "sentinel" not in repr(error)
    assert error.diagnostics() == "BAD_PROOF: An evaluation proof does not verify. sentinel"
    assert kind(Code.BAD_PROOF).diagnostics() == "BAD_PROOF: An evaluation proof does not verify."


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.__name__)
def test_an_error_survives_the_way_out_of_a_worker_process(kind: type[MandorlaError]) -> None:
    error = kind(Code.BAD_ELEMENT, "element 3")
    for twin in (pickle.loads(pickle.dumps(error)), copy.copy(error)):
        assert (type(twin), twin.code, twin.detail, str(twin)) == (kind, error.code, "element 3", str(error))


def test_every_code_is_raised_somewhere() -> None:
    source = "".join(path.read_text(encoding="utf-8") for path in SOURCES if path.name != "errors.py")
    assert {code.name for code in Code} <= set(re.findall(r"\bCode\.([A-Z_]+)", source))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_check_disappears_under_python_o(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    assert not [node.lineno for node in ast.walk(tree) if isinstance(node, ast.Assert)]
