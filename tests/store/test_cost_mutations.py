"""Each statement of costs with one place changed is seen by the comparison with the oracle."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import asyncpg

from tests.store.test_costs import History, begin, compare
from tests.support import databases, postgres
from tests.support.cloud import open_cloud
from tests.support.mutants import Mutation, Stage

SQL = "analytics/sql"


SEEDS = (7, 6, 8, 5)
STEPS = 60


async def compared(history: History) -> None:
    """Every grouping with the oracle."""
    await compare(history)


MUTATIONS = [
    Mutation(f"{SQL}/{file}.sql", old, new, compared)
    for file, old, new in [
        ("billed_lines", "coalesce(homes.project_id, resources.project_id)", "resources.project_id"),
        ("billed_lines", "($6 IS NULL OR project_id = $6)", "region = 'eu'"),
        ("counted_rows", "WHEN 'max' THEN day_rows_v.highest", "WHEN 'max' THEN day_rows_v.total"),
        ("day_runs", "WHEN 'last' THEN lasts.reading", "WHEN 'last' THEN sums.highest"),
        ("day_runs", "least(dated.end_day, months.end_day) - 1", "least(dated.end_day, months.end_day)"),
        ("day_runs", "least(spans.end_at, levels.next_at)", "spans.end_at"),
        ("cost_shares", "(placed.status = 'metered' OR placed.status = ANY (prices_v.billable))", "true"),
        ("cost_shares", "amount_minor * CASE WHEN is_shared THEN quantity ELSE 1 END", "amount_minor * 1"),
        ("cost_shares", "ORDER BY rest_minor DESC, resource_id", "ORDER BY rest_minor, resource_id"),
        ("cost_shares", "least(last_day, to_day - 1)", "last_day"),
        ("cost_shares", "<< (first_day - month)", "<< 0"),
        ("cost_shares", "line_no NOT IN (SELECT line_no FROM counted_parts)", "false"),
        ("cost_shares", "1e40", "1e2"),
    ]
]


async def survivors(dsn: str, mutations: list[Mutation], *, seed: int) -> list[Mutation]:
    """Those of some mutations that a random history and the oracle do not tell from the statements as they are."""
    async with open_cloud(dsn) as cloud:
        history = await begin(cloud, seed)
        for _ in range(STEPS):
            await history.step()
        await compare(history)
        left: list[Mutation] = []
        for mutation in mutations:
            stage = Stage(cloud.database.pool.acquire, mutation, cloud.clock)
            state = history.rng.getstate()
            try:
                await mutation.check(replace(history, cloud=stage.cloud))
            except (AssertionError, asyncpg.PostgresError):
                pass
            else:
                left.append(mutation)
            history.rng.setstate(state)
        return left


async def test_the_oracle_sees_every_mutation(database_server: Path) -> None:
    left = MUTATIONS
    assert all(mutation.old in mutation.source for mutation in MUTATIONS), "a text is not there any more"
    for seed in SEEDS:
        name = await databases.clone(database_server)
        left = await survivors(postgres.dsn(database_server, name), left, seed=seed)
        await databases.drop(database_server, name)
        if not left:
            break
    assert not left, [str(mutation) for mutation in left]
