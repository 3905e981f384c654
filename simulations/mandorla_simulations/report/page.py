"""The page, section by section."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from importlib import resources

from ..scenario.paths import Tree
from . import picture, words
from .charts import Bar, Group, Series, bars, lines, tornado
from .svg import short

_CAUSES = {
    "detected": "mistaken by their lab",
    "linked": "linked to a flag of their lab",
    "peer": "linked to a peer's flag",
    "reviewed": "mistaken in a review",
}
_TORNADO = 24


def page(tree: Tree) -> str:
    """Return the whole page."""
    scenario = tree["scenario"]
    sections = [
        _opening(tree),
        _picture(tree),
        _section("How much is extracted", [_extraction(tree), _cumulative(tree)]),
        _section("Who is hit", [_harm(tree)]),
        _section("How fast labs act, and how long accounts live", [_spread(tree), _survival(tree)]),
        _section("What it costs", [_cost(tree), _matches(tree), _load(tree)]),
        _failures(tree),
        _targets(tree),
        _sensitivity(tree),
        _priors(tree),
        _method(tree),
    ]
    return frame(scenario["title"], sections)


def frame(title: str, sections: Sequence[str]) -> str:
    """Return a page that holds sections and all that they need."""
    style = (resources.files(__package__) / "style.css").read_text("utf-8")
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{escape(title)}</title><style>{style}</style></head><body>{_PATTERNS}<main>"
        + "\n".join(part for part in sections if part)
        + "</main></body></html>\n"
    )


_PATTERNS = (
    '<svg width="0" height="0" aria-hidden="true" class="hidden"><defs>'
    '<pattern id="hatch" width="5" height="5" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">'
    '<rect width="5" height="5" class="p-back"/><line x1="0" y1="0" x2="0" y2="5" class="p-line"/></pattern>'
    '<pattern id="dots" width="6" height="6" patternUnits="userSpaceOnUse">'
    '<rect width="6" height="6" class="p-back"/><circle cx="2" cy="2" r="1.2" class="p-dot"/></pattern>'
    "</defs></svg>"
)


def _opening(tree: Tree) -> str:
    scenario = tree["scenario"]
    first, *rest = words.answer(tree)
    said = "".join(f"<p>{escape(sentence)}</p>" for sentence in rest)
    return (
        '<header><p class="kicker">Mandorla, a simulation of rotation</p>'
        f"<h1>{escape(scenario['title'])}</h1>"
        f'<p class="summary">{escape(scenario["summary"])}</p></header>'
        f'<section class="answer"><p class="lead">{escape(first)}</p>{said}</section>'
    )


_HOW_TO_READ = (
    "Each lane is a lab, each column of it a day. The filled bands are exchanges a day, one band for each "
    "campaign; the dashed line is the accounts that are alive. Both sides have the same scale. When a band "
    "thins at one lab and swells at another, an operator has moved."
)


def _picture(tree: Tree) -> str:
    alone, shared = words.find(tree, "none"), words.best(tree)
    named = [("Without sharing", alone)] if alone else []
    if shared:
        named.append((f"With {words.sharing_name(shared)}", shared))
    if not named:
        named = [(words.sharing_name(cell), cell) for cell in tree["cells"][:1]]
    drawn = picture.draw(tree, named)
    return (
        '<section class="wide"><h2>The picture</h2>'
        f'<figure class="scroll">{drawn}</figure><p>{_HOW_TO_READ}</p></section>'
    )


def _section(title: str, parts: Sequence[str]) -> str:
    return f"<section><h2>{escape(title)}</h2>{''.join(parts)}</section>"


def _figure(chart: str, said: str = "") -> str:
    caption = f"<figcaption>{escape(said)}</figcaption>" if said else ""
    return f"<figure>{chart}{caption}</figure>"


def _groups(tree: Tree, bar: Callable[[Tree], Bar | None]) -> list[Group]:
    """Make a bar of each cell, grouped by attack."""
    groups = []
    for attack, name in words.ATTACKS.items():
        made = [bar(cell) for cell in tree["cells"] if cell["attack"] == attack]
        if known := tuple(one for one in made if one is not None):
            groups.append(Group(f"Operators {name}", known))
    return groups


def _bar(key: str) -> Callable[[Tree], Bar | None]:
    def bar(cell: Tree) -> Bar | None:
        value = cell[key]
        if value is None:
            return None
        return Bar(words.sharing_name(cell), (value["mean"],), value["low"], value["high"])

    return bar


def _extraction(tree: Tree) -> str:
    chart = bars("Exchanges extracted", "exchanges, whole scenario", _groups(tree, _bar("exchanges")))
    return _figure(chart, "Whiskers are 95 % confidence intervals over the seeds.")


def _cumulative(tree: Tree) -> str:
    series = []
    for cell in _configured(tree):
        total, points = 0.0, [(0.0, 0.0)]
        for day in range(tree["scenario"]["days"]):
            total += sum(lab[day] for campaign in cell["exchanges_by_day"] for lab in campaign)
            points.append((day + 1.0, total))
        series.append(Series(words.sharing_name(cell), tuple(points)))
    return _figure(lines("Extraction adds up", "days", "exchanges so far", series))


def _harm(tree: Tree) -> str:
    causes = sorted({cause for cell in tree["cells"] for cause in cell["benign_blocked_by_cause"]})

    def bar(cell: Tree) -> Bar:
        by_cause = cell["benign_blocked_by_cause"]
        parts = tuple(words.mean(by_cause.get(cause)) or 0.0 for cause in causes)
        whole = cell["benign_blocked"]
        return Bar(words.sharing_name(cell), parts, whole["low"], whole["high"])

    names = [_CAUSES.get(cause, cause) for cause in causes]
    chart = bars(
        "Honest users blocked", "users, once for each lab that blocked them", _groups(tree, bar), names
    )
    rows = [
        [
            words.sharing_name(cell),
            number(cell["benign_blocked"]),
            number(cell["benign_blocked_more_than_alone"]),
            _rate(cell),
        ]
        for cell in _configured(tree)
    ]
    head = ["sharing", "blocked", "more than without sharing", "in 100,000 users"]
    return _figure(chart) + table(head, rows)


def _rate(cell: Tree) -> str:
    users = words.mean(cell["benign_users"])
    return f"{(words.mean(cell['benign_blocked']) or 0) / users * 100_000:,.0f}" if users else "-"


def _spread(tree: Tree) -> str:
    cells = _configured(tree)
    series = [
        Series(
            words.sharing_name(cell),
            tuple((place, step["mean"]) for place, step in enumerate(cell["spread"])),
        )
        for cell in cells
    ]
    places = (
        [(place, _hours(step["hours"])) for place, step in enumerate(cells[0]["spread"])] if cells else []
    )
    if not places or not any(words.mean(cell["spread_pairs"]) for cell in cells):
        return "<p>No resource that one lab flagged was met by another: there is no spread to show.</p>"
    chart = lines(
        "From one lab's flag to another lab's action", "time since the first flag", "share of pairs", series,
        places=places, share=True,
    )  # fmt: skip
    pairs = ", ".join(f"{words.sharing_name(cell)} {number(cell['spread_pairs'])}" for cell in cells)
    said = (
        "A pair is a flagged payment instrument, template or sequence, and another lab that meets it. Pairs: "
    )
    return _figure(chart, said + pairs + ".")


def _survival(tree: Tree) -> str:
    cells = _configured(tree)
    longest = tree["scenario"]["days"] * 24
    series = [
        Series(
            words.sharing_name(cell),
            (
                (0.0, 1.0),
                *(
                    (step["hours"] / 24, step["mean"])
                    for step in cell["survival"]
                    if step["hours"] <= longest
                ),
            ),
        )
        for cell in cells
    ]
    return _figure(
        lines(
            "Accounts still alive", "age in days", "share of accounts (Kaplan and Meier)", series, share=True
        )
    )


def _cost(tree: Tree) -> str:
    unit = "US dollars for 1,000 exchanges"
    groups = _groups(tree, _bar("cost_usd_per_1000_exchanges"))
    return _figure(
        bars("What extraction costs the attacker", unit, groups, write=lambda value: f"{value:.2f}")
    )


def _matches(tree: Tree) -> str:
    cells = [cell for cell in _configured(tree) if cell["scheme"] != "none"]
    if not cells:
        return ""
    kinds = [kind for kind in cells[0]["matches"] if any(words.mean(cell["matches"][kind]) for cell in cells)]
    rows = [[kind.replace("_", " "), *(number(cell["matches"][kind]) for cell in cells)] for kind in kinds]
    head = ["indicators matched", *(words.sharing_name(cell) for cell in cells)]
    return table(head, rows) if rows else "<p>Nothing matched.</p>"


def _load(tree: Tree) -> str:
    cells = [cell for cell in _configured(tree) if cell["scheme"].startswith("mandorla")]
    if not cells:
        return ""
    head = ["what the protocol took", *(words.sharing_name(cell) for cell in cells)]
    rows = [
        [name, *(write(cell["load"][key]) for cell in cells)]
        for name, key, write in (
            ("questions asked", "rounds", number),
            ("questions refused for want of budget", "rounds_refused", number),
            ("evaluations, padding included", "evaluations", number),
            ("bytes", "bytes", number),
            ("largest share of a budget spent", "budget_spent", _percent),
        )
    ]
    return table(head, rows)


def _failures(tree: Tree) -> str:
    said = words.failures(tree)
    if not said:
        return ""
    items = "".join(f"<li>{escape(sentence)}</li>" for sentence in said)
    return f'<section class="fails"><h2>Where sharing fails</h2><ul>{items}</ul></section>'


def _targets(tree: Tree) -> str:
    alone = words.find(tree, "none")
    if alone is None or not tree["targets"]:
        return ""
    names = [campaign["name"] for campaign in tree["scenario"]["campaigns"]]
    rows = []
    for target in tree["targets"]:
        simulated = alone["exchanges_by_campaign"][names.index(target["campaign"])]
        off = simulated["mean"] / target["exchanges"] - 1
        rows.append(
            [
                target["campaign"],
                f"{target['exchanges']:,}",
                number(simulated),
                f"{off:+.1%}",
                target["source"],
            ]
        )
    said = (
        "The rates of the scenario were fitted to these volumes. That they come out is a calibration, and "
        "no evidence that the rest is right. All campaign figures are claims that outsiders cannot "
        "reproduce, and the firms named in them dispute them; names here are neutral."
    )
    head = ["campaign", "reported, at least", "simulated without sharing", "difference", "source"]
    return f"<section><h2>Does it reproduce what is reported?</h2>{table(head, rows)}<p>{said}</p></section>"


_NOT_COMPUTED = (
    "Not computed here: <code>--sensitivity</code> moves each assumption to both ends of its range."
)
_ONE_AT_A_TIME = (
    "One assumption at a time, with the first seed; x0.5 is half of each value. A seed alone moves the "
    "fall by a few points."
)


def _sensitivity(tree: Tree) -> str:
    found = tree["sensitivity"]
    title = "<h2>What if an assumption is wrong?</h2>"
    if not found["parameters"] or found["base"] is None:
        return f"<section>{title}<p>{_NOT_COMPUTED}</p></section>"
    moved = found["parameters"]
    rows = [
        (one["parameter"], one["low"], one["at_low"], one["high"], one["at_high"]) for one in moved[:_TORNADO]
    ]
    unit = "share, if one assumption is another"
    chart = tornado("The fall of extraction after the first flag", unit, found["base"], rows)
    head = ["parameter", "as it is", "low end", "fall", "high end", "fall"]
    listed = table(
        head,
        [
            [
                one["parameter"],
                one["value"],
                one["low"],
                f"{one['at_low']:.0%}",
                one["high"],
                f"{one['at_high']:.0%}",
            ]
            for one in moved
        ],
    )
    return (
        f'<section class="wide">{title}{_figure(chart, _ONE_AT_A_TIME)}'
        f"<details><summary>As a table</summary>{listed}</details></section>"
    )


def _priors(tree: Tree) -> str:
    priors = tree["priors"]
    if not priors:
        return ""
    reported = [[one["parameter"], one["says"], one["source"]] for one in priors if one["kind"] == "reported"]
    assumed = [
        [one["parameter"], _end(one["low"]), _end(one["high"]), one["why"]]
        for one in priors
        if one["kind"] == "assumed"
    ]
    parts = "<section><h2>Where the numbers come from</h2>"
    if reported:
        parts += "<h3>Reported</h3>" + table(["parameter", "what is reported", "source"], reported)
    if assumed:
        parts += "<h3>Assumed</h3>" + table(["parameter", "from", "to", "why"], assumed)
    return parts + "</section>"


_BY_NODES = "Real nodes found every match, and set logic found the same."
_BY_SETS = "Matches are found by set logic, which tests hold against real nodes."
_DRAWS = (
    "Every draw is a function of the seed and of what it is for: runs that differ in sharing meet the same "
    "accounts and the same luck, and are compared seed by seed. Intervals are Student's t over the seeds."
)
_GLOSSARY = (
    ("exchange", "a request and its answer that is of use to the attacker"),
    ("flag", "a lab's judgement that something belongs to an attacker, believed for a time"),
    ("first flag", "the first at any lab of anything that a campaign used"),
    ("watch", "standing rounds: a lab is told within seconds that another flagged something that it saw"),
    ("evaluation", "one blinded question to a peer; their number in a key epoch is limited"),
)


def _method(tree: Tree) -> str:
    scenario = tree["scenario"]
    seeds = scenario["seeds"]
    how = _BY_NODES if scenario["fidelity"] == "nodes" else _BY_SETS
    counted = f"{len(seeds)} seeds from {seeds[0]}" if len(seeds) > 1 else f"seed {seeds[0]}"
    size = (
        f"{scenario['days']} days, {len(scenario['labs'])} labs, {counted}, fidelity {scenario['fidelity']}."
    )
    glossary = "".join(f"<dt>{term}</dt><dd>{meaning}</dd>" for term, meaning in _GLOSSARY)
    said = f"<p>{escape(size)} {how} {_DRAWS}</p>"
    return f"<section><h2>How this was computed</h2>{said}<dl>{glossary}</dl></section>"


def _configured(tree: Tree) -> list[Tree]:
    return [cell for cell in tree["cells"] if cell["attack"] == "configured"] or list(tree["cells"])


def table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of text, which scrolls where it does not fit."""
    top = "".join(f'<th scope="col">{escape(name)}</th>' for name in head)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'


def number(value: words.Estimate | None) -> str:
    """Write an estimate with half the width of its interval; a hyphen for what is not known."""
    known = words.mean(value)
    if value is None or known is None:
        return "-"
    said = f"{known:,.0f}" if abs(known) < 1e6 else short(known)
    high = value["high"]
    half = 0.0 if high is None else high - known
    return (
        f"{said} ± {half:,.0f}"
        if half >= 0.5 and abs(known) < 1e6
        else f"{said} ± {short(half)}"
        if half >= 0.5
        else said
    )


def _percent(value: words.Estimate | None) -> str:
    known = words.mean(value)
    return "-" if known is None else f"{known:.0%}"


def _hours(hours: float) -> str:
    return f"{hours:g} h" if hours < 24 else f"{hours / 24:g} d"


def _end(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else str(value)
