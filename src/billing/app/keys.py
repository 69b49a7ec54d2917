"""`billing keys`, and the keys that a first start makes."""

from __future__ import annotations

import argparse
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from billing import api_keys
from billing.app.runtime import installation
from billing.app.tables import hint
from billing.core import ids
from billing.kit import audit

if TYPE_CHECKING:
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
    """Make an operator's key and print its secret, which is not kept anywhere."""
    scopes = [scope.strip() for scope in arguments.scopes.split(",") if scope.strip()]
    async with installation(settings) as installed, installed.database.transaction() as tx:
        issued = await api_keys.create_operator_key(tx, name=arguments.name, scopes=scopes)
        await audit_key(tx, issued, command="billing keys create-operator")
    print(issued.secret)
    hint("Keep it: it is stored nowhere and cannot be shown again.")
    return 0


async def first_operator_key(installed: Installation) -> StartKeys:
    """An operator's key with every scope if the database has none yet, else nothing."""
    async with installed.database.transaction() as tx:
        await _lock(tx)
        if await api_keys.has_operator_keys(tx.connection):
            return StartKeys()
        issued = await api_keys.create_operator_key(tx, name="First operator key", scopes=["*"])
        await audit_key(tx, issued, command="billing serve")
    return StartKeys(operator_key=issued.secret)


async def audit_key(tx: Tx, issued: api_keys.IssuedOperatorKey, *, command: str, is_revoked: bool = False) -> None:
    """Take down in the audit trail that a command made or revoked an operator's key; last in its transaction."""
    action = audit.Action(
        actor=audit.Actor.program(command),
        action="key.revoked" if is_revoked else "key.created",
        objects={"key_id": ids.encode("op", issued.key_id)},
        details={"name": issued.name, "scopes": issued.scopes},
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


async def _lock(tx: Tx) -> None:
    await tx.connection.execute("SELECT pg_advisory_xact_lock($1)", _FIRST_KEYS_LOCK)
