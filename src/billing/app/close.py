"""`billing close`: make the invoices of a month and say what was made."""

from __future__ import annotations

import argparse
import asyncio
import sys
from datetime import timedelta
from typing import TYPE_CHECKING

from billing import invoices
from billing.app.faults import CommandError
from billing.app.runtime import installation
from billing.app.tables import Bar, print_table, progress
from billing.core import ids, money
from billing.core.period import Period
from billing.kit import audit

if TYPE_CHECKING:
    from uuid import UUID

    from billing.app.runtime import Installation
    from billing.invoices import Progress, Run
    from billing.kit.config import Settings
    from billing.kit.db import Database, Tx

_LOOKS_EVERY_S = 0.3


async def main(settings: Settings, arguments: argparse.Namespace) -> int:
    """Close a month, or with --dry-run say what closing it would make; 1 when accounts were parked."""
    try:
        period = Period.parse(arguments.period)
    except ValueError as error:
        raise CommandError(f"--period {error}") from error
    async with installation(settings) as installed:
        run, made, parked = await _close(installed, period, dry_run=arguments.dry_run)
    _show(run, made)
    for one in parked:
        print(f"parked  {ids.encode('acc', one.account_id)}  {one.reason}", file=sys.stderr)
    if parked:
        run_id = ids.encode("run", run.run_id)
        print(f"Mend the cause, then POST /operator/v1/runs/{run_id}/parked bills them.", file=sys.stderr)
    return 1 if parked else 0


async def _close(
    installed: Installation, period: Period, *, dry_run: bool
) -> tuple[Run, Progress, list[invoices.ParkedAccount]]:
    database = installed.database
    grace = timedelta(seconds=installed.settings.close_grace_s)
    async with database.transaction() as tx:
        if period.end <= tx.now < period.end + grace:
            raise CommandError(f"{period} is in its grace until {period.end + grace:%Y-%m-%d %H:%M} UTC; close it then")
        try:
            run = await invoices.request_run(tx, period=period, dry_run=dry_run)
        except invoices.PeriodOpen as error:
            raise CommandError(
                f"{period} has not ended: close it from {period.end + grace:%Y-%m-%d %H:%M} UTC on. What an account's bill "
                "would be now is at GET /operator/v1/accounts/{account_id}/invoices/preview"
            ) from error
        await _audit(tx, run)
    with progress(f"Closing {period}") as bar:
        watching = asyncio.create_task(_watch(database, run.run_id, bar)) if bar.is_seen else None
        run = await invoices.complete(database, run_id=run.run_id, lanes=installed.settings.close_lanes)
        if watching is not None:
            watching.cancel()
    async with database.snapshot() as tx:
        made = (await invoices.get_progress(tx.connection, run_ids=[run.run_id]))[run.run_id]
        return run, made, await invoices.list_parked(tx.connection, run_id=run.run_id)


async def _watch(database: Database, run_id: UUID, bar: Bar) -> None:
    """Show how far a run is: each account is rated, and then its invoice issued."""
    while True:
        async with database.reading() as tx:
            now = (await invoices.get_progress(tx.connection, run_ids=[run_id]))[run_id]
        ended = now.accounts_done + now.accounts_parked
        bar.show(now.accounts_rated + ended, 2 * now.accounts_total)
        await asyncio.sleep(_LOOKS_EVERY_S)


async def _audit(tx: Tx, run: Run) -> None:
    action = audit.Action(
        actor=audit.Actor.program("billing close"),
        action="run.requested",
        objects={"run_id": ids.encode("run", run.run_id)},
        details={"period": str(run.period), "dry_run": run.dry_run},
    )
    await audit.write(tx, action)


def _show(run: Run, made: Progress) -> None:
    verb = "would make" if run.dry_run else "made"
    print(
        f"Closing {run.period} {verb} {_count(made.invoices, 'invoice')} for {_count(made.accounts_total, 'account')}."
    )
    if made.amount_minor_by_currency:
        rows = [
            [currency, f"{money.to_major(minor, currency):,}"]
            for currency, minor in made.amount_minor_by_currency.items()
        ]
        print_table(["currency", "amount"], rows, right={1})


def _count(number: int, thing: str) -> str:
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"
