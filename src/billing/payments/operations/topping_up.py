"""Top-ups: their intents, and what many callers want at once done by shared transactions. Intent ‖ gateway ‖ outcome (‖ = commit).

Each caller's gateway is asked for itself. What cannot be shared is done alone, so that nobody waits for another's account and
nobody hears of another's fault.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias
from uuid import UUID

from billing import ledger, rating, wallets
from billing.core.errors import NotFound
from billing.kit import idempotency
from billing.kit.gathering import Gathered, Later, get_soon
from billing.payments import rules, store
from billing.payments.model import AmountRange, ChargeRequest, Gateway, Payment, PaymentMethod, TopUp
from billing.payments.operations import charging

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx
    from billing.kit.idempotency import Attempt, KeptAnswer


Keep: TypeAlias = "Callable[[Payment, wallets.Wallet], tuple[Attempt, KeptAnswer]]"
"""Makes the answer to a top-up, and says under which key it is kept."""

_LANES = 2  # no account's books are wanted by both


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a top-up; its wallet, if it was read in the transaction that settled it, which kept the answer too."""

    payment: Payment
    wallet: wallets.Wallet | None = None


@dataclass(frozen=True, slots=True)
class Started:
    """A top-up whose intent is kept, and what its gateway is to be asked for."""

    payment: Payment
    request: ChargeRequest

    @property
    def transfer(self) -> ledger.Transfer:
        """What puts its money on the wallet's pending side."""
        return ledger.topup_started(
            account_id=self.payment.account_id,
            payment_id=self.payment.payment_id,
            gateway_name=self.payment.gateway,
            currency=self.payment.currency,
            amount_minor=self.payment.amount_minor,
            at=self.payment.created_at,
        )


async def start_topup(tx: Tx, *, gateway: Gateway, wanted: TopUp, allowed: AmountRange) -> Payment:
    """The intent of a top-up: the money stands on the wallet's pending side.

    Raises AmountOutOfRange, NotFound for a payment method that the account does not have.
    """
    rules.require_in_range(wanted.amount_minor, currency=wanted.currency, allowed=allowed)
    started = (await _begin_all(tx, gateway, [wanted]))[0]
    if started is None:
        raise NotFound
    await ledger.post(tx.connection, started.transfer, recorded_at=tx.now)
    return started.payment


async def _begin_all(tx: Tx, gateway: Gateway, wanted: Sequence[TopUp]) -> list[Started | None]:
    """Store payments, whose transfers are yet to be posted; None for one whose account does not have its payment method."""
    methods = await store.find_all_methods(
        tx.connection, wanted=[(one.account_id, one.payment_method_id) for one in wanted]
    )
    started: list[Started | None] = []
    for one in wanted:
        method = methods.get((one.account_id, one.payment_method_id))
        started.append(None if method is None else _begin(tx, gateway, one, method))
    due_at = rules.next_check_at(tx.now, checks=0, settles_after_s=gateway.settles_after_s)
    payments = [one.payment for one in started if one is not None]
    await store.insert_topups(tx.connection, payments, gateway=gateway.name, created_at=tx.now, next_check_at=due_at)
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


class _NothingDone(Exception):
    """A shared transaction was rolled back: each of its callers may be served alone."""


@dataclass(frozen=True, slots=True, eq=False)
class _Intent:
    """What a call wants, and under which key its intent is kept; no two calls are the same."""

    wanted: TopUp
    attempt: Attempt | None

    @property
    def account_id(self) -> UUID:
        return self.wanted.account_id


@dataclass(frozen=True, slots=True, eq=False)
class _Arrived:
    """A payment whose money has arrived, and what is to be kept with it once the wallet is known."""

    payment: Payment
    own_currency: str
    keep: Keep | None

    @property
    def account_id(self) -> UUID:
        return self.payment.account_id


def _account_of(turn: _Intent | _Arrived) -> UUID:
    return turn.account_id


class TopUps:
    """Serves the top-ups of calls at once together: their intents, their outcomes, and the wallets that they are shown.

    Of books that are held few wait with a session, and many who come later do not add to them.
    """

    def __init__(self, database: Database, *, gateway: Gateway, reserve: wallets.Reserve) -> None:
        self._database = database
        self._gateway = gateway
        self._reserve = reserve
        self._turns = Gathered(self._take_turns, limit_s=database.wait_s, lanes=_LANES, owner=_account_of)
        self._readings = Gathered(self._read_all, limit_s=database.wait_s, lanes=_LANES)

    async def start(self, wanted: TopUp, *, attempt: Attempt | None) -> Started | None:
        """Keep the intent of a top-up, its amount in range, under its key; None when nothing was done and it has to be done
        alone.

        Raises GatheredTimeout when what was done is not known.
        """
        with suppress(_NothingDone):
            started = await get_soon(self._turns, _Intent(wanted, attempt))
            assert not isinstance(started, Outcome)
            return started
        return None

    async def charge(
        self,
        *,
        account_id: UUID,
        own_currency: str,
        payment_id: UUID,
        started: Started | None,
        keep: Keep | None = None,
    ) -> Outcome:
        """Ask the gateway for a top-up and take down its answer, as `charge` does; `started` saves reading its intent.

        What `keep` makes is kept only where the outcome has a wallet.
        """
        if started is None:
            return Outcome(
                await charging.charge(self._database, self._gateway, account_id=account_id, payment_id=payment_id)
            )
        answer = await charging.ask(self._gateway, started.request)
        if answer is not None and answer.status == "succeeded" and rules.is_answer_to(answer, started.payment):
            with suppress(Exception):  # it may have been another's, and settling again is harmless
                settled = await get_soon(self._turns, _Arrived(started.payment, own_currency, keep))
                if isinstance(settled, Outcome):
                    return settled
        return Outcome(await charging.take_whatever(self._database, started.payment, answer))

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

    async def _take_turns(
        self, turns: Sequence[_Intent | _Arrived]
    ) -> dict[_Intent | _Arrived, Started | Outcome | Later]:
        """One transaction for the intents of some and the outcomes of others, but for accounts whose books are held."""
        async with self._database.transaction() as tx:
            try:
                accounts = [turn.account_id for turn in turns]
                free = await ledger.lock_free_heads(tx.connection, account_ids=accounts)
                mine = [turn for turn in turns if turn.account_id in free]
                started = await self._begin_kept(tx, [turn for turn in mine if isinstance(turn, _Intent)])
                arrived = [turn for turn in mine if isinstance(turn, _Arrived)]
                settled = await self._settle_kept(tx, arrived, beside=[one.transfer for one in started.values()])
            except Exception as error:
                raise _NothingDone from error
        held = dict.fromkeys((turn for turn in turns if turn.account_id not in free), Later())
        return {**held, **started, **settled}

    async def _settle_kept(
        self, tx: Tx, arrived: Sequence[_Arrived], *, beside: Sequence[ledger.Transfer]
    ) -> dict[_Arrived, Outcome]:
        """The outcomes, posted; the wallets are read while their books are held, so that answers are kept with what they tell."""
        settled = await charging.settle_held(
            tx, [(turn.account_id, turn.payment.payment_id) for turn in arrived], beside=beside
        )
        if not arrived:
            return {}
        found = await self._list_wallets(tx, {turn.account_id: turn.own_currency for turn in arrived})
        outcomes: dict[_Arrived, Outcome] = {}
        answers: list[tuple[Attempt, KeptAnswer]] = []
        for turn in arrived:
            payment = settled[turn.account_id, turn.payment.payment_id]
            if payment.status != "completed":
                outcomes[turn] = Outcome(payment)
                continue
            wallet = wallets.of_currency(found[turn.account_id], payment.currency)
            outcomes[turn] = Outcome(payment, wallet)
            if turn.keep is not None:
                answers.append(turn.keep(payment, wallet))
        if answers:
            await idempotency.update_answers(tx.connection, answers)
        return outcomes

    async def _begin_kept(self, tx: Tx, intents: Sequence[_Intent]) -> dict[_Intent, Started]:
        if not intents:
            return {}
        found = await _begin_all(tx, self._gateway, [intent.wanted for intent in intents])
        started = {intent: one for intent, one in zip(intents, found, strict=True) if one is not None}
        kept = [
            (intent.attempt, {"payment_id": str(one.payment.payment_id)})
            for intent, one in started.items()
            if intent.attempt is not None
        ]
        if kept:
            await idempotency.insert_intents(tx.connection, kept, now=tx.now)
        return started

    async def _read_all(self, wanted: Sequence[tuple[UUID, str]]) -> dict[tuple[UUID, str], list[wallets.Wallet]]:
        async with self._database.snapshot() as tx:
            found = await self._list_wallets(tx, dict(wanted))
        return {(account_id, currency): found[account_id] for account_id, currency in wanted}

    async def _list_wallets(self, tx: Tx, own_currencies: Mapping[UUID, str]) -> dict[UUID, list[wallets.Wallet]]:
        return await wallets.list_wallets_of(
            rating.Reading(tx.connection), own_currencies=own_currencies, now=tx.now, reserve=self._reserve
        )
