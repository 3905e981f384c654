"""A conclusion in plain words, for a lawyer, and as a tree, for a machine."""

from __future__ import annotations

from collections.abc import Iterator

from ..card import fingerprint
from .bundle import Bundle
from .findings import Claim, Conclusion

_SHOWN = 20
_MONTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)


def report_lines(conclusion: Conclusion) -> Iterator[str]:
    """Yield the conclusion, line by line."""
    for bundle in conclusion.bundles:
        yield from _introduce(bundle)
    yield ""
    for claim in Claim:
        found = conclusion.of(claim)
        yield f"{'holds' if not found else 'FAILS':>6}  {claim.value}"
        for finding in found[:_SHOWN]:
            where = f"round {finding.round_id.hex()}" if finding.round_id else "the file"
            yield f"        {finding.lab}, {where}: {finding.what}."
        if len(found) > _SHOWN:
            yield f"        and {len(found) - _SHOWN} more."
    yield ""
    yield from _limits(conclusion)


def report_json(conclusion: Conclusion) -> dict[str, object]:
    """Return the conclusion as JSON writes it."""
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
                "cosigned": max((one.checkpoint.size for one in bundle.cosigned), default=0),
                "cosigners": sorted({one.cosigner.hex() for one in bundle.cosigned}),
            }
            for bundle in conclusion.bundles
        ],
        "claims": [
            {
                "claim": claim.name.lower(),
                "text": claim.value,
                "holds": not conclusion.of(claim),
                "findings": [
                    {"lab": one.lab, "round": one.round_id.hex(), "what": one.what}
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
        yield "        time stamps that were not checked: name their authority's certificate with --tsa-cert"
    if bundle.unchecked:
        yield f"        {bundle.unchecked:,} evaluations are no longer kept: their proofs were not checked"


def _cosigned(bundle: Bundle) -> str:
    """Say how far others stand in for a log, and since when."""
    if not bundle.cosigned:
        return "cosigned by nobody"
    last = max(bundle.cosigned, key=lambda one: (one.checkpoint.size, -one.at))
    labs = len({one.cosigner for one in bundle.cosigned})
    whom = f"{labs} other lab{'' if labs == 1 else 's'}"
    return f"of which {whom} cosigned the first {last.checkpoint.size:,} by {_when(last.at)}"


def _when(seconds: int) -> str:
    """Write a time, in Unix seconds, by the calendar; the protocol has no clock, nor a library that has."""
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
    """Say what the files cannot show."""
    names = [bundle.name for bundle in conclusion.bundles]
    if len(names) == 1:
        yield f"Only {names[0]} was read: what its peers answered it is in their bundles."
    yield "Of a round that nobody signed as committed, no signature says which chunks were answered."
    yield "That a fingerprint is that of a lab, only the lab can say: ask it over another channel."
    yield "What labs did outside these records, and whether what they flagged is true, no file can show."
