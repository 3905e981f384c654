"""Every vector of SPEC 4, valid and invalid."""

import json
import runpy
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from idna.idnadata import __version__ as idna_unicode

from mandorla_protocol.errors import Code, EncodingError, InputError
from mandorla_protocol.indicators import REGISTRY, Indicator

VECTORS = Path(__file__).parents[3] / "vectors"
DOCUMENT: dict[str, list[dict[str, Any]]] = json.loads((VECTORS / "indicators.json").read_text("ascii"))


def named(vectors: list[dict[str, Any]], *keys: str) -> list[Any]:
    return [
        pytest.param(vector, id=f"{number}-" + "-".join(vector[key] for key in keys))
        for number, vector in enumerate(vectors)
    ]


@pytest.mark.parametrize("vector", named(DOCUMENT["valid"], "type"))
def test_every_spelling_parses_to_the_one_indicator(vector: dict[str, Any]) -> None:
    expected = Indicator(vector["type"], vector["profile"], vector["value"])
    for text in [*vector["inputs"], vector["value"]]:
        assert Indicator.parse(vector["type"], text) == expected
    assert expected.encode().hex() == vector["encoding"]
    assert expected.token().hex() == vector["token"]
    assert Indicator.decode(bytes.fromhex(vector["encoding"])) == expected


@pytest.mark.spec(
    "4.1-1", "4.1-2", "4.1-3", "4.2-1", "4.2-2", "4.2-3", "4.3-1", "4.3-2", "4.3-3", "4.3-4", "4.4-1"
)
@pytest.mark.parametrize("vector", named(DOCUMENT["invalid"], "type", "fault"))
def test_a_faulty_value_is_refused_with_its_code(vector: dict[str, Any]) -> None:
    with pytest.raises(InputError) as caught:
        Indicator.parse(vector["type"], vector["input"])
    assert caught.value.code is Code[vector["code"]]


@pytest.mark.spec("4.1-5")
@pytest.mark.parametrize("vector", named(DOCUMENT["bad_encodings"], "fault"))
def test_a_faulty_encoding_is_refused_with_its_code(vector: dict[str, Any]) -> None:
    with pytest.raises(EncodingError) as caught:
        Indicator.decode(bytes.fromhex(vector["encoding"]))
    assert caught.value.code is Code[vector["code"]]


def test_every_type_has_vectors_of_both_kinds() -> None:
    assert {vector["type"] for vector in DOCUMENT["valid"]} == set(REGISTRY)
    assert {v["type"] for v in DOCUMENT["invalid"] if v["code"] == "BAD_INDICATOR"} == set(REGISTRY)


def test_the_vectors_are_what_their_script_makes(tmp_path: Path) -> None:
    script = tmp_path / "make_indicators.py"
    script.write_text((VECTORS / "make_indicators.py").read_text("utf-8"), "utf-8")
    runpy.run_path(str(script), run_name="__main__")
    assert (tmp_path / "indicators.json").read_bytes() == (VECTORS / "indicators.json").read_bytes()


def test_the_idna_tables_are_those_of_the_profile() -> None:
    # Another Unicode version may map a name differently: that would be another profile (SPEC 4.3).
    assert idna_unicode == "18.0.0"


@pytest.mark.spec("4.1-7")
def test_this_python_knows_the_unicode_that_the_rules_need() -> None:
    assert tuple(int(part) for part in unicodedata.unidata_version.split(".")) >= (14, 0, 0)
