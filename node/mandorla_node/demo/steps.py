"""What happens in the demo: homes, nodes, lists, rounds, and the check of what was found."""

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
from .lists import Lab
from .nodes import Node, require_running, running, until_ready
from .stage import Stage

SHARED = "shared"
WATCH = "watch"
_KINDS = {SHARED: operator_pb2.KIND_SHARED, WATCH: operator_pb2.KIND_WATCH}


@dataclass(frozen=True)
class Round:
    """A round that two labs ran, and its result as the initiator saw it."""

    initiator: str
    responder: str
    kind: str
    result: operator_pb2.RoundResult


@dataclass(frozen=True)
class Finding:
    """What a lab found with a peer, and what the plain intersection says."""

    lab: str
    peer: str
    kind: str
    found: frozenset[str]
    expected: frozenset[str]

    @property
    def agrees(self) -> bool:
        """Whether both are the same, to the domain."""
        return self.found == self.expected


@dataclass(frozen=True)
class Result:
    """All that happened."""

    engine: str
    flagged: dict[str, int]
    observed: dict[str, int]
    rounds: tuple[Round, ...]
    findings: tuple[Finding, ...]

    @property
    def agrees(self) -> bool:
        """Whether every lab found what it should have."""
        return all(finding.agrees for finding in self.findings)

    def finding(self, lab: str, peer: str, kind: str) -> Finding:
        """Return what a lab found with a peer."""
        wanted = (lab, peer, kind)
        return next(one for one in self.findings if (one.lab, one.peer, one.kind) == wanted)


async def play(labs: Sequence[Lab], folder: Path, stage: Stage) -> Result:
    """Run the demo in a folder; raises MandorlaError if a step fails."""
    with stage.step("Each lab makes a home with its own keys") as step:
        homes = await asyncio.to_thread(make_homes, folder, [lab.name for lab in labs])
        step.note("cards exchanged")
    async with running(homes) as nodes:
        with stage.step("Three nodes start, one process each") as step:
            await asyncio.gather(*map(until_ready, nodes.values()))
            step.note("pids " + " ".join(str(node.process.pid) for node in nodes.values()))
        try:
            return await _meet(labs, nodes, stage)
        except MandorlaError as error:
            if error.code is Code.NODE_NOT_RUNNING:
                await require_running(nodes.values())
            raise


async def _meet(labs: Sequence[Lab], nodes: dict[str, Node], stage: Stage) -> Result:
    """Do what the labs do once their nodes run."""
    flagged, observed = {}, {}
    for lab in labs:
        flagged[lab.name], observed[lab.name] = await _ingest(lab, nodes[lab.name].operator, stage)
    rounds = [
        await _round(nodes[one.name], other.name, SHARED, stage) for one, other in combinations(labs, 2)
    ]
    for watcher in labs:
        if watcher.observed:
            rounds += [
                await _round(nodes[watcher.name], other.name, WATCH, stage)
                for other in labs
                if other is not watcher
            ]
    with stage.step("Check against the plain intersection") as step:
        findings = await _check(labs, nodes)
        step.note("all agree" if all(one.agrees for one in findings) else "DIFFERENT")
    engine = (await nodes[labs[0].name].operator.status()).engine
    return Result(engine, flagged, observed, tuple(rounds), findings)


async def _ingest(lab: Lab, operator: Client, stage: Stage) -> tuple[int, int]:
    """Take a lab's lists in; return the sizes of its flagged and its observed set."""
    seen = 0
    with stage.step(f"{lab.name} ingests its lists") as step:
        flagged = [IngestRow(line, lists.TYPE, value, lab.label) for line, value in enumerate(lab.flagged, 1)]
        answer = await operator.ingest(operator_pb2.SET_FLAGGED, flagged, suppress=False)
        step.note(f"{answer.added:,} flagged")
        if lab.observed:
            observed = [IngestRow(line, lists.TYPE, value) for line, value in enumerate(lab.observed, 1)]
            seen = (await operator.ingest(operator_pb2.SET_OBSERVED, observed)).added
            step.note(f"{answer.added:,} flagged, {seen:,} seen")
    return answer.added, seen


async def _round(node: Node, peer: str, kind: str, stage: Stage) -> Round:
    title = f"{node.name} and {peer}: what did both flag?"
    if kind == WATCH:
        title = f"{node.name} asks {peer}: what I saw, did you flag?"
    result: operator_pb2.RoundResult | None = None
    with stage.step(title) as step:
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
    """Compare what each lab found with the intersection of the lists in the clear."""
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
