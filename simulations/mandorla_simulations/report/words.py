"""What the figures say, in sentences: computed from them, whatever they are."""

from __future__ import annotations

from collections.abc import Iterable

from ..scenario.paths import Tree
from .svg import short

Estimate = dict[str, float | None]

SHARING = {
    "none": "no sharing",
    "plaintext": "an ideal feed in the clear",
    "mandorla-watch": "Mandorla, watch",
}
ATTACKS = {
    "configured": "as described",
    "stay": "staying at one lab",
    "adaptive": "adapting",
}
_PERIODS = {"1d": "day", "1h": "hour"}
_BUSY = 0.6


def sharing_name(cell: Tree) -> str:
    """Name a way of sharing."""
    name = str(cell["sharing"])
    period = name.removeprefix("mandorla-batch/")
    return SHARING.get(name) or f"Mandorla, rounds every {_PERIODS.get(period, period)}"


def find(tree: Tree, scheme: str, attack: str = "configured") -> Tree | None:
    """Return the cell of a scheme and an attack, of batches the one with the shortest period."""
    fitting = [cell for cell in tree["cells"] if (cell["scheme"], cell["attack"]) == (scheme, attack)]
    return min(fitting, key=lambda cell: float(cell["period_seconds"]), default=None)


def best(tree: Tree, attack: str = "configured") -> Tree | None:
    """Return the cell that stands for Mandorla: the watch, or else the last batch."""
    return find(tree, "mandorla-watch", attack) or find(tree, "mandorla-batch", attack)


def mean(value: Estimate | None) -> float | None:
    """Return the mean of an estimate, if it is known."""
    return None if value is None else value["mean"]


def percent(value: Estimate) -> str:
    """Write a share with its interval."""
    said = f"{value['mean'] or 0:.0%}"
    if value["low"] is None or value["high"] is None:
        return said
    return f"{said} (95 % interval {value['low']:.0%} to {min(1.0, value['high']):.0%})"


def uncertain(value: Estimate) -> bool:
    """Say whether an interval leaves open on which side of zero the truth lies."""
    return value["low"] is not None and value["high"] is not None and value["low"] <= 0 <= value["high"]


def answer(tree: Tree) -> list[str]:
    """Answer the question that the page is about, in a few sentences."""
    alone, shared, gain = find(tree, "none"), best(tree), tree["rotation_gain"]
    said = []
    if alone is not None:
        extracted = mean(alone["exchanges"]) or 0
        sentence = f"Without sharing, these operators extract {short(extracted)} exchanges"
        said.append(sentence + _rotation(gain) + ".")
    if shared is not None:
        said += _effect(tree, shared)
    adapting = best(tree, "adaptive")
    if adapting is not None and adapting["reduction_after_first_flag"]:
        said.append(_adapting(tree, adapting))
    harmed = shared["benign_blocked_more_than_alone"] if shared else None
    if harmed and shared:
        more, users = harmed["mean"], mean(shared["benign_users"]) or 0
        rate = f" ({more / users * 100_000:,.0f} in 100,000)" if users else ""
        if uncertain(harmed) and abs(more) >= 0.5:
            said.append("Whether it harms more honest users than no sharing, these seeds cannot tell.")
        elif more >= 0.5:
            said.append(
                f"It has a price: {more:,.0f} more honest users are blocked than without sharing{rate}."
            )
        else:
            said.append("No more honest users are blocked than without sharing.")
    return said or ["This study has no cell without sharing and none with it: there is nothing to compare."]


def _rotation(gain: Estimate | None) -> str:
    if gain is None or gain["mean"] is None:
        return ""
    if uncertain(gain):
        return "; whether that is more than if they stayed at one lab, these seeds cannot tell"
    if gain["mean"] > 0.01:
        return f", {gain['mean']:.0%} more than if they stayed at the least vigilant lab: rotation pays"
    return ", no more than if they stayed at the least vigilant lab: rotation does not pay here"


def _effect(tree: Tree, shared: Tree) -> list[str]:
    fall, ideal = shared["reduction_after_first_flag"], find(tree, "plaintext")
    name = sharing_name(shared)
    if fall is None:
        return [
            f"How much {name} changes cannot be said: nothing was flagged, or no run was without sharing."
        ]
    if uncertain(fall) and abs(fall["mean"] or 0) > 0.005:
        sentence = f"Whether {name} makes extraction fall, these seeds cannot tell: by {percent(fall)}"
    elif (fall["mean"] or 0) <= 0.005:
        change = percent(_negated(fall))
        sentence = f"With {name}, extraction after the first flag does not fall: it changes by {change}"
    else:
        sentence = f"With {name}, extraction after the first flag falls by {percent(fall)}"
    most = mean(ideal["reduction_after_first_flag"]) if ideal else None
    if most is not None:
        sentence += f"; {SHARING['plaintext']}, the most that sharing can do, would reach {most:.0%}"
    return [sentence + "."]


def _adapting(tree: Tree, adapting: Tree) -> str:
    sentence = f"Against operators that adapt, the fall is {percent(adapting['reduction_after_first_flag'])}"
    theirs, alone = mean(adapting["cost_usd_per_1000_exchanges"]), find(tree, "none")
    base = mean(alone["cost_usd_per_1000_exchanges"]) if alone else None
    if theirs and base:
        sentence += (
            f", and an exchange costs them {theirs / base:.1f} times what it costs those who need not adapt, "
            "without sharing"
        )
    return sentence + "."


def _negated(value: Estimate) -> Estimate:
    low, high = value["low"], value["high"]
    return {
        "mean": -(value["mean"] or 0),
        "low": None if high is None else -high,
        "high": None if low is None else -low,
    }


def failures(tree: Tree) -> list[str]:
    """Say where sharing fails in this study."""
    said = list(_attack_failures(tree))
    alone, shared = find(tree, "none"), best(tree)
    if alone is not None and shared is not None:
        said += _weakest(tree, alone, shared)
        said += _harm(alone, shared)
        said += _load(shared)
        said += _lag(tree, shared)
    return said


def _attack_failures(tree: Tree) -> Iterable[str]:
    for attack, why in (
        ("adaptive", "They keep their labs apart, drop what was flagged, and pay for more resources."),
        ("stay", "Who stays at one lab gives the others nothing to recognise."),
    ):
        cell = best(tree, attack)
        fall = mean(cell["reduction_after_first_flag"]) if cell else None
        if fall is not None and fall < 0.1:
            much = f"falls by {fall:.0%} only" if fall > 0.005 else "does not fall"
            yield f"Operators {ATTACKS[attack]}: extraction after the first flag {much}. {why}"


def _weakest(tree: Tree, alone: Tree, shared: Tree) -> Iterable[str]:
    for one, key in (("campaign", "exchanges_by_campaign"), ("lab", "exchanges_by_lab")):
        names = [entry["name"] for entry in tree["scenario"][f"{one}s"]]
        left = [
            (
                (mean(with_it) or 0) / (mean(without) or 1),
                name,
                (with_it["low"] or 0) > (without["high"] or 0),
            )
            for name, with_it, without in zip(names, shared[key], alone[key], strict=True)
            if mean(without)
        ]
        if len(left) < 2:
            continue
        share, name, clearly = max(left)
        if share > 1 and not clearly:
            continue
        if share > 1:
            yield (
                f"{name} sees {share - 1:.0%} more extraction with sharing than without: what is stopped "
                "elsewhere goes there."
            )
        else:
            yield f"Of the {one}s, sharing helps least with {name}: {share:.0%} of the extraction remains."
        if one == "lab" and name in _releasing(tree):
            yield (
                f"{name} released a model. Attackers who go there first show it resources that no "
                f"other lab has met, "
                "and so nobody can warn of."
            )


def _releasing(tree: Tree) -> list[str]:
    return [lab["name"] for lab in tree["scenario"]["labs"] if lab["releases_days"]]


def _harm(alone: Tree, shared: Tree) -> Iterable[str]:
    before, after = mean(alone["benign_blocked"]) or 0, mean(shared["benign_blocked"]) or 0
    if after > before:
        factor = f", {after / before:.0f} times as many" if before >= 1 and after / before >= 1.5 else ""
        peers = mean(shared["benign_blocked_by_cause"].get("peer")) or 0
        yield (
            f"{after:,.0f} honest users are blocked instead of {before:,.0f}{factor}; {peers:,.0f} "
            f"of them because "
            "they share something with what a peer flagged."
        )


def _load(shared: Tree) -> Iterable[str]:
    load = shared["load"]
    refused, spent = mean(load["rounds_refused"]) or 0, mean(load["budget_spent"]) or 0
    if refused:
        yield (
            f"{refused:,.0f} questions were refused for want of budget: what they would have shown "
            f"came in a later "
            "key epoch, or never."
        )
    if spent >= _BUSY:
        yield (
            f"The busiest querier spent {spent:.0%} of its budget of a key epoch. A larger lab, or "
            f"one that asks more "
            "often, needs a larger budget."
        )


def _lag(tree: Tree, shared: Tree) -> Iterable[str]:
    fast = mean(shared["reduction_after_first_flag"])
    for cell in tree["cells"]:
        if (cell["attack"], cell["scheme"]) == ("configured", "mandorla-batch") and cell is not shared:
            slow = mean(cell["reduction_after_first_flag"])
            if slow is not None and fast is not None and fast - slow > 0.01:
                yield f"With {sharing_name(cell)} the fall is {slow:.0%} instead of {fast:.0%}."
