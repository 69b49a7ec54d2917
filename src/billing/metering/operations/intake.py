"""Small calls taken in together: the events of all that come while others are stored are stored by the next transaction, which is
one statement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from billing.kit.gathering import Gathered
from billing.metering import operations
from billing.metering.model import IngestResult, UsageEvent

if TYPE_CHECKING:
    from billing.kit.db import Database

SMALL = 20
"""Calls with more events are worth a transaction of their own."""
_LANES = 2  # while one waits for a resource's lock, the other goes on


@dataclass(frozen=True, slots=True, eq=False)
class _Sent:
    """The events of one call; no two calls are the same."""

    events: tuple[UsageEvent, ...]


class Intake:
    """Stores the events of small calls, those of calls at once in one transaction, each event judged for itself."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._gathered = Gathered(self._store, limit_s=database.wait_s, lanes=_LANES)

    async def take(self, events: Sequence[UsageEvent]) -> list[IngestResult]:
        """Store and count a call's events; one result each, in order.

        Whatever went wrong for one call is raised for all that were taken together, and nothing of them is stored, or all
        (GatheredTimeout): each may be tried again alone.
        """
        results = await self._gathered.get(_Sent(tuple(events)))
        assert results is not None
        return results

    async def _store(self, calls: Sequence[_Sent]) -> dict[_Sent, list[IngestResult]]:
        events = [event for call in calls for event in call.events]
        async with self._database.reading() as tx:
            results = iter(await operations.ingest(tx, events))
        return {call: list(islice(results, len(call.events))) for call in calls}
