"""What the dashboard, the alert rules and the guide name exists, and the guide leaves out no metric."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml
from prometheus_client import Metric

from mandorla_node.ingest.ingestor import IngestReport
from mandorla_node.monitoring.gauges import Gauges, GaugeSnapshot
from mandorla_node.store import Backlog, IndicatorSet, Peer, StoreState
from mandorla_node.store.overview import Gap, HeldState, PeerEpochState, PeerState
from mandorla_node.telemetry.metrics import Metrics
from mandorla_protocol.card import Card
from mandorla_protocol.epochs import LabId
from mandorla_protocol.header import RoundKind
from mandorla_protocol.signatures import Signature

ROOT = Path(__file__).parents[3]
DASHBOARD = ROOT / "node" / "packaging" / "grafana" / "mandorla.json"
RULES = ROOT / "node" / "packaging" / "prometheus" / "mandorla.rules.yml"
GUIDE = ROOT / "docs" / "observing.md"

COLLECTED = {"instance", "job"}
"""Labels that a collector adds to each metric; and `up` is one of its own."""

SUFFIXES = {"counter": ("_total",), "histogram": ("_bucket", "_count", "_sum"), "info": ("_info",)}
FROM_THE_PROCESS = "process_"


@dataclass(frozen=True)
class Known:
    """A metric of a node's: its type, its labels, and what it means."""

    kind: str
    labels: frozenset[str]
    said: str


def filled() -> Metrics:
    """Return the metrics of a node to which everything happened once."""
    metrics = Metrics()
    metrics.describe("lab-a", "native")
    metrics.call_served("lab-b", "Hello", "OK", 0.1)
    metrics.call_made("lab-b", "Hello", "OK", 0.1)
    metrics.transferred("lab-b", "Hello", 100, 200)
    metrics.evaluations_asked("lab-b", 256)
    metrics.round_ended("lab-b", RoundKind.SHARED, "prompts", "committed", "", 1.0)
    metrics.compared("lab-b", RoundKind.SHARED, "prompts", 1, 1)
    with metrics.check():
        pass
    metrics.checked(1, 1, 1)
    metrics.ingested(IndicatorSet.FLAGGED, IngestReport(1, 1, 1, (), 1, 1).outcomes)
    metrics.wrote(0.1)
    metrics.write_failed()
    metrics.table_prepared("lab-b", "prompts")
    metrics.loop_lagged(0.1)
    card = Card("lab-b", LabId(bytes(32)), b"", "127.0.0.1:1", "origin", Signature(b""))
    peer = PeerState(
        peer=Peer(card, 1, 1),
        held=(HeldState(1, "prompts", 1, 1, 1, 1, 1, 1),),
        peer_epochs=(PeerEpochState(1, "prompts", 1, 1, 1),),
        charged={"prompts": 1},
        matches=dict.fromkeys(RoundKind, 1),
        sightings=1,
        cosigned=1,
    )
    readings = Gauges()
    metrics.registry.register(readings)
    readings.snapshot = GaugeSnapshot(
        serving=True,
        state=StoreState((peer,), 1, 1),
        backlog=Backlog(
            (("ipv4", IndicatorSet.FLAGGED, 1),),
            (Gap("lab-b", "prompts", 1, dict.fromkeys(IndicatorSet, 1)),),
        ),
        ages=(("state", 1.0), ("backlog", 1.0)),
        open_rounds=(("lab-b", "shared", "prompts", "evaluating"),),
        comparing=1,
    )
    return metrics


def known() -> dict[str, Known]:
    """Return every metric, by the name that a query uses."""
    metrics = {name: one for name, one, first in _known(filled().registry.collect()) if not first}
    return metrics | {"up": Known("gauge", frozenset(), "")}


def families() -> dict[str, Known]:
    """Return every metric of a node's own once, by the name that the guide uses."""
    return {
        name: one
        for name, one, first in _known(filled().registry.collect())
        if first and not name.startswith(FROM_THE_PROCESS)
    }


def _known(metrics: Iterator[Metric]) -> Iterator[tuple[str, Known, bool]]:
    for metric in metrics:
        labels = {label for sample in metric.samples for label in sample.labels} - {"le"}
        assert metric.samples, f"nothing happened to {metric.name}"
        one = Known(metric.type, frozenset(labels), metric.documentation)
        suffixes = SUFFIXES.get(metric.type, ("",))
        for suffix in suffixes:
            extra = frozenset({"le"}) if suffix == "_bucket" else frozenset()
            name = metric.name + suffix
            yield name, Known(one.kind, one.labels | extra, one.said), False
        yield metric.name + (suffixes[0] if len(suffixes) == 1 else ""), one, True


def require_known(expression: str, shown: str, metrics: dict[str, Known]) -> None:
    """Refuse a query that names what no node tells, or shows a label that its answer cannot have."""
    used: set[str] = set()
    labels: set[str] = set(COLLECTED)
    for name, matchers in re.findall(r"([a-z_:][a-z0-9_:]*)\s*\{([^}]*)\}", expression):
        for label in re.findall(r"(\w+)\s*(?:=~|!~|!=|=)", re.sub(r'"[^"]*"', '""', matchers)):
            assert label in metrics[name].labels | COLLECTED, f"{name} has no label {label}"
    bare = re.sub(r'\{[^}]*\}|"[^"]*"|\[[^\]]*\]', " ", expression)
    grouped = re.findall(r"\b(?:by|on|ignoring|without)\s*\(([^)]*)\)", bare)
    bare = re.sub(r"\b(?:by|on|ignoring|without)\s*\([^)]*\)", " ", bare)
    for name in re.findall(r"\b([a-zA-Z_][a-zA-Z0-9_]*)\b(?!\s*\()", bare):
        if name not in {"and", "or", "unless"}:
            assert name in metrics, f"{name} is no metric"
            labels |= metrics[name].labels
            used.add(name)
    assert used, f"no metric in {expression}"
    for label in re.split(r"[,\s]+", " ".join(grouped)):
        assert not label or label in labels, f"no label {label} in {expression}"
    if grouped:
        labels &= set(re.split(r"[,\s]+", " ".join(grouped))) | COLLECTED
    for label in re.findall(r"\{\{\s*(?:\$labels\.)?(\w+)\s*\}\}", shown):
        assert label in labels, f"{{{{{label}}}}} is shown of {expression}"


def test_the_dashboard_names_what_there_is() -> None:
    metrics = known()
    dashboard = json.loads(DASHBOARD.read_text())
    panels = [panel for panel in dashboard["panels"] if panel["type"] != "row"]
    assert len(panels) > 20
    assert len({panel["id"] for panel in dashboard["panels"]}) == len(dashboard["panels"])
    for panel in panels:
        for target in panel["targets"]:
            require_known(target["expr"], target["legendFormat"], metrics)
    for variable in dashboard["templating"]["list"]:
        if found := re.fullmatch(r"label_values\((\w+)(\{.*\})?, (\w+)\)", variable["query"]):
            assert found[3] in metrics[found[1]].labels | COLLECTED


def test_the_alerts_name_what_there_is() -> None:
    metrics = known()
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    names = [rule["alert"] for rule in group["rules"]]
    assert len(set(names)) == len(names)
    assert all(rule["annotations"].keys() == {"summary", "action"} for rule in group["rules"])
    for rule in group["rules"]:
        require_known(rule["expr"], " ".join(rule["annotations"].values()), metrics)
    guide = GUIDE.read_text()
    assert {name for name in names if f"`{name}`" not in guide} == set()


@pytest.mark.parametrize(
    ("expression", "shown"),
    [
        ("mandorla_no_such_metric > 0", ""),
        ('mandorla_serving{peer="x"} == 0', ""),
        ("sum by (method) (mandorla_serving)", ""),
        ("mandorla_serving", "{{peer}}"),
        ("sum by (instance) (mandorla_matches)", "{{ $labels.peer }}"),
        ("mandorla_round_seconds", ""),
        ("rate(mandorla_calls_served[5m])", ""),
    ],
)
def test_names_that_there_are_not_are_found(expression: str, shown: str) -> None:
    with pytest.raises((AssertionError, KeyError)):
        require_known(expression, shown, known())


def test_the_guide_has_every_metric_as_it_is() -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*) \| ([^|]*) \|$", GUIDE.read_text(), re.MULTILINE)
    told = {
        name: Known(kind, frozenset(re.findall(r"`(\w+)`", labels)), said)
        for name, kind, labels, said in rows
        if kind != "setting"
    }
    assert told == families()


def test_labels_are_closed_sets_or_names_of_peers() -> None:
    allowed = {
        "peer",
        "collection",
        "kind",
        "code",
        "method",
        "direction",
        "step",
        "outcome",
        "set",
        "part",
        "file",
        "answer",
    }
    about_the_node = {"lab", "version", "engine"}
    for name, one in families().items():
        assert one.labels <= (about_the_node if name == "mandorla_node_info" else allowed), name
