"""`billing check` and GET /check: every invariant of the system with its count of violations."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

import msgspec
from litestar import get

from billing import invoices, ledger, metering
from billing.app.runtime import installation
from billing.app.tables import print_table
from billing.kit import audit
from billing.kit.auth import Operator
from billing.kit.checks import Check
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Described

if TYPE_CHECKING:
    from billing.kit.config import Settings


SHOWN_MAX = 20


class ChecksOut(msgspec.Struct, frozen=True, kw_only=True):
    """GET /check."""

    ok: bool
    checks: list[Check]


async def run_all(database: Database) -> list[Check]:
    """Every invariant, read in one snapshot."""
    async with database.snapshot() as tx:
        # The whole history is read: it may take longer than a request's statements.
        await tx.connection.execute("SET LOCAL statement_timeout = 0")
        return [
            *await ledger.run_checks(tx.connection),
            *await metering.run_checks(tx.connection),
            *await invoices.run_checks(tx.connection),
            *await audit.run_checks(tx.connection),
        ]


@get("/check", opt={DESCRIBED: Described(summary="Check the invariants", section="Checks and audit")})
async def check(audit_operator: Operator, db: Database) -> ChecksOut:  # noqa: ARG001  the permission
    """Every invariant of the books with its count of violations; `ok` when all hold."""
    checks = await run_all(db)
    return ChecksOut(ok=not any(one.violations for one in checks), checks=checks)


async def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print each invariant with its count of violations; 1 if any is broken."""
    del arguments
    async with installation(settings) as installed:
        checks = await run_all(installed.database)
        async with installed.database.snapshot() as tx:
            head = await audit.get_head(tx.connection)
            changed = await audit.list_broken(tx.connection, limit=SHOWN_MAX)
    print_table(["invariant", "violations"], [[one.name, str(one.violations)] for one in checks], right={1})
    for number in changed:
        print(f"The audit chain breaks at entry {number}.")
    print(f"The audit trail has {head.number} entries, the last with hash {head.chain_hash.hex()}.")
    broken = sum(one.violations > 0 for one in checks)
    print("All invariants hold." if broken == 0 else f"{broken} of {len(checks)} invariants are broken.")
    return 1 if broken else 0


HANDLERS = [check]
