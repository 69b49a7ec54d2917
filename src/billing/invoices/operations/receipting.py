"""The receipt of a payment: what arrived, and what it paid when it was collected."""

from __future__ import annotations

from typing import TYPE_CHECKING
from uuid import UUID

from billing import ledger, payments
from billing.core.errors import NotFound
from billing.invoices import pdf
from billing.invoices.model import Receipt
from billing.invoices.operations import collecting, documents
from billing.invoices.operations.documents import Pdf
from billing.invoices.store import receipts

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx


async def get_receipt_pdf(database: Database, *, account_id: UUID, payment_id: UUID) -> Pdf:
    """The receipt of a completed payment as PDF, the same bytes whenever it is asked for. Raises NotFound.

    Asked for before the job has collected the payment, it is collected here: a receipt says the same whoever came first.
    """
    async with database.reading() as tx:
        payment = await payments.get_payment(tx.connection, account_id=account_id, payment_id=payment_id)
        receipt = await receipts.find_receipt(tx.connection, account_id=account_id, payment_id=payment_id)
    if payment.status != "completed":
        raise NotFound
    if receipt is None:
        async with database.transaction() as tx:
            await collecting.acknowledge(tx, account_id=account_id, payment_id=payment_id, currency=payment.currency)

    async def read(tx: Tx) -> pdf.ReceiptDocument:
        frozen = await receipts.find_receipt(tx.connection, account_id=account_id, payment_id=payment_id)
        assert frozen is not None, "it was frozen before"
        owed = await ledger.list_transfers_of(
            tx.connection, account_id=account_id, reference=str(payment_id), templates=["owed.paid"]
        )
        return _document(payment, frozen, owed_minor=sum(transfer.amount_minor for transfer in owed))

    return await documents.get_pdf(database, read, account_id=account_id, document_id=payment_id, kind="receipt")


def _document(payment: payments.Payment, receipt: Receipt, *, owed_minor: int) -> pdf.ReceiptDocument:
    assert payment.completed_at is not None, "the payment is completed"
    paid_minor = sum(invoice.amount_minor for invoice in receipt.invoices)
    rest_minor = 0 if receipt.is_by_wallet else payment.amount_minor - owed_minor - paid_minor
    parts = (
        pdf.ReceiptPart(label=payment.description, amount_minor=payment.amount_minor - owed_minor - rest_minor),
        pdf.ReceiptPart(label="Into the wallet: the invoice took no more", amount_minor=rest_minor),
        pdf.ReceiptPart(label="Owed after a chargeback", amount_minor=owed_minor),
    )
    return pdf.ReceiptDocument(
        number=payment.transaction_id,
        issuer=pdf.IssuerParty(**receipt.parties["issuer"]),
        account=documents.account_party(receipt.parties),
        issued_at=payment.completed_at,
        time_zone=receipt.parties["time_zone"],
        currency=payment.currency,
        amount_minor=payment.amount_minor,
        description=payment.description,
        parts=tuple(part for part in parts if part.amount_minor > 0),
        invoices=tuple(
            pdf.PaidInvoice(
                number=invoice.number,
                issued_at=invoice.issued_at,
                total_minor=invoice.total_minor,
                amount_minor=invoice.amount_minor,
                due_minor=invoice.due_minor,
            )
            for invoice in receipt.invoices
        ),
        is_by_wallet=receipt.is_by_wallet,
        received_at=payment.received_at,
        reference=payment.reference,
        template_version=receipt.parties["template_version"],
    )
