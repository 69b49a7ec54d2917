"""Accounts and keys in a real database."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from uuid import uuid4

import asyncpg
import pytest

from billing import accounts, api_keys, onboarding, projects
from billing.api_keys import operations as key_operations
from billing.api_keys import rules
from billing.api_keys import store as key_store
from billing.core.errors import Forbidden, InvalidParameter, IpNotAllowed, NotFound, Unauthorized
from billing.core.page import Page, PageRequest
from billing.kit.db import Database, open_pool

if TYPE_CHECKING:
    from billing.kit.auth import Caller, Operator
    from billing.kit.db import Connection, Tx


async def opened(tx: Tx, *, email: str = "jane@example.com", name: str = "Jane Doe") -> accounts.Account:
    return await accounts.open_account(tx, email=email, name=name, currency="USD")


async def authenticate(connection: Connection, *, token: str, ip: str, now: datetime) -> Caller:
    digest = rules.digest_of(token)
    found = await key_store.find_presented(connection, digests=[digest])
    return key_operations.caller_of(found.get(digest), digest=digest, ip=ip, now=now)


async def authenticate_operator(connection: Connection, *, token: str, now: datetime) -> Operator:
    digest = rules.digest_of(token)
    found = await key_store.find_presented_operators(connection, digests=[digest])
    return key_operations.operator_of(found.get(digest), digest=digest, now=now)


class TestOpenAccount:
    async def test_stores_what_it_returns(self, tx: Tx):
        account = await accounts.open_account(
            tx,
            email="jane@example.com",
            name="Jane Doe",
            currency="KES",
            company="Acme Ltd",
            timezone="Africa/Nairobi",
            country="KE",
            phone="+254700000000",
        )
        assert await accounts.get_account(tx.connection, account_id=account.account_id) == account
        assert (account.status, account.verified, account.terms_days, account.created_at) == (
            "active",
            True,
            14,
            tx.now,
        )

    @pytest.mark.parametrize("currency", ["EUR", "XXX"])
    async def test_refuses_a_currency_that_is_not_enabled(self, tx: Tx, currency: str):
        with pytest.raises(accounts.CurrencyNotSupported):
            await accounts.open_account(tx, email="jane@example.com", name="Jane", currency=currency)

    async def test_takes_any_iso_currency_that_is_enabled(self, tx: Tx):
        account = await accounts.open_account(
            tx, email="jane@example.com", name="Jane", currency="EUR", currencies=frozenset({"EUR", "XXX"})
        )
        assert account.currency == "EUR"
        with pytest.raises(accounts.CurrencyNotSupported):
            await accounts.open_account(
                tx, email="jane@example.com", name="Jane", currency="XXX", currencies=frozenset({"EUR", "XXX"})
            )


class TestGetAccount:
    async def test_raises_for_an_unknown_id(self, tx: Tx):
        with pytest.raises(NotFound):
            await accounts.get_account(tx.connection, account_id=uuid4())


class TestChange:
    async def test_sets_what_is_named_and_clears_with_none(self, tx: Tx):
        account = await opened(tx)
        await accounts.change(tx, account_id=account.account_id, changes={"company": "Acme", "tax_id": "P05"})
        changed = await accounts.change(tx, account_id=account.account_id, changes={"company": None, "terms_days": 30})
        assert changed == replace(account, tax_id="P05", terms_days=30)
        assert await accounts.get_account(tx.connection, account_id=account.account_id) == changed

    async def test_changes_nothing_without_members(self, tx: Tx):
        account = await opened(tx)
        assert await accounts.change(tx, account_id=account.account_id, changes={}) == account

    async def test_leaves_other_accounts_alone(self, tx: Tx):
        one, other = await opened(tx), await opened(tx)
        await accounts.change(tx, account_id=one.account_id, changes={"name": "Another"})
        assert await accounts.get_account(tx.connection, account_id=other.account_id) == other


class TestSuspendAndRestore:
    async def test_are_harmless_when_repeated(self, tx: Tx):
        account = await opened(tx)
        for _ in range(2):
            assert (await accounts.suspend(tx, account_id=account.account_id)).status == "suspended"
        for _ in range(2):
            assert (await accounts.restore(tx, account_id=account.account_id)).status == "active"

    async def test_refuse_a_closed_account(self, tx: Tx):
        account = await opened(tx)
        await tx.connection.execute("UPDATE accounts SET status = 'closed' WHERE account_id = $1", account.account_id)
        with pytest.raises(accounts.AccountClosed):
            await accounts.suspend(tx, account_id=account.account_id)
        with pytest.raises(accounts.AccountClosed):
            await accounts.restore(tx, account_id=account.account_id)


class TestListAccounts:
    async def test_pages_newest_first_with_the_total(self, tx: Tx):
        made = [await opened(tx, email=f"p{number}@pages.example") for number in range(5)]
        newest_first = sorted(made, key=lambda account: account.account_id, reverse=True)
        first = await accounts.list_accounts(tx.connection, page=PageRequest(1, 2), text="@pages.example")
        last = await accounts.list_accounts(tx.connection, page=PageRequest(3, 2), text="@pages.example")
        assert (first.items, last.items, first.total) == (newest_first[:2], newest_first[4:], 5)

    async def test_counts_beyond_the_last_page(self, tx: Tx):
        await opened(tx, email="one@beyond.example")
        page = PageRequest(9, 25)
        assert await accounts.list_accounts(tx.connection, page=page, text="@beyond.example") == Page([], 1, None)

    async def test_looks_for_the_text_as_it_is(self, tx: Tx):
        account = await opened(tx, name="100% Wool_Co")
        await opened(tx, name="100x WoolxCo")
        found = await accounts.list_accounts(tx.connection, page=PageRequest(), text="100% wool_")
        assert found == Page([account], 1, None)

    async def test_filters_by_status(self, tx: Tx):
        account = await opened(tx, email="s@status.example")
        suspended = await accounts.suspend(tx, account_id=account.account_id)
        listed = await accounts.list_accounts(
            tx.connection, page=PageRequest(), status="suspended", text="@status.example"
        )
        active = await accounts.list_accounts(
            tx.connection, page=PageRequest(), status="active", text="@status.example"
        )
        assert (listed.items, active.items) == ([suspended], [])


async def issued(
    tx: Tx, account: accounts.Account, *, expires_at: datetime | None = None, ip_whitelist: tuple[str, ...] = ()
) -> api_keys.IssuedKey:
    return await api_keys.issue(
        tx,
        account_id=account.account_id,
        name="key",
        permissions=["write", "read"],
        expires_at=expires_at,
        ip_whitelist=ip_whitelist,
    )


class TestIssue:
    async def test_stores_no_secret(self, tx: Tx):
        key = await issued(tx, await opened(tx))
        row = await tx.connection.fetchrow("SELECT * FROM api_keys WHERE key_id = $1", key.key_id)
        assert row is not None
        assert key.secret not in str(dict(row))
        assert key.secret[len(api_keys.PUBLIC_PREFIX) :] not in str(dict(row))

    async def test_keeps_permissions_and_ranges_canonical(self, tx: Tx):
        account = await opened(tx)
        key = await issued(
            tx, account, ip_whitelist=("10.0.0.0/8", "::ffff:192.168.1.100", "2001:DB8::/32", "10.0.0.0/8")
        )
        stored = await key_store.get_key(tx.connection, account_id=account.account_id, key_id=key.key_id)
        assert stored == key.key
        assert stored.permissions == ("read", "write")
        assert stored.ip_whitelist == ("10.0.0.0/8", "192.168.1.100", "2001:db8::/32")


class TestAuthenticate:
    async def test_yields_the_caller_with_its_account(self, tx: Tx):
        account = await opened(tx)
        key = await issued(tx, account, ip_whitelist=("10.0.0.0/8",))
        caller = await authenticate(tx.connection, token=key.secret, ip="10.1.2.3", now=tx.now)
        assert (caller.account_id, caller.key_id, caller.currency) == (account.account_id, key.key_id, "USD")
        assert (caller.permissions, caller.account_status) == (frozenset({"read", "write"}), "active")

    async def test_refuses_another_address(self, tx: Tx):
        key = await issued(tx, await opened(tx), ip_whitelist=("10.0.0.0/8",))
        with pytest.raises(IpNotAllowed):
            await authenticate(tx.connection, token=key.secret, ip="11.0.0.1", now=tx.now)

    async def test_ends_at_the_millisecond_of_its_expiry(self, tx: Tx):
        expires_at = tx.now + timedelta(hours=1)
        key = await issued(tx, await opened(tx), expires_at=expires_at)
        before = expires_at - timedelta(milliseconds=1)
        await authenticate(tx.connection, token=key.secret, ip="::1", now=before)
        with pytest.raises(Unauthorized):
            await authenticate(tx.connection, token=key.secret, ip="::1", now=expires_at)

    async def test_refuses_a_revoked_key(self, tx: Tx):
        account = await opened(tx)
        key = await issued(tx, account)
        await api_keys.revoke(tx, account_id=account.account_id, key_id=key.key_id)
        with pytest.raises(Unauthorized):
            await authenticate(tx.connection, token=key.secret, ip="::1", now=tx.now)

    async def test_refuses_the_key_of_a_closed_account(self, tx: Tx):
        account = await opened(tx)
        key = await issued(tx, account)
        await tx.connection.execute("UPDATE accounts SET status = 'closed' WHERE account_id = $1", account.account_id)
        with pytest.raises(Unauthorized):
            await authenticate(tx.connection, token=key.secret, ip="::1", now=tx.now)

    async def test_shows_a_suspension_at_once(self, tx: Tx):
        account = await opened(tx)
        key = await issued(tx, account)
        await accounts.suspend(tx, account_id=account.account_id)
        caller = await authenticate(tx.connection, token=key.secret, ip="::1", now=tx.now)
        assert caller.account_status == "suspended"


class TestRevoke:
    async def test_takes_the_key_off_the_list_and_is_not_found_again(self, tx: Tx):
        account = await opened(tx)
        kept, revoked = await issued(tx, account), await issued(tx, account)
        await api_keys.revoke(tx, account_id=account.account_id, key_id=revoked.key_id)
        listed = await key_store.list_keys(tx.connection, account_id=account.account_id, page=PageRequest())
        assert listed == Page([kept.key], 1, None)
        with pytest.raises(NotFound):
            await api_keys.revoke(tx, account_id=account.account_id, key_id=revoked.key_id)

    async def test_does_not_reach_another_accounts_key(self, tx: Tx):
        owner, stranger = await opened(tx), await opened(tx)
        key = await issued(tx, owner)
        with pytest.raises(NotFound):
            await api_keys.revoke(tx, account_id=stranger.account_id, key_id=key.key_id)
        assert await key_store.get_key(tx.connection, account_id=owner.account_id, key_id=key.key_id) == key.key


class TestMint:
    @pytest.mark.parametrize(
        ("permissions", "lifetime", "ranges"),
        [
            (("read", "write"), timedelta(hours=1), ("10.0.0.1",)),
            (("read",), timedelta(hours=2), ("10.0.0.1",)),
            (("read",), None, ("10.0.0.1",)),
            (("read",), timedelta(hours=1), ()),
            (("read",), timedelta(hours=1), ("10.0.0.1", "11.0.0.1")),
        ],
    )
    async def test_refuses_what_its_own_key_has_not(self, tx: Tx, permissions, lifetime: timedelta | None, ranges):
        account = await opened(tx)
        own = await api_keys.issue(
            tx,
            account_id=account.account_id,
            name="own",
            permissions=["read"],
            expires_at=tx.now + timedelta(hours=1),
            ip_whitelist=["10.0.0.0/8"],
        )
        with pytest.raises(Forbidden):
            await api_keys.mint(
                tx,
                account_id=account.account_id,
                by_key_id=own.key_id,
                name="wider",
                permissions=permissions,
                expires_at=None if lifetime is None else tx.now + lifetime,
                ip_whitelist=ranges,
            )

    async def test_refuses_a_key_that_was_revoked_meanwhile(self, tx: Tx):
        account = await opened(tx)
        own = await issued(tx, account)
        await api_keys.revoke(tx, account_id=account.account_id, key_id=own.key_id)
        with pytest.raises(Unauthorized):
            await api_keys.mint(
                tx, account_id=account.account_id, by_key_id=own.key_id, name="late", permissions=["read"]
            )


class TestMintAgainstRevoke:
    async def test_a_revocation_waits_for_the_key_that_is_being_made(self, database_dsn: str):
        pool = await open_pool(database_dsn, size=3)
        database = Database(pool)
        async with database.transaction() as setup:
            account = await opened(setup)
            own = await issued(setup, account)
        account_id = account.account_id

        async def revoke() -> None:
            async with database.transaction() as other:
                await api_keys.revoke(other, account_id=account_id, key_id=own.key_id)

        async with database.transaction() as making:
            await api_keys.mint(making, account_id=account_id, by_key_id=own.key_id, name="new", permissions=["read"])
            revocation = asyncio.create_task(revoke())
            done, _ = await asyncio.wait({revocation}, timeout=0.2)
            assert not done
        await revocation
        async with database.transaction() as later:
            with pytest.raises(Unauthorized):
                await api_keys.mint(
                    later, account_id=account_id, by_key_id=own.key_id, name="late", permissions=["read"]
                )
        await pool.close()


class TestOperatorKeys:
    async def test_are_read_with_their_scopes(self, tx: Tx):
        issued_key = await api_keys.create_operator_key(tx, name="finance", scopes=["billing", "payments"])
        operator = await authenticate_operator(tx.connection, token=issued_key.secret, now=tx.now)
        assert (operator.key_id, operator.name) == (issued_key.key_id, "finance")
        assert operator.scopes == frozenset({"billing", "payments"})
        assert await api_keys.has_operator_keys(tx.connection)

    @pytest.mark.parametrize("scopes", [[], ["billing", "root"]])
    async def test_need_known_scopes(self, tx: Tx, scopes):
        with pytest.raises(InvalidParameter):
            await api_keys.create_operator_key(tx, name="finance", scopes=scopes)

    async def test_end_with_their_expiry(self, tx: Tx):
        expires_at = tx.now + timedelta(hours=1)
        key = await api_keys.create_operator_key(tx, name="short", scopes=["*"], expires_at=expires_at)
        with pytest.raises(Unauthorized):
            await authenticate_operator(tx.connection, token=key.secret, now=expires_at)

    async def test_open_nothing_once_they_are_revoked(self, tx: Tx):
        key = await api_keys.create_operator_key(tx, name="command", scopes=["*"])
        other = await api_keys.create_operator_key(tx, name="finance", scopes=["*"])
        await api_keys.revoke_operator_key(tx, key_id=key.key_id)
        with pytest.raises(Unauthorized):
            await authenticate_operator(tx.connection, token=key.secret, now=tx.now)
        assert (await authenticate_operator(tx.connection, token=other.secret, now=tx.now)).key_id == other.key_id


class TestMarkUsed:
    async def test_notes_at_most_one_use_a_minute(self, tx: Tx):
        account = await opened(tx)
        key = await issued(tx, account)
        digest = await tx.connection.fetchval("SELECT digest FROM api_keys WHERE key_id = $1", key.key_id)
        seen: list[datetime | None] = []
        for after in (timedelta(0), timedelta(seconds=59), timedelta(seconds=60)):
            await key_store.mark_used(tx.connection, digest=digest, now=tx.now + after)
            stored = await key_store.get_key(tx.connection, account_id=account.account_id, key_id=key.key_id)
            seen.append(stored.last_used_at)
        assert seen == [tx.now, tx.now, tx.now + timedelta(seconds=60)]


class TestDefaultProject:
    async def test_is_one_per_account(self, tx: Tx):
        account = await opened(tx)
        made = await projects.create_default(tx, account_id=account.account_id)
        assert await projects.get_default_project(tx.connection, account_id=account.account_id) == made
        with pytest.raises(asyncpg.UniqueViolationError):
            await projects.create_default(tx, account_id=account.account_id)


class TestOnboarding:
    async def test_opens_books_project_and_key_with_the_account(self, tx: Tx):
        made = await onboarding.open_account(tx, email="jane@example.com", name="Jane", currency="USD")
        account_id = made.account.account_id
        head = await tx.connection.fetchrow("SELECT last_number FROM heads WHERE account_id = $1", account_id)
        assert head is not None
        assert head["last_number"] == 0
        assert await projects.get_default_project(tx.connection, account_id=account_id) == made.project
        caller = await authenticate(tx.connection, token=made.key.secret, ip="::1", now=tx.now)
        assert (caller.account_id, caller.permissions) == (account_id, frozenset({"read", "write"}))


class TestRights:
    @pytest.mark.parametrize("table", ["accounts", "api_keys", "operator_keys"])
    async def test_the_application_cannot_delete(self, tx: Tx, table: str):
        statement = {
            "accounts": "DELETE FROM accounts",
            "api_keys": "DELETE FROM api_keys",
            "operator_keys": "DELETE FROM operator_keys",
        }[table]
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await tx.connection.execute(statement)
