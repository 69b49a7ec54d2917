"""GET /account/invoices/{id}/csv."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator
from decimal import Decimal

import pytest
import pytest_asyncio

from billing.core import ids
from tests.support.house import Resident
from tests.support.shop import LAST_SECOND, Shop
from tests.support.till import Till, open_till

NOTHING = "0" * 26
COLUMNS = [
    "invoice", "id", "kind", "description", "service", "type", "project_id", "project", "resource_id", "resource_name",
    "region", "plan", "meter", "period_start", "period_end", "quantity", "unit", "unit_price", "amount", "unrounded",
    "currency", "tax_rate", "tax_base",
]  # fmt: skip


@pytest_asyncio.fixture
async def till(database_dsn: str) -> AsyncIterator[Till]:
    async with open_till(database_dsn) as opened:
        await Shop(opened).stock()
        yield opened


@pytest_asyncio.fixture
async def jane(till: Till) -> Resident:
    resident = await till.open_account()
    await Shop(till).live_in_kenya(resident)
    return resident


async def bill(till: Till, resident: Resident) -> str:
    await Shop(till).close(resident)
    [invoice] = (await till.call("GET", "/v1/account/invoices", key=resident.key)).body["invoices"]
    return invoice["id"]


async def rows_of(till: Till, resident: Resident, invoice_id: str) -> list[dict[str, str]]:
    reply = await till.call("GET", f"/v1/account/invoices/{invoice_id}/csv", key=resident.key)
    assert reply.status == 200, reply.text
    return list(csv.DictReader(io.StringIO(reply.text, newline=""), strict=True))


class TestDownloadCsv:
    async def test_needs_a_key_that_may_read(self, till: Till, jane: Resident):
        path = f"/v1/account/invoices/inv_{NOTHING}/csv"
        assert (await till.call("GET", path)).status == 401
        assert (await till.call("GET", path, key=await till.issue(jane, "write"))).code == "forbidden"

    async def test_is_an_attachment_named_after_the_number(self, till: Till, jane: Resident):
        await Shop(till).fill(jane)
        reply = await till.call("GET", f"/v1/account/invoices/{await bill(till, jane)}/csv", key=jane.key)
        assert reply.headers["Content-Type"] == "text/csv; charset=utf-8; header=present"
        assert reply.headers["Content-Disposition"] == 'attachment; filename="INV-2024-001.csv"'
        first, *others = reply.text.split("\r\n")
        assert first == ",".join(COLUMNS)
        assert others[-1] == ""

    async def test_says_what_the_invoice_says(self, till: Till, jane: Resident):
        await Shop(till).fill(jane)
        invoice_id = await bill(till, jane)
        invoice = (await till.call("GET", f"/v1/account/invoices/{invoice_id}", key=jane.key)).body["invoice"]
        *lines, tax = await rows_of(till, jane, invoice_id)
        assert len(lines) == invoice["lines_total"]
        for row, line in zip(lines, invoice["lines"], strict=True):
            for name in (
                "id",
                "kind",
                "description",
                "service",
                "project_id",
                "project",
                "region",
                "period_start",
                "unit",
            ):
                assert row[name] == line[name]
            for name in ("quantity", "amount", "unrounded"):
                assert Decimal(row[name]) == line[name]
            assert "E" not in row["quantity"] + row["unrounded"]
            assert row["unit_price"] == ("" if line["unit_price"] is None else format(line["unit_price"], "f"))
            assert (row["invoice"], row["currency"], row["tax_rate"]) == ("INV-2024-001", "USD", "")
        assert (tax["kind"], tax["description"], tax["tax_rate"], tax["tax_base"]) == ("tax", "VAT", "16.0", "125.75")
        assert sum(Decimal(row["amount"]) for row in [*lines, tax]) == invoice["amount"]
        assert sum(Decimal(row["amount"]) for row in lines) == invoice["subtotal"]

    @pytest.mark.parametrize(
        "name",
        [
            "=1+1",
            "+1",
            "-1",
            "@SUM(A1)",
            "\t=1",
            " =1",
            "\u200b+1",
            "\ufeff@SUM(A1)",
            "\u2028-1",
            "\uff1d1+1",
            '=HYPERLINK("http://x","y")',
            'a "quoted", one',
            "line\r\nbreak",
            "é 你好 \u202e",
        ],
    )
    async def test_takes_no_text_for_a_formula(self, till: Till, jane: Resident, name: str):
        shop = Shop(till)
        await shop.run(jane, "vps_1", name=name)
        [row, _] = await rows_of(till, jane, await bill(till, jane))
        is_formula = any(sign in name for sign in "=+-@\uff1d") and not name.startswith("a")
        assert row["resource_name"] == (f"'{name}" if is_formula else name)

    async def test_holds_all_of_very_many_lines_in_their_order(self, till: Till, jane: Resident):
        till.clock.now = LAST_SECOND
        await Shop(till).run(jane, "vps_1")
        invoice_id = await bill(till, jane)
        async with till.database.transaction() as tx:
            await tx.connection.execute(
                """
                INSERT INTO invoice_lines
                SELECT account_id, invoice_id, n, kind, charge_kind, price_id, item_kind, item, charge_resource_id, units,
                    service_period, service, type, project_id, project_name, resource_name, region, 'Line ' || n, quantity,
                    unit, unit_price, 0, 0
                FROM invoice_lines CROSS JOIN generate_series(2, 2500) AS n
                WHERE account_id = $1
                """,
                jane.account_id,
            )
        rows = await rows_of(till, jane, invoice_id)
        assert [row["description"] for row in rows[1:2500]] == [f"Line {n}" for n in range(2, 2501)]
        assert [row["kind"] for row in rows[2500:]] == ["tax"]
        shown = (await till.call("GET", f"/v1/account/invoices/{invoice_id}", key=jane.key)).body["invoice"]
        assert (len(shown["lines"]), shown["lines_total"]) == (1_000, 2_500)
        page = await till.call("GET", f"/v1/account/invoices/{invoice_id}/lines?page=26&per_page=96", key=jane.key)
        assert page.body["lines"][0]["description"] == "Line 2401"

    async def test_does_not_know_drafts_and_other_accounts_invoices(self, till: Till, jane: Resident):
        await Shop(till).fill(jane)
        theirs = await bill(till, jane)
        other = await till.open_account()
        async with till.database.transaction() as tx:
            draft_id = tx.new_id()
            await tx.connection.execute(
                """
                INSERT INTO closes (account_id, period, invoice_id, currency, subtotal_minor, version, rated_at)
                VALUES ($1, '2024-01-01', $2, 'USD', 100, 0, $3)
                """,
                other.account_id,
                draft_id,
                tx.now,
            )
        paths = [theirs, ids.encode("inv", draft_id), f"inv_{NOTHING}", "x"]
        replies = [await till.call("GET", f"/v1/account/invoices/{path}/csv", key=other.key) for path in paths]
        assert {reply.status for reply in replies} == {404}
        assert len({reply.text for reply in replies}) == 1

    async def test_takes_no_parameters_and_answers_head(self, till: Till, jane: Resident):
        await Shop(till).fill(jane)
        path = f"/v1/account/invoices/{await bill(till, jane)}/csv"
        assert (await till.call("GET", f"{path}?sep=;", key=jane.key)).faults == ["sep"]
        head = await till.call("HEAD", path, key=jane.key)
        assert (head.status, head.text) == (200, "")
