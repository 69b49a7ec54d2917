"""What is done with wallets: read them, set money aside, grant promotional credit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from billing import ledger, rating
from billing.core import money
from billing.core.errors import NotFound
from billing.kit.db import Tx
from billing.wallets import rules, store
from billing.wallets.model import (
    CaptureAboveHold,
    Credit,
    CreditNotUndoable,
    CreditStanding,
    Hold,
    HoldNotOpen,
    HoldReferenceReused,
    OwnCash,
    Wallet,
)

if TYPE_CHECKING:
    from billing.kit.db import Connection

# R of each account's own currency at an instant, in minor units, between 0 and the cash given: what coming bills take.
# Called as reserve(reading, now, {account_id: (currency, cash_minor)}); accounts that it leaves out reserve nothing.
Reserve: TypeAlias = "Callable[[rating.Reading, datetime, Mapping[UUID, OwnCash]], Awaitable[Mapping[UUID, int]]]"


@dataclass(frozen=True, slots=True)
class WalletSettings:
    """How this installation keeps wallets: what is reserved in them, and the currencies that they may hold."""

    reserve: Reserve
    currencies: frozenset[str]


async def nothing_reserved(reading: rating.Reading, now: datetime, cash: Mapping[UUID, OwnCash]) -> Mapping[UUID, int]:
    """The reserve of an installation that rates nothing."""
    del reading, now, cash
    return {}


async def reserve_for_usage(reading: rating.Reading, now: datetime, cash: Mapping[UUID, OwnCash]) -> Mapping[UUID, int]:
    """R: what the months not yet billed and a day more of what runs will take, after promotional credit.

    The same few statements however many accounts there are.
    """
    bases = await rating.list_reserve_bases(reading, account_ids=list(cash), now=now)
    credit_minor = await _list_usable_credit(reading.connection, now=now, cash=cash, bases=bases)
    return {
        account_id: rules.reserve_of(
            cash_minor=own.cash_minor,
            unbilled_minor=bases[account_id].unbilled_minor,
            credit_minor=credit_minor.get(account_id, 0),
            next_day_minor=bases[account_id].next_day_minor,
        )
        for account_id, own in cash.items()
    }


async def _list_usable_credit(
    connection: Connection,
    *,
    now: datetime,
    cash: Mapping[UUID, OwnCash],
    bases: Mapping[UUID, rating.ReserveBasis],
) -> dict[UUID, int]:
    """P: what promotional credit would pay of the months not yet billed if each were closed as it stands, oldest first."""
    unbilled = [
        account_id for account_id, basis in bases.items() if any(month.total_minor > 0 for month in basis.months)
    ]
    if not unbilled:
        return {}
    credits = {
        account_id: own
        for account_id, found in (await store.list_unspent_credits(connection, account_ids=unbilled)).items()
        if (own := [one for one in found if one[0].currency == cash[account_id].currency])
    }
    asked = {
        rating.DaysOfMonth(account_id, month.period, *days)
        for account_id, own in credits.items()
        for month in bases[account_id].months
        for credit, _ in own
        if (days := rules.days_covered(credit, month.period)) and days != (month.period.start, month.period.end)
    }
    nets = await rating.list_net_within(connection, asked=asked, now=now) if asked else {}
    return {
        account_id: _spend(account_id, own, months=bases[account_id].months, nets=nets)
        for account_id, own in credits.items()
    }


def _spend(
    account_id: UUID,
    credits: Sequence[tuple[Credit, int]],
    *,
    months: Sequence[rating.UnbilledMonth],
    nets: Mapping[rating.DaysOfMonth, tuple[Fraction, int]],
) -> int:
    used_minor = 0
    for month in months:
        limits_minor: dict[UUID, int] = {}
        for credit, _ in credits:
            days = rules.days_covered(credit, month.period)
            within = nets.get(rating.DaysOfMonth(account_id, month.period, *days)) if days else None
            if within is not None:
                net_inside, net = within
                limits_minor[credit.credit_id] = int(month.total_minor * net_inside / net) if net else 0
        credits, paid_minor = rules.spend_credits(
            credits, month.total_minor, period=month.period, limits_minor=limits_minor
        )
        used_minor += paid_minor
    return used_minor


async def list_wallets(
    connection: Connection, *, account_id: UUID, own_currency: str, now: datetime, reserve: Reserve
) -> list[Wallet]:
    """The account's wallets, its own currency's first. Call it in a snapshot, or with the account's head locked."""
    reading = rating.Reading(connection)
    return (await list_wallets_of(reading, own_currencies={account_id: own_currency}, now=now, reserve=reserve))[
        account_id
    ]


async def list_wallets_of(
    reading: rating.Reading, *, own_currencies: Mapping[UUID, str], now: datetime, reserve: Reserve
) -> dict[UUID, list[Wallet]]:
    """The same of several accounts, given with their own currencies, by the same few statements."""
    account_ids = list(own_currencies)
    balances_minor = await ledger.list_live_balances_of(reading.connection, account_ids=account_ids)
    expired_minor = await store.list_expired(reading.connection, account_ids=account_ids, now=now)
    kept = {
        account_id: rules.cash_by_currency(
            balances_minor[account_id], expired_minor=expired_minor[account_id], own_currency=own_currency
        )
        for account_id, own_currency in own_currencies.items()
    }
    cash = {
        account_id: OwnCash(own_currency, cash_minor)
        for account_id, own_currency in own_currencies.items()
        if (cash_minor := kept[account_id][own_currency].cash_minor) > 0
    }
    reserved_minor: Mapping[UUID, int] = await reserve(reading, now, cash) if cash else {}
    return {
        account_id: [
            rules.shown(
                currency,
                held,
                reserve_minor=reserved_minor.get(account_id, 0) if currency == own_currencies[account_id] else 0,
            )
            for currency, held in by_currency.items()
        ]
        for account_id, by_currency in kept.items()
    }


async def get_wallet(
    connection: Connection, *, account_id: UUID, currency: str, own_currency: str, now: datetime, reserve: Reserve
) -> Wallet:
    """One currency's wallet, empty if it never had money. Call it in a snapshot, or with the account's head locked."""
    found = await list_wallets(connection, account_id=account_id, own_currency=own_currency, now=now, reserve=reserve)
    return rules.of_currency(found, currency)


async def place_hold(
    tx: Tx,
    *,
    account_id: UUID,
    own_currency: str,
    currency: str,
    amount_minor: int,
    reference: str,
    expires_at: datetime,
    reserve: Reserve,
) -> Hold:
    """Set money aside until `expires_at`. The same reference with the same content is a replay.

    Raises HoldReferenceReused for other content, InsufficientBalance with required, available and currency.
    """
    await ledger.lock_head(tx.connection, account_id=account_id)
    existing = await store.find_hold_by_reference(tx.connection, account_id=account_id, reference=reference)
    if existing is not None:
        if (existing.currency, existing.amount_minor, existing.expires_at) != (currency, amount_minor, expires_at):
            raise HoldReferenceReused
        return existing
    await release_expired(tx, account_id=account_id)
    await require_available(
        tx,
        account_id=account_id,
        own_currency=own_currency,
        currency=currency,
        amount_minor=amount_minor,
        reserve=reserve,
    )
    hold = Hold(account_id, tx.new_id(), reference, currency, amount_minor, None, "open", tx.now, expires_at, None)
    await store.insert_hold(tx.connection, hold)
    await ledger.post(
        tx.connection,
        ledger.hold_placed(
            account_id=account_id, hold_id=hold.hold_id, currency=currency, amount_minor=amount_minor, at=tx.now
        ),
        recorded_at=tx.now,
    )
    return hold


async def lock_open_hold(tx: Tx, *, hold_id: UUID) -> Hold:
    """An open hold, its account's books locked until the transaction ends. Raises NotFound, HoldNotOpen."""
    account_id = await store.find_hold_account(tx.connection, hold_id=hold_id)
    if account_id is None:
        raise NotFound
    await ledger.lock_head(tx.connection, account_id=account_id)  # before the hold, as everywhere: no two locks cross
    hold = await store.get_hold(tx.connection, account_id=account_id, hold_id=hold_id)
    if not hold.is_open(tx.now):
        raise HoldNotOpen(details={"status": hold.shown_status(tx.now)})
    return hold


async def capture_hold(tx: Tx, *, hold: Hold, amount_minor: int | None) -> Hold:
    """Take the money of a locked open hold as revenue, all of it or `amount_minor`, and give the rest back.

    Raises CaptureAboveHold.
    """
    captured_minor = hold.amount_minor if amount_minor is None else amount_minor
    if captured_minor > hold.amount_minor:
        raise CaptureAboveHold(
            details={"held": money.to_major(hold.amount_minor, hold.currency), "currency": hold.currency}
        )
    transfers = [
        ledger.hold_captured(
            account_id=hold.account_id,
            hold_id=hold.hold_id,
            currency=hold.currency,
            amount_minor=captured_minor,
            at=tx.now,
        )
    ]
    if captured_minor < hold.amount_minor:
        transfers.append(_release_transfer(hold, hold.amount_minor - captured_minor, at=tx.now))
    await ledger.post_all(tx.connection, transfers, recorded_at=tx.now)
    await store.mark_captured(
        tx.connection, account_id=hold.account_id, hold_id=hold.hold_id, captured_minor=captured_minor, now=tx.now
    )
    return replace(hold, status="captured", captured_minor=captured_minor, ended_at=tx.now)


async def release_hold(tx: Tx, *, hold: Hold) -> Hold:
    """Give the money of a locked open hold back."""
    await ledger.post(tx.connection, _release_transfer(hold, hold.amount_minor, at=tx.now), recorded_at=tx.now)
    await store.mark_released(tx.connection, account_id=hold.account_id, hold_id=hold.hold_id, now=tx.now)
    return replace(hold, status="released", ended_at=tx.now)


async def release_expired(tx: Tx, *, account_id: UUID) -> None:
    """Post the release of the account's expired holds: a spend does so first. The account's head must be locked."""
    expired = await store.mark_expired_released(tx.connection, account_id=account_id, now=tx.now)
    transfers = [_release_transfer(hold, hold.amount_minor, at=hold.expires_at) for hold in expired]
    await ledger.post_all(tx.connection, transfers, recorded_at=tx.now)


async def require_available(
    tx: Tx, *, account_id: UUID, own_currency: str, currency: str, amount_minor: int, reserve: Reserve
) -> None:
    """Raise InsufficientBalance unless that much is available. With the account's head locked it stays true."""
    wallet = await get_wallet(
        tx.connection, account_id=account_id, currency=currency, own_currency=own_currency, now=tx.now, reserve=reserve
    )
    if wallet.available_minor < amount_minor:
        raise ledger.InsufficientBalance(
            details={
                "required": money.to_major(amount_minor, currency),
                "available": money.to_major(wallet.available_minor, currency),
                "currency": currency,
            }
        )


async def post_arrivals(
    tx: Tx, arrivals: Sequence[tuple[ledger.Transfer, UUID]], *, beside: Sequence[ledger.Transfer] = ()
) -> None:
    """Post transfers that bring cash, each with what brought it, and in the same posting what they pay of what their accounts
    owe: as much as they can, in their order. Transfers that bring none may be posted `beside` them, before.

    The accounts' heads must be locked.
    """
    account_ids = {arrival.account_id for arrival, _ in arrivals}
    balances_minor = (
        await ledger.list_live_balances_of(tx.connection, account_ids=list(account_ids)) if arrivals else {}
    )
    transfers = [*beside]
    for arrival, reference in arrivals:
        own_minor = balances_minor[arrival.account_id]
        owed = (arrival.currency, ledger.OWED)
        paid_minor = min(arrival.amount_minor, -own_minor.get(owed, 0))
        transfers.append(arrival)
        if paid_minor > 0:
            own_minor[owed] += paid_minor
            transfers.append(
                ledger.owed_paid(
                    account_id=arrival.account_id,
                    reference=reference,
                    currency=arrival.currency,
                    amount_minor=paid_minor,
                    at=tx.now,
                )
            )
    await ledger.post_all(tx.connection, transfers, recorded_at=tx.now)


async def grant_credit(
    tx: Tx,
    *,
    account_id: UUID,
    currency: str,
    amount_minor: int,
    reason: str,
    priority: int,
    expires_at: datetime | None,
) -> Credit:
    """Give promotional credit: it pays for usage, it is no money of the wallet."""
    credit = Credit(account_id, tx.new_id(), currency, amount_minor, reason, priority, tx.now, expires_at)
    await store.insert_credit(tx.connection, credit)
    await ledger.post(
        tx.connection,
        ledger.credit_granted(
            account_id=account_id, credit_id=credit.credit_id, currency=currency, amount_minor=amount_minor, at=tx.now
        ),
        recorded_at=tx.now,
    )
    return credit


async def undo_credit(tx: Tx, *, account_id: UUID, credit_id: UUID, reason: str) -> CreditStanding:
    """Take a promotional credit back whole: the reversal of its grant.

    Raises NotFound, and CreditNotUndoable when some of it was spent, it has expired or was undone before.
    """
    await ledger.lock_head(tx.connection, account_id=account_id)
    standing = await store.get_credit(tx.connection, account_id=account_id, credit_id=credit_id)
    credit = standing.credit
    if standing.remaining_minor < credit.amount_minor:
        raise CreditNotUndoable(
            details={
                "status": standing.status_at(tx.now),
                "remaining": money.to_major(standing.remaining_minor, credit.currency),
                "currency": credit.currency,
            }
        )
    await store.insert_undoing(tx.connection, account_id=account_id, credit_id=credit_id, reason=reason, now=tx.now)
    undone = ledger.credit_undone(
        account_id=account_id,
        credit_id=credit_id,
        currency=credit.currency,
        amount_minor=credit.amount_minor,
        at=tx.now,
    )
    await ledger.post(tx.connection, undone, recorded_at=tx.now)
    return replace(standing, remaining_minor=0, undone_at=tx.now)


def _release_transfer(hold: Hold, amount_minor: int, *, at: datetime) -> ledger.Transfer:
    return ledger.hold_released(
        account_id=hold.account_id, hold_id=hold.hold_id, currency=hold.currency, amount_minor=amount_minor, at=at
    )
