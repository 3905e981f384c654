"""The file of a new home holds every setting, with its default and its description."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from mandorla_node.config.default_file import initial_toml
from mandorla_node.config.settings import Settings, load_settings

OWN = {"lab": "lab-a", "listen": "127.0.0.1:7443", "endpoint": "192.0.2.1:7443"}
TEXT = initial_toml(**OWN)
SETTING = re.compile(r"^# (?=[a-z_]+ = |\[)", re.MULTILINE)
"""The mark of a setting or a table that is commented out."""


def model_of(field: FieldInfo) -> type[BaseModel] | None:
    kinds = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def fields(model: type[BaseModel], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], FieldInfo]]:
    """Yield every setting under its path, where the key of a table of tables is its example."""
    for name, field in model.model_fields.items():
        if inner := model_of(field):
            yield from fields(inner, (*path, name, *(field.examples or ())))
        else:
            yield (*path, name), field


FIELDS = dict(fields(Settings))


def value_at(document: object, path: tuple[str, ...]) -> object:
    for part in path:
        assert isinstance(document, dict)
        document = document[part]
    return document


@pytest.fixture
def config(tmp_path: Path) -> Path:
    return tmp_path / "mandorla.toml"


def test_there_are_settings() -> None:
    assert len(FIELDS) > 70
    assert ("peers", "NAME", "collections", "accounts", "budget") in FIELDS


@pytest.mark.parametrize("path", FIELDS, ids=".".join)
def test_every_setting_is_in_the_file_with_its_description(path: tuple[str, ...]) -> None:
    value_at(tomllib.loads(SETTING.sub("", TEXT)), path)
    description = FIELDS[path].description
    assert description
    assert description.endswith(".")
    comments = " ".join(line.removeprefix("# ") for line in TEXT.splitlines() if line.startswith("# "))
    assert description in comments


def test_every_table_has_a_docstring_in_the_file() -> None:
    for name, field in Settings.model_fields.items():
        if model_of(field) is not None:
            header = TEXT[: re.search(rf"^(# )?\[{name}\b", TEXT, re.MULTILINE).start()]
            assert header.splitlines()[-1].startswith("# ")


def test_the_file_gives_the_defaults(config: Path) -> None:
    config.write_text(TEXT)
    assert load_settings(config).model_dump() == Settings.model_construct(**OWN).model_dump()


def test_what_is_commented_out_is_the_default_or_an_example(config: Path) -> None:
    config.write_text(SETTING.sub("", TEXT))
    shown, defaults = load_settings(config).model_dump(), Settings.model_construct(**OWN).model_dump()
    peers = shown.pop("peers")
    assert set(peers) == {"NAME"}
    differing = {
        path for path in FIELDS if path[0] != "peers" and value_at(shown, path) != value_at(defaults, path)
    }
    assert differing == {path for path, field in FIELDS.items() if field.default is None and len(path) == 2}


def test_what_differs_for_a_peer_is_shown_with_the_default_for_all_peers(config: Path) -> None:
    config.write_text(SETTING.sub("", TEXT))
    settings = load_settings(config)
    peer = settings.peers["NAME"]
    for rules in (peer, *peer.collections.values()):
        for name in type(rules).model_fields.keys() - {"collections"}:
            section = settings.limits if name == "elements_per_second" else settings.rounds
            assert getattr(rules, name) == getattr(section, name)


@given(st.text(min_size=1, max_size=200).filter(lambda path: "\x00" not in path))
def test_values_of_the_key_are_set_whatever_is_in_them(path: str) -> None:
    keys = {"source": "file", "path": path, "name": None}
    assert tomllib.loads(initial_toml(**OWN, keys=keys))["keys"] == {"source": "file", "path": path}


def test_a_setting_appears_once_outside_the_tables_of_peers() -> None:
    common, _, _ = SETTING.sub("", TEXT).partition("[peers.")
    names = re.findall(r"^\w+(?= = )", common, re.MULTILINE)
    assert len(names) == len([path for path in FIELDS if path[0] != "peers"])


def test_no_description_reads_as_a_setting_or_names_a_table_in_brackets() -> None:
    """Scripts of operators find a table by its header."""
    for line in TEXT.splitlines():
        if line.startswith("# ") and not SETTING.match(line):
            assert "[" not in line
