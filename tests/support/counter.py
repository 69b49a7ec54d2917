"""A counter that pays money back: one account, the sandbox gateway, and a gateway in front of it that dies, is silent or lies."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Literal
from uuid import UUID

import asyncpg

from billing import accounts, ledger, payments, wallets
from billing.core import ids
from billing.kit.db import Database, open_pool
from billing.payments import operations
from billing.payments.model import AmountRange, Chargeback, GatewayUnknown, GivenBack, Payment, Refund, RefundRequest
from tests.support.house import Clock
from tests.support.till import DyingGateway, Killed

RANGE = AmountRange(1, 10**9)


@dataclass
class FaultyGateway(DyingGateway):
    """The sandbox behind a bad line: calls about refunds fail as told, and answers are what `lies` makes of them."""

    refunds: Literal["work", "die before", "die after", "unreachable", "unheard"] = "work"
    lies: dict[str, object] = field(default_factory=dict)
    calls: list[str] = field(default_factory=list)

    async def refund(self, request: RefundRequest) -> GivenBack:
        self.calls.append(f"refund {request.key}")
        self._before()
        return self._after(await self.gateway.refund(request))

    async def find_refund(self, key: str) -> GivenBack | None:
        self.calls.append(f"find {key}")
        self._before()
        answer = await self.gateway.find_refund(key)
        return None if answer is None else self._after(answer)

    async def cancel_refund(self, request: RefundRequest) -> GivenBack:
        self.calls.append(f"cancel {request.key}")
        self._before()
        return self._after(await self.gateway.cancel_refund(request))

    def _before(self) -> None:
        if self.refunds == "die before":
            raise Killed
        if self.refunds == "unreachable":
            raise GatewayUnknown("no route")

    def _after(self, answer: GivenBack) -> GivenBack:
        if self.refunds == "die after":
            raise Killed
        if self.refunds == "unheard":
            raise GatewayUnknown("the line broke")
        return replace(answer, **self.lies)


@dataclass
class Counter:
    """An account with a card, and what is done with its money."""

    database: Database
    clock: Clock
    gateway: FaultyGateway
    account_id: UUID
    payment_method_id: UUID

    async def top_up(self, amount_minor: int = 10_000, *, currency: str = "USD") -> Payment:
        """A top-up, as far as it gets."""
        async with self.database.transaction() as tx:
            started = await payments.start_topup(
                tx,
                gateway=self.gateway,
                wanted=payments.TopUp(
                    account_id=self.account_id,
                    payment_method_id=self.payment_method_id,
                    currency=currency,
                    amount_minor=amount_minor,
                ),
                allowed=RANGE,
            )
        return await payments.charge(
            self.database, self.gateway, account_id=self.account_id, payment_id=started.payment_id
        )

    async def attach(self, token: str) -> None:
        """Pay by another card from now on."""
        async with self.database.transaction() as tx:
            self.payment_method_id = tx.new_id()
        await operations.attach_method(
            self.database,
            self.gateway,
            account_id=self.account_id,
            payment_method_id=self.payment_method_id,
            type="card",
            token=token,
            is_default=True,
        )

    async def record(self, amount_minor: int, reference: str, *, currency: str = "USD") -> Payment:
        """Money that came another way."""
        async with self.database.transaction() as tx:
            return await payments.record(
                tx,
                account_id=self.account_id,
                currency=currency,
                amount_minor=amount_minor,
                reference=reference,
                received_at=tx.now,
            )

    async def start_refund(self, payment: Payment, amount_minor: int | None = None) -> Refund:
        """The intent of a refund alone."""
        async with self.database.transaction() as tx:
            return await payments.start_refund(
                tx,
                gateway=self.gateway,
                payment=payment,
                own_currency="USD",
                amount_minor=amount_minor,
                reason="asked for",
                reserve=wallets.nothing_reserved,
            )

    async def finish_refund(self, refund: Refund) -> Refund:
        """Ask the gateway for a refund."""
        return await payments.refund(
            self.database, self.gateway, account_id=self.account_id, refund_id=refund.refund_id
        )

    async def refund(self, payment: Payment, amount_minor: int | None = None) -> Refund:
        """A refund, as far as it gets."""
        return await self.finish_refund(await self.start_refund(payment, amount_minor))

    async def charge_back(self, payment: Payment, amount_minor: int | None = None) -> Chargeback:
        """What a gateway tells of a dispute."""
        async with self.database.transaction() as tx:
            return await payments.charge_back(tx, payment=payment, amount_minor=amount_minor, reason="fraud")

    async def spend(self, amount_minor: int, *, currency: str = "USD") -> None:
        """Cash that is gone for good."""
        async with self.database.transaction() as tx:
            hold_id = tx.new_id()
            transfers = [
                move(
                    account_id=self.account_id, hold_id=hold_id, currency=currency, amount_minor=amount_minor, at=tx.now
                )
                for move in (ledger.hold_placed, ledger.hold_captured)
            ]
            await ledger.post_all(tx.connection, transfers, recorded_at=tx.now)

    async def poll(self) -> int:
        """What the worker does every second; how many payments and refunds ended."""
        return await payments.check_payments(self.database, self.gateway)

    async def books(self) -> dict[str, int]:
        """The balances that are not 0, by ledger account, the currency before it unless USD."""
        async with self.database.reading() as reading:
            balances_minor = await ledger.list_balances(reading.connection, account_id=self.account_id)
        return {
            name if currency == "USD" else f"{currency} {name}": minor
            for (currency, name), minor in balances_minor.items()
            if minor
        }

    async def templates(self) -> list[str]:
        """What was posted, oldest first."""
        async with self.database.reading() as reading:
            found = await ledger.list_transfers(reading.connection, account_id=self.account_id, limit=1000)
        return [f"{one.template} {one.amount_minor}" for one in reversed(found)]

    async def given_back(self) -> list[tuple[str, int]]:
        """What the sandbox gateway knows of the account's refunds."""
        async with self.gateway.gateway.pool.acquire() as connection:
            rows = await connection.fetch(
                """
                SELECT refunds.status, refunds.amount_minor
                FROM sandbox.refunds JOIN sandbox.charges ON charges.key = charge_key
                WHERE account_reference = $1
                ORDER BY refunds.created_at, refunds.key
                """,
                ids.encode("acc", self.account_id),
            )
        return [(row["status"], row["amount_minor"]) for row in rows]

    async def reload(self, refund: Refund) -> Refund:
        """A refund as it is stored now."""
        async with self.database.reading() as reading:
            return await payments.get_refund(reading.connection, account_id=self.account_id, refund_id=refund.refund_id)

    async def violations(self) -> int:
        """Broken invariants of the books."""
        async with self.database.reading() as reading:
            return sum(check.violations for check in await ledger.run_checks(reading.connection))


async def put_to_rest(dsn: str) -> None:
    """What other tests left pending in the same database is not asked for any more."""
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("UPDATE payments SET next_check_at = NULL WHERE status = 'pending'")
        await connection.execute("UPDATE refunds SET next_check_at = NULL WHERE status = 'pending'")
    finally:
        await connection.close()


@asynccontextmanager
async def open_counter(dsn: str) -> AsyncIterator[Counter]:
    """The counter over a database, an account of its own with a good card."""
    await put_to_rest(dsn)
    clock = Clock()
    pool, sandbox_pool = await open_pool(dsn, size=8), await open_pool(dsn, size=4)
    database = Database(pool, clock)
    try:
        async with database.transaction() as tx:
            account = await accounts.open_account(tx, email="a@example.org", name="A", currency="USD")
            await ledger.open_head(tx.connection, account_id=account.account_id)
        gateway = FaultyGateway(payments.SandboxGateway(sandbox_pool, clock))
        counter = Counter(database, clock, gateway, account.account_id, account.account_id)
        await counter.attach("tok_visa")
        yield counter
    finally:
        await sandbox_pool.close()
        await pool.close()
