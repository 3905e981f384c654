"""The text of a new home's `mandorla.toml`, generated from the models of the settings."""

from __future__ import annotations

import inspect
import textwrap
from collections.abc import Iterator, Mapping
from typing import Final, TypeAlias, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from tomlkit import inline_table, item

from .home_settings import KeySettings
from .peer_settings import RoundSettings
from .settings import Settings

_WIDTH: Final = 98
_HEAD: Final = """\
# The settings of this lab's node, which reads them when it starts. A setting that is commented out
# has its default, which is shown as of the version that made this file.
"""

Values: TypeAlias = Mapping[str, object]


def initial_toml(lab: str, listen: str, endpoint: str, keys: Values | None = None) -> str:
    """Return the text of a new home's configuration file: every setting, with its description.

    What is particular to this lab is set. All else is commented out with its default, so that homes of this
    version get the default of a later one. The purpose and the legal basis are set, too: a later default must
    not change what a lab signs. `keys` are values for the table [keys]; None leaves a key commented out.
    """
    rounds = RoundSettings()
    assigned: dict[str, Values] = {
        "": {"lab": lab, "listen": listen, "endpoint": endpoint},
        "rounds": {"purpose": rounds.purpose, "legal_basis": rounds.legal_basis},
        "keys": {"source": KeySettings().source, **(keys or {})},
    }
    return _HEAD + "".join(_table(Settings, "", assigned))


def _table(model: type[BaseModel], path: str, assigned: Mapping[str, Values]) -> Iterator[str]:
    """Write the fields of a model; then its tables, which TOML wants last."""
    # This omits required fields, which have no default. The plain values of JSON are values of TOML.
    defaults = model.model_construct().model_dump(mode="json", warnings=False)
    values = assigned.get(path, {})
    tables = []
    for name, field in model.model_fields.items():
        if inner := _model_of(field):
            tables.append((name, field, inner))
        else:
            yield "\n" + _comment(field.description or "")
            yield from _setting(name, field, values.get(name), defaults.get(name))
    for name, field, inner in tables:
        yield "\n\n" + _comment(inspect.getdoc(inner) or "")
        if field.examples:
            yield from _example(inner, f"{name}.{field.examples[0]}")
        else:
            yield f"[{name}]\n"
            yield from _table(inner, name, assigned)


def _setting(name: str, field: FieldInfo, value: object, default: object) -> Iterator[str]:
    if value is not None:
        yield f"{name} = {_toml(value)}\n"
    elif default is not None:
        yield f"# {name} = {_toml(default)}\n"
    else:
        yield f"# Not set by default; an example:\n# {name} = {_toml(_example_of(field))}\n"


def _example(model: type[BaseModel], path: str) -> Iterator[str]:
    """Write a table that an operator adds. Its settings stand for those of other tables, described there."""
    yield f"# [{path}]\n"
    for name, field in model.model_fields.items():
        if inner := _model_of(field):
            yield f"#\n{_comment(inspect.getdoc(inner) or '')}"
            yield from _example(inner, f"{path}.{name}.{_example_of(field)}")
        else:
            yield f"# {name} = {_toml(_example_of(field))}\n"


def _example_of(field: FieldInfo) -> object:
    """Return the example of a field; that of a table of tables is the name of one."""
    return (field.examples or [""])[0]


def _model_of(field: FieldInfo) -> type[BaseModel] | None:
    """Return the model of a field that is a table, or a table of tables."""
    types = (field.annotation, *get_args(field.annotation))
    return next((kind for kind in types if isinstance(kind, type) and issubclass(kind, BaseModel)), None)


def _comment(text: str) -> str:
    lines = (
        line for part in text.split("\n\n") for line in textwrap.wrap(part, _WIDTH, break_on_hyphens=False)
    )
    return "".join(f"# {line}\n" for line in lines)


def _toml(value: object) -> str:
    if isinstance(value, dict):
        table = inline_table()
        table.update(value)
        return table.as_string()
    return item(value).as_string()
