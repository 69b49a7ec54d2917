"""The checks of the money paths can fail: each change of a statement turns a quick check red.

`CHECKS` pass on the statements as they are; each `Mutation` names the check that must not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast
from uuid import UUID

import asyncpg
import pytest

from billing import invoices, ledger
from billing.core.errors import BillingError
from billing.invoices.store import runs
from billing.kit.db import Tx
from billing.ledger import rules as transfers
from billing.ledger.model import Transfer
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, find_broken, price
from tests.support.mutants import MutantConnection, Mutation, side_by_side, staged

if TYPE_CHECKING:
    from billing.kit.db import Connection

Check = Callable[[Cloud], Awaitable[None]]
RED = (AssertionError, pytest.fail.Exception, BillingError, asyncpg.PostgresError)
DECEMBER_1 = datetime(2023, 12, 1, tzinfo=UTC)


def payment(account_id: UUID, number: int, amount_minor: int = 100) -> Transfer:
    return transfers.payment_recorded(
        account_id=account_id, payment_id=UUID(int=number), currency="USD", amount_minor=amount_minor, at=DECEMBER_1
    )


async def post(cloud: Cloud, *sent: Transfer) -> int:
    async with cloud.database.transaction() as tx:
        return await ledger.post_all(tx.connection, sent, recorded_at=tx.now)


async def in_order(cloud: Cloud) -> None:
    async with cloud.database.snapshot() as tx:
        assert await find_broken(tx) == []


async def finalize_december(cloud: Cloud) -> None:
    async with cloud.database.transaction() as tx:
        await tx.connection.execute("UPDATE period_versions SET rated_version = version WHERE period = '2023-12-01'")


async def books(cloud: Cloud) -> None:
    """Replays move nothing, numbers and hashes go on, conflicts and empty wallets are refused."""
    one, two, three = [await cloud.open_account() for _ in range(3)]
    assert await post(cloud, payment(one, 1), payment(two, 1), payment(one, 2)) == 3
    assert await post(cloud, payment(three, 1)) == 1
    assert await post(cloud, payment(one, 1), payment(two, 3), payment(two, 3)) == 1
    assert await post(cloud, payment(one, 1)) == 0
    assert await post(cloud, payment(one, 4)) == 1
    await in_order(cloud)
    assert (await cloud.balances(one))["USD", "wallet:cash"] == 300
    hold = transfers.hold_placed(account_id=one, hold_id=one, currency="USD", amount_minor=301, at=DECEMBER_1)
    for beside in ([], [payment(two, 9)]):  # one transfer and several are posted by statements of their own
        with pytest.raises(ledger.TransferConflict):
            await post(cloud, payment(one, 1, 101), *beside)
        with pytest.raises(ledger.InsufficientBalance):
            await post(cloud, hold, *beside)


async def usage(cloud: Cloud) -> None:
    """Events count once, on their UTC day, in their resource's life, or wait with a reason; versions of past months go up."""
    await cloud.publish(price(meter="m", unit_price="1"))
    account_id = await cloud.open_account()
    async with cloud.database.transaction() as tx:
        await tx.connection.execute("SET LOCAL TimeZone = 'Pacific/Kiritimati'")
    await cloud.report(account_id)
    await cloud.report(account_id, status="deleted", effective_at=at("01-20"))

    async def use(event_id: str, quantity: int, **members: Any) -> tuple[str, str | None]:
        result = await cloud.use(account_id, quantity, event_id=event_id, **members)
        return result.outcome, result.reason

    assert await use("1", 5, occurred_at=at("01-15 23:00")) == ("accepted", None)
    assert await use("1", 5, occurred_at=at("01-15 23:00")) == ("duplicate", None)
    assert await use("1", 6, occurred_at=at("01-15 23:00")) == ("rejected", "event_conflict")
    assert await use("2", 3, occurred_at=at("01-15 22:00")) == ("accepted", None)
    assert await use("3", 1, occurred_at=at("01-20")) == ("quarantined", "outside_resource_life")
    assert await use("4", 1, resource_id="s") == ("quarantined", "resource_unknown")
    assert await use("5", 1, meter="n") == ("quarantined", "meter_unknown")
    assert await use("6", -1) == ("quarantined", "negative_quantity")
    assert await use("7", 1, occurred_at=datetime(2023, 12, 31, tzinfo=UTC)) == (
        "quarantined",
        "outside_resource_life",
    )
    rows = await cloud.fetch("SELECT day::text, total, highest, latest, events FROM day_rows")
    assert [tuple(row) for row in rows] == [("2024-01-15", 8, 5, 5, 2)]
    versions = await cloud.fetch("SELECT period::text, version FROM period_versions")
    assert [tuple(row) for row in versions] == [("2024-01-01", 4)]
    await in_order(cloud)


async def rated(cloud: Cloud) -> None:
    """Bands, steps, caps, units, maxima and spans come to the cent; parts sum to the whole."""
    tiers = [{"up_to": 10, "unit_price": "1"}, {"up_to": None, "unit_price": "0.5"}]
    vps: dict[str, object] = {"service": "compute", "model": "hourly"}
    await cloud.publish(
        price(meter="tiered", model="graduated", tiers=tiers),
        price(meter="half", unit_price="0.005"),
        price(meter="third", unit_price="0.0000000000015"),
        price(meter="boxes", model="package", package_size="10", package_price="2", maximum="5"),
        price(meter="thin", unit_price="0.1"),
        price(**vps, plan="capped", hourly_price="0.01", monthly_price="2"),
        price(**vps, plan="plain", hourly_price="0.01"),
    )
    account_id = await cloud.open_account()
    await cloud.publish(price(meter="thin", unit_price="0.07"), account_id=account_id)
    await cloud.report(account_id, "c", plan="capped", units=Decimal(3), effective_at=DECEMBER_1)
    await cloud.report(account_id, "p", plan="plain", effective_at=at("01-10"))
    await cloud.report(account_id, "p", status="deleted", effective_at=at("01-10 00:30"))
    await cloud.report(account_id, "us", region="us")
    used = {"tiered": 10, "half": 1, "third": 1, "boxes": 11, "thin": 1}
    for meter, quantity in used.items():
        for resource_id in ("c", "us") if meter == "thin" else ("c",):
            await cloud.use(account_id, quantity, meter=meter, resource_id=resource_id)
    await finalize_december(cloud)
    await cloud.close()
    rows = await cloud.fetch("SELECT item, sum(amount_minor)::integer, sum(unrounded) FROM invoice_lines GROUP BY item")
    assert {item: (minor, unrounded) for item, minor, unrounded in rows} == {
        "boxes": (400, 4),
        "capped": (600, 6),
        "half": (1, Decimal("0.005")),
        "plain": (1, Decimal("0.01")),
        "thin": (14, Decimal("0.14")),
        "third": (0, Decimal("0.000000000002")),
        "tiered": (1_000, 10),
    }
    await in_order(cloud)


async def ended(cloud: Cloud) -> None:
    """What a resource has cost ends with it, whatever it was said to be later."""
    await cloud.publish(price(service="compute", model="hourly", plan="vps", hourly_price="0.01"))
    account_id = await cloud.open_account()
    await cloud.report(account_id, plan="vps", effective_at=DECEMBER_1)
    await cloud.report(account_id, plan="vps", effective_at=at("01-20"))
    await cloud.report(account_id, status="deleted", effective_at=at("01-02"))
    await finalize_december(cloud)
    await cloud.close()
    assert [tuple(row) for row in await cloud.fetch("SELECT total_minor FROM invoices")] == [(24,)]


async def split(cloud: Cloud) -> None:
    """A charge over two regions is split without losing a cent, and stays below its maximum."""
    await cloud.publish(price(meter="m", unit_price="0.01", maximum="0.05"))
    account_id = await cloud.open_account()
    for resource_id, region in (("a", "eu"), ("b", "us"), ("c", "za")):
        await cloud.report(account_id, resource_id, region=region)
        await cloud.use(account_id, 3, resource_id=resource_id)
    await cloud.close()
    rows = await cloud.fetch("SELECT amount_minor FROM invoice_lines ORDER BY region")
    assert sorted(row["amount_minor"] for row in rows) == [1, 2, 2]
    await in_order(cloud)


async def issued(cloud: Cloud) -> None:
    """Tax is rounded half up; credit pays by priority and its days, then cash; a dry run writes nothing."""
    await cloud.publish(price(meter="m", unit_price="1"))
    await cloud.set_taxes(VAT="12.5")
    account_id = await cloud.open_account(country="KE", cash_minor=1_000)
    await cloud.report(account_id)
    await cloud.use(account_id, "0.50", occurred_at=at("01-10"))
    await cloud.use(account_id, "2.82", occurred_at=at("01-20"))  # net 3.32, tax 0.415
    second = await cloud.grant(account_id, 90, granted_at=DECEMBER_1, priority=2)
    first = await cloud.grant(account_id, 30, granted_at=at("01-01"), priority=1)
    few_days = await cloud.grant(account_id, 500, granted_at=DECEMBER_1, expires_at=at("01-15"), priority=0)
    await cloud.grant(account_id, 500, granted_at=at("02-01"), priority=0)
    await cloud.close(dry_run=True)
    assert await cloud.fetch("SELECT FROM closes") == []
    await cloud.close()
    ((total_minor, paid_minor),) = await cloud.fetch("SELECT total_minor, paid_at_issue_minor FROM invoices")
    assert (total_minor, paid_minor) == (374, 374)
    rows = await cloud.fetch("SELECT source_id, amount_minor FROM invoice_payments ORDER BY ordinal")
    assert [tuple(row) for row in rows] == [(few_days, 56), (first, 30), (second, 90), (None, 198)]
    await in_order(cloud)


async def late(cloud: Cloud) -> None:
    """What comes between draft and issue is billed next month; what is owed first is paid first."""
    await cloud.publish(price(meter="m", unit_price="1"))
    run_id = await drafted(cloud)
    ((account_id,),) = await cloud.fetch("SELECT account_id FROM accounts")
    await cloud.use(account_id, 2)
    await invoices.advance(cloud.database, run_id=run_id)
    cloud.advance_to(FEBRUARY.end)
    await cloud.close(FEBRUARY)
    rows = await cloud.fetch("SELECT period::text, total_minor FROM invoices ORDER BY period")
    assert [tuple(row) for row in rows] == [("2024-01-01", 300), ("2024-02-01", 200)]
    await cloud.pay_in(account_id, 250)
    async with cloud.database.transaction() as tx:
        await invoices.collect(tx, account_id=account_id, currency="USD")
    rows = await cloud.fetch(
        "SELECT paid_minor FROM invoices JOIN invoice_states USING (account_id, invoice_id) ORDER BY period"
    )
    assert [row["paid_minor"] for row in rows] == [250, 0]
    await in_order(cloud)


async def parked(cloud: Cloud) -> None:
    """A month without a price, or after one that is open, is not billed."""
    vps = price(service="compute", model="hourly", plan="vps", hourly_price="0.01")
    await cloud.publish(vps)
    unpriced, early = await cloud.open_account(), await cloud.open_account()
    await cloud.report(unpriced, plan="vps", effective_at=DECEMBER_1)
    await cloud.close(JANUARY.previous())
    await cloud.report(early, effective_at=DECEMBER_1)
    async with cloud.database.transaction() as tx:
        await tx.connection.execute("UPDATE prices SET valid_to = '2024-01-01Z'")
    run_id = await cloud.request()
    await invoices.advance(cloud.database, run_id=run_id)
    assert await cloud.parked(run_id) == {unpriced: "price_missing", early: "earlier_period_open"}


async def taken_over(cloud: Cloud) -> None:
    """What one run has numbered and another has issued is not issued again."""
    await cloud.publish(price(meter="m", unit_price="1"))
    run_id = await drafted(cloud)
    other_id = await cloud.request()
    await die_after(cloud, other_id, 1)
    async with cloud.database.transaction() as tx:
        await number(tx, run_id)
    for one in (other_id, run_id):
        assert (await invoices.advance(cloud.database, run_id=one)).status == "completed"
    assert len(await cloud.fetch("SELECT FROM invoices")) == 1
    await in_order(cloud)


async def drafted(cloud: Cloud) -> UUID:
    """The run of one more account, which died after its draft."""
    account_id = await cloud.open_account()
    await cloud.report(account_id)
    await cloud.use(account_id, 3)
    run_id = await cloud.request(only_accounts=[account_id])
    await die_after(cloud, run_id, 2)
    return run_id


async def die_after(cloud: Cloud, run_id: UUID, commits: int) -> None:
    left = iter(range(commits - 1, -1, -1))

    def step() -> None:
        if next(left) == 0:
            raise TimeoutError

    with pytest.raises(TimeoutError):
        await invoices.advance(cloud.database, run_id=run_id, on_step=step)


async def number(tx: Tx, run_id: UUID) -> None:
    await runs.insert_numbers(tx.connection, run_id=run_id, series="INV-2024", is_credit=False, now=tx.now)


async def meet(
    cloud: Cloud, first: Callable[[Tx], Awaitable[object]], second: Callable[[Tx], Awaitable[object]]
) -> None:
    """Do the first, and before it commits begin the second, which has to wait for it."""

    async def follow() -> None:
        async with cloud.database.transaction() as tx:
            await second(tx)

    async with cloud.database.transaction() as tx:
        await first(tx)
        following = asyncio.create_task(follow())
        await asyncio.sleep(0.2)
    await following
    await in_order(cloud)


async def posting(cloud: Cloud) -> None:
    """Two postings to one account are numbered one after the other."""
    account_id = await cloud.open_account()

    async def several(tx: Tx, *numbers: int) -> None:
        sent = [payment(account_id, number) for number in numbers]
        await ledger.post_all(tx.connection, sent, recorded_at=tx.now)

    await meet(cloud, lambda tx: several(tx, 1), lambda tx: several(tx, 2))
    await meet(cloud, lambda tx: several(tx, 3, 4), lambda tx: several(tx, 5, 6))
    assert (await cloud.balances(account_id))["USD", "wallet:cash"] == 600


async def collecting(cloud: Cloud) -> None:
    """Two collectors pay an invoice once."""
    await cloud.publish(price(meter="m", unit_price="1"))
    await invoices.advance(cloud.database, run_id=await drafted(cloud))
    ((account_id,),) = await cloud.fetch("SELECT account_id FROM accounts")
    await cloud.pay_in(account_id, 1_000)

    async def collect(tx: Tx) -> int:
        return await invoices.collect(tx, account_id=account_id, currency="USD")

    await meet(cloud, collect, collect)
    assert (await cloud.balances(account_id))["USD", "wallet:cash"] == 700


async def numbering(cloud: Cloud) -> None:
    """Two runs of one series get numbers one after the other."""
    await cloud.publish(price(meter="m", unit_price="1"))
    one, two = await drafted(cloud), await drafted(cloud)
    async with cloud.database.transaction() as tx:
        await tx.connection.execute("INSERT INTO number_series VALUES ('INV-2024', 0)")

    async def number_second(tx: Tx) -> None:
        # It looked whether the series is there before the first one wrote to it.
        looked = MutantConnection(tx.connection, Mutation(RUNS, OPEN_SERIES, "SELECT $1::text", numbering))
        await number(replace(tx, connection=cast("Connection", looked)), two)

    await meet(cloud, lambda tx: number(tx, one), number_second)
    rows = await cloud.fetch("SELECT number FROM invoice_numbers ORDER BY number")
    assert [row["number"] for row in rows] == [1, 2]


CHECKS: list[Check] = [books, usage, rated, ended, split, issued, late, parked, taken_over]
LOCK_CHECKS: list[Check] = [posting, collecting, numbering]
LEDGER = "sql/functions/ledger.sql"
METERING = "sql/functions/metering.sql"
COST = "rating/sql/cost.sql"
PRICED = "rating/sql/priced.sql"
PLANS = "rating/sql/plan_quantities.sql"
ISSUE = "invoices/sql/issue.sql"
DRAFT = "invoices/sql/rate_chunk.sql"
SPANS = "sql/views/metering.sql"
IN_FORCE = "rating/sql/price_in_force.sql"
CLOSING = "invoices/store/closing.py"
INVOICES = "invoices/store/invoices.py"
PERIODS = "metering/store/periods.py"
RUNS = "invoices/store/runs.py"
HEADS = "ledger/store.py"
OPEN_SERIES = "INSERT INTO number_series (series, last_number) VALUES ($1, 0) ON CONFLICT (series) DO NOTHING"
# (file, what is there, what it becomes, the check that sees it)
MUTATIONS = [
    Mutation(*members)
    for members in [
        (LEDGER, "IF (p_currency, p_source, p_destination, p_amount) IS", "IF false AND NULL IS", books),
        (LEDGER, "WHEN p_source THEN -p_amount ELSE", "WHEN p_source THEN 0 ELSE", books),
        (LEDGER, "(p_source, -p_amount), (p_destination", "(p_source, 0), (p_destination", books),
        (LEDGER, "SET last_number = last_number + 1,", "SET last_number = last_number + 2,", books),
        (LEDGER, "sha256(chain_hash || convert_to", "sha256(convert_to", books),
        (LEDGER, "AND transfers.ordinal = incoming.ordinal\n", "AND false\n", books),
        (LEDGER, "DISTINCT ON (account_id, template, reference, ordinal) *", "*", books),
        (LEDGER, "(PARTITION BY incoming.account_id ORDER BY position)", "(ORDER BY position)", books),
        (LEDGER, "IF v_new < cardinality(p_account_ids) THEN", "IF false THEN", books),
        (LEDGER, "SET last_number = v_number - 1,", "SET last_number = v_number,", books),
        (
            LEDGER,
            "account_id = p_account_id AND number = v_number - 1",
            "account_id = p_account_id AND number = 1",
            books,
        ),
        (LEDGER, "-amount_minor AS change_minor FROM fresh", "0 AS change_minor FROM fresh", books),
        (LEDGER, ", chain_hash = chained.chain_hash\n", "\n", books),
        (
            METERING,
            "JOIN stored USING (account_id, source, event_id)",
            "WHERE is_admitted AND objection IS NULL",
            usage,
        ),
        (METERING, "OR firsts.occurred_at >= resources.deleted_at", "", usage),
        (METERING, "firsts.occurred_at < resources.created_at OR", "", usage),
        (METERING, "WHEN firsts.reason IS NOT NULL THEN coalesce(quarantined.reason, firsts.reason)", "", usage),
        (
            METERING,
            "incoming.quantity, incoming.occurred_at)) AS stored",
            "stored.quantity, incoming.occurred_at)) AS stored",
            usage,
        ),
        (METERING, "greatest(d.highest, excluded.highest)", "excluded.highest", usage),
        (METERING, "WHEN excluded.latest_at > d.latest_at THEN", "WHEN true THEN", usage),
        (METERING, "total = d.total + excluded.total", "total = excluded.total", usage),
        (METERING, "(firsts.occurred_at AT TIME ZONE 'UTC')::date AS day", "firsts.occurred_at::date AS day", usage),
        (METERING, "SET version = period_versions.version + 1", "SET version = period_versions.version", late),
        (METERING, "WHEN effective_at >= v_deleted_at THEN effective_at", "WHEN false THEN effective_at", ended),
        (METERING, "AND effective_at < p_since\n", "AND effective_at < p_since - interval '1 year'\n", ended),
        (PLANS, "greatest(start_at, $2::timestamptz)", "start_at", ended),
        (COST, "div(2e12 * fraction.numerator + fraction.denominator,", "div(2e12 * fraction.numerator,", rated),
        (COST, "totals.quantity <= bands_v.high", "totals.quantity < bands_v.high", rated),
        (COST, "least(plain.numerator, prices_v.cap * plain.denominator)", "plain.numerator", rated),
        (COST, " + (mod(over.quantity, over.step) > 0)::integer", "", rated),
        (COST, ") * totals.units AS numerator", ") AS numerator", rated),
        (COST, "least(capped.numerator, prices_v.maximum * plain.denominator)", "capped.numerator", split),
        (PRICED, "floor(cost * minor_per_major + 0.5)", "floor(cost * minor_per_major)", rated),
        (IN_FORCE, "CASE WHEN keys.contract <>", "CASE WHEN false AND keys.contract <>", rated),
        (PRICED, "(charge ORDER BY rest_minor DESC, project_id, region))", "(charge ORDER BY rest_minor) + 1)", split),
        (DRAFT, "WHEN sums.account_id IN (SELECT unpriced.account_id FROM unpriced)", "WHEN false", parked),
        (DRAFT, "WHERE objection IS NULL AND NOT $11::boolean", "WHERE objection IS NULL", issued),
        (ISSUE, "round(numbered.subtotal_minor", "trunc(numbered.subtotal_minor", issued),
        (ISSUE, "ORDER BY credits.priority, credits", "ORDER BY credits", issued),
        (ISSUE, "credits.granted_at < (totals.period + interval '1 month') AT TIME ZONE 'UTC'", "true", issued),
        (ISSUE, "coalesce(limits.most_minor, totals.total_minor)", "totals.total_minor", issued),
        (ISSUE, "balances_v.balance_minor, 1000000", "balances_v.balance_minor, 0", issued),
        (CLOSING, "SELECT account_id, version FROM closes", "SELECT account_id, version FROM period_versions", late),
        (INVOICES, "ORDER BY i.due_at, i.issued_at,", "ORDER BY i.due_at DESC,", late),
        (PERIODS, "WHERE rated_until < $3 AND (", "WHERE false AND (", parked),
        (ISSUE, "closes.finalized_at IS NULL AND closes", "closes", taken_over),
        (RUNS, "WHERE waiting.is_unnumbered", "", taken_over),
    ]
]
LOCK_MUTATIONS = [
    Mutation(LEDGER, "ORDER BY heads.account_id FOR UPDATE", "ORDER BY heads.account_id", posting),
    Mutation(HEADS, "WHERE account_id = $1 FOR UPDATE", "WHERE account_id = $1", collecting),
    Mutation(RUNS, "WHERE series = $1 FOR UPDATE", "WHERE series = $1", numbering),
]


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
async def test_check_passes_on_the_statements_as_they_are(owner_connection: Connection, check: Check) -> None:
    async with staged(owner_connection, None) as cloud:
        await check(cloud)


@pytest.mark.parametrize("mutation", MUTATIONS, ids=str)
async def test_check_sees_the_mutation(owner_connection: Connection, mutation: Mutation) -> None:
    async with staged(owner_connection, mutation) as cloud:
        with pytest.raises(RED):
            await mutation.check(cloud)


class TestLocks:
    """The same with sessions that meet."""

    @pytest.mark.parametrize("check", LOCK_CHECKS, ids=lambda check: check.__name__)
    async def test_hold(self, database_dsn: str, check: Check) -> None:
        async with side_by_side(database_dsn, None) as cloud:
            await check(cloud)

    @pytest.mark.parametrize("mutation", LOCK_MUTATIONS, ids=str)
    async def test_are_missed(self, database_dsn: str, mutation: Mutation) -> None:
        async with side_by_side(database_dsn, mutation) as cloud:
            with pytest.raises(RED):
                await mutation.check(cloud)
