"""A house that takes payments: wallets, payments, invoices and the history, with a sandbox gateway on connections of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, cast

import httpx2

from billing import accounts, api_keys, payments, wallets
from billing.analytics import routes as analytics_routes
from billing.invoices import operator_routes as invoice_operator_routes
from billing.invoices import routes as invoice_routes
from billing.kit.db import Database, open_pool
from billing.kit.web import build_app
from billing.payments import operator_routes as payment_operator_routes
from billing.payments import routes as payment_routes
from billing.wallets import operator_routes as wallet_operator_routes
from billing.wallets import routes as wallet_routes
from tests.support.house import Clock, House, Reply, Resident

if TYPE_CHECKING:
    from billing.kit.auth import Headers
    from billing.payments.model import Notice

PUBLIC = [
    *wallet_routes.HANDLERS,
    *payment_routes.HANDLERS,
    *invoice_routes.HANDLERS,
    *analytics_routes.HANDLERS,
]
OPERATOR = [
    *wallet_operator_routes.HANDLERS,
    *payment_operator_routes.HANDLERS,
    *payment_operator_routes.SANDBOX_HANDLERS,
    *invoice_operator_routes.HANDLERS,
]


class Killed(Exception):
    """Stands for the death of the process."""


@dataclass
class DyingGateway:
    """The sandbox, whose caller dies before it is reached or after it has answered, as told."""

    gateway: payments.SandboxGateway
    dies: Literal["never", "before_charge", "after_charge"] = "never"
    name: str = "sandbox"
    settles_after_s: int | None = None

    async def attach(self, *, key: str, token: str) -> payments.Instrument:
        return await self.gateway.attach(key=key, token=token)

    async def charge(self, request: payments.ChargeRequest) -> payments.Charge:
        if self.dies == "before_charge":
            raise Killed
        answer = await self.gateway.charge(request)
        if self.dies == "after_charge":
            raise Killed
        return answer

    async def find_charge(self, key: str) -> payments.Charge | None:
        return await self.gateway.find_charge(key)

    async def cancel(self, request: payments.ChargeRequest) -> payments.Charge:
        return await self.gateway.cancel(request)

    def read_notice(self, headers: Headers, body: bytes, *, now: datetime) -> Notice:
        return self.gateway.read_notice(headers, body, now=now)


@dataclass(kw_only=True)
class Till(House):
    """The house with a sandbox gateway."""

    gateway: DyingGateway

    async def add_method(self, resident: Resident, token: str = "tok_visa", **members: object) -> str:
        """The id of a new payment method."""
        kind = "bank_account" if token.startswith("ba_") else "card"
        body = {"type": kind, "token": token, **members}
        reply = await self.call("POST", "/v1/account/payment-methods", key=resident.key, body=body)
        assert reply.status == 201, reply.text
        return reply.body["payment_method"]["id"]

    async def top_up(
        self,
        resident: Resident,
        method: str,
        amount: object = "100.00",
        *,
        currency: str = "USD",
        key: str | None = None,
    ) -> Reply:
        """POST /account/wallets/topup, with an Idempotency-Key if one is given."""
        body = {"amount": amount, "currency": currency, "payment_method": method}
        headers = {"Idempotency-Key": key} if key else None
        return await self.call("POST", "/v1/account/wallets/topup", key=resident.key, body=body, headers=headers)

    async def command(self, path: str, *, key: str, body: object) -> Reply:
        """A POST of the operator API that needs an Idempotency-Key."""
        return await self.operate("POST", path, body=body, headers={"Idempotency-Key": key})

    async def wallets(self, resident: Resident) -> list[dict[str, Any]]:
        """GET /account/wallets."""
        return (await self.call("GET", "/v1/account/wallets", key=resident.key)).body["wallets"]


@asynccontextmanager
async def open_till(
    dsn: str, *, webhook_secrets: tuple[bytes, ...] = (b"s" * 32,), calls_max: int | None = None
) -> AsyncIterator[Till]:
    """The application over a database, with USD, KES and JPY."""
    clock = Clock()
    pool, sandbox_pool = await open_pool(dsn, size=4), await open_pool(dsn, size=2)
    database = Database(pool, clock)
    keyring = api_keys.Keyring(database)
    sandbox = payments.SandboxGateway(sandbox_pool, clock, webhook_secrets=webhook_secrets)
    gateway = DyingGateway(sandbox)
    currencies = frozenset({*accounts.CURRENCIES_DEFAULT, "JPY"})
    try:
        async with database.transaction() as tx:
            operator_key = (await api_keys.create_operator_key(tx, name="Test", scopes=["*"])).secret
        app = build_app(
            database=database,
            read_caller=keyring.read_caller,
            read_operator=keyring.read_operator,
            public=PUBLIC,
            operator=OPERATOR,
            plain=payment_routes.GATEWAY_HANDLERS,
            calls_max=calls_max,
            values={
                "payment_settings": payments.PaymentSettings(gateway, payments.topup_ranges(currencies)),
                "wallet_settings": wallets.WalletSettings(wallets.reserve_for_usage, currencies),
                "sandbox": sandbox,
                "topups": payments.TopUps(database, gateway=gateway, reserve=wallets.reserve_for_usage),
            },
        )
        transport = httpx2.ASGITransport(app=cast("Any", app), client=("127.0.0.1", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://billing.test") as client:
            yield Till(client, database, keyring, clock, operator_key, gateway=gateway)
        await keyring.close()
    finally:
        await sandbox_pool.close()
        await pool.close()
