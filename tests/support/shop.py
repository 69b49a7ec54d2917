"""What is sold in January 2024 in USD, and an account's use of it: put in by operations, as the operator API would."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from itertools import count

from billing import accounts, catalog, invoices, metering
from billing.catalog import Meter, PriceDefinition, TaxRate
from billing.core.period import Period
from tests.support.house import House, Resident

JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
LAST_SECOND = datetime(2024, 1, 31, 23, 59, 59, tzinfo=UTC)
FEBRUARY = datetime(2024, 2, 1, 10, tzinfo=UTC)
_SOURCES = count(1)

METERS = [
    Meter(meter="disk", service="storage", name="Object storage", unit="GB", aggregation="max", shows_as="storage_gb"),
    Meter(meter="traffic", service="storage", name="Bandwidth", unit="GB", aggregation="sum", shows_as="bandwidth_gb"),
    Meter(meter="sms", service="messaging", name="SMS", unit="messages", aggregation="sum", shows_as="messages_sent"),
    Meter(meter="mms", service="messaging", name="MMS", unit="messages", aggregation="sum", shows_as="messages_sent"),
    Meter(meter="queries", service="database", name="Queries", unit="queries", aggregation="sum"),
]
PRICES = [
    PriceDefinition(
        service="compute", plan="vps-2", model="hourly", hourly_price=Decimal("0.10"), monthly_price=Decimal(50)
    ),
    PriceDefinition(service="compute", plan="vps-4", model="hourly", hourly_price=Decimal("0.20"), increment_s=1),
    PriceDefinition(service="compute", plan="backup", model="flat", amount=Decimal(31)),
    PriceDefinition(service="storage", meter="disk", model="per_unit", unit_price=Decimal("0.10")),
    PriceDefinition(service="storage", meter="traffic", model="per_unit", unit_price=Decimal("0.10")),
    PriceDefinition(service="messaging", meter="sms", model="per_unit", unit_price=Decimal("0.050")),
    PriceDefinition(service="messaging", meter="mms", model="per_unit", unit_price=Decimal("0.13")),
    PriceDefinition(service="database", meter="queries", model="per_unit", unit_price=Decimal("0.0000001")),
]
VAT = TaxRate(country="KE", name="VAT", percent=Decimal("16.0"), valid_from=date(2024, 1, 1))


@dataclass(frozen=True)
class Shop:
    """A house with prices."""

    house: House

    async def stock(self) -> None:
        """Put the prices in, once per database; the clock then stands at the last second of January."""
        self.house.clock.now = LAST_SECOND
        async with self.house.database.transaction() as tx:
            if await catalog.list_services(tx.connection):
                return
            for meter in METERS:
                await catalog.define_meter(tx, meter=meter)
            await catalog.publish_rate_card(tx, name="Prices", currency="USD", valid_from=JANUARY, prices=PRICES)
            await catalog.set_tax_rates(tx, rates=[VAT])

    async def run(
        self,
        resident: Resident,
        resource_id: str,
        *,
        service: str = "compute",
        type: str = "vps",
        name: str = "web-server",
        plan: str | None = "vps-2",
        start: datetime = JANUARY,
        end: datetime | None = None,
    ) -> None:
        """A resource from an instant on, until another."""
        for status, at in (("running", start), ("deleted", end)):
            if at is None:
                continue
            async with self.house.database.transaction() as tx:
                await metering.record_state(
                    tx,
                    metering.StateReport(
                        account_id=resident.account_id,
                        resource_id=resource_id,
                        project_id=resident.default_project_id,
                        type=type,
                        service=service,
                        name=name,
                        region="nairobi",
                        status="running" if status == "running" else "deleted",
                        effective_at=at,
                        plan=plan,
                        units=Decimal(1),
                    ),
                )

    async def use(self, resident: Resident, resource_id: str, meter: str, quantity: object) -> None:
        """One usage event in the middle of January."""
        event = metering.UsageEvent(
            account_id=resident.account_id,
            source="shop",
            event_id=f"event-{next(_SOURCES)}",
            resource_id=resource_id,
            meter=meter,
            quantity=Decimal(str(quantity)),
            occurred_at=JANUARY + timedelta(days=14),
        )
        async with self.house.database.transaction() as tx:
            assert [one.outcome for one in await metering.ingest(tx, [event])] == ["accepted"]

    async def live_in_kenya(self, resident: Resident) -> None:
        """Let the account be taxed."""
        async with self.house.database.transaction() as tx:
            await accounts.change(tx, account_id=resident.account_id, changes={"country": "KE"})

    async def fill(self, resident: Resident) -> None:
        """The usage of the API's documentation: 125.75 in January."""
        await self.run(resident, "vps_1")
        await self.run(resident, "vps_2", name="batch", start=LAST_SECOND - timedelta(hours=299, minutes=59))
        await self.run(resident, "bucket_1", service="storage", type="object_storage", name="my-app-storage", plan=None)
        await self.run(resident, "bucket_2", service="storage", type="object_storage", name="archive", plan=None)
        await self.run(resident, "sender", service="messaging", type="sms", name="Sender", plan=None)
        await self.use(resident, "bucket_1", "disk", 100)
        await self.use(resident, "bucket_1", "traffic", 50)
        await self.use(resident, "bucket_2", "disk", "107.5")
        await self.use(resident, "sender", "sms", 150)
        await self.use(resident, "sender", "sms", 250)

    async def close(self, *residents: Resident) -> None:
        """Close January for some accounts, at the clock's instant from now on: the first of February."""
        self.house.clock.now = FEBRUARY
        async with self.house.database.transaction() as tx:
            run = await invoices.request_run(
                tx, period=Period(2024, 1), only_accounts=[resident.account_id for resident in residents]
            )
        done = await invoices.advance(self.house.database, run_id=run.run_id)
        assert done.status == "completed"
        async with self.house.database.reading() as reading:
            assert await invoices.list_parked(reading.connection, run_id=run.run_id) == []
