"""The public routes of payments, below /v1: top-up and payment methods."""

from __future__ import annotations

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
from billing.kit.web import DESCRIBED, LIMITS_SIGNATURES, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta
from billing.payments import operations, rules, schemas, store
from billing.payments.model import (
    AmountOutOfRange,
    InvalidPaymentMethod,
    NotifyingGateway,
    PaymentDeclined,
    PaymentMethodInUse,
    PaymentSettings,
    TopUp,
)
from billing.payments.operations import Started, TopUps
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
    started: Started | None = None

    async def together(attempt: Attempt | None) -> dict[str, Any] | None:
        nonlocal started
        rules.require_in_range(asked.amount_minor, currency=asked.currency, allowed=allowed[asked.currency])
        started = await topups.start(asked, attempt=attempt)
        return None if started is None else {"payment_id": str(started.payment.payment_id)}

    async def start(tx: Tx) -> dict[str, Any]:
        payment = await operations.start_topup(
            tx, gateway=payment_settings.gateway, wanted=asked, allowed=allowed[asked.currency]
        )
        return {"payment_id": str(payment.payment_id)}

    async def finish(intent: dict[str, Any]) -> TopUpAnswer:
        payment = await topups.charge(
            account_id=writer.account_id, payment_id=UUID(intent["payment_id"]), started=started
        )
        if payment.status == "failed":
            raise PaymentDeclined(details={"reason": payment.failure_reason, "transaction_id": payment.transaction_id})
        wallet = await topups.get_wallet(
            account_id=writer.account_id, own_currency=writer.currency, currency=payment.currency
        )
        return TopUpAnswer(transaction=schemas.show_transaction(payment), wallet=wallets.show_wallet(wallet))

    return await command.run_staged(
        start=start,
        finish=finish,
        together=together,
        location=lambda answer: f"/account/transactions/{answer.transaction.id}",
    )


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
