"""What each hot operation sends to the database, to the letter: one statement more is one round trip more, and fails here.

Statements are counted in sessions that were used before; BEGIN and COMMIT are two of them. Whoever saves one lowers the figure.
"""

from __future__ import annotations

import pytest

from tests.support.hot_operations import HotOperations
from tests.support.watching import watching
from tests.support.world import open_world

SENT = {
    "read the account": 2,
    "post a transfer": 3,
    "post an array of 100": 3,
    "hold and release": 32,
    "top up": 25,
    "retry a call": 3,
    "read the wallets": 10,
    "take in an event": 2,
    "take in a batch of 100": 4,
    "read the usage": 5,
    "report a state": 22,
    "read the projects": 6,
    "read the resources": 5,
    "read the payment methods": 2,
    "quote a plan": 9,
    "go through the history": 2,
    "go through the charges": 2,
    "go through the payments": 2,
    "go through the invoices": 2,
    "read costs by project": 8,
    "read costs by day": 8,
    "relay an event": 3,
    "send a webhook": 10,
    "look at an alert": 22,
}


class TestHotOperations:
    """The figures are round trips of the application's pool, for a caller alone; the sandbox gateway has a pool of its own."""

    async def test_send_no_statement_more_than_they_did(self, database_dsn: str) -> None:
        faults: list[str] = []
        async with open_world(database_dsn) as world:
            operations = HotOperations(world)
            await operations.begin()
            for name, operation in operations.all().items():
                await operation()
                async with watching(world.house.database.pool, is_planning=False) as watch:
                    sent = await watch.see(operation)
                if len(sent) != SENT.get(name):
                    told = "\n    ".join(statement.name for statement in sent)
                    faults.append(f"{name}: {len(sent)} statements, not {SENT.get(name)}:\n    {told}")
        assert not faults, "\n".join(faults)

    @pytest.mark.parametrize("name", ["read the account", "go through the history", "go through the invoices"])
    def test_need_two_round_trips_at_most_to_read(self, name: str) -> None:
        """One for the key, one for what is asked (quality G1)."""
        assert SENT[name] <= 2
