"""Checks across the rounds of one bundle, and between the bundles of several labs (SPEC 17.2)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise

from ..epochs import Epoch, LabId
from ..errors import MandorlaError
from ..header import CLOCK_SKEW
from ..session.closing import RoundState
from ..session.transcript import Outcome, half_digest
from ..table import TableCommitment
from .bundle import OPEN, PROPOSED, Bundle, CosignedCheckpoint, RoundFacts
from .findings import Claim, Conclusion, Finding
from .reader import BundleReader


def cross_check(readers: Iterable[BundleReader], others: Iterable[Finding] = ()) -> Conclusion:
    """Return the conclusion from all bundles, with the findings of their readers and `others`."""
    finished = list(readers)
    findings = [finding for reader in finished for finding in reader.findings]
    bundles = [reader.bundle for reader in finished]
    for bundle in bundles:
        findings += _over_rounds(bundle)
    findings += _between(bundles)
    findings += _logs(bundles)
    return Conclusion(bundles, [*findings, *others])


def _over_rounds(bundle: Bundle) -> Iterator[Finding]:
    """Check the keys and tables of both labs across all headers, in the order of their agreement."""
    keys: dict[Epoch, bytes] = {}
    latest: dict[tuple[LabId, LabId, str], int] = {}
    tables: dict[Epoch, TableCommitment] = {}

    def find(claim: Claim, facts: RoundFacts, fault: str) -> Finding:
        return Finding(claim, bundle.name, facts.header.round_id, fault)

    for facts in bundle.rounds.values():
        header = facts.header
        if facts.state == PROPOSED:
            # The peer did not sign this header, so it proves nothing about the peer's key and table.
            continue
        for party in (header.initiator, header.responder):
            epoch, offer = header.epoch(party.lab), party.offer
            line = (epoch.holder, epoch.querier, epoch.collection)
            if keys.setdefault(epoch, offer.public_key) != offer.public_key:
                yield find(Claim.KEYED, facts, f"epoch {epoch.number} has two keys")
            if epoch.number < latest.get(line, 0):
                yield find(Claim.KEYED, facts, f"epoch {epoch.number} comes after epoch {latest[line]}")
            latest[line] = max(epoch.number, latest.get(line, 0))
            try:
                offer.table.require_extends(tables.get(epoch, TableCommitment()))
            except MandorlaError as error:
                yield find(Claim.TABLED, facts, error.detail)
            tables[epoch] = offer.table


def _between(bundles: Sequence[Bundle]) -> Iterator[Finding]:
    """Compare the records of each pair of labs about their common rounds."""
    for index, one in enumerate(bundles):
        for other in bundles[index + 1 :]:
            if one.lab is None or other.lab is None:
                continue
            if one.lab == other.lab:
                yield Finding(Claim.CONSISTENT, other.name, b"", "two files come from the same lab")
                continue
            yield from _pair(one, other)


def _pair(one: Bundle, other: Bundle) -> Iterator[Finding]:
    for mine, theirs in ((one, other), (other, one)):
        for round_id, facts in mine.rounds.items():
            parties = {facts.header.initiator.lab, facts.header.responder.lab}
            if theirs.lab not in parties:
                continue
            their_facts = theirs.rounds.get(round_id)
            if their_facts is None:
                if facts.state != PROPOSED:
                    yield Finding(Claim.CONSISTENT, theirs.name, round_id, _missing(mine, facts, theirs))
                continue
            if mine is one and their_facts.encoded != facts.encoded:
                fault = f"{mine.name} and {theirs.name} hold different headers of the round"
                yield Finding(Claim.CONSISTENT, theirs.name, round_id, fault)
            yield from _halves(mine, facts, theirs)
            yield from _ends(mine, facts, theirs)


def _missing(mine: Bundle, facts: RoundFacts, theirs: Bundle) -> str:
    """Return why `theirs` lacks a round. A round that began after the file is no fault of the lab."""
    if _is_older(theirs, facts.agreed_at):
        return f"according to {mine.name}, the round began after this file was sealed: ask for a new file"
    return f"the round is missing here, and {mine.name} holds this lab's signature on it"


def _is_older(bundle: Bundle, at: int) -> bool:
    """Return whether a file may be older than a time of another lab's clock, in Unix seconds."""
    return bundle.start is not None and at >= bundle.start.created - CLOCK_SKEW


def _halves(mine: Bundle, facts: RoundFacts, theirs: Bundle) -> Iterator[Finding]:
    """Compare the commits that `theirs` signed with the answers that `mine` recorded."""
    their_facts = theirs.rounds[facts.header.round_id]
    commits = [s for s, own, _ in their_facts.closes if own and s.outcome is Outcome.COMMITTED]
    answers = [facts.answered[index] for index in sorted(facts.answered)]
    if theirs.lab is None or mine.lab is None:
        return
    expected = half_digest(facts.header, theirs.lab, answers)
    for statement in commits:
        stated = (
            statement.initiator_half if facts.header.initiator.lab == theirs.lab else statement.responder_half
        )
        if stated != expected:
            fault = f"{theirs.name} signed a commit over other chunks than {mine.name} recorded"
            if facts.state in (OPEN, PROPOSED):
                fault = f"the round is open in this file, but ended for {theirs.name}: ask for a new file"
            yield Finding(Claim.CONSISTENT, mine.name, facts.header.round_id, fault)
    if {s.outcome for s, own, _ in facts.closes if own} == {Outcome.ABORTED} and commits:
        fault = f"{theirs.name} signed a commit of a round, and {mine.name} signed its abort"
        if RoundState.COMMITTED in (facts.state, their_facts.state):
            yield Finding(Claim.CONSISTENT, mine.name, facts.header.round_id, fault)


def _ends(mine: Bundle, facts: RoundFacts, theirs: Bundle) -> Iterator[Finding]:
    """Check that the lab of `theirs` signed one end of a round, whichever of the two files has the signature.

    A lab that signs a commit and an abort (SPEC 9.7) may show each of them to somebody else.
    """
    closes = theirs.rounds[facts.header.round_id].closes
    own = {statement.outcome for statement, own, _ in closes if own}
    shown = {statement.outcome for statement, _, peer in facts.closes if peer}
    # Two ends in one file are a fault of that file, which is found where it is read.
    if len(own) == 1 and len(own | shown) > 1:
        (outcome,) = own
        kept, other = ("commit", "abort") if outcome is Outcome.COMMITTED else ("abort", "commit")
        fault = f"{theirs.name} signed a {kept} of the round here, and its {other} in the file of {mine.name}"
        yield Finding(Claim.CONSISTENT, theirs.name, facts.header.round_id, fault)


def _logs(bundles: Sequence[Bundle]) -> Iterator[Finding]:
    """Compare the checkpoints that labs cosigned with the logs in the bundles, and with each other."""
    by_lab = {bundle.lab: bundle for bundle in bundles if bundle.lab is not None}
    checkpoints = [one for bundle in bundles for one in bundle.peer_checkpoints]
    for lab, origin in sorted({(one.log, one.checkpoint.origin) for one in checkpoints}):
        of_log = [one for one in checkpoints if (one.log, one.checkpoint.origin) == (lab, origin)]
        of_log.sort(key=lambda one: one.checkpoint.size)
        bundle = by_lab.get(lab)
        if bundle is None or bundle.start is None:
            yield from _against_each_other(of_log, by_lab)
        elif bundle.start.origin != origin:
            fault = f"this lab showed {by_lab[of_log[0].cosigner].name} another log, {origin}"
            yield Finding(Claim.LOGGED, bundle.name, b"", fault)
        else:
            yield from _against_log(bundle, of_log, by_lab)
    for bundle in bundles:
        yield from _logged_by_cosigners(bundle, by_lab)


def _against_log(
    bundle: Bundle, checkpoints: Sequence[CosignedCheckpoint], by_lab: dict[LabId, Bundle]
) -> Iterator[Finding]:
    for one, root in zip(
        checkpoints, bundle.roots([one.checkpoint.size for one in checkpoints]), strict=True
    ):
        cosigner = by_lab[one.cosigner].name
        if root is None and _is_older(bundle, one.at):
            fault = f"{cosigner} cosigned more entries than this file has: ask for a new file"
            yield Finding(Claim.LOGGED, bundle.name, b"", fault)
        elif root != one.checkpoint.root:
            fault = f"this lab showed {cosigner} other entries among the first {one.checkpoint.size}"
            yield Finding(Claim.LOGGED, bundle.name, b"", fault)


def _against_each_other(
    checkpoints: Sequence[CosignedCheckpoint], by_lab: dict[LabId, Bundle]
) -> Iterator[Finding]:
    for one, other in pairwise(checkpoints):
        size = one.checkpoint.size
        if size == other.checkpoint.size and one.checkpoint.root != other.checkpoint.root:
            who = f"the lab {one.log.hex()[:8]}"
            fault = f"{who} showed {by_lab[other.cosigner].name} another tree of {size} entries"
            yield Finding(Claim.LOGGED, by_lab[one.cosigner].name, b"", fault)


def _logged_by_cosigners(bundle: Bundle, by_lab: dict[LabId, Bundle]) -> Iterator[Finding]:
    """Check that each cosignature is in the cosigner's own log, which has it before the cosigner sends it."""
    for one in bundle.own_checkpoints:
        cosigner = by_lab.get(one.cosigner)
        if cosigner is None or any(
            (logged.log, logged.checkpoint, logged.at) == (one.log, one.checkpoint, one.at)
            for logged in cosigner.peer_checkpoints
        ):
            continue
        fault = f"this lab cosigned {one.checkpoint.size} entries of {bundle.name}, and did not log that"
        if _is_older(cosigner, one.at):
            fault = f"this lab cosigned {bundle.name} after this file was sealed: ask for a new file"
        yield Finding(Claim.LOGGED, cosigner.name, b"", fault)
