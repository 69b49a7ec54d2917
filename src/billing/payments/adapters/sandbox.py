"""The sandbox gateway: the outside world of a demo or a test, with a schema and connections of its own.

A token chooses what happens: see `_CARDS`. It is durable, so that what a killed process asked for is still there.
"""

from __future__ import annotations

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

import asyncpg

from billing.core.errors import NotFound
from billing.kit.db import ACQUIRE_TIMEOUT_S, Clock, system_clock
from billing.kit.gathering import Gathered, GatheredTimeout
from billing.payments.adapters import sandbox_notices
from billing.payments.model import (
    Charge,
    ChargeRequest,
    ChargeStatus,
    GatewayTimeout,
    GatewayUnknown,
    GivenBack,
    Instrument,
    InvalidPaymentMethod,
    Notice,
    PaymentNotPending,
    RefundRequest,
)

if TYPE_CHECKING:
    from billing.kit.auth import Headers
    from billing.kit.db import Connection, Pool

_BANK = "ba_bank"
_CARD_PREFIX = "tok_"
_INVALID = "tok_invalid"
_PENDING = "tok_pending"
_LOST = "tok_lost"
_EXPIRED = "tok_expired"
_REFUND_DECLINED = "tok_refund_declined"
_CARDS = {"tok_mastercard": ("mastercard", "4444"), "tok_amex": ("amex", "0005")}
_LAST4 = {"tok_declined": "0002", "tok_insufficient_funds": "9995", _EXPIRED: "0069"}
_DECLINES = {"tok_declined": "declined", "tok_insufficient_funds": "insufficient_funds", _EXPIRED: "expired"}
_TOKEN_MAX = 200


@dataclass(frozen=True, slots=True)
class _Taken:
    """What came of a request: its charge, whether its key was new, and the token that it named."""

    charge: Charge
    is_new: bool
    token: str | None


@dataclass(frozen=True, slots=True)
class SandboxGateway:
    """The gateway; `settles_after_s` lets pending charges succeed by themselves.

    Its webhooks are signed with the first of `webhook_secrets`; each of them is good when they come in.
    """

    pool: Pool
    clock: Clock = system_clock
    settles_after_s: int | None = None
    name: str = "sandbox"
    webhook_secrets: tuple[bytes, ...] = field(default_factory=lambda: (secrets.token_bytes(32),))
    _taken: Gathered[ChargeRequest, _Taken] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_taken", Gathered(self._take_all, limit_s=ACQUIRE_TIMEOUT_S))

    async def attach(self, *, key: str, token: str) -> Instrument:
        """Keep a token under a reference made of the key."""
        if not _is_valid(token):
            raise InvalidPaymentMethod(details={"reason": "token_invalid"})
        reference = f"sbx_{key}"
        async with self._connection() as connection:
            created_at = await connection.fetchval(
                """
                INSERT INTO sandbox.instruments (reference, token, created_at) VALUES ($1, $2, $3)
                ON CONFLICT (reference) DO UPDATE SET reference = excluded.reference
                RETURNING created_at
                """,
                reference,
                token,
                self.clock(),
            )
        return _instrument(reference, token, created_at)

    async def charge(self, request: ChargeRequest) -> Charge:
        """Charge once per key; `tok_lost` charges and never answers the first time."""
        try:
            taken = await self._taken.get(request)
        except GatheredTimeout as error:
            raise GatewayTimeout("the sandbox gateway is slow") from error
        assert taken is not None, "each request has its answer"
        if taken.is_new and taken.token == _LOST:
            raise GatewayTimeout("the answer was lost")
        return taken.charge

    async def find_charge(self, key: str) -> Charge | None:
        """The charge of a key; a pending one settles here when its time has come."""
        async with self._connection() as connection:
            return await self._find(connection, key)

    async def cancel(self, request: ChargeRequest) -> Charge:
        """Use a key up."""
        async with self._connection() as connection:
            await self._insert(connection, [request], [_charge_of(request, status="failed", reason="cancelled")])
            return await self._get(connection, request.key)

    async def refund(self, request: RefundRequest) -> GivenBack:
        """Give back once per key, never more than was charged; of `tok_lost` the first answer is lost here too."""
        async with self._connection() as connection, connection.transaction():
            charge = await connection.fetchrow(
                """
                SELECT currency, amount_minor, status, token
                FROM sandbox.charges LEFT JOIN sandbox.instruments USING (reference)
                WHERE key = $1 FOR UPDATE OF charges
                """,
                request.charge_key,
            )
            given_minor = await connection.fetchval(
                "SELECT coalesce(sum(amount_minor), 0)::bigint FROM sandbox.refunds WHERE charge_key = $1 AND status = 'succeeded'",
                request.charge_key,
            )
            reason = _refund_fault(request, charge, given_minor)
            is_new = await self._insert_refund(connection, request, reason=reason)
            given = await self._find_refund(connection, request.key)
        assert given is not None, "a refund just asked for is there"
        if is_new and charge is not None and charge["token"] == _LOST:
            raise GatewayTimeout("the answer was lost")
        return given

    async def find_refund(self, key: str) -> GivenBack | None:
        """The refund of a key."""
        async with self._connection() as connection:
            return await self._find_refund(connection, key)

    async def cancel_refund(self, request: RefundRequest) -> GivenBack:
        """Use a key up."""
        async with self._connection() as connection:
            await self._insert_refund(connection, request, reason="cancelled")
            given = await self._find_refund(connection, request.key)
        assert given is not None, "a key just used up is there"
        return given

    async def settle(self, key: str) -> Charge:
        """Let a pending charge succeed, as its issuer would; again is harmless. Raises NotFound, PaymentNotPending."""
        return await self._end(key, status="succeeded", reason=None)

    async def fail(self, key: str) -> Charge:
        """Let a pending charge fail; again is harmless. Raises NotFound, PaymentNotPending."""
        return await self._end(key, status="failed", reason="declined")

    def write_notice(self, charge: Charge) -> tuple[Headers, bytes]:
        """The webhook that says how a charge stands: its headers and body."""
        return sandbox_notices.write(
            charge, account_reference=charge.account_reference, secrets=self.webhook_secrets[:1], now=self.clock()
        )

    def read_notice(self, headers: Headers, body: bytes, *, now: datetime) -> Notice:
        """What a webhook of the sandbox says. Raises InvalidSignature, NoticeNotUnderstood."""
        return sandbox_notices.read(headers, body, secrets=self.webhook_secrets, now=now)

    async def _end(self, key: str, *, status: ChargeStatus, reason: str | None) -> Charge:
        async with self._connection() as connection:
            await connection.execute(
                """
                UPDATE sandbox.charges SET status = $2, reason = $3, settled_at = $4
                WHERE key = $1 AND status = 'pending'
                """,
                key,
                status,
                reason,
                self.clock(),
            )
            charge = await self._find(connection, key)
        if charge is None:
            raise NotFound
        if charge.status != status:
            raise PaymentNotPending(details={"status": charge.status})
        return charge

    async def _take_all(self, requests: Sequence[ChargeRequest]) -> dict[ChargeRequest, _Taken]:
        """Charge for all that asked at once; the keys of those that are new are used up."""
        async with self._connection() as connection:
            rows = await connection.fetch(
                "SELECT reference, token FROM sandbox.instruments WHERE reference = ANY ($1)",
                [request.instrument_reference for request in requests],
            )
            tokens = {row["reference"]: row["token"] for row in rows}
            outcomes = [_outcome(tokens.get(request.instrument_reference)) for request in requests]
            charges = [
                _charge_of(request, status=status, reason=reason)
                for request, (status, reason) in zip(requests, outcomes, strict=True)
            ]
            new = await self._insert(connection, requests, charges)
            return {
                request: _Taken(
                    charge=charge
                    if charge.key in new and charge.status != "pending"
                    else await self._get(connection, charge.key),
                    is_new=charge.key in new,
                    token=tokens.get(request.instrument_reference),
                )
                for request, charge in zip(requests, charges, strict=True)
            }

    async def _insert(
        self, connection: Connection, requests: Sequence[ChargeRequest], charges: Sequence[Charge]
    ) -> set[str]:
        """Store the charges of keys that were not used before, and say which."""
        now = self.clock()
        rows = await connection.fetch(
            """
            INSERT INTO sandbox.charges
                (key, reference, account_reference, currency, amount_minor, status, reason, created_at, settled_at)
            SELECT key, reference, account_reference, currency, amount_minor, status, reason, $8::timestamptz,
                CASE WHEN status <> 'pending' THEN $8::timestamptz END
            FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[])
                AS asked (key, reference, account_reference, currency, amount_minor, status, reason)
            ON CONFLICT (key) DO NOTHING
            RETURNING key
            """,
            [charge.key for charge in charges],
            [request.instrument_reference for request in requests],
            [charge.account_reference for charge in charges],
            [charge.currency for charge in charges],
            [charge.amount_minor for charge in charges],
            [charge.status for charge in charges],
            [charge.reason for charge in charges],
            now,
        )
        return {row["key"] for row in rows}

    async def _insert_refund(self, connection: Connection, request: RefundRequest, *, reason: str | None) -> bool:
        done = await connection.execute(
            """
            INSERT INTO sandbox.refunds (key, charge_key, currency, amount_minor, status, reason, created_at)
            VALUES ($1, $2, $3, $4, $5, $6, $7)
            ON CONFLICT (key) DO NOTHING
            """,
            request.key,
            request.charge_key,
            request.currency,
            request.amount_minor,
            "succeeded" if reason is None else "failed",
            reason,
            self.clock(),
        )
        return done == "INSERT 0 1"

    async def _find_refund(self, connection: Connection, key: str) -> GivenBack | None:
        row = await connection.fetchrow(
            "SELECT key, charge_key, currency, amount_minor, status, reason FROM sandbox.refunds WHERE key = $1", key
        )
        return GivenBack(**dict(row)) if row else None

    async def _get(self, connection: Connection, key: str) -> Charge:
        charge = await self._find(connection, key)
        assert charge is not None, "a charge just asked for is there"
        return charge

    async def _find(self, connection: Connection, key: str) -> Charge | None:
        if self.settles_after_s is not None:
            await connection.execute(
                """
                UPDATE sandbox.charges SET status = 'succeeded', settled_at = $2
                WHERE key = $1 AND status = 'pending' AND created_at <= $3
                """,
                key,
                self.clock(),
                self.clock() - timedelta(seconds=self.settles_after_s),
            )
        row = await connection.fetchrow(
            "SELECT key, account_reference, currency, amount_minor, status, reason FROM sandbox.charges WHERE key = $1",
            key,
        )
        return Charge(**dict(row)) if row else None

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        try:
            async with self.pool.acquire() as connection:
                yield connection
        except (asyncpg.PostgresError, asyncpg.InterfaceError, OSError, TimeoutError) as error:
            raise GatewayUnknown(f"the sandbox gateway cannot be reached: {type(error).__name__}") from error


def _is_valid(token: str) -> bool:
    is_known = token == _BANK or (token.startswith(_CARD_PREFIX) and token != _INVALID)
    return is_known and len(token) <= _TOKEN_MAX and token.isascii() and token.isprintable()


def _charge_of(request: ChargeRequest, *, status: ChargeStatus, reason: str | None) -> Charge:
    return Charge(
        key=request.key,
        account_reference=request.account_reference,
        currency=request.currency,
        amount_minor=request.amount_minor,
        status=status,
        reason=reason,
    )


def _outcome(token: str | None) -> tuple[ChargeStatus, str | None]:
    if token is None:
        return "failed", "unknown_payment_method"
    if token in _DECLINES:
        return "failed", _DECLINES[token]
    return ("pending" if token == _PENDING else "succeeded"), None


def _refund_fault(request: RefundRequest, charge: asyncpg.Record | None, given_minor: int) -> str | None:
    if charge is None or charge["status"] != "succeeded" or charge["currency"] != request.currency:
        return "unknown_charge"
    if charge["token"] == _REFUND_DECLINED:
        return "declined"
    return "exceeds_charge" if given_minor + request.amount_minor > charge["amount_minor"] else None


def _instrument(reference: str, token: str, created_at: datetime) -> Instrument:
    if token == _BANK:
        return Instrument(reference, "bank_account", None, "Sandbox Bank", "6789", None, None)
    brand, last4 = _CARDS.get(token, ("visa", _LAST4.get(token, "4242")))
    exp_year = created_at.year + (-1 if token == _EXPIRED else 4)
    return Instrument(reference, "card", brand, None, last4, 12, exp_year)
