"""The verbs of accounts. Opening one with its wallet, project and first key is onboarding's."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from billing.accounts import rules, store
from billing.accounts.model import Account, AccountChanges, AccountClosed, AccountStatus
from billing.core import ids
from billing.kit import outbox

if TYPE_CHECKING:
    from billing.kit.db import Tx


async def open_account(
    tx: Tx,
    *,
    email: str,
    name: str,
    currency: str,
    company: str | None = None,
    timezone: str = rules.TIMEZONE_DEFAULT,
    country: str | None = None,
    phone: str | None = None,
    currencies: Set[str] = rules.CURRENCIES_DEFAULT,
) -> Account:
    """Store a new active account. It counts as verified: the operator who opens it vouches for it.

    Raises CurrencyNotSupported for a currency outside `currencies`.
    """
    rules.require_currency(currency, enabled=currencies)
    account = Account(
        account_id=tx.new_id(),
        email=email,
        name=name,
        company=company,
        status="active",
        verified=True,
        currency=currency,
        timezone=timezone,
        country=country,
        phone=phone,
        address=None,
        tax_id=None,
        tax_exempt=False,
        terms_days=rules.TERMS_DAYS_DEFAULT,
        billing_paused=False,
        created_at=tx.now,
    )
    await store.insert_account(tx.connection, account=account)
    return account


async def change(tx: Tx, *, account_id: UUID, changes: AccountChanges) -> Account:
    """Set the members that `changes` names, which have been checked; without any it changes nothing."""
    account = await store.get_account_for_update(tx.connection, account_id=account_id)
    changed = replace(account, **changes)
    if changed != account:
        await store.update_account(tx.connection, account=changed)
    return changed


async def suspend(tx: Tx, *, account_id: UUID) -> Account:
    """Refuse the account's writes, but for what pays its debts. Again is harmless. Raises AccountClosed."""
    return await _set_status(tx, account_id=account_id, status="suspended")


async def restore(tx: Tx, *, account_id: UUID) -> Account:
    """Take a suspension back. Again is harmless. Raises AccountClosed."""
    return await _set_status(tx, account_id=account_id, status="active")


async def _set_status(tx: Tx, *, account_id: UUID, status: AccountStatus) -> Account:
    account = await store.get_account_for_update(tx.connection, account_id=account_id)
    if account.status == "closed":
        raise AccountClosed
    if account.status == status:
        return account
    changed = replace(account, status=status)
    await store.update_account(tx.connection, account=changed)
    await outbox.publish(
        tx,
        account_id=account_id,
        type="account.suspended" if status == "suspended" else "account.restored",
        object_id=ids.encode("acc", account_id),
        payload={"name": account.name, "status": status, "since": tx.now},
    )
    return changed
