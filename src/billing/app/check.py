"""`billing check` and GET /check: every invariant of the system with its count of violations."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import msgspec
from litestar import get

from billing import analytics, invoices, ledger, metering, notifications, payments, wallets, webhooks
from billing.app.runtime import installation
from billing.app.tables import print_table, progress
from billing.kit import audit, checks, jobs, outbox, patience
from billing.kit.auth import Operator
from billing.kit.checks import OVERLAP, PARTS, Check, Scope
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Described, RawQuery

if TYPE_CHECKING:
    from billing.kit.config import Settings
    from billing.kit.db import Connection, Tx


SHOWN_MAX = 20
ACTED_ON = invoices.MONEY_ARRIVED  # the types of outbox events that a job of ours takes


async def _check_outbox(connection: Connection, scope: Scope) -> list[Check]:
    return await outbox.run_checks(connection, scope, types=ACTED_ON)


GROUPS: Mapping[str, Callable[[Connection, Scope], Awaitable[list[Check]]]] = {
    "ledger": ledger.run_checks,
    "metering": metering.run_checks,
    "wallets": wallets.run_checks,
    "payments": payments.run_checks,
    "invoices": invoices.run_checks,
    "analytics": analytics.run_checks,
    "outbox": _check_outbox,
    "notifications": notifications.run_checks,
    "webhooks": webhooks.run_checks,
    "jobs": jobs.run_checks,
    "audit": audit.run_checks,
}


class CheckQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /check: with `incremental` what was written since the last `billing check` and a part of the rest, else everything."""

    incremental: bool = False


class ChecksOut(msgspec.Struct, frozen=True, kw_only=True):
    """GET /check."""

    ok: bool
    checks: list[Check]


@dataclass(frozen=True, slots=True)
class Group:
    """What a group of checks found, and the part of all accounts that it read besides what is new."""

    name: str
    part: int
    found: list[Check]


async def run_all(database: Database, *, is_incremental: bool = False) -> list[Check]:
    """Every invariant, read in one snapshot."""
    async with database.snapshot() as tx:
        return [check for group in await run_groups(tx, is_incremental=is_incremental) for check in group.found]


async def run_and_mark(
    database: Database, *, is_incremental: bool, on_group: Callable[[], None] = lambda: None
) -> list[Check]:
    """The same, and each group that found nothing has from now on to read only what is newer."""
    async with database.snapshot() as tx:
        groups = await run_groups(tx, is_incremental=is_incremental, on_group=on_group)
    async with database.transaction() as marking:
        for group in groups:
            if not any(check.violations for check in group.found):
                await checks.upsert_mark(
                    marking.connection, group=group.name, since=tx.now - OVERLAP, part=(group.part + 1) % PARTS
                )
    return [check for group in groups for check in group.found]


async def run_groups(
    tx: Tx, *, is_incremental: bool = False, on_group: Callable[[], None] = lambda: None
) -> list[Group]:
    """The groups in their order, each over what it has to read; `on_group` is called after each."""
    # The whole history may be read: it may take longer than a request's statements.
    await tx.connection.execute("SET LOCAL statement_timeout = 0")
    groups: list[Group] = []
    for name, run in GROUPS.items():
        mark = await checks.find_mark(tx.connection, group=name)
        is_new = not is_incremental or mark.since is None
        scope = Scope(tx.now) if is_new else Scope(tx.now, mark.since, mark.part)
        groups.append(Group(name, mark.part, await run(tx.connection, scope)))
        on_group()
    return groups


@get("/check", opt={DESCRIBED: Described(summary="Check the invariants", section="Checks and audit", query=CheckQuery)})
async def check(audit_operator: Operator, query: RawQuery, db: Database) -> ChecksOut:  # noqa: ARG001  the permission
    """Every invariant of the books with its count of violations; `ok` when all hold."""
    with patience.within(None):  # the whole history may be read
        found = await run_all(db, is_incremental=query.read(CheckQuery).incremental)
    return ChecksOut(ok=not any(one.violations for one in found), checks=found)


async def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Print each invariant with its count of violations; 1 if any is broken."""
    async with installation(settings) as installed:
        with progress("Checking", total=len(GROUPS)) as bar:
            found = await run_and_mark(installed.database, is_incremental=arguments.incremental, on_group=bar.advance)
        async with installed.database.snapshot() as tx:
            head = await audit.get_head(tx.connection)
            changed = await audit.list_broken(tx.connection, limit=SHOWN_MAX)
    print_table(
        ["invariant", "violations"],
        [[one.name, str(one.violations)] for one in found],
        right={1},
        alarming={place for place, one in enumerate(found) if one.violations},
    )
    for number in changed:
        print(f"The audit chain breaks at entry {number}.")
    print(f"The audit trail has {head.number} entries, the last with hash {head.chain_hash.hex()}.")
    broken = sum(one.violations > 0 for one in found)
    print("All invariants hold." if broken == 0 else f"{broken} of {len(found)} invariants are broken.")
    if broken:
        print("docs/checks.md says of each invariant what to do when it is broken.", file=sys.stderr)
    return 1 if broken else 0


HANDLERS = [check]
