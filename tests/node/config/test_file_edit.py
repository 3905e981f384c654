"""An edit of `mandorla.toml` changes the values that it names, and nothing else that the operator wrote."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mandorla_node.config.default_file import initial_toml
from mandorla_node.config.file_edit import replace_values
from mandorla_node.config.home_settings import KeySettings
from mandorla_node.config.settings import load_settings
from mandorla_protocol.errors import Code, NodeError

DATA = Path(__file__).parent / "data"
PATH = 'a "b" \\ \u00e9 \U0001f511 \x7f'


@pytest.mark.parametrize(
    "text",
    [
        "",
        "lab = 'a'",
        "lab = 'a'\n[keys]\n",
        "lab = 'a'\n[keys]\nsource = 'home'\noverlap = 7200 # two hours\n\n[limits]\nstreams = 3\n",
        "[keys] # mine\n  path='x'\n\n\n[rounds]\nbudget = 1",
        '[rounds]\npurpose = "source = [keys]"\n',
        'keys = { source = "home", overlap = 7200 } # in a line\n[rounds]\nbudget = 1\n',
        'keys.source = "home"\n# between\nkeys.overlap = 7200\n[rounds]\nbudget = 1\n',
        "lab = 'a' # windows\r\n[keys]\r\nsource = 'home'\r\n\r\n[limits]\r\nstreams = 3\r\n",
        "[peers.a]\nbudget = 1\n[keys]\nname = 'x'\n[peers.b]\nbudget = 2\n",
    ],
)
def test_values_are_changed_and_all_else_stays(text: str) -> None:
    changed = replace_values(text, "keys", {"source": "file", "path": PATH, "name": None})
    before, after = tomllib.loads(text), tomllib.loads(changed)
    kept = {
        key: value for key, value in before.get("keys", {}).items() if key not in ("source", "path", "name")
    }
    assert after.pop("keys") == {"source": "file", "path": PATH, **kept}
    before.pop("keys", None)
    assert after == before
    assert changed.count("#") == text.count("#")
    assert changed.count("\r") == text.count("\r")


def test_a_key_before_the_tables_is_changed_in_its_place() -> None:
    text = 'lab = "a"\nendpoint = "old:1" # ours\n\n[rounds] # terms\nbudget = 1\n'
    assert replace_values(text, "", {"endpoint": "new:2"}) == text.replace("old:1", "new:2")


def test_a_generated_file_changes_in_one_line() -> None:
    text = initial_toml("lab-a", "127.0.0.1:1", "127.0.0.1:1", {"source": "file", "path": "/keys/a"})
    changed = replace_values(text, "keys", {"source": "file", "path": "/keys/b", "name": None})
    assert changed == text.replace("/keys/a", "/keys/b")


def test_the_file_of_an_earlier_version_loads_and_is_edited(tmp_path: Path) -> None:
    config = tmp_path / "mandorla.toml"
    text = (DATA / "generated_by_0_1.toml").read_text()
    config.write_text(text)
    assert load_settings(config).keys == KeySettings()
    changed = replace_values(text, "keys", {"source": "file", "path": "/keys/a", "name": None})
    config.write_text(changed)
    assert load_settings(config).keys == KeySettings(source="file", path="/keys/a")
    kept = [line for line in changed.splitlines() if not line.startswith(("source", "path"))]
    assert kept == [line for line in text.splitlines() if not line.startswith("source")]


@pytest.mark.parametrize(
    "text",
    [
        "[[keys]]\nsource = 'home'\n",
        "[[a]]\n[b]\n# of b\n[[a]]\n",
        "keys = 3\n",
        "keys = [",
        "[keys]\n[keys]\n",
    ],
)
def test_a_file_that_cannot_be_edited_is_refused_with_the_values_to_write(text: str) -> None:
    with pytest.raises(NodeError) as caught:
        replace_values(text, "keys", {"source": "file", "name": None})
    assert caught.value.code is Code.BAD_CONFIG
    assert '[keys] of mandorla.toml by hand, to source = "file"' in caught.value.detail


LINES = st.sampled_from(
    ["# a comment", "", "[rounds]", "[keys]", "[peers.a]", "[[lists]]", "[keys.more]", 'source = "home"'],
) | st.sampled_from(["budget = 1  # one", "list = [\n  1, # one\n]", 'text = """\n[keys]\n"""', "a.b = 1"])


@given(st.lists(LINES, max_size=12))
def test_any_file_is_edited_as_asked_or_refused(lines: list[str]) -> None:
    text = "\n".join(lines)
    try:
        wanted = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        wanted = None
    try:
        changed = replace_values(text, "keys", {"source": "file"})
    except NodeError as error:
        assert error.code is Code.BAD_CONFIG
        return
    assert wanted is not None
    wanted.setdefault("keys", {})["source"] = "file"
    assert tomllib.loads(changed) == wanted
    assert [line for line in text.splitlines() if "#" in line] == [
        line for line in changed.splitlines() if "#" in line
    ]
