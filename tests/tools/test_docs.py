"""The pages name what exists: paths, modules, links, headings, make targets, and the rooms of the node."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from functools import cache
from importlib.metadata import packages_distributions, requires
from importlib.util import find_spec
from pathlib import Path

import pytest

from mandorla_protocol.errors import Code

ROOT = Path(__file__).parents[2]
FOLDERS = (
    "benchmarks", "docs", "examples", "node", "proofs", "proto", "protocol", "simulations", "tests", "tools",
    "vectors",
)  # fmt: skip
PAGES = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("*/README.md")])
NAMES = [str(page.relative_to(ROOT)) for page in PAGES]

_FENCE = re.compile(r"^( *)(```+).*?^\1\2 *$\n?", re.DOTALL | re.MULTILINE)
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_CODE = re.compile(r"`([^`\n]+)`")
_PATH = re.compile(
    rf"(?:{'|'.join(FOLDERS)})/[\w./@+-]*|[\w-]+\.md|Makefile|pyproject\.toml|constraints\.txt"
)
_BARE_PAGE = re.compile(r"(?<![\w/(.\[-])(?:docs/[\w-]+\.md|[A-Z]{4,}\.md)")
_LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
_MODULE = re.compile(rf"python -m ((?:{'|'.join(FOLDERS)}|mandorla_\w+)[\w.]*)")
_TARGET = re.compile(r"(?:^\$ |`|&& )make ([a-z-]+)", re.MULTILINE)


def slugs(text: str) -> set[str]:
    """Return the anchors that GitHub makes of a page's headings."""
    made: set[str] = set()
    for heading in re.findall(r"^#{1,6} +(.+?) *$", _FENCE.sub("", text), re.MULTILINE):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading).lower()
        slug = re.sub(r"[^\w -]", "", title).replace(" ", "-")
        number = 0
        while (unique := f"{slug}-{number}" if number else slug) in made:
            number += 1
        made.add(unique)
    return made


@cache
def modules() -> frozenset[str]:
    """Return the file names of all modules in Python."""
    return frozenset(path.name for folder in FOLDERS for path in (ROOT / folder).rglob("*.py"))


def missing_paths(page: Path, text: str) -> Iterator[str]:
    """Yield each path of the repository that a page names, in code or as a page, and that does not exist."""
    prose = _COMMENT.sub("", _FENCE.sub("", text))
    named = {code.split(":")[0] for code in _CODE.findall(prose) if _PATH.fullmatch(code.split(":")[0])}
    named.update(_BARE_PAGE.findall(_LINK.sub("", prose)))
    for path in sorted(named):
        if not ((ROOT / path).exists() or (page.parent / path).exists()):
            yield path
    for module in sorted({code for code in _CODE.findall(prose) if re.fullmatch(r"\w+\.py", code)}):
        if module not in modules():
            yield module


def broken_links(page: Path, text: str) -> Iterator[str]:
    """Yield each relative link of a page whose file, or whose heading in that file, does not exist."""
    for link in _LINK.findall(_CODE.sub("", _FENCE.sub("", text))):
        path, _, anchor = link.partition("#")
        if re.match(r"[a-z]+:", link):
            continue
        target = (page.parent / path) if path else page
        if not target.exists() or (anchor and anchor not in slugs(target.read_text("utf-8"))):
            yield link


@pytest.mark.parametrize("name", NAMES)
def test_the_paths_that_a_page_names_exist(name: str) -> None:
    page = ROOT / name
    assert list(missing_paths(page, page.read_text("utf-8"))) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_links_of_a_page_resolve(name: str) -> None:
    page = ROOT / name
    assert list(broken_links(page, page.read_text("utf-8"))) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_commands_that_a_page_names_exist(name: str) -> None:
    text = (ROOT / name).read_text("utf-8")
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE))
    assert set(_TARGET.findall(text)) - targets == set()
    assert [module for module in _MODULE.findall(text) if find_spec(module) is None] == []


@pytest.mark.parametrize("name", NAMES)
def test_the_tables_of_a_page_are_well_formed(name: str) -> None:
    """Each row has as many cells as the row of dashes below the table's head."""
    columns = 0
    for line in _FENCE.sub("", (ROOT / name).read_text("utf-8")).splitlines():
        row = line.strip()
        if not row.startswith("|"):
            columns = 0
            continue
        cells = len(re.sub(r"`[^`]*`", "", row.replace(r"\|", "")).strip("|").split("|")) if row != "|" else 0
        assert row.endswith("|"), line
        assert columns in (0, cells), line
        columns = cells


def test_contributing_lists_the_floors_of_the_node() -> None:
    """The table has every room, in the order of import-linter's layers."""
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["importlinter"][
        "contracts"
    ]
    (layers,) = [one["layers"] for one in contracts if one.get("containers") == ["mandorla_node"]]
    floors = [sorted(layer.split(" | ")) for layer in layers]
    section = (ROOT / "CONTRIBUTING.md").read_text("utf-8").partition("### The floors of the node")[2]
    rows = re.findall(r"^\| (\d+) \| `([\w.]+)/?` \|", section.partition("\n#")[0], re.MULTILINE)
    listed: list[list[str]] = [[] for _ in floors]
    for floor, room in rows:
        listed[len(floors) - int(floor)].append(room.removesuffix(".py"))
    assert [sorted(rooms) for rooms in listed] == floors
    assert [int(floor) for floor, _ in rows] == sorted((int(floor) for floor, _ in rows), reverse=True)


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("See `node/mandorla_node/nothing.py`.", "node/mandorla_node/nothing.py"),
        ("See docs/nothing.md.", "docs/nothing.md"),
        ("See `nothing.py`.", "nothing.py"),
        ("[there](docs/nothing.md)", "docs/nothing.md"),
        ("[there](README.md#nothing)", "README.md#nothing"),
        ("# One\n\n[there](#two)", "#two"),
    ],
)
def test_what_does_not_exist_is_found(text: str, fault: str, tmp_path: Path) -> None:
    page = ROOT / "README.md"
    found = [*missing_paths(page, text), *broken_links(page, text)]
    if fault == "#two":
        page = tmp_path / "page.md"
        page.write_text(text)
        found = list(broken_links(page, text))
    assert found == [fault]


def test_anchors_are_those_of_github() -> None:
    text = "# `mandorla`: run, and stop\n## Same\n## Same\n```\n# not this\n```\n"
    assert slugs(text) == {"mandorla-run-and-stop", "same", "same-1"}


_WITHOUT = """
import runpy, sys

class Missing:
    def find_spec(self, name, path=None, target=None):
        if {name, name.partition(".")[0]} & missing:
            raise ModuleNotFoundError(name, name=name)

missing = set(sys.argv[1].split(","))
sys.meta_path.insert(0, Missing())
sys.argv = ["audit", sys.argv[2]]
runpy.run_module("mandorla_protocol.audit", run_name="__main__")
"""


def test_the_packages_that_the_auditors_guide_names_suffice(tmp_path: Path) -> None:
    guide = (ROOT / "docs/audit.md").read_text("utf-8")
    named = re.search(r"with the packages ([^.]*)\.", guide)
    assert named
    installed: set[str] = set()
    wanted = set(re.findall(r"[\w-]+", named[1].lower())) - {"and"}
    while wanted:
        installed |= wanted
        needed = (line for package in wanted for line in requires(package) or () if "extra ==" not in line)
        wanted = {re.split(r"[^\w-]", line)[0].lower() for line in needed} - installed
        wanted &= {package.lower() for names in packages_distributions().values() for package in names}
    missing = {
        module
        for module, packages in packages_distributions().items()
        if not module.startswith("mandorla") and not installed & {package.lower() for package in packages}
    }
    # Without the extension in Rust, which the protocol alone may lack.
    missing.add("mandorla_protocol._native")
    bundle = tmp_path / "text.audit"
    bundle.write_text("This is no bundle.")
    arguments = ["-c", _WITHOUT, ",".join(missing), str(bundle)]
    ran = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)
    assert "ModuleNotFoundError" not in ran.stderr
    assert ran.returncode == Code.BAD_FILE.info.exit_status, ran.stderr
