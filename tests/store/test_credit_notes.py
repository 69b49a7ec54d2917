"""Credit notes that an operator writes: what is open goes first, what was paid goes back into the wallet."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from uuid import UUID

import pytest
import pytest_asyncio

from billing.invoices.model import CreditNote, CreditNoteExceedsInvoice, InvoiceNotPayable, InvoiceNotVoidable
from billing.invoices.operations import collecting, crediting, ending
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, find_broken, open_cloud, price


@pytest_asyncio.fixture
async def cloud(database_dsn: str) -> AsyncIterator[Cloud]:
    async with open_cloud(database_dsn) as opened:
        await opened.publish(price(meter="m", unit_price="1"))
        await opened.set_taxes(VAT="16")
        yield opened


async def invoiced(cloud: Cloud, *, cash_minor: int = 0) -> tuple[UUID, UUID]:
    """(account, invoice) of 50.00 and 8.00 of tax."""
    account_id = await cloud.open_account(country="KE", cash_minor=cash_minor)
    await cloud.report(account_id)
    await cloud.use(account_id, 50)
    await cloud.close()
    ((invoice_id,),) = await cloud.fetch("SELECT invoice_id FROM invoices WHERE account_id = $1", account_id)
    return account_id, invoice_id


async def credit(cloud: Cloud, invoice_id: UUID, gross_minor: int | None = None) -> CreditNote:
    async with cloud.database.transaction() as tx:
        return await crediting.credit_amount(tx, invoice_id=invoice_id, gross_minor=gross_minor, reason="a mistake")


async def is_sound(cloud: Cloud) -> bool:
    async with cloud.database.snapshot() as tx:
        return not await find_broken(tx)


class TestCreditAmount:
    async def test_lowers_what_is_open_with_its_share_of_tax(self, cloud: Cloud) -> None:
        account_id, invoice_id = await invoiced(cloud)
        note = await credit(cloud, invoice_id, 1160)
        assert (note.number, note.net_minor, note.tax_minor, note.returned_minor) == ("CN-2024-001", 1000, 160, 0)
        balances = await cloud.balances(account_id)
        assert balances["USD", "receivable"] == -4640
        assert (balances["USD", "revenue"], balances["USD", "tax:VAT"]) == (4000, 640)
        assert await is_sound(cloud)

    async def test_returns_what_was_paid(self, cloud: Cloud) -> None:
        account_id, invoice_id = await invoiced(cloud, cash_minor=5000)
        note = await credit(cloud, invoice_id)
        assert (note.total_minor, note.returned_minor) == (5800, 5000)
        ((status,),) = await cloud.fetch("SELECT status FROM invoice_states")
        assert status == "paid"
        balances = await cloud.balances(account_id)
        assert (balances["USD", "wallet:cash"], balances["USD", "receivable"], balances["USD", "revenue"]) == (
            5000,
            0,
            0,
        )
        assert await is_sound(cloud)

    @pytest.mark.parametrize("granted_minor", [2000, 780], ids=["more", "as much"])
    async def test_lets_what_a_spent_credit_gets_back_expire_again(self, cloud: Cloud, granted_minor: int) -> None:
        """Its rest of January expired already, of another amount or of the same: the next close takes the rest of now."""
        account_id = await cloud.open_account(country="KE")
        credit_id = await cloud.grant(account_id, granted_minor, granted_at=at("01-01"), expires_at=at("01-20"))
        await cloud.report(account_id)
        await cloud.use(account_id, 5, occurred_at=at("01-05"))
        await cloud.close(JANUARY)
        promo = ("USD", f"promo:{credit_id}")
        assert (await cloud.balances(account_id))[promo] == 0
        ((invoice_id,),) = await cloud.fetch("SELECT invoice_id FROM invoices WHERE account_id = $1", account_id)
        await credit(cloud, invoice_id, 200)
        assert (await cloud.balances(account_id))[promo] == 200
        cloud.advance_to(FEBRUARY.end)
        await cloud.use(account_id, 1, occurred_at=at("02-05"))
        await cloud.close(FEBRUARY)
        assert (await cloud.balances(account_id))[promo] == 0
        assert await is_sound(cloud)

    async def test_lets_the_rest_be_collected_later(self, cloud: Cloud) -> None:
        account_id, invoice_id = await invoiced(cloud)
        await credit(cloud, invoice_id, 5000)
        await cloud.pay_in(account_id, 1000)
        async with cloud.database.transaction() as tx:
            assert await collecting.collect(tx, account_id=account_id, currency="USD") == 800
        ((status,),) = await cloud.fetch("SELECT status FROM invoice_states")
        assert status == "paid"
        assert await is_sound(cloud)

    async def test_refuses_more_than_is_left(self, cloud: Cloud) -> None:
        _, invoice_id = await invoiced(cloud)
        await credit(cloud, invoice_id, 5000)
        with pytest.raises(CreditNoteExceedsInvoice):
            await credit(cloud, invoice_id, 801)

    async def test_never_exceeds_the_invoice_under_50_callers(self, cloud: Cloud) -> None:
        _, invoice_id = await invoiced(cloud)
        done = await asyncio.gather(*(credit(cloud, invoice_id, 290) for _ in range(50)), return_exceptions=True)
        notes = [one for one in done if isinstance(one, CreditNote)]
        assert len(notes) == 20
        assert {type(one) for one in done} == {CreditNote, CreditNoteExceedsInvoice}
        assert sorted(note.number for note in notes) == [f"CN-2024-{number:03d}" for number in range(1, 21)]
        assert await is_sound(cloud)


class TestCreditLines:
    async def test_takes_net_amounts_and_their_tax(self, cloud: Cloud) -> None:
        _, invoice_id = await invoiced(cloud)
        async with cloud.database.transaction() as tx:
            note = await crediting.credit_lines(tx, invoice_id=invoice_id, parts=[(1, 1000)], reason="a mistake")
        assert (note.net_minor, note.tax_minor) == (1000, 160)
        async with cloud.database.transaction() as tx:
            with pytest.raises(CreditNoteExceedsInvoice):
                await crediting.credit_lines(tx, invoice_id=invoice_id, parts=[(1, 5001)], reason="more than the line")


class TestOtherEnds:
    async def test_keep_credited_invoices_from_being_voided(self, cloud: Cloud) -> None:
        _, invoice_id = await invoiced(cloud)
        await credit(cloud, invoice_id, 100)
        async with cloud.database.transaction() as tx:
            with pytest.raises(InvoiceNotVoidable):
                await ending.void(tx, invoice_id=invoice_id)

    async def test_write_off_leaves_nothing_to_credit(self, cloud: Cloud) -> None:
        account_id, invoice_id = await invoiced(cloud)
        await credit(cloud, invoice_id, 800)
        async with cloud.database.transaction() as tx:
            await ending.write_off(tx, invoice_id=invoice_id)
        assert (await cloud.balances(account_id))["USD", "write_offs"] == -5000
        with pytest.raises(InvoiceNotPayable):
            await credit(cloud, invoice_id, 100)
        assert await is_sound(cloud)
