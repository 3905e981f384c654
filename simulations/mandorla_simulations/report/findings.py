"""The findings of a study: sentences computed from its results."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from ..scenario.paths import Tree
from ..study_options import ATTACK_NAMES, Attack
from .svg import short

Estimate = dict[str, float | None]

SHARING_NAMES: Final = {
    "none": "no sharing",
    "plaintext": "an ideal feed in the clear",
    "mandorla-watch": "Mandorla (watch)",
}
_PERIODS: Final = {"1d": "day", "1h": "hour"}
_NEGLIGIBLE: Final = 0.005
_SMALL_REDUCTION: Final = 0.1
_LARGE_BUDGET_SHARE: Final = 0.6


def sharing_name(cell: Tree) -> str:
    """Name a way of sharing."""
    name = str(cell["sharing"])
    period = name.removeprefix("mandorla-batch/")
    return SHARING_NAMES.get(name) or f"Mandorla (rounds every {_PERIODS.get(period, period)})"


def configured(tree: Tree) -> list[Tree]:
    """Return the cells of the configured attack, or all cells if there are none."""
    return [cell for cell in tree["cells"] if cell["attack"] == Attack.CONFIGURED] or list(tree["cells"])


def find(tree: Tree, scheme: str, attack: Attack = Attack.CONFIGURED) -> Tree | None:
    """Return the cell of a scheme and an attack; of batches, that with the shortest period."""
    fitting = [cell for cell in tree["cells"] if (cell["scheme"], cell["attack"]) == (scheme, attack)]
    return min(fitting, key=lambda cell: float(cell["period_seconds"]), default=None)


def best(tree: Tree, attack: Attack = Attack.CONFIGURED) -> Tree | None:
    """Return the cell that represents Mandorla: the watch, or else the batch with the shortest period."""
    return find(tree, "mandorla-watch", attack) or find(tree, "mandorla-batch", attack)


def mean(value: Estimate | None) -> float | None:
    """Return the mean of an estimate, None if it is not known."""
    return None if value is None else value["mean"]


def percent(value: Estimate, sign: str = "") -> str:
    """Write a share with its confidence interval; with `sign` "+", as a change."""
    written = f"{value['mean'] or 0:{sign}.0%}"
    if value["low"] is None or value["high"] is None:
        return written
    return f"{written} (95% interval {value['low']:{sign}.0%} to {min(1.0, value['high']):{sign}.0%})"


def uncertain(value: Estimate) -> bool:
    """Return whether the confidence interval contains zero."""
    return value["low"] is not None and value["high"] is not None and value["low"] <= 0 <= value["high"]


def answer(tree: Tree) -> list[str]:
    """Answer the question of the study in a few sentences."""
    alone, shared, adapting = find(tree, "none"), best(tree), best(tree, Attack.ADAPTIVE)
    sentences = []
    if alone is not None:
        sentences.append(_without_sharing(alone, tree["rotation_gain"]))
    if shared is not None:
        sentences.append(_effect(tree, shared))
    if adapting is not None and adapting["reduction_after_first_flag"]:
        sentences.append(_adapting(tree, adapting))
    if shared is not None and shared["benign_blocked_more_than_alone"]:
        sentences.append(_price(shared))
    return sentences or ["The study has neither a run without sharing nor one with Mandorla to compare."]


def _without_sharing(alone: Tree, gain: Estimate | None) -> str:
    extracted = f"Without sharing, the attackers extract {short(mean(alone['exchanges']) or 0)} exchanges"
    if gain is None or gain["mean"] is None:
        return f"{extracted}."
    if uncertain(gain):
        return f"{extracted}. These seeds do not show whether they would extract less at one lab."
    if gain["mean"] > 0.01:
        return f"{extracted}, {gain['mean']:.0%} more than at the least vigilant lab alone. Rotation pays."
    return f"{extracted}, no more than at the least vigilant lab alone. Rotation does not pay."


def _effect(tree: Tree, shared: Tree) -> str:
    fall, ideal = shared["reduction_after_first_flag"], find(tree, "plaintext")
    name = sharing_name(shared)
    if fall is None:
        return f"The effect of {name} is unknown: nothing was flagged, or no run was without sharing."
    if uncertain(fall) and abs(fall["mean"] or 0) > _NEGLIGIBLE:
        sentence = (
            f"These seeds do not show whether {name} reduces extraction after the first flag. "
            f"The estimated reduction is {percent(fall)}."
        )
    elif (fall["mean"] or 0) <= _NEGLIGIBLE:
        change = percent(_negated(fall), "+")
        sentence = f"With {name}, extraction after the first flag does not fall: it changes by {change}."
    else:
        sentence = f"With {name}, extraction after the first flag falls by {percent(fall)}."
    most = mean(ideal["reduction_after_first_flag"]) if ideal else None
    if most is not None:
        sentence += f" The best possible sharing, {SHARING_NAMES['plaintext']}, reduces it by {most:.0%}."
    return sentence


def _adapting(tree: Tree, adapting: Tree) -> str:
    fall = percent(adapting["reduction_after_first_flag"], "")
    sentence = f"Against attackers that adapt, the reduction is {fall}."
    theirs, alone = mean(adapting["cost_usd_per_1000_exchanges"]), find(tree, "none")
    base = mean(alone["cost_usd_per_1000_exchanges"]) if alone else None
    if theirs and base:
        sentence += (
            f" An exchange then costs them {theirs / base:.1f} times as much as it costs the attackers "
            "described in the scenario without sharing."
        )
    return sentence


def _price(shared: Tree) -> str:
    more = shared["benign_blocked_more_than_alone"]
    users = mean(shared["benign_users"]) or 0
    if uncertain(more) and abs(more["mean"]) >= 0.5:
        return "These seeds do not show whether sharing blocks more honest users than no sharing."
    if more["mean"] < 0.5:
        return "Sharing blocks no more honest users than no sharing does."
    rate = f" ({more['mean'] / users * 100_000:,.0f} per 100,000)" if users else ""
    return f"Sharing has a price: it blocks {more['mean']:,.0f} more honest users than no sharing{rate}."


def _negated(value: Estimate) -> Estimate:
    low, high = value["low"], value["high"]
    return {
        "mean": -(value["mean"] or 0),
        "low": None if high is None else -high,
        "high": None if low is None else -low,
    }


def failures(tree: Tree) -> list[str]:
    """List where sharing fails in this study."""
    sentences = list(_attack_failures(tree))
    alone, shared = find(tree, "none"), best(tree)
    if alone is not None and shared is not None:
        sentences += _weakest(tree, alone, shared)
        sentences += _harm(alone, shared)
        sentences += _load(shared)
        sentences += _lag(tree, shared)
    return sentences


def _attack_failures(tree: Tree) -> Iterable[str]:
    for attack, reason in (
        (
            Attack.ADAPTIVE,
            "They use different resources at different labs, drop flagged ones, and pay for more of them.",
        ),
        (Attack.STAY, "An attacker at one lab shows the other labs nothing that they could recognise."),
    ):
        cell = best(tree, attack)
        fall = mean(cell["reduction_after_first_flag"]) if cell else None
        if fall is not None and fall < _SMALL_REDUCTION:
            change = f"falls by only {fall:.0%}" if fall > _NEGLIGIBLE else "does not fall"
            yield (f"Attackers {ATTACK_NAMES[attack]}: extraction after the first flag {change}. {reason}")


def _weakest(tree: Tree, alone: Tree, shared: Tree) -> Iterable[str]:
    for part, key in (("campaign", "exchanges_by_campaign"), ("lab", "exchanges_by_lab")):
        names = [entry["name"] for entry in tree["scenario"][f"{part}s"]]
        remaining = [
            (
                (mean(with_it) or 0) / (mean(without) or 1),
                name,
                (with_it["low"] or 0) > (without["high"] or 0),
            )
            for name, with_it, without in zip(names, shared[key], alone[key], strict=True)
            if mean(without)
        ]
        if len(remaining) < 2:
            continue
        share, name, clearly = max(remaining)
        if share > 1 and not clearly:
            continue
        if share > 1:
            at = "at" if part == "lab" else "by"
            yield (
                f"Extraction {at} {name} is {share - 1:.0%} higher with sharing than without: attackers move "
                "from where they are stopped."
            )
        else:
            yield f"Of the {part}s, sharing helps least with {name}: {share:.0%} of the extraction remains."
        if part == "lab" and name in _releasing(tree):
            yield (
                f"{name} released a model. Attackers that go there first show it resources that no other lab "
                "has met, so no other lab can warn it."
            )


def _releasing(tree: Tree) -> list[str]:
    return [lab["name"] for lab in tree["scenario"]["labs"] if lab["releases_days"]]


def _harm(alone: Tree, shared: Tree) -> Iterable[str]:
    before, after = mean(alone["benign_blocked"]) or 0, mean(shared["benign_blocked"]) or 0
    if after > before:
        factor = f", {after / before:.0f} times as many" if before >= 1 and after / before >= 1.5 else ""
        peers = mean(shared["benign_blocked_by_cause"].get("peer")) or 0
        yield (
            f"{after:,.0f} honest users are blocked instead of {before:,.0f}{factor}. {peers:,.0f} of them "
            "are blocked because they share a resource that a peer flagged."
        )


def _load(shared: Tree) -> Iterable[str]:
    load = shared["load"]
    refused, spent = mean(load["rounds_refused"]) or 0, mean(load["budget_spent"]) or 0
    if refused:
        yield (
            f"{refused:,.0f} questions were refused because the budget was spent. Their matches came in a "
            "later key epoch, or never."
        )
    if spent >= _LARGE_BUDGET_SHARE:
        yield (
            f"The busiest querier spent {spent:.0%} of its budget of a key epoch. A larger lab, or a lab "
            "that asks more often, needs a larger budget."
        )


def _lag(tree: Tree, shared: Tree) -> Iterable[str]:
    fast = mean(shared["reduction_after_first_flag"])
    for cell in tree["cells"]:
        if (cell["attack"], cell["scheme"]) == (Attack.CONFIGURED, "mandorla-batch") and cell is not shared:
            slow = mean(cell["reduction_after_first_flag"])
            if slow is not None and fast is not None and fast - slow > 0.01:
                yield f"With {sharing_name(cell)}, the reduction is {slow:.0%} instead of {fast:.0%}."
