"""The verbs of keys: issue, mint, revoke, authenticate."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
from collections.abc import Sequence
from contextvars import Context
from datetime import datetime
from typing import TYPE_CHECKING
from uuid import UUID

import asyncpg

from billing.api_keys import rules, store
from billing.api_keys.model import (
    KEYS_MAX,
    OPERATOR_PREFIX,
    PUBLIC_PREFIX,
    ApiKey,
    IssuedKey,
    IssuedOperatorKey,
    Scope,
    TooManyKeys,
)
from billing.core import ids
from billing.core.errors import Forbidden, InvalidParameter, IpNotAllowed, Unauthorized
from billing.kit import outbox
from billing.kit.auth import Caller, Operator, Permission
from billing.kit.gathering import Gathered
from billing.kit.sessions import OUT_OF_REACH

if TYPE_CHECKING:
    from billing.kit.db import Database, Tx

_NOTED_MAX = 10_000
_UNNOTED = (*OUT_OF_REACH, asyncpg.InterfaceError, OSError)


async def issue(
    tx: Tx,
    *,
    account_id: UUID,
    name: str,
    permissions: Sequence[Permission],
    expires_at: datetime | None = None,
    ip_whitelist: Sequence[str] = (),
) -> IssuedKey:
    """Make a key of an account. Its secret is in the answer and nowhere else; `ip_whitelist` has been checked."""
    ranges = [rules.parse_range(text) for text in ip_whitelist]
    key = ApiKey(
        key_id=tx.new_id(),
        account_id=account_id,
        name=name,
        prefix=PUBLIC_PREFIX,
        permissions=tuple(permission for permission in rules.PERMISSIONS if permission in permissions),
        ip_whitelist=tuple(dict.fromkeys(rules.show_range(network) for network in ranges)),
        created_at=tx.now,
        expires_at=expires_at,
        last_used_at=None,
    )
    secret = rules.new_secret(PUBLIC_PREFIX, tx.random_bits)
    await store.insert_key(tx.connection, key=key, digest=rules.digest_of(secret))
    await _tell(tx, key, "api_key.created")
    return IssuedKey(key=key, secret=secret)


async def mint(
    tx: Tx,
    *,
    account_id: UUID,
    by_key_id: UUID,
    name: str,
    permissions: Sequence[Permission],
    expires_at: datetime | None = None,
    ip_whitelist: Sequence[str] = (),
) -> IssuedKey:
    """Make a key on behalf of another key of the account, which is held unrevoked meanwhile.

    Raises Forbidden when the new key would have rights, lifetime or IP ranges beyond its own, InvalidParameter for
    an expiry in the past, TooManyKeys.
    """
    if rules.has_expired(expires_at, now=tx.now):
        raise InvalidParameter.one("body", "expires_at", "must be in the future")
    own = await store.find_key_for_share(tx.connection, account_id=account_id, key_id=by_key_id)
    if own is None:
        raise Unauthorized
    excess = rules.widens(
        permissions=frozenset(permissions),
        expires_at=expires_at,
        ranges=[rules.parse_range(text) for text in ip_whitelist],
        own_permissions=frozenset(own.permissions),
        own_expires_at=own.expires_at,
        own_ranges=[rules.parse_range(text) for text in own.ip_whitelist],
    )
    if excess is not None:
        raise Forbidden(f"A key cannot make one whose {excess} go beyond its own", details={"member": excess})
    await store.lock_account(tx.connection, account_id=account_id)
    if await store.count_keys(tx.connection, account_id=account_id, now=tx.now) >= KEYS_MAX:
        raise TooManyKeys(details={"limit": KEYS_MAX})
    return await issue(
        tx, account_id=account_id, name=name, permissions=permissions, expires_at=expires_at, ip_whitelist=ip_whitelist
    )


async def revoke(tx: Tx, *, account_id: UUID, key_id: UUID) -> None:
    """End a key for good: no call is let in with it after the commit. Raises NotFound, also the second time."""
    revoked = await store.mark_revoked(tx.connection, account_id=account_id, key_id=key_id, now=tx.now)
    await _tell(tx, revoked, "api_key.revoked")


async def _tell(tx: Tx, key: ApiKey, event: str) -> None:
    """What the world hears of a key: nothing of its secret, of which only the prefix is kept anyway."""
    await outbox.publish(
        tx,
        account_id=key.account_id,
        type=event,
        object_id=ids.encode("key", key.key_id),
        payload={
            "name": key.name,
            "prefix": key.prefix,
            "permissions": list(key.permissions),
            "ip_whitelist": list(key.ip_whitelist),
            "created_at": key.created_at,
            "expires_at": key.expires_at,
            "revoked_at": tx.now if event == "api_key.revoked" else None,
        },
    )


async def create_operator_key(
    tx: Tx, *, name: str, scopes: Sequence[Scope], expires_at: datetime | None = None
) -> IssuedOperatorKey:
    """Make an operator's key. Raises InvalidParameter for no scope or one that does not exist."""
    unknown = [scope for scope in scopes if scope not in rules.SCOPES]
    if unknown or not scopes:
        raise InvalidParameter.one("body", "scopes", f"must be some of {', '.join(rules.SCOPES)}")
    secret = rules.new_secret(OPERATOR_PREFIX, tx.random_bits)
    issued = IssuedOperatorKey(key_id=tx.new_id(), name=name, scopes=tuple(dict.fromkeys(scopes)), secret=secret)
    await store.insert_operator_key(
        tx.connection,
        key_id=issued.key_id,
        digest=rules.digest_of(secret),
        name=name,
        scopes=issued.scopes,
        created_at=tx.now,
        expires_at=expires_at,
    )
    return issued


def caller_of(key: store.PresentedKey | None, *, digest: bytes, ip: str, now: datetime) -> Caller:
    """The caller with a key as it was found by a digest.

    Raises Unauthorized for one that is unknown, expired or revoked, or whose account is closed; IpNotAllowed.
    """
    if key is None or not hmac.compare_digest(key.digest, digest):
        raise Unauthorized
    if rules.has_expired(key.expires_at, now=now) or key.account_status == "closed":
        raise Unauthorized
    if not rules.is_ip_allowed(ip, ranges=key.ip_whitelist):
        raise IpNotAllowed
    return Caller(
        account_id=key.account_id,
        key_id=key.key_id,
        permissions=key.permissions,
        account_status=key.account_status,
        currency=key.currency,
    )


def operator_of(key: store.PresentedOperatorKey | None, *, digest: bytes, now: datetime) -> Operator:
    """The operator with a key as it was found by a digest. Raises Unauthorized."""
    if key is None or not hmac.compare_digest(key.digest, digest) or rules.has_expired(key.expires_at, now=now):
        raise Unauthorized
    return Operator(key_id=key.key_id, name=key.name, scopes=frozenset(key.scopes))


class Keyring:
    """Reads the keys of calls for the web edge, those of calls at once together.

    Nothing is remembered: a revoked key is refused from the revocation's commit on. Uses are noted at most once a minute,
    after the call went on.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self._callers = Gathered(self._find_callers, limit_s=database.wait_s)
        self._operators = Gathered(self._find_operators, limit_s=database.wait_s)
        self._noted: dict[bytes, datetime] = {}
        self._notes: set[asyncio.Task[None]] = set()

    async def read_caller(self, *, token: str, ip: str) -> Caller:
        """As `caller_of`; a key with a wrong form or checksum is refused without a look at the database."""
        if not rules.is_well_formed(token, prefix=PUBLIC_PREFIX):
            raise Unauthorized
        digest = rules.digest_of(token)
        key = await self._callers.get(digest)
        now = self._database.clock()
        caller = caller_of(key, digest=digest, ip=ip, now=now)
        self._note(key, now)
        return caller

    async def read_operator(self, *, token: str, ip: str) -> Operator:  # noqa: ARG002 the edge passes it to both readers
        """As `operator_of`, with the same first look at the form."""
        if not rules.is_well_formed(token, prefix=OPERATOR_PREFIX):
            raise Unauthorized
        digest = rules.digest_of(token)
        key = await self._operators.get(digest)
        now = self._database.clock()
        operator = operator_of(key, digest=digest, now=now)
        self._note(key, now)
        return operator

    async def _find_callers(self, digests: Sequence[bytes]) -> dict[bytes, store.PresentedKey]:
        async with self._database.reading() as reading:
            return await store.find_presented(reading.connection, digests=digests)

    async def _find_operators(self, digests: Sequence[bytes]) -> dict[bytes, store.PresentedOperatorKey]:
        async with self._database.reading() as reading:
            return await store.find_presented_operators(reading.connection, digests=digests)

    async def close(self) -> None:
        """Wait for the notes under way."""
        await asyncio.gather(*self._notes, return_exceptions=True)

    def _note(self, key: store.PresentedKey | store.PresentedOperatorKey | None, now: datetime) -> None:
        assert key is not None
        for noted in (key.last_used_at, self._noted.get(key.digest)):
            if noted is not None and now - noted < store.USE_NOTED_EVERY:
                return
        if len(self._noted) >= _NOTED_MAX:
            self._noted.clear()
        self._noted[key.digest] = now
        mark = store.mark_used if isinstance(key, store.PresentedKey) else store.mark_operator_used
        task = asyncio.create_task(self._store_note(mark, key.digest, now), context=Context())  # no call waits for it
        self._notes.add(task)
        task.add_done_callback(self._notes.discard)

    async def _store_note(self, mark: store.MarkUsed, digest: bytes, now: datetime) -> None:
        # A lost note costs nothing: the next use after a minute makes another.
        with contextlib.suppress(*_UNNOTED):
            async with self._database.reading() as reading:
                await mark(reading.connection, digest=digest, now=now)


async def revoke_operator_key(tx: Tx, *, key_id: UUID) -> None:
    """Revoke an operator's key. Again is harmless."""
    await store.mark_operator_revoked(tx.connection, key_id=key_id, now=tx.now)
