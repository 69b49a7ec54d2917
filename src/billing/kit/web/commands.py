"""A write: one transaction, one answer, once per Idempotency-Key."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from billing.core.errors import IdempotencyKeyRequired
from billing.kit.db import Database, Tx
from billing.kit.web.answers import Answer

T = TypeVar("T")


class Command:
    """What a handler that writes runs its work with."""

    def __init__(self, database: Database, *, idempotency_key: str | None, ip: str, request_id: str) -> None:
        self._database = database
        self._key = idempotency_key
        self.ip = ip
        self.request_id = request_id

    def require_key(self) -> None:
        """Refuse the call unless it carries an Idempotency-Key. Raises IdempotencyKeyRequired."""
        if self._key is None:
            raise IdempotencyKeyRequired

    async def run(
        self,
        work: Callable[[Tx], Awaitable[T]],
        *,
        status: int = 200,
        location: Callable[[T], str] | None = None,
        stored: Callable[[T], object] | None = None,
    ) -> Answer:
        """Do the work in one transaction and answer with what it returns.

        `location` makes the Location header, a path below the API's base. `stored` makes what a replay shows instead of the
        answer (a key's secret is shown once). An error rolls everything back and leaves the Idempotency-Key unused.
        """
        raise NotImplementedError

    async def run_staged(
        self,
        *,
        start: Callable[[Tx], Awaitable[dict[str, Any]]],
        finish: Callable[[dict[str, Any]], Awaitable[T]],
        status: int = 201,
        location: Callable[[T], str] | None = None,
        stored: Callable[[T], object] | None = None,
    ) -> Answer:
        """Commit the intent that `start` returns, then let `finish` call the outside world and make the answer.

        `finish` opens its own transactions and must bear being called again with the same intent.
        """
        raise NotImplementedError
