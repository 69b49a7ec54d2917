"""Top-ups: their intents, and what many callers want at once done by shared transactions. Intent ‖ gateway ‖ outcome (‖ = commit).

Each caller's gateway is asked for itself. What cannot be shared is done alone, so that nobody waits for another's account and
nobody hears of another's fault.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import UUID

from billing import ledger, rating, wallets
from billing.core.errors import NotFound
from billing.kit import idempotency
from billing.kit.db import ACQUIRE_TIMEOUT_S
from billing.kit.gathering import Gathered
from billing.payments import rules, store
from billing.payments.model import AmountRange, ChargeRequest, Gateway, Payment, PaymentMethod, TopUp
from billing.payments.operations import charging

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx
    from billing.kit.idempotency import Attempt

_LANES = 2  # while one waits for the disk, the other goes on


@dataclass(frozen=True, slots=True)
class Started:
    """A top-up whose intent is kept, and what its gateway is to be asked for."""

    payment: Payment
    request: ChargeRequest


async def start_topup(tx: Tx, *, gateway: Gateway, wanted: TopUp, allowed: AmountRange) -> Payment:
    """The intent of a top-up: the money stands on the wallet's pending side.

    Raises AmountOutOfRange, NotFound for a payment method that the account does not have.
    """
    rules.require_in_range(wanted.amount_minor, currency=wanted.currency, allowed=allowed)
    started = (await start_topups(tx, gateway=gateway, wanted=[wanted]))[0]
    if started is None:
        raise NotFound
    return started.payment


async def start_topups(tx: Tx, *, gateway: Gateway, wanted: Sequence[TopUp]) -> list[Started | None]:
    """The same of several top-ups, whose amounts are in range; None for one whose account does not have its payment method."""
    methods = await store.find_all_methods(
        tx.connection, wanted=[(one.account_id, one.payment_method_id) for one in wanted]
    )
    started: list[Started | None] = []
    for one in wanted:
        method = methods.get((one.account_id, one.payment_method_id))
        started.append(None if method is None else _begin(tx, gateway, one, method))
    payments = [one.payment for one in started if one is not None]
    if payments:
        due_at = rules.next_check_at(tx.now, checks=0, settles_after_s=gateway.settles_after_s)
        await store.insert_payments(tx.connection, payments, next_check_at=due_at)
        await ledger.post_all(tx.connection, [_transfer(payment) for payment in payments], recorded_at=tx.now)
    return started


def _begin(tx: Tx, gateway: Gateway, wanted: TopUp, method: PaymentMethod) -> Started:
    payment = rules.intent(
        kind="topup",
        method=method,
        payment_id=tx.new_id(),
        gateway_name=gateway.name,
        currency=wanted.currency,
        amount_minor=wanted.amount_minor,
        description=rules.topup_description(method),
        now=tx.now,
    )
    return Started(payment, ChargeRequest.of(payment, instrument_reference=method.gateway_reference))


def _transfer(payment: Payment) -> ledger.Transfer:
    return ledger.topup_started(
        account_id=payment.account_id,
        payment_id=payment.payment_id,
        gateway_name=payment.gateway,
        currency=payment.currency,
        amount_minor=payment.amount_minor,
        at=payment.created_at,
    )


class _NothingDone(Exception):
    """A shared transaction was rolled back: each of its callers may be served alone."""


@dataclass(frozen=True, slots=True, eq=False)
class _Call:
    """A call's top-up, and under which key its intent is kept; no two calls are the same."""

    wanted: TopUp
    attempt: Attempt | None


class TopUps:
    """Serves the top-ups of calls at once together: their intents, their outcomes, and the wallets that they are shown."""

    def __init__(self, database: Database, *, gateway: Gateway, reserve: wallets.Reserve) -> None:
        self._database = database
        self._gateway = gateway
        self._reserve = reserve
        self._starts = Gathered(self._start_all, limit_s=ACQUIRE_TIMEOUT_S, lanes=_LANES)
        self._outcomes = Gathered(self._settle_all, limit_s=ACQUIRE_TIMEOUT_S, lanes=_LANES)
        self._readings = Gathered(self._read_all, limit_s=ACQUIRE_TIMEOUT_S, lanes=_LANES)

    async def start(self, wanted: TopUp, *, attempt: Attempt | None) -> Started | None:
        """Keep the intent of a top-up, its amount in range, under its key; None when nothing was done and it has to be done
        alone.

        Raises GatheredTimeout when what was done is not known.
        """
        with suppress(_NothingDone):
            return await self._starts.get(_Call(wanted, attempt))
        return None

    async def charge(self, *, account_id: UUID, payment_id: UUID, started: Started | None) -> Payment:
        """Ask the gateway for a top-up and take down its answer, as `charge` does; `started` saves reading its intent."""
        if started is None:
            return await charging.charge(self._database, self._gateway, account_id=account_id, payment_id=payment_id)
        answer = await charging.ask(self._gateway, started.request)
        if answer is not None and answer.status == "succeeded" and rules.is_answer_to(answer, started.payment):
            with suppress(Exception):  # it may have been another's, and settling again is harmless
                if settled := await self._outcomes.get((account_id, payment_id)):
                    return settled
        return await charging.take_whatever(self._database, started.payment, answer)

    async def get_wallet(self, *, account_id: UUID, own_currency: str, currency: str) -> wallets.Wallet:
        """The wallet as it is after what was committed before this call."""
        with suppress(Exception):
            if found := await self._readings.get((account_id, own_currency)):
                return wallets.of_currency(found, currency)
        async with self._database.snapshot() as tx:
            return await wallets.get_wallet(
                tx.connection,
                account_id=account_id,
                currency=currency,
                own_currency=own_currency,
                now=tx.now,
                reserve=self._reserve,
            )

    async def _start_all(self, calls: Sequence[_Call]) -> dict[_Call, Started]:
        async with self._database.transaction() as tx:
            try:
                return await self._start_free(tx, calls)
            except Exception as error:
                raise _NothingDone from error

    async def _start_free(self, tx: Tx, calls: Sequence[_Call]) -> dict[_Call, Started]:
        free = await ledger.lock_free_heads(tx.connection, account_ids=[call.wanted.account_id for call in calls])
        calls = [call for call in calls if call.wanted.account_id in free]
        found = await start_topups(tx, gateway=self._gateway, wanted=[call.wanted for call in calls])
        started = {call: one for call, one in zip(calls, found, strict=True) if one is not None}
        intents = [
            (call.attempt, {"payment_id": str(one.payment.payment_id)})
            for call, one in started.items()
            if call.attempt is not None
        ]
        await idempotency.insert_intents(tx.connection, intents, now=tx.now)
        return started

    async def _settle_all(self, wanted: Sequence[tuple[UUID, UUID]]) -> dict[tuple[UUID, UUID], Payment]:
        async with self._database.transaction() as tx:
            free = await ledger.lock_free_heads(tx.connection, account_ids=[account_id for account_id, _ in wanted])
            return await charging.settle_held(tx, [one for one in wanted if one[0] in free])

    async def _read_all(self, wanted: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], list[wallets.Wallet]]:
        async with self._database.snapshot() as tx:
            found = await wallets.list_wallets_of(
                rating.Reading(tx.connection), own_currencies=dict(wanted), now=tx.now, reserve=self._reserve
            )
        return {(account_id, currency): found[account_id] for account_id, currency in wanted}
