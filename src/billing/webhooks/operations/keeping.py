"""Making, changing and deleting endpoints; new secrets for them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING
from uuid import UUID

from billing.core import ids, standard_webhooks
from billing.core.errors import Unavailable
from billing.kit import outbox
from billing.webhooks.model.endpoints import (
    ENDPOINT_PREFIX,
    ENDPOINTS_MAX,
    DisabledReason,
    Endpoint,
    EndpointStatus,
    IssuedEndpoint,
)
from billing.webhooks.model.errors import TooManyWebhooks
from billing.webhooks.model.messages import DISABLED_TYPE, ENDPOINT_DELETED, ENDPOINT_DISABLED
from billing.webhooks.operations.ending import give_up
from billing.webhooks.rules import signing
from billing.webhooks.store import endpoints as store

if TYPE_CHECKING:
    from billing.kit.db import Tx
    from billing.kit.secret_key import SecretKey


@dataclass(frozen=True, slots=True, kw_only=True)
class EndpointChanges:
    """What an update sets; None stays as it is."""

    url: str | None = None
    description: tuple[str | None] | None = None
    events: Sequence[str] | None = None
    status: EndpointStatus | None = None


async def create(
    tx: Tx, *, account_id: UUID, url: str, description: str | None, events: Sequence[str], secret_key: SecretKey
) -> IssuedEndpoint:
    """Store a new endpoint, whose URL has been checked; its secret is in the answer and nowhere else.

    Raises TooManyWebhooks, Unavailable.
    """
    master = await _master(tx, secret_key)
    await store.lock_account(tx.connection, account_id=account_id)
    if await store.count_endpoints(tx.connection, account_id=account_id) >= ENDPOINTS_MAX:
        raise TooManyWebhooks(details={"limit": ENDPOINTS_MAX})
    endpoint = Endpoint(
        account_id=account_id,
        endpoint_id=tx.new_id(),
        url=url,
        description=description,
        events=tuple(dict.fromkeys(events)),
        status="enabled",
        disabled_reason=None,
        disabled_at=None,
        secret_number=1,
        secret_rotated_at=None,
        failing_since=None,
        failures=0,
        is_slow=False,
        created_at=tx.now,
    )
    await store.insert_endpoint(tx.connection, endpoint=endpoint)
    return _issued(endpoint, master)


async def change(tx: Tx, *, account_id: UUID, endpoint_id: UUID, changes: EndpointChanges) -> Endpoint:
    """Set what `changes` names. Enabling, or another URL, forgets past failures; disabling gives up what was waiting.

    Raises NotFound.
    """
    endpoint = await store.get_endpoint_for_update(tx.connection, account_id=account_id, endpoint_id=endpoint_id)
    changed = replace(
        endpoint,
        url=changes.url or endpoint.url,
        description=endpoint.description if changes.description is None else changes.description[0],
        events=endpoint.events if changes.events is None else tuple(dict.fromkeys(changes.events)),
    )
    if changed.url != endpoint.url:
        changed = replace(changed, failing_since=None, failures=0, is_slow=False)
    if changes.status == "enabled" and endpoint.status == "disabled":
        changed = replace(
            changed, status="enabled", disabled_reason=None, disabled_at=None, failing_since=None, failures=0
        )
    if changes.status == "disabled" and endpoint.status == "enabled":
        return await disable(tx, changed, reason="asked")
    if changed != endpoint:
        await store.update_endpoint(tx.connection, endpoint=changed)
    return changed


async def disable(tx: Tx, endpoint: Endpoint, *, reason: DisabledReason) -> Endpoint:
    """Send nothing more to a locked endpoint, and give up what was waiting. Unless its owner asked for it, that is told."""
    disabled = replace(endpoint, status="disabled", disabled_reason=reason, disabled_at=tx.now)
    await store.update_endpoint(tx.connection, endpoint=disabled)
    await give_up(tx, disabled, reason=ENDPOINT_DISABLED)
    if reason != "asked":
        await outbox.publish(
            tx,
            account_id=endpoint.account_id,
            type=DISABLED_TYPE,
            object_id=ids.encode(ENDPOINT_PREFIX, endpoint.endpoint_id),
            payload={
                "url": endpoint.url,
                "description": endpoint.description,
                "reason": reason,
                "failing_since": endpoint.failing_since,
                "disabled_at": tx.now,
            },
        )
    return disabled


async def delete(tx: Tx, *, account_id: UUID, endpoint_id: UUID) -> None:
    """Remove an endpoint, and give up what was waiting for it. Raises NotFound."""
    endpoint = await store.get_endpoint_for_update(tx.connection, account_id=account_id, endpoint_id=endpoint_id)
    await store.mark_deleted(tx.connection, account_id=account_id, endpoint_id=endpoint_id, now=tx.now)
    await give_up(tx, endpoint, reason=ENDPOINT_DELETED)


async def rotate_secret(tx: Tx, *, account_id: UUID, endpoint_id: UUID, secret_key: SecretKey) -> IssuedEndpoint:
    """Give an endpoint a new secret; for 24 hours the one before signs too. Raises NotFound, Unavailable."""
    master = await _master(tx, secret_key)
    endpoint = await store.get_endpoint_for_update(tx.connection, account_id=account_id, endpoint_id=endpoint_id)
    rotated = replace(endpoint, secret_number=endpoint.secret_number + 1, secret_rotated_at=tx.now)
    await store.update_endpoint(tx.connection, endpoint=rotated)
    return _issued(rotated, master)


def _issued(endpoint: Endpoint, master: bytes) -> IssuedEndpoint:
    secret = signing.secret_bytes(master, endpoint_id=endpoint.endpoint_id, number=endpoint.secret_number)
    return IssuedEndpoint(endpoint=endpoint, secret=standard_webhooks.show_secret(secret))


async def _master(tx: Tx, secret_key: SecretKey) -> bytes:
    master = await secret_key.opens(tx.connection, now=tx.now)
    if master is None:
        raise Unavailable("Webhook secrets are not available right now; try again later")
    return master
