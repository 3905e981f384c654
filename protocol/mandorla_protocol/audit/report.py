"""The report of a conclusion: lines of plain text for people, and JSON for programs (SPEC 17.2)."""

from __future__ import annotations

from collections.abc import Iterator

from ..card import fingerprint
from .bundle import Bundle
from .findings import Claim, Conclusion

_SHOWN = 20
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def report_lines(conclusion: Conclusion) -> Iterator[str]:
    """Yield the lines of the report."""
    for bundle in conclusion.bundles:
        yield from _introduce(bundle)
    yield ""
    for claim in Claim:
        found = conclusion.of(claim)
        yield f"{'holds' if not found else 'FAILS':>6}  {claim.value}"
        for finding in found[:_SHOWN]:
            where = f"round {finding.round_id.hex()}" if finding.round_id else "the file"
            yield f"        {finding.lab}, {where}: {finding.fault}."
        if len(found) > _SHOWN:
            yield f"        and {len(found) - _SHOWN} more."
    yield ""
    yield from _limits(conclusion)


def report_json(conclusion: Conclusion) -> dict[str, object]:
    """Return the report as an object for JSON."""
    return {
        "format": "mandorla audit 1",
        "holds": conclusion.holds,
        "bundles": [
            {
                "lab": bundle.name,
                "file": bundle.source,
                "identity": bundle.lab.hex() if bundle.lab else "",
                "created": bundle.start.created if bundle.start else 0,
                "rounds": len(bundle.rounds),
                "evaluations": bundle.evaluations,
                "unchecked": bundle.unchecked,
                "stamped": [{"entries": size, "at": at} for size, at in bundle.stamped],
                "entries": bundle.size,
                "cosigned": max((one.checkpoint.size for one in bundle.own_checkpoints), default=0),
                "cosigners": sorted({one.cosigner.hex() for one in bundle.own_checkpoints}),
            }
            for bundle in conclusion.bundles
        ],
        "claims": [
            {
                "claim": claim.name.lower(),
                "text": claim.value,
                "holds": not conclusion.of(claim),
                "findings": [
                    {"lab": one.lab, "round": one.round_id.hex(), "what": one.fault}
                    for one in conclusion.of(claim)
                ],
            }
            for claim in Claim
        ],
    }


def _introduce(bundle: Bundle) -> Iterator[str]:
    if bundle.start is None:
        yield f"{bundle.source}: unreadable"
        return
    rounds = f"{len(bundle.rounds):,} round{'' if len(bundle.rounds) == 1 else 's'}"
    yield f"{bundle.name}: {rounds}, {bundle.evaluations:,} evaluations for its peers"
    yield f"        fingerprint {fingerprint(bundle.start.lab)}"
    yield f"        log of {bundle.size:,} entries, {_cosigned(bundle)}"
    for size, at in bundle.stamped:
        yield f"        an authority stamped the first {size:,} entries at {_when(at)}"
    if bundle.stamps and not bundle.stamped:
        yield "        time stamps are not checked: name their authority's certificate with --tsa-cert"
    if bundle.unchecked:
        yield f"        {bundle.unchecked:,} evaluations are no longer kept: their proofs are not checked"


def _cosigned(bundle: Bundle) -> str:
    """Return how many entries other labs cosigned, and the time of the latest cosignature."""
    if not bundle.own_checkpoints:
        return "no cosignature"
    last = max(bundle.own_checkpoints, key=lambda one: (one.checkpoint.size, -one.at))
    labs = len({one.cosigner for one in bundle.own_checkpoints})
    whom = f"{labs} other lab{'' if labs == 1 else 's'}"
    return f"the first {last.checkpoint.size:,} cosigned by {whom} by {_when(last.at)}"


def _when(seconds: int) -> str:
    """Return a time in Unix seconds as date and time in UTC. The protocol does not import `datetime`."""
    days, second = divmod(seconds, 86_400)
    # The calendar repeats itself after 400 years.
    cycles, days = divmod(days, 146_097)
    year = 1970 + 400 * cycles
    while days >= (length := 366 if _is_leap(year) else 365):
        days, year = days - length, year + 1
    month = 1
    for month, usual in enumerate(_MONTHS, start=1):
        length = usual + (month == 2 and _is_leap(year))
        if days < length:
            break
        days -= length
    return f"{year:04}-{month:02}-{days + 1:02} {second // 3600:02}:{second // 60 % 60:02} UTC"


def _is_leap(year: int) -> bool:
    return year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)


def _limits(conclusion: Conclusion) -> Iterator[str]:
    """Yield what the files cannot show."""
    names = [bundle.name for bundle in conclusion.bundles]
    if len(names) == 1:
        yield f"This is the bundle of {names[0]} alone: its peers' answers to it are in their bundles."
    yield "If no lab signed a commit of a round, no signature shows which chunks were answered."
    yield "Only the lab itself can confirm its fingerprint: ask the lab over another channel."
    yield "No file can show what labs did outside these records, or whether a flag is right."
