"""Edits of `mandorla.toml` that keep the operator's comments, order and layout."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, MutableMapping
from typing import Any

import tomlkit
from tomlkit.exceptions import TOMLKitError

from mandorla_protocol.errors import Code, NodeError


def replace_values(text: str, table: str, values: Mapping[str, str | None]) -> str:
    """Return a configuration with other values in one table, and all else as it was; None removes a key.

    The table "" is the keys before the first table. A table that is missing is added.

    Raises NodeError: BAD_CONFIG if the file is written in a way that this cannot edit.
    """
    try:
        wanted = tomllib.loads(text)
        _assign(wanted, table, values)
        document = tomlkit.parse(text)
        # tomlkit moves the parts of an array of tables that other tables separate. The operator edits such a
        # file. The standard library confirms the values that tomlkit wrote.
        unchanged = tomlkit.dumps(document) == text
        _assign(document, table, values)
        edited = tomlkit.dumps(document)
        if unchanged and tomllib.loads(edited) == wanted:
            return edited
    except (TOMLKitError, ValueError, TypeError, AttributeError, LookupError):
        pass
    where = f"[{table}]" if table else "the first lines"
    what = ", ".join(
        f"{key} = {tomlkit.item(value).as_string()}" for key, value in values.items() if value is not None
    )
    raise NodeError(
        Code.BAD_CONFIG, f"change {where} of mandorla.toml by hand, to {what or 'nothing'}; then try again"
    )


def _assign(document: MutableMapping[str, Any], table: str, values: Mapping[str, str | None]) -> None:
    """Set or remove keys in a document, which is a dict or tomlkit's."""
    target = document.setdefault(table, {}) if table else document
    for key, value in values.items():
        if value is None:
            target.pop(key, None)
        else:
            target[key] = value
