"""What a promotional credit may pay by the days of its validity: at the close, and in the reserve before it."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from random import Random
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
import pytest_asyncio

from billing import accounts, catalog, invoices, rating, wallets
from billing.core import money
from billing.core.period import Period
from billing.kit.db import APP_ROLE
from tests.oracle import rating as oracle
from tests.oracle.generate import scenario
from tests.oracle.load import load_world
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, open_cloud, price

if TYPE_CHECKING:
    from billing.kit.db import Connection

METERS = [
    catalog.Meter(meter=name, service="storage", name=name, unit="GB", aggregation=name, shows_as=None)
    for name in ("sum", "max", "last")
]


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn) as opened:
        yield opened


def oracle_net_within(charges: list[oracle.Charge], days: tuple[date, date]) -> tuple[Fraction, int]:
    """(net inside, net): each resource's part of each line, by what its days weigh."""
    inside, net = Fraction(0), 0
    for line in oracle.lines(charges):
        pieces = {piece.resource.resource_id: piece for piece in line.charge.pieces}
        for resource_id, (_, amount_minor) in oracle.line_shares(line).items():
            weights = pieces[resource_id].day_weights()
            within = sum((weight for day, weight in weights.items() if days[0] <= day < days[1]), Fraction(0))
            net += amount_minor
            inside += amount_minor * within / sum(weights.values(), Fraction(0))
    return inside, net


class TestNetWithin:
    @pytest.mark.parametrize("seed", range(1, 4))
    async def test_is_that_of_the_oracle(self, owner_connection: Connection, seed: int) -> None:
        random = Random(f"net within {seed}")
        made = scenario(random, prefix=f"within-{seed}-", accounts=40, number=seed)
        await load_world(owner_connection, made.world, recorded_at=made.as_of)
        await owner_connection.execute(f"SET LOCAL ROLE {APP_ROLE}")
        charges = oracle.rate(made.world, year=made.year, month=made.month, as_of=made.as_of, with_minimums=True)
        period = Period(made.year, made.month)
        asked: dict[rating.DaysOfMonth, list[oracle.Charge]] = {}
        for account_id in made.world.accounts:
            own = [charge for charge in charges if charge.account.account_id == account_id]
            length = (period.end - period.start).days
            first, last = sorted((random.randrange(length + 1), random.randrange(length + 1)))
            since, until = period.start + timedelta(days=first), period.start + timedelta(days=last)
            asked[rating.DaysOfMonth(account_id, period, since, until)] = own
        found = await rating.list_net_within(owner_connection, asked=asked, now=made.as_of, with_minimums=True)
        assert found == {
            days: oracle_net_within(own, (days.since.date(), days.until.date())) for days, own in asked.items()
        }
        assert sum(map(len, asked.values())) > 50

    @pytest.mark.parametrize(
        ("meter", "paid_minor"),
        [
            ("sum", 1_000),  # 10 of 25 GB on the first ten days
            ("max", 606),  # a month's 20 GB: 10 of the days' 33
            ("last", 151),  # a month's 5 GB, of which 10 of 33
        ],
    )
    async def test_weighs_days_by_their_own_aggregates(self, cloud: Cloud, meter: str, paid_minor: int) -> None:
        async with cloud.database.transaction() as tx:
            for one in METERS:
                await catalog.define_meter(tx, meter=one)
        await cloud.publish(price(service="storage", meter=meter, unit_price="1"))
        account_id = await cloud.open_account()
        await cloud.report(account_id)
        readings = {"sum": (10, 10, 5), "max": (10, 20, 3), "last": (10, 18, 5)}[meter]
        for day, quantity in zip(("01-05", "01-15", "01-25"), readings, strict=True):
            await cloud.use(account_id, quantity, meter=meter, occurred_at=at(day))
        await cloud.grant(account_id, 100_000, granted_at=at("01-01"), expires_at=at("01-11"))
        await cloud.close()
        ((paid,),) = await cloud.fetch("SELECT paid_minor FROM invoice_states")
        assert paid == paid_minor


class TestIssue:
    async def test_limits_credits_by_the_taxes_of_its_own_instant(self, cloud: Cloud) -> None:
        """A rate that changes between the number and the rest of the issue concerns neither taxes nor credits."""
        await cloud.publish(price(meter="m", unit_price="1"))
        async with cloud.database.transaction() as tx:
            await catalog.set_tax_rates(
                tx,
                rates=[
                    catalog.TaxRate(country="KE", name="VAT", percent=Decimal(percent), valid_from=day)
                    for percent, day in (("10", date(2020, 1, 1)), ("50", date(2024, 2, 2)))
                ],
            )
        account_id = await cloud.open_account(country="KE")
        await cloud.report(account_id)
        await cloud.use(account_id, 10, occurred_at=at("01-05"))
        await cloud.use(account_id, 30, occurred_at=at("01-25"))
        await cloud.grant(account_id, 100_000, granted_at=at("01-01"), expires_at=at("01-11"))
        run_id = await cloud.request()
        steps = 0

        def pass_midnight_after_numbering() -> None:
            nonlocal steps
            steps += 1
            if steps == 3:  # started, drafted, numbered
                cloud.advance_to(at("02-02 00:00"))

        run = await invoices.advance(cloud.database, run_id=run_id, on_step=pass_midnight_after_numbering)
        assert run.status == "completed"
        ((total, paid, issued_at),) = await cloud.fetch(
            "SELECT total_minor, paid_minor, issued_at FROM invoices JOIN invoice_states USING (account_id, invoice_id)"
        )
        assert (total, paid, issued_at) == (4_400, 1_100, at("02-01 10:00"))
        assert await cloud.broken() == []


class TestReserve:
    """Just before a close, of an account without running resources, R is what the close then takes from cash."""

    async def test_is_what_the_close_takes(self, cloud: Cloud, seed: int, request: pytest.FixtureRequest) -> None:
        random = Random(seed)
        account_total = 400 if request.config.getoption("--nightly") else 40
        await self._stock(cloud)
        cloud.clock.now = at("01-01")
        residents = [await self._live(cloud, random) for _ in range(account_total)]
        cloud.clock.now = FEBRUARY.start
        reserved = {account_id: await self._reserved(cloud, account_id) for account_id in residents}
        await self._read_at_once_as_alone(cloud, residents)
        before = {account_id: await self._cash(cloud, account_id) for account_id in residents}
        cloud.clock.advance(timedelta(hours=1))
        for period in (JANUARY.previous(), JANUARY):
            await cloud.close(period)
        taken = {account_id: before[account_id] - await self._cash(cloud, account_id) for account_id in residents}
        assert taken == reserved
        sys.stdout.write(f"{account_total} accounts, {sum(taken.values())} minor units taken as was reserved\n")
        assert {minor > 0 for minor in taken.values()} == {True, False}

    async def _stock(self, cloud: Cloud) -> None:
        async with cloud.database.transaction() as tx:
            for meter in METERS:
                await catalog.define_meter(tx, meter=meter)
        for currency in ("USD", "JPY", "KWD"):
            await cloud.publish(
                price(service="storage", meter="sum", unit_price="0.37"),
                price(service="storage", meter="max", unit_price="1.9"),
                price(
                    service="storage",
                    meter="last",
                    model="graduated",
                    tiers=[{"up_to": 5, "unit_price": "1"}, {"up_to": None, "unit_price": "0.5", "flat": "3"}],
                ),
                price(service="compute", plan="vps", model="hourly", hourly_price="0.0731", monthly_price="31"),
                currency=currency,
            )
        await cloud.set_taxes(VAT="16", LEVY="1.5")

    async def _live(self, cloud: Cloud, random: Random) -> UUID:
        currency = random.choice(("USD", "JPY", "KWD"))
        cash_minor = random.choice((0, 10 ** random.randint(1, 6)))
        account_id = await cloud.open_account(
            currency=currency, country=random.choice((None, "KE")), cash_minor=cash_minor
        )
        months = (JANUARY,) if random.random() < 0.7 else (JANUARY.previous(), JANUARY)
        start = months[0].start
        hours = int((FEBRUARY.start - start) / timedelta(hours=1))
        await cloud.report(account_id, "disk", effective_at=start)
        for _ in range(random.randint(0, 8)):
            await cloud.use(
                account_id,
                Decimal(random.randint(0, 300)) / 10,
                resource_id="disk",
                meter=random.choice(("sum", "max", "last")),
                occurred_at=start + timedelta(hours=random.randrange(hours)),
            )
        if random.random() < 0.6:
            since, until = sorted(random.sample(range(hours), 2))
            await cloud.report(account_id, "vm", plan="vps", effective_at=start + timedelta(hours=since))
            await cloud.report(
                account_id, "vm", plan="vps", status="deleted", effective_at=start + timedelta(hours=until)
            )
        for _ in range(random.randint(0, 4)):
            await self._grant(cloud, account_id, currency, random)
        return account_id

    async def _grant(self, cloud: Cloud, account_id: UUID, currency: str, random: Random) -> None:
        granted_at = datetime(2023, 11, 20, tzinfo=UTC) + timedelta(hours=random.randrange(24 * 72))
        life = random.choice((None, timedelta(hours=random.randrange(1, 24 * 60))))
        await cloud.grant(
            account_id,
            10 ** random.randint(1, 5),
            granted_at=granted_at,
            currency=currency,
            priority=random.randint(0, 2),
            expires_at=None if life is None else granted_at + life,
        )

    async def _reserved(self, cloud: Cloud, account_id: UUID) -> int:
        async with cloud.database.snapshot() as tx:
            account = await accounts.get_account(tx.connection, account_id=account_id)
            (own, *_) = await wallets.list_wallets(
                tx.connection,
                account_id=account_id,
                own_currency=account.currency,
                now=tx.now,
                reserve=wallets.reserve_for_usage,
            )
        assert money.decimals_of(own.currency) in {0, 2, 3}
        return own.reserved_minor

    async def _read_at_once_as_alone(self, cloud: Cloud, residents: Sequence[UUID]) -> None:
        """Many accounts' wallets are those that each reads alone, now and ahead, past the month's end too."""
        async with cloud.database.snapshot() as tx:
            own = {
                account_id: (await accounts.get_account(tx.connection, account_id=account_id)).currency
                for account_id in residents
            }
            reading = rating.Reading(tx.connection)
            for ahead in (timedelta(0), timedelta(days=1), timedelta(days=30)):
                now = tx.now + ahead
                at_once = await wallets.list_wallets_of(
                    reading, own_currencies=own, now=now, reserve=wallets.reserve_for_usage
                )
                for account_id, currency in own.items():
                    assert at_once[account_id] == await wallets.list_wallets(
                        tx.connection,
                        account_id=account_id,
                        own_currency=currency,
                        now=now,
                        reserve=wallets.reserve_for_usage,
                    )

    async def _cash(self, cloud: Cloud, account_id: UUID) -> int:
        balances: Any = await cloud.balances(account_id)
        return sum(minor for (_, name), minor in balances.items() if name == "wallet:cash")

    async def test_is_planned_once_however_long_its_statement_is(self, cloud: Cloud) -> None:
        """A statement that no session keeps is planned at each read: that was nine tenths of a wallet's time."""
        account_id = await cloud.open_account(cash_minor=1)
        async with cloud.database.reading() as tx:
            for _ in range(7):
                await wallets.reserve_for_usage(
                    rating.Reading(tx.connection), tx.now, {account_id: wallets.OwnCash("USD", 1)}
                )
            kept = await tx.connection.fetch(
                """
                SELECT generic_plans, custom_plans FROM pg_prepared_statements
                WHERE statement LIKE '%plan_quantities%' AND octet_length(statement) > 10 * 1024
                """
            )
        assert [row["generic_plans"] + row["custom_plans"] for row in kept] == [7]
        assert kept[0]["generic_plans"] > 0
