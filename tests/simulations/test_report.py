"""The report: complete in itself, honest about what is missing, and safe whatever names it shows."""

from __future__ import annotations

import copy
import re
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest

from mandorla_simulations.report import render_study, render_sweep
from mandorla_simulations.report.charts import tornado
from mandorla_simulations.report.svg import short, ticks
from mandorla_simulations.results import CellResult, StudyResults, as_tree
from mandorla_simulations.scenario.loader import load, parse
from mandorla_simulations.scenario.paths import Tree
from mandorla_simulations.sensitivity import AssumptionEffect
from mandorla_simulations.study import Cell, Run, cells_of, measure_run
from mandorla_simulations.study_options import Attack

HOSTILE = [
    "<script>alert('x')</script>&\"'",
    "</title></svg></style><img src=x onerror=alert(1)>",
    "{{ 7 * 7 }}{% include 'style.css' %}",
    '" onload="alert(1)',
]


@pytest.fixture(scope="module")
def study() -> StudyResults:
    loaded = load("small")
    cells = cells_of(loaded.scenario)
    measured = [CellResult(c, [measure_run(Run(loaded.scenario, c, seed)) for seed in (7, 8)]) for c in cells]
    moved = [AssumptionEffect("campaigns.*.supply", "as given", "x0.5", "x3", 0.2, 0.5)]
    return StudyResults(loaded, "fast", [7, 8], measured, 1.0, moved, 0.4)


@pytest.fixture
def tree(study: StudyResults) -> Tree:
    return copy.deepcopy(as_tree(study))


def test_the_page_needs_nothing_from_anywhere(tree: Tree) -> None:
    page = render_study(tree)
    assert "http://" not in page
    assert "https://" not in page
    assert not re.findall(r"\b(?:src|href)=|@import|url\((?!#)", page)
    assert "<script" not in page


def test_every_chart_is_well_formed_and_says_what_it_shows(tree: Tree) -> None:
    drawings = re.findall(r"<svg viewBox.*?</svg>", render_study(tree), re.DOTALL)
    assert len(drawings) == 8
    for drawing in drawings:
        root = ElementTree.fromstring(drawing)
        assert root.attrib["role"] == "img"
        assert root.findtext("title")
        assert root.findtext("desc")
        assert len(root.findall("text")) > 5


def estimate(mean: float, low: float, high: float) -> dict[str, float]:
    return {"mean": mean, "low": low, "high": high}


def watched(tree: Tree) -> Tree:
    cells = {(cell["attack"], cell["sharing"]): cell for cell in tree["cells"]}
    found: Tree = cells["configured", "mandorla-watch"]
    return found


def test_the_answer_is_what_the_figures_say(tree: Tree) -> None:
    cell = watched(tree)
    cell["reduction_after_first_flag"] = estimate(0.38, 0.3, 1.2)
    cell["benign_blocked_more_than_alone"] = estimate(50.0, 20.0, 80.0)
    cell["benign_users"] = estimate(10_000.0, 10_000.0, 10_000.0)
    tree["rotation_gain"] = estimate(0.16, 0.1, 0.22)
    page = render_study(tree)
    extracted = short(tree["cells"][0]["exchanges"]["mean"])
    assert f"{extracted} exchanges, 16% more than at the least vigilant lab alone" in page
    assert "extraction after the first flag falls by 38% (95% interval 30% to 100%)" in page
    assert "it blocks 50 more honest users than no sharing (500 per 100,000)" in page


def test_what_the_seeds_do_not_show_is_not_claimed(tree: Tree) -> None:
    cell = watched(tree)
    cell["reduction_after_first_flag"] = estimate(0.38, -0.3, 1.0)
    cell["benign_blocked_more_than_alone"] = estimate(50.0, -20.0, 120.0)
    tree["rotation_gain"] = estimate(0.16, -0.1, 0.42)
    page = render_study(tree)
    assert "These seeds do not show whether they would extract less at one lab." in page
    assert "These seeds do not show whether Mandorla (watch) reduces extraction" in page
    assert "These seeds do not show whether sharing blocks more honest users than no sharing." in page
    assert "Rotation pays" not in page


def test_the_report_says_where_sharing_fails(tree: Tree) -> None:
    cell = watched(tree)
    cell["reduction_after_first_flag"] = estimate(-0.1, -0.2, -0.05)
    cell["load"]["rounds_refused"]["mean"] = 12.0
    cell["load"]["budget_spent"]["mean"] = 0.93
    cell["exchanges_by_lab"] = [estimate(9e9, 8e9, 1e10) for _ in cell["exchanges_by_lab"]]
    page = render_study(tree)
    assert "does not fall: it changes by +10% (95% interval +5% to +20%)" in page
    assert "12 questions were refused" in page
    assert "93% of its budget" in page
    assert "higher with sharing than without" in page
    assert "Attackers that stay at one lab: extraction after the first flag" in page


class Tags(HTMLParser):
    """The elements and attributes of a page, and its text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}

    def handle_data(self, data: str) -> None:
        self.text += data


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_from_files_are_only_text(tree: Tree, hostile: str) -> None:
    plain = Tags(render_study(tree))
    scenario = tree["scenario"]
    scenario["title"] = scenario["summary"] = hostile
    for named in (*scenario["labs"], *scenario["campaigns"]):
        named["name"] = hostile
    scenario["labs"][0]["releases_days"] = [1.0]
    tree["targets"] = [{"campaign": hostile, "exchanges": 10, "source": hostile}]
    tree["priors"] = [
        {"parameter": hostile, "kind": "assumed", "low": hostile, "high": [1, 2], "why": hostile},
        {"parameter": hostile, "kind": "reported", "source": hostile, "says": hostile},
    ]
    tree["sensitivity"]["parameters"][0] |= dict.fromkeys(("parameter", "value", "low", "high"), hostile)
    tree["cells"][1]["sharing"] = f"mandorla-batch/{hostile}"
    shown = Tags(render_study(tree))
    assert shown.tags <= plain.tags
    assert shown.attributes <= plain.attributes
    assert shown.text.count(hostile) > 20


@pytest.mark.parametrize("hostile", HOSTILE)
def test_names_of_a_sweep_are_only_text(hostile: str) -> None:
    measures = ("exchanges", "after_first_flag", "accounts", "cost_usd", "benign_blocked", "evaluations")
    row = {"values": [hostile], "sharing": hostile} | {name: estimate(2.0, 1.0, 3.0) for name in measures}
    plain = Tags(render_sweep({"title": "A sweep", "parameters": [], "rows": []}))
    shown = Tags(render_sweep({"title": hostile, "parameters": [hostile], "rows": [row]}))
    assert shown.tags <= plain.tags | {"td", "tr", "rect"}
    assert shown.attributes <= plain.attributes
    assert shown.text.count(hostile) > 5


@pytest.mark.parametrize("kept", [[], ["none"], ["plaintext"], ["mandorla-batch/6h"]])
def test_missing_cells_are_no_trouble(tree: Tree, kept: list[str]) -> None:
    tree["cells"] = [cell for cell in tree["cells"] if cell["sharing"] in kept]
    tree["sensitivity"] = {"base": None, "parameters": []}
    assert "Where the numbers come from" in render_study(tree)


def test_a_scenario_in_which_nothing_happens_is_no_trouble() -> None:
    text = 'base = "small"\ndays = 1\nseeds = 1\nsharing = ["none", "mandorla-watch"]\n'
    text += 'attacks = ["configured"]\n[benign]\npeople = 0\n'
    loaded = parse(text, "empty", "empty.toml")
    quiet = loaded.scenario.campaigns[0].model_copy(update={"pool": 1, "start": 86_399, "supply": 0.0})
    scenario = loaded.scenario.model_copy(update={"campaigns": (quiet,)})
    cells = [CellResult(cell, [measure_run(Run(scenario, cell, 1))]) for cell in cells_of(scenario)]
    study = StudyResults(type(loaded)("empty", scenario, loaded.tree), "fast", [1], cells, 0.1, [])
    page = render_study(as_tree(study))
    assert "Without sharing, the attackers extract 0 exchanges" in page
    assert "nan" not in page


def test_one_seed_has_no_interval(study: StudyResults) -> None:
    cells = [
        CellResult(Cell(Attack.CONFIGURED, one.cell.sharing), one.measures[:1]) for one in study.cells[:3]
    ]
    page = render_study(as_tree(StudyResults(study.loaded, "fast", [7], cells, 1.0, [])))
    assert "interval" not in page


def test_a_sweep_has_a_plot_and_a_table() -> None:
    row = {name: {"mean": 5.0, "low": 4.0, "high": 6.0} for name in (
        "exchanges", "after_first_flag", "accounts", "cost_usd", "benign_blocked", "evaluations"
    )}  # fmt: skip
    rows = [{"values": ["1h"], "sharing": sharing, **row} for sharing in ("none", "plaintext")]
    page = render_sweep({"title": "A sweep", "parameters": ["policy.act"], "rows": rows})
    assert page.count("<svg viewBox") == 1
    assert "act 1h" in page


def test_both_ends_of_an_assumption_are_visible() -> None:
    both_lower = ("policy.act", "1s", 0.5, "1h", 0.2)
    both_higher = ("labs.*.*", "x0.5", 0.7, "x2", 0.9)
    drawing = ElementTree.fromstring(tornado("Title", "unit", 0.6, [both_lower, both_higher]))
    bars = [rect for rect in drawing.findall("rect") if rect.find("title") is not None]
    assert len(bars) == 4
    for under, over in (bars[:2], bars[2:]):
        assert float(under.attrib["width"]) > float(over.attrib["width"]) > 0


@pytest.mark.parametrize("high", [0.0, 0.3, 1.0, 7.0, 45.0, 999.0, 1e6, 16_646_540.0])
def test_ticks_are_round_and_reach_the_top(high: float) -> None:
    marks = ticks(high)
    assert marks[0] == 0
    assert marks[-1] >= high
    assert 2 <= len(marks) <= 7
