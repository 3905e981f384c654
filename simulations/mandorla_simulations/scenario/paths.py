"""Parameters by name: `campaigns.campaign-c.pool` is the pool of the campaign of that name.

The `name`, `on` or `campaign` of an element of an array is its name in a path. Priors, sweeps and sensitivity
use these paths.
"""

from __future__ import annotations

import copy
import numbers
import re
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, Final, TypeAlias

from .model import Assumed, Scenario
from .units import parse_duration, parse_money, parse_rate

Tree: TypeAlias = dict[str, Any]
"""A scenario as TOML gives it, with quantities as texts."""

End: TypeAlias = str | int | float | tuple[str | int | float, ...]
"""An end of a range, as written in a scenario."""

_IDENTITIES: Final = ("name", "on", "campaign")
_NO_PARAMETERS: Final = frozenset(
    {"title", "summary", "seed", "seeds", "sharing", "attacks", "targets", "priors", "days"}
)


_FACTOR: Final = re.compile(r"x(\d+(?:\.\d+)?)")


class UnknownParameter(LookupError):
    """A path names nothing in a scenario."""


def lookup(tree: Tree, path: str) -> object:
    """Return the value of a parameter, as written in the scenario.

    Raises UnknownParameter.
    """
    holder, key = _resolve(tree, path)
    if key not in holder:
        raise UnknownParameter(_known(holder, key))
    return holder[key]


def replaced(tree: Tree, path: str, value: object) -> Tree:
    """Return a tree in which one parameter has another value, or has a value at all.

    Raises UnknownParameter if the table of the parameter does not exist.
    """
    changed = copy.deepcopy(tree)
    holder, key = _resolve(changed, path)
    holder[key] = value
    return changed


def parameters(tree: Tree) -> Iterator[tuple[str, object]]:
    """Yield every number, duration, rate and amount of a scenario with its path."""
    for key, value in tree.items():
        if key not in _NO_PARAMETERS:
            yield from _leaves(key, value)


def quantity(value: object) -> float | None:
    """Return a number by which a written value compares with others; None if it is not a quantity."""
    if isinstance(value, bool) or not isinstance(value, (str, numbers.Real)):
        return None
    if not isinstance(value, str):
        return float(value)
    for read in (parse_duration, parse_rate, parse_money):
        try:
            return float(read(value))
        except ValueError:
            continue
    return None


def matching(tree: Tree, pattern: str) -> list[str]:
    """List the parameters that a pattern names; `*` stands for any one name.

    Raises UnknownParameter if it names none.
    """
    if "*" not in pattern:
        lookup(tree, pattern)
        return [pattern]
    wanted = pattern.split(".")
    found = [path for path, _ in parameters(tree) if _fits(path.split("."), wanted)]
    if not found:
        raise UnknownParameter(f"no parameter fits {pattern}")
    return found


def moved(tree: Tree, pattern: str, end: End) -> Tree:
    """Return a tree in which every parameter that a pattern names has the value `end`.

    `x0.5` is half of the parameter's own value.

    Raises UnknownParameter.
    """
    for path in matching(tree, pattern):
        tree = replaced(tree, path, _moved(path, lookup(tree, path), end))
    return tree


def priors_problem(tree: Tree, scenario: Scenario) -> tuple[tuple[str | int, ...], str] | None:
    """Return the location and fault of a prior that names no parameter, or whose range excludes the value."""
    for pattern, prior in scenario.priors.items():
        where = ("priors", pattern)
        try:
            paths = matching(tree, pattern)
        except UnknownParameter as error:
            return where, f"{pattern} names no parameter: {error}."
        if isinstance(prior, Assumed):
            for path in paths:
                if problem := _range_problem(path, lookup(tree, path), prior):
                    return where, problem
    return None


def _range_problem(path: str, value: object, prior: Assumed) -> str | None:
    number = quantity(value)
    low, high = quantity(_moved(path, value, prior.low)), quantity(_moved(path, value, prior.high))
    if number is None:
        return None
    if low is None or high is None:
        return f"a range of {path} is written like its value, {value}, or as a factor, such as x0.5."
    if not low <= number <= high:
        return f"{path} is {value}, outside the assumed range: {prior.low} to {prior.high}."
    return None


def _fits(path: list[str], wanted: list[str]) -> bool:
    return len(path) == len(wanted) and all(
        want in {"*", name} for name, want in zip(path, wanted, strict=True)
    )


def _moved(path: str, value: object, end: End) -> object:
    """Return an end of a range for one parameter: the end itself, or the parameter's value times a factor."""
    factor = _FACTOR.fullmatch(end) if isinstance(end, str) else None
    if factor is None:
        return end
    by = float(factor[1])
    if isinstance(value, str):
        return _times(value, by)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return value
    if isinstance(value, int):
        return max(min(1, value), round(value * by))
    # Numbers up to 1 are shares, except for a lab's vigilance.
    return value * by if value > 1 or path.endswith(".vigilance") else min(1.0, value * by)


def _times(value: str, by: float) -> str:
    """Multiply a duration, a rate or an amount; write it in a unit that holds the product."""
    with suppress(ValueError):
        seconds = parse_duration(value)
        return f"{max(min(1, seconds), round(seconds * by))}s"
    with suppress(ValueError):
        rate = f"{parse_rate(value) * by:.9f}".rstrip("0").rstrip(".")
        return f"{rate}/day"
    with suppress(ValueError):
        cents = round(parse_money(value) * by)
        return f"{cents // 100}.{cents % 100:02} USD"
    return value


def _leaves(path: str, value: object) -> Iterator[tuple[str, object]]:
    if isinstance(value, dict):
        for key, inner in value.items():
            if key not in _IDENTITIES:
                yield from _leaves(f"{path}.{key}", inner)
    elif isinstance(value, list) and value and all(isinstance(element, dict) for element in value):
        for element in value:
            yield from _leaves(f"{path}.{_identity(element)}", element)
    elif quantity(value) is not None or (
        isinstance(value, list) and value and quantity(value[0]) is not None
    ):
        yield path, value


def _identity(element: Tree) -> str:
    return str(next((element[key] for key in _IDENTITIES if key in element), ""))


def _resolve(tree: Tree, path: str) -> tuple[Any, str]:
    *steps, key = path.split(".")
    current: Any = tree
    for step in steps:
        current = _enter(current, step)
    if not isinstance(current, dict):
        raise UnknownParameter(_known(current, key))
    return current, key


def _enter(current: Any, step: str) -> Any:
    if isinstance(current, list):
        for element in current:
            if isinstance(element, dict) and _identity(element) == step:
                return element
        raise UnknownParameter(_known(current, step))
    if isinstance(current, dict) and step in current:
        return current[step]
    raise UnknownParameter(_known(current, step))


def _known(current: Any, step: str) -> str:
    if isinstance(current, dict):
        names = [str(key) for key in current]
    elif isinstance(current, list):
        names = [_identity(element) for element in current if isinstance(element, dict)]
    else:
        names = []
    return f"there is no {step}; there is {', '.join(names)}" if names else f"there is no {step}"
