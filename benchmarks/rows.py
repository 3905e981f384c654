"""A row of the table of `benchmarks.signatures`."""

from __future__ import annotations

from dataclasses import dataclass

CLASSES = (".6", ".7", ".8", ".9")
"""Classes of similarity, by their lower ends."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """What a profile did on some data. What was not measured is None."""

    data: str
    profile: str
    needed: int = 1
    values: float
    recall: tuple[float, ...] | None = None
    linked: float | None = None
    false: float
    in_a_set: float | None = None
    microseconds: float | None = None

    def cells(self) -> tuple[str, ...]:
        """Return the row as texts."""
        recall = self.recall or (None,) * len(CLASSES)
        return (
            self.data,
            self.profile,
            str(self.needed),
            f"{self.values:.1f}",
            *(_written(one, ".3f") for one in recall),
            _written(self.linked, ".3f"),
            f"{self.false:.1e}" if self.false else "0",
            _written(self.in_a_set, ".3f"),
            _written(self.microseconds, ".0f"),
        )


def _written(value: float | None, form: str) -> str:
    return "" if value is None else format(value, form)
