"""What `behaviour` and `request-sequence` tell apart, over a made-up population (SPEC A.9).

    python -m benchmarks.behaviour

A row gives, for one type and one way to look, how often a pair of accounts matches: two accounts of one
operator at two labs; accounts of two operators; an operator's account and an honest one that runs the same
program; an operator's account and one of an honest kind. The stop list holds what three accounts or more of
a second honest population have, as a lab would learn it from its own benign traffic.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from benchmarks.population import Account, honest, operators
from benchmarks.rows import Row as TableRow
from mandorla_protocol.fingerprints.behaviour import behaviour_values
from mandorla_protocol.fingerprints.sequence import sequence_values
from mandorla_protocol.indicators import REGISTRY

KINDS = ("people", "agents", "applications")
OPERATORS, ACCOUNTS, HONEST = 40, 10, 300
SEED, BENIGN_SEED = 1, 2
STOPPED = 3
"""Accounts of the benign population in which a value is common."""

Row = dict[str, str | float]
Values = Callable[[Account], tuple[str, ...]]
TYPES: dict[str, Values] = {
    "behaviour": lambda account: behaviour_values(account.activity),
    "request-sequence": lambda account: sequence_values(account.steps),
}


def rate(pairs: Iterator[tuple[frozenset[str], frozenset[str]]], needed: int) -> float:
    """Return the share of pairs that have `needed` values in common."""
    matched = total = 0
    for one, other in pairs:
        total += 1
        matched += len(one & other) >= needed
    return matched / total if total else 0.0


def kept(values: Values, accounts: Sequence[Account], stop: frozenset[str]) -> list[frozenset[str]]:
    """Return the values of each account that the stop list leaves."""
    return [frozenset(values(account)) - stop for account in accounts]


def rows(needed: int | None = None) -> Iterator[Row]:
    """Yield the table: rates of pairs, by type, without and with a stop list."""
    attackers = list(operators(SEED, OPERATORS, ACCOUNTS))
    bystanders = {kind: list(honest(SEED, kind, HONEST)) for kind in KINDS}
    researchers = list(honest(SEED, "same program", OPERATORS))
    benign = [account for kind in KINDS for account in honest(BENIGN_SEED, kind, HONEST)]
    for name, values in TYPES.items():
        enough = needed or REGISTRY[name].needed
        counts = Counter(value for account in benign for value in values(account))
        common = frozenset(value for value, count in counts.items() if count >= STOPPED)
        for stopped, stop in (("no", frozenset[str]()), ("yes", common)):
            labs = [(kept(values, one, stop), kept(values, other, stop)) for one, other in attackers]
            row: Row = {"type": name, "needed": enough, "stop list": stopped}
            row["same operator"] = rate(((a, b) for one, other in labs for a in one for b in other), enough)
            row["an account finds its operator"] = sum(
                any(len(a & b) >= enough for b in other) for one, other in labs for a in one
            ) / (OPERATORS * ACCOUNTS)
            row["two operators"] = rate(
                (
                    (a, b)
                    for i, (one, _) in enumerate(labs)
                    for j, (_, other) in enumerate(labs)
                    if i != j
                    for a in one[:3]
                    for b in other[:3]
                ),
                enough,
            )
            flagged = [a for one, _ in labs for a in one]
            row["same program"] = rate(
                (
                    (a, b)
                    for (one, _), b in zip(labs, kept(values, researchers, stop), strict=True)
                    for a in one
                ),
                enough,
            )
            for kind, accounts in bystanders.items():
                row[kind] = rate(((a, b) for b in kept(values, accounts, stop) for a in flagged), enough)
            row["values"] = sum(map(len, flagged)) / len(flagged)
            yield row


def table_rows() -> Iterator[TableRow]:
    """Yield the rows of `benchmarks.signatures`: what is false is the worst of all that should not match."""
    for row in rows():
        rates = {name: value for name, value in row.items() if isinstance(value, float)}
        yield TableRow(
            data=f"{2 * OPERATORS * ACCOUNTS} accounts",
            profile=f"{row['type']}{', stop list' if row['stop list'] == 'yes' else ''}",
            needed=int(row["needed"]),
            values=rates["values"],
            linked=rates["an account finds its operator"],
            false=max(rates[name] for name in ("two operators", *KINDS)),
        )


def main() -> None:
    """Print the table."""
    for number, row in enumerate(rows()):
        if not number:
            print(" | ".join(row))
        print(
            " | ".join(f"{value:.5f}" if isinstance(value, float) else str(value) for value in row.values())
        )


if __name__ == "__main__":
    main()
