"""Rate cards, meters and tax rates in a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid4

import msgspec
import pytest

from billing import accounts, catalog
from billing.catalog.model import (
    MeterInUse,
    MeterServiceDiffers,
    PeriodFinalized,
    PriceChangeInsidePeriod,
    PriceExists,
)
from billing.catalog.store import billed_items, meters, rate_cards, tax_rates
from billing.core.errors import InvalidParameter, NotFound
from billing.core.page import Page, PageRequest
from billing.kit.db import Database, open_pool

if TYPE_CHECKING:
    from billing.catalog.model import Price
    from billing.kit.db import Tx

JANUARY, FEBRUARY, MARCH = (datetime(2024, month, 1, tzinfo=UTC) for month in (1, 2, 3))

HOURLY = {"service": "compute", "plan": "c2", "model": "hourly", "hourly_price": "0.0035", "monthly_price": "2.0"}
GRADUATED = {
    "service": "storage",
    "meter": "storage.gb",
    "model": "graduated",
    "tiers": [{"up_to": "10", "unit_price": "0.10"}, {"up_to": None, "unit_price": "0.05", "flat": "1"}],
    "maximum": "100",
    "minimum": "1",
}
PER_UNIT = {"service": "messaging", "meter": "sms.sent", "model": "per_unit", "unit_price": "0.00000000000000000001"}
PACKAGE = {
    "service": "storage",
    "meter": "storage.requests",
    "model": "package",
    "package_size": "1000",
    "package_price": "0.4",
    "included": "5000",
    "scope": "resource",
    "region": "af-east",
}
CARD = (HOURLY, GRADUATED, PER_UNIT, PACKAGE)


def definitions(*prices: dict[str, Any]) -> list[catalog.PriceDefinition]:
    return [msgspec.convert(price, catalog.PriceDefinition) for price in prices]


async def published(
    tx: Tx,
    *prices: dict[str, Any],
    valid_from: datetime = JANUARY,
    account_id: UUID | None = None,
    currency: str = "USD",
) -> tuple[catalog.RateCard, list[Price]]:
    return await catalog.publish_rate_card(
        tx,
        name="Prices",
        currency=currency,
        valid_from=valid_from,
        prices=definitions(*prices),
        account_id=account_id,
    )


async def opened(tx: Tx) -> UUID:
    account = await accounts.open_account(tx, email="jane@example.com", name="Jane Doe", currency="USD")
    return account.account_id


async def bill(tx: Tx, account_id: UUID, *, item: str = "c2", kind: catalog.ItemKind = "plan", period: date) -> None:
    """An account's document of a month, as a close issues and tells it."""
    invoice_id = uuid4()
    await tx.connection.execute(
        """
        INSERT INTO invoices (account_id, invoice_id, kind, number, period, currency, subtotal_minor, tax_minor, total_minor,
            paid_at_issue_minor, issued_at, due_at, parties)
        VALUES ($1, $2, 'invoice', 'INV', $3::date, 'USD', 1, 0, 1, 0, $3::date, $3::date, '{}')
        """,
        account_id,
        invoice_id,
        period,
    )
    await tx.connection.execute(
        """
        INSERT INTO invoice_lines (account_id, invoice_id, ordinal, kind, charge_kind, price_id, item_kind, item,
            charge_resource_id, units, service_period, service, type, project_id, project_name, region, description, quantity,
            unit, amount_minor, unrounded)
        VALUES ($1, $2, 1, 'usage', 'usage', $2, $3, $4, '', 1, $5, '', '', $1, '', '', '', 1, '', 1, 0.01)
        """,
        account_id,
        invoice_id,
        kind,
        item,
        period,
    )
    await catalog.mark_billed(tx.connection, kinds=[kind], items=[item], currencies=["USD"], period=period)


async def count_usage(tx: Tx, *, meter: str) -> None:
    await tx.connection.execute(
        """
        INSERT INTO day_rows (account_id, day, resource_id, meter, total, highest, latest, latest_at, first_at,
                              is_gauge, events)
        VALUES ($1, '2024-01-05', 'res-1', $2, 1, 1, 1, '2024-01-05T01:00Z', '2024-01-05T01:00Z', false, 1)
        """,
        uuid4(),
        meter,
    )


class TestPublishRateCard:
    async def test_keeps_card_and_prices_as_they_were_given(self, tx: Tx):
        card, prices = await published(tx, *CARD)
        assert await rate_cards.get_rate_card(tx.connection, rate_card_id=card.rate_card_id) == card
        assert (card.prices_total, card.valid_from, card.valid_to) == (4, JANUARY, None)
        stored = await rate_cards.list_prices(tx.connection, rate_card_id=card.rate_card_id)
        assert stored == prices
        assert [price.definition for price in stored] == definitions(*CARD)

    async def test_stores_what_the_prices_compile_to(self, tx: Tx):
        _, prices = await published(tx, *CARD)
        for price in prices:
            compiled = catalog.compile_price(price.definition)
            row = await tx.connection.fetchrow("SELECT * FROM prices_v WHERE price_id = $1", price.price_id)
            assert row is not None
            bands = await tx.connection.fetch(
                "SELECT low, high, base, unit FROM bands_v WHERE price_id = $1 ORDER BY ordinal", price.price_id
            )
            assert tuple(catalog.Band(*band) for band in bands) == compiled.bands
            for member in ("step", "minimum_quantity", "per", "cap", "maximum", "minimum", "scope"):
                assert row[member] == getattr(compiled, member)
            assert tuple(row["billable"]) == compiled.billable
            assert (row["kind"], row["item"]) == (price.definition.kind, price.definition.item)
            assert (row["service"], row["region"]) == (price.definition.service, price.definition.region)

    async def test_makes_the_meters_that_it_names_first(self, tx: Tx):
        await published(tx, *CARD)
        made = await catalog.list_meters(tx.connection, names=["sms.sent", "storage.gb", "unknown"])
        assert made == [
            catalog.Meter(meter="sms.sent", service="messaging", name="sms.sent", unit="units", aggregation="sum"),
            catalog.Meter(meter="storage.gb", service="storage", name="storage.gb", unit="units", aggregation="sum"),
        ]

    async def test_leaves_meters_that_exist(self, tx: Tx):
        meter = catalog.Meter(
            meter="storage.gb", service="storage", name="Storage", unit="GB-month", aggregation="time_weighted"
        )
        await catalog.define_meter(tx, meter=meter)
        await published(tx, GRADUATED)
        assert await catalog.get_meter(tx.connection, meter="storage.gb") == meter

    async def test_refuses_a_meter_of_another_service(self, tx: Tx):
        await published(tx, GRADUATED)
        with pytest.raises(MeterServiceDiffers) as refused:
            await published(tx, {**GRADUATED, "service": "compute"}, valid_from=FEBRUARY)
        assert refused.value.details == {"meters": [{"meter": "storage.gb", "service": "storage"}]}

    @pytest.mark.parametrize("currency", ["EUR", "XXX"])
    async def test_refuses_a_currency_that_is_not_enabled(self, tx: Tx, currency: str):
        with pytest.raises(accounts.CurrencyNotSupported):
            await published(tx, HOURLY, currency=currency)

    @pytest.mark.parametrize("inside", [datetime(2024, 1, 2, tzinfo=UTC), datetime(2024, 1, 1, 0, 0, 0, 1, tzinfo=UTC)])
    async def test_refuses_a_start_inside_a_month(self, tx: Tx, inside: datetime):
        with pytest.raises(PriceChangeInsidePeriod):
            await published(tx, HOURLY, valid_from=inside)

    async def test_refuses_an_account_that_does_not_exist(self, tx: Tx):
        with pytest.raises(NotFound):
            await published(tx, HOURLY, account_id=uuid4())

    async def test_refuses_the_same_key_and_start_twice(self, tx: Tx):
        await published(tx, *CARD)
        with pytest.raises(PriceExists) as refused:
            await published(tx, {**HOURLY, "plan": "c4"}, PACKAGE, HOURLY)
        assert refused.value.code == "price_exists"
        assert refused.value.details == {
            "prices": [{"meter": "storage.requests", "region": "af-east"}, {"plan": "c2", "region": None}]
        }

    async def test_takes_the_same_key_with_another_start_region_currency_or_account(self, tx: Tx):
        account_id, other_id = await opened(tx), await opened(tx)
        await published(tx, HOURLY)
        await published(tx, HOURLY, valid_from=FEBRUARY)
        await published(tx, {**HOURLY, "region": "eu"})
        await published(tx, HOURLY, currency="KES")
        await published(tx, HOURLY, account_id=account_id)
        await published(tx, HOURLY, account_id=other_id)
        with pytest.raises(PriceExists):
            await published(tx, HOURLY, account_id=other_id)

    async def test_refuses_to_change_a_finalised_month(self, tx: Tx):
        await published(tx, HOURLY, GRADUATED)
        await bill(tx, await opened(tx), period=date(2024, 2, 1))
        for valid_from in (JANUARY, FEBRUARY):
            with pytest.raises(PeriodFinalized) as refused:
                await published(tx, {**HOURLY, "region": "eu"}, GRADUATED, valid_from=valid_from)
            assert refused.value.details == {"finalized": [{"plan": "c2", "last_period": "2024-02"}]}
        await published(tx, HOURLY, valid_from=MARCH)

    async def test_asks_a_contract_for_its_own_accounts_finalised_months_alone(self, tx: Tx):
        billed_id, other_id = await opened(tx), await opened(tx)
        await bill(tx, billed_id, period=date(2024, 1, 1))
        await published(tx, HOURLY, account_id=other_id)
        with pytest.raises(PeriodFinalized):
            await published(tx, HOURLY, account_id=billed_id)
        await published(tx, HOURLY, currency="KES")


class TestTwoCardsAtOnce:
    async def test_store_each_price_once_without_locking_up(self, database_dsn: str):
        pool = await open_pool(database_dsn, size=8)
        database = Database(pool)
        prices = [{**PER_UNIT, "meter": f"m{number}"} for number in range(50)]

        async def publish(*given: dict[str, Any]) -> bool:
            try:
                async with database.transaction() as tx:
                    await published(tx, *given)
            except PriceExists:
                return False
            return True

        stored = await asyncio.gather(*(publish(*prices[:: 1 - 2 * (turn % 2)]) for turn in range(8)))
        assert sorted(stored) == [False] * 7 + [True]
        async with database.reading() as reading:
            assert await reading.connection.fetchval("SELECT count(*) FROM prices_v") == 50
        await pool.close()


class TestSetRateCardEnd:
    async def test_ends_the_card_and_its_prices(self, tx: Tx):
        card, prices = await published(tx, HOURLY, GRADUATED)
        changed, kept = await catalog.set_rate_card_end(tx, rate_card_id=card.rate_card_id, valid_to=MARCH)
        assert (changed, kept) == (replace(card, valid_to=MARCH), prices)
        assert await rate_cards.get_rate_card(tx.connection, rate_card_id=card.rate_card_id) == changed
        ends = await tx.connection.fetch(
            "SELECT DISTINCT valid_to FROM prices_v WHERE rate_card_id = $1", card.rate_card_id
        )
        assert [end["valid_to"] for end in ends] == [MARCH]

    async def test_opens_the_end_again(self, tx: Tx):
        card, _ = await published(tx, HOURLY)
        await catalog.set_rate_card_end(tx, rate_card_id=card.rate_card_id, valid_to=MARCH)
        changed, _ = await catalog.set_rate_card_end(tx, rate_card_id=card.rate_card_id, valid_to=None)
        assert changed == card

    async def test_refuses_an_end_inside_a_month(self, tx: Tx):
        card, _ = await published(tx, HOURLY)
        with pytest.raises(PriceChangeInsidePeriod):
            await catalog.set_rate_card_end(
                tx, rate_card_id=card.rate_card_id, valid_to=datetime(2024, 3, 2, tzinfo=UTC)
            )

    @pytest.mark.parametrize("valid_to", [JANUARY, datetime(2023, 12, 1, tzinfo=UTC)])
    async def test_refuses_an_end_that_is_not_after_the_start(self, tx: Tx, valid_to: datetime):
        card, _ = await published(tx, HOURLY)
        with pytest.raises(InvalidParameter):
            await catalog.set_rate_card_end(tx, rate_card_id=card.rate_card_id, valid_to=valid_to)

    async def test_refuses_a_change_of_a_finalised_month(self, tx: Tx):
        card, _ = await published(tx, HOURLY)
        await bill(tx, await opened(tx), period=date(2024, 2, 1))
        with pytest.raises(PeriodFinalized):
            await catalog.set_rate_card_end(tx, rate_card_id=card.rate_card_id, valid_to=FEBRUARY)
        await catalog.set_rate_card_end(tx, rate_card_id=card.rate_card_id, valid_to=MARCH)

    async def test_refuses_to_put_off_an_end_that_a_finalised_month_was_billed_by(self, tx: Tx):
        card, _ = await published(tx, HOURLY)
        await catalog.set_rate_card_end(tx, rate_card_id=card.rate_card_id, valid_to=FEBRUARY)
        await bill(tx, await opened(tx), period=date(2024, 2, 1))
        with pytest.raises(PeriodFinalized):
            await catalog.set_rate_card_end(tx, rate_card_id=card.rate_card_id, valid_to=None)
        await catalog.set_rate_card_end(tx, rate_card_id=card.rate_card_id, valid_to=FEBRUARY)

    async def test_knows_no_other_cards(self, tx: Tx):
        with pytest.raises(NotFound):
            await catalog.set_rate_card_end(tx, rate_card_id=uuid4(), valid_to=None)


class TestListRateCards:
    async def test_pages_them_newest_first(self, tx: Tx):
        account_id = await opened(tx)
        cards = [
            (await published(tx, HOURLY))[0],
            (await published(tx, HOURLY, GRADUATED, account_id=account_id))[0],
            (await published(tx, HOURLY, currency="KES"))[0],
        ]
        newest_first = sorted(cards, key=lambda card: card.rate_card_id, reverse=True)
        page = PageRequest(page=1, per_page=2)
        first = await rate_cards.list_rate_cards(tx.connection, page=page)
        assert (first.items, first.total) == (newest_first[:2], 3)
        third = await rate_cards.list_rate_cards(tx.connection, page=PageRequest(page=3, per_page=2))
        assert third == Page([], 3, None)
        of_account = await rate_cards.list_rate_cards(tx.connection, page=page, account_id=account_id)
        assert of_account == Page([cards[1]], 1, None)
        assert await rate_cards.list_rate_cards(tx.connection, page=page, currency="KES") == Page([cards[2]], 1, None)


class TestDefineMeter:
    METER = catalog.Meter(meter="m", service="storage", name="M", unit="GB", aggregation="max", shows_as="storage_gb")

    async def test_makes_and_changes_it(self, tx: Tx):
        assert await catalog.define_meter(tx, meter=self.METER) == self.METER
        changed = replace(self.METER, service="compute", name="N", unit="h", aggregation="last", shows_as=None)
        assert await catalog.define_meter(tx, meter=changed) == changed
        assert await catalog.get_meter(tx.connection, meter="m") == changed

    async def test_keeps_the_service_once_priced(self, tx: Tx):
        await published(tx, {**PER_UNIT, "meter": "m", "service": "storage"})
        assert await catalog.define_meter(tx, meter=self.METER) == self.METER
        with pytest.raises(MeterInUse) as refused:
            await catalog.define_meter(tx, meter=replace(self.METER, service="compute"))
        assert refused.value.details == {"meter": "m", "service": "storage"}

    async def test_keeps_the_aggregation_once_it_has_counted(self, tx: Tx):
        await catalog.define_meter(tx, meter=self.METER)
        await published(tx, {**PER_UNIT, "meter": "m", "service": "storage"})
        await count_usage(tx, meter="m")
        renamed = replace(self.METER, name="Storage", unit="GiB", shows_as=None)
        assert await catalog.define_meter(tx, meter=renamed) == renamed
        with pytest.raises(MeterInUse) as refused:
            await catalog.define_meter(tx, meter=replace(self.METER, aggregation="sum"))
        assert refused.value.code == "meter_in_use"

    async def test_pages_meters_by_name(self, tx: Tx):
        made = [await catalog.define_meter(tx, meter=replace(self.METER, meter=name)) for name in ("c", "a", "b")]
        page = PageRequest(page=1, per_page=2)
        assert await meters.list_meters_page(tx.connection, page=page) == Page([made[1], made[2]], 3, ("b",))
        assert await catalog.list_meters(tx.connection) == [made[1], made[2], made[0]]

    async def test_knows_no_other_meters(self, tx: Tx):
        with pytest.raises(NotFound):
            await catalog.get_meter(tx.connection, meter="unknown")


class TestListServices:
    async def test_names_each_service_once(self, tx: Tx):
        await published(tx, *CARD)
        await catalog.define_meter(tx, meter=TestDefineMeter.METER)
        assert await catalog.list_services(tx.connection) == ["compute", "messaging", "storage"]


class TestMarkBilled:
    async def test_keeps_the_last_month(self, tx: Tx):
        for month in (2, 1, 3, 3):
            await catalog.mark_billed(
                tx.connection,
                kinds=["plan", "meter", "plan"],
                items=["c2", "sms.sent", "c2"],
                currencies=["USD"] * 3,
                period=date(2024, month, 1),
            )
        billed = await billed_items.list_billed_items(
            tx.connection,
            items=[("plan", "c2"), ("meter", "c2"), ("meter", "sms.sent")],
            currency="USD",
            since=date(2024, 3, 1),
        )
        assert [(item.kind, item.item, item.last_period) for item in billed] == [
            ("meter", "sms.sent", date(2024, 3, 1)),
            ("plan", "c2", date(2024, 3, 1)),
        ]


class TestTaxRates:
    RATES = (
        catalog.TaxRate(country="KE", name="Levy", percent=Decimal("1.5"), valid_from=date(2023, 1, 1)),
        catalog.TaxRate(country="KE", name="Levy", percent=Decimal(0), valid_from=date(2024, 1, 15)),
        catalog.TaxRate(country="KE", name="VAT", percent=Decimal(14), valid_from=date(2020, 4, 1)),
        catalog.TaxRate(country="KE", name="VAT", percent=Decimal(16), valid_from=date(2021, 1, 1)),
        catalog.TaxRate(country="ZA", name="VAT", percent=Decimal(15), valid_from=date(2018, 4, 1)),
    )

    async def test_sets_and_changes_them(self, tx: Tx):
        assert await catalog.set_tax_rates(tx, rates=self.RATES) == list(self.RATES)
        changed = replace(self.RATES[4], percent=Decimal("15.5"))
        assert await catalog.set_tax_rates(tx, rates=[changed]) == [*self.RATES[:4], changed]
        assert await tax_rates.list_all_tax_rates(tx.connection) == [*self.RATES[:4], changed]

    @pytest.mark.parametrize(
        ("at", "expected"),
        [
            (date(2018, 3, 31), []),
            (date(2020, 12, 31), [("KE", "VAT", 14), ("ZA", "VAT", 15)]),
            (date(2024, 1, 14), [("KE", "Levy", Decimal("1.5")), ("KE", "VAT", 16), ("ZA", "VAT", 15)]),
            (date(2024, 1, 15), [("KE", "VAT", 16), ("ZA", "VAT", 15)]),
        ],
    )
    async def test_lists_those_due_at_a_date(self, tx: Tx, at: date, expected: list[tuple[str, str, Decimal]]):
        await catalog.set_tax_rates(tx, rates=self.RATES)
        due = await catalog.list_tax_rates(tx.connection, at=at)
        assert [(rate.country, rate.name, rate.percent) for rate in due] == expected
        kenyan = await catalog.list_tax_rates(tx.connection, at=at, countries=["KE"])
        assert kenyan == [rate for rate in due if rate.country == "KE"]
