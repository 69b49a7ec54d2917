"""How an amount came about: by the rating statement as things stand, or by what lines said once things have changed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING
from uuid import UUID

from billing import accounts, invoices, ledger, metering
from billing.analytics import rules
from billing.analytics.model import (
    AskedCreditNote,
    AskedLine,
    AskedUsage,
    ChargeKey,
    Count,
    ExplainedCharge,
    ExplainedCreditNote,
    ExplainedInvoice,
    Explanation,
    RatedCharge,
)
from billing.analytics.store import explaining as store
from billing.analytics.store.explaining import RatedMonth
from billing.core.errors import InvalidParameter, NotFound
from billing.core.period import Period

if TYPE_CHECKING:
    from billing.invoices import BilledLine
    from billing.kit.db import Connection, Tx

# The transfers that an invoice may have.
INVOICE_TEMPLATES = (
    "invoice.issued",
    "invoice.credited",
    "invoice.paid_from_credit",
    "invoice.paid_from_cash",
    "invoice.paid_from_method",
    "invoice.payment_returned",
    "invoice.voided",
    "invoice.written_off",
)


CREDIT_NOTE_TEMPLATES = ("credit_note.issued", "credit_note.returned")
REFUND_TEMPLATES = ("refund.started", "refund.settled", "refund.failed")


async def explain(tx: Tx, *, account_id: UUID, asked: AskedLine | AskedCreditNote | AskedUsage) -> Explanation:
    """How an amount of an account came about. The transaction should see one state throughout.

    Raises NotFound for what the account does not have, InvalidParameter for a month ahead.
    """
    if isinstance(asked, AskedLine):
        return await _explain_line(tx.connection, account_id=account_id, asked=asked)
    if isinstance(asked, AskedCreditNote):
        return await _explain_credit_note(tx, account_id=account_id, credit_note_id=asked.credit_note_id)
    return await _explain_usage(tx, account_id=account_id, asked=asked)


async def _explain_credit_note(tx: Tx, *, account_id: UUID, credit_note_id: UUID) -> Explanation:
    whole = await invoices.get_whole_credit_note(tx, account_id=account_id, credit_note_id=credit_note_id)
    note = whole.note
    transfers = await ledger.list_transfers_of(
        tx.connection, account_id=account_id, reference=str(credit_note_id), templates=CREDIT_NOTE_TEMPLATES
    )
    for refund in whole.refunds:
        transfers += await ledger.list_transfers_of(
            tx.connection, account_id=account_id, reference=str(refund.refund_id), templates=REFUND_TEMPLATES
        )
    return Explanation(
        currency=note.currency,
        period=whole.invoice.period,
        counted_until=note.issued_at,
        is_billed=True,
        has_changed=False,
        line=None,
        correction=None,
        invoice=None,
        charges=[],
        charges_total=0,
        credit_note=ExplainedCreditNote(
            whole=whole,
            basis=await invoices.get_basis(tx, note=note),
            transfers=sorted(transfers, key=lambda transfer: transfer.number),
        ),
    )


async def _explain_line(connection: Connection, *, account_id: UUID, asked: AskedLine) -> Explanation:
    line = await invoices.get_billed_line(
        connection, account_id=account_id, invoice_id=asked.invoice_id, ordinal=asked.ordinal
    )
    period = line.line.service_period
    month = RatedMonth(account_id=account_id, period=period, counted_until=period.end, is_billed=True)
    versions = await metering.list_versions(connection, account_ids=[account_id], period=period)
    has_changed = versions.get(account_id, 0) > line.seen_version
    lines = await invoices.list_lines_of_charge(connection, account_id=account_id, line=line)
    charge = await _charge_of(connection, month, line)
    if has_changed and (charge is None or not rules.says_the_same(charge, lines)):
        prices = await store.get_prices(connection, price_ids=[line.price_id])
        charge = rules.billed_charge(lines, price=prices[line.price_id])
    document = await _document(connection, account_id=account_id, invoice_id=line.invoice_id)
    return Explanation(
        currency=document.invoice.currency,
        period=period,
        counted_until=period.end,
        is_billed=True,
        has_changed=has_changed,
        line=line,
        correction=rules.find_correction(line, lines),
        invoice=document,
        charges=[] if charge is None else [charge],
        charges_total=0 if charge is None else 1,
    )


async def _charge_of(connection: Connection, month: RatedMonth, line: BilledLine) -> ExplainedCharge | None:
    """The charge of a line as it is rated now; None when nothing is left of it."""
    key = ChargeKey(line.charge_kind, line.price_id, line.line.resource_id, line.line.units)
    found, _ = await store.list_charges(
        connection,
        month=month,
        kind=line.line.item_kind,
        item=line.line.item,
        resource_id=line.line.resource_id or None,
        price_id=line.price_id,
    )
    charges = await _take_apart(connection, month, [one for one in found if one.key == key], resource_id=None)
    return charges[0] if charges else None


async def _document(connection: Connection, *, account_id: UUID, invoice_id: UUID) -> ExplainedInvoice:
    return ExplainedInvoice(
        invoice=await invoices.get_invoice(connection, account_id=account_id, invoice_id=invoice_id),
        taxes=await invoices.list_taxes(connection, account_id=account_id, invoice_id=invoice_id),
        transfers=await ledger.list_transfers_of(
            connection, account_id=account_id, reference=str(invoice_id), templates=INVOICE_TEMPLATES
        ),
    )


async def _explain_usage(tx: Tx, *, account_id: UUID, asked: AskedUsage) -> Explanation:
    connection, running = tx.connection, Period.containing(tx.now)
    period = asked.period or running
    if period > running:
        raise InvalidParameter.one("query", "period", "must not lie ahead")
    account = await accounts.get_account(connection, account_id=account_id)
    await _require_known(tx, account_id=account_id, asked=asked)
    open_periods = await metering.list_open_periods(connection, account_id=account_id, now=tx.now)
    dirty = await metering.list_dirty(connection, account_ids=[account_id], before=running)
    is_billed = period < min(open_periods, default=running)
    month = RatedMonth(account_id=account_id, period=period, counted_until=min(tx.now, period.end), is_billed=is_billed)
    found, total = await store.list_charges(
        connection, month=month, kind=asked.kind, item=asked.item, resource_id=asked.resource_id
    )
    return Explanation(
        currency=account.currency,
        period=period,
        counted_until=month.counted_until,
        is_billed=is_billed,
        has_changed=is_billed and period in dirty,
        line=None,
        correction=None,
        invoice=None,
        charges=await _take_apart(connection, month, found, resource_id=asked.resource_id),
        charges_total=total,
    )


async def _require_known(tx: Tx, *, account_id: UUID, asked: AskedUsage) -> None:
    if not await store.is_known(tx.connection, account_id=account_id, kind=asked.kind, item=asked.item):
        raise NotFound
    if asked.resource_id is None:
        return
    found = await metering.find_resource(tx.connection, account_id=account_id, resource_id=asked.resource_id, at=tx.now)
    if found is None:
        raise NotFound


async def _take_apart(
    connection: Connection, month: RatedMonth, charges: Sequence[RatedCharge], *, resource_id: str | None
) -> list[ExplainedCharge]:
    if not charges:
        return []
    keys = [charge.key for charge in charges]
    prices = await store.get_prices(connection, price_ids=[key.price_id for key in keys])
    parts = await store.list_parts(connection, month=month, keys=keys)
    shown = await store.list_resources(connection, month=month, keys=keys, resource_id=resource_id)
    resource_ids = {resource.resource_id for resources, _ in shown.values() for resource in resources}
    days = await store.list_days(connection, month=month, keys=keys, resource_ids=sorted(resource_ids))
    explained: list[ExplainedCharge] = []
    for charge in charges:
        counted = replace(charge.key, kind="usage")
        resources, total = shown.get(charge.key, ([], 0))
        count = Count(
            quantity=charge.quantity,
            denominator=charge.denominator,
            days=days[counted, None],
            resources=[replace(one, days=days[counted, one.resource_id]) for one in resources],
            resources_total=total,
        )
        explained.append(
            rules.rated_charge(charge, price=prices[charge.key.price_id], count=count, parts=parts[charge.key])
        )
    return explained
