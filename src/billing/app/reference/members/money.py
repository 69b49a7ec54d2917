"""Members of wallets, payments, invoices, history and usage."""

from __future__ import annotations

from decimal import Decimal

import msgspec

from billing.app.reference.members.forms import (
    AMOUNT,
    CURRENCY,
    MONTH,
    D,
    M,
    amount,
    example_id,
    id_of,
    one_of,
    part_id,
    text,
)
from billing.kit.web.openapi.words import Member


class ResourceUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A resource's part of a service. Which members it has depends on the service; those of one service are alike."""

    type: str | None
    id: str | None
    name: str | None
    bucket: str | None = None
    cost: Decimal
    hours: Decimal | None = None
    storage_gb: Decimal | None = None
    bandwidth_gb: Decimal | None = None
    messages_sent: Decimal | None = None


class ServiceUsage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What was used of a service."""

    cost: Decimal
    resources: list[ResourceUsage] | None = None
    messages_sent: Decimal | None = None
    cost_per_message: Decimal | None = None


_TRANSACTION_TYPES = ("charge", "payment", "refund", "adjustment", "credit", "chargeback")
_TRANSACTION_STATUSES = ("completed", "pending", "failed")
_PAYMENT_KINDS = ("topup", "invoice", "recorded")
_INVOICE_STATUSES = ("paid", "pending", "overdue", "draft", "void", "uncollectible")

SERVICES_EXAMPLE: dict[str, object] = {
    "compute": {
        "cost": D("80.00"),
        "resources": [{"type": "vps", "id": "vps_123456", "name": "web-server", "cost": D("50.00"), "hours": 744}],
    },
    "storage": {
        "cost": D("25.75"),
        "resources": [
            {
                "type": "object_storage",
                "bucket": "my-app-storage",
                "cost": D("15.00"),
                "storage_gb": 100,
                "bandwidth_gb": 50,
                "id": "bucket_42",
                "name": "my-app-storage",
            }
        ],
    },
    "messaging": {"cost": D("20.00"), "messages_sent": 400, "cost_per_message": D("0.05"), "resources": []},
}
MONEY: dict[str, Member] = {
    # Wallets
    "wallet": M("The wallet as it is now."),
    "wallets": M("The wallets of this page."),
    "available_balance": amount("What can be spent now.", "150.75"),
    "pending_balance": amount("What was paid in and has not arrived yet.", "25.00"),
    "reserved_balance": amount("What is kept for usage not invoiced yet, and for money on its way out.", "50.00"),
    "total_balance": amount("The sum of the three.", "225.75"),
    "TopUpIn.amount": amount("How much to add: within the least and most of the currency.", "100.00", is_given=True),
    "TopUpIn.currency": M("The currency of the wallet to add to.", "USD", CURRENCY),
    "TopUpIn.payment_method": id_of("pm", "The id of the saved payment method to charge."),
    # Payment methods
    "PaymentMethodAnswer.payment_method": M("The payment method."),
    "payment_methods": M("The payment methods of this page."),
    "PaymentMethodOut.id": id_of("pm", "The payment method's id."),
    "PaymentMethodOut.type": one_of("What it is.", "card", "bank_account"),
    "PaymentMethodIn.type": M("What the token stands for."),
    "brand": M("The card's brand; null for a bank account.", "visa"),
    "bank_name": M("The bank's name; null for a card.", None),
    "last4": M("The last four digits of its number.", "4242"),
    "exp_month": M("The month in which the card expires; null for a bank account.", 12),
    "exp_year": M("The year in which the card expires; null for a bank account.", 2025),
    "is_default": M("Whether it is charged when none is named.", True),
    "PaymentMethodOut.created_at": M("When it was added.", "2024-01-01T00:00:00Z"),
    "PaymentMethodIn.token": text("The token that the gateway's payment form gave.", "tok_123456789", longest=200),
    "set_default": M("Whether to make it the default.", True),
    "PaymentMethodChange.set_default": M(
        "`true`: it becomes the default. To take it away make another one the default.", True, {"const": True}
    ),
    # Transactions
    "transaction": M("The transaction."),
    "transactions": M("The transactions of this page."),
    "TransactionShown.id": part_id("txn", "The transaction's id.", whole_too=True),
    "TransactionOut.id": id_of("txn", "The transaction's id."),
    "TransactionShown.type": one_of(
        "`charge`: a line or tax of an invoice, or a captured hold. `payment`: money from outside. `refund`: money given"
        " back. `adjustment`: a line below 0 or a credit note. `credit`: promotional credit. `chargeback`: money taken back"
        " by the gateway.",
        *_TRANSACTION_TYPES,
    ),
    "TransactionOut.type": M("What it is.", "payment"),
    "HistoryQuery.type": M("Only transactions of this type; without it those of all types.", "charge"),
    "TransactionShown.amount": amount("The amount, always positive: the type says which way the money went.", "25.50"),
    "TransactionOut.amount": amount("The amount, always positive.", "100.00"),
    "TransactionShown.description": M("What it is for.", "VPS usage - January 2024"),
    "TransactionOut.description": M("What it is for.", "Top-up by visa 4242"),
    "TransactionShown.status": one_of("Whether it has happened.", *_TRANSACTION_STATUSES),
    "TransactionOut.status": one_of("Whether it has happened.", *_TRANSACTION_STATUSES),
    "TransactionShown.service": M("The service of a charge, else null.", "compute"),
    "TransactionOut.service": M("Always null: no service is charged.", None),
    "TransactionShown.resource_id": M("The resource of a charge, if it is of one, else null.", "vps_789012"),
    "TransactionOut.resource_id": M("Always null: no resource is charged.", None),
    "TransactionDetails.payment_id": id_of("pay", "The payment of money that came or went, else null."),
    "TransactionDetails.payment_method": M("The id of the payment method, if one was charged.", example_id("pm")),
    "TransactionOut.payment_method": M("The id of the payment method, if one was charged.", example_id("pm")),
    "TransactionDetails.invoice_id": M("The invoice, if it belongs to one.", None),
    "TransactionOut.invoice_id": M("The invoice that was paid, if it was for one.", None),
    "failure_reason": M("Why it failed, in the gateway's words; null if it did not.", None),
    "transaction_id": id_of("txn", "The id under which it stands in the billing history."),
    # Payments, as operators see them
    "payment": M("The payment."),
    "PaymentsOut.payments": M("The payments of this page."),
    **{
        f"{shape}.{member}": said
        for shape in ("PaymentOut", "PaymentDetails")
        for member, said in {
            "id": id_of("pay", "The payment's id."),
            "account_id": id_of("acc", "Whose it is."),
            "kind": one_of(
                "`topup`: money into a wallet. `invoice`: charged for an invoice. `recorded`: it came another way.",
                *_PAYMENT_KINDS,
            ),
            "status": one_of("Whether it has arrived.", *_TRANSACTION_STATUSES),
            "amount": amount("How much.", "100.00"),
            "description": M("What it is for.", "Wallet top-up, Visa ending 4242"),
            "gateway": M("Who moved the money.", "sandbox"),
            "payment_method": M("The id of the payment method, if one was charged.", example_id("pm")),
            "reference": M("What recorded money was known by; null for others.", None),
            "invoice_id": M("The invoice that was paid, if it was for one.", None),
            "received_at": M("When recorded money arrived; null for others.", None),
            "completed_at": M("When it was known to have arrived; null if it has not.", "2024-01-15T10:30:02Z"),
        }.items()
    },
    "PaymentDetails.refunded": amount("What of it was given back, refunds under way too.", "0.00"),
    "charged_back": amount("What of it its gateway took back.", "0.00"),
    "PaymentsQuery.kind": one_of("Only payments of this kind.", *_PAYMENT_KINDS),
    "PaymentsQuery.status": one_of("Only payments that stand so.", *_TRANSACTION_STATUSES),
    # Invoices
    "invoices": M("The invoices of this page."),
    "invoice": M("The invoice."),
    "InvoiceShown.id": id_of("inv", "The invoice's id."),
    "InvoiceShown.number": M("The number of the document: without gaps, by year of issue.", "INV-2024-001"),
    "InvoiceShown.kind": one_of("`credit_note`: it gives money back.", "invoice", "credit_note"),
    "InvoiceShown.status": one_of("`overdue`: pending past its due date.", *_INVOICE_STATUSES),
    "InvoicesQuery.status": M("Only invoices of this status.", "paid"),
    "InvoiceShown.amount": amount("What the invoice asks for, tax included.", "125.75"),
    "InvoiceShown.created_at": M("When the invoice was issued.", "2024-02-01T00:00:00Z"),
    "due_date": M("Until when it is to be paid.", "2024-02-15T00:00:00Z"),
    "paid_at": M("When it was paid in full; null if it is not.", "2024-02-10T15:30:00Z"),
    "subtotal": amount("The sum of the lines, before tax.", "125.75"),
    "tax": amount("The sum of the taxes.", "0.00"),
    "taxes": M("Each tax on the sum of the lines."),
    "amount_paid": amount("What has been paid of it.", "125.75"),
    "amount_due": amount("What is still to be paid.", "0.00"),
    "pdf_sha256": M(
        "The SHA-256 of the PDF, in hexadecimal digits.",
        "9f86d081884c7d659a2feaa0c55ad015" * 2,
        {"pattern": "^[0-9a-f]{64}$"},
    ),
    "lines": M("The lines."),
    "lines_total": M("How many lines there are in all.", 1),
    "InvoiceDetails.payments": M("What was set against the invoice."),
    "TaxShown.name": M("The tax's name.", "VAT"),
    "TaxShown.rate": M("The rate in percent.", D("16.0")),
    "TaxShown.base": amount("What the tax is on.", "125.75"),
    "TaxShown.amount": amount("The tax, rounded once.", "20.12"),
    "LineShown.id": part_id("line", "The line's id, by which it is explained; null in a preview."),
    "LineShown.kind": one_of(
        "`minimum`: what a price's minimum adds. `correction`: usage of an earlier month that was reported late.",
        "usage",
        "minimum",
        "correction",
    ),
    "LineShown.description": M("What it is for.", "VPS usage - January 2024"),
    "LineShown.type": M("What kind of resource it is of; null where the price pools several.", "vps"),
    "LineShown.resource_id": M("The resource; null where the price pools several.", "vps_789012"),
    "quantity": M("How much was used, in `unit`s.", D(744)),
    "unit": M("What the quantity is counted in.", "hour"),
    "unit_price": M("The price of one unit, in full; null if the price has tiers.", D("0.0672")),
    "unrounded": M("What the amount was rounded from.", D("50.0000")),
    "LineShown.amount": amount("The line's amount, before tax.", "50.00"),
    "PaymentShown.transaction_id": M("The transaction of a charged payment method, else null.", None),
    "PaymentShown.source": one_of("Promotional credit, the wallet, or a payment method.", "wallet", "credit", "method"),
    "PaymentShown.amount": amount("How much of the invoice it paid.", "125.75"),
    "PreviewShown.status": M("Always `draft`: it is not issued."),
    "PreviewQuery.period": M("The month, such as `2024-01`; without it the running one.", "2024-01", MONTH),
    # Usage
    "UsageAnswer.usage": M("What was used in the running month."),
    "period": M("The month."),
    "total_cost": amount("What it all costs so far, before tax.", "125.75"),
    "UsageShown.services": M(
        "By service: always `compute`, `storage` and `messaging`, and others that are used.",
        SERVICES_EXAMPLE,
        {},
        dict[str, ServiceUsage],
    ),
    "ServiceUsage.cost": amount("What the service costs so far, before tax.", "80.00"),
    "ServiceUsage.resources": M("Its resources; only with `detailed`."),
    "ServiceUsage.messages_sent": M("How many messages were sent; of `messaging` alone.", 400),
    "ServiceUsage.cost_per_message": M("What a message costs; of `messaging` alone, null if none was sent.", D("0.05")),
    "ResourceUsage.type": M("What kind of resource it is; null where all that was billed for is gone.", "vps"),
    "ResourceUsage.id": M("The resource's id; null where no resource is left.", "vps_123456"),
    "ResourceUsage.name": M("The resource's name.", "web-server"),
    "ResourceUsage.bucket": M("The bucket's name; of `storage` alone.", "my-app-storage"),
    "ResourceUsage.cost": amount("What the resource costs so far, before tax.", "50.00"),
    "ResourceUsage.hours": M("Billable hours, rounded up; of `compute` alone.", 744),
    "ResourceUsage.storage_gb": M("GB-months stored; of `storage` alone.", 100),
    "ResourceUsage.bandwidth_gb": M("GB transferred; of `storage` alone.", 50),
    "ResourceUsage.messages_sent": M("Messages sent; of `messaging` alone.", 400),
    "UsageQuery.service": M("Only this service; without it all.", "compute"),
    "detailed": M("Whether to show each service's resources.", True),
    # Operators: recorded money, refunds, holds, credits, the books
    "RecordedIn.amount": amount("How much came.", "250.00", is_given=True),
    "RecordedIn.reference": text(
        "What the bank or you call it: one recording for each.", "bank transfer 4711", longest=200
    ),
    "received_at": M("When it came.", "2024-01-31T10:00:00Z"),
    "refund": M("The refund."),
    "refunds": M("The refunds of this page."),
    "RefundOut.id": id_of("ref", "The refund's id."),
    "RefundOut.status": one_of("`pending`: the gateway has not settled it yet.", "completed", "pending", "failed"),
    "GivingBackIn.amount": amount("How much; without it all that is left of the payment.", "10.00", is_given=True),
    "GivingBackIn.reason": text("Why, for the record.", "Paid twice", longest=500),
    "chargeback": M("The chargeback."),
    "ChargebackOut.id": id_of("chb", "The chargeback's id."),
    "taken": amount("What was taken out of the wallet.", "25.50"),
    "owed": amount("What the wallet lacked: the account owes it.", "0.00"),
    "hold": M("The hold."),
    "HoldOut.id": id_of("hold", "The hold's id."),
    "HoldOut.reference": M("What it is for: one hold for each.", "order 42"),
    "HoldOut.status": one_of(
        "`expired`: past its expiry, the money is free again.", "open", "captured", "released", "expired"
    ),
    "HoldOut.captured": M("What was taken of it; null while nothing was.", None),
    "HoldOut.expires_at": M("When the money is free again by itself.", "2024-06-01T00:00:00Z"),
    "HoldOut.ended_at": M("When it was captured or released; null if it was not.", None),
    "holds": M("The holds of this page."),
    "HoldsQuery.status": one_of("Only holds that stand so.", "open", "captured", "released", "expired"),
    "HoldIn.amount": amount("How much to set aside.", "25.50", is_given=True),
    "HoldIn.reference": text("What it is for: one hold for each.", "order 42", longest=200),
    "HoldIn.expires_at": M("When the money is to be free again by itself: in the future.", "2024-06-01T00:00:00Z"),
    "CaptureIn.amount": amount("How much to take; without it all that is held.", "12.50", is_given=True),
    "credit": M("The promotional credit."),
    "CreditOut.id": id_of("cred", "The credit's id."),
    "CreditOut.amount": amount("How much was granted.", "50.00"),
    "CreditOut.remaining": amount("What is left of it.", "12.50"),
    "CreditOut.status": M(
        "`used`: nothing is left. `expired`: what is left pays for no usage after its expiry. `undone`: taken back.",
        "active",
    ),
    "CreditsOut.credits": M("The credits, newest first."),
    "UndoIn.reason": text("Why it is taken back.", "Granted twice", longest=500),
    "CreditOut.granted_at": M("When it was granted.", "2024-01-15T10:30:00Z"),
    "CreditOut.expires_at": M("When it expires; null: never.", "2024-06-01T00:00:00Z"),
    "CreditOut.priority": M("The lowest is spent first.", 100),
    "CreditIn.amount": amount("How much to grant.", "50.00", is_given=True),
    "CreditIn.reason": text("Why, as the account sees it.", "Welcome", longest=500),
    "CreditIn.expires_at": M("When it expires: in the future; without it never.", "2024-06-01T00:00:00Z"),
    "CreditIn.priority": M("The lowest is spent first.", 100, {"minimum": 0, "maximum": 1000}),
    "balances": M("Every ledger account with its balance."),
    "ledger_account": M("The node of the chart.", "wallet:cash"),
    "balance": amount("Its balance; below 0 for what stands outside the account.", "150.75"),
    "transfers": M("Balanced movements of money, newest first."),
    "LedgerOut.transfers": M("The account's transfers of this page, newest first."),
    "TransferOut.number": M("The transfer's number in its account, without holes.", 42),
    "template": M("What kind of movement it is.", "topup.settled"),
    "TransferOut.reference": M("What it belongs to.", "pay:018e2f0c"),
    "TransferOut.source": M("The ledger account that the money left.", "wallet:pending"),
    "destination": M("The ledger account that it came to.", "wallet:cash"),
    # Credit notes
    "credit_note": M("The credit note."),
    "credit_notes": M("The credit notes of this page."),
    "InvoiceDetails.credit_notes": M("The credit notes that take back part of the invoice.", []),
    "CreditNoteBrief.id": id_of("cn", "The credit note's id."),
    "CreditNoteBrief.number": M("The number of the document.", "CN-2024-001"),
    "CreditNoteBrief.kind": M("Where what had been paid went: into the wallet, or back the way it came."),
    "CreditNoteShown.id": id_of("cn", "The credit note's id."),
    "CreditNoteShown.number": M("The number of the document.", "CN-2024-001"),
    "CreditNoteShown.kind": M("Where what had been paid went: into the wallet, or back the way it came."),
    "CreditNoteShown.reason": M("Why, as the document says it.", "Service was down"),
    "net": amount("What it takes back, before tax.", "10.00"),
    "CreditNoteShown.tax": amount("The tax that it takes back.", "1.60"),
    "CreditNoteShown.amount": amount("What it takes back, tax included.", "11.60"),
    "lowered": amount("The part that had not been paid.", "11.60"),
    "restored": amount("The part that went back to promotional credit.", "0.00"),
    "returned": amount("The part that went into the wallet.", "0.00"),
    "refunded": amount("The part that was asked of gateways to give back.", "0.00"),
    "CreditNoteDetails.lines": M("What it takes back, line by line."),
    "CreditNoteDetails.refunds": M("The refunds that it started.", []),
    "CreditedLineShown.line": part_id("line", "The line of the invoice; null for a part of the whole."),
    "CreditedLineShown.description": M("What the line is for.", "VPS usage - January 2024"),
    "CreditedLineShown.amount": amount("How much is taken back of it, before tax.", "10.00"),
    "CreditNoteIn.kind": M("Where what had been paid goes: into the wallet, or back the way it came."),
    "CreditNoteIn.reason": M("Why, as the document says it.", "Service was down"),
    "CreditNoteIn.amount": M("How much to take back, tax included; not together with `lines`.", D("11.60"), AMOUNT),
    "CreditNoteIn.lines": M("Which lines to take back, and how much of each; not together with `amount`.", None),
    "CreditNoteLineIn.line": part_id("line", "A line of the invoice."),
    "CreditNoteLineIn.amount": amount("How much to take back of it, before tax.", "10.00", is_given=True),
    # Paying an invoice
    "PayIn.payment_method": id_of("pm", "The payment method to charge; without it the default one."),
    "PaidAnswer.transaction": M("What was charged; null if credit and wallet paid it all."),
}
