"""A year of random business with random faults, under a virtual clock, in one process: every invariant after each step.

By default a tenth of it, with a look at the invariants after every fifth step; `--nightly` a year, with a look after each. `--seed`
gives the same business again: its end is the same.
"""

from __future__ import annotations

import random
import sys
from collections import Counter
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from billing.app.check import run_all
from tests.support import databases, postgres
from tests.support.business import Business
from tests.support.cloud import price, publish
from tests.support.crashing import footprints, open_yard

DAYS, DAYS_BY_DEFAULT = 365, 36
STEPS_A_DAY = 3
CHECKED_EVERY = 5
# A chargeback of what was spent leaves a debt, and runs are carried on by jobs: neither is a fault of the books.
TOLERATED = {"nobody is owed by a chargeback"}


async def live(
    server: Path, folder: Path, *, seed: int, days: int, checked_every: int
) -> tuple[Business, list[dict[str, Any]]]:
    """The business of so many days, and what is stored of its accounts at the end."""
    name = await databases.clone(server)
    rng = random.Random(seed)
    try:
        async with open_yard(postgres.dsn(server, name), folder, random_bits=rng.getrandbits) as yard:
            async with yard.database.transaction() as tx:
                await publish(
                    tx,
                    price(meter="sms", unit_price="0.01"),
                    price(service="compute", plan="small", model="hourly", hourly_price="0.05", monthly_price="20"),
                )
            business = Business(yard, rng)
            end = yard.clock.now + timedelta(days=days)
            while yard.clock.now < end:
                did = await business.step()
                if business.steps % STEPS_A_DAY == 0:
                    await business.pass_time()
                if business.steps % checked_every == 0:
                    broken = [check for check in await run_all(yard.database) if check.violations]
                    assert {check.name for check in broken} <= TOLERATED, (seed, business.steps, did, broken)
            found = await footprints(yard.owner, [one.resident.account_id for one in business.people])
            return business, list(found.values())
    finally:
        await databases.drop(server, name)


class TestYear:
    async def test_breaks_no_invariant(
        self, database_server: Path, tmp_path: Path, seed: int, pytestconfig: pytest.Config
    ) -> None:
        is_nightly = bool(pytestconfig.getoption("--nightly"))
        business, _ = await live(
            database_server,
            tmp_path,
            seed=seed,
            days=DAYS if is_nightly else DAYS_BY_DEFAULT,
            checked_every=1 if is_nightly else CHECKED_EVERY,
        )
        heard = Counter(dict(business.answers.most_common(8)))
        sys.stdout.write(f"seed {seed}: {business.steps} steps, {business.deaths} deaths, {dict(heard)}\n")
        assert business.deaths > 0
        assert business.answers["201"] > 10


class TestSeed:
    async def test_gives_the_same_business_again(self, database_server: Path, tmp_path: Path, seed: int) -> None:
        ends = [(await live(database_server, tmp_path, seed=seed, days=6, checked_every=1000))[1] for _ in range(2)]
        assert ends[0] == ends[1]
