"""Invariants as queries: each row names one and counts the places where it is broken.

A run reads everything, or (incrementally) the accounts that were written to since the last run that found nothing, and one of
16 parts of all the others in turn, so that what was damaged long ago is found within 16 runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.kit.db import Connection

PARTS = 16
OVERLAP = timedelta(minutes=10)  # longer than any transaction lives: what commits late is read again
_SCOPED = """
WITH asked AS (SELECT $1::timestamptz AS since, $2::integer AS part, $3::timestamptz AS now)
"""


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant and in how many places it is broken."""

    name: str
    violations: int


@dataclass(frozen=True, slots=True)
class Scope:
    """What is read: everything, or what was written `since` and one part of the rest. Without `now` nothing is too old."""

    now: datetime | None = None
    since: datetime | None = None
    part: int | None = None


EVERYTHING = Scope()


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a group of checks has come: from when on it has to read, and which part is next."""

    since: datetime | None
    part: int


async def run_checks(connection: Connection, statement: str, scope: Scope) -> list[Check]:
    """The answers of a statement that yields (name, violations); it goes on from `asked`: since, part (null: all), now."""
    rows = await connection.fetch(_SCOPED + statement, scope.since, scope.part, scope.now)
    return [Check(row["name"], row["violations"]) for row in rows]


async def find_mark(connection: Connection, *, group: str) -> Mark:
    """The mark of a group; before its first run it has everything to read."""
    row = await connection.fetchrow("SELECT since, part FROM check_marks WHERE check_group = $1", group)
    return Mark(row["since"], row["part"]) if row else Mark(None, 0)


async def upsert_mark(connection: Connection, *, group: str, since: datetime, part: int) -> None:
    """Move a group's mark; it never moves back."""
    await connection.execute(
        """
        INSERT INTO check_marks AS m (check_group, since, part) VALUES ($1, $2, $3)
        ON CONFLICT (check_group) DO UPDATE SET since = greatest(m.since, excluded.since), part = excluded.part
        """,
        group,
        since,
        part,
    )
