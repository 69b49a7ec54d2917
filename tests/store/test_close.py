"""What a close makes of a month: lines, taxes, what pays, the books, the preview and the PDF (quality V3, V4, V5, V7)."""

from __future__ import annotations

import asyncio
import hashlib
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
import pytest_asyncio

from billing import invoices
from billing.core.errors import NotFound
from billing.core.period import Period
from billing.invoices import pdf
from billing.invoices.operations import documents, reading
from billing.invoices.store import worklist
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, open_cloud, price

MICROSECOND = timedelta(microseconds=1)
ONE_EACH = price(meter="m", unit_price="1")


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn) as opened:
        yield opened


async def used(cloud: Cloud, *quantities: object, **members: Any) -> UUID:
    """An account that has used the meter `m` this often on January 15."""
    account_id = await cloud.open_account(**members)
    await cloud.report(account_id)
    for quantity in quantities:
        assert (await cloud.use(account_id, quantity)).outcome == "accepted"
    return account_id


async def get_only(cloud: Cloud, account_id: UUID) -> reading.WholeInvoice:
    """The account's only invoice."""
    ((invoice_id,),) = await cloud.fetch("SELECT invoice_id FROM invoices WHERE account_id = $1", account_id)
    async with cloud.database.snapshot() as tx:
        return await reading.get_whole(tx, account_id=account_id, invoice_id=invoice_id)


def payments(whole: reading.WholeInvoice) -> list[tuple[UUID | None, int]]:
    return [(payment.source_id, payment.amount_minor) for payment in whole.payments]


class TestOneAccount:
    async def test_is_billed_to_the_cent(self, cloud: Cloud) -> None:
        tiers = [
            {"up_to": 100, "unit_price": "0.05"},
            {"up_to": 500, "unit_price": "0.04", "flat": "1"},
            {"up_to": None, "unit_price": "0.03"},
        ]
        await cloud.publish(
            price(service="compute", model="hourly", plan="vps-1", hourly_price="0.0131", monthly_price="8"),
            price(service="network", model="graduated", meter="gb", tiers=tiers),
            price(meter="sms", unit_price="0.0035"),
        )
        await cloud.set_taxes(VAT="12.5", Levy="2.5")
        account_id = await cloud.open_account(country="KE", cash_minor=2_000)
        credit_id = await cloud.grant(account_id, 1_000, granted_at=datetime(2023, 12, 1, tzinfo=UTC))
        await cloud.report(account_id, plan="vps-1", effective_at=at("01-10"))
        await cloud.report(account_id, status="deleted", effective_at=at("01-20 06:30"))
        for meter, quantity in (("gb", 400), ("sms", 1_000), ("gb", 250), ("sms", 1)):
            await cloud.use(account_id, quantity, meter=meter)

        progress = await cloud.close()

        whole = await get_only(cloud, account_id)
        lines = [(line.item, line.quantity, line.unit_price, line.amount_minor, line.unrounded) for line in whole.lines]
        assert lines == [
            ("vps-1", 247, Decimal("0.0131"), 324, Decimal("3.2357")),
            ("sms", 1_001, Decimal("0.0035"), 350, Decimal("3.5035")),
            ("gb", 650, None, 2_650, Decimal("26.5")),
        ]
        taxes = [(tax.name, tax.percent, tax.base_minor, tax.amount_minor) for tax in whole.taxes]
        assert taxes == [("Levy", Decimal("2.5"), 3_324, 83), ("VAT", Decimal("12.5"), 3_324, 416)]  # 4.155
        invoice = whole.invoice
        assert (invoice.number, invoice.subtotal_minor, invoice.tax_minor, invoice.total_minor) == (
            "INV-2024-001",
            3_324,
            499,
            3_823,
        )
        assert (invoice.issued_at, invoice.due_at) == (cloud.clock.now, at("02-15"))
        assert (invoice.status, invoice.paid_minor, invoice.due_minor) == ("pending", 3_000, 823)
        assert payments(whole) == [(credit_id, 1_000), (None, 2_000)]
        balances = await cloud.balances(account_id)
        earned = {"receivable": -823, "revenue": 3_324, "tax:Levy": 83, "tax:VAT": 416}
        left = {"gateway:external": -2_000, "wallet:cash": 0, f"promo:{credit_id}": 0, "promotions": -1_000}
        assert {ledger_account: minor for (_, ledger_account), minor in balances.items()} == {**earned, **left}
        assert (progress.invoices, progress.amount_minor_by_currency) == (1, {"USD": 3_823})
        assert await cloud.broken() == []

    async def test_with_nothing_to_bill_gets_no_invoice(self, cloud: Cloud) -> None:
        await used(cloud)
        progress = await cloud.close()
        assert (progress.accounts_total, progress.accounts_done, progress.invoices) == (1, 1, 0)
        assert await cloud.fetch("SELECT FROM invoices UNION ALL SELECT FROM invoice_numbers") == []
        ((invoice_id, finalized_at),) = await cloud.fetch("SELECT invoice_id, finalized_at FROM closes")
        assert (invoice_id, finalized_at) == (None, cloud.clock.now)
        assert (await cloud.close()).accounts_total == 0

    async def test_whose_total_is_0_is_paid_at_once(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="0"))
        account_id = await used(cloud, 5, cash_minor=100)
        await cloud.close()
        whole = await get_only(cloud, account_id)
        assert [(line.quantity, line.amount_minor) for line in whole.lines] == [(5, 0)]
        assert (whole.invoice.status, whole.invoice.paid_at, whole.payments) == ("paid", cloud.clock.now, [])
        assert (await cloud.balances(account_id))["USD", "wallet:cash"] == 100
        assert await cloud.broken() == []

    @pytest.mark.parametrize(("members", "tax_minor"), [({"country": "KE"}, 16), ({"country": "US"}, 0), ({}, 0)])
    async def test_is_taxed_by_its_country(self, cloud: Cloud, members: dict[str, Any], tax_minor: int) -> None:
        await cloud.publish(ONE_EACH)
        await cloud.set_taxes(VAT="16")
        account_id = await used(cloud, 1, **members)
        await cloud.close()
        assert (await get_only(cloud, account_id)).invoice.tax_minor == tax_minor

    async def test_that_is_exempt_is_not_taxed(self, cloud: Cloud) -> None:
        await cloud.publish(ONE_EACH)
        await cloud.set_taxes(VAT="16")
        account_id = await used(cloud, 1, country="KE")
        async with cloud.database.transaction() as tx:
            await tx.connection.execute("UPDATE accounts SET tax_exempt = true")
        await cloud.close()
        assert (await get_only(cloud, account_id)).invoice.tax_minor == 0

    async def test_keeps_what_it_was_issued_with(self, cloud: Cloud) -> None:
        await cloud.publish(ONE_EACH)
        account_id = await used(cloud, 1, country="KE")
        issuer = invoices.Issuer("Lineserve Ltd", "Nairobi", "P1", None, None, None)
        async with cloud.database.transaction() as tx:
            await invoices.upsert_issuer(tx.connection, name="default", issuer=issuer, now=tx.now)
        await cloud.close()
        before = (await get_only(cloud, account_id)).invoice
        async with cloud.database.transaction() as tx:
            await tx.connection.execute("UPDATE accounts SET name = 'B', country = 'US', timezone = 'Asia/Kathmandu'")
            await tx.connection.execute("UPDATE issuers SET name = 'Other'")
        assert (await get_only(cloud, account_id)).invoice == before
        assert before.parties["issuer"]["name"] == "Lineserve Ltd"
        assert (before.parties["account"]["name"], before.parties["time_zone"]) == ("A", "UTC")


class TestCurrencies:
    async def test_are_rounded_by_their_own_decimals(self, cloud: Cloud) -> None:
        await cloud.publish(price(meter="m", unit_price="1.5"), currency="JPY")
        await cloud.publish(price(meter="m", unit_price="0.0005"), currency="KWD")
        await cloud.set_taxes(VAT="10")
        yen = await used(cloud, 3, currency="JPY", country="KE", cash_minor=4)
        dinar = await used(cloud, 1, currency="KWD", country="KE")
        progress = await cloud.close()
        assert progress.amount_minor_by_currency == {"JPY": 6, "KWD": 1}
        paid = await get_only(cloud, yen)
        assert (paid.invoice.subtotal_minor, paid.invoice.tax_minor, paid.invoice.paid_minor) == (5, 1, 4)
        small = (await get_only(cloud, dinar)).invoice
        assert (small.subtotal_minor, small.tax_minor, small.total_minor) == (1, 0, 1)
        assert await cloud.broken() == []

    async def test_do_not_pay_for_each_other(self, cloud: Cloud) -> None:
        await cloud.publish(ONE_EACH)
        account_id = await used(cloud, 5)
        await cloud.pay_in(account_id, 10_000, "KES")
        await cloud.grant(account_id, 10_000, granted_at=at("01-01"), currency="KES")
        await cloud.close()
        assert (await get_only(cloud, account_id)).payments == []


class TestCredit:
    async def test_pays_by_priority_then_expiry_then_age_then_cash_pays(self, cloud: Cloud) -> None:
        await cloud.publish(ONE_EACH)
        account_id = await used(cloud, 5, cash_minor=1_000)
        given = datetime(2023, 12, 1, tzinfo=UTC)
        last = await cloud.grant(account_id, 100, granted_at=given, priority=1, expires_at=at("02-01"))
        newer = await cloud.grant(account_id, 100, granted_at=given + MICROSECOND)
        older = await cloud.grant(account_id, 100, granted_at=given)
        late = await cloud.grant(account_id, 100, granted_at=given, expires_at=at("03-01"))
        soon = await cloud.grant(account_id, 50, granted_at=given, expires_at=at("02-01"))
        await cloud.close()
        wanted = [(soon, 50), (late, 100), (older, 100), (newer, 100), (last, 100), (None, 50)]
        assert payments(await get_only(cloud, account_id)) == wanted
        assert await cloud.broken() == []

    async def test_pays_no_more_than_the_invoice(self, cloud: Cloud) -> None:
        await cloud.publish(ONE_EACH)
        account_id = await used(cloud, 5, cash_minor=1_000)
        credit_id = await cloud.grant(account_id, 700, granted_at=at("01-01"))
        await cloud.close()
        whole = await get_only(cloud, account_id)
        assert (payments(whole), whole.invoice.status) == ([(credit_id, 500)], "paid")
        assert (await cloud.balances(account_id))["USD", f"promo:{credit_id}"] == 200

    @pytest.mark.parametrize(
        ("granted_at", "expires_at", "paid_minor"),
        [
            (at("01-01"), None, 307),
            (at("01-15"), None, 204),
            (at("01-20 23:59"), None, 204),  # the whole day of the grant counts
            (at("01-21"), None, 0),
            (at("02-01"), None, 0),
            (at("02-01 09:00"), None, 0),
            (at("01-01"), at("01-31 00:00") + MICROSECOND, 307),
            (at("01-01"), at("01-20"), 102),
            (at("01-01"), at("01-20") + MICROSECOND, 307),  # and the one in which it ends
            (at("01-01"), at("01-10"), 0),
            (datetime(2023, 12, 1, tzinfo=UTC), at("01-01"), 0),
            (at("01-11"), at("01-19"), 0),
        ],
    )
    async def test_pays_the_share_of_its_days_rounded_down(
        self, cloud: Cloud, granted_at: datetime, expires_at: datetime | None, paid_minor: int
    ) -> None:
        await cloud.publish(ONE_EACH)
        await cloud.set_taxes(VAT="2.3")
        account_id = await used(cloud, country="KE")  # net 3.00, gross 3.07
        await cloud.use(account_id, 1, occurred_at=at("01-10 12:00"))
        await cloud.use(account_id, 2, occurred_at=at("01-20 12:00"))
        await cloud.grant(account_id, 10_000, granted_at=granted_at, expires_at=expires_at)
        await cloud.close()
        invoice = (await get_only(cloud, account_id)).invoice
        assert (invoice.total_minor, invoice.paid_minor) == (307, paid_minor)
        assert await cloud.broken() == []


class TestParking:
    async def test_waits_for_a_price(self, cloud: Cloud) -> None:
        december, start = JANUARY.previous(), datetime(2023, 12, 1, tzinfo=UTC)
        vps = price(service="compute", model="hourly", plan="vps", hourly_price="0.01")
        await cloud.publish(vps, valid_from=start)
        parked_id = await cloud.open_account()
        await cloud.report(parked_id, plan="vps", effective_at=start)
        async with cloud.database.transaction() as tx:
            await tx.connection.execute("UPDATE prices SET valid_to = $1", JANUARY.start)
        await cloud.publish(ONE_EACH)
        other_id = await used(cloud, 1)
        await cloud.close(december)
        run_id = await cloud.request()
        run = await invoices.advance(cloud.database, run_id=run_id)
        assert (run.status, await cloud.parked(run_id)) == ("completed", {parked_id: "price_missing"})
        assert (await get_only(cloud, other_id)).invoice.period == JANUARY
        await cloud.publish(vps, valid_from=JANUARY.start)
        async with cloud.database.transaction() as tx:
            assert await worklist.requeue_parked(tx.connection, run_id=run_id) == 1
        assert (await invoices.advance(cloud.database, run_id=run_id)).status == "completed"
        progress = await cloud.progress(run_id)
        assert (progress.accounts_done, progress.accounts_parked, progress.invoices) == (2, 0, 2)
        totals = await cloud.fetch("SELECT total_minor FROM invoices WHERE account_id = $1 ORDER BY period", parked_id)
        assert [row["total_minor"] for row in totals] == [744, 744]

    async def test_waits_for_an_earlier_month(self, cloud: Cloud) -> None:
        await cloud.publish(ONE_EACH)
        account_id = await used(cloud, 1)
        await cloud.report(account_id, effective_at=datetime(2023, 12, 31, 23, tzinfo=UTC))
        run_id = await cloud.request()
        await invoices.advance(cloud.database, run_id=run_id)
        assert await cloud.parked(run_id) == {account_id: "earlier_period_open"}
        assert (await cloud.close(JANUARY.previous())).invoices == 0
        async with cloud.database.transaction() as tx:
            await worklist.requeue_parked(tx.connection, run_id=run_id)
        await invoices.advance(cloud.database, run_id=run_id)
        assert (await cloud.progress(run_id)).invoices == 1


class TestRequestRun:
    async def test_refuses_a_running_month(self, cloud: Cloud) -> None:
        with pytest.raises(invoices.PeriodOpen):
            await cloud.request(FEBRUARY)
        cloud.advance_to(FEBRUARY.end)
        assert await cloud.request(FEBRUARY)

    async def test_answers_with_the_run_that_is_under_way(self, cloud: Cloud) -> None:
        first = await cloud.request()
        assert await cloud.request() == first
        others = {await cloud.request(dry_run=True), await cloud.request(only_accounts=[UUID(int=1)])}
        assert first not in others
        await invoices.advance(cloud.database, run_id=first)
        assert await cloud.request() != first

    async def test_takes_the_accounts_asked_for(self, cloud: Cloud) -> None:
        await cloud.publish(ONE_EACH)
        account_ids = [await used(cloud, 1) for _ in range(3)]
        assert (await cloud.close(only_accounts=account_ids[1:2])).invoices == 1
        await get_only(cloud, account_ids[1])
        assert (await cloud.close()).invoices == 2
        assert await cloud.broken() == []


class TestLateUsage:
    async def test_between_draft_and_issue_is_corrected_by_the_next_close(self, cloud: Cloud) -> None:
        class Killed(Exception):
            pass

        steps: list[None] = []

        def die_after_the_draft() -> None:
            steps.append(None)
            if len(steps) == 2:
                raise Killed

        await cloud.publish(ONE_EACH)
        account_id = await used(cloud, 5)
        run_id = await cloud.request()
        with pytest.raises(Killed):
            await invoices.advance(cloud.database, run_id=run_id, on_step=die_after_the_draft)
        await cloud.use(account_id, 2)
        await invoices.advance(cloud.database, run_id=run_id)
        assert (await get_only(cloud, account_id)).invoice.total_minor == 500
        cloud.advance_to(FEBRUARY.end)
        await cloud.close(FEBRUARY)
        rows = await cloud.fetch("SELECT period, total_minor FROM invoices ORDER BY period")
        assert [row["total_minor"] for row in rows] == [500, 200]
        assert await cloud.broken() == []


class TestPreview:
    async def test_is_the_invoice(self, cloud: Cloud) -> None:
        await cloud.publish(
            ONE_EACH,
            price(service="compute", model="hourly", plan="vps", hourly_price="0.01", minimum="9"),
            price(meter="sms", model="package", package_size="100", package_price="0.99"),
        )
        await cloud.set_taxes(VAT="16", Levy="1.5")
        account_id = await used(cloud, "3.337", country="KE")
        await cloud.report(account_id, "s", plan="vps", units=Decimal(3), region="us", effective_at=at("01-20"))
        await cloud.use(account_id, 101, meter="sms")
        await cloud.use(account_id, "0.5", resource_id="s", occurred_at=at("01-25"))
        async with cloud.database.snapshot() as tx:
            bill = await reading.preview(tx, account_id=account_id, period=JANUARY)
        await cloud.close()
        whole = await get_only(cloud, account_id)
        assert {line.kind for line in whole.lines} == {"usage", "minimum"}
        assert (bill.lines, bill.taxes, bill.currency) == (whole.lines, whole.taxes, whole.invoice.currency)
        assert (bill.subtotal_minor, bill.total_minor) == (whole.invoice.subtotal_minor, whole.invoice.total_minor)
        assert bill.period == Period(2024, 1)


class TestPdf:
    async def test_is_the_same_whenever_it_is_asked_for(self, cloud: Cloud) -> None:
        await cloud.publish(ONE_EACH)
        account_id = await used(cloud, 5, cash_minor=200)
        await cloud.close()
        invoice = (await get_only(cloud, account_id)).invoice
        key = {"account_id": account_id, "invoice_id": invoice.invoice_id}
        made = await documents.get_invoice_pdf(cloud.database, **key)
        assert (made.number, made.content[:5]) == ("INV-2024-001", b"%PDF-")
        assert hashlib.sha256(made.content).digest() == made.sha256
        assert (await get_only(cloud, account_id)).invoice.pdf_sha256 == made.sha256
        await cloud.pay_in(account_id, 1_000)
        async with cloud.database.transaction() as tx:
            assert await invoices.collect(tx, account_id=account_id, currency="USD") == 300
        cloud.wait(days=400)
        assert await documents.get_invoice_pdf(cloud.database, **key) == made

    async def test_is_made_once_and_kept(self, cloud: Cloud) -> None:
        await cloud.publish(ONE_EACH)
        account_id = await used(cloud, 5)
        await cloud.close()
        invoice_id = (await get_only(cloud, account_id)).invoice.invoice_id
        key = {"account_id": account_id, "invoice_id": invoice_id}
        made = await asyncio.gather(*(documents.get_invoice_pdf(cloud.database, **key) for _ in range(4)))
        assert len({one.content for one in made}) == 1
        ((kept, content),) = await cloud.fetch("SELECT document_id, content FROM document_pdfs")
        assert (kept, content) == (invoice_id, made[0].content)

    async def test_made_anew_is_what_was_kept(self, cloud: Cloud, request: pytest.FixtureRequest) -> None:
        """V5: 1,000 of them nightly. Each is printed from the version that is frozen on it, whatever came since."""
        invoices_total = 1_000 if request.config.getoption("--nightly") else 20
        await cloud.publish(ONE_EACH)
        for quantity in range(1, invoices_total + 1):
            await used(cloud, quantity)
        await cloud.close()
        keys = await cloud.fetch("SELECT account_id, invoice_id FROM invoices ORDER BY account_id")
        before = [await documents.get_invoice_pdf(cloud.database, **dict(key)) for key in keys]
        async with cloud.database.snapshot() as tx:
            found = [await reading.get_whole(tx, **dict(key), lines_max=None) for key in keys]
        assert {whole.invoice.parties["template_version"] for whole in found} == {pdf.TEMPLATE_VERSION}
        assert [pdf.render(documents.document_of(whole)) for whole in found] == [one.content for one in before]
        sys.stdout.write(f"{len(before)} invoices printed again, 0 differ\n")

    async def test_is_the_accounts_own(self, cloud: Cloud) -> None:
        await cloud.publish(ONE_EACH)
        account_id = await used(cloud, 5)
        other_id = await used(cloud)
        await cloud.close()
        invoice = (await get_only(cloud, account_id)).invoice
        with pytest.raises(NotFound):
            await documents.get_invoice_pdf(cloud.database, account_id=other_id, invoice_id=invoice.invoice_id)


class TestChecks:
    @pytest.mark.parametrize(
        "spoilt",
        [
            "UPDATE invoice_lines SET amount_minor = amount_minor + 1",
            "UPDATE invoice_lines SET unrounded = unrounded + 0.01",
            "DELETE FROM invoice_lines",
            "UPDATE invoice_taxes SET amount_minor = amount_minor + 1",
            "DELETE FROM invoice_taxes",
            "UPDATE invoice_payments SET amount_minor = amount_minor - 1",
            "DELETE FROM invoice_payments",
            "UPDATE invoice_states SET paid_minor = paid_minor - 1",
            "UPDATE invoice_states SET status = 'void'",
            "UPDATE invoices SET number = 'INV-2024-002'",
            "UPDATE number_series SET last_number = 2 WHERE series = 'INV-2024'",
            "UPDATE balances SET balance_minor = balance_minor - 1 WHERE ledger_account = 'receivable'",
            "UPDATE usage_events SET quantity = quantity + 1",
            "UPDATE day_rows SET total = total + 1",
            "UPDATE quarantined_events SET resolved_at = NULL",
        ],
    )
    async def test_see_what_was_changed_behind_their_back(self, cloud: Cloud, spoilt: str) -> None:
        await cloud.publish(ONE_EACH)
        await cloud.set_taxes(VAT="16")
        account_id = await cloud.open_account(country="KE", cash_minor=200)
        await cloud.use(account_id, 5)
        await cloud.report(account_id)
        await cloud.close()
        assert await cloud.broken() == []
        async with cloud.database.transaction() as tx:
            await tx.connection.execute("SET LOCAL ROLE NONE")
            await tx.connection.execute(spoilt)
        assert await cloud.broken() != []
