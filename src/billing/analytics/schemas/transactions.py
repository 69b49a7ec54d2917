"""Wire shapes of the history, transactions and usage."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import ClassVar, Literal
from uuid import UUID

from msgspec import Struct, structs

from billing import payments
from billing.analytics import rules
from billing.analytics.model import PartKind, ResourceUsage, ServiceUsage, Transaction, Usage
from billing.core import ids, money
from billing.kit.web import Check, DateFilter, Meta, PageQuery, window_faults

TRANSACTION_PREFIX = "txn"


class HistoryQuery(PageQuery, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /account/billing/history. Other types are listed when none is asked for."""

    from_date: DateFilter | None = None
    to_date: DateFilter | None = None
    type: Literal["charge", "payment", "refund"] | None = None

    checks: ClassVar[tuple[Check, ...]] = (window_faults,)


class TransactionShown(Struct, frozen=True, kw_only=True):
    """A transaction in the history."""

    id: str
    type: str
    amount: Decimal
    currency: str
    description: str
    status: str
    created_at: datetime
    service: str | None
    resource_id: str | None


class HistoryOut(Struct, frozen=True, kw_only=True):
    """GET /account/billing/history."""

    transactions: list[TransactionShown]
    meta: Meta


class TransactionDetails(TransactionShown, frozen=True, kw_only=True):
    """One transaction."""

    payment_id: str | None
    payment_method: str | None
    invoice_id: str | None
    failure_reason: str | None


class TransactionAnswer(Struct, frozen=True, kw_only=True):
    """A transaction, wrapped by its name."""

    transaction: TransactionDetails


class UsageQuery(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """GET /account/usage."""

    service: str | None = None
    detailed: bool = False


class PeriodShown(Struct, frozen=True, kw_only=True):
    """A UTC month, its end as the last second that belongs to it."""

    start: datetime
    end: datetime


class UsageShown(Struct, frozen=True, kw_only=True):
    """A month's usage. Services differ in what they show: each has a `cost`, and with `detailed` its `resources`."""

    period: PeriodShown
    total_cost: Decimal
    currency: str
    services: dict[str, dict[str, object]]


class UsageAnswer(Struct, frozen=True, kw_only=True):
    """GET /account/usage."""

    usage: UsageShown


def show(transaction: Transaction) -> TransactionShown:
    """A transaction as the history lists it."""
    return TransactionShown(
        id=transaction_id(transaction),
        type=transaction.type,
        amount=money.to_major(transaction.amount_minor, transaction.currency),
        currency=transaction.currency,
        description=transaction.description,
        status=transaction.status,
        created_at=transaction.created_at,
        service=transaction.service,
        resource_id=transaction.resource_id,
    )


def transaction_id(transaction: Transaction) -> str:
    """A transaction's wire id: a payment's is its own, a part's holds its source's."""
    if transaction.part_kind is PartKind.WHOLE:
        return ids.encode(TRANSACTION_PREFIX, transaction.source_id)
    return ids.encode_part(TRANSACTION_PREFIX, transaction.source_id, transaction.part_kind, transaction.ordinal)


def show_part(transaction: Transaction, *, invoice_id: UUID | None) -> TransactionAnswer:
    """A line, tax, hold or credit as a transaction of its own; `invoice_id` is the invoice that it is of."""
    return TransactionAnswer(
        transaction=TransactionDetails(
            **structs.asdict(show(transaction)),
            payment_id=None,
            payment_method=None,
            invoice_id=None if invoice_id is None else ids.encode("inv", invoice_id),
            failure_reason=None,
        )
    )


def show_whole(transaction: payments.Transaction) -> TransactionAnswer:
    """A payment, refund or chargeback as a transaction of its own."""
    shown = payments.show_row(transaction)
    return TransactionAnswer(transaction=TransactionDetails(**structs.asdict(shown)))


def show_usage(usage: Usage, *, currency: str, is_detailed: bool) -> UsageAnswer:
    """A month's usage, with each service's resources when asked for."""
    return UsageAnswer(
        usage=UsageShown(
            period=PeriodShown(start=usage.period.start, end=usage.period.shown_end),
            total_cost=money.to_major(usage.total_minor, currency),
            currency=currency,
            services=show_services(
                usage.services, message_price=usage.message_price, currency=currency, is_detailed=is_detailed
            ),
        )
    )


def show_services(
    services: Sequence[ServiceUsage], *, message_price: Decimal | None, currency: str, is_detailed: bool
) -> dict[str, dict[str, object]]:
    """Services by name, each with its resources when asked for."""
    return {
        service.service: _service(service, message_price, currency=currency, is_detailed=is_detailed)
        for service in services
    }


def _service(
    service: ServiceUsage, message_price: Decimal | None, *, currency: str, is_detailed: bool
) -> dict[str, object]:
    shown: dict[str, object] = {"cost": money.to_major(service.amount_minor, currency)}
    if service.service == "messaging":
        shown["messages_sent"] = rules.plain(service.total("messages_sent"))
        shown["cost_per_message"] = rules.cost_per_message(service, currency=currency, price=message_price)
    if is_detailed:
        shown["resources"] = [_resource(resource, service, currency=currency) for resource in service.resources]
    return shown


def _resource(resource: ResourceUsage, service: ServiceUsage, *, currency: str) -> dict[str, object]:
    """A resource with the members of its service; a bucket is known by its name first."""
    is_bucket = service.service == "storage"
    names = {"id": resource.resource_id, "name": resource.name}
    shown: dict[str, object] = {"type": resource.type}
    shown |= {"bucket": resource.name} if is_bucket else names
    shown["cost"] = money.to_major(resource.amount_minor, currency)
    for figure in service.figures:
        quantity = resource.figures.get(figure)
        shown[figure] = None if quantity is None else rules.plain(quantity)
    return shown | names if is_bucket else shown
