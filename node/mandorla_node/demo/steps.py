"""The steps of the demo: homes, nodes, lists, rounds, and the check of the matches."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

from mandorla.v1 import operator_pb2
from mandorla_protocol.errors import Code, MandorlaError, NodeError

from ..app.local_labs import make_homes
from ..client import Client
from ..formats.rows import IngestRow
from . import lists
from .display import Display
from .lists import Lab
from .nodes import Node, require_running, running, until_ready

SHARED = "shared"
WATCH = "watch"
_KINDS = {SHARED: operator_pb2.KIND_SHARED, WATCH: operator_pb2.KIND_WATCH}


@dataclass(frozen=True)
class Round:
    """A round of two labs, and its result at the initiator."""

    initiator: str
    responder: str
    kind: str
    result: operator_pb2.RoundResult


@dataclass(frozen=True)
class Finding:
    """A lab's matches with a peer, and the plain intersection of their lists."""

    lab: str
    peer: str
    kind: str
    found: frozenset[str]
    expected: frozenset[str]

    @property
    def agrees(self) -> bool:
        """Whether both hold the same domains."""
        return self.found == self.expected


@dataclass(frozen=True)
class Result:
    """The rounds and the findings of the demo."""

    engine: str
    flagged: dict[str, int]
    observed: dict[str, int]
    rounds: tuple[Round, ...]
    findings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        """Whether all findings agree."""
        return all(finding.agrees for finding in self.findings)

    def finding(self, lab: str, peer: str, kind: str) -> Finding:
        """Return a lab's finding with a peer."""
        wanted = (lab, peer, kind)
        return next(each for each in self.findings if (each.lab, each.peer, each.kind) == wanted)


async def run_steps(labs: Sequence[Lab], folder: Path, display: Display) -> Result:
    """Run all steps, with the homes in a folder; raises MandorlaError if a step fails."""
    with display.step("Each lab makes a home with its own keys") as step:
        homes = await asyncio.to_thread(make_homes, folder, [lab.name for lab in labs])
        step.note("cards exchanged")
    async with running(homes) as nodes:
        with display.step("Three nodes start, one process each") as step:
            await asyncio.gather(*map(until_ready, nodes.values()))
            step.note("pids " + " ".join(str(node.process.pid) for node in nodes.values()))
        try:
            return await _run_rounds(labs, nodes, display)
        except MandorlaError as error:
            if error.code is Code.NODE_NOT_RUNNING:
                await require_running(nodes.values())
            raise


async def _run_rounds(labs: Sequence[Lab], nodes: dict[str, Node], display: Display) -> Result:
    """Ingest the lists, run the rounds and check the matches."""
    flagged, observed = {}, {}
    for lab in labs:
        flagged[lab.name], observed[lab.name] = await _ingest(lab, nodes[lab.name].operator, display)
    rounds = [
        await _round(nodes[initiator.name], responder.name, SHARED, display)
        for initiator, responder in combinations(labs, 2)
    ]
    for watcher in labs:
        if watcher.observed:
            rounds += [
                await _round(nodes[watcher.name], other.name, WATCH, display)
                for other in labs
                if other is not watcher
            ]
    with display.step("Check against the plain intersection") as step:
        findings = await _check(labs, nodes)
        step.note("all agree" if all(finding.agrees for finding in findings) else "DIFFERENT")
    engine = (await nodes[labs[0].name].operator.status()).engine
    return Result(engine, flagged, observed, tuple(rounds), findings)


async def _ingest(lab: Lab, operator: Client, display: Display) -> tuple[int, int]:
    """Ingest a lab's lists; return the sizes of its flagged and its observed set."""
    seen = 0
    with display.step(f"{lab.name} ingests its lists") as step:
        flagged = [IngestRow(line, lists.TYPE, value, lab.label) for line, value in enumerate(lab.flagged, 1)]
        answer = await operator.ingest(operator_pb2.SET_FLAGGED, flagged, suppress=False)
        step.note(f"{answer.added:,} flagged")
        if lab.observed:
            observed = [IngestRow(line, lists.TYPE, value) for line, value in enumerate(lab.observed, 1)]
            seen = (await operator.ingest(operator_pb2.SET_OBSERVED, observed)).added
            step.note(f"{answer.added:,} flagged, {seen:,} seen")
    return answer.added, seen


async def _round(node: Node, peer: str, kind: str, display: Display) -> Round:
    title = f"{node.name} and {peer}: what did both flag?"
    if kind == WATCH:
        title = f"{node.name} asks {peer}: what I saw, did you flag?"
    result: operator_pb2.RoundResult | None = None
    with display.step(title) as step:
        async for progress in node.operator.start_round(peer, _KINDS[kind], lists.COLLECTION):
            step.show(progress.step, progress.done, progress.total)
            if progress.HasField("result"):
                result = progress.result
        if result is None or result.outcome != "committed":
            code = Code[result.code] if result and result.code else Code.ROUND_ABORTED
            raise NodeError(code, f"the {kind} round of {node.name} with {peer} was not committed")
        step.note(f"{result.matches:,} found")
    return Round(node.name, peer, kind, result)


async def _check(labs: Sequence[Lab], nodes: dict[str, Node]) -> tuple[Finding, ...]:
    """Compare each lab's matches with the intersection of the plain lists."""
    flagged = {lab.name: await asyncio.to_thread(lists.canonical, lab.flagged) for lab in labs}
    observed = {lab.name: await asyncio.to_thread(lists.canonical, lab.observed) for lab in labs}
    findings = []
    for lab in labs:
        found: dict[tuple[str, str], set[str]] = defaultdict(set)
        async for match in nodes[lab.name].operator.matches():
            found[match.peer, match.kind].add(match.value)
        for peer in labs:
            if peer is not lab:
                for kind, own in ((SHARED, flagged), (WATCH, observed)):
                    expected = own[lab.name] & flagged[peer.name]
                    findings.append(
                        Finding(lab.name, peer.name, kind, frozenset(found[peer.name, kind]), expected)
                    )
    return tuple(findings)
