"""A standing round never spends more than a budget in the time for which the budget is."""

from __future__ import annotations

from mandorla_node.rounds import pace


def test_a_budget_lasts_for_thirty_days_whatever_is_seen() -> None:
    now = 0.0
    bucket = pace.question_pace(1_000_000, lambda: now)
    spent = 0
    while now < 30 * 24 * 3600:
        now += max(bucket.wait, 60.0)
        bucket.overdraw(4_096)
        spent += 4_096
    assert spent <= 1.11 * 1_000_000
