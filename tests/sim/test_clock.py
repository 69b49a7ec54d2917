"""K8: the clock of the application jumps a day ahead, ten minutes back, a year ahead and back, in the midst of business.

There is one clock for what happens (`kit/db.py`), read once per transaction, and one for leases of jobs, the database's own
(`kit/jobs.py`). So no expiry is decided by two, and what is numbered is numbered by locks, not by time.
"""

from __future__ import annotations

import random
import re
import sys
from datetime import timedelta
from pathlib import Path

import pytest

from billing.app.check import run_all
from billing.core.period import Period
from tests.sim.test_year import TOLERATED
from tests.support import databases, postgres
from tests.support.business import Business
from tests.support.cloud import price, publish
from tests.support.crashing import open_yard
from tests.tidy.sources import PACKAGE, python_files, sql_files

JUMPS = (timedelta(days=1), timedelta(minutes=-10), timedelta(days=365), timedelta(days=-366))
STEPS = 12
# What the checks may say once the clock came back from a year ahead, and not before: corrections seem late; and of months that were
# closed before their time and run again, later usage is not on the invoice, for what happens in the running month makes no month
# dirty. To ask whether that month is closed already would cost every event a look-up, for a close that an operator made on a clock
# that was wrong by months; `billing check` tells of it.
LATE = {"months written to after their close are corrected within 45 days", "lines are what their months cost"}
# Which job has run, when, and how late one is: the database's clock, for workers on several machines share it.
LEASES = {"app/jobs.py", "app/metrics.py", "kit/jobs.py", "kit/worker.py"}
ROUNDS, ROUNDS_NIGHTLY = 1, 25
_DATABASE_CLOCK = re.compile(
    r"\b(now\(\)|(?:clock|statement|transaction|current|local)_?timestamp\b|current_date)", re.IGNORECASE
)
_OWN_CLOCK = re.compile(r"datetime\.(?:now|utcnow)|time\.time\(")


class TestJumps:
    async def test_bill_nothing_twice_and_break_no_invariant(
        self, database_server: Path, tmp_path: Path, seed: int, pytestconfig: pytest.Config
    ) -> None:
        rounds = ROUNDS_NIGHTLY if pytestconfig.getoption("--nightly") else ROUNDS
        name = await databases.clone(database_server)
        rng = random.Random(seed)
        async with open_yard(postgres.dsn(database_server, name), tmp_path, random_bits=rng.getrandbits) as yard:
            async with yard.database.transaction() as tx:
                await publish(
                    tx,
                    price(meter="sms", unit_price="0.01"),
                    price(service="compute", plan="small", model="hourly", hourly_price="0.05", monthly_price="20"),
                )
            business, tolerated = Business(yard, rng), TOLERATED
            for jump in (jump for _ in range(rounds) for jump in JUMPS):
                for _ in range(STEPS):
                    await business.step()
                await business.pass_time()
                yard.clock.advance(jump)
                month = Period(2024, 1)  # those that were closed before too
                while month.end + timedelta(hours=2) < yard.clock.now:
                    business.steps += 1  # a call of its own
                    await business.close(month)
                    month = month.next()
                await yard.flush_notes()
                await yard.work()
                if jump < -timedelta(days=31):
                    tolerated = TOLERATED | LATE
                broken = [check for check in await run_all(yard.database) if check.violations]
                assert {check.name for check in broken} <= tolerated, (seed, jump, broken)
            invoices = await yard.owner.fetch(
                "SELECT account_id, period FROM invoices JOIN invoice_states USING (account_id, invoice_id) WHERE status <> 'void'"
            )
        await databases.drop(database_server, name)
        sys.stdout.write(
            f"seed {seed}: {rounds * len(JUMPS)} jumps, {business.steps} steps, {len(invoices)} invoices\n"
        )
        assert invoices
        assert len(set(invoices)) == len(invoices)


class TestClocks:
    def test_are_one_for_what_happens_and_one_for_leases(self) -> None:
        sources = [path for path in [*python_files(PACKAGE), *sql_files()] if PACKAGE / "sql" not in path.parents]
        texts = {path.relative_to(PACKAGE).as_posix(): path.read_text(encoding="utf-8") for path in sources}
        assert {file for file, text in texts.items() if _DATABASE_CLOCK.search(text)} == LEASES
        assert {file for file, text in texts.items() if _OWN_CLOCK.search(text)} == {"kit/db.py"}
