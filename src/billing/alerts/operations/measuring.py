"""What the figures of alerts are at an instant: of the rating statement and the wallets, as their owners see them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING
from uuid import UUID

from billing import catalog, rating, wallets
from billing.alerts import rules
from billing.alerts.model import TOLD_SHOWN, Alert, Figure, Measured, Subject, Told
from billing.alerts.store import alerts as alert_store
from billing.alerts.store import figures as store
from billing.alerts.store import firings as firing_store
from billing.core.page import Page, PageRequest
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.kit.db import Connection, Tx
    from billing.wallets import Reserve


async def measure(
    connection: Connection, *, subjects: Sequence[Subject], period: Period, at: datetime, reserve: Reserve
) -> list[Fraction]:
    """The figure of each subject in a month up to an instant, or in the wallet at it; the instant may lie ahead.

    The same few statements however many accounts there are. The connection should see one state throughout.
    """
    rated = list(dict.fromkeys(subject.account_id for subject in subjects if subject.is_monthly))
    kept = list(dict.fromkeys(subject.account_id for subject in subjects if not subject.is_monthly))
    terms = await store.list_terms(connection, account_ids=[*rated, *kept])
    months: dict[UUID, store.MonthFigures] = {}
    if rated:
        meters = {str(subject.figure.item) for subject in subjects if subject.figure.kind == "metric"}
        months = await store.list_figures(
            connection, account_ids=rated, period=period, as_of=min(at, period.end), meters=meters
        )
    taxes: dict[str, list[catalog.TaxRate]] = {}
    if any(subject.figure.kind == "gross" for subject in subjects):
        for rate in await catalog.list_tax_rates(connection, at=min(at, period.end).date()):
            taxes.setdefault(rate.country, []).append(rate)
    available: dict[tuple[UUID, str], int] = {}
    if kept:
        own_currencies = {account_id: terms[account_id].currency for account_id in kept}
        found = await wallets.list_wallets_of(connection, own_currencies=own_currencies, now=at, reserve=reserve)
        for account_id, owned in found.items():
            for wallet in owned:
                available[account_id, wallet.currency] = wallet.available_minor

    def value_of(subject: Subject) -> Fraction:
        account_id, (kind, item) = subject.account_id, subject.figure
        if kind == "available":
            return Fraction(available.get((account_id, str(item)), 0))
        return _monthly(subject.figure, months.get(account_id), terms[account_id], taxes)

    return [value_of(subject) for subject in subjects]


def _monthly(
    figure: Figure, month: store.MonthFigures | None, terms: store.Terms, taxes: dict[str, list[catalog.TaxRate]]
) -> Fraction:
    if month is None:
        return Fraction(0)
    if figure.kind == "metric":
        return month.quantities.get(str(figure.item), Fraction(0))
    if isinstance(figure.item, UUID):
        return Fraction(month.net_minor.get(figure.item, 0))
    net_minor = sum(month.net_minor.values())
    if figure.kind == "net" or terms.country is None or terms.is_exempt:
        return Fraction(net_minor)
    rates = taxes.get(terms.country, [])
    return Fraction(net_minor + sum(rating.tax_minor(net_minor, rate.percent) for rate in rates))


async def list_with_history(
    tx: Tx, *, account_id: UUID, page: PageRequest, reserve: Reserve
) -> tuple[Page[Measured], list[Told]]:
    """A page of the account's alerts as they stand now, oldest first, and the newest of what was told."""
    found = await alert_store.list_alerts(tx.connection, account_id=account_id, page=page)
    measured = await measure_alerts(tx, alerts=found.items, reserve=reserve)
    told = await firing_store.list_told(tx.connection, account_id=account_id, limit=TOLD_SHOWN)
    return Page(measured, found.total, found.next_key), told


async def measure_alerts(tx: Tx, *, alerts: Sequence[Alert], reserve: Reserve) -> list[Measured]:
    """Alerts of one account as they stand now."""
    if not alerts:
        return []
    values = await measure(
        tx.connection,
        subjects=[rules.subject_of(alert) for alert in alerts],
        period=Period.containing(tx.now),
        at=tx.now,
        reserve=reserve,
    )
    last_fired = await firing_store.list_last_fired(
        tx.connection, account_id=alerts[0].account_id, alert_ids=[alert.alert_id for alert in alerts]
    )
    return [Measured(alert, value, last_fired.get(alert.alert_id)) for alert, value in zip(alerts, values, strict=True)]
