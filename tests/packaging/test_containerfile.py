"""The Containerfile, read as a builder reads it: what ends in the image, and as whom it runs."""

from __future__ import annotations

import fnmatch
import json
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from typer.core import TyperGroup
from typer.main import get_command

from mandorla_node.cli.root import build

ROOT = Path(__file__).parents[2]
CONTAINERFILE = ROOT / "node/packaging/Containerfile"
GUIDE = ROOT / "docs/operators.md"
_KNOWN = {"FROM", "RUN", "COPY", "ENV", "WORKDIR", "USER", "VOLUME", "EXPOSE", "STOPSIGNAL"} | {
    "HEALTHCHECK",
    "ENTRYPOINT",
    "CMD",
}


@dataclass(frozen=True)
class Stage:
    """A stage: what it begins from, and its instructions."""

    base: str
    name: str
    instructions: list[tuple[str, str]] = field(default_factory=list)

    def of(self, kind: str) -> list[str]:
        """Return the arguments of its instructions of a kind."""
        return [arguments for name, arguments in self.instructions if name == kind]


def stages() -> list[Stage]:
    """Read the file. An instruction that is not known, or a line that is none, fails."""
    lines = [line for line in CONTAINERFILE.read_text().splitlines() if not line.startswith("#")]
    found: list[Stage] = []
    for instruction in re.sub(r"\\\n\s*", "", "\n".join(lines)).split("\n"):
        if not instruction.strip():
            continue
        name, _, arguments = instruction.strip().partition(" ")
        assert name in _KNOWN, instruction
        if name == "FROM":
            base, _, alias = arguments.partition(" AS ")
            found.append(Stage(base, alias))
        else:
            found[-1].instructions.append((name, arguments.strip()))
    return found


def copied() -> list[Path]:
    """Return what is copied from the sources."""
    sources = []
    for stage in stages():
        for arguments in stage.of("COPY"):
            if not arguments.startswith("--from="):
                *paths, _ = arguments.split()
                sources += [Path(path) for path in paths]
    return sources


def sent(path: Path) -> bool:
    """Tell whether .dockerignore lets a path of the sources through: the last pattern that fits decides."""
    parts = [path, *path.parents][:-1]
    wanted = True
    for line in (ROOT / ".dockerignore").read_text().splitlines():
        pattern = line.removeprefix("!").removeprefix("**/")
        if line and not line.startswith("#"):
            names = (part.name if "**/" in line else str(part) for part in parts)
            if any(fnmatch.fnmatch(name, pattern) for name in names):
                wanted = line.startswith("!")
    return wanted


def test_bases_are_short_names_of_a_version() -> None:
    for stage in stages():
        assert re.fullmatch(r"[a-z]+:[0-9.]+-slim", stage.base)


def test_what_runs_is_not_root_and_needs_no_shell() -> None:
    last = stages()[-1]
    uid, _, gid = last.of("USER")[-1].partition(":")
    assert int(uid) > 0
    assert int(gid) > 0
    for kind in ("ENTRYPOINT", "CMD", "VOLUME"):
        assert json.loads(last.of(kind)[0])
    assert re.search(r"--interval=\d+s --timeout=\d+s .*CMD \[", last.of("HEALTHCHECK")[0])


def test_who_runs_it_has_the_numbers_that_the_guide_gives_secrets_to() -> None:
    last = stages()[-1]
    made = " ".join(last.of("RUN"))
    uid, gid = (re.search(rf"{how} (\d+)", made) for how in ("useradd --uid", "groupadd --gid"))
    assert uid
    assert gid
    assert last.of("USER") == [f"{uid[1]}:{gid[1]}"]
    assert f"useradd --uid {uid[1]} --gid {gid[1]} " in made
    assert f",uid={uid[1]},mode=0400" in GUIDE.read_text()


@pytest.mark.parametrize("text", [CONTAINERFILE, GUIDE], ids=["Containerfile", "guide"])
def test_it_is_built_in_a_format_that_has_health_checks(text: Path) -> None:
    """podman's own, OCI, has none: it leaves the image's out, with a warning."""
    builds = re.findall(r"podman build .*", text.read_text())
    assert builds
    for build_command in builds:
        assert " --format docker " in build_command


def test_the_compilers_stay_in_the_stages_before() -> None:
    *before, last = stages()
    assert any("cargo" in arguments for stage in before for arguments in stage.of("COPY"))
    assert [one.split()[:2] for one in last.of("COPY")] == [["--from=build", "/opt/mandorla"]]
    assert not any("apt-get" in one for one in last.of("RUN"))
    assert all("rm -rf /var/lib/apt/lists" in one for s in before for one in s.of("RUN") if "apt-get" in one)


def test_what_the_package_is_made_of_is_copied_and_sent() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    extension = project["tool"]["setuptools-rust"]["ext-modules"][0]
    needed = [
        Path("pyproject.toml"),
        Path("MANIFEST.in"),
        Path(project["project"]["readme"]),
        *map(Path, project["project"]["license-files"]),
        *map(Path, project["tool"]["setuptools"]["packages"]["find"]["where"]),
        Path(extension["path"]),
        Path(extension["args"][1]),
    ]
    for path in needed:
        assert (ROOT / path).exists()
        assert any(path.is_relative_to(source) for source in copied()), path
        assert sent(path), path


@pytest.mark.parametrize(
    "path",
    [".git/config", ".venv/bin/python", "tests/conftest.py", "protocol/native/target/debug/x", "a.key"],
)
def test_nothing_else_is_sent(path: str) -> None:
    assert not sent(Path(path))


def test_its_commands_are_ones_that_there_are() -> None:
    last = stages()[-1]
    group = get_command(build())
    assert isinstance(group, TyperGroup)
    health = json.loads(last.of("HEALTHCHECK")[0].partition("CMD ")[2])
    assert json.loads(last.of("ENTRYPOINT")[0]) == [health[0]] == ["mandorla"]
    for command in (health[1], json.loads(last.of("CMD")[0])[0]):
        assert command in group.commands
    assert "MANDORLA_HOME=" in " ".join(last.of("ENV"))
