"""The keys that a start with the demo shows, and the account that they open."""

from __future__ import annotations

import json
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from billing import accounts, api_keys, onboarding
from billing.app.demo.playing import seed
from billing.app.faults import CommandError
from billing.app.keys import StartKeys, audit_key, write_private
from billing.core import ids
from billing.core.errors import BillingError
from billing.core.page import PageRequest
from billing.kit import audit

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from billing.app.runtime import Installation

EMAIL = "demo@example.com"
FILE = "demo-keys.json"
_COMMAND = "billing serve --demo"
_LOCK = 7_302_646_011_908  # of the advisory lock: programs that start together make one demo


async def start_keys(installed: Installation) -> StartKeys:
    """The demo's keys from its file; where they do not open this database, new ones, with an account of their own.

    In an empty database that account gets the demo's history.
    """
    path = installed.settings.home / FILE
    async with _locked(installed):
        known = _read(path)
        if known is not None and await _open(installed, known):
            return known
        api_key = await (seed(installed) if await _wants_history(installed) else _open_account(installed))
        async with installed.database.transaction() as tx:
            issued = await api_keys.create_operator_key(tx, name="Demo operator", scopes=["*"])
            await audit_key(tx, issued, command=_COMMAND)
        path.parent.mkdir(parents=True, exist_ok=True)
        write_private(path, {"api_key": api_key, "operator_key": issued.secret})
        return StartKeys(api_key=api_key, operator_key=issued.secret)


async def make_demo(installed: Installation) -> StartKeys:
    """The demo in an empty database, for `billing demo`. Raises CommandError for any other."""
    if not await _wants_history(installed):
        raise CommandError(
            "the demo goes into an empty database, and this one has accounts: name another with LINESERVE_HOME or DATABASE_URL"
        )
    return await start_keys(installed)


async def _wants_history(installed: Installation) -> bool:
    if installed.settings.demo_months == 0:
        return False
    async with installed.database.snapshot() as tx:
        found = await accounts.list_accounts(tx.connection, page=PageRequest(per_page=1))
    return not found.items


async def _open_account(installed: Installation) -> str:
    """An account without history; returns its key."""
    async with installed.database.transaction() as tx:
        opened = await onboarding.open_account(
            tx,
            email=EMAIL,
            name="Demo",
            currency=installed.settings.currencies[0],
            currencies=installed.wallet_settings.currencies,
        )
        account_id, key_id = opened.account.account_id, opened.key.key_id
        action = audit.Action(
            actor=audit.Actor.program(_COMMAND),
            action="account.opened",
            objects={"account_id": ids.encode("acc", account_id), "key_id": ids.encode("key", key_id)},
            account_id=account_id,
        )
        await audit.write(tx, action)
        return opened.key.secret


@asynccontextmanager
async def _locked(installed: Installation) -> AsyncIterator[None]:
    async with installed.database.pool.acquire() as connection:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        try:
            yield
        finally:
            await connection.execute("SELECT pg_advisory_unlock($1)", _LOCK)


def _read(path: Path) -> StartKeys | None:
    try:
        kept = json.loads(path.read_text(encoding="utf-8"))
        return StartKeys(api_key=str(kept["api_key"]), operator_key=str(kept["operator_key"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


async def _open(installed: Installation, keys: StartKeys) -> bool:
    keyring = api_keys.Keyring(installed.database)
    try:
        await keyring.read_caller(token=keys.api_key or "", ip="127.0.0.1")
        await keyring.read_operator(token=keys.operator_key or "", ip="127.0.0.1")
    except BillingError:
        return False
    finally:
        await keyring.close()
    return True
