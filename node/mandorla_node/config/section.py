"""The base of every table of `mandorla.toml`, and the types that the tables share."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[int, Field(gt=0)]
NotNegative = Annotated[int, Field(ge=0)]
Text = Annotated[str, Field(min_length=1, max_length=200)]

HOUR_S = 3600
DAY_S = 24 * HOUR_S


class Section(BaseModel):
    """A table of `mandorla.toml`.

    `default_file` writes the docstring of each table and the description of each field into the file of a new
    home as comments, so both speak to the operator, and a description names the setting's unit. A field
    without a default value has an example.

    Descriptions are arguments of `Field`: pydantic can also read them from docstrings under the fields, but
    then it parses this package's source each time that a command starts.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)
