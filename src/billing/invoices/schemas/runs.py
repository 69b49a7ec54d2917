"""Wire shapes of runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Literal
from uuid import UUID

from msgspec import Meta as Bound
from msgspec import Struct

from billing.core import ids, money
from billing.core.errors import Fault, InvalidParameter
from billing.invoices.model import ParkedAccount, Progress, Run
from billing.kit.web import Meta

RUN_PREFIX = "run"
ACCOUNTS_MAX = 10_000


class RunIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /runs."""

    kind: Literal["close"]
    period: str
    account_ids: Annotated[list[str], Bound(min_length=1, max_length=ACCOUNTS_MAX)] | None = None
    dry_run: bool = False


class ProgressShown(Struct, frozen=True, kw_only=True):
    """How far a run is."""

    accounts_total: int
    accounts_done: int
    accounts_parked: int
    invoices: int
    amount_by_currency: dict[str, Decimal]


class RunShown(Struct, frozen=True, kw_only=True):
    """A run."""

    id: str
    kind: Literal["close"]
    period: str
    status: str
    dry_run: bool
    progress: ProgressShown
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    errors: list[str]


class RunAnswer(Struct, frozen=True, kw_only=True):
    """One run, wrapped."""

    run: RunShown


class RunsOut(Struct, frozen=True, kw_only=True):
    """GET /runs."""

    runs: list[RunShown]
    meta: Meta


class ParkedShown(Struct, frozen=True, kw_only=True):
    """An account whose billing stopped, and why."""

    account_id: str
    reason: str


class ParkedOut(Struct, frozen=True, kw_only=True):
    """GET /runs/{id}/parked."""

    parked: list[ParkedShown]
    meta: Meta


class RetryIn(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """POST /runs/{id}/parked; with `accept_totals` an unusual total is billed after all."""

    accept_totals: bool = False


def refuse_accounts(found: Sequence[UUID | None]) -> list[UUID]:
    """The accounts of a body's `account_ids`. Raises InvalidParameter with each that is none."""
    missing = [index for index, one in enumerate(found) if one is None]
    if missing:
        raise InvalidParameter([Fault("body", f"account_ids[{at}]", "is not an account's id") for at in missing])
    return [one for one in found if one is not None]


def read_account_ids(texts: list[str] | None) -> list[UUID] | None:
    """The accounts named in a body. Raises InvalidParameter with each that is no account's id."""
    if texts is None:
        return None
    return refuse_accounts([ids.decode("acc", text) for text in texts])


def show_run(run: Run, progress: Progress) -> RunShown:
    """A run and how far it is."""
    return RunShown(
        id=ids.encode(RUN_PREFIX, run.run_id),
        kind="close",
        period=str(run.period),
        status=run.status,
        dry_run=run.dry_run,
        progress=ProgressShown(
            accounts_total=progress.accounts_total,
            accounts_done=progress.accounts_done,
            accounts_parked=progress.accounts_parked,
            invoices=progress.invoices,
            amount_by_currency={
                currency: money.to_major(minor, currency)
                for currency, minor in progress.amount_minor_by_currency.items()
            },
        ),
        created_at=run.created_at,
        started_at=run.started_at,
        finished_at=run.finished_at,
        errors=run.errors,
    )


def show_parked(parked: Sequence[ParkedAccount], *, meta: Meta) -> ParkedOut:
    """A page of the accounts whose billing stopped."""
    shown = [ParkedShown(account_id=ids.encode("acc", one.account_id), reason=one.reason) for one in parked]
    return ParkedOut(parked=shown, meta=meta)
