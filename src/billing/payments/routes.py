"""The public routes of payments, below /v1: top-up and payment methods."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any
from uuid import UUID

from litestar import delete, get, post, put

from billing import wallets
from billing.accounts import CurrencyNotSupported
from billing.core import ids
from billing.core.errors import NotFound
from billing.kit.auth import Caller, Headers
from billing.kit.db import Database
from billing.kit.idempotency import Attempt
from billing.kit.web import (
    DESCRIBED,
    LIMITS_SIGNATURES,
    Answer,
    Command,
    Described,
    Keeping,
    PageQuery,
    RawBody,
    RawQuery,
    meta,
)
from billing.payments import operations, rules, schemas, store
from billing.payments.model import (
    AmountOutOfRange,
    AmountRange,
    Gateway,
    InvalidPaymentMethod,
    NotifyingGateway,
    Payment,
    PaymentDeclined,
    PaymentMethodInUse,
    PaymentSettings,
    TopUp,
)
from billing.payments.operations import Keep, Started, TopUps
from billing.payments.schemas import (
    PaymentMethodAnswer,
    PaymentMethodChange,
    PaymentMethodIn,
    PaymentMethodsOut,
    TopUpAnswer,
    TopUpIn,
)

if TYPE_CHECKING:
    from billing.kit.db import Tx


@post(
    "/account/wallets/topup",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(
            summary="Add funds to a wallet",
            section="Billing Management",
            answer=TopUpAnswer,
            statuses=(201,),
            body=TopUpIn,
            errors=(AmountOutOfRange, CurrencyNotSupported, PaymentDeclined),
            located=True,
        ),
        "suspended_ok": True,
    },
)
async def top_up(
    writer: Caller, body: RawBody, command: Command, payment_settings: PaymentSettings, topups: TopUps
) -> Answer:
    """Add money to a wallet with a saved payment method.

    The transaction is `completed` when the money has arrived and `pending` when the gateway has not said yet: read
    `GET /account/transactions/{transaction_id}` until it has. A charge that is declined is refused with
    `payment_declined`. Send an `Idempotency-Key`: a retry then never charges twice.
    """
    wanted = body.read(TopUpIn)
    allowed = payment_settings.topup_ranges
    amount_minor = wanted.read_minor(enabled=allowed.keys())
    asked = TopUp(
        account_id=writer.account_id,
        payment_method_id=ids.expect("pm", wanted.payment_method),
        currency=wanted.currency,
        amount_minor=amount_minor,
    )
    call = _TopUpCall(writer, asked, allowed[asked.currency], payment_settings.gateway, topups)
    return await command.run_staged(
        start=call.start,
        finish=call.finish,
        together=call.start_together,
        location=lambda answer: f"/account/transactions/{answer.transaction.id}",
    )


class _TopUpCall:
    """A top-up on its way: its intent, then its outcome; where both are shared with other calls, its answer is kept there."""

    def __init__(self, writer: Caller, asked: TopUp, allowed: AmountRange, gateway: Gateway, topups: TopUps) -> None:
        self._writer = writer
        self._asked = asked
        self._allowed = allowed
        self._gateway = gateway
        self._topups = topups
        self._started: Started | None = None
        self._keep: Keep | None = None
        self._answer: Answer | None = None

    async def start_together(self, keeping: Keeping[TopUpAnswer]) -> dict[str, Any] | None:
        """The intent, kept with those of others; None when it has to be kept alone."""
        rules.require_in_range(self._asked.amount_minor, currency=self._asked.currency, allowed=self._allowed)
        if keeping.attempt is not None:
            self._keep = partial(self._make_answer, keeping, keeping.attempt)
        self._started = await self._topups.start(self._asked, attempt=keeping.attempt)
        return None if self._started is None else {"payment_id": str(self._started.payment.payment_id)}

    async def start(self, tx: Tx) -> dict[str, Any]:
        """The intent of this call alone."""
        payment = await operations.start_topup(tx, gateway=self._gateway, wanted=self._asked, allowed=self._allowed)
        return {"payment_id": str(payment.payment_id)}

    async def finish(self, intent: dict[str, Any]) -> TopUpAnswer | Answer:
        """What became of the intent: an Answer if it is kept already."""
        outcome = await self._topups.charge(
            account_id=self._writer.account_id,
            own_currency=self._writer.currency,
            payment_id=UUID(intent["payment_id"]),
            started=self._started,
            keep=self._keep,
        )
        payment, wallet = outcome.payment, outcome.wallet
        if payment.status == "failed":
            raise PaymentDeclined(details={"reason": payment.failure_reason, "transaction_id": payment.transaction_id})
        if wallet is not None and self._answer is not None:
            return self._answer
        if wallet is None:
            wallet = await self._topups.get_wallet(
                account_id=self._writer.account_id, own_currency=self._writer.currency, currency=payment.currency
            )
        return _show_topup(payment, wallet)

    def _make_answer(
        self, keeping: Keeping[TopUpAnswer], attempt: Attempt, payment: Payment, wallet: wallets.Wallet
    ) -> tuple[Attempt, Answer]:
        self._answer = keeping.answer_of(_show_topup(payment, wallet))
        return attempt, self._answer


def _show_topup(payment: Payment, wallet: wallets.Wallet) -> TopUpAnswer:
    return TopUpAnswer(transaction=schemas.show_transaction(payment), wallet=wallets.show_wallet(wallet))


@get(
    "/account/payment-methods",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(summary="List payment methods", section="Payment Methods", query=PageQuery),
    },
)
async def list_methods(reader: Caller, query: RawQuery, db: Database) -> PaymentMethodsOut:
    """The saved payment methods, newest first."""
    _, page = query.read_page(PageQuery)
    async with db.reading() as reading:
        found = await store.list_methods(reading.connection, account_id=reader.account_id, page=page)
    return PaymentMethodsOut(
        payment_methods=[schemas.show_method(method) for method in found.items], meta=meta(page, found)
    )


@post(
    "/account/payment-methods",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(
            summary="Add a payment method",
            section="Payment Methods",
            answer=PaymentMethodAnswer,
            statuses=(201,),
            body=PaymentMethodIn,
            errors=(InvalidPaymentMethod,),
            located=True,
        ),
        "suspended_ok": True,
    },
)
async def add_method(
    writer: Caller, body: RawBody, db: Database, command: Command, payment_settings: PaymentSettings
) -> Answer:
    """Save the payment method that a token of the payment form stands for.

    Card numbers never come here: the form of the gateway gives a token in their place, and a body that holds what looks like
    a card number is refused with `card_number_refused`.
    """
    wanted = body.read(PaymentMethodIn)

    async def start(tx: Tx) -> dict[str, Any]:
        return {"payment_method_id": str(tx.new_id())}

    async def finish(intent: dict[str, Any]) -> PaymentMethodAnswer:
        method = await operations.attach_method(
            db,
            payment_settings.gateway,
            account_id=writer.account_id,
            payment_method_id=UUID(intent["payment_method_id"]),
            type=wanted.type,
            token=wanted.token,
            is_default=wanted.set_default,
        )
        return PaymentMethodAnswer(payment_method=schemas.show_method(method))

    return await command.run_staged(
        start=start, finish=finish, location=lambda answer: f"/account/payment-methods/{answer.payment_method.id}"
    )


@get(
    "/account/payment-methods/{payment_method_id:str}",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(summary="Get a payment method", section="Payment Methods", is_extension=True),
    },
)
async def show_method(reader: Caller, payment_method_id: str, db: Database) -> PaymentMethodAnswer:
    """One saved payment method."""
    async with db.reading() as reading:
        method = await store.get_method(
            reading.connection,
            account_id=reader.account_id,
            payment_method_id=ids.expect("pm", payment_method_id),
        )
    return PaymentMethodAnswer(payment_method=schemas.show_method(method))


@put(
    "/account/payment-methods/{payment_method_id:str}",
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(
            summary="Make a payment method the default",
            section="Payment Methods",
            answer=PaymentMethodAnswer,
            body=PaymentMethodChange,
            is_extension=True,
        ),
        "suspended_ok": True,
    },
)
async def make_default(writer: Caller, payment_method_id: str, body: RawBody, command: Command) -> Answer:
    """Make a payment method the one that is charged when none is named."""
    identifier = ids.expect("pm", payment_method_id)
    body.read(PaymentMethodChange)

    async def work(tx: Tx) -> PaymentMethodAnswer:
        method = await operations.make_default(tx, account_id=writer.account_id, payment_method_id=identifier)
        return PaymentMethodAnswer(payment_method=schemas.show_method(method))

    return await command.run(work)


@delete(
    "/account/payment-methods/{payment_method_id:str}",
    status_code=200,
    opt={
        "rate_class": "billing",
        DESCRIBED: Described(
            summary="Delete a payment method", section="Payment Methods", statuses=(204,), errors=(PaymentMethodInUse,)
        ),
        "suspended_ok": True,
    },
)
async def delete_method(writer: Caller, payment_method_id: str, command: Command) -> Answer:
    """Remove a payment method. If it was the default, the newest of the others becomes it."""
    identifier = ids.expect("pm", payment_method_id)

    async def work(tx: Tx) -> None:
        await operations.delete_method(tx, account_id=writer.account_id, payment_method_id=identifier)

    return await command.run(work, status=204)


@post("/webhooks/{gateway:str}", opt={LIMITS_SIGNATURES: True})
async def take_gateway_notice(
    gateway: str, headers: Headers, body: RawBody, db: Database, payment_settings: PaymentSettings
) -> Answer:
    """Take in what a gateway says unasked, if it signed it: 204, and again 204 for what was taken before."""
    door = payment_settings.gateway
    if gateway != door.name or not isinstance(door, NotifyingGateway):
        raise NotFound
    notice = door.read_notice(headers, body.content, now=db.clock())
    async with db.transaction() as tx:
        await operations.take_notice(tx, gateway_name=gateway, notice=notice, body=body.content)
    return Answer(status=204)


GATEWAY_HANDLERS = [take_gateway_notice]
HANDLERS = [top_up, list_methods, show_method, add_method, make_default, delete_method]
