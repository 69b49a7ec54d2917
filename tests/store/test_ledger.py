"""The books on a real database: replay by content, numbers, hash chain, guards, rights (quality L1-L4, L6)."""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

import asyncpg
import pytest
import pytest_asyncio
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from billing import ledger
from billing.kit.db import APP_ROLE, Database, Tx, open_pool
from billing.ledger import rules
from billing.ledger.model import Transfer

if TYPE_CHECKING:
    from billing.kit.db import Connection

AT = datetime(2024, 1, 15, 12, 0, tzinfo=UTC)
ONE, TWO, THREE = UUID(int=1), UUID(int=2), UUID(int=3)
MICROSECOND = timedelta(microseconds=1)


def payment(number: int, amount_minor: int = 100, *, account_id: UUID = ONE, currency: str = "USD") -> Transfer:
    return rules.payment_recorded(
        account_id=account_id, payment_id=UUID(int=number), currency=currency, amount_minor=amount_minor, at=AT
    )


def hold(number: int, amount_minor: int, *, account_id: UUID = ONE) -> Transfer:
    return rules.hold_placed(
        account_id=account_id, hold_id=UUID(int=number), currency="USD", amount_minor=amount_minor, at=AT
    )


async def opened(connection: Connection, *account_ids: UUID) -> None:
    for account_id in account_ids or (ONE, TWO, THREE):
        await ledger.open_head(connection, account_id=account_id)


async def post(connection: Connection, *transfers: Transfer) -> int:
    return await ledger.post_all(connection, transfers, recorded_at=AT)


async def numbers(connection: Connection, account_id: UUID) -> list[int]:
    found = await ledger.list_transfers(connection, account_id=account_id, limit=100_000)
    return [transfer.number for transfer in reversed(found)]


async def broken(connection: Connection) -> set[str]:
    """The names of the invariants that do not hold."""
    return {check.name for check in await ledger.run_checks(connection) if check.violations}


class TestPost:
    async def test_moves_the_amount(self, tx: Tx) -> None:
        await opened(tx.connection)
        assert await ledger.post(tx.connection, payment(1, 250), recorded_at=AT)
        assert await ledger.list_balances(tx.connection, account_id=ONE) == {
            ("USD", "gateway:external"): -250,
            ("USD", "wallet:cash"): 250,
        }
        assert await ledger.list_balances(tx.connection, account_id=TWO) == {}

    async def test_keeps_currencies_apart(self, tx: Tx) -> None:
        await opened(tx.connection)
        await post(tx.connection, payment(1, 250), payment(2, 7, currency="JPY"))
        balances = await ledger.list_balances(tx.connection, account_id=ONE)
        assert (balances["USD", "wallet:cash"], balances["JPY", "wallet:cash"]) == (250, 7)
        assert await broken(tx.connection) == set()

    async def test_again_with_the_same_content_changes_nothing(self, tx: Tx) -> None:
        await opened(tx.connection)
        await post(tx.connection, payment(1), replace(payment(1), template="another", amount_minor=7))
        before = await ledger.list_transfers(tx.connection, account_id=ONE, limit=9)
        again = replace(payment(1), effective_at=AT + MICROSECOND)  # a retry comes later
        assert not await ledger.post(tx.connection, again, recorded_at=AT + MICROSECOND)
        assert await ledger.list_transfers(tx.connection, account_id=ONE, limit=9) == before
        assert await broken(tx.connection) == set()

    @pytest.mark.parametrize(
        "other",
        [
            {"amount_minor": 101},
            {"currency": "KES"},
            {"source": "gateway:other"},
            {"destination": "wallet:pending"},
        ],
    )
    async def test_again_with_other_content_is_a_conflict(self, tx: Tx, other: dict[str, Any]) -> None:
        await opened(tx.connection)
        await post(tx.connection, payment(1))
        with pytest.raises(ledger.TransferConflict):
            async with tx.connection.transaction():
                await post(tx.connection, payment(2), replace(payment(1), **other))
        assert await numbers(tx.connection, ONE) == [1]
        assert await broken(tx.connection) == set()

    @pytest.mark.parametrize("same", ["account_id", "template", "reference", "ordinal"])
    async def test_knows_a_transfer_by_all_of_its_key(self, tx: Tx, same: str) -> None:
        others: dict[str, Any] = {"account_id": TWO, "template": "other", "reference": "other", "ordinal": 1}
        await opened(tx.connection)
        assert await post(tx.connection, payment(1), replace(payment(1), **{same: others[same]})) == 2

    async def test_counts_the_new_ones_of_a_mixed_array(self, tx: Tx) -> None:
        await opened(tx.connection)
        await post(tx.connection, payment(1), payment(2, account_id=TWO))
        mixed = [payment(3), payment(1), payment(2, account_id=TWO), payment(4, account_id=TWO), payment(5)]
        assert await post(tx.connection, *mixed) == 3
        assert (await numbers(tx.connection, ONE), await numbers(tx.connection, TWO)) == ([1, 2, 3], [1, 2])
        assert await broken(tx.connection) == set()

    async def test_takes_a_transfer_sent_twice_in_one_array_once(self, tx: Tx) -> None:
        await opened(tx.connection)
        assert await post(tx.connection, payment(1), payment(2), payment(1)) == 2
        assert (await ledger.list_balances(tx.connection, account_id=ONE))["USD", "wallet:cash"] == 200
        with pytest.raises(ledger.TransferConflict):
            await post(tx.connection, payment(3), payment(3, 101))

    async def test_numbers_in_the_order_given(self, tx: Tx) -> None:
        await opened(tx.connection)
        sent = [payment(n, n, account_id=(ONE, TWO, THREE)[n % 3]) for n in random.Random(1).sample(range(1, 100), 60)]
        await post(tx.connection, *sent[:40])
        await post(tx.connection, *sent[40:])
        for account_id in (ONE, TWO, THREE):
            wanted = [transfer.amount_minor for transfer in sent if transfer.account_id == account_id]
            found = await ledger.list_transfers(tx.connection, account_id=account_id, limit=100)
            assert [(one.number, one.amount_minor) for one in reversed(found)] == list(enumerate(wanted, 1))
        assert await broken(tx.connection) == set()

    async def test_is_all_or_nothing(self, tx: Tx) -> None:
        await opened(tx.connection)
        with pytest.raises(ledger.InsufficientBalance):
            async with tx.connection.transaction():
                await post(tx.connection, payment(1, account_id=TWO), hold(2, 1))
        assert await numbers(tx.connection, TWO) == []
        assert await broken(tx.connection) == set()

    async def test_judges_an_array_by_what_it_comes_to(self, tx: Tx) -> None:
        await opened(tx.connection)
        assert await post(tx.connection, hold(1, 100), payment(2, 100)) == 2

    async def test_posts_nothing_when_nothing_is_given(self, tx: Tx) -> None:
        assert await post(tx.connection) == 0

    async def test_refuses_an_account_without_books(self, tx: Tx) -> None:
        await opened(tx.connection, ONE)
        with pytest.raises(asyncpg.PostgresError, match="no ledger head"):
            await post(tx.connection, payment(1), payment(2, account_id=TWO))

    async def test_opens_books_once(self, tx: Tx) -> None:
        await opened(tx.connection, ONE)
        await post(tx.connection, payment(1))
        await opened(tx.connection, ONE)
        assert await broken(tx.connection) == set()


class TestGuards:
    @pytest.mark.parametrize("guarded", ["wallet:cash", "wallet:pending", "wallet:held", f"promo:{TWO}"])
    async def test_hold_what_is_the_accounts_own_above_zero(self, tx: Tx, guarded: str) -> None:
        await opened(tx.connection)
        await post(tx.connection, replace(payment(1), destination=guarded))
        out = replace(payment(2), source=guarded, destination="revenue")
        with pytest.raises(ledger.InsufficientBalance):
            async with tx.connection.transaction():
                await post(tx.connection, replace(out, amount_minor=101))
        assert await post(tx.connection, out) == 1
        assert (await ledger.list_balances(tx.connection, account_id=ONE))["USD", guarded] == 0

    @pytest.mark.parametrize("guarded", ["wallet:cash", f"promo:{TWO}"])
    async def test_refuse_a_first_movement_below_zero(self, tx: Tx, guarded: str) -> None:
        await opened(tx.connection)
        with pytest.raises(ledger.InsufficientBalance):
            await post(tx.connection, replace(payment(1), source=guarded, destination="revenue"))

    async def test_do_not_lend_from_another_currency_or_account(self, tx: Tx) -> None:
        await opened(tx.connection)
        await post(tx.connection, payment(1, 500, currency="KES"), payment(2, 500, account_id=TWO))
        with pytest.raises(ledger.InsufficientBalance):
            await post(tx.connection, hold(3, 1))

    @pytest.mark.parametrize("free", ["receivable", "gateway:x", "revenue", "promotions", "owed", "tax:VAT"])
    async def test_let_the_platforms_side_fall_below_zero(self, tx: Tx, free: str) -> None:
        await opened(tx.connection)
        assert await post(tx.connection, replace(payment(1), source=free)) == 1


class TestListTransfers:
    async def test_goes_back_from_the_newest(self, tx: Tx) -> None:
        await opened(tx.connection)
        await post(tx.connection, *(payment(n, n) for n in range(1, 8)))
        page = await ledger.list_transfers(tx.connection, account_id=ONE, limit=3)
        assert [one.number for one in page] == [7, 6, 5]
        page = await ledger.list_transfers(tx.connection, account_id=ONE, limit=3, before_number=5)
        assert [(one.number, one.amount_minor) for one in page] == [(4, 4), (3, 3), (2, 2)]
        (one,) = await ledger.list_transfers(tx.connection, account_id=ONE, limit=3, before_number=2)
        assert (one.currency, one.source, one.destination) == ("USD", "gateway:external", "wallet:cash")
        assert (one.template, one.reference, one.effective_at) == ("payment.recorded", str(UUID(int=1)), AT)


def _microseconds(instant: datetime) -> int:
    return (instant - datetime(1970, 1, 1, tzinfo=UTC)) // MICROSECOND


def chain_of(account_id: UUID, rows: Sequence[asyncpg.Record]) -> list[bytes | None]:
    """What the hashes of an account's transfers ought to be, by another program."""
    link, texts, found = hashlib.sha256(account_id.bytes).digest(), list[str](), list[bytes | None]()
    for row in rows:
        fields = [*row.values()]
        instants = [_microseconds(row["effective_at"]), _microseconds(row["recorded_at"])]
        texts.append(json.dumps([*fields[:8], *instants], ensure_ascii=False))
        if row["chain_hash"] is None:
            found.append(None)
            continue
        link, texts = hashlib.sha256(link + "\n".join(texts).encode()).digest(), []
        found.append(link)
    assert texts == [], "a posting without a hash"
    return found


class TestHashChain:
    async def test_is_what_another_program_computes(self, tx: Tx) -> None:
        await opened(tx.connection)
        named = replace(payment(9), reference='"Ω\\\n', template="größe")
        await post(tx.connection, payment(1), payment(2, account_id=TWO), payment(3))
        await post(tx.connection, named)
        await post(tx.connection, payment(1), payment(4, account_id=TWO), payment(5))
        for account_id, wanted in ((ONE, [None, 3, 9, 5]), (TWO, [2, 4])):
            rows = await tx.connection.fetch(
                """
                SELECT number, currency, source, destination, amount_minor, template, reference, ordinal,
                    effective_at, recorded_at, chain_hash
                FROM transfers WHERE account_id = $1 ORDER BY number
                """,
                account_id,
            )
            assert [row["chain_hash"] for row in rows] == chain_of(account_id, rows)
            assert [row["chain_hash"] is None for row in rows] == [one is None for one in wanted]

    @pytest.mark.parametrize(
        "spoilt",
        [
            *(
                f"UPDATE transfers SET {change} WHERE account_id = $1 AND number = 3"  # noqa: S608  texts below
                for change in (
                    "amount_minor = amount_minor + 1",
                    "currency = 'KES'",
                    "source = 'gateway:externa1'",
                    "destination = 'wallet:held'",
                    "template = 'payment.recorde'",
                    "reference = reference || ' '",
                    "ordinal = 1",
                    "effective_at = effective_at + interval '1 microsecond'",
                    "recorded_at = recorded_at - interval '1 microsecond'",
                    "chain_hash = set_byte(chain_hash, 31, get_byte(chain_hash, 31) # 1)",
                    "chain_hash = NULL",
                    "number = 99",
                )
            ),
            "UPDATE transfers SET chain_hash = sha256('') WHERE account_id = $1 AND number = 1",
            "DELETE FROM transfers WHERE account_id = $1 AND number = 5",
            "DELETE FROM transfers WHERE account_id = $1 AND number = 1",
            "UPDATE heads SET chain_hash = sha256('') WHERE account_id = $1",
            "UPDATE heads SET last_number = 6 WHERE account_id = $1",
            "UPDATE balances SET balance_minor = balance_minor + 1 WHERE account_id = $1 AND ledger_account = 'wallet:cash'",
            "DELETE FROM balances WHERE account_id = $1 AND ledger_account = 'wallet:cash'",
        ],
    )
    async def test_shows_what_was_changed_behind_its_back(self, owner_connection: Connection, spoilt: str) -> None:
        await opened(owner_connection)
        await post(owner_connection, payment(1), payment(2))
        await post(owner_connection, payment(3), payment(4, account_id=TWO))
        await post(owner_connection, payment(5), payment(6))
        assert await broken(owner_connection) == set()
        await owner_connection.execute(spoilt, ONE)
        assert await broken(owner_connection) != set()

    async def test_is_checked_together_with_the_sign_of_wallets(self, owner_connection: Connection) -> None:
        await opened(owner_connection)
        await owner_connection.execute("ALTER TABLE balances DROP CONSTRAINT ck_balances_guarded")
        await post(owner_connection, hold(1, 5))
        assert await broken(owner_connection) == {"wallets and credits are not negative"}


class TestRights:
    """What is written once is not the application's to change (L6), as the catalog says and as trying shows."""

    FROZEN = frozenset(
        {
            "alert_firings",
            "audit_records",
            "bands",
            "chargebacks",
            "close_corrections",
            "credit_note_lines",
            "credit_note_taxes",
            "credit_notes",
            "document_pdfs",
            "invoice_lines",
            "invoice_numbers",
            "invoice_payments",
            "invoice_taxes",
            "invoices",
            "issuer_logos",
            "kept_days",
            "kept_places",
            "notifications",
            "promotional_credits",
            "receipts",
            "secret_keys",
            "transfers",
            "undone_credits",
        }
    )
    # Tables that the application may delete from, each with its reason.
    DELETABLE = frozenset(
        {
            "account_touches",  # taken away by whoever looks at the account
            "alerts",  # by their account; what they told stays
            "day_rows",  # a gauge's day without a reading left, once its resource's end is known
            "gateway_notices",  # pruned after 30 days
            "idempotency_keys",  # pruned after 7 days
            "jobs",  # that the program has no more
            "kept_months",  # made anew when what they were made from has changed; their sums go with them
            "webhook_attempts",  # pruned with their messages
            "webhook_messages",  # pruned 90 days after their end
            "watched_accounts",  # once nothing of theirs is asked for
            "shortened_resources",  # work to be done
            "usage_events",  # one that turns out to lie outside its resource's life moves to quarantine
        }
    )

    async def test_of_the_application_are_those_of_the_catalog(self, owner_connection: Connection) -> None:
        rows = await owner_connection.fetch(
            """
            SELECT relname AS name, has_table_privilege($1, oid, 'DELETE') AS may_delete,
                has_table_privilege($1, oid, 'TRUNCATE, TRIGGER, REFERENCES') AS may_more,
                has_table_privilege($1, oid, 'INSERT') AS may_insert, has_any_column_privilege($1, oid, 'UPDATE') AS may_update,
                pg_has_role($1, relowner, 'USAGE') AS is_owned
            FROM pg_class
            WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace
            """,
            APP_ROLE,
        )
        assert {row["name"] for row in rows if row["may_delete"]} == self.DELETABLE
        assert not [row["name"] for row in rows if row["may_more"] or row["is_owned"]]
        written_once = {row["name"] for row in rows if row["may_insert"] and not row["may_update"]}
        assert written_once - self.DELETABLE - {"gauges"} == self.FROZEN

    @pytest.mark.parametrize("table", sorted(FROZEN))
    async def test_refuse_every_change(self, connection: Connection, table: str) -> None:
        columns = await connection.fetch(
            "SELECT attname FROM pg_attribute WHERE attrelid = $1::text::regclass AND attnum > 0", table
        )
        changes = [f"UPDATE {table} SET {row['attname']} = DEFAULT" for row in columns]  # noqa: S608  names of the catalog
        more = (f"DELETE FROM {table}", f"TRUNCATE {table}", f"DROP TABLE {table}")  # noqa: S608
        for statement in (*changes, *more):
            with pytest.raises(asyncpg.InsufficientPrivilegeError) as refused:
                async with connection.transaction():
                    await connection.execute(statement)
            assert refused.value.sqlstate == "42501"

    async def test_do_not_lift_the_guards(self, connection: Connection) -> None:
        for statement in (
            "ALTER TABLE balances DROP CONSTRAINT ck_balances_guarded",
            "ALTER TABLE transfers DISABLE TRIGGER ALL",
            "CREATE OR REPLACE FUNCTION chain_start(account_id uuid) RETURNS bytea LANGUAGE sql RETURN ''::bytea",
            "CREATE FUNCTION f() RETURNS integer LANGUAGE sql RETURN 1",
        ):
            with pytest.raises(asyncpg.InsufficientPrivilegeError):
                async with connection.transaction():
                    await connection.execute(statement)


ACCOUNTS = (ONE, TWO, THREE)
postings = st.lists(
    st.lists(
        st.tuples(
            st.sampled_from(ACCOUNTS),
            st.sampled_from(["USD", "JPY"]),
            st.sampled_from(
                [
                    ("gateway:x", "wallet:cash"),
                    ("gateway:x", "wallet:pending"),
                    ("wallet:pending", "wallet:cash"),
                    ("wallet:cash", "wallet:held"),
                    ("wallet:held", "revenue"),
                    ("promotions", "promo:1"),
                    ("promo:1", "receivable"),
                    ("wallet:cash", "receivable"),
                    ("receivable", "tax:VAT"),
                ]
            ),
            st.integers(1, 40),
            st.integers(0, 12),
        ),
        min_size=1,
        max_size=8,
    ),
    max_size=12,
)
Sent = tuple[UUID, str, tuple[str, str], int, int]
Key = tuple[UUID, int]


def model_of(
    batch: list[Sent], known: dict[Key, Sent], balances: Counter[tuple[UUID, str, str]]
) -> type[Exception] | tuple[dict[Key, Sent], Counter[tuple[UUID, str, str]]]:
    """What posting a batch does to the books of a plain model: the error, or the books after it."""
    known, balances = dict(known), Counter(balances)
    for sent in batch:
        account_id, currency, (source, destination), amount_minor, reference = sent
        if (account_id, reference) in known:
            continue
        known[account_id, reference] = sent
        balances[account_id, currency, source] -= amount_minor
        balances[account_id, currency, destination] += amount_minor
    if any(value < 0 and account.startswith(("wallet:", "promo:")) for (*_, account), value in balances.items()):
        return ledger.InsufficientBalance
    return ledger.TransferConflict if any(known[sent[0], sent[4]] != sent for sent in batch) else (known, balances)


class TestRandomPostings:
    @settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(batches=postings)
    async def test_agree_with_a_plain_model(self, connection: Connection, batches: list[list[Sent]]) -> None:
        example = connection.transaction()
        await example.start()
        await opened(connection)
        known: dict[Key, Sent] = {}
        balances: Counter[tuple[UUID, str, str]] = Counter()
        for batch in batches:
            transfers = [
                Transfer(account_id, currency, *between, amount_minor, "test", str(reference), AT)
                for account_id, currency, between, amount_minor, reference in batch
            ]
            wanted = model_of(batch, known, balances)
            if isinstance(wanted, type):
                with pytest.raises(wanted):
                    async with connection.transaction():
                        await ledger.post_all(connection, transfers, recorded_at=AT)
                continue
            assert await ledger.post_all(connection, transfers, recorded_at=AT) == len(wanted[0]) - len(known)
            known, balances = wanted
        found = {
            (account_id, *key): balance
            for account_id in ACCOUNTS
            for key, balance in (await ledger.list_balances(connection, account_id=account_id)).items()
        }
        assert found == dict(balances)
        assert await broken(connection) == set()
        await example.rollback()


@pytest_asyncio.fixture
async def crowd(database_dsn: str) -> AsyncIterator[Database]:
    """A database with 64 connections of the application's."""
    pool = await open_pool(database_dsn, size=64)
    yield Database(pool, lambda: AT)
    await pool.close()


async def settled(database: Database, *transfers: Transfer) -> int:
    async with database.transaction() as tx:
        return await post(tx.connection, *transfers)


class TestConcurrentPosting:
    async def test_of_50_on_one_account_adds_up(self, crowd: Database) -> None:
        async with crowd.transaction() as tx:
            await opened(tx.connection, ONE)

        async def poster(number: int) -> int:
            return sum([await settled(crowd, payment(number * 100 + n, n + 1)) for n in range(10)])

        assert sum(await asyncio.gather(*map(poster, range(50)))) == 500
        async with crowd.snapshot() as tx:
            assert (await ledger.list_balances(tx.connection, account_id=ONE))["USD", "wallet:cash"] == 50 * 55
            assert await numbers(tx.connection, ONE) == list(range(1, 501))
            assert await broken(tx.connection) == set()

    async def test_of_50_over_many_accounts_never_deadlocks(self, crowd: Database) -> None:
        account_ids = [UUID(int=n) for n in range(1, 21)]
        async with crowd.transaction() as tx:
            await opened(tx.connection, *account_ids)

        async def poster(number: int) -> int:
            rng, new = random.Random(number), 0
            for round_number in range(8):
                chosen = rng.sample(account_ids, 12)
                reference = number * 100 + round_number
                new += await settled(crowd, *(payment(reference, account_id=account_id) for account_id in chosen))
            return new

        assert sum(await asyncio.gather(*map(poster, range(50)))) == 50 * 8 * 12
        async with crowd.snapshot() as tx:
            total = await tx.connection.fetchval(
                "SELECT sum(balance_minor) FROM balances WHERE ledger_account = 'wallet:cash'"
            )
            assert total == 50 * 8 * 12 * 100
            assert await broken(tx.connection) == set()

    async def test_of_one_transfer_by_many_moves_it_once(self, crowd: Database) -> None:
        async with crowd.transaction() as tx:
            await opened(tx.connection, ONE)
        new = await asyncio.gather(*(settled(crowd, payment(1), payment(2 + n % 2)) for n in range(50)))
        assert sum(new) == 3
        async with crowd.snapshot() as tx:
            assert await numbers(tx.connection, ONE) == [1, 2, 3]
            assert await broken(tx.connection) == set()

    async def test_of_64_spenders_accepts_what_the_wallet_holds(self, crowd: Database) -> None:
        amount_minor, cash_minor = 7, 1_000
        async with crowd.transaction() as tx:
            await opened(tx.connection, ONE)
            await post(tx.connection, payment(1, cash_minor))
        outcomes: Counter[str] = Counter()

        async def spender(number: int) -> None:
            for n in range(5):
                try:
                    await settled(crowd, hold(number * 100 + n, amount_minor))
                    outcomes["accepted"] += 1
                except ledger.InsufficientBalance:
                    outcomes["refused"] += 1

        await asyncio.gather(*map(spender, range(64)))
        accepted = cash_minor // amount_minor
        assert outcomes == {"accepted": accepted, "refused": 64 * 5 - accepted}
        async with crowd.snapshot() as tx:
            balances = await ledger.list_balances(tx.connection, account_id=ONE)
            assert balances["USD", "wallet:held"] == accepted * amount_minor
            assert balances["USD", "wallet:cash"] == cash_minor - accepted * amount_minor
            assert await broken(tx.connection) == set()
