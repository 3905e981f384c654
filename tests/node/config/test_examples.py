"""The examples of `mandorla.toml` in the documentation are configurations that a node takes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from mandorla_node.config.settings import Settings, load_settings

DOCS = Path(__file__).parents[3] / "docs"
OWN = 'lab = "lab-a"\nlisten = "127.0.0.1:1"\nendpoint = "127.0.0.1:1"\n'
EXAMPLES = [
    pytest.param(block, id=f"{page.name}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, block in enumerate(
        re.findall(r"^```toml\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    )
    if re.search(rf"^\[({'|'.join(Settings.model_fields)})[].]", block, re.MULTILINE)
]


def test_there_are_examples() -> None:
    assert len(EXAMPLES) >= 4


@pytest.mark.parametrize("block", EXAMPLES)
def test_an_example_is_a_configuration(tmp_path: Path, block: str) -> None:
    config = tmp_path / "mandorla.toml"
    config.write_text(OWN + block)
    load_settings(config)


@pytest.mark.parametrize("page", sorted(DOCS.glob("*.md")), ids=lambda page: page.name)
def test_a_setting_that_a_page_names_exists(page: Path) -> None:
    for table, name in re.findall(r"`\[(\w+)\] (\w+)", page.read_text()):
        section = Settings.model_fields[table].default
        assert name in type(section).model_fields
