"""Vectors of bundles whose log breaks a claim about the log, keys, tables, budgets or times (SPEC 17.2)."""

from __future__ import annotations

from collections.abc import Iterator

from .. import second_verifier as group
from . import notes, records
from .claims import BUDGETED, DECLARED, KEYED, LOGGED, TABLED, TIMED, claims_case
from .example import CREATED, HEADER, A, B
from .inputs import Case, Value, derived
from .recorder import COSIGNED_AT, SEALED_AT, File, Item, Mark, Recorder, file_of, unanswered
from .structures import Fields

OURS = Recorder(B)
BEGUN, TABLE, _, COSIGNED = OURS.before()
ROUND = (OURS.agreed(), OURS.aborted(), OURS.ended())
OTHER_KEY = group.derive_key_pair(derived("other key", 32), b"")[1]


def cases() -> Iterator[Case]:
    """Yield the vectors."""
    yield from _logs()
    yield from _keys()
    yield from _tables()
    yield from _successions()
    yield from _times()


def _logs() -> Iterator[Case]:
    unsigned = OURS.records(BEGUN, TABLE, Mark(), COSIGNED, *ROUND)[:-1]
    caught = {"peer": A.identity, "at": CREATED + 300}
    state = notes.state(A, [derived("leaf", 32)])
    one, other = (notes.signed_by(A, state | {"root": derived(f"root {n}", 32)}) for n in (1, 2))
    for name, items in (
        ("not-cosigned-before-a-round", (BEGUN, TABLE, COSIGNED, *ROUND)),
        ("cosigned-without-the-table", (BEGUN, Mark(), TABLE, COSIGNED, *ROUND)),
        ("cosigned-after-the-agreement", (BEGUN, TABLE, COSIGNED, ROUND[0], Mark(CREATED + 2), *ROUND[1:])),
        ("checkpoint-of-another-root", (BEGUN, TABLE, Mark(), COSIGNED, Mark(None, root=bytes(32)))),
        ("checkpoint-of-another-log", (BEGUN, TABLE, Mark(), COSIGNED, Mark(None, origin=A.origin))),
        ("checkpoint-signed-by-another-lab", (BEGUN, TABLE, Mark(), COSIGNED, Mark(None, signer=A))),
        ("cosignature-by-another-lab", (BEGUN, TABLE, Mark(), COSIGNED, Mark(CREATED - 200, cosigner=B))),
        ("cosigned-by-another-lab", (BEGUN, TABLE, Mark(), OURS.cosigned(signer=A))),
        ("peer-caught", (records.peer_caught(caught | {"one": one, "other": other}),)),
        ("peer-accused-without-a-proof", (records.peer_caught(caught | {"one": one, "other": one}),)),
    ):
        yield claims_case(f"bundle-{name}", [OURS.file(*items)], LOGGED)
    yield claims_case("bundle-without-a-last-checkpoint", [file_of(*unsigned, OURS.seal(unsigned))], LOGGED)


def _with(begun: Item, table: Item, *more: Item) -> File:
    """Return a file with a round after the given entries, which the peer cosigned before the round."""
    return OURS.file(begun, table, *more, Mark(), COSIGNED, *ROUND)


def _keys() -> Iterator[Case]:
    epoch = B.epoch(A)
    late = OURS.begun(at=CREATED + 1), OURS.published(at=CREATED + 1)
    for name, file, broken in (
        ("key-after-its-round", OURS.file(ROUND[0], *late, *ROUND[1:]), DECLARED),
        ("other-key-than-in-the-log", _with(OURS.begun(public_key=OTHER_KEY), TABLE), KEYED),
        ("other-budget-than-in-the-log", _with(OURS.begun(budget=100_001), TABLE), BUDGETED),
        ("epoch-of-another-lab", _with(BEGUN, TABLE, OURS.begun(epoch=A.epoch(B))), KEYED),
        ("epoch-before-the-last-ended", _with(BEGUN, TABLE, OURS.begun(epoch=epoch | {"number": 8})), KEYED),
        ("epoch-of-a-smaller-number", _with(BEGUN, TABLE, OURS.begun(epoch=epoch | {"number": 6})), KEYED),
        ("epoch-begun-twice", _with(BEGUN, TABLE, BEGUN), KEYED),
        ("epoch-ended-that-never-began", _with(BEGUN, TABLE, _ended(epoch | {"number": 6})), KEYED),
        ("epoch-expires-before-it-begins", _with(OURS.begun(expires=CREATED - 600), TABLE), TIMED),
    ):
        yield claims_case(f"bundle-{name}", [file], broken)
    spent = (ROUND[0], _ended(epoch, CREATED + 2), unanswered(3), *ROUND[1:])
    yield claims_case(
        "bundle-key-used-after-its-end", [OURS.file(BEGUN, TABLE, Mark(), COSIGNED, *spent)], KEYED
    )
    successor = OURS.begun(epoch=epoch | {"number": 8}, at=CREATED + 300)
    whole = (BEGUN, TABLE, Mark(), COSIGNED, *ROUND, _ended(epoch, CREATED + 300), successor)
    yield claims_case("bundle-of-two-epochs", [OURS.file(*whole)])


def _ended(epoch: Value, at: int = CREATED - 600) -> Fields:
    return records.key_epoch_ended({"epoch": epoch, "at": at})


def _tables() -> Iterator[Case]:
    table = HEADER["responder"]["offer"]["table"]
    back = OURS.published(version=table["version"] - 1, size=table["size"] - 256)
    for name, items, broken in (
        ("table-not-in-the-log", (BEGUN, OURS.published(root=derived("another root", 32))), DECLARED),
        ("table-of-no-epoch", (BEGUN, TABLE, OURS.published(epoch=A.epoch(B))), DECLARED),
        ("table-in-the-log-taken-back", (BEGUN, TABLE, back), TABLED),
        (
            "table-in-the-log-rewritten",
            (BEGUN, TABLE, OURS.published(root=derived("another root", 32))),
            TABLED,
        ),
        (
            "table-version-without-entries",
            (BEGUN, TABLE, OURS.published(version=table["version"] + 1)),
            TABLED,
        ),
    ):
        yield claims_case(f"bundle-{name}", [OURS.file(*items, Mark(), COSIGNED, *ROUND)], broken)
    earlier = OURS.published(version=1, size=256, root=derived("first root", 32))
    yield claims_case("bundle-of-two-table-versions", [_with(BEGUN, earlier, TABLE)])


def _second(party: str, **change: object) -> Value:
    """Return the header of a second round a minute later, with a party's offer changed."""
    changed = HEADER[party] | {"offer": HEADER[party]["offer"] | change}
    times = {"created": CREATED + 260, "round_id": derived("second round id", 16)}
    return HEADER | times | {party: changed}


def _after(header: Value, *items: Item) -> tuple[Item, ...]:
    at = CREATED + 261
    return (
        OURS.agreed(header, at),
        *items,
        OURS.aborted(header, at + 100),
        OURS.ended(header=header, at=at + 100),
    )


def _two(header: Value) -> File:
    return OURS.file(BEGUN, TABLE, Mark(), COSIGNED, *ROUND, *_after(header))


def _successions() -> Iterator[Case]:
    """Yield bundles with the peer's offers in successive headers, which have no entry in this log."""
    offer = HEADER["initiator"]["offer"]["table"]
    party = "initiator"
    rewritten = offer | {"root": derived("another root", 32)}
    for name, header, broken in (
        ("of-two-rounds", _second(party), ()),
        ("other-key-in-an-epoch", _second(party, public_key=OTHER_KEY), (KEYED,)),
        ("epoch-comes-back", _second(party, epoch_number=6), (KEYED,)),
        ("table-rewritten", _second(party, table=rewritten), (TABLED,)),
        ("table-taken-back", _second(party, table=offer | {"version": 2, "size": 512}), (TABLED,)),
    ):
        yield claims_case(f"bundle-{name}", [_two(header)], *broken)
    smaller = HEADER | {"responder": HEADER["responder"] | {"offer": _budget(HEADER)}}
    later = _second(party) | {"responder": smaller["responder"]}
    for name, count, exceeded in (("reached", 300, ()), ("exceeded", 301, (BUDGETED,))):
        rounds = (
            OURS.agreed(smaller),
            unanswered(700, smaller),
            OURS.aborted(smaller),
            OURS.ended(header=smaller),
            OURS.agreed(later, CREATED + 261),
        )
        end = (OURS.aborted(later, CREATED + 300), OURS.ended(header=later, at=CREATED + 300))
        spent = (OURS.begun(budget=1_000), TABLE, Mark(), COSIGNED, *rounds, unanswered(count, later), *end)
        yield claims_case(f"bundle-budget-{name}", [OURS.file(*spent)], *exceeded)


def _budget(header: Value) -> Value:
    offer: Value = header["responder"]["offer"]
    return offer | {"budget": 1_000}


def _times() -> Iterator[Case]:
    """Yield bundles whose times are at the limit of 300 seconds, or one second beyond it."""
    agreed, aborted, ended = ROUND

    def log(*items: Item) -> File:
        return OURS.file(BEGUN, TABLE, Mark(), COSIGNED, *items)

    end = HEADER["expires"]
    early = CREATED - 300
    for name, file, broken in (
        ("agreed-300-seconds-early", log(OURS.agreed(at=early), aborted, ended), ()),
        ("agreed-after-expiry", log(OURS.agreed(at=end), OURS.aborted(at=end), OURS.ended(at=end)), (TIMED,)),
        ("agreed-301-seconds-early", log(OURS.agreed(at=early - 1), aborted, ended), (TIMED,)),
        ("closed-before-agreed", log(agreed, OURS.aborted(at=CREATED), ended), (TIMED,)),
        ("closed-300-seconds-after-sealed", log(agreed, OURS.aborted(at=SEALED_AT + 300)), ()),
        ("closed-301-seconds-after-sealed", log(agreed, OURS.aborted(at=SEALED_AT + 301)), (TIMED,)),
        ("entry-300-seconds-before-another", log(agreed, aborted, OURS.ended(at=CREATED - 100)), ()),
        ("entry-301-seconds-before-another", log(agreed, aborted, OURS.ended(at=CREATED - 101)), (TIMED,)),
        ("cosigned-300-seconds-early", _cosigned(CREATED - 900), ()),
        ("cosigned-before-an-entry-that-it-covers", _cosigned(CREATED - 901), (TIMED,)),
    ):
        yield claims_case(f"bundle-{name}", [file], *broken)
    old = OURS.published(version=4, size=1_024, at=COSIGNED_AT - 301)
    file = OURS.file(BEGUN, TABLE, Mark(), old, COSIGNED, *ROUND)
    yield claims_case("bundle-entry-301-seconds-before-a-cosignature", [file], TIMED)


def _cosigned(at: int) -> File:
    return OURS.file(BEGUN, TABLE, Mark(at), COSIGNED, *ROUND)
