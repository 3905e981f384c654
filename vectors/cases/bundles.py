"""Vectors of audit bundles (SPEC 17): lab B's log of a round in which lab A is the querier."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from .. import second_verifier as group
from . import faults_in_logs, records, structures
from .claims import (
    AGREED,
    BOUNDED,
    BUDGETED,
    CONSISTENT,
    LOGGED,
    PROVED,
    RECORDED,
    SEALED,
    claims_case,
    given,
)
from .entries import card_text
from .example import ABORT, BLINDED, CREATED, HEADER, A, B
from .inputs import Case, bad, derived, slug
from .recorder import (
    File,
    Item,
    Mark,
    Recorder,
    answered,
    charged,
    chunk,
    commit,
    file_of,
    logged,
    unanswered,
)
from .structures import changed, faults, join

ABOUT: Final = "Audit bundles: some that hold, and one for each claim that does not"
SPEC: Final = "17"

OURS: Final = Recorder(B)
THEIRS: Final = Recorder(A)
BEFORE: Final = OURS.before()
ABORTED: Final = (OURS.aborted(), OURS.ended())
CHUNK: Final = chunk(BLINDED)


def cases() -> Iterator[Case]:
    """Yield all vectors of bundles."""
    yield claims_case("bundle-aborted", [_with(*logged(CHUNK))])
    yield claims_case("bundle-empty", [OURS.file()])
    yield claims_case("bundle-round-open", [OURS.file(*BEFORE, OURS.agreed())])
    yield from _committed()
    both = [_with(*logged(CHUNK)), _theirs()]
    yield claims_case("bundles-of-both-labs", both)
    yield claims_case("bundles-of-both-labs-exchanged", both[::-1])
    yield claims_case("bundle-of-the-initiator", [_theirs()])
    cards = [records.audit_card({"card": card_text(lab)}) for lab in (B, A)]
    yield claims_case("bundle-with-cards", [OURS.file(*cards, *BEFORE, OURS.agreed(), *ABORTED)])
    yield from _unsealed()
    yield from _agreements()
    yield from _chunks()
    yield from _closes()
    yield from faults_in_logs.cases()
    yield from _contradictions()
    file = OURS.file()
    for name, wrong in (
        ("cut-off-in-a-record", file | {"1": file["1"][:-1]}),
        ("cut-off-in-a-length", file | {"3": bytes(2)}),
        ("record-of-length-zero", file | {"3": bytes(4)}),
        ("record-over-1052672-bytes", file | {"3": (1_052_673).to_bytes(4, "big")}),
        ("text", {"0": b"mandorla/v1 audit bundle"}),
    ):
        yield bad(f"bundle-{name}", "verify-bundles", given([wrong]), "BAD_FILE")


def _with(*items: Item) -> File:
    """Return lab B's file with these entries and records within the round."""
    return OURS.file(*BEFORE, OURS.agreed(), *items, *ABORTED)


def _theirs() -> File:
    """Return lab A's file with the round."""
    return THEIRS.file(*THEIRS.before(), THEIRS.proposed(), THEIRS.agreed(), THEIRS.aborted(), THEIRS.ended())


def _committed() -> Iterator[Case]:
    uniform = (derived(f"element {number}", 32) for number in range(256))
    whole = chunk(b"".join(group.encode(group.hash_to_group(one)) for one in uniform))
    records_of = logged(whole)
    end = OURS.ended("committed")
    file = OURS.file(*BEFORE, OURS.agreed(), *records_of, OURS.committed([whole]), end)
    yield claims_case("bundle-committed", [file])
    other = OURS.committed([whole | {"answer": derived("another answer", 32)}])
    file = OURS.file(*BEFORE, OURS.agreed(), *records_of[:2], other, end)
    # Its elements are left out here to be brief, and so nothing proves its answer.
    yield claims_case("bundle-committed-for-another-answer", [file], PROVED, RECORDED)
    unpadded = (OURS.agreed(), *logged(CHUNK), OURS.committed([CHUNK]), end)
    yield claims_case("bundle-not-padded", [OURS.file(*BEFORE, *unpadded)], BOUNDED)


def _unsealed() -> Iterator[Case]:
    whole = OURS.records(*BEFORE, OURS.agreed(), *ABORTED)
    seal = OURS.seal(whole)
    twice = [OURS.start, *whole]
    longer = [*whole[:-2], whole[-2] | {"trailing": b"\x00"}, whole[-1]]
    for name, file in (
        ("without-seal", file_of(*whole)),
        ("seal-by-another-lab", file_of(*whole, OURS.seal(whole, A))),
        ("seal-root-altered", file_of(*whole, changed(seal, "root"))),
        ("seal-count-altered", file_of(*whole, changed(seal, "count"))),
        ("record-after-the-seal", file_of(*whole, seal, OURS.start)),
        ("start-twice", file_of(*twice, OURS.seal(twice))),
    ):
        yield claims_case(f"bundle-{name}", [file], SEALED)
    for fault, fields in faults(OURS.sealed(whole)).items():
        wrong = seal | {"signature": B.sign(join(fields))}
        yield claims_case(f"bundle-seal-signature-{slug(fault)}", [file_of(*whole, wrong)], SEALED)
    # An entry that does not parse is none, and so the log is another.
    yield claims_case(
        "bundle-trailing-byte-in-an-entry", [file_of(*longer, OURS.seal(longer))], SEALED, LOGGED
    )
    yield claims_case("bundle-without-the-sealed-records", [file_of(OURS.start, seal)], SEALED, LOGGED)
    card = records.audit_card({"card": card_text(A).replace("lab-a.example:", "lab-b.example:")})
    yield claims_case("bundle-card-altered", [OURS.file(card)], SEALED)
    # Without a start, nothing else is looked at.
    yield claims_case("bundle-name-upper-case", [Recorder(B, name="Lab-b").file()], SEALED)
    yield claims_case("bundle-origin-space", [Recorder(B, origin="lab b").file()], SEALED)
    stamp = records.audit_time_stamp({"response": b"no response"})
    yield claims_case("bundle-time-stamp-that-is-not-checked", [OURS.file(Mark(), stamp)])
    yield claims_case("bundle-time-stamp-on-nothing", [OURS.file(stamp)], SEALED)


def _agreements() -> Iterator[Case]:
    agreed = OURS.agreed()
    for field in ("own_signature", "peer_signature"):
        fault = OURS.file(*BEFORE, changed(agreed, field), *ABORTED)
        yield claims_case(f"bundle-header-{slug(field)}-altered", [fault], AGREED)
    yield claims_case("bundle-round-twice", [_with(agreed)], AGREED)
    yield claims_case("bundle-round-never-agreed", [OURS.file(*BEFORE, *ABORTED)], AGREED, RECORDED)
    early = OURS.file(*BEFORE, charged(CHUNK), agreed, *ABORTED)
    yield claims_case("bundle-chunk-before-its-round", [early], AGREED)
    others = OURS.file(*BEFORE, OURS.agreed(HEADER | {"responder": HEADER["initiator"]}))
    yield claims_case("bundle-header-of-others", [others], AGREED)
    proposed, ended = THEIRS.proposed(), (THEIRS.agreed(), THEIRS.aborted(), THEIRS.ended())
    before = THEIRS.before()
    yield claims_case("bundle-never-proposed", [THEIRS.file(*before, *ended)], AGREED)
    other = THEIRS.proposed(HEADER | {"purpose": "something else"})
    yield claims_case("bundle-another-header-proposed", [THEIRS.file(*before, other, *ended)], AGREED)
    unsigned = changed(proposed, "own_signature")
    yield claims_case("bundle-proposal-altered", [THEIRS.file(*before, unsigned)], AGREED)
    late = THEIRS.file(*before, proposed, *ended, proposed)
    yield claims_case("bundle-proposed-after-it-ended", [late], AGREED)
    # A proposal without an answer is no fault.
    yield claims_case("bundle-proposed-alone", [THEIRS.file(*before, proposed)])
    endless = HEADER | {"expires": CREATED + 8 * 86_400}
    file = OURS.file(*BEFORE, OURS.agreed(endless), OURS.aborted(endless), OURS.ended(header=endless))
    yield claims_case("bundle-lifetime-over-seven-days", [file], BOUNDED)


def _chunks() -> Iterator[Case]:
    asked, evaluated, elements = logged(CHUNK)
    rotated = CHUNK | {"evaluated": CHUNK["evaluated"][32:] + CHUNK["evaluated"][:32]}
    for name, items in (
        ("proof-altered", (asked, changed(evaluated, "proof"), elements)),
        ("answer-digest-altered", (asked, changed(evaluated, "answer"), elements)),
        ("evaluated-reordered", logged(answered(rotated))),
        ("request-altered", (changed(asked, "request"), evaluated, elements)),
        ("elements-of-another-index", (asked, evaluated, records.audit_elements(CHUNK | {"index": 1}))),
        ("elements-missing", (asked, evaluated)),
        ("elements-empty", (asked, evaluated, records.audit_elements(CHUNK | {"blinded": b""}))),
        ("elements-before-the-answer", (asked, elements, evaluated)),
        ("charged-for-fewer", (charged(CHUNK | {"count": 2}), evaluated, elements)),
    ):
        yield claims_case(f"bundle-chunk-{name}", [_with(*items)], PROVED)
    yield claims_case("bundle-chunk-charged-alone", [_with(asked)])
    yield claims_case("bundle-chunk-charged-twice", [_with(asked, asked, evaluated, elements)], BOUNDED)
    yield claims_case("bundle-chunk-of-nothing", [_with(unanswered(0))], BOUNDED)
    yield claims_case("bundle-chunk-answered-twice", [_with(asked, evaluated, elements, evaluated)], RECORDED)
    late = OURS.file(*BEFORE, OURS.agreed(), *ABORTED, charged(CHUNK, CREATED + 200))
    yield claims_case("bundle-chunk-charged-after-the-end", [late], RECORDED)
    gap = logged(chunk(BLINDED, index=1))
    yield claims_case("bundle-chunk-missing-before-another", [_with(*gap)], RECORDED)
    yield claims_case("bundle-chunk-not-charged", [_with(evaluated)], BUDGETED)
    yield claims_case("bundle-cap-reached", [_with(unanswered(1_000))])
    yield claims_case("bundle-cap-exceeded", [_with(unanswered(1_001))], BOUNDED)
    for name, kept, broken in (
        ("as-long-as-it-said", 86_400 - 200, ()),
        ("a-second-too-short", 86_400 - 199, (PROVED,)),
        ("less-than-for-ever", 0, (PROVED,)),
    ):
        recorder = Recorder(B, keep_elements=kept)
        file = recorder.file(*BEFORE, OURS.agreed(), asked, evaluated, *ABORTED)
        yield claims_case(f"bundle-elements-kept-{name}", [file], *broken)


def _closes() -> Iterator[Case]:
    aborted, ended = ABORTED
    agreed = OURS.agreed()

    def closing(*items: Item) -> File:
        return OURS.file(*BEFORE, agreed, *items)

    signed = B.sign(aborted["statement"][4:])
    other = join(structures.close(ABORT | {"header_digest": derived("another header", 32)}))
    statement = join(structures.close(commit(())))
    mine = OURS.closed(statement, B.sign(statement), b"")
    for name, file in (
        ("close-signature-altered", closing(changed(aborted, "own_signature"), ended)),
        ("close-is-no-statement", closing(OURS.closed(b"none", signed, b""), ended)),
        ("close-of-another-header", closing(OURS.closed(other, B.sign(other), b""), ended)),
        ("state-unknown", closing(aborted, OURS.ended("won"))),
        ("ended-twice", closing(aborted, ended, ended)),
        ("committed-without-a-close", closing(OURS.ended("committed"))),
        ("committed-by-an-abort", closing(aborted, OURS.ended("committed"))),
    ):
        yield claims_case(f"bundle-{name}", [file], RECORDED)
    # Of nothing that was evaluated, a commit is not padded either.
    yield claims_case("bundle-commit-and-abort", [closing(mine, aborted, ended)], BOUNDED, RECORDED)


def _contradictions() -> Iterator[Case]:
    ours = _with()
    yield claims_case("bundles-round-missing-in-one", [ours, THEIRS.file(*THEIRS.before())], CONSISTENT)
    other = HEADER | {"purpose": "something else"}
    file = THEIRS.file(
        *THEIRS.before(),
        THEIRS.proposed(other),
        THEIRS.agreed(other),
        THEIRS.aborted(other),
        THEIRS.ended(header=other),
    )
    yield claims_case("bundles-of-two-headers", [ours, file], CONSISTENT)
    yield claims_case("bundles-of-one-lab", [ours, ours], CONSISTENT)
    # Lab B cosigned another log than the one that lab A gives to the auditor, and lab A logged nothing of B.
    forked = THEIRS.file(THEIRS.begun(at=CREATED - 601), *THEIRS.before()[1:])
    yield claims_case("bundles-another-log-than-was-cosigned", [OURS.file(*BEFORE), forked], LOGGED)
    silent = THEIRS.file(*THEIRS.before()[:3])
    yield claims_case("bundles-cosigned-and-not-logged", [OURS.file(*BEFORE), silent], LOGGED)
    yield claims_case("bundles-before-a-round", [OURS.file(*BEFORE), THEIRS.file(*THEIRS.before())])
    shorter = Recorder(A, CREATED - 1_000).file()
    older = [OURS.file(*BEFORE), shorter]
    yield claims_case("bundles-of-a-log-that-grew-since", older, LOGGED)
