"""A configuration that cannot be read is BAD_CONFIG, with the place that is wrong and without its values."""

from __future__ import annotations

from pathlib import Path

import pytest

from mandorla_node.config.default_file import initial_toml
from mandorla_node.config.settings import load_settings
from mandorla_protocol.errors import Code, NodeError


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "mandorla.toml"
    path.write_text(initial_toml("lab-a", "127.0.0.1:1", "127.0.0.1:1"))
    return path


def refusal(path: Path) -> str:
    with pytest.raises(NodeError) as caught:
        load_settings(path)
    assert caught.value.code is Code.BAD_CONFIG
    return caught.value.detail


@pytest.mark.parametrize(
    ("content", "hint"),
    [
        (b"lab = \xff", "not UTF-8"),
        (b"lab = " + b"[" * 5000, "recursion"),
        (b"lab = [", "mandorla.toml"),
        (b"", "listen: Field required"),
    ],
    ids=["not UTF-8", "deep", "cut", "empty"],
)
def test_a_file_that_is_no_configuration_is_refused(config: Path, content: bytes, hint: str) -> None:
    config.write_bytes(content)
    assert hint in refusal(config)


@pytest.mark.parametrize(
    ("variable", "value", "hint"),
    [
        ("MANDORLA_ROUNDS__KINDS", "secret", '"rounds"'),
        ("MANDORLA_PEERS", "secret", '"peers"'),
        ("MANDORLA_ROUNDS", '{"budget": "secret"}', "rounds.budget"),
        ("MANDORLA_WORKERS", "secret", "workers"),
        ("MANDORLA_ROUNDS__NOTHING", "secret", "rounds.nothing"),
    ],
)
def test_a_variable_that_is_no_setting_is_refused(
    config: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, hint: str
) -> None:
    monkeypatch.setenv(variable, value)
    detail = refusal(config)
    assert hint in detail
    assert "secret" not in detail


def test_a_variable_wins_over_the_file_in_one_setting(config: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MANDORLA_ROUNDS__KINDS", '["watch"]')
    rounds = load_settings(config).rounds
    assert rounds.kinds == ("watch",)
    assert rounds.purpose.startswith("detecting")
