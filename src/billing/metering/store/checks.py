"""The invariants of metering as SQL."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from billing.kit import checks
from billing.kit.checks import EVERYTHING, Check, Scope
from billing.kit.statements import load_statement

if TYPE_CHECKING:
    from billing.kit.db import Connection

_CHECKS = load_statement(Path(__file__).parent.parent / "sql" / "checks.sql")


async def run_checks(connection: Connection, scope: Scope = EVERYTHING) -> list[Check]:
    """Every invariant of metering over the accounts in scope."""
    return await checks.run_checks(connection, _CHECKS, scope)
