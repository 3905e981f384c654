"""The registry is the table of SPEC A.1, and its rules use the data versions of its profiles."""

import re
import tomllib
from importlib.metadata import version
from pathlib import Path

import ada_url
import phonenumbers
import pytest

from mandorla_protocol.errors import InputError
from mandorla_protocol.indicators import DATA_VERSIONS, REGISTRY, Collection, profiles

ROOT = Path(__file__).parents[3]
SPEC = (ROOT / "SPEC.md").read_text("utf-8")


def test_the_registry_is_the_table_of_the_specification() -> None:
    section = SPEC[SPEC.index("\n### A.1 ") : SPEC.index("\n### A.2 ")]
    rows = re.findall(
        r"^\| `([a-z0-9-]+)` \| ([a-z]+) \| (\d+) \| A\.\d+(?:, A\.\d+)? \|$", section, re.MULTILINE
    )
    assert {(name, kind.collection, str(kind.profile)) for name, kind in REGISTRY.items()} == set(rows)
    assert len(rows) == len(REGISTRY)


@pytest.mark.parametrize("collection", Collection)
def test_profiles_are_those_of_a_collection_sorted_by_type(collection: Collection) -> None:
    found = profiles(collection)
    assert list(found) == sorted(found)
    assert dict(found) == {
        name: kind.profile for name, kind in REGISTRY.items() if kind.collection is collection
    }


def examples() -> list[tuple[str, str, str]]:
    """Return type, text and canonical value, or BAD_INDICATOR, of each example in Annex A of SPEC."""
    section = SPEC[SPEC.index("\n## A. ") :]
    rows = re.findall(r"^\| `([a-z0-9-]+)` \| (`.*`(?: \(.*\))?) \| `(.*)` \|$", section, re.MULTILINE)
    return [
        (name, text, value)
        for name, texts, value in rows
        for text in re.findall(r"`([^`]*)`", texts)
        if "..." not in text
    ]


def test_the_examples_of_the_specification_are_what_the_code_says() -> None:
    found = examples()
    assert {name for name, _, _ in found} > {"email", "ipv6", "phone", "wallet", "url", "user-agent"}
    for name, text, value in found:
        try:
            said = REGISTRY[name].canonicalise(text)
        except InputError as error:
            said = error.code.name
        assert (name, text, said) == (name, text, value)


@pytest.mark.spec("A.1-8")
def test_the_data_of_the_profiles_are_required_and_installed_exactly() -> None:
    required = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]["dependencies"]
    for package, wanted in DATA_VERSIONS.items():
        assert f"{package}=={wanted}" in required
        assert version(package) == wanted
        assert f"`{package}` {wanted}" in SPEC


def test_the_data_are_of_the_versions_that_the_specification_names() -> None:
    assert phonenumbers.__version__ == "9.0.43"
    assert ada_url.get_version() == "4.0.0"
