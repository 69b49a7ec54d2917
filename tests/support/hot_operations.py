"""What is done all day, as the program does it: over HTTP where it comes by HTTP, else what its worker runs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from uuid import UUID

from billing import alerts, ledger, wallets, webhooks
from billing.kit import outbox, touches
from billing.ledger import rules as transfers
from tests.support.every_route import EVENTS, STATE, event, fresh
from tests.support.sink import StubSender
from tests.support.watching import until_idle

if TYPE_CHECKING:
    from tests.support.house import Reply
    from tests.support.world import World

Operation = Callable[[], Awaitable[object]]
COSTS = "/v1/account/analytics/costs?from_date=2024-01-01&to_date=2024-02-29&group_by=project"
TRENDS = "/v1/account/analytics/trends?metric=cost&from_date=2024-01-01&to_date=2024-02-29&interval=day"
HUNDRED = 100


@dataclass
class HotOperations:
    """The hot operations of a world's first account."""

    world: World
    _payments: int = 0
    _states: int = 0
    _cursors: dict[str, str | None] = field(default_factory=dict[str, "str | None"])

    def all(self) -> dict[str, Operation]:
        """By name. Each leaves the account as it was, but for what is written down of it, and may be repeated."""
        return {
            "read the account": lambda: self._get("/v1/account"),
            "post a transfer": lambda: self._post_transfers(1),
            "post an array of 100": lambda: self._post_transfers(HUNDRED),
            "hold and release": self._hold,
            "top up": self._top_up,
            "retry a call": self._retry,
            "read the wallets": lambda: self._get("/v1/account/wallets"),
            "take in an event": lambda: self._report(1),
            "take in a batch of 100": lambda: self._report(HUNDRED),
            "read the usage": lambda: self._get("/v1/account/usage?detailed=true"),
            "report a state": self._report_state,
            "read the projects": lambda: self._get("/v1/projects"),
            "read the resources": lambda: self._get(f"/v1/projects/{self.world.mine['project_id']}/resources"),
            "read the payment methods": lambda: self._get("/v1/account/payment-methods"),
            "quote a plan": self._quote,
            "go through the history": lambda: self._go_through("/v1/account/billing/history"),
            "go through the charges": lambda: self._go_through("/v1/account/billing/history?type=charge"),
            "go through the payments": lambda: self._go_through("/v1/account/billing/history?type=payment"),
            "go through the invoices": lambda: self._go_through("/v1/account/invoices"),
            "read costs by project": lambda: self._get(COSTS),
            "read costs by day": lambda: self._get(TRENDS),
            "relay an event": self._relay,
            "send a webhook": self._send_webhook,
            "look at an alert": self._look_at_alerts,
        }

    async def begin(self) -> None:
        """Put the account in funds, and let what the world left over be done."""
        self._cursors.clear()
        await self._post_transfers(HUNDRED)
        await self._report(1)
        for operation in (self._relay, self._send_webhook, self._look_at_alerts):
            await operation()

    async def _call(self, method: str, path: str, body: object = None, **members: Any) -> Reply:
        headers = members.get("headers", {"Idempotency-Key": fresh()}) if method == "POST" else None
        house = self.world.house
        key = house.operator_key if path.startswith("/operator") else self.world.jane.key
        reply = await house.call(method, path, key=key, body=body, headers=headers)
        assert reply.status < 300, (path, reply.text)
        await until_idle(house.database.pool)
        return reply

    def _get(self, path: str) -> Awaitable[Reply]:
        return self._call("GET", path)

    async def _post_transfers(self, count: int) -> None:
        async with self.world.house.database.transaction() as tx:
            payments = [
                transfers.payment_recorded(
                    account_id=self.world.jane.account_id,
                    payment_id=UUID(int=self._payments + number),
                    currency="USD",
                    amount_minor=1_000,
                    at=tx.now,
                )
                for number in range(count)
            ]
            self._payments += count
            if count == 1:
                await ledger.post(tx.connection, payments[0], recorded_at=tx.now)
            else:
                await ledger.post_all(tx.connection, payments, recorded_at=tx.now)

    async def _hold(self) -> None:
        hold = {"amount": 1, "currency": "USD", "reference": fresh(), "expires_at": "2024-06-01T00:00:00Z"}
        placed = await self._call("POST", f"/operator/v1/accounts/{self.world.jane.id}/holds", hold)
        await self._call("POST", f"/operator/v1/holds/{placed.body['hold']['id']}/release", {})

    async def _top_up(self) -> None:
        body = {"amount": 1, "currency": "USD", "payment_method": self.world.mine["payment_method_id"]}
        await self._call("POST", "/v1/account/wallets/topup", body)

    async def _retry(self) -> None:
        await self._call("POST", "/v1/projects", {"name": "Once"}, headers={"Idempotency-Key": "once"})

    async def _report(self, count: int) -> None:
        at = "2024-02-01T09:00:00Z"
        events = [{**event(self.world.jane.id, fresh()), "time": at} for _ in range(count)]
        await self._call("POST", "/operator/v1/events", events, headers={"Content-Type": EVENTS})

    async def _report_state(self) -> None:
        """Stop the server, or start it again: each report is newer than all before it."""
        self._states += 1
        at = f"2024-02-01T08:{self._states // 60:02}:{self._states % 60:02}Z"
        status = "running" if self._states % 2 == 0 else "stopped"
        path = f"/operator/v1/accounts/{self.world.jane.id}/resources/vps_1"
        await self._call("PUT", path, {**STATE, "effective_at": at, "status": status})

    async def _quote(self) -> None:
        quoted = {"currency": "USD", "account_id": self.world.jane.id, "at": "2024-02-01T00:00:00Z"}
        lines = [{"plan": "small", "hours": 10, "units": 2, "region": "nairobi"}, {"meter": "sms", "quantity": 10}]
        await self._call("POST", "/operator/v1/quotes", {**quoted, "lines": lines})

    async def _go_through(self, path: str) -> None:
        """A part of a list in its midst, or all of a short one."""
        if path not in self._cursors:
            self._cursors[path] = (await self._get(path)).body["meta"]["next_cursor"]
        cursor = self._cursors[path]
        await self._get(path if cursor is None else f"{path}{'&' if '?' in path else '?'}cursor={cursor}")

    async def _relay(self) -> None:
        await outbox.relay(self.world.house.database, readers=[])

    async def _send_webhook(self) -> None:
        await webhooks.send_due(self.world.house.database, settings=StubSender().settings)

    async def _look_at_alerts(self) -> None:
        database = self.world.house.database
        async with database.transaction() as tx:
            await touches.touch(tx, account_ids=[self.world.jane.account_id])
        await alerts.evaluate_due(database, reserve=wallets.reserve_for_usage)
