"""What the figures of alerts are at an instant: of the rating statement and the wallets, as their owners see them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing import catalog, rating, wallets
from billing.alerts import rules
from billing.alerts.model import TOLD_SHOWN, Alert, Figure, Measured, Subject, Told, Value
from billing.alerts.store import alerts as alert_store
from billing.alerts.store import figures as store
from billing.alerts.store import firings as firing_store
from billing.core.page import Page, PageRequest
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from billing.wallets import Reserve


async def measure(
    reading: rating.Reading, *, subjects: Sequence[Subject], period: Period, at: datetime, reserve: Reserve
) -> list[Value]:
    """The figure of each subject in a month up to an instant, or in the wallet at it; the instant may lie ahead.

    The same few statements however many accounts there are. The reading should see one state throughout.
    """
    figures = {(subject.account_id, subject.figure) for subject in subjects}
    terms = await store.list_terms(reading.connection, account_ids=list({account_id for account_id, _ in figures}))
    values: dict[tuple[UUID, Figure], Value] = {}
    values |= await _measure_costs(reading, figures, terms, period=period, at=min(at, period.end))
    values |= await _measure_parts(reading, figures, period=period, at=min(at, period.end))
    values |= await _measure_wallets(reading, figures, terms, at=at, reserve=reserve)
    return [values[subject.account_id, subject.figure] for subject in subjects]


_Figures = Collection[tuple[UUID, Figure]]
_Values = dict[tuple[UUID, Figure], Value]


async def _measure_costs(
    reading: rating.Reading, figures: _Figures, terms: Mapping[UUID, store.Terms], *, period: Period, at: datetime
) -> _Values:
    """Net and gross costs of whole accounts."""
    asked = [key for key in figures if key[1].kind in {"net", "gross"} and key[1].item is None]
    if not asked:
        return {}
    # Of all accounts at once: what those with wallets reserve then needs no rating of its own.
    account_ids = dict.fromkeys(account_id for account_id, _ in figures)
    totals = await reading.list_totals(account_ids=account_ids, period=period, as_of=at)
    taxes: dict[str, list[catalog.TaxRate]] = {}
    if any(figure.kind == "gross" for _, figure in asked):
        for rate in await catalog.list_tax_rates(reading.connection, at=at.date()):
            taxes.setdefault(rate.country, []).append(rate)
    found: _Values = {}
    for account_id, figure in asked:
        net_minor, _ = totals[account_id]
        own = terms[account_id]
        rates = taxes.get(own.country, []) if figure.kind == "gross" and own.country and not own.is_exempt else []
        found[account_id, figure] = net_minor + sum(rating.tax_minor(net_minor, rate.percent) for rate in rates)
    return found


async def _measure_parts(reading: rating.Reading, figures: _Figures, *, period: Period, at: datetime) -> _Values:
    """Quantities of meters, and net costs of projects."""
    found: _Values = {}
    metered = [key for key in figures if key[1].kind == "metric"]
    if metered:
        quantities = await store.list_quantities(
            reading.connection,
            account_ids=list({account_id for account_id, _ in metered}),
            period=period,
            as_of=at,
            meters={str(figure.item) for _, figure in metered},
        )
        found |= {(one, figure): quantities.get((one, str(figure.item)), 0) for one, figure in metered}
    grouped = [(account_id, figure) for account_id, figure in figures if isinstance(figure.item, UUID)]
    if grouped:
        account_ids = list({account_id for account_id, _ in grouped})
        costs_minor = await store.list_project_costs(
            reading.connection, account_ids=account_ids, period=period, as_of=at
        )
        for account_id, figure in grouped:
            assert isinstance(figure.item, UUID)
            found[account_id, figure] = costs_minor.get((account_id, figure.item), 0)
    return found


async def _measure_wallets(
    reading: rating.Reading, figures: _Figures, terms: Mapping[UUID, store.Terms], *, at: datetime, reserve: Reserve
) -> _Values:
    """What is available."""
    kept = [key for key in figures if key[1].kind == "available"]
    if not kept:
        return {}
    own_currencies = {account_id: terms[account_id].currency for account_id, _ in kept}
    found = await wallets.list_wallets_of(reading, own_currencies=own_currencies, now=at, reserve=reserve)
    available_minor = {
        (account_id, wallet.currency): wallet.available_minor for account_id, owned in found.items() for wallet in owned
    }
    return {(account_id, figure): available_minor.get((account_id, str(figure.item)), 0) for account_id, figure in kept}


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
        rating.Reading(tx.connection),
        subjects=[rules.subject_of(alert) for alert in alerts],
        period=Period.containing(tx.now),
        at=tx.now,
        reserve=reserve,
    )
    last_fired = await firing_store.list_last_fired(
        tx.connection, account_id=alerts[0].account_id, alert_ids=[alert.alert_id for alert in alerts]
    )
    return [Measured(alert, value, last_fired.get(alert.alert_id)) for alert, value in zip(alerts, values, strict=True)]
