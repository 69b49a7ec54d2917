"""What every command needs: a migrated database, and this installation's parts over it."""

from __future__ import annotations

import hashlib
import hmac
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import asyncpg

from billing import payments, wallets, webhooks
from billing.app import safety
from billing.app.faults import CommandError
from billing.app.messaging import make_mailroom
from billing.kit import embedded_postgres
from billing.kit.auth import read_networks
from billing.kit.db import Database, open_pool
from billing.kit.migrate import migrate
from billing.kit.secret_key import load_secret_key

if TYPE_CHECKING:
    from billing.kit.config import Settings
    from billing.notifications import Mailroom

_SANDBOX_POOL_SIZE = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Installation:
    """The parts that handlers, jobs and commands share."""

    settings: Settings
    dsn: str
    database: Database
    gateway: payments.SandboxGateway
    wallet_settings: wallets.WalletSettings
    payment_settings: payments.PaymentSettings
    webhook_settings: webhooks.WebhookSettings
    mailroom: Mailroom


@asynccontextmanager
async def owner_dsn(settings: Settings) -> AsyncIterator[str]:
    """The address of a running database, as the schema's owner: DATABASE_URL's, else the embedded one for this block."""
    if settings.database_url is not None:
        yield settings.database_url.get_secret_value()
        return
    async with embedded_postgres.running(
        home=settings.home, bin_dir=settings.postgres_bin_dir, run_as=settings.database_login
    ) as embedded:
        yield embedded.dsn


@asynccontextmanager
async def migrated_dsn(settings: Settings) -> AsyncIterator[str]:
    """The same, with the schema of this program."""
    safety.require_guarded(settings)
    async with owner_dsn(settings) as dsn:
        try:
            await _require_durable(settings, dsn)
            await migrate(dsn)
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError, ValueError) as error:
            raise CommandError(f"the database cannot be used: {error}") from error
        yield dsn


async def _require_durable(settings: Settings, dsn: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await safety.require_durable(connection, settings)
    finally:
        await connection.close()


@asynccontextmanager
async def installation(settings: Settings) -> AsyncIterator[Installation]:
    """Everything over a migrated database, for the length of the block."""
    async with (
        migrated_dsn(settings) as dsn,
        await open_pool(dsn, size=settings.database_pool_size) as pool,
        await open_pool(dsn, size=_SANDBOX_POOL_SIZE) as sandbox_pool,
    ):
        gateway = payments.SandboxGateway(
            pool=sandbox_pool,
            settles_after_s=settings.sandbox_settle_after_s,
            webhook_secrets=_sandbox_secrets(settings),
        )
        yield Installation(
            settings=settings,
            dsn=dsn,
            database=Database(pool, wait_s=settings.database_wait_s),
            gateway=gateway,
            wallet_settings=wallets.WalletSettings(
                reserve=wallets.reserve_for_usage, currencies=frozenset(settings.currencies)
            ),
            payment_settings=payments.PaymentSettings(
                gateway=gateway,
                topup_ranges=payments.topup_ranges(settings.currencies, limits_of=settings.topup_limits_of),
            ),
            webhook_settings=make_webhook_settings(settings),
            mailroom=make_mailroom(settings),
        )


def _sandbox_secrets(settings: Settings) -> tuple[bytes, ...]:
    """With which the sandbox signs its webhooks: those that were set, else one that all processes derive alike."""
    master = load_secret_key(settings).value or secrets.token_bytes(32)
    return settings.sandbox_secrets or (hmac.digest(master, b"sandbox webhooks", hashlib.sha256),)


def make_webhook_settings(settings: Settings) -> webhooks.WebhookSettings:
    """The way out for webhooks, and the key that their secrets are derived from."""
    networks = read_networks(settings.webhook_networks)
    sender = webhooks.HttpsSender(allowed=networks, ca_file=settings.webhook_ca_file)
    return webhooks.WebhookSettings(sender=sender, secret_key=load_secret_key(settings), networks=networks)
