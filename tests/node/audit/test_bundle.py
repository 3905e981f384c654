"""Audit bundles: an honest one verifies, and whatever is done to it is found and named."""

from __future__ import annotations

import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from mandorla.v1 import operator_pb2
from mandorla_node.audit.bundle import write_bundle
from mandorla_node.home.folder import Home
from mandorla_protocol import signatures
from mandorla_protocol.audit.__main__ import verify_files
from mandorla_protocol.audit.findings import MAX_FINDINGS, Claim, Conclusion
from mandorla_protocol.audit.records import (
    BundleStart,
    CardRecord,
    CheckpointRecord,
    ElementsRecord,
    Record,
    Seal,
    Sealer,
    decode,
    read_frames,
)
from mandorla_protocol.audit.report import report_json, report_lines
from mandorla_protocol.engine.loader import load_engine
from mandorla_protocol.errors import Code, InputError, MandorlaError
from mandorla_protocol.header import RoundHeader, RoundId
from mandorla_protocol.log.checkpoint import Checkpoint, LogKey, sign_checkpoint
from mandorla_protocol.log.entries import (
    ChunkCharged,
    ChunkEvaluated,
    KeyEpochBegun,
    PeerCosigned,
    RoundAgreed,
    RoundClosed,
    RoundEnded,
    RoundProposed,
    TableVersionPublished,
)
from mandorla_protocol.log.fraud import FraudProof
from mandorla_protocol.merkle import Frontier, hash_leaf
from mandorla_protocol.session.transcript import CloseStatement, answer_digest, request_digest
from tests.support.commands import Run
from tests.support.labs import SHARED, WATCH, addresses, ingest, make_labs, run_round, serving
from tests.support.patience import PATIENCE

ENGINE = load_engine("auto")
SENTINEL = "sentinel.example.org"


class Case:
    """Two labs that ran three rounds, and their bundles."""

    def __init__(self, homes: Sequence[Home], folder: Path) -> None:
        self.a, self.b = homes
        self.folder = folder
        self.files = [folder / f"{home.card.name}.audit" for home in homes]
        for home, file in zip(homes, self.files, strict=True):
            store = home.open_store()
            write_bundle(home, store, file)
            store.close()

    def records(self, which: int = 0) -> list[Record]:
        with self.files[which].open("rb") as file:
            return [decode(frame) for frame in read_frames(file.read)]

    def in_log(self, record: Record) -> bool:
        """Whether a record is an entry of the log, and not beside it."""
        beside = BundleStart | CardRecord | ElementsRecord | CheckpointRecord | Seal
        return not isinstance(record, beside)

    def resealed(self, records: Sequence[Record], which: int = 0, *, keep: bool = False) -> Path:
        """Write records as the lab itself would, with a good seal, and sign the log that comes of them.

        Checkpoints that peers cosigned are left out, since they are of another log, unless told to `keep`.
        """
        home = (self.a, self.b)[which]
        if keep:
            kept = [r for r in records if not isinstance(r, CheckpointRecord) or r.cosignatures]
        else:
            kept = [r for r in records if not isinstance(r, CheckpointRecord)]
        log = Frontier().extend(hash_leaf(r.encode()) for r in kept if self.in_log(r))
        note = sign_checkpoint(home.identity, Checkpoint(home.card.log_origin, log.size, log.root))
        return self.sealed([*kept, CheckpointRecord(note, ())], which)

    def sealed(self, records: Sequence[Record], which: int = 0) -> Path:
        """Write records with a good seal."""
        home = (self.a, self.b)[which]
        start = next(record for record in records if isinstance(record, BundleStart))
        sealer = Sealer(start)
        path = self.folder / f"changed-{which}.audit"
        body = b"".join(sealer.add(record) for record in records if not isinstance(record, Seal))
        path.write_bytes(body + sealer.seal(lambda sealed: signatures.sign(home.identity, sealed)))
        return path

    def verify(self, *files: Path) -> Conclusion:
        return verify_files([str(file) for file in files or self.files], ENGINE)


@pytest.fixture(scope="module")
def case() -> Iterator[Case]:
    folder = Path(tempfile.mkdtemp(prefix="md-"))
    a, b = make_labs(folder, "lab-a", "lab-b")
    ingest(a, addresses(range(20)))
    ingest(b, addresses(range(15, 40)))
    ingest(a, [SENTINEL], kind="domain")

    async def journey() -> None:
        async with serving(a, b) as (at_a, at_b):
            for operator, peer, kind in (
                (at_a, "lab-b", SHARED),
                (at_b, "lab-a", WATCH),
                (at_a, "lab-b", SHARED),
            ):
                result = await run_round(operator, peer, kind)
                assert result.outcome == "committed"
                request = operator_pb2.CheckRequest(
                    indicators=[operator_pb2.Indicator(type="ipv4", value=addresses([200])[0])]
                )
                await operator.Check(request)

    asyncio.run(journey())
    yield Case((a, b), folder)
    shutil.rmtree(folder)


def broken(verdict: Conclusion) -> set[Claim]:
    return {finding.claim for finding in verdict.findings}


def test_honest_bundles_verify_alone_and_together(case: Case) -> None:
    verdict = case.verify()
    assert verdict.findings == []
    assert [len(bundle.rounds) for bundle in verdict.bundles] == [3, 3]
    assert [bundle.evaluations for bundle in verdict.bundles] == [768, 768]
    for file in case.files:
        assert case.verify(file).holds
    said = "\n".join(report_lines(verdict))
    assert "lab-a" in said
    assert "FAILS" not in said
    assert report_json(verdict)["holds"] is True


def test_a_bundle_holds_no_indicator(case: Case) -> None:
    content = case.files[0].read_bytes()
    assert SENTINEL.encode() not in content
    for value in addresses(range(20)):
        assert value.encode() not in content


@pytest.mark.slow
def test_every_byte_counts(case: Case) -> None:
    whole = case.files[0].read_bytes()
    chance = random.Random(20260223)
    changed = case.folder / "random.audit"
    for number in range(400):
        content = bytearray(whole)
        place = chance.randrange(len(content))
        match number % 4:
            case 0:
                content[place] ^= 1 << chance.randrange(8)
            case 1:
                del content[place : place + chance.randrange(1, 200)]
            case 2:
                content[place:place] = chance.randbytes(chance.randrange(1, 200))
            case _:
                length = chance.randrange(1, 64)
                content[place : place + length] = chance.randbytes(min(length, len(content) - place))
        if content == whole:
            continue
        changed.write_bytes(content)
        try:
            assert not case.verify(changed).holds
        except InputError as error:
            assert error.code is Code.BAD_FILE


Change = Callable[["Case", list[Record]], list[Record]]


def edit(kind: type[Record], **fields: object) -> Change:
    """Change fields of the first record of a kind."""

    def change(_case: Case, records: list[Record]) -> list[Record]:
        place = next(number for number, record in enumerate(records) if isinstance(record, kind))
        return [*records[:place], replace(records[place], **fields), *records[place + 1 :]]

    return change


def drop(*kinds: type[Record]) -> Change:
    """Leave the first record of each kind out."""

    def change(_case: Case, records: list[Record]) -> list[Record]:
        left = list(records)
        for kind in kinds:
            left.remove(next(record for record in left if isinstance(record, kind)))
        return left

    return change


def drop_all(kind: type[Record]) -> Change:
    """Leave every record of a kind out."""
    return lambda _case, records: [record for record in records if not isinstance(record, kind)]


def round_of(record: Record) -> bytes:
    if isinstance(record, RoundProposed | RoundAgreed):
        return RoundHeader.decode(record.header).round_id
    return getattr(record, "round_id", b"")


def first_round(records: list[Record]) -> bytes:
    return next(round_of(record) for record in records if isinstance(record, RoundAgreed))


def drop_round(_case: Case, records: list[Record]) -> list[Record]:
    """Leave out everything of the first round."""
    gone = first_round(records)
    return [record for record in records if round_of(record) != gone]


def replay(kind: type[Record]) -> Change:
    """Record the first of a kind twice."""

    def change(_case: Case, records: list[Record]) -> list[Record]:
        place = next(number for number, record in enumerate(records) if isinstance(record, kind))
        return [*records[: place + 1], records[place], *records[place + 1 :]]

    return change


def reorder(first: type[Record], second: type[Record]) -> Change:
    """Put the first record of one kind behind the first of another that follows it."""

    def change(_case: Case, records: list[Record]) -> list[Record]:
        one = next(number for number, record in enumerate(records) if isinstance(record, first))
        other = next(
            number for number, record in enumerate(records) if number > one and isinstance(record, second)
        )
        return [*records[:one], *records[one + 1 : other + 1], records[one], *records[other + 1 :]]

    return change


def swap_proofs(_case: Case, records: list[Record]) -> list[Record]:
    """Exchange the proofs of two chunks."""
    one, other = [n for n, record in enumerate(records) if isinstance(record, ChunkEvaluated)][:2]
    first, second = records[one], records[other]
    assert isinstance(first, ChunkEvaluated)
    assert isinstance(second, ChunkEvaluated)
    changed = list(records)
    changed[one], changed[other] = replace(first, proof=second.proof), replace(second, proof=first.proof)
    return changed


def roll_budget_back(_case: Case, records: list[Record]) -> list[Record]:
    """Claim that fewer elements were asked for."""
    return [replace(r, count=1) if isinstance(r, ChunkCharged) else r for r in records]


def rewrite_chunk(_case: Case, records: list[Record]) -> list[Record]:
    """Put another honest-looking question, whose digests are right, in a chunk's place."""
    charged, evaluated, elements = (
        next(r for r in records if isinstance(r, kind))
        for kind in (ChunkCharged, ChunkEvaluated, ElementsRecord)
    )
    chunks = [record for record in records if isinstance(record, ElementsRecord | ChunkEvaluated)]
    answer, other = [record for record in chunks if record.round_id != charged.round_id][:2]
    assert isinstance(answer, ChunkEvaluated)
    assert isinstance(other, ElementsRecord)
    header = next(RoundHeader.decode(r.header) for r in records if isinstance(r, RoundAgreed))
    asked = request_digest(header.digest(), charged.index, other.blinded)
    answered = answer_digest(asked, other.evaluated, answer.proof)
    swapped = {
        charged: replace(charged, request=asked),
        evaluated: replace(evaluated, answer=answered, proof=answer.proof),
        elements: replace(elements, blinded=other.blinded, evaluated=other.evaluated),
    }
    return [swapped.get(record, record) for record in records]


def splice(case: Case, records: list[Record]) -> list[Record]:
    """Take a round of the peer's bundle for one of one's own."""
    theirs = next(record for record in case.records(1) if isinstance(record, RoundAgreed))
    place = next(number for number, record in enumerate(records) if isinstance(record, RoundAgreed))
    return [*records[:place], theirs, *records[place + 1 :]]


def shift_times(by: int) -> Change:
    """Say that everything was logged at another time."""
    return lambda _case, records: [replace(r, at=r.at + by) if hasattr(r, "at") else r for r in records]


def call_aborted(case: Case, records: list[Record]) -> list[Record]:
    """Replace commits by aborts that this lab signs."""
    changed: list[Record] = []
    for record in records:
        if isinstance(record, RoundClosed):
            statement = CloseStatement.decode(record.statement)
            encoded = CloseStatement.abort(statement.header_digest, Code.DEADLINE).encode()
            signature = signatures.sign(case.a.identity, encoded)
            changed.append(replace(record, statement=encoded, own_signature=signature, peer_signature=b""))
        else:
            changed.append(record)
    return changed


def answer_without_charge(_case: Case, records: list[Record]) -> list[Record]:
    """Leave out that a chunk was charged."""
    return [record for record in records if not isinstance(record, ChunkCharged)]


NAMED: list[tuple[str, Change, Claim]] = [
    ("a signature on a header is another's", edit(RoundAgreed, peer_signature=bytes(64)), Claim.AGREED),
    ("a header is another structure", edit(RoundAgreed, header=b"nothing"), Claim.AGREED),
    ("a round's header is dropped", drop(RoundAgreed), Claim.AGREED),
    ("a round was never proposed", drop(RoundProposed), Claim.AGREED),
    ("a whole round is dropped", drop_round, Claim.CONSISTENT),
    ("a chunk is dropped", drop(ChunkCharged, ChunkEvaluated, ElementsRecord), Claim.RECORDED),
    ("a charge is dropped", answer_without_charge, Claim.BUDGETED),
    ("a close is dropped", drop(RoundClosed), Claim.RECORDED),
    ("a charge is replayed", replay(ChunkCharged), Claim.BOUNDED),
    ("an answer is replayed", replay(ChunkEvaluated), Claim.RECORDED),
    ("a round is replayed", replay(RoundAgreed), Claim.AGREED),
    ("a charge is put behind its answer", reorder(ChunkCharged, ChunkEvaluated), Claim.BUDGETED),
    ("a key is put behind its round", reorder(KeyEpochBegun, RoundAgreed), Claim.DECLARED),
    ("a table is put behind its round", reorder(TableVersionPublished, RoundAgreed), Claim.DECLARED),
    ("a key is exchanged", edit(KeyEpochBegun, public_key=bytes(32)), Claim.KEYED),
    ("a budget is made larger", edit(KeyEpochBegun, budget=2**40), Claim.BUDGETED),
    ("proofs are swapped", swap_proofs, Claim.PROVED),
    ("a chunk is rewritten", rewrite_chunk, Claim.RECORDED),
    ("a budget is rolled back", roll_budget_back, Claim.PROVED),
    ("the log is backdated", shift_times(-365 * 86_400), Claim.TIMED),
    ("the log is of a time to come", shift_times(365 * 86_400), Claim.TIMED),
    ("a close comes before the round", edit(RoundClosed, at=1), Claim.TIMED),
    ("a round of the peer is spliced in", splice, Claim.AGREED),
    ("commits are called aborts", call_aborted, Claim.RECORDED),
    ("a close's signature is another's", edit(RoundClosed, own_signature=bytes(64)), Claim.RECORDED),
    ("a state is made up", edit(RoundEnded, state="won"), Claim.RECORDED),
    ("the elements of a proof are left out", drop(ElementsRecord), Claim.PROVED),
    ("the elements of a proof are others", edit(ElementsRecord, blinded=bytes(32 * 256)), Claim.PROVED),
    ("an answer is left out", drop(ChunkEvaluated, ElementsRecord), Claim.RECORDED),
    ("what a peer showed is left out", drop(PeerCosigned), Claim.LOGGED),
    ("a peer is accused without a proof", edit(PeerCosigned, cosignature=bytes(72)), Claim.LOGGED),
]


@pytest.mark.parametrize(("change", "claim"), [one[1:] for one in NAMED], ids=[one[0] for one in NAMED])
def test_what_a_lab_changes_in_its_own_bundle_is_named(case: Case, change: Change, claim: Claim) -> None:
    """The lab itself changes its past, and signs what comes of it: its own key is no help."""
    before = case.records()
    after = change(case, before)
    verdict = case.verify(case.resealed(after), case.files[1])
    assert Claim.SEALED not in broken(verdict)
    assert claim in broken(verdict)
    if [r for r in before if case.in_log(r)] != [r for r in after if case.in_log(r)]:
        # Whatever it is, it is not the log that the peer cosigned.
        assert Claim.LOGGED in broken(verdict)


@pytest.mark.spec("9.7-3")
def test_a_lab_that_signed_two_ends_is_named_though_each_file_has_one_of_them(case: Case) -> None:
    """Lab B records the commit, and the file of lab A holds the abort that lab B signed."""
    place = next(n for n, record in enumerate(case.records()) if isinstance(record, RoundClosed))
    records = case.records()
    closed = records[place]
    assert isinstance(closed, RoundClosed)
    header_digest = CloseStatement.decode(closed.statement).header_digest
    abort = CloseStatement.abort(header_digest, Code.DEADLINE).encode()
    signature = signatures.sign(case.b.identity, abort)
    records[place] = replace(closed, statement=abort, own_signature=b"", peer_signature=signature)
    after = [
        replace(record, state="unconfirmed")
        if isinstance(record, RoundEnded) and record.round_id == closed.round_id
        else record
        for record in records
    ]
    found = case.verify(case.resealed(after), case.files[1]).of(Claim.CONSISTENT)
    (named,) = [finding for finding in found if "signed a commit of the round here" in finding.fault]
    assert named.lab.startswith(f"{case.b.card.name} ")
    assert named.round_id == closed.round_id


def test_a_log_that_was_rewritten_and_signed_anew_is_not_the_one_that_the_peer_cosigned(case: Case) -> None:
    records = [record for record in case.records() if not isinstance(record, RoundEnded)]
    forked = case.resealed(records)
    # By itself, such a file shows that its rounds began without the peer's having seen the log.
    assert Claim.LOGGED in broken(case.verify(forked))
    found = case.verify(forked, case.files[1]).of(Claim.LOGGED)
    assert any("this lab showed" in finding.fault for finding in found)


def test_a_checkpoint_that_the_lab_signed_for_another_tree_is_found(case: Case) -> None:
    note = sign_checkpoint(case.a.identity, Checkpoint(case.a.card.log_origin, 3, bytes(32)))
    records = case.records()
    place = next(n for n, record in enumerate(records) if isinstance(record, CheckpointRecord))
    records[place:place] = [CheckpointRecord(note, ())]
    verdict = case.verify(case.sealed(records))
    assert broken(verdict) == {Claim.LOGGED}


def test_a_fraud_proof_is_a_file_that_anyone_can_verify(case: Case, run: Run) -> None:
    log = LogKey(case.a.card.log_origin, case.a.card.identity)
    one, other = (
        sign_checkpoint(case.a.identity, Checkpoint(log.origin, 7, bytes([number] * 32))) for number in (1, 2)
    )
    path = case.folder / "lab-a.fraud"
    path.write_bytes(FraudProof(log, one, other).encode())
    ran = run("audit", "verify", path, case.files[1])
    assert ran.status == Code.CHECK_FAILED.info.exit_status
    assert "signed two trees of 7 entries" in ran.out
    for content in (FraudProof(log, one, one).encode(), FraudProof(log, one, b"x").encode(), b""):
        path.write_bytes(b"mandorla/v1 fraud proof\n" + content.partition(b"\n")[2])
        assert run("audit", "verify", path).status == Code.BAD_FILE.info.exit_status


def test_elements_that_are_older_than_the_lab_keeps_them_are_said_to_be_unchecked(case: Case) -> None:
    records = drop_all(ElementsRecord)(case, case.records())
    start = records[0]
    assert isinstance(start, BundleStart)
    later = replace(start, created=start.created + 401 * 86_400)
    verdict = case.verify(case.resealed([later, *records[1:]], keep=True))
    assert verdict.findings == []
    assert verdict.bundles[0].unchecked == verdict.bundles[0].evaluations > 0
    assert any("no longer kept" in line for line in report_lines(verdict))
    for keep in (0, 500 * 86_400):
        changed = replace(later, keep_elements=keep)
        assert Claim.PROVED in broken(case.verify(case.resealed([changed, *records[1:]])))


def test_a_proposal_whose_answer_was_lost_accuses_nobody(case: Case) -> None:
    """Killed between the peer's signature and its own record of it, a lab has only its proposal."""

    def cut(records: list[Record], *, proposal: bool) -> list[Record]:
        lost, kept = first_round(records), []
        for record in records:
            if round_of(record) != lost or (proposal and isinstance(record, RoundProposed)):
                kept.append(record)
            elif not proposal and isinstance(record, RoundAgreed):
                kept += [record, RoundEnded(RoundId(lost), "unconfirmed", "ROUND_ABORTED", record.at)]
        return kept

    proposed = case.resealed(cut(case.records(), proposal=True))
    agreed = case.resealed(cut(case.records(1), proposal=False), which=1)
    # The logs are not those that were cosigned, since this past is made up; nothing else is wrong.
    assert broken(case.verify(proposed, agreed)) == {Claim.LOGGED}
    # But who answered, or signed the end, cannot say that there was a proposal only.
    assert Claim.CONSISTENT in broken(case.verify(proposed, case.files[1]))


def test_what_a_lab_writes_of_a_peer_that_did_not_sign_is_held_against_nobody(case: Case) -> None:
    records = case.records()
    first = next(r for r in records if isinstance(r, RoundAgreed))
    header = RoundHeader.decode(first.header)
    offer = replace(header.responder.offer, public_key=bytes(32))
    forged = replace(header, round_id=bytes(16), responder=replace(header.responder, offer=offer)).encode()
    proposal = RoundProposed(forged, signatures.sign(case.a.identity, forged), first.at)
    last = max(n for n, record in enumerate(records) if isinstance(record, CheckpointRecord))
    changed = case.resealed([*records[:last], proposal, *records[last:]], keep=True)
    assert case.verify(changed, case.files[1]).findings == []


def test_a_file_that_is_older_than_a_round_is_asked_for_anew_and_not_accused(case: Case) -> None:
    records = case.records()
    start = records[0]
    assert isinstance(start, BundleStart)
    cards = [record for record in records if isinstance(record, CardRecord)]
    older = case.resealed([replace(start, created=start.created - 10 * 365 * 86_400), *cards])
    verdict = case.verify(older, case.files[1])
    assert broken(verdict) == {Claim.CONSISTENT, Claim.LOGGED}
    assert {finding.fault.rpartition(": ")[2] for finding in verdict.findings} == {"ask for a new file"}


@pytest.mark.parametrize("name", ["\x1b[2Jlab-b", "lab b", "", "x" * 64])
def test_a_name_that_is_none_is_not_shown(case: Case, name: str) -> None:
    records = [replace(r, name=name) if isinstance(r, BundleStart) else r for r in case.records()]
    verdict = case.verify(case.resealed(records))
    assert Claim.SEALED in broken(verdict)
    assert all(line.isprintable() for line in report_lines(verdict))
    assert name == "" or name not in "".join(report_lines(verdict))


def test_labs_of_one_name_are_told_apart(case: Case) -> None:
    records = [replace(r, name="lab-a") if isinstance(r, BundleStart) else r for r in case.records(1)]
    names = {bundle.name for bundle in case.verify(case.files[0], case.resealed(records, which=1)).bundles}
    assert len(names) == 2


def test_a_file_of_nothing_but_faults_fills_no_memory(case: Case) -> None:
    path = case.folder / "faults.audit"
    path.write_bytes(b"\x00\x00\x00\x01x" * (MAX_FINDINGS + 50))
    assert len(case.verify(path).findings) == MAX_FINDINGS


def test_a_seal_holds_the_order(case: Case) -> None:
    records = case.records()
    records[2], records[3] = records[3], records[2]
    path = case.folder / "order.audit"
    path.write_bytes(b"".join(len(r.encode()).to_bytes(4, "big") + r.encode() for r in records))
    assert Claim.SEALED in broken(case.verify(path))


def test_budgets_keys_and_tables_are_followed_over_rounds(case: Case) -> None:
    """Rounds that both labs signed but should not have: such records need both labs' keys."""
    records = case.records()

    def resigned(record: RoundAgreed, change: Callable[[RoundHeader], RoundHeader]) -> RoundAgreed:
        encoded = change(RoundHeader.decode(record.header)).encode()
        own, peer = (signatures.sign(home.identity, encoded) for home in (case.a, case.b))
        return replace(record, header=encoded, own_signature=own, peer_signature=peer)

    def with_offer(**fields: object) -> Callable[[RoundHeader], RoundHeader]:
        return lambda header: replace(
            header, initiator=replace(header.initiator, offer=replace(header.initiator.offer, **fields))
        )

    rounds = [n for n, record in enumerate(records) if isinstance(record, RoundAgreed)]
    # The first and the last round are lab-a's, the second lab-b's.
    last = records[rounds[-1]]
    assert isinstance(last, RoundAgreed)
    offer = RoundHeader.decode(last.header).initiator.offer
    for fields, claim in (
        ({"budget": 300, "cap": 300}, Claim.BUDGETED),
        ({"cap": 10}, Claim.BOUNDED),
        ({"public_key": bytes(32)}, Claim.KEYED),
        ({"table": replace(offer.table, root=bytes(32))}, Claim.TABLED),
        ({"table": replace(offer.table, size=offer.table.size - 1)}, Claim.TABLED),
        ({"budget": 0}, Claim.BOUNDED),
    ):
        changed = [*records]
        changed[rounds[-1]] = resigned(last, with_offer(**fields))
        assert claim in broken(case.verify(case.resealed(changed)))


def test_the_program_needs_the_protocol_alone(case: Case) -> None:
    script = "import sys, runpy; sys.modules['mandorla_node'] = None; sys.modules['grpc'] = None\n"
    script += "sys.argv = ['audit', *sys.argv[1:]]\n"
    script += "runpy.run_module('mandorla_protocol.audit', run_name='__main__')"
    command = [sys.executable, "-c", script, *map(str, case.files)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE, check=False)
    assert ran.returncode == 0, ran.stderr
    assert "The labs' records do not contradict each other." in ran.stdout


def test_the_commands_write_and_verify(case: Case, run: Run) -> None:
    out = case.folder / "by-command.audit"
    ran = run("audit", "bundle", "--home", case.a.path, "-o", out)
    assert ran.status == 0
    assert "3 rounds, 768 evaluations" in ran.out
    assert out.stat().st_mode & 0o777 == 0o600
    assert run("audit", "verify", out, case.files[1]).status == 0
    parsed = run("audit", "verify", out, "--json").parsed
    assert isinstance(parsed, dict)
    assert parsed["holds"] is True
    bad = case.resealed(swap_proofs(case, case.records()))
    ran = run("audit", "verify", bad)
    assert ran.status == Code.CHECK_FAILED.info.exit_status
    assert "FAILS  Every evaluation used the key that the header names." in ran.out


@pytest.mark.parametrize("content", [b"", b"\x00", b"\x00\x00\x00\x05abc", b"\xff" * 100, b"{}"])
def test_a_file_that_is_no_bundle_is_refused(case: Case, run: Run, content: bytes) -> None:
    path = case.folder / "nothing.audit"
    path.write_bytes(content)
    assert run("audit", "verify", path).status in {
        Code.BAD_FILE.info.exit_status,
        Code.CHECK_FAILED.info.exit_status,
    }
    assert run("audit", "verify", case.folder / "absent").status == Code.BAD_FILE.info.exit_status
    with pytest.raises(MandorlaError):
        decode(content)
