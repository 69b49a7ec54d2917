"""The whole application with a gateway that pays back, its line faulty when told, and accounts that were billed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from itertools import count
from typing import Any

import httpx2

from billing import accounts, api_keys, invoices, metering, payments, wallets
from billing.app.http import OPERATOR, PUBLIC
from billing.kit.db import Database, open_pool
from billing.kit.web import build_app
from tests.support.cloud import find_broken
from tests.support.counter import FaultyGateway
from tests.support.house import Clock, House, Reply, Resident
from tests.support.messages import MAILROOM
from tests.support.shop import Shop
from tests.support.sink import StubSender

_fresh = count(1)


@dataclass(kw_only=True)
class CountingHouse(House):
    """The house with everything in it."""

    line: FaultyGateway

    async def command(self, path: str, body: object, *, key: str | None = None) -> Reply:
        """A POST of the operator API that needs an Idempotency-Key."""
        headers = {"Idempotency-Key": key or f"fresh-{next(_fresh)}"}
        return await self.operate("POST", path, body=body, headers=headers)

    async def credit(self, invoice_id: str, *, key: str | None = None, **members: Any) -> Reply:
        """POST /invoices/{id}/credit-notes."""
        return await self.command(
            f"/invoices/{invoice_id}/credit-notes",
            {"reason": "an outage", **members},
            key=key and f"{key}-{invoice_id}",
        )

    async def pay(self, resident: Resident, amount: str, *, token: str = "tok_visa") -> str:
        """The payment's id of a top-up."""
        method = await self.call(
            "POST", "/v1/account/payment-methods", key=resident.key, body={"type": "card", "token": token}
        )
        body = {"amount": amount, "currency": "USD", "payment_method": method.body["payment_method"]["id"]}
        reply = await self.call("POST", "/v1/account/wallets/topup", key=resident.key, body=body)
        assert reply.status == 201, reply.text
        return reply.body["transaction"]["payment_id"]

    async def billed(self, top_up: str | None, *, token: str = "tok_visa", quantity: object = 50) -> Resident:
        """An account in Kenya with an invoice of January: SMS at 0.05, and 16 % of tax."""
        shop = Shop(self)
        await shop.stock()
        resident = await self.open_account()
        await shop.live_in_kenya(resident)
        if top_up is not None:
            await self.pay(resident, top_up, token=token)
        await shop.run(resident, "sender", service="messaging", type="sms", name="Sender", plan=None)
        await shop.use(resident, "sender", "sms", quantity)
        await shop.close(resident)
        return resident

    async def invoice_of(self, resident: Resident) -> str:
        """The id of the account's newest invoice."""
        return (await self.call("GET", "/v1/account/invoices", key=resident.key)).body["invoices"][0]["id"]

    async def collect(self, resident: Resident) -> None:
        """Set the money that has arrived against invoices."""
        async with self.database.transaction() as tx:
            await invoices.collect(tx, account_id=resident.account_id, currency="USD")

    async def books(self, resident: Resident) -> dict[str, Decimal]:
        """The balances that are not 0 by ledger account."""
        reply = await self.operate("GET", f"/accounts/{resident.id}/ledger")
        return {one["ledger_account"]: one["balance"] for one in reply.body["balances"] if one["balance"]}

    async def download(self, path: str, *, key: str) -> httpx2.Response:
        """Bytes as they are."""
        return await self.client.request("GET", path, headers={"Authorization": f"Bearer {key}"})

    async def is_sound(self) -> bool:
        """Whether every invariant holds."""
        async with self.database.snapshot() as tx:
            return not await find_broken(tx)


@asynccontextmanager
async def open_counting_house(dsn: str, *, connections: int = 8) -> AsyncIterator[CountingHouse]:
    """The application over a database, with a faulty line to its gateway."""
    clock = Clock()
    pool, sandbox_pool = await open_pool(dsn, size=connections), await open_pool(dsn, size=4)
    database = Database(pool, clock)
    keyring = api_keys.Keyring(database)
    sandbox = payments.SandboxGateway(sandbox_pool, clock)
    line = FaultyGateway(sandbox)
    currencies = accounts.CURRENCIES_DEFAULT
    try:
        async with database.transaction() as tx:
            operator_key = (await api_keys.create_operator_key(tx, name="Test", scopes=["*"])).secret
        app: Any = build_app(
            database=database,
            read_caller=keyring.read_caller,
            read_operator=keyring.read_operator,
            public=PUBLIC,
            operator=OPERATOR,
            values={
                "currencies": currencies,
                "payment_settings": payments.PaymentSettings(line, payments.topup_ranges(currencies)),
                "wallet_settings": wallets.WalletSettings(wallets.reserve_for_usage, currencies),
                "sandbox": sandbox,
                "webhook_settings": StubSender().settings,
                "mailroom": MAILROOM,
                "intake": metering.Intake(database),
                "topups": payments.TopUps(database, gateway=line, reserve=wallets.reserve_for_usage),
            },
        )
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://billing.test") as client:
            yield CountingHouse(client, database, keyring, clock, operator_key, line=line)
        await keyring.close()
    finally:
        await sandbox_pool.close()
        await pool.close()
