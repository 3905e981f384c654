"""The first stage: read a piece of the logs, and spread its content over the parts."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass

import polars as pl

from .log_reader import Faults, Piece, read
from .parts import Spread
from .plan import BEHAVIOUR, PROMPT_TYPES, SEQUENCE, TEMPLATE, TEXT_TYPES, Plan
from .rows import Rows


@dataclass(frozen=True, slots=True)
class SplitReport:
    """The counts of a piece: all rows, used rows, and bad rows."""

    piece: Piece
    rows: int
    used: int
    faults: Faults


def split(plan: Plan, numbered: tuple[int, Piece]) -> SplitReport:
    """Spread a piece: requests by account, payments and prompts with their accounts, and single texts.

    Raises InputError(BAD_FILE).
    """
    number, piece = numbered
    writer = f"{number:06}"
    faults = Faults()
    rows = Rows(plan.log_map, faults)
    total = used = 0
    with ExitStack() as stack:

        def spread(kind: str, key: str, distinct: bool = True) -> Spread:
            return stack.enter_context(Spread(plan.work, kind, plan.parts, key, writer, distinct))

        requests = spread("requests", "account", distinct=False)
        payments, prompts, texts = (
            spread("payments", "payment"),
            spread("prompts", "prompt"),
            spread("texts", "text"),
        )
        for batch in read(piece, plan.log_map, faults):
            if isinstance(batch, int):
                total = batch
                continue
            frame = rows.frame(batch)
            if BEHAVIOUR in plan.types:
                # Accounts that are not extracted count here: they may share an instrument with one that is.
                payments.add(frame.select("payment", "account").drop_nulls().unique())
            if plan.accounts is not None:
                frame = frame.filter(pl.col("account").is_in(list(plan.accounts)))
            used += frame.height
            if plan.any_of((BEHAVIOUR, SEQUENCE)):
                prompt = (
                    pl.col("prompt") if BEHAVIOUR in plan.types else pl.lit(None, pl.String).alias("prompt")
                )
                requests.add(frame.select("account", "time", "step", prompt))
            if plan.any_of((*PROMPT_TYPES, TEMPLATE)):
                prompts.add(frame.select("prompt", "account").drop_nulls().unique())
            for column in dict.fromkeys(column for name, column in TEXT_TYPES if name in plan.types):
                texts.add(
                    frame.select(pl.lit(column).alias("column"), pl.col(column).alias("text"))
                    .drop_nulls()
                    .unique()
                )
    return SplitReport(piece, total, used, faults)
