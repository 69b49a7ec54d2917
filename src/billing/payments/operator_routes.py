"""The operator's routes of payments, below /operator/v1: recorded money, refunds, chargebacks, the sandbox gateway's levers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from uuid import UUID

from litestar import get, post

from billing import accounts
from billing.accounts import CurrencyNotSupported
from billing.core import ids
from billing.core.errors import NotFound, Unavailable
from billing.kit.auth import Operator
from billing.kit.db import Database
from billing.kit.web import DESCRIBED, Answer, Command, Described, PageQuery, RawBody, RawQuery, meta
from billing.ledger import InsufficientBalance
from billing.payments import operations, schemas, store
from billing.payments.adapters.sandbox import SandboxGateway
from billing.payments.model import (
    ChargebackExceedsPayment,
    GatewayUnknown,
    PaymentNotPending,
    PaymentNotRefundable,
    PaymentReferenceReused,
    PaymentSettings,
    RefundDeclined,
    RefundExceedsPayment,
)
from billing.payments.schemas import (
    ChargebackAnswer,
    GivingBackIn,
    PaymentAnswer,
    PaymentsOut,
    PaymentsQuery,
    RecordedIn,
    RefundAnswer,
    RefundsOut,
    TransactionAnswer,
)
from billing.wallets import WalletSettings

if TYPE_CHECKING:
    from collections.abc import Awaitable

    from billing.kit.db import Connection, Tx
    from billing.payments.model import Charge, Payment


@post(
    "/accounts/{account_id:str}/payments",
    opt={
        DESCRIBED: Described(
            summary="Record a payment",
            section="Payments",
            answer=TransactionAnswer,
            statuses=(201,),
            body=RecordedIn,
            errors=(CurrencyNotSupported, PaymentReferenceReused),
            needs_key=True,
        )
    },
)
async def record_payment(
    payments_operator: Operator, account_id: str, body: RawBody, command: Command, wallet_settings: WalletSettings
) -> Answer:
    """Take down money that came another way, such as a bank transfer or a cheque."""
    command.require_key()
    identifier = _decoded("acc", account_id)
    wanted = body.read(RecordedIn)

    async def work(tx: Tx) -> TransactionAnswer:
        amount_minor = wanted.read_minor(enabled=wallet_settings.currencies, now=tx.now)
        await accounts.get_account(tx.connection, account_id=identifier)
        payment = await operations.record(
            tx,
            account_id=identifier,
            currency=wanted.currency,
            amount_minor=amount_minor,
            reference=wanted.reference,
            received_at=wanted.received_at,
        )
        return TransactionAnswer(transaction=schemas.show_transaction(payment))

    return await command.run(work, status=201)


@get(
    "/accounts/{account_id:str}/payments",
    opt={DESCRIBED: Described(summary="List an account's payments", section="Payments", query=PaymentsQuery)},
)
async def list_account_payments(
    payments_operator: Operator, account_id: str, query: RawQuery, db: Database
) -> PaymentsOut:
    """Top-ups, payments of invoices and recorded money of an account, newest first."""
    identifier = _decoded("acc", account_id)
    wanted, page = query.read_page(PaymentsQuery)
    async with db.snapshot() as snapshot:
        await accounts.get_account(snapshot.connection, account_id=identifier)
        found = await store.list_payments_page(
            snapshot.connection, account_id=identifier, kind=wanted.kind, status=wanted.status, page=page
        )
    return PaymentsOut(payments=[schemas.show_payment(one) for one in found.items], meta=meta(page, found))


@get("/payments/{payment_id:str}", opt={DESCRIBED: Described(summary="Get a payment", section="Payments")})
async def show_payment(payments_operator: Operator, payment_id: str, db: Database) -> PaymentAnswer:
    """One payment, and what went back of it."""
    async with db.snapshot() as snapshot:
        payment = await _get_payment(snapshot.connection, _decoded("pay", payment_id))
        captured = await store.get_captured(
            snapshot.connection, account_id=payment.account_id, payment_id=payment.payment_id
        )
    return schemas.show_payment_details(payment, captured)


@post(
    "/payments/{payment_id:str}/refunds",
    opt={
        DESCRIBED: Described(
            summary="Refund a payment",
            section="Payments",
            answer=RefundAnswer,
            statuses=(201,),
            body=GivingBackIn,
            errors=(PaymentNotRefundable, RefundExceedsPayment, InsufficientBalance, RefundDeclined),
            needs_key=True,
        )
    },
)
async def refund_payment(
    *,
    payments_operator: Operator,
    payment_id: str,
    body: RawBody,
    db: Database,
    command: Command,
    payment_settings: PaymentSettings,
    wallet_settings: WalletSettings,
) -> Answer:
    """Give a top-up back the way it came: all that is left of it, or `amount`.

    The money leaves the wallet at once; when the gateway declines, it is in the wallet again. A refund that the gateway has
    not settled yet is `pending`.
    """
    command.require_key()
    identifier = _decoded("pay", payment_id)
    wanted = body.read(GivingBackIn)
    gateway = payment_settings.gateway

    async def start(tx: Tx) -> dict[str, Any]:
        payment = await _get_payment(tx.connection, identifier)
        command.concerns(payment.account_id)
        account = await accounts.get_account(tx.connection, account_id=payment.account_id)
        refund = await operations.start_refund(
            tx,
            gateway=gateway,
            payment=payment,
            own_currency=account.currency,
            amount_minor=wanted.read_minor(payment.currency),
            reason=wanted.reason,
            reserve=wallet_settings.reserve,
        )
        return {"account_id": str(refund.account_id), "refund_id": str(refund.refund_id)}

    async def finish(intent: dict[str, Any]) -> RefundAnswer:
        refund = await operations.refund(
            db, gateway, account_id=UUID(intent["account_id"]), refund_id=UUID(intent["refund_id"])
        )
        shown = schemas.show_refund(refund)
        if refund.status == "failed":
            raise RefundDeclined(details={"reason": refund.failure_reason, "refund_id": shown.id})
        return RefundAnswer(refund=shown)

    return await command.run_staged(start=start, finish=finish)


@get(
    "/payments/{payment_id:str}/refunds",
    opt={DESCRIBED: Described(summary="List a payment's refunds", section="Payments", query=PageQuery)},
)
async def list_refunds(payments_operator: Operator, payment_id: str, query: RawQuery, db: Database) -> RefundsOut:
    """The refunds of a payment, newest first: to see what became of a pending one."""
    identifier = _decoded("pay", payment_id)
    _, page = query.read_page(PageQuery)
    async with db.snapshot() as snapshot:
        payment = await _get_payment(snapshot.connection, identifier)
        found = await store.list_refunds(
            snapshot.connection, account_id=payment.account_id, payment_id=payment.payment_id, page=page
        )
    return RefundsOut(refunds=[schemas.show_refund(refund) for refund in found.items], meta=meta(page, found))


@post(
    "/payments/{payment_id:str}/chargebacks",
    opt={
        DESCRIBED: Described(
            summary="Record a chargeback",
            section="Payments",
            answer=ChargebackAnswer,
            statuses=(201,),
            body=GivingBackIn,
            errors=(PaymentNotRefundable, ChargebackExceedsPayment),
            needs_key=True,
        )
    },
)
async def charge_back(payments_operator: Operator, payment_id: str, body: RawBody, command: Command) -> Answer:
    """Take down that a gateway took a payment back: all that is left of it, or `amount`. What the wallet lacks is owed."""
    command.require_key()
    identifier = _decoded("pay", payment_id)
    wanted = body.read(GivingBackIn)

    async def work(tx: Tx) -> ChargebackAnswer:
        payment = await _get_payment(tx.connection, identifier)
        command.concerns(payment.account_id)
        amount_minor = wanted.read_minor(payment.currency)
        chargeback = await operations.charge_back(tx, payment=payment, amount_minor=amount_minor, reason=wanted.reason)
        return ChargebackAnswer(chargeback=schemas.show_chargeback(chargeback))

    return await command.run(work, status=201)


@post(
    "/sandbox/payments/{payment_id:str}/settle",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Settle a pending sandbox payment",
            section="Payments",
            answer=TransactionAnswer,
            errors=(PaymentNotPending,),
        )
    },
)
async def settle_in_sandbox(
    payments_operator: Operator, payment_id: str, command: Command, db: Database, sandbox: SandboxGateway
) -> Answer:
    """Let a pending charge of the sandbox gateway succeed; it says so by a webhook, and is asked."""
    return await _take_down(command, db, sandbox, await _pull(sandbox.settle(str(_decoded("pay", payment_id)))))


@post(
    "/sandbox/payments/{payment_id:str}/fail",
    status_code=200,
    opt={
        DESCRIBED: Described(
            summary="Fail a pending sandbox payment",
            section="Payments",
            answer=TransactionAnswer,
            errors=(PaymentNotPending,),
        )
    },
)
async def fail_in_sandbox(
    payments_operator: Operator, payment_id: str, command: Command, db: Database, sandbox: SandboxGateway
) -> Answer:
    """Let a pending charge of the sandbox gateway fail; it says so by a webhook, and is asked."""
    return await _take_down(command, db, sandbox, await _pull(sandbox.fail(str(_decoded("pay", payment_id)))))


async def _pull(lever: Awaitable[Charge]) -> Charge:
    """What a lever did. Raises Unavailable while the sandbox cannot be reached."""
    try:
        return await lever
    except GatewayUnknown as error:
        raise Unavailable("The sandbox gateway does not answer; try again shortly") from error


async def _take_down(command: Command, db: Database, sandbox: SandboxGateway, charge: Charge) -> Answer:
    """What the sandbox says of a charge comes in as any gateway's webhook does; then it is asked at once, as the job would."""
    account_id, payment_id = _decoded("acc", charge.account_reference), UUID(charge.key)
    command.concerns(account_id)
    headers, body = sandbox.write_notice(charge)
    async with db.transaction() as tx:
        notice = sandbox.read_notice(headers, body, now=tx.now)
        await operations.take_notice(tx, gateway_name=sandbox.name, notice=notice, body=body)
    await operations.check(db, sandbox, account_id=account_id, payment_id=payment_id)

    async def work(tx: Tx) -> TransactionAnswer:
        payment = await store.get_payment(tx.connection, account_id=account_id, payment_id=payment_id)
        return TransactionAnswer(transaction=schemas.show_transaction(payment))

    return await command.run(work)


async def _get_payment(connection: Connection, payment_id: UUID) -> Payment:
    """A payment that the operator names alone. Raises NotFound."""
    account_id = await store.find_payment_account(connection, payment_id=payment_id)
    if account_id is None:
        raise NotFound
    return await store.get_payment(connection, account_id=account_id, payment_id=payment_id)


def _decoded(prefix: str, text: str) -> UUID:
    identifier = ids.decode(prefix, text)
    if identifier is None:
        raise NotFound
    return identifier


HANDLERS = [record_payment, list_account_payments, show_payment, refund_payment, list_refunds, charge_back]
SANDBOX_HANDLERS = [settle_in_sandbox, fail_in_sandbox]
