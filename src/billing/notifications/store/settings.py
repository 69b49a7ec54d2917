"""The SQL of how accounts want to be told."""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

from billing.notifications.model import QUIET_DEFAULT, QuietHours, Settings

if TYPE_CHECKING:
    import asyncpg

    from billing.kit.db import Connection


async def get_settings(connection: Connection, *, account_id: UUID) -> Settings:
    """An account's settings; one that has set nothing has the defaults."""
    row = await connection.fetchrow(
        """
        SELECT true AS is_set, email_off, sms_on, email_recipients, quiet_start, quiet_end
        FROM notification_settings
        WHERE account_id = $1
        """,
        account_id,
    )
    return Settings() if row is None else settings_of(row)


async def get_settings_for_update(connection: Connection, *, account_id: UUID, now: datetime) -> Settings:
    """The same, locked until the transaction ends; an account without a row gets one of the defaults."""
    await connection.execute(
        """
        INSERT INTO notification_settings (account_id, email_off, sms_on, email_recipients, quiet_start, quiet_end, updated_at)
        VALUES ($1, '{}', '{}', '{}', $2, $3, $4)
        ON CONFLICT (account_id) DO NOTHING
        """,
        account_id,
        QUIET_DEFAULT.start,
        QUIET_DEFAULT.end,
        now,
    )
    await connection.execute("SELECT FROM notification_settings WHERE account_id = $1 FOR UPDATE", account_id)
    return await get_settings(connection, account_id=account_id)


async def upsert_settings(connection: Connection, *, account_id: UUID, settings: Settings, now: datetime) -> None:
    """Store an account's settings."""
    quiet = settings.quiet_hours
    await connection.execute(
        """
        INSERT INTO notification_settings (account_id, email_off, sms_on, email_recipients, quiet_start, quiet_end, updated_at)
        VALUES ($1, $2, $3, $4, $5, $6, $7)
        ON CONFLICT (account_id) DO UPDATE SET email_off = excluded.email_off, sms_on = excluded.sms_on,
            email_recipients = excluded.email_recipients, quiet_start = excluded.quiet_start, quiet_end = excluded.quiet_end,
            updated_at = excluded.updated_at
        """,
        account_id,
        sorted(settings.email_off),
        sorted(settings.sms_on),
        list(settings.email_recipients),
        quiet and quiet.start,
        quiet and quiet.end,
        now,
    )


def settings_of(row: asyncpg.Record) -> Settings:
    """The settings in a row that may hold none (`is_set`)."""
    if not row["is_set"]:
        return Settings()
    start, end = row["quiet_start"], row["quiet_end"]
    return Settings(
        email_off=frozenset(row["email_off"]),
        sms_on=frozenset(row["sms_on"]),
        email_recipients=tuple(row["email_recipients"]),
        quiet_hours=None if start is None else QuietHours(start=start, end=end),
    )
