"""Scenarios from TOML: presets by name, and files by path.

An error names the line, what is wrong there, and what is allowed.
"""

from __future__ import annotations

import difflib
import re
import tomllib
import typing
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import UnionType

from pydantic import BaseModel, ValidationError

from mandorla_protocol.errors import Code, InputError

from .model import Scenario
from .paths import Tree, UnknownParameter, matching, priors_problem
from .presets import preset_names, preset_text

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*")
_HEADER = re.compile(r"\s*\[(\[)?([^\[\]]+)\]\]?\s*(?:#.*)?")
_KEY = re.compile(
    r"""\s*((?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*')(?:\s*\.\s*(?:[A-Za-z0-9_-]+|"[^"]*"|'[^']*'))*)\s*="""
)
_PART = re.compile(r"""[A-Za-z0-9_-]+|"[^"]*"|'[^']*'""")
_MAX_SIZE = 1 << 20
_SHOWN = 5

Location = tuple[str | int, ...]


@dataclass(frozen=True)
class LoadedScenario:
    """A scenario, with its name and the tree from which it was read."""

    name: str
    scenario: Scenario
    tree: Tree


def load(name: str) -> LoadedScenario:
    """Read a preset by its name, or a scenario file by its path.

    Raises InputError: BAD_FILE if the file is missing or not TOML, BAD_CONFIG if it is not a scenario.
    """
    if _NAME.fullmatch(name) and name in preset_names():
        return parse(preset_text(name), name, name)
    path = Path(name)
    return parse(read_text(path, hint=f"The presets are {', '.join(preset_names())}."), path.stem, path.name)


def read_text(path: Path, hint: str = "") -> str:
    """Read the text of a TOML file.

    Raises InputError(BAD_FILE).
    """
    try:
        if path.stat().st_size > _MAX_SIZE:
            raise InputError(
                Code.BAD_FILE, f"{path.name} is larger than 1 MiB; a scenario is a few kilobytes."
            )
        return path.read_text("utf-8")
    except FileNotFoundError:
        close = difflib.get_close_matches(path.name, preset_names(), 1)
        meant = f" Did you mean {close[0]}?" if close else ""
        raise InputError(Code.BAD_FILE, f"There is no file {path.name}.{meant} {hint}".strip()) from None
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(Code.BAD_FILE, f"{path.name}: {_reason(error)}") from None


def parse(text: str, name: str, shown_as: str) -> LoadedScenario:
    """Read a scenario from TOML.

    Raises InputError: BAD_FILE if it is not TOML, BAD_CONFIG with each wrong line.
    """
    lines = Lines(text)
    tree = _on_base(parse_tree(text, shown_as), lines, shown_as)
    scenario = validate(Scenario, tree, lines, shown_as)
    if problem := priors_problem(tree, scenario):
        where, what = problem
        raise InputError(Code.BAD_CONFIG, f"{shown_as}, line {lines.of(where)}: {what}")
    return LoadedScenario(name, scenario, tree)


def _on_base(tree: Tree, lines: Lines, shown_as: str) -> Tree:
    """Merge a scenario with its base: tables are merged, all other values replace those of the base.

    Raises InputError(BAD_CONFIG) if there is no such preset.
    """
    base = tree.get("base")
    if base is None:
        return tree
    if base not in preset_names():
        raise InputError(
            Code.BAD_CONFIG,
            f"{shown_as}, line {lines.of(('base',))}: base is a preset: {', '.join(preset_names())}.",
        )
    merged = _merged(load(base).tree, tree)
    own = tree.get("priors", {})
    if not isinstance(own, dict):
        return merged
    # A prior of the base is dropped if its parameter is gone.
    merged["priors"] = {
        path: prior for path, prior in merged["priors"].items() if path in own or _holds(merged, path)
    }
    return merged


def _merged(base: Tree, over: Tree) -> Tree:
    merged = dict(base)
    for key, value in over.items():
        below = merged.get(key)
        merged[key] = _merged(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _holds(tree: Tree, pattern: str) -> bool:
    try:
        return bool(matching(tree, pattern))
    except UnknownParameter:
        return False


def parse_tree(text: str, shown_as: str) -> Tree:
    """Parse TOML.

    Raises InputError(BAD_FILE) with the line.
    """
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise InputError(Code.BAD_FILE, f"{shown_as} is not TOML: {error}") from None


Model = typing.TypeVar("Model", bound=BaseModel)


def validate(model: type[Model], tree: Tree, lines: Lines, shown_as: str) -> Model:
    """Check a tree against a model.

    Raises InputError(BAD_CONFIG) with the lines of the first problems.
    """
    try:
        return model.model_validate(tree)
    except ValidationError as error:
        problems = error.errors(include_url=False, include_context=False)
        reasons = []
        for problem in problems[:_SHOWN]:
            where, message = problem["loc"], problem["msg"]
            line = lines.of(where or _named_in(message))
            reasons.append(f"{shown_as}, line {line}: {_explain(model, where, problem['type'], message)}")
        if len(problems) > _SHOWN:
            reasons.append(f"and {len(problems) - _SHOWN} more")
        raise InputError(Code.BAD_CONFIG, "\n".join(reasons)) from None


def _explain(model: type[BaseModel], location: Location, kind: str, message: str) -> str:
    path = ".".join(str(part) for part in location if not _is_branch(part))
    last = str(location[-1]) if location else ""
    if kind == "extra_forbidden":
        allowed = sorted(_fields_at(model, location[:-1]))
        close = difflib.get_close_matches(last, allowed, 1)
        hint = f"did you mean {close[0]}?" if close else f"the keys here are {', '.join(allowed)}."
        return f"{last} is not a key: {hint}"
    if kind == "missing":
        return f"{path} is missing."
    if message.startswith("Input should be "):
        return f"{path} {message.removeprefix('Input ')}."
    reason = message.removeprefix("Value error, ")
    return f"{path}: {reason}." if path else f"{reason}."


def _named_in(message: str) -> Location:
    """Return the location with which a message about several parts begins (`benign.memberships: ...`)."""
    name, colon, _ = message.removeprefix("Value error, ").partition(":")
    return tuple(name.split(".")) if colon else ()


def _is_branch(part: str | int) -> bool:
    """Return whether a step of a location names a branch of a union, which has no place in the file."""
    return isinstance(part, str) and (
        part[:1].isupper() or part.startswith(("literal[", "function-", "str", "lax"))
    )


def _fields_at(model: type[BaseModel], location: Location) -> set[str]:
    """Return the keys that a location allows."""
    current: object = model
    for part in location:
        if isinstance(current, type) and issubclass(current, BaseModel):
            field = current.model_fields.get(str(part))
            if field is None:
                return set()
            current = field.annotation
            continue
        current = next(_models_in(current), current)
        if (
            isinstance(current, type)
            and issubclass(current, BaseModel)
            and isinstance(part, str)
            and part in current.model_fields
        ):
            current = current.model_fields[part].annotation
    found = next(_models_in(current), None)
    return set(found.model_fields) if found else set()


def _models_in(annotation: object) -> Iterator[type[BaseModel]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    if typing.get_origin(annotation) in {tuple, dict, list, typing.Union, UnionType, typing.Annotated}:
        for argument in typing.get_args(annotation):
            yield from _models_in(argument)


class Lines:
    """The line of each key of a TOML text."""

    def __init__(self, text: str) -> None:
        self._known: dict[Location, int] = {}
        table: Location = ()
        counts: dict[Location, int] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if header := _HEADER.fullmatch(line):
                names = _names(header[2])
                table = self._resolve(names[:-1], counts)
                if header[1]:
                    path = (*table, names[-1])
                    counts[path] = counts.get(path, -1) + 1
                    self._known.setdefault(path, number)
                    table = (*path, counts[path])
                else:
                    table = self._resolve(names, counts)
                self._known.setdefault(table, number)
            elif key := _KEY.match(line):
                path = (*table, *_names(key[1]))
                self._known.setdefault(path, number)
                for inner in _KEY.finditer(line[key.end() :].replace("{", "\n").replace(",", "\n")):
                    self._known.setdefault((*path, *_names(inner[1])), number)

    def of(self, location: Location) -> int:
        """Return the line of a location, or of the nearest table around it; 1 if there is none."""
        for length in range(len(location), 0, -1):
            if line := self._known.get(tuple(part for part in location[:length] if not _is_branch(part))):
                return line
        return 1

    def _resolve(self, names: list[str], counts: Mapping[Location, int]) -> Location:
        """Return a location, with the latest element of each array of tables in it."""
        path: Location = ()
        for name in names:
            path = (*path, name)
            if path in counts:
                path = (*path, counts[path])
        return path


def _names(dotted: str) -> list[str]:
    return [part.strip("\"'") for part in _PART.findall(dotted)]


def _reason(error: Exception) -> str:
    return error.strerror or "it cannot be read" if isinstance(error, OSError) else "it is not UTF-8"
