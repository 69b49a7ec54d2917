"""Statements over many accounts keep what they found of each to that account (X2).

Each test has two accounts whose rows differ in nothing but in what they come to, and misses one join by account: without it, one
of them would have what is the other's. `tests/mutation/test_filters.py` takes these joins away in turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing import catalog, metering, projects, rating
from billing.core.period import Period
from billing.invoices.store import closing
from billing.kit.db import Tx
from tests.support.cloud import FEBRUARY, JANUARY, at, event, open_account, price, publish, report

MOST_MINOR = 10**12
GAUGE, COUNTER = "disk", "m"


async def two_accounts(tx: Tx) -> tuple[UUID, UUID]:
    """Each with the same resource in a project that has the same id."""
    for meter, aggregation in ((GAUGE, "time_weighted"), (COUNTER, "sum")):
        defined = catalog.Meter(meter=meter, service="messaging", name=meter, unit="u", aggregation=_kind(aggregation))
        await catalog.define_meter(tx, meter=defined)
    await publish(tx, price(meter=COUNTER, unit_price="1"), price(meter=GAUGE, unit_price="31"))
    first, second = (await open_account(tx)).account_id, (await open_account(tx)).account_id
    for account_id, name in ((first, "First"), (second, "Second")):
        alike = Tx(tx.connection, tx.now, lambda _: 7)
        project = await projects.create(alike, account_id=account_id, name=name)
        for resource_id in ("r", "s"):
            await report(tx, account_id, resource_id, project_id=project.project_id)
    return first, second


def _kind(name: str) -> catalog.Aggregation:
    assert name in {"time_weighted", "sum"}
    return "time_weighted" if name == "time_weighted" else "sum"


async def use(tx: Tx, account_id: UUID, quantity: object, **members: object) -> None:
    (result,) = await metering.ingest(tx, [event(account_id, tx.new_id(), quantity, **members)], is_backfill=True)
    assert result.outcome == "accepted"


async def draft(tx: Tx, invoice_ids: dict[UUID, UUID], period: Period = JANUARY) -> dict[UUID, bool]:
    """Which accounts' drafts of a month were made."""
    rated = await closing.draft_month(
        tx.connection,
        invoice_ids=invoice_ids,
        versions={},
        period=period,
        most_minor=MOST_MINOR,
        accepted=[],
        dry_run=False,
        now=tx.now,
    )
    assert len(rated) == len(invoice_ids)
    return {one.account_id: one.is_drafted for one in rated}


class TestDraft:
    async def test_is_made_of_whom_no_other_run_drafted(self, tx: Tx) -> None:
        first, second = await two_accounts(tx)
        await use(tx, first, 1)
        await use(tx, second, 2)
        assert await draft(tx, {first: tx.new_id()}) == {first: True}
        assert await draft(tx, {first: tx.new_id(), second: tx.new_id()}) == {first: False, second: True}

    async def test_names_the_accounts_own_project(self, tx: Tx) -> None:
        first, second = await two_accounts(tx)
        await use(tx, first, 1)
        await use(tx, second, 2)
        await draft(tx, {first: tx.new_id(), second: tx.new_id()})
        lines = await tx.connection.fetch(
            "SELECT account_id, project_name, amount_minor FROM invoice_lines ORDER BY amount_minor, project_name"
        )
        assert [tuple(line) for line in lines] == [(first, "First", 100), (second, "Second", 200)]


class TestCorrections:
    async def test_are_each_documents_own(self, tx: Tx) -> None:
        first, second = await two_accounts(tx)
        await use(tx, first, 1)
        await use(tx, second, 1)
        await draft(tx, {first: tx.new_id(), second: tx.new_id()})
        await use(tx, first, 3)
        await use(tx, second, 5)
        documents = {first: tx.new_id(), second: tx.new_id()}
        await draft(tx, documents, FEBRUARY)
        wanted = {first: 300, second: 500}
        for dry_run in (True, False):
            sums_minor = await closing.correct_month(
                tx.connection, invoice_ids=documents, period=JANUARY, dry_run=dry_run
            )
            assert sums_minor == wanted
        written = await tx.connection.fetch(
            """
            SELECT account_id, invoice_id, ordinal, amount_minor FROM invoice_lines
            WHERE kind = 'correction'
            ORDER BY amount_minor, invoice_id
            """
        )
        assert [tuple(row) for row in written] == [
            (account_id, documents[account_id], 1, amount_minor) for account_id, amount_minor in wanted.items()
        ]


class TestPrices:
    async def test_of_a_contract_are_its_accounts(self, tx: Tx) -> None:
        """In a quote, and in the rating of both at once."""
        first, second = await two_accounts(tx)
        await publish(tx, price(meter=COUNTER, unit_price="0.5"), account_id=first)
        request = rating.QuoteRequest(
            kind="meter", item=COUNTER, region="eu", quantity=Decimal(10), units=Decimal(1), terms=None
        )
        quoted = {
            account_id: [
                line.amount_minor
                for line in await rating.quote(
                    tx, currency="USD", account_id=account_id, at=at("01-15"), requests=[request]
                )
            ]
            for account_id in (first, second, None)
        }
        assert quoted == {first: [500], second: [1000], None: [1000]}
        for account_id in (first, second):
            await use(tx, account_id, 10)
        charges = await rating.list_charges(
            tx.connection, account_ids=[first, second], period=JANUARY, as_of=JANUARY.end
        )
        assert {(one.account_id, one.amount_minor) for one in charges} == {(first, 500), (second, 1000)}

    @pytest.mark.parametrize("terms", [{}, {"region": "eu"}])
    async def test_of_a_contract_are_not_another_contracts(self, tx: Tx, terms: dict[str, Any]) -> None:
        first, second = await two_accounts(tx)
        await publish(tx, price(meter=COUNTER, unit_price="0.5", **terms), account_id=first)
        await publish(tx, price(meter=GAUGE, unit_price="15.5"), account_id=second)
        for account_id in (first, second):
            await use(tx, account_id, 10)
        charges = await rating.list_charges(
            tx.connection, account_ids=[first, second], period=JANUARY, as_of=JANUARY.end
        )
        assert {(one.account_id, one.amount_minor) for one in charges} == {(first, 500), (second, 1000)}

    async def test_are_looked_up_once_for_all_without_a_contract(self, tx: Tx) -> None:
        first, second = await two_accounts(tx)
        third = (await open_account(tx)).account_id
        await publish(tx, price(meter=COUNTER, unit_price="0.5"), account_id=first)
        asked = rating.over_charges("SELECT account_id, contract FROM scope")
        arguments = rating.charge_arguments(account_ids=[first, second, third], period=JANUARY, as_of=JANUARY.end)
        contracts = dict(map(tuple, await tx.connection.fetch(asked, *arguments)))
        nobody = UUID(int=0)
        assert contracts == {first: first, second: nobody, third: nobody}


class TestShares:
    async def test_are_of_the_accounts_own_resources(self, tx: Tx) -> None:
        first, second = await two_accounts(tx)
        for number, account_id in enumerate((first, second)):
            for resource_id, quantity in (("r", 2 + number), ("s", 5 - number)):
                await use(tx, account_id, quantity, resource_id=resource_id)

        async def shares(account_ids: Sequence[UUID]) -> set[tuple[UUID, str, Decimal, int]]:
            found = await rating.list_shares(tx.connection, account_ids=account_ids, period=JANUARY, as_of=JANUARY.end)
            assert len(found) == 2 * len(account_ids)
            return {(one.account_id, one.resource_id, one.quantity, one.amount_minor) for one in found}

        assert await shares([first, second]) == await shares([first]) | await shares([second])


class TestDayRows:
    async def test_of_readings_that_are_void_go_beside_anothers_that_are_not(self, tx: Tx) -> None:
        first, second = await two_accounts(tx)
        for meter, counting in ((GAUGE, "refold_gauges"), (COUNTER, "recount_days")):
            for account_id in (first, second):
                await use(tx, account_id, 4, meter=meter, occurred_at=at("01-10"))
            await tx.connection.execute("UPDATE usage_events SET voided_at = $1 WHERE account_id = $2", tx.now, first)
            day = at("01-10").date()
            await tx.connection.execute(
                f"SELECT {counting}($1, $2, $3, $4)", [first, second], ["r", "r"], [meter, meter], [day, day]
            )
            kept = await tx.connection.fetch("SELECT account_id FROM day_rows WHERE meter = $1", meter)
            assert [row["account_id"] for row in kept] == [second]
