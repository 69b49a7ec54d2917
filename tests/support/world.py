"""A house that has one of everything, for two accounts: what the calls of `tests/support/every_route.py` name."""

from __future__ import annotations

import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import httpx2

from billing import accounts, api_keys, invoices, metering, onboarding, payments, wallets, webhooks
from billing.analytics.operations import keeping
from billing.app.http import OPERATOR, PUBLIC
from billing.core import ids
from billing.invoices.operations import collecting
from billing.kit.db import ACQUIRE_TIMEOUT_S, Database, open_pool
from billing.kit.web import build_app
from tests.support.every_route import ALERT, EVENTS, NOTHING, STATE, WEBHOOK, Names, Route, event, fresh
from tests.support.house import Clock, House, Resident
from tests.support.messages import MAILROOM
from tests.support.sink import StubSender

if TYPE_CHECKING:
    from billing.kit.db import Pool


@dataclass(frozen=True)
class World:
    """A house with everything in it."""

    house: House
    jane: Resident
    bob: Resident
    mine: Names
    others: Names
    lesser_keys: Names

    def lesser_key(self, route: Route) -> str:
        """A key of the right plane without the permission that the route needs."""
        if route.is_public:
            return self.lesser_keys["write" if route.method == "GET" else "read"]
        return self.lesser_keys[
            "metering" if route.template.endswith(("/check", "/audit", "/outbox", "/jobs")) else "audit"
        ]

    @property
    def unknown(self) -> Names:
        """Names like Jane's that stand for nothing."""
        prefixes = {name: value.rpartition("_")[0] for name, value in self.mine.items()}
        parts = {"transaction_id": f"txn_{NOTHING}"}
        return {name: f"{prefix}_{NOTHING}" for name, prefix in prefixes.items()} | parts


@asynccontextmanager
async def open_app(
    dsn: str,
    *,
    wrap: Callable[[Pool], Pool] | None = None,
    connections: int = 4,
    wait_s: float = ACQUIRE_TIMEOUT_S,
) -> AsyncIterator[House]:
    """The whole application over a database, with the same ids for the same calls; `wrap` stands before its pool."""
    clock = Clock()
    pool, sandbox_pool = await open_pool(dsn, size=connections), await open_pool(dsn, size=2)
    database = Database(pool if wrap is None else wrap(pool), clock, random.Random(1).getrandbits, wait_s)
    keyring = api_keys.Keyring(database)
    sandbox = payments.SandboxGateway(sandbox_pool, clock)
    currencies = accounts.CURRENCIES_DEFAULT
    try:
        app: Any = build_app(
            database=database,
            read_caller=keyring.read_caller,
            read_operator=keyring.read_operator,
            public=PUBLIC,
            operator=OPERATOR,
            values={
                "currencies": currencies,
                "payment_settings": payments.PaymentSettings(sandbox, payments.topup_ranges(currencies)),
                "wallet_settings": wallets.WalletSettings(wallets.reserve_for_usage, currencies),
                "sandbox": sandbox,
                "webhook_settings": StubSender().settings,
                "mailroom": MAILROOM,
                "intake": metering.Intake(database),
                "topups": payments.TopUps(database, gateway=sandbox, reserve=wallets.reserve_for_usage),
            },
        )
        transport = httpx2.ASGITransport(app=app, client=("127.0.0.1", 50_000))
        async with httpx2.AsyncClient(transport=transport, base_url="http://billing.test") as client:
            yield House(client, database, keyring, clock, operator_key="")
        await keyring.close()
    finally:
        await sandbox_pool.close()
        await pool.close()


@asynccontextmanager
async def open_world(dsn: str, *, connections: int = 4, wait_s: float = ACQUIRE_TIMEOUT_S) -> AsyncIterator[World]:
    """The whole application over a database, with one of everything in it."""
    async with open_app(dsn, connections=connections, wait_s=wait_s) as house:
        async with house.database.transaction() as tx:
            house.operator_key = (await api_keys.create_operator_key(tx, name="Test", scopes=["*"])).secret
        yield await _furnish(house)


async def _furnish(house: House) -> World:
    prices = [
        {"service": "compute", "plan": "small", "model": "hourly", "hourly_price": 0.05},
        {"service": "messaging", "meter": "sms", "model": "per_unit", "unit_price": 0.01},
    ]
    card = {"name": "List", "currency": "USD", "valid_from": "2024-01-01", "prices": prices}
    card_id = (await _post(house, "/operator/v1/rate-cards", card))["rate_card"]["id"]
    jane, bob = await house.open_account(), await house.open_account()
    mine, others = await _own(house, jane), await _own(house, bob)
    spare = {name: await house.open_account() for name in ("void_invoice_id", "lost_invoice_id", "credited_invoice_id")}
    for resident in spare.values():
        await _run_server(house, resident)
    await collecting.collect_arrived(house.database)  # so that no receipt has to, when there are invoices
    run_id = await _close(house)
    await keeping.keep_closed(house.database, at_least=0, settled_after=timedelta(0))
    for names in (mine, others):  # what was set aside has not paid the invoices
        await _post(house, f"/operator/v1/holds/{names['rest_hold_id']}/release", {})
    for name, resident in spare.items():
        mine[name] = await _invoice_of(house, resident)
    for resident, names in ((jane, mine), (bob, others)):
        names |= {"rate_card_id": card_id, "run_id": run_id, "invoice_id": await _invoice_of(house, resident)}
        credit = {"amount": "0.01", "reason": "a mistake"}
        path = f"/operator/v1/invoices/{names['invoice_id']}/credit-notes"
        names["credit_note_id"] = (await _post(house, path, credit))["credit_note"]["id"]
    lesser_keys = {
        "read": await house.issue(jane, "read"),
        "write": await house.issue(jane, "write"),
        "audit": await house.issue_operator("audit"),
        "metering": await house.issue_operator("metering"),
    }
    return World(house, jane, bob, mine, others, lesser_keys)


async def _own(house: House, resident: Resident) -> Names:
    """One of everything for an account; what a path's parameters may name."""
    account = f"/operator/v1/accounts/{resident.id}"
    public: list[tuple[str, str, dict[str, Any]]] = [
        ("project_id", "/v1/projects", {"name": "Mine"}),
        ("spare_project_id", "/v1/projects", {"name": "Spare"}),
        ("lost_project_id", "/v1/projects", {"name": "Lost"}),
        ("key_id", "/v1/account/api-keys", {"name": "Shown", "permissions": ["read"]}),
        *((name, "/v1/account/alerts", ALERT) for name in ("alert_id", "spare_alert_id")),
        *((name, "/v1/account/webhooks", WEBHOOK) for name in ("webhook_id", "spare_webhook_id")),
        *(
            (name, "/v1/account/api-keys", {"name": "Spare", "permissions": ["read"]})
            for name in ("spare_key_id", "lost_key_id")
        ),
        ("spare_method_id", "/v1/account/payment-methods", {"type": "card", "token": "tok_amex"}),
        ("slow_method_id", "/v1/account/payment-methods", {"type": "card", "token": "tok_pending"}),
        (
            "payment_method_id",
            "/v1/account/payment-methods",
            {"type": "card", "token": "tok_visa", "set_default": True},
        ),
    ]
    names = {"account_id": resident.id, "resource_id": "vps_1", "meter": "sms", "source": "platform", "event_id": "e1"}
    for name, path, body in public:
        (made,) = (await _post(house, path, body, key=resident.key)).values()
        names[name] = made["id"]
    for name, method in (
        ("transaction_id", "payment_method_id"),
        ("payment_id", "slow_method_id"),
        ("other_payment_id", "slow_method_id"),
    ):
        body = {"amount": 100, "currency": "USD", "payment_method": names[method]}
        transaction = (await _post(house, "/v1/account/wallets/topup", body, key=resident.key))["transaction"]
        names[name] = transaction["id"] if name == "transaction_id" else transaction["payment_id"]
        names.setdefault("captured_id", transaction["payment_id"])
    names["delivery_id"] = await _tell(house, resident, names["alert_id"])
    names["message_id"] = await _send_webhook(house, resident, names["webhook_id"])
    credit = {"amount": 5, "currency": "KES", "reason": "a gift"}
    names["credit_id"] = (await _post(house, f"{account}/credits", credit))["credit"]["id"]
    for name, amount in (("hold_id", 5), ("other_hold_id", 5), ("rest_hold_id", 90)):
        hold = {"amount": amount, "currency": "USD", "reference": name, "expires_at": "2024-03-01T00:00:00Z"}
        names[name] = (await _post(house, f"{account}/holds", hold))["hold"]["id"]
    await _run_server(house, resident)
    batch = [event(resident.id, "e1")]
    await _post(house, "/operator/v1/events", batch, media_type=EVENTS)
    async with house.database.transaction() as tx:
        spare = await onboarding.open_account(tx, email=f"{fresh()}@example.com", name="Spare", currency="USD")
    await house.call("DELETE", f"/v1/projects/{names['lost_project_id']}", key=resident.key)
    names["spare_account_id"] = ids.encode("acc", spare.account.account_id)
    return names


async def _run_server(house: House, resident: Resident) -> None:
    path = f"/operator/v1/accounts/{resident.id}/resources/vps_1"
    await _post(house, path, {**STATE, "effective_at": "2024-01-10T00:00:00Z"}, method="PUT")


async def _tell(house: House, resident: Resident, alert_id: str) -> str:
    await _post(house, f"/operator/v1/accounts/{resident.id}/alerts/{alert_id}/test", None)
    told = (await house.call("GET", "/v1/account/notifications", key=resident.key)).body["notifications"]
    return told[0]["deliveries"][0]["id"]


async def _send_webhook(house: House, resident: Resident, webhook_id: str) -> str:
    path = f"/v1/account/webhooks/{webhook_id}/test"
    tested = (await _post(house, path, None, key=resident.key))["delivery"]["id"]
    await webhooks.send_due(house.database, settings=StubSender().settings)
    return tested


async def _invoice_of(house: House, resident: Resident) -> str:
    return (await house.call("GET", "/v1/account/invoices", key=resident.key)).body["invoices"][0]["id"]


async def _close(house: House) -> str:
    run_id = (await _post(house, "/operator/v1/runs", {"kind": "close", "period": "2024-01"}))["run"]["id"]
    decoded = ids.decode("run", run_id)
    assert decoded is not None
    await invoices.advance(house.database, run_id=decoded)
    return run_id


async def _post(
    house: House,
    path: str,
    body: object,
    *,
    key: str | None = None,
    method: str = "POST",
    media_type: str = "application/json",
) -> dict[str, Any]:
    headers = {"Idempotency-Key": fresh(), "Content-Type": media_type}
    reply = await house.call(method, path, key=key or house.operator_key, body=body, headers=headers)
    assert reply.status < 300, f"{path}: {reply.text}"
    return reply.body
