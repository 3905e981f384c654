"""The files of vectors are those of their generator, and fit their schema."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest
from jsonschema import Draft202012Validator

from mandorla_protocol.errors import Code
from tests.vectors.files import CASES, FILES, FOLDER, read, whole
from vectors.make import main

SCHEMA = read(FOLDER / "schema.json")


def test_the_generator_makes_these_files_to_the_byte(tmp_path: Path) -> None:
    main([str(tmp_path)])
    made = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    assert made.keys() == {path.name for path in FOLDER.glob("*.json")}
    # Compared by name: the difference of two whole files would fill the terminal.
    assert [name for name, content in made.items() if (FOLDER / name).read_bytes() != content] == []


def test_the_generator_imports_nothing_of_ours() -> None:
    for path in FOLDER.rglob("*.py"):
        assert not re.search(r"^\s*(from|import) mandorla", path.read_text("utf-8"), re.MULTILINE), path


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_the_schema_holds_for_a_file_as_written_and_with_whole_inputs(path: Path) -> None:
    validator = Draft202012Validator(SCHEMA)
    document = read(path)
    validator.validate(document)
    validator.validate(document | {"cases": whole(document)})


def test_the_schema_refuses_what_is_no_vector() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    validator = Draft202012Validator(SCHEMA)
    document = read(FOLDER / "proofs.json")
    first = document["cases"][0]
    for fault in (
        {"name": "Upper"},
        {"operation": "unknown"},
        {"error": "BAD_PROOF"},
        {"output": {"more": "00"}},
        {"input": first["input"] | {"proof": "0"}},
        {"input": first["input"] | {"more": "00"}},
        {"input": {}},
    ):
        assert not validator.is_valid(document | {"cases": [first | fault]}), fault
    assert validator.is_valid(document | {"cases": [first]})


def test_a_name_is_used_once() -> None:
    assert [name for name, count in Counter(case["name"] for case in CASES).items() if count > 1] == []


def test_an_error_is_a_code_of_the_catalogue() -> None:
    assert {case["error"] for case in CASES if "error" in case} <= Code.__members__.keys()


def test_the_files_stay_small() -> None:
    assert sum(path.stat().st_size for path in FOLDER.glob("*.json")) < 1_400_000
