"""Transactions of the history, and usage by service and resource."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import IntEnum
from fractions import Fraction
from typing import Literal
from uuid import UUID

from billing.core.period import Period

TransactionType = Literal["charge", "payment", "refund", "adjustment", "credit", "chargeback"]
Figure = Literal["hours", "storage_gb", "bandwidth_gb", "messages_sent"]

FIGURES: tuple[Figure, ...] = ("hours", "storage_gb", "bandwidth_gb", "messages_sent")
# Services that are always shown, and the figures that each resource of theirs has.
SERVICES: Mapping[str, tuple[Figure, ...]] = {
    "compute": ("hours",),
    "storage": ("storage_gb", "bandwidth_gb"),
    "messaging": ("messages_sent",),
}


class PartKind(IntEnum):
    """What a transaction is of its source; a payment is whole, the others are parts. Stands in wire ids: never renumber."""

    WHOLE = 0
    INVOICE_LINE = 1
    INVOICE_TAX = 2
    CAPTURED_HOLD = 3
    CREDIT = 4
    CREDIT_NOTE = 5
    VOIDING = 6
    OPERATOR_CREDIT_NOTE = 7


@dataclass(frozen=True, slots=True)
class Transaction:
    """One row of the history. `source_id` is the invoice, payment, hold or credit; the amount is positive."""

    source_id: UUID
    part_kind: PartKind
    ordinal: int
    type: TransactionType
    amount_minor: int
    currency: str
    description: str
    status: str
    created_at: datetime
    service: str | None
    resource_id: str | None


@dataclass(frozen=True, slots=True)
class ResourceUsage:
    """What a resource used of one service, without tax. A figure that nothing of it shows is not there.

    Nothing is known of the resource where a finalised month's line is left and what it was billed for is gone.
    """

    resource_id: str | None
    name: str | None
    type: str | None
    amount_minor: int
    figures: Mapping[Figure, Fraction]


@dataclass(frozen=True, slots=True)
class ServiceUsage:
    """What an account used of one service, without tax. `figures`: what its resources show, whether they have some or not."""

    service: str
    amount_minor: int
    figures: tuple[Figure, ...]
    resources: list[ResourceUsage]
    price_ids: frozenset[UUID]

    def total(self, figure: Figure) -> Fraction:
        """What all resources have of a figure."""
        return sum((resource.figures.get(figure, Fraction(0)) for resource in self.resources), Fraction(0))


@dataclass(frozen=True, slots=True)
class Usage:
    """What an account used in a month so far. `message_price`: the price of a message where all of them have one plain price."""

    period: Period
    services: list[ServiceUsage]
    message_price: Decimal | None

    @property
    def total_minor(self) -> int:
        """What the services that are shown come to."""
        return sum(service.amount_minor for service in self.services)
