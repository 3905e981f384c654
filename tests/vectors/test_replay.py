"""Mandorla's code replays all vectors, on both engines where an operation needs an engine."""

from __future__ import annotations

import unicodedata
from contextlib import suppress
from typing import Any

import pytest
from idna.idnadata import __version__ as idna_unicode

from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.errors import InputError, MandorlaError
from tests.vectors.files import CASES, Case
from tests.vectors.operations import WITHOUT_ENGINE, Operations


def engines() -> list[Operations]:
    """Return the portable engine, and the native engine where it is built."""
    found = [Operations(load_engine("portable"))]
    with suppress(InputError):
        found.append(Operations(load_engine("native")))
    return found


ENGINES = engines()


def test_the_native_engine_is_among_them() -> None:
    if len(ENGINES) == 1:
        pytest.skip("the native engine is not built")
    assert [operations.engine.name for operations in ENGINES] == ["portable", "native"]


def result(operations: Operations, case: Case) -> dict[str, Any]:
    try:
        return {"output": operations.run(case["operation"], case["input"])}
    except MandorlaError as error:
        return {"error": error.code.name}


@pytest.mark.spec(
    "A.1-1", "A.1-2", "A.1-3", "A.1-5", "A.2-1", "A.2-2", "A.2-3", "A.3-1", "A.3-2", "A.3-3", "A.3-4", "A.4-1"
)
@pytest.mark.spec("A.6-1", "A.6-2", "A.6-3", "A.6-4", "A.6-5", "A.6-6", "A.6-7", "A.6-8")
@pytest.mark.spec("A.7-1", "A.7-2", "A.7-3", "A.7-4", "A.7-5", "A.7-6", "A.7-7")
@pytest.mark.spec("5.4-2", "18.2-1", "18.3-1", "18.3-2", "18.4-1")
@pytest.mark.parametrize(
    ("operations", "case"),
    [
        pytest.param(operations, case, id=f"{case['name']}-{operations.engine.name}")
        for case in CASES
        for operations in (ENGINES[:1] if case["operation"] in WITHOUT_ENGINE else ENGINES)
    ],
)
def test_a_vector_is_what_our_code_says(operations: Operations, case: Case) -> None:
    expected = {key: case[key] for key in ("output", "error") if key in case}
    assert result(operations, case) == expected


def test_the_idna_tables_are_those_of_the_profile() -> None:
    # Another Unicode version may map a name differently: that would be another profile (SPEC A.3).
    assert idna_unicode == "18.0.0"


@pytest.mark.spec("A.1-7")
def test_this_python_knows_the_unicode_that_the_rules_need() -> None:
    assert tuple(int(part) for part in unicodedata.unidata_version.split(".")) >= (14, 0, 0)
