"""A random business over the whole application, from a seed: what accounts, operators and the platform do, and what goes wrong.

Each step is a call, with a key of once where it takes one; now and then the process dies in it at a random statement or outside
call, is started again, and the client asks again with its key. Time passes between steps, and then the jobs run.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import asyncpg

from billing.core.period import Period
from tests.support.crashing import Died, Yard
from tests.support.every_route import EVENTS
from tests.support.house import Reply, Resident

TOKENS = ("tok_visa", "tok_visa", "tok_mastercard", "tok_declined", "tok_pending", "tok_lost", "tok_refund_declined")
DYING_WORDS = (asyncpg.InterfaceError, asyncpg.InternalClientError, OSError)


@dataclass
class Customer:
    """An account and what its client remembers of it."""

    resident: Resident
    methods: list[str] = field(default_factory=list)
    payments: list[str] = field(default_factory=list)
    holds: list[str] = field(default_factory=list)
    resources: int = 0


@dataclass
class Business:
    """What happens, from a seed."""

    yard: Yard
    rng: random.Random
    people: list[Customer] = field(default_factory=list)
    steps: int = 0
    deaths: int = 0
    answers: Counter[str] = field(default_factory=Counter)

    async def step(self) -> str:
        """One thing that happens, and its name."""
        self.steps += 1
        if not self.people:
            await self.open_account()
            return "open"
        verb: Callable[[], Awaitable[None]] = self.rng.choice(self._verbs())
        await verb()
        return verb.__name__

    async def pass_time(self) -> None:
        """Minutes to days, and what falls due then."""
        before = self.yard.clock.now
        self.yard.clock.advance(timedelta(minutes=self.rng.choice((1, 7, 90, 600, 2880, 5000))))
        month = Period(before.year, before.month)
        await self.yard.flush_notes()
        if Period(self.yard.clock.now.year, self.yard.clock.now.month) != month:
            self.yard.clock.advance(timedelta(hours=2))  # its grace
            await self.close(month)
        await self.yard.work()

    async def close(self, month: Period) -> None:
        """The operator closes a month; the job does it."""
        await self._ask("POST", "/operator/v1/runs", {"kind": "close", "period": str(month)})

    async def open_account(self) -> None:
        self.people.append(Customer(await self.yard.open_account()))

    def _verbs(self) -> list[Callable[[], Awaitable[None]]]:
        often = [self.top_up, self.use, self.use, self.report]
        seldom = [self.open_account, self.add_method, self.hold, self.end_hold, self.refund, self.pay, self.grant]
        return [*often, *often, *seldom, self.end_invoice, self.make_key, self.remove_method]

    @property
    def someone(self) -> Customer:
        return self.rng.choice(self.people)

    async def add_method(self) -> None:
        one = self.someone
        body = {"type": "card", "token": self.rng.choice(TOKENS), "set_default": self.rng.random() < 0.5}
        reply = await self._ask("POST", "/v1/account/payment-methods", body, one)
        if reply.status == 201:
            one.methods.append(reply.body["payment_method"]["id"])

    async def remove_method(self) -> None:
        one = self.someone
        if one.methods:
            method = one.methods.pop(self.rng.randrange(len(one.methods)))
            await self._ask("DELETE", f"/v1/account/payment-methods/{method}", None, one)

    async def top_up(self) -> None:
        one = self.someone
        if not one.methods:
            await self.add_method()
            return
        body = {"amount": f"{self.rng.randint(1, 200)}.{self.rng.randint(0, 99):02d}", "currency": "USD"}
        reply = await self._ask(
            "POST", "/v1/account/wallets/topup", {**body, "payment_method": self.rng.choice(one.methods)}, one
        )
        if reply.status == 201:
            one.payments.append(reply.body["transaction"]["payment_id"])

    async def report(self) -> None:
        """The platform tells of a resource: new, resized, stopped or gone."""
        one = self.someone
        number = self.rng.randint(0, min(one.resources, 3))
        one.resources = max(one.resources, number + 1)
        state = {"type": "vps", "service": "compute", "name": "web", "region": "nairobi", "plan": "small"}
        status = self.rng.choice(("running", "running", "stopped", "deleted"))
        body = {**state, "status": status, "units": self.rng.randint(1, 3)}
        body["effective_at"] = (self.yard.clock.now - timedelta(hours=self.rng.randint(0, 30))).isoformat()
        await self._ask("PUT", f"/operator/v1/accounts/{one.resident.id}/resources/vps_{number}", body)

    async def use(self) -> None:
        """The platform tells of usage, some of it twice, late or of nothing that is known."""
        one = self.someone
        batch = [self._event(one) for _ in range(self.rng.randint(1, 5))]
        await self._ask("POST", "/operator/v1/events", [*batch, *batch[:1]], media_type=EVENTS)

    def _event(self, one: Customer) -> dict[str, Any]:
        at = self.yard.clock.now - timedelta(hours=self.rng.choice((0, 1, 5, 100, 900)))
        data = {"account_id": one.resident.id, "meter": "sms", "quantity": self.rng.randint(1, 5000)}
        event = {"specversion": "1.0", "id": f"e{self.rng.randint(1, 10**9)}", "source": "platform", "type": "usage"}
        return {**event, "subject": f"vps_{self.rng.randint(0, 3)}", "time": at.isoformat(), "data": data}

    async def hold(self) -> None:
        one = self.someone
        until = self.yard.clock.now + timedelta(hours=self.rng.choice((1, 30, 300)))
        body = {"amount": f"{self.rng.randint(1, 60)}.00", "currency": "USD", "reference": f"hold {self.steps}"}
        path = f"/operator/v1/accounts/{one.resident.id}/holds"
        reply = await self._ask("POST", path, {**body, "expires_at": until.isoformat()})
        if reply.status == 201:
            one.holds.append(reply.body["hold"]["id"])

    async def end_hold(self) -> None:
        one = self.someone
        if one.holds:
            verb = self.rng.choice(("capture", "release"))
            await self._ask("POST", f"/operator/v1/holds/{self.rng.choice(one.holds)}/{verb}", {})

    async def refund(self) -> None:
        one = self.someone
        if one.payments:
            what = self.rng.choice(("refunds", "refunds", "chargebacks"))
            body = {"amount": f"{self.rng.randint(1, 50)}.00", "reason": "asked for"}
            await self._ask("POST", f"/operator/v1/payments/{self.rng.choice(one.payments)}/{what}", body)

    async def grant(self) -> None:
        body = {"amount": f"{self.rng.randint(1, 20)}.00", "currency": "USD", "reason": "a gift"}
        await self._ask("POST", f"/operator/v1/accounts/{self.someone.resident.id}/credits", body)

    async def make_key(self) -> None:
        body = {"name": "Another", "permissions": ["read"]}
        await self._ask("POST", "/v1/account/api-keys", body, self.someone)

    async def pay(self) -> None:
        one = self.someone
        invoice_id = await self._invoice(one)
        if invoice_id is not None:
            await self._ask("POST", f"/v1/account/invoices/{invoice_id}/pay", {}, one)

    async def end_invoice(self) -> None:
        invoice_id = await self._invoice(self.someone)
        if invoice_id is not None:
            verb = self.rng.choice(("void", "write-off", "credit-notes"))
            body = {"amount": "0.05", "reason": "a mistake"} if verb == "credit-notes" else {}
            await self._ask("POST", f"/operator/v1/invoices/{invoice_id}/{verb}", body)

    async def _invoice(self, one: Customer) -> str | None:
        listed = await self.yard.call("GET", "/v1/account/invoices", key=one.resident.key)
        found = [invoice["id"] for invoice in listed.body["invoices"]]
        return self.rng.choice(found) if found else None

    async def _ask(
        self, method: str, path: str, body: object, one: Customer | None = None, *, media_type: str = "application/json"
    ) -> Reply:
        """A call of an account's client or the operator, who asks again with his key if the process died in it."""
        key = self.yard.operator_key if one is None else one.resident.key
        headers = {"Content-Type": media_type}
        if method == "POST":
            headers["Idempotency-Key"] = f"step-{self.steps}"
        await self.yard.flush_notes()
        if self.rng.random() < 0.15:
            self.yard.fuse.watch(burns_at=self.rng.randint(1, 40), is_after=self.rng.random() < 0.5)
            with suppress(Died, *DYING_WORDS):
                await self.yard.call(method, path, key=key, body=body, headers=headers)
            self.deaths += self.yard.fuse.is_burnt
            await self.yard.mend()
        reply = await self.yard.call(method, path, key=key, body=body, headers=headers)
        self.answers[str(reply.status) if reply.status < 400 else reply.code] += 1
        assert reply.status < 500, (path, reply.text)
        return reply
