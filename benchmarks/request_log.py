"""Write a made-up request log: the same rows for the same seed, as many as are asked for.

    python -m benchmarks.request_log ROWS FILE.jsonl|FILE.csv|FILE.parquet

One account in ten is an operator's, with others on its payment instrument, and sends a template with a
payload; the rest are people, who write prompts of their own, some of them often. Rows stand in order of time.
"""

from __future__ import annotations

import csv
import json
import sys
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from random import Random

from benchmarks.population import START, WORDS

ROW_SECONDS = 0.05
ACCOUNT_ROWS = 400
OPERATORS = 20
REPEATED = 0.9
"""Share of people's requests whose prompt many send: greetings, buttons of products, system prompts."""

MODELS = ("large", "medium", "small")
Row = dict[str, str | int]


def rows(count: int, seed: int = 1) -> Iterator[Row]:
    """Yield the rows."""
    random = Random(seed)
    accounts = max(20, count // ACCOUNT_ROWS)
    templates = [" ".join(random.choices(WORDS, k=30)) for _ in range(OPERATORS)]
    common = [" ".join(random.choices(WORDS, k=random.randint(5, 60))) for _ in range(5000)]
    for number in range(count):
        account = int(random.random() ** 2 * accounts)
        bot = account % 10 == 0
        operator = account // 10 % OPERATORS
        if bot:
            prompt = f"{templates[operator]} {' '.join(random.choices(WORDS, k=8))}"
        elif random.random() < REPEATED:
            prompt = random.choice(common)
        else:
            prompt = " ".join(random.choices(WORDS, k=random.randint(5, 60)))
        yield {
            "time": int(START + number * ROW_SECONDS),
            "account": f"acct-{account:08}",
            "mail": f"user{account}@{'mailbox' if bot else 'provider'}{account % 97}.example",
            "address": f"{account % 223 + 1}.{account // 7 % 256}.{number // 1000 % 256}.{account % 251}",
            "payment": f"card-{account // (200 if bot else 1)}",
            "user_agent": f"client/{operator if bot else account % 50}.0",
            "endpoint": "/v1/chat/completions" if number % 3 or not bot else "/v1/embeddings",
            "model": MODELS[(number + account) % 3 if bot else account % 3],
            "tools": "search" if number % 5 == 0 else "",
            "prompt": prompt,
            "answer_size": int(random.expovariate(1 / 1500)),
        }


def write(count: int, path: Path) -> None:
    """Write a log of some rows, by the extension."""
    if path.suffix == ".parquet":
        import pyarrow as pa  # noqa: PLC0415 - only this format needs it
        import pyarrow.parquet as pq  # noqa: PLC0415

        source = rows(count)
        batch = list(islice(source, 50_000))
        with pq.ParquetWriter(path, pa.Table.from_pylist(batch).schema) as writer:
            while batch:
                writer.write_table(pa.Table.from_pylist(batch))
                batch = list(islice(source, 50_000))
        return
    with path.open("w", encoding="utf-8", newline="") as file:
        if path.suffix == ".csv":
            made = csv.DictWriter(file, list(next(rows(1))))
            made.writeheader()
            made.writerows(rows(count))
        else:
            file.writelines(json.dumps(row, separators=(",", ":")) + "\n" for row in rows(count))


if __name__ == "__main__":
    write(int(sys.argv[1]), Path(sys.argv[2]))
