"""Invariants as queries: each row names one and counts the places where it is broken."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from billing.kit.db import Connection


@dataclass(frozen=True, slots=True)
class Check:
    """One invariant and in how many places it is broken."""

    name: str
    violations: int


async def run_checks(connection: Connection, statement: str) -> list[Check]:
    """The answers of a statement that yields (name, violations)."""
    return [Check(row["name"], row["violations"]) for row in await connection.fetch(statement)]
