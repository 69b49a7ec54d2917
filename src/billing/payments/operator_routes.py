"""The operator's routes of payments, below /operator/v1: recorded money, and the sandbox gateway's levers."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from litestar import post

from billing import accounts
from billing.core import ids
from billing.core.errors import NotFound
from billing.kit.auth import Operator
from billing.kit.web import Answer, Command, RawBody
from billing.payments import operations, schemas, store
from billing.payments.adapters.sandbox import SandboxGateway
from billing.payments.schemas import RecordedIn, TransactionAnswer
from billing.wallets import WalletSettings

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from billing.payments.model import Charge


@post("/accounts/{account_id:str}/payments")
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


@post("/sandbox/payments/{payment_id:str}/settle", status_code=200)
async def settle_in_sandbox(
    payments_operator: Operator, payment_id: str, command: Command, sandbox: SandboxGateway
) -> Answer:
    """Let a pending charge of the sandbox gateway succeed."""
    return await _take_down(command, await sandbox.settle(str(_decoded("pay", payment_id))))


@post("/sandbox/payments/{payment_id:str}/fail", status_code=200)
async def fail_in_sandbox(
    payments_operator: Operator, payment_id: str, command: Command, sandbox: SandboxGateway
) -> Answer:
    """Let a pending charge of the sandbox gateway fail."""
    return await _take_down(command, await sandbox.fail(str(_decoded("pay", payment_id))))


async def _take_down(command: Command, charge: Charge) -> Answer:
    account_id = _decoded("acc", charge.account_reference)

    async def work(tx: Tx) -> TransactionAnswer:
        payment = await store.get_payment(tx.connection, account_id=account_id, payment_id=UUID(charge.key))
        ended = await operations.take_answer(tx, payment=payment, answer=charge)
        return TransactionAnswer(transaction=schemas.show_transaction(ended))

    return await command.run(work)


def _decoded(prefix: str, text: str) -> UUID:
    identifier = ids.decode(prefix, text)
    if identifier is None:
        raise NotFound
    return identifier


HANDLERS = [record_payment]
SANDBOX_HANDLERS = [settle_in_sandbox, fail_in_sandbox]
