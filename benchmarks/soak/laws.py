"""What has to hold in the end, whatever happened to the nodes meanwhile."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import grpc

from benchmarks.soak.labs import Lab
from benchmarks.soak.load import Account, Match, match_from
from benchmarks.soak.plan import Deed, Thing, Verb
from mandorla.v1 import operator_pb2, operator_pb2_grpc
from mandorla_node.audit.bundle import write_bundle
from mandorla_node.store import Store
from mandorla_protocol.audit.__main__ import verify_files
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.epochs import LabId
from mandorla_protocol.header import RoundHeader, RoundId
from mandorla_protocol.log.entries import ChunkCharged, LogEntry, RoundAgreed, RoundEnded, decode_entry

_CALL = 30.0
_PASSING = frozenset({"", "ROUND_ABORTED", "PEER_UNAVAILABLE", "UNKNOWN_ROUND", "DEADLINE", "NOT_READY"})
"""How rounds end of which a node is killed, frozen or stopped. Any other code says that a node erred."""

_QUIET = 1.0
"""Seconds for which a stream of matches is silent when it has told all that there is."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Rounds that were agreed, and how many of them ended in which way; evaluations that were charged."""

    agreed: int
    ended: Mapping[str, int]
    charged: int


def expected(deeds: Iterable[Deed], lab: str) -> dict[tuple[str, Thing], int]:
    """Return what has to match at a lab when all is done: who flagged what, and the newest confidence."""
    deeds = list(deeds)
    observed = {deed.thing for deed in deeds if deed.lab == lab and deed.verb is not Verb.FLAG}
    newest = {(deed.lab, deed.thing): deed for deed in deeds if deed.verb is Verb.FLAG and deed.lab != lab}
    return {
        (holder, thing): deed.confidence
        for (holder, thing), deed in newest.items()
        if thing in observed and not deed.expires
    }


async def matches(lab: Lab) -> list[Match]:
    """Return the matches that a node names."""
    async with lab.channel() as channel:
        stub: operator_pb2_grpc.OperatorAsyncStub = operator_pb2_grpc.OperatorStub(channel)
        request = operator_pb2.MatchesRequest(kind=operator_pb2.KIND_WATCH)
        return [match_from(one) async for one in stub.Matches(request, timeout=_CALL)]


async def told_anew(lab: Lab) -> list[Match]:
    """Follow a node's matches from the first on, until it has no more."""
    told: list[Match] = []
    async with lab.channel() as channel:
        stub: operator_pb2_grpc.OperatorAsyncStub = operator_pb2_grpc.OperatorStub(channel)
        call = stub.Follow(operator_pb2.FollowRequest())
        try:
            while True:
                message = await asyncio.wait_for(call.read(), _QUIET)
                if message is grpc.aio.EOF:
                    return told
                told.append(match_from(message))
        except TimeoutError:
            return told
        finally:
            call.cancel()


def differences(wanted: Mapping[tuple[str, Thing], int], found: Sequence[Match]) -> Iterator[str]:
    """Say how matches differ from those that have to be; no word of it names an indicator."""
    times = Counter((one.peer, one.thing) for one in found)
    if missing := wanted.keys() - times.keys():
        yield f"{len(missing)} of {len(wanted)} matches are missing"
    if false := times.keys() - wanted.keys():
        yield f"{len(false)} match and must not"
    if twice := sum(count > 1 for count in times.values()):
        yield f"{twice} match twice"
    if old := sum(wanted.get((one.peer, one.thing), one.confidence) != one.confidence for one in found):
        yield f"{old} have an old label"


def told_wrongly(
    deeds: Iterable[Deed], account: Account, found: Sequence[Match], anew: Sequence[Match]
) -> Iterator[str]:
    """Say what is wrong with what a lab was told: as it began, when it asked, and in the end."""
    flagged = {(deed.lab, deed.thing) for deed in deeds if deed.verb is Verb.FLAG}
    for what, told in (("followed", [match for _, match in account.followed]), ("followed anew", anew)):
        if any(later.event <= one.event for one, later in pairwise(told)):
            yield f"what was {what} was out of order, or twice"
        if any((one.peer, one.thing) not in flagged for one in told):
            yield f"what was {what} was flagged by nobody"
    if account.claims - flagged:
        yield "a check named a peer that had not flagged it"
    if {one[:3] for one in anew} != {one[:3] for one in found}:
        yield "what is followed from the first on is not what matches"
    yield from untold(account, found)


def untold(account: Account, found: Sequence[Match]) -> Iterator[str]:
    """Say of how many matches a lab was not told as they began."""
    live = {one.event for _, one in account.followed}
    if late := sum(one.event not in live for one in found):
        yield f"{late} of {len(found)} matches were not told as they began"


def log_of(lab: Lab) -> Iterator[str]:
    """Say what a node's log has in it that must not be: what is no JSON, and errors."""
    stray = errors = 0
    for line in lab.log.read_text("utf-8", "replace").splitlines():
        try:
            said = json.loads(line)
        except ValueError:
            stray += 1
            continue
        errors += said.get("level") in ("error", "critical") or said.get("code") == "INTERNAL"
    if stray or errors:
        yield f"{stray} stray lines and {errors} errors in the log"


def recorded(lab: Lab) -> Iterator[str]:
    """Say what is wrong with a stopped node's records: rounds without an end, and budgets.

    What was spent of each budget is what was charged under its key, chunk by chunk.
    """
    own = lab.home.card.identity
    epochs: dict[RoundId, tuple[LabId, str, int]] = {}
    ended: set[RoundId] = set()
    charged: Counter[tuple[LabId, str, int]] = Counter()
    codes: Counter[str] = Counter()
    with closing(lab.home.open_store()) as store:
        for entry in _entries(store):
            match entry:
                case RoundAgreed():
                    header = RoundHeader.decode(entry.header)
                    epoch = header.epoch(own)
                    epochs[header.round_id] = (epoch.querier, epoch.collection, epoch.number)
                case RoundEnded():
                    ended.add(entry.round_id)
                    codes[entry.code] += entry.code not in _PASSING
                case ChunkCharged():
                    charged[epochs[entry.round_id]] += entry.count
        yield from (f"{count} rounds ended with {code}" for code, count in codes.items() if count)
        if left := len(epochs.keys() - ended):
            yield f"{left} rounds have no end"
        for peer in store.peers.all():
            for collection, number, spent, budget, _ in store.holder.living_epochs(peer.lab):
                if spent != charged.pop((peer.lab, collection, number), 0):
                    yield f"{peer.name} was charged otherwise in {collection} than its budget says"
                if spent > budget:
                    yield f"{peer.name} has spent more than its budget in {collection}"
    if charged:
        yield "evaluations were charged under keys that are gone"


def rounds_of(lab: Lab) -> Rounds:
    """Count the rounds of a stopped node, by its log."""
    with closing(lab.home.open_store()) as store:
        entries = list(_entries(store))
    ended = Counter(entry.state for entry in entries if isinstance(entry, RoundEnded))
    charged = sum(entry.count for entry in entries if isinstance(entry, ChunkCharged))
    return Rounds(sum(isinstance(entry, RoundAgreed) for entry in entries), ended, charged)


def audited(labs: Sequence[Lab], folder: Path) -> Iterator[str]:
    """Say what an auditor finds in the bundles of stopped nodes, alone and against each other."""
    files = []
    for lab in labs:
        files.append(str(folder / f"{lab.name}.audit"))
        with closing(lab.home.open_store()) as store:
            write_bundle(lab.home, store, Path(files[-1]))
    verdict = verify_files(files, load_engine("auto"))
    for finding in verdict.findings:
        yield f"an auditor finds: {finding}"


def _entries(store: Store) -> Iterator[LogEntry]:
    return (decode_entry(entry) for _, entry in store.log.entries(store.log.head()[0]))
