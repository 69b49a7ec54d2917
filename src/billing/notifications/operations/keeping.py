"""How an account wants to be told; sending again; trying a channel out."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from billing import accounts
from billing.notifications.model import (
    Category,
    ChannelNotConfigured,
    DeliveredByWebhook,
    Delivery,
    DeliveryUnderWay,
    Mailroom,
    Outcome,
    PhoneMissing,
    QuietHours,
    Sending,
    Settings,
)
from billing.notifications.operations import writing
from billing.notifications.rules import reaching
from billing.notifications.store import listing
from billing.notifications.store import settings as store

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingsChanges:
    """What an update sets; categories that are named in neither of two sets, and members that are None, stay as they are."""

    email_on: Set[Category] = frozenset()
    email_off: Set[Category] = frozenset()
    sms_on: Set[Category] = frozenset()
    sms_off: Set[Category] = frozenset()
    email_recipients: tuple[str, ...] | None = None
    quiet_hours: tuple[QuietHours | None] | None = None


async def change_settings(tx: Tx, *, account_id: UUID, changes: SettingsChanges) -> Settings:
    """Set what `changes` names, which has been checked. Raises PhoneMissing."""
    account = await accounts.get_account(tx.connection, account_id=account_id)
    settings = await store.get_settings_for_update(tx.connection, account_id=account_id, now=tx.now)
    changed = replace(
        settings,
        email_off=(settings.email_off - changes.email_on) | changes.email_off,
        sms_on=(settings.sms_on - changes.sms_off) | changes.sms_on,
        email_recipients=settings.email_recipients if changes.email_recipients is None else changes.email_recipients,
        quiet_hours=settings.quiet_hours if changes.quiet_hours is None else changes.quiet_hours[0],
    )
    if changes.sms_on:
        reaching.require_reachable(("sms",), phone=account.phone)
    if changed != settings:
        await store.upsert_settings(tx.connection, account_id=account_id, settings=changed, now=tx.now)
    return changed


async def send_again(tx: Tx, *, account_id: UUID, delivery_id: UUID) -> Delivery:
    """Let a delivery that has ended begin anew, to the address that its account has now; one that is pending is due at once.

    Raises NotFound, DeliveryUnderWay, DeliveredByWebhook, PhoneMissing.
    """
    delivery = await listing.get_delivery_for_update(tx.connection, account_id=account_id, delivery_id=delivery_id)
    if delivery.method == "webhook":
        raise DeliveredByWebhook
    if delivery.status == "sending":
        raise DeliveryUnderWay
    account = await accounts.get_account(tx.connection, account_id=account_id)
    own = account.email if delivery.method == "email" else account.phone
    if own is None:
        raise PhoneMissing
    await listing.mark_due(tx.connection, account_id=account_id, delivery_id=delivery_id, own=own, now=tx.now)
    return await listing.get_delivery(tx.connection, account_id=account_id, delivery_id=delivery_id)


async def try_channel(
    database: Database, *, method: Sending, recipient: str, mailroom: Mailroom
) -> tuple[str, Outcome]:
    """Send a message that says it is a test, now and once; (gateway, outcome). Raises ChannelNotConfigured."""
    outlet = mailroom.outlet(method)
    if outlet is None:
        raise ChannelNotConfigured(details={"channel": method})
    async with database.reading() as tx:
        message = await writing.write_trial(tx, message_id=tx.new_id(), recipient=recipient, mailroom=mailroom)
    return outlet.channel.gateway, await outlet.channel.send(message, handing_over=_nobody_waits)


async def _nobody_waits() -> None:
    """A trial is nobody else's."""
