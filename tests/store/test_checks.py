"""Each invariant of `billing check` can fail: a copy is damaged in one place, and the check counts that place."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

import asyncpg
import pytest
import pytest_asyncio

from billing import catalog, ledger, payments
from billing.analytics.operations import keeping
from billing.app import check
from billing.invoices.operations import collecting
from billing.kit import audit, outbox
from billing.kit.checks import OVERLAP, PARTS
from billing.kit.db import Tx
from billing.ledger import rules as transfers
from tests.support import databases, postgres
from tests.support.cloud import FEBRUARY, JANUARY, Cloud, at, open_cloud, price
from tests.tidy.sources import ROOT

if TYPE_CHECKING:
    from billing.kit.db import Connection, Database

NOW = at("03-01 12:00")
# What is done to a copy, and by invariant the number of places that are broken by it.
DAMAGES: list[tuple[str, dict[str, int]]] = [
    (
        "UPDATE balances SET balance_minor = balance_minor + 1 WHERE ledger_account = 'revenue'",
        {"balances sum to zero": 1, "balances are the sum of their transfers": 1},
    ),
    (
        """
        UPDATE balances SET balance_minor = balance_minor + CASE ledger_account WHEN 'revenue' THEN 1 ELSE -1 END
        WHERE ledger_account IN ('revenue', 'tax:VAT')
        """,
        {"balances are the sum of their transfers": 2},
    ),
    (
        "UPDATE transfers SET amount_minor = 100000 WHERE template = 'hold.placed'",
        {
            "balances are the sum of their transfers": 2,
            "wallets and credits are not negative": 1,
            "hash chain holds": 1,
        },
    ),
    (
        "UPDATE transfers SET destination = 'owed' WHERE template = 'hold.placed'",
        {"balances are the sum of their transfers": 2, "nobody is owed by a chargeback": 1, "hash chain holds": 1},
    ),
    (
        "DELETE FROM transfers WHERE number = (SELECT last_number FROM heads)",
        {
            "balances are the sum of their transfers": 2,
            "transfers are numbered without holes": 1,
            "heads carry the end of their chain": 1,
        },
    ),
    (
        "DELETE FROM transfers",
        {
            "balances are the sum of their transfers": 7,
            "transfers are numbered without holes": 1,
            "heads carry the end of their chain": 1,
        },
    ),
    ("UPDATE transfers SET recorded_at = now() WHERE number = 2", {"hash chain holds": 1}),
    ("UPDATE heads SET chain_hash = '\\x00'", {"heads carry the end of their chain": 1}),
    ("UPDATE day_rows SET highest = highest + 1 WHERE day = '2024-01-10'", {"day rows are their events": 1}),
    ("DELETE FROM usage_events WHERE event_id = '2'", {"day rows are their events": 1}),
    (
        """
        INSERT INTO quarantined_events (
            account_id, source, event_id, resource_id, meter, quantity, occurred_at, reason, recorded_at
        )
        SELECT account_id, source, event_id, resource_id, meter, quantity, occurred_at, 'x', recorded_at FROM usage_events
        WHERE event_id = '2'
        """,
        {"an event is billed or in quarantine, not both": 1},
    ),
    (
        "UPDATE quarantined_events SET resolved_at = now() WHERE resolved_at IS NULL",
        {"what left the quarantine is billed or voided": 1},
    ),
    (
        "UPDATE resources SET created_at = '2024-01-10 00:00:01Z' WHERE resource_id = 'r'",
        {"counted usage lies within its resource's life": 1},
    ),
    (
        """
        INSERT INTO shortened_resources SELECT account_id, resource_id, '2024-01-01Z', '2024-01-01Z' FROM resources
        WHERE resource_id = 's'
        """,
        {"shortened lives are settled within a day": 1},
    ),
    (
        "UPDATE period_versions SET version = version + 1, dirty_at = '2024-01-01Z' WHERE period = '2024-01-01'",
        {"months written to after their close are corrected within 45 days": 1},
    ),
    (
        "UPDATE promotional_credits SET amount_minor = 1 WHERE amount_minor = 400",
        {"credits hold at most what was granted": 1},
    ),
    ("DELETE FROM promotional_credits", {"credits hold at most what was granted": 1}),
    (
        """
        INSERT INTO chargebacks SELECT account_id, payment_id, payment_id, currency, amount_minor + 1, 0, 'x', now() FROM payments
        """,
        {"refunds and chargebacks are at most what was captured": 1},
    ),
    (
        "UPDATE holds SET amount_minor = amount_minor + 1",
        {"held money is open holds and refunds on their way out": 1},
    ),
    (
        """
        INSERT INTO payments (
            account_id, payment_id, kind, gateway, currency, amount_minor, status, description, created_at, next_check_at
        )
        SELECT account_id, account_id, 'topup', 'sandbox', 'USD', 5, 'pending', 'x', now(), 'infinity' FROM accounts
        """,
        {"pending money is payments under way": 1},
    ),
    (
        """
        INSERT INTO payments (
            account_id, payment_id, kind, gateway, currency, amount_minor, status, description, created_at, next_check_at
        )
        SELECT account_id, account_id, 'topup', 'sandbox', 'USD', 5, 'pending', 'x', now(), '2024-01-01Z' FROM accounts
        """,
        {"pending money is payments under way": 1, "payments and refunds under way are asked about": 1},
    ),
    (
        """
        UPDATE invoice_taxes SET amount_minor = amount_minor + 1
        WHERE invoice_id = (SELECT invoice_id FROM invoices ORDER BY number LIMIT 1)
        """,
        {"invoices are their lines and taxes": 1},
    ),
    (
        "UPDATE invoice_lines SET unrounded = unrounded + 0.01 WHERE item = 'm' AND service_period = '2024-01-01'",
        {"lines are their charges, rounded once": 1},
    ),
    (
        "UPDATE invoice_payments SET amount_minor = amount_minor + 1 WHERE source = 'credit'",
        {"what an invoice was paid is its payments": 1},
    ),
    (
        "UPDATE invoice_states SET credited_minor = 1 WHERE invoice_id = (SELECT invoice_id FROM invoices ORDER BY number LIMIT 1)",
        {"receivables are the open invoices": 1},
    ),
    ("UPDATE number_series SET last_number = last_number + 1 WHERE series LIKE 'INV-%'", {"numbers have no holes": 1}),
    (
        "DELETE FROM invoice_numbers WHERE number = 1",
        {"numbers have no holes": 1, "every invoice has the number that it was allotted": 1},
    ),
    (
        """
        INSERT INTO credit_notes
        SELECT account_id, invoice_id, invoice_id, 'credit', 'CN-2024-001', currency, total_minor + 1, 0, total_minor + 1, 0, 0, 0,
            'x', issued_at, '{}'
        FROM invoices
        ORDER BY number LIMIT 1
        """,
        {
            "credit notes are their parts and taxes": 1,
            "every credit note has the number that it was allotted": 1,
            "invoices are credited at most what they came to": 1,
        },
    ),
    (
        "UPDATE invoices SET number = 'INV-2024-009' WHERE number = 'INV-2024-002'",
        {"every invoice has the number that it was allotted": 1},
    ),
    (
        "UPDATE invoice_numbers SET issued_at = '2020-01-01Z' WHERE number = 2",
        {"numbers are in order of issue": 1},
    ),
    (
        "UPDATE runs SET status = 'running', finished_at = NULL, started_at = '2024-01-01Z' WHERE period = '2024-01-01'",
        {"runs end within a day": 1},
    ),
    (
        "UPDATE bands SET unit = unit * 2 WHERE price_id = (SELECT price_id FROM prices WHERE item = 'm')",
        {"lines are what their months cost": 2},
    ),
    (
        "UPDATE state_points SET end_at = '2030-01-01Z' WHERE resource_id = 's' AND end_at IS NULL",
        {"states hold until the next, or the resource's end": 1},
    ),
    (
        "UPDATE state_points SET units = 7 WHERE resource_id = 's'",
        {"lines are what their months cost": 4},
    ),
    (
        """
        INSERT INTO outbox_events
        SELECT account_id, account_id, 'payment.succeeded', 'x', '{}', '2024-01-01Z' FROM accounts
        """,
        {
            "outbox events are acted on within a day": 1,
            "outbox events are relayed within a day, and none is refused again and again": 1,
        },
    ),
    (
        "UPDATE outbox_events SET relayed_at = NULL, relay_failures = 5 WHERE type = 'payment.succeeded'",
        {"outbox events are relayed within a day, and none is refused again and again": 1},
    ),
    (
        """
        WITH told AS (
            INSERT INTO notifications (account_id, notification_id, template, object_id, attempt, payload, created_at)
            SELECT account_id, account_id, 'x', 'x', 1, '{}', now() FROM accounts
            RETURNING account_id
        ), sent AS (
            INSERT INTO deliveries (account_id, delivery_id, notification_id, method, recipient_number, recipient, status, attempts,
                                    tries, next_at, created_at, finished_at)
            SELECT account_id, md5(method || account_id)::uuid, account_id, method, 0, 'x', status, 1, 1, next_at, now(), ended_at
            FROM told, (VALUES
                ('email', 'sent', NULL::timestamptz, timestamptz '2024-01-01Z'), ('sms', 'pending', '2024-01-01Z', NULL))
                AS given (method, status, next_at, ended_at)
            RETURNING account_id, delivery_id
        )
        INSERT INTO delivery_attempts SELECT account_id, delivery_id, 1, 'smtp', now(), now(), 'unknown' FROM sent
        """,
        {
            "deliveries are attempted within a day of when they are due": 1,
            "a delivery is sent if and only if its last attempt was": 1,
        },
    ),
    (
        """
        INSERT INTO webhook_messages
        SELECT account_id, account_id, account_id, 'x', 'x', 1, '{}', NULL, 'pending', 0, 0, '2024-01-01Z', NULL, now(), NULL
        FROM accounts
        """,
        {"webhook messages are sent within a day of when they are due": 1},
    ),
    (
        "UPDATE kept_places SET amount_minor = amount_minor + 1 WHERE period = '2024-01-01' AND service = 'compute'",
        {"kept sums are what their months cost": 1},
    ),
    (
        "UPDATE kept_days SET shares[3] = shares[3] + 1 WHERE period = '2024-01-01' AND service = 'compute'",
        {"kept sums are what their months cost": 1},
    ),
    (
        """
        INSERT INTO jobs (job, every_s, registered_at, started_at, succeeded_at)
        VALUES ('good', 10, now(), now(), now()), ('bad', 10, now() - interval '6 minutes', NULL, NULL)
        """,
        {"jobs succeed while workers run": 1},
    ),
    ("UPDATE audit_records SET ip = '10.0.0.1' WHERE number = 1", {"audit chain holds": 1}),
    ("UPDATE audit_head SET last_number = 9", {"audit entries are numbered without holes": 1}),
]


async def furnish(cloud: Cloud) -> None:
    """An account with two closed months, an invoice that is paid and one that is open, and something of everything else."""
    await cloud.publish(
        price(meter="m", unit_price="1"), price(service="compute", model="hourly", plan="vps", hourly_price="0.01")
    )
    await cloud.set_taxes(VAT="16")
    account_id = await cloud.open_account(country="KE")
    async with cloud.database.transaction() as tx:
        gauge = catalog.Meter(meter="disk", service="messaging", name="d", unit="GB", aggregation="time_weighted")
        await catalog.define_meter(tx, meter=gauge)
    await cloud.publish(price(meter="disk", unit_price="1"))
    await cloud.grant(account_id, 500, granted_at=at("01-01"))
    await cloud.use(account_id, 7, occurred_at=at("01-10"))  # before its resource is known
    await cloud.report(account_id)
    await cloud.report(account_id, "s", plan="vps")
    await cloud.use(account_id, 1, occurred_at=at("01-20"))
    await cloud.use(account_id, 3, meter="disk", occurred_at=at("01-15"))
    await cloud.use(account_id, 3, resource_id="unknown")
    await cloud.close(JANUARY)
    cloud.advance_to(at("03-01 10:00"))
    await cloud.use(account_id, 4, occurred_at=at("02-10"))
    async with cloud.database.transaction() as tx:
        await payments.record(
            tx, account_id=account_id, currency="USD", amount_minor=9_000, reference="bank", received_at=tx.now
        )
    await cloud.close(FEBRUARY)
    async with cloud.database.transaction() as tx:
        await audit.write(tx, audit.Action(actor=audit.Actor.program("test"), action="test.done"), status=200)
        hold_id, until = tx.new_id(), tx.now + timedelta(days=90)
        await tx.connection.execute(
            "INSERT INTO holds VALUES ($1, $2, 'h', 'USD', 100, NULL, 'open', $3, $4)",
            account_id,
            hold_id,
            tx.now,
            until,
        )
        held = transfers.hold_placed(
            account_id=account_id, hold_id=hold_id, currency="USD", amount_minor=100, at=tx.now
        )
        await ledger.post(tx.connection, held, recorded_at=tx.now)
    await cloud.grant(account_id, 400, granted_at=at("03-01"))
    await collecting.collect_arrived(cloud.database)
    await outbox.relay(cloud.database, readers=())
    await keeping.keep_closed(cloud.database, at_least=0, settled_after=timedelta(0))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def furnished_dsn(database_server: Path) -> AsyncIterator[str]:
    """A database with something of everything."""
    name = await databases.clone(database_server)
    async with open_cloud(postgres.dsn(database_server, name)) as cloud:
        await furnish(cloud)
    yield postgres.dsn(database_server, name)
    await databases.drop(database_server, name)


@pytest_asyncio.fixture
async def copy(furnished_dsn: str) -> AsyncIterator[Connection]:
    """Its owner, in a transaction that is rolled back."""
    connection = await asyncpg.connect(furnished_dsn, server_settings={"timezone": "UTC", "jit": "off"})
    transaction = connection.transaction()
    await transaction.start()
    try:
        await connection.execute("SET LOCAL session_replication_role = replica")  # foreign keys look away
        yield connection
    finally:
        await transaction.rollback()
        await connection.close()


async def broken(connection: Connection, *, is_incremental: bool = False) -> dict[str, int]:
    groups = await check.run_groups(Tx(connection, NOW), is_incremental=is_incremental)
    return {found.name: found.violations for group in groups for found in group.found if found.violations}


class TestChecks:
    async def test_hold_on_what_is_whole(self, copy: Connection) -> None:
        assert await broken(copy) == {}

    @pytest.mark.parametrize(("damage", "wanted"), DAMAGES, ids=[", ".join(wanted) for _, wanted in DAMAGES])
    async def test_count_what_is_damaged(self, copy: Connection, damage: str, wanted: dict[str, int]) -> None:
        await copy.execute(damage)
        assert await broken(copy) == wanted

    async def test_can_each_fail(self, copy: Connection) -> None:
        names = [found.name for group in await check.run_groups(Tx(copy, NOW)) for found in group.found]
        assert set(names) == {name for _, wanted in DAMAGES for name in wanted}
        assert len(names) == len(set(names))

    async def test_are_all_told(self, copy: Connection) -> None:
        told = re.findall(
            r"^\| ([^|]+) \| (\w+) \| [^|]+ \|$", (ROOT / "docs/checks.md").read_text("utf-8"), re.MULTILINE
        )
        groups = await check.run_groups(Tx(copy, NOW))
        assert [row for row in told if row[0] != "invariant"] == [
            (found.name, group.name) for group in groups for found in group.found
        ]


class TestIncremental:
    """What is new is read at once, what is old in its part's turn."""

    @pytest_asyncio.fixture
    async def cloud(self, database_dsn: str) -> AsyncIterator[Cloud]:
        async with open_cloud(database_dsn) as opened:
            await furnish(opened)
            opened.advance_to(at("03-05"))
            yield opened

    async def damage(self, database_dsn: str, statement: str) -> None:
        connection = await asyncpg.connect(database_dsn)
        await connection.execute(statement)
        await connection.close()

    async def found(self, database: Database) -> dict[str, int]:
        checks = await check.run_and_mark(database, is_incremental=True)
        return {one.name: one.violations for one in checks if one.violations}

    async def test_reads_everything_the_first_time(self, cloud: Cloud, database_dsn: str) -> None:
        await self.damage(database_dsn, "UPDATE day_rows SET highest = highest + 1 WHERE day = '2024-01-10'")
        assert await self.found(cloud.database) == {"day rows are their events": 1}
        assert await self.found(cloud.database) == {"day rows are their events": 1}  # its mark was not moved

    async def test_has_the_same_checks_as_a_full_run(self, cloud: Cloud) -> None:
        full = await check.run_and_mark(cloud.database, is_incremental=False)
        cloud.wait(days=1)
        ((account_id,),) = await cloud.fetch("SELECT account_id FROM accounts")
        await cloud.use(account_id, 4, occurred_at=at("02-11"))
        await cloud.pay_in(account_id, 100)
        assert await check.run_and_mark(cloud.database, is_incremental=True) == full
        assert await check.run_all(cloud.database) == full

    @pytest.mark.parametrize(
        ("damage", "name"),
        [
            ("UPDATE day_rows SET highest = highest + 1 WHERE day = '2024-01-10'", "day rows are their events"),
            ("UPDATE transfers SET recorded_at = '2023-01-01Z' WHERE number = 2", "hash chain holds"),
            ("UPDATE invoice_taxes SET percent = 1, amount_minor = 1", "invoices are their lines and taxes"),
        ],
    )
    async def test_finds_old_damage_in_its_parts_turn(
        self, cloud: Cloud, database_dsn: str, damage: str, name: str
    ) -> None:
        assert await self.found(cloud.database) == {}
        cloud.wait(days=1)
        assert await self.found(cloud.database) == {}
        await self.damage(database_dsn, damage)
        turns = [set(await self.found(cloud.database)) for _ in range(PARTS)]
        assert {name} in turns
        assert {one.name for one in await check.run_all(cloud.database) if one.violations} == {name}

    async def test_finds_new_damage_at_once(self, cloud: Cloud, database_dsn: str) -> None:
        assert await self.found(cloud.database) == {}
        cloud.wait(days=1)
        assert await self.found(cloud.database) == {}
        ((account_id,),) = await cloud.fetch("SELECT account_id FROM accounts")
        await cloud.use(account_id, 4, occurred_at=at("03-02"))
        await cloud.pay_in(account_id, 100)
        await self.damage(database_dsn, "UPDATE day_rows SET total = total + 1 WHERE day = '2024-03-02'")
        await self.damage(database_dsn, "UPDATE balances SET balance_minor = 0 WHERE ledger_account = 'wallet:cash'")
        assert set(await self.found(cloud.database)) == {
            "day rows are their events",
            "balances sum to zero",
            "balances are the sum of their transfers",
        }

    async def test_marks_lie_back_by_the_overlap(self, cloud: Cloud) -> None:
        await check.run_and_mark(cloud.database, is_incremental=True)
        rows = await cloud.fetch("SELECT DISTINCT since, part FROM check_marks")
        assert [tuple(row) for row in rows] == [(cloud.clock.now - OVERLAP, 1)]
