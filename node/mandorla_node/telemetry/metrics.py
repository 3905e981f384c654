"""The counters and histograms of a node, for Prometheus.

The values of labels are closed sets or the names of pinned peers; an indicator, a tag, a token or a text from
a peer is never one. Each node has its own registry, so that several nodes can run in one process.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Final

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    Info,
    Metric,
    generate_latest,
)
from prometheus_client.registry import Collector

from mandorla_protocol.errors import Code, MandorlaError
from mandorla_protocol.header import RoundKind
from mandorla_protocol.indicators import Collection

from ..core.clock import Clock, system_clock
from ..store import IndicatorSet
from .process import ProcessCollector

UNKNOWN_PEER: Final = "unknown"
"""The label of a call that is refused before its caller is identified."""

OK: Final = "OK"
"""The code of a success, beside the codes of the catalogue."""

CANCELLED: Final = "CANCELLED"
"""The code of a call that its caller has cancelled."""

_CALL_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10, 60)
_WRITE_BUCKETS: Final = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5, 60)
_ROUND_BUCKETS: Final = (0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300, 1800, 86400)
_LAG_BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 5)


class Metrics:
    """Counters and histograms of one node; most methods count the event of their name. Times are seconds."""

    def __init__(self, clock: Clock = system_clock) -> None:
        self._clock = clock
        # The Unix time of each peer's last call: the store records only agreed rounds.
        self.last_contact: dict[str, int] = {}
        self.registry = registry = CollectorRegistry()
        registry.register(ProcessCollector())
        self._info = Info("mandorla_node", "The node: lab, version and engine", registry=registry)
        call_labels = ("peer", "method", "code")
        self._served = Counter(
            "mandorla_calls_served", "Calls of peers, by how they ended", call_labels, registry=registry
        )
        self._served_seconds = Histogram(
            "mandorla_call_served_seconds",
            "How long calls of peers took",
            ("peer", "method"),
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self._made = Counter(
            "mandorla_calls_made", "Calls to peers, retries included", call_labels, registry=registry
        )
        self._made_seconds = Histogram(
            "mandorla_call_made_seconds",
            "How long calls to peers took",
            ("peer", "method"),
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self._bytes = Counter(
            "mandorla_call_bytes",
            "Bytes of messages in successful calls to peers, before framing and TLS",
            ("peer", "method", "direction"),
            registry=registry,
        )
        round_labels = ("peer", "kind", "collection")
        self._rounds = Counter(
            "mandorla_rounds",
            "Rounds that ended, and those that the labs did not agree on",
            (*round_labels, "outcome", "code"),
            registry=registry,
        )
        self._round_seconds = Histogram(
            "mandorla_round_seconds",
            "How long batch rounds took, from the agreement to the end",
            round_labels,
            buckets=_ROUND_BUCKETS,
            registry=registry,
        )
        self._asked = Counter(
            "mandorla_evaluations_asked",
            "Evaluations that a peer answered, padding included",
            ("peer",),
            registry=registry,
        )
        self._new_matches = Counter(
            "mandorla_new_matches", "Matches that began", round_labels, registry=registry
        )
        self._bad_labels = Counter(
            "mandorla_bad_labels",
            "Labels of a peer that could not be decrypted",
            round_labels,
            registry=registry,
        )
        self._checks = Histogram(
            "mandorla_check_seconds",
            "How long Check took, for the operator's gateway",
            ("code",),
            buckets=_CALL_BUCKETS,
            registry=registry,
        )
        self._checked = Counter(
            "mandorla_checked_indicators",
            "Indicators in calls of Check, by the answer",
            ("answer",),
            registry=registry,
        )
        self._ingested = Counter(
            "mandorla_ingested_rows",
            "Rows of finished ingests, by outcome",
            ("set", "outcome"),
            registry=registry,
        )
        self._writes = Histogram(
            "mandorla_store_write_seconds",
            "How long write transactions took, the wait for other writers included",
            buckets=_WRITE_BUCKETS,
            registry=registry,
        )
        self._write_errors = Counter(
            "mandorla_store_write_errors", "Transactions that the store refused", registry=registry
        )
        table_labels = ("peer", "collection")
        self._prepared = Counter(
            "mandorla_tables_prepared",
            "Tables brought up to date in the background",
            (*table_labels, "code"),
            registry=registry,
        )
        self._prepared_at = Gauge(
            "mandorla_table_prepared_timestamp_seconds",
            "When a table was last brought up to date in the background",
            table_labels,
            registry=registry,
        )
        self._lag = Histogram(
            "mandorla_event_loop_lag_seconds",
            "How late the event loop resumed a task that was due",
            buckets=_LAG_BUCKETS,
            registry=registry,
        )
        self.calls = 0
        self.refused = 0
        self.checks = 0
        self.last_lag = 0.0

    def page(self) -> bytes:
        """Return all metrics in Prometheus' text format."""
        return generate_latest(_WithoutCreated(self.registry))

    def start_counts(self, peers: Iterable[str]) -> None:
        """Start the series of peers at 0: a collector misses the first increase of a new series."""
        for peer in peers:
            self._asked.labels(peer)
            for kind in RoundKind:
                for collection in Collection:
                    self._new_matches.labels(peer, kind_label(kind), collection.value)
                    self._bad_labels.labels(peer, kind_label(kind), collection.value)

    def describe(self, lab: str, engine: str) -> None:
        """Set the labels that identify the node."""
        self._info.info({"lab": lab, "engine": engine, "version": own_version()})

    def call_served(self, peer: str, method: str, code: str, seconds: float) -> None:
        """Count a call from a peer."""
        if peer != UNKNOWN_PEER:
            self.last_contact[peer] = self._clock()
        self.calls += 1
        self.refused += code != OK
        self._served.labels(peer, method, code).inc()
        self._served_seconds.labels(peer, method).observe(seconds)

    def call_made(self, peer: str, method: str, code: str, seconds: float) -> None:
        """Count a call to a peer."""
        if code == OK:
            self.last_contact[peer] = self._clock()
        self._made.labels(peer, method, code).inc()
        self._made_seconds.labels(peer, method).observe(seconds)

    def transferred(self, peer: str, method: str, sent: int, received: int) -> None:
        """Count the bytes of a call to a peer."""
        self._bytes.labels(peer, method, "sent").inc(sent)
        self._bytes.labels(peer, method, "received").inc(received)

    def evaluations_asked(self, peer: str, count: int) -> None:
        """Count evaluations that a peer answered."""
        self._asked.labels(peer).inc(count)

    def round_ended(
        self, peer: str, kind: RoundKind, collection: str, outcome: str, code: str, seconds: float | None
    ) -> None:
        """Count a round that ended; `seconds` is None for one that the labs did not agree on."""
        self._rounds.labels(peer, kind_label(kind), collection, outcome, code or OK).inc()
        if seconds is not None:
            self._round_seconds.labels(peer, kind_label(kind), collection).observe(seconds)

    def compared(
        self, peer: str, kind: RoundKind, collection: str, new_matches: int, bad_labels: int
    ) -> None:
        """Count the results of a comparison."""
        labels = (peer, kind_label(kind), collection)
        self._new_matches.labels(*labels).inc(new_matches)
        self._bad_labels.labels(*labels).inc(bad_labels)

    @contextmanager
    def check(self) -> Iterator[None]:
        """Time a Check, and count it by its code."""
        started, code = time.perf_counter(), Code.INTERNAL.name
        try:
            yield
            code = OK
        except MandorlaError as error:
            code = error.code.name
            raise
        finally:
            self.checks += 1
            self._checks.labels(code).observe(time.perf_counter() - started)

    def checked(self, matched: int, flagged: int, unknown: int) -> None:
        """Count checked indicators: those that match, those that only this lab flagged, and the others."""
        for answer, count in (("matched", matched), ("flagged", flagged), ("unknown", unknown)):
            self._checked.labels(answer).inc(count)

    def ingested(self, target: IndicatorSet, outcomes: Mapping[str, int]) -> None:
        """Count the rows of an ingest, by outcome."""
        for outcome, count in outcomes.items():
            self._ingested.labels(target.value, outcome).inc(count)

    def wrote(self, seconds: float) -> None:
        """Count a transaction that is durable."""
        self._writes.observe(seconds)

    def write_failed(self) -> None:
        """Count a transaction that the store refused."""
        self._write_errors.inc()

    def table_prepared(self, peer: str, collection: str, code: str = OK) -> None:
        """Count the preparation of a table in the background, by its code."""
        self._prepared.labels(peer, collection, code).inc()
        if code == OK:
            self._prepared_at.labels(peer, collection).set(self._clock())

    def loop_lagged(self, seconds: float) -> None:
        """Record a delay of the event loop."""
        self.last_lag = seconds
        self._lag.observe(seconds)


class _WithoutCreated(Collector):
    """A registry without its `_created` samples, which would double the page and are of little use."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._registry = registry

    def collect(self) -> Iterator[Metric]:
        for family in self._registry.collect():
            family.samples = [sample for sample in family.samples if not sample.name.endswith("_created")]
            yield family


def kind_label(kind: RoundKind) -> str:
    """Return the name of a kind of round, as on the command line."""
    return kind.name.lower()


def own_version() -> str:
    """Return the version of this installation."""
    try:
        return version("mandorla")
    except PackageNotFoundError:
        return "not installed"
