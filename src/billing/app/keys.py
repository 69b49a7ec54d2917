"""`billing keys`, and the keys that a first start makes."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from billing import api_keys
from billing.app.faults import CommandError
from billing.app.runtime import installation
from billing.app.tables import hint, print_table
from billing.core import ids
from billing.kit import audit

if TYPE_CHECKING:
    from datetime import datetime

    from billing.app.runtime import Installation
    from billing.kit.config import Settings
    from billing.kit.db import Tx

_FIRST_KEYS_LOCK = 7_302_646_011_906  # of the advisory lock: programs that start together make one first key


@dataclass(frozen=True, slots=True)
class StartKeys:
    """The keys that a start shows."""

    api_key: str | None = None
    operator_key: str | None = None


async def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Make, list or revoke operators' keys."""
    async with installation(settings) as installed:
        match arguments.verb:
            case "list":
                await _list(installed)
            case "revoke":
                await _revoke(installed, arguments.key)
            case _:
                await _create(installed, arguments)
    return 0


async def _create(installed: Installation, arguments: argparse.Namespace) -> None:
    """Make a key and print its secret, which is not kept anywhere."""
    scopes = [scope.strip() for scope in arguments.scopes.split(",") if scope.strip()]
    async with installed.database.transaction() as tx:
        issued = await api_keys.create_operator_key(tx, name=arguments.name, scopes=scopes)
        await audit_key(tx, issued, command="billing keys create-operator")
    print(issued.secret)
    hint("Keep it: it is stored nowhere and cannot be shown again.")


async def _list(installed: Installation) -> None:
    async with installed.database.reading() as reading:
        found = await api_keys.list_operator_keys(reading.connection)
    rows = [
        (
            _shown_id(key),
            key.name,
            ",".join(key.scopes),
            _day(key.created_at),
            _day(key.last_used_at),
            _day(key.expires_at),
        )
        for key in found
    ]
    print_table(("key", "name", "scopes", "created", "last used", "expires"), rows)


async def _revoke(installed: Installation, shown_id: str) -> None:
    """End a key. Raises CommandError when there is none of this id in force."""
    async with installed.database.transaction() as tx:
        in_force = await api_keys.list_operator_keys(tx.connection)
        key = next((key for key in in_force if _shown_id(key) == shown_id), None)
        if key is None:
            raise CommandError(f"there is no operator's key {shown_id} in force")
        await api_keys.revoke_operator_key(tx, key_id=key.key_id)
        await audit_key(tx, key, command="billing keys revoke-operator", is_revoked=True)


async def first_operator_key(installed: Installation) -> StartKeys:
    """An operator's key with every scope if the database has none yet, else nothing."""
    async with installed.database.transaction() as tx:
        await _lock(tx)
        if await api_keys.has_operator_keys(tx.connection):
            return StartKeys()
        issued = await api_keys.create_operator_key(tx, name="First operator key", scopes=["*"])
        await audit_key(tx, issued, command="billing serve")
    return StartKeys(operator_key=issued.secret)


async def audit_key(
    tx: Tx, key: api_keys.IssuedOperatorKey | api_keys.OperatorKey, *, command: str, is_revoked: bool = False
) -> None:
    """Take down in the audit trail that a command made or revoked an operator's key; last in its transaction."""
    action = audit.Action(
        actor=audit.Actor.program(command),
        action="key.revoked" if is_revoked else "key.created",
        objects={"key_id": _shown_id(key)},
        details={"name": key.name, "scopes": key.scopes},
    )
    await audit.write(tx, action)


def write_private(path: Path, members: dict[str, str | None]) -> None:
    """Write a JSON object that only its owner can read, whole or not at all; members that are None are left out."""
    fresh = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        json.dump({name: value for name, value in members.items() if value is not None}, file, indent=2)
        file.write("\n")
    fresh.replace(path)


def _shown_id(key: api_keys.IssuedOperatorKey | api_keys.OperatorKey) -> str:
    """As the audit trail names it."""
    return ids.encode("op", key.key_id)


def _day(instant: datetime | None) -> str:
    return "" if instant is None else f"{instant:%Y-%m-%d}"


async def _lock(tx: Tx) -> None:
    await tx.connection.execute("SELECT pg_advisory_xact_lock($1)", _FIRST_KEYS_LOCK)
